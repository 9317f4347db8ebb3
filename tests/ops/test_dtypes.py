"""Which dtype comes out: Python numbers are weak, floats win over integers, the wider wins."""

import operator

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.elementwise import UnsupportedError

F32, F64, I64, I32, U8, BOOL = (
    np.ones(2, d) for d in ("float32", "float64", "int64", "int32", "uint8", "bool")
)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (F32, F32, "float32"),
        (F32, F64, "float64"),
        (F32, I64, "float32"),  # NumPy would say float64
        (F32, U8, "float32"),
        (F32, BOOL, "float32"),
        (F64, I32, "float64"),
        (I32, I64, "int64"),
        (U8, I32, "int32"),
        (U8, BOOL, "uint8"),
        (BOOL, BOOL, "bool"),
        (np.ones(2, "float16"), F32, "float32"),
        (F32, 1, "float32"),
        (F32, 1.5, "float32"),
        (F32, True, "float32"),
        (F64, 1.5, "float64"),
        (U8, 1, "uint8"),
        (I64, 1.5, "float32"),
        (BOOL, 1, "int64"),
        (BOOL, 1.5, "float32"),
        (F32, np.float64(1.5), "float32"),  # a Python float in disguise
        (F32, np.ones(2), "float64"),
        (F32, [1.0, 2.0], "float32"),
        (F32, [np.float64(1.5), 2], "float32"),
        (F64, [np.float64(1.5), 2], "float64"),
        (I64, (np.float64(1.5), 2), "float32"),
        (F32, [np.ones(()), 2], "float64"),
        (I64, [np.ones(()), 2], "float64"),
        (F32, [1, 2], "float32"),
        (F32, [2**70, 1], "float32"),
        (F32, [[True, 2], [0.5, np.float64(1)]], "float32"),
        (F32, [np.float32(1), 2], "float32"),
        (BOOL, [True, False], "bool"),
        (U8, [1, 2], "int64"),
    ],
)
def test_where_two_operands_meet(a, b, expected):
    for function in (cr.add, cr.multiply, cr.maximum):
        assert function(cr.tensor(a), b).dtype == expected
        assert function(b, cr.tensor(a)).dtype == expected
    symbolic = cr.placeholder(a.shape, a.dtype)
    assert (symbolic + b).dtype == expected
    assert (b + symbolic).dtype == expected


def test_python_numbers_among_themselves():
    assert cr.add(1.0, 2.0).dtype == np.float32
    assert cr.add(1, 2).dtype == np.int64
    assert cr.add(1, 2.0).dtype == np.float32
    assert cr.maximum(True, False).dtype == np.bool_
    assert cr.add([np.float64(0.1)], [0.2]).dtype == np.float64  # as in cr.tensor
    assert cr.add([1, 2], 0.5).dtype == np.float32
    assert cr.add([True], 1).dtype == np.int64


def test_numbers_of_numpy_are_numbers_of_python_wherever_tensors_are_beside():
    x = cr.tensor([1.0, 2.0])
    one = np.float64(1)
    assert cr.stack([x, [one, one]]).dtype == np.float32
    assert cr.stack([x[0], one]).dtype == np.float32
    assert cr.concatenate([x, [one]]).dtype == np.float32
    assert cr.as_tensor([[x[0], one], [one, one]]).dtype == np.float32
    assert cr.matmul(x, [one, one]).dtype == np.float32
    assert cr.einsum("i,i", x, [one, one]).dtype == np.float32
    assert cr.where(x > 1, x, [one, one]).dtype == np.float32
    assert cr.add(np.ones(2, "float32"), [one, one]).dtype == np.float32
    assert cr.stack([x[0].astype("float64"), one / 3])[1].item() == one / 3


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_true_division_of_integers(dtype):
    quotient = cr.tensor(np.ones(2, dtype)) / cr.tensor(np.ones(2, dtype))
    assert quotient.dtype == np.float32
    assert (cr.tensor([7]) / 2).tolist() == [3.5]
    assert (7 / cr.tensor([2])).tolist() == [3.5]


