"""Reductions and running sums against NumPy, eager and native; their gradients against PyTorch."""

import numpy as np
import pytest
from native_calls import native, run_native

import chainrule as cr
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock
from chainrule.testing import check_gradient

torch = pytest.importorskip("torch")
RANDOM = np.random.default_rng(1)
REDUCTIONS = ["prod", "any", "all", "count_nonzero", "ptp", "amax", "amin"]
SHAPES = [(), (1,), (5,), (3, 4), (2, 3, 4), (8, 7)]
DTYPES = ["float32", "float64", "int64", "bool", "uint8"]


def numbers(shape, dtype):
    if dtype in ("float32", "float64"):
        return RANDOM.uniform(-2, 2, shape).astype(dtype) * RANDOM.integers(0, 3, shape)
    return RANDOM.integers(0, 3, shape).astype(dtype)


def axes_of(shape):
    yield None
    yield from range(-len(shape), len(shape)) if shape else (0, -1)
    if len(shape) > 1:
        yield (0, -1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, dtype):
    if name == "ptp" and dtype == "bool":
        pytest.skip("booleans have no difference")
    for shape in SHAPES:
        x = np.asarray(numbers(shape, dtype), dtype)
        for axis in axes_of(shape):
            for keepdims in (False, True):
                expected = np.asarray(getattr(np, name)(x, axis=axis, keepdims=keepdims))
                found = getattr(cr, name)(x, axis, keepdims)
                assert found.shape == expected.shape
                np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
                if name in ("any", "all"):
                    assert found.dtype == bool
                elif name == "count_nonzero" or (name == "prod" and x.dtype.kind != "f"):
                    assert found.dtype == np.int64
                else:
                    assert found.dtype == dtype
                method = getattr(cr.tensor(x), name)(axis=axis, keepdims=keepdims)
                np.testing.assert_array_equal(method.numpy(), found.numpy())


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_reductions_run_natively(name, dtype):
    x = np.asarray(numbers((3, 7, 4), dtype), dtype)
    for axis in (None, 1, (0, 2)):
        expected = np.asarray(getattr(np, name)(x, axis=axis))
        found = native(lambda t, a=axis: getattr(cr, name)(t, a), x)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert found.shape == expected.shape


def test_reductions_of_nothing():
    for shape, axis in (((0,), 0), ((0, 3), 0), ((3, 0), None), ((2, 0, 3), 1)):
        x = np.zeros(shape)
        for name in ("prod", "any", "all", "count_nonzero"):
            expected = np.asarray(getattr(np, name)(x, axis=axis))
            for found in (
                getattr(cr, name)(x, axis).numpy(),
                native(lambda t, n=name, a=axis: getattr(cr, n)(t, a), x),
            ):
                np.testing.assert_array_equal(found, expected)
                assert found.shape == expected.shape


@pytest.mark.parametrize("dtype", [*DTYPES, "int8"])
def test_the_smallest(dtype):
    x = RANDOM.integers(0, 3, (4, 6)).astype(dtype)
    if dtype == "int8":
        x[1, 2] = -128
    for axis in (None, 0, 1, -1):
        np.testing.assert_array_equal(cr.argmin(x, axis).numpy(), np.argmin(x, axis))
    assert cr.tensor(x).argmin(1, keepdims=True).shape == (4, 1)
    np.testing.assert_array_equal(native(lambda t: t.argmin(1), x), np.argmin(x, 1))
    if dtype == "float64":
        x[2, 3] = np.nan
        np.testing.assert_array_equal(cr.argmin(x, 1).numpy(), np.argmin(x, 1))
        np.testing.assert_array_equal(native(lambda t: t.argmin(1), x), np.argmin(x, 1))
        least = np.array([5, np.iinfo(np.int64).min, 3])
        assert cr.argmin(least).item() == 1


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "int32"])
@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_running_sums_and_products(name, dtype):
    for shape in [(), (5,), (1,), (0,), (3, 4), (2, 33, 3), (0, 2), (2, 0)]:
        x = np.asarray(numbers(shape, dtype), dtype)
        for axis in (None, *(range(-len(shape), len(shape)) if shape else (0, -1))):
            expected = getattr(np, name)(x, axis=axis)
            if x.dtype.kind == "f":
                expected = getattr(np, name)(x.astype("float64"), axis=axis).astype(dtype)
            found = getattr(cr, name)(x, axis)
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-30)
            assert found.dtype == expected.dtype
            if dtype in ("float32", "float64", "int64"):
                np.testing.assert_array_equal(
                    native(lambda t, a=axis: getattr(cr, name)(t, a), x), found.numpy()
                )
    assert getattr(cr, name)([1, 2], dtype="float64").dtype == np.float64
    assert getattr(cr.tensor([[1, 2]]), name)(dim=1).tolist() == [
        getattr(np, name)([1, 2]).tolist()
    ]


