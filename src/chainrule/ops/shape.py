"""Operations that move elements without computing: reshape, transpose, broadcast, join, pad."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from operator import index
from typing import Any

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.methods import method
from chainrule.graph.operation import Spec, no_flops, operation
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.ops.declare import common_dtype
from chainrule.ops.reduce import _sum
from chainrule.ops.samples import examples

__all__ = [
    "broadcast_to",
    "concatenate",
    "ones_like",
    "pad",
    "reshape",
    "split",
    "stack",
    "stop_gradient",
    "transpose",
    "zeros_like",
]

Shape = tuple[int, ...]


def _several(numbers: tuple[int | Sequence[int], ...]) -> tuple[int, ...]:
    """Arguments given one by one or as one sequence."""
    if len(numbers) == 1 and isinstance(numbers[0], Iterable):
        (numbers,) = numbers  # type: ignore[assignment]
    return tuple([index(number) for number in numbers])  # type: ignore[arg-type]


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


@method
def reshape(x: TensorLike, *shape: int | Sequence[int]) -> Tensor:
    """The same elements in another shape; one length may be -1, which means what is left.

    Example:
        >>> import chainrule as cr
        >>> cr.reshape(cr.tensor([1, 2, 3, 4]), 2, -1).shape
        (2, 2)
    """
    x = as_tensor(x)
    wanted = _several(shape)
    if any(length < 0 for length in wanted):
        known = math.prod(length for length in wanted if length != -1)
        if wanted.count(-1) > 1 or known <= 0 or x.size % known:
            raise ShapeError(f"reshape: {x.size} elements of shape {x.shape} do not fill {wanted}")
        wanted = tuple(x.size // known if length == -1 else length for length in wanted)
    return x if wanted == x.shape else _reshape.apply(x, shape=wanted)


def _transposed(x: Tensor, axes: Shape) -> Spec:
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(f"transpose: {axes} is not a permutation of the axes of shape {x.shape}")
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


@method
def transpose(x: TensorLike, *axes: int | Sequence[int]) -> Tensor:
    """The axes in the order given; without an order they are reversed."""
    x = as_tensor(x)
    if not axes:
        return _transpose.apply(x, axes=tuple(range(x.ndim - 1, -1, -1)))
    order = tuple([a + x.ndim if -x.ndim <= a < 0 else a for a in _several(axes)])
    return _transpose.apply(x, axes=order)


def _broadcasted(x: Tensor, shape: Shape) -> Spec:
    lead = len(shape) - x.ndim
    if lead < 0 or any(n not in (1, m) for n, m in zip(x.shape, shape[lead:], strict=True)):
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
    return _sum.apply(g, axes=axes, keepdims=False).reshape(shape)


_broadcast_to.differentiable(lambda g, y, x, shape: _unbroadcast(g, x.shape))


@method
def broadcast_to(x: TensorLike, shape: Sequence[int]) -> Tensor:
    """`x` repeated to `shape` by NumPy's rules. Its gradient is the sum over the repeats."""
    x = as_tensor(x)
    shape = tuple(shape)
    return x if shape == x.shape else _broadcast_to.apply(x, shape=shape)


@method
def ones_like(x: Tensor) -> Tensor:
    """Ones of the shape and dtype of `x`; a constant."""
    return Tensor(np.ones(x.shape, x.dtype))


@method
def zeros_like(x: Tensor) -> Tensor:
    """Zeros of the shape and dtype of `x`; a constant."""
    return Tensor(np.zeros(x.shape, x.dtype))


def _identity(x: Tensor) -> Spec:
    return Spec(x.shape, x.dtype)


@operation(_identity, examples((((3, 4),), {})), flops=no_flops)
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


# Joining and cutting


def _joined(*inputs: Tensor, axis: int) -> Spec:
    first = inputs[0]
    for x in inputs[1:]:
        if x.ndim != first.ndim or any(
            n != m for a, (n, m) in enumerate(zip(x.shape, first.shape, strict=True)) if a != axis
        ):
            shapes = ", ".join(str(x.shape) for x in inputs)
            raise ShapeError(f"concatenate: shapes {shapes} differ in more than axis {axis}")
    length = sum(x.shape[axis] for x in inputs)
    return Spec((*first.shape[:axis], length, *first.shape[axis + 1 :]), first.dtype)


@operation(
    _joined,
    examples((((3, 2), (3, 4), (3, 1)), {"axis": 1}), (((2,), (0,), (3,)), {"axis": 0})),
    variadic=True,
    flops=no_flops,
)
def _concatenate(*inputs: Array, axis: int) -> Array:
    """Tensors one after another along an axis."""
    return np.concatenate(inputs, axis)