OPERATORS = [
    "add",
    "sub",
    "mul",
    "floordiv",
    "mod",
    "pow",
    "and_",
    "or_",
    "xor",
    "lshift",
    "rshift",
]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 300,
        lambda x: 300 // x,
        lambda x: x**300,
        lambda x: x ** (2**70),
        lambda x: cr.power(x, 256),
        lambda x: cr.put(x, [0], 300),
        lambda x: cr.put(x, [0, 1], [1, 300]),
        lambda x: cr.put_along_axis(x, [0, 1], [-1, 1], 0),
        lambda x: cr.add_along_axis(x, [0, 1], [1, 300], 0),
        lambda x: cr.maximum(x, -1),
        lambda x: cr.where(x > 0, x, 300),
        lambda x: cr.clip(x, 300),
        lambda x: cr.full_like(x, 300),
        lambda x: cr.tensor([300], x.dtype),
    ],
)
def test_a_number_that_does_not_fit_is_refused(function):
    remedy = r"does not fit uint8, of whole numbers 0 to 255: .*astype\('int64'\)"
    with pytest.raises(OverflowError, match=remedy):
        function(cr.tensor(U8))


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("number", [300, -1, 2**70])
def test_operators_refuse_the_numbers_that_numpys_refuse(name, number):
    function, x = getattr(operator, name), np.array([1, 2, 3], "uint8")
    for way in (lambda x: function(x, number), lambda x: function(number, x)):
        with pytest.raises(OverflowError):
            way(x)
        if name != "pow" or number != -1:  # x ** -1 is 1 / x here, of floats
            with pytest.raises(OverflowError, match="does not fit uint8"):
                way(cr.tensor(x))


NARROW = {
    "quotient": lambda m, x: x / 256,
    "quotient of a number": lambda m, x: 1000 / (x + 1),
    "negative quotient": lambda m, x: x / -1,
    "divide": lambda m, x: m.true_divide(x, 2**70),
    "equal": lambda m, x: x == 256,
    "not equal": lambda m, x: x != -1,
    "greater": lambda m, x: x > 300,
    "greater or equal": lambda m, x: x >= -300,
    "less": lambda m, x: x < 2**70,
    "less or equal": lambda m, x: x <= -1,
    "number first": lambda m, x: m.greater(300, x),
    "number first, equal": lambda m, x: m.equal(-(2**70), x),
    "clip": lambda m, x: m.clip(x, -1, 300),
    "clip below": lambda m, x: m.clip(x, -(2**40), 3),
    "searchsorted": lambda m, x: m.searchsorted(x, 300) + m.searchsorted(x, -300),
}


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("name", NARROW)
def test_numbers_that_a_narrow_dtype_does_not_hold(name, dtype):
    function, x = NARROW[name], np.array([0, 3, 126], dtype)
    expected = np.asarray(function(np, x.astype("int64")))
    if expected.dtype == object:  # NumPy divides by an integer beyond 64 bits as Python does
        expected = expected.astype("float64")
    dtypes = {"f": "float32", "b": "bool", "i": dtype if "clip" in name else "int64"}
    functions = [lambda x: function(cr, x)]
    functions += [cr.compile(functions[0], backend=b) for b in ("reference", "native")]
    for found in [f(cr.tensor(x)) for f in functions]:
        assert found.dtype == dtypes[expected.dtype.kind]
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["hypot", "copysign", "atan2", "logaddexp", "heaviside"])
def test_functions_of_floats_take_any_integer_beside_a_narrow_one(name):
    narrow, wide = np.array([0, 3], "uint8"), np.array([0, 3], "float32")
    for arguments in (lambda x: (x, 300), lambda x: (-300, x)):
        function = getattr(cr, name)
        found = function(*arguments(cr.tensor(narrow)))
        np.testing.assert_array_equal(found, function(*arguments(cr.tensor(wide))))


def test_float16_stays():
    x = cr.tensor(np.array([0.5, 1.0], "float16"), requires_grad=True)
    y = (cr.tanh(x) * 2.0 + 1).sum()
    assert y.dtype == np.float16
    assert cr.grad(y, x).dtype == np.float16


def test_gradients_pass_through_a_cast_in_the_dtype_of_the_input():
    x = cr.tensor([1.5, 2.5], requires_grad=True)
    y = (x.astype("float64") * np.array([2.0, 3.0])).sum()
    assert y.dtype == np.float64
    gradient = cr.grad(y, x)
    assert gradient.dtype == np.float32
    assert gradient.tolist() == [2.0, 3.0]


def test_mixed_operands_have_gradients_of_their_own_dtypes():
    a = cr.tensor([1.0, 2.0], requires_grad=True)
    b = cr.tensor([3.0, 4.0], "float64", requires_grad=True)
    da, db = cr.grad((a * b).sum(), [a, b])
    assert (da.dtype, db.dtype) == (np.float32, np.float64)
    assert (da.tolist(), db.tolist()) == ([3.0, 4.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("bool", "int64"),
        ("uint8", "int64"),
        ("int32", "int64"),
        ("int64", "int64"),
        ("uint64", "uint64"),
        ("float32", "float32"),
        ("float64", "float64"),
    ],
)
def test_sums(dtype, expected):
    total = cr.sum(cr.tensor(np.ones(300, dtype)))
    assert total.dtype == expected
    assert total.item() == 300


