"""FitRun: one call of `Trainer.fit`, epoch by epoch and batch by batch."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

from chainrule.data.batches import Window
from chainrule.errors import NonFiniteError
from chainrule.system.interrupts import Interrupts
from chainrule.train.backends import LearningRates, TrainRequest
from chainrule.train.callbacks import Callback
from chainrule.train.evaluator import evaluate_data
from chainrule.train.progress import ProgressReport
from chainrule.train.sources import Source
from chainrule.train.state import Totals

if TYPE_CHECKING:
    from chainrule.train.trainer import Trainer

_STEPS_AT_ONCE = 1024
"""The number of steps whose learning rates are worked out in advance."""


class FitRun:
    """Trains a Trainer on data, until an epoch or until the Trainer is stopped.

    Args:
        trainer: whose model, state and callbacks take part.
        source: the batches to train on.
        validation: the batches to evaluate after every epoch, or None.
        report: shows the progress.
        interrupts: hold Ctrl-C back while weights and counts change.
        checkpoint: a file to save to after every epoch, or None.
        checkpoint_steps: also save after every this many updates, or None.
    """

    def __init__(
        self,
        trainer: Trainer,
        source: Source,
        validation: Source | None,
        report: ProgressReport,
        interrupts: Interrupts,
        checkpoint: str | os.PathLike[str] | None,
        checkpoint_steps: int | None,
    ) -> None:
        self._trainer = trainer
        self._source = source
        self._validation = validation
        self._report = report
        self._interrupts = interrupts
        self._checkpoint = checkpoint
        self._checkpoint_steps = checkpoint_steps

    def train_until(self, last: int) -> None:
        """Train until `last` epochs are done, or the Trainer is stopped."""
        trainer, state = self._trainer, self._trainer.state
        for callback in trainer.callbacks:
            callback.on_train_begin(trainer)
        while state.epoch < last and state.stop_reason is None:
            self._train_epoch()
        for callback in trainer.callbacks:
            callback.on_train_end(trainer)
        state.history.stop_reason = state.stop_reason
        if state.stop_reason is not None:
            self._report.say(f"stopped after {state.epoch} epochs: {state.stop_reason}")

    def _train_epoch(self) -> None:
        """Train on the rest of the current epoch."""
        trainer, state = self._trainer, self._trainer.state
        begin = time.perf_counter()
        start = state.position
        if start == 0:
            state.totals = Totals()
            for callback in trainer.callbacks:
                callback.on_epoch_begin(trainer)
            if state.stop_reason is not None:
                return
        try:
            with closing(self._source.windows(state.epoch, start)) as windows:
                for window in windows:
                    self._report.steps = self._source.batches
                    if not self._train_window(window):
                        return
        finally:
            trainer.backend.release()
        self._end_epoch(time.perf_counter() - begin)
        if self._checkpoint is not None:
            trainer.save(self._checkpoint)

    def _train_window(self, window: Window) -> bool:
        """Train on the batches of a window; whether to go on with the epoch."""
        trainer, state, every = self._trainer, self._trainer.state, self._checkpoint_steps
        watched = any(type(c).on_step_end is not Callback.on_step_end for c in trainer.callbacks)
        most = 1 if watched else _STEPS_AT_ONCE
        while state.position < window.end:
            # Weights and counts change together, for Ctrl-C and for other threads.
            with self._interrupts.held(), trainer.backend.guard.alone:
                updated, loss = self._train_batches(window, most)
            ends = window.is_last and state.position == window.end
            mean_loss = trainer.graphs.mean_loss(state.totals, training=True)
            self._report.step(state.epoch + 1, state.position, mean_loss)
            for callback in trainer.callbacks:
                callback.on_step_end(trainer, loss)
            if state.stop_reason is not None and not ends:
                if self._checkpoint is not None:
                    trainer.save(self._checkpoint)
                return False
            if every and updated and state.step % every == 0 and not ends:
                trainer.save(self._checkpoint)  # type: ignore[arg-type]
        return True

    def _train_batches(self, window: Window, most: int) -> tuple[bool, float]:
        """Train on the next batch, or on several; whether they updated, and the last one's loss."""
        trainer, state, schedule = self._trainer, self._trainer.state, self._trainer.schedule
        batches = window.end if window.is_last else sys.maxsize  # how many more nobody knows
        steps, update = trainer.graphs.options.equal_steps(state.position, batches)
        steps = min(steps, most, window.end - state.position)
        if self._checkpoint_steps and update:
            steps = min(steps, self._checkpoint_steps - state.step % self._checkpoint_steps)
        lrs = None
        if update and schedule is not None and schedule.unit == "step":
            lrs = schedule.ahead(steps + 1)
        request = TrainRequest(window.batches, state.position - window.first, steps, update, lrs)
        try:
            done, loss = trainer.backend.train(request, state.totals)
        except NonFiniteError as error:
            self._count(error.steps_done, update, lrs)
            raise NonFiniteError(
                f"training became non-finite in epoch {state.epoch + 1}, step {state.step + 1}: "
                f"{error}. The model keeps the weights from before this step. Lower the learning "
                "rate, clip gradients (clip_norm=1.0), or scale the inputs."
            ) from None
        self._count(done, update, lrs)
        return update, loss

    def _count(self, batches: int, update: bool, lrs: LearningRates | None) -> None:
        """Count batches that were trained on, with these learning rates, one more than batches."""
        state, schedule = self._trainer.state, self._trainer.schedule
        state.position += batches
        if update:
            state.step += batches
            if schedule is not None and lrs is not None:
                schedule.advance(batches, lrs[batches])

    def _end_epoch(self, seconds: float) -> None:
        """Evaluate, and put the record of the epoch into the history."""
        trainer, state, schedule = self._trainer, self._trainer.state, self._trainer.schedule
        results = trainer.graphs.results(state.totals, training=True)
        record: dict[str, float] = {"epoch": state.epoch + 1, **results}
        if self._validation is not None:
            validated = evaluate_data(trainer.backend, trainer.ema, self._validation, state.epoch)
            record |= {f"validation_{name}": value for name, value in validated.items()}
        record["lr"] = trainer.optimizer.param_groups[0]["lr"]
        record["seconds"] = seconds
        with self._interrupts.held(), trainer.backend.guard.alone:
            if schedule is not None and schedule.unit == "epoch":
                schedule.step()
            state.end_epoch(record)
        self._report.epoch(record)
        for callback in trainer.callbacks:
            callback.on_epoch_end(trainer, record)
            state.history.update_last(record, type(callback).__name__)
