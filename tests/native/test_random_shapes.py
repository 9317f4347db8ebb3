"""Random graphs of any shape and dtype: what runs eagerly runs natively, with the same result.

Shapes have lengths of 0 and 1, up to 8 axes, and stacks that are broadcast; dtypes are those of
whole numbers and truth values beside float64.
"""

import itertools

import numpy as np
import pytest
from plans import run_both

import chainrule as cr

WHOLE = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"]
REFUSED = (cr.ShapeError, cr.DTypeError, IndexError)
LARGEST = 20_000


def axis_of(x, random):
    return int(random.integers(-x.ndim, x.ndim))


def axes_of(x, random):
    return tuple(int(a) for a in np.flatnonzero(random.random(x.ndim) < 0.5))


def indices(x, length, random):
    """Indices into an axis made of the values of x, in one of the dtypes."""
    number = cr.abs(cr.tanh(x.astype("float64"))) * (0.999 * length)
    return number.astype(str(random.choice(WHOLE[1:])))


UNARY = [
    lambda x, r: -x,
    lambda x, r: cr.abs(x),
    lambda x, r: cr.sign(x),
    lambda x, r: x * x,
    lambda x, r: x + 3,
    lambda x, r: 2 - x,
    lambda x, r: x > 1,
    lambda x, r: x.astype("float64") * 0.5,
    lambda x, r: cr.tanh(x.astype("float64")),
    lambda x, r: (cr.tanh(x.astype("float64")) * 90.0 + 0.25).astype(str(r.choice(WHOLE[:5]))),
    lambda x, r: x.astype(str(r.choice(WHOLE))) if x.dtype.kind != "f" else x,
    lambda x, r: x**2 if x.dtype.kind == "f" else x**5,
    lambda x, r: x.sum(axes_of(x, r), keepdims=bool(r.integers(2))),
    lambda x, r: x.mean(axes_of(x, r)),
    lambda x, r: x.max(axes_of(x, r), keepdims=bool(r.integers(2))),
    lambda x, r: x.min(axes_of(x, r)),
    lambda x, r: x.argmax(axis_of(x, r)) if x.ndim else x,
    lambda x, r: cr.logsumexp(cr.tanh(x.astype("float64")), axes_of(x, r)),
    lambda x, r: cr.softmax(x.astype("float64"), axis_of(x, r)) if x.ndim else x,
    lambda x, r: cr.log_softmax(x.astype("float64"), axis_of(x, r)) if x.ndim else x,
    lambda x, r: x.reshape(-1),
    lambda x, r: x.reshape(x.shape[::-1]),
    lambda x, r: x.transpose(tuple(int(a) for a in r.permutation(x.ndim))),
    lambda x, r: x[(slice(None, None, -1),) * x.ndim],
    lambda x, r: x[tuple(slice(int(r.integers(3)), None) for _ in x.shape)],
    lambda x, r: x[(0,) * min(x.ndim, 2)],
    lambda x, r: x[None, ..., None] if x.ndim < 7 else x,
    lambda x, r: cr.pad(x, [(1, int(r.integers(2)))] * x.ndim, constant_values=1.0),
    lambda x, r: cr.concatenate([x, x, -x], axis_of(x, r)) if x.ndim else x,
    lambda x, r: cr.stack([x, x], axis_of(x, r)) if 0 < x.ndim < 8 else x,
    lambda x, r: cr.add_n(x, x, x),
    lambda x, r: x.broadcast_to((int(r.integers(3)), *x.shape)) if x.ndim < 8 else x,
    lambda x, r: (
        x @ cr.ones_like(x).transpose((*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))
        if x.dtype.kind == "f"
        else x
    ),
    lambda x, r: cr.one_hot(indices(x, 3, r), 3, "float64") if x.ndim < 8 else x,
    lambda x, r: x[indices(x, x.shape[0], r)[(0,) * (x.ndim - 1)]] if x.size else x,
    lambda x, r: (
        x[:, np.zeros((2, 1), str(r.choice(WHOLE[1:])))] if 1 < x.ndim < 8 and x.shape[1] else x
    ),
]
BINARY = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / (cr.abs(b.astype("float64")) + 1.0),
    lambda a, b: cr.maximum(a, b),
    lambda a, b: cr.minimum(a, b),
    lambda a, b: a < b,
    lambda a, b: a == b,
    lambda a, b: cr.where(a > b, a, b),
    lambda a, b: cr.where(a.astype("bool"), b, a),
    lambda a, b: a @ b if "f" in (a.dtype.kind, b.dtype.kind) else a + b,
    lambda a, b: cr.concatenate([a, b]),
    lambda a, b: cr.tanh(a.astype("float64") @ cr.ones_like(b)) + 1.0,
]


