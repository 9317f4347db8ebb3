"""Tensors joined, cut into parts and repeated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.methods import Axis
from chainrule.graph.operation import Spec, no_flops, operation, shared_gradient
from chainrule.graph.registered import method
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.ops.axes import atleast_1d, atleast_2d, atleast_3d
from chainrule.ops.axis_numbers import as_list, one_axis
from chainrule.ops.declare import astype, joined_dtype
from chainrule.ops.samples import examples

__all__ = [
    "array_split",
    "column_stack",
    "concat",
    "concatenate",
    "dsplit",
    "dstack",
    "hsplit",
    "hstack",
    "repeat",
    "roll",
    "split",
    "stack",
    "tile",
    "unstack",
    "vsplit",
    "vstack",
]


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


def _own_part(g: Tensor, y: Tensor, index: int, axis: int) -> Tensor:
    """The part of g that belongs to one of the inputs."""
    ends = shared_gradient(y, g, lambda: list(accumulate([x.shape[axis] for x in y.inputs])))
    part = slice(ends[index] - y.inputs[index].shape[axis], ends[index])
    return g[(slice(None),) * axis + (part,)]


_concatenate.differentiable(_own_part)


@both_names(arrays="tensors")
@method
def concatenate(
    tensors: Sequence[TensorLike], axis: int | None = 0, *, dtype: DTypeLike | None = None
) -> Tensor:
    """Tensors one after another along an existing axis; their dtypes are made one, or `dtype`.

    Args:
        tensors: of shapes that are equal except along `axis`.
        axis: which axis grows; None flattens the Tensors before.

    Example:
        >>> import chainrule as cr
        >>> cr.concatenate([cr.tensor([1, 2]), cr.tensor([3])])
        tensor([1, 2, 3])
    """
    inputs = _of_one_dtype("concatenate", tensors, dtype)
    if axis is None:
        inputs, axis = [x.reshape(-1) for x in inputs], 0
    axis = one_axis("concatenate", axis, inputs[0].ndim)
    return inputs[0] if len(inputs) == 1 else _concatenate.apply(*inputs, axis=axis)


@both_names(arrays="tensors")
@method
def stack(
    tensors: Sequence[TensorLike], axis: int = 0, *, dtype: DTypeLike | None = None
) -> Tensor:
    """Tensors of one shape along a new axis; their dtypes are made one, or `dtype`.

    Raises:
        ShapeError: if the shapes differ, or there is no such axis.

    Example:
        >>> import chainrule as cr
        >>> cr.stack([cr.tensor([1, 2]), cr.tensor([3, 4])], axis=1)
        tensor([[1, 3],
                [2, 4]])
    """
    inputs = _of_one_dtype("stack", tensors, dtype)
    shape = inputs[0].shape
    if any(x.shape != shape for x in inputs):
        shapes = ", ".join(str(x.shape) for x in inputs)
        raise ShapeError(f"stack: all shapes must be equal, got {shapes}")
    axis = one_axis("stack", axis, len(shape) + 1)
    if axis == len(shape):
        return concatenate([x.reshape((*shape, 1)) for x in inputs], axis)
    joined = concatenate(inputs, axis)  # the new axis and the one behind it are one there
    return joined.reshape((*shape[:axis], len(inputs), *shape[axis:]))


concat = concatenate
"""The array API standard's name of `concatenate`."""


@both_names()
def vstack(tensors: Sequence[TensorLike]) -> Tensor:
    """Tensors below one another: joined along axis 0, where a 1-d Tensor is a row.

    Example:
        >>> import chainrule as cr
        >>> cr.vstack([cr.tensor([1, 2]), cr.tensor([3, 4])])
        tensor([[1, 2],
                [3, 4]])
    """
    return concatenate([atleast_2d(t) for t in _several("vstack", tensors)], 0)


