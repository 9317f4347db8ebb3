"""Elements put and added at indices, beside NumPy and PyTorch; natively with indices as inputs."""

import numpy as np
import pytest
from native_calls import run_native

import chainrule as cr
from chainrule.ops.index import scatter_add
from chainrule.testing import check_gradient

torch = pytest.importorskip("torch")

RANDOM = np.random.default_rng(1)
CASES = [
    ((5,), [0, 3], 0),
    ((5,), [0, 3, 0, -2, 3], 0),  # with places named twice
    ((3, 4), [[1, 0], [-1, 2], [0, 0]], 1),
    ((3, 4), [[2, 0, -1, 1], [2, 1, 0, 1]], 0),
    ((2, 3, 4), [[[1, 1]]], 2),
    ((3, 4), [3, 11, 3], None),
    ((3, 0), np.zeros((3, 0), int), 1),
    ((3, 4), np.zeros((3, 0), int), 1),
]


def put(x, indices, values, axis):
    y = x.copy()
    np.put_along_axis(y, np.array(indices), values, axis)
    return y


def add(x, indices, values, axis):
    y = x.reshape(-1).copy() if axis is None else x.copy()
    axis = 0 if axis is None else axis
    along = [1] * y.ndim
    along[axis] = -1
    shape = np.broadcast_shapes(
        np.shape(indices), [1 if a == axis else n for a, n in enumerate(y.shape)]
    )
    places = list(np.indices(shape))
    places[axis] = np.broadcast_to(indices, shape)
    np.add.at(y, tuple(places), np.broadcast_to(values, shape))
    return y.reshape(x.shape)


def drawn(shape, dtype):
    x = RANDOM.standard_normal(shape) * 5
    return x > 0 if dtype is np.bool_ else x.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, np.bool_])
