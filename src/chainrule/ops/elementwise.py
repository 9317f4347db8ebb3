"""Elementwise operations: arithmetic, comparisons, choices, functions of one number.

Conventions at kinks: relu'(0) = 0, |x|'(0) = 0, sign' = 0; of a tie of maximum or minimum the first
argument takes the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule.graph.errors import DTypeError, ShapeError
from chainrule.graph.operation import Operation, Samples, Spec, operation
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor, method
from chainrule.ops.samples import away_from_zero, examples, interval

_BOOL = np.dtype(bool)


class Unary(Operation):
    """An operation on each element of one Tensor."""

    def __call__(self, x: TensorLike) -> Tensor:
        if not isinstance(x, Tensor):
            x = as_tensor(x)
        if x.dtype.kind != "f":
            self.infer(x)  # NumPy would make floats of integers, of another dtype than ours
        return self.apply(x)


class Binary(Operation):
    """An operation on the elements of two operands, broadcast and cast to fit one another."""

    def __call__(self, a: TensorLike, b: TensorLike) -> Tensor:
        if isinstance(a, Tensor):
            if isinstance(b, Tensor):
                if a.dtype is b.dtype:
                    missing = len(a.shape) - len(b.shape)
                    if a.shape == b.shape:
                        return self.apply(a, b)
                    if missing > 0 and a.shape[missing:] == b.shape:  # a bias
                        return self.apply(a, b.broadcast_to(a.shape))
                    return self.apply(*broadcast(self.name, a, b))
            elif b.__class__ is float and a.dtype.kind == "f":
                return self.apply(a, filled(b, a))
        elif a.__class__ is float and isinstance(b, Tensor) and b.dtype.kind == "f":
            return self.apply(filled(a, b), b)
        return self.apply(*align(self.name, a, b))


def filled(number: float, like: Tensor) -> Tensor:
    """A constant of the shape and dtype of `like`: one number in memory, seen at every element."""
    shape = like.shape
    value = np.ndarray(shape, like.dtype, np.array(number, like.dtype), 0, (0,) * len(shape))
    return Tensor(value)


def broadcast(name: str, *tensors: Tensor) -> list[Tensor]:
    """The Tensors as explicit nodes of one shape, by NumPy's rules."""
    shapes = [t.shape for t in tensors]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            f"{name}: shapes {' and '.join(map(str, shapes))} do not broadcast together: aligned "
            "from the right, lengths must be equal or 1"
        ) from None
    return [t if t.shape == shape else t.broadcast_to(shape) for t in tensors]


def align(name: str, *operands: TensorLike) -> list[Tensor]:
    """The operands cast to one dtype and broadcast to one shape, as explicit nodes.

    Python numbers take the dtype of the Tensors beside them; integers beside floats become floats.
    """
    dtype = common_dtype(*operands)
    tensors = []
    for operand in operands:
        if not isinstance(operand, Tensor):
            operand = as_tensor(operand, dtype)
        tensors.append(operand.cast(dtype))
    return broadcast(name, *tensors)


def common_dtype(*operands: TensorLike) -> np.dtype[Any]:
    """The dtype in which operands meet: floats win over integers, the wider of a kind wins.

    Python numbers have no width of their own; among themselves they are float32, int64 or bool.
    """
    strong = [as_tensor(t).dtype for t in operands if not isinstance(t, (bool, int, float))]
    floating = [dtype for dtype in strong if dtype.kind == "f"]
    if floating:
        return np.result_type(*floating)
    if any(isinstance(t, float) for t in operands):
        return np.dtype(np.float32)
    numbers = any(isinstance(t, int) and not isinstance(t, bool) for t in operands)
    if not strong:
        return np.dtype(np.int64) if numbers else _BOOL
    dtype = np.result_type(*strong)
    return np.dtype(np.int64) if numbers and dtype == _BOOL else dtype


def _same(*inputs: Tensor) -> Spec:
    return Spec(inputs[0].shape, inputs[0].dtype)


