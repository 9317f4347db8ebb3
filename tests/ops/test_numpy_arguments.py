"""Arguments and inputs that people give as they know them from NumPy and PyTorch."""

import pickle

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
@pytest.mark.parametrize(
    ("shape", "axis"), [((), None), ((), 0), ((), -1), ((4,), None), ((2, 3, 2), None)]
)
def test_an_index_of_all_axes_keeps_them(name, shape, axis):
    x = np.random.default_rng(0).standard_normal(shape)
    expected = getattr(np, name)(x, axis, keepdims=True)
    for found in (
        getattr(cr, name)(cr.tensor(x), axis, keepdims=True),
        getattr(cr.tensor(x), name)(axis, keepdim=True),
    ):
        np.testing.assert_array_equal(found.numpy(), expected, strict=True)
    (native,) = run_native(lambda t: getattr(cr, name)(t, axis, keepdims=True), x)
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


@pytest.mark.parametrize("name", ["exp", "square", "floor", "isnan", "sinc", "fliplr", "nonzero"])
def test_functions_of_one_number_refuse_the_rest_by_their_name(name):
    function, x = getattr(cr, name), cr.tensor(X)
    for found in (function(input=x), function(a=x), function(x, out=None, where=True)):
        np.testing.assert_array_equal(np.asarray(found), np.asarray(function(x)))
    with pytest.raises(TypeError, match=rf"^{name} has no argument 'out': .*, as in y = {name}"):
        function(x, out=x)
    with pytest.raises(TypeError, match=f"^{name} has no argument 'where': leave elements out"):
        function(x, where=X > 0)
    with pytest.raises(TypeError, match=rf"^{name} takes at most 1 in order \(x\), got 2"):
        function(x, x)
    with pytest.raises(TypeError, match=rf"^{name}\(\) got an unexpected .* 'y'; it takes x$"):
        function(x, y=x)
    with pytest.raises(TypeError, match=rf"^{name}\(\) missing"):
        function()


@pytest.mark.parametrize(
    "name", ["add", "equal", "divide", "power", "fmax", "floor_divide", "matmul"]
)
def test_functions_of_two_numbers_refuse_the_rest_by_their_name(name):
    function, a, b = getattr(cr, name), cr.tensor(X), cr.tensor([[2.0], [1.0], [3.0]])
    if name != "matmul":
        b = b[:2]
    expected = function(a, b).numpy()
    for found in (function(input=a, other=b), function(a, x2=b), function(a, b, dtype=None)):
        np.testing.assert_array_equal(found.numpy(), expected)
    with pytest.raises(TypeError, match=f"^{name} has no argument 'dtype': cast before or after"):
        function(a, b, dtype="float64")
    with pytest.raises(TypeError, match=rf"^{name} takes at most 2 in order \(a, b\), got 3"):
        function(a, b, a)
    with pytest.raises(TypeError, match=rf"^{name}\(\) missing .*b"):
        function(a)


def test_two_numbers_under_the_names_of_their_order():
    y, x = cr.tensor([1.0, -2.0]), cr.tensor([3.0, 4.0])
    np.testing.assert_array_equal(cr.atan2(input=y, other=x).numpy(), cr.atan2(y, x).numpy())
    found = cr.searchsorted(sorted_sequence=x, input=y)
    np.testing.assert_array_equal(found.numpy(), cr.searchsorted(x, y).numpy())


def test_methods_are_named_by_the_tensor():
    x = cr.tensor(X)
    for call in (lambda: x.exp(out=x), lambda: x.ravel("C", 1), lambda: x.dot()):
        with pytest.raises(TypeError, match=r"^Tensor\.\w+\(\)"):
            call()
    with pytest.raises(TypeError, match=r"^argsort takes at most 1 in order \(axis\), got 2"):
        x.argsort(0, "stable")
    assert pickle.loads(pickle.dumps(cr.Tensor.exp)) is cr.Tensor.exp