def test_long_running_sums_keep_their_digits():
    x = np.full(3_000_000, 0.1, np.float32)
    expected = np.cumsum(x, dtype="float64")
    for found in (cr.cumsum(x).numpy(), native(cr.cumsum, x)):
        np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_differences_and_integrals():
    x = RANDOM.uniform(-1, 1, (4, 6))
    where = np.sort(RANDOM.uniform(-1, 1, 6))
    for n in (0, 1, 2, 9):
        for axis in (0, 1, -1):
            np.testing.assert_allclose(cr.diff(x, n, axis).numpy(), np.diff(x, n, axis))
    np.testing.assert_array_equal(
        cr.diff([True, False, False]).numpy(), np.diff([True, False, False])
    )
    with pytest.raises(cr.ShapeError, match="n is not negative"):
        cr.diff(x, -1)
    for arguments in ({}, {"dx": 0.5}, {"x": where}, {"axis": 0}, {"x": where[:4], "axis": 0}):
        expected = np.trapezoid(x, **arguments)
        np.testing.assert_allclose(cr.trapezoid(x, **arguments).numpy(), expected)
        found = native(lambda t, k=arguments: cr.trapezoid(t, **k), x)
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(
    ("y", "x", "axis"),
    [
        ((3,), (2, 3), -1),
        ((2, 3, 4), (2, 3, 4), 1),
        ((2, 3, 4), (1, 3, 1), 1),
        ((2, 3, 4), (3, 4), -1),
        ((2, 3, 4), (2,), 0),
    ],
)
def test_trapezoid_along_the_axis_of_both(y, x, axis):
    trapezoid = getattr(np, "trapezoid", None) or np.trapz
    y, x = RANDOM.uniform(-1, 1, y), np.sort(RANDOM.uniform(-1, 1, x))
    found = cr.trapezoid(y, x, axis=axis)
    np.testing.assert_allclose(found.numpy(), trapezoid(y, x, axis=axis))


def test_trapezoid_of_other_places_than_values():
    for y, x in (((3,), (2, 2)), ((2, 2), (2, 3, 4)), ((2, 3), (2, 1)), ((2, 3), (2,))):
        with pytest.raises(cr.ShapeError, match="trapezoid: x has one place for each of the"):
            cr.trapezoid(np.ones(y), np.ones(x))


def test_trapezoid_of_integers():
    times = np.array([1_700_000_000, 1_700_000_001, 1_700_000_003])
    assert cr.trapezoid([1.0, 2.0, 4.0], times).item() == 7.5
    assert cr.trapezoid(np.array([200, 200], np.uint8)).item() == 200.0
    assert cr.trapezoid([1, 1], np.array([3, 1], np.uint8)).item() == -2.0


def test_averages():
    x = RANDOM.uniform(-1, 1, (3, 4))
    w = RANDOM.uniform(0, 1, (3, 4))
    for axis in (None, 0, 1):
        for keepdims in (False, True):
            np.testing.assert_allclose(
                cr.average(x, axis, w, keepdims).numpy(),
                np.average(x, axis, w, keepdims=keepdims),
            )
    np.testing.assert_allclose(cr.average(x, 1, w[0]).numpy(), np.average(x, 1, w[0]))
    np.testing.assert_allclose(cr.average(x, 0, w[:, 0]).numpy(), np.average(x, 0, w[:, 0]))
    np.testing.assert_allclose(cr.average(x).numpy(), np.average(x))
    with pytest.raises(cr.ShapeError, match=r"weights of shape \(2,\) for shape \(3, 4\)"):
        cr.average(x, 1, [1.0, 2.0])


