"""The rows of a search: those to train on, or a share of them, and those that score a trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import checks
from chainrule.data.batches import permutation
from chainrule.data.splitting import split_rows
from chainrule.dtypes import check_unmasked
from chainrule.tables import as_frame, as_series, is_series, is_table

_LEAST = 32
"""Rows that an estimator gets in successive halving, if there are so many."""


class SearchData:
    """Rows to train on, and rows to validate on."""

    def __init__(self, x: Any, y: Any, validation: tuple[Any, Any]) -> None:
        self.x, self.y = x, y
        self.validation = validation
        self.rows = _rows_of(x, y)

    @classmethod
    def of(cls, x: Any, y: Any, validation: Any, fraction: float, seed: int) -> SearchData:
        """All rows beside those given to validate on, or parts of them for both."""
        if validation is not None:
            if not isinstance(validation, (tuple, list)) or len(validation) != 2:
                raise ValueError("validation_data is a pair (x, y)")
            return cls(x, y, (validation[0], validation[1]))
        if not 0 < checks.number("validation_fraction", fraction) < 1:
            raise ValueError(f"validation_fraction is between 0 and 1, got {fraction}")
        kept, held = split_rows(_rows_of(x, y), fraction, seed)
        return cls(_take(x, kept), _take(y, kept), (_take(x, held), _take(y, held)))

    def part(self, share: float, seed: int, *, by_class: bool) -> tuple[Any, Any]:
        """A share of the rows to train on; by class it has two of each, if there are two."""
        order = permutation(self.rows, seed, epoch=1)
        least = _LEAST
        y = np.asarray(self.y) if by_class else None
        if y is not None and y.ndim == 1:
            _, codes, counts = np.unique(y[order], return_inverse=True, return_counts=True)
            by_code = np.argsort(codes, kind="stable")
            place = np.empty(self.rows)
            place[by_code] = np.arange(self.rows) - np.repeat(np.cumsum(counts) - counts, counts)
            # All shares of the rows have about the same share of each class.
            order = order[np.argsort(np.maximum(place - 1, 0) / counts[codes], kind="stable")]
            least = max(least, 2 * len(counts))
        count = max(round(share * self.rows), least)
        if share >= 1 or count >= self.rows:
            return self.x, self.y
        rows = np.sort(order[:count])
        return _take(self.x, rows), _take(self.y, rows)


def _rows_of(x: Any, y: Any) -> int:
    """The number of rows, which all arrays of x and y have.

    Raises:
        TypeError: for what has no rows.
        ValueError: if it differs among them.
    """
    counts = [*_lengths(x, "x"), *_lengths(y, "y")]
    if len({*counts}) > 1:
        raise ValueError(
            f"x and y have different numbers of rows: {', '.join(map(str, counts))}. Give a row of "
            "y for each row of x"
        )
    return counts[0]


def _lengths(data: Any, name: str) -> list[int]:
    """The number of rows of each of the arrays that `_take` takes rows of."""
    if isinstance(data, (Mapping, tuple)) and data:
        parts = data.values() if isinstance(data, Mapping) else data
        return [length for part in parts for length in _lengths(part, name)]
    try:
        return [data.shape[0] if hasattr(data, "tocsr") else len(data)]
    except TypeError:
        raise TypeError(
            f"{name} is {checks.described(data)}, which has no rows: give an array or a frame, or "
            "a tuple or dict of such"
        ) from None


def _take(data: Any, rows: NDArray[np.int64]) -> Any:
    """Some rows of an array, a frame, a series, or a tuple or dict of such."""
    if isinstance(data, Mapping):
        return {name: _take(part, rows) for name, part in data.items()}
    if isinstance(data, tuple):
        return tuple(_take(part, rows) for part in data)
    if is_series(data):
        return as_series(data, "y")[rows.tolist()].to_native()
    if is_table(data):
        return as_frame(data, "x")[rows.tolist()].to_native()
    if hasattr(data, "tocsr"):  # a sparse matrix
        return data.tocsr()[rows]
    check_unmasked("an array of x or y", data)
    return np.asarray(data)[rows]
