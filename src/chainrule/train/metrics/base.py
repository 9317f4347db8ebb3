"""What a metric is: sums over batches, turned into a number over all rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import SymbolicError
from chainrule.graph.tensor import Array, Tensor
from chainrule.markup import Constructed
from chainrule.train.roles import scalar
from chainrule.trees import leaves


class Metric(Constructed):
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

    def for_loss(self, loss: Any) -> Metric:
        """The metric for outputs of which this loss is taken."""
        return self

    def target_fault(self, target: Any) -> str | None:
        """The fault of the targets' values, as the end of a sentence; None if there is none."""
        return None


class FunctionMetric(Metric):
    """A user's function of (output, target), the mean over a batch, averaged over rows."""

    def __init__(self, function: Callable[[Any, Any], Tensor]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)

    def sums(self, output: Any, target: Any) -> Tensor:
        try:
            value = self.function(output, target)
        except SymbolicError as error:
            raise SymbolicError(
                f"metric {self.name} asks for values: {error} A function that computes with NumPy, "
                f"over a whole evaluation, is metrics=[cr.metrics.ArrayMetric({self.name})]"
            ) from error
        value = scalar(f"metric {self.name}", value, "return the mean over the batch")
        rows = next(leaves(output)).shape[0]
        return value.astype(np.float64) * float(rows)

    def result(self, sums: Array, rows: int) -> float:
        return float(sums) / rows


def check_single(name: str, output: Any, target: Any) -> None:
    """Raise where a model has several outputs, or there are several targets."""
    for kind, value in (("output", output), ("target", target)):
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name} compares one output with one target; the {kind} is a "
                f"{type(value).__name__}. Write a function (outputs, targets) -> the mean over the "
                "batch that picks what it compares"
            )
