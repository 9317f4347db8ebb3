"""Means with a denominator of their own, which training and evaluation add up exactly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from chainrule.errors import ShapeError
from chainrule.graph.tensor import Tensor
from chainrule.ops import where


class WeightedMean(NamedTuple):
    """A mean that a loss took: the quotient, the sum and the denominator, all scalars."""

    mean: Tensor
    total: Tensor
    weight: Tensor


class _Local(threading.local):
    found: list[WeightedMean] | None = None


_local = _Local()


def weighted_mean(total: Tensor, weight: Tensor) -> Tensor:
    """total / weight, for the mean of a loss whose denominator is not the number of rows.

    A Trainer and an Evaluator add up totals and weights over batches, then divide: the loss of an
    epoch, or accumulated gradients, do not depend on the size of the batches. They do so where the
    loss is such a mean, or a sum of such means times constants and of other terms, which count by
    rows. A mean that is multiplied by a Parameter, or squared, counts by rows, too.

    Where the weight is 0 the result is NaN as in PyTorch, and its gradient 0. In the steps of a
    Trainer such a batch counts with its total, which is 0 unless rows of no weight have a loss, as
    label smoothing gives them.

    Args:
        total: a scalar: the sum of the weighted losses of a batch.
        weight: a scalar: the sum of their weights.

    Raises:
        ShapeError: if one of them is not a scalar.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> def masked(output, target):  # targets of -1 are missing
        ...     counts = (target >= 0.0).astype(output.dtype)
        ...     return nn.weighted_mean((counts * (output - target) ** 2).sum(), counts.sum())
        >>> x, y = [[1.0], [2.0], [3.0]], [[1.0], [-1.0], [5.0]]
        >>> cr.Evaluator(nn.Flatten(), masked).evaluate(x, y, batch_size=2)
        {'loss': 2.0}
    """
    for name, tensor in (("total", total), ("weight", weight)):
        if tensor.shape != ():
            raise ShapeError(f"the {name} of a weighted mean is a scalar, got {tensor.shape}")
    weight = weight.astype(total.dtype)
    counts = weight > 0.0
    quotient = total / where(counts, weight, 1.0)
    if _local.found is None:
        return where(counts, quotient, np.nan)
    _local.found.append(WeightedMean(quotient, total, weight))
    return quotient


@contextmanager
def collected() -> Iterator[list[WeightedMean]]:
    """Within it the weighted means that losses take are collected; one of nothing is 0."""
    before, _local.found = _local.found, []
    try:
        yield _local.found
    finally:
        _local.found = before
