"""Trigonometric and hyperbolic functions and their inverses, of angles in radians.

NumPy and the array API standard have two names for each inverse: `asin` and `arcsin` are one
function here, as there.
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.graph.keywords import both_names
from chainrule.graph.registered import method
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.ops.comparison import equal, where
from chainrule.ops.declare import align_floats, binary, unary
from chainrule.ops.samples import interval
from chainrule.ops.unary import sqrt

__all__ = [
    "acos",
    "acosh",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cos",
    "cosh",
    "deg2rad",
    "degrees",
    "hypot",
    "rad2deg",
    "radians",
    "sin",
    "sinc",
    "sinh",
    "tan",
]


@unary(interval(-4, 4))
def sin(x: Array) -> Array:
    """The sine of x in radians."""
    return np.sin(x)


sin.differentiable(lambda g, y, x: g * cos(x))  # type: ignore[has-type]


@unary(interval(-4, 4))
def cos(x: Array) -> Array:
    """The cosine of x in radians."""
    return np.cos(x)


cos.differentiable(lambda g, y, x: -(g * sin(x)))


@unary(interval(-1.4, 1.4))
def tan(x: Array) -> Array:
    """The tangent of x in radians."""
    return np.tan(x)


tan.differentiable(lambda g, y, x: g * (y * y + 1.0))


@unary(interval(-0.9, 0.9))
def asin(x: Array) -> Array:
    """The inverse of the sine, in [-pi/2, pi/2]; NaN outside [-1, 1]."""
    return np.arcsin(x)


asin.differentiable(lambda g, y, x: g / sqrt((1.0 - x) * (1.0 + x)))


@unary(interval(-0.9, 0.9))
def acos(x: Array) -> Array:
    """The inverse of the cosine, in [0, pi]; NaN outside [-1, 1]."""
    return np.arccos(x)


acos.differentiable(lambda g, y, x: -(g / sqrt((1.0 - x) * (1.0 + x))))


@unary(interval(-4, 4))
def atan(x: Array) -> Array:
    """The inverse of the tangent, in [-pi/2, pi/2]."""
    return np.arctan(x)


atan.differentiable(lambda g, y, x: g / (x * x + 1.0))


@binary(interval(0.5, 4, 2), integers=False)
def _atan2(a: Array, b: Array) -> Array:
    """The angle of the point (b, a), in [-pi, pi]."""
    return np.arctan2(a, b)


def _over_square(a: Tensor, b: Tensor) -> Tensor:
    """a / (a^2 + b^2), whose squares may overflow or vanish; 0 at the origin by convention."""
    length = _length(_hypot(a, b))
    return a / length / length


_atan2.differentiable(
    lambda g, y, a, b: g * _over_square(b, a), lambda g, y, a, b: -(g * _over_square(a, b))
)


@both_names(input="y", other="x", x1="y", x2="x")
@method
def atan2(y: TensorLike, x: TensorLike) -> Tensor:
    """The angle of the point (x, y) to the x axis, in [-pi, pi]; its gradient at (0, 0) is 0.

    Example:
        >>> import chainrule as cr
        >>> cr.atan2(cr.tensor([0.0, 1.0]), cr.tensor([-1.0, 0.0]))
        tensor([3.1416, 1.5708])
    """
    return _atan2(*align_floats("atan2", y, x))


@binary(interval(0.5, 4, 2), integers=False)
def _hypot(a: Array, b: Array) -> Array:
    """sqrt(a^2 + b^2), without overflow."""
    return np.hypot(a, b)


def _length(y: Tensor) -> Tensor:
    """y, but 1 where it is 0: there the gradient is 0 by convention."""
    return where(equal(y, 0.0), 1.0, y)


_hypot.differentiable(
    lambda g, y, a, b: g * (a / _length(y)), lambda g, y, a, b: g * (b / _length(y))
)


@both_names()
@method
def hypot(a: TensorLike, b: TensorLike) -> Tensor:
    """sqrt(a^2 + b^2), without overflow; its gradient at (0, 0) is 0.

    Example:
        >>> import chainrule as cr
        >>> cr.hypot(cr.tensor([3.0, 3e30]), cr.tensor([4.0, 4e30]))
        tensor([5.e+00, 5.e+30])
    """
    return _hypot(*align_floats("hypot", a, b))


@unary(interval(-4, 4))
def sinh(x: Array) -> Array:
    """The hyperbolic sine, (exp(x) - exp(-x)) / 2."""
    return np.sinh(x)


sinh.differentiable(lambda g, y, x: g * cosh(x))  # type: ignore[has-type]


@unary(interval(-4, 4))
def cosh(x: Array) -> Array:
    """The hyperbolic cosine, (exp(x) + exp(-x)) / 2."""
    return np.cosh(x)


cosh.differentiable(lambda g, y, x: g * sinh(x))


@unary(interval(-4, 4))
def asinh(x: Array) -> Array:
    """The inverse of the hyperbolic sine: log(x + sqrt(x^2 + 1)). It is odd, and grows as log."""
    return np.arcsinh(x)


asinh.differentiable(lambda g, y, x: g / sqrt(x * x + 1.0))


@unary(interval(1.2, 4))
def acosh(x: Array) -> Array:
    """The inverse of the hyperbolic cosine: log(x + sqrt(x^2 - 1)); NaN below 1."""
    return np.arccosh(x)


acosh.differentiable(lambda g, y, x: g / sqrt((x - 1.0) * (x + 1.0)))


@unary(interval(-0.9, 0.9))
def atanh(x: Array) -> Array:
    """The inverse of the hyperbolic tangent: log((1 + x) / (1 - x)) / 2; NaN outside [-1, 1]."""
    return np.arctanh(x)


atanh.differentiable(lambda g, y, x: g / ((1.0 - x) * (1.0 + x)))

arcsin = asin
arccos = acos
arctan = atan
arctan2 = atan2
arcsinh = asinh
arccosh = acosh
arctanh = atanh


@both_names()
@method
def degrees(x: TensorLike) -> Tensor:
    """An angle in radians as one in degrees: 180 x / pi.

    Example:
        >>> import chainrule as cr
        >>> cr.degrees(cr.tensor([0.0, 3.14159265]))
        tensor([  0., 180.])
    """
    return as_tensor(x) * (180.0 / math.pi)


@both_names()
@method
def radians(x: TensorLike) -> Tensor:
    """An angle in degrees as one in radians: pi x / 180.

    Example:
        >>> import chainrule as cr
        >>> cr.radians(cr.tensor([0.0, 180.0]))
        tensor([0.    , 3.1416])
    """
    return as_tensor(x) * (math.pi / 180.0)


rad2deg = degrees
deg2rad = radians

_NEAR_ZERO = 0.25
# sin(t) / t = 1 - t^2 / 3! + t^4 / 5! - ...: for t = pi / 4 the first term left out is 1e-18.
_SINC_COEFFICIENTS = [(-1) ** k / math.factorial(2 * k + 1) for k in range(9)]


@both_names()
@method
def sinc(x: TensorLike) -> Tensor:
    """sin(pi x) / (pi x), and 1 at 0, of floating Tensors.

    Near 0 it is computed by its power series, whose derivatives are finite.

    Example:
        >>> import chainrule as cr
        >>> cr.sinc(cr.tensor([0.0, 0.5]))
        tensor([1.    , 0.6366])
    """
    (x,) = align_floats("sinc", x)
    near = abs(x) < _NEAR_ZERO
    angle = where(near, 1.0, x) * math.pi
    square = where(near, x, 0.0) ** 2 * math.pi**2
    series = square * _SINC_COEFFICIENTS[-1]
    for coefficient in _SINC_COEFFICIENTS[-2:0:-1]:
        series = square * (series + coefficient)
    return where(near, series + 1.0, sin(angle) / angle)
