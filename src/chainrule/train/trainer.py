"""Trainer: fits a model to data by captured training steps."""

from __future__ import annotations

import math
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
from chainrule.execute.reference import Interpreter
from chainrule.graph.errors import NonFiniteError
from chainrule.graph.structure import leaves, map_leaves
from chainrule.graph.tensor import Array, Tensor
from chainrule.nn import Module
from chainrule.ops.random import Generator
from chainrule.optim import Optimizer
from chainrule.optim.schedules import Schedule
from chainrule.train import state
from chainrule.train.callbacks import Callback
from chainrule.train.history import History
from chainrule.train.metrics import Metric, as_metrics
from chainrule.train.progress import ProgressReport
from chainrule.train.step import Loss, StepGraphs


class Totals:
    """Sums over the batches of an epoch so far."""

    def __init__(self) -> None:
        self.loss = 0.0
        self.rows = 0
        self.metrics: list[Array] = []

    def add(self, loss: float, rows: int, metrics: Sequence[Array], *, summed: bool) -> None:
        self.loss += loss if summed else loss * rows
        self.rows += rows
        if not self.metrics:
            self.metrics = [np.array(m) for m in metrics]
        else:
            self.metrics = [a + b for a, b in zip(self.metrics, metrics, strict=True)]

    def mean_loss(self, *, summed: bool) -> float:
        return self.loss if summed else self.loss / self.rows


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
    ) -> None:
        if accumulate < 1:
            raise ValueError(f"accumulate is the number of batches in an update, got {accumulate}")
        for name, limit in (("clip_norm", clip_norm), ("clip_value", clip_value)):
            if limit is not None and not limit > 0:
                raise ValueError(f"{name} is positive, got {limit}")
        if schedule is not None and schedule.optimizer is not optimizer:
            raise ValueError("the schedule is bound to another optimizer than the Trainer's")
        self.model = model
        self.optimizer = optimizer
        self.metrics = as_metrics(metrics)
        self.schedule = schedule
        self.accumulate = accumulate
        self.callbacks = list(callbacks)
        self.about = dict(about or {})
        self.seed = seed
        self.generator = Generator(seed)
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
        if epochs < 1:
            raise ValueError(f"epochs is at least 1, got {epochs}")
        if checkpoint is None and checkpoint_steps is not None:
            raise ValueError("checkpoint_steps needs checkpoint, the file to save to")
        if checkpoint_steps is not None and checkpoint_steps < 1:
            raise ValueError(f"checkpoint_steps is at least 1, got {checkpoint_steps}")
        x, y = self._checked("x", x), self._checked("y", y)
        rows = check_same_rows(x=x, y=y)
        if validation_data is not None and validation_fraction:
            raise ValueError("give validation_data or validation_fraction, not both")
        if validation_fraction:
            (x, y), validation_data = split(x, y, validation_fraction, seed=self.seed)
            rows = check_same_rows(x=x, y=y)
        elif validation_data is not None:
            if len(validation_data) != 2:
                raise ValueError("validation_data is a pair (x, y)")
            validation_data = (
                self._checked("validation x", validation_data[0]),
                self._checked("validation y", validation_data[1]),
            )
            check_same_rows(validation_x=validation_data[0], validation_y=validation_data[1])
        check_batch_size(batch_size, rows)
        data_key = {"rows": rows, "batch_size": batch_size, "shuffle": shuffle}
        if resume and checkpoint is not None and os.path.exists(checkpoint):
            self.load(checkpoint)
        if self.position and self.data_key != data_key:
            raise ValueError(
                f"training stands in the middle of an epoch over {self.data_key}; it can't go on "
                f"over {data_key}"
            )
        self._check_labels(x, y, min(batch_size, rows))
        if validation_data is not None:
            self._check_labels(*validation_data, 1, kind="validation")
        self.data_key = data_key
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
        summed = self.graphs.sums_rows
        begin = time.perf_counter()
        if self.position == 0:
            self.totals = Totals()
            for callback in self.callbacks:
                callback.on_epoch_begin(self)
        batches = -(-rows // batch_size)
        while self.position < batches:
            start = self.position * batch_size
            chosen = order[start : start + batch_size]
            ends = self.position + 1 == batches
            update = ends or (self.position + 1) % self.accumulate == 0
            loss = self._train_batch(take(x, chosen), take(y, chosen), update)
            self.position += 1
            report.step(self.epoch + 1, self.position, self.totals.mean_loss(summed=summed))
            for callback in self.callbacks:
                callback.on_step_end(self, loss)
            if self._stop_reason is not None and not ends:
                if checkpoint is not None:
                    self.save(checkpoint)
                return
            if checkpoint_steps and update and self.step % checkpoint_steps == 0 and not ends:
                self.save(checkpoint)  # type: ignore[arg-type]
        self._end_epoch(validation_data, time.perf_counter() - begin, report)
        if checkpoint is not None:
            self.save(checkpoint)

    def _train_batch(self, x: Any, y: Any, update: bool) -> float:
        x, y = self.graphs.prepare(x), self.graphs.prepare_targets(y)
        run = self.graphs.training(x, y, update=update)
        arguments = list(leaves((x, y)))
        (loss, *sums), updates = run.run(arguments)
        if not (math.isfinite(loss) and all(_is_finite(array) for array in updates)):
            self._raise_non_finite(run, arguments, float(loss))
        run.commit(updates)
        rows = len(arguments[0])
        self.totals.add(float(loss), rows, sums, summed=self.graphs.sums_rows)
        if update:
            self.step += 1
            if self.schedule is not None and self.schedule.unit == "step":
                self.schedule.step()
        return float(loss)

    def _raise_non_finite(self, run: Interpreter, arguments: list[Array], loss: float) -> None:
        node = run.first_non_finite(arguments)
        where = "an update"
        if node is not None and node.operation is not None:
            where = node.operation.name
            if node.path:
                where += f" in {node.path}"
            if node.origin is not None:
                where += " (backward pass)"
        raise NonFiniteError(
            f"training became non-finite in epoch {self.epoch + 1}, step {self.step + 1}: loss "
            f"{loss}, first in {where}. The model keeps the weights from before this step. Lower "
            "the learning rate, clip gradients (clip_norm=1.0), or scale the inputs."
        )

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

    def _results(self, totals: Totals) -> dict[str, float]:
        results = {"loss": totals.mean_loss(summed=self.graphs.sums_rows)}
        for metric, sums in zip(self.metrics, totals.metrics, strict=True):
            results[metric.name] = metric.result(sums, totals.rows)
        return results

    # Evaluation and prediction

    def evaluate(self, x: Any, y: Any, *, batch_size: int = 256) -> dict[str, float]:
        """The loss and the metrics on data, in evaluation mode.

        Raises:
            As `fit`.
        """
        x, y = self._checked("x", x), self._checked("y", y)
        check_same_rows(x=x, y=y)
        self._check_labels(x, y, 1, kind="validation")
        return self._evaluate(x, y, batch_size)

    def _evaluate(self, x: Any, y: Any, batch_size: int = 256) -> dict[str, float]:
        totals = Totals()
        for chosen in _slices(x, batch_size):
            xb = self.graphs.prepare(take(x, chosen))
            yb = self.graphs.prepare_targets(take(y, chosen))
            (loss, *sums), _ = self.graphs.evaluation(xb, yb).run(list(leaves((xb, yb))))
            totals.add(float(loss), len(chosen), sums, summed=self.graphs.sums_rows)
        return self._results(totals)

    def predict(self, x: Any, *, batch_size: int = 256) -> Any:
        """The model's outputs for `x`, in evaluation mode, as NumPy arrays.

        Raises:
            As `fit`.
        """
        x = self._checked("x", x)
        parts = []
        for chosen in _slices(x, batch_size):
            xb = self.graphs.prepare(take(x, chosen))
            graph = self.graphs.prediction(xb)
            outputs, _ = graph.run(list(leaves(xb)))
            parts.append(outputs)
        joined = iter([np.concatenate(arrays) for arrays in zip(*parts, strict=True)])
        return map_leaves(lambda _: next(joined), graph.graph.outputs)

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
        return arrays

    def _check_labels(self, x: Any, y: Any, rows: int, kind: str = "training") -> None:
        """Capture the step for the first rows, which checks shapes and dtypes, then the labels."""
        first = np.arange(rows)
        xb = self.graphs.prepare(take(x, first))
        yb = self.graphs.prepare_targets(take(y, first))
        if kind == "training":
            run = self.graphs.training(xb, yb, update=self.accumulate == 1)
        else:
            run = self.graphs.evaluation(xb, yb)
        data = dict(zip(run.graph.inputs, leaves((x, y)), strict=True))
        for node in run.graph.nodes:
            if node.operation is None:
                continue
            for number, limit in node.operation.limits.items():
                array = data.get(node.inputs[number])
                if array is None:
                    continue
                classes = limit(*node.inputs, **node.attributes)
                low, high = int(array.min()), int(array.max())
                if low < 0 or high >= classes:
                    raise ValueError(
                        f"labels must lie in 0 ... {classes - 1} for {classes} classes; the "
                        f"{kind} labels run from {low} to {high}"
                    )

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


def _slices(x: Any, batch_size: int) -> Iterator[Array]:
    rows = len(next(leaves(x)))
    if batch_size < 1:
        raise ValueError(f"batch_size is at least 1, got {batch_size}")
    for start in range(0, rows, batch_size):
        yield np.arange(start, min(start + batch_size, rows))


def _is_finite(array: Array) -> bool:
    """Whether no element is NaN or infinite: then the sum is neither."""
    return array.dtype.kind != "f" or math.isfinite(np.add.reduce(array, axis=None))


def _without_tensor(leaf: Any) -> Any:
    return leaf.numpy() if isinstance(leaf, Tensor) else leaf
