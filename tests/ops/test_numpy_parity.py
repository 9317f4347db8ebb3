"""Values against NumPy and the standard library: shapes of every kind, extremes, empty arrays."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_calls import native

import chainrule as cr
from chainrule.testing import check_gradient

RANDOM = np.random.default_rng(0)

BINARY = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
}

lengths = st.integers(0, 3)
shapes = st.lists(lengths, max_size=4).map(tuple)


@st.composite
def broadcastable(draw):
    """Two shapes that broadcast together."""
    shape = draw(shapes)
    parts = []
    for _ in range(2):
        part = [draw(st.sampled_from([1, length])) for length in shape]
        parts.append(tuple(part[draw(st.integers(0, len(part))) :]))
    return parts


def same(found, expected):
    assert found.shape == np.shape(expected)
    np.testing.assert_array_equal(found.numpy(), expected)


@given(broadcastable(), st.sampled_from(sorted(BINARY)))
def test_broadcasting(shapes, name):
    a, b = (RANDOM.uniform(1, 2, shape) for shape in shapes)
    expected = BINARY[name](a, b)
    same(getattr(cr, name)(a, b), expected)
    assert getattr(cr, name)(*(cr.placeholder(s, "float64") for s in shapes)).shape == (
        expected.shape
    )


@given(broadcastable())
def test_gradients_of_broadcast_operands_are_sums(shapes):
    a, b = (cr.tensor(RANDOM.uniform(1, 2, s), requires_grad=True) for s in shapes)
    product = a * b
    da, db = cr.grad(product, [a, b], np.ones(product.shape))
    # d(sum of a_i b_j)/da: the sum of b over all places where an element of a was used
    for gradient, x, other in ((da, a, b), (db, b, a)):
        assert gradient.shape == x.shape
        used = np.broadcast_to(other.numpy(), product.shape)
        lead = used.ndim - x.ndim
        repeated = tuple(i for i, n in enumerate(used.shape) if i < lead or x.shape[i - lead] != n)
        expected = used.sum(repeated).reshape(x.shape)
        np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-12)


def test_of_no_tensors_none_are_broadcast():
    assert cr.broadcast_arrays() == np.broadcast_arrays() == ()


def test_shapes_that_do_not_broadcast_are_named():
    for x in (cr.tensor(np.ones((2, 3))), cr.placeholder((2, 3))):
        with pytest.raises(cr.ShapeError, match=r"add: shapes \(2, 3\) and \(4,\)"):
            x + np.ones(4)


@given(st.data(), st.sampled_from(["sum", "mean", "max", "min", "logsumexp", "var", "std"]))
def test_reductions_over_any_axes(data, name):
    shape = data.draw(st.lists(st.integers(1, 3), max_size=4).map(tuple))
    axes = data.draw(st.lists(st.sampled_from(range(len(shape))), unique=True)) if shape else []
    signed = tuple(data.draw(st.sampled_from([a, a - len(shape)])) for a in axes)
    axis = data.draw(st.sampled_from([signed, None, *signed[:1]]))
    keepdims = data.draw(st.booleans())
    x = RANDOM.standard_normal(shape)
    reference = {
        "var": np.var,
        "std": np.std,
        "logsumexp": lambda x, **k: np.log(np.exp(x).sum(**k)),
    }
    expected = reference.get(name, getattr(np, name, None))(x, axis=axis, keepdims=keepdims)
    found = getattr(cr, name)(x, axis, keepdims)
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-13)
    assert getattr(cr.placeholder(shape, "float64"), name)(axis, keepdims).shape == found.shape


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_argmax(axis, keepdims):
    x = np.array([[1.0, 5.0, 5.0], [9.0, 2.0, 9.0]])
    expected = np.argmax(x, axis, keepdims=keepdims)
    found = cr.argmax(x, axis, keepdims)
    same(found, expected)
    assert found.dtype == np.int64


def test_reductions_of_nothing():
    empty = cr.tensor(np.ones((0, 3)))
    same(empty.sum(0), np.zeros(3))
    same(empty.sum(), 0.0)
    same(cr.logsumexp(empty, 0), np.full(3, -np.inf))
    same(empty.max(1), np.ones(0))
    for function in (cr.max, cr.min, cr.mean, cr.var, cr.std, cr.argmax):
        with pytest.raises(cr.ShapeError):
            function(empty, 0)
        with pytest.raises(cr.ShapeError):
            function(cr.placeholder((0, 3)), 0)


@pytest.mark.parametrize("function", [cr.sum, cr.max, cr.logsumexp, cr.softmax, cr.argmax])
def test_an_axis_out_of_range_is_named(function):
    for x in (cr.tensor(np.ones((2, 3))), cr.placeholder((2, 3))):
        with pytest.raises(
            cr.ShapeError, match=r"axis 2 is out of range for (shape \(2, 3\)|2 axes)"
        ):
            function(x, 2)


def test_an_axis_given_twice_is_refused():
    with pytest.raises(cr.ShapeError, match="twice"):
        cr.sum(np.ones((2, 3)), (0, -2))


def test_variance_with_correction():
    x = RANDOM.standard_normal((4, 5))
    found = cr.var(x, 0, correction=1).numpy()
    np.testing.assert_allclose(found, x.var(0, ddof=1), rtol=1e-12)
    found = cr.tensor(x).std(0, correction=1).numpy()
    np.testing.assert_allclose(found, x.std(0, ddof=1), rtol=1e-12)
    with pytest.raises(cr.ShapeError, match="more elements"):
        cr.var(np.ones((1, 3)), 0, correction=1)
    with pytest.raises(TypeError, match="correction is a number, got None"):
        cr.std(x, 0, correction=None)


MATRICES = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 1, 2, 3), (6, 3, 4)),
    ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 3)),
    ((0,), (0,)),
    ((0, 2, 3), (3, 1)),
]


@pytest.mark.parametrize(("left", "right"), MATRICES)
def test_matmul(left, right):
    a, b = RANDOM.standard_normal(left), RANDOM.standard_normal(right)
    expected = a @ b
    found = cr.tensor(a) @ cr.tensor(b)
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-14)
    assert (cr.placeholder(left) @ cr.placeholder(right)).shape == found.shape
    np.testing.assert_array_equal((a @ cr.tensor(b)).numpy(), found.numpy())


@pytest.mark.parametrize(("left", "right"), MATRICES)
def test_matmul_gradients_are_those_of_a_sum_of_products(left, right):
    check_gradient(cr.matmul, RANDOM.standard_normal(left), RANDOM.standard_normal(right), order=2)


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        ((2, 3), (2, 3), "do not fit"),
        ((3,), (2,), "do not fit"),
        ((2, 3), (2,), "do not fit"),
        ((2, 3, 4), (3, 2), "do not fit"),
        ((2, 2, 2), (3, 2), "do not fit"),
        ((), (2, 2), "use \\*"),
        ((2, 2, 2), (3, 2, 2), "do not broadcast"),
    ],
)
def test_matmul_refuses_shapes(left, right, words):
    for make in (lambda s: cr.tensor(np.ones(s)), lambda s: cr.placeholder(s, "float64")):
        with pytest.raises(cr.ShapeError, match=words) as refused:
            make(left) @ make(right)
        assert f"shapes {left} and {right}" in str(refused.value)


def test_products_refuse_shapes_that_were_given():
    x = cr.tensor(np.ones((2, 3)))
    for function in (cr.dot, cr.vdot, cr.matmul):
        with pytest.raises(
            cr.ShapeError, match=r"shapes \(3,\) and \(4,\) .*; a vector is a row on"
        ):
            function(x[0], cr.ones(4, dtype="float64"))
    with pytest.raises(cr.ShapeError, match=r"\(2, 3\) and \(5, 2, 4\) \(transposed\) do not fit"):
        cr.matmul(x, cr.ones((5, 2, 4), dtype="float64"), transpose_b=True)


def test_transpose_of_two_axes_says_what_swaps_them():
    x = cr.tensor(np.arange(24).reshape(2, 3, 4))
    with pytest.raises(cr.ShapeError, match=r"two are swapped by x.swapaxes\(1, 2\)"):
        x.transpose(-2, -1)
    same(x.swapaxes(1, 2), x.numpy().transpose(0, 2, 1))
    for axes in ((0, 1, 1), (0, 5), (1, 1)):
        with pytest.raises(cr.ShapeError, match=r"axes of shape \(2, 3, 4\)$"):
            x.transpose(axes)


def test_concatenate_and_stack():
    a, b, c = (RANDOM.standard_normal(s) for s in ((2, 3), (2, 1), (2, 0)))
    for axis in (1, -1):
        same(cr.concatenate([a, b, c], axis), np.concatenate([a, b, c], axis))
    same(cr.concatenate([a]), a)
    for axis in (0, 1, 2, -1, -3):
        same(cr.stack([a, a + 1], axis), np.stack([a, a + 1], axis))
    same(cr.stack([1.0, 2.0]), [1.0, 2.0])
    assert cr.concatenate([cr.tensor([1]), cr.tensor([1.5])]).tolist() == [1.0, 1.5]
    assert cr.concatenate([cr.tensor([1]), cr.tensor([1.5])]).dtype == np.float32
    for make in (lambda *s: cr.tensor(np.ones(s)), lambda *s: cr.placeholder(s)):
        with pytest.raises(cr.ShapeError, match="differ in more than axis 1"):
            cr.concatenate([make(2, 3), make(3, 3)], 1)
        with pytest.raises(cr.ShapeError, match="all shapes must be equal"):
            cr.stack([make(2, 3), make(3, 3)])
        with pytest.raises(cr.ShapeError, match="axis 2 is out of range"):
            cr.concatenate([make(2, 3)], 2)
    with pytest.raises(cr.ShapeError, match="at least one"):
        cr.concatenate([])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", "bool"])
@pytest.mark.parametrize("number", [1, 300, -1, 2**40, True])
def test_python_integers_beside_scalars_that_are_stacked(dtype, number):
    scalar = np.ones((), dtype)
    expected = np.stack([scalar, number])
    for make in (cr.stack, cr.as_tensor, cr.tensor):
        for parts in ([cr.tensor(scalar), number], [number, cr.tensor(scalar)]):
            found = make(parts)
            assert found.dtype == expected.dtype
            assert sorted(found.tolist()) == sorted(expected.tolist())
    same(cr.stack([scalar, number]), expected)
    same(cr.hstack([cr.tensor(scalar), number]), np.hstack([scalar, number]))
    row = cr.tensor(scalar.reshape(1))
    same(cr.concatenate([row, [number]]), np.concatenate([scalar.reshape(1), [number]]))


@pytest.mark.parametrize("sections", [1, 2, 5, 10, [3, 7], [0], [4, 2], [-3], [20], []])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_split(sections, axis):
    x = np.arange(100.0).reshape(10, 10)
    for name in ("split", "array_split"):
        expected = getattr(np, name)(x, sections, axis)
        parts = getattr(cr, name)(x, sections, axis)
        for found, part in zip(parts, expected, strict=True):
            same(found, part)


def test_split_into_parts_of_unequal_lengths():
    x = np.arange(10.0).reshape(2, 5)
    for found, part in zip(cr.array_split(x, 3, 1), np.array_split(x, 3, 1), strict=True):
        same(found, part)
    with pytest.raises(cr.ShapeError, match="5 has no 3 equal parts; array_split makes"):
        cr.split(x, 3, 1)
    for function in (cr.split, cr.array_split):
        with pytest.raises(cr.ShapeError, match="positive"):
            function(x, 0)
        with pytest.raises(cr.ShapeError, match="axis 2 is out of range"):
            function(x, 2, 2)


def test_pad():
    x = RANDOM.standard_normal((2, 3))
    for widths in (((1, 0), (0, 2)), ((1, 2),), (2, 1), 3, 0):
        same(cr.pad(x, widths), np.pad(x, widths))
    same(cr.pad(cr.tensor(2.0), 1), 2.0)  # without axes: no border
    widths = ((1, 0), (0, 2))
    same(cr.pad(x, widths, constant_values=-np.inf), np.pad(x, widths, constant_values=-np.inf))
    same(cr.pad(cr.tensor([1, 2]), [(1, 1)], constant_values=7), [7, 1, 2, 7])
    with pytest.raises(cr.DTypeError, match=r"1\.5 does not fit dtype int64"):
        cr.pad(cr.tensor([1, 2]), 1, constant_values=1.5)
    for bad in ([(1, 1)] * 3, [(1, -1), (0, 0)], 1.5, "1", (1, 2, 3)):
        for y in (cr.tensor(x), cr.placeholder((2, 3))):
            with pytest.raises(cr.ShapeError, match="two widths"):
                cr.pad(y, bad)
    with pytest.raises(ValueError, match="the mode is one of constant, edge"):
        cr.pad(x, 1, 7.0)


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize("shape", [(5,), (1,), (2, 3), (2, 1, 4)])
def test_pad_repeats_elements(mode, shape):
    x = RANDOM.standard_normal(shape)
    for widths in (1, 7, (2, 0), [(i, i + 1) for i in range(len(shape))]):
        same(cr.pad(x, widths, mode), np.pad(x, widths, mode))
    with pytest.raises(cr.ShapeError, match="nothing to repeat"):
        cr.pad(np.ones((0, 2)), 1, mode)


def test_reshape():
    x = np.arange(12.0)
    t = cr.tensor(x)
    same(t.reshape(3, 4), x.reshape(3, 4))
    same(t.reshape((3, -1)), x.reshape(3, -1))
    same(t.reshape([2, -1, 3]), x.reshape(2, -1, 3))
    same(t.reshape(np.int64(12)), x)
    same(t.reshape(np.prod([3, 4])), x)
    same(cr.tensor(np.ones((0, 3))).reshape(-1, 3), np.ones((0, 3)))
    same(cr.tensor(5.0).reshape(1, 1), [[5.0]])
    assert t.reshape(12) is t
    assert all(type(n) is int for n in t.reshape(np.int64(3), np.int64(4)).shape)
    for make in (lambda: t, lambda: cr.placeholder((12,))):
        for bad in ((5,), (-1, -1), (-1, 5), (-2, 6), (-1, 0), (-3, -4)):
            with pytest.raises(cr.ShapeError, match="12 elements"):
                make().reshape(bad)


def test_transpose():
    x = RANDOM.standard_normal((2, 3, 4))
    t = cr.tensor(x)
    same(t.T, x.T)
    same(t.transpose(1, 2, 0), x.transpose(1, 2, 0))
    same(t.transpose((-1, 0, 1)), x.transpose(-1, 0, 1))
    same(t.transpose(np.array([1, 2, 0])), x.transpose(1, 2, 0))
    for bad in ((0, 1), (0, 0, 1), (0, 1, 3), (0, 1, -4)):
        for y in (t, cr.placeholder((2, 3, 4))):
            with pytest.raises(cr.ShapeError, match="permutation"):
                y.transpose(bad)


def test_broadcast_to():
    for shape, to in (
        ((3,), (2, 3)),
        ((3, 1), (3, 4)),
        ((), (2, 2)),
        ((1,), (0,)),
        ((2, 0), (2, 0)),
    ):
        x = RANDOM.standard_normal(shape)
        same(cr.broadcast_to(x, to), np.broadcast_to(x, to))
    for x in (cr.tensor(np.ones((2, 3))), cr.placeholder((2, 3))):
        for bad in ((3,), (2, 4), (3, 3), (2, 3, 1)):
            with pytest.raises(cr.ShapeError, match="does not broadcast"):
                x.broadcast_to(bad)
        with pytest.raises(cr.ShapeError, match="a shape has no negative lengths"):
            x.broadcast_to((4, -1, 3))


EXTREME = np.array([-np.inf, -1e30, -1000.0, -90.0, -1e-30, 0.0, 1e-30, 90.0, 1000.0, 1e30, np.inf])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_softplus_tanh_erf_at_extremes_without_warnings(dtype):
    x = cr.tensor(EXTREME, dtype, requires_grad=True)
    eps = np.finfo(dtype).eps
    sigmoid = np.array([s(v) for v in EXTREME])
    np.testing.assert_allclose(cr.sigmoid(x).numpy(), sigmoid, rtol=8 * eps, atol=0)
    softplus = [v if v > 100 else math.log1p(math.exp(v)) for v in EXTREME]
    np.testing.assert_allclose(cr.softplus(x).numpy(), softplus, rtol=8 * eps, atol=0)
    tanh = [math.tanh(v) for v in softplus]
    np.testing.assert_allclose(cr.tanh_softplus(x).numpy(), tanh, rtol=8 * eps, atol=0)
    np.testing.assert_allclose(cr.erf(x).numpy(), [math.erf(v) for v in EXTREME], rtol=8 * eps)
    for function in (cr.sigmoid, cr.softplus, cr.tanh, cr.tanh_softplus):
        gradient = cr.grad(function(x).sum(), x).numpy()
        assert np.isfinite(gradient).all()
        assert ((gradient >= 0) & (gradient <= 1)).all()


def s(x):
    """The logistic function in plain Python, exact at both ends."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x))


