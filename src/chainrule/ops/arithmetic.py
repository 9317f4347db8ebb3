"""Sums, differences, products, quotients and powers of elements, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.registered import method
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.ops.accumulate import FEW_TERMS
from chainrule.ops.comparison import equal, maximum, minimum, sign, where
from chainrule.ops.declare import (
    BOOL,
    align_floats,
    astype,
    beyond,
    binary,
    elementwise,
    numbers_spec,
    same_spec,
    unary,
)
from chainrule.ops.samples import interval
from chainrule.ops.unary import log, sigmoid, sqrt

__all__ = [
    "add",
    "add_n",
    "clip",
    "copysign",
    "divide",
    "float_power",
    "logaddexp",
    "multiply",
    "negative",
    "positive",
    "pow",
    "power",
    "reciprocal",
    "rsqrt",
    "square",
    "subtract",
    "true_divide",
]


@binary(interval(-4, 4, 2))
def add(a: Array, b: Array) -> Array:
    """a + b."""
    return np.add(a, b)


add.differentiable(lambda g, y, a, b: g, lambda g, y, a, b: g)


@binary(interval(-4, 4, 2), infer=numbers_spec("subtract"))
def subtract(a: Array, b: Array) -> Array:
    """a - b."""
    return np.subtract(a, b)


subtract.differentiable(lambda g, y, a, b: g, lambda g, y, a, b: -g)


@binary(interval(-4, 4, 2))
def multiply(a: Array, b: Array) -> Array:
    """a * b, element by element."""
    return np.multiply(a, b)


multiply.differentiable(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)


@binary(interval(0.5, 4, 2), integers=False)
def _divide(a: Array, b: Array) -> Array:
    """a / b; of integers the quotient is float32."""
    return np.divide(a, b)


_divide.differentiable(lambda g, y, a, b: g / b, lambda g, y, a, b: -(g * y) / b)


@both_names()
@method
def divide(a: TensorLike, b: TensorLike) -> Tensor:
    """a / b; the quotient of integers is float32."""
    if any([isinstance(x, Tensor) and x.dtype.kind == "f" for x in (a, b)]):
        return _divide(a, b)
    return _divide(*align_floats("divide", a, b))


true_divide = divide


@binary(interval(0.5, 3, 2), infer=numbers_spec("power"), integers=False)
def _power(a: Array, b: Array) -> Array:
    """a to the power b."""
    if b.dtype.kind == "i" and (b < 0).any():
        raise ValueError(
            "power: an integer to a negative power is a fraction: let one of the two be floating, "
            "as in x.astype('float32') ** y"
        )
    return np.power(a, b, dtype=a.dtype)


def _base(a: Tensor, b: Tensor) -> Tensor:
    """a, but 1 where a and b are 0: there a**b is constant in a, and 0 * 0**-1 would be NaN."""
    if b.is_leaf and b.value is not None and b.value.all():
        return a
    return where(equal(abs(a) + abs(b), 0.0), 1.0, a)


_power.differentiable(
    lambda g, y, a, b: g * (b * _base(a, b) ** (b - 1.0)),
    # 0**b is constant in b for b > 0: its logarithm must not make the gradient NaN.
    lambda g, y, a, b: g * (y * log(where(equal(a, 0.0), 1.0, a))),
)


def _is_boolean(x: TensorLike) -> bool:
    return isinstance(x, bool) or getattr(x, "dtype", None) == BOOL


@both_names(exponent="b")
@method
def power(a: TensorLike, b: TensorLike) -> Tensor:
    """a to the power b; an integer to the power of a float is float32, and booleans count as int64.

    Small whole exponents become products and square roots, which are exact.

    Raises:
        ValueError: for integers to the powers of a Tensor of integers of which one is negative.
    """
    if _is_boolean(a) and (_is_boolean(b) or not hasattr(b, "dtype")):
        a = astype(a, np.int64)
    if isinstance(a, Tensor) and isinstance(b, (int, float)):
        if a.dtype.kind in "iu" and (isinstance(b, float) or b < 0):
            a = a.astype(np.float32)
        if b == 1:
            return a
        if b == 2:
            return a * a
        if b == 3:
            return a * a * a
        if b == 0.5:
            return sqrt(a)
        if b == -1:
            return 1.0 / a
        if a.dtype.kind in "iu" and b > 3:
            as_tensor(b, a.dtype)  # raises where the dtype does not hold it
            half = power(a, b // 2)
            return half * half * a if b % 2 else half * half
    return _power(a, b)


pow = power


@both_names(exponent="b")
@method
def float_power(a: TensorLike, b: TensorLike) -> Tensor:
    """a to the power b in float64, of integers too.

    Example:
        >>> import chainrule as cr
        >>> cr.float_power(cr.tensor([2, 3]), -1)
        tensor([0.5   , 0.3333], dtype=float64)
    """
    return power(astype(a, np.float64), b)


@both_names()
@method
def square(x: TensorLike) -> Tensor:
    """x * x; of booleans it is int64.

    Example:
        >>> import chainrule as cr
        >>> cr.square(cr.tensor([-3, 2]))
        tensor([9, 4])
    """
    return power(as_tensor(x), 2)


@both_names()
@method
def reciprocal(x: TensorLike) -> Tensor:
    """1 / x; of integers it is float32, where NumPy would round it down.

    Example:
        >>> import chainrule as cr
        >>> cr.reciprocal(cr.tensor([2, 4]))
        tensor([0.5 , 0.25])
    """
    return divide(1.0, x)


@both_names()
@method
def rsqrt(x: TensorLike) -> Tensor:
    """1 / sqrt(x), of floating Tensors.

    Example:
        >>> import chainrule as cr
        >>> cr.rsqrt(cr.tensor([4.0, 16.0]))
        tensor([0.5 , 0.25])
    """
    return 1.0 / sqrt(x)


@both_names()
@method
def positive(x: TensorLike) -> Tensor:
    """x itself, the operator +x.

    Example:
        >>> import chainrule as cr
        >>> cr.positive(cr.tensor([-1, 2]))
        tensor([-1,  2])
    """
    return as_tensor(x)


@both_names(a_min="min", a_max="max")
@method
def clip(x: TensorLike, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
    """The nearest number to x that is at least `min` and at most `max`.

    Formula: minimum(maximum(x, min), max), so `max` where the bounds cross. At a bound and at NaN
    the gradient goes to x, as it does between them; beyond, to the bound.

    Args:
        x: numbers.
        min, max: numbers or Tensors, broadcast to x; None for no bound, which one that lies beyond
            all numbers of an integer dtype is too.

    Example:
        >>> import chainrule as cr
        >>> cr.clip(cr.tensor([-2.0, 0.5, 2.0]), -1, 1)
        tensor([-1. ,  0.5,  1. ])
    """
    x = as_tensor(x)
    if min is not None and beyond(min, x) >= 0:
        x = maximum(x, min)
    return x if max is None or beyond(max, x) > 0 else minimum(x, max)


@binary(interval(0.5, 4, 2), integers=False)
def _copysign(a: Array, b: Array) -> Array:
    """|a| with the sign of b, of a zero's sign bit too."""
    return np.copysign(a, b)


