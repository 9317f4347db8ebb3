"""Gradients where there is none: at kinks, at ties, at zero to a power."""

import numpy as np
import pytest
from native_calls import native

import chainrule as cr
from chainrule.testing import check_gradient

torch = pytest.importorskip("torch")


def gradient(function, values, dtype="float64"):
    x = cr.tensor(values, dtype, requires_grad=True)
    return cr.grad(function(x).sum(), x).tolist()


def test_relu_at_zero():
    assert gradient(cr.relu, [-1.0, 0.0, -0.0, 2.0]) == [0, 0, 0, 1]


def test_abs_at_zero():
    assert gradient(cr.abs, [-1.0, 0.0, -0.0, 2.0]) == [-1, 0, 0, 1]


def test_sign_and_heaviside_have_no_gradient():
    assert gradient(cr.sign, [-1.0, 0.0, 2.0]) == [0, 0, 0]
    assert gradient(cr.heaviside, [-1.0, 0.0, 2.0]) == [0, 0, 0]
    assert cr.heaviside([-1.0, 0.0, 2.0]).tolist() == [0, 0, 1]


@pytest.mark.parametrize("function", [cr.maximum, cr.minimum])
def test_of_a_tie_the_first_argument_takes_the_gradient(function):
    a, b = (cr.tensor([3.0], requires_grad=True) for _ in range(2))
    da, db = cr.grad(function(a, b).sum(), [a, b])
    assert (da.item(), db.item()) == (1, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sign_of_a_zero_is_0(dtype):
    x = np.array([-0.0, 0.0, -2.0, 3.0, np.nan], dtype)
    expected = np.array([0.0, 0.0, -1.0, 1.0, np.nan], dtype)
    for found in (cr.sign(x).numpy(), native(cr.sign, x)):
        np.testing.assert_array_equal(found, expected)
        assert not np.signbit(found[:2]).any()


@pytest.mark.parametrize("function", [cr.max, cr.min])
def test_of_equal_extremes_the_first_takes_the_gradient(function):
    assert gradient(function, [2.0, 2.0, 2.0]) == [1, 0, 0]
    assert gradient(function, [[2.0, 2.0], [2.0, 2.0]]) == [[1, 0], [0, 0]]
    assert gradient(lambda x: function(x, 0), [[2.0, 2.0], [2.0, 2.0]]) == [[1, 1], [0, 0]]
    assert gradient(lambda x: function(x, 1), [[2.0, 2.0], [2.0, 2.0]]) == [[1, 0], [1, 0]]
    assert gradient(lambda x: function(x, (0, 2)), [[[5.0, 5.0]], [[5.0, 5.0]]]) == (
        [[[1, 0]], [[0, 0]]]
    )
    assert gradient(lambda x: function(x, 1), np.ones((0, 3))) == []


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", [3, 40])  # within a vector of the processor, and beyond
@pytest.mark.parametrize("function", [cr.max, cr.min])
def test_of_several_nan_the_first_takes_the_gradient(function, length, dtype):
    x = np.arange(4.0 * length, dtype=dtype).reshape(4, length)
    x[0, 1] = x[1, [0, 2]] = x[2, -1] = np.nan
    by_torch = torch.tensor(x, requires_grad=True)
    getattr(torch, function.__name__)(by_torch, 1).values.sum().backward()
    expected = by_torch.grad.numpy()
    assert expected[:3].sum(1).tolist() == [1, 1, 1]
    assert gradient(lambda x: function(x, 1), x, dtype) == expected.tolist()
    both = gradient(lambda x: function(x, (0, 1)), x, dtype)
    assert np.argmax(both) == 1
    assert np.sum(both) == 1
    slope = native(lambda x: cr.grad(function(x, 1).sum(), x), x)
    np.testing.assert_array_equal(slope, expected)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_beside_a_nan_both_arguments_take_the_gradient(name):
    a, b = np.array([[1.0, np.nan, 2.0, np.nan, 1.0], [np.nan, 2.0, 1.0, np.nan, 3.0]])
    by_torch = [torch.tensor(v, requires_grad=True) for v in (a, b)]
    getattr(torch, name)(*by_torch).sum().backward()
    expected = [v.grad.numpy() for v in by_torch]

    def slopes(a, b):
        return cr.grad(getattr(cr, name)(a, b).sum(), [a, b])

    eager = slopes(*(cr.tensor(v, requires_grad=True) for v in (a, b)))
    np.testing.assert_array_equal([slope.numpy() for slope in eager], expected)
    for number in (0, 1):
        found = native(lambda a, b, number=number: slopes(a, b)[number], a, b)
        np.testing.assert_array_equal(found, expected[number])


def test_std_of_equal_elements():
    assert gradient(lambda x: x.std(1), [[2.0, 2.0], [1.0, 3.0]]) == [[0, 0], [-0.5, 0.5]]
    assert np.isnan(gradient(cr.std, [1.0, np.nan])).all()
    check_gradient(lambda x: x.std(0, correction=1), [[2.0, -1.0], [1.0, 3.0], [0.5, 0.0]])


def test_argmax_names_the_first():
    assert cr.argmax([1.0, 3.0, 3.0]).item() == 1


@pytest.mark.parametrize(
    ("exponent", "expected"), [(0, 0), (1, 1), (2, 0), (3, 0), (4, 0), (1.5, 0), (2.5, 0)]
)
def test_powers_of_zero(exponent, expected):
    """d(x^p)/dx at 0, without a NaN and without a warning; also where p is a Tensor."""
    assert gradient(lambda x: x**exponent, [0.0]) == [expected]
    assert gradient(lambda x: x ** cr.tensor([float(exponent)], "float64"), [0.0]) == [expected]
    p = cr.placeholder((1,), "float64")
    graph = cr.capture(lambda x, p: cr.grad((x**p).sum(), x), p, p)
    assert graph(np.zeros(1), np.array([float(exponent)])).tolist() == [expected]


def test_every_derivative_of_a_whole_power_at_zero():
    x = cr.tensor(0.0, "float64", requires_grad=True)
    y = x**4
    for expected in (0, 0, 0, 24, 0, 0):
        y = cr.grad(y, x)
        assert y.item() == expected


def test_power_by_its_exponent():
    p = cr.tensor([2.0, 2.0], "float64", requires_grad=True)
    slope = cr.grad((np.array([0.0, 3.0]) ** p).sum(), p)
    np.testing.assert_allclose(slope.numpy(), [0.0, 9 * np.log(3)])


@pytest.mark.parametrize("exponent", [2, 3, 4, 5, -1, -2, -3, 4.0])
def test_whole_powers_of_negative_bases(exponent):
    check_gradient(lambda x: x**exponent, [-2.0, -0.5, 1.5], rtol=1e-5)


def test_power_of_two_variables():
    check_gradient(cr.power, [0.5, 2.0, 3.0], [0.0, 2.0, -1.5])


def test_sqrt_at_zero_is_vertical():
    with np.errstate(divide="ignore"):
        assert gradient(cr.sqrt, [0.0]) == [np.inf]


def test_nan_passes_through():
    nan = cr.tensor([np.nan, 1.0])
    assert np.isnan(cr.relu(nan).numpy()).tolist() == [True, False]
    assert np.isnan(cr.max(nan).item())
    assert np.isnan(cr.min(nan).item())
    assert np.isnan(cr.maximum(nan, 0.0).numpy()).tolist() == [True, False]


def test_logaddexp_of_nothing_has_no_gradient():
    nothing = float("-inf")
    assert gradient(lambda x: cr.logaddexp(x, nothing), [nothing, 1.0]) == [0, 1]
    assert gradient(lambda x: cr.logaddexp(nothing, x), [nothing, 1.0]) == [0, 1]
    assert gradient(lambda x: cr.logaddexp(1.0, x), [nothing, 1.0]) == [0, 0.5]
    assert gradient(lambda x: cr.stack([x, x]).logsumexp(0), [nothing]) == [0]


@pytest.mark.parametrize("size", [1e-30, 1e-5, 1.0, 1e15, 1e30])
def test_the_angle_has_a_gradient_at_every_distance(size):
    for angle in (lambda x: cr.atan2(x, size), lambda x: cr.atan2(size, -x)):
        assert gradient(angle, [size], "float32") == pytest.approx(
            [1 / (2 * size)], rel=1e-6, abs=0
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["sin", "tan", "log1p", "asinh", "expm1", "sinh", "tanh", "atan"])
def test_of_minus_zero_natively_too(name, dtype):
    x = np.array([-0.0] * 20 + [0.0] * 17, dtype)
    for found in (native(getattr(cr, name), x), getattr(cr, name)(cr.tensor(x)).numpy()):
        np.testing.assert_array_equal(found, x)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(x))


