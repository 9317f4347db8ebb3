"""Training by minibatches: scikit-learn's stopping rule, learning rates and validation."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from chainrule.compiler.capture import capture
from chainrule.compiler.elementwise import UnsupportedError
from chainrule.data.batches import in_order
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock
from chainrule.graph.context import no_grad
from chainrule.graph.state import State
from chainrule.graph.tensor import Array, Tensor
from chainrule.sklearn.outputs import Outputs, predicting_backend
from chainrule.sklearn.solvers import rates_of, set_learning_rate
from chainrule.train import Callback, Trainer
from chainrule.train.backends import get_default_backend
from chainrule.train.versions import Version

_LEAST_LEARNING_RATE = 1e-6
"""Where learning_rate='adaptive' has divided to this, training ends."""

_OF_EPOCHS: dict[str, Any] = {
    "best_loss_": None,
    "best_validation_score_": None,
    "validation_scores_": None,
    "validation_loss_curve_": None,
    "_no_improvement_count": 0,
    "_best": None,
    "_best_epoch": 0,
}
"""The attributes that a training by epochs goes on from, besides `loss_curve_`, as they begin."""

_FAILED = "failed"
"""The reason for which a Trainer has stopped that is not gone on with."""


class Validation(NamedTuple):
    """Rows that are held out.

    Attributes:
        x: the inputs, as the network takes them.
        targets: as the loss takes them.
        weights: of the rows, or None.
        score: (outputs of the network, their loss) -> how good they are.
    """

    x: Any
    targets: Array
    weights: Array | None
    score: Callable[[Array, float], float]


def forget_epochs(estimator: Any) -> None:
    """Delete the attributes of epochs, as a training begins anew."""
    for name in ("loss_curve_", *_OF_EPOCHS):
        if hasattr(estimator, name):
            delattr(estimator, name)


def complete_epochs(estimator: Any, *, validates: bool) -> None:
    """The attributes of epochs, where there are none yet, or none of the kind that comes."""
    for name, first in _OF_EPOCHS.items():
        if not hasattr(estimator, name):
            setattr(estimator, name, first)
    if not hasattr(estimator, "loss_curve_"):
        estimator.loss_curve_ = []
    if validates and estimator.validation_scores_ is None:
        estimator.validation_scores_, estimator.validation_loss_curve_ = [], []
    if estimator.early_stopping:
        if estimator.best_validation_score_ is None:
            estimator.best_validation_score_ = -np.inf
        if estimator._best is None:
            estimator._best = state_of(estimator._network.model)
            estimator._best_epoch = len(estimator.loss_curve_)
    elif estimator.best_loss_ is None:
        estimator.best_loss_ = np.inf


class StoppingRule(Callback):
    """What scikit-learn does after an epoch, on an estimator.

    It counts, notes the loss and the score, lowers the learning rate, and ends training where
    neither has become better by `tol` for `n_iter_no_change` epochs.

    Args:
        estimator: whose attributes are kept.
        rows: of the training.
        validation: the rows held out, or None.
        incremental: whether it is `partial_fit`, which trains for one epoch.

    Attributes:
        goes_on: whether training may go on.
    """

    def __init__(
        self, estimator: Any, rows: int, validation: Validation | None, *, incremental: bool
    ) -> None:
        self.estimator = estimator
        self.rows = rows
        self.validation = validation
        self.incremental = incremental
        self.goes_on = True
        self._outputs: Outputs | None = None
        self._loss: LossOfOutputs | None = None

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        """Do so; the record has the loss, and is given the score."""
        estimator = self.estimator
        estimator.n_iter_ += 1
        estimator.loss_ = record["loss"]
        estimator.t_ += self.rows
        estimator.loss_curve_.append(estimator.loss_)
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
        if self.validation is not None:
            self._validate(trainer, self.validation, record)
        self._count_improvement()
        rates = rates_of(trainer.optimizer)
        if rates is not None and rates.learning_rate == "invscaling":
            lr = rates.learning_rate_init / (estimator.t_ + 1) ** rates.power_t
            set_learning_rate(trainer.optimizer, lr)
        if estimator._no_improvement_count > estimator.n_iter_no_change:
            if self._ends(trainer):
                self.goes_on = False
                trainer.stop("no improvement")
                return
            estimator._no_improvement_count = 0
        if not self.incremental and estimator.n_iter_ == estimator.max_iter:
            warn_of_max_iter(estimator.max_iter)

    def _validate(self, trainer: Trainer, validation: Validation, record: dict[str, float]) -> None:
        estimator = self.estimator
        if self._outputs is None:
            self._outputs = Outputs(estimator._backend, validation.x)
        output = self._outputs.compute()
        if self._loss is None:
            objective: Any = trainer.graphs.loss
            self._loss = LossOfOutputs(objective.loss, output, validation)
        loss = self._loss(output)
        with np.errstate(over="ignore", invalid="ignore"):  # of weights that diverge
            score = validation.score(output, loss)
        estimator.validation_scores_.append(score)
        estimator.validation_loss_curve_.append(loss)
        record["validation_score"], record["validation_loss"] = score, loss
        if estimator.verbose:
            print(f"Validation score: {score:f}")

    def _count_improvement(self) -> None:
        """Whether this epoch was better than the best so far by `tol`."""
        estimator = self.estimator
        if estimator.early_stopping:
            score, best = estimator.validation_scores_[-1], estimator.best_validation_score_
            is_worse = score < best + estimator.tol
            if score > best:
                estimator.best_validation_score_ = score
                estimator._best = state_of(estimator._network.model)
                estimator._best_epoch = len(estimator.loss_curve_)
        else:
            is_worse = estimator.loss_ > estimator.best_loss_ - estimator.tol
            estimator.best_loss_ = min(estimator.loss_, estimator.best_loss_)
        estimator._no_improvement_count = estimator._no_improvement_count + 1 if is_worse else 0

    def _ends(self, trainer: Trainer) -> bool:
        """Whether training ends; else the learning rate is lowered."""
        estimator = self.estimator
        what = "Validation score" if estimator.early_stopping else "Training loss"
        message = (
            f"{what} did not improve more than tol={estimator.tol:f} for "
            f"{estimator.n_iter_no_change} consecutive epochs."
        )
        lr = float(trainer.optimizer.param_groups[0]["lr"])
        rates = rates_of(trainer.optimizer)
        lowers = rates is not None and rates.learning_rate == "adaptive"
        if lowers and lr > _LEAST_LEARNING_RATE:
            set_learning_rate(trainer.optimizer, lr / 5.0)
            message += f" Setting learning rate to {lr / 5.0:f}"
        elif lowers:
            message += " Learning rate too small. Stopping."
        else:
            message += " Stopping."
        if estimator.verbose:
            print(message)
        return not lowers or lr <= _LEAST_LEARNING_RATE


class LossOfOutputs:
    """The loss of a network's outputs for rows that are held out, without the penalty.

    Args:
        loss: (outputs, targets, *, sample_weight) -> a scalar Tensor; its attributes may change.
        outputs: such as come.
        validation: the rows.
    """

    _step: NativeStep | None
    """What runs the graph; None where the reference does, as it has no native form."""

    def __init__(self, loss: Any, outputs: Array, validation: Validation) -> None:
        self._loss = loss
        self._others = [validation.targets]
        if validation.weights is not None:
            self._others.append(validation.weights / validation.weights.mean())
        self._version = Version([loss], gradients=False)
        self._capture(outputs)

    def _capture(self, outputs: Array) -> None:
        def compute(output: Tensor, target: Tensor, *weights: Tensor) -> Tensor:
            given = {"sample_weight": weights[0]} if weights else {}
            return self._loss(output, target, **given)

        with no_grad(), self._version.unchanged() as leftovers:
            graph = leftovers.captured(lambda: capture(compute, outputs, *self._others))
        self._number = self._version.number()
        self._graph, self._step = graph, None
        try:
            self._step = NativeStep(graph, StateBlock(graph.reads), [1.0])
        except UnsupportedError:
            if get_default_backend() == "native":
                raise

    def __call__(self, outputs: Array) -> float:
        """The loss; NaN where it is not finite."""
        if self._version.number() != self._number:
            self._capture(outputs)
        if self._step is None:
            found = float(self._graph(outputs, *self._others))
            return found if np.isfinite(found) else np.nan
        self._step.bind([outputs, *self._others])
        run = self._step.run(in_order(len(outputs)), 0, 1)
        return float(run.last[0]) if run.status == "ok" else np.nan


def as_it_is(estimator: Any, X: Any, output: Array) -> Any:
    """An estimator in its training, for a scorer, with its outputs for the rows X.

    It takes rows like X: filled, and without names of columns. Since a scorer may keep it, its
    network and lists are its own. By name a scorer is scikit-learn's, which just predicts X: it
    gets the network that is trained, as a copy would take longer than a short epoch.
    """
    found = object.__new__(type(estimator))
    attributes = {
        name: list(value) if name.endswith("_") and isinstance(value, list) else value
        for name, value in vars(estimator).items()
        if name not in ("feature_names_in_", "_trainer", "_optimizer", "_optimized")
    }
    vars(found).update(attributes, allow_nan=False, n_features_in_=X.shape[1], _known=(X, output))
    network = estimator._network
    if isinstance(estimator.scoring, str):
        found.coefs_, found.intercepts_ = network.coefs(), network.intercepts()
    else:
        vars(found).update(network_of_now(estimator))
    return found


def network_of_now(estimator: Any) -> dict[str, Any]:
    """The attributes by which a copy of an estimator predicts with the weights of now."""
    network = copy.deepcopy(estimator._network)
    return {
        "coefs_": network.coefs(),
        "intercepts_": network.intercepts(),
        "_network": network,
        "_backend": predicting_backend(network.model, estimator._objective(network)),
    }


def note_divergence(estimator: Any, incremental: bool, rows: int) -> None:
    """What a training gives whose weights are no longer finite: NaN, to its last epoch."""
    rest = 1 if incremental else estimator.max_iter - estimator.n_iter_
    estimator.loss_curve_ += [np.nan] * rest
    estimator.n_iter_ += rest
    estimator.t_ += rest * rows
    estimator.loss_ = np.nan
    if estimator.validation_scores_ is not None:
        estimator.validation_scores_ += [float("nan")] * rest
        estimator.validation_loss_curve_ += [float("nan")] * rest
    if estimator.early_stopping:
        estimator._no_improvement_count = 0
    else:
        for layer in estimator._network.layers:
            layer.weight.assign(np.full(layer.weight.shape, np.nan, layer.weight.dtype))
    if not incremental:
        warn_of_max_iter(estimator.max_iter)


def warn_of_max_iter(max_iter: int) -> None:
    """Warn, with scikit-learn's category, that training was not over."""
    warnings.warn(
        f"Stochastic Optimizer: Maximum iterations ({max_iter}) reached and the optimization "
        "hasn't converged yet.",
        ConvergenceWarning,
        stacklevel=2,
    )


@contextmanager
def whole_network(estimator: Any) -> Iterator[None]:
    """Put the network's states back if the training within fails.

    The optimizer's are not kept: a later `partial_fit` begins with a new one.
    """
    model, trainer = estimator._network.model, estimator.__dict__.get("_trainer")
    before = state_of(model)
    try:
        yield
    except BaseException:
        restore(model, before)
        if trainer is not None and estimator.__dict__.get("_optimizer") is trainer.optimizer:
            trainer.stop(_FAILED)
        raise


def has_failed(trainer: Trainer) -> bool:
    """Whether a training by it has failed: its optimizer is not that of the network put back."""
    return trainer.state.stop_reason == _FAILED


def state_of(model: Any) -> dict[str, Array]:
    """Copies of all parameters and buffers, by their names."""
    return {name: np.array(state.value) for name, state in _states(model).items()}


def restore(model: Any, copies: Mapping[str, Array]) -> None:
    """Give a model back what `state_of` copied."""
    for name, state in _states(model).items():
        state.assign(copies[name])


def _states(model: Any) -> dict[str, State]:
    return dict([*model.named_parameters(), *model.named_buffers()])
