"""Accuracy: the share of right predictions, of outputs of any kind."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from chainrule import checks, ops
from chainrule.data.mapped import blocks, extremes
from chainrule.errors import ShapeError
from chainrule.graph.tensor import Array, Tensor
from chainrule.train.metrics.base import Metric, check_single
from chainrule.train.metrics.outputs import CLASS_OUTPUTS, THRESHOLDS, check_outputs, loss_outputs


class Accuracy(Metric):
    """The share of rows whose prediction is the label.

    Of scores (rows, classes, ...) the prediction is the class of the largest; the targets are
    labels (rows, ...), or one-hot rows. Elsewhere each output is a decision of its own: label 1
    above a threshold. Several of them a row, as of `BCELoss` with several outputs, count each for
    its share of the row. Rows whose label is the loss's `ignore_index` do not count.

    Args:
        outputs: what the outputs are; by default what the loss says they are, by its attribute of
            this name. "class logits", "class log-probabilities", "class probabilities" and
            "class scores" are of classes. "logits" are cut at 0, "probabilities" at 0.5, "margins"
            at 0 for labels of -1 and 1, "values" halfway between their labels, which are 0 and 1
            or -1 and 1.
        threshold: where outputs of label 1 begin, instead.

    Raises:
        ValueError: for other `outputs`; before training, where neither this nor the loss says what
            the outputs are, and it matters; for targets that are no labels.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> x, y = [[0.1], [0.4], [0.9]], [[0.0], [1.0], [1.0]]
        >>> accuracy = cr.metrics.Accuracy(threshold=0.3)
        >>> for metric in ("accuracy", accuracy):
        ...     found = cr.Evaluator(nn.Flatten(), nn.BCELoss(), metric).evaluate(x, y)
        ...     print(round(found["accuracy"], 4))
        0.6667
        1.0
    """

    name = "accuracy"
    higher_is_better = True

    def __init__(self, outputs: str | None = None, *, threshold: float | None = None) -> None:
        self.outputs = check_outputs(outputs)
        self.threshold = None if threshold is None else float(checks.number("threshold", threshold))
        self.ignore_index: int | None = None

    def for_loss(self, loss: Any) -> Accuracy:
        found = copy.copy(self)
        if found.outputs is None:
            found.outputs = loss_outputs(loss)
        found.ignore_index = getattr(loss, "ignore_index", None)
        return found

    def sums(self, output: Tensor, target: Tensor) -> Tensor:
        check_single(self.name, output, target)
        if output.ndim == 0:
            raise ShapeError("accuracy: the outputs have no axis of rows")
        of_classes = output.ndim > 1 and output.shape[1] > 1
        if of_classes and target.shape == output.shape[:1] + output.shape[2:]:
            return self._class_sums(output, target)
        if of_classes and target.shape == output.shape:
            if self.outputs is None and self.threshold is None:
                raise ValueError(
                    "accuracy: the loss does not say whether the targets, of the shape "
                    f"{output.shape} of the outputs, are one-hot rows or several labels a row. "
                    "Write metrics=[cr.metrics.Accuracy('class scores')] for one-hot rows, "
                    "'logits' or 'probabilities' for several labels"
                )
            if self._of_classes:
                return self._class_sums(output, target.argmax(axis=1))
            return self._decision_sums(output, target)
        rows = output.shape[:1]
        if of_classes or not (
            {output.shape, target.shape} <= {rows, (*rows, 1)} or output.shape == target.shape
        ):
            remedy = "Write a function (outputs, targets) -> the mean over the batch for others"
            if output.ndim > 2 and target.shape == output.shape[:-1]:
                remedy = "Let the model return cr.moveaxis(scores, -1, 1)"
            raise ShapeError(
                "accuracy takes scores of shape (rows, classes, ...) with one label for each, or "
                f"outputs and targets of one shape; got outputs {output.shape} and targets "
                f"{target.shape}. {remedy}"
            )
        if self.outputs in CLASS_OUTPUTS and output.ndim > 1 and self.threshold is None:
            return self._class_sums(output, target.reshape(rows[0], *output.shape[2:]))
        return self._decision_sums(output, target)

    @property
    def _of_classes(self) -> bool:
        """Whether outputs and targets of one shape (rows, several) are of classes."""
        return self.threshold is None and (
            self.outputs == "values" or self.outputs in CLASS_OUTPUTS
        )

    def _class_sums(self, output: Tensor, label: Tensor) -> Tensor:
        """Hits; where labels are ignored, with the number of those that are not."""
        hits = (output.argmax(axis=1) == label).astype(np.float64).reshape(output.shape[0], -1)
        if self.ignore_index is None:
            return hits.sum() if hits.shape[1] == 1 else hits.mean(axis=1).sum()
        counted = (label != self.ignore_index).astype(np.float64).reshape(*hits.shape)
        return ops.stack([(hits * counted).sum(), counted.sum()])

    def _decision_sums(self, output: Tensor, target: Tensor) -> Tensor:
        """Hits of decisions; of values, for both kinds of labels, with the number of labels -1."""
        score = output.reshape(output.shape[0], -1)
        label = target.reshape(*score.shape).astype(output.dtype) > 0.5
        if self.threshold is not None:
            return _hits(score, self.threshold, label)
        if self.outputs in THRESHOLDS:
            return _hits(score, THRESHOLDS[self.outputs], label)
        if self.outputs == "values":
            signs = (target.astype(output.dtype) < 0.0).astype(np.float64)
            return ops.stack([_hits(score, 0.5, label), _hits(score, 0.0, label), signs.sum()])
        raise ValueError(
            f"accuracy: the loss does not say what its outputs, of shape {output.shape}, are. "
            "Write metrics=[cr.metrics.Accuracy('logits')] to cut them at 0, 'probabilities' to "
            "cut at 0.5, 'margins' for labels of -1 and 1, or Accuracy(threshold=...)"
        )

    def result(self, sums: Array, rows: int) -> float:
        if np.ndim(sums) == 0:
            return float(sums) / rows
        if len(sums) == 2:
            hits, counted = sums
            return float(hits) / float(counted) if counted else float("nan")
        between_0_and_1, between_signs, signs = sums
        return float(between_signs if signs else between_0_and_1) / rows

    def target_fault(self, target: Any) -> str | None:
        if self.outputs != "values" or not isinstance(target, np.ndarray):
            return None
        if target.ndim > 1 and target.shape[1] > 1 and self.threshold is None:
            for start, block in blocks(target):
                once = (block == block.max(axis=1, keepdims=True)).sum(axis=1) == 1
                if not once.all():
                    row = start + int(np.argwhere(~once)[0, 0])
                    return (
                        f"are no one-hot rows: row {row} has no single largest. If they are "
                        "several labels a row, write metrics=[cr.metrics.Accuracy(threshold=0.5)]"
                    )
                if not _are_classes(block):
                    return (
                        "are neither one-hot rows nor probabilities. For a regression take 'mae', "
                        "'mse' or 'r2'"
                    )
            return None
        if target.ndim > 1 and target.shape[1] > 1:
            return None
        low, high = extremes(target)
        for _, block in blocks(target):
            if not ((block == low) | (block == high)).all() or (low, high) not in _LABELS:
                return (
                    "are no labels of 0 and 1, or of -1 and 1: they run from "
                    f"{low} to {high}. For a regression take 'mae', 'mse' or 'r2'; for other "
                    "labels, train on 0 and 1"
                )
        return None


_LABELS = {(0, 1), (-1, 1), (0, 0), (1, 1), (-1, -1)}
"""The least and the largest of targets that are labels."""


def _are_classes(rows: Array) -> bool:
    """Whether rows of several numbers are one-hot, of 0 or -1 and 1, or sum to 1."""
    low, high = rows.min(), rows.max()
    if high == 1 and low in (-1, 0) and ((rows == low) | (rows == high)).all():
        return True
    return bool(low >= 0 and np.allclose(rows.sum(axis=1), 1, atol=1e-3))


def _hits(score: Tensor, threshold: float, label: Tensor) -> Tensor:
    """The sum over rows of the share of decisions that are right."""
    hits = ((score > threshold) == label).astype(np.float64)
    return hits.sum() if hits.shape[1] == 1 else hits.mean(axis=1).sum()
