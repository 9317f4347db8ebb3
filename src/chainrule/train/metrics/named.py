"""Metrics by their names, and of functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from chainrule import checks
from chainrule.optim import Optimizer
from chainrule.train.metrics.accuracy import Accuracy
from chainrule.train.metrics.arrays import SCORES, ArrayMetric, score, targets_come_first
from chainrule.train.metrics.base import FunctionMetric, Metric
from chainrule.train.metrics.errors import R2, MeanAbsoluteError, MeanSquaredError
from chainrule.train.metrics.outputs import loss_outputs

_BY_NAME: dict[str, Callable[[], Metric | ArrayMetric]] = {
    metric.name: metric for metric in (Accuracy, MeanSquaredError, MeanAbsoluteError, R2)
}

_TAKEN = ("epoch", "loss", "penalty", "lr", "seconds")
"""The columns that a history has of itself."""

AnyMetric: TypeAlias = str | Metric | ArrayMetric | Callable[..., Any]
"""A name, an object or a function of outputs and targets."""


def as_metrics(
    metrics: AnyMetric | Sequence[AnyMetric], loss: Any
) -> checks.Unchanging[Metric | ArrayMetric]:
    """The metrics that names, objects and functions mean, for the outputs of which a loss is taken.

    Raises:
        TypeError: for what is none of these.
        ValueError: for an unknown name, or a name that is given twice or is the history's.
        ImportError: for a metric of scikit-learn where that is missing.
    """
    if isinstance(metrics, (str, Metric, ArrayMetric)) or callable(metrics):
        metrics = [metrics]
    if not isinstance(metrics, (list, tuple)):
        raise TypeError(
            "metrics are a list of names, Metric objects and functions, got "
            f"{checks.described(metrics)}{_order(metrics)}"
        )
    found: list[Metric | ArrayMetric] = []
    for given in metrics:
        metric = _as_metric(given, loss)
        if not isinstance(getattr(metric, "name", None), str):
            kind = type(metric).__name__
            raise TypeError(
                f"a metric has a name, for the history: give {kind} one, as name = 'me'"
            )
        if metric.name in _TAKEN or metric.name.startswith("validation_"):
            raise ValueError(f"a metric can't be named {metric.name!r}: the history has that name")
        if any(metric.name == other.name for other in found):
            raise ValueError(f"two metrics are named {metric.name!r}; give each its own name")
        found.append(metric.for_loss(loss))
    return checks.Unchanging(
        found, "metrics stay as the steps were captured with them: give them at construction"
    )


def _order(given: Any) -> str:
    return ". An Evaluator takes no optimizer" if isinstance(given, Optimizer) else ""


def _as_metric(metric: Any, loss: Any) -> Metric | ArrayMetric:
    if isinstance(metric, str):
        if metric in SCORES:
            return score(metric)
        if metric not in _BY_NAME:
            names = ", ".join([*_BY_NAME, *SCORES])
            raise ValueError(f"no metric is named {metric!r}; there are {names}")
        return _BY_NAME[metric]()
    if isinstance(metric, (Metric, ArrayMetric)):
        return metric
    if not callable(metric) or isinstance(metric, type):
        raise TypeError(
            f"a metric is a name, a Metric object or a function, not {checks.described(metric)}"
        )
    if targets_come_first(metric):
        return ArrayMetric(metric, takes=_taken_by(metric, loss))
    return FunctionMetric(metric)


def _taken_by(metric: Callable[..., Any], loss: Any) -> str:
    """In which form a function with scikit-learn's arguments takes the outputs, by their names."""
    second = [*inspect.signature(metric).parameters, ""][1]
    if second == "y_score":
        return "scores"
    if second.startswith("y_prob"):
        return "probabilities"
    return "outputs" if loss_outputs(loss) in (None, "values") else "classes"