@both_names()
def hstack(tensors: Sequence[TensorLike]) -> Tensor:
    """Tensors beside one another: joined along axis 1, or along axis 0 where they are 1-d.

    Example:
        >>> import chainrule as cr
        >>> cr.hstack([cr.tensor([[1], [2]]), cr.tensor([[3], [4]])])
        tensor([[1, 3],
                [2, 4]])
    """
    inputs = [atleast_1d(t) for t in _several("hstack", tensors)]
    return concatenate(inputs, 0 if inputs and inputs[0].ndim == 1 else 1)


@both_names()
def dstack(tensors: Sequence[TensorLike]) -> Tensor:
    """Tensors behind one another: joined along axis 2, which those of 1 or 2 axes get.

    Example:
        >>> import chainrule as cr
        >>> cr.dstack([cr.tensor([1, 2]), cr.tensor([3, 4])]).tolist()
        [[[1, 3], [2, 4]]]
    """
    return concatenate([atleast_3d(t) for t in _several("dstack", tensors)], 2)


@both_names()
def column_stack(tensors: Sequence[TensorLike]) -> Tensor:
    """Columns of a matrix: Tensors joined along axis 1, where a 1-d Tensor is a column.

    Example:
        >>> import chainrule as cr
        >>> cr.column_stack([cr.tensor([1, 2]), cr.tensor([3, 4])])
        tensor([[1, 3],
                [2, 4]])
    """
    inputs = [atleast_1d(t) for t in _several("column_stack", tensors)]
    return concatenate([x.reshape(-1, 1) if x.ndim == 1 else x for x in inputs], 1)


Sections = int | Sequence[int]
"""How to cut an axis: a number of parts, or the places of the cuts."""


@both_names()
def array_split(x: TensorLike, indices_or_sections: Sections, axis: int = 0) -> list[Tensor]:
    """As `split`, but a number of parts need not divide the axis: the first ones are longer by 1.

    Example:
        >>> import chainrule as cr
        >>> [part.tolist() for part in cr.array_split(cr.tensor([1, 2, 3, 4, 5]), 2)]
        [[1, 2, 3], [4, 5]]
    """
    return _cut("array_split", as_tensor(x), indices_or_sections, axis)


@both_names()
def split(x: TensorLike, indices_or_sections: Sections, axis: int = 0) -> list[Tensor]:
    """Consecutive parts along an axis, as NumPy cuts them.

    Args:
        x: of any shape but ().
        indices_or_sections: an integer is the number of equal parts (in PyTorch it is their
            size); a sequence says at which indices the parts after the first one begin (in PyTorch
            it has their sizes).
        axis: along which to cut.

    Raises:
        ShapeError: if a number of parts does not divide the length.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([1, 2, 3, 4, 5, 6])
        >>> [part.tolist() for part in cr.split(x, 2)]
        [[1, 2, 3], [4, 5, 6]]
        >>> [part.tolist() for part in cr.split(x, [1, 5])]
        [[1], [2, 3, 4, 5], [6]]
    """
    x = as_tensor(x)
    if not isinstance(indices_or_sections, Iterable):
        (sections,) = as_list("split", indices_or_sections)
        length = x.shape[one_axis("split", axis, x.ndim)]
        if sections > 0 and length % sections:
            raise ShapeError(
                f"split: a length of {length} has no {sections} equal parts; array_split makes "
                "parts of unequal lengths. A number is that of the parts, as in NumPy, not their "
                "size, as in PyTorch"
            )
    return _cut("split", x, indices_or_sections, axis)


@both_names(sections="indices_or_sections", indices="indices_or_sections")
def vsplit(x: TensorLike, indices_or_sections: Sections) -> list[Tensor]:
    """As `split` along axis 0, of a Tensor of 2 axes or more.

    Example:
        >>> import chainrule as cr
        >>> [part.tolist() for part in cr.vsplit(cr.tensor([[1, 2], [3, 4]]), 2)]
        [[[1, 2]], [[3, 4]]]
    """
    return split(_with_axes("vsplit", x, 2), indices_or_sections, 0)