def _own_part(g: Tensor, y: Tensor, *inputs: Tensor, index: int, axis: int) -> Tensor:
    """The part of g that belongs to one of the inputs."""
    start = sum(x.shape[axis] for x in inputs[:index])
    part = slice(start, start + inputs[index].shape[axis])
    return g[(slice(None),) * axis + (part,)]


_concatenate.differentiable(_own_part)


@method
def concatenate(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Tensors one after another along an existing axis; their dtypes are made one."""
    inputs = _of_one_dtype("concatenate", tensors)
    axis = _axis("concatenate", axis, inputs[0].ndim)
    return inputs[0] if len(inputs) == 1 else _concatenate.apply(*inputs, axis=axis)


@method
def stack(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis."""
    inputs = _of_one_dtype("stack", tensors)
    shape = inputs[0].shape
    if any(x.shape != shape for x in inputs):
        shapes = ", ".join(str(x.shape) for x in inputs)
        raise ShapeError(f"stack: all shapes must be equal, got {shapes}")
    axis = _axis("stack", axis, len(shape) + 1)
    return concatenate([x.reshape((*shape[:axis], 1, *shape[axis:])) for x in inputs], axis)


@method
def split(x: TensorLike, size: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Consecutive parts along an axis: of one size (the last may be smaller), or of given sizes."""
    x = as_tensor(x)
    axis = _axis("split", axis, x.ndim)
    length = x.shape[axis]
    if not isinstance(size, Iterable):
        if size < 1:
            raise ShapeError(f"split: the size of a part is positive, got {size}")
        sizes = [min(size, length - start) for start in range(0, length, size)]
    else:
        sizes = list(size)
        if sum(sizes) != length or any(n < 0 for n in sizes):
            raise ShapeError(f"split: sizes {sizes} do not add up to the length {length}")
    parts = []
    start = 0
    for n in sizes:
        parts.append(x[(slice(None),) * axis + (slice(start, start + n),)])
        start += n
    return parts


def _of_one_dtype(name: str, tensors: Sequence[TensorLike]) -> list[Tensor]:
    """The Tensors, cast to the dtype in which they meet."""
    inputs = [as_tensor(t) for t in tensors]
    if not inputs:
        raise ShapeError(f"{name} takes at least one Tensor")
    if any(x.dtype != inputs[0].dtype for x in inputs):
        dtype = common_dtype(*inputs)
        inputs = [x.astype(dtype) for x in inputs]
    return inputs


def _axis(name: str, axis: int, ndim: int) -> int:
    """An axis as a non-negative number."""
    if not -ndim <= axis < ndim:
        raise ShapeError(f"{name}: axis {axis} is out of range for {ndim} axes")
    return axis % ndim


def _padded(x: Tensor, widths: tuple[tuple[int, int], ...], value: float) -> Spec:
    if len(widths) != x.ndim or any(before < 0 or after < 0 for before, after in widths):
        raise ShapeError(f"pad: {widths} does not give two widths for each axis of {x.shape}")
    shape = tuple(b + n + a for n, (b, a) in zip(x.shape, widths, strict=True))
    return Spec(shape, x.dtype)


@operation(
    _padded,
    examples(
        (((3, 4),), {"widths": ((1, 0), (2, 3)), "value": 0.0}),
        (((2,),), {"widths": ((0, 1),), "value": 1.5}),
    ),
    flops=no_flops,
)
def _pad(x: Array, widths: tuple[tuple[int, int], ...], value: float) -> Array:
    """x inside a border of one value."""
    return np.pad(x, widths, constant_values=value) if widths else x


def _inside(g: Tensor, y: Tensor, x: Tensor, widths: Any, value: float) -> Tensor:
    """g without the border."""
    return g[tuple(slice(b, b + n) for n, (b, _) in zip(x.shape, widths, strict=True))]


_pad.differentiable(_inside)


@method
def pad(x: TensorLike, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """`x` inside a border of `value`: for each axis the widths (before, after)."""
    x = as_tensor(x)
    if x.dtype.kind != "f" and not float(value).is_integer():
        raise DTypeError(f"pad: the number {value} does not fit dtype {x.dtype}")
    widths = tuple((int(before), int(after)) for before, after in widths)
    _padded(x, widths, value)  # NumPy would take one pair for all axes
    return _pad.apply(x, widths=widths, value=float(value))
