"""The native backend: many batches a call, by native plans over one block of state."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.compiler.capture import CapturedGraph
from chainrule.compiler.elementwise import UnsupportedError
from chainrule.data.batches import Batches
from chainrule.execute.native import NativeStep, Run
from chainrule.execute.reference import Interpreter
from chainrule.execute.state_block import StateBlock
from chainrule.graph.tensor import Array
from chainrule.optim import EMA
from chainrule.train.backends.base import Backend, CachedStep, LearningRates, TrainRequest
from chainrule.train.backends.last_good import LastGood, OneStep
from chainrule.train.non_finite import non_finite_error
from chainrule.train.state import Totals
from chainrule.train.training_step import Kind, StepGraphs
from chainrule.trees import leaves, with_leaves

MOST_SECONDS = 0.1
"""How long a native run stays away from Python: progress and Ctrl-C wait no longer."""


class NativeBackend(Backend[NativeStep]):
    """Many batches a call, by native plans over one block of state."""

    def __init__(self, graphs: StepGraphs) -> None:
        super().__init__(graphs)
        self.last_step: NativeStep | None = None
        """The training step that ran last, over full batches where there are any."""
        self.block: StateBlock | None = None
        """Where the states lie now."""
        self._profile = False
        self._bound: set[NativeStep] = set()  # training steps that hold data
        self._last_good = LastGood()

    def begin(self, *, profile: bool) -> None:
        self._profile, self.last_step = profile, None

    def describe(self) -> str:
        step = self.last_step  # which a fit in another thread may replace
        if step is None:
            raise RuntimeError("there is a plan after a fit with backend='native'")
        with self.guard.alone:
            return step.plan.describe(step.times() if self._profile else ())

    def _native(self, step: CachedStep[NativeStep], request: TrainRequest) -> NativeStep:
        """The plan of a training step, bound to the data."""
        batches = request.batches
        if step.idle and step.idle[0].block is not self.block:  # of a step no longer kept
            step.idle.clear()
        if not step.idle:
            step.idle.append(self._planned(step.graph, request.kind, batches.rows(request.first)))
        self._bound.add(step.idle[0])
        step.idle[0].bind(batches.data.arrays)
        return step.idle[0]

    def borrowed(
        self, kind: Kind, batches: Batches, number: int, ema: EMA | None
    ) -> tuple[CachedStep[NativeStep], NativeStep]:
        """A plan of a step on a batch, bound to the data, for one thread; `Loans` gives it back."""
        step = self._step(kind, batches.data.form, batches.rows(number), ema)
        try:
            runner = step.idle.pop()
        except IndexError:
            with self.guard.alone, self._lock:
                runner = self._planned(step.graph, kind, batches.rows(number))
        runner.bind(batches.data.arrays)
        return step, runner

    def _planned(self, graph: CapturedGraph, kind: Kind, rows: int) -> NativeStep:
        """The plan of a graph.

        Outputs of predictions are fetched, those of other steps are summed up, the loss by rows.
        """
        needed = [*graph.reads, *graph.updates]
        block = self.block
        if block is None or any(state not in block for state in needed):
            before = block.states if block is not None else []
            for state in before:  # out of the old block, into separate arrays
                state.replace(state.numpy().copy())
            block = self.block = StateBlock([*self.graphs.states(), *before, *needed])
            self._guard_also(block.states)
            for step in self._steps:
                step.idle.clear()
        weights = None
        if kind not in ("prediction", "sampling"):
            others = len(list(leaves(graph.outputs))) - 1
            weights = [self.graphs.loss_weight(rows), *[1.0] * others]
        try:
            return NativeStep(graph, block, weights)
        except UnsupportedError as error:
            remedy = (
                "or pass backend='reference', by chainrule.set_default_backend for an estimator, "
                "which runs it with NumPy"
            )
            raise UnsupportedError(f"{error}; {remedy}") from None

    def train(self, request: TrainRequest, totals: Totals) -> tuple[int, float]:
        batches = request.batches
        cached = self._step(request.kind, batches.data.form, batches.rows(request.first))
        with self.guard.alone:
            return self._train(self._native(cached, request), request, totals)

    def _train(self, step: NativeStep, request: TrainRequest, totals: Totals) -> tuple[int, float]:
        batches, first = request.batches, request.first
        order, start, count = batches.consecutive(first, request.most)
        if self.last_step is None or (self.last_step is not step and first < batches.full):
            self.last_step = step
            step.profile(self._profile)
        scalars = self._scalars(step, count, request.lrs)
        last_good = self._last_good
        last_good.save(step)
        run = step.run(order, start, count, scalars, MOST_SECONDS, totals.sums())
        if run.status == "index out of range":
            last_good.restore(batches.data.arrays)
            _check_indices(run, step.graph, batches, first + run.steps)
        # A batch that came alone: its step can be done again.
        alone = OneStep(batches.data.arrays, order, scalars) if batches.is_copied else None
        if run.status == "non-finite" or not last_good.save_if_finite(alone):
            last_good.restore(batches.data.arrays)
            return self._replay(step, request, run.steps, scalars, totals)
        totals.replace(batches.rows(first) * run.steps, run.totals)
        return run.steps, float(run.last[0])

    def _scalars(self, step: NativeStep, count: int, lrs: LearningRates | None) -> Array | None:
        """The scalars in each step: the learning rates may change, the others stay."""
        if lrs is None:
            return None
        scalars = np.tile(step.scalar_values(), (count, 1))
        for column, scalar in enumerate(step.scalars):
            if scalar in lrs[0]:
                scalars[:, column] = [lr[scalar] for lr in lrs[:count]]
        return scalars

    def _replay(
        self,
        step: NativeStep,
        request: TrainRequest,
        count: int,
        scalars: Array | None,
        totals: Totals,
    ) -> tuple[int, float]:
        """Do the first `count` steps again; where one goes wrong, go back before it and say so.

        Returns:
            As `train`, if none goes wrong now.
        """
        batches, first, loss = request.batches, request.first, math.nan
        order, start, _ = batches.consecutive(first, count)
        for i in range(count):
            step.save()
            now = scalars[i : i + 1] if scalars is not None else None
            run = step.run(order, start + i, 1, now, totals=totals.sums())
            if run.status == "ok" and step.save_if_finite():
                totals.replace(batches.rows(first + i), run.totals)
                loss = float(run.last[0])
                continue
            step.restore()
            _check_indices(run, step.graph, batches, first + i)
            interpreter, arguments = Interpreter(step.graph), batches.take(first + i)
            for scalar, value in zip(step.scalars, () if now is None else now[0], strict=False):
                scalar.replace(np.array(value))
            try:
                raise non_finite_error(interpreter, arguments, float(run.last[0]), i)
            finally:
                step.block.show_results()
        return count, loss

    def evaluate(self, batches: Batches, totals: Totals, ema: EMA | None = None) -> None:
        first = 0
        with Loans(self, "evaluation", batches, ema) as loans:
            while first < len(batches):
                order, start, count = batches.consecutive(first, len(batches))
                step = loans.step(first)
                run = step.run(order, start, count, seconds=MOST_SECONDS, totals=totals.sums())
                _check_indices(run, step.graph, batches, first + run.steps)
                totals.replace(batches.rows(first) * run.steps, run.totals)
                first += run.steps

    def predict(
        self, batches: Batches, ema: EMA | None = None, *, sampling: bool = False
    ) -> Iterator[Any]:
        with Loans(self, "sampling" if sampling else "prediction", batches, ema) as loans:
            for number in range(len(batches)):
                order, start, _ = batches.consecutive(number, 1)
                step = loans.step(number)
                run, outputs = step.fetch(order, start)
                _check_indices(run, step.graph, batches, number)
                yield with_leaves(step.graph.outputs, outputs)

    def release(self) -> None:
        with self.guard.alone:
            for step in self._bound:
                step.release()
            self._bound.clear()
            self._last_good = LastGood()


class Loans:
    """The plans that one thread has borrowed for a pass over batches: at most two."""

    def __init__(
        self, backend: NativeBackend, kind: Kind, batches: Batches, ema: EMA | None = None
    ) -> None:
        self._backend = backend
        self._kind = kind
        self._batches = batches
        self._ema = ema
        self._loans: dict[int, tuple[CachedStep[NativeStep], NativeStep]] = {}

    def step(self, number: int) -> NativeStep:
        """The plan for a batch."""
        rows = self._batches.rows(number)
        if rows not in self._loans:
            self._loans[rows] = self._backend.borrowed(self._kind, self._batches, number, self._ema)
        return self._loans[rows][1]

    def __enter__(self) -> Loans:
        return self

    def __exit__(self, *error: object) -> None:
        for cached, step in self._loans.values():
            step.release()
            if step.block is self._backend.block:
                cached.idle.append(step)


def _check_indices(run: Run, graph: CapturedGraph, batches: Batches, number: int) -> None:
    """Raise IndexError, with the index and the size, where batch `number` of a run had one wrong.

    The interpreter finds them: the core says only in which instruction it was.
    """
    if run.status != "index out of range":
        return
    reason = "a label or an index is out of range"
    try:
        Interpreter(graph).run(batches.take(number))
    except IndexError as error:
        reason = str(error)
    raise IndexError(f"{reason}, in {run.label}")
