"""Functions of one number: exponentials, logarithms, roots, and those of activations.

Convention at the kink: relu'(0) = 0.
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.graph.tensor import Array
from chainrule.ops.comparison import heaviside
from chainrule.ops.declare import unary
from chainrule.ops.samples import away_from_zero, interval

__all__ = [
    "cbrt",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "normal_cdf",
    "normal_pdf",
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


expm1.differentiable(lambda g, y, x: g * (y + 1.0))


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


@unary(interval(-4, 4))
def sigmoid(x: Array) -> Array:
    """The logistic function 1 / (1 + exp(-x)), without overflow."""
    one = x.dtype.type(1)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, one, small) / (one + small)


sigmoid.differentiable(lambda g, y, x: g * (y * (1.0 - y)))


@unary(away_from_zero)
def relu(x: Array) -> Array:
    """max(0, x); its derivative at 0 is 0."""
    return np.maximum(x, x.dtype.type(0))


relu.differentiable(lambda g, y, x: g * heaviside(x))


@unary(interval(-4, 4))
def softplus(x: Array) -> Array:
    """log(1 + exp(x)), without overflow."""
    return np.logaddexp(x, x.dtype.type(0))


softplus.differentiable(lambda g, y, x: g * sigmoid(x))


@unary(interval(-4, 4))
def tanh_softplus(x: Array) -> Array:
    """tanh(softplus(x)), by which Mish multiplies x: n / (n + 2) with n = e^x (e^x + 2)."""
    e = np.exp(np.minimum(x, x.dtype.type(20)))
    n = e * (e + 2)
    return np.asarray(n / (n + 2), x.dtype)


tanh_softplus.differentiable(lambda g, y, x: g * ((1 - y * y) * sigmoid(x)))


@unary(interval(-3, 3))
def erf(x: Array) -> Array:
    """The error function 2 / sqrt(pi) * integral of exp(-t^2) from 0 to x."""
    values = np.fromiter(map(math.erf, x.ravel().tolist()), np.float64, count=x.size)
    return values.reshape(x.shape).astype(x.dtype)


erf.differentiable(lambda g, y, x: g * (exp(-(x * x)) * (2 / math.sqrt(math.pi))))


@unary(interval(-3, 3))
def erfc(x: Array) -> Array:
    """1 - erf(x), without the loss of digits that the difference has for large x."""
    values = np.fromiter(map(math.erfc, x.ravel().tolist()), np.float64, count=x.size)
    return values.reshape(x.shape).astype(x.dtype)


erfc.differentiable(lambda g, y, x: -(g * (exp(-(x * x)) * (2 / math.sqrt(math.pi)))))


@unary(interval(-4, 4))
def normal_pdf(x: Array) -> Array:
    """The density of the standard normal distribution: exp(-x^2 / 2) / sqrt(2 pi)."""
    wide = x.astype(np.float64).clip(-50.0, 50.0)
    # The square of these digits is exact; the rounding error of another would be the result's.
    high = wide.astype(np.float32).astype(np.float64)
    low = (wide - high) * (wide + high)
    values = np.exp(-0.5 * high * high) * np.exp(-0.5 * low)
    return (values / math.sqrt(2 * math.pi)).astype(x.dtype)


normal_pdf.differentiable(lambda g, y, x: -(g * (x * y)))


@unary(interval(-4, 4))
def normal_cdf(x: Array) -> Array:
    """The standard normal distribution's function: the integral of its density up to x.

    It is (1 + erf(x / sqrt(2))) / 2, without the loss of digits that the sum has for negative x.
    """
    scale = -math.sqrt(0.5)
    tails = map(math.erfc, [value * scale for value in x.ravel().tolist()])
    values = 0.5 * np.fromiter(tails, np.float64, count=x.size)
    return values.reshape(x.shape).astype(x.dtype)


normal_cdf.differentiable(lambda g, y, x: g * normal_pdf(x))
