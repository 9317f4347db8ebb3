"""Functions of elements against NumPy: every dtype, edges of their domains, eager and native."""

import operator
import warnings

import numpy as np
import pytest
from native_calls import native

import chainrule as cr

RANDOM = np.random.default_rng(0)

UNARY = [
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "sqrt",
    "cbrt",
    "square",
    "abs",
    "absolute",
    "fabs",
    "sign",
    "negative",
    "positive",
    "floor",
    "ceil",
    "rint",
    "trunc",
    "fix",
    "round",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "arcsinh",
    "arccosh",
    "arctanh",
    "sinc",
    "degrees",
    "radians",
    "deg2rad",
    "rad2deg",
    "isnan",
    "isinf",
    "isfinite",
    "signbit",
    "logical_not",
    "nan_to_num",
    "reciprocal",
]
BINARY = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "true_divide",
    "power",
    "pow",
    "float_power",
    "floor_divide",
    "remainder",
    "mod",
    "fmod",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "atan2",
    "arctan2",
    "hypot",
    "logaddexp",
    "copysign",
    "logical_and",
    "logical_or",
    "logical_xor",
    "isclose",
]
BITS = ["bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift"]
OF_INTEGERS = [
    "abs",
    "absolute",
    "sign",
    "negative",
    "positive",
    "floor",
    "ceil",
    "rint",
    "trunc",
    "fix",
    "round",
    "square",
]

EDGES = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -1.5, 2.5, -2.5, 0.25, 3.0, -3.0, 100.0, -7.25]
EDGES += [1e-30, -1e-30, 8388609.0, -8388609.0, 2.0**52 + 0.5, 1e20, np.inf, -np.inf, np.nan]
TOLERANCE = {"float32": 4e-7, "float64": 2e-15}


def numpys(name):
    """NumPy's function; before version 2 it has one name for some of them."""
    old = {"pow": "power"} | {a: a.replace("a", "arc", 1) for a in UNARY if a.startswith("a")}
    return getattr(np, name, None) or getattr(np, {"atan2": "arctan2", **old}[name])


def quietly(function, *arguments):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(function(*arguments))


SIGN_OF_ZERO_IS_FREE = ["sign", "sin", "tan", "log1p"]  # natively


def same(found, expected, dtype, exact=False, zeros=True, atol=0):
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    tolerance = 0 if exact or expected.dtype.kind != "f" else TOLERANCE[dtype]
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=atol)
    if zeros and expected.dtype.kind == "f":
        np.testing.assert_array_equal(
            np.signbit(found[found == 0]), np.signbit(expected[found == 0])
        )


EXACT = {
    *OF_INTEGERS,
    "isnan",
    "isinf",
    "isfinite",
    "signbit",
    "logical_not",
    "nan_to_num",
    "floor_divide",
    "remainder",
    "mod",
    "fmod",
    "maximum",
    "fmax",
    "minimum",
    "fmin",
    "copysign",
    "logical_and",
    "logical_or",
    "logical_xor",
    "isclose",
    "add",
    "subtract",
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_number(name, dtype):
    x = np.array([*EDGES, *RANDOM.uniform(-3, 3, 40), *RANDOM.uniform(0, 1e4, 8)], dtype)
    function = getattr(cr, name)
    expected = quietly(numpys(name), x)
    with np.errstate(all="ignore"):
        same(function(cr.tensor(x)).numpy(), expected, dtype, name in EXACT)
        if name == "sinc":  # far from 0 the sine of a rounded pi x: relative to 1 / (pi x)
            np.testing.assert_allclose(
                native(function, x), expected, rtol=1e-5, atol=TOLERANCE[dtype]
            )
        else:
            zeros = name not in SIGN_OF_ZERO_IS_FREE
            same(native(function, x), expected, dtype, name in EXACT, zeros)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_numbers(name, dtype):
    a, b = (x.ravel() for x in np.meshgrid(np.array(EDGES, dtype), np.array(EDGES, dtype)))
    a = np.concatenate([a, RANDOM.uniform(-9, 9, 60).astype(dtype)])
    b = np.concatenate([b, RANDOM.uniform(-3, 3, 60).astype(dtype)])
    function = getattr(cr, name)
    if name == "float_power":
        expected = quietly(np.power, a.astype("float64"), b.astype("float64"))
    else:
        expected = quietly(numpys(name), a, b)
    # Near 0 a sum of logarithms is the difference of larger numbers.
    atol = 1e-7 if (name, dtype) == ("logaddexp", "float32") else 0
    with np.errstate(all="ignore"):
        eager = function(cr.tensor(a), cr.tensor(b)).numpy()
        same(eager, expected, dtype, name in EXACT, atol=atol)
        found = native(function, a, b)
    if name in ("power", "pow", "float_power"):
        tiny = np.finfo(dtype).tiny  # smaller numbers are 0 natively
        rtol = 1e-5 if dtype == "float32" else 1e-13
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=tiny)
    else:
        same(found, expected, dtype, name in EXACT, atol=atol)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("name", OF_INTEGERS)
