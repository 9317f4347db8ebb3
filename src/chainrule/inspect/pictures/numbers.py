"""Numbers as text in pictures: small arrays whole, large ones as a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.graph.tensor import Array
from chainrule.inspect.arrays import from_json, summary

_MOST_ROWS, _MOST_COLUMNS, _MOST = 6, 5, 20
"""Of an array that a picture shows whole: rows, columns and elements."""


class Numbers(NamedTuple):
    """An array as a picture needs it.

    Attributes:
        shape: of the array.
        whole: the array, where it is small enough to be shown; else None.
        minimum, maximum, mean: of all elements; None where there are none.
    """

    shape: tuple[int, ...]
    whole: Array | None
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None

    @property
    def number(self) -> float | None:
        """What all elements are, where they are the same; else None."""
        return self.minimum if self.minimum == self.maximum else None

    def lines(self) -> list[str]:
        """The text of a box: a number, the rows of a small array, or the range of a large one."""
        if self.whole is not None and _fits(self.shape):
            if not self.shape:
                return [number_text(self.whole.item())]
            rows = self.whole.reshape(-1, self.shape[-1])
            cells = [[number_text(v) for v in row] for row in rows.tolist()]
            width = max(len(cell) for row in cells for cell in row)
            return [" ".join(cell.rjust(width) for cell in row) for row in cells]
        if self.minimum is None or self.maximum is None or self.mean is None:
            return ["empty"]
        return [
            f"{number_text(self.minimum)} … {number_text(self.maximum)}",
            f"mean {number_text(self.mean)}",
        ]


def numbers_of(array: Array) -> Numbers:
    """An array's `Numbers`."""
    whole = array if _fits(array.shape) else None
    return Numbers(array.shape, whole, *_range(summary(array)))


def numbers_of_trace(held: dict[str, Any]) -> Numbers:
    """The `Numbers` of an array of a trace."""
    shape = tuple(held["shape"])
    return Numbers(shape, from_json(held) if _fits(shape) else None, *_range(held["summary"]))


def _range(found: Mapping[str, Any]) -> list[float | None]:
    """The minimum, the maximum and the mean of a summary."""
    return [
        None if found[key] is None else float(found[key]) for key in ("minimum", "maximum", "mean")
    ]


def _fits(shape: Sequence[int]) -> bool:
    if not shape:
        return True
    columns = shape[-1]
    rows = int(np.prod(shape[:-1], dtype=int))
    size = rows * columns
    return 0 < size <= _MOST and rows <= _MOST_ROWS and columns <= _MOST_COLUMNS


def number_text(value: Any) -> str:
    """A number in four digits; whole numbers, truths and infinities as they are.

    Example:
        >>> [number_text(v) for v in (0.7513650695523157, 2.0, 12345678.0, True)]
        ['0.7514', '2', '1.235e+07', 'true']
    """
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    if isinstance(value, (int, np.integer)):
        return str(value)
    text = f"{value:.4g}"
    return "0" if text == "-0" else text
