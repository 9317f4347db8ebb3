"""The operations that move no element but see it elsewhere: reshape, transpose, broadcast."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NoReturn

import numpy as np

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.operation import Spec, no_flops, operation
from chainrule.graph.registered import method
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.ops.axis_numbers import as_list
from chainrule.ops.declare import same_spec
from chainrule.ops.reduce import _sum
from chainrule.ops.samples import examples

__all__ = [
    "broadcast_to",
    "reshape",
    "stop_gradient",
    "transpose",
]

Shape = tuple[int, ...]


def _several(name: str, numbers: tuple[int | Sequence[int] | None, ...]) -> tuple[int, ...]:
    """Arguments given one by one or as one sequence."""
    if len(numbers) == 1 and (numbers[0].__class__ is tuple or isinstance(numbers[0], Iterable)):
        numbers = tuple(numbers[0])
    if all([number.__class__ is int for number in numbers]):
        return numbers  # type: ignore[return-value]
    return tuple(as_list(name, numbers))  # type: ignore[arg-type]


def _reshaped(x: Tensor, shape: Shape) -> Spec:
    if math.prod(shape) != x.size or any(length < 0 for length in shape):
        raise ShapeError(f"reshape: {x.size} elements of shape {x.shape} do not fill {shape}")
    return Spec(shape, x.dtype)


@operation(
    _reshaped,
    examples(
        (((3, 4),), {"shape": (2, 6)}),
        (((1,),), {"shape": ()}),
        (((0, 2),), {"shape": (3, 0)}),
    ),
    flops=no_flops,
)
def _reshape(x: Array, shape: Shape) -> Array:
    """The same elements, in row-major order, in another shape."""
    return x.reshape(shape)


_reshape.differentiable(lambda g, y, x, shape: g.reshape(x.shape))


@both_names()
@method
def reshape(x: TensorLike, *shape: int | Sequence[int], order: str = "C") -> Tensor:
    """The same elements in another shape; one length may be -1, which means what is left.

    Args:
        x: of any shape.
        shape: as `reshape(x, 2, 3)` or `reshape(x, (2, 3))`.
        order: "C", row-major, as everywhere here.

    Example:
        >>> import chainrule as cr
        >>> cr.reshape(cr.tensor([1, 2, 3, 4]), 2, -1).shape
        (2, 2)
    """
    if order != "C":
        refuse_order("reshape", order)
    x = as_tensor(x)
    wanted = _several("reshape", shape)
    if any(length < 0 for length in wanted):
        known = math.prod(length for length in wanted if length != -1)
        if wanted.count(-1) > 1 or known <= 0 or x.size % known:
            raise ShapeError(f"reshape: {x.size} elements of shape {x.shape} do not fill {wanted}")
        wanted = tuple(x.size // known if length == -1 else length for length in wanted)
    return x if wanted == x.shape else _reshape.apply(x, shape=wanted)


def refuse_order(name: str, order: str) -> NoReturn:
    raise ValueError(
        f"{name}: elements are in row-major order, 'C', not {order!r}; those of x.T are in the "
        "column-major order of x"
    )


def _transposed(x: Tensor, axes: Shape) -> Spec:
    if sorted(axes) != list(range(x.ndim)):
        are_two = len(axes) == 2 < x.ndim and len({*axes} & {*range(x.ndim)}) == 2
        swap = f"; two are swapped by x.swapaxes{axes}" if are_two else ""
        raise ShapeError(
            f"transpose: {axes} is not a permutation of the axes of shape {x.shape}{swap}"
        )
    return Spec(tuple(x.shape[a] for a in axes), x.dtype)


@operation(
    _transposed,
    examples(
        (((3, 4),), {"axes": (1, 0)}),
        (((2, 3, 4),), {"axes": (2, 0, 1)}),
        (((),), {"axes": ()}),
    ),
    flops=no_flops,
)
def _transpose(x: Array, axes: Shape) -> Array:
    """The axes in another order."""
    return x.transpose(axes)


_transpose.differentiable(
    lambda g, y, x, axes: _transpose.apply(g, axes=tuple([axes.index(a) for a in range(len(axes))]))
)


@both_names(dims="axes")
@method
def transpose(x: TensorLike, *axes: int | Sequence[int] | None) -> Tensor:
    """The axes in the order given; without an order, or with None for it, they are reversed."""
    x = as_tensor(x)
    if not axes or (len(axes) == 1 and axes[0] is None):
        return _transpose.apply(x, axes=tuple(range(x.ndim - 1, -1, -1)))
    order = tuple([a + x.ndim if -x.ndim <= a < 0 else a for a in _several("transpose", axes)])
    return _transpose.apply(x, axes=order)


def _broadcasted(x: Tensor, shape: Shape) -> Spec:
    lead = len(shape) - len(x.shape)
    fits = lead >= 0 and (
        x.shape == shape[lead:]
        or all([n in (1, m) for n, m in zip(x.shape, shape[lead:], strict=True)])
    )
    if not fits:
        raise ShapeError(f"broadcast_to: shape {x.shape} does not broadcast to {shape}")
    return Spec(shape, x.dtype)


@operation(
    _broadcasted,
    examples(
        (((5,),), {"shape": (3, 5)}),
        (((3, 1),), {"shape": (3, 5)}),
        (((),), {"shape": (2, 3)}),
        (((1, 1),), {"shape": (2, 1, 3)}),
        (((2, 1),), {"shape": (2, 0)}),
    ),
    flops=no_flops,
)
def _broadcast_to(x: Array, shape: Shape) -> Array:
    """x repeated along new axes on the left and along axes of length 1."""
    lead = len(shape) - x.ndim
    if x.shape == shape[lead:] and x.size and x.flags.c_contiguous:
        # New axes on the left only, as for a bias: np.broadcast_to's view in a tenth of its time.
        return np.ndarray(shape, x.dtype, x, 0, (0,) * lead + x.strides)
    return np.broadcast_to(x, shape)


def _unbroadcast(g: Tensor, shape: Shape) -> Tensor:
    """The sum over the axes along which a Tensor of `shape` was repeated."""
    lead = len(g.shape) - len(shape)
    axes = tuple([a for a, length in enumerate(g.shape) if a < lead or shape[a - lead] != length])
    total = _sum.apply(g, axes=axes, keepdims=False)
    return total if total.shape == shape else total.reshape(shape)


_broadcast_to.differentiable(lambda g, y, x, shape: _unbroadcast(g, x.shape))


@method
def broadcast_to(x: TensorLike, shape: int | Sequence[int]) -> Tensor:
    """`x` repeated to `shape` by NumPy's rules. Its gradient is the sum over the repeats."""
    x = as_tensor(x)
    # The whole check takes as long as a fifth of the operation, and most shapes are some Tensor's.
    if shape.__class__ is not tuple or not all([n.__class__ is int and n >= 0 for n in shape]):
        shape = checks.shape("broadcast_to", (shape,), "as in broadcast_to(x, (2, 3))")
    return x if shape == x.shape else _broadcast_to.apply(x, shape=shape)


@operation(same_spec, examples((((3, 4),), {})), flops=no_flops)
def _stop_gradient(x: Array) -> Array:
    """x itself; no gradient passes."""
    return x


@method
def stop_gradient(x: TensorLike) -> Tensor:
    """`x` as a constant: the same value, which no gradient passes.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor(3.0, requires_grad=True)
        >>> cr.grad(x * cr.stop_gradient(x), x).item()
        3.0
    """
    return _stop_gradient.apply(as_tensor(x))


def with_gradient_of(differentiated: Tensor, value: Tensor) -> Tensor:
    """The value of one Tensor, and the gradient of another."""
    # In this order the value is exact: differentiated + (value - differentiated) rounds it away
    # where the other Tensor is large.
    return stop_gradient(value) + (differentiated - stop_gradient(differentiated))
