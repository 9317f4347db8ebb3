"""Metrics: computed in the graph as sums over a batch, turned into a number over all rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule import ops
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.tensor import Array, Tensor
from chainrule.trees import leaves


class Metric:
    """A number that says how good outputs are, over any number of batches.

    A subclass gives `sums`, which is part of the captured graph, and `result`. Every row counts the
    same: the weights of rows belong to the loss.

    Attributes:
        name: what the history calls it.
        higher_is_better: which way early stopping looks.
    """

    name: str
    higher_is_better = False

    def sums(self, output: Any, target: Any) -> Tensor:
        """The quantity to add up over batches: a float64 Tensor of any shape."""
        raise NotImplementedError

    def result(self, sums: Array, rows: int) -> float:
        """The metric from the sums over all batches, which had `rows` rows."""
        raise NotImplementedError


class Accuracy(Metric):
    """The share of rows whose class is the label.

    Classes are the largest of several scores (rows, classes), or score > 0 where there is one score
    (a logit) a row.
    """

    name = "accuracy"
    higher_is_better = True

    def sums(self, output: Tensor, target: Tensor) -> Tensor:
        _check_single(self.name, output, target)
        if output.ndim == 2 and output.shape[1] > 1:
            if target.shape == output.shape:  # probabilities or one-hot rows
                target = target.argmax(axis=1)
            if target.shape != output.shape[:1]:
                raise ShapeError(
                    f"accuracy: scores {output.shape} need labels of shape {output.shape[:1]}; "
                    f"got {target.shape}"
                )
            hits = output.argmax(axis=1) == target
        else:
            rows = output.shape[:1]
            if not {output.shape, target.shape} <= {rows, (*rows, 1)}:
                raise ShapeError(
                    "accuracy takes scores of shape (rows, classes) or one logit a row, and one "
                    f"label a row; got outputs {output.shape} and targets {target.shape}. Write a "
                    "function (outputs, targets) -> the mean over the batch for others"
                )
            hits = (output.reshape(-1) > 0.0) == (target.reshape(-1).astype(output.dtype) > 0.5)
        return hits.astype(np.float64).sum()

    def result(self, sums: Array, rows: int) -> float:
        return float(sums) / rows


def _check_single(name: str, output: Any, target: Any) -> None:
    """Raise where a model has several outputs, or there are several targets."""
    for kind, value in (("output", output), ("target", target)):
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name} compares one output with one target; the {kind} is a "
                f"{type(value).__name__}. Write a function (outputs, targets) -> the mean over the "
                "batch that picks what it compares"
            )


def _errors(name: str, output: Tensor, target: Tensor) -> Tensor:
    """output - target as float64, of shape (rows, values a row)."""
    _check_single(name, output, target)
    if output.shape != target.shape:
        raise ShapeError(
            f"{name}: output {output.shape} and target {target.shape} differ; reshape one of them"
        )
    if output.dtype.kind != "f":
        raise DTypeError(f"{name}: outputs are floating, not {output.dtype}")
    error = output.astype(np.float64) - target.astype(np.float64)
    return error.reshape(output.shape[0], -1)


class MeanSquaredError(Metric):
    """mse: the mean of (output - target)^2 over rows and values."""

    name = "mse"

    def sums(self, output: Tensor, target: Tensor) -> Tensor:
        error = _errors(self.name, output, target)
        return (error * error).mean(axis=1).sum()

    def result(self, sums: Array, rows: int) -> float:
        return float(sums) / rows


class MeanAbsoluteError(Metric):
    """mae: the mean of |output - target| over rows and values."""

    name = "mae"

    def sums(self, output: Tensor, target: Tensor) -> Tensor:
        return ops.abs(_errors(self.name, output, target)).mean(axis=1).sum()

    def result(self, sums: Array, rows: int) -> float:
        return float(sums) / rows


class R2(Metric):
    """r2: 1 - sum (target - output)^2 / sum (target - mean)^2, averaged over the values of a row.

    Formula as scikit-learn's `r2_score`: a constant target gives 1 where it is met, else 0. Targets
    count as constant where their spread is below a millionth of their mean.
    """

    name = "r2"
    higher_is_better = True

    def sums(self, output: Tensor, target: Tensor) -> Tensor:
        error = _errors(self.name, output, target)
        y = target.astype(np.float64).reshape(error.shape)
        return ops.stack([(error * error).sum(axis=0), y.sum(axis=0), (y * y).sum(axis=0)])

    def result(self, sums: Array, rows: int) -> float:
        residual, total, squares = sums
        spread = np.maximum(squares - total * total / rows, 0.0)
        # The spread of a constant target, but for rounding, counts as none.
        constant = spread <= 1e-12 * squares
        score = 1 - residual / np.where(constant, 1.0, spread)
        return float(np.mean(np.where(constant, residual == 0, score)))


class FunctionMetric(Metric):
    """A user's function of (output, target), the mean over a batch, averaged over rows."""

    def __init__(self, function: Callable[[Any, Any], Tensor]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)

    def sums(self, output: Any, target: Any) -> Tensor:
        value = self.function(output, target)
        if not isinstance(value, Tensor) or value.shape != ():
            seen = value.shape if isinstance(value, Tensor) else type(value).__name__
            raise ShapeError(
                f"metric {self.name} must be a scalar Tensor, the mean over the batch; got {seen}"
            )
        rows = next(leaves(output)).shape[0]
        return value.astype(np.float64) * float(rows)

    def result(self, sums: Array, rows: int) -> float:
        return float(sums) / rows


_BY_NAME: dict[str, type[Metric]] = {
    metric.name: metric for metric in (Accuracy, MeanSquaredError, MeanAbsoluteError, R2)
}


_TAKEN = ("epoch", "loss", "penalty", "lr", "seconds")
"""The columns that a history has of itself."""


def as_metrics(metrics: Sequence[str | Metric | Callable[..., Tensor]]) -> list[Metric]:
    """The metrics that names, Metric objects and functions mean.

    Raises:
        TypeError: for what is none of these.
        ValueError: for an unknown name, or a name that is given twice or is the history's.
    """
    if isinstance(metrics, (str, Metric)) or callable(metrics):
        metrics = [metrics]
    found: list[Metric] = []
    for metric in metrics:
        if isinstance(metric, str):
            if metric not in _BY_NAME:
                raise ValueError(f"no metric is named {metric!r}; there are {', '.join(_BY_NAME)}")
            metric = _BY_NAME[metric]()
        elif not isinstance(metric, Metric):
            if not callable(metric) or isinstance(metric, type):
                raise TypeError(
                    f"a metric is a name, a Metric object or a function, not {metric!r}"
                )
            metric = FunctionMetric(metric)
        if metric.name in _TAKEN or metric.name.startswith("validation_"):
            raise ValueError(f"a metric can't be named {metric.name!r}: the history has that name")
        if any(metric.name == other.name for other in found):
            raise ValueError(f"two metrics are named {metric.name!r}; give each its own name")
        found.append(metric)
    return found