def test_means_of_integers_are_floats():
    assert cr.mean(cr.tensor([1, 2])).dtype == np.float32
    assert cr.mean(cr.tensor([1, 2])).item() == 1.5
    assert cr.mean(cr.tensor([True, False])).item() == 0.5
    assert cr.var(cr.tensor([1, 3])).item() == 1.0


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "uint64"])
def test_spread_of_integers_has_the_digits_that_float32_lacks(dtype):
    offset = np.array([[0, 1, 2], [5, 5, 9]], dtype)
    x = offset + np.array(200 if dtype == "uint8" else 1_700_000_000, dtype)
    for name in ("var", "std"):
        found = getattr(cr, name)(x, axis=1)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.numpy(), getattr(np, name)(offset, axis=1), rtol=1e-6)
        compiled = cr.compile(lambda q, name=name: getattr(cr, name)(q, axis=1))
        np.testing.assert_array_equal(compiled(x).numpy(), found.numpy())


@pytest.mark.parametrize(
    "name", ["exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "relu", "softplus", "erf"]
)
def test_functions_of_floats_give_float32_of_integers(name):
    function = getattr(cr, name)
    expected = function(cr.tensor([1.0, 2.0]))
    found = function(cr.tensor([1, 2]))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.numpy(), expected.numpy())
    assert function(cr.placeholder((2,), "int64")).dtype == np.float32


@pytest.mark.parametrize("function", [lambda x: x - x, lambda x: -x, cr.sign])
def test_booleans_are_no_numbers(function):
    for x in (cr.tensor([True]), cr.placeholder((1,), "bool")):
        with pytest.raises(cr.DTypeError, match="takes numbers, not booleans"):
            function(x)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_matmul_of_integers_is_exact_in_int64(dtype):
    x = np.array([[200, 3], [100, 7]], dtype)
    found = cr.tensor(x) @ cr.tensor(x)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found.numpy(), x.astype(np.int64) @ x.astype(np.int64))
    large = cr.tensor([[2**60 + 1]]) @ cr.tensor([3])
    assert large.tolist() == [3 * (2**60 + 1)]


@pytest.mark.parametrize(
    "function",
    [
        cr.matmul,
        cr.dot,
        cr.vdot,
        cr.inner,
        cr.vecdot,
        lambda a, b: cr.einsum("i,i", a, b),
        lambda a, b: cr.tensordot(a, b, 1),
    ],
)
def test_products_of_integers_do_not_wrap(function):
    large, narrow = np.array([2**63 + 1, 1], "uint64"), np.array([200, 200], "uint8")
    for x, expected in ((large, 2**63 + 1), (narrow, 200)):
        found = function(cr.tensor(x), cr.tensor(np.array([1, 0], x.dtype)))
        assert found.dtype == ("uint64" if x is large else "int64")
        assert found.item() == expected
    assert function(cr.tensor(narrow), narrow).item() == 80000


def test_matmul_refuses_booleans():
    for shape in ((2, 2), (2,), (3, 2, 2)):
        for x in (cr.tensor(np.ones(shape, bool)), cr.placeholder(shape, "bool")):
            with pytest.raises(cr.DTypeError, match="numbers, not booleans; cast"):
                x @ x


def test_comparisons_are_boolean_and_have_no_gradient():
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    for y in (x > 1, x >= 1, x < 1, x <= 1, x == 1, x != 1):
        assert y.dtype == np.bool_
        assert not y.requires_grad


def test_cast_cuts_off_the_fraction():
    assert cr.astype(cr.tensor([1.9, -1.9]), "int64").tolist() == [1, -1]
    x = cr.tensor([1.0])
    assert x.astype("float32") is x


def test_tensor_makes_float32_of_python_floats_and_keeps_the_dtype_of_arrays():
    assert cr.tensor(1.0).dtype == np.float32
    assert cr.tensor([[1, 2.5]]).dtype == np.float32
    assert cr.tensor(1).dtype == np.int64
    assert cr.tensor(True).dtype == np.bool_
    assert cr.tensor(np.ones(2)).dtype == np.float64
    assert cr.tensor(np.float64(1)).dtype == np.float64
    assert cr.tensor([1.0], "float64").dtype == np.float64


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([np.array([0.1]), np.array([0.2])], "float64"),
        (([1.0], [np.float64(0.1)]), "float64"),
        ([[np.array([0.1])], [[0.2]]], "float64"),
        ([np.array([1, 2]), np.array([0.1, 0.2])], "float64"),
        ([np.array([0.1], ">f8"), [0.2]], "float64"),
        ([np.float32(0.1), 0.2], "float32"),
        ([np.array([1]), [0.2]], "float32"),
        ([[0.1], [2]], "float32"),
        ([], "float32"),
    ],
)
def test_arrays_and_numpys_numbers_in_lists_keep_their_dtype(data, expected):
    for made in (cr.tensor(data), cr.as_tensor(data), cr.sum(data)):
        assert made.dtype == expected
    np.testing.assert_array_equal(cr.tensor(data), np.asarray(data, expected))


