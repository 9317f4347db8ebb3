"""The reference backend: one batch a call, node by node in NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.data.batches import Batches
from chainrule.execute.reference import Interpreter
from chainrule.optim import EMA
from chainrule.train.backends.base import Backend, TrainRequest
from chainrule.train.non_finite import is_finite, non_finite_error
from chainrule.train.state import Totals
from chainrule.train.training_step import Kind
from chainrule.trees import with_leaves


class ReferenceBackend(Backend[Interpreter]):
    """One batch a call, by NumPy."""

    def _interpreter(
        self, kind: Kind, batches: Batches, number: int, ema: EMA | None = None
    ) -> Interpreter:
        step = self._step(kind, batches.data.form, batches.rows(number), ema)
        if not step.idle:
            step.idle.append(Interpreter(step.graph))
        return step.idle[0]  # for all threads: it keeps nothing from run to run

    def begin(self, *, profile: bool) -> None:
        if profile:
            raise ValueError("profile measures the native plan; this Trainer's backend has none")

    def describe(self) -> str:
        raise RuntimeError("there is a plan after a fit with backend='native'")

    def train(self, request: TrainRequest, totals: Totals) -> tuple[int, float]:
        batches, number = request.batches, request.first
        run = self._interpreter(request.kind, batches, number)
        arguments, rows = batches.take(number), batches.rows(number)
        with run.hold:
            (loss, *sums), updates = run.run(arguments)
            with np.errstate(all="ignore"):
                is_good = math.isfinite(loss) and all(map(is_finite, updates))
            if not is_good:
                raise non_finite_error(run, arguments, float(loss), 0)
            run.commit(updates)
        totals.add(rows, [float(loss) * self.graphs.loss_weight(rows), *sums])
        return 1, float(loss)

    def evaluate(self, batches: Batches, totals: Totals, ema: EMA | None = None) -> None:
        for number in range(len(batches)):
            run, rows = self._interpreter("evaluation", batches, number, ema), batches.rows(number)
            with run.hold:
                (loss, *sums), updates = run.run(batches.take(number))
                run.commit(updates)
            totals.add(rows, [float(loss) * self.graphs.loss_weight(rows), *sums])

    def predict(
        self, batches: Batches, ema: EMA | None = None, *, sampling: bool = False
    ) -> Iterator[Any]:
        kind: Kind = "sampling" if sampling else "prediction"
        for number in range(len(batches)):
            run = self._interpreter(kind, batches, number, ema)
            with run.hold:
                outputs, updates = run.run(batches.take(number))
                run.commit(updates)
            # An output may be the array of a State.
            yield with_leaves(run.graph.outputs, [np.array(output) for output in outputs])

    def release(self) -> None:
        pass