def _numbers(name: str) -> Callable[..., Spec]:
    def infer(*inputs: Tensor) -> Spec:
        if inputs[0].dtype == _BOOL:
            raise DTypeError(f"{name} takes numbers, not booleans; cast the Tensor first")
        return Spec(inputs[0].shape, inputs[0].dtype)

    return infer


def _comparison(*inputs: Tensor) -> Spec:
    return Spec(inputs[0].shape, _BOOL)


def _chosen(condition: Tensor, a: Tensor, b: Tensor) -> Spec:
    return Spec(a.shape, a.dtype)


def _floating(name: str) -> Callable[..., Spec]:
    def infer(x: Tensor) -> Spec:
        if x.dtype.kind != "f":
            raise DTypeError(f"{name} takes floating Tensors, not {x.dtype}; cast the Tensor first")
        return Spec(x.shape, x.dtype)

    return infer


def unary(
    samples: Samples, infer: Callable[..., Spec] | None = None
) -> Callable[[Callable[[Array], Array]], Unary]:
    """Declare the decorated NumPy function as an elementwise operation of its name."""

    def declare(forward: Callable[[Array], Array]) -> Unary:
        name = forward.__name__.strip("_")
        op = Unary(name, infer or _floating(name), forward, samples)
        method(op)
        return op

    return declare


def binary(
    samples: Samples, infer: Callable[..., Spec] = _same
) -> Callable[[Callable[[Array, Array], Array]], Binary]:
    """Declare the decorated NumPy function of two arrays as an elementwise operation."""

    def declare(forward: Callable[[Array, Array], Array]) -> Binary:
        op = Binary(forward.__name__.strip("_"), infer, forward, samples)
        method(op)
        return op

    return declare


# Arithmetic


@binary(interval(-4, 4, 2))
def add(a: Array, b: Array) -> Array:
    """a + b."""
    return np.add(a, b)


add.differentiable(lambda g, y, a, b: g, lambda g, y, a, b: g)


@binary(interval(-4, 4, 2), infer=_numbers("subtract"))
def subtract(a: Array, b: Array) -> Array:
    """a - b."""
    return np.subtract(a, b)


subtract.differentiable(lambda g, y, a, b: g, lambda g, y, a, b: -g)


@binary(interval(-4, 4, 2))
def multiply(a: Array, b: Array) -> Array:
    """a * b, element by element."""
    return np.multiply(a, b)


multiply.differentiable(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)


@binary(interval(0.5, 4, 2))
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
        x, y = x.cast(np.float32), y.cast(np.float32)
    return _divide(x, y)


@binary(interval(0.5, 3, 2), infer=_numbers("power"))
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
    lambda g, y, a, b: g * (y * log(where(equal(a, 0.0), 1.0, a))),  # type: ignore[has-type]
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
    return _power(a, b)


@unary(interval(-4, 4), infer=_numbers("negative"))
def negative(x: Array) -> Array:
    """-x."""
    return np.negative(x)


negative.differentiable(lambda g, y, x: -g)


# Comparisons and choices


@binary(interval(-4, 4, 2), infer=_comparison)
def equal(a: Array, b: Array) -> Array:
    """Whether a == b, element by element."""
    return np.equal(a, b)


@binary(interval(-4, 4, 2), infer=_comparison)
def not_equal(a: Array, b: Array) -> Array:
    """Whether a != b, element by element."""
    return np.not_equal(a, b)


@binary(interval(-4, 4, 2), infer=_comparison)
def less(a: Array, b: Array) -> Array:
    """Whether a < b, element by element."""
    return np.less(a, b)


@binary(interval(-4, 4, 2), infer=_comparison)
def less_equal(a: Array, b: Array) -> Array:
    """Whether a <= b, element by element."""
    return np.less_equal(a, b)


@binary(interval(-4, 4, 2), infer=_comparison)
def greater(a: Array, b: Array) -> Array:
    """Whether a > b, element by element."""
    return np.greater(a, b)


@binary(interval(-4, 4, 2), infer=_comparison)
def greater_equal(a: Array, b: Array) -> Array:
    """Whether a >= b, element by element."""
    return np.greater_equal(a, b)


