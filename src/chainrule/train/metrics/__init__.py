"""Metrics: numbers that say how good outputs are, over any number of batches."""

from typing import TYPE_CHECKING

from chainrule.graph.names import absent
from chainrule.train.metrics.accuracy import Accuracy
from chainrule.train.metrics.arrays import ArrayMetric
from chainrule.train.metrics.base import FunctionMetric, Metric
from chainrule.train.metrics.errors import R2, MeanAbsoluteError, MeanSquaredError
from chainrule.train.metrics.named import AnyMetric, as_metrics

__all__ = [
    "R2",
    "Accuracy",
    "AnyMetric",
    "ArrayMetric",
    "FunctionMetric",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "as_metrics",
]

if not TYPE_CHECKING:  # a type checker would take every name for one of ours
    __getattr__ = absent("metrics", globals())
