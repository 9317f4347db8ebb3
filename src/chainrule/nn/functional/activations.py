"""Activations as functions of the graph, composed of operations.

Where an activation has a kink, its derivative there is PyTorch's; each docstring says which.
`inplace` is taken because PyTorch takes it, and means nothing: a Tensor is never changed.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks, ops
from chainrule.errors import ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor, plain_number
from chainrule.nn import arguments
from chainrule.nn.functional.normalisation import over_axis_1
from chainrule.ops import expm1, maximum, minimum, sigmoid, tanh, where
from chainrule.ops.axis_numbers import axis_or_all
from chainrule.ops.random import uniform

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
]

# Klambauer et al. 2017, equation 14: with these, mean 0 and variance 1 are a fixed point.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946

_LINEAR_FROM = 17.0  # from here on softplus(x) is x, and its derivative 1, in all digits of float32


@both_names()
def relu(input: TensorLike, inplace: bool = False) -> Tensor:
    """max(0, x); see `chainrule.relu`."""
    return ops.relu(input)


@both_names()
def leaky_relu(input: TensorLike, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x for x > 0, else negative_slope * x. The derivative at 0 is `negative_slope`.

    Source: Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic models",
    ICML 2013.

    Example:
        >>> import chainrule as cr
        >>> leaky_relu(cr.tensor([-2.0, 3.0]), 0.5)
        tensor([-1.,  3.])
    """
    x = as_tensor(input)
    return where(x > 0.0, x, plain_number("negative_slope", negative_slope) * x)


@both_names()
def prelu(input: TensorLike, weight: TensorLike) -> Tensor:
    """x for x > 0, else weight * x. The derivative at 0 is `weight`.

    Args:
        input: any shape.
        weight: one slope, of shape () or (1,), or one for each channel, of (input.shape[1],).

    Source: He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015.

    Raises:
        ShapeError: if the number of slopes is neither 1 nor that of the channels.

    Example:
        >>> import chainrule as cr
        >>> prelu(cr.tensor([[-2.0, -2.0, 3.0]]), [0.5, 0.25, 0.1])
        tensor([[-1. , -0.5,  3. ]])
    """
    x = as_tensor(input)
    if not isinstance(weight, Tensor) and x.dtype.kind == "f":
        weight = as_tensor(weight, x.dtype)
    weight = as_tensor(weight)
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.shape not in ((), (1,), (channels,)):
        raise ShapeError(
            f"prelu: the weight has shape {weight.shape}; an input of shape {x.shape} takes (1,) "
            f"or ({channels},), one slope for each channel (axis 1)"
        )
    slope = weight.reshape(()) if weight.shape in ((), (1,)) else over_axis_1(weight, x)
    return where(x > 0.0, x, slope * x)


