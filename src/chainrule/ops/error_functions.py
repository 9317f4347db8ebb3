"""The error function, and the normal distribution, which is the same function of another number.

With t = (s - 5) / (s + 5) and polynomials R and S,

    T(s) = e^(-s^2/2) R(t) / (1 + s)    the upper tail of the normal distribution, for s >= 0
    normal_cdf(x) = T(-x) for x < 0, else 1 - T(x)
    erfc(x) = 2 T(sqrt(2) x) for x >= 0, else 2 - 2 T(-sqrt(2) x)
    erf(x) = x + x S(x^2) for |x| < 1, else sign(x) (1 - 2 T(sqrt(2) |x|))

R and S are minimax approximations, fitted in 50 digits with Lawson's weights. The form of T is that
of Shepherd and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x in 0 <= x < oo",
Mathematics of Computation 36, 1981. All is computed in float64. Errors are below 1.1 units of the
last digit of float64 for erf, 3 for normal_pdf, 5 for erfc and normal_cdf; and 0.52 of float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import NamedTuple

import numpy as np

from chainrule.graph.tensor import Array
from chainrule.ops.comparison import choose
from chainrule.ops.declare import unary
from chainrule.ops.samples import interval
from chainrule.ops.unary import exp

__all__ = ["erf", "erfc", "normal_cdf", "normal_pdf"]

_BLOCK = 16384  # elements that stay in the cache from one step to the next


class _Digits(NamedTuple):
    """What the digits of a dtype need.

    Attributes:
        last: from here on T is 0 in the dtype.
        tail: R from the constant on, for s from 0 to `last`; relative error 7e-10 and 1e-17.
        near: S from the constant on, for x^2 from 0 to 1; relative error of 1 + S 2e-9 and 1e-17.
        is_narrow: whether a square is exact in float64.
    """

    last: float
    tail: tuple[float, ...]
    near: tuple[float, ...]
    is_narrow: bool


_DIGITS = {
    np.dtype(np.float32): _Digits(
        last=14.5,
        tail=(
            0.461515829672319506,
            -0.09155227695346513,
            0.0310303953071815745,
            0.0100021212583089342,
            -0.026401824023187327,
            0.0245396821998161141,
            -0.0151615355025274488,
            0.00651283973804148777,
            -0.00171891481680564781,
            -2.16502777310417287e-6,
            0.000253062055449506318,
            0.0000168111235993611612,
        ),
        near=(
            0.128379165734506326,
            -0.376126258498096422,
            0.112835853729293684,
            -0.026853819913486663,
            0.00518834091589827663,
            -0.000801029561507297734,
            0.0000785415592492120589,
        ),
        is_narrow=True,
    ),
    np.dtype(np.float64): _Digits(
        last=39.0,
        tail=(
            0.461515829850037773,
            -0.091552281834008842,
            0.0310303684259639156,
            0.0100023523852081441,
            -0.026401042966330289,
            0.0245369632443613105,
            -0.0151704154017880733,
            0.00652200065776063096,
            -0.00167607235577767784,
            7.7916779169013588e-6,
            0.00018233424142617956,
            -0.0000536079664044670276,
            -9.89659855369774958e-6,
            9.0609589610117474e-6,
            -6.87037412371357761e-8,
            -1.30946749811512881e-6,
            1.2445748981187953e-7,
            1.98230317911777242e-7,
            -2.18988899550333238e-8,
            -3.15306633640483544e-8,
            4.65720491897374925e-10,
            3.85716076821032504e-9,
            6.97554644182940284e-10,
        ),
        near=(
            0.128379167095512566,
            -0.3761263890318352,
            0.112837916709441926,
            -0.0268661706431122085,
            0.00522397760612257829,
            -0.000854832592945257864,
            0.000120552935798006583,
            -0.0000149247123400269206,
            1.64471318695157507e-6,
            -1.6206314985114094e-7,
            1.3710981912630239e-8,
            -7.77946532875499113e-10,
        ),
        is_narrow=False,
    ),
}


def _by_blocks(of_block: Callable[[Array, _Digits], Array]) -> Callable[[Array], Array]:
    """A function of arrays from one of float64 numbers along one axis."""

    @wraps(of_block)
    def forward(x: Array) -> Array:
        digits = _DIGITS[np.promote_types(x.dtype, np.float32)]
        flat = x.reshape(-1)
        y = np.empty(flat.shape, x.dtype)
        for start in range(0, flat.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            y[block] = of_block(flat[block].astype(np.float64), digits)
        return y.reshape(x.shape)

    return forward


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Horner's rule."""
    value = x * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        value += coefficient
        value *= x
    value += coefficients[0]
    return value


