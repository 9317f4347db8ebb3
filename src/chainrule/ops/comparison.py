"""Comparisons of elements, and choices by them: the larger, the smaller, the sign.

Conventions at kinks: |x|'(0) = 0, sign' = 0; of a tie of maximum or minimum the first argument
takes the gradient, and beside a NaN both do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import DTypeError
from chainrule.graph.keywords import both_names
from chainrule.graph.operation import Spec
from chainrule.graph.registered import functions, method
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.ops.declare import (
    BOOL,
    Comparison,
    align_floats,
    align_two,
    binary,
    broadcast,
    elementwise,
    numbers_spec,
    same_spec,
    unary,
)
from chainrule.ops.samples import away_from_zero, examples, interval

__all__ = [
    "abs",
    "absolute",
    "equal",
    "greater",
    "greater_equal",
    "heaviside",
    "less",
    "less_equal",
    "maximum",
    "minimum",
    "not_equal",
    "sign",
    "where",
]


_BITS: dict[int, np.dtype[Any]] = {4: np.dtype(np.int32), 8: np.dtype(np.int64)}
_MANY = 1500  # elements, from which on the choice by bits is faster
_LARGE = 10_000  # elements, from which on an array of one number is worth its making
_BLOCK = 32768  # elements that stay in the cache from one step to the next


def _comparison(*inputs: Tensor) -> Spec:
    return Spec(inputs[0].shape, BOOL)


def _chosen(condition: Tensor, a: Tensor, b: Tensor) -> Spec:
    return Spec(a.shape, a.dtype)


@binary(interval(-4, 4, 2), infer=_comparison, kind=Comparison)
def equal(a: Array, b: Array) -> Array:
    """Whether a == b, element by element."""
    return np.equal(a, b)


@binary(interval(-4, 4, 2), infer=_comparison, kind=Comparison)
def not_equal(a: Array, b: Array) -> Array:
    """Whether a != b, element by element."""
    return np.not_equal(a, b)


@binary(interval(-4, 4, 2), infer=_comparison, kind=Comparison)
def less(a: Array, b: Array) -> Array:
    """Whether a < b, element by element."""
    return np.less(a, b)


@binary(interval(-4, 4, 2), infer=_comparison, kind=Comparison)
def less_equal(a: Array, b: Array) -> Array:
    """Whether a <= b, element by element."""
    return np.less_equal(a, b)


@binary(interval(-4, 4, 2), infer=_comparison, kind=Comparison)
def greater(a: Array, b: Array) -> Array:
    """Whether a > b, element by element."""
    return np.greater(a, b)


@binary(interval(-4, 4, 2), infer=_comparison, kind=Comparison)
def greater_equal(a: Array, b: Array) -> Array:
    """Whether a >= b, element by element."""
    return np.greater_equal(a, b)


def choose(condition: Array, a: Array, b: Array) -> Array:
    """`np.where` of arrays of one shape and dtype."""
    bits = _BITS.get(a.dtype.itemsize)
    if bits is None or condition.size < _MANY or not condition.flags.c_contiguous:
        return np.where(condition, a, b)
    # By their bits, times 0 or 1: np.where branches at each element, which the processor
    # mispredicts.
    chosen = np.empty(condition.shape, a.dtype)
    flat, flags = chosen.reshape(-1).view(bits), condition.reshape(-1)
    of_a, of_b = _bits(a, bits), _bits(b, bits)
    if of_b.size == 1 and not of_b[0]:
        np.multiply(of_a, flags, out=flat)
    elif of_a.size == 1 and not of_a[0]:
        np.multiply(of_b, np.logical_not(flags), out=flat)
    else:
        for start in range(0, flat.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            part_b = of_b if of_b.size == 1 else of_b[block]
            part = np.bitwise_xor(of_a if of_a.size == 1 else of_a[block], part_b, out=flat[block])
            part *= flags[block]
            part ^= part_b
    return chosen


def _bits(x: Array, bits: np.dtype[Any]) -> Array:
    """The elements as integers along one axis; one where all are one number in memory."""
    return (x.reshape(-1) if any(x.strides) else x.flat[:1]).view(bits)


@elementwise(
    _chosen,
    examples(
        ((True, (), ()), {}),
        (([True, False, True], (3,), (3,)), {}),
        (([[True, False]], (1, 2), (1, 2)), {}),
        ((np.zeros((0, 2), bool), (0, 2), (0, 2)), {}),
    ),
)
def _where(condition: Array, a: Array, b: Array) -> Array:
    """a where the condition holds, else b."""
    return choose(condition, a, b)


@both_names()
@method
def where(condition: TensorLike, a: TensorLike | None = None, b: TensorLike | None = None) -> Any:
    """`a` where `condition` holds, else `b`; all three are broadcast.

    With a condition alone it is `nonzero`: where it holds, as a tuple of indices.

    Raises:
        DTypeError: if the condition is not boolean.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([-1.0, 2.0])
        >>> cr.where(x > 0, x, 0.0)
        tensor([0., 2.])
    """
    if a is None or b is None:
        if a is not b:
            raise TypeError("where takes a condition alone, or both of a and b")
        return functions["nonzero"](condition)
    a, b = align_two("where", a, b)
    condition = as_tensor(condition)
    if condition.dtype != BOOL:
        raise DTypeError(f"where: the condition is boolean, not {condition.dtype}; compare first")
    return _where.apply(*broadcast("where", condition, a, b))


_where.differentiable(
    None,
    lambda g, y, condition, a, b: where(condition, g, 0.0),
    lambda g, y, condition, a, b: where(condition, 0.0, g),
)


def extreme(ufunc: Callable[..., Array], a: Array, b: Array) -> Array:
    """`np.maximum` or `np.minimum` of arrays of one shape, of which one may be a number."""
    if a.size < _LARGE or (any(a.strides) and any(b.strides)):
        return ufunc(a, b)
    # NumPy takes one element after another beside a number, and vectors of two arrays.
    if any(a.strides):
        b = whole = np.full_like(a, b.flat[0])
    else:
        a = whole = np.full_like(b, a.flat[0])
    return ufunc(a, b, out=whole)


@binary(interval(-4, 4, 2))
def maximum(a: Array, b: Array) -> Array:
    """The larger of a and b; NaN where either is."""
    return extreme(np.maximum, a, b)


maximum.differentiable(
    lambda g, y, a, b: where(a < b, 0.0, g), lambda g, y, a, b: where(a >= b, 0.0, g)
)


@binary(interval(-4, 4, 2))
def minimum(a: Array, b: Array) -> Array:
    """The smaller of a and b; NaN where either is."""
    return extreme(np.minimum, a, b)


minimum.differentiable(
    lambda g, y, a, b: where(a > b, 0.0, g), lambda g, y, a, b: where(a <= b, 0.0, g)
)


@unary(away_from_zero, infer=same_spec)
def _abs(x: Array) -> Array:
    """|x|; its derivative at 0 is 0."""
    return np.abs(x)


_abs.differentiable(lambda g, y, x: g * sign(x))  # type: ignore[has-type]
abs = absolute = _abs


@unary(away_from_zero, infer=numbers_spec("sign"))
def sign(x: Array) -> Array:
    """-1, 0 or 1; its derivative is 0."""
    return np.sign(x)


sign.differentiable(None)


@unary(away_from_zero)
def _heaviside(x: Array) -> Array:
    """1 where x > 0, else 0: the derivative of relu. Its own is 0."""
    return np.greater(x, 0).astype(x.dtype)


@both_names()
@method
def heaviside(x: TensorLike, values: TensorLike | None = None) -> Tensor:
    """The step function: 0 where x < 0, 1 where x > 0, `values` where x is 0, NaN where x is.

    Without `values` it is 0 for each x that is not above 0, NaN too, as the derivative of relu is.
    Its own derivative is 0.

    Args:
        x: numbers; integers become float32.
        values: what it is at 0, broadcast with x; NumPy demands it.

    Example:
        >>> import chainrule as cr
        >>> cr.heaviside([-1.0, 0.0, 2.0], 0.5)
        tensor([0. , 0.5, 1. ])
    """
    if values is None:
        return _heaviside(x)
    x, values = align_floats("heaviside", x, values)
    return where(equal(x, 0.0), values, where(equal(x, x), _heaviside(x), x))
