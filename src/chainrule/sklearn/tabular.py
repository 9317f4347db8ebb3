"""TabularClassifier and TabularRegressor: RealMLP's recipe as estimators of scikit-learn."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from inspect import signature
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import assert_all_finite, check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y, check_is_fitted, validate_data

from chainrule.data.batches import permutation
from chainrule.sklearn.base import (
    ClassWeight,
    check_present,
    has_held_out,
    kind_of_labels,
    refuse_times,
    seed_from,
    weights_of_rows,
    whole_or_not_at_all,
)
from chainrule.sklearn.reports import ReportMixin
from chainrule.tables import as_frame, is_table
from chainrule.tabular import LOSSES, PRESETS, TabularModel, fit
from chainrule.tabular.reading import as_array, check_dense, rows_in, rows_of
from chainrule.tabular.recipe import TaskName
from chainrule.tabular.targets import classes_of
from chainrule.train import Callback

_ROWS = 2000
"""The most rows of which the importances are taken."""

_TERMS = 10_000
"""The most rows times outputs, each output taking a pass of its own; but at least 100 rows."""

_OF_FIT = frozenset(signature(fit).parameters)
"""The parameters that `tabular.fit` takes as they are."""


class _Tabular(ReportMixin, BaseEstimator):
    """The base of both estimators."""

    _task: ClassVar[TaskName]

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "preset": [StrOptions(set(PRESETS))],
        "categorical": "no_validation",  # here to "drop": `tabular.fit` checks them
        "numeric": "no_validation",
        "dates": "no_validation",
        "drop": "no_validation",
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "epochs": [Interval(Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "hidden": ["array-like", None],
        "lr": [Interval(Real, 0, None, closed="neither"), None],
        "dropout": [Interval(Real, 0, 1, closed="left"), None],
        "weight_decay": [Interval(Real, 0, None, closed="left"), None],
        "members": [Interval(Integral, 1, None, closed="left"), None],
        "time_budget": [Interval(Real, 0, None, closed="neither"), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "callbacks": [list, tuple],
    }

    model_: TabularModel

    def _set(self, **given: Any) -> None:
        """Take the constructor's arguments as they are."""
        for name, value in given.items():
            setattr(self, name, value)

    def _fit_model(self, X: Any, y: Any, weights: Any, validation: Any) -> None:
        given = self.get_params(deep=False)
        self.model_ = fit(
            X, y, self._task, sample_weight=weights, validation=validation,
            seed=seed_from(check_random_state(self.random_state)), progress=bool(self.verbose),
            **{name: given[name] for name in given if name in _OF_FIT},
        )  # fmt: skip
        members = self.model_.report["members"]
        self.columns_ = self.model_.columns
        some = _some(X, weights, self.model_.target.outputs)
        self._some_rows = self.columns_.transform(some)
        self._importances: NDArray[np.float64] | None = None
        self.best_epoch_: int = members[0]["best_epoch"]
        self.n_iter_ = len(members[0]["epochs"]["epoch"])
        self.history_: dict[str, list[float]] = members[0]["epochs"]

    def _to_predictions(self) -> TabularModel:
        check_is_fitted(self)
        return self.model_

    def _reported(self, X: Any, y: Any, train: tuple[Any, Any] | None) -> TabularModel:
        return self.model_

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """The share of each column, by gradient times input, on rows drawn at random among those
        of a weight above 0."""
        check_is_fitted(self)
        if self._importances is None:
            shares = self.model_.importances_encoded(self._some_rows)
            self._importances = np.array(list(shares.values()))
        return self._importances.copy()

    def __getstate__(self) -> Any:
        """What a pickle holds: the importances, not the rows that they are taken of."""
        if hasattr(self, "_some_rows"):
            _ = self.feature_importances_
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_some_rows"}

    def _rows(self, X: Any) -> Any:
        check_is_fitted(self)
        return self._checked(X, reset=False)

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """X, with the number and the names of its columns compared, or remembered."""
        if is_table(X):
            as_frame(X, "X")  # which says what is wrong with its names
        else:
            X = as_array(X, "X")
        validate_data(self, X, reset=reset, skip_check_array=True)
        return X

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.non_deterministic = self.time_budget is not None
        return tags


