"""Temperature: probabilities that say how often a prediction is right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_COLDEST, _HOTTEST = 0.02, 50.0
_STEPS = 60


def softmax(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probabilities of each row's scores."""
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def temperature(
    outputs: NDArray[np.floating], classes: NDArray[np.int64], weights: NDArray[np.float64] | None
) -> float:
    """The T for which softmax(outputs / T) has the least cross-entropy.

    The cross-entropy is convex in 1 / T; its minimum is found by bisection of its derivative. One
    pseudo-row of each class keeps T finite where all rows are right.

    Source: Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017.

    Example:
        >>> sure = np.log([[0.9, 0.1]] * 1000)
        >>> right = np.array([0] * 600 + [1] * 400)
        >>> t = temperature(sure, right, None)
        >>> softmax(sure / t)[0].round(2).tolist()
        [0.6, 0.4]
    """
    z = np.asarray(outputs, np.float64)
    z = z - z.mean(axis=1, keepdims=True)
    w = np.ones(len(z)) if weights is None else weights * (len(z) / max(weights.sum(), 1e-300))
    aim = z[np.arange(len(z)), classes]
    # A row that is sure of a wrong class by the mean spread of the scores: a prior of one row.
    prior = float(np.mean(z.max(axis=1) - z.min(axis=1)))

    def slope(inverse: float) -> float:
        mean = (softmax(z * inverse) * z).sum(axis=1)
        return float(w @ (mean - aim)) + prior / (1.0 + np.exp(-prior * inverse))

    low, high = 1 / _HOTTEST, 1 / _COLDEST
    for _ in range(_STEPS):
        middle = np.sqrt(low * high)
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return float(1 / np.sqrt(low * high))
