"""Metrics of all outputs of an evaluation at once, in NumPy, and scikit-learn's by name."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule import checks
from chainrule.errors import ShapeError, missing
from chainrule.graph.tensor import Array
from chainrule.train.metrics.outputs import (
    CLASS_OUTPUTS,
    THRESHOLDS,
    check_outputs,
    loss_outputs,
    probabilities_of,
)

_TAKES = ("outputs", "classes", "scores", "probabilities")


class ArrayMetric:
    """A metric of the outputs and targets of a whole evaluation, as NumPy arrays.

    For what is no sum over batches, as a rank or a median. `evaluate` computes it, and so does the
    validation within `fit`, after another pass that collects the outputs; a training epoch has no
    value of it, because its outputs are of weights that change.

    Args:
        function: (outputs, targets) -> a number. One whose first argument is called `y_true`, as
            scikit-learn's are, is called with the targets first.
        takes: in which form it takes the outputs. "outputs": as they are. "classes": predicted
            labels. "probabilities": of label 1, or of each class. "scores": a number a row that
            grows with the probability of label 1; of three classes or more, probabilities. What the
            outputs are, the loss says.
        name: what the history calls it; by default the function's name.
        higher_is_better: which way early stopping looks.
        outputs: what the outputs are, in place of what the loss says; see `Accuracy`.

    Raises:
        TypeError, ValueError: for an argument that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> def median_error(outputs, targets):
        ...     return np.median(np.abs(outputs - targets))
        >>> metric = cr.metrics.ArrayMetric(median_error)
        >>> x, y = [[1.0], [2.0], [9.0]], [[1.0], [2.5], [1.0]]
        >>> cr.Evaluator(nn.Flatten(), nn.L1Loss(), metric).evaluate(x, y)["median_error"]
        0.5
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        takes: str = "outputs",
        name: str | None = None,
        higher_is_better: bool = False,
        outputs: str | None = None,
    ) -> None:
        if not callable(function) or isinstance(function, type):
            raise TypeError(
                f"an ArrayMetric has a function (outputs, targets) -> a number; got {function!r}"
            )
        self.takes = checks.one_of("takes", takes, _TAKES)
        self.function = function
        self.name: str = str(name or getattr(function, "__name__", type(function).__name__))
        self.higher_is_better = higher_is_better
        self.outputs = check_outputs(outputs)
        self.ignore_index: int | None = None

    def for_loss(self, loss: Any) -> ArrayMetric:
        """The metric for outputs of which this loss is taken."""
        found = copy.copy(self)
        if found.outputs is None:
            found.outputs = loss_outputs(loss)
        found.ignore_index = getattr(loss, "ignore_index", None)
        return found

    def result(self, outputs: Any, targets: Any) -> float:
        """The metric of all outputs of an evaluation."""
        if self.takes != "outputs":
            outputs, targets = self._prepared(outputs, targets)
        given = (targets, outputs) if targets_come_first(self.function) else (outputs, targets)
        value = self.function(*given)
        if np.shape(value) != ():
            raise ShapeError(
                f"metric {self.name} is a number over the whole evaluation; the function gave an "
                f"array of shape {np.shape(value)}"
            )
        return float(value)

    def _prepared(self, outputs: Any, targets: Any) -> tuple[Array, Array]:
        """Outputs in the form in which the function takes them, and labels."""
        if not isinstance(outputs, np.ndarray) or not isinstance(targets, np.ndarray):
            raise TypeError(
                f"{self.name} compares one output with one target; write an ArrayMetric with a "
                "function (outputs, targets) that picks what it compares"
            )
        if outputs.ndim > 1 and outputs.shape[1] > 1:
            if targets.shape != outputs.shape:
                return self._of_classes(outputs, targets)
            if self.outputs in CLASS_OUTPUTS or self.outputs == "values":
                return self._of_classes(outputs, targets.argmax(axis=1))
        return self._of_decisions(outputs, targets)

    def _of_classes(self, outputs: Array, labels: Array) -> tuple[Array, Array]:
        labels = self._of_shape(labels, outputs, outputs.shape[:1] + outputs.shape[2:]).ravel()
        rows = _in_rows(outputs)
        if self.ignore_index is not None:
            counted = labels != self.ignore_index
            rows, labels = rows[counted], labels[counted]
        if self.takes == "classes":
            return rows.argmax(axis=1), labels
        if self.takes == "scores" and rows.shape[1] == 2:
            return rows[:, 1] - rows[:, 0], labels
        return self._class_probabilities(rows), labels

    def _of_shape(self, targets: Array, outputs: Array, shape: tuple[int, ...]) -> Array:
        """The targets in the shape that belongs to the outputs, but for axes of length 1."""
        if [n for n in targets.shape if n != 1] != [n for n in shape if n != 1]:
            raise ShapeError(
                f"{self.name}: outputs {outputs.shape}, with the classes on axis 1, need targets "
                f"of shape {shape}; got {targets.shape}"
            )
        return targets.reshape(shape)

    def _class_probabilities(self, rows: Array) -> Array:
        if self.outputs not in CLASS_OUTPUTS or self.outputs == "class scores":
            raise ValueError(self._unknown("class logits", "class probabilities"))
        return probabilities_of(rows.astype(np.float64), self.outputs)

    def _of_decisions(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        targets = _in_rows(self._of_shape(targets, outputs, outputs.shape))
        outputs = _in_rows(outputs)
        labels = (targets > 0.5).astype(np.int64)
        if outputs.shape[1] == 1:
            outputs, labels, targets = outputs[:, 0], labels[:, 0], targets[:, 0]
        if self.takes == "scores":
            return outputs, labels
        if self.takes == "probabilities":
            if self.outputs not in ("logits", "probabilities"):
                raise ValueError(self._unknown("logits", "probabilities"))
            return probabilities_of(outputs.astype(np.float64), self.outputs), labels
        threshold = THRESHOLDS.get(self.outputs or "")
        if self.outputs == "values":
            threshold = 0.0 if (targets < 0).any() else 0.5
        if threshold is None:
            raise ValueError(self._unknown("logits", "probabilities", "margins"))
        return (outputs > threshold).astype(np.int64), labels

    def _unknown(self, *kinds: str) -> str:
        said = "the loss does not say what its outputs are"
        if self.outputs:
            said = f"the outputs are {self.outputs!r}"
        ways = " or ".join(f"outputs={kind!r}" for kind in kinds)
        return (
            f"{self.name}: {said}, from which it can't take {self.takes}. Give the loss an "
            f"attribute {ways}, or write cr.metrics.ArrayMetric(function, takes={self.takes!r}, "
            "outputs=...)"
        )


def _in_rows(outputs: Array) -> Array:
    """A row for each sample and position, with a column for each class or label."""
    if outputs.ndim < 2:
        return outputs.reshape(-1, 1)
    return np.moveaxis(outputs, 1, -1).reshape(-1, outputs.shape[1])


def targets_come_first(function: Callable[..., Any]) -> bool:
    """Whether a function has the arguments of scikit-learn's metrics: (y_true, ...)."""
    try:
        return next(iter(inspect.signature(function).parameters), "") == "y_true"
    except (TypeError, ValueError):
        return False


class _Score(NamedTuple):
    """A metric of scikit-learn.

    Attributes:
        function: its name there.
        takes: as of `ArrayMetric`.
        higher_is_better: which way early stopping looks.
        binary: the arguments for two classes.
        several: those for more classes, or for several labels a row.
        takes_labels: whether it takes several labels a row, and gives the mean over them.
        needs_classes: whether it is told all classes, of which the labels may lack some.
    """

    function: str
    takes: str
    higher_is_better: bool
    binary: dict[str, Any]
    several: dict[str, Any]
    takes_labels: bool = True
    needs_classes: bool = False


_BINARY, _MACRO = {"zero_division": 0.0}, {"zero_division": 0.0, "average": "macro"}

SCORES = {
    "auc": _Score("roc_auc_score", "scores", True, {}, {"multi_class": "ovr"}, needs_classes=True),
    "f1": _Score("f1_score", "classes", True, _BINARY, _MACRO),
    "precision": _Score("precision_score", "classes", True, _BINARY, _MACRO),
    "recall": _Score("recall_score", "classes", True, _BINARY, _MACRO),
    "balanced_accuracy": _Score("balanced_accuracy_score", "classes", True, {}, {}, False),
    "log_loss": _Score("log_loss", "probabilities", False, {}, {}, False, needs_classes=True),
}
"""Metrics of scikit-learn by name; of several classes or labels the mean over them counts.

Labels at several positions, as the pixels of a mask, count as those of so many rows."""


def score(name: str) -> ArrayMetric:
    """The metric of that name among `SCORES`.

    Raises:
        ImportError: if scikit-learn is missing.
    """
    from importlib.util import find_spec  # only where such a metric is made

    if find_spec("sklearn") is None:
        raise missing(
            f"the metric {name!r}", "scikit-learn", "sklearn",
            "write cr.metrics.ArrayMetric(function) with a function (outputs, targets) of your own",
        )  # fmt: skip
    said = SCORES[name]
    return ArrayMetric(
        functools.partial(_score, said),
        takes=said.takes,
        name=name,
        higher_is_better=said.higher_is_better,
    )


def _score(said: _Score, outputs: Array, labels: Array) -> float:
    from sklearn import metrics  # at its first use: it is slow to import

    function = getattr(metrics, said.function)
    if labels.ndim == 2 and not said.takes_labels:
        columns = zip(outputs.T, labels.T, strict=True)
        return float(np.mean([_score(said, *column) for column in columns]))
    classes = 2
    if outputs.ndim > 1:
        classes = outputs.shape[1]
    elif said.takes == "classes":
        classes = 1 + int(max(outputs.max(), labels.max(), 1))
    options = said.binary if classes == 2 and labels.ndim == 1 else said.several
    if said.needs_classes:
        options = {**options, "labels": range(classes)}
    return float(function(labels, outputs, **options))