@pytest.mark.parametrize(("shape", "indices", "axis"), CASES)
def test_put_along_axis(shape, indices, axis, dtype):
    x, indices = np.abs(drawn(shape, np.float64)).astype(dtype), np.array(indices)
    values = np.abs(drawn(indices.shape, np.float64)).astype(dtype)
    expected = put(x, indices, values, axis)
    before = x.copy()
    found = cr.put_along_axis(cr.tensor(x), indices, cr.tensor(values), axis)
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found.numpy(), expected)
    np.testing.assert_array_equal(x, before)
    for arrays, call in (
        ((x, values), lambda x, v: cr.put_along_axis(x, indices, v, axis)),
        ((x, values, indices), lambda x, v, i: cr.put_along_axis(x, i, v, axis)),
    ):
        if dtype is not np.uint8:
            (native,) = run_native(call, *arrays)
            np.testing.assert_array_equal(native, expected)
        graph = cr.capture(call, *arrays)
        np.testing.assert_array_equal(graph(*arrays), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize(("shape", "indices", "axis"), CASES)
def test_add_along_axis(shape, indices, axis, dtype):
    x, indices = drawn(shape, dtype), np.array(indices)
    values = drawn(indices.shape, dtype)
    expected = add(x, indices, values, axis)
    found = cr.add_along_axis(cr.tensor(x), indices, cr.tensor(values), axis)
    assert found.dtype == x.dtype
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
    (native,) = run_native(lambda x, v, i: cr.add_along_axis(x, i, v, axis), x, values, indices)
    np.testing.assert_allclose(native, expected, rtol=1e-5)


@pytest.mark.parametrize("function", [cr.put_along_axis, cr.add_along_axis])
@pytest.mark.parametrize(("shape", "indices", "axis"), CASES)
def test_gradients_by_the_tensor_and_by_the_values(function, shape, indices, axis):
    indices = np.array(indices)
    x, values = drawn(shape, np.float64), drawn(indices.shape, np.float64)
    check_gradient(lambda x, v: function(x, indices, v, axis) ** 2, x, values)


def test_gradients_are_pytorchs():
    x, values = RANDOM.standard_normal((3, 4)), RANDOM.standard_normal((3, 2))
    index = np.array([[1, 0], [3, 2], [0, 3]])
    g = RANDOM.standard_normal((3, 4))
    for ours, theirs in ((cr.put_along_axis, "scatter"), (cr.add_along_axis, "scatter_add")):
        a, b = (torch.tensor(t, requires_grad=True) for t in (x, values))
        getattr(a, theirs)(1, torch.tensor(index), b).backward(torch.tensor(g))
        u, v = (cr.tensor(t, requires_grad=True) for t in (x, values))
        ours(u, index, v, 1).backward(g)
        np.testing.assert_array_equal(u.grad.numpy(), a.grad.numpy())
        np.testing.assert_array_equal(v.grad.numpy(), b.grad.numpy())


def test_put():
    x = np.arange(6.0).reshape(2, 3)
    for indices, values in (
        ([0, -1], [7.0, 8.0]),
        ([[1], [1]], [[3.0], [4.0]]),
        (2, 9.0),
        ([0, 4], 5),
    ):
        expected = x.copy()
        np.put(expected, indices, values)
        np.testing.assert_array_equal(cr.put(x, indices, values).numpy(), expected)
    assert cr.put(cr.tensor([1, 2]), 0, 5).dtype == np.int64


def test_what_does_not_fit_is_refused():
    x = cr.tensor([1, 2, 3])
    for function in (cr.put_along_axis, cr.add_along_axis):
        with pytest.raises(cr.DTypeError, match="float32 does not fit into int64; cast"):
            function(x, [0], [0.5], 0)
        with pytest.raises(IndexError):
            function(x, [3], [1], 0)
    with pytest.raises(cr.DTypeError, match="numbers, not booleans"):
        cr.add_along_axis(x > 1, [0], [True], 0)


ROWS = [  # the shape of x, that of the indices, the axis, how many axes are indexed
    ((5, 3), (4, 1), 0, 1),
    ((3, 5), (1, 4), 1, 1),
    ((2, 5, 3), (2, 4, 1), 1, 2),
    ((2, 3, 5, 2), (2, 1, 4, 1), 2, 3),  # an axis between two that are indexed
    ((2, 5, 3), (1, 4, 3), 1, 2),
    ((1, 5, 3), (1, 4, 1), 1, 1),
]


@pytest.mark.parametrize("backend", ["native", "reference", "eager"])
@pytest.mark.parametrize(("shape", "of_indices", "axis", "indexed"), ROWS)
def test_rows_are_put_added_and_taken_by_one_index_each(shape, of_indices, axis, indexed, backend):
    full = tuple(4 if a == axis else n for a, n in enumerate(shape))
    x, values = RANDOM.standard_normal(shape), RANDOM.standard_normal(full)
    few = RANDOM.integers(-5, 5, of_indices)
    many = np.broadcast_to(few, full).copy()

    def results(x, values, indices):
        x, values = cr.as_tensor(x), cr.as_tensor(values)
        found = (
            cr.put_along_axis(x, indices, values, axis),
            cr.add_along_axis(x, indices, values, axis),
            cr.take_along_axis(x, indices, axis) * values,
        )
        return *found, *cr.grad(sum((y * y).sum() for y in found), [x, values])

    def widened(x, values, indices):
        return results(x, values, cr.broadcast_to(indices, full))

    wanted = cr.capture(results, x, values, many)(x, values, many)
    assert np.array_equal(wanted[0], put(x, many, values, axis))
    for function in (results, widened):
        if backend == "eager":
            leaves = [cr.tensor(a, requires_grad=True) for a in (x, values)]
            found = function(*leaves, cr.tensor(few))
        else:
            found = cr.compile(function, backend=backend)(x, values, few)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
        nodes = cr.capture(function, x, values, few).nodes
        taken = {
            len(n.inputs) - 1
            for n in nodes
            if n.operation is not None and n.operation.name in ("gather", "scatter_add")
        }
        assert taken == {indexed}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("case", ["once", "a few times", "all equal", "two axes", "a number"])
def test_terms_that_share_an_index_are_added(case, dtype):
    """Against a loop; wide enough that rounds of different indices are added, as of borders."""
    draw = np.random.default_rng(0)
    shape, axis, indices = {
        "once": ((2, 9, 500), 1, [draw.permutation(9) - 9]),
        "a few times": ((2, 9, 500), 1, [np.array([[0, -9, 8], [-1, 3, 0]])]),
        "all equal": ((5, 900), 0, [np.full(200, -2)]),
        "two axes": ((3, 4, 5, 200), 1, [np.array([0, 3, -1, 1]), np.array([4, 2, 2, -5])]),
        "a number": ((3, 4, 600), 1, [np.array(2)]),
    }[case]
    places = (*shape[:axis], *indices[0].shape, *shape[axis + len(indices) :])
    g = (100 * draw.random(places)).astype(dtype)
    found = scatter_add.apply(
        cr.as_tensor(g), *map(cr.as_tensor, indices), shape=shape, axis=axis
    ).numpy()
    wanted = np.zeros(shape, dtype)
    for place in np.ndindex(indices[0].shape):
        at = tuple(int(index[place]) for index in indices)
        wanted[(slice(None),) * axis + at] += g[(slice(None),) * axis + place]
    assert found.dtype == dtype
    np.testing.assert_allclose(found, wanted, rtol=2e-5 if dtype == "float32" else 1e-12)
    with pytest.raises(IndexError):
        outside = [np.full_like(index, 9) for index in indices]
        scatter_add.apply(
            cr.as_tensor(g), *map(cr.as_tensor, outside), shape=shape, axis=axis
        ).numpy()