_copysign.differentiable(lambda g, y, a, b: g * (sign(a) * _copysign(1.0, b)), None)


@both_names()
@method
def copysign(a: TensorLike, b: TensorLike) -> Tensor:
    """|a| with the sign of b, which -0.0 has too; of integers it is float32.

    The derivative with respect to a is 0 where a is 0; no gradient goes to b.

    Example:
        >>> import chainrule as cr
        >>> cr.copysign(cr.tensor([1.0, 2.0]), cr.tensor([-0.0, 3.0]))
        tensor([-1.,  2.])
    """
    return _copysign(*align_floats("copysign", a, b))


@binary(interval(-4, 4, 2), integers=False)
def _logaddexp(a: Array, b: Array) -> Array:
    """log(exp(a) + exp(b)), without overflow."""
    return np.logaddexp(a, b)


def _share(y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """exp(a) / (exp(a) + exp(b))."""
    finite = where(equal(y, -np.inf), 0.0, b)  # where both are -inf: sigmoid(-inf - 0) = 0, not NaN
    return sigmoid(a - finite)


_logaddexp.differentiable(
    lambda g, y, a, b: g * _share(y, a, b), lambda g, y, a, b: g * _share(y, b, a)
)


@both_names()
@method
def logaddexp(a: TensorLike, b: TensorLike) -> Tensor:
    """log(exp(a) + exp(b)), without overflow; of integers it is float32.

    The gradient is 0 where both are -inf, as that of `logsumexp`.

    Example:
        >>> import chainrule as cr
        >>> cr.logaddexp(cr.tensor([0.0, 1000.0]), cr.tensor([0.0, 1000.0]))
        tensor([6.9315e-01, 1.0007e+03])
    """
    return _logaddexp(*align_floats("logaddexp", a, b))


@unary(interval(-4, 4), infer=numbers_spec("negative"))
def negative(x: Array) -> Array:
    """-x."""
    return np.negative(x)


negative.differentiable(lambda g, y, x: -g)


@elementwise(
    same_spec,
    interval(-4, 4, 3),
    variadic=True,
    flops=lambda y, *terms: (len(terms) - 1) * y.size,
)
def _add_n(*inputs: Array) -> Array:
    """The sum of any number of Tensors of one shape; it joins the ways of a gradient."""
    if len(inputs) > FEW_TERMS and inputs[0].dtype.kind == "f":
        return sum(inputs[1:], inputs[0].astype(np.float64)).astype(inputs[0].dtype)
    total = inputs[0] + inputs[1]
    for x in inputs[2:]:
        total += x
    return total


_add_n.differentiable(lambda g, y, index: g)


def add_n(*tensors: TensorLike | Sequence[TensorLike]) -> Tensor:
    """The sum of several Tensors of one shape and dtype, as one node; of one Tensor itself.

    Args:
        tensors: each for itself, or all in one list, as in TensorFlow.

    Raises:
        ShapeError: if their shapes differ.
        DTypeError: if their dtypes differ.
        TypeError: if there are none.

    Example:
        >>> import chainrule as cr
        >>> cr.add_n([cr.tensor([1.0, 2.0]), cr.tensor([3.0, 4.0])])
        tensor([4., 6.])
    """
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if not tensors:
        raise TypeError("add_n takes at least one Tensor, or a list of them")
    terms = [as_tensor(x).node() for x in tensors]
    shapes, dtypes = {x.shape for x in terms}, {x.dtype for x in terms}
    if len(shapes) > 1:
        raise ShapeError(f"add_n: the Tensors have one shape, not {', '.join(map(str, shapes))}")
    if len(dtypes) > 1:
        raise DTypeError(f"add_n: the Tensors have one dtype, not {', '.join(map(str, dtypes))}")
    return terms[0] if len(terms) == 1 else _add_n.apply(*terms)
