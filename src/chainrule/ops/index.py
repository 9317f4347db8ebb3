"""Slices, indexing by integers and masks (gather and its adjoint, scatter-add), one-hot."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from types import EllipsisType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from chainrule.checks import integer
from chainrule.dtypes import as_dtype
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.operation import Limit, Spec, no_flops, operation
from chainrule.graph.registered import method
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.ops.accumulate import FEW_TERMS
from chainrule.ops.joining import _concatenate
from chainrule.ops.samples import examples

__all__ = ["one_hot"]

Run = tuple[int, int, int]
"""(start, step, count): the elements of one axis that a slice takes."""


def _runs_along(x: Tensor, axis: int, start: int, count: int) -> tuple[Run, ...]:
    """The runs that take `count` neighbours along one axis, and all along the others."""
    return tuple([(start, 1, count) if a == axis else (0, 1, n) for a, n in enumerate(x.shape)])


def _to_slices(runs: Sequence[Run]) -> tuple[slice, ...]:
    """The runs as Python's slices; one that goes down to 0 has no stop."""
    slices = []
    for start, step, count in runs:
        stop = start + step * count
        slices.append(slice(start, stop if stop >= 0 else None, step) if count else slice(0, 0))
    return tuple(slices)


@operation(
    lambda x, runs: Spec(tuple(count for _, _, count in runs), x.dtype),
    examples(
        (((5, 4),), {"runs": ((1, 1, 3), (0, 2, 2))}),
        (((6,),), {"runs": ((5, -1, 6),)}),
        (((6,),), {"runs": ((4, -2, 2),)}),
        (((6,),), {"runs": ((0, 1, 0),)}),
    ),
    flops=no_flops,
)
def _slice(x: Array, runs: tuple[Run, ...]) -> Array:
    """The elements that one slice per axis takes."""
    return x[_to_slices(runs)]


_slice.differentiable(lambda g, y, x, runs: unslice.apply(g, runs=runs, shape=x.shape))  # type: ignore[has-type]