def test_softmax_of_large_values_without_warnings():
    x = cr.tensor([[1e30, 1e30, 0.0], [-1e30, 0.0, 1000.0], [-np.inf, 0.0, 0.0]], "float64")
    expected = [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.0, 0.5, 0.5]]
    same(cr.softmax(x), expected)
    np.testing.assert_allclose(cr.softmax(x.T, 0).numpy(), np.transpose(expected))
    logs = cr.log_softmax(x).numpy()
    np.testing.assert_allclose(logs[2], [-np.inf, -math.log(2), -math.log(2)])
    np.testing.assert_allclose(logs[1], [-1e30, -1000, 0])


def test_softmax_cross_entropy_of_large_logits():
    logits = cr.tensor([[1e4, 0.0], [1e4, 0.0]], "float64", requires_grad=True)
    loss = cr.softmax_cross_entropy(logits, [0, 1])
    same(loss, [0.0, 1e4])
    same(cr.grad(loss.sum(), logits), [[0, 0], [1, -1]])


@pytest.mark.parametrize("labels", [[2], [-1], np.array([255], np.uint8)])
def test_labels_out_of_range_are_named(labels):
    with pytest.raises(IndexError, match=r"labels must lie in 0 \.\.\. 1 for 2 classes"):
        cr.softmax_cross_entropy([[0.0, 1.0]], labels)
    with pytest.raises(IndexError, match="labels must lie"):
        cr.one_hot(labels, 2)


