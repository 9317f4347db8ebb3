"""Look-ups of rows in tables, one by one and in bags, as functions of the graph."""

from __future__ import annotations

import math

import numpy as np

from chainrule import checks
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.context import no_grad
from chainrule.graph.keywords import both_names
from chainrule.graph.state import State
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.ops import (
    concatenate,
    cumsum,
    equal,
    full,
    less,
    logical_not,
    logical_or,
    maximum,
    not_equal,
    where,
    zeros,
)
from chainrule.ops.index import gather, scatter_add
from chainrule.ops.linalg import vector_norm
from chainrule.ops.rows import divide_gradient, first_uses, lookup, put_rows

__all__ = ["embedding", "embedding_bag"]


@both_names()
def embedding(
    input: TensorLike,
    weight: TensorLike,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of a table at indices: y[...] = W[input[...]].

    Args:
        input: integers of any shape, 0 ... V - 1.
        weight: W, the table, shape (V, D).
        padding_idx: a row that gets no gradient; a negative number counts from the end.
        max_norm: rows that are looked up and longer than this are shortened to it, in the table
            itself, which therefore is a Parameter or Buffer.
        norm_type: p of the norm (sum |w|^p)^(1/p) that `max_norm` is compared with.
        scale_grad_by_freq: whether the gradient of a row is divided by how often the row is looked
            up in this call.
        sparse: means nothing: a native plan changes just the rows that were looked up where the
            optimiser's rule allows it, whatever is said here; see `nn.Embedding`.

    Returns:
        Shape (*input.shape, D).

    Raises:
        IndexError: if an index is out of range.
        DTypeError: if the indices are not integers.
        ShapeError: if the table is no matrix.
        TypeError: if there is a `max_norm`, and the table is no Parameter or Buffer.

    Example:
        >>> import chainrule as cr
        >>> embedding(cr.tensor([2, 0]), cr.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
        tensor([[5., 6.],
                [1., 2.]])
    """
    indices = _integers("embedding", "input", input)
    W = _table("embedding", weight)
    padding = padding_row(padding_idx, W.shape[0])
    if max_norm is not None:
        _shorten(W, indices, max_norm, norm_type)
    rows = _rows(W, indices, scale_grad_by_freq)
    if padding is not None:
        is_padding = equal(indices, padding).reshape(*indices.shape, 1)
        rows = where(is_padding, rows.detach(), rows)
    return rows


def _integers(name: str, argument: str, given: TensorLike) -> Tensor:
    if isinstance(given, list) and not np.size(given):
        given = np.asarray(given, np.int64)
    indices = as_tensor(given)
    if indices.dtype.kind not in "iu":
        raise DTypeError(
            f"{name}: {argument} holds the numbers of rows, which are integers, not "
            f"{indices.dtype}; convert it, as by .astype('int64')"
        )
    return indices


def _table(name: str, weight: TensorLike) -> Tensor:
    W = as_tensor(weight)
    if W.ndim != 2 or W.dtype.kind != "f":
        raise ShapeError(
            f"{name}: the weight is a table of floats, one row for each index, of shape "
            f"(num_embeddings, embedding_dim); got {W.dtype} of shape {W.shape}"
        )
    return W


def padding_row(padding_idx: int | None, rows: int) -> int | None:
    """The number of the padding row, counted from the beginning; None where there is none."""
    if padding_idx is None:
        return None
    row = checks.integer("padding_idx", padding_idx)
    if not -rows <= row < rows:
        raise ValueError(f"padding_idx is one of {rows} rows, {-rows} ... {rows - 1}; got {row}")
    return row % rows


def _rows(W: Tensor, indices: Tensor, scale_grad_by_freq: bool) -> Tensor:
    """W[indices]; the gradient of a row divided by the number of its uses, if asked for."""
    rows = lookup.apply(W, indices)
    if not scale_grad_by_freq:
        return rows
    flat = indices.reshape(-1)
    first = first_uses.apply(flat, rows=W.shape[0])
    uses = _summed(full(flat.shape, 1.0, W.dtype), first, flat.size)
    uses = gather.apply(uses, first, axis=0).reshape(*indices.shape, 1)
    return divide_gradient.apply(rows, uses.broadcast_to(rows.shape))


def _summed(x: Tensor, places: Tensor, length: int) -> Tensor:
    """The sums of the rows of x that have one place."""
    return scatter_add.apply(x, places, shape=(length, *x.shape[1:]), axis=0)


def _shorten(W: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> None:
    """Shorten the rows of a table at indices that are longer than `max_norm`, in place."""
    if not isinstance(W, State):
        raise TypeError(
            "max_norm changes rows of the table: the weight is a Parameter or Buffer, not a Tensor"
        )
    limit = checks.positive("max_norm", max_norm)
    with no_grad():
        flat = indices.reshape(-1)
        rows = lookup.apply(W, flat)
        norm = vector_norm(rows, axis=-1, keepdims=True, ord=norm_type)
        factor = where(norm > limit, limit / (norm + 1e-7), 1.0)
        W.assign(put_rows.apply(W, flat, rows * factor))


@both_names()
def embedding_bag(
    input: TensorLike,
    weight: TensorLike,
    offsets: TensorLike | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: TensorLike | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sums, means or maxima of bags of rows of a table.

    Args:
        input: integers 0 ... V - 1: of shape (B, N) B bags of N rows each; of shape (N,) bags of
            any length, one after another, which begin at the `offsets`.
        weight: W, the table, shape (V, D).
        offsets: integers, shape (B,), from 0 on, not falling: where in `input` each bag begins. A
            bag may be empty: it gives 0.
        max_norm, norm_type, sparse: see `embedding`.
        scale_grad_by_freq: see `embedding`; not with the maximum.
        mode: "sum", "mean" or "max".
        per_sample_weights: a factor for each row, of the shape of `input`; for sums alone.
        include_last_offset: whether `offsets` ends with the length of `input`, so that it is one
            longer than there are bags.
        padding_idx: rows of this number count in no bag.

    Returns:
        Shape (B, D).

    Raises:
        IndexError, DTypeError, TypeError: see `embedding`.
        ShapeError: if the shapes do not fit.
        ValueError: for another mode, for what a mode can't do, or for offsets that do not begin at
            0, fall, or pass the end; where they are an input of a captured step, such offsets are
            an IndexError of its run.

    Example:
        >>> import chainrule as cr
        >>> table = cr.tensor([[1.0], [2.0], [4.0]])
        >>> embedding_bag(cr.tensor([0, 1, 2]), table, cr.tensor([0, 2]), mode="sum").tolist()
        [[3.0], [4.0]]
    """
    name = "embedding_bag"
    indices, W = _integers(name, "input", input), _table(name, weight)
    factors = _check_bags(indices, W, offsets, mode, scale_grad_by_freq, per_sample_weights)
    padding = padding_row(padding_idx, W.shape[0])
    starts = None
    if offsets is not None:
        starts = _checked_offsets(offsets, indices.size, include_last_offset)
    if max_norm is not None:
        _shorten(W, indices, max_norm, norm_type)
    rows = _rows(W, indices, scale_grad_by_freq)
    if factors is not None:
        rows = rows * factors.reshape(*indices.shape, 1)
    counts: Tensor = full(indices.shape, True, bool)
    if padding is not None:
        counts = not_equal(indices, padding)
        nothing = -math.inf if mode == "max" else 0.0
        rows = where(counts.reshape(*indices.shape, 1), rows, nothing)
    if starts is None:
        return _reduce_equal_bags(rows, counts, mode)
    return _reduce_bags(rows, counts, starts, mode)


def _check_bags(
    indices: Tensor,
    W: Tensor,
    offsets: TensorLike | None,
    mode: str,
    scale_grad_by_freq: bool,
    per_sample_weights: TensorLike | None,
) -> Tensor | None:
    """Raise where the arguments contradict each other; return the factors of the rows."""
    checks.one_of("mode", mode, ("sum", "mean", "max"))
    if indices.ndim not in (1, 2):
        raise ShapeError(f"embedding_bag: the input has shape (B, N) or (N,), not {indices.shape}")
    if indices.ndim == 2 and offsets is not None:
        raise ValueError("offsets are for an input of shape (N,): rows of (B, N) are bags already")
    if indices.ndim == 1 and offsets is None:
        raise ValueError("an input of shape (N,) needs offsets, which say where its bags begin")
    if scale_grad_by_freq and mode == "max":
        raise ValueError("scale_grad_by_freq is for sums and means, not for mode='max'")
    if per_sample_weights is None:
        return None
    if mode != "sum":
        raise ValueError(f"per_sample_weights are for mode='sum', not for {mode!r}")
    factors = as_tensor(per_sample_weights, W.dtype)
    if factors.shape != indices.shape:
        raise ShapeError(
            f"per_sample_weights have the shape of the input, {indices.shape}, not {factors.shape}"
        )
    return factors.astype(W.dtype)


def _reduce_equal_bags(rows: Tensor, counts: Tensor, mode: str) -> Tensor:
    """The bags of shape (B, N, D), reduced to (B, D)."""
    if not rows.shape[1]:
        return zeros((rows.shape[0], rows.shape[2]), dtype=rows.dtype)
    if mode == "sum":
        return rows.sum(1)
    number = counts.astype(rows.dtype).sum(1, keepdims=True)
    if mode == "mean":
        return rows.sum(1) / maximum(number, 1.0)
    return where(number > 0.0, rows.max(1), 0.0)


def _checked_offsets(offsets: TensorLike, length: int, include_last_offset: bool) -> Tensor:
    """Where the bags begin; raises where they can't begin there, as far as it is known."""
    starts = _integers("embedding_bag", "offsets", offsets).astype(np.int64)
    if starts.ndim != 1 or starts.size < include_last_offset:
        raise ShapeError(f"offsets are 1-d, one for each bag; got shape {starts.shape}")
    value = starts.node().value
    if value is None:
        return _marked_offsets(starts, length, include_last_offset)
    if value.size and (value[0] != 0 or (np.diff(value) < 0).any() or value[-1] > length):
        raise ValueError(
            f"offsets begin at 0 and never fall, up to {length}, the length of the input; got "
            f"{value.tolist()!r:.80}"
        )
    return starts[:-1] if include_last_offset else starts


def _marked_offsets(starts: Tensor, length: int, include_last_offset: bool) -> Tensor:
    """Offsets without values yet: one before a fault becomes an index that a run refuses."""
    if starts.size < 2:
        return starts[:-1] if include_last_offset else starts
    before, after = starts[:-1], starts[1:]
    is_wrong = logical_or(less(after, before), logical_or(less(length, after), less(before, 0)))
    marked = where(is_wrong, length + 1, before)
    return marked if include_last_offset else concatenate([marked, starts[-1:]])


def _reduce_bags(rows: Tensor, counts: Tensor, starts: Tensor, mode: str) -> Tensor:
    """The bags that begin at `starts` among rows of shape (N, D), reduced to (B, D)."""
    length, bags = rows.shape[0], starts.size
    if not length or not bags:
        return zeros((bags, rows.shape[1]), dtype=rows.dtype)
    begun = _summed(full((bags,), 1, np.int64), starts, length + 1)
    bag = cumsum(begun)[:-1] - 1
    bag = where(bag < 0, bags, bag)  # out of range: the first offset was not 0
    if mode == "sum":
        return _summed(rows, bag, bags)
    number = _summed(counts.astype(rows.dtype), bag, bags).reshape(bags, 1)
    if mode == "mean":
        return _summed(rows, bag, bags) / maximum(number, 1.0)
    largest = _running_maximum(rows, bag)
    ends = concatenate([starts[1:], full((1,), length, np.int64)]) - 1
    ends = where(less(ends, 0), 0, ends)  # of an empty bag, which gives 0
    return where(number > 0.0, gather.apply(largest, ends, axis=0), 0.0)


def _running_maximum(rows: Tensor, bag: Tensor) -> Tensor:
    """The maximum over the rows of the same bag up to each row: of equal ones the first counts.

    After round k a row holds the maximum of itself and 2^k - 1 rows before it (Hillis and Steele,
    "Data Parallel Algorithms", 1986).
    """
    reach = 1
    while reach < rows.shape[0]:
        before = concatenate([rows[:reach], rows[:-reach]])
        is_other = concatenate(
            [full((reach,), True, bool), logical_not(equal(bag[reach:], bag[:-reach]))]
        )
        rows = where(is_other.reshape(-1, 1), rows, maximum(before, rows))
        reach *= 2
    return rows
