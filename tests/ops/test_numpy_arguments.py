"""Arguments and inputs that people give as they know them from NumPy and PyTorch."""

import numpy as np
import pytest
from native_calls import run_native

import chainrule as cr
from chainrule.testing import check_gradient

X = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])
MISSING = float("nan")

OF_FLOATS = [
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "sqrt",
    "cbrt",
    "sin",
    "cos",
    "tan",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "arcsinh",
]


@pytest.mark.parametrize("name", OF_FLOATS)
@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "bool"])
def test_functions_of_floats_take_integers_as_float32(name, dtype):
    x = np.array([0, 1, 3], dtype)
    with np.errstate(divide="ignore"):
        expected = getattr(np, name)(x.astype(np.float32))
        given = [getattr(cr, name)(x), getattr(cr.tensor(x), name)()]
        (native,) = run_native(getattr(cr, name), x)
    for found in [*(t.numpy() for t in given), native]:
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_functions_of_floats_take_python_integers():
    assert cr.sqrt(4).item() == 2 and cr.sqrt(4).dtype == np.float32
    assert cr.exp(True).item() == pytest.approx(np.e)
    assert cr.sqrt(cr.arange(5)).sum().item() == pytest.approx(np.sqrt(np.arange(5)).sum())
    assert cr.logsumexp(cr.tensor([0, 1])).item() == pytest.approx(np.logaddexp(0, 1))


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3, 2)])
def test_an_index_of_all_axes_keeps_them(name, shape):
    x = np.random.default_rng(0).standard_normal(shape)
    expected = getattr(np, name)(x, keepdims=True)
    for found in (
        getattr(cr, name)(cr.tensor(x), keepdims=True),
        getattr(cr.tensor(x), name)(keepdim=True),
    ):
        np.testing.assert_array_equal(found.numpy(), expected, strict=True)
    (native,) = run_native(lambda t: getattr(cr, name)(t, keepdims=True), x)
    np.testing.assert_array_equal(native, expected, strict=True)


@pytest.mark.parametrize("values", [0.5, 2, np.array([1.0, -1.0, 0.0])])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_the_step_function_has_a_value_at_0(values, dtype):
    x = X.astype(dtype)
    expected = np.heaviside(x, values)
    np.testing.assert_array_equal(cr.heaviside(x, values).numpy(), expected)
    np.testing.assert_array_equal(np.heaviside(cr.tensor(x), values).numpy(), expected)
    (native,) = run_native(lambda t: cr.heaviside(t, values), x)
    np.testing.assert_array_equal(native, expected)
    assert np.isnan(cr.heaviside(cr.tensor(MISSING), values).numpy()).all()


