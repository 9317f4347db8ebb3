"""Line searches: how far to go along a direction, from losses and slopes at trials on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from chainrule.graph.tensor import Array

DECREASE = 1e-4  # the c1 and c2 of Nocedal and Wright, sections 3.1 and 3.5
_CURVATURE = 0.9
_MOST_TRIALS = 25
_FARTHEST = 10.0  # how many times as far the next trial may be while the minimum is not bracketed
_NEAREST = 0.01  # and the least it goes on, as a share of the last stretch
_EDGE = 0.1  # the share of a bracket at its ends where trials make no progress
_LEAST_STRETCH = 1e-9  # PyTorch's: a bracket in which no parameter moves by more is at its end


class Trial(NamedTuple):
    """A point x + t d, with its loss f, its gradient g, and the slope g d along the line."""

    t: float
    f: float
    g: Array
    slope: float


Try = Callable[[float], Trial]


def armijo(attempt: Try, start: Trial, t: float) -> Trial:
    """Halve t until f <= f0 + 1e-4 t slope0; the start, if 25 trials do not do.

    Source: Nocedal and Wright, "Numerical Optimization" (2006), algorithm 3.1.
    """
    for _ in range(_MOST_TRIALS):
        trial = attempt(t)
        if _decreases(trial, start):
            return trial
        t = 0.5 * t
    return start


def strong_wolfe(attempt: Try, start: Trial, t: float, most: int, reach: float) -> Trial:
    """A trial with f <= f0 + 1e-4 t slope0 and |slope| <= 0.9 |slope0|, or the best that was found.

    First t grows until a minimum lies between two trials; then the bracket is narrowed, each time
    at the minimum of the cubic through its ends. A trial near an end that was near one before goes
    a tenth of the bracket away from it.

    Args:
        attempt: evaluates a trial.
        start: t = 0.
        t: the first trial.
        most: how many trials may follow it.
        reach: the greatest absolute element of the direction.

    Source: Nocedal and Wright, "Numerical Optimization" (2006), algorithms 3.5 and 3.6, with the
    bounds of PyTorch's search of this name.
    """
    before, trial = start, attempt(t)
    growths = 0
    while growths < most:
        # PyTorch compares with the trial before from the third on.
        if not _decreases(trial, start) or (growths > 1 and trial.f >= before.f):
            break
        if _is_flat(trial, start):
            return trial
        if trial.slope >= 0:
            break
        low = trial.t + _NEAREST * (trial.t - before.t)
        t = _least_of_cubic(before, trial, low, _FARTHEST * trial.t)
        before, trial = trial, attempt(t)
        growths += 1
    else:
        before = start
    return _zoom(attempt, start, [before, trial], most - growths, reach)


def _zoom(attempt: Try, start: Trial, ends: list[Trial], most: int, reach: float) -> Trial:
    """Narrow the bracket between two trials."""
    best = _better(ends)
    was_near = False
    for _ in range(most):
        low, high = sorted([ends[0].t, ends[1].t])
        if (high - low) * reach < _LEAST_STRETCH:
            break
        t = _least_of_cubic(ends[0], ends[1], low, high)
        edge = _EDGE * (high - low)
        if min(high - t, t - low) < edge:
            if was_near or t >= high or t <= low:
                t = high - edge if abs(t - high) < abs(t - low) else low + edge
                was_near = False
            else:
                was_near = True
        else:
            was_near = False
        trial = attempt(t)
        if not _decreases(trial, start) or trial.f >= ends[best].f:
            ends[1 - best] = trial
            best = _better(ends)
            continue
        if _is_flat(trial, start):
            return trial
        if trial.slope * (ends[1 - best].t - ends[best].t) >= 0:
            ends[1 - best] = ends[best]
        ends[best] = trial
    return ends[best]


def _better(ends: list[Trial]) -> int:
    """The number of the end with the lower loss, which is not NaN if the other is a number."""
    return int(ends[1].f < ends[0].f or math.isnan(ends[0].f))


def _decreases(trial: Trial, start: Trial) -> bool:
    """Armijo's condition; a NaN does not fulfil it."""
    return trial.f <= start.f + DECREASE * trial.t * start.slope


def _is_flat(trial: Trial, start: Trial) -> bool:
    return abs(trial.slope) <= -_CURVATURE * start.slope


def _least_of_cubic(a: Trial, b: Trial, low: float, high: float) -> float:
    """Where the cubic with the losses and slopes of two trials is least, from low to high; the
    middle, where it has no minimum.

    Source: Nocedal and Wright, "Numerical Optimization" (2006), equation 3.59.
    """
    if a.t > b.t:
        a, b = b, a
    width = b.t - a.t
    if width == 0:
        return (low + high) / 2
    d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not 0 <= square < math.inf:
        return (low + high) / 2
    d2 = math.sqrt(square)
    divisor = b.slope - a.slope + 2 * d2
    if divisor == 0:
        return (low + high) / 2
    return min(max(b.t - width * ((b.slope + d2 - d1) / divisor), low), high)
