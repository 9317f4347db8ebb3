"""How an array differs from the right one: by rounding, in one place, in the order of its rows."""

from __future__ import annotations

import numpy as np

from chainrule.graph.tensor import Array

DIGITS = (1e-5, 1e-4, 1e-3, 1e-2)
"""The tolerances of numbers with 5 to 2 digits."""


def as_written(mine: Array, ours: Array) -> bool:
    """Whether each element is ours, up to one in its last decimal; of two decimals or more."""
    places = _decimals(mine)
    if mine.shape != ours.shape or places is None or not np.any(mine):
        return False
    return bool(np.abs(mine - ours).max() <= 1.0001 * 10.0**-places)


def accepting(mine: Array, ours: Array) -> float | None:
    """The tolerance of 5 to 2 digits that accepts an array; None where none does."""
    largest = np.abs(ours).max(initial=0.0)
    if mine.shape != ours.shape or not largest:
        return None
    difference = np.abs(mine - ours).max()
    return next((r for r in DIGITS if difference <= r * largest), None)


def precision(mine: Array) -> float | None:
    """The tolerance, below 1e-2, of the decimals in which an array is written."""
    largest, places = np.abs(mine).max(initial=0.0), _decimals(mine)
    if places is None or not largest:
        return None
    return next((r for r in DIGITS[:-1] if 10.0**-places <= 2 * r * largest), None)


def _decimals(mine: Array) -> int | None:
    """The number of decimals to which all elements are written, from 2 to 6."""
    return next((d for d in range(2, 7) if np.array_equal(mine, np.round(mine, d))), None)


def place_of(mine: Array, ours: Array, rtol: float, axes: tuple[str, ...]) -> str | None:
    """Where an array differs from ours, if in one place or by its order; counted from 1.

    Args:
        mine, ours: of the same shape, one length an axis name.
        axes: the names, as ("row", "neuron").
    """
    largest = rtol * np.abs(ours).max(initial=0.0)
    wrong = np.abs(mine - ours) > largest
    found = np.argwhere(wrong)
    if mine.size < 2 or not len(found):
        return None
    if len(found) == 1:
        at = tuple(found[0])
        named = zip(axes, at, mine.shape, strict=True)
        place = ", ".join(f"{axis} {k + 1}" for axis, k, length in named if length > 1)
        return f"only {place} differs (yours {mine[at]:.6g}, ours {ours[at]:.6g})"
    for number, axis in enumerate(axes):
        rows = np.unique(found[:, number])
        order = _order(np.moveaxis(mine, number, 0), np.moveaxis(ours, number, 0), rows, largest)
        if order is not None and len(rows) == 2:
            return f"{axis}s {rows[0] + 1} and {rows[1] + 1} are swapped"
        if order is not None:
            given = ", ".join(str(k + 1) for k in order)
            return f"{axis}s {', '.join(str(k + 1) for k in rows)} stand in the order {given}"
    for number, axis in enumerate(axes):
        rows = np.unique(found[:, number])
        if len(rows) == 1 and mine.shape[number] > 1:
            return f"only {axis} {rows[0] + 1} differs"
    return None


def _order(mine: Array, ours: Array, rows: Array, largest: float) -> list[int] | None:
    """For each of these rows of mine which one of ours it is; None where one is no row of ours."""
    left, order = list(rows), []
    for k in rows:
        same = next((m for m in left if np.all(np.abs(mine[k] - ours[m]) <= largest)), None)
        if same is None:
            return None
        left.remove(same)
        order.append(int(same))
    return order