def test_softmax_cross_entropy_refuses_what_does_not_fit():
    for make in (lambda s, d: cr.tensor(np.zeros(s, d)), cr.placeholder):
        for logits, labels in (((2, 3), (3,)), ((3,), (3,)), ((2, 3), (2, 1))):
            with pytest.raises(cr.ShapeError, match="logits have shape"):
                cr.softmax_cross_entropy(make(logits, "float32"), make(labels, "int64"))
        for dtypes in (("int64", "int64"), ("float32", "float32"), ("float32", "bool")):
            with pytest.raises(cr.DTypeError, match="logits are floating and labels integers"):
                cr.softmax_cross_entropy(make((2, 3), dtypes[0]), make((2,), dtypes[1]))


def test_logsumexp_at_extremes_without_warnings():
    for values, expected in (
        ([-np.inf, -np.inf], -np.inf),
        ([-np.inf, 3.0], 3.0),
        ([1000.0, 1000.0], 1000 + math.log(2)),
        ([-1000.0, -1000.0], -1000 + math.log(2)),
        ([np.inf, 1000.0], np.inf),
        ([np.nan, 1.0], np.nan),
    ):
        found = cr.logsumexp(cr.tensor(values, "float64"))
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-15)
    x = cr.tensor([[-np.inf, -np.inf], [-np.inf, 2.0]], requires_grad=True)
    same(cr.grad(cr.logsumexp(x, 1), x, np.ones(2)), [[0, 0], [0, 1]])


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 4, 7, -1, -2, 0.5, 1.5, -0.5, 2.0, 3.0, 4.0])
def test_power(exponent):
    x = np.array([0.5, 1.0, 2.5])
    np.testing.assert_allclose((cr.tensor(x) ** exponent).numpy(), x**exponent, rtol=1e-15)
    if float(exponent).is_integer():
        found = cr.tensor(-x) ** exponent
        np.testing.assert_allclose(found.numpy(), (-x) ** exponent, rtol=1e-15)
    base = abs(exponent)
    np.testing.assert_allclose((base ** cr.tensor(x)).numpy(), float(base) ** x, rtol=1e-15)


