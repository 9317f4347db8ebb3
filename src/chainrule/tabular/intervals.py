"""Intervals that hold a given share of targets, by the errors on rows held out.

Sources: Lei, G'Sell, Rinaldo, Tibshirani, Wasserman, "Distribution-free predictive inference for
regression", JASA 113, 2018 (absolute and scaled errors); Romano, Patterson, Candès, "Conformalized
quantile regression", NeurIPS 2019 (quantiles); Tibshirani, Foygel Barber, Candès, Ramdas,
"Conformal prediction under covariate shift", NeurIPS 2019 (rows with weights).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.tabular.targets import Numbers

_ROUNDED = 1 - 1e-12
"""Sums of weights are rounded."""


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


def interval(
    target: Numbers,
    outputs: Sequence[NDArray[Any]],
    weights: Sequence[float],
    held_out: NDArray[np.float64],
    weights_held_out: NDArray[np.float64] | None,
    coverage: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The bounds between which a target lies with probability `coverage`.

    Args:
        target: what is predicted.
        outputs: of each member.
        weights: the weight of each member.
        held_out: the scores of rows held out, shape (rows, targets).
        weights_held_out: their weights, above 0, or None.
        coverage: the probability, between 0 and 1.

    Warns:
        UserWarning: if too few rows were held out for this coverage.
    """
    width = _width(held_out, weights_held_out, coverage)
    if target.loss == "quantile":
        bounds = np.average([target.bounds(o) for o in outputs], axis=0, weights=weights)
        low, high = bounds[:, 0] - width[0], bounds[:, -1] + width[0]
        middle = (low + high) / 2  # a negative width may turn them round
        low, high = np.minimum(low, middle), np.maximum(high, middle)
        return (low, high) if target.is_vector else (low[:, None], high[:, None])
    middle = np.average([target.decode(o) for o in outputs], axis=0, weights=weights)
    half = width[0] if target.is_vector else width
    if target.loss == "gaussian":
        spread = np.average([target.deviation(o) for o in outputs], axis=0, weights=weights)
        half = half * (spread if target.is_vector else spread[:, None])
    return middle - half, middle + half


def _width(
    held_out: NDArray[np.float64], weights: NDArray[np.float64] | None, coverage: float
) -> NDArray[np.float64]:
    """The score of each target that a share `coverage` of the rows and the one to come is at most.

    The row to come is as likely to lie at any rank. It has the mean weight of a row that is drawn
    by the weights.
    """
    weights = np.ones(len(held_out)) if weights is None else weights
    total = weights.sum()
    to_come = np.square(weights).sum() / total
    most = total / (total + to_come)
    if coverage > most:
        warnings.warn(
            f"{total / to_come:.3g} rows held out, as their weights count, are too few for an "
            f"interval of coverage {coverage:.6g}; this one is of {most:.3g}. Hold out more rows",
            stacklevel=4,
        )
    order = np.argsort(held_out, axis=0)
    reached = (
        np.cumsum(weights[order], axis=0) >= (total + to_come) * min(coverage, most) * _ROUNDED
    )
    return np.take_along_axis(held_out, order, axis=0)[
        reached.argmax(axis=0), range(order.shape[1])
    ]
