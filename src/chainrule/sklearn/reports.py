"""Reports on estimators: one HTML file on how good a model is, and where it is wrong."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from chainrule.sklearn.predictions import names_of_columns
from chainrule.tables import in_order
from chainrule.tabular import Columns, write_report
from chainrule.tabular.kinds import Category, Column, Number
from chainrule.tabular.reading import Table, read
from chainrule.tabular.targets import Classes, Target, classes_of, fit_target


class ReportMixin:
    """Adds `report` to an estimator."""

    def report(
        self,
        path: str | os.PathLike[str],
        X: Any,
        y: Any,
        *,
        train: tuple[Any, Any] | None = None,
        title: str = "Report",
    ) -> None:
        """Write a report on the fitted estimator as one HTML file; see `tabular.write_report`.

        Args:
            path: the file.
            X, y: rows that it was not fitted on, with what it should predict.
            train: (X, y) that it was fitted on, for baselines beside its figures.
            title: of the page.

        Raises:
            OSError: if the file can't be written.
            ValueError, TypeError: for rows that it can't take; for several labels of a row, or
                several quantiles.

        Example:
            >>> import os, tempfile
            >>> import numpy as np
            >>> from chainrule.sklearn import MLPRegressor
            >>> X = np.random.default_rng(0).normal(size=(90, 2))
            >>> model = MLPRegressor(solver="lbfgs").fit(X[:60], X[:60, 0])
            >>> path = os.path.join(tempfile.mkdtemp(), "report.html")
            >>> model.report(path, X[60:], X[60:, 0], train=(X[:60], X[:60, 0]))
            >>> os.path.getsize(path) > 5000
            True
        """
        check_is_fitted(self)
        write_report(path, self._reported(X, y, train), X, y, train=train, title=title)

    def _reported(self, X: Any, y: Any, train: tuple[Any, Any] | None) -> Any:
        """What the report is on."""
        return Reported(self, X, y, train)


class Reported:
    """A fitted MLPClassifier or MLPRegressor, as a report takes it.

    Args:
        estimator: the estimator.
        X, y: the rows of the report.
        train: the rows that it was fitted on, if they are known.
    """

    columns: Columns
    target: Target
    report: dict[str, Any]

    def __init__(self, estimator: Any, X: Any, y: Any, train: tuple[Any, Any] | None) -> None:
        self._predictions = estimator._to_predictions()
        self.is_classification = is_classifier(estimator)
        if (np.ndim(y) > 1 and self.is_classification) or estimator._has_no_score():
            raise ValueError(
                "a report is on one label of each row, or on numbers: not on several labels or "
                "quantiles"
            )
        self.target = (
            classes_of(estimator.classes_) if self.is_classification
            else fit_target("regression", y)
        )  # fmt: skip
        table = read(in_order(X, names_of_columns(estimator), "X"), "X")
        self._names = table.names or tuple(f"x{number}" for number in range(table.width))
        columns = [_column(table, number, name) for number, name in enumerate(self._names)]
        self.columns = Columns(columns, table.names is not None, table.numbered)
        self.report = {"members": [_training(estimator)], "by": _described(estimator)}
        if train is not None:
            self.report["rows"] = len(train[1])

    @property
    def classes(self) -> tuple[Any, ...] | None:
        return self.target.labels if isinstance(self.target, Classes) else None

    def predict(self, table: Any) -> NDArray[Any]:
        found: NDArray[Any] = self._predictions.predict(self._rows(table))
        return found

    def predict_proba(self, table: Any) -> NDArray[np.float64]:
        found: NDArray[np.float64] = self._predictions.predict_proba(self._rows(table))
        return found

    def _rows(self, table: Any) -> Any:
        """A table as the estimator takes it; of a dict the array, in the order of `fit`."""
        if not isinstance(table, dict):
            return table
        columns = [[_TRUTHS.get(value, value) for value in table[name]] for name in self._names]
        return np.array(columns, np.float64).T


_TRUTHS: dict[Any, float] = {"False": 0.0, "True": 1.0}


def _column(table: Table, number: int, name: str) -> Column:
    """A column of booleans or numbers."""
    place = f"column {name!r:.80}"
    if table.column(number, place, None).meaning == "booleans":
        return Category(name, "a boolean", tuple(_TRUTHS), False, "booleans")
    cells = table.column(number, place, "numbers")
    present = cells.values[~cells.missing]
    return Number(name, "a number", float(np.median(present)) if len(present) else 0.0, False)


def _training(estimator: Any) -> dict[str, Any]:
    """What is known of the epochs."""
    epochs = {
        "loss": getattr(estimator, "loss_curve_", ()),
        "validation_loss": getattr(estimator, "validation_loss_curve_", None) or (),
    }
    return {"best_epoch": estimator._kept_epoch, "validation_error": np.nan, "epochs": epochs}


def _described(estimator: Any) -> str:
    widths = np.atleast_1d(np.asarray(estimator.hidden_layer_sizes)).tolist()
    hidden = f"hidden layers of {', '.join(map(str, widths))}" if widths else "no hidden layer"
    return f"{type(estimator).__name__}, {hidden}, solver {estimator.solver}"