@operation(
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
    return np.where(condition, a, b)


_where.differentiable(
    None,
    lambda g, y, condition, a, b: where(condition, g, 0.0),
    lambda g, y, condition, a, b: where(condition, 0.0, g),
)


@method
def where(condition: TensorLike, a: TensorLike, b: TensorLike) -> Tensor:
    """`a` where `condition` holds, else `b`; all three are broadcast.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([-1.0, 2.0])
        >>> cr.where(x > 0, x, 0.0)
        tensor([0., 2.])
    """
    a, b = align("where", a, b)
    condition = as_tensor(condition)
    if condition.dtype != _BOOL:
        raise DTypeError(f"where: the condition is boolean, not {condition.dtype}; compare first")
    return _where.apply(*broadcast("where", condition, a, b))


@binary(interval(-4, 4, 2))
def maximum(a: Array, b: Array) -> Array:
    """The larger of a and b; NaN where either is."""
    return np.maximum(a, b)


maximum.differentiable(
    lambda g, y, a, b: where(a >= b, g, 0.0), lambda g, y, a, b: where(a >= b, 0.0, g)
)


@binary(interval(-4, 4, 2))
def minimum(a: Array, b: Array) -> Array:
    """The smaller of a and b; NaN where either is."""
    return np.minimum(a, b)


minimum.differentiable(
    lambda g, y, a, b: where(a <= b, g, 0.0), lambda g, y, a, b: where(a <= b, 0.0, g)
)


@unary(away_from_zero, infer=_same)
def _abs(x: Array) -> Array:
    """|x|; its derivative at 0 is 0."""
    return np.abs(x)


_abs.differentiable(lambda g, y, x: g * sign(x))  # type: ignore[has-type]
abs = _abs


@unary(away_from_zero, infer=_numbers("sign"))
def sign(x: Array) -> Array:
    """-1, 0 or 1; its derivative is 0."""
    return np.sign(x)


@unary(away_from_zero)
def heaviside(x: Array) -> Array:
    """1 where x > 0, else 0: the derivative of relu. Its own is 0."""
    return np.greater(x, 0).astype(x.dtype)


# Functions of one number


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


@unary(interval(0.1, 4))
def sqrt(x: Array) -> Array:
    """The square root."""
    return np.sqrt(x)


sqrt.differentiable(lambda g, y, x: g * 0.5 / y)


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


@unary(interval(-3, 3))
def erf(x: Array) -> Array:
    """The error function 2 / sqrt(pi) * integral of exp(-t^2) from 0 to x."""
    values = np.fromiter(map(math.erf, x.ravel().tolist()), np.float64, count=x.size)
    return values.reshape(x.shape).astype(x.dtype)


erf.differentiable(lambda g, y, x: g * (exp(-(x * x)) * (2 / math.sqrt(math.pi))))


# Changes of dtype, sums of many


def _cast_spec(x: Tensor, dtype: np.dtype[Any]) -> Spec:
    return Spec(x.shape, dtype)


@operation(_cast_spec, examples((((3, 2),), {"dtype": np.dtype(np.float64)})))
def _cast(x: Array, dtype: np.dtype[Any]) -> Array:
    """x in another dtype; floats become integers by cutting off the fraction."""
    return x.astype(dtype)


_cast.differentiable(lambda g, y, x, dtype: g.cast(x.dtype) if x.dtype.kind == "f" else None)


@method
def cast(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """`x` in another dtype; floats become integers by cutting off the fraction."""
    x = as_tensor(x)
    dtype = np.dtype(dtype)
    return x if x.dtype == dtype else _cast.apply(x, dtype=dtype)


@operation(_same, interval(-4, 4, 3), variadic=True)
def _add_n(*inputs: Array) -> Array:
    """The sum of any number of Tensors of one shape: what joins the ways of a gradient."""
    total = inputs[0] + inputs[1]
    for x in inputs[2:]:
        total += x
    return total


_add_n.differentiable(lambda g, y, *inputs, index: g)


@method
def add_n(*tensors: Tensor) -> Tensor:
    """The sum of several Tensors of one shape and dtype, as one node."""
    return tensors[0] if len(tensors) == 1 else _add_n.apply(*tensors)
