"""Sums of many terms against exact ones: every reduction, axis and layout, eager and native."""

import functools
import math

import numpy as np
import pytest
from native_calls import native

import chainrule as cr
from chainrule.ops.index import scatter_add

ROWS = 400_000
TOLERANCE = {"float32": 3e-7, "float64": 2e-13}
LAYOUTS = {
    "rows": lambda x: x,
    "Fortran": np.asfortranarray,
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "every other row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "reversed": lambda x: x[::-1].copy()[::-1],
}


@functools.cache
def table(dtype, shape=(ROWS, 3)):
    """Numbers near 0.1, whose sums in float32 lose digits when added one after another."""
    random = np.random.default_rng(0)
    made = (0.1 + 0.001 * random.standard_normal(shape)).astype(dtype)
    made.flags.writeable = False
    return made


@functools.cache
def exact_of_table(dtype, axis):
    return exact(table(dtype), axis)


def exact(x, axis):
    """The sums along one axis, or all, without rounding before the end."""
    if axis is None:
        return np.array(math.fsum(x.ravel().tolist()))
    lines = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])
    sums = [math.fsum(line.tolist()) for line in lines]
    return np.reshape(sums, np.delete(x.shape, axis))


def assert_right(result, expected, dtype):
    assert np.asarray(result).dtype == dtype
    np.testing.assert_allclose(result, expected, rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("axis", [0, 1, None])
def test_every_layout(dtype, layout, axis):
    x = table(dtype)
    t = cr.as_tensor(LAYOUTS[layout](x))
    total = exact_of_table(dtype, axis)
    assert_right(t.sum(axis), total, dtype)
    assert_right(t.mean(axis), total * total.size / x.size, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 2), (1, 2), (0, 1), (0, 1, 2)])
def test_several_axes(dtype, axes):
    x = table(dtype, (600, 700, 2))
    moved = np.moveaxis(x, axes, range(len(axes)))
    total = exact(moved.reshape(math.prod(x.shape[a] for a in axes), -1), 0)
    for result in (cr.as_tensor(x).sum(axes), native(lambda t: t.sum(axes), x)):
        assert_right(np.asarray(result).ravel(), total, dtype)


FUNCTIONS = {
    "sum": (lambda x: x.sum(0), lambda x: exact(x, 0)),
    "mean": (lambda x: x.mean(0), lambda x: exact(x, 0) / len(x)),
    "var": (
        lambda x: x.var(0) + 1.0,
        lambda x: exact((x.astype(float) - exact(x, 0) / len(x)) ** 2, 0) / len(x) + 1,
    ),
    "logsumexp": (
        lambda x: cr.logsumexp(x, 0),
        lambda x: np.log(exact(np.exp(x.astype(float)), 0)),
    ),
    "softmax": (
        lambda x: cr.softmax(x, 0)[0],
        lambda x: np.exp(x[0].astype(float)) / exact(np.exp(x.astype(float)), 0),
    ),
    "log_softmax": (
        lambda x: cr.log_softmax(x, 0)[0],
        lambda x: x[0] - np.log(exact(np.exp(x.astype(float)), 0)),
    ),
    "norm": (
        lambda x: cr.sqrt((x * x).sum(0)),
        lambda x: np.sqrt(exact(x.astype(float) ** 2, 0)),
    ),
    "gradient of a broadcast": (
        lambda x: cr.grad((x * cr.ones_like(x[:1]).broadcast_to(x.shape)).sum(), x)[0],
        lambda x: np.ones(x.shape[1]),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_long_columns(dtype, name):
    function, expected = FUNCTIONS[name]
    x = table(dtype)
    scale = 2 if name == "softmax" else 1
    wanted = expected(x)
    for result in (
        function(cr.tensor(x, requires_grad=name.startswith("gradient"))),
        native(function, x) if not name.startswith("gradient") else wanted.astype(dtype),
    ):
        np.testing.assert_allclose(result, wanted, rtol=scale * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_a_bias(dtype):
    x = table(dtype)
    b = cr.Parameter(np.zeros(3), dtype)
    assert_right(cr.grad(((b + x) * x).sum(), b), exact(x, 0), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_many_terms_and_equal_indices(dtype):
    x = table(dtype)[:, 0]
    several = [cr.tensor(x[i : i + 1]) for i in range(3000)]
    assert_right(cr.add_n(*several), [exact(x[:3000], None)], dtype)
    for rows in (ROWS, 20_000):
        indices = cr.as_tensor(np.zeros(rows, np.int64))

        def total(x, indices=indices):
            return scatter_add.apply(x, indices, shape=(2,), axis=0)

        wanted = [exact(x[:rows], None), 0]
        assert_right(total(cr.as_tensor(x[:rows])), wanted, dtype)
        assert_right(native(total, x[:rows]), wanted, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("flags", [(False, False), (True, False), (False, True), (True, True)])
def test_products_over_many_rows(dtype, flags):
    x = np.full((3, 3_000_000), 0.1, dtype)
    y = np.full((3_000_000, 2), 0.1, dtype)
    a = cr.as_tensor(np.ascontiguousarray(x.T) if flags[0] else x)
    b = cr.as_tensor(np.ascontiguousarray(y.T) if flags[1] else y)
    product = cr.matmul(a.T if flags[0] else a, b, transpose_b=flags[1])
    expected = np.full((3, 2), 3e6 * float(x[0, 0]) ** 2)
    np.testing.assert_allclose(product, expected, rtol=3e-5 if dtype == "float32" else 1e-12)