def test_functions_of_one_integer(name, dtype):
    x = np.array([0, 1, 2, 5, 100]).astype(dtype)
    if dtype == "bool" and name in ("sign", "negative", "square", "positive"):
        return  # no numbers
    expected = x if name in ("floor", "ceil", "rint", "trunc", "fix", "round") else None
    if expected is None:
        expected = numpys(name)(x)
    found = getattr(cr, name)(cr.tensor(x)).numpy()
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == x.dtype
    if dtype == "int64":
        np.testing.assert_array_equal(native(getattr(cr, name), x), expected)


@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod", *BITS])
def test_whole_numbers(name):
    least = np.iinfo(np.int64).min
    values = [0, 1, -1, 2, 3, -3, 7, -7, 63, 64, 65, 2**40, -(2**40), least, 2**63 - 1]
    a, b = (x.ravel() for x in np.meshgrid(values, values))
    if "shift" in name:
        a, b = a[b >= 0], b[b >= 0]
    function = getattr(cr, name)
    expected = quietly(numpys(name), a, b)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(function(cr.tensor(a), cr.tensor(b)).numpy(), expected)
    np.testing.assert_array_equal(native(function, a, b), expected)
    small = np.array([200, 7], np.uint8), np.array([3, 3], np.uint8)
    found = function(*map(cr.tensor, small))
    np.testing.assert_array_equal(found.numpy(), numpys(name)(*small))
    assert found.dtype == np.uint8


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor"])
def test_truth_values(name):
    a, b = np.array([True, True, False, False]), np.array([True, False, True, False])
    expected = numpys(name)(a, b)
    for found in (getattr(cr, name)(cr.tensor(a), b).numpy(), native(getattr(cr, name), a, b)):
        assert found.dtype == bool
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["bool", "int64", "uint8"])
def test_invert(dtype):
    x = np.array([0, 1, 1, 0]).astype(dtype)
    np.testing.assert_array_equal((~cr.tensor(x)).numpy(), ~x)
    if dtype != "uint8":
        np.testing.assert_array_equal(native(cr.invert, x), ~x)


def test_floats_have_no_bits():
    x = cr.tensor([1.0])
    for call in (lambda: x & x, lambda: x | 1, lambda: x ^ x, lambda: x << 1, lambda: ~x):
        with pytest.raises(cr.DTypeError, match=r"not float32; (compare|cast) first"):
            call()


def test_powers_are_exact():
    for dtype, tens, twos in (
        ("float32", range(-10, 11), range(-126, 128)),
        ("float64", range(-22, 23), range(-1022, 1024)),
    ):
        x = np.array([float(f"1e{k}") for k in tens], dtype)
        if dtype == "float32":
            x, wanted = x[10:], list(tens)[10:]
        else:
            x, wanted = x[22:], list(tens)[22:]
        for found in (cr.log10(cr.tensor(x)).numpy(), native(cr.log10, x)):
            np.testing.assert_array_equal(found, wanted)
        k = np.array(list(twos), dtype)
        x = np.ldexp(np.ones((), dtype), k.astype(int))
        for found in (cr.log2(cr.tensor(x)).numpy(), native(cr.log2, x)):
            np.testing.assert_array_equal(found, k)
        for found in (cr.exp2(cr.tensor(k)).numpy(), native(cr.exp2, k)):
            np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_overflows_on_the_way(dtype):
    large = np.array(np.finfo(dtype).max / 2, dtype).reshape(1)
    for name in ("hypot", "logaddexp", "atan2"):
        expected = numpys(name)(large, large)
        assert np.isfinite(expected).all()
        np.testing.assert_allclose(native(getattr(cr, name), large, large), expected, rtol=1e-6)
    tiny = np.array([np.finfo(dtype).tiny], dtype)
    np.testing.assert_allclose(native(cr.hypot, tiny, tiny), np.hypot(tiny, tiny), rtol=1e-6)