def test_power_of_integers():
    assert (cr.tensor([2, -3]) ** 3).tolist() == [8, -27]
    assert (cr.tensor([2, -3]) ** 4).tolist() == [16, 81]
    assert (2 ** cr.tensor([3, 4])).tolist() == [8, 16]
    assert (cr.tensor([2, 4]) ** -1).tolist() == [0.5, 0.25]
    assert (cr.tensor([2, 4]) ** -2).tolist() == [0.25, 0.0625]
    with pytest.raises(ValueError, match=r"a fraction: let one of the two be floating, as in x"):
        2 ** cr.tensor([1, -2])


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0, np.float64(2)])
def test_integers_to_the_power_of_a_float_are_floats(exponent):
    for dtype in ("uint8", "int8", "int64"):
        x = np.array([100, 3], dtype)
        found = cr.tensor(x) ** exponent
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.numpy(), np.float64(x) ** exponent, rtol=1e-6)
        np.testing.assert_array_equal(native(lambda t: t**exponent, x), found.numpy())


def test_powers_of_booleans_are_integers():
    m = cr.tensor([True, False])
    for power in (m**1, m**2, cr.square(m), m**m, cr.power(m.numpy(), 3), True ** (m * 1)):
        assert power.dtype == np.int64
    assert (m**2 + m**2).tolist() == [2, 0]
    assert (m**0).tolist() == (m**m).tolist() == (True**m).tolist() == [1, 1]
    assert (m**2.0).dtype == np.float32
    assert (m ** cr.tensor([2, 2]).astype("int8")).dtype == np.int8


