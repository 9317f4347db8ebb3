"""MLPRegressor: scikit-learn's, trained by native plans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import assert_all_finite, check_consistent_length
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_y, check_is_fitted

from chainrule.graph.tensor import Array
from chainrule.sklearn.base import refuse_times, weights_of_rows, whole_or_not_at_all
from chainrule.sklearn.losses import REGRESSION, quantiles_of, regression_link, regression_loss
from chainrule.sklearn.network import ACTIVATIONS
from chainrule.sklearn.perceptron import BasePerceptron
from chainrule.sklearn.solvers import trains_by_batches
from chainrule.sklearn.training import LossOfOutputs, Validation
from chainrule.tabular.reading import check_dense

_LINKS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda output: output,
    "exp": np.exp,
    "logistic": expit,
    "softmax": lambda output: softmax(output, axis=1),
}
"""What makes numbers of the network's outputs."""


class MLPRegressor(RegressorMixin, BasePerceptron):
    """A regression by a network: scikit-learn's MLPRegressor, and what it lacks.

    With arguments that scikit-learn's has, the numbers are the same, to rounding: weights, losses,
    epochs, predictions. Training runs in the native core, in the dtype of X, float32 or float64;
    by "lbfgs" in float64.

    Args:
        loss: "squared_error" (half of it), "poisson" (half the deviance; the network gives the
            logarithm of the mean), "absolute_error", "huber"; a loss of `nn`, as
            ``nn.PinballLoss([0.1, 0.5, 0.9])``, with which `predict` gives a column for each
            quantile and `score` is the loss times -1, or ``nn.BCEWithLogitsLoss()`` for shares
            between 0 and 1; or a function (outputs, targets) of two (rows, columns) that returns a
            scalar. With weights of rows it needs the keyword `sample_weight`.
        hidden_layer_sizes: the widths of the hidden layers.
        activation: of the hidden layers: "identity", "logistic", "tanh", "relu", the name of
            another of `nn` ("gelu", "silu", "selu", "mish", ...), a module, the class of one, or a
            function of Tensors; or a list with one for each layer.
        solver: "adam", "sgd", "lbfgs"; another of `optim` by its name ("adamw", "lion", ...) or as
            a class, with `learning_rate_init`; or a function of the parameters that returns an
            optimizer.
        alpha: the strength of the penalty alpha / (2 n) sum of W^2, for n rows in a batch.
        batch_size: rows in a batch; "auto" is 200, or all if there are fewer.
        learning_rate: for "sgd" "constant", "invscaling", or "adaptive": a fifth where neither loss
            nor score has become better. For all solvers but "lbfgs" a function of the optimizer
            that returns a schedule, as ``lambda o: optim.lr_scheduler.CosineAnnealingLR(o, 50)``.
        learning_rate_init: the first learning rate.
        power_t: of "invscaling": learning_rate_init / t^power_t after t rows.
        max_iter: epochs at most; of "lbfgs" iterations.
        shuffle: whether rows are drawn in a new order in every epoch.
        random_state: of the first weights, the orders and the rows held out; with an integer the
            same as in scikit-learn.
        tol: an epoch is better whose loss (or score) is better by this.
        verbose: whether to print the loss of each epoch.
        warm_start: whether `fit` goes on from the weights of the last one.
        momentum, nesterovs_momentum: of "sgd".
        early_stopping: whether rows are held out, training ends where their score no longer becomes
            better, and the best weights are kept.
        validation_fraction: the share of rows that are held out, unless `fit` is given X_val.
        beta_1, beta_2, epsilon: of "adam".
        n_iter_no_change: epochs without a better one after which training ends.
        max_fun: evaluations of "lbfgs" at most.
        output_activation: an activation after the last layer, as "softplus" for what is positive.
        dropout: the share of each hidden layer's outputs that are dropped in training; or a list
            with one for each layer.
        normalization: "batch" or "layer": normalises each hidden layer before its activation.
            With "batch" batches are larger where the last one would have one row alone.
        residual: whether each hidden layer adds its input to its output; where the widths differ,
            by a linear layer without bias.
        clip_norm, clip_value: the largest norm of all gradients, the largest element.
        scoring: of early stopping: by default the estimator's `score`; "loss"; or as
            `cross_val_score` takes it.
        callbacks: a list of `chainrule.Callback`; the record of an epoch has "loss", and where rows
            are held out "validation_loss" and "validation_score". Those of scikit-learn (1.9) are
            given to `set_callbacks`.
        allow_nan: whether missing values are replaced by their columns' means, with a column of
            zeros and ones for each column that has some in `fit`.

    Attributes:
        coefs_, intercepts_: the weights of each layer, (in, out), and the biases.
        loss_, best_loss_, loss_curve_: the loss, with the penalty, of the last epoch, the least,
            and of each.
        validation_scores_, best_validation_score_: of the rows held out, else None.
        validation_loss_curve_: their losses, without the penalty, else None.
        n_iter_, t_: epochs of the last `fit`, and rows seen in all.
        n_layers_, n_outputs_, out_activation_: with input and output; "identity", "exp", "logistic"
            or "softmax".
        n_features_in_, feature_names_in_: the columns, and their names if they have some.
        network_: the network, a `nn.Module`, to look into or to save with `chainrule.save`. Its
            outputs are those before `out_activation_`.
        imputer_: with `allow_nan`, what replaces missing values.

    Raises:
        ValueError, TypeError: where a parameter, X or y does not fit, by `fit`.

    Example:
        >>> import numpy as np
        >>> from chainrule import nn
        >>> from chainrule.sklearn import MLPRegressor
        >>> X = np.random.default_rng(0).uniform(-2, 2, (400, 1))
        >>> y = np.sin(X[:, 0])
        >>> loss = nn.PinballLoss([0.1, 0.9])
        >>> network = MLPRegressor(loss, learning_rate_init=0.02, tol=0.01, random_state=0)
        >>> low, high = network.fit(X, y).predict([[1.0]])[0]
        >>> bool(low < np.sin(1.0) < high)
        True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BasePerceptron._parameter_constraints,
        "loss": [StrOptions(set(REGRESSION)), callable],
        "output_activation": [StrOptions(set(ACTIVATIONS)), callable, None],
    }

    def __init__(  # `fit` checks them, as in scikit-learn
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: Any = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: Any = 0.001,
        power_t: Any = 0.5,
        max_iter: Any = 200,
        shuffle: Any = True,
        random_state: Any = None,
        tol: Any = 1e-4,
        verbose: Any = False,
        warm_start: Any = False,
        momentum: Any = 0.9,
        nesterovs_momentum: Any = True,
        early_stopping: Any = False,
        validation_fraction: Any = 0.1,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: Any = 15000,
        output_activation: Any = None,
        dropout: Any = 0.0,
        normalization: Any = None,
        residual: Any = False,
        clip_norm: Any = None,
        clip_value: Any = None,
        scoring: Any = None,
        callbacks: Any = None,
        allow_nan: Any = False,
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
        self.output_activation = output_activation
        self.dropout = dropout
        self.normalization = normalization
        self.residual = residual
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.scoring = scoring
        self.callbacks = callbacks
        self.allow_nan = allow_nan

    @whole_or_not_at_all
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> MLPRegressor:
        """Train on rows and their numbers.

        Args:
            X: rows of numbers, shape (rows, columns): an array, a frame, a sparse matrix.
            y: numbers, shape (rows,) or (rows, targets).
            sample_weight: a weight for each row.
            X_val, y_val, sample_weight_val: rows to validate on after every epoch, in place of a
                share of X.

        Returns:
            The estimator.
        """
        return self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val))

    @available_if(trains_by_batches)
    @whole_or_not_at_all
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> MLPRegressor:
        """Train one epoch more on rows, which may be others than before.

        With `early_stopping` and X_val each call validates. From the call on after which the score
        has not become better for more than `n_iter_no_change` calls, the best weights are kept.
        After a call that failed in its training, the next one begins with a new optimizer.

        Args:
            X, y, sample_weight, X_val, y_val, sample_weight_val: as of `fit`.

        Returns:
            The estimator.
        """
        held_out = X_val, y_val, sample_weight_val
        return self._fit(X, y, sample_weight, held_out, incremental=True)

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        link = regression_link(self.loss)
        if link != "identity" and self.output_activation is not None:
            raise ValueError(f"loss={self.loss!r} has {link} as output_activation: leave out yours")
        X, y = self._checked(X, y, reset=reset)
        if quantiles_of(self.loss) > 1 and y.ndim > 1:
            raise ValueError("a loss of several quantiles is of one target, and y has several")
        if link == "softmax" and y.ndim == 1:
            raise ValueError(
                f"{type(self.loss).__name__} is of classes, and y is one column of numbers: use "
                "MLPClassifier, or give a column of probabilities for each class"
            )
        return X, y

    def _checked(self, X: Any, y: Any, **options: Any) -> tuple[Any, Array]:
        X, y = super()._checked(X, y, **options)
        return X, _numbers(y)

    def _outputs_of(self, y: Array) -> int:
        return quantiles_of(self.loss) if y.ndim == 1 else y.shape[1]

    def _out_activation(self) -> str:
        if self.output_activation is not None:
            given = self.output_activation
            return given if isinstance(given, str) else getattr(given, "__name__", repr(given))
        return regression_link(self.loss)

    def _note_loss(self) -> None:
        self._link = regression_link(self.loss)

    def _loss(self) -> Any:
        return regression_loss(self.loss)

    def _targets(self, y: Array, dtype: Any) -> Array:
        check_dense(y, "y")
        return np.ascontiguousarray(y.reshape(len(y), -1), dtype)

    def _predicted(self, output: Array) -> Array:
        found = _LINKS[self._link](output)
        return found[:, 0] if found.shape[1] == 1 else found

    def _has_no_score(self) -> bool:
        return quantiles_of(self.loss) > 1

    def _numbers_of(self, output: Array) -> Array:
        return self._predicted(output)

    def _score_of(self, y: Array, output: Array, weights: Array | None) -> float:
        return r2(y.reshape(len(y), -1), self._predicted(output).reshape(len(y), -1), weights)

    def predict(self, X: Any) -> Array:
        """The number of each row.

        Args:
            X: rows with the columns of `fit`.

        Returns:
            Shape (rows,), or (rows, targets), or (rows, quantiles).
        """
        check_is_fitted(self)
        return self._predicted(self._output(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The coefficient of determination; with a loss of several quantiles its value times -1.

        Args:
            X: rows with the columns of `fit`.
            y: their numbers.
            sample_weight: a weight for each row.
        """
        if not self._has_no_score():
            refuse_times(np.asarray(y))
            return float(super().score(X, y, sample_weight))
        check_is_fitted(self)
        output = self._output(X)
        y = _numbers(_check_y(y))
        check_consistent_length(output, y, sample_weight)
        weights = weights_of_rows(output, y, sample_weight, dtype=output.dtype)
        validation = Validation(None, self._targets(y, output.dtype), weights, lambda *_: 0.0)
        return -LossOfOutputs(self._loss(), output, validation)(output)