@operation(
    lambda x, runs, shape: Spec(shape, x.dtype),
    examples(
        (((3, 2),), {"runs": ((1, 1, 3), (0, 2, 2)), "shape": (5, 4)}),
        (((2,),), {"runs": ((4, -2, 2),), "shape": (6,)}),
    ),
    flops=no_flops,
)
def unslice(x: Array, runs: tuple[Run, ...], shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` with x where the slices of `runs` lie: the adjoint of slicing."""
    out = np.zeros(shape, x.dtype)
    out[_to_slices(runs)] = x
    return out


unslice.differentiable(lambda g, y, x, runs, shape: _slice.apply(g, runs=runs))


def _parts_together(x: Tensor, results: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """The gradient of x from those of its slices: neighbours are joined, which takes one pass.

    So a sequence that is taken apart into T steps costs T of them, and not T times the whole.
    """
    whole = [(0, 1, n) for n in x.shape]
    first = results[0][0].attributes["runs"]
    axis = next((a for a, run in enumerate(first) if run != whole[a]), -1)
    alone, parts = [], []
    for node, g in results:
        runs = node.attributes["runs"]
        start, step, count = runs[axis]
        if (
            step == 1
            and count
            and all([run == whole[a] or a == axis for a, run in enumerate(runs)])
        ):
            parts.append((start, start + count, g))
        else:
            alone.append(_own_slice(g, x, runs))
    parts.sort(key=lambda part: part[0])
    if any(a[1] > b[0] for a, b in pairwise(parts)):  # slices that overlap
        return [_own_slice(g, x, node.attributes["runs"]) for node, g in results]
    neighbours: list[list[tuple[int, int, Tensor]]] = []
    for part in parts:
        if neighbours and neighbours[-1][-1][1] == part[0]:
            neighbours[-1].append(part)
        else:
            neighbours.append([part])
    for group in neighbours:
        g = group[0][2]
        if len(group) > 1:
            g = _concatenate.apply(*[part[2] for part in group], axis=axis)
        start, stop = group[0][0], group[-1][1]
        alone.append(_own_slice(g, x, _runs_along(x, axis, start, stop - start)))
    return alone


def _own_slice(g: Tensor, x: Tensor, runs: tuple[Run, ...]) -> Tensor:
    """Zeros of the shape of x with g at its place."""
    if all(run == (0, 1, n) for run, n in zip(runs, x.shape, strict=True)):
        return g
    return unslice.apply(g, runs=runs, shape=x.shape)


_slice.joint_rule = _parts_together


def _gathered(x: Tensor, *indices: Tensor, axis: int) -> Spec:
    if any(i.dtype.kind not in "iu" for i in indices):
        raise DTypeError(f"gather: indices are integers, not {[str(i.dtype) for i in indices]}")
    shape = indices[0].shape
    return Spec((*x.shape[:axis], *shape, *x.shape[axis + len(indices) :]), x.dtype)


@operation(
    _gathered,
    examples(
        (((5, 3), [0, 4, 4]), {"axis": 0}),
        (((2, 5), [[1, 0], [3, -1]]), {"axis": 1}),
        (((3, 4), [0, 1, 2], [3, 0, 3]), {"axis": 0}),
        (((3, 4), 2), {"axis": 1}),
        (((3, 4), np.zeros((0, 2), np.int64)), {"axis": 0}),
    ),
    variadic=True,
    flops=no_flops,
)
def gather(x: Array, *indices: Array, axis: int) -> Array:
    """x[:, ..., i, j, ...]: index arrays of one shape on consecutive axes from `axis` on."""
    return x[(slice(None),) * axis + indices]


gather.differentiable(
    lambda g, y, index, axis: (
        scatter_add.apply(g, *y.inputs[1:], shape=y.inputs[0].shape, axis=axis)  # type: ignore[has-type]
        if index == 0
        else None
    )
)


@operation(
    lambda g, *indices, shape, axis: Spec(shape, g.dtype),
    examples(
        (((3, 2), [0, 4, 4]), {"shape": (5, 2), "axis": 0}),
        (((3,), [0, 1, 1], [3, 0, 0]), {"shape": (3, 4), "axis": 0}),
        (((2, 2, 2), [[1, 0], [3, -1]]), {"shape": (2, 5), "axis": 1}),
    ),
    variadic=True,
    flops=lambda y, g, *indices, shape, axis: g.size,
)
def scatter_add(g: Array, *indices: Array, shape: tuple[int, ...], axis: int) -> Array:
    """Zeros of `shape` with each element of g added at its index: the adjoint of gather."""
    before: tuple[Any, ...] = (slice(None),) * axis
    count = indices[0].size
    flat = [i.ravel() for i in indices]
    terms = g.reshape(*shape[:axis], count, *shape[axis + len(indices) :])
    rank, most = None, count  # they may all be equal
    if _SORTED * count < g.size:
        rank = _ranks(flat, shape[axis : axis + len(indices)])
        most = int(rank.max(initial=0)) + 1
    out = np.zeros(shape, np.float64 if g.dtype.kind == "f" and most > FEW_TERMS else g.dtype)
    if rank is None or _ROUND * most > g.size:
        np.add.at(out, (*before, *flat), terms.astype(out.dtype, copy=False))
        return out.astype(g.dtype, copy=False)
    by_rank, begin = rank.argsort(kind="stable"), 0
    for length in np.bincount(rank):  # no index comes twice in a round: NumPy is fast there
        chosen = by_rank[begin : begin + length]
        begin += length
        out[(*before, *[i[chosen] for i in flat])] += terms[(*before, chosen)]
    return out.astype(g.dtype, copy=False)


_SORTED = 16
"""How many elements `np.add.at` adds in the time that sorting takes for an index."""

_ROUND = 1000
"""How many elements `np.add.at` adds in the time that a round of `scatter_add` takes at least."""


def _ranks(indices: list[Array], lengths: tuple[int, ...]) -> Array:
    """For each place of the index arrays how often what it says was said before it."""
    key = np.zeros(indices[0].size, np.int64)
    for index, length in zip(indices, lengths, strict=True):
        key = key * length + np.where(index < 0, index + length, index)
    order = key.argsort(kind="stable")
    key = key[order]
    places = np.arange(len(key))
    is_first = np.ones(len(key), bool)
    is_first[1:] = key[1:] != key[:-1]
    rank = np.empty(len(key), np.int64)
    rank[order] = places - np.maximum.accumulate(np.where(is_first, places, 0))
    return rank


scatter_add.differentiable(
    lambda g, y, index, shape, axis: (
        gather.apply(g, *y.inputs[1:], axis=axis) if index == 0 else None
    )
)


@method
def getitem(x: TensorLike, index: Any) -> Tensor:
    """x[index] by NumPy's rules: integers, slices, None, ..., integer arrays and boolean masks.

    A mask without a value, in a graph that is captured, is refused, because the shape of the
    result depends on values: use `where`.

    Raises:
        IndexError: if an index lies outside of its axis, or a mask does not fit.
        DTypeError: for indices that are no integers.
        ShapeError: if index arrays do not meet in one shape.
    """
    x = as_tensor(x)
    if index.__class__ is int and x.shape:
        return _element(x, index)
    items = list(index) if isinstance(index, tuple) else [index]
    if any([type(item) not in _PLAIN for item in items]):
        items = [np.asarray(i, np.int64) if isinstance(i, list) and not i else i for i in items]
        items = _without_masks(items)
    items = _without_ellipsis(items, x)
    runs: list[Run] = []  # one per axis of x
    shape: list[int] = []  # after integers dropped their axes and None made new ones
    arrays: list[tuple[int, Tensor]] = []  # (axis in shape, indices)
    numbers: list[int] = []  # where in the index integers and integer arrays stand
    for place, item in enumerate(items):
        if item is None:
            shape.append(1)
            continue
        if isinstance(item, EllipsisType):
            continue
        length = x.shape[len(runs)]
        if isinstance(item, slice):
            start, stop, step = item.indices(length)
            count = len(range(start, stop, step))
            runs.append((start, step, count))
            shape.append(count)
        elif isinstance(item, (int, np.integer)) and not isinstance(item, (bool, np.bool_)):
            if not -length <= item < length:
                raise IndexError(f"index {item} is out of range for an axis of length {length}")
            runs.append((int(item) % length, 1, 1))
            numbers.append(place)
        else:
            runs.append((0, 1, length))
            arrays.append((len(shape), _indices(item, length)))
            numbers.append(place)
            shape.append(length)
    if any([run != (0, 1, n) for run, n in zip(runs, x.shape, strict=True)]):
        x = _slice.apply(x, runs=tuple(runs))
    if tuple(shape) != x.shape:
        x = x.reshape(tuple(shape))
    if not arrays:
        return x
    axis = arrays[0][0]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        # NumPy moves the axes of index arrays that are not neighbours to the front.
        front = [a for a, _ in arrays]
        x = x.transpose([*front, *(a for a in range(x.ndim) if a not in front)])
        axis = 0
    try:
        common = np.broadcast_shapes(*(indices.shape for _, indices in arrays))
    except ValueError:
        shapes = " and ".join(str(indices.shape) for _, indices in arrays)
        raise ShapeError(f"integer arrays of shapes {shapes} do not broadcast together") from None
    return gather.apply(x, *(indices.broadcast_to(common) for _, indices in arrays), axis=axis)


def part_of(x: Tensor, axis: int, start: int, count: int) -> Tensor:
    """`count` elements along an axis from `start` on: `x[..., start : start + count]` of the last.

    It takes half the time of an index of slices, which is looked through first.
    """
    return _slice.apply(x, runs=_runs_along(x, axis, start, count))


def _element(x: Tensor, index: int) -> Tensor:
    """x[index] of one whole number."""
    length, rest = x.shape[0], x.shape[1:]
    if not -length <= index < length:
        raise IndexError(f"index {index} is out of range for an axis of length {length}")
    if length > 1:
        x = part_of(x, 0, index % length, 1)
    return x.reshape(rest)


_PLAIN = {int, slice, EllipsisType, type(None)}
"""The classes of an index that are certainly no mask."""


class _MaskAxis(NamedTuple):
    """One axis of a boolean mask: the indices of the elements taken, and the axis' length."""

    indices: Array
    length: int


def _indices(item: Any, length: int) -> Tensor:
    """What an index array, or an axis of a mask, takes from an axis of this length."""
    if isinstance(item, _MaskAxis):
        if item.length != length:
            raise IndexError(
                f"a mask's axis of length {item.length} does not fit one of length {length}"
            )
        item = item.indices
    indices = as_tensor(item)
    if indices.dtype.kind not in "iu":
        raise DTypeError(
            f"an index is an integer, a slice, an integer array or a mask, not {indices.dtype}"
        )
    return indices


def _without_masks(items: list[Any]) -> list[Any]:
    """The items with an index array for each axis of a boolean mask."""
    found: list[Any] = []
    for item in items:
        if type(item) in _PLAIN or isinstance(item, np.integer):
            found.append(item)
            continue
        mask = as_tensor(item)
        if mask.dtype != bool:
            found.append(mask)
            continue
        value = mask.node().value
        if value is None:
            raise DTypeError(
                "a boolean mask without a value can't be an index: how many elements it takes is "
                "not known while a graph is captured; use where, which keeps the shape"
            )
        if not value.ndim:
            raise DTypeError("one boolean is no index, only a mask of an axis or more: use where")
        found += map(_MaskAxis, np.nonzero(value), value.shape)
    return found


def _without_ellipsis(items: list[Any], x: Tensor) -> list[Any]:
    """The items with full slices after `...` and for the axes not named: one item per axis."""
    at = [i for i, item in enumerate(items) if item is Ellipsis]
    named = len(items) - len(at) - sum([item is None for item in items])
    if named > x.ndim:
        raise IndexError(f"{named} indices for a Tensor of shape {x.shape}")
    rest = [slice(None)] * (x.ndim - named)
    if len(at) > 1:
        raise IndexError("an index holds at most one ellipsis")
    if not at:
        return items + rest
    return items[: at[0] + 1] + rest + items[at[0] + 1 :]


def label_fault(lowest: int, highest: int, classes: int) -> str | None:
    """The fault of labels from `lowest` to `highest`, in words; None if they fit the classes."""
    if lowest >= 0 and highest < classes:
        return None
    remedy = (
        ". PyTorch ignores labels of -100 by default: here pass ignore_index=-100"
        if lowest == -100 and highest < classes
        else ""
    )
    return (
        f"labels must lie in 0 ... {classes - 1} for {classes} classes; they run from {lowest} to "
        f"{highest}{remedy}"
    )


def _one_hot_spec(labels: Tensor, classes: int, dtype: np.dtype[Any]) -> Spec:
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"one_hot: labels are integers, not {labels.dtype}")
    return Spec((*labels.shape, classes), dtype)


@operation(
    _one_hot_spec,
    examples((([2, 0, 1],), {"classes": 3, "dtype": np.dtype(np.float64)})),
    limits={0: Limit(lambda labels, classes, dtype: classes, label_fault)},
    flops=no_flops,
)
def _one_hot(labels: Array, classes: int, dtype: np.dtype[Any]) -> Array:
    """1 at the label, else 0, along a new last axis."""
    check_labels(labels, classes)
    out = np.zeros((labels.size, classes), dtype)
    out[np.arange(labels.size), labels.ravel()] = 1
    return out.reshape(*labels.shape, classes)


def check_labels(labels: Array, classes: int) -> None:
    """Raise where a label is not in 0 ... classes - 1."""
    if not labels.size:
        return
    unsigned = labels.view(f"u{labels.dtype.itemsize}")  # negative labels become very large ones
    if np.maximum.reduce(unsigned, axis=None) >= classes:
        raise IndexError(label_fault(labels.min(), labels.max(), classes))


@both_names(num_classes="classes", tensor="labels")
@method
def one_hot(labels: TensorLike, classes: int, dtype: DTypeLike = "float32") -> Tensor:
    """1 at each label, else 0, along a new last axis of length `classes`.

    Raises:
        IndexError: if a label is not in 0 ... classes - 1.

    Example:
        >>> import chainrule as cr
        >>> cr.one_hot([1, 0], 3)
        tensor([[0., 1., 0.],
                [1., 0., 0.]])
    """
    labels, dtype = as_tensor(labels), as_dtype(dtype)
    classes = integer("one_hot: the number of classes", classes, 0)
    if labels.dtype.kind not in "iu":
        _one_hot_spec(labels, classes, dtype)  # booleans would be taken for a mask
    return _one_hot.apply(labels, classes=classes, dtype=dtype)
