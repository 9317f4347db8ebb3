"""How good a model of a table is, beside baselines."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from chainrule.system.threads import one_blas_thread
from chainrule.tabular.columns import Columns
from chainrule.tabular.linear import Inputs, least_squares, logistic
from chainrule.tabular.targets import Classes, Target, powers_of_two

_LEAST = 1e-12
"""The least probability that counts in a loss."""


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
    return _errors(np.asarray(model.predict(table), np.float64), model.target.values(target))


def baselines(
    model: Measured, train: tuple[Any, Any], test: tuple[Any, Any]
) -> dict[str, dict[str, float]]:
    """The figures of a linear model of the same columns, and of a constant.

    The linear model is the regression by least squares, or the logistic regression with half the
    sum of squared weights as penalty (scikit-learn's C=1), both of standardised columns and solved
    exactly. Numbers are not clipped. Embedded categories get a column for each value, the 1,024
    most frequent ones at most. It is trained on all rows, or on a sample where rows times columns
    are more than 2**25, with more than 4 classes fewer. A table of more than 2,048 columns and rows
    has none.

    Args:
        model: the model whose columns and target they have.
        train: (table, target) to train them on.
        test: (table, target) to measure them on.
    """
    found = {}
    if isinstance(model.target, Classes):
        classes = model.target.outputs
        codes, rows = model.target.encode(train[1]), model.target.encode(test[1])
        inputs = _inputs(model.columns, train[0], len(codes), classes)
        if not inputs.is_too_large:
            with one_blas_thread():
                shares = logistic(inputs, codes, classes, test[0])
            found["a linear model"] = _hits(shares, rows)
        shares = np.bincount(codes, minlength=classes) / len(codes)
        found["the most frequent class"] = _hits(np.tile(shares, (len(rows), 1)), rows)
    else:
        known, y = model.target.values(train[1]), model.target.values(test[1])
        inputs = _inputs(model.columns, train[0], len(known))
        if not inputs.is_too_large:
            with one_blas_thread():
                predicted = least_squares(inputs, known, test[0])
            found["a linear model"] = _errors(predicted, y)
        found["the mean"] = _errors(np.broadcast_to(known.mean(axis=0), y.shape), y)
    return found


def _inputs(columns: Columns, table: Any, targets: int, classes: int = 1) -> Inputs:
    inputs = Inputs(columns, table, classes)
    check_rows(inputs.count, targets)
    return inputs


def _hits(shares: NDArray[np.float64], codes: NDArray[np.int64]) -> dict[str, float]:
    check_rows(len(shares), len(codes))
    of_class = np.maximum(shares[np.arange(len(codes)), codes], _LEAST)
    accuracy = float((shares.argmax(axis=1) == codes).mean())
    return {"accuracy": accuracy, "loss": float(-np.log(of_class).mean())}


def _errors(predicted: NDArray[np.float64], y: NDArray[np.float64]) -> dict[str, float]:
    check_rows(len(predicted), len(y))
    predicted = predicted.reshape(y.shape)
    units = np.maximum(powers_of_two(predicted), powers_of_two(y))
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


def check_rows(rows: int, targets: int) -> None:
    """Raise ValueError unless there is a target for each row."""
    if rows != targets:
        raise ValueError(f"x has {rows} rows and y {targets}: give a target for each row")