def test_shapes_and_orders_by_their_names():
    x = cr.tensor(X)
    for name in ("zeros", "ones", "empty", "rand", "randn"):
        assert getattr(cr, name)(shape=(2, 3)).shape == (2, 3)
        assert getattr(cr, name)(size=2, dtype="float64").shape == (2,)
    np.testing.assert_array_equal(cr.reshape(x, shape=(3, 2)).numpy(), X.reshape(3, 2))
    np.testing.assert_array_equal(cr.reshape(x, (3, 2), order="C").numpy(), X.reshape(3, 2))
    np.testing.assert_array_equal(cr.transpose(x, axes=(1, 0)).numpy(), X.T)
    for transposed in (cr.transpose(x, None), x.transpose(None), np.transpose(x, None)):
        np.testing.assert_array_equal(transposed.numpy(), X.T)
    for flat in (x.ravel("C"), x.flatten("C"), cr.flatten(x, order="C"), cr.ravel(x, order="C")):
        np.testing.assert_array_equal(flat.numpy(), X.ravel())
    calls = (lambda: x.ravel("F"), lambda: x.flatten("F"), lambda: x.reshape(-1, order="F"))
    for call in calls:
        with pytest.raises(ValueError, match="row-major order, 'C', not 'F'; those of"):
            call()
    np.testing.assert_array_equal(x.T.ravel().numpy(), X.ravel("F"))
    assert cr.arange(stop=3).tolist() == [0, 1, 2]
    with pytest.raises(TypeError, match="arange takes stop, or start and stop, and got neither"):
        cr.arange()


def test_dtypes_of_sums():
    x = np.array([[1, 2], [3, 4]], np.float32)
    for name in ("nansum", "trace"):
        expected = getattr(np, name)(x, dtype="float64")
        for found in (
            getattr(cr, name)(x, dtype="float64"),
            getattr(cr.tensor(x), name)(dtype="float64"),
        ):
            np.testing.assert_array_equal(found.numpy(), expected, strict=True)
    for name in ("sum", "prod", "max", "std"):
        with pytest.raises(TypeError, match=f"^{name}: keepdims is True or False, got .*dtype=..."):
            getattr(cr, name)(x, 0, np.float32)


ONE_AXIS = {
    "argmax": lambda x, axis: cr.argmax(x, axis),
    "argmin": lambda x, axis: cr.argmin(x, axis),
    "concatenate": lambda x, axis: cr.concatenate([x, x], axis),
    "cross": lambda x, axis: cr.cross(x, x, axis),
    "cumprod": lambda x, axis: cr.cumprod(x, axis),
    "cumsum": lambda x, axis: cr.cumsum(x, axis),
    "diff": lambda x, axis: cr.diff(x, axis=axis),
    "repeat": lambda x, axis: cr.repeat(x, 2, axis),
    "sort": lambda x, axis: cr.sort(x, axis),
    "split": lambda x, axis: cr.split(x, 1, axis),
    "stack": lambda x, axis: cr.stack([x, x], axis),
    "swapaxes": lambda x, axis: cr.swapaxes(x, axis, 0),
    "take": lambda x, axis: cr.take(x, [0], axis),
    "topk": lambda x, axis: cr.topk(x, 1, axis),
    "trapezoid": lambda x, axis: cr.trapezoid(x, axis=axis),
    "unstack": lambda x, axis: cr.unstack(x, axis),
    "vecdot": lambda x, axis: cr.vecdot(x, x, axis),
}


@pytest.mark.parametrize("name", ONE_AXIS)
def test_what_is_no_axis_is_refused_by_the_name_of_the_function(name):
    for axis in ((0, 1), 1.0, True, "0"):
        with pytest.raises(TypeError, match=f"^{name}: the axis is one whole number, got "):
            ONE_AXIS[name](cr.tensor(X), axis)
    with pytest.raises(cr.ShapeError, match=f"^{name}: axis 7 is out of range"):
        ONE_AXIS[name](cr.tensor(X), 7)


@pytest.mark.parametrize(
    "name",
    [
        "sum",
        "mean",
        "std",
        "var",
        "max",
        "min",
        "ptp",
        "any",
        "all",
        "count_nonzero",
        "nansum",
        "nanmean",
        "nanmax",
        "nanmin",
    ],
)
def test_reductions_name_themselves(name):
    function = getattr(cr, name)
    with pytest.raises(cr.ShapeError, match=f"^{name}: axis 7 is out of range for shape"):
        function(X, 7)
    with pytest.raises(TypeError, match=f"^{name}: the axis is a whole number, or .*, got True"):
        function(X, True)
    for axis in (0, -1):  # of a number, as in NumPy
        np.testing.assert_array_equal(function(2.0, axis).numpy(), function(2.0).numpy())
    with pytest.raises(cr.ShapeError, match="axis 1 is out of range"):
        function(2.0, 1)


