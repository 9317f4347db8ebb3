"""Values that code reads from outside its variables: noticed, or reported with the remedy."""

import contextvars
import datetime
import itertools
import os
import random
import threading
import time
import unittest.mock
import uuid
import warnings
from time import perf_counter

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

X = np.ones((4, 2), np.float32)
CONTEXT = contextvars.ContextVar("scale", default=1.0)
LOCAL = threading.local()

READ = {
    "environ": lambda: float(os.environ["CR_TEST_SCALE"]),
    "get": lambda: float(os.environ.get("CR_TEST_SCALE")),
    "getenv": lambda: float(os.getenv("CR_TEST_SCALE", "0")),
    "context": lambda: CONTEXT.get(),
    "thread": lambda: LOCAL.scale,
}


@pytest.fixture
def put(monkeypatch):
    token = CONTEXT.set(1.0)

    def put(value):
        monkeypatch.setenv("CR_TEST_SCALE", str(value))
        CONTEXT.set(value)
        LOCAL.scale = value

    yield put
    CONTEXT.reset(token)


class Scaled(nn.Module):
    def __init__(self, read):
        super().__init__()
        self.layer = nn.Linear(2, 1, bias=False)
        self.read = read

    def forward(self, x):
        return self.layer(x) * self.read()


@pytest.mark.parametrize("name", READ)
def test_what_changes_outside_is_noticed(name, put):
    put(1.0)
    model = Scaled(READ[name])
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.0))
    compiled = cr.compile(lambda x: model(x) * READ[name]())
    for value in (1.0, 2.0, 3.0, 1.0):
        put(value)
        once = (X @ model.layer.weight.numpy().T) * value
        np.testing.assert_allclose(trainer.predict(X), once, rtol=1e-6)
        loss = trainer.evaluate(X, 0 * once)["loss"]
        np.testing.assert_allclose(loss, (once**2).mean(), rtol=1e-5)
        np.testing.assert_allclose(compiled(X).numpy(), once * value, rtol=1e-6)


def test_each_thread_has_its_own_context(put):
    put(1.0)
    model = Scaled(READ["thread"])
    evaluator = cr.Evaluator(model, nn.MSELoss())
    first = evaluator.predict(X)
    found = []

    def other():
        LOCAL.scale = 5.0
        found.append(evaluator.predict(X))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    np.testing.assert_allclose(found[0], 5.0 * first, rtol=1e-6)
    np.testing.assert_allclose(evaluator.predict(X), first, rtol=1e-6)


def test_the_same_surroundings_are_captured_once(put, monkeypatch):
    captured = []
    original = cr.train.training_step.capture
    monkeypatch.setattr(
        cr.train.training_step, "capture", lambda *a: captured.append(1) or original(*a)
    )
    put(1.0)
    evaluator = cr.Evaluator(Scaled(lambda: float(os.environ["CR_TEST_SCALE"])), nn.MSELoss())
    for value in (1.0, 1.0, 2.0, 2.0, 1.0):
        put(value)
        evaluator.predict(X)
    assert len(captured) == 2


CLOCKS = {
    "time.time": lambda: time.time(),
    "time.monotonic": lambda: time.monotonic(),
    "perf_counter": lambda: perf_counter(),
    "datetime.now": lambda: float(datetime.datetime.now().second),
    "datetime.today": lambda: float(datetime.date.today().day),
    "os.urandom": lambda: float(os.urandom(1)[0]),
    "uuid.uuid4": lambda: float(uuid.uuid4().int % 7),
}


