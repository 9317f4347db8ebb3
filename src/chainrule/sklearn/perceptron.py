"""The base of MLPClassifier and MLPRegressor: fitting, going on, and the network's outputs."""

from __future__ import annotations

import warnings
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import check_is_fitted, validate_data

from chainrule.data.arrays import check_some_weight
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Array
from chainrule.nn import Module
from chainrule.sklearn.base import check_present, has_held_out, seed_from, weights_of_rows
from chainrule.sklearn.batches import DenseBatches, as_rows, make_batches, orders
from chainrule.sklearn.epochs import fit_epochs, needs_fit, train_epochs
from chainrule.sklearn.fit_tasks import CallbackSupportMixin, FitTask
from chainrule.sklearn.lbfgs import FullObjective, minimize_by_lbfgs
from chainrule.sklearn.network import ACTIVATIONS, Network, made_of, widths_of
from chainrule.sklearn.objective import Objective, target_fault
from chainrule.sklearn.outputs import Outputs, predicting_backend, trained_backend
from chainrule.sklearn.predictions import PerceptronPredictions
from chainrule.sklearn.reports import ReportMixin
from chainrule.sklearn.solvers import SOLVERS, make_optimizer
from chainrule.sklearn.sparse_rows import with_distinct_entries
from chainrule.sklearn.training import (
    StoppingRule,
    Validation,
    as_it_is,
    complete_epochs,
    forget_epochs,
    has_failed,
    note_divergence,
    restore,
    whole_network,
)
from chainrule.train import Trainer
from chainrule.train.training_step import check_takes_weights

_ONE_PER_LAYER = [list, tuple]


