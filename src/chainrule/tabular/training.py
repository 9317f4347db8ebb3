"""The training of a network on a table: a validation part, and the weights of its best epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule.data.batches import batches, permutation
from chainrule.data.splitting import split_rows
from chainrule.graph.context import no_grad
from chainrule.graph.tensor import Tensor
from chainrule.nn import Dropout, RealMLP, data_driven_
from chainrule.ops.random import Generator, use_generator
from chainrule.tabular.criteria import Criterion
from chainrule.tabular.recipe import Recipe, RecipeSchedule, optimizer_of
from chainrule.train import Callback, History, Trainer
from chainrule.train.evaluator import predict_data
from chainrule.train.given_data import prediction_source
from chainrule.train.sources import Source
from chainrule.train.training_step import Loss

_INITIALISED_ON = 4096
"""Rows on which starting values are computed; more change them little."""

_VALIDATED_AT_ONCE = 1024
"""Rows in a batch of the validation."""


class Rows(NamedTuple):
    """Rows as a network takes them.

    Attributes:
        arrays: what `Columns.transform` gives.
        targets: numbers of classes, int64 of shape (rows,); or standardised targets, float32 of
            shape (rows, targets).
        weights: the weight of each row, float64, or None.
    """

    arrays: dict[str, NDArray[Any]]
    targets: NDArray[Any]
    weights: NDArray[np.float64] | None = None

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Some of the rows."""
        weights = None if self.weights is None else self.weights[rows]
        return Rows({k: a[rows] for k, a in self.arrays.items()}, self.targets[rows], weights)

    def __len__(self) -> int:
        return len(self.targets)


class Trained(NamedTuple):
    """A network after its training.

    Attributes:
        model: the network, with the weights of its best epoch.
        best_epoch: the number of that epoch, from 1.
        error: its error on the validation part, by the criterion; NaN without one.
        outputs: the network's outputs for the validation part then.
        history: of all epochs.
    """

    model: RealMLP
    best_epoch: int
    error: float
    outputs: NDArray[Any] | None
    history: History