def test_a_nan_makes_the_gradients_of_its_row_nan():
    nan = float("nan")
    x = cr.tensor([[nan, 1.0, 2.0], [0.0, 0.0, 0.0]], requires_grad=True)
    for function, other in (
        (lambda t: cr.logsumexp(t, 1), 1 / 3),
        (lambda t: cr.linalg.norm(t, axis=1), 0.0),
        (lambda t: cr.linalg.norm(t, 3, axis=1), 0.0),
    ):
        gradient = cr.grad(function(x), x, np.ones(2)).numpy()
        np.testing.assert_allclose(gradient, [[nan] * 3, [other] * 3], rtol=1e-6)
    y = cr.tensor([nan, 1.0], requires_grad=True)
    z = cr.tensor([0.0, 1.0])
    with np.errstate(invalid="ignore"):
        gradient = cr.grad(cr.logaddexp(y, z), y, np.ones(2)).numpy()
    np.testing.assert_array_equal(gradient, [nan, 0.5])


ZERO_SLOPES = {
    "floor": lambda lib, x: lib.floor(x),
    "ceil": lambda lib, x: lib.ceil(x),
    "trunc": lambda lib, x: lib.trunc(x),
    "round": lambda lib, x: lib.round(x),
    "round to a decimal": lambda lib, x: lib.round(x, decimals=1),
    "sign": lambda lib, x: lib.sign(x),
    "copysign": lambda lib, x: lib.copysign(lib.ones_like(x), x),
    "beside another path": lambda lib, x: lib.floor(x) * x,
}


@pytest.mark.parametrize("name", ZERO_SLOPES)
def test_backward_fills_zeros_where_the_derivative_is_0(name):
    """As PyTorch, and as `grad`; in a compiled step too."""
    function = ZERO_SLOPES[name]
    of_torch = torch.tensor([1.5, -2.25], requires_grad=True)
    function(torch, of_torch).sum().backward()
    expected = of_torch.grad.tolist()
    x = cr.tensor([1.5, -2.25], requires_grad=True)
    y = function(cr, x).sum()
    assert y.requires_grad
    assert cr.grad(y, x).tolist() == expected
    y.backward()
    assert x.grad.tolist() == expected
    y.backward()
    assert x.grad.tolist() == [2 * slope for slope in expected]
    w = cr.Parameter([1.5, -2.25])
    cr.compile(lambda: function(cr, w).sum().backward())()
    assert w.grad.tolist() == expected


@pytest.mark.parametrize("function", [cr.heaviside, cr.stop_gradient, lambda x: x // 1.0])
def test_backward_says_what_passes_no_gradient(function):
    y = function(cr.tensor([1.5], requires_grad=True)).sum()
    with pytest.raises(ValueError, match=r"no gradient passes .*heaviside, // and stop_gradient"):
        y.backward()


def test_backward_to_some_leaves_fills_no_other():
    x, y = (cr.tensor(1.0, requires_grad=True) for _ in range(2))
    x.backward(inputs=[y])
    assert x.grad is None
    assert y.grad is None
