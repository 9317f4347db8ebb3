"""Tasks: classification or regression, and the targets as the loss takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.graph.tensor import Array

# The help of --task states the rule that these define.
MAX_INFERRED_CLASSES = 20
MIN_INFERRED_ROWS = 2

_MAX_LABEL = 2**53


@dataclass(frozen=True)
class Task:
    """A classification, with the labels of its classes, or a regression (classes is None)."""

    classes: tuple[int, ...] | tuple[str, ...] | None

    @property
    def name(self) -> str:
        return "regression" if self.classes is None else "classification"

    @property
    def training_metrics(self) -> list[str]:
        """The metrics shown after every epoch."""
        return ["mae"] if self.classes is None else ["accuracy"]

    @property
    def final_metrics(self) -> list[str]:
        """The metrics of the evaluation of a trained model."""
        return ["mse", "mae", "r2"] if self.classes is None else ["accuracy"]

    def encode(self, y: Array, name: str, files: Sequence[str] | None = None) -> Array:
        """Targets as the loss takes them: class numbers, or float64 of shape (rows, values).

        Args:
            y: the targets.
            name: of the data.
            files: of images, those of the rows.

        Raises:
            ValueError: for a label that is not one of the classes.
        """
        if self.classes is None:
            return np.asarray(y if y.ndim == 2 else y.reshape(len(y), -1), np.float64)
        labels = _labels(y, name)
        classes = np.array(self.classes)
        if (labels.dtype.kind == "U") != (classes.dtype.kind == "U"):
            raise ValueError(
                f"{name}: the labels are {'names' if labels.dtype.kind == 'U' else 'numbers'}, as "
                f"{labels[0]}; the classes of the model are {classes_text(self.classes)}."
            )
        codes = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
        wrong = np.flatnonzero(classes[codes] != labels)
        if len(wrong):
            place = f"{name}: row {wrong[0]} (counted from 0)" if files is None else files[wrong[0]]
            raise ValueError(
                f"{place} has the label {labels[wrong[0]]}, which is not a class of the model: "
                f"{classes_text(self.classes)}."
            )
        return codes.astype(np.int64)


def choose_task(y: Array, name: str, requested: str | None) -> Task:
    """The requested task, or else the one inferred from the training targets.

    Raises:
        ValueError: if the targets do not fit the task.
    """
    if (requested or inferred_task(y)) == "regression":
        if y.dtype.kind == "U":
            raise ValueError(f"{name}: the targets are names. Leave --task regression out.")
        if y.ndim > 2:
            raise ValueError(
                f"{name}: the targets have shape {y.shape}. A regression takes (rows,) or "
                "(rows, values)."
            )
        return Task(None)
    classes = tuple(np.unique(_labels(y, name)).tolist())
    if len(classes) < 2:
        raise ValueError(
            f"{name}: all rows have the one label {classes[0]}. Give at least two classes, or use "
            "--task regression."
        )
    return Task(classes)


def inferred_task(y: Array) -> str:
    """The task that targets are for, by their values."""
    if y.size != len(y):
        return "regression"
    values = y.reshape(-1)
    if values.dtype.kind == "U":
        return "classification"
    if values.dtype.kind == "f" and not np.array_equal(values, np.round(values)):
        return "regression"
    distinct = len(np.unique(values))
    few = distinct <= MAX_INFERRED_CLASSES and distinct * MIN_INFERRED_ROWS <= len(values)
    return "classification" if few else "regression"


def _labels(y: Array, name: str) -> Array:
    """Labels, names or int64, of shape (rows,)."""
    if y.size != len(y):
        raise ValueError(
            f"{name}: labels of classes have shape (rows,); these targets have {y.shape}. Use "
            "--task regression, or give one label a row."
        )
    values = y.reshape(-1)
    if values.dtype.kind == "U":
        return values
    if values.dtype.kind == "f":
        wrong = np.flatnonzero((values != np.round(values)) | (np.abs(values) > _MAX_LABEL))
        if len(wrong):
            raise ValueError(
                f"{name}: labels of classes are whole numbers; row {wrong[0]} (counted from 0) has "
                f"{values[wrong[0]]:g}. Use --task regression, or number the classes."
            )
    return values.astype(np.int64)


def describe_task(classes: Any, target: str | None) -> str:
    """A task in one line."""
    text = "regression" if classes is None else f"classification, {len(classes)} classes: "
    if classes is not None:
        text += classes_text(classes)
    return text if target is None else f"{text}; target {target!r}"


def classes_text(classes: Any) -> str:
    """The classes, abbreviated if there are many."""
    if len(classes) > 8:
        return f"{classes[0]}, {classes[1]} … {classes[-1]}"
    return ", ".join(map(str, classes))
