"""Activations as functions of the graph, composed of operations, under PyTorch's names.

Where an activation has a kink, its derivative there is PyTorch's; each docstring says which.
"""

from __future__ import annotations

import math

from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.ops import elementwise, loss
from chainrule.ops.elementwise import erf, expm1, minimum, relu, sigmoid, tanh, where

__all__ = [
    "elu",
    "gelu",
    "leaky_relu",
    "log_softmax",
    "mish",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]

# Klambauer et al. 2017, equation 14: they make mean 0 and variance 1 a fixed point.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def leaky_relu(input: TensorLike, negative_slope: float = 0.01) -> Tensor:
    """x for x > 0, else negative_slope * x. The derivative at 0 is `negative_slope`.

    Source: Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic models",
    ICML 2013.

    Example:
        >>> import chainrule as cr
        >>> leaky_relu(cr.tensor([-2.0, 3.0]), 0.5)
        tensor([-1.,  3.])
    """
    x = as_tensor(input)
    return where(x > 0.0, x, float(negative_slope) * x)


def elu(input: TensorLike, alpha: float = 1.0) -> Tensor:
    """x for x > 0, else alpha (exp(x) - 1). The derivative at 0 is `alpha`.

    It is written as relu(x) + alpha expm1(min(x, 0)), which never takes exp of a large number; of
    the tie at 0 relu takes no gradient and the minimum gives it to x.

    Source: Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by
    exponential linear units", ICLR 2016.

    Example:
        >>> import chainrule as cr
        >>> elu(cr.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.    ])
    """
    x = as_tensor(input)
    return relu(x) + float(alpha) * expm1(minimum(x, 0.0))


def selu(input: TensorLike) -> Tensor:
    """scale * elu(x, alpha), with scale = 1.0507... and alpha = 1.6733...

    The derivative at 0 is scale * alpha.

    Source: Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NIPS 2017.

    Example:
        >>> import chainrule as cr
        >>> selu(cr.tensor([0.0, 1.0]))
        tensor([0.    , 1.0507])
    """
    return SELU_SCALE * elu(input, SELU_ALPHA)


def gelu(input: TensorLike, approximate: str = "none") -> Tensor:
    """x Phi(x), where Phi is the distribution function of the standard normal distribution.

    Formula: x (1 + erf(x / sqrt(2))) / 2; with approximate="tanh"
    x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.

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
        inner = erf(x * math.sqrt(0.5))
    elif approximate == "tanh":
        inner = tanh((x + 0.044715 * x**3) * math.sqrt(2 / math.pi))
    else:
        raise ValueError(f"gelu: approximate is 'none' or 'tanh', got {approximate!r}")
    return x * (inner + 1.0) * 0.5


def silu(input: TensorLike) -> Tensor:
    """x sigmoid(x), also known as swish.

    Source: Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units", Neural Networks 107, 2018.

    Example:
        >>> import chainrule as cr
        >>> silu(cr.tensor([0.0, 1.0]))
        tensor([0.    , 0.7311])
    """
    x = as_tensor(input)
    return x * sigmoid(x)


def mish(input: TensorLike) -> Tensor:
    """x tanh(softplus(x)).

    Source: Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020.

    Example:
        >>> import chainrule as cr
        >>> mish(cr.tensor([0.0, 1.0]))
        tensor([0.    , 0.8651])
    """
    x = as_tensor(input)
    return x * tanh(elementwise.softplus(x))


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
    scaled = float(beta) * x
    return where(scaled > float(threshold), x, elementwise.softplus(scaled) / float(beta))


def softmax(input: TensorLike, dim: int) -> Tensor:
    """exp(x) / sum(exp(x)) along the axis `dim`."""
    return loss.softmax(input, dim)


def log_softmax(input: TensorLike, dim: int) -> Tensor:
    """The logarithm of softmax along the axis `dim`."""
    return loss.log_softmax(input, dim)
