"""Axes dropped, added, moved, turned and met: the shapes of NumPy and the array API standard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule import checks
from chainrule.checks import integer
from chainrule.errors import ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.methods import Axis
from chainrule.graph.registered import method
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.ops.axis_numbers import as_list, normalize_axes, one_axis
from chainrule.ops.declare import broadcast
from chainrule.ops.shape import refuse_order

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "broadcast_arrays",
    "expand_dims",
    "flatten",
    "flip",
    "fliplr",
    "flipud",
    "matrix_transpose",
    "meshgrid",
    "moveaxis",
    "permute_dims",
    "ravel",
    "rot90",
    "squeeze",
    "swapaxes",
]


@both_names()
@method
def squeeze(x: TensorLike, axis: Axis = None) -> Tensor:
    """`x` without axes of length 1: those given, or all.

    Raises:
        ShapeError: if a given axis has another length.

    Example:
        >>> import chainrule as cr
        >>> cr.squeeze(cr.tensor([[[1], [2]]]), axis=0).shape
        (2, 1)
    """
    x = as_tensor(x)
    if axis is None:
        return x.reshape([length for length in x.shape if length != 1])
    axes = normalize_axes("squeeze", axis, x.shape)
    if any(x.shape[a] != 1 for a in axes):
        raise ShapeError(f"squeeze: axis {axis} of shape {x.shape} is not of length 1")
    return x.reshape([length for a, length in enumerate(x.shape) if a not in axes])


@both_names()
@method
def expand_dims(x: TensorLike, axis: int | tuple[int, ...] = 0) -> Tensor:
    """`x` with new axes of length 1, which stand at `axis` in the result.

    Example:
        >>> import chainrule as cr
        >>> cr.expand_dims(cr.tensor([1, 2]), axis=-1).shape
        (2, 1)
    """
    x = as_tensor(x)
    new = tuple(as_list("expand_dims", axis))
    count = x.ndim + len(new)
    axes = normalize_axes("expand_dims", new, (1,) * count)
    lengths = iter(x.shape)
    return x.reshape([1 if a in axes else next(lengths) for a in range(count)])


@both_names()
@method
def moveaxis(
    x: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]
) -> Tensor:
    """`x` with axes moved to other places; the others keep their order.

    Example:
        >>> import chainrule as cr
        >>> cr.moveaxis(cr.placeholder((2, 3, 4)), 0, -1).shape
        (3, 4, 2)
    """
    x = as_tensor(x)
    sources, destinations = (
        [one_axis("moveaxis", a, x.ndim) for a in as_list("moveaxis", axes)]
        for axes in (source, destination)
    )
    if len({*sources}) != len(sources) or len({*destinations}) != len(sources):
        raise ShapeError(
            f"moveaxis: axes {source} of shape {x.shape} can't move to {destination}: as many "
            "places as axes are needed, each once"
        )
    order = [a for a in range(x.ndim) if a not in sources]
    for place, axis in sorted(zip(destinations, sources, strict=True)):
        order.insert(place, axis)
    return x.transpose(order)


@both_names(axis0="axis1", dim0="axis1", dim1="axis2")
@method
def swapaxes(x: TensorLike, axis1: int, axis2: int) -> Tensor:
    """`x` with two axes exchanged.

    Example:
        >>> import chainrule as cr
        >>> cr.swapaxes(cr.placeholder((2, 3, 4)), 0, -1).shape
        (4, 3, 2)
    """
    x = as_tensor(x)
    axis1, axis2 = (one_axis("swapaxes", a, x.ndim) for a in (axis1, axis2))
    order = list(range(x.ndim))
    order[axis1], order[axis2] = axis2, axis1
    return x.transpose(order)


@both_names(dims="axes")
def permute_dims(x: TensorLike, axes: Sequence[int]) -> Tensor:
    """The axes in the order given: the array API standard's name of `transpose` with an order.

    Example:
        >>> import chainrule as cr
        >>> cr.permute_dims(cr.placeholder((2, 3, 4)), (2, 0, 1)).shape
        (4, 2, 3)
    """
    return as_tensor(x).transpose(axes)


@both_names()
@method
def matrix_transpose(x: TensorLike) -> Tensor:
    """Each matrix of a stack transposed: the last two axes exchanged; `x.mT`.

    Example:
        >>> import chainrule as cr
        >>> cr.placeholder((5, 2, 3)).mT.shape
        (5, 3, 2)
    """
    x = as_tensor(x)
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose takes matrices, not shape {x.shape}")
    return swapaxes(x, -2, -1)


@both_names(start_dim="start_axis", end_dim="end_axis")
@method
def flatten(x: TensorLike, start_axis: int = 0, end_axis: int = -1, order: str = "C") -> Tensor:
    """The axes from `start_axis` to `end_axis` made one, by default all of them.

    A 0-d Tensor becomes one of one element. As in NumPy the order may come in place of the first
    axis; it is "C", row-major.

    Raises:
        ShapeError: if there is no such axis, or the first lies after the last.

    Example:
        >>> import chainrule as cr
        >>> cr.flatten(cr.placeholder((8, 3, 4)), 1).shape
        (8, 12)
    """
    x = as_tensor(x)
    if isinstance(start_axis, str):
        start_axis, order = 0, start_axis
    if order != "C":
        refuse_order("flatten", order)
    if not x.ndim:
        return x.reshape(1)
    first, last = (one_axis("flatten", a, x.ndim) for a in (start_axis, end_axis))
    if first > last:
        raise ShapeError(f"flatten: axis {start_axis} of shape {x.shape} lies after {end_axis}")
    length = int(np.prod(x.shape[first : last + 1], dtype=np.int64))
    return x.reshape((*x.shape[:first], length, *x.shape[last + 1 :]))


@both_names()
@method
def ravel(x: TensorLike, order: str = "C") -> Tensor:
    """All elements along one axis, in row-major order, "C".

    Example:
        >>> import chainrule as cr
        >>> cr.ravel(cr.tensor([[1, 2], [3, 4]]))
        tensor([1, 2, 3, 4])
    """
    if order != "C":
        refuse_order("ravel", order)
    x = as_tensor(x)
    return x.reshape(x.size)


def _at_least(x: TensorLike, ndim: int) -> Tensor:
    x = as_tensor(x)
    return x if x.ndim >= ndim else x.reshape((1,) * (ndim - x.ndim) + x.shape)


@both_names()
def atleast_1d(x: TensorLike) -> Tensor:
    """`x`, or where it is a number a Tensor of one element.

    Example:
        >>> import chainrule as cr
        >>> cr.atleast_1d(3)
        tensor([3])
    """
    return _at_least(x, 1)


@both_names()
def atleast_2d(x: TensorLike) -> Tensor:
    """`x`, or where it has fewer than two axes a matrix of one row.

    Example:
        >>> import chainrule as cr
        >>> cr.atleast_2d(cr.tensor([1, 2])).shape
        (1, 2)
    """
    return _at_least(x, 2)


@both_names()
def atleast_3d(x: TensorLike) -> Tensor:
    """`x`, or where it has fewer than three axes one of shape (1, n, 1) or (m, n, 1).

    Example:
        >>> import chainrule as cr
        >>> cr.atleast_3d(cr.tensor([1, 2])).shape
        (1, 2, 1)
    """
    x = as_tensor(x)
    return x if x.ndim >= 3 else expand_dims(_at_least(x, 2), -1)


@both_names(dims="axis")
@method
def flip(x: TensorLike, axis: Axis = None) -> Tensor:
    """The elements in the opposite order along one axis, several, or all.

    Example:
        >>> import chainrule as cr
        >>> cr.flip(cr.tensor([[1, 2], [3, 4]]), axis=0)
        tensor([[3, 4],
                [1, 2]])
    """
    x = as_tensor(x)
    axes = normalize_axes("flip", axis, x.shape)
    return x[tuple([slice(None, None, -1 if a in axes else 1) for a in range(x.ndim)])]


@both_names()
@method
def fliplr(x: TensorLike) -> Tensor:
    """The columns in the opposite order: `flip` along axis 1.

    Example:
        >>> import chainrule as cr
        >>> cr.fliplr(cr.tensor([[1, 2], [3, 4]]))
        tensor([[2, 1],
                [4, 3]])
    """
    return flip(x, 1)


@both_names()
@method
def flipud(x: TensorLike) -> Tensor:
    """The rows in the opposite order: `flip` along axis 0.

    Example:
        >>> import chainrule as cr
        >>> cr.flipud(cr.tensor([[1, 2], [3, 4]]))
        tensor([[3, 4],
                [1, 2]])
    """
    return flip(x, 0)


@both_names(dims="axes")
@method
def rot90(x: TensorLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """`x` turned by `k` quarter turns, from the first of two axes towards the second.

    Raises:
        ShapeError: if the axes are one, or are not there.

    Example:
        >>> import chainrule as cr
        >>> cr.rot90(cr.tensor([[1, 2], [3, 4]]))
        tensor([[2, 4],
                [1, 3]])
    """
    x = as_tensor(x)
    given = as_list("rot90", axes)
    if len(given) != 2 or len({one_axis("rot90", a, x.ndim) for a in given}) != 2:
        raise ShapeError(f"rot90 takes two axes, not {axes}")
    first, second = (one_axis("rot90", a, x.ndim) for a in given)
    k = integer("rot90: k", k)
    if k % 4 == 0:
        return x
    if k % 4 == 2:
        return flip(x, (first, second))
    if k % 4 == 1:
        return swapaxes(flip(x, second), first, second)
    return flip(swapaxes(x, first, second), second)


def broadcast_arrays(*tensors: TensorLike) -> tuple[Tensor, ...]:
    """The Tensors repeated to the shape in which they meet.

    Example:
        >>> import chainrule as cr
        >>> a, b = cr.broadcast_arrays(cr.tensor([1, 2]), cr.tensor([[3], [4]]))
        >>> a.shape, b.shape
        ((2, 2), (2, 2))
    """
    return tuple(broadcast("broadcast_arrays", *map(as_tensor, tensors)))


def meshgrid(
    *coordinates: TensorLike, indexing: str = "xy", sparse: bool = False
) -> tuple[Tensor, ...]:
    """The coordinates of a grid's points, from the coordinates of its lines.

    Args:
        coordinates: 1-d Tensors, one for each axis of the grid.
        indexing: "xy": the first coordinate runs along axis 1 and the second along axis 0, as in a
            picture (NumPy's default); "ij": each along its own axis (PyTorch's default).
        sparse: without the repeats, to be broadcast later.

    Returns:
        One Tensor for each coordinate, each of the grid's shape.

    Raises:
        ValueError: for another indexing.
        ShapeError: for coordinates of several axes.

    Example:
        >>> import chainrule as cr
        >>> x, y = cr.meshgrid(cr.tensor([1, 2]), cr.tensor([3, 4, 5]))
        >>> y
        tensor([[3, 3],
                [4, 4],
                [5, 5]])
    """
    checks.one_of("meshgrid: indexing", indexing, ("xy", "ij"))
    lines = [atleast_1d(c) for c in coordinates]
    if any(line.ndim != 1 for line in lines):
        shapes = ", ".join(str(line.shape) for line in lines)
        raise ShapeError(f"meshgrid takes 1-d Tensors, not shapes {shapes}")
    axes = list(range(len(lines)))
    if indexing == "xy":
        axes[:2] = axes[:2][::-1]
    grid = [
        line.reshape([-1 if axis == a else 1 for a in range(len(lines))])
        for axis, line in zip(axes, lines, strict=True)
    ]
    return tuple(grid) if sparse else broadcast_arrays(*grid)