@both_names(sections="indices_or_sections", indices="indices_or_sections")
def hsplit(x: TensorLike, indices_or_sections: Sections) -> list[Tensor]:
    """As `split` along axis 1, or along axis 0 of a 1-d Tensor.

    Example:
        >>> import chainrule as cr
        >>> [part.tolist() for part in cr.hsplit(cr.tensor([[1, 2], [3, 4]]), 2)]
        [[[1], [3]], [[2], [4]]]
    """
    x = _with_axes("hsplit", x, 1)
    return split(x, indices_or_sections, 0 if x.ndim == 1 else 1)


@both_names(sections="indices_or_sections", indices="indices_or_sections")
def dsplit(x: TensorLike, indices_or_sections: Sections) -> list[Tensor]:
    """As `split` along axis 2, of a Tensor of 3 axes or more.

    Example:
        >>> import chainrule as cr
        >>> [part.tolist() for part in cr.dsplit(cr.tensor([[[1, 2]]]), 2)]
        [[[[1]]], [[[2]]]]
    """
    return split(_with_axes("dsplit", x, 3), indices_or_sections, 2)


def _with_axes(name: str, x: TensorLike, count: int) -> Tensor:
    x = as_tensor(x)
    if x.ndim < count:
        raise ShapeError(f"{name} takes a Tensor of at least {count} axes, not shape {x.shape}")
    return x


def _cut(name: str, x: Tensor, indices_or_sections: Sections, axis: int) -> list[Tensor]:
    axis = one_axis(name, axis, x.ndim)
    if isinstance(indices_or_sections, Iterable):
        bounds = [0, *as_list(name, indices_or_sections), x.shape[axis]]
    else:
        (sections,) = as_list(name, indices_or_sections)
        if sections < 1:
            raise ShapeError(f"{name}: the number of parts is positive, got {sections}")
        size, longer = divmod(x.shape[axis], sections)
        bounds = [size * i + min(i, longer) for i in range(sections + 1)]
    before = (slice(None),) * axis
    return [x[(*before, slice(bounds[i], bounds[i + 1]))] for i in range(len(bounds) - 1)]


@both_names()
@method
def unstack(x: TensorLike, axis: int = 0) -> tuple[Tensor, ...]:
    """The Tensors that lie along an axis, one by one, without it: `stack` undone.

    Example:
        >>> import chainrule as cr
        >>> a, b = cr.unstack(cr.tensor([[1, 2], [3, 4]]), axis=1)
        >>> b
        tensor([2, 4])
    """
    x = as_tensor(x)
    axis = one_axis("unstack", axis, x.ndim)
    if not axis:
        return tuple(x)
    return tuple([x[(slice(None),) * axis + (i,)] for i in range(x.shape[axis])])


@both_names(dims="reps")
@method
def tile(x: TensorLike, reps: int | Sequence[int]) -> Tensor:
    """`x` laid beside itself: `reps` times along each axis, counted from the last one.

    Its gradient is the sum over the copies. (PyTorch's `x.repeat`.)

    Raises:
        ShapeError: for a negative number of repetitions.

    Example:
        >>> import chainrule as cr
        >>> cr.tile(cr.tensor([1, 2]), (2, 2))
        tensor([[1, 2, 1, 2],
                [1, 2, 1, 2]])
    """
    x = as_tensor(x)
    counts = as_list("tile", reps)
    if any(count < 0 for count in counts):
        raise ShapeError(f"tile: the numbers of repetitions are not negative, got {counts}")
    counts = [1] * (x.ndim - len(counts)) + counts
    x = x.reshape((1,) * (len(counts) - x.ndim) + x.shape)
    for axis, count in enumerate(counts):
        x = _repeated(x, axis, count, whole=True)
    return x


def _repeated(x: Tensor, axis: int, count: int, *, whole: bool) -> Tensor:
    """x `count` times along an axis: the whole of it, or each element of the axis by itself."""
    if count == 1:
        return x
    place = axis if whole else axis + 1
    before, after = x.shape[:place], x.shape[place:]
    spread = x.reshape((*before, 1, *after)).broadcast_to((*before, count, *after))
    return spread.reshape((*x.shape[:axis], count * x.shape[axis], *x.shape[axis + 1 :]))


