"""Sequences of unequal lengths in one batch, under the names of `torch.nn.utils.rnn`.

PyTorch packs the elements of all sequences without gaps. Here a packed batch keeps its padded form
with the lengths beside it, and recurrent layers go over each sequence up to its own length: the
shapes of a graph do not depend on lengths, which may be an input of a training step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule import checks
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.ops import arange, pad, stack, where

__all__ = [
    "PackedSequence",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(NamedTuple):
    """Sequences of unequal lengths, as `pack_padded_sequence` makes them for a recurrent layer.

    Attributes:
        padded: shape (T, N, ...); what lies beyond a sequence's length means nothing.
        lengths: of the N sequences, int64.
    """

    padded: Tensor
    lengths: Tensor

    def __getattr__(self, name: str) -> Any:
        if name in ("data", "batch_sizes", "sorted_indices", "unsorted_indices"):
            raise AttributeError(
                f"a PackedSequence has no {name}: it keeps its padded form. Take "
                "pad_packed_sequence(packed), or packed.padded and packed.lengths"
            )
        raise AttributeError(f"'PackedSequence' object has no attribute {name!r}")

    def within(self) -> Tensor:
        """Which elements belong to a sequence: booleans, shape (T, N)."""
        return arange(self.padded.shape[0]).reshape(-1, 1) < self.lengths


def pad_sequence(
    sequences: Sequence[TensorLike],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences of unequal lengths as one Tensor, the shorter ones filled up.

    Args:
        sequences: shapes (L_i, ...), equal but for L_i.
        batch_first: the result has shape (N, T, ...), T the longest length; else (T, N, ...).
        padding_value: what the shorter ones are filled up with.
        padding_side: "right" for after their elements, "left" for before.

    Raises:
        ShapeError: if there are none, or their other axes differ.

    Example:
        >>> import chainrule as cr
        >>> pad_sequence([cr.tensor([1, 2]), cr.tensor([3])], batch_first=True)
        tensor([[1, 2],
                [3, 0]])
    """
    checks.one_of("padding_side", padding_side, ("right", "left"))
    tensors = [as_tensor(s) for s in sequences]
    if not tensors or any(t.shape[1:] != tensors[0].shape[1:] or not t.ndim for t in tensors):
        shapes = [t.shape for t in tensors]
        raise ShapeError(f"pad_sequence: one sequence (L, ...) or more of equal axes, not {shapes}")
    longest = max(t.shape[0] for t in tensors)
    padded = []
    for t in tensors:
        more = longest - t.shape[0]
        widths = (0, more) if padding_side == "right" else (more, 0)
        around = [widths, *[(0, 0)] * (t.ndim - 1)]
        padded.append(pad(t, around, constant_values=padding_value) if more else t)
    return stack(padded, 0 if batch_first else 1)


def pack_padded_sequence(
    input: TensorLike,
    lengths: TensorLike,
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """A padded batch with the lengths of its sequences, for a recurrent layer.

    What is longer than the longest sequence is cut off, where the lengths have values.

    Args:
        input: shape (T, N, ...), or (N, T, ...) with `batch_first`.
        lengths: N integers of 1 ... T; they may be an input of a captured step, which checks no
            values: a longer one then means T, and one below 1 an empty sequence.
        batch_first: says which.
        enforce_sorted: PyTorch's check that lengths do not grow from one sequence to the next; the
            order means nothing here.

    Raises:
        ShapeError, DTypeError, ValueError: for lengths that do not fit, as far as they are known.

    Example:
        >>> import chainrule as cr
        >>> packed = pack_padded_sequence(cr.ones((3, 2)), [2, 1])
        >>> pad_packed_sequence(packed)[0]
        tensor([[1., 1.],
                [1., 0.]])
    """
    x, n = as_tensor(input), as_tensor(lengths)
    if x.ndim < 2:
        raise ShapeError(f"pack_padded_sequence: the input has two axes or more, not {x.shape}")
    if batch_first:
        x = x.swapaxes(0, 1)
    if n.dtype.kind not in "iu":
        raise DTypeError(f"pack_padded_sequence: lengths are integers, not {n.dtype}")
    if n.shape != x.shape[1:2]:
        raise ShapeError(
            f"pack_padded_sequence: {x.shape[1]} sequences have {x.shape[1]} lengths, not an array "
            f"of shape {n.shape}"
        )
    values = n.node().value
    if values is not None and values.size:
        if values.min() < 1 or values.max() > x.shape[0]:
            raise ValueError(
                f"pack_padded_sequence: lengths are in 1 ... {x.shape[0]}; they run from "
                f"{values.min()} to {values.max()}"
            )
        if enforce_sorted and np.any(np.diff(values.astype(np.int64)) > 0):
            raise ValueError(
                "pack_padded_sequence: the lengths are not sorted, longest first; pass "
                "enforce_sorted=False"
            )
        x = x[: int(values.max())]
    return PackedSequence(x, n.astype(np.int64))


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The padded batch of a packed one, with `padding_value` beyond each length, and the lengths.

    Args:
        sequence: what `pack_padded_sequence` or a recurrent layer returned.
        batch_first: the batch has shape (N, T, ...); else (T, N, ...).
        padding_value: what lies beyond each length.
        total_length: T, at least that of the packed batch; by default the same.

    Raises:
        ValueError: if `total_length` is too short.
    """
    x, n = _packed(sequence)
    within = sequence.within()
    x = where(within.reshape(*within.shape, *(1,) * (x.ndim - 2)), x, padding_value)
    if total_length is not None:
        more = checks.count("total_length", total_length) - x.shape[0]
        if more < 0:
            raise ValueError(
                f"total_length is at least that of the packed batch, {x.shape[0]}; got "
                f"{total_length}"
            )
        if more:
            x = pad(x, [(0, more), *[(0, 0)] * (x.ndim - 1)], constant_values=padding_value)
    return (x.swapaxes(0, 1) if batch_first else x), n


def pack_sequence(sequences: Sequence[TensorLike], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences of unequal lengths, (L_i, ...), as `pack_padded_sequence` packs a padded batch.

    Example:
        >>> import chainrule as cr
        >>> pack_sequence([cr.ones(3), cr.ones(1)]).lengths
        tensor([3, 1])
    """
    tensors = [as_tensor(s) for s in sequences]
    padded = pad_sequence(tensors)
    return pack_padded_sequence(padded, [t.shape[0] for t in tensors], False, enforce_sorted)


def unpad_sequence(
    padded_sequences: TensorLike, lengths: TensorLike, batch_first: bool = False
) -> list[Tensor]:
    """The sequences of a padded batch, each of its own length.

    Raises:
        SymbolicError: in a captured step, where lengths have no values.

    Example:
        >>> import chainrule as cr
        >>> unpad_sequence(cr.tensor([[1, 2], [3, 0]]), [2, 1], batch_first=True)
        [tensor([1, 2]), tensor([3])]
    """
    x = as_tensor(padded_sequences)
    x = x if batch_first else x.swapaxes(0, 1)
    return [x[i, : int(n)] for i, n in enumerate(as_tensor(lengths).numpy())]


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed batch, each of its own length: `pack_sequence` undone."""
    x, n = _packed(packed_sequences)
    return unpad_sequence(x, n)


def _packed(sequence: Any) -> PackedSequence:
    if not isinstance(sequence, PackedSequence):
        raise TypeError(
            f"a PackedSequence is expected, as of pack_padded_sequence; got "
            f"{checks.described(sequence)}"
        )
    return sequence
