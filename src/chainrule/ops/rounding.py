"""Rounding to whole numbers; quotients and remainders of whole division.

Rounding has derivative 0 everywhere, by convention at its jumps too, so no gradient passes it.
The remainder of integers by 0 is 0, as in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np

from chainrule import checks
from chainrule.errors import DTypeError
from chainrule.graph.keywords import both_names
from chainrule.graph.operation import Samples
from chainrule.graph.registered import method
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.ops.declare import Unary, binary, numbers_spec, of_numbers, unary
from chainrule.ops.samples import interval

__all__ = [
    "around",
    "ceil",
    "divmod",
    "fix",
    "floor",
    "floor_divide",
    "fmod",
    "mod",
    "remainder",
    "rint",
    "round",
    "trunc",
]

_NOT_WHOLE: Samples = interval(0.1, 0.9)


def _of_floats(operation: Unary) -> Callable[[TensorLike], Tensor]:
    """The function that gives integers and booleans, which are whole, as they are."""

    @wraps(operation.forward)
    def function(x: TensorLike) -> Tensor:
        x = as_tensor(x)
        return operation(x) if x.dtype.kind == "f" else x

    function.__name__ = function.__qualname__ = operation.name
    return both_names()(method(function))


@unary(_NOT_WHOLE)
def _floor(x: Array) -> Array:
    """The largest whole number that is not above x; of integers x itself."""
    return np.floor(x)


@unary(_NOT_WHOLE)
def _ceil(x: Array) -> Array:
    """The smallest whole number that is not below x; of integers x itself."""
    return np.ceil(x)


@unary(_NOT_WHOLE)
def _rint(x: Array) -> Array:
    """The nearest whole number, of two the even one; of integers x itself."""
    return np.rint(x)


@unary(_NOT_WHOLE)
def _trunc(x: Array) -> Array:
    """x without its fraction, rounded towards 0; of integers x itself."""
    return np.trunc(x)


for _rounded in (_floor, _ceil, _rint, _trunc):
    _rounded.differentiable(None)  # where there is a derivative it is 0

floor = _of_floats(_floor)
ceil = _of_floats(_ceil)
rint = _of_floats(_rint)
trunc = _of_floats(_trunc)
fix = trunc


@both_names()
@method
def round(x: TensorLike, decimals: int = 0) -> Tensor:
    """x rounded to a number of decimals, half to even.

    Formula: rint(x 10^d) / 10^d, as in NumPy.

    Args:
        x: numbers; integers stay what they are.
        decimals: d; of floating Tensors it may be negative, to round to tens, hundreds ...

    Raises:
        DTypeError: if `decimals` is negative and the Tensor is not floating.

    Example:
        >>> import chainrule as cr
        >>> cr.round(cr.tensor([0.5, 1.5, 2.125]), 2)
        tensor([0.5 , 1.5 , 2.12])
        >>> cr.round(cr.tensor([0.5, 1.5, 2.125]))
        tensor([0., 2., 2.])
    """
    x, decimals = as_tensor(x), checks.integer("decimals", decimals)
    if x.dtype.kind != "f":
        if decimals < 0:
            raise DTypeError(
                f"round: {decimals} decimals of {x.dtype}; cast the Tensor to floats first"
            )
        return x
    if decimals == 0:
        return _rint(x)
    scale = 10.0 ** abs(decimals)
    return _rint(x * scale) / scale if decimals > 0 else _rint(x / scale) * scale


around = round


@binary(interval(0.5, 4, 2), infer=numbers_spec("floor_divide"))
def _floor_divide(a: Array, b: Array) -> Array:
    """a // b: floor(a / b), rounded down for negative numbers too. No gradient passes it.

    Of integers the quotient by 0 is 0.
    """
    return np.floor_divide(a, b)


@binary(interval(0.5, 4, 2), infer=numbers_spec("remainder"))
def _remainder(a: Array, b: Array) -> Array:
    """a % b: a - b floor(a / b), of the sign of b, as Python has it. At jumps the gradient is that
    beside them.

    Of integers the remainder by 0 is 0.
    """
    return np.remainder(a, b)


_remainder.differentiable(lambda g, y, a, b: g, lambda g, y, a, b: -(g * _floor_divide(a, b)))


@binary(interval(0.5, 4, 2), infer=numbers_spec("fmod"))
def _fmod(a: Array, b: Array) -> Array:
    """a - b trunc(a / b): the remainder of the sign of a, as C has it.

    Of integers the remainder by 0 is 0.
    """
    return np.fmod(a, b)


_fmod.differentiable(lambda g, y, a, b: g, lambda g, y, a, b: -(g * _rint((a - y) / b)))

floor_divide = of_numbers(_floor_divide)
remainder = of_numbers(_remainder)
mod = remainder
fmod = of_numbers(_fmod)


@both_names()
def divmod(a: TensorLike, b: TensorLike) -> tuple[Tensor, Tensor]:
    """(a // b, a % b).

    Example:
        >>> import chainrule as cr
        >>> cr.divmod(cr.tensor([-7, 7]), 3)
        (tensor([-3,  2]), tensor([2, 1]))
    """
    return floor_divide(a, b), remainder(a, b)
