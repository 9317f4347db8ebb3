"""Models that are built alike share their plans, and nothing else."""

import gc
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.execute import native

X = np.random.default_rng(0).normal(size=(50, 6)).astype("float32")
Y = np.random.default_rng(1).normal(size=(50, 3)).astype("float32")


@pytest.fixture
def compiled(monkeypatch):
    """A list that grows with every plan that is compiled."""
    found = []

    class CountedPlan(native.Plan):
        def __init__(self, *arguments):
            found.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(native, "Plan", CountedPlan)
    return found


def trainer_of(model, **options):
    return cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters(), lr=1e-2), **options)


def network(seed=5, width=16, activation=nn.ReLU, rate=0.25, dtype="float32"):
    with cr.use_generator(cr.Generator(seed)):
        return nn.Sequential(
            nn.Linear(6, width, dtype=dtype),
            activation(),
            nn.Dropout(rate),
            nn.Linear(width, 3, dtype=dtype),
        )


def run(trainer):
    trainer.fit(X, Y, epochs=3, batch_size=16, progress=False)
    return trainer.predict(X)


def test_a_second_model_built_alike_compiles_nothing_and_has_numbers_of_its_own(compiled):
    first = trainer_of(network())
    result = run(first)
    compiled.clear()
    np.testing.assert_array_equal(run(trainer_of(network())), result)
    other = trainer_of(network(seed=6, rate=0.5))  # the rate is a number that can be set
    assert not np.array_equal(run(other), result)
    assert not compiled
    np.testing.assert_array_equal(first.predict(X), result)
    reference = trainer_of(network(seed=6, rate=0.5), backend="reference")
    np.testing.assert_allclose(other.predict(X), run(reference), rtol=1e-4, atol=1e-5)


def scaled(factor):
    return lambda x: x * factor


def shifted(table):
    return lambda x: x + cr.as_tensor(table)


class Composed(nn.Module):
    """A layer, then a function."""

    def __init__(self, function):
        super().__init__()
        with cr.use_generator(cr.Generator(5)):
            self.layer = nn.Linear(6, 3)
        self.function = function

    def forward(self, x):
        return self.function(self.layer(x))


FUNCTIONS = {
    "1.5": scaled(1.5),
    "-1.5": scaled(-1.5),
    "0.0": scaled(0.0),
    "-0.0": scaled(-0.0),
    "a table": shifted([0.0, 1.0, 2.0]),
    "another table": shifted([0.0, 1.0, 3.0]),
    "a row of one number": shifted([1.0, 1.0, 1.0]),
    "relu": lambda x: cr.relu(x),
    "tanh": lambda x: cr.tanh(x),
    "the sum over rows": lambda x: x + x.sum(axis=0),
    "the sum over columns": lambda x: x + x.sum(axis=1, keepdims=True),
    "a slice": lambda x: x[:, ::-1],
    "another slice": lambda x: x[:, [0, 0, 1]],
    "a minus b": lambda x: x - x.T.mean(),
    "b minus a": lambda x: x.T.mean() - x,
}


def test_models_that_differ_in_anything_have_plans_of_their_own():
    found = {}
    for _ in range(2):  # the second time all plans are there
        for name, function in FUNCTIONS.items():
            model = Composed(function)
            evaluator = cr.Evaluator(model, nn.MSELoss())
            found[name] = evaluator.predict(X)
            with cr.no_grad():
                wanted = model(cr.tensor(X)).numpy()
            np.testing.assert_allclose(found[name], wanted, rtol=1e-5, atol=1e-6, err_msg=name)
    assert np.signbit(found["-0.0"]).any() and (found["0.0"] == 0).all()


@pytest.mark.parametrize("options", [{"width": 8}, {"activation": nn.Tanh}, {"dtype": "float64"}])
def test_a_training_of_another_architecture_is_right(options):
    for given in ({}, options, {}):
        native_one, reference = (
            trainer_of(network(**given), backend=backend) for backend in ("native", "reference")
        )
        np.testing.assert_allclose(run(native_one), run(reference), rtol=1e-3, atol=1e-4)


def test_frozen_layers_and_other_optimisers_have_plans_of_their_own():
    def trained(make, frozen):
        model = network()
        model[0].requires_grad_(not frozen)
        trainer = cr.Trainer(model, nn.MSELoss(), make(model.parameters()))
        before = model[0].weight.numpy()
        run(trainer)
        assert np.array_equal(before, model[0].weight.numpy()) == frozen
        return model[3].weight.numpy()

    makers = [optim.SGD, lambda p: optim.SGD(p, momentum=0.9, nesterov=True), optim.Adam]
    results = [trained(make, frozen) for make in makers for frozen in (False, True)]
    assert len({result.tobytes() for result in results}) == len(results)


def test_a_shared_plan_keeps_no_model_alive():
    model = network(width=17)
    run(trainer_of(model))
    weight = weakref.ref(model[0].weight)
    del model
    gc.collect()
    assert weight() is None


def test_labels_of_a_shared_plan_are_the_models_own():
    class Named(nn.Module):
        def __init__(self, name):
            super().__init__()
            setattr(self, name, nn.Linear(6, 3))
            self.name = name

        def forward(self, x):
            return getattr(self, self.name)(x)

    for name in ("encoder", "decoder"):
        trainer = trainer_of(Named(name))
        run(trainer)
        assert name in trainer.describe_plan()


@pytest.mark.parametrize("kinds", [(cr.Buffer, cr.HyperParameter), (cr.HyperParameter, cr.Buffer)])
def test_a_number_that_is_set_between_steps_is_not_taken_for_a_buffer(kinds):
    def step(scale):
        w = cr.Parameter([1.0])

        def function(x):
            w.assign(w - scale.astype("float32") * x)
            return w * 1.0

        graph = cr.capture(function, cr.placeholder((1,)))
        return native.NativeStep(graph, native.StateBlock([w, scale]))

    for kind in kinds:
        scale = kind(np.float64(0.5))
        assert step(scale).scalars == [scale] * (kind is cr.HyperParameter)


def test_a_constant_of_a_shared_plan_stays_what_it_was():
    first, second = np.arange(3, dtype=np.float32), np.arange(3, dtype=np.float32)
    trainer = trainer_of(Composed(shifted(first)))
    expected = trainer.predict(X)
    first[...] = 100
    np.testing.assert_array_equal(trainer_of(Composed(shifted(second))).predict(X), expected)


def test_operations_with_zeros_of_two_signs_are_not_one():
    def borders(x):
        return [cr.pad(x, 1, constant_values=zero) for zero in (0.0, -0.0)]

    for found in (borders(cr.tensor(X)), cr.compile(borders)(X)):
        assert [bool(np.signbit(y.numpy()[0]).any()) for y in found] == [False, True]