def _exp_of_square(size: Array, factor: float, digits: _Digits) -> Array:
    """e^(factor size^2), where the factor is -1 or -1/2."""
    if digits.is_narrow:
        square = size * size
        square *= factor
        return np.exp(square, out=square)
    # The square of the first digits is exact; the rounding error of another would be the result's.
    high = size.astype(np.float32).astype(np.float64)
    low = (size - high) * (size + high)
    low *= factor
    high *= high
    high *= factor
    e = np.exp(high, out=high)
    e += e * (low + low * low * (0.5 + low / 6.0))  # e^low - 1; low is below 1e-4
    return e


def _tail(s: Array, e: Array, digits: _Digits) -> Array:
    """T(s), given e^(-s^2/2), which it overwrites."""
    t = s - 5.0
    t /= s + 5.0
    e *= _polynomial(t, digits.tail)
    e /= s + 1.0
    return e


def _both_tails(size: Array, digits: _Digits) -> Array:
    """2 T(sqrt(2) size)."""
    e = _exp_of_square(size, -1.0, digits)
    e *= 2.0
    return _tail(size * math.sqrt(2.0), e, digits)


@unary(interval(-3, 3))
@_by_blocks
def erf(x: Array, digits: _Digits) -> Array:
    """The error function 2 / sqrt(pi) * integral of exp(-t^2) from 0 to x."""
    size = np.minimum(np.abs(x), 6.0)
    near = size + size * _polynomial(size * size, digits.near)
    far = 1.0 - _both_tails(size, digits)
    return np.copysign(choose(size < 1.0, near, far), x)


erf.differentiable(lambda g, y, x: g * (exp(-(x * x)) * (2 / math.sqrt(math.pi))))


@unary(interval(-3, 3))
@_by_blocks
def erfc(x: Array, digits: _Digits) -> Array:
    """1 - erf(x), without the loss of digits that the difference has for large x."""
    size = np.minimum(np.abs(x), digits.last * math.sqrt(0.5))
    return np.abs(2.0 * (x < 0.0) - _both_tails(size, digits))


erfc.differentiable(lambda g, y, x: -(g * (exp(-(x * x)) * (2 / math.sqrt(math.pi)))))


@unary(interval(-4, 4))
@_by_blocks
def normal_pdf(x: Array, digits: _Digits) -> Array:
    """The density of the standard normal distribution: exp(-x^2 / 2) / sqrt(2 pi)."""
    density = _exp_of_square(np.clip(x, -50.0, 50.0), -0.5, digits)
    density *= 1 / math.sqrt(2 * math.pi)
    return density


normal_pdf.differentiable(lambda g, y, x: -(g * (x * y)))


@unary(interval(-4, 4))
@_by_blocks
def normal_cdf(x: Array, digits: _Digits) -> Array:
    """The standard normal distribution's function: the integral of its density up to x.

    It is (1 + erf(x / sqrt(2))) / 2, without the loss of digits that the sum has for negative x.
    """
    size = np.minimum(np.abs(x), digits.last)
    tail = _tail(size, _exp_of_square(size, -0.5, digits), digits)
    return np.abs((x >= 0.0) - tail)


normal_cdf.differentiable(lambda g, y, x: g * normal_pdf(x))
