"""fit: from a table to a TabularModel, by one of the presets."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from chainrule import checks
from chainrule.data.arrays import check_some_weight, checked_weights
from chainrule.data.batches import permutation
from chainrule.nn import RealMLP
from chainrule.system.side_by_side import side_by_side
from chainrule.system.threads import get_num_threads
from chainrule.tabular.calibration import temperature
from chainrule.tabular.columns import Columns
from chainrule.tabular.intervals import deviation_factor, scores
from chainrule.tabular.model import TabularModel
from chainrule.tabular.reading import read
from chainrule.tabular.recipe import Recipe, TaskName, realmlp
from chainrule.tabular.targets import (
    Classes,
    Numbers,
    Target,
    check_near,
    criterion_of,
    fit_target,
)
from chainrule.tabular.training import Rows, Trained, hold_out, train
from chainrule.train import Callback, Trainer

PRESETS = ("fast", "default", "ensemble", "best")
"""The names of the recipes that `fit` knows."""

LOSSES = ("squared_error", "gaussian", "quantile")
"""The losses of a regression."""

_MEMBERS = {"ensemble": 5, "best": 10}


class _Member(NamedTuple):
    """A network, the error by which it counts in the average, the temperature of its outputs, and
    the scores and the weights of the rows that it held out; see `TabularModel`."""

    trained: Trained
    error: float = math.nan
    temperature: float = 1.0
    scores: NDArray[np.float64] | None = None
    weights: NDArray[np.float64] | None = None


class _Part(NamedTuple):
    """What a member is trained on, and what chooses its best epoch: numbers of rows."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]


