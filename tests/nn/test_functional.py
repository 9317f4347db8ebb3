"""Layers as functions, beside PyTorch's functions of the same names."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

RANDOM = np.random.default_rng(3)


@pytest.mark.parametrize("shape", [(4, 3), (3,), (2, 5, 3), (0, 3)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_linear_is_pytorchs(shape, has_bias):
    torch = pytest.importorskip("torch")
    x, W, b = (RANDOM.standard_normal(s) for s in (shape, (2, 3), 2))
    arguments = (x, W, b) if has_bias else (x, W)
    ours = [cr.tensor(a, requires_grad=True) for a in arguments]
    theirs = [torch.tensor(a, requires_grad=True) for a in arguments]
    found, expected = nn.functional.linear(*ours), torch.nn.functional.linear(*theirs)
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), rtol=1e-12)
    (found * found).sum().backward()
    (expected * expected).sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-12)


def test_linear_is_the_layer():
    layer = nn.Linear(3, 2, dtype="float64")
    x = RANDOM.standard_normal((4, 3))
    found = nn.functional.linear(x, layer.weight, layer.bias)
    np.testing.assert_array_equal(found.numpy(), layer(x).numpy())


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((4, 3), (2, 5)), r"the input has shape \(4, 3\), the weight \(2, 5\).*out_features"),
        (((), (2, 1)), r"the input has shape \(\), the weight \(2, 1\)"),
        (((4, 3), (3,)), r"the weight \(3,\)"),
        (((4, 3), (2, 3), (1,)), r"the bias has shape \(1,\), not \(2,\)"),
    ],
)
def test_shapes_that_do_not_fit_linear(shapes, message):
    with pytest.raises(cr.ShapeError, match="linear: .*" + message):
        nn.functional.linear(*(np.ones(shape) for shape in shapes))


def test_dtypes_of_linear():
    x, W = np.ones((4, 3), "float32"), np.ones((2, 3))
    assert nn.functional.linear(x, W).dtype == np.float64
    with pytest.raises(cr.DTypeError, match="floating"):
        nn.functional.linear(x.astype(int), W.astype(int))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["elu", "elu of alpha 1/2", "selu", "celu of alpha 2"])
def test_slopes_of_exponential_units_keep_their_digits_far_below_0(name, dtype):
    functional = nn.functional
    function, factor, width = {
        "elu": (functional.elu, 1, 1),
        "elu of alpha 1/2": (lambda x: functional.elu(x, 0.5), 0.5, 1),
        "selu": (functional.selu, 1.0507009873554805 * 1.6732632423543772, 1),
        "celu of alpha 2": (lambda x: functional.celu(x, 2.0), 1, 2),
    }[name]

    def slopes(x):
        return cr.grad(function(x), x, grad_output=np.ones(x.shape, x.dtype))

    x = -np.linspace(0, 60, 301, dtype=dtype)
    expected = factor * np.exp(x.astype(np.longdouble) / width)
    for found in (slopes(cr.tensor(x, requires_grad=True)), cr.compile(slopes)(x)):
        relative = np.abs(found.numpy() / expected - 1)
        assert relative.max() < 6 * np.finfo(dtype).eps