@pytest.mark.parametrize("data", ["text", None, [1j], [object()]])
def test_what_is_no_number_is_refused(data):
    with pytest.raises(TypeError, match="numbers or booleans"):
        cr.tensor(data)


X, YS = np.array([1.0, 2.0]), np.array([0.1, 0.2])

BESIDE_LISTS = {
    "add_along_axis": (lambda m, x, ys: m.add_along_axis(x, [0, 1], ys, 0), lambda: X + YS),
    "average": (lambda m, x, ys: m.average(x, weights=ys), lambda: np.average(X, weights=YS)),
    "clip": (lambda m, x, ys: m.clip(x, ys, 3), lambda: X),
    "concatenate": (lambda m, x, ys: m.concatenate([x, ys]), None),
    "cross": (lambda m, x, ys: m.cross([*ys, 1.0], m.stack([x[0], x[1], 0.1])), None),
    "dot": (lambda m, x, ys: m.dot(x, ys), None),
    "einsum": (lambda m, x, ys: m.einsum("i,j", x, ys), None),
    "fmax": (lambda m, x, ys: m.fmax(x, ys), None),
    "inner": (lambda m, x, ys: m.inner(x, ys), None),
    "kron": (lambda m, x, ys: m.kron(x, ys), None),
    "matmul": (lambda m, x, ys: m.matmul(x, ys), None),
    "outer": (lambda m, x, ys: m.outer(x, ys), None),
    "put": (lambda m, x, ys: m.put(x, [1, 0], ys), lambda: YS[::-1]),
    "searchsorted": (lambda m, x, ys: m.searchsorted(x - 0.9, ys), None),
    "solve": (lambda m, x, ys: m.linalg.solve(m.diag(x), ys), None),
    "stack": (lambda m, x, ys: m.stack([x, ys]), None),
    "tensordot": (lambda m, x, ys: m.tensordot(x, ys, 1), None),
    "trapezoid": (lambda m, x, ys: m.trapezoid(x, ys), lambda: 0.15),
    "vdot": (lambda m, x, ys: m.vdot(x, ys), None),
    "where": (lambda m, x, ys: m.where([True, False], x, ys), None),
}


@pytest.mark.parametrize("name", BESIDE_LISTS)
def test_numbers_in_a_list_beside_float64_keep_their_digits(name):
    function, expected = BESIDE_LISTS[name]
    found = function(cr, cr.tensor(X), YS.tolist())
    expected = function(np, X, YS.tolist()) if expected is None else expected()
    assert found.dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_numbers_in_a_list_are_close_to_those_of_float64():
    assert cr.isclose(cr.tensor([0.1], "float64"), [0.1], rtol=0, atol=0).item()


def test_infinity_is_no_whole_number():
    with pytest.raises(OverflowError, match="infinity is no number of int64"):
        cr.tensor([np.inf], "int64")


@pytest.mark.parametrize(
    "name", ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]
)
@pytest.mark.parametrize("narrow", ["int8", "int64"])
def test_uint64_beside_signed_integers_is_compared_exactly(name, narrow):
    """Not in float64, in which 2^53 and 2^53 + 1 are one number."""
    limits = np.iinfo(narrow)
    signed = np.array([-1, 0, limits.min, limits.max, limits.max, 2**53 % limits.max + 1], narrow)
    unsigned = np.array([2**64 - 1, 0, 2**63, 2**63, limits.max, 2**53 % limits.max], np.uint64)
    ours, theirs = getattr(cr, name), getattr(np, name)
    for a, b in ((signed, unsigned), (unsigned, signed), (signed[:, None], unsigned)):
        exact = theirs(a.astype(object), b.astype(object)).astype(bool)
        np.testing.assert_array_equal(ours(cr.tensor(a), b).numpy(), exact)
        graph = cr.capture(ours, cr.placeholder(a.shape, a.dtype), cr.placeholder(b.shape, b.dtype))
        np.testing.assert_array_equal(graph(a, b), exact)
    for one in signed:
        for b in (one, [one.item()]):
            exact = theirs(unsigned.astype(object), one.item()).astype(bool)
            np.testing.assert_array_equal(ours(cr.tensor(unsigned), b).numpy(), exact)
    with pytest.raises(UnsupportedError, match=f"{name} of int.*cast to int64"):
        cr.compile(ours)(signed, unsigned)