@pytest.mark.parametrize("name", ["nansum", "nanmean", "nanmax", "nanmin"])
def test_nan_is_skipped(name):
    x = RANDOM.uniform(-1, 1, (3, 4))
    x[0, 1] = x[2, 3] = np.nan
    for axis in (None, 0, 1):
        expected = np.asarray(getattr(np, name)(x, axis))
        np.testing.assert_allclose(getattr(cr, name)(x, axis).numpy(), expected)
        np.testing.assert_allclose(native(lambda t, a=axis: getattr(cr, name)(t, a), x), expected)
    with np.errstate(all="ignore"):
        whole = getattr(cr, name)(np.full((2, 2), np.nan), 1).numpy()
    assert np.isnan(whole).all() or name == "nansum"
    ints = getattr(cr, name)([1, 2, 6])
    assert ints.item() == getattr(np, name)([1, 2, 6])
    leaf = cr.tensor(x, requires_grad=True)
    gradient = cr.grad(getattr(cr, name)(leaf), leaf).numpy()
    assert np.isfinite(gradient).all() and (gradient[np.isnan(x)] == 0).all()


@pytest.mark.parametrize(
    ("name", "level", "spread"),
    [
        ("var", 1e4, 0.01),
        ("var", 1e6, 0.1),
        ("std", 1e6, 0.1),
        ("std", 1e30, 1e28),
        ("std", 1e-30, 1e-32),
    ],
)
def test_the_spread_of_float32_numbers_far_from_0_or_of_any_size(name, level, spread):
    x = (level + spread * RANDOM.standard_normal((50, 4))).astype(np.float32)

    def with_gradient(x):
        y = getattr(x, name)(axis=0, correction=1)
        return [y, cr.grad(y.sum(), x)]

    exact = [t.numpy() for t in with_gradient(cr.tensor(x, "float64", requires_grad=True))]
    np.testing.assert_allclose(exact[0], getattr(np, name)(x.astype(float), 0, ddof=1), rtol=1e-9)
    eager = [t.numpy() for t in with_gradient(cr.tensor(x, requires_grad=True))]
    for found in (eager, run_native(lambda b: with_gradient(b.node()), x)):
        for y, wanted in zip(found, exact, strict=True):
            assert y.dtype == np.float32
            np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-7 * np.abs(wanted).max())


@pytest.mark.parametrize("x", [[1e30, 1e-30] * 4, [1e30, 1e30, 1e-30, 1e-30]])
def test_products_of_parts_may_be_beyond_float32(x):
    x = np.array(x, np.float32)
    products = np.cumprod(x.astype(float))
    products[products > 1e38] = np.inf
    for name, expected in (("prod", products[-1]), ("cumprod", products)):
        function = getattr(cr, name)
        with np.errstate(over="ignore"):
            eager = function(cr.tensor(x)).numpy()
        for found in (eager, native(function, x)):
            np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_long_running_products_keep_their_digits():
    x = np.exp(0.01 * RANDOM.standard_normal(100_000)).astype(np.float32)
    expected = np.cumprod(x.astype(float))
    for found in (cr.cumprod(cr.tensor(x)).numpy(), native(cr.cumprod, x)):
        np.testing.assert_allclose(found, expected, rtol=2e-7)


# Gradients


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["prod", "cumprod"])
def test_products_with_zeros_have_their_gradients(name, zeros):
    x = RANDOM.uniform(0.5, 2, (2, 5))
    x[0, :zeros] = 0
    g = RANDOM.standard_normal((2,) if name == "prod" else (2, 5))
    leaf, theirs = cr.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    found = cr.grad(getattr(cr, name)(leaf, 1), leaf, g).numpy()
    (getattr(torch, name)(theirs, 1) * torch.tensor(g)).sum().backward()
    np.testing.assert_allclose(found, theirs.grad.numpy(), rtol=1e-12, atol=1e-14)
    check_gradient(lambda t: getattr(cr, name)(t, 1), x, order=3)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: cr.ptp(x, 1), lambda x: cr.average(x, 0, x * x), lambda x: cr.diff(x, 2),
        lambda x: cr.trapezoid(x, x), lambda x: cr.cumsum(x, 0), lambda x: cr.sinc(x),
        lambda x: cr.clip(x, -0.4, 0.9), lambda x: cr.clip(x, x * 0.5, 0.9),
        lambda x: cr.fmax(x, 0.3),
        lambda x: cr.rsqrt(x + 3.0), lambda x: cr.reciprocal(x + 3.0), lambda x: cr.square(x),
        lambda x: cr.nan_to_num(x), lambda x: cr.float_power(x + 3.0, 1.5), lambda x: cr.tril(x, 1),
        lambda x: cr.triu(x), lambda x: cr.std(x, 1, ddof=1), lambda x: cr.degrees(x),
        lambda x: cr.copysign(x, -x), lambda x: cr.logaddexp(x, x), lambda x: cr.hypot(x, 0.5),
    ],
)  # fmt: skip
def test_gradients_of_any_order(function):
    check_gradient(function, RANDOM.uniform(-2, 2, (3, 4)), order=3)


def test_gradients_of_sinc_at_0():
    for order, expected in ((1, 0.0), (2, -(np.pi**2) / 3), (3, 0.0), (4, np.pi**4 / 5)):
        x = cr.tensor(np.zeros(()), requires_grad=True)
        y = cr.sinc(x)
        for _ in range(order):
            y = cr.grad(y, x)
        assert y.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["hypot", "atan2"])
def test_gradients_at_the_origin_are_0(name):
    a, b = (cr.tensor([0.0], requires_grad=True) for _ in range(2))
    assert [g.tolist() for g in cr.grad(getattr(cr, name)(a, b), [a, b], [1.0])] == [[0.0], [0.0]]


@pytest.mark.parametrize("name", ["floor", "ceil", "rint", "trunc", "round", "floor_divide"])
def test_no_gradient_passes_rounding(name):
    x = cr.tensor([0.4, 2.6], requires_grad=True)
    others = (0.7,) if name == "floor_divide" else ()
    y = (x * getattr(cr, name)(x, *others)).sum()
    np.testing.assert_array_equal(cr.grad(y, x).numpy(), getattr(cr, name)(x, *others).numpy())


@pytest.mark.parametrize(
    "name",
    [
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "asinh",
        "acosh",
        "atanh",
        "exp2",
        "log2",
        "log10",
        "expm1",
        "log1p",
        "erf",
        "erfc",
        "rsqrt",
        "sinc",
        "square",
        "reciprocal",
        "deg2rad",
    ],
)
def test_gradients_are_pytorchs(name):
    x = RANDOM.uniform(1.1, 2, 9) if name == "acosh" else RANDOM.uniform(0.1, 0.9, 9)
    g = RANDOM.standard_normal(9)
    leaf, theirs = cr.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    (getattr(torch, name)(theirs) * torch.tensor(g)).sum().backward()
    found = cr.grad(getattr(cr, name)(leaf), leaf, g).numpy()
    np.testing.assert_allclose(found, theirs.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    "name", ["remainder", "fmod", "atan2", "hypot", "logaddexp", "copysign", "fmax", "fmin"]
)
def test_gradients_of_two_are_pytorchs(name):
    x = [RANDOM.uniform(-4, 4, 20), RANDOM.uniform(-2, 2, 20)]
    ours = [cr.tensor(a, requires_grad=True) for a in x]
    theirs = [torch.tensor(a, requires_grad=True) for a in x]
    getattr(torch, name)(*theirs).sum().backward()
    found = cr.grad(getattr(cr, name)(*ours).sum(), ours)
    for gradient, t in zip(found, theirs, strict=True):
        np.testing.assert_allclose(gradient.numpy(), t.grad.numpy(), rtol=1e-12)


def test_clip_passes_the_gradient_where_pytorch_does():
    x = np.array([-2.0, -1.0, 0.5, 1.0, 3.0])
    leaf, theirs = cr.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    theirs.clamp(-1, 1).sum().backward()
    np.testing.assert_array_equal(cr.grad(leaf.clip(-1, 1).sum(), leaf).numpy(), theirs.grad)


# PyTorch's pair of values and indices


@pytest.mark.parametrize("rows", [2, 3])
@pytest.mark.parametrize("name", ["max", "min"])
def test_the_result_of_max_is_no_pair(name, rows):
    x = cr.tensor(RANDOM.uniform(0, 1, (rows, 4)), requires_grad=True)
    for t in (x, cr.tensor(x.numpy()), cr.placeholder((rows, 4))):
        for call in (
            lambda t=t: getattr(t, name)(1),
            lambda t=t: getattr(t, name)(dim=1),
            lambda t=t: getattr(cr, name)(t, axis=1, keepdims=True),
        ):
            with pytest.raises(TypeError, match=r"x\.argmax\(axis\)"):
                _, _ = call()
    with pytest.raises(TypeError, match=r"x\.argmax\(axis\)"), cr.no_grad():
        _, _predicted = x.max(1)


def test_other_tensors_and_loops_are_taken_apart():
    x = cr.tensor([[1.0, 3.0], [4.0, 2.0]])
    a, b = x
    assert (a.tolist(), b.tolist()) == ([1.0, 3.0], [4.0, 2.0])
    low, high = x.sum(1)
    assert (low.item(), high.item()) == (4.0, 6.0)
    first, second = x.max(1).tolist()
    assert (first, second) == (3.0, 4.0)
    assert [t.item() for t in x.max(1)] == [3.0, 4.0]
    assert len(list(x.max(0))) == 2
    assert [float(t) for t, _ in zip(x.max(1), range(2), strict=True)] == [3.0, 4.0]
    first, second, third = cr.tensor([1, 2, 3])
    assert third.item() == 3
    first, second = map(list, (cr.tensor([1, 2, 3]), cr.tensor([4])))
    assert (len(first), len(second)) == (3, 1)


@pytest.mark.parametrize("name", ["sum", "mean", "prod"])
def test_a_dtype_is_taken_before_the_reduction(name):
    x = np.full((3, 2), 1.1, np.float32)
    for found in (
        getattr(cr, name)(x, 0, dtype="float64"),
        getattr(cr.tensor(x), name)(0, dtype=np.float64),
    ):
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found.numpy(), getattr(np, name)(x, 0, dtype="float64"))


def test_axes_are_one_or_several():
    x = cr.tensor(np.ones((2, 3, 4)))
    assert x.sum([0, 1]).shape == x.sum((0, 1)).shape == (4,)
    assert x.sum(np.array([0, 1])).shape == x.sum({0, 1}).shape == (4,)
    assert x.sum(np.int64(1)).shape == x.sum(cr.tensor(1)).shape == (2, 4)
    with pytest.raises(TypeError, match=r"(?s)max: the axis is a whole number.*it is maximum"):
        cr.max(x, x)  # PyTorch's torch.max(a, b)
    with pytest.raises(TypeError, match=r"sum: the axis is a whole number, or several, got 1\.5"):
        x.sum(1.5)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: cr.prod(x, 1), lambda x: cr.cumprod(x, 0), lambda x: cr.cumsum(x, 1),
        lambda x: cr.ptp(x), lambda x: cr.diff(x, 2), lambda x: cr.sinc(x), lambda x: cr.atan(x),
        lambda x: cr.remainder(x, 0.7), lambda x: cr.fmod(x, 0.7), lambda x: cr.clip(x, -1, 1),
        lambda x: cr.logaddexp(x, 0.5), lambda x: cr.hypot(x, 1.5), lambda x: cr.atan2(x, 2.0),
        lambda x: cr.tril(x), lambda x: cr.std(x, 0, ddof=1), lambda x: cr.nan_to_num(x),
        lambda x: cr.tan(x * 0.5), lambda x: cr.exp2(x), lambda x: cr.average(x, 0, x * x + 1.0),
        lambda x: cr.where((x > 0) & ~(x > 1), x * x, cr.floor(x) * x), lambda x: cr.nanmax(x, 0),
        lambda x: cr.copysign(x, -1.0), lambda x: cr.erfc(x), lambda x: cr.asinh(x) * cr.sinh(x),
    ],
)  # fmt: skip
def test_second_gradients_are_the_same_natively(function):
    x = cr.Parameter(RANDOM.uniform(-2, 2, (4, 5)), "float64")

    def gradients():
        first = cr.grad((function(x) * function(x)).sum(), x)
        return first, cr.grad((first * first).sum(), x)

    expected = [g.numpy() for g in gradients()]
    step = NativeStep(cr.capture(gradients), StateBlock([x]))
    step.run(None, 0, 1)
    for found, wanted in zip(step.outputs(), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1), (1, 2)])
@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 0, 3)])
def test_a_product_without_a_graph_has_the_bits_of_one_with(shape, axis):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    plain = cr.prod(cr.tensor(x), axis)
    of_graph = cr.prod(cr.tensor(x, requires_grad=True), axis)
    np.testing.assert_array_equal(plain.numpy(), of_graph.numpy(), strict=True)
    np.testing.assert_allclose(plain.numpy(), np.prod(x, axis), rtol=1e-5)
