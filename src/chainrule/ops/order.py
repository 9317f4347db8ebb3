"""Elements in order: sorted, the largest, the distinct ones, places in a sorted Tensor."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chainrule.checks import integer
from chainrule.errors import ShapeError, SymbolicError
from chainrule.graph.keywords import both_names
from chainrule.graph.operation import Spec, no_flops, operation
from chainrule.graph.registered import method
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.ops.axis_numbers import one_axis
from chainrule.ops.comparison import equal, less, less_equal, minimum, where
from chainrule.ops.declare import beyond, of_one_dtype
from chainrule.ops.reduce import argmax
from chainrule.ops.samples import examples
from chainrule.ops.selection import take_along_axis

__all__ = ["TopK", "argsort", "searchsorted", "sort", "topk", "unique"]

_LONG = 100  # elements of a line, from which on its largest are found without sorting it


@operation(
    lambda x, axis, descending: Spec(x.shape, np.dtype(np.int64)),
    examples(
        (((3, 5),), {"axis": 1, "descending": False}),
        (([[2.0, 1.0], [2.0, 3.0], [0.0, 1.0]],), {"axis": 0, "descending": True}),
        (((2, 0),), {"axis": 1, "descending": False}),
    ),
    flops=no_flops,
    only_numpy="the native core does not sort",
)
def _argsort(x: Array, axis: int, descending: bool) -> Array:
    """The indices that sort along an axis; equal elements keep their order."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    backwards = np.argsort(np.flip(x, axis), axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(backwards, axis)


@operation(
    lambda x, axis, k, largest: Spec(
        (*x.shape[:axis], k, *x.shape[axis + 1 :]), np.dtype(np.int64)
    ),
    examples(
        (((3, 5),), {"axis": 1, "k": 2, "largest": True}),
        (([[2.0, 1.0], [2.0, 3.0], [0.0, 1.0]],), {"axis": 0, "k": 3, "largest": False}),
        (((2, 300),), {"axis": 1, "k": 3, "largest": True}),
        (((2, 0),), {"axis": 1, "k": 0, "largest": True}),
    ),
    flops=no_flops,
    only_numpy="the native core does not sort",
)
def _topk_indices(x: Array, axis: int, k: int, largest: bool) -> Array:
    """The indices of the k largest or smallest along an axis, in order; of equal ones the first."""
    lines = np.moveaxis(x, axis, -1)
    length = x.shape[axis]
    if not 0 < k <= length // 4 or length < _LONG:
        order = _argsort.forward(lines, lines.ndim - 1, largest)[..., :k]
        return np.ascontiguousarray(np.moveaxis(order, -1, axis))
    place = length - k if largest else k - 1
    last = np.partition(lines, place)[..., place : place + 1]  # the last one that counts
    is_equal, is_before = lines == last, lines > last if largest else lines < last
    if x.dtype.kind == "f":  # NaN are larger than all numbers
        is_nan, ends_in_nan = np.isnan(lines), np.isnan(last)
        is_equal |= is_nan & ends_in_nan
        is_before |= is_nan & ~ends_in_nan if largest else ~is_nan & ends_in_nan
    room = k - is_before.sum(-1, keepdims=True)
    if (is_equal.sum(-1, keepdims=True) > room).any():
        is_equal &= np.cumsum(is_equal, -1) <= room
    found = np.nonzero(is_before | is_equal)[-1].reshape(*lines.shape[:-1], k)
    of_found = np.take_along_axis(lines, found, -1)
    order = _argsort.forward(of_found, lines.ndim - 1, largest)
    return np.ascontiguousarray(np.moveaxis(np.take_along_axis(found, order, -1), -1, axis))