def fit(
    table: Any,
    target: Any,
    task: TaskName,
    *,
    preset: str = "default",
    loss: str = "squared_error",
    quantiles: Sequence[float] = (0.05, 0.5, 0.95),
    columns: Columns | None = None,
    categorical: Collection[Hashable] = (),
    numeric: Collection[Hashable] = (),
    dates: Collection[Hashable] = (),
    drop: Collection[Hashable] = (),
    sample_weight: Any = None,
    validation: tuple[Any, ...] | None = None,
    validation_fraction: float = 0.2,
    epochs: int | None = None,
    batch_size: int | None = None,
    hidden: Sequence[int] | None = None,
    lr: float | None = None,
    dropout: float | None = None,
    weight_decay: float | None = None,
    members: int | None = None,
    time_budget: float | None = None,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
) -> TabularModel:
    """Train a model that predicts a column of a table from the others, by the recipe of RealMLP.

    A part of the rows is held out: after every epoch the error on it is measured, and the network
    keeps the weights of its best epoch. Probabilities are calibrated on that part by a temperature.

    Args:
        table: the columns to predict from; as in `Columns.fit`.
        target: what to predict: a series, or an array of shape (rows,). Text, whole numbers or
            booleans are classes; of a regression numbers, or booleans for 0 and 1, also in several
            columns.
        task: "classification" or "regression".
        preset: "default": RealMLP-TD. "fast": RealMLP-TD-S, a simpler network without dropout, and
            without embeddings but for categories of more than 128 values. "ensemble": RealMLP-TD
            five times, each with another fifth of the rows held out, trained side by side; the
            predictions are averaged, those of means with weights of 1 / error^2, by the mean
            squared error on the rows held out. "best": ten such networks, by two divisions of the
            rows.
        loss: of a regression: "squared_error"; "gaussian", which predicts a standard deviation,
            too; or "quantile".
        quantiles: the levels that loss="quantile" predicts, between 0 and 1, rising. `predict` is
            the median: if it is none of them, between the two around it, or the nearest if all are
            on one side.
        columns: what is done with each column, if that is decided already, by `Columns.fit`.
        categorical, numeric, dates, drop: see `Columns.fit`; not beside `columns`.
        sample_weight: a weight for each row, shape (rows,), not negative. They count in the loss,
            the errors that choose the best epoch, temperatures and intervals, relative to each
            other. A row of weight 0 is left out; the scales of columns and targets and the starting
            values count the others the same.
        validation: (table, target) or (table, target, sample_weight): rows to hold out instead.
        validation_fraction: the share of rows to hold out; of an ensemble the nearest of 1/2, 1/3,
            1/4 and so on. With 0 the last epoch counts.
        epochs, batch_size, hidden, lr, dropout, weight_decay: changes of the recipe; see `Recipe`.
        members: the number of networks of an ensemble.
        time_budget: seconds that the training may take: the schedule is shortened to fit, to one
            epoch at least. Of an ensemble members that would begin later are left out.
        seed: of the split, the starting values, the order of rows and dropout.
        callbacks: as of a `Trainer`; of an ensemble those of its first member.
        progress: whether to show a bar on a terminal, or a line per epoch.

    Raises:
        TypeError, ValueError: for a table as in `Columns.fit`; for missing, infinite or too
            large targets, a single class, numbers of rows that differ, an argument out of range.
        NonFiniteError: if the training diverges.

    Source: Holzmüller, Grinsztajn, Steinwart, "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", NeurIPS 2024.

    Example:
        >>> import numpy as np
        >>> from chainrule import tabular
        >>> x = np.linspace(-1, 1, 200).reshape(-1, 1)
        >>> model = tabular.fit(x, 3 * x[:, 0], "regression", preset="fast", epochs=100)
        >>> bool(abs(model.predict([[0.5]])[0] - 1.5) < 0.1)
        True
    """
    begin = time.monotonic()
    recipe, count = _recipe(task, preset, members)
    recipe = _changed(
        recipe, epochs=epochs, batch_size=batch_size, hidden=hidden, lr=lr, dropout=dropout,
        weight_decay=weight_decay,
    )  # fmt: skip
    if time_budget is not None:
        time_budget = checks.positive("time_budget", time_budget)
    if not 0 <= checks.number("validation_fraction", validation_fraction) < 1:
        raise ValueError(f"validation_fraction is in [0, 1), got {validation_fraction}")
    seed = checks.seed(seed)
    quantiles = _checked_loss(task, loss, quantiles)
    if columns is not None:
        _check_decided(columns, (categorical, numeric, dates, drop))
    rows = read(table).rows

    def decide(on: NDArray[np.int64] | None = None) -> Columns:
        return Columns.fit(
            table, categorical=categorical, numeric=numeric, dates=dates, drop=drop,
            embed=preset != "fast", rows=on,
        )  # fmt: skip

    if not rows:
        decide()  # which says so
    whole = fit_target(task, target, loss=loss, quantiles=quantiles)
    weights = _weights(sample_weight, rows)
    encoded = whole.encode(target)
    if len(encoded) != rows:
        raise ValueError(
            f"x and y have different numbers of rows: Found input variables with inconsistent "
            f"numbers of samples: {[rows, len(encoded)]}"
        )
    used = np.arange(rows) if weights is None else np.flatnonzero(weights)
    classes = encoded[used] if isinstance(whole, Classes) else None
    if classes is not None and len(np.unique(classes)) < 2:
        raise ValueError("the classifier needs two classes or more, of rows with a weight above 0")
    fraction = validation_fraction if validation is None else 0.0
    parts = _parts(used, classes, count, seed, fraction)
    fitted = whole
    if classes is None:
        fitted = fit_target(task, target, parts[0].train, used, loss=loss, quantiles=quantiles)
        check_near(fitted, target, used)
        encoded = fitted.encode(target)
    if columns is None:  # of several members each row that counts is for some to train on
        columns = decide(parts[0].train if count == 1 else used)
    arrays = columns.transform(table)
    given = None if validation is None else _given(columns, fitted, validation)
    data = Rows(arrays, encoded, weights)

    make = partial(_network, columns, fitted, recipe)
    criterion = criterion_of(fitted, recipe.label_smoothing)
    stop = _Stop()
    workers = min(count, get_num_threads())

    def member(number: int) -> _Member | None:
        part = parts[number]
        seconds = None
        if time_budget is not None:  # an equal share for each round of members side by side
            rounds_left = -(-count // workers) - number // workers
            seconds = (begin + time_budget - time.monotonic()) / rounds_left
            if number and seconds <= 0:
                return None
        held = given if given is not None else data.take(part.validation)
        trained = train(
            make, recipe, criterion, columns.sizes, data.take(part.train),
            held if len(held) else None,
            seed=seed + number, seconds=seconds,
            callbacks=[*(callbacks if not number else ()), stop],
            progress=progress and not number,
        )  # fmt: skip
        return _measured(trained, fitted, held)

    trained = side_by_side(member, count, stop.tell).values()
    found = [one for one in trained if one is not None]
    report = {
        "members": [_report_of(one.trained) for one in found],
        "rows": rows,
        "preset": preset,
        "seconds": time.monotonic() - begin,
    }
    return _model_of(columns, fitted, found, report)


def _network(columns: Columns, target: Target, recipe: Recipe) -> RealMLP:
    """A network with its starting values."""
    return RealMLP(
        columns.numeric, columns.plain, len(columns.sizes), sum(columns.sizes), target.outputs,
        recipe.hidden, recipe.activation, recipe.dropout, recipe.simple,
    )  # fmt: skip


def _report_of(trained: Trained) -> dict[str, Any]:
    """What the training of a member found."""
    return {
        "best_epoch": trained.best_epoch,
        "validation_error": trained.error,
        "epochs": trained.history.to_dict(),
        "stop_reason": trained.history.stop_reason,
    }


def _measured(trained: Trained, target: Target, held: Rows) -> _Member:
    """A network with what the rows held out say of it, if there are some."""
    if trained.outputs is None:
        return _Member(trained)
    if isinstance(target, Classes):
        heat = temperature(trained.outputs, held.targets, held.weights)
        return _Member(trained, temperature=heat)
    distances = scores(target, trained.outputs, held.targets)
    if target.loss != "gaussian":
        return _Member(trained, trained.error, 1.0, distances, held.weights)
    error = target.squared_error().error(trained.outputs[:, :1], held.targets, held.weights)
    factor = deviation_factor(distances, held.weights)
    return _Member(trained, error, factor, distances / factor, held.weights)


def _model_of(
    columns: Columns, target: Target, members: Sequence[_Member], report: dict[str, Any]
) -> TabularModel:
    """The model of these members."""
    held_out = [one.scores for one in members if one.scores is not None]
    weights = [one.weights for one in members if one.weights is not None]
    return TabularModel(
        columns,
        target,
        [one.trained.model for one in members],
        [one.temperature for one in members],
        _shares(target, [one.error for one in members]),
        report,
        np.concatenate(held_out) if held_out else None,
        np.concatenate(weights) if weights else None,
    )


def _shares(target: Target, errors: Sequence[float]) -> list[float]:
    """The weight of each member in the average.

    Of means by 1 / error^2, the mean squared one: of independent predictions with these errors and
    no bias this average has the least. Else all are equal.
    """
    found = np.array(errors)
    shares = np.ones(len(found))
    if isinstance(target, Numbers) and target.loss != "quantile" and np.isfinite(found).all():
        least = found.min()
        shares[found > least] = np.square(least / found[found > least])
    return (shares / shares.sum()).tolist()


def _checked_loss(task: TaskName, loss: str, quantiles: Sequence[float]) -> tuple[float, ...]:
    """The levels of the quantiles, checked with the loss."""
    checks.one_of("loss", loss, LOSSES)
    if task == "classification" and loss != LOSSES[0]:
        raise ValueError(f"loss={loss!r} is for a regression")
    levels = tuple(checks.Interval(0, 1).check("a quantile", level) for level in quantiles)
    if not levels or sorted({*levels}) != list(levels) or levels[0] == 0:
        raise ValueError(f"quantiles rise and lie between 0 and 1, got {tuple(quantiles)}")
    return levels


def _check_decided(columns: Any, asked: Sequence[Collection[Hashable]]) -> None:
    """Raise where these are no decisions on columns, or others are asked for beside them."""
    if not isinstance(columns, Columns):
        raise TypeError(
            f"columns is what tabular.Columns.fit gives, got {checks.described(columns)}. To leave "
            "columns out give drop"
        )
    if any(map(len, asked)):
        raise ValueError(
            "columns says what is done with each: give categorical, numeric, dates and drop to "
            "tabular.Columns.fit, which makes it"
        )


class _Stop(Callback):
    """Ends the trainings of all members after the epoch under way, once it is told why."""

    def __init__(self) -> None:
        self._reason: str | None = None

    def tell(self, reason: str) -> None:
        self._reason = reason

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        if self._reason is not None:
            trainer.stop(self._reason)


def _recipe(task: TaskName, preset: str, members: int | None) -> tuple[Recipe, int]:
    """The recipe of a preset, and the number of its members."""
    checks.one_of("task", task, get_args(TaskName))
    checks.one_of("preset", preset, PRESETS)
    count = _MEMBERS.get(preset, 1)
    if members is not None:
        if preset not in _MEMBERS:
            raise ValueError("members is for preset='ensemble' and preset='best'")
        count = checks.count("members", members)
    return realmlp(task, simple=preset == "fast"), count


def _changed(recipe: Recipe, **changes: Any) -> Recipe:
    """The recipe with what is given changed, once it is checked."""
    check: dict[str, Callable[[str, Any], Any]] = {
        "epochs": checks.count,
        "batch_size": checks.count,
        "hidden": lambda _, widths: tuple(checks.count("a width", width) for width in widths),
        "lr": checks.positive,
        "dropout": checks.probability,
        "weight_decay": checks.not_negative,
    }
    given = {n: check[n](n, value) for n, value in changes.items() if value is not None}
    return replace(recipe, **given)


def _parts(
    rows: NDArray[np.int64], classes: NDArray[Any] | None, count: int, seed: int, fraction: float
) -> list[_Part]:
    """The rows of each member; those of several hold out other rows each, as far as these reach.

    Args:
        rows: the numbers of those that count.
        classes: the class of each of them, of a classification.
        count: how many members there are.
        seed: of the order.
        fraction: the share of rows to hold out.
    """
    if count == 1 or not fraction:
        train, held_out = hold_out(len(rows), fraction, seed, classes)
        return [_Part(rows[train], rows[held_out])] * count
    folds = max(round(1 / fraction), 2)
    parts = []
    for number in range(count):
        order = permutation(len(rows), seed, epoch=number // folds)
        if classes is not None:  # class after class, so that all folds get their share
            order = order[np.argsort(classes[order], kind="stable")]
        held = np.zeros(len(rows), bool)
        held[order[number % folds :: folds]] = True
        if classes is not None:  # a class with a single row stays to be trained on
            held[~np.isin(classes, classes[~held])] = False
        parts.append(_Part(rows[~held], rows[held]))
    return parts


def _given(columns: Columns, target: Target, validation: tuple[Any, ...]) -> Rows:
    """The rows that the user gives to validate on."""
    if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3):
        raise ValueError("validation is (table, target) or (table, target, sample_weight)")
    table, y, weight = (*validation, None)[:3]
    arrays = columns.transform(table)
    rows = len(next(iter(arrays.values())))
    weights = _weights(weight, rows)
    found = Rows(arrays, target.encode(y), weights)
    if len(found) != rows:
        raise ValueError("validation: table and target have different numbers of rows")
    used = np.arange(rows) if weights is None else np.flatnonzero(weights)
    check_near(target, y, used)
    return found.take(used)


def _weights(given: Any, rows: int) -> NDArray[np.float64] | None:
    if given is None:
        return None
    weights = checked_weights(given, rows, np.dtype(np.float64), "sample_weight")
    check_some_weight(weights, "sample_weight")
    weights = weights.astype(np.float64)
    weights /= weights.max()  # so that the sum of large ones is finite
    return weights / weights[weights > 0].mean()  # rows of weight 0 are left out of the training
