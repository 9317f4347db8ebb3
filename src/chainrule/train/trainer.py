"""Trainer: fits a model to data by captured training steps."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from chainrule import checks
from chainrule.graph.keywords import referring
from chainrule.nn import Module
from chainrule.ops.random import Generator
from chainrule.optim import Optimizer
from chainrule.optim.lr_scheduler import Schedule
from chainrule.system.interrupts import interrupts_held, interrupts_to
from chainrule.train import checkpoint as checkpoints
from chainrule.train import model_file
from chainrule.train.backends import make_backend
from chainrule.train.callbacks import Callback, as_callbacks
from chainrule.train.evaluator import Evaluator
from chainrule.train.fit_run import FitRun
from chainrule.train.fixed_parts import FixedParts
from chainrule.train.given_data import ROWS, training_source, training_sources
from chainrule.train.history import History
from chainrule.train.keras_arguments import OF_FIT
from chainrule.train.metrics import AnyMetric, as_metrics
from chainrule.train.notebook import ShownTraining
from chainrule.train.one_at_a_time import Turn, one_at_a_time
from chainrule.train.progress import ProgressReport
from chainrule.train.range_test import RangeTest, check_rates, range_test
from chainrule.train.roles import check_schedule
from chainrule.train.settings import frozen, optimizer_settings, settings
from chainrule.train.state import TrainingState
from chainrule.train.step_options import Augmentation, Average, Constraint, Penalty, StepOptions
from chainrule.train.training_step import Loss, StepGraphs


class Trainer(ShownTraining, FixedParts):
    """Trains a model: minibatches, epochs, validation, early stopping, checkpoints.

    Every step runs as one captured graph of forward pass, backpropagation and update. Any number
    of threads may predict and evaluate at once, and beside one that fits: they see the weights as
    they are between two batches.

    Args:
        model: a `nn.Module`. Several inputs: x is a tuple (positional arguments) or a dict (named).
        loss: (outputs, targets) -> scalar Tensor; a loss of `nn` or any function of Tensors. To
            train with weighted rows it needs the keyword `sample_weight`; see `fit`.
        optimizer: over the model's parameters.
        metrics: names, objects, or functions (outputs, targets) -> the mean over the batch. The
            names: "accuracy", "mse", "mae", "r2"; and by scikit-learn, in evaluations: "auc", "f1",
            "precision", "recall", "balanced_accuracy", "log_loss". The objects: of `cr.metrics`, or
            your own `Metric`. They count all rows the same.
        augmentation: a function (inputs, targets) -> (inputs, targets) of a training batch, such as
            `nn.MixUp`: a part of the step. Metrics compare with the targets as they were.
        penalties: functions () -> scalar Tensor, of the parameters. Training minimises the loss L
            plus their sum, the objective J = L + penalties; the history has L as "loss" and their
            sum as "penalty", each as the mean over the epoch.
        constraints: objects whose `apply()` is called after every update, to bring parameters back
            into the set of allowed values.
        ema: an average of the parameters over the updates. `evaluate`, `predict` and the validation
            within `fit` (so early stopping, too) use the averaged parameters; the model itself
            holds those that are trained on. A file holds both; `chainrule.load` gives the average.
        schedule: a schedule bound to `optimizer`; it advances after every epoch or step, by its
            `unit`.
        accumulate: batches whose gradients make one update: the mean over all their rows, or over
            the weights of a loss whose mean has a denominator of its own (`nn.weighted_mean`). With
            "epoch" one update ends each epoch: the gradient over all the data, exactly, in
            memory for one batch. An update after each row is `batch_size=1` in `fit`. A parameter
            that is frozen at the update is not updated, and its gradients are dropped.
        clip_norm: scale all gradients together to at most this Euclidean norm.
        clip_value: cut each gradient's elements to [-clip_value, clip_value]; before clip_norm.
        callbacks: called before and after epochs, and after batches; see `Callback`.
        metadata: a dict that JSON can hold, with the names of the classes, say, for the files that
            this Trainer saves; see `chainrule.save`.
        seed: of the order of the rows and of the model's random operations. The same seed gives the
            same bits.
        backend: "native" runs whole epochs in the native core; "reference" runs each operation by
            NumPy, which is slower, and the measure of what is right. By default as
            `set_default_backend` says.

    Attributes:
        state: a `TrainingState`: how far the training has come.

    Raises:
        TypeError, ValueError: for an argument that does not fit.

    Example:
        >>> import chainrule as cr
        >>> import numpy as np
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
        metrics: AnyMetric | Sequence[AnyMetric] = (),
        augmentation: Augmentation | None = None,
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
        backend: str | None = None,
    ) -> None:
        options = StepOptions(
            augmentation=augmentation,
            penalties=penalties,
            constraints=constraints,
            ema=ema,
            accumulate=accumulate,
            clip_norm=clip_norm,
            clip_value=clip_value,
        )
        check_schedule(schedule, optimizer)
        self.model = model
        self.optimizer = optimizer
        self.metrics = as_metrics(metrics, loss)
        self.schedule = schedule
        self.ema = ema
        self.callbacks = as_callbacks(callbacks)
        self.metadata = model_file.as_metadata(metadata)
        self.seed = checks.seed(seed)
        self.state = TrainingState()
        self.graphs = StepGraphs(
            model,
            loss,
            optimizer,
            metrics=self.metrics,
            options=options,
            accumulated=self.state.accumulated,
            generator=Generator(self.seed),
        )
        self._settings = settings(model, loss, schedule, options)
        self.backend = make_backend(backend, self.graphs)
        self._evaluator = Evaluator._over(self.backend, ema, self.seed)
        self._turn = Turn()

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self.state.epoch

    @property
    def step(self) -> int:
        """Updates done."""
        return self.state.step

    @property
    def history(self) -> History:
        """A `History` of all epochs."""
        return self.state.history

    @property
    def settings(self) -> dict[str, Any]:
        """What a checkpoint must have been made with to go on here; see `train.settings`."""
        return self._settings | optimizer_settings(self.optimizer) | frozen(self.model)

    # Training

    @referring(**OF_FIT)
    @one_at_a_time
    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        epochs: int = 10,
        batch_size: int | None = None,
        validation_data: Any = None,
        validation_fraction: float = 0.0,
        shuffle: bool | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_steps: int | None = None,
        resume: bool = False,
        profile: bool = False,
        progress: bool = True,
    ) -> History:
        """Train for `epochs` more epochs.

        All arrays, and of an iterable the first batch, are checked before anything changes. Ctrl-C
        ends the training after the batch under way; the model is whole and `history.stop_reason`
        says so. The next `fit` first ends that epoch on the same arrays; an iterable begins anew.

        Args:
            x: inputs, rows first: an array (memory-mapped ones are read batch by batch, and little
                of them stays in memory), a tuple or a dict of arrays. Floats and uint8 are cast to
                the model's dtype; other whole numbers are int64, which layers cast. Booleans are
                cast, too, but beside other inputs they stay a mask. Of frames (pandas, polars,
                pyarrow) the model remembers the names of the columns, in its files, too, and finds
                those of later frames by them. Or, without y, an iterable of batches (x, y) or
                (x, y, sample_weight), passed through anew in each epoch: a `data.DataLoader`,
                `data.batches(x, y)`, a list, an iterable class.
            y: targets, likewise; whole numbers are labels (int64), and booleans but for a mask
                beside other targets. A vector is a column for a model with one output, and a column
                of labels a vector for a loss of classes; a loss or a metric of your own gets them
                so.
            sample_weight: a weight for each row, shape (rows,), not negative. The loss of N rows is
                sum_i w_i l_i / N: not divided by the sum of the weights, so a row of weight 2
                counts as two. Metrics count all rows the same.
            epochs: how many times to go through the data.
            batch_size: rows in a batch of arrays, 64 by default; the last batch of an epoch may be
                smaller, and fewer rows are one batch.
            validation_data: (x, y), (x, y, sample_weight) or an iterable of such batches, to
                evaluate after every epoch.
            validation_fraction: the share of rows to hold out instead; both parts are copied.
            shuffle: draw the rows of arrays in a new order every epoch, as by default.
            checkpoint: a file to save to after every epoch, from which training can resume to the
                same bits; with an iterable, if that gives the same batches again.
            checkpoint_steps: also save after every this many updates.
            resume: go on from `checkpoint`, if that file exists; then `epochs` counts from the
                first epoch of the run.
            profile: measure the time of every instruction of the plan, for `describe_plan`; it
                costs a little.
            progress: show a bar on a terminal, or a line per epoch elsewhere.

        Returns:
            The history of all epochs so far.

        Raises:
            ValueError, TypeError: for data that are empty, not numbers, not finite, or do not fit
                together; for labels out of range; for weights and a loss that takes none.
            ShapeError, DTypeError: if they do not fit the model or the loss.
            NonFiniteError: if the loss or an update is not finite; the model keeps its last good
                weights.
            RuntimeError: in a callback of this `fit`; while another thread trains or loads.
        """
        epochs = checks.count("epochs", epochs)
        as_callbacks(self.callbacks)  # others may have been added
        if shuffle is not None:
            checks.flag("shuffle", shuffle)
        if checkpoint is not None:
            checks.path("checkpoint", checkpoint)
        if checkpoint is None and (checkpoint_steps is not None or resume):
            raise ValueError("checkpoint_steps and resume need checkpoint, the file to save to")
        if checkpoint_steps is not None:
            checkpoint_steps = checks.count("checkpoint_steps", checkpoint_steps)
        resumed = checkpoint if resume and os.path.exists(checkpoint or "") else None
        names = checkpoints.column_names(self, x, resumed)
        state = self.state
        source, validation = training_sources(
            self.backend, x, y, sample_weight, names=names, validation_data=validation_data,
            validation_fraction=validation_fraction, batch_size=batch_size, shuffle=shuffle,
            seed=self.seed, epoch=state.epoch, epochs=epochs,
        )  # fmt: skip
        if checkpoint is not None:
            checkpoints.check_can_save(self, checkpoint, source.arrays)
        self.backend.begin(profile=profile)
        data_key = source.key
        if resumed is not None:
            checkpoints.load(self, resumed, data_key)
        elif state.position and not checkpoints.same_batches(state.data_key, data_key):
            with interrupts_held():
                state.restart_epoch()
        state.data_key = data_key
        if names is not None:
            self.model._column_names = names
        last = epochs if resume else state.epoch + epochs
        state.stop_reason = state.history.stop_reason = None
        with (
            interrupts_to(self.stop) as interrupts,
            ProgressReport(last, source.batches, progress) as report,
            interrupts.let_through(),
        ):
            run = FitRun(self, source, validation, report, interrupts, checkpoint, checkpoint_steps)
            run.train_until(last)
        return state.history

    def stop(self, reason: str) -> None:
        """End the training after the batch under way, before one in `on_epoch_begin`."""
        self.state.stop_reason = reason

    @one_at_a_time
    def find_lr(
        self,
        x: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        low: float = 1e-7,
        high: float = 10.0,
        steps: int = 100,
        batch_size: int | None = None,
    ) -> RangeTest:
        """The learning-rate range test: try growing learning rates on the model as it is now.

        One update a batch, with learning rates from `low` to `high`, each the same multiple of the
        one before. It ends early where the smoothed loss passes four times its least, unless that
        is below 0, or where a step is not finite. The schedule, `accumulate` and callbacks have no
        part in it. Where groups of parameters have different rates, the largest is the one that is
        tried and the others keep their ratio to it.

        Afterwards weights, buffers, the optimiser, random numbers and counts are as before, to the
        bit.

        Args:
            x, y, sample_weight: as in `fit`.
            low, high: the first and the last learning rate.
            steps: how many to try, at least 2.
            batch_size: rows in a batch of arrays, 64 by default.

        Returns:
            A `RangeTest`: learning rates, losses, a suggestion, and a plot.

        Raises:
            As `fit`. NonFiniteError: if the very first step fails.

        Source: Smith, "Cyclical Learning Rates for Training Neural Networks" (2017), section 3.3.

        Example:
            >>> import chainrule as cr
            >>> import numpy as np
            >>> from chainrule import nn, optim
            >>> x = np.linspace(-1, 1, 64, dtype="float32").reshape(-1, 1)
            >>> model = nn.Linear(1, 1)
            >>> trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
            >>> test = trainer.find_lr(x, 2 * x + 1, batch_size=32)
            >>> 1e-3 < test.suggestion < 1
            True
        """
        check_rates(low, high)
        steps = checks.integer("steps", steps, 2)
        source = training_source(self.backend, x, y, sample_weight, batch_size, self.seed)
        with self.backend.guard.alone:  # other threads wait until all is as before
            return range_test(
                self.backend, source, self.optimizer, self.state.accumulated, low=low, high=high,
                steps=steps,
            )  # fmt: skip

    def describe_plan(self) -> str:
        """The plan of the last training step: instructions, FLOPs, bytes; times where profiled.

        Raises:
            RuntimeError: before the first training, or with another backend than "native".
        """
        return self.backend.describe()

    # Evaluation and prediction

    def evaluate(
        self, x: Any, y: Any = None, *, sample_weight: Any = None, batch_size: int | None = None
    ) -> dict[str, float]:
        return self._evaluator.evaluate(x, y, sample_weight=sample_weight, batch_size=batch_size)

    def predict(self, x: Any, *, batch_size: int | None = None) -> Any:
        return self._evaluator.predict(x, batch_size=batch_size)

    def predict_samples(
        self, x: Any, *, samples: int = 100, batch_size: int = ROWS, seed: int | None = None
    ) -> Any:
        return self._evaluator.predict_samples(x, samples=samples, batch_size=batch_size, seed=seed)

    evaluate.__doc__ = Evaluator.evaluate.__doc__
    predict.__doc__ = Evaluator.predict.__doc__
    predict_samples.__doc__ = Evaluator.predict_samples.__doc__

    # Files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save all that training needs to go on: a safetensors file.

        Weights, buffers, averages, the optimiser's state, the schedule, the random counter, the
        callbacks, the history, and the position in the epoch. The file is whole or not there: a
        file that stood there before stays intact if anything goes wrong. Beside a `fit` in another
        thread it holds the state between two batches.
        """
        checkpoints.save(self, path)

    @one_at_a_time
    def load(self, path: str | os.PathLike[str]) -> None:
        """Load what `save` wrote, into the same model, optimiser, schedule and callbacks.

        Raises:
            FileError: if the file is truncated, damaged or foreign.
            ValueError: if it does not fit; then nothing has changed.
            RuntimeError: while another thread trains.
        """
        checkpoints.load(self, path)