class TabularClassifier(ClassifierMixin, _Tabular):
    """Classes from a table as it comes, by the recipe of RealMLP.

    Args:
        preset: "default", "fast", "ensemble" or "best"; see `tabular.fit`.
        categorical, numeric, dates, drop: names of columns of a frame that are of this kind, or are
            not to be used; of an array their numbers, from 0, or from -1 at the end. All others are
            decided by their values; see `tabular.Columns`.
        class_weight: a weight for each class, by its label, or "balanced": inversely proportional
            to its number of rows.
        validation_fraction: the share of rows that is held out to choose the best epoch.
        epochs, batch_size, hidden, lr, dropout, weight_decay: changes of the recipe; see
            `tabular.Recipe`.
        members: the number of networks of an ensemble.
        time_budget: seconds that `fit` may take; the schedule is shortened to fit, and an ensemble
            to the members that have begun by then.
        random_state: of the rows held out, starting values, the order of rows and dropout.
        verbose: whether to show the progress.
        callbacks: as of a `Trainer`.

    Attributes:
        classes_: the classes, sorted.
        model_: the `TabularModel`, which can be saved without pickle; its classes are text, numbers
            or booleans: of dates their text, of durations days.
        columns_: what was decided for each column, a `tabular.Columns`.
        feature_importances_: the share of each column, by gradient times input; see
            `tabular.TabularModel.importances`.
        best_epoch_: the epoch whose weights were kept, from 1.
        n_iter_: the number of epochs.
        history_: the columns of the training's history as lists.

    Example:
        >>> import numpy as np
        >>> from chainrule.sklearn import TabularClassifier
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(200, 2))
        >>> y = np.where(X[:, 0] > 0, "up", "down")
        >>> model = TabularClassifier(epochs=9, random_state=0).fit(X, y)
        >>> model.predict([[2.0, 0.0], [-2.0, 0.0]]).tolist()
        ['up', 'down']
    """

    _task: ClassVar[TaskName] = "classification"
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **_Tabular._parameter_constraints,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        preset: str = "default",
        *,
        categorical: Sequence[Hashable] = (),
        numeric: Sequence[Hashable] = (),
        dates: Sequence[Hashable] = (),
        drop: Sequence[Hashable] = (),
        class_weight: ClassWeight = None,
        validation_fraction: float = 0.2,
        epochs: int | None = None,
        batch_size: int | None = None,
        hidden: Sequence[int] | None = None,
        lr: float | None = None,
        dropout: float | None = None,
        weight_decay: float | None = None,
        members: int | None = None,
        time_budget: float | None = None,
        random_state: Any = None,
        verbose: bool | int = False,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self._set(
            preset=preset, categorical=categorical, numeric=numeric, dates=dates, drop=drop,
            class_weight=class_weight, validation_fraction=validation_fraction, epochs=epochs,
            batch_size=batch_size, hidden=hidden, lr=lr, dropout=dropout,
            weight_decay=weight_decay, members=members, time_budget=time_budget,
            random_state=random_state, verbose=verbose, callbacks=callbacks,
        )  # fmt: skip

    @whole_or_not_at_all
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> TabularClassifier:
        """Train on a table.

        Args:
            X: a frame of pandas, polars or pyarrow, or an array of shape (rows, columns).
            y: the classes, shape (rows,).
            sample_weight: a weight for each row; see `tabular.fit`.
            X_val, y_val, sample_weight_val: rows that choose the best epoch, in place of a share of
                the others.

        Returns:
            The estimator.

        Raises:
            TypeError, ValueError: as `tabular.fit`.
        """
        self._validate_params()
        X = self._checked(X, reset=True)
        y = _labels(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) == 1:
            raise ValueError(
                f"{type(self).__name__} needs two classes or more: y holds 1 class, "
                f"{self.classes_.tolist()[0]!r:.80}"
            )
        weights = weights_of_rows(X, y, sample_weight, self.class_weight)
        validation = None
        if has_held_out(X_val, y_val, sample_weight_val):
            known = _labels(y_val)
            if not np.isin(known, self.classes_).all():
                raise ValueError("y_val holds classes that y does not have")
            codes_val = np.searchsorted(self.classes_, known)
            of_class = self.class_weight
            if isinstance(of_class, str):  # by the classes of y
                shares = compute_class_weight(of_class, classes=self.classes_, y=y)
                of_class = dict(zip(self.classes_, shares, strict=True))
            weights_val = weights_of_rows(
                X_val, known, sample_weight_val, of_class, name="sample_weight_val"
            )
            validation = X_val, codes_val, weights_val
        self._fit_model(X, codes, weights, validation)
        self.model_.target = classes_of(self.classes_)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The most likely class of each row, shape (rows,)."""
        most_likely = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[most_likely])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The calibrated probability of each class, in the order of `classes_`."""
        rows = self._rows(X)
        return self.model_.predict_proba(rows)

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """The logarithm of `predict_proba`."""
        return np.asarray(np.log(self.predict_proba(X)))


