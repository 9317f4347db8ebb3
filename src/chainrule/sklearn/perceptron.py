"""The base of MLPClassifier and MLPRegressor: fitting, going on, and the network's outputs."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import validate_data

from chainrule.errors import NonFiniteError
from chainrule.graph.tensor import Array
from chainrule.nn import Module
from chainrule.sklearn.base import weights_of_rows
from chainrule.sklearn.batches import dense_if_small, dense_parts, make_batches, orders
from chainrule.sklearn.lbfgs import FullObjective, minimize_by_lbfgs
from chainrule.sklearn.network import ACTIVATIONS, Network
from chainrule.sklearn.objective import Objective
from chainrule.sklearn.solvers import SOLVERS, make_optimizer
from chainrule.sklearn.training import (
    StoppingRule,
    Validation,
    restore,
    state_of,
    warn_of_max_iter,
)
from chainrule.train import Evaluator, Trainer

_ONE_PER_LAYER = [list, tuple]


class BasePerceptron(BaseEstimator):
    """The base of MLPClassifier and MLPRegressor."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS)), callable, Module, *_ONE_PER_LAYER],
        "solver": [StrOptions({"lbfgs", *SOLVERS}), callable],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), callable],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
    }

    coefs_: list[Array]
    intercepts_: list[Array]
    loss_curve_: list[float]
    validation_scores_: Any
    validation_loss_curve_: Any
    best_validation_score_: float | None
    best_loss_: float | None

    # Defined by the two

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        """X and y checked, y as it is scored."""
        raise NotImplementedError

    def _targets(self, y: Array, dtype: Any) -> Array:
        """Checked y as the loss takes it."""
        raise NotImplementedError

    def _outputs_of(self, y: Array) -> int:
        """The number of outputs for checked y."""
        raise NotImplementedError

    def _predicted(self, output: Array) -> Array:
        """What `predict` gives for outputs of the network."""
        raise NotImplementedError

    def _score_of(self, y: Array, predicted: Array, weights: Array | None) -> float:
        """How good predictions of checked y are."""
        raise NotImplementedError

    # Fitting

    def _fit(self, X: Any, y: Any, sample_weight: Any = None, *, incremental: bool = False) -> Any:
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        X, y = self._validate_input(X, y, incremental, reset=first)
        X = dense_if_small(X)
        weights = weights_of_rows(X, y, sample_weight, dtype=X.dtype)
        hidden = np.atleast_1d(np.asarray(self.hidden_layer_sizes)).tolist()
        if any(width <= 0 for width in hidden):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        self._random_state = check_random_state(self.random_state)
        self.n_outputs_ = self._outputs_of(y)
        network = None if first else getattr(self, "_network", None)
        if network is None:
            network = Network(
                [X.shape[1], *hidden, self.n_outputs_], activation=self.activation, dtype=X.dtype
            )
        if first:
            network.initialize(self._random_state)
            self._begin(len(hidden) + 2)
        else:
            network.assign(self.coefs_, self.intercepts_)
        self._network = network
        if self.solver == "lbfgs":
            self._fit_lbfgs(X, y, weights)
        else:
            self._fit_stochastic(X, y, weights, incremental)
        self.coefs_, self.intercepts_ = network.coefs(), network.intercepts()
        if not all(np.isfinite(a).all() for a in (*self.coefs_, *self.intercepts_)):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values and need to be preprocessed."
            )
        return self

    def _begin(self, layers: int) -> None:
        """The attributes as they are before the first epoch."""
        self.n_iter_ = 0
        self.t_ = 0
        self.n_layers_ = layers
        self.out_activation_ = self._out_activation()
        if self.solver == "lbfgs":
            return
        self.loss_curve_ = []
        self._no_improvement_count = 0
        if self.early_stopping:
            self.validation_scores_ = []
            self.validation_loss_curve_ = []
            self.best_validation_score_ = -np.inf
            self.best_loss_ = None
        else:
            self.validation_scores_ = self.validation_loss_curve_ = None
            self.best_validation_score_ = None
            self.best_loss_ = np.inf

    def _out_activation(self) -> str:
        raise NotImplementedError

    def _loss(self) -> Any:
        """The loss of a batch, of outputs and targets."""
        raise NotImplementedError

    def _objective(self) -> Objective:
        return Objective(self._loss(), self._network.layers, float(self.alpha))

    def _fit_lbfgs(self, X: Any, y: Array, weights: Array | None) -> None:
        objective = self._objective()
        full = FullObjective(self._network.model, objective, X, self._targets(y, X.dtype), weights)
        found = minimize_by_lbfgs(
            full, max_iter=self.max_iter, max_fun=self.max_fun, tol=self.tol,
            callback=_printed if self.verbose else None,
        )  # fmt: skip
        self.n_iter_ = _check_optimize_result("lbfgs", found, self.max_iter)
        self.loss_ = found.fun
        self._runner: Trainer | Evaluator = Evaluator(self._network.model, objective)
        if hasattr(self, "_optimizer"):
            del self._optimizer

    def _fit_stochastic(self, X: Any, y: Array, weights: Array | None, incremental: bool) -> None:
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        model = self._network.model
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer = make_optimizer(self, list(model.parameters()))
            self._runner = Trainer(model, self._objective(), self._optimizer)
        trainer: Any = self._runner
        validation = None
        if self.early_stopping:
            X, y, weights, validation = self._held_out(X, y, weights)
            self._best = state_of(model)
        rows = X.shape[0]
        if self.batch_size != "auto" and self.batch_size > rows:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                stacklevel=2,
            )
        size = min(200 if self.batch_size == "auto" else int(self.batch_size), rows)
        batches = make_batches(
            X,
            self._targets(y, X.dtype),
            weights,
            size,
            orders(rows, self.shuffle, self._random_state),
        )
        self.n_iter_ = 0
        trainer.callbacks[:] = [StoppingRule(self, rows, validation, once=incremental)]
        try:
            trainer.fit(batches, epochs=1 if incremental else int(self.max_iter), progress=False)
        except NonFiniteError:
            self._diverged(incremental)
        finally:
            trainer.callbacks.clear()
        if trainer.state.stop_reason == "interrupted":
            warnings.warn("Training interrupted by user.", stacklevel=2)
        if self.early_stopping:
            restore(model, self._best)

    def _held_out(
        self, X: Any, y: Array, weights: Array | None
    ) -> tuple[Any, Array, Array | None, Validation]:
        """The rows to train on, and those to validate on."""
        given = [X, y] if weights is None else [X, y, weights]
        parts = train_test_split(
            *given,
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=self._strata(y),
        )
        train, held = parts[::2], parts[1::2]
        if held[0].shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        validation = self._validation(*held)
        return train[0], train[1], None if weights is None else train[2], validation

    def _strata(self, y: Array) -> Array | None:
        """What a random split keeps the shares of."""
        return None

    def _validation(self, X: Any, y: Array, weights: Array | None = None) -> Validation:
        def score(output: Array) -> float:
            return self._score_of(y, self._predicted(output), weights)

        return Validation(X, self._targets(y, X.dtype), weights, score)

    def _diverged(self, incremental: bool) -> None:
        """What a training gives whose weights are no longer finite: NaN, to its last epoch."""
        rest = 1 if incremental else self.max_iter - self.n_iter_
        self.loss_curve_ += [np.nan] * rest
        self.n_iter_ += rest
        self.loss_ = np.nan
        if not self.early_stopping:
            for layer in self._network.layers:
                layer.weight.assign(np.full(layer.weight.shape, np.nan, layer.weight.dtype))
        else:
            self.validation_scores_ += [float("nan")] * rest
            self.validation_loss_curve_ += [float("nan")] * rest
            self._no_improvement_count = 0
        if not incremental:
            warn_of_max_iter(self.max_iter)

    # Prediction

    def _output(self, X: Any) -> Array:
        """The outputs of the network for rows as a user gives them."""
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        self._network.assign(self.coefs_, self.intercepts_)
        return self._runner.predict(dense_parts(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _printed(intermediate_result: Any) -> None:
    print(f"loss = {intermediate_result.fun:.8f}")