class RandomStep:
    """A step of random operations; those that the shapes or dtypes do not allow are left out."""

    def __init__(self, seed):
        random = np.random.default_rng(seed)
        common = [int(n) for n in random.choice([0, 1, 1, 2, 2, 3, 5], 8)]
        self.states = []
        for number in range(int(random.integers(2, 6))):
            axes = int(random.choice([0, 1, 2, 2, 3, 3, 4, 7, 8]))
            shape = [1 if random.random() < 0.4 else n for n in common[8 - axes :]]
            if axes > 4:
                shape = [min(n, 2) for n in shape]
            values = 2 * random.standard_normal(shape)
            dtype = str(random.choice(["float64", "float64", *WHOLE]))
            if dtype != "float64":
                values = np.abs(values) if dtype[0] in "bu" else values
                values = np.asarray(values).astype(dtype)
            kind = cr.Parameter if dtype == "float64" else cr.Buffer
            self.states.append(kind(values, dtype, name=f"s{number}"))
        self.operations = int(random.integers(3, 30))
        self.seed = int(random.integers(1 << 31))

    def __call__(self):
        random = np.random.default_rng(self.seed)
        values = [state.node() for state in self.states]
        for _ in range(self.operations):
            x, y = (values[int(random.integers(len(values)))] for _ in range(2))
            try:
                if random.random() < 0.1:
                    found = self.gradient(x, random)
                elif random.integers(2):
                    found = UNARY[int(random.integers(len(UNARY)))](x, random)
                else:
                    found = BINARY[int(random.integers(len(BINARY)))](x, y)
            except REFUSED:
                continue
            if found.size <= LARGEST and found.ndim <= 8:
                values.append(found)
        for state in self.states:
            like = [v for v in values if v.shape == state.shape and v.dtype == state.dtype]
            if random.integers(2):
                state.assign(like[int(random.integers(len(like)))])
        return [values[int(random.integers(len(values)))] for _ in range(6)]

    def gradient(self, x, random):
        """The gradient of a scalar made of x by one of the states."""
        state = self.states[int(random.integers(len(self.states)))]
        if x.dtype.kind != "f" or not state.requires_grad:
            return x
        return cr.tanh(cr.grad(cr.tanh(x).sum(), state))


@pytest.mark.parametrize("lengths", list(itertools.product([0, 1, 2], repeat=3)))
def test_products_of_stacks_of_any_size(lengths):
    m, k, n = lengths
    stacks = [(), (0,), (1,), (2,), (3, 1), (1, 0), (3, 2)]
    pairs = [
        (cr.Parameter(np.ones((*a, m, k))), cr.Parameter(np.full((*b, k, n), 2.0)))
        for a, b in itertools.product(stacks, stacks)
    ]

    def products():
        found = []
        for a, b in pairs:
            try:
                found.append(a @ b)
            except cr.ShapeError:
                continue
            found += cr.grad(found[-1].sum(), [a, b])
        return found

    reference, native = run_both(products, [state for pair in pairs for state in pair], steps=1)
    for a, b in zip(native[0], reference[0], strict=True):
        assert a.shape == b.shape
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shapes", [((0, 1, 65), (1, 65, 65)), ((1, 0, 1, 65), (1, 65, 65))])
@pytest.mark.parametrize("operation", [cr.maximum, cr.multiply])
def test_sums_of_no_rows_beside_what_they_are_of(shapes, operation):
    def gradients(x, w):
        return cr.grad((operation(x, w) * x).sum(), [x, w])

    found = cr.compile(gradients)(*[np.ones(shape, np.float32) for shape in shapes])
    assert [(g.shape, np.count_nonzero(g.numpy())) for g in found] == [(s, 0) for s in shapes]


@pytest.mark.parametrize("first", range(0, 1500, 150))
def test_random_shapes(first):
    compared = 0
    for seed in range(first, first + 150):
        step = RandomStep(seed)
        reference, native = run_both(step, step.states)
        expected = [a for arrays in reference for a in arrays]
        floats = [a for a in expected if a.dtype.kind == "f"]
        if any(np.abs(a).max(initial=0) > 1e9 or np.isnan(a).any() for a in floats):
            continue
        for a, b in zip([a for arrays in native for a in arrays], expected, strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype), f"seed {seed}"
            rtol = 1e-5 if a.dtype == np.float32 else 1e-9
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol / 10, err_msg=f"seed {seed}")
        compared += 1
    assert compared > 120