@both_names()
def elu(input: TensorLike, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x for x > 0, else alpha (exp(x) - 1). The derivative at 0 is `alpha`.

    The graph is relu(x) + alpha expm1(min(x, 0)), which never takes exp of a large number. At the
    tie x = 0 the derivative of relu is 0, and that of the minimum with respect to x is 1.

    Source: Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by
    exponential linear units", ICLR 2016.

    Example:
        >>> import chainrule as cr
        >>> elu(cr.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.    ])
    """
    x = as_tensor(input)
    return relu(x) + plain_number("alpha", alpha) * expm1(minimum(x, 0.0))


@both_names()
def selu(input: TensorLike, inplace: bool = False) -> Tensor:
    """scale * elu(x, alpha), with scale = 1.0507... and alpha = 1.6733...

    The derivative at 0 is scale * alpha.

    Source: Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NIPS 2017.

    Example:
        >>> import chainrule as cr
        >>> selu(cr.tensor([0.0, 1.0]))
        tensor([0.    , 1.0507])
    """
    return SELU_SCALE * elu(input, SELU_ALPHA)


@both_names()
def gelu(input: TensorLike, approximate: str = "none") -> Tensor:
    """x Phi(x), where Phi is the distribution function of the standard normal distribution.

    Formula: Phi(x) = (1 + erf(x / sqrt(2))) / 2; with approximate="tanh"
    (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.

    Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016.

    Raises:
        ValueError: if `approximate` is neither "none" nor "tanh".

    Example:
        >>> import chainrule as cr
        >>> gelu(cr.tensor([-1.0, 0.0, 1.0]))
        tensor([-0.1587,  0.    ,  0.8413])
    """
    x = as_tensor(input)
    if approximate == "none":
        return x * ops.normal_cdf(x)
    if approximate == "tanh":
        inner = tanh((x + 0.044715 * x**3) * math.sqrt(2 / math.pi))
        return x * (inner + 1.0) * 0.5
    raise ValueError(f"gelu: approximate is 'none' or 'tanh', got {approximate!r}")


@both_names()
def silu(input: TensorLike, inplace: bool = False) -> Tensor:
    """x sigmoid(x), also known as swish.

    Source: Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units", Neural Networks 107, 2018.

    Example:
        >>> import chainrule as cr
        >>> silu(cr.tensor([0.0, 1.0]))
        tensor([0.    , 0.7311])
    """
    x = as_tensor(input)
    return x * sigmoid(x)


@both_names()
def mish(input: TensorLike, inplace: bool = False) -> Tensor:
    """x tanh(softplus(x)).

    Source: Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020.

    Example:
        >>> import chainrule as cr
        >>> mish(cr.tensor([0.0, 1.0]))
        tensor([0.    , 0.8651])
    """
    x = as_tensor(input)
    return x * ops.tanh_softplus(x)


@both_names()
def softplus(input: TensorLike, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta; x itself where beta x > threshold.

    The operation is safe for any x, so the threshold only reproduces PyTorch's numbers.

    Source: Dugas, Bengio, et al., "Incorporating second-order functional knowledge for better
    option pricing", NIPS 2000.

    Example:
        >>> import chainrule as cr
        >>> softplus(cr.tensor([0.0, 100.0]))
        tensor([  0.6931, 100.    ])
    """
    x = as_tensor(input)
    beta = plain_number("beta", beta)
    limit = plain_number("threshold", threshold)
    if beta == 1 and limit >= _LINEAR_FROM and x.dtype == np.float32:
        return ops.softplus(x)
    scaled = beta * x
    return where(scaled > limit, x, ops.softplus(scaled) / beta)


@both_names()
def hardtanh(
    input: TensorLike, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """x clipped to [`min_val`, `max_val`]. The derivative at both bounds is 0.

    Example:
        >>> import chainrule as cr
        >>> hardtanh(cr.tensor([-2.0, 0.5, 2.0]))
        tensor([-1. ,  0.5,  1. ])
    """
    x = as_tensor(input)
    low, high = plain_number("min_val", min_val), plain_number("max_val", max_val)
    if low > high:
        raise ValueError(f"hardtanh: min_val {min_val} is greater than max_val {max_val}")
    return maximum(low, minimum(high, x))  # of a tie the bound takes the gradient


@both_names()
def relu6(input: TensorLike, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6). The derivative at 0 and at 6 is 0.

    Source: Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision
    applications", 2017.
    """
    return hardtanh(input, 0.0, 6.0)


@both_names()
def hardswish(input: TensorLike, inplace: bool = False) -> Tensor:
    """x min(max(x + 3, 0), 6) / 6: an approximation of silu by linear and quadratic pieces.

    The derivative at -3 is 0, at 3 it is 1.

    Source: Howard et al., "Searching for MobileNetV3", ICCV 2019.

    Example:
        >>> import chainrule as cr
        >>> hardswish(cr.tensor([-4.0, 1.5, 4.0]))
        tensor([0.   , 1.125, 4.   ])
    """
    x = as_tensor(input)
    return where(x <= -3.0, 0.0, x * ((minimum(3.0, x) + 3.0) / 6.0))


@both_names()
def softsign(input: TensorLike) -> Tensor:
    """x / (1 + |x|).

    Source: Bergstra, Desjardins, Lamblin, Bengio, "Quadratic polynomials learn better image
    features", 2009.

    Example:
        >>> import chainrule as cr
        >>> softsign(cr.tensor([-1.0, 3.0]))
        tensor([-0.5 ,  0.75])
    """
    x = as_tensor(input)
    return x / (1.0 + ops.abs(x))


@both_names()
def logsigmoid(input: TensorLike) -> Tensor:
    """log(1 / (1 + exp(-x))), without overflow.

    Example:
        >>> import chainrule as cr
        >>> logsigmoid(cr.tensor([0.0, -100.0]))
        tensor([  -0.6931, -100.    ])
    """
    return -ops.softplus(-as_tensor(input))


@both_names()
def glu(input: TensorLike, dim: int = -1) -> Tensor:
    """a sigmoid(b), where a and b are the two halves of x along the axis `dim`.

    Source: Dauphin, Fan, Auli, Grangier, "Language modeling with gated convolutional networks",
    ICML 2017.

    Raises:
        ShapeError: if the axis is missing or its length is odd.

    Example:
        >>> import chainrule as cr
        >>> glu(cr.tensor([2.0, 4.0, 0.0, 0.0]))
        tensor([1., 2.])
    """
    x, dim = as_tensor(input), checks.integer("glu: dim", dim)
    if not -x.ndim <= dim < x.ndim or x.shape[dim] % 2:
        raise ShapeError(
            f"glu: the axis {dim} must exist and have an even length; the input has shape {x.shape}"
        )
    before = (slice(None),) * (dim % x.ndim)
    half = x.shape[dim] // 2
    return x[(*before, slice(half))] * sigmoid(x[(*before, slice(half, None))])


@both_names()
def celu(input: TensorLike, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1)). The derivative at 0 is 1.

    Source: Barron, "Continuously differentiable exponential linear units", 2017.

    Raises:
        ValueError: if alpha is not positive.

    Example:
        >>> import chainrule as cr
        >>> celu(cr.tensor([-2.0, 2.0]), alpha=2.0)
        tensor([-1.2642,  2.    ])
    """
    x, a = as_tensor(input), checks.positive("alpha", alpha)
    return relu(x) + a * expm1(minimum(x, 0.0) / a)


@both_names()
def hardsigmoid(input: TensorLike, inplace: bool = False) -> Tensor:
    """min(max(x / 6 + 1/2, 0), 1). The derivative at -3 and at 3 is 0.

    Example:
        >>> import chainrule as cr
        >>> hardsigmoid(cr.tensor([-4.0, 1.5, 4.0]))
        tensor([0.  , 0.75, 1.  ])
    """
    x = as_tensor(input)
    return (hardtanh(x, -3.0, 3.0) + 3.0) / 6.0


@both_names()
def hardshrink(input: TensorLike, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0. The derivative at both bounds is 0.

    Example:
        >>> import chainrule as cr
        >>> hardshrink(cr.tensor([-1.0, 0.5, 2.0]))
        tensor([-1.,  0.,  2.])
    """
    x, bound = as_tensor(input), plain_number("lambd", lambd)
    return where(ops.abs(x) <= bound, 0.0, x)


@both_names()
def softshrink(input: TensorLike, lambd: float = 0.5) -> Tensor:
    """x - lambd for x > lambd, x + lambd for x < -lambd, else 0. At the bounds the derivative is 0.

    Raises:
        ValueError: if lambd is negative.

    Example:
        >>> import chainrule as cr
        >>> softshrink(cr.tensor([-1.0, 0.5, 2.0]))
        tensor([-0.5,  0. ,  1.5])
    """
    x, bound = as_tensor(input), plain_number("lambd", lambd)
    if not bound >= 0:
        raise ValueError(f"softshrink: lambd is not negative, got {lambd}")
    return where(ops.abs(x) <= bound, 0.0, x - bound * ops.sign(x))


@both_names()
def tanhshrink(input: TensorLike) -> Tensor:
    """x - tanh(x).

    Example:
        >>> import chainrule as cr
        >>> tanhshrink(cr.tensor([0.0, 1.0]))
        tensor([0.    , 0.2384])
    """
    x = as_tensor(input)
    return x - tanh(x)


@both_names()
def threshold(input: TensorLike, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else `value`. The derivative at the threshold is 0.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.functional.threshold(cr.tensor([-1.0, 0.5, 2.0]), 0.5, 7.0)
        tensor([7., 7., 2.])
    """
    x = as_tensor(input)
    limit, value = plain_number("threshold", threshold), plain_number("value", value)
    return where(x <= limit, value, x)


@both_names()
def rrelu(
    input: TensorLike,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """x for x > 0, else a x: in training a is drawn from [lower, upper) for each element, else it
    is their mean.

    Source: Xu, Wang, Chen, Li, "Empirical evaluation of rectified activations in convolutional
    network", 2015.

    Raises:
        ValueError: if lower is above upper.

    Example:
        >>> import chainrule as cr
        >>> rrelu(cr.tensor([-2.0, 3.0]), 0.25, 0.75)
        tensor([-1.,  3.])
    """
    x = as_tensor(input)
    low, high = plain_number("lower", lower), plain_number("upper", upper)
    if not low <= high:
        raise ValueError(f"rrelu: lower is at most upper, got {lower} and {upper}")
    if not training:
        return leaky_relu(x, (low + high) / 2)
    return where(x > 0.0, x, (low + (high - low) * uniform(x.shape, x.dtype)) * x)


@both_names()
def softmax(input: TensorLike, dim: int | None = None, *, dtype: DTypeLike | None = None) -> Tensor:
    """exp(x) / sum(exp(x)) along the axis `dim`, of x in `dtype` if one is given."""
    x = _cast(input, dtype)
    return ops.softmax(x, axis_or_all("softmax", arguments.axis("softmax", dim), x.ndim))


@both_names()
def log_softmax(
    input: TensorLike, dim: int | None = None, *, dtype: DTypeLike | None = None
) -> Tensor:
    """The logarithm of softmax along the axis `dim`, of x in `dtype` if one is given."""
    x = _cast(input, dtype)
    return ops.log_softmax(
        x, axis_or_all("log_softmax", arguments.axis("log_softmax", dim), x.ndim)
    )


@both_names()
def softmin(input: TensorLike, dim: int | None = None, *, dtype: DTypeLike | None = None) -> Tensor:
    """Softmax of -x along the axis `dim`.

    Example:
        >>> import chainrule as cr
        >>> softmin(cr.tensor([[0.0, 1.0]]), dim=1)
        tensor([[0.7311, 0.2689]])
    """
    x = _cast(input, dtype)
    return ops.softmax(-x, axis_or_all("softmin", arguments.axis("softmin", dim), x.ndim))


def _cast(input: TensorLike, dtype: DTypeLike | None) -> Tensor:
    x = as_tensor(input)
    return x if dtype is None else x.astype(dtype)
