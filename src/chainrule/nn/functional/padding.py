"""Borders around the last axes of a Tensor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.ops import pad as bordered

__all__ = ["pad"]

BORDERS = {
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
    "constant": "constant",
}
"""PyTorch's names of borders and NumPy's."""


def pad(
    input: TensorLike, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """x inside a border, given from the last axis on; `chainrule.pad` takes NumPy's arguments.

    Args:
        input: x, of any shape.
        pad: widths in pairs, (before, after) of the last axis, then of the one before it, and so
            on: (left, right, top, bottom) of images. A negative width cuts off.
        mode: what the border holds: "constant" one number; "reflect" what lies inside, mirrored at
            the outermost element; "replicate" the outermost element; "circular" what lies at the
            other end.
        value: the number of a constant border; None is 0.

    Raises:
        ShapeError: if the axes are fewer than the pairs, more is cut off than there is, or a border
            is wider than what it repeats.

    Example:
        >>> import chainrule as cr
        >>> pad(cr.tensor([[1.0, 2.0, 3.0]]), (1, 2), mode="replicate")
        tensor([[1., 1., 2., 3., 3., 3.]])
    """
    x = as_tensor(input)
    if not isinstance(pad, Iterable):
        raise TypeError(f"pad: widths come in pairs, as pad=(1, 1) for the last axis; got {pad!r}")
    widths = [checks.integer("pad", width) for width in pad]
    checks.one_of("pad: mode", mode, BORDERS)
    if value is not None and mode != "constant":
        raise ValueError(f"pad: a border of mode {mode!r} repeats elements: it takes no value")
    if len(widths) % 2 or len(widths) // 2 > x.ndim:
        raise ShapeError(
            f"pad: {tuple(widths)} does not give two widths for each of the last axes of {x.shape}"
        )
    pairs = list(zip(widths[::2], widths[1::2], strict=True))[::-1]
    first = x.ndim - len(pairs)
    for length, pair in zip(x.shape[first:], pairs, strict=True):
        _check(mode, x.shape, length, pair)
    around = [(max(before, 0), max(after, 0)) for before, after in pairs]
    if mode == "circular":  # what is cut off does not come back at the other end
        x = _cut(x, pairs)
    if any(map(any, around)):
        number = 0.0 if value is None else value
        x = bordered(x, [(0, 0)] * first + around, BORDERS[mode], constant_values=number)
    if mode != "circular":
        x = _cut(x, pairs)
    return x


def _cut(x: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
    """x without what negative widths cut off its last axes."""
    if all(min(pair) >= 0 for pair in pairs):
        return x
    inside = [
        slice(max(-before, 0), n - max(-after, 0))
        for n, (before, after) in zip(x.shape[x.ndim - len(pairs) :], pairs, strict=True)
    ]
    return x[(..., *inside)]


def _check(mode: str, shape: tuple[int, ...], length: int, pair: tuple[int, int]) -> None:
    """Raise ShapeError where an axis can't have this border."""
    if length + sum(pair) < 0:
        raise ShapeError(f"pad: {pair} cuts more off an axis of {length} than it has; take less")
    kept = length + sum([min(width, 0) for width in pair])
    most = {"reflect": length - 1, "circular": kept}.get(mode)
    if most is not None and max(pair) > most:
        raise ShapeError(
            f"pad: a border of mode {mode!r} is at most {max(most, 0)} wide along an axis of "
            f"length {length} (shape {shape}), got {pair}; take less, or mode 'replicate'"
        )
