"""MLPClassifier and MLPRegressor: scikit-learn's networks, trained by native plans."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, unique_labels
from sklearn.utils.validation import check_is_fitted, validate_data

from chainrule.graph.tensor import Array
from chainrule.sklearn.base import Labels
from chainrule.sklearn.objective import (
    BinaryLogLoss,
    HalfPoissonDeviance,
    HalfSquaredError,
    LogLoss,
)
from chainrule.sklearn.perceptron import BasePerceptron


def _trains_by_batches(estimator: Any) -> bool:
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
        )
    return True


class MLPClassifier(ClassifierMixin, BasePerceptron):
    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPClassifier:
        return self._fit(X, y, sample_weight)

    @available_if(_trains_by_batches)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> MLPClassifier:
        if _check_partial_fit_first_call(self, classes):
            self._labels = Labels(y)
            if self._labels.kind != "multilabel":
                self._labels = Labels(classes)
        return self._fit(X, y, sample_weight, incremental=True)

    def _validate_input(self, X, y, incremental, reset):
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True,
            dtype=(np.float64, np.float32), reset=reset,
        )  # fmt: skip
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._labels = Labels(y)
            self.classes_ = self._labels.classes
            return X, y
        classes = unique_labels(y)
        if self.warm_start:
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the "
                    f"previous call to fit. Previously got {self.classes_}, `y` has {classes}"
                )
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. "
                f"'y' has {classes}."
            )
        return X, y

    def _outputs_of(self, y: Array) -> int:
        return self._labels.outputs

    def _out_activation(self) -> str:
        return "softmax" if self._labels.kind == "multiclass" else "logistic"

    def _loss(self) -> Any:
        return LogLoss() if self._labels.kind == "multiclass" else BinaryLogLoss()

    def _targets(self, y: Array, dtype: Any) -> Array:
        encoded = self._labels.encode(y)
        if self._labels.kind == "multiclass":
            return encoded
        return encoded.reshape(len(encoded), -1).astype(dtype)

    def _strata(self, y: Array) -> Array | None:
        is_binary = self._labels.kind == "binary"
        return self._labels.encode(y).astype(bool).reshape(-1, 1) if is_binary else None

    def _probabilities(self, output: Array) -> Array:
        if self.out_activation_ == "softmax":
            return softmax(output, axis=1)
        return expit(output)

    def _predicted(self, output: Array) -> Array:
        return self._labels.decode(self._probabilities(output))

    def _score_of(self, y: Array, predicted: Array, weights: Array | None) -> float:
        right = predicted == y
        if right.ndim > 1:
            right = right.all(axis=1)
        return float(np.average(right, weights=weights))

    def predict(self, X: Any) -> Array:
        check_is_fitted(self)
        return self._predicted(self._output(X))

    def predict_proba(self, X: Any) -> Array:
        check_is_fitted(self)
        found = self._probabilities(self._output(X))
        return np.hstack([1 - found, found]) if self.n_outputs_ == 1 else found

    def predict_log_proba(self, X: Any) -> Array:
        found = self.predict_proba(X)
        return np.log(found, out=found)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, BasePerceptron):
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BasePerceptron._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson"})],
    }

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        return self._fit(X, y, sample_weight)

    @available_if(_trains_by_batches)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        return self._fit(X, y, sample_weight, incremental=True)

    def _validate_input(self, X, y, incremental, reset):
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=True,
            dtype=(np.float64, np.float32), reset=reset,
        )  # fmt: skip
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _outputs_of(self, y: Array) -> int:
        return 1 if y.ndim == 1 else y.shape[1]

    def _out_activation(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _loss(self) -> Any:
        return HalfPoissonDeviance() if self.loss == "poisson" else HalfSquaredError()

    def _targets(self, y: Array, dtype: Any) -> Array:
        return y.reshape(len(y), -1).astype(dtype)

    def _predicted(self, output: Array) -> Array:
        found = np.exp(output) if self.out_activation_ == "exp" else output
        return found[:, 0] if found.shape[1] == 1 else found

    def _score_of(self, y: Array, predicted: Array, weights: Array | None) -> float:
        return float(r2_score(y, predicted, sample_weight=weights))

    def predict(self, X: Any) -> Array:
        check_is_fitted(self)
        return self._predicted(self._output(X))
