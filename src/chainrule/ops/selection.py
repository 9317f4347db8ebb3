"""Elements taken from, and put to, places that are given by indices; diagonals."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from chainrule.checks import integer
from chainrule.errors import DTypeError, ShapeError, SymbolicError
from chainrule.graph.keywords import both_names
from chainrule.graph.registered import method
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.ops.arithmetic import clip
from chainrule.ops.axes import expand_dims, moveaxis
from chainrule.ops.axis_numbers import one_axis
from chainrule.ops.comparison import equal, greater, where
from chainrule.ops.declare import BOOL, are_python_numbers
from chainrule.ops.index import scatter_add, unslice
from chainrule.ops.joining import stack
from chainrule.ops.rounding import remainder

__all__ = [
    "add_along_axis",
    "argwhere",
    "diag",
    "diagonal",
    "flatnonzero",
    "nonzero",
    "put",
    "put_along_axis",
    "take",
    "take_along_axis",
    "trace",
]


@both_names(index="indices")
@method
def take(
    x: TensorLike, indices: TensorLike, axis: int | None = None, mode: str = "raise"
) -> Tensor:
    """The elements at `indices` along an axis: x[:, ..., indices, ...].

    Args:
        x: of any shape but ().
        indices: integers of any shape, which takes the place of the axis; negative ones count from
            the end.
        axis: None takes from the flattened Tensor.
        mode: what becomes of an index out of range: "raise", the default; "wrap" counts on from the
            other end; "clip" takes the nearest element, the first one for negative ones.

    Raises:
        DTypeError: if the indices are not integers.
        IndexError: if one is out of range.
        ValueError: if the mode is another.

    Example:
        >>> import chainrule as cr
        >>> cr.take(cr.tensor([[1.0, 2.0], [3.0, 4.0]]), [1, 1, 0], axis=1)
        tensor([[2., 2., 1.],
                [4., 4., 3.]])
    """
    x = as_tensor(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = one_axis("take", axis, x.ndim)
    at = _integers("take", indices)
    if mode == "wrap":
        at = remainder(at.astype(np.int64), x.shape[axis])
    elif mode == "clip":
        at = clip(at.astype(np.int64), 0, x.shape[axis] - 1)
    elif mode != "raise":
        raise ValueError(f"take: the mode is 'raise', 'wrap' or 'clip', not {mode!r}")
    return x[(slice(None),) * axis + (at,)]


def _integers(name: str, indices: TensorLike) -> Tensor:
    """The indices as a Tensor of integers; an empty list has no dtype of its own."""
    if isinstance(indices, list) and not np.size(indices):
        indices = np.asarray(indices, np.int64)
    indices = as_tensor(indices)
    if indices.dtype.kind not in "iu":
        raise DTypeError(f"{name}: indices are integers, not {indices.dtype}")
    return indices


@both_names(index="indices")
@method
def take_along_axis(x: TensorLike, indices: TensorLike, axis: int | None = -1) -> Tensor:
    """For each line of `x` along an axis, the elements at the indices of the same line.

    For two axes and axis=1: y[i, j] = x[i, indices[i, j]]. (PyTorch's `gather`.)

    Args:
        x: of any shape but ().
        indices: integers; as many axes as `x` has, and along the other axes lengths that broadcast
            with those of `x`.
        axis: None takes from the flattened Tensor at 1-d indices.

    Returns:
        Of the shape of the broadcast indices.

    Raises:
        ShapeError: if the shapes do not fit.
        IndexError: if an index is out of range.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([[3.0, 1.0], [5.0, 9.0]])
        >>> cr.take_along_axis(x, [[1], [0]], axis=1)
        tensor([[1.],
                [5.]])
    """
    x, indices = as_tensor(x), _integers("take_along_axis", indices)
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = one_axis("take_along_axis", axis, x.ndim)
    shape = _shape_along("take_along_axis", x, indices, axis)
    x = x.broadcast_to((*shape[:axis], x.shape[axis], *shape[axis + 1 :]))
    first, places = _places(_of_rows(indices, shape, axis), axis)
    return x[(slice(None),) * first + places]


def _shape_along(name: str, x: Tensor, indices: Tensor, axis: int) -> tuple[int, ...]:
    """The shape of the indices, broadcast along all axes but one with that of x."""
    others = tuple([1 if a == axis else length for a, length in enumerate(x.shape)])
    try:
        if indices.ndim != x.ndim:
            raise ValueError
        return np.broadcast_shapes(others, indices.shape)
    except ValueError:
        raise ShapeError(
            f"{name}: indices of shape {indices.shape} do not fit {x.shape}: they need as many "
            f"axes, and lengths that broadcast along all but axis {axis}"
        ) from None


def _of_rows(indices: Tensor, shape: tuple[int, ...], axis: int) -> Tensor:
    """The indices broadcast to a shape, but with length 1 along those of its first and last axes
    along which they are equal."""
    value, operation = indices.node().value, indices.node().operation
    if value is not None:
        indices = indices[tuple([slice(None) if step else slice(1) for step in value.strides])]
    elif operation is not None and operation.name == "broadcast_to":
        (source,) = indices.node().inputs
        indices = source.reshape((1,) * (indices.ndim - source.ndim) + source.shape)
    named = [a for a, n in enumerate(indices.shape) if n != 1 or a == axis]
    lengths = [n if named[0] <= a <= named[-1] else 1 for a, n in enumerate(shape)]
    return indices.broadcast_to(lengths)


def _places(indices: Tensor, axis: int) -> tuple[int, tuple[Tensor, ...]]:
    """Indices of elements: the given one along `axis`, its own place along the others.

    Returns:
        The first axis of them, and an index for each from there on. Before and after it elements
        are taken together, as rows of a matrix by one index each.
    """
    shape = indices.shape
    named = [a for a, n in enumerate(shape) if n != 1 or a == axis]
    first, shape = named[0], shape[named[0] : named[-1] + 1]
    places = [
        indices.reshape(shape)
        if first + a == axis
        else as_tensor(np.arange(n).reshape([n if a == b else 1 for b in range(len(shape))]))
        for a, n in enumerate(shape)
    ]
    return first, tuple([place.broadcast_to(shape) for place in places])


@both_names(index="indices", src="values")
@method
def put_along_axis(
    x: TensorLike, indices: TensorLike, values: TensorLike, axis: int | None
) -> Tensor:
    """A new Tensor: `x` with other elements at the indices of each line along an axis.

    NumPy's function of this name writes into `x`; here `x` keeps its value, and the result is
    returned. Of values for one place the last wins. The gradient by `x` is 0 where it is replaced,
    that by `values` is what arrives at their places. (PyTorch's `scatter`.)

    Args:
        x: of any shape but ().
        indices: integers; as many axes as `x` has.
        values: of the shape of the indices, or one that broadcasts to it.
        axis: None puts into the flattened Tensor, at 1-d indices.

    Raises:
        ShapeError: if the shapes do not fit.
        DTypeError: if floats are put into a Tensor of integers or booleans.
        IndexError: if an index is out of range.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> cr.put_along_axis(x, [[1], [0]], 0.0, axis=1)
        tensor([[1., 0.],
                [0., 4.]])
    """
    start = as_tensor(x)
    x, indices, values, axis = _to_put("put_along_axis", start, indices, values, axis)
    last = _is_last(indices, x.shape[axis], axis)
    put = _added(where(last, values, 0), indices, axis, x.shape)
    lines = (*indices.shape[:axis], x.shape[axis], *indices.shape[axis + 1 :])
    is_put = greater(_added(last.astype(np.int64), indices, axis, lines), 0)
    return where(is_put, put.astype(x.dtype), x).reshape(start.shape)


@both_names(index="indices", src="values")
@method
def add_along_axis(
    x: TensorLike, indices: TensorLike, values: TensorLike, axis: int | None
) -> Tensor:
    """A new Tensor: `x` with numbers added at the indices of each line along an axis.

    For one place named several times all its values are added. (PyTorch's `scatter_add`.) Whole
    rows of a matrix are added at indices of shape (rows, 1), as ``indices[:, None]`` with axis=0,
    which is natively much faster than the same indices for each element. (PyTorch's `index_add`; a
    sum over segments.)

    Args:
        x: numbers, of any shape but ().
        indices: integers; as many axes as `x` has.
        values: of the shape of the indices, or one that broadcasts to it.
        axis: None adds to the flattened Tensor, at 1-d indices.

    Raises:
        ShapeError: if the shapes do not fit.
        DTypeError: if `x` is boolean, or if floats are added to integers.
        IndexError: if an index is out of range.

    Example:
        >>> import chainrule as cr
        >>> cr.add_along_axis(cr.tensor([1.0, 2.0]), [0, 0, 1], [10.0, 20.0, 30.0], axis=0)
        tensor([31., 32.])
        >>> rows = cr.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        >>> segments = cr.tensor([0, 1, 0])
        >>> cr.add_along_axis(cr.zeros((2, 2)), segments[:, None], rows, axis=0)
        tensor([[6., 8.],
                [3., 4.]])
    """
    start = as_tensor(x)
    if start.dtype == BOOL:
        raise DTypeError("add_along_axis takes numbers, not booleans; cast the Tensor first")
    x, indices, values, axis = _to_put("add_along_axis", start, indices, values, axis)
    return (x + _added(values, indices, axis, x.shape).astype(x.dtype)).reshape(start.shape)


def _to_put(
    name: str, x: Tensor, indices: TensorLike, values: TensorLike, axis: int | None
) -> tuple[Tensor, Tensor, Tensor, int]:
    """The Tensor, the indices, the values in a dtype that sums have, the axis.

    The values have the shape of the indices, but these may have length 1: see `_of_rows`.
    """
    indices = _integers(name, indices)
    values = _values(x, values)
    if values.dtype.kind == "f" and x.dtype.kind != "f":
        raise DTypeError(f"{name}: {values.dtype} does not fit into {x.dtype}; cast one of them")
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = one_axis(name, axis, x.ndim)
    shape = _shape_along(name, x, indices, axis)
    if (*shape[:axis], *shape[axis + 1 :]) != (*x.shape[:axis], *x.shape[axis + 1 :]):
        raise ShapeError(f"{name}: indices of shape {indices.shape} are more than fit {x.shape}")
    values = values.astype(x.dtype if x.dtype.kind == "f" else np.int64)
    return x, _of_rows(indices, shape, axis), values.broadcast_to(shape), axis


def _values(x: Tensor, values: TensorLike) -> Tensor:
    """The values that are put into x. Python's numbers have its dtype, where it holds them."""
    if x.dtype.kind == "f" and not isinstance(values, Tensor):
        return as_tensor(values, x.dtype)
    found = as_tensor(values)
    is_held = found.dtype.kind in "biu" and x.dtype.kind in "iu" and are_python_numbers(values)
    return as_tensor(values, x.dtype) if is_held else found


def _added(values: Tensor, indices: Tensor, axis: int, shape: tuple[int, ...]) -> Tensor:
    """Zeros of a shape with the values added at the indices of each line."""
    first, places = _places(indices, axis)
    return scatter_add.apply(values, *places, shape=shape, axis=first)


def _is_last(indices: Tensor, length: int, axis: int) -> Tensor:
    """Whether no later index of the same line names the same place."""
    value, count = indices.node().value, indices.shape[axis]
    if value is not None:
        order = np.arange(count).reshape([-1 if a == axis else 1 for a in range(value.ndim)])
        winners = np.zeros((*value.shape[:axis], length, *value.shape[axis + 1 :]), np.int64)
        np.put_along_axis(winners, value, order, axis)
        return as_tensor(np.take_along_axis(winners, value, axis) == order)
    # Without values: each pair of indices is compared.
    lines = moveaxis(where(indices < 0, indices + length, indices), axis, -1)
    same = equal(expand_dims(lines, -1), expand_dims(lines, -2)).astype(np.int64)
    later = np.triu(np.ones((count, count), np.int64), 1)
    return moveaxis(equal((same * later).sum(-1), 0), -1, axis)


@both_names(index="indices", source="values")
@method
def put(x: TensorLike, indices: TensorLike, values: TensorLike) -> Tensor:
    """A new Tensor: `x` with other elements at indices into the flattened Tensor.

    NumPy's function of this name writes into `x`; here `x` keeps its value. Of values for one
    place the last wins.

    Args:
        x: of any shape.
        indices: integers of any shape.
        values: of the shape of the indices, or one that broadcasts to it.

    Raises:
        ShapeError, DTypeError, IndexError: as `put_along_axis`.

    Example:
        >>> import chainrule as cr
        >>> cr.put(cr.tensor([[1, 2], [3, 4]]), [0, 3], [10, 40])
        tensor([[10,  2],
                [ 3, 40]])
    """
    x, indices = as_tensor(x), _integers("put", indices)
    values = _values(x, values).broadcast_to(indices.shape).reshape(-1)
    return put_along_axis(x, indices.reshape(-1), values, None)


@both_names(dim1="axis1", dim2="axis2")
@method
def diagonal(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The elements x[i, i + offset] of matrices, along a new last axis.

    Args:
        x: of two axes or more.
        offset: above the main diagonal where it is positive, below where negative.
        axis1, axis2: of the matrices' rows and columns.

    Raises:
        ShapeError: if the two axes are one, or are not there.

    Example:
        >>> import chainrule as cr
        >>> cr.diagonal(cr.tensor([[1, 2], [3, 4]]), offset=1)
        tensor([2])
    """
    return _diagonal("diagonal", x, offset, axis1, axis2)


def _diagonal(name: str, x: TensorLike, offset: int, axis1: int, axis2: int) -> Tensor:
    x, offset = as_tensor(x), integer(f"{name}: offset", offset)
    axis1, axis2 = (one_axis(name, a, x.ndim) for a in (axis1, axis2))
    if axis1 == axis2:
        raise ShapeError(f"{name} takes two axes, not {axis1} twice")
    x = x.transpose([*(a for a in range(x.ndim) if a not in (axis1, axis2)), axis1, axis2])
    rows, columns = x.shape[-2:]
    count = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    start = max(offset, 0) + max(-offset, 0) * columns if count else 0
    flat = x.reshape((*x.shape[:-2], rows * columns))
    stop = start + (count - 1) * (columns + 1) + 1 if count else 0
    return flat[..., start : stop : columns + 1]


@both_names()
@method
def trace(
    x: TensorLike,
    offset: int = 0,
    axis1: int = 0,
    axis2: int = 1,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """The sum of the elements on a diagonal of matrices.

    Args:
        x: of two axes or more.
        offset, axis1, axis2: as of `diagonal`.
        dtype: as of `sum`.

    Example:
        >>> import chainrule as cr
        >>> cr.trace(cr.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor(5.)
    """
    return _diagonal("trace", x, offset, axis1, axis2).sum(-1, dtype=dtype)


@both_names(diagonal="k", offset="k", v="x")
@method
def diag(x: TensorLike, k: int = 0) -> Tensor:
    """The diagonal of a matrix; of a 1-d Tensor the matrix with it as its diagonal.

    Args:
        x: of one axis or two.
        k: which diagonal: 0 the main one, positive above, negative below.

    Raises:
        ShapeError: for a Tensor of no axis, or of more than two.

    Example:
        >>> import chainrule as cr
        >>> cr.diag(cr.tensor([1, 2]))
        tensor([[1, 0],
                [0, 2]])
    """
    x, k = as_tensor(x), integer("diag: k", k)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError(f"diag takes a matrix or a 1-d Tensor, not shape {x.shape}")
    size = x.size + abs(k)
    runs = ((max(k, 0) + max(-k, 0) * size, size + 1, x.size),)
    return unslice.apply(x, runs=runs, shape=(size * size,)).reshape(size, size)


@both_names()
@method
def nonzero(x: TensorLike) -> tuple[Tensor, ...]:
    """The indices (int64) of the elements that are not zero: one 1-d Tensor for each axis.

    Raises:
        SymbolicError: if `x` has no value yet: how many there are depends on it.

    Example:
        >>> import chainrule as cr
        >>> rows, columns = cr.nonzero(cr.tensor([[0, 7], [5, 0]]))
        >>> rows, columns
        (tensor([0, 1]), tensor([1, 0]))
    """
    x = as_tensor(x)
    value = x.node().value
    if value is None:
        raise SymbolicError(
            "nonzero: how many elements are not zero is not known while a graph is captured; use "
            "where, which keeps the shape, or run the eager loop"
        )
    if not value.ndim:
        raise ShapeError("nonzero takes a Tensor of at least one axis; atleast_1d makes one")
    return tuple(map(as_tensor, np.nonzero(value)))


@both_names()
def argwhere(x: TensorLike) -> Tensor:
    """The indices (int64) of the elements that are not zero, one row for each of them.

    The row of a number, which has no axes, is empty.

    Raises:
        SymbolicError: as `nonzero`.

    Example:
        >>> import chainrule as cr
        >>> cr.argwhere(cr.tensor([[0, 7], [5, 0]]))
        tensor([[0, 1],
                [1, 0]])
    """
    x = as_tensor(x)
    return stack(nonzero(x), 1) if x.ndim else stack(nonzero(x.reshape(1)), 1)[:, :0]


@both_names()
def flatnonzero(x: TensorLike) -> Tensor:
    """The indices (int64) into the flattened Tensor of the elements that are not zero.

    Raises:
        SymbolicError: as `nonzero`.

    Example:
        >>> import chainrule as cr
        >>> cr.flatnonzero(cr.tensor([[0, 7], [5, 0]]))
        tensor([1, 2])
    """
    return nonzero(as_tensor(x).reshape(-1))[0]