def test_a_value_at_0_has_a_gradient():
    check_gradient(lambda x, v: cr.heaviside(x, v), X + 0.1, np.array([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("name", ["fmax", "fmin"])
def test_python_numbers_have_no_width(name):
    function = getattr(cr, name)
    assert function(cr.tensor(np.array([1, 5], "int8")), 3).dtype == np.int8
    assert function(cr.tensor(np.array([1.0, MISSING], "float32")), 3).tolist() in (
        [3.0, 3.0],
        [1.0, 3.0],
    )
    assert function(2.5, cr.tensor(np.array([1, 5]))).dtype == np.float32


def test_where_alone_gives_indices():
    for found, expected in zip(cr.where(X > 0), np.where(X > 0), strict=True):
        np.testing.assert_array_equal(found.numpy(), expected)
    with pytest.raises(TypeError, match="both of a and b"):
        cr.where(X > 0, 1.0)


def test_sorting_takes_the_name_of_an_algorithm():
    for name in ("sort", "argsort"):
        expected = getattr(np, name)(X, kind="stable")
        for kind in ("stable", "quicksort", None):
            found = getattr(cr, name)(X, kind=kind)
            np.testing.assert_array_equal(found.numpy(), expected)
    assert cr.tensor(X).argsort(kind="stable").tolist() == np.argsort(X).tolist()


def test_unique_counts_missing_numbers_apart():
    x = np.array([MISSING, 1.0, MISSING])
    for equal_nan in (True, False):
        expected = np.unique(x, return_counts=True, equal_nan=equal_nan)
        for found in (
            cr.unique(x, return_counts=True, equal_nan=equal_nan),
            cr.tensor(x).unique(return_counts=True, equal_nan=equal_nan, sorted=True),
        ):
            for f, e in zip(found, expected, strict=True):
                np.testing.assert_array_equal(f.numpy(), e)


def test_places_in_what_an_order_sorts():
    a, v = np.array([3.0, 1.0, 2.0, 2.0]), np.array([[2.0, 0.0], [9.0, 1.5]])
    order = np.argsort(a)
    for side in ("left", "right"):
        expected = np.searchsorted(a, v, side, order)
        found = cr.searchsorted(a, v, side, order)
        np.testing.assert_array_equal(found.numpy(), expected)
        method = cr.tensor(a).searchsorted(v, side, cr.tensor(order))
        np.testing.assert_array_equal(method.numpy(), expected)
    right = np.searchsorted(np.sort(a), v, "right")
    np.testing.assert_array_equal(cr.searchsorted(np.sort(a), v, right=True).numpy(), right)
    with pytest.raises(ValueError, match="contradict"):
        cr.searchsorted(np.sort(a), v, side="left", right=True)


def test_einsum_takes_how_to_optimize():
    for optimize in (True, False, "greedy", "optimal"):
        found = cr.einsum("ij,kj->ik", X, X, optimize=optimize)
        np.testing.assert_allclose(found.numpy(), X @ X.T)
        of_numpy = np.einsum("ij,kj->ik", cr.tensor(X), X, optimize=optimize)
        np.testing.assert_allclose(of_numpy.numpy(), X @ X.T)


def test_joining_takes_a_dtype():
    ints = np.arange(6).reshape(2, 3)
    for name in ("concatenate", "stack"):
        expected = getattr(np, name)([X, ints], axis=1, dtype="float32")
        found = getattr(cr, name)([cr.tensor(X), ints], axis=1, dtype="float32")
        np.testing.assert_array_equal(found.numpy(), expected, strict=True)


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("axis", [0, -1])
def test_differences_with_what_stands_before_and_behind(n, axis):
    before = np.ones((1, 3) if axis == 0 else (2, 2))
    for edges in ({"prepend": 0.5}, {"append": before}, {"prepend": before, "append": 2}):
        expected = np.diff(X, n, axis, **edges)
        np.testing.assert_array_equal(cr.diff(X, n, axis, **edges).numpy(), expected)
        method = cr.tensor(X).diff(n, axis, **edges).numpy()
        np.testing.assert_array_equal(method, expected)
        (native,) = run_native(lambda x, edges=edges: cr.diff(x, n, axis, **edges), X)
        np.testing.assert_allclose(native, expected)
    check_gradient(lambda x, b: cr.diff(x, n, axis, prepend=b), X, before)


@pytest.mark.parametrize(
    "name", ["sum", "mean", "prod", "max", "std", "any", "cumsum", "concatenate"]
)
def test_what_no_function_takes_is_refused_with_the_remedy(name):
    function = getattr(cr, name)
    with pytest.raises(TypeError, match="has no argument 'out': the result is a new Tensor"):
        function(cr.tensor(X), out=np.zeros(3))
    with pytest.raises(TypeError, match="has no argument 'where': leave elements out before"):
        function(cr.tensor(X), where=X > 0)
    with pytest.raises(TypeError, match="has no argument 'initial': put it together"):
        function(cr.tensor(X), initial=1.0)


@pytest.mark.parametrize("mode", ["wrap", "clip"])
def test_indices_out_of_range_are_wrapped_or_clipped(mode):
    x = np.arange(300.0).reshape(2, 150)
    for dtype, axis in (("int64", None), ("int64", 1), ("int8", 1), ("uint8", 0)):
        at = np.array([[0, -7, 120], [5, -128, 1]]).astype(dtype)
        expected = np.take(x, at, axis, mode=mode)
        np.testing.assert_array_equal(cr.take(x, at, axis, mode), expected)
        np.testing.assert_array_equal(cr.tensor(x).take(at, axis, mode=mode), expected)
        (native,) = run_native(lambda x, i, axis=axis: x.take(i, axis, mode), x, at)
        np.testing.assert_array_equal(native, expected)
    with pytest.raises(ValueError, match="'raise', 'wrap' or 'clip', not 'other'"):
        cr.take(x, [0], mode="other")
    with pytest.raises(IndexError):
        cr.take(x, [300])


def test_spreads_take_a_floating_dtype():
    x = np.array([1, 2, 4])
    for name in ("mean", "var", "std"):
        expected = getattr(np, name)(x, dtype="float64")
        for found in (
            getattr(cr, name)(x, dtype="float64"),
            getattr(cr.tensor(x), name)(dtype=float),
        ):
            assert found.dtype == np.float64
            assert found.item() == pytest.approx(expected, rel=1e-15)
        for dtype in (int, "int8", "bool"):
            with pytest.raises(
                cr.DTypeError, match=rf"{name}: the dtype is floating, not .*astype"
            ):
                getattr(cr, name)(x, dtype=dtype)


def test_python_numbers_keep_their_digits_in_the_dtype_asked_for():
    for found in (
        cr.sum([0.1], dtype="float64"),
        cr.mean([0.1], dtype="float64"),
        cr.prod([0.1], dtype="float64"),
        cr.cumsum([0.1], dtype="float64"),
        cr.cumprod([0.1], dtype="float64"),
        cr.astype(0.1, "float64"),
        cr.stack([0.1], dtype="float64"),
        cr.concatenate([[0.1], [2]], dtype="float64")[0],
        cr.float_power(0.1, cr.tensor([1])),
        cr.float_power(cr.tensor([1.0]) * 0 + 1, 0.1) * 0.1,
    ):
        assert (found.dtype, found.item()) == (np.float64, 0.1)
    assert cr.sum([300], dtype="uint8").item() == np.sum([300], dtype="uint8")  # as NumPy wraps


def test_equal_arrays_with_missing_numbers():
    for x in ([1.0, MISSING], [1, 2]):
        assert cr.array_equal(x, x, equal_nan=True).item()
        assert cr.array_equal(x, x).item() == np.array_equal(x, x)
        assert not cr.array_equal(x, [1.0, 3.0], equal_nan=True).item()
    assert cr.array_equal(np.array([0.1]), [0.1]).item()


@pytest.mark.parametrize("x", [5, 0, 2.5])
def test_orders_and_places_of_a_number(x):
    np.testing.assert_array_equal(cr.argsort(x), np.argsort(np.array(x)))
    assert cr.argwhere(x).shape == np.argwhere(x).shape
    assert cr.argwhere(x).dtype == np.int64


def test_a_cast_takes_copy():
    assert cr.tensor([1.5]).astype("int64", copy=False).tolist() == [1]
