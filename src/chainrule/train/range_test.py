"""The learning-rate range test: which learning rates a training bears."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule.data.arrays import take
from chainrule.data.batches import permutation
from chainrule.errors import NonFiniteError
from chainrule.system.interrupts import interrupts_held
from chainrule.train.backends import Backend, Batches, Steps, Totals
from chainrule.train.windows import windows
from chainrule.trees import leaves

_SMOOTHING = 0.9
"""How much of the smoothed loss stays at each step."""

_DIVERGED = 4.0
"""A smoothed loss so many times the least one ends the test; where that is above 0."""


class RangeTest:
    """What `Trainer.find_lr` found.

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
                raise ImportError(
                    "plot needs matplotlib: pip install chainrule[plot]; or draw lrs and losses "
                    "by a library of your own"
                ) from None
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


def range_test(
    backend: Backend,
    x: Any,
    y: Any,
    *,
    low: float,
    high: float,
    steps: int,
    batch_size: int,
    seed: int,
) -> RangeTest:
    """Train with learning rates that grow from `low` to `high`, then put everything back."""
    graphs = backend.graphs
    groups = graphs.optimizer.param_groups
    largest = max(group["lr"] for group in groups)
    shares = [group["lr"] / largest if largest else 1.0 for group in groups]
    lrs: list[float] = []
    losses: list[float] = []
    with (
        interrupts_held() as interrupts,
        _put_back(backend, x, y, batch_size),
        interrupts.let_through(),
    ):
        for buffer in (*graphs.accumulated, graphs.accumulated_rows):
            buffer.assign(np.zeros(buffer.shape, buffer.dtype))
        batches = _batches(x, y, batch_size, seed, steps)
        for lr, (part, number) in zip(
            np.geomspace(low, high, steps).tolist(), batches, strict=False
        ):
            for group, share in zip(groups, shares, strict=True):
                group["lr"] = lr * share
            try:
                _, loss = backend.train(Steps(part, number, 1), Totals())
            except NonFiniteError:
                break
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


def _batches(x: Any, y: Any, size: int, seed: int, steps: int) -> Iterator[tuple[Batches, int]]:
    """(batches, number of one of them): whole batches of as many epochs as it takes."""
    rows = len(next(leaves(x)))
    for epoch in itertools.count():
        count = min(rows // size, steps - epoch * (rows // size))
        order = permutation(rows, seed, epoch)[: count * size]
        for window in windows(x, y, size, order=order):
            yield from ((window.batches, number) for number in range(len(window.batches)))


@contextmanager
def _put_back(backend: Backend, x: Any, y: Any, batch_size: int) -> Iterator[None]:
    """Give all that training steps change its value of before, to the bit; let the data go."""
    graphs = backend.graphs
    first = np.arange(batch_size)
    graph = graphs.training(graphs.prepare(take(x, first)), graphs.prepare_targets(take(y, first)))
    states = {state: None for state in (*graphs.states(), graphs.accumulated_rows, *graph.updates)}
    before = [(state, state.numpy().copy()) for state in states]
    lrs = [group["lr"] for group in graphs.optimizer.param_groups]
    try:
        yield
    finally:
        backend.release()
        for state, value in before:
            state.replace(value)
        for group, lr in zip(graphs.optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr
