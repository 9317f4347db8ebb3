"""NumPy's functions on Tensors: with their gradient, or refused; values where values are meant."""

import numpy as np
import pytest

import chainrule as cr

A = np.array([5.0, 7.0], np.float32)


@pytest.fixture
def w():
    return cr.Parameter([1.0, 2.0])


CALLS = {
    "exp": lambda w: np.exp(w),
    "sum": lambda w: np.sum(w),
    "sum of an axis": lambda w: np.sum(w, axis=0, keepdims=True),
    "sum of an axis in place": lambda w: np.sum(np.stack([w, w]), 1),
    "mean": lambda w: np.mean(w),
    "std": lambda w: np.std(w, ddof=1),
    "var": lambda w: np.var(w),
    "max": lambda w: np.amax(w, 0),
    "where": lambda w: np.where(A > 6, w, 0.0),
    "concatenate": lambda w: np.concatenate([A, w * w]),
    "stack": lambda w: np.stack([w, A], axis=1),
    "reshape": lambda w: np.reshape(w, (2, 1)),
    "transpose": lambda w: np.transpose(np.reshape(w, (1, 2)), axes=(1, 0)),
    "broadcast": lambda w: np.broadcast_to(w, (3, 2)),
    "maximum": lambda w: np.maximum(w, 1.5),
    "add": lambda w: np.add(A, w),
    "power": lambda w: np.power(w, 3),
    "absolute": lambda w: np.abs(w),
    "matmul": lambda w: np.matmul(w, A),
    "reduce": lambda w: np.add.reduce(w),
    "reduce of all": lambda w: np.maximum.reduce(np.stack([w, w]), axis=None),
    "array * Tensor": lambda w: A * w,
    "array @ Tensor": lambda w: A @ w,
    "array - Tensor": lambda w: np.float64(3.0) - w,
    "array / Tensor": lambda w: A / w,
}


@pytest.mark.parametrize("name", CALLS)
def test_a_function_that_chainrule_has_keeps_the_gradient(name, w):
    y = CALLS[name](w)
    assert type(y) is cr.Tensor
    expected = CALLS[name](w.numpy().copy())
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    gradient = cr.grad(y.sum(), w)
    step = 1e-3
    for i in range(2):
        unit = np.zeros(2)
        unit[i] = step
        x = w.numpy().astype(np.float64)
        slope = (np.sum(CALLS[name](x + unit)) - np.sum(CALLS[name](x - unit))) / (2 * step)
        assert gradient[i].item() == pytest.approx(slope, abs=1e-3)
    symbolic = cr.capture(CALLS[name], cr.placeholder((2,)))
    np.testing.assert_allclose(symbolic(w.numpy()), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda w: np.histogram(w),
        lambda w: np.resize(w, 3),
        lambda w: np.linspace(0, w, 3),
        lambda w: np.mean(w, where=[True, False]),
        lambda w: np.add(w, w, out=A.copy()),
        lambda w: np.add.at(A.copy(), 0, w),
        lambda w: np.add.outer(w, w),
        lambda w: np.multiply.accumulate(w),
        lambda w: np.nextafter(w, w),
    ],
)
def test_other_functions_are_refused_with_the_remedy(call, w):
    with pytest.raises(TypeError, match=r"x\.numpy\(\) for the values"):
        call(w)
    with pytest.raises(cr.SymbolicError, match="no value yet"):
        call(cr.placeholder((2,)))


@pytest.mark.parametrize(
    ("call", "ours"),
    [
        (lambda w: np.median(w), r"np\.median\(x\.numpy\(\), axis\), without a gradient"),
        (lambda w: np.copyto(A.copy(), w), r"cr\.where\(mask, values, x\)"),
        (lambda w: np.put(w, 0, 1.0), r"cr\.put\(x, indices, values\), which returns a new Tensor"),
        (lambda w: np.cumulative_sum(w), r"cr\.cumsum\(x, axis\)"),
        (lambda w: np.unique_counts(w), r"cr\.unique\(x, return_counts=True\)"),
        (lambda w: np.isposinf(w), r"x == cr\.inf"),
        (lambda w: np.fft.fft(w), r"np\.fft of x\.numpy\(\), without a gradient"),
    ],
)
def test_functions_that_have_another_name_say_it(call, ours, w):
    with pytest.raises(TypeError, match=f"; here it is {ours}"):
        call(w)
    shown = "has no form" if "numpy" in ours else f"; here it is {ours}"  # which takes values
    with pytest.raises(cr.SymbolicError, match=rf"{shown}.*\. A symbolic .* no value yet"):
        call(cr.placeholder((2,)))


@pytest.mark.parametrize("name", ["dot", "outer", "clip", "prod", "cumsum", "isnan", "floor"])
def test_no_function_loses_the_gradient(name, w):
    arguments = {"dot": (A,), "outer": (A,), "clip": (0.0, 1.5)}.get(name, ())
    try:
        result = getattr(np, name)(w, *arguments)
    except TypeError as error:
        assert "for the values" in str(error)
    else:
        assert type(result) is cr.Tensor
        np.testing.assert_allclose(result, getattr(np, name)(w.numpy(), *arguments))


def test_an_array_is_not_changed_in_place_by_a_tensor(w):
    array = A.copy()
    with pytest.raises(TypeError):
        array += w
    assert array.tolist() == A.tolist()


def test_values_where_values_are_meant(w):
    for array in (np.asarray(w), np.array(w), np.copy(w), np.array([w, w])[0]):
        assert type(array) is np.ndarray and array.tolist() == [1.0, 2.0]
    assert np.array_equal(w, w) and np.allclose(w, [1.0, 2.0])
    for x in (w, cr.placeholder((2,)), w * cr.placeholder((2,))):  # of values that are not known
        assert np.shape(x) == (2,) and np.ndim(x) == 1 and np.size(x) == np.size(x, 0) == 2
        assert np.result_type(x, np.int8) == w.dtype and np.can_cast(x.dtype, "float64")
        assert np.isrealobj(x) and not np.iscomplexobj(x)
    assert np.array2string(w.detach()) == "[1. 2.]"
    np.testing.assert_allclose(w, [1.0, 2.0])
    np.testing.assert_array_equal(w * w, [1.0, 4.0])
    np.testing.assert_equal(w, np.array([1.0, 2.0], np.float32))
    with pytest.raises(cr.SymbolicError):
        np.asarray(cr.placeholder((2,)))
    with pytest.raises(cr.SymbolicError):
        np.array_equal(cr.placeholder((2,)), 1.0)


def test_functions_of_scipy(w):
    special = pytest.importorskip("scipy.special")
    gradient = cr.grad(special.expit(w).sum(), w)
    np.testing.assert_allclose(gradient, [0.19661193, 0.10499359], rtol=1e-6)
    with pytest.raises(TypeError, match="gamma has no form"):
        special.gamma(w)


def test_columns_of_pandas(w):
    pandas = pytest.importorskip("pandas")
    for y in (pandas.Series(A) * w, w * pandas.Series(A)):
        assert type(y) is cr.Tensor and y.requires_grad


def test_a_number_is_formatted_as_a_number():
    assert f"{cr.tensor(0.123456):.3f}" == "0.123"
    assert f"{cr.tensor([1.0])}" == "tensor([1.])"
