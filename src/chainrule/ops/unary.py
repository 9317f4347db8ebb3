"""Functions of one number: exponentials, logarithms, roots, and those of activations.

Convention at the kink: relu'(0) = 0.
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.graph.tensor import Array
from chainrule.ops.comparison import extreme, heaviside
from chainrule.ops.declare import unary
from chainrule.ops.samples import away_from_zero, interval

__all__ = [
    "cbrt",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "relu",
    "sigmoid",
    "softplus",
    "sqrt",
    "tanh",
    "tanh_softplus",
]

_LN2 = math.log(2)
_LN10 = math.log(10)


@unary(interval(-4, 4))
def exp(x: Array) -> Array:
    """e to the power x."""
    return np.exp(x)


exp.differentiable(lambda g, y, x: g * y)


@unary(interval(0.1, 4))
def log(x: Array) -> Array:
    """The natural logarithm."""
    return np.log(x)


log.differentiable(lambda g, y, x: g / x)


@unary(interval(-0.5, 4))
def log1p(x: Array) -> Array:
    """log(1 + x), exact near 0."""
    return np.log1p(x)


log1p.differentiable(lambda g, y, x: g / (x + 1.0))


@unary(interval(-4, 4))
def expm1(x: Array) -> Array:
    """exp(x) - 1, exact near 0."""
    return np.expm1(x)


expm1.differentiable(lambda g, y, x: g * exp(x))  # y + 1 would lose digits near y = -1


@unary(interval(-4, 4))
def exp2(x: Array) -> Array:
    """2 to the power x, exact where x is whole."""
    return np.exp2(x, dtype=np.float64).astype(x.dtype)  # in float32 NumPy's may miss 2^k


exp2.differentiable(lambda g, y, x: g * (y * _LN2))


@unary(interval(0.1, 4))
def log2(x: Array) -> Array:
    """The logarithm to base 2, exact at the powers of 2."""
    return np.log2(x)


log2.differentiable(lambda g, y, x: g / (x * _LN2))


@unary(interval(0.1, 4))
def log10(x: Array) -> Array:
    """The logarithm to base 10, exact at the powers of 10."""
    return np.log10(x, dtype=np.float64).astype(x.dtype)  # in float32 NumPy's may miss k


log10.differentiable(lambda g, y, x: g / (x * _LN10))


@unary(interval(0.1, 4))
def sqrt(x: Array) -> Array:
    """The square root."""
    return np.sqrt(x)


sqrt.differentiable(lambda g, y, x: g * 0.5 / y)


@unary(away_from_zero)
def cbrt(x: Array) -> Array:
    """The cube root, of negative numbers too; its derivative at 0 is infinite."""
    return np.cbrt(x)


cbrt.differentiable(lambda g, y, x: g / (y * y * 3.0))


@unary(interval(-4, 4))
def tanh(x: Array) -> Array:
    """The hyperbolic tangent."""
    return np.tanh(x)


tanh.differentiable(lambda g, y, x: g * (1.0 - y * y))


def _exp_of_minus_size(x: Array) -> Array:
    """exp(-|x|), which never overflows, in memory of its own."""
    e = np.empty_like(x)
    np.abs(x, out=e)
    np.negative(e, out=e)
    return np.exp(e, out=e)


@unary(interval(-4, 4))
def sigmoid(x: Array) -> Array:
    """The logistic function 1 / (1 + exp(-x)), without overflow."""
    e = _exp_of_minus_size(x)
    y = np.maximum(e, x >= 0)  # e^x / (1 + e^x) below 0, 1 / (1 + e^-x) from there on
    e += 1
    return y / e


sigmoid.differentiable(lambda g, y, x: g * (y * (1.0 - y)))


@unary(away_from_zero)
def relu(x: Array) -> Array:
    """max(0, x); its derivative at 0 is 0."""
    return extreme(np.maximum, x, x.dtype.type(0))


relu.differentiable(lambda g, y, x: g * heaviside(x))


@unary(interval(-4, 4))
def softplus(x: Array) -> Array:
    """log(1 + exp(x)), without overflow."""
    y = _exp_of_minus_size(x)
    np.log1p(y, out=y)
    y += np.maximum(x, x.dtype.type(0))
    return y


softplus.differentiable(lambda g, y, x: g * sigmoid(x))


@unary(interval(-4, 4))
def tanh_softplus(x: Array) -> Array:
    """tanh(softplus(x)), by which Mish multiplies x: n / (n + 2) with n = e^x (e^x + 2)."""
    e = np.exp(np.minimum(x, x.dtype.type(20)))
    n = e * (e + 2)
    return np.asarray(n / (n + 2), x.dtype)


tanh_softplus.differentiable(lambda g, y, x: g * ((1 - y * y) * sigmoid(x)))