class BasePerceptron(ReportMixin, CallbackSupportMixin, BaseEstimator):
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
        "dropout": [Interval(Real, 0, 1, closed="left"), *_ONE_PER_LAYER],
        "normalization": [StrOptions({"batch", "layer"}), None],
        "residual": ["boolean"],
        "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
        "clip_value": [Interval(Real, 0, None, closed="neither"), None],
        "scoring": [StrOptions({"loss", *get_scorer_names()}), callable, None],
        "callbacks": [list, tuple, None],
        "allow_nan": ["boolean"],
    }

    coefs_: list[Array]
    intercepts_: list[Array]
    loss_curve_: list[float]
    validation_scores_: Any
    validation_loss_curve_: Any
    best_validation_score_: float | None
    best_loss_: float | None
    _best: Any
    _best_epoch: int
    _trainer: Trainer
    _optimizer: Any
    _optimized: list[Parameter]
    """The parameters that the optimizer was made for."""
    _objective_of: tuple[Any, ...]
    """What the Trainer's objective and clipping were made of."""
    _known: tuple[Any, Array] | None = None
    """Of an estimator that is scored the rows held out, and their outputs."""
    _kept_epoch: int
    """The epoch whose weights the network has, counted from 1 over all of `loss_curve_`."""

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

    def _numbers_of(self, output: Array) -> Array:
        """What of outputs must be finite to be scored."""
        return output

    def _score_of(self, y: Array, output: Array, weights: Array | None) -> float:
        """How good outputs are for checked y, by the estimator's own score."""
        raise NotImplementedError

    def _out_activation(self) -> str:
        """The activation by which outputs become predictions."""
        raise NotImplementedError

    def _loss(self) -> Any:
        """The loss of a batch, of outputs and targets."""
        raise NotImplementedError

    # Fitting

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        held_out: tuple[Any, Any, Any],
        *,
        incremental: bool = False,
    ) -> Any:
        self.__dict__.pop("_known", None)  # of what a scorer has kept
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        hidden = widths_of(self.hidden_layer_sizes)
        self._check_parts(incremental, has_held_out=held_out[0] is not None)
        check_present(y)
        given, y = self._validate_input(X, y, incremental, reset=first)
        weights = weights_of_rows(
            given, y, sample_weight, self._class_weight(), dtype=given.dtype,
            classes=getattr(self, "classes_", None) if incremental else None,
        )  # fmt: skip
        if weights is not None:
            check_takes_weights(self._loss())
        X = self._filled(as_rows(given, keeps_short=not self.residual), reset=first)
        validation = self._given_validation(*held_out, like=(X, y))
        self._random_state = check_random_state(self.random_state)
        self.n_outputs_ = self._outputs_of(y)
        network = None if first else getattr(self, "_network", None)
        if network is None:
            # scipy's L-BFGS-B computes in float64, and its line search needs all the digits.
            dtype = np.float64 if self.solver == "lbfgs" else X.dtype
            network = self._new_network([X.shape[1], *hidden, self.n_outputs_], dtype)
        if first:
            network.initialize(self._random_state, X.dtype)
            self._begin(len(hidden) + 2)
        else:
            network.check_widths(X.shape[1], hidden, self.n_outputs_)
            network.assign(self.coefs_, self.intercepts_)
            network = self._as_set_now(network)
            self.out_activation_ = self._out_activation()
        self._network = network
        with whole_network(self):
            is_watched = not incremental and hasattr(self, "_skl_callbacks")
            task = FitTask(self, given, y, weights, self.max_iter) if is_watched else None
            self._train(X, y, weights, validation, task, incremental)
        return self

    def _train(
        self, X: Any, y: Any, weights: Any, validation: Any, task: FitTask | None, incremental: bool
    ) -> None:
        network = self._network
        if self.solver == "lbfgs":
            self._fit_lbfgs(X, y, weights, task)
        else:
            self._fit_stochastic(X, y, weights, validation, task, incremental)
        self.coefs_, self.intercepts_ = network.coefs(), network.intercepts()
        if not all(np.isfinite(a).all() for a in (*self.coefs_, *self.intercepts_)):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values and need to be preprocessed."
            )
        if task is not None:
            task.finish()

    def _check_parts(self, incremental: bool, has_held_out: bool) -> None:
        """Raise ValueError for parts that do not go together."""
        if self.early_stopping and incremental and not has_held_out:
            raise ValueError(
                "partial_fit does not support early_stopping=True without rows to validate on: "
                "give X_val and y_val"
            )
        if self.solver != "lbfgs":
            return
        if has_held_out:
            raise ValueError("solver='lbfgs' has no epochs after which X_val could be evaluated")
        parts = {
            "dropout": np.any(self.dropout),
            "normalization='batch'": self.normalization == "batch",
            "clip_norm": self.clip_norm is not None,
            "clip_value": self.clip_value is not None,
            "callbacks": self.callbacks,
            "a schedule as learning_rate": callable(self.learning_rate),
        }
        for name, given in parts.items():
            if given:
                raise ValueError(
                    f"{name} needs a solver that trains by minibatches, as 'adam'; solver='lbfgs' "
                    "minimises one function of all rows"
                )

    def _class_weight(self) -> Any:
        """The weight of the rows of each class, or None."""
        return None

    def _check_held_out(self, held: Array, y: Array) -> None:
        """Raise ValueError for checked y_val that does not fit checked y."""
        if held.shape[1:] != y.shape[1:]:
            raise ValueError(
                f"y_val has shape {held.shape}, and y {y.shape}: give the rows to validate on the "
                "targets that the others have"
            )

    def _as_set_now(self, network: Network) -> Network:
        """A network to go on with, where parameters of its layers were set anew with these."""
        found, dtype = network, network.layers[0].weight.dtype
        if made_of(len(network.layers) - 1, **self._parts()) != network.made_of:
            found = self._new_network(network.widths, dtype, network)
        if self.solver == "lbfgs" and dtype != np.float64:
            found = found.in_dtype(np.float64)
        if found is not network:
            self._best = self.best_validation_score_ = None  # of the network before
        return found

    def _new_network(self, widths: list[int], dtype: Any, before: Network | None = None) -> Network:
        return Network(widths, **self._parts(), dtype=dtype, before=before)

    def _parts(self) -> dict[str, Any]:
        """What a network is made of, besides widths and dtype."""
        return {
            "activation": self.activation,
            "normalization": self.normalization,
            "dropout": self.dropout,
            "residual": self.residual,
            "output": getattr(self, "output_activation", None),  # of a regressor
        }

    def _begin(self, layers: int) -> None:
        """The attributes as they are before the first epoch."""
        self.n_iter_ = 0
        self.t_ = 0
        self.n_layers_ = layers
        self.out_activation_ = self._out_activation()
        forget_epochs(self)

    def _note_loss(self) -> None:
        """Keep what predictions need of the loss, as a training by it begins."""

    def _objective(self, network: Network) -> Objective:
        return Objective(self._loss(), network.layers, float(self.alpha))

    def _fit_lbfgs(self, X: Any, y: Array, weights: Array | None, task: FitTask | None) -> None:
        self._note_loss()
        network, objective = self._network, self._objective(self._network)
        targets = self._targets(y, network.layers[0].weight.dtype)
        full = FullObjective(network.form_for(X), objective, X, targets, weights)

        def after_iteration(intermediate_result: Any) -> None:
            if self.verbose:
                print(f"loss = {intermediate_result.fun:.8f}")
            if task is not None:
                task.begin()
                if task.end():
                    raise StopIteration

        found = minimize_by_lbfgs(
            full, max_iter=self.max_iter, max_fun=self.max_fun, tol=self.tol,
            callback=after_iteration if self.verbose or task is not None else None,
        )  # fmt: skip
        self.n_iter_ = _check_optimize_result("lbfgs", found, self.max_iter)
        self.loss_ = found.fun
        self._kept_epoch = self.n_iter_
        self._backend = predicting_backend(network.model, objective)
        if hasattr(self, "_trainer"):
            del self._trainer, self._optimizer, self._optimized

    def _fit_stochastic(
        self,
        X: Any,
        y: Array,
        weights: Array | None,
        validation: Validation | None,
        task: FitTask | None,
        incremental: bool,
    ) -> None:
        model = self._network.form_for(X)
        self._begin_training(model, goes_on=incremental and hasattr(self, "_optimizer"))
        trainer = self._trainer
        if self.early_stopping and validation is None:
            X, y, weights, validation = self._held_out(X, y, weights)
        complete_epochs(self, validates=validation is not None)
        rows = X.shape[0]
        if self.batch_size != "auto" and self.batch_size > rows:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                stacklevel=2,
            )
        size = min(200 if self.batch_size == "auto" else int(self.batch_size), rows)
        while self.normalization == "batch" and size > 1 and rows % size == 1:
            size += 1  # one row has no variance
        order = orders(rows, self.shuffle, self._random_state)
        batches = make_batches(model, X, self._targets(y, X.dtype), weights, size, order)
        self.n_iter_ = 0
        rule = StoppingRule(self, rows, validation, incremental=incremental)
        epochs = 1 if incremental else int(self.max_iter)
        trainer.callbacks += [*([] if task is None else [task]), *(self.callbacks or ())]
        try:
            if isinstance(batches, DenseBatches) and not needs_fit(trainer, batches):
                after = partial(rule.on_epoch_end, trainer)
                is_finite = train_epochs(trainer, batches, epochs, after)
            else:
                trainer.callbacks.insert(0, rule)
                is_finite = fit_epochs(trainer, batches, epochs)
        finally:
            trainer.callbacks.clear()
        if not is_finite:
            note_divergence(self, incremental, rows)
        if trainer.state.stop_reason == "interrupted":
            warnings.warn("Training interrupted by user.", stacklevel=2)
        self._kept_epoch = len(self.loss_curve_)
        if self.early_stopping and not (incremental and rule.goes_on):
            restore(self._network.model, self._best)
            self._kept_epoch = self._best_epoch

    def _begin_training(self, model: Module, *, goes_on: bool) -> None:
        """A Trainer; one that goes on keeps the optimizer, if it has the network's parameters."""
        parameters = list(model.parameters())
        objective_of = self.alpha, self.loss, self.clip_norm, self.clip_value
        goes_on = goes_on and not has_failed(self._trainer)
        if goes_on and [*map(id, self._optimized)] == [*map(id, parameters)]:
            if self._trainer.model is model and objective_of == self._objective_of:
                return
            seed, schedule = self._trainer.seed + 1, self._trainer.schedule
        else:
            is_random = any(module.is_stochastic for module in model.modules())
            seed = seed_from(self._random_state) if is_random else 0
            self._optimized = [*parameters]
            self._optimizer = make_optimizer(self, parameters)
            schedule = self.learning_rate(self._optimizer) if callable(self.learning_rate) else None
        self._note_loss()
        self._objective_of = objective_of
        self._trainer = Trainer(
            model,
            self._objective(self._network),
            self._optimizer,
            schedule=schedule,
            clip_norm=self.clip_norm,
            clip_value=self.clip_value,
            seed=seed,
        )
        self._backend = trained_backend(self._trainer, self._network.model)

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

    def _has_no_score(self) -> bool:
        """Whether the estimator's own score is not of its predictions."""
        return False

    def _strata(self, y: Array) -> Array | None:
        """What a random split keeps the shares of."""
        return None

    def _given_validation(
        self, X: Any, y: Any, weights: Any, *, like: tuple[Any, Array]
    ) -> Validation | None:
        """The rows to validate on that a user gives, like checked X and y; None without any."""
        if not has_held_out(X, y, weights):
            return None
        try:
            X, y = self._checked(X, y, reset=False, dtype=like[0].dtype)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"X_val and y_val: {error}") from None
        self._check_held_out(y, like[1])
        weights = weights_of_rows(X, y, weights, dtype=X.dtype, name="sample_weight_val")
        X = self._filled(as_rows(X, keeps_short=not self.residual), reset=False)
        return self._validation(X, y, weights)

    def _checked(self, X: Any, y: Any, **options: Any) -> tuple[Any, Array]:
        """Rows with targets as arrays, by `validate_data`; one column of targets is a vector."""
        options = {"dtype": (np.float64, np.float32), **self._row_options(), **options}
        X, y = validate_data(self, X, y, multi_output=True, **options)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _row_options(self) -> dict[str, Any]:
        """How rows are checked."""
        finite = "allow-nan" if self.allow_nan else True
        return {"accept_sparse": ["csr", "csc"], "ensure_all_finite": finite}

    def _validation(self, X: Any, y: Array, weights: Array | None = None) -> Validation:
        if weights is not None:
            check_takes_weights(self._loss())
            check_some_weight(weights, "the weight of the rows held out")
        targets = self._targets(y, X.dtype)
        if fault := target_fault(self._loss(), targets):
            raise ValueError(f"validation {fault}")
        scorer = self.scoring
        if scorer is not None and scorer != "loss":
            scorer = check_scoring(self, scorer)

        def score(output: Array, loss: float) -> float:
            if scorer == "loss" or (scorer is None and self._has_no_score()):
                return -loss
            if not np.isfinite(self._numbers_of(output)).all():
                return np.nan
            if scorer is None:
                return self._score_of(y, output, weights)
            given = {} if weights is None else {"sample_weight": weights}
            return float(scorer(as_it_is(self, X, output), X, y, **given))

        return Validation(X, targets, weights, score)

    # Prediction

    @property
    def network_(self) -> Module:
        """The network, with the weights of `coefs_`."""
        return self._with_its_weights().model

    def _with_its_weights(self) -> Network:
        """The network, with the weights of `coefs_`."""
        check_is_fitted(self, "coefs_")
        if not hasattr(self, "_network"):
            raise NotFittedError(
                "coefs_ was set and nothing was fitted, so no network holds the weights: call fit "
                "first, then set weights of the same shapes"
            )
        self._network.assign(self.coefs_, self.intercepts_)
        return self._network

    def _filled(self, X: Any, *, reset: bool) -> Any:
        """Rows without missing values: means in their places, and columns that say where."""
        if not self.allow_nan:
            return X
        X = with_distinct_entries(X)
        if reset or not hasattr(self, "imputer_"):
            self.imputer_ = SimpleImputer(add_indicator=True, keep_empty_features=True).fit(X)
        return as_rows(self.imputer_.transform(X))

    def _to_predictions(self) -> PerceptronPredictions:
        return PerceptronPredictions(self)

    def _output(self, X: Any) -> Array:
        """The outputs of the network for rows as a user gives them."""
        if self._known is not None and X is self._known[0]:
            return self._known[1]
        self._with_its_weights()
        X = validate_data(self, X, reset=False, **self._row_options())
        if self.allow_nan:
            X = self._filled(X.astype(self.coefs_[0].dtype), reset=False)
        return Outputs(self._backend, X).compute()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.allow_nan
        return tags
