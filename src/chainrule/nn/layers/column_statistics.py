"""Statistics of a table's columns, in float64, a block of rows at a time.

So a layer can be fitted to a memory-mapped array that is larger than the memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from chainrule.dtypes import check_unmasked
from chainrule.errors import ShapeError
from chainrule.graph.tensor import Array
from chainrule.tables import is_table, to_array

_BLOCK = 2**20  # elements: 8 MiB in float64, which QR decomposes fastest


def as_table(layer: str, x: ArrayLike, columns: int) -> Array:
    """x as an array of shape (rows, columns); a memory-mapped one stays so.

    Raises:
        ShapeError: if `x` has another shape, or no rows.
        TypeError: if `x` does not hold numbers.
        ValueError: if `x` is a frame with missing values, or has masked ones.
    """
    check_unmasked(f"{layer}.fit: x", x)
    table = to_array(x, f"{layer}.fit: x") if is_table(x) else np.asarray(x)
    if table.ndim != 2 or table.shape[1] != columns or not len(table):
        raise ShapeError(f"{layer}.fit: x must have shape (rows, {columns}), got {table.shape}")
    if table.dtype.kind not in "biuf":
        raise TypeError(f"{layer}.fit: x must hold numbers, not dtype {table.dtype}")
    return table


def blocks(table: Array) -> Iterator[Array]:
    """The table's rows in float64, a block at a time."""
    rows = max(1, _BLOCK // table.shape[1])
    for start in range(0, len(table), rows):
        yield np.asarray(table[start : start + rows], np.float64)


def mean(table: Array) -> Array:
    """The mean of each column; NaN or infinite where a value is."""
    with np.errstate(invalid="ignore", over="ignore"):
        # Along contiguous numbers NumPy adds in pairs, which rounds less.
        sums = [np.ascontiguousarray(block.T).sum(axis=1) for block in blocks(table)]
        total = np.sum(sums, axis=0)
    return total / len(table)


def deviation(table: Array, mean: Array) -> Array:
    """The standard deviation of each column, divided by N."""
    with np.errstate(invalid="ignore", over="ignore"):
        total = np.sum([np.square(b - mean).sum(axis=0) for b in blocks(table)], axis=0)
    return np.sqrt(total / len(table))


def extremes(table: Array) -> tuple[Array, Array]:
    """The smallest and the largest value of each column."""
    with np.errstate(invalid="ignore"):
        lows, highs = zip(*((b.min(axis=0), b.max(axis=0)) for b in blocks(table)), strict=True)
    return np.min(lows, axis=0), np.max(highs, axis=0)


def quantiles(table: Array, probabilities: list[float]) -> Array:
    """Quantiles of each column, interpolated linearly: shape (len(probabilities), columns).

    They need a whole column at a time: 8 bytes a row.
    """
    columns = (np.asarray(table[:, j], np.float64) for j in range(table.shape[1]))
    with np.errstate(invalid="ignore", over="ignore"):
        return np.stack([np.quantile(column, probabilities) for column in columns], axis=1)


def triangle(table: Array, mean: Array) -> Array:
    """R of the decomposition Q R of the centred table: R^T R is N times the covariance.

    The blocks are decomposed one after another, each under the triangle of those before it: as
    exact as a decomposition at once, where a sum of products would lose half of the digits.
    """
    r: Array = np.empty((0, table.shape[1]))
    for block in blocks(table):
        r = np.asarray(np.linalg.qr(np.concatenate([r, block - mean]), mode="r"))
    return r


def check_finite(layer: str, *found: Array) -> None:
    """Raise where a statistic of a column is NaN or infinite: columns are the last axis."""
    finite = np.isfinite(np.stack(found)).all(axis=0)
    if not finite.all():
        raise ValueError(
            f"{layer}.fit: column {np.flatnonzero(~finite)[0]} (counted from 0) holds NaN or "
            "infinite values, or too large ones; drop or fill them first"
        )


def rounded(dtype: str, *found: Any) -> list[Array]:
    """The arrays in the dtype of a layer's buffers; numbers beyond its range become infinite."""
    with np.errstate(over="ignore"):
        return [np.asarray(array).astype(dtype) for array in found]