@pytest.mark.parametrize("name", CLOCKS)
def test_a_clock_is_reported(name):
    model = Scaled(CLOCKS[name])
    evaluator = cr.Evaluator(model, nn.MSELoss())
    with pytest.warns(RuntimeWarning, match=rf"^{name} was called.*Pass it as an argument"):
        evaluator.predict(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluator.predict(X)
    compiled = cr.compile(lambda x: model(x))
    with pytest.warns(RuntimeWarning, match=rf"{name} was called"):
        compiled(X)


UNSEEDED = {
    "numpy": lambda: float(np.random.default_rng().random()),
    "old numpy": lambda: float(np.random.RandomState().rand()),
    "python": lambda: random.Random().random(),
    "nested": lambda: (lambda: np.random.default_rng())().random(),
}
SEEDED = lambda: float(np.random.default_rng(1).random())  # noqa: E731 - its code is looked at


@pytest.mark.parametrize("name", UNSEEDED)
def test_an_unseeded_generator_is_reported(name):
    with pytest.warns(RuntimeWarning, match=r"^a generator of random numbers without a seed was"):
        cr.Evaluator(Scaled(UNSEEDED[name]), nn.MSELoss()).predict(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cr.Evaluator(Scaled(SEEDED), nn.MSELoss()).predict(X)


def counted():
    number = 0.0
    while True:
        number += 1
        yield number


def flattened():
    yield from ([1.0], [2.0])


class Countdown:
    """An iterator that does not like to be asked for attributes."""

    def __init__(self, start):
        self.left = start

    def __iter__(self):
        return self

    def __next__(self):
        self.left -= 1
        return self.left

    def __getattr__(self, name):
        raise RuntimeError(f"there is no {name}")


ITERATORS = {
    "list": lambda: iter([1.0, 2.0, 3.0]),
    "range": lambda: iter(range(1, 4)),
    "count": lambda: itertools.count(1),
    "cycle": lambda: itertools.cycle([1.0, 2.0]),
    "chain": lambda: itertools.chain([1.0], [2.0, 3.0]),
    "zip": lambda: map(sum, zip([1.0, 2.0], [3.0, 4.0], strict=True)),
    "enumerate": lambda: (i + x for i, x in enumerate([1.0, 2.0, 3.0])),
    "generator": counted,
    "yield from": lambda: (x for part in flattened() for x in part),
    "class": lambda: map(float, Countdown(9)),
    "batches": lambda: (x.sum() for x, _ in cr.data.batches(X, X, 2)),
    "loader": lambda: map(np.sum, iter(cr.data.DataLoader(X, batch_size=2))),
}


class Steps:
    """An object whose method is compiled."""

    def __init__(self, made):
        self.made = made
        self.step = cr.compile(self._step)

    def _step(self, x):
        return x * float(next(self.made))


@pytest.mark.parametrize("name", ITERATORS)
@pytest.mark.parametrize("before", [0, 1])
def test_an_iterator_that_a_captured_function_advances(name, before):
    made = ITERATORS[name]()
    for _ in range(before):
        next(made)
    remedy = r"advances the iterator made.*pass what it gives as an argument"
    with pytest.raises(cr.SymbolicError, match=remedy):
        Steps(made).step(X) if before else cr.compile(lambda x: x * float(next(made)))(X)
    if before == 0:
        with pytest.warns(RuntimeWarning, match=r"the iterator .* was advanced"):
            cr.Evaluator(Scaled(lambda: float(next(made))), nn.MSELoss()).predict(X)


@pytest.mark.parametrize("replacement", [False, True])
def test_an_order_that_is_drawn_within_a_capture(replacement):
    sampler = cr.data.RandomSampler(X, replacement=replacement)
    loader = cr.data.DataLoader(cr.data.TensorDataset(X), batch_size=2, sampler=sampler)

    @cr.compile
    def epoch():
        return sum(x.sum() for (x,) in loader)

    with pytest.raises(cr.SymbolicError, match=r"order of rows .* as an argument"):
        epoch()


def test_an_iterator_that_is_advanced_outside_or_not_at_all(tmp_path):
    made, batches = counted(), cr.data.batches(X, X, 2)

    @cr.compile
    def step(x):
        log.write("captured ")
        return x.sum() * (made is not None) * len([1 for _ in batches])

    with open(tmp_path / "log", "w") as log:
        for number in range(4):
            assert step(X).item() == 16.0
            next(made)
            assert log.tell() == 9, number  # captured once


def test_a_mock_is_no_iterator():
    mock = unittest.mock.MagicMock()

    @cr.compile
    def step(x):
        mock(1)
        return x * 2

    np.testing.assert_array_equal(step(X).numpy(), 2 * X)
    step(X)
    mock.assert_called_once_with(1)


def test_names_that_only_look_like_a_clock_are_not():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.time, self.now = 3, 2.0

        def forward(self, x):
            for _ in range(self.time):
                x = x * self.now
            return x

    np.testing.assert_allclose(cr.Evaluator(Recurrent(), nn.MSELoss()).predict(X), 8 * X)