def _numbers(y: Array) -> Array:
    """Checked targets as numbers, which are finite."""
    refuse_times(y)
    if y.dtype.kind not in "OSU":
        return y
    numbers: Array = y.astype(np.float64)
    assert_all_finite(numbers, input_name="y")  # scikit-learn's check is blind in text and objects
    return numbers


def r2(y: Array, predicted: Array, weights: Array | None = None) -> float:
    """The coefficient of determination, the mean over targets: scikit-learn's `r2_score`.

    Without that function's checks, which take longer than an epoch of a few rows.

    Args:
        y, predicted: shape (rows, targets).
        weights: of the rows, or None.

    Example:
        >>> y = np.array([[1.0, 5.0], [3.0, 5.0]])
        >>> r2(y, np.array([[1.0, 5.0], [2.0, 5.0]])), r2(y, y + 1.0)
        (0.75, 0.0)
    """
    w = 1.0 if weights is None else weights[:, None]
    residual = np.sum(w * (y - predicted) ** 2, axis=0)
    total = np.sum(w * (y - np.average(y, axis=0, weights=weights)) ** 2, axis=0)
    of_constant = np.where(residual == 0, 1.0, 0.0)
    share = np.divide(residual, total, out=np.zeros_like(total), where=total != 0)
    return float(np.where(total != 0, 1.0 - share, of_constant).mean())
