"""Trainer: fits a model to data by captured training steps."""

from __future__ import annotations

import operator
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule.data.arrays import as_arrays, check_finite, check_same_rows, take
from chainrule.data.batches import check_batch_size, permutation
from chainrule.data.splitting import split
from chainrule.graph.errors import NonFiniteError
from chainrule.graph.state import Parameter
from chainrule.graph.structure import leaves, map_leaves
from chainrule.graph.tensor import Array, Tensor
from chainrule.nn import Module
from chainrule.ops.random import Generator
from chainrule.optim import Optimizer
from chainrule.optim.schedules import Schedule
from chainrule.train import state
from chainrule.train.backends import Batches, NativeBackend, Totals, make_backend
from chainrule.train.callbacks import Callback
from chainrule.train.history import History
from chainrule.train.metrics import Metric, as_metrics
from chainrule.train.progress import ProgressReport
from chainrule.train.step import Loss, StepGraphs, label_fault

_EVALUATION_ROWS = 256
_STEPS_AT_ONCE = 1024  # of which the learning rates are worked out in advance


class Trainer:
    """Trains a model: minibatches, epochs, validation, early stopping, checkpoints.

    Every step runs as one captured graph of forward pass, back-propagation and update.

    Args:
        model: a `nn.Module`. Several inputs: x is a tuple (positional arguments) or a dict (named).
        loss: (outputs, targets) -> scalar Tensor; a loss of `nn` or any function of Tensors.
        optimizer: over the model's parameters.
        metrics: names ("accuracy", "mse", "mae", "r2"), `Metric` objects, or functions
            (outputs, targets) -> the mean over the batch.
        schedule: a schedule bound to `optimizer`; it advances after every epoch or step, by its
            `unit`.
        accumulate: batches whose gradients make one update: the mean over all their rows.
        clip_norm: scale all gradients together to at most this Euclidean norm.
        clip_value: cut each gradient's elements to [-clip_value, clip_value]; before clip_norm.
        callbacks: called between epochs; see `Callback`, `EarlyStopping`.
        about: what files that this Trainer saves shall say besides: a dict that JSON can hold, with
            the names of the classes, say. `read_model` gives it back.
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
        schedule: Schedule | None = None,
        accumulate: int = 1,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        callbacks: Sequence[Callback] = (),
        about: Mapping[str, Any] | None = None,
        seed: int = 0,
        backend: str = "native",
    ) -> None:
        accumulate = _whole("accumulate", accumulate, 1)
        for name, limit in (("clip_norm", clip_norm), ("clip_value", clip_value)):
            if limit is not None and not limit > 0:
                raise ValueError(f"{name} is positive, got {limit}")
        if schedule is not None and schedule.optimizer is not optimizer:
            raise ValueError("the schedule is bound to another optimizer than the Trainer's")
        if not set(optimizer.parameters) & {*model.parameters(), *_parameters(loss)}:
            raise ValueError(
                "the optimizer has none of the model's parameters: make it with "
                "model.parameters(), after the model"
            )
        self.model = model
        self.optimizer = optimizer
        self.metrics = as_metrics(metrics)
        self.schedule = schedule
        self.accumulate = accumulate
        self.callbacks = list(callbacks)
        self.about = dict(about or {})
        self.seed = _whole("seed", seed, 0)
        self.generator = Generator(self.seed)
        self.graphs = StepGraphs(
            model,
            loss,
            optimizer,
            metrics=self.metrics,
            accumulate=accumulate,
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
        epochs: int = 10,
        batch_size: int = 64,
        validation_data: tuple[Any, Any] | None = None,
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
        way; the model is whole and `history.stopped` says so.

        Args:
            x: inputs, rows first: an array (memory-mapped ones are read batch by batch), a tuple or
                a dict of arrays. Floats and uint8 are cast to the model's dtype.
            y: targets, likewise; whole numbers are labels (int64).
            epochs: how many times to go through the data.
            batch_size: rows in a batch; the last batch of an epoch may be smaller.
            validation_data: (x, y) to evaluate after every epoch.
            validation_fraction: the share of rows to hold out for that instead.
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
                together; for a batch larger than the data; for labels out of range.
            ShapeError, DTypeError: if they do not fit the model or the loss.
            NonFiniteError: if the loss or an update is not finite; the model keeps its last good
                weights.
        """
        epochs = _whole("epochs", epochs, 1)
        if checkpoint is None and (checkpoint_steps is not None or resume):
            raise ValueError("checkpoint_steps and resume need checkpoint, the file to save to")
        if checkpoint_steps is not None:
            checkpoint_steps = _whole("checkpoint_steps", checkpoint_steps, 1)
        x, y = self._checked("x", x), self._checked("y", y)
        rows = check_same_rows(x=x, y=y)
        if validation_data is not None and validation_fraction:
            raise ValueError("give validation_data or validation_fraction, not both")
        if validation_fraction:
            (x, y), validation_data = split(x, y, validation_fraction, seed=self.seed)
            rows = check_same_rows(x=x, y=y)
        elif validation_data is not None:
            if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
                raise ValueError("validation_data is a pair (x, y)")
            validation_data = (
                self._checked("validation x", validation_data[0]),
                self._checked("validation y", validation_data[1]),
            )
            check_same_rows(validation_x=validation_data[0], validation_y=validation_data[1])
        batch_size = check_batch_size(batch_size, rows)
        data_key = {"rows": rows, "batch_size": batch_size, "shuffle": bool(shuffle)}
        self._check_labels(x, y, batch_size)
        if validation_data is not None:
            x_held_out, y_held_out = validation_data
            self._check_labels(x_held_out, y_held_out, _EVALUATION_ROWS, kind="validation")
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
        self._stop_reason = self.history.stopped = None
        steps = -(-rows // batch_size)
        with (
            self._finishing_batch_on_interrupt(),
            ProgressReport(last, steps, progress) as report,
        ):
            for callback in self.callbacks:
                callback.on_train_begin(self)
            while self.epoch < last and self._stop_reason is None:
                self._fit_epoch(x, y, validation_data, report, checkpoint, checkpoint_steps)
            for callback in self.callbacks:
                callback.on_train_end(self)
            self.history.stopped = self._stop_reason
            if self._stop_reason is not None:
                report.say(f"stopped after {self.epoch} epochs: {self._stop_reason}")
        return self.history

    def stop(self, reason: str) -> None:
        """End the training after the batch or epoch under way; for callbacks."""
        self._stop_reason = reason

    def _abandon_epoch(self) -> None:
        """Begin the epoch under way again: the data are others than those it began with."""
        self.position = 0
        for buffer in (*self.graphs.accumulated, self.graphs.accumulated_rows):
            buffer.assign(np.zeros(buffer.shape, buffer.dtype))

    def _fit_epoch(
        self,
        x: Any,
        y: Any,
        validation_data: tuple[Any, Any] | None,
        report: ProgressReport,
        checkpoint: str | os.PathLike[str] | None,
        checkpoint_steps: int | None,
    ) -> None:
        """The rest of an epoch, from `position` on."""
        assert self.data_key is not None
        rows, batch_size = self.data_key["rows"], self.data_key["batch_size"]
        order = (
            permutation(rows, self.seed, self.epoch)
            if self.data_key["shuffle"]
            else np.arange(rows)
        )
        begin = time.perf_counter()
        if self.position == 0:
            self.totals = Totals()
            for callback in self.callbacks:
                callback.on_epoch_begin(self)
        batches = Batches(x, y, order, batch_size)
        steps_at_once = 1 if self._watches_steps() else _STEPS_AT_ONCE
        while self.position < len(batches):
            loss = self._train_batches(batches, steps_at_once, checkpoint_steps)
            ends = self.position == len(batches)
            report.step(self.epoch + 1, self.position, self._mean_loss(self.totals))
            for callback in self.callbacks:
                callback.on_step_end(self, loss)
            if self._stop_reason is not None and not ends:
                if checkpoint is not None:
                    self.save(checkpoint)
                return
            updated = self._updates_after(self.position - 1, len(batches))
            if checkpoint_steps and updated and self.step % checkpoint_steps == 0 and not ends:
                self.save(checkpoint)  # type: ignore[arg-type]
        self._end_epoch(validation_data, time.perf_counter() - begin, report)
        if checkpoint is not None:
            self.save(checkpoint)

    def _watches_steps(self) -> bool:
        """Whether a callback wants to know of every step."""
        return any(type(c).on_step_end is not Callback.on_step_end for c in self.callbacks)

    def _updates_after(self, batch: int, batches: int) -> bool:
        """Whether an update comes after batch number `batch` of an epoch."""
        return batch + 1 == batches or (batch + 1) % self.accumulate == 0

    def _train_batches(
        self, batches: Batches, steps_at_once: int, checkpoint_steps: int | None
    ) -> float:
        """Train on the next batch, or on several; the loss of the last."""
        update = self._updates_after(self.position, len(batches))
        steps = len(batches) - self.position if self.accumulate == 1 else 1
        steps = min(steps, steps_at_once)
        if checkpoint_steps:
            steps = min(steps, checkpoint_steps - self.step % checkpoint_steps)
        schedule, lrs = self.schedule, None
        if update and schedule is not None and schedule.unit == "step":
            lrs = [schedule.scalars(schedule.t + i) for i in range(steps)]
        try:
            done, loss = self.backend.train(
                batches, self.position, steps, update=update, totals=self.totals, lrs=lrs
            )
        except NonFiniteError as error:
            self._advance(error.steps_done, update)
            raise NonFiniteError(
                f"training became non-finite in epoch {self.epoch + 1}, step {self.step + 1}: "
                f"{error}. The model keeps the weights from before this step. Lower the learning "
                "rate, clip gradients (clip_norm=1.0), or scale the inputs."
            ) from None
        self._advance(done, update)
        return loss

    def _advance(self, done: int, update: bool) -> None:
        """Count batches that were trained on."""
        self.position += done
        if update:
            self.step += done
            if self.schedule is not None and self.schedule.unit == "step":
                for _ in range(done):
                    self.schedule.step()

    def _end_epoch(
        self, validation_data: tuple[Any, Any] | None, seconds: float, report: ProgressReport
    ) -> None:
        record: dict[str, float] = {"epoch": self.epoch + 1, **self._results(self.totals)}
        if validation_data is not None:
            for name, value in self._evaluate(*validation_data).items():
                record[f"validation_{name}"] = value
        record["lr"] = self.optimizer.param_groups[0]["lr"]
        record["seconds"] = seconds
        self.epoch += 1
        self.position = 0
        self.totals = Totals()
        if self.schedule is not None and self.schedule.unit == "epoch":
            self.schedule.step()
        self.history.append(record)
        report.epoch(record)
        for callback in self.callbacks:
            callback.on_epoch_end(self, record)

    def _mean_loss(self, totals: Totals) -> float:
        return totals.loss if self.graphs.sums_rows else totals.loss / totals.rows

    def _results(self, totals: Totals) -> dict[str, float]:
        results = {"loss": self._mean_loss(totals)}
        for metric, sums in zip(self.metrics, totals.metrics, strict=True):
            results[metric.name] = float(metric.result(sums, totals.rows))
        return results

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

    # Evaluation and prediction

    def evaluate(self, x: Any, y: Any, *, batch_size: int = _EVALUATION_ROWS) -> dict[str, float]:
        """The loss and the metrics on data, in evaluation mode.

        Raises:
            As `fit`.
        """
        x, y = self._checked("x", x), self._checked("y", y)
        check_same_rows(x=x, y=y)
        batch_size = _whole("batch_size", batch_size, 1)
        self._check_labels(x, y, batch_size, kind="validation")
        return self._evaluate(x, y, batch_size)

    def _evaluate(self, x: Any, y: Any, batch_size: int = _EVALUATION_ROWS) -> dict[str, float]:
        totals = Totals()
        self.backend.evaluate(Batches(x, y, _in_order(x), batch_size), totals)
        return self._results(totals)

    def predict(self, x: Any, *, batch_size: int = _EVALUATION_ROWS) -> Any:
        """The model's outputs for `x`, in evaluation mode, as NumPy arrays.

        Raises:
            As `fit`.
        """
        x = self._checked("x", x)
        batch_size = _whole("batch_size", batch_size, 1)
        parts = list(self.backend.predict(Batches(x, None, _in_order(x), batch_size)))
        joined = iter([np.concatenate(arrays) for arrays in zip(*map(leaves, parts), strict=True)])
        return map_leaves(lambda _: next(joined), parts[0])

    # Files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save all that training needs to go on: a safetensors file.

        Weights, buffers, the optimiser's state, the schedule, the random counter, the callbacks,
        the history, and the position in the epoch. The file is whole or not there: a file that
        stood there before stays intact if anything goes wrong.
        """
        state.save(self, path)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Take up what `save` wrote, into the same model, optimiser, schedule and callbacks.

        Raises:
            FileError: if the file is truncated, damaged or foreign.
            ValueError: if it does not fit; then nothing has changed.
        """
        state.load(self, path)

    # Checks

    def _checked(self, name: str, data: Any) -> Any:
        arrays = as_arrays(map_leaves(_without_tensor, data), name)
        check_finite(arrays, name)
        dtype = self.graphs.dtype
        largest = np.finfo(dtype).max
        for array in leaves(arrays):
            wider = array.dtype.kind == "f" and array.dtype.itemsize > dtype.itemsize
            if wider and max(array.max(initial=0), -array.min(initial=0)) > largest:
                raise ValueError(
                    f"{name} holds numbers beyond {largest:.2g}, the largest that the model's "
                    f"{dtype} can hold: scale them down, or make the model's layers float64"
                )
        return arrays

    def _check_labels(self, x: Any, y: Any, batch_size: int, kind: str = "training") -> None:
        """Check shapes and dtypes, by capturing the step for each size of batch, then labels."""
        rows = len(next(leaves(x)))
        for size in dict.fromkeys((min(batch_size, rows), rows % batch_size or batch_size)):
            first = np.arange(size)
            xb = self.graphs.prepare(take(x, first))
            yb = self.graphs.prepare_targets(take(y, first))
            if kind == "training":
                graph = self.graphs.training(xb, yb, update=self.accumulate == 1)
            else:
                graph = self.graphs.evaluation(xb, yb)
        fault = label_fault(graph, leaves((x, y)))
        if fault is None and hasattr(self.graphs.loss, "target_fault"):
            fault = self.graphs.loss.target_fault(y)
        if fault is not None:
            raise ValueError(f"{kind} {fault}")

    @contextmanager
    def _finishing_batch_on_interrupt(self) -> Iterator[None]:
        """Let Ctrl-C end the training after the batch under way; a second one acts at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def interrupt(number: int, frame: Any) -> None:
            signal.signal(signal.SIGINT, before)
            self.stop("interrupted")

        if before is not signal.default_int_handler:  # someone else's handler stays in charge
            yield
            return
        signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def _whole(name: str, value: Any, least: int) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        value = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is a whole number, at least {least}; got {value!r}") from None
    if value < least:
        raise ValueError(f"{name} is at least {least}, got {value}")
    return int(value)


def _parameters(loss: Loss) -> Iterator[Parameter]:
    """The parameters of a loss that has some."""
    return loss.parameters() if isinstance(loss, Module) else iter(())


def _in_order(x: Any) -> Array:
    return np.arange(len(next(leaves(x))))


def _without_tensor(leaf: Any) -> Any:
    return leaf.numpy() if isinstance(leaf, Tensor) else leaf
