"""Intervals that hold a given share of targets, by the errors on rows held out.

Sources: Lei, G'Sell, Rinaldo, Tibshirani, Wasserman, "Distribution-free predictive inference for
regression", JASA 113, 2018 (absolute and scaled errors); Romano, Patterson, Candès, "Conformalized
quantile regression", NeurIPS 2019 (quantiles); Tibshirani, Foygel Barber, Candès, Ramdas,
"Conformal prediction under covariate shift", NeurIPS 2019 (rows with weights).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import warn
from chainrule.tabular.targets import Numbers

_ROUNDED = 1 - 1e-12
"""Sums of weights are rounded."""

_NINE_OF_TEN = 0.9, 1.6448536
"""A share of a Gaussian, and the standard deviations on each side of its mean that hold it."""

_LEAST_FACTOR, _MOST_FACTOR = 0.02, 50.0
"""The range of `deviation_factor`."""


def scores(target: Numbers, outputs: NDArray[Any], encoded: NDArray[Any]) -> NDArray[np.float64]:
    """How far each row's target lies from its prediction, shape (rows, targets).

    In units of the target; of a Gaussian in standard deviations; of quantiles the distance outside
    of the outermost two, which is negative within.

    Args:
        target: what is predicted.
        outputs: a network's, for rows that it was not trained on.
        encoded: the standardised targets of these rows.
    """
    y = np.asarray(encoded, np.float64) * target.scale + target.mean
    if target.loss == "quantile":
        bounds = target.bounds(outputs)
        return np.maximum(bounds[:, :1] - y, y - bounds[:, -1:])
    distance = np.abs(y - target.decode(outputs).reshape(y.shape))
    return distance / target.deviation(outputs)[:, None] if target.loss == "gaussian" else distance


def deviation_factor(held_out: NDArray[np.float64], weights: NDArray[np.float64] | None) -> float:
    """By what the standard deviations of a Gaussian are multiplied, so that nine of ten rows held
    out lie as near to the mean as a Gaussian's would.

    A member whose deviations are too wide then does not rule those of an ensemble.

    Args:
        held_out: the scores of a member's rows held out, shape (rows, 1).
        weights: their weights, above 0, or None.
    """
    share, deviations = _NINE_OF_TEN
    weights = _weights(held_out, weights)
    width = _width(held_out, weights, min(share, _most(weights)))[0]
    return float(np.clip(width / deviations, _LEAST_FACTOR, _MOST_FACTOR))


def interval(
    target: Numbers,
    outputs: Sequence[NDArray[Any]],
    weights: Sequence[float],
    factors: Sequence[float],
    held_out: NDArray[np.float64],
    weights_held_out: NDArray[np.float64] | None,
    coverage: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The bounds between which a target lies with probability `coverage`.

    Args:
        target: what is predicted.
        outputs: of each member.
        weights: the weight of each member.
        factors: of a Gaussian, by what the standard deviations of each member are multiplied.
        held_out: the scores of rows held out, divided by these factors, shape (rows, targets).
        weights_held_out: their weights, above 0, or None.
        coverage: the probability, between 0 and 1.

    Warns:
        UserWarning: if too few rows were held out for this coverage.
    """
    of_rows = _weights(held_out, weights_held_out)
    most = _most(of_rows)
    if coverage > most:
        rows = most / (1 - most)
        warn(
            f"{rows:.3g} rows held out, as their weights count, are too few for an interval of "
            f"coverage {coverage:.6g}; this one is of {most:.3g}. Hold out more rows",
        )
    width = _width(held_out, of_rows, min(coverage, most))
    if target.loss == "quantile":
        bounds = np.average([target.bounds(o) for o in outputs], axis=0, weights=weights)
        low, high = bounds[:, 0] - width[0], bounds[:, -1] + width[0]
        middle = (low + high) / 2  # a negative width may turn them round
        low, high = np.minimum(low, middle), np.maximum(high, middle)
        return (low, high) if target.is_vector else (low[:, None], high[:, None])
    middle = np.average([target.decode(o) for o in outputs], axis=0, weights=weights)
    half = width[0] if target.is_vector else width
    if target.loss == "gaussian":
        deviations = [f * target.deviation(o) for f, o in zip(factors, outputs, strict=True)]
        spread = np.average(deviations, axis=0, weights=weights)
        half = half * (spread if target.is_vector else spread[:, None])
    return middle - half, middle + half


def _weights(
    held_out: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """The weights of rows, 1 at most, so that their squares do not vanish."""
    return np.ones(len(held_out)) if weights is None else weights / weights.max()


def _to_come(weights: NDArray[np.float64]) -> float:
    """The weight of the row to come: the mean of a row that is drawn by the weights."""
    return float(np.square(weights).sum() / weights.sum())


def _most(weights: NDArray[np.float64]) -> float:
    """The largest coverage that rows of these weights can tell."""
    total = float(weights.sum())
    return total / (total + _to_come(weights))


def _width(
    held_out: NDArray[np.float64], weights: NDArray[np.float64], coverage: float
) -> NDArray[np.float64]:
    """The score of each target that a share `coverage` of the rows and the one to come is at most.

    The row to come is as likely to lie at any rank.
    """
    order = np.argsort(held_out, axis=0)
    least = (weights.sum() + _to_come(weights)) * coverage * _ROUNDED
    reached = np.cumsum(weights[order], axis=0) >= least
    return np.take_along_axis(held_out, order, axis=0)[
        reached.argmax(axis=0), range(order.shape[1])
    ]
