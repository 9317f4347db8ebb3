"""Splits of data into rows to train on and rows held out for validation or a test."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import checks
from chainrule.data.arrays import (
    Arrays,
    Data,
    as_arrays,
    check_same_rows,
    check_some_weight,
    take,
)
from chainrule.data.batches import permutation
from chainrule.graph.tensor import Array


def split(
    x: Any,
    y: Any,
    fraction: float = 0.2,
    *,
    seed: int = 0,
    stratify: bool = False,
    sample_weight: Any = None,
) -> tuple[tuple[Arrays, ...], tuple[Arrays, ...]]:
    """Split rows at random into those to train on and those held out; same seed, same split.

    Args:
        x, y: the data, as ``batches`` takes it.
        fraction: share of the rows to hold out, between 0 and 1; at least one row and not all.
        seed: the seed of the random choice, an integer from 0.
        stratify: hold out this share of every class; ``y`` is then one array of integer labels,
            shape (rows,).
        sample_weight: a weight for each row, shape (rows,), split as the rows are.

    Returns:
        ``(x_train, y_train), (x_held_out, y_held_out)``: copies, each in the order of the data;
        with weights triples ``(x, y, sample_weight)``.

    Raises:
        TypeError, ValueError: data that is no array, a fraction out of range, a single
            row, labels that cannot be stratified, or a class of one row.

    >>> x, y = np.arange(20).reshape(10, 2), np.array([0, 1] * 5)
    >>> (x_train, y_train), validation = split(x, y, 0.4, stratify=True)
    >>> len(x_train), np.bincount(validation[1]).tolist()
    (6, [2, 2])
    """
    data = {"x": as_arrays(x, "x"), "y": as_arrays(y, "y")}
    if sample_weight is not None:
        data["sample_weight"] = as_arrays(sample_weight, "sample_weight")
    rows = check_same_rows(**data)
    order = _order_to_split(rows, fraction, seed)
    classes = _members_of_classes(data["y"], order) if stratify else [order]
    train, test = [
        tuple(take(part, chosen) for part in data.values())
        for chosen in _parts(classes, fraction, rows)
    ]
    return train, test


def hold_out(data: Data, fraction: float, seed: int) -> tuple[Data, Data]:
    """Return (data to train on, data held out): copies, of the rows that `split` would choose.

    Raises:
        ValueError: as `split`; for a part in which all weights are 0.
    """
    train, test = [
        data.map(lambda array, chosen=chosen: array[chosen])  # type: ignore[misc]
        for chosen in split_rows(data.rows, fraction, seed)
    ]
    if len(data.parts) == 3:
        check_some_weight(train.arrays[-1], "sample_weight")
        check_some_weight(test.arrays[-1], "validation sample_weight")
    return train, test


def split_rows(rows: int, fraction: float, seed: int) -> tuple[Array, Array]:
    """The numbers of the rows to train on and of those held out, as `split` chooses them.

    Raises:
        ValueError: as `split`.
    """
    return _parts([_order_to_split(rows, fraction, seed)], fraction, rows)


def _order_to_split(rows: int, fraction: float, seed: int) -> NDArray[np.int64]:
    """A random order of the rows; `_parts` holds out the first ones."""
    if not 0 < checks.any_number("fraction", fraction) < 1:
        raise ValueError(f"fraction is {fraction}. Give a share between 0 and 1, e.g. 0.2.")
    if rows < 2:
        number = "1 row, which" if rows else "no rows, which"
        raise ValueError(f"x and y have {number} cannot be split. Give at least 2.")
    return permutation(rows, seed, epoch=0)


def _parts(classes: list[Array], fraction: float, rows: int) -> tuple[Array, Array]:
    """The rows to train on and those held out, a share of each class, in the order of the data."""
    held_out = np.zeros(rows, dtype=bool)
    for members in classes:
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        held_out[members[:count]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _members_of_classes(y: Arrays, order: NDArray[np.int64]) -> list[Array]:
    """The rows of each class, in the order given."""
    if not isinstance(y, np.ndarray) or y.ndim != 1 or y.dtype.kind not in "biu":
        found = f"shape {y.shape}, {y.dtype}" if isinstance(y, np.ndarray) else type(y).__name__
        raise ValueError(
            f"stratify needs integer class labels of shape (rows,), but y is {found}. "
            "Use stratify=False, or give labels, e.g. y.astype(int)."
        )
    classes, codes = np.unique(y[order], return_inverse=True)
    members = [order[codes == code] for code in range(len(classes))]
    for label, rows in zip(classes, members, strict=True):
        if len(rows) < 2:
            raise ValueError(
                f"class {label} has 1 row (row {rows[0]}), which cannot be in both parts. "
                "Use stratify=False, or give the class more rows."
            )
    return members