def hold_out(
    rows: int, fraction: float, seed: int, classes: NDArray[Any] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows to train on and those to validate on, in the order of the data.

    With the class of each row they are taken evenly from all classes; one row of each stays to be
    trained on. Of fewer than five rows none is held out.
    """
    if rows < 5 or not fraction:
        return np.arange(rows), np.arange(0)
    if classes is None:
        return split_rows(rows, fraction, seed)
    count = max(min(round(fraction * rows), rows - 1), 1)
    order = permutation(rows, seed, epoch=0)
    order = order[np.argsort(classes[order], kind="stable")]  # class after class
    held = np.zeros(rows, bool)
    held[order[((np.arange(count) + 0.5) * rows / count).astype(np.int64)]] = True
    alone = ~np.isin(classes, classes[~held])
    _, first = np.unique(classes[alone], return_index=True)
    held[np.flatnonzero(alone)[first]] = False
    return np.flatnonzero(~held), np.flatnonzero(held)


def train(
    make: Callable[[], RealMLP],
    recipe: Recipe,
    criterion: Criterion,
    sizes: Sequence[int],
    rows: Rows,
    validation: Rows | None,
    *,
    seed: int,
    seconds: float | None = None,
    callbacks: list[Callback] | None = None,
    progress: bool = False,
) -> Trained:
    """Train a network by a recipe.

    Args:
        make: makes the network.
        recipe: the hyper-parameters.
        criterion: the loss, and the error that chooses the best epoch.
        sizes: how many codes each embedded column has.
        rows: the rows to train on.
        validation: the rows that choose the best epoch; without them the last one is kept.
        seed: of starting values, dropout and the order of rows.
        seconds: a budget: the schedule is shortened to as many epochs as fit into it.
        callbacks: as `Trainer` takes them.
        progress: whether to show a bar, or lines.

    Raises:
        NonFiniteError: if the training diverges.
    """
    begin = time.monotonic()
    with use_generator(Generator(seed)):
        model = make()
        model.fit(rows.arrays.get("numbers"))
        if not recipe.simple:
            _start_from_data(model, rows, seed)
    codes = rows.arrays.get("codes")
    seen = None if codes is None else np.bincount(codes.ravel(), minlength=model.num_codes)
    if seen is not None:  # 0, the mean of the starting values; replaced by the mean vector below
        _set_unseen_vectors(model, seen, 0.0)
    loss: Loss = criterion.loss if rows.weights is None else _weighted(criterion.loss)
    size = min(recipe.batch_size, len(rows))
    steps = len(rows) // size
    optimizer = optimizer_of(model, recipe)
    schedule = RecipeSchedule(optimizer, model, recipe.epochs * steps)
    keep = _KeepBest(validation, criterion)
    added: list[Callback] = [keep]
    if seconds is not None:
        added.append(_Budget(schedule, steps, begin + seconds))
    trainer = Trainer(
        model, loss, optimizer, schedule=schedule, seed=seed, callbacks=[*added, *(callbacks or [])]
    )
    targets: Any = rows.targets
    if rows.weights is not None:
        targets = rows.targets, rows.weights.astype(np.float32)
    trainer.fit(
        batches(rows.arrays, targets, size, drop_last=True, seed=seed),
        epochs=recipe.epochs,
        progress=progress,
    )
    if seen is not None:
        _set_unseen_vectors(model, seen, _mean_vectors(model, seen, sizes))
    for module in model.modules():
        if isinstance(module, Dropout):
            module.p = recipe.dropout  # where the schedule began
    return Trained(model.eval(), keep.epoch, keep.error, keep.outputs, trainer.history)


def _set_unseen_vectors(model: RealMLP, seen: NDArray[np.int64], to: Any) -> None:
    """Set the vectors of the categories that no row to train on has."""
    assert model.embedding is not None
    weight = model.embedding.weight
    weight.assign(np.where(seen[:, None] == 0, to, weight.numpy()).astype(weight.dtype))


def _mean_vectors(
    model: RealMLP, seen: NDArray[np.int64], sizes: Sequence[int]
) -> NDArray[np.float64]:
    """For each code the mean vector of its column over the rows to train on."""
    assert model.embedding is not None
    weight = model.embedding.weight.numpy().astype(np.float64)
    starts = np.cumsum([0, *sizes[:-1]])
    totals = np.add.reduceat(weight * seen[:, None], starts)
    return np.repeat(totals / np.add.reduceat(seen, starts)[:, None], sizes, axis=0)


def _start_from_data(model: RealMLP, rows: Rows, seed: int) -> None:
    """Starting values by the data; where these do not vary those of `reset_parameters` stay."""
    some = permutation(len(rows), seed, epoch=1)[:_INITIALISED_ON]
    try:
        data_driven_(model, {name: array[some] for name, array in rows.arrays.items()})
    except ValueError:
        with no_grad():
            model.reset_parameters()


def _weighted(loss: Loss) -> Loss:
    """A loss of targets that come with the weights of their rows, in one tuple."""

    def of_pair(outputs: Tensor, targets: Any) -> Tensor:
        y, weights = targets
        return loss(outputs, y, sample_weight=weights)

    return of_pair


class _KeepBest(Callback):
    """Keeps the weights of the last epoch whose validation error no other is below."""

    def __init__(self, validation: Rows | None, criterion: Criterion) -> None:
        self.validation = validation
        self.criterion = criterion
        self.epoch = 0
        self.error = math.nan
        self.outputs: NDArray[Any] | None = None
        self._kept: dict[str, NDArray[Any]] = {}
        self._source: Source | None = None  # the validation rows, checked once

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        if self.validation is None:
            self.epoch = trainer.epoch
            return
        arrays, targets, weights = self.validation
        if self._source is None:
            self._source = prediction_source(trainer.backend, arrays, _VALIDATED_AT_ONCE)
        outputs = predict_data(trainer.backend, trainer.ema, self._source)
        error = self.criterion.error(outputs, targets, weights)
        record["validation_error"] = error
        if not error > self.error:  # also the first
            self.epoch, self.error, self.outputs = trainer.epoch, error, outputs
            self._kept = {name: p.numpy().copy() for name, p in trainer.model.named_parameters()}

    def on_train_end(self, trainer: Trainer) -> None:
        for name, parameter in trainer.model.named_parameters():
            if name in self._kept:
                parameter.assign(self._kept[name])


class _Budget(Callback):
    """Shortens the schedule to the epochs that end in time, by the time of the first ones."""

    def __init__(self, schedule: RecipeSchedule, steps: int, end: float) -> None:
        self.schedule = schedule
        self.steps = steps
        self.end = end
        self.planned = schedule.steps
        self._last = time.monotonic()
        self._times: list[float] = []

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        now = time.monotonic()
        self._times.append(now - self._last)
        self._last = now
        left = self.end - now
        if len(self._times) in (2, 4, 8, 16):  # the first epoch compiles
            each = float(np.median(self._times[1:]))
            fit = trainer.epoch + max(int(left / max(each, 1e-9)), 1)
            self.schedule.steps = min(self.schedule.steps, fit * self.steps)
        done = trainer.epoch * self.steps
        if done < self.planned and (left <= 0 or done >= self.schedule.steps):
            trainer.stop("the time is over")
