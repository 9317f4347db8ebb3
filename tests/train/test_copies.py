"""Copies and pickles of all that trains: they go on to the same bits and share nothing."""

import copy
import functools
import inspect
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
from training_cases import compiled_step

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SymbolicError

X = np.random.default_rng(0).normal(size=(44, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(44, 3)).astype("float32")

OPTIMIZERS = [
    kind
    for kind in vars(optim).values()
    if inspect.isclass(kind) and issubclass(kind, optim.Optimizer) and kind is not optim.Optimizer
]


def through_joblib(value, folder):
    joblib.dump(value, folder / "copy.joblib")
    return joblib.load(folder / "copy.joblib")


WAYS = {
    "deepcopy": lambda value, _: copy.deepcopy(value),
    "pickle": lambda value, _: pickle.loads(pickle.dumps(value)),
    "joblib": through_joblib,
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
backends = pytest.mark.parametrize("backend", ["native", "reference"])


class Weighted(nn.Module):
    """A loss with a number that can be set, and a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.scale = cr.Parameter(1.0)

    def forward(self, output, target):
        return ((output - target) ** 2).mean() * self.scale + 0.1 * self.scale**2


def network():
    with cr.use_generator(cr.Generator(5)):
        return nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3)
        )


def rich_trainer(backend):
    model = network()
    loss = Weighted()
    optimizer = optim.AdamW([*model.parameters(), *loss.parameters()], lr=1e-2)
    return cr.Trainer(
        model,
        loss,
        optimizer,
        metrics=["mae", "r2"],
        penalties=[nn.L2Penalty([model[0].weight], 1e-3)],
        constraints=[optim.MaxNorm([model[4].weight], 1.0)],
        ema=optim.EMA(model.parameters(), decay=0.9),
        schedule=optim.OneCycleLR(optimizer, max_lr=0.1, total_steps=200),
        accumulate=2,
        clip_norm=1.0,
        callbacks=[cr.EarlyStopping("loss", patience=50)],
        seed=3,
        backend=backend,
    )


def fit(trainer, epochs=2):
    trainer.fit(X, Y, epochs=epochs, batch_size=10, progress=False)


def bits(trainer):
    states = [
        *trainer.model.state_dict().values(),
        *trainer.optimizer.states().values(),
        *trainer.ema.states().values(),
        *trainer.graphs.loss.state_dict().values(),
        trainer.graphs.generator.state.numpy(),
    ]
    return b"".join(np.asarray(state).tobytes() for state in states)


def outcome(trainer):
    fit(trainer)
    records = [{k: v for k, v in r.items() if k != "seconds"} for r in trainer.history]
    return bits(trainer), records, trainer.predict(X).tobytes()


@backends
@ways
@pytest.mark.parametrize("when", ["before", "after", "stopped midway"])
def test_a_copy_of_a_trainer_goes_on_to_the_same_bits(way, when, backend, tmp_path):
    trainer = rich_trainer(backend)
    if when != "before":
        fit(trainer)
        trainer.predict(X)
    if when == "stopped midway":

        class Stop(cr.Callback):
            def on_step_end(self, trainer, loss):
                trainer.stop("enough")

        trainer.callbacks.append(Stop())
        fit(trainer)
        trainer.callbacks.pop()
        assert trainer.state.position
    twin = way(trainer, tmp_path)
    at_first = bits(trainer)
    assert bits(twin) == at_first
    after = outcome(twin)
    assert bits(trainer) == at_first  # the original is untouched
    twin_bits = bits(twin)
    assert outcome(trainer) == after
    assert bits(twin) == twin_bits  # and so is the copy
    # In the copy the parts are still connected to one another.
    assert twin.schedule.optimizer is twin.optimizer
    assert {*twin.model.parameters()} <= {*twin.optimizer.params}
    assert [*twin.ema.parameters] == [*twin.model.parameters()]
    twin.optimizer.param_groups[0]["lr"] = 0.5
    assert trainer.optimizer.param_groups[0]["lr"] != 0.5


@backends
def test_a_pickle_goes_on_in_another_process(backend, tmp_path):
    trainer = rich_trainer(backend)
    fit(trainer)
    (tmp_path / "trainer").write_bytes(pickle.dumps(trainer))
    script = (
        f"import sys, pickle; sys.path.insert(0, {str(__file__).rpartition('/')[0]!r})\n"
        "import test_copies as t\n"
        f"trainer = pickle.load(open({str(tmp_path / 'trainer')!r}, 'rb'))\n"
        "t.fit(trainer); sys.stdout.write(t.bits(trainer).hex())"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    fit(trainer)
    assert found.stdout == bits(trainer).hex(), found.stderr


@ways
@pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda kind: kind.__name__)
def test_a_copy_of_an_optimiser_goes_on_after_steps(kind, way, tmp_path):
    model = nn.Linear(4, 3, bias=False)
    optimizer = kind(model.parameters())

    def steps(model, optimizer, count=3):
        for _ in range(count):
            loss = nn.MSELoss()(model(cr.tensor(X)), cr.tensor(Y))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step(loss)
        return model.weight.numpy().tobytes()

    steps(model, optimizer)
    before = model.weight.numpy().tobytes()
    twin_model, twin = way((model, optimizer), tmp_path)
    assert twin.params == [twin_model.weight]
    found = steps(twin_model, twin)
    assert model.weight.numpy().tobytes() == before != found
    assert steps(model, optimizer) == found


class Loop:
    """A loop whose step is a method: a copy has a model and an optimiser of its own."""

    def __init__(self, model, optimizer):
        self.model, self.optimizer, self.loss_fn = model, optimizer, nn.MSELoss()

    def step(self, x, y):
        self.optimizer.zero_grad()
        loss = self.loss_fn(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss


@ways
def test_a_compiled_function_that_would_train_the_original_is_not_copied(way, tmp_path):
    model = network()
    step = compiled_step(model, nn.MSELoss(), optim.SGD(model.parameters(), 0.1))
    step(X, Y)
    with pytest.raises(TypeError, match="would still use that of the original"):
        way(step, tmp_path)
    step(X, Y)


@ways
@backends
def test_a_copy_of_a_compiled_step_and_of_an_evaluator(way, backend, tmp_path):
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    step = cr.compile(Loop(model, optimizer).step, backend=backend)
    evaluator = cr.Evaluator(model, nn.MSELoss(), metrics=["mae"], backend=backend)
    step(X, Y), evaluator.evaluate(X, Y)
    twin_model, twin_step, twin_evaluator = way((model, step, evaluator), tmp_path)
    with cr.use_generator(cr.Generator(5)):
        losses = [twin_step(X, Y).item() for _ in range(3)]
    result = twin_evaluator.evaluate(X, Y)
    assert result != evaluator.evaluate(X, Y)
    with cr.use_generator(cr.Generator(5)):
        assert [step(X, Y).item() for _ in range(3)] == losses
    assert evaluator.evaluate(X, Y) == result
    for name, value in twin_model.state_dict().items():
        np.testing.assert_array_equal(value, model.state_dict()[name])


SCHEDULES = {
    "cosine": lambda o: optim.CosineAnnealingLR(o, T_max=9),
    "step": lambda o: optim.StepLR(o, step_size=2),
    "one cycle": lambda o: optim.OneCycleLR(o, 0.1, total_steps=30, cycle_momentum=False),
}


@ways
@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_a_copy_of_a_schedule_moves_its_own_optimiser(make, way, tmp_path):
    optimizer = optim.SGD([cr.Parameter([1.0])], lr=0.1)
    schedule = make(optimizer)
    for _ in range(3):
        schedule.step()
    twin = way(schedule, tmp_path)
    rates = []
    for _ in range(5):
        twin.step()
        rates.append(twin.optimizer.param_groups[0]["lr"])
    for rate in rates:
        schedule.step()
        assert optimizer.param_groups[0]["lr"] == rate


@ways
def test_copies_of_numbers_that_can_be_set(way, tmp_path):
    w = cr.Parameter([2.0])
    ema, penalty, generator = optim.EMA([w], 0.9), nn.L2Penalty([w], 0.5), cr.Generator(4)
    generator.uniform()
    history = cr.History([{"epoch": 1, "loss": 2.0}])
    twins = way((w, ema, penalty, generator, history), tmp_path)
    v, ema2, penalty2, generator2, history2 = twins
    ema2.decay = 0.5
    assert (ema.decay, ema2.decay) == (0.9, 0.5)
    before = penalty().item()
    v.assign([4.0])
    assert penalty().item() == before != penalty2().item()
    assert generator2.uniform().item() == generator.uniform().item()
    assert list(history2) == list(history) and history2 is not history


def test_metrics_with_lambdas_can_be_copied():
    model = network()
    trainer = cr.Trainer(
        model,
        nn.MSELoss(),
        optim.SGD(model.parameters(), lr=0.1),
        metrics=[lambda output, target: cr.abs(output - target).mean()],
    )
    fit(trainer)
    assert copy.deepcopy(trainer).evaluate(X, Y) == trainer.evaluate(X, Y)


GLOBAL = cr.Parameter([[1.0]])


def squares_of_a_global():
    return (GLOBAL**2).sum()


def uses(model):
    return {
        "a closure": lambda: (model[0].weight ** 2).sum(),
        "a default": lambda w=model[0].weight: (w**2).sum(),
        "a list": (lambda layers=[model[0]]: (layers[0].weight ** 2).sum()),
        "a function within": (lambda: sum((f() for f in [lambda: model[0].weight.sum()]), 0.0)),
        "a global": squares_of_a_global,
        "another function": lambda: squares_of_a_global(),
    }


@pytest.mark.parametrize("which", uses(network()))
@pytest.mark.parametrize("role", ["penalty", "loss", "metric"])
def test_a_function_that_would_go_on_with_the_original_is_refused(which, role):
    model = network()
    term = uses(model)[which]
    options = {}
    loss = nn.MSELoss()
    if role == "penalty":
        options["penalties"] = [term]
    elif role == "loss":

        def loss(output, target):
            return ((output - target) ** 2).mean() + term()
    else:
        options["metrics"] = [lambda output, target: term()]
    trainer = cr.Trainer(model, loss, optim.SGD(model.parameters(), lr=0.1), **options)
    with pytest.raises(TypeError, match=r"still use that of the original: write it as a class"):
        copy.deepcopy(trainer)


mean = nn.Linear(1, 1)


def test_a_loss_may_use_attributes_that_have_the_name_of_a_global_layer():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    trainer = cr.Trainer(model, lambda output, target: ((output - target) ** 2).mean(), optimizer)
    fit(twin := copy.deepcopy(trainer))
    fit(trainer)
    for name, value in twin.model.state_dict().items():
        np.testing.assert_array_equal(value, trainer.model.state_dict()[name])


class Squares:
    def __init__(self, layer):
        self.layer = layer

    def __call__(self):
        return (self.layer.weight**2).sum()

    def term(self):
        return self()


def squares_of(layer):
    return (layer.weight**2).sum()


@ways
@pytest.mark.parametrize("how", ["object", "method", "partial"])
def test_a_penalty_that_holds_its_layer_is_copied_with_it(how, way, tmp_path):
    model = network()
    penalty = {
        "object": Squares(model[0]),
        "method": Squares(model[0]).term,
        "partial": functools.partial(squares_of, model[0]),
    }[how]
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    trainer = cr.Trainer(model, nn.MSELoss(), optimizer, penalties=[penalty])
    twin = way(trainer, tmp_path)
    fit(twin)
    before = trainer.model.state_dict()
    fit(trainer)
    for name, value in twin.model.state_dict().items():
        np.testing.assert_array_equal(value, trainer.model.state_dict()[name])
        assert name.endswith("num_batches_tracked") or (value != before[name]).any()


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps])
def test_graphs_say_why_they_are_not_copied(way):
    graph = cr.capture(lambda x: x * 2.0, cr.placeholder((2,)))
    with pytest.raises(TypeError, match="capture the function again"):
        way(graph)
    with pytest.raises(SymbolicError, match="copied or pickled"):
        way(cr.placeholder((2,)))


class OfAnOperation(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.activation, self.last = nn.Linear(4, 5), cr.tanh, nn.Linear(5, 3)

    def forward(self, x):
        return self.last(self.activation(self.first(x)))


@ways
def test_a_model_that_holds_an_operation(way, tmp_path):
    model = OfAnOperation()
    trainer = cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()))
    trainer.fit(X, Y, epochs=1, progress=False)
    other = way(trainer, tmp_path)
    assert other.model.activation is cr.tanh
    for one in (trainer, other):
        one.fit(X, Y, epochs=1, progress=False)
    assert trainer.predict(X).tobytes() == other.predict(X).tobytes()


@pytest.mark.parametrize("room", [cr, cr.linalg, nn, nn.functional, optim])
def test_every_public_function_is_its_own_copy(room):
    for name in room.__all__:
        value = getattr(room, name)
        if callable(value):
            assert copy.deepcopy(value) is value, name
            assert pickle.loads(pickle.dumps(value)) is value, name
