"""The last good states of a training: a copy, and the steps since, which can be done again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from chainrule.execute.native import NativeStep
from chainrule.graph.tensor import Array

_MOST_SECONDS = 0.1
_MOST_BYTES = 1 << 26
"""How old a copy may be, and how much data is kept for the steps since."""


class OneStep(NamedTuple):
    """A step on a batch of its own: copies of its arrays, and what `run` was given."""

    arrays: Sequence[Array]
    order: Array
    scalars: Array | None


class LastGood:
    """The states after the last good step of a plan.

    A copy of all states takes longer than a short step does. So where batches come one by one, the
    states are copied now and then; between two copies the steps are kept, which lead from the copy
    to the states: with the same bits, for a step is a function.
    """

    def __init__(self) -> None:
        self._step: NativeStep | None = None
        self._scalars: list[float] = []  # of the step, as they are before a run
        self._done: list[OneStep] = []  # since the copy
        self._bytes = 0  # of their arrays
        self._version = -1  # of the states after them
        self._time = 0.0  # of the copy

    def save(self, step: NativeStep) -> None:
        """Let the states as they are before a run of this plan be the last good ones."""
        block = step.block
        self._scalars = step.scalar_values()
        assigned = {state for state, view in block.places if state.value is not view}
        if (
            step is not self._step
            or block.version != self._version
            or not assigned <= {*step.scalars}
        ):
            step.save()
            self._begin(step)

    def save_if_finite(self, alone: OneStep | None) -> bool:
        """The same after the run, if all numbers that it wrote are finite; whether they are.

        Args:
            alone: the step that was run, if it can be done again.
        """
        step = self._step
        assert step is not None, "save comes first"
        if alone is not None:
            self._bytes += sum([array.nbytes for array in alone.arrays])
        is_old = time.monotonic() - self._time > _MOST_SECONDS or self._bytes > _MOST_BYTES
        if alone is None or is_old or step.changes_rows:
            is_finite = step.save_if_finite()
            if is_finite:
                self._begin(step)
            return is_finite
        if not step.is_finite():
            return False
        if alone.scalars is None:
            alone = alone._replace(scalars=np.array([self._scalars]))
        self._done.append(alone)
        self._version = step.block.version
        return True

    def restore(self, arrays: Sequence[Array]) -> None:
        """Go back to the last good states.

        Args:
            arrays: what the plan is bound to, and shall be again.
        """
        step = self._step
        assert step is not None, "save comes first"
        step.restore()
        for done in self._done:
            step.bind(done.arrays)
            step.run(done.order, 0, 1, done.scalars)
        step.bind(arrays)
        for scalar, value in zip(step.scalars, self._scalars, strict=True):
            scalar.replace(np.array(value))
        self._step = None  # the copy is older than the states

    def _begin(self, step: NativeStep) -> None:
        """The states have been copied."""
        self._step, self._done, self._bytes = step, [], 0
        self._version, self._time = step.block.version, time.monotonic()