def test_where():
    condition = np.array([[True], [False]])
    same(cr.where(condition, [1.0, 2.0], 0.0), [[1, 2], [0, 0]])
    assert cr.where(condition, 1, 0).dtype == np.int64
    with pytest.raises(cr.DTypeError, match="condition is boolean, not int64; compare first"):
        cr.where([1, 0], 1.0, 2.0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool"])
def test_where_of_many_elements(dtype):
    a, b = (RANDOM.integers(0, 99, (50, 60)).astype(dtype) for _ in range(2))
    if np.dtype(dtype).kind == "f":
        a[0, :6], b[0, :6] = [np.nan, np.inf, -0.0] * 2, [1.0, -np.inf, -0.0] * 2
    condition = RANDOM.random((50, 60)) < 0.5
    for chosen, first, second in (
        (condition, a, b),
        (condition.T, a.T, b.T),
        (condition[::2, ::-1], a[::2, ::-1], b[1::2]),
        (condition, a, np.broadcast_to(b[:, :1], (50, 60))),
        *[
            (condition, *order)
            for number in (0, 1, b[0, 2])  # -0.0 of floats
            for one in [np.broadcast_to(np.asarray(number, dtype), (50, 60))]
            for order in ((a, one), (one, a), (one, one))
        ],
        (np.where(condition, np.uint8(255), np.uint8(0)).view(bool), a, b),  # a mask of an image
    ):
        expected = np.where(chosen, first, second)
        same(cr.where(chosen, first, second), expected)
        assert cr.where(chosen, first, second).numpy().tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@pytest.mark.parametrize("number", [0.0, -0.0, 1.5, np.nan, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_extremes_of_many_elements_and_a_number(name, number, dtype):
    x = RANDOM.standard_normal((110, 100)).astype(dtype)
    x[0, :5] = [np.nan, np.inf, -np.inf, 0.0, -0.0]
    one = np.full((), number, dtype)
    channels_last = x.reshape(5, 10, 11, 20).transpose(0, 3, 1, 2)
    for array in (x, x.T, x[::-1], np.asfortranarray(x), channels_last):
        for arguments in ((array, one), (one, array)):
            found, expected = getattr(cr, name)(*arguments).numpy(), getattr(np, name)(*arguments)
            assert found.tobytes() == expected.tobytes()
            assert found.strides == expected.strides


def test_where_stops_a_gradient_that_is_not_a_number():
    x = cr.tensor([0.0, 4.0], requires_grad=True)
    safe = cr.where(x > 0, x, 1.0)
    same(cr.grad(cr.where(x > 0, cr.sqrt(safe), 0.0).sum(), x), [0.0, 0.25])


def test_one_hot():
    labels = np.array([[0, 2], [1, 1]])
    same(cr.one_hot(labels, 3), np.eye(3)[labels])
    same(cr.one_hot(1, 2), [0, 1])
    same(cr.one_hot(np.zeros((0,), int), 4), np.zeros((0, 4)))
    assert cr.one_hot(labels, 3, "float64").dtype == np.float64
    for labels in (cr.tensor([True]), cr.placeholder((1,), "bool"), cr.tensor([1.0])):
        with pytest.raises(cr.DTypeError, match="labels are integers"):
            cr.one_hot(labels, 2)


def test_add_n():
    parts = [RANDOM.standard_normal((2, 3)) for _ in range(5)]
    same(cr.add_n(*map(cr.tensor, parts)), parts[0] + parts[1] + parts[2] + parts[3] + parts[4])
    x = cr.tensor([1.0])
    assert cr.add_n(x) is x
    assert cr.add_n([x]) is x
    p = cr.Parameter([1.0])
    assert type(cr.add_n(p)) is cr.Tensor  # what a later assignment leaves as it is
    same(cr.add_n([cr.tensor(part) for part in parts[:2]]), parts[0] + parts[1])
    same(cr.add_n((parts[0], parts[1])), parts[0] + parts[1])
    with pytest.raises(TypeError, match="at least one Tensor"):
        cr.add_n([])
    with pytest.raises(cr.ShapeError, match="one shape"):
        cr.add_n([cr.ones(2), cr.ones(1)])
    with pytest.raises(cr.DTypeError, match="one dtype"):
        cr.add_n(cr.ones(2), cr.ones(2, dtype="float64"))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_empty_tensors_have_values_and_gradients(shape):
    x = cr.tensor(np.ones(shape), requires_grad=True)
    y = cr.tanh(x * 2.0 + 1.0).reshape(-1)
    assert cr.grad(y.sum(), x).shape == shape