class TabularRegressor(RegressorMixin, _Tabular):
    """Numbers from a table as it comes, by the recipe of RealMLP.

    Args:
        preset: "default", "fast", "ensemble" or "best"; see `tabular.fit`.
        categorical, numeric, dates, drop: names of columns of a frame that are of this kind, or are
            not to be used; of an array their numbers, from 0, or from -1 at the end. All others are
            decided by their values; see `tabular.Columns`.
        loss: "squared_error", "gaussian" or "quantile"; see `tabular.fit`.
        quantiles: the levels that loss="quantile" predicts. `predict` is the median: if it is none
            of them, between the two around it, or the nearest if all are on one side.
        validation_fraction: the share of rows that is held out to choose the best epoch.
        epochs, batch_size, hidden, lr, dropout, weight_decay: changes of the recipe; see
            `tabular.Recipe`.
        members: the number of networks of an ensemble.
        time_budget: seconds that `fit` may take; the schedule is shortened to fit, and an ensemble
            to the members that have begun by then.
        random_state: of the rows held out, starting values, the order of rows and dropout.
        verbose: whether to show the progress.
        callbacks: as of a `Trainer`.

    Attributes:
        model_, columns_, feature_importances_, best_epoch_, n_iter_, history_: as of
            `TabularClassifier`.

    Example:
        >>> import numpy as np
        >>> from chainrule.sklearn import TabularRegressor
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(200, 2))
        >>> model = TabularRegressor(epochs=60, random_state=0).fit(X, 3 * X[:, 0])
        >>> bool(model.score(X, 3 * X[:, 0]) > 0.9)
        True
    """

    _task: ClassVar[TaskName] = "regression"
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **_Tabular._parameter_constraints,
        "loss": [StrOptions(set(LOSSES))],
        "quantiles": ["array-like"],
    }

    def __init__(
        self,
        preset: str = "default",
        *,
        categorical: Sequence[Hashable] = (),
        numeric: Sequence[Hashable] = (),
        dates: Sequence[Hashable] = (),
        drop: Sequence[Hashable] = (),
        loss: str = "squared_error",
        quantiles: Sequence[float] = (0.05, 0.5, 0.95),
        validation_fraction: float = 0.2,
        epochs: int | None = None,
        batch_size: int | None = None,
        hidden: Sequence[int] | None = None,
        lr: float | None = None,
        dropout: float | None = None,
        weight_decay: float | None = None,
        members: int | None = None,
        time_budget: float | None = None,
        random_state: Any = None,
        verbose: bool | int = False,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self._set(
            preset=preset, categorical=categorical, numeric=numeric, dates=dates, drop=drop,
            loss=loss, quantiles=quantiles, validation_fraction=validation_fraction,
            epochs=epochs, batch_size=batch_size,
            hidden=hidden, lr=lr, dropout=dropout, weight_decay=weight_decay, members=members,
            time_budget=time_budget, random_state=random_state, verbose=verbose,
            callbacks=callbacks,
        )  # fmt: skip

    @whole_or_not_at_all
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> TabularRegressor:
        """Train on a table.

        Args:
            X: a frame of pandas, polars or pyarrow, or an array of shape (rows, columns).
            y: the targets, shape (rows,) or (rows, targets).
            sample_weight: a weight for each row; see `tabular.fit`.
            X_val, y_val, sample_weight_val: rows that choose the best epoch, in place of a share of
                the others.

        Returns:
            The estimator.

        Raises:
            TypeError, ValueError: as `tabular.fit`.
        """
        self._validate_params()
        X = self._checked(X, reset=True)
        y = _targets(y)
        weights = weights_of_rows(X, y, sample_weight)
        validation = None
        if has_held_out(X_val, y_val, sample_weight_val):
            weights_val = weights_of_rows(X_val, y_val, sample_weight_val, name="sample_weight_val")
            validation = X_val, _targets(y_val), weights_val
        self._fit_model(X, y, weights, validation)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """The prediction for each row, shape (rows,) or (rows, targets).

        It is the mean, with loss="quantile" the median; see `quantiles`.
        """
        rows = self._rows(X)
        return self.model_.predict(rows)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The coefficient of determination of `predict`, the mean over targets."""
        refuse_times(np.asarray(y))
        return float(super().score(X, y, sample_weight))

    def predict_interval(
        self, X: Any, coverage: float = 0.9
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(low, high), between which a target lies with probability `coverage`; see
        `tabular.TabularModel.predict_interval`."""
        rows = self._rows(X)
        return self.model_.predict_interval(rows, coverage)

    def predict_quantiles(self, X: Any) -> NDArray[np.float64]:
        """The quantiles of each row's target, shape (rows, quantiles), with loss="quantile"."""
        rows = self._rows(X)
        return self.model_.predict_quantiles(rows)

    def predict_std(self, X: Any) -> NDArray[np.float64]:
        """The standard deviation of each row's target, with loss="gaussian"."""
        rows = self._rows(X)
        return self.model_.predict_std(rows)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _some(X: Any, weights: Any, outputs: int) -> Any:
    """Rows of a table for the importances, of weight above 0: of many some at random, the same ones
    every time."""
    used = np.arange(rows_in(X)) if weights is None else np.flatnonzero(weights)
    most = min(_ROWS, max(_TERMS // outputs, 100))
    if len(used) > most:
        used = used[np.sort(permutation(len(used), 0, 0)[:most])]
    return X if len(used) == rows_in(X) else rows_of(X, used)


def _labels(y: Any) -> NDArray[Any]:
    """Classes as a vector."""
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None")
    check_present(y)
    y = column_or_1d(y, warn=True)
    assert_all_finite(y, input_name="y")
    if kind_of_labels(y) not in ("binary", "multiclass"):
        check_classification_targets(y)
    return np.asarray(y)


def _targets(y: Any) -> NDArray[Any]:
    """Numbers as a vector, or rows of them."""
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None")
    check_dense(y, "y")
    check_present(y)
    numbers = np.asarray(_check_y(y, multi_output=True, y_numeric=True))
    refuse_times(numbers)
    return numbers
