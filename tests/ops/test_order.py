"""Sorted elements, the largest, distinct ones, places in a sorted Tensor: NumPy and PyTorch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_calls import run_native

import chainrule as cr
from chainrule.compiler.elementwise import UnsupportedError
from chainrule.testing import check_gradient

torch = pytest.importorskip("torch")

RANDOM = np.random.default_rng(2)
SHAPES = [(7,), (3, 5), (2, 3, 4), (0, 3), (3, 0)]
DTYPES = [np.float32, np.float64, np.int64, np.bool_]


def drawn(shape, dtype=np.float64):
    """Small whole numbers, so that many are equal."""
    return RANDOM.integers(-2, 3, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", [0, -1, None])
def test_sort_and_argsort(shape, axis, dtype):
    x = drawn(shape, dtype)
    for name in ("sort", "argsort"):
        expected = getattr(np, name)(x, axis, kind="stable")
        found = getattr(cr, name)(cr.tensor(x), axis)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found.numpy(), expected)
    if axis is not None:
        theirs = torch.sort(torch.tensor(x), dim=axis, descending=True, stable=True)
        np.testing.assert_array_equal(cr.sort(x, axis, descending=True).numpy(), theirs.values)
        found = cr.tensor(x).argsort(axis, descending=True, stable=True)
        np.testing.assert_array_equal(found.numpy(), theirs.indices)


def test_not_a_number_is_the_largest():
    x = np.array([2.0, np.nan, -np.inf, np.inf, np.nan])
    np.testing.assert_array_equal(cr.argsort(x).numpy(), np.argsort(x, kind="stable"))
    theirs = torch.sort(torch.tensor(x), descending=True, stable=True).indices
    np.testing.assert_array_equal(cr.argsort(x, descending=True).numpy(), theirs)


@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4)])
@pytest.mark.parametrize("largest", [True, False])
def test_topk_and_its_gradient_are_pytorchs(shape, largest):
    x = RANDOM.permutation(np.arange(float(np.prod(shape)))).reshape(shape)
    for axis in range(len(shape)):
        for k in range(shape[axis] + 1):
            a = torch.tensor(x, requires_grad=True)
            theirs = torch.topk(a, k, axis, largest)
            b = cr.tensor(x, requires_grad=True)
            values, indices = b.topk(k, dim=axis, largest=largest)
            np.testing.assert_array_equal(values.numpy(), theirs.values.detach())
            np.testing.assert_array_equal(indices.numpy(), theirs.indices)
            g = RANDOM.standard_normal(values.shape)
            theirs.values.backward(torch.tensor(g))
            values.backward(g)
            np.testing.assert_array_equal(b.grad.numpy(), a.grad)
    for k in (-1, shape[-1] + 1):
        with pytest.raises(cr.ShapeError, match="are not there"):
            cr.topk(x, k)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dtype", [*DTYPES, "uint8"])
def test_topk_of_long_lines_is_the_stable_order(dtype, largest):
    kinds = [RANDOM.integers(0, high, (3, 400)).astype(dtype) for high in (2, 30, 10_000)]
    if np.dtype(dtype).kind == "f":
        for share in (0.01, 0.9, 1.0):
            x = RANDOM.standard_normal((3, 400)).astype(dtype)
            x[RANDOM.random((3, 400)) < share] = np.nan
            kinds.append(x)
        kinds.append(RANDOM.choice(np.array([0.0, -0.0, np.inf, -np.inf], dtype), (3, 400)))
    for x in kinds:
        for k in (1, 7, 100):
            order = cr.argsort(x, 1, descending=largest).numpy()[:, :k]
            found = cr.topk(x, k, 1, largest)
            np.testing.assert_array_equal(found.indices, order)
            np.testing.assert_array_equal(found.values, np.take_along_axis(x, order, 1))
            across = cr.topk(np.ascontiguousarray(x.T), k, 0, largest).indices
            np.testing.assert_array_equal(across, order.T)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_the_largest_of_each_line_is_found_natively_as_by_pytorch(axis, dtype):
    x = RANDOM.integers(0, 9, (6, 40)).astype(dtype)
    if np.dtype(dtype).kind == "f":
        x[1, 3] = x[1, 5] = x[4, 3] = np.nan

    @cr.compile
    def largest(x):
        return cr.topk(x, 1, axis)

    values, indices = largest(x)
    order = np.argsort(-x.astype(np.float64), axis, kind="stable")  # NaN last
    first = np.where(np.isnan(x).any(axis), np.isnan(x).argmax(axis), order.take(0, axis))
    np.testing.assert_array_equal(indices.numpy(), np.expand_dims(first, axis))
    np.testing.assert_array_equal(values.numpy(), torch.tensor(x).amax(axis, keepdim=True))


@pytest.mark.parametrize("axis", [0, -1, None])
def test_gradients(axis):
    x = RANDOM.permutation(np.arange(12.0)).reshape(3, 4)
    check_gradient(lambda x: cr.sort(x, axis) ** 3, x / 4)
    check_gradient(lambda x: cr.sort(x, axis, descending=True) ** 2, x / 4)
    check_gradient(lambda x: cr.topk(x, 2).values ** 2, x / 4)
    check_gradient(lambda x: cr.unique(x) ** 2, x / 4)


def test_of_equal_elements_the_first_takes_the_gradient():
    x = cr.tensor([1.0, 2.0, 2.0, 1.0], requires_grad=True)
    assert cr.grad(cr.topk(x, 1).values.sum(), x).tolist() == [0, 1, 0, 0]
    assert cr.grad(cr.unique(x).sum(), x).tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "axis"), [((6,), None), ((3, 4), None), ((4, 2), 0), ((2, 4), -1)]
)
def test_unique(shape, axis, dtype):
    x = drawn(shape, dtype)
    expected = np.unique(x, True, True, True, axis)
    found = cr.unique(cr.tensor(x), True, True, True, axis)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours.numpy(), theirs)
    np.testing.assert_array_equal(cr.unique(x, axis=axis).numpy(), expected[0])
    values, counts = cr.unique(x, return_counts=True, axis=axis)
    np.testing.assert_array_equal(counts.numpy(), expected[3])
    np.testing.assert_array_equal(values.numpy(), expected[0])


@given(
    st.lists(st.integers(-5, 5), max_size=20),
    st.lists(st.integers(-7, 7), max_size=10),
    st.sampled_from(["left", "right"]),
    st.sampled_from([np.int64, np.float64]),
)
def test_searchsorted(a, v, side, dtype):
    a, v = np.sort(np.array(a, dtype)), np.array(v, dtype)
    found = cr.searchsorted(cr.tensor(a), cr.tensor(v), side)
    np.testing.assert_array_equal(found.numpy(), np.searchsorted(a, v, side))
    assert found.dtype == np.int64


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted_natively_and_of_no_numbers(side):
    a = np.array([-np.inf, 0.0, 1.0, 1.0, 3.0, np.inf, np.nan])
    v = np.array([[-np.inf, 0.5, 1.0], [np.nan, np.inf, 9.0]])
    expected = np.searchsorted(a, v, side)
    np.testing.assert_array_equal(cr.searchsorted(a, v, side).numpy(), expected)
    (native,) = run_native(lambda a, v: cr.searchsorted(a, v, side), a, v)
    np.testing.assert_array_equal(native, expected)
    assert cr.searchsorted(a, 0.5, side).shape == ()
    with pytest.raises(ValueError, match="'left' or 'right'"):
        cr.searchsorted(a, v, "middle")


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted_says_how_rows_are_searched(side):
    rng = np.random.default_rng(0)
    a, v = np.sort(rng.integers(0, 9, (2, 3, 7))), rng.integers(-1, 10, (2, 3, 5))
    with pytest.raises(cr.ShapeError, match="has one axis") as refused:
        cr.searchsorted(a, v, side=side)
    formula = str(refused.value).partition("rows v are ")[2]
    found = eval(formula, {"a": cr.tensor(a), "v": cr.tensor(v)})
    rows = zip(a.reshape(-1, 7), v.reshape(-1, 5), strict=True)
    expected = [np.searchsorted(*pair, side) for pair in rows]
    np.testing.assert_array_equal(found.numpy().reshape(-1, 5), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_nonzero(shape, dtype):
    x = drawn(shape, dtype)
    for ours, theirs in zip(cr.tensor(x).nonzero(), np.nonzero(x), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs)
    np.testing.assert_array_equal(cr.argwhere(x).numpy(), np.argwhere(x))
    np.testing.assert_array_equal(cr.flatnonzero(x).numpy(), np.flatnonzero(x))


def test_what_depends_on_values_is_refused_symbolically():
    x = cr.placeholder((3,))
    for function in (cr.unique, cr.nonzero, cr.argwhere, cr.flatnonzero):
        with pytest.raises(cr.SymbolicError, match="is not known while a graph is captured"):
            function(x)
    with pytest.raises(cr.ShapeError, match="at least one axis"):
        cr.nonzero(3.0)


def test_sorting_is_refused_natively_but_not_of_constants():
    with pytest.raises(
        UnsupportedError, match="argsort has no native kernel: the native core does"
    ):
        run_native(cr.sort, np.array([2.0, 1.0]))
    order = np.array([2.0, 1.0, 3.0])
    (found,) = run_native(lambda x: x[cr.argsort(order)], np.array([1.0, 2.0, 3.0]))
    assert found.tolist() == [2, 1, 3]