def test_lengths_and_orders_are_whole_numbers():
    x = cr.tensor(X)
    for name, call in {
        "reshape": lambda: x.reshape((2.0, 3)),
        "transpose": lambda: x.transpose((0, 1.0)),
        "split": lambda: cr.split(x, 2.0),
        "tile": lambda: cr.tile(x, 1.5),
        "roll": lambda: cr.roll(x, 1.5),
        "moveaxis": lambda: cr.moveaxis(x, None, 0),
    }.items():
        with pytest.raises(TypeError, match=f"^{name} takes whole numbers, got "):
            call()
    for decimals in (0.5, [1]):
        with pytest.raises(TypeError, match=r"^decimals is a whole number; got"):
            cr.round(x, decimals)
    with pytest.raises(TypeError, match=r"^matrix_power: n is a whole number; got 0.5"):
        cr.linalg.matrix_power(np.eye(2), 0.5)
    with pytest.raises(ValueError, match=r"constant_values is one number .*, got \(4, 6\)"):
        cr.pad(x, 1, constant_values=(4, 6))


COUNTS = {
    "diag: k": lambda n: cr.diag(X, n),
    "diagonal: offset": lambda n: cr.diagonal(X, n),
    "trace: offset": lambda n: cr.linalg.trace(X, n),
    "diff: n": lambda n: cr.diff(X, n),
    "eye: n": lambda n: cr.eye(n),
    "eye: m": lambda n: cr.eye(2, n),
    "eye: k": lambda n: cr.eye(2, k=n),
    "glu: dim": lambda n: cr.nn.functional.glu(X, n),
    "linspace: num": lambda n: cr.linspace(0, 1, n),
    "one_hot: the number of classes": lambda n: cr.one_hot([1, 0], n),
    "rot90: k": lambda n: cr.rot90(X, n),
    "tensordot: axes": lambda n: cr.tensordot(X, X, n),
    "tri: n": lambda n: cr.tri(n),
    "tri: m": lambda n: cr.tri(2, n),
    "tri: k": lambda n: cr.tri(2, k=n),
    "tril: k": lambda n: cr.tril(X, n),
    "triu: k": lambda n: cr.triu(X, n),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_whole_numbers(name):
    for wrong in (1.5, "a"):
        if (name, wrong) != ("tensordot: axes", "a"):
            with pytest.raises(TypeError, match=f"^{name} is a whole number.*; got {wrong!r}$"):
                COUNTS[name](wrong)
    number = 0 if name in ("glu: dim", "tensordot: axes") else 2
    np.testing.assert_array_equal(
        COUNTS[name](np.int64(number)).numpy(), COUNTS[name](number).numpy()
    )


def test_shapes_and_axes_that_are_one_number():
    np.testing.assert_array_equal(cr.broadcast_to(3.0, 2).numpy(), np.broadcast_to(3.0, 2))
    assert cr.tensor(1.0).broadcast_to([2, 3]).shape == (2, 3)
    for shape in (1.5, (1.5,), [1.5]):
        with pytest.raises(TypeError, match=r"broadcast_to: a shape is whole numbers, .* got 1\.5"):
            cr.broadcast_to(3.0, shape)
    with pytest.raises(cr.ShapeError, match="broadcast_to: a shape has no negative lengths"):
        cr.broadcast_to(cr.ones(2, 2), (-1, 2, 2))
    assert cr.broadcast_to(cr.ones(2, 2), (True, 2, 2)).shape == cr.ones(True, 2, 2).shape
    with pytest.raises(cr.ShapeError, match="matrix_norm takes two axes, not 0"):
        cr.linalg.matrix_norm(X, axis=0)
    with pytest.raises(ValueError, match="eye: n is at least 0, got -1"):
        cr.eye(-1)


@pytest.mark.parametrize("axis", [None, (0, 2), (), -1])
def test_softmax_over_several_axes(axis):
    x = np.random.default_rng(0).normal(size=(2, 3, 4)) * 100
    expected = np.exp(x - x.max(axis, keepdims=True))
    expected /= expected.sum(axis, keepdims=True)
    for found in (cr.softmax(x, axis), cr.tensor(x).softmax(axis), cr.exp(cr.log_softmax(x, axis))):
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-15)
    (natively,) = run_native(lambda t: cr.softmax(t, axis), x)
    np.testing.assert_allclose(natively, expected, atol=1e-15)
    check_gradient(lambda t: cr.softmax(t, axis), x / 100)
    assert cr.softmax(2.0, -1).item() == 1.0


def test_softmax_over_several_axes_of_large_numbers():
    x = (1e6 + np.random.default_rng(0).normal(size=(3, 4))).astype(np.float32)
    expected = np.exp(x.astype(float) - x.max())
    expected /= expected.sum()
    (natively,) = run_native(lambda t: cr.softmax(t, None), x)
    for found in (cr.softmax(x, None), natively, cr.exp(cr.log_softmax(x, (0, 1)))):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


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