NUMBERS, WHOLE = ([7, -7, 5], [2, 3, -3]), ([7, 12, 5], [2, 3, 1])
OPERATORS = [
    (function, dtype, *NUMBERS)
    for function in (operator.floordiv, operator.mod)
    for dtype in ("float32", "float64", "int64")
] + [
    (function, "int64", *WHOLE)
    for function in (
        operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift,
    )
]  # fmt: skip


@pytest.mark.parametrize(("function", "dtype", "a", "b"), OPERATORS)
def test_operators(function, dtype, a, b):
    a, b = np.array(a, dtype), np.array(b, dtype)
    for other in (b, 3):
        np.testing.assert_array_equal(function(cr.tensor(a), other).numpy(), function(a, other))
        np.testing.assert_array_equal(function(other, cr.tensor(a)).numpy(), function(other, a))


def test_divmod_and_round():
    quotient, rest = divmod(cr.tensor([-7, 7]), 3)
    assert (quotient.tolist(), rest.tolist()) == ([-3, 2], [2, 1])
    assert [t.tolist() for t in divmod(7, cr.tensor([2, -2]))] == [[3, -4], [1, -1]]
    assert round(cr.tensor(2.125), 2).item() == np.float32(2.12)
    assert round(cr.tensor(2.5)).item() == 2
    x = RANDOM.uniform(-1e4, 1e4, 50)
    for decimals in (-2, 0, 1, 3):
        expected = np.round(x, decimals)
        np.testing.assert_array_equal(cr.round(cr.tensor(x), decimals).numpy(), expected)
        np.testing.assert_array_equal(native(lambda t, d=decimals: t.round(d), x), expected)
    with pytest.raises(cr.DTypeError, match="-1 decimals of int64; cast"):
        cr.round(cr.tensor([15]), -1)


def test_clip():
    x = np.array([-3.0, -1.0, 0.5, 1.0, 4.0, np.nan])
    low = np.array([-1.0, -2, 0, 1, 5, 0])
    for arguments in ((-1, 1), (None, 1), (-1, None), (low, None), (low, low + 1)):
        expected = np.clip(x, *arguments)
        np.testing.assert_array_equal(cr.clip(cr.tensor(x), *arguments).numpy(), expected)
        np.testing.assert_array_equal(native(lambda t, a=arguments: t.clip(*a), x), expected)
    assert cr.clip(cr.tensor([1, 5])).tolist() == [1, 5]
    assert cr.clip(cr.tensor([1, 5]), a_min=2, a_max=4).tolist() == [2, 4]
    assert cr.clip(cr.tensor([1, 5]), 2).dtype == np.int64


def test_closeness():
    a = np.array([1.0, np.inf, -np.inf, np.nan, 1e-9, 0.0])
    b = np.array([1.0 + 1e-6, np.inf, np.inf, np.nan, 0.0, 1.0])
    for equal_nan in (False, True):
        expected = np.isclose(a, b, equal_nan=equal_nan)
        found = cr.isclose(cr.tensor(a), b, equal_nan=equal_nan)
        np.testing.assert_array_equal(found.numpy(), expected)
    assert bool(cr.allclose(a[:2], b[:2])) and not bool(cr.allclose(a, b))
    assert bool(cr.isclose(cr.tensor([2**53]), [2**53])) and not bool(cr.isclose(3, 4))
    assert bool(cr.array_equal([1, 2], cr.tensor([1, 2])))
    assert not bool(cr.array_equal([1, 2], cr.tensor([1, 3])))


def test_two_spellings_are_one_function():
    for one, other in (
        ("asin", "arcsin"),
        ("mod", "remainder"),
        ("pow", "power"),
        ("abs", "absolute"),
        ("invert", "bitwise_not"),
        ("amax", "max"),
        ("around", "round"),
    ):
        assert getattr(cr, one) is getattr(cr, other)


# The methods


NAMES = [n for n in (*UNARY, *BINARY) if n not in ("mod", "fabs")] + ["erf", "erfc", "rsqrt"]


@pytest.mark.parametrize("name", NAMES)
def test_methods_are_the_functions(name):
    x = cr.tensor([0.25, 0.5])
    others = (cr.tensor([0.5, 0.75]),) if name in BINARY else ()
    with np.errstate(all="ignore"):
        found, expected = getattr(x, name)(*others), getattr(cr, name)(x, *others)
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_finite_numbers_of_nan_to_num_keep_no_graph_without_gradients():
    w = cr.Parameter([1.0, 2.0])
    with cr.no_grad():
        assert not cr.nan_to_num(w).requires_grad
    assert cr.grad(cr.nan_to_num(w).sum(), w).tolist() == [1.0, 1.0]
