"""Random graphs: the native plan beside the reference interpreter."""

import functools

import numpy as np
import pytest
from plans import run_both

import chainrule as cr
from chainrule import _core

UNARY = [
    cr.tanh,
    cr.sigmoid,
    cr.relu,
    cr.sin,
    cr.softplus,
    cr.erf,
    cr.normal_cdf,
    cr.sign,
    cr.heaviside,
    cr.stop_gradient,
    lambda x: -x,
    lambda x: x * 0.5,
    lambda x: 1.0 - x,
    lambda x: cr.exp(-cr.abs(x)),
    lambda x: cr.sqrt(cr.abs(x) + 1.0),
    lambda x: (x > 0.1).astype(x.dtype),
]
BINARY = [
    cr.add,
    cr.subtract,
    cr.multiply,
    cr.maximum,
    cr.minimum,
    lambda a, b: a / (cr.abs(b) + 1.0),
    lambda a, b: cr.where(a > b, a, b * 0.3),
]
LARGEST = 40_000


class RandomStep:
    """A step of random operations over a few states, the same at every call."""

    def __init__(self, seed):
        random = np.random.default_rng(seed)
        self.lengths = random.choice([1, 2, 3, 4, 6, 16, 40], 3)
        shapes = [self.shape(random) for _ in range(3)]
        count = int(random.integers(2, 8))
        self.states = [
            cr.Buffer(random.standard_normal(shapes[int(random.integers(3))]), name=f"s{i}")
            for i in range(count)
        ]
        self.constant = cr.tensor(random.standard_normal(shapes[0]), dtype="float64")
        self.operations = int(random.integers(3, 70))
        self.seed = int(random.integers(1 << 31))

    def shape(self, random):
        return tuple(int(n) for n in random.choice(self.lengths, random.integers(0, 4)))

    def __call__(self):
        self.random = np.random.default_rng(self.seed)
        self.values = [*(state.node() for state in self.states), self.constant]
        for _ in range(self.operations):
            value = self.operation(self.pick())
            if value is not None and value.size < LARGEST:
                self.values.append(value)
        for i in self.random.permutation(len(self.states)):  # updates, in any order
            state = self.states[i]
            like = self.like(state)
            if like is not None and self.random.integers(2):
                state.assign(state - 0.1 * like if self.random.integers(2) else like)
        return [self.pick() for _ in range(int(self.random.integers(5)))]

    def pick(self):
        recent = self.values[-6:] if self.random.integers(2) else self.values
        return recent[int(self.random.integers(len(recent)))]

    def like(self, state):
        """A value of as many elements as a state, in the state's shape."""
        fitting = [value for value in self.values if value.size == state.size]
        if not fitting:
            return None
        return fitting[int(self.random.integers(len(fitting)))].reshape(state.shape)

    def operation(self, x):
        kinds = [
            self.unary,
            self.binary,
            self.binary,
            self.reduction,
            self.moved,
            self.product,
            self.joined,
            self.assignment,
        ]
        return kinds[int(self.random.integers(len(kinds)))](x)

    def unary(self, x):
        return UNARY[int(self.random.integers(len(UNARY)))](x)

    def binary(self, x):
        y = self.pick()
        if y.size == x.size:
            y = y.reshape(x.shape)
        elif y.shape != x.shape[x.ndim - y.ndim :]:
            y = y.sum()
        return BINARY[int(self.random.integers(len(BINARY)))](x, y)

    def reduction(self, x):
        if not x.ndim:
            return None
        axes = tuple(int(a) for a in np.flatnonzero(self.random.random(x.ndim) < 0.6)) or None
        reduce = [x.sum, x.max, x.mean, x.min][int(self.random.integers(4))]
        return reduce(axis=axes, keepdims=bool(self.random.integers(2)))

    def moved(self, x):
        kind = int(self.random.integers(4))
        if kind == 0:
            return x.reshape(-1) if self.random.integers(2) else x.reshape((1, *x.shape))
        if kind == 1 and x.ndim > 1:
            return x.transpose(tuple(int(a) for a in self.random.permutation(x.ndim)))
        if kind == 2 and x.size:
            return x[tuple(self.index(length) for length in x.shape)]
        repeats = int(self.random.choice(self.lengths))
        if x.ndim < 4 and repeats * x.size < LARGEST:
            return x.broadcast_to((repeats, *x.shape))
        return None

    def index(self, length):
        """An index of one axis: all of it, one place, or a slice."""
        kind = int(self.random.integers(4))
        if kind < 2:
            return slice(None)
        if kind == 2:
            return int(self.random.integers(length))
        begin, step = int(self.random.integers((length + 1) // 2)), int(self.random.integers(1, 4))
        return slice(begin, None, step) if self.random.integers(3) else slice(None, None, -step)

    def product(self, x):
        if x.ndim > 2 and x.shape[-1]:  # elements that do not lie side by side
            x = x[..., int(self.random.integers(x.shape[-1]))]
        if x.ndim < 2:
            return None
        a = x.reshape((-1, x.shape[-1]))
        b = [v for v in self.values if v.ndim == 2 and v.shape[0] == a.shape[1]] or [a.T]
        product = a @ b[int(self.random.integers(len(b)))] * 0.1
        return cr.tanh(product) if self.random.integers(2) else product

    def joined(self, x):
        kind = int(self.random.integers(3))
        if kind == 0 and x.ndim:
            return cr.softmax(x, -1 if self.random.integers(2) else 0)
        if kind == 1 and x.ndim:
            return cr.concatenate([x, x * 2.0], int(self.random.integers(x.ndim)))
        return cr.add_n(x, x * 0.1, cr.tanh(x), x)

    def assignment(self, x):
        state = self.states[int(self.random.integers(len(self.states)))]
        like = self.like(state)
        if like is not None:
            state.assign(like)
        return state.node()


def compare(first):
    """The graphs of 100 seeds."""
    compared = 0
    for seed in range(first, first + 100):
        step = RandomStep(seed)
        reference, native = run_both(step, step.states)
        expected = [array for arrays in reference for array in arrays]
        if any(not np.isfinite(a).all() or np.abs(a).max(initial=0) > 1e8 for a in expected):
            continue
        for a, b in zip([a for arrays in native for a in arrays], expected, strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7, err_msg=f"seed {seed}")
        compared += 1
    assert compared > 80


@pytest.mark.parametrize("first", range(0, 1000, 100))
def test_random_graphs(first):
    compare(first)


@pytest.mark.parametrize("instruction_set", _core.instruction_sets()[:-1])
def test_random_graphs_of_older_processors(monkeypatch, instruction_set):
    plan = functools.partial(_core.Plan, instruction_set=instruction_set)
    monkeypatch.setattr(_core, "Plan", plan)
    compare(1000)
