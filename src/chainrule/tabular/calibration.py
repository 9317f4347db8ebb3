"""Temperature: probabilities that say how often a prediction is right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chainrule.train.metrics.outputs import softmax

_COLDEST, _HOTTEST = 0.02, 50.0
"""The range of temperatures."""
_MOST_STEPS = 60
_CLOSE = 1e-6
"""The relative change of 1 / T at which the search ends."""
_BLOCK = 1 << 18
"""Scores that are looked at together: they stay in the cache."""


def temperature(
    outputs: NDArray[np.floating], classes: NDArray[np.int64], weights: NDArray[np.float64] | None
) -> float:
    """The T for which softmax(outputs / T) has the least cross-entropy.

    The cross-entropy is convex in 1 / T; its minimum is found by Newton's method, and by bisection
    where that would leave the interval known so far. One pseudo-row, of the mean weight of a row
    that is drawn by the weights, keeps T finite where all rows are right. T is 1 where the scores
    of each row are equal.

    Args:
        outputs: class logits, shape (rows, classes).
        classes: the right class of each row.
        weights: of the rows, one of them above 0; their scale does not matter. None: all are equal.

    Source: Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017.

    Example:
        >>> sure = np.log([[0.9, 0.1]] * 1000)
        >>> right = np.array([0] * 600 + [1] * 400)
        >>> t = temperature(sure, right, None)
        >>> softmax(sure / t)[0].round(2).tolist()
        [0.6, 0.4]
    """
    rows = len(outputs)
    w = np.ones(rows) if weights is None else weights / weights.max()
    w = w * (w.sum() / np.square(w).sum())
    # A row that is sure of a wrong class by the mean spread of the scores: a prior of one row.
    spreads = np.asarray(outputs.max(axis=1) - outputs.min(axis=1), np.float64)
    prior = float(np.average(spreads, weights=w))
    if prior == 0.0:
        return 1.0
    size = max(_BLOCK // outputs.shape[1], 1)
    blocks = [slice(start, start + size) for start in range(0, rows, size)]

    def slopes(inverse: float) -> tuple[float, float]:
        """The first and the second derivative of the cross-entropy by 1 / T."""
        of_prior = 1.0 / (1.0 + np.exp(-prior * inverse))
        first, second = prior * of_prior, prior**2 * of_prior * (1.0 - of_prior)
        for block in blocks:
            z = np.asarray(outputs[block], np.float64)
            z = z - z.mean(axis=1, keepdims=True)
            share = softmax(z * inverse)
            aim = z[np.arange(len(z)), classes[block]]
            mean, square = (share * z).sum(axis=1), (share * z**2).sum(axis=1)
            first += w[block] @ (mean - aim)
            second += w[block] @ (square - mean**2)
        return float(first), float(second)

    low, high = 1 / _HOTTEST, 1 / _COLDEST
    inverse = 1.0
    for _ in range(_MOST_STEPS):
        first, second = slopes(inverse)
        low, high = (low, inverse) if first > 0 else (inverse, high)
        following = inverse - first / second if second > 0 else low
        if not low < following < high:
            following = float(np.sqrt(low * high))
        if abs(following - inverse) <= _CLOSE * inverse:
            break
        inverse = following
    return 1 / inverse
