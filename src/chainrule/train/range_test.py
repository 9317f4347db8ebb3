"""The learning-rate range test: the loss over growing learning rates."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.data.batches import Batches
from chainrule.errors import NonFiniteError, missing
from chainrule.optim import Optimizer
from chainrule.system.interrupts import interrupts_held
from chainrule.train.backends import Backend, TrainRequest
from chainrule.train.sources import Source
from chainrule.train.state import AccumulatedGradients, Totals

_SMOOTHING = 0.9
"""How much of the smoothed loss stays at each step."""

_DIVERGED = 4.0
"""The test ends where the smoothed loss is this multiple of its least value, if that is above 0."""


class RangeTest:
    """The result of `Trainer.find_lr`.

    Attributes:
        lrs: the learning rates that were tried, ascending.
        losses: the loss of the batch before the step with each.
        smoothed: the mean of the losses so far, the later ones weighted more: an exponential
            average that forgets a tenth at each step, without its bias towards 0.
        suggestion: the learning rate at which the losses fall most steeply over log(lr), before
            they are least: in the middle of that tenth of them through which the line falls most.
            None if they never fall.

    Example:
        >>> test = RangeTest([0.01, 0.1, 1.0, 10.0], [1.0, 1.0, 0.2, 0.2])
        >>> test.suggestion
        0.1
    """

    def __init__(self, lrs: Sequence[float], losses: Sequence[float]) -> None:
        self.lrs = list(lrs)
        self.losses = list(losses)
        self.smoothed = smoothed(losses)
        self.suggestion = self._steepest()

    def _steepest(self) -> float | None:
        """The learning rate in the middle of the part of the losses that falls most steeply."""
        losses = np.array(self.losses[: int(np.argmin(self.smoothed)) + 1])
        width = max(2, len(self.losses) // 10)
        if len(losses) < width:
            return None
        # The slope of a line through each `width` losses: single ones are too noisy.
        distances = np.arange(width) - (width - 1) / 2
        slopes = np.lib.stride_tricks.sliding_window_view(losses, width) @ distances
        steepest = int(np.argmin(slopes))
        return self.lrs[steepest + (width - 1) // 2] if slopes[steepest] < 0 else None

    def plot(self, ax: Any = None) -> Any:
        """Draw losses over learning rates with matplotlib.

        Args:
            ax: the Axes to draw into; by default those of a new figure.

        Returns:
            The Axes.

        Raises:
            ImportError: if matplotlib is missing.
        """
        if ax is None:
            try:
                import matplotlib.pyplot as plt
            except ImportError:
                otherwise = "draw lrs and losses by a library of your own"
                raise missing("plot", "matplotlib", "plot", otherwise) from None
            _, ax = plt.subplots()
        ax.plot(self.lrs, self.losses, alpha=0.3, label="loss of the batch")
        ax.plot(self.lrs, self.smoothed, label="smoothed")
        if self.suggestion is not None:
            label = f"suggestion: {self.suggestion:.2g}"
            ax.axvline(self.suggestion, linestyle="--", color="gray", label=label)
        ax.set_xscale("log")
        ax.set_xlabel("learning rate")
        ax.set_ylabel("loss")
        ax.legend()
        return ax

    def __repr__(self) -> str:
        return (
            f"<RangeTest of {len(self.lrs)} learning rates, {self.lrs[0]:.2g} to "
            f"{self.lrs[-1]:.2g}>"
        )


def check_rates(low: float, high: float) -> None:
    """Raise unless these are learning rates, the lower one first."""
    if not 0 < checks.any_number("low", low) < checks.any_number("high", high) < np.inf:
        raise ValueError(f"low and high are learning rates, 0 < low < high; got {low}, {high}")


def range_test(
    backend: Backend[Any],
    source: Source,
    optimizer: Optimizer,
    accumulated: AccumulatedGradients,
    *,
    low: float,
    high: float,
    steps: int,
) -> RangeTest:
    """Train with learning rates that grow from `low` to `high`, then put everything back."""
    groups = optimizer.param_groups
    largest = max(group["lr"] for group in groups)
    shares = [group["lr"] / largest if largest else 1.0 for group in groups]
    lrs: list[float] = []
    losses: list[float] = []
    with (
        interrupts_held() as interrupts,
        _restored(backend, source, optimizer, accumulated),
        interrupts.let_through(),
    ):
        accumulated.reset()
        lrs_to_try = np.geomspace(low, high, steps).tolist()
        full_batches = _full_batches(source, steps)
        for lr, (batches, number) in zip(lrs_to_try, full_batches, strict=False):
            for group, share in zip(groups, shares, strict=True):
                group["lr"] = lr * share
            try:
                totals = Totals()
                _, loss = backend.train(TrainRequest(batches, number, 1), totals)
            except NonFiniteError:
                break
            if not backend.graphs.counts(totals, training=True):
                continue  # a batch of which no row counts has no loss
            lrs.append(lr)
            losses.append(loss)
            means = smoothed(losses)
            if 0 < _DIVERGED * min(means) < means[-1]:
                break
    if not lrs:
        raise NonFiniteError(
            f"the loss or the first update, with the learning rate {low:g}, is not finite: there "
            "is no learning rate to find. Give a lower `low`, or scale the inputs."
        )
    return RangeTest(lrs, losses)


def smoothed(losses: Sequence[float]) -> list[float]:
    """The exponential average of the losses so far, at each: divided by the sum of its weights."""
    average, found = 0.0, []
    for count, loss in enumerate(losses, 1):
        average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
        found.append(average / (1 - _SMOOTHING**count))
    return found


def _full_batches(source: Source, steps: int) -> Iterator[tuple[Batches, int]]:
    """(batches, number of one of them): full batches, of as many epochs as it takes."""
    done = 0
    for epoch in itertools.count():
        for window in source.full_windows(epoch, steps - done):
            done += len(window.batches)
            yield from ((window.batches, number) for number in range(len(window.batches)))


@contextmanager
def _restored(
    backend: Backend[Any],
    source: Source,
    optimizer: Optimizer,
    accumulated: AccumulatedGradients,
) -> Iterator[None]:
    """Afterwards all that training steps change is as before, to the bit; the data are let go."""
    graph = backend.graph("training", source.form, source.size)
    states = dict.fromkeys([*backend.graphs.states(), accumulated.rows, *graph.updates])
    before = [(state, state.numpy().copy()) for state in states]
    lrs = [group["lr"] for group in optimizer.param_groups]
    try:
        yield
    finally:
        backend.release()
        for state, value in before:
            state.replace(value)
        for group, lr in zip(optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr
