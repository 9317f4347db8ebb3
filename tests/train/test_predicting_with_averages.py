"""Averages are read in the places of their parameters: by several threads at once."""

import threading

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

X = np.random.default_rng(0).normal(size=(70, 4)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 70)

backends = pytest.mark.parametrize("backend", ["native", "reference"])


class OwnAverage:
    """An average as a user may write one: all that is asked of it, and nothing else."""

    def __init__(self, parameters):
        ema = optim.EMA(parameters, decay=0.5)
        self.parameters, self.averages = ema.parameters, ema.averages
        self.update, self.states, self.applied = ema.update, ema.states, ema.applied
        self.state_dict, self.load_state_dict = ema.state_dict, ema.load_state_dict


def trainer(backend, average=None, loss=None):
    with cr.use_generator(cr.Generator(5)):
        model = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)
        )
    ema = average(model) if average else optim.EMA(model.parameters(), decay=0.5)
    return cr.Trainer(
        model, (loss or (lambda ema: nn.CrossEntropyLoss()))(ema),
        optim.Adam(model.parameters(), lr=0.05), ema=ema, backend=backend, metrics=["accuracy"],
        seed=3,
    )  # fmt: skip


def fitted(*arguments, **keywords):
    made = trainer(*arguments, **keywords)
    made.fit(X, Y, epochs=2, batch_size=16, progress=False)
    return made


def results(made):
    """All that is computed with averages: in batches of 32, 32 and 6 rows."""
    return [
        made.predict(X, batch_size=32),
        made.predict_samples(X, samples=3, batch_size=32),
        np.array(list(made.evaluate(X, Y, batch_size=32).values())),
    ]


def check_same(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


@backends
def test_they_are_those_of_a_model_that_holds_the_averages(backend):
    made = fitted(backend)
    found, weights = results(made), made.model.state_dict()
    other = cr.Evaluator(
        made.model, nn.CrossEntropyLoss(), ["accuracy"], ema=made.ema, backend=backend, seed=3
    )
    check_same(results(other), found)
    assert not np.array_equal(
        cr.Evaluator(made.model, nn.CrossEntropyLoss(), backend=backend).predict(X), found[0]
    )
    for name, array in made.model.state_dict().items():  # and nothing was put into the model
        np.testing.assert_array_equal(array, weights[name])
    made.ema.copy_to()
    plain = cr.Evaluator(made.model, nn.CrossEntropyLoss(), ["accuracy"], backend=backend, seed=3)
    check_same(results(plain), found)


@backends
def test_an_average_of_part_of_the_parameters_leaves_the_others(backend):
    made = fitted(backend, lambda model: optim.EMA(model[0].parameters(), decay=0.5))
    found = made.predict(X)
    made.ema.copy_to()
    plain = cr.Evaluator(made.model, nn.CrossEntropyLoss(), backend=backend)
    np.testing.assert_array_equal(found, plain.predict(X))


@backends
def test_there_is_no_average_before_the_first_update_and_after_a_return_to_there(backend, tmp_path):
    made = trainer(backend)
    with cr.no_grad():
        for parameter in made.model.parameters():
            parameter.assign(parameter * 2.0)  # the averages hold what it was
    made.save(tmp_path / "before")
    plain = cr.Evaluator(made.model, nn.CrossEntropyLoss(), ["accuracy"], backend=backend, seed=3)
    before = results(plain)
    check_same(results(made), before)
    made.fit(X, Y, epochs=1, batch_size=16, progress=False)
    assert not np.array_equal(made.predict(X), before[0])
    made.load(tmp_path / "before")
    check_same(results(made), before)


@backends
def test_an_average_of_a_users_own_class_gives_the_same(backend):
    own = fitted(backend, lambda model: OwnAverage(model.parameters()))
    check_same(results(own), results(fitted(backend)))


@backends
def test_a_loss_that_reads_the_averages_itself(backend):
    def pulled_to(ema):
        pairs = list(zip(ema.parameters, ema.averages, strict=True))

        def loss(output, target):
            pull = sum(((parameter - average) ** 2).sum() for parameter, average in pairs)
            return nn.functional.cross_entropy(output, target) + pull

        return loss

    own = fitted(backend, lambda model: OwnAverage(model.parameters()), pulled_to)
    check_same(results(own), results(fitted(backend, loss=pulled_to)))


class Drifting(nn.Linear):
    """Changes its weight at every call."""

    def forward(self, x):
        output = super().forward(x)
        self.weight.assign(self.weight + 1.0)
        return output


@backends
def test_what_a_prediction_assigns_to_an_averaged_parameter_is_lost(backend):
    model = Drifting(4, 3)
    made = cr.Evaluator(model, nn.MSELoss(), ema=optim.EMA(model.parameters()), backend=backend)
    made._ema.update()
    weight = model.weight.numpy().copy()
    found = [made.predict(X) for _ in range(2)]
    np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(model.weight.numpy(), weight)
    np.testing.assert_array_equal(made._ema.averages[0].numpy(), weight)


@backends
def test_a_layer_that_is_replaced_has_no_average(backend):
    made = fitted(backend)
    made.predict(X)
    made.model[4] = nn.Linear(8, 3)
    found = made.predict(X)
    made.ema.copy_to()
    plain = cr.Evaluator(made.model, nn.CrossEntropyLoss(), backend=backend)
    np.testing.assert_array_equal(found, plain.predict(X))


@backends
@pytest.mark.parametrize("method", ["predict", "evaluate"])
def test_several_threads_read_averages_at_once(backend, method):
    made = fitted(backend)
    arguments = (X,) if method == "predict" else (X, Y)
    wanted = getattr(made, method)(*arguments)
    found = []
    thread = threading.Thread(
        target=lambda: found.append(getattr(made, method)(*arguments)), daemon=True
    )
    with made.backend.guard.shared:  # as another that predicts
        thread.start()
        thread.join(60)
        assert found, "a prediction waits for others to end"
    np.testing.assert_equal(found[0], wanted)