@both_names()
@method
def argsort(
    x: TensorLike,
    axis: int | None = -1,
    *,
    kind: str | None = None,
    descending: bool = False,
    stable: bool = True,
) -> Tensor:
    """The indices (int64) that sort along an axis. NaN count as the largest.

    Natively it is refused, unless its Tensor is a constant.

    Args:
        x: of any shape; the order of a number is [0].
        axis: along which; None sorts the flattened Tensor.
        kind: NumPy's name of the algorithm, which is a stable one, whatever is given here.
        descending: from the largest to the smallest.
        stable: equal elements keep their order, whatever is given here.

    Example:
        >>> import chainrule as cr
        >>> cr.argsort(cr.tensor([3.0, 1.0, 2.0]))
        tensor([1, 2, 0])
    """
    x = as_tensor(x)
    if axis is None or (axis in (-1, 0) and not x.ndim):
        x, axis = x.reshape(-1), 0
    return _argsort.apply(x, axis=one_axis("argsort", axis, x.ndim), descending=bool(descending))


@both_names()
def sort(
    x: TensorLike,
    axis: int | None = -1,
    *,
    kind: str | None = None,
    descending: bool = False,
    stable: bool = True,
) -> Tensor:
    """The elements in order along an axis. Each one's gradient goes back to where it came from.

    Natively it is refused, unless its Tensor is a constant. PyTorch's function returns the
    indices too: they are `argsort`.

    Args:
        x, axis, kind, descending, stable: as of `argsort`.

    Example:
        >>> import chainrule as cr
        >>> cr.sort(cr.tensor([3.0, 1.0, 2.0]), descending=True)
        tensor([3., 2., 1.])
    """
    x = as_tensor(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = one_axis("sort", axis, x.ndim)
    return take_along_axis(x, argsort(x, axis, descending=descending), axis)


class TopK(NamedTuple):
    """What `topk` returns.

    Example:
        >>> import chainrule as cr
        >>> cr.topk(cr.tensor([3.0, 1.0, 2.0]), 1).indices
        tensor([0])
    """

    values: Tensor
    """The largest (or smallest) elements."""
    indices: Tensor
    """Where they stand along the axis; int64."""


@both_names()
@method
def topk(x: TensorLike, k: int, axis: int = -1, largest: bool = True, sorted: bool = True) -> TopK:
    """The `k` largest elements along an axis, the largest first, and their indices.

    Of equal ones the first stand first. NaN count as the largest. Each element's gradient goes back
    to where it came from. Natively one largest is found as by `argmax`; any other `k`, and the
    smallest, are refused, unless the Tensor is a constant.

    Args:
        x: of any shape but ().
        k: how many, from 0 to the length of the axis.
        axis: along which.
        largest: False for the smallest, the smallest first.
        sorted: they are in order, whatever is given here.

    Returns:
        A `TopK` of (values, indices), each with length `k` along the axis.

    Raises:
        ShapeError: if the axis has fewer than `k` elements.

    Example:
        >>> import chainrule as cr
        >>> values, indices = cr.topk(cr.tensor([3.0, 1.0, 2.0]), 2)
        >>> values, indices
        (tensor([3., 2.]), tensor([0, 2]))
    """
    x = as_tensor(x)
    axis, k = one_axis("topk", axis, x.ndim), integer("k", k)
    if not 0 <= k <= x.shape[axis]:
        raise ShapeError(f"topk: {k} elements of axis {axis} of shape {x.shape} are not there")
    if k == 1 and largest:
        indices = argmax(x, axis, keepdims=True)
    else:
        indices = _topk_indices.apply(x, axis=axis, k=k, largest=bool(largest))
    return TopK(take_along_axis(x, indices, axis), indices)


@both_names()
@method
def unique(
    x: TensorLike,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    sorted: bool = True,
    equal_nan: bool = True,
) -> Any:
    """The distinct elements in order. Of equal ones the first takes the gradient.

    Args:
        x: of any shape.
        return_index: also return where each stands first.
        return_inverse: also return for each element of `x` its place among the distinct ones.
        return_counts: also return how often each is there.
        axis: the distinct slices along this axis, in place of elements.
        sorted: they are in order, whatever is given here.
        equal_nan: whether all NaN count as one element.

    Returns:
        The distinct elements, or a tuple of them and what else is asked for, in this order; int64.

    Raises:
        SymbolicError: if `x` has no value yet: how many there are depends on it.

    Example:
        >>> import chainrule as cr
        >>> values, counts = cr.unique(cr.tensor([2, 1, 2]), return_counts=True)
        >>> values, counts
        (tensor([1, 2]), tensor([1, 2]))
    """
    x = as_tensor(x)
    value = x.node().value
    if value is None:
        raise SymbolicError(
            "unique: how many distinct elements there are is not known while a graph is captured; "
            "run the eager loop, or compute it from the data before"
        )
    if axis is not None:
        axis = one_axis("unique", axis, x.ndim)
    _, first, inverse, counts = np.unique(value, True, True, True, axis=axis, equal_nan=equal_nan)
    values = x.reshape(-1)[first] if axis is None else x[(slice(None),) * axis + (first,)]
    more = zip((return_index, return_inverse, return_counts), (first, inverse, counts), strict=True)
    asked = [as_tensor(found) for is_asked, found in more if is_asked]
    return (values, *asked) if asked else values


@both_names(sorted_sequence="a", input="v")
@method
def searchsorted(
    a: TensorLike,
    v: TensorLike,
    side: str | None = None,
    sorter: TensorLike | None = None,
    *,
    right: bool = False,
) -> Tensor:
    """Where numbers belong in a sorted Tensor: the index (int64) before which each keeps it sorted.

    Found by halving: about log2(n) steps. Not differentiable.

    Args:
        a: 1-d, in ascending order.
        v: the numbers, of any shape.
        side: "left", the default: before equal ones, a[i - 1] < v <= a[i]; "right": behind them.
        sorter: indices that sort `a`, as `argsort` gives them, where it is in no order.
        right: PyTorch's way to ask for the right side.

    Returns:
        Indices from 0 to n, of the shape of `v`.

    Raises:
        ValueError: if the side is another, or `right` contradicts it; if `a` has several axes
            (ShapeError).

    Example:
        >>> import chainrule as cr
        >>> cr.searchsorted(cr.tensor([1.0, 2.0, 4.0]), cr.tensor([0.0, 2.0, 5.0]))
        tensor([0, 1, 3])
    """
    if side not in (None, "left", "right"):
        raise ValueError(f"searchsorted: the side is 'left' or 'right', not {side!r}")
    if right and side == "left":
        raise ValueError("searchsorted: side='left' and right=True contradict one another")
    side = "right" if right else side or "left"
    if sorter is not None:
        a = as_tensor(a)[as_tensor(sorter)]
    is_beyond = beyond(v, a)  # all elements of a
    a, v = of_one_dtype(a, 0 if is_beyond else v)
    if a.ndim != 1:
        compare = "<" if side == "left" else "<="
        raise ShapeError(
            f"searchsorted: the sorted Tensor has one axis, not shape {a.shape}; in sorted rows a "
            f"the places of rows v are (a[..., None, :] {compare} v[..., None]).sum(-1)"
        )
    in_order, numbers = a.node().value, v.node().value
    if in_order is not None and numbers is not None and not is_beyond:
        found = np.searchsorted(in_order, numbers, "left" if side == "left" else "right")
        return as_tensor(found.astype(np.int64, copy=False))
    place = as_tensor(np.zeros(v.shape, np.int64))
    if is_beyond or not a.size:
        return place + (a.size if is_beyond > 0 else 0)
    number = equal(v, v)  # NaN stand behind all numbers
    for step in [1 << bit for bit in reversed(range(a.size.bit_length()))]:
        candidate = place + step
        element = a[minimum(candidate, a.size) - 1]
        if side == "left":
            is_before = where(number, less(element, v), equal(element, element))
        else:
            is_before = where(number, less_equal(element, v), True)
        place = where(where(less_equal(candidate, a.size), is_before, False), candidate, place)
    return place
