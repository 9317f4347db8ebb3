"""What a network is trained for: its loss, and the error by which the best epoch is chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from chainrule.graph.tensor import Tensor
from chainrule.nn import CrossEntropyLoss, MSELoss
from chainrule.ops import log, maximum, softplus

VARIANCE = 1e-6
"""The least variance of a Gaussian of standardised targets."""

Weights = NDArray[np.float64] | None


class Criterion(Protocol):
    """A loss as a graph, and an error of arrays."""

    def loss(self, outputs: Tensor, targets: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """The mean loss of a batch, a scalar."""
        ...

    def error(self, outputs: NDArray[Any], targets: NDArray[Any], weights: Weights) -> float:
        """The error of all rows."""
        ...


class Classification:
    """Cross-entropy with smoothed labels; the error is the share of wrong classes."""

    def __init__(self, label_smoothing: float) -> None:
        self.loss = CrossEntropyLoss(label_smoothing=label_smoothing)

    def error(self, outputs: NDArray[Any], targets: NDArray[Any], weights: Weights) -> float:
        return float(np.average(outputs.argmax(axis=1) != targets, weights=weights))


class SquaredError:
    """The mean squared error; the error is its root, with outputs clipped as predictions are.

    Args:
        low, high: the range of each target's outputs.
    """

    def __init__(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> None:
        self.loss = MSELoss()
        self.low, self.high = low, high

    def error(self, outputs: NDArray[Any], targets: NDArray[Any], weights: Weights) -> float:
        clipped = np.clip(np.asarray(outputs, np.float64), self.low, self.high)
        squares = np.square(clipped - targets).mean(axis=1)
        return math.sqrt(np.average(squares, weights=weights))


class Quantiles:
    """The pinball loss of several quantiles, an output each.

    Source: Koenker and Bassett, "Regression quantiles", Econometrica 46, 1978.
    """

    def __init__(self, levels: Sequence[float]) -> None:
        self.levels = np.array(levels)

    def loss(self, outputs: Tensor, targets: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        over = targets - outputs
        levels = self.levels.astype(outputs.dtype)
        return _mean(maximum(levels * over, (levels - 1) * over).mean(axis=1), sample_weight)

    def error(self, outputs: NDArray[Any], targets: NDArray[Any], weights: Weights) -> float:
        over = targets - np.asarray(outputs, np.float64)
        losses = np.maximum(self.levels * over, (self.levels - 1) * over).mean(axis=1)
        return float(np.average(losses, weights=weights))


class Gaussian:
    """The negative logarithm of a Gaussian's density: two outputs, the mean and the variance.

    The variance is softplus of its output, plus a little. The error is the same.

    Source: Nix and Weigend, "Estimating the mean and variance of the target probability
    distribution", ICNN 1994.
    """

    def loss(self, outputs: Tensor, targets: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        variance = softplus(outputs[:, 1:]) + VARIANCE
        distance = targets - outputs[:, :1]
        losses = 0.5 * (log(variance) + distance * distance / variance)
        return _mean(losses.reshape(-1), sample_weight)

    def error(self, outputs: NDArray[Any], targets: NDArray[Any], weights: Weights) -> float:
        variance = np.square(deviation(outputs))
        losses = 0.5 * (np.log(variance) + np.square(targets[:, 0] - outputs[:, 0]) / variance)
        return float(np.average(losses, weights=weights))


def deviation(outputs: NDArray[Any]) -> NDArray[np.float64]:
    """The standard deviation that the outputs for a Gaussian say."""
    return np.asarray(np.sqrt(np.logaddexp(0, outputs[:, 1].astype(np.float64)) + VARIANCE))


def _mean(losses: Tensor, sample_weight: Tensor | None) -> Tensor:
    return (losses if sample_weight is None else losses * sample_weight).mean()