@both_names()
@method
def repeat(x: TensorLike, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
    """Each element `repeats` times in a row. Its gradient is the sum over the copies.

    Args:
        x: of any shape.
        repeats: how often; one number, or one for each index of the axis.
        axis: along which; None repeats the elements of the flattened Tensor.

    Raises:
        ShapeError: if `repeats` does not fit the axis. PyTorch's `x.repeat` is `tile` here.

    Example:
        >>> import chainrule as cr
        >>> cr.repeat(cr.tensor([[1, 2], [3, 4]]), [2, 1], axis=0)
        tensor([[1, 2],
                [1, 2],
                [3, 4]])
    """
    x = as_tensor(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = one_axis("repeat", axis, x.ndim)
    counts = np.asarray(repeats)
    length = x.shape[axis]
    if counts.dtype.kind not in "iu" and counts.size:
        raise DTypeError(f"repeat: the numbers of repeats are integers, not {counts.dtype}")
    if counts.shape not in ((), (1,), (length,)) or (counts < 0).any():
        raise ShapeError(
            f"repeat: {repeats} is not one number, or one for each of {length} indices, none "
            "negative"
        )
    if counts.size == 1:
        return _repeated(x, axis, int(counts.reshape(())), whole=False)
    return x[(slice(None),) * axis + (np.repeat(np.arange(length), counts.astype(np.int64)),)]


@both_names(shifts="shift", dims="axis")
@method
def roll(x: TensorLike, shift: int | Sequence[int], axis: Axis = None) -> Tensor:
    """The elements moved on by `shift` places along an axis; what leaves the end comes in front.

    Args:
        x: of any shape.
        shift: how far; several numbers for several axes.
        axis: along which; None moves the elements of the flattened Tensor.

    Raises:
        ShapeError: if there is no such axis, or several shifts and several axes are not as many.

    Example:
        >>> import chainrule as cr
        >>> cr.roll(cr.tensor([1, 2, 3, 4]), 1)
        tensor([4, 1, 2, 3])
    """
    x = as_tensor(x)
    if axis is None:
        flat = x.reshape(-1)
        for places in as_list("roll", shift):
            flat = _rolled(flat, places, 0)
        return flat.reshape(x.shape)
    axes, shifts = as_list("roll", axis), as_list("roll", shift)
    if 1 not in (len(axes), len(shifts)) and len(axes) != len(shifts):
        raise ShapeError(f"roll: {shift} and {axis} are not as many shifts as axes")
    for a, places in zip(*np.broadcast_arrays(axes, shifts), strict=True):
        x = _rolled(x, int(places), one_axis("roll", int(a), x.ndim))
    return x


def _rolled(x: Tensor, shift: int, axis: int) -> Tensor:
    length = x.shape[axis]
    if not length or not shift % length:
        return x
    before, cut = (slice(None),) * axis, length - shift % length
    return concatenate([x[(*before, slice(cut, None))], x[(*before, slice(cut))]], axis)


def _several(name: str, tensors: Sequence[TensorLike]) -> Sequence[TensorLike]:
    return checks.several(f"{name}: tensors", tensors, "Tensors")


def _of_one_dtype(
    name: str, tensors: Sequence[TensorLike], dtype: DTypeLike | None
) -> list[Tensor]:
    """The Tensors, cast to `dtype`, or without one to that in which they meet."""
    tensors = _several(name, tensors)
    inputs = [as_tensor(t) if dtype is None else astype(t, dtype) for t in tensors]
    if not inputs:
        raise ShapeError(f"{name} takes at least one Tensor")
    if any(x.dtype != inputs[0].dtype for x in inputs):
        dtype = joined_dtype(*tensors)
        inputs = [as_tensor(t, dtype).astype(dtype) for t in tensors]
    return inputs
