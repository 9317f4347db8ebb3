"""How good a model of a table is, beside baselines."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from chainrule.tabular.columns import Columns
from chainrule.tabular.fitting import fit
from chainrule.tabular.recipe import TaskName
from chainrule.tabular.targets import Classes, Target, power_of_two

_LEAST = 1e-12
"""The least probability that counts in a loss."""

_LINEAR_EPOCHS = 64


class Measured(Protocol):
    """A model whose predictions are measured: a `TabularModel`, or what is like one.

    Attributes:
        columns: what its columns hold.
        target: what it predicts.
        classes: the labels of a classification; else None.
        is_classification: whether it is one.
        report: what the training found.
    """

    columns: Columns
    target: Target
    report: dict[str, Any]

    @property
    def classes(self) -> tuple[Any, ...] | None: ...

    @property
    def is_classification(self) -> bool: ...

    def predict(self, table: Any) -> NDArray[Any]: ...

    def predict_proba(self, table: Any) -> NDArray[np.float64]: ...


def figures(model: Measured, table: Any, target: Any) -> dict[str, float]:
    """Of a classification the accuracy and the cross-entropy, "loss"; of a regression "rmse" and
    "mae", in the target's units, and "r2", the share of the variance that is explained. Of several
    targets "r2" is the mean over them, and the errors are those of all together.

    Example:
        >>> import numpy as np
        >>> from chainrule import tabular
        >>> x = np.linspace(-1, 1, 100).reshape(-1, 1)
        >>> model = tabular.fit(x, x[:, 0], "regression", preset="fast", epochs=50)
        >>> tabular.figures(model, x, x[:, 0])["r2"] > 0.9
        True
    """
    if isinstance(model.target, Classes):
        return _hits(model.predict_proba(table), model.target.encode(target))
    return _errors(np.asarray(model.predict(table), np.float64), np.asarray(target, np.float64))


def baselines(
    model: Measured, train: tuple[Any, Any], test: tuple[Any, Any], seconds: float | None = None
) -> dict[str, dict[str, float]]:
    """The figures of a linear model of the same columns, and of a constant.

    Args:
        model: the model whose columns and target they have.
        train: (table, target) to train them on.
        test: (table, target) to measure them on.
        seconds: a budget for the linear model's training.
    """
    task: TaskName = "classification" if model.is_classification else "regression"
    linear = fit(
        train[0], train[1], task, preset="fast", columns=model.columns, hidden=(),
        epochs=_LINEAR_EPOCHS, time_budget=seconds,
    )  # fmt: skip
    found = {"a linear model": figures(linear, *test)}
    if isinstance(model.target, Classes):
        codes = model.target.encode(train[1])
        shares = np.bincount(codes, minlength=model.target.outputs) / len(codes)
        rows = model.target.encode(test[1])
        found["the most frequent class"] = _hits(np.tile(shares, (len(rows), 1)), rows)
    else:
        y = np.asarray(test[1], np.float64)
        mean = np.asarray(train[1], np.float64).mean(axis=0)
        found["the mean"] = _errors(np.broadcast_to(mean, y.shape), y)
    return found


def _hits(shares: NDArray[np.float64], codes: NDArray[np.int64]) -> dict[str, float]:
    _check_rows(len(shares), len(codes))
    of_class = np.maximum(shares[np.arange(len(codes)), codes], _LEAST)
    accuracy = float((shares.argmax(axis=1) == codes).mean())
    return {"accuracy": accuracy, "loss": float(-np.log(of_class).mean())}


def _errors(predicted: NDArray[np.float64], y: NDArray[np.float64]) -> dict[str, float]:
    _check_rows(len(predicted), len(y))
    y = y.reshape(len(y), -1)
    predicted = predicted.reshape(y.shape)
    units = np.maximum(power_of_two(predicted, axis=0), power_of_two(y, axis=0))
    y, unit = y / units, float(units.max())  # else squares overflow
    error = predicted / units - y
    scaled = error * (units / unit)
    return {
        "rmse": float(np.square(scaled).mean()) ** 0.5 * unit,
        "mae": float(np.abs(scaled).mean()) * unit,
        "r2": float(np.mean([_r2(*pair) for pair in zip(error.T, y.T, strict=True)])),
    }


def _r2(error: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """The share of a target's variance that is explained; of a constant 1 without errors, else 0.

    Of a single row it is undefined.
    """
    if len(y) < 2:
        return float("nan")
    if (y == y[0]).all():
        return float(not error.any())
    return float(1 - np.square(error).sum() / np.square(y - y.mean()).sum())


def _check_rows(rows: int, targets: int) -> None:
    if rows != targets:
        raise ValueError(f"x has {rows} rows and y {targets}: give a target for each row")
