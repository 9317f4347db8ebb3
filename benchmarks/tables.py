"""Tables of the benchmark: files, targets, and the split into rows to train on and to test on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Split(NamedTuple):
    """The rows of a table, in two parts.

    Attributes:
        x, y: the rows to train on: a frame of pandas, and an array.
        x_test, y_test: the rows to test on.
        is_classification: whether the target is a class.
    """

    x: Any
    y: Any
    x_test: Any
    y_test: Any
    is_classification: bool

    def error(self, predicted: Any) -> float:
        """The share of wrong classes, or the root of the mean squared error."""
        if self.is_classification:
            return float(np.mean(np.asarray(predicted) != self.y_test))
        return float(np.sqrt(np.mean(np.square(np.asarray(predicted) - self.y_test))))


TARGETS = {
    "concrete": "Concrete-compressive-strength",
    "energy": "y1",
    "wine": "quality",
    "power-plant": "PE",
    "california": "median_house_value",
    "letter": "letter",
    "adult": "class",
}
"""The tables, by name, with the column that is predicted."""

_DROPPED = {"energy": ["y2"]}


def split(folder: Path, name: str, number: int) -> Split:
    """Four fifths of a table's rows to train on, the rest to test on.

    Args:
        folder: that of the files, NAME.csv.
        name: of the table.
        number: the seed of the split.
    """
    import pandas as pd
    from sklearn.model_selection import train_test_split

    frame = pd.read_csv(folder / f"{name}.csv", na_values="?")
    frame = frame.drop(columns=_DROPPED.get(name, []))
    y = frame.pop(TARGETS[name]).to_numpy()
    is_classification = y.dtype.kind not in "if"
    if is_classification:
        y = y.astype(str)
    x, x_test, y, y_test = train_test_split(
        frame, y, test_size=0.2, random_state=number, stratify=y if is_classification else None
    )
    return Split(x, y, x_test, y_test, is_classification)


def filled(data: Split) -> Split:
    """The same with the training rows' median in the places of missing numbers."""
    x, x_test = data.x.copy(), data.x_test.copy()
    for name in x:
        if x[name].dtype.kind in "if":
            median = x[name].median()
            x[name], x_test[name] = x[name].fillna(median), x_test[name].fillna(median)
    return data._replace(x=x, x_test=x_test)
