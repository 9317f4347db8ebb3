"""Trainer: fits a model to data by captured training steps."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from chainrule import checks
from chainrule.data.batches import check_batch_size, permutation
from chainrule.errors import NonFiniteError
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor
from chainrule.nn import Module
from chainrule.ops.random import Generator
from chainrule.optim import Optimizer
from chainrule.optim.schedules import Schedule
from chainrule.system.interrupts import Interrupts, interrupts_held, interrupts_to
from chainrule.train import state
from chainrule.train.backends import NativeBackend, Steps, Totals, make_backend
from chainrule.train.callbacks import Callback
from chainrule.train.checks import (
    check_batches,
    checked_pair,
    checked_validation,
    held_out,
)
from chainrule.train.evaluation import ROWS, Evaluator
from chainrule.train.history import History
from chainrule.train.metrics import Metric, as_metrics
from chainrule.train.parts import Average, Constraint, Penalty
from chainrule.train.progress import ProgressReport
from chainrule.train.step import Loss, StepGraphs
from chainrule.train.windows import Window, windows
from chainrule.trees import leaves

_STEPS_AT_ONCE = 1024  # of which the learning rates are worked out in advance


class _Course(NamedTuple):
    """What a fit goes through and what it does on the way."""

    x: Any
    y: Any
    validation: tuple[Any, Any] | None
    report: ProgressReport
    interrupts: Interrupts
    checkpoint: str | os.PathLike[str] | None
    checkpoint_steps: int | None


class Trainer(Evaluator):
    """Trains a model: minibatches, epochs, validation, early stopping, checkpoints.

    Every step runs as one captured graph of forward pass, back-propagation and update.

    Args:
        model: a `nn.Module`. Several inputs: x is a tuple (positional arguments) or a dict (named).
        loss: (outputs, targets) -> scalar Tensor; a loss of `nn` or any function of Tensors. To
            train with weighted rows it needs the keyword `sample_weight`; see `fit`.
        optimizer: over the model's parameters.
        metrics: names ("accuracy", "mse", "mae", "r2"), `Metric` objects, or functions
            (outputs, targets) -> the mean over the batch. They count all rows the same.
        penalties: functions () -> scalar Tensor, of the parameters. Training minimises the loss L
            plus their sum, the objective J = L + penalties; the history has L as "loss" and their
            sum as "penalty", each as the mean over the epoch.
        constraints: objects whose `apply()` is called after every update, to bring parameters back
            to where they may be.
        ema: an average of the parameters over the updates. `evaluate`, `predict` and the validation
            within `fit` (so early stopping, too) use the averaged parameters; the model itself
            holds those that are trained on. A file holds both; `read_model` gives the average.
        schedule: a schedule bound to `optimizer`; it advances after every epoch or step, by its
            `unit`.
        accumulate: batches whose gradients make one update: the mean over all their rows. With
            "epoch" one update ends each epoch: the gradient over all the data, exactly, in
            memory for one batch. An update after each row is `batch_size=1` in `fit`.
        clip_norm: scale all gradients together to at most this Euclidean norm.
        clip_value: cut each gradient's elements to [-clip_value, clip_value]; before clip_norm.
        callbacks: called between epochs; see `Callback`, `EarlyStopping`.
        metadata: what files that this Trainer saves shall say besides: a dict that JSON can hold,
            with the names of the classes, say. `read_model` gives it back.
        seed: of the order of the rows and of the model's random operations. The same seed gives the
            same bits.
        backend: "native" runs whole epochs in the native core; "reference" runs each operation by
            NumPy, which is slower, and the measure of what is right.

    Attributes:
        history: a `History` of all epochs.
        epoch: epochs done.
        step: updates done.

    Raises:
        ValueError: for an argument that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn, optim
        >>> x = np.linspace(-1, 1, 64, dtype="float32").reshape(-1, 1)
        >>> model = nn.Linear(1, 1)
        >>> trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.5))
        >>> history = trainer.fit(x, 2 * x + 1, epochs=20, batch_size=16, progress=False)
        >>> [round(p.item(), 3) for p in model.parameters()]
        [2.0, 1.0]
    """

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer,
        *,
        metrics: Sequence[str | Metric | Callable[..., Tensor]] = (),
        penalties: Sequence[Penalty] = (),
        constraints: Sequence[Constraint] = (),
        ema: Average | None = None,
        schedule: Schedule | None = None,
        accumulate: int | Literal["epoch"] = 1,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        callbacks: Sequence[Callback] = (),
        metadata: Mapping[str, Any] | None = None,
        seed: int = 0,
        backend: str = "native",
    ) -> None:
        if isinstance(accumulate, str):
            if accumulate != "epoch":
                raise ValueError(
                    f"accumulate is a number of batches or 'epoch', got {accumulate!r}"
                )
        else:
            accumulate = checks.integer("accumulate", accumulate, 1)
        for name, limit in (("clip_norm", clip_norm), ("clip_value", clip_value)):
            if limit is not None and not limit > 0:
                raise ValueError(f"{name} is positive, got {limit}")
        if schedule is not None and schedule.optimizer is not optimizer:
            raise ValueError("the schedule is bound to another optimizer than the Trainer's")
        if not set(optimizer.params) & {*model.parameters(), *_parameters(loss)}:
            raise ValueError(
                "the optimizer has none of the model's parameters: make it with "
                "model.parameters(), after the model"
            )
        self.model = model
        self.optimizer = optimizer
        self.metrics = as_metrics(metrics)
        self.schedule = schedule
        self.ema = ema
        self.accumulate: int | Literal["epoch"] = accumulate
        self.callbacks = list(callbacks)
        self.metadata = dict(metadata or {})
        self.seed = checks.integer("seed", seed, 0)
        self.generator = Generator(self.seed)
        self.graphs = StepGraphs(
            model,
            loss,
            optimizer,
            metrics=self.metrics,
            penalties=penalties,
            constraints=constraints,
            ema=ema,
            accumulates=accumulate != 1,
            clip_norm=clip_norm,
            clip_value=clip_value,
            generator=self.generator,
        )
        self.backend = make_backend(backend, self.graphs)
        self.history = History()
        self.epoch = 0
        self.step = 0
        self.position = 0
        """Batches done in the current epoch."""
        self.totals = Totals()
        self.data_key: dict[str, Any] | None = None
        """What fixes the order of the rows; a run can resume only with the same."""
        self._stop_reason: str | None = None

    # Training

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        epochs: int = 10,
        batch_size: int = 64,
        validation_data: tuple[Any, ...] | None = None,
        validation_fraction: float = 0.0,
        shuffle: bool = True,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_steps: int | None = None,
        resume: bool = False,
        profile: bool = False,
        progress: bool = True,
    ) -> History:
        """Train for `epochs` more epochs.

        All data are checked before anything changes. Ctrl-C ends the training after the batch under
        way; the model is whole and `history.stop_reason` says so.

        Args:
            x: inputs, rows first: an array (memory-mapped ones are read batch by batch, and little
                of them stays in memory), a tuple or a dict of arrays. Floats and uint8 are cast to
                the model's dtype.
            y: targets, likewise; whole numbers are labels (int64).
            sample_weight: a weight for each row, shape (rows,), not negative. The loss of N rows is
                sum_i w_i l_i / N: not divided by the sum of the weights, so a row of weight 2
                counts as two. Metrics count all rows the same.
            epochs: how many times to go through the data.
            batch_size: rows in a batch; the last batch of an epoch may be smaller.
            validation_data: (x, y) or (x, y, sample_weight) to evaluate after every epoch.
            validation_fraction: the share of rows to hold out for that instead. Both parts are
                copied, into memory.
            shuffle: draw the rows in a new order every epoch.
            checkpoint: a file to save to after every epoch, from which training can resume to the
                same bits.
            checkpoint_steps: save after every so many updates, too.
            resume: go on from `checkpoint`, if that file exists; then `epochs` counts from the
                first epoch of the run.
            profile: measure the time of every instruction of the plan, for `describe_plan`; it
                costs a little.
            progress: show a bar on a terminal, or a line per epoch elsewhere.

        Returns:
            The history of all epochs so far.

        Raises:
            ValueError, TypeError: for data that are empty, not numbers, not finite, or do not fit
                together; for a batch larger than the data; for labels out of range; for weights and
                a loss that takes none.
            ShapeError, DTypeError: if they do not fit the model or the loss.
            NonFiniteError: if the loss or an update is not finite; the model keeps its last good
                weights.
        """
        epochs = checks.integer("epochs", epochs, 1)
        if checkpoint is None and (checkpoint_steps is not None or resume):
            raise ValueError("checkpoint_steps and resume need checkpoint, the file to save to")
        if checkpoint_steps is not None:
            checkpoint_steps = checks.integer("checkpoint_steps", checkpoint_steps, 1)
        x, y = checked_pair(self.graphs, x, y, sample_weight)
        if validation_data is not None and validation_fraction:
            raise ValueError("give validation_data or validation_fraction, not both")
        validation: tuple[Any, Any] | None = None
        if validation_fraction:
            (x, y), validation = held_out(self.graphs, x, y, validation_fraction, self.seed)
        elif validation_data is not None:
            validation = checked_validation(self.graphs, validation_data)
        rows = len(next(leaves(x)))
        batch_size = check_batch_size(batch_size, rows)
        data_key = {"rows": rows, "batch_size": batch_size, "shuffle": bool(shuffle)}
        check_batches(self.graphs, x, y, batch_size, training=True)
        if validation is not None:
            check_batches(self.graphs, *validation, ROWS)
        if resume and checkpoint is not None and os.path.exists(checkpoint):
            state.load(self, checkpoint, data_key)
        elif self.position and self.data_key != data_key:
            self._abandon_epoch()
        self.data_key = data_key
        if isinstance(self.backend, NativeBackend):
            self.backend.profile, self.backend.last = profile, None
        elif profile:
            raise ValueError("profile measures the native plan; this Trainer's backend has none")
        last = epochs if resume else self.epoch + epochs
        self._stop_reason = self.history.stop_reason = None
        with (
            interrupts_to(self.stop) as interrupts,
            ProgressReport(last, -(-rows // batch_size), progress) as report,
            interrupts.let_through(),
        ):
            course = _Course(x, y, validation, report, interrupts, checkpoint, checkpoint_steps)
            for callback in self.callbacks:
                callback.on_train_begin(self)
            while self.epoch < last and self._stop_reason is None:
                self._fit_epoch(course)
            for callback in self.callbacks:
                callback.on_train_end(self)
            self.history.stop_reason = self._stop_reason
            if self._stop_reason is not None:
                report.say(f"stopped after {self.epoch} epochs: {self._stop_reason}")
        return self.history

    def stop(self, reason: str) -> None:
        """End the training after the batch or epoch under way; for callbacks."""
        self._stop_reason = reason

    def _abandon_epoch(self) -> None:
        """Begin the epoch under way again: the data are others than those it began with."""
        with interrupts_held():
            self.position = 0
            for buffer in (*self.graphs.accumulated, self.graphs.accumulated_rows):
                buffer.assign(np.zeros(buffer.shape, buffer.dtype))

    def _fit_epoch(self, course: _Course) -> None:
        """The rest of an epoch, from `position` on."""
        assert self.data_key is not None
        rows, batch_size = self.data_key["rows"], self.data_key["batch_size"]
        shuffled = self.data_key["shuffle"]
        order = permutation(rows, self.seed, self.epoch) if shuffled else None
        begin = time.perf_counter()
        if self.position == 0:
            self.totals = Totals()
            for callback in self.callbacks:
                callback.on_epoch_begin(self)
        start = self.position
        try:
            for window in windows(course.x, course.y, batch_size, order=order, start=start):
                if not self._fit_window(window, -(-rows // batch_size), course):
                    return
        finally:
            self.backend.release()
        self._end_epoch(course, time.perf_counter() - begin)
        if course.checkpoint is not None:
            self.save(course.checkpoint)

    def _fit_window(self, window: Window, batches: int, course: _Course) -> bool:
        """Train on the batches of a window; whether to go on with the epoch, of so many batches."""
        most = 1 if self._watches_steps() else _STEPS_AT_ONCE
        while self.position < window.end:
            with course.interrupts.held():  # weights and counts change together
                updated, loss = self._train_batches(window, batches, most, course.checkpoint_steps)
            ends = self.position == batches
            course.report.step(self.epoch + 1, self.position, self._mean_loss(self.totals))
            for callback in self.callbacks:
                callback.on_step_end(self, loss)
            if self._stop_reason is not None and not ends:
                if course.checkpoint is not None:
                    self.save(course.checkpoint)
                return False
            every = course.checkpoint_steps
            if every and updated and self.step % every == 0 and not ends:
                self.save(course.checkpoint)  # type: ignore[arg-type]
        return True

    def _watches_steps(self) -> bool:
        """Whether a callback wants to know of every step."""
        return any(type(c).on_step_end is not Callback.on_step_end for c in self.callbacks)

    def _alike(self, batches: int) -> tuple[int, bool]:
        """How many of an epoch's next batches are alike, and whether each ends in an update."""
        if self.accumulate == 1:
            return batches - self.position, True
        group = batches if self.accumulate == "epoch" else self.accumulate
        last = min(self.position - self.position % group + group, batches) - 1
        return (1, True) if self.position == last else (last - self.position, False)

    def _train_batches(
        self, window: Window, batches: int, most: int, checkpoint_steps: int | None
    ) -> tuple[bool, float]:
        """Train on the next batch, or on several; whether they updated, and the last one's loss."""
        steps, update = self._alike(batches)
        steps = min(steps, most)
        if checkpoint_steps and update:
            steps = min(steps, checkpoint_steps - self.step % checkpoint_steps)
        schedule, lrs = self.schedule, None
        if update and schedule is not None and schedule.unit == "step":
            # In the first step they are what they are now: a callback may have set others.
            lrs = [{scalar: scalar.item() for scalar in schedule.scalars(schedule.t)}]
            lrs += [schedule.scalars(schedule.t + i) for i in range(1, steps)]
        try:
            first = self.position - window.first
            done, loss = self.backend.train(
                Steps(window.batches, first, steps, update, lrs), self.totals
            )
        except NonFiniteError as error:
            self._advance(error.steps_done, update)
            raise NonFiniteError(
                f"training became non-finite in epoch {self.epoch + 1}, step {self.step + 1}: "
                f"{error}. The model keeps the weights from before this step. Lower the learning "
                "rate, clip gradients (clip_norm=1.0), or scale the inputs."
            ) from None
        self._advance(done, update)
        return update, loss

    def _advance(self, done: int, update: bool) -> None:
        """Count batches that were trained on."""
        self.position += done
        if update:
            self.step += done
            if self.schedule is not None and self.schedule.unit == "step":
                for _ in range(done):
                    self.schedule.step()

    def _end_epoch(self, course: _Course, seconds: float) -> None:
        results = self._results(self.totals, training=True)
        record: dict[str, float] = {"epoch": self.epoch + 1, **results}
        if course.validation is not None:
            for name, value in self._evaluate(*course.validation, ROWS).items():
                record[f"validation_{name}"] = value
        record["lr"] = self.optimizer.param_groups[0]["lr"]
        record["seconds"] = seconds
        with course.interrupts.held():
            self.epoch += 1
            self.position = 0
            self.totals = Totals()
            if self.schedule is not None and self.schedule.unit == "epoch":
                self.schedule.step()
            self.history.append(record)
        course.report.epoch(record)
        for callback in self.callbacks:
            callback.on_epoch_end(self, record)

    def describe_plan(self) -> str:
        """The plan of the last training step: instructions, FLOPs, bytes; times where profiled.

        Raises:
            RuntimeError: before the first training, or with another backend than "native".
        """
        backend = self.backend
        if not isinstance(backend, NativeBackend) or backend.last is None:
            raise RuntimeError("there is a plan after a fit with backend='native'")
        step = backend.last
        return step.plan.describe(step.times() if backend.profile else ())

    # Files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save all that training needs to go on: a safetensors file.

        Weights, buffers, averages, the optimiser's state, the schedule, the random counter, the
        callbacks, the history, and the position in the epoch. The file is whole or not there: a
        file that stood there before stays intact if anything goes wrong.
        """
        state.save(self, path)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Take up what `save` wrote, into the same model, optimiser, schedule and callbacks.

        Raises:
            FileError: if the file is truncated, damaged or foreign.
            ValueError: if it does not fit; then nothing has changed.
        """
        state.load(self, path)


def _parameters(loss: Loss) -> Iterator[Parameter]:
    """The parameters of a loss that has some."""
    return loss.parameters() if isinstance(loss, Module) else iter(())
