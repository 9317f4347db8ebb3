"""Sums, differences, products, quotients and powers of elements."""

from __future__ import annotations

import numpy as np

from chainrule.graph.methods import method
from chainrule.graph.tensor import Array, Tensor, TensorLike
from chainrule.ops.accumulate import FEW_TERMS
from chainrule.ops.comparison import equal, where
from chainrule.ops.declare import (
    align,
    binary,
    common_dtype,
    elementwise,
    numbers_spec,
    same_spec,
    unary,
)
from chainrule.ops.samples import interval
from chainrule.ops.unary import log, sqrt

__all__ = ["add", "add_n", "divide", "multiply", "negative", "power", "subtract"]


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


@method
def divide(a: TensorLike, b: TensorLike) -> Tensor:
    """a / b; the quotient of integers is float32."""
    if isinstance(a, Tensor) and a.dtype.kind == "f":
        return _divide(a, b)
    x, y = align("divide", a, b)
    if x.dtype.kind != "f":
        x, y = x.astype(np.float32), y.astype(np.float32)
    return _divide(x, y)


@binary(interval(0.5, 3, 2), infer=numbers_spec("power"), integers=False)
def _power(a: Array, b: Array) -> Array:
    """a to the power b."""
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


@method
def power(a: TensorLike, b: TensorLike) -> Tensor:
    """a to the power b. Small whole exponents become products and square roots, which are exact."""
    if isinstance(a, Tensor) and isinstance(b, (int, float)):
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
        if a.dtype.kind in "biu" and isinstance(b, int) and b > 3:
            a = a.astype(common_dtype(a, b))
            half = power(a, b // 2)
            return half * half * a if b % 2 else half * half
    return _power(a, b)


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


_add_n.differentiable(lambda g, y, *inputs, index: g)


@method
def add_n(*tensors: Tensor) -> Tensor:
    """The sum of several Tensors of one shape and dtype, as one node."""
    return tensors[0] if len(tensors) == 1 else _add_n.apply(*tensors)
