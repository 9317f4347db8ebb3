"""The update rules of scikit-learn's networks, and how other optimisers are made."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from chainrule import optim
from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Tensor
from chainrule.optim.moments import MomentOptimizer
from chainrule.optim.optimizer import Optimizer

_CLASSES: dict[str, Any] = {
    kind.__name__.lower(): kind
    for kind in (
        optim.Adadelta, optim.Adafactor, optim.Adagrad, optim.AdamW, optim.Adamax, optim.ASGD,
        optim.Lion, optim.NAdam, optim.RAdam, optim.RMSprop, optim.Rprop,
    )
}  # fmt: skip
SOLVERS = frozenset(("sgd", "adam", *_CLASSES))
"""The names of solvers that train by minibatches."""


class Rates(NamedTuple):
    """The arguments of an estimator that say how the learning rate of "sgd" changes.

    An optimizer keeps those that it was made with, whatever the estimator has later.
    """

    learning_rate: Any
    learning_rate_init: float
    power_t: float


class _LearningRate(Optimizer):
    """The learning rate under the name that scikit-learn's optimisers give it."""

    @property
    def learning_rate(self) -> float:
        """The learning rate now."""
        return float(self.param_groups[0]["lr"])


class SGD(_LearningRate, optim.SGD):
    """Gradient descent with the learning rate in the momentum: V <- m V - lr G; W <- W + V.

    With `nesterov` W <- W + m V - lr G. It differs from `optim.SGD` where the learning rate
    changes.

    Attributes:
        rates: how the learning rate changes.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning"
    (2013).
    """

    rates: Rates

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        step = h.lr * grad
        if h.momentum is None:
            W.assign(W - step)
            return
        buffer = moments["momentum_buffer"]
        velocity = h.momentum * buffer - step
        buffer.assign(velocity)
        W.assign(W + (h.momentum * velocity - step if h.nesterov else velocity))


class Adam(_LearningRate, optim.Adam):
    """Adam as its paper ends section 2: lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + eps).

    It differs from `optim.Adam` in that eps is not scaled by sqrt(1 - beta2^t).
    """

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        MomentOptimizer.coefficients(self, h, t)
        h.step_size = h.lr * (1.0 - h.beta2**t).sqrt() / (1.0 - h.beta1**t)


def make_optimizer(estimator: Any, parameters: Sequence[Parameter]) -> Optimizer:
    """The optimiser that the parameters of an estimator ask for.

    Raises:
        TypeError: if a function given as solver returns no optimiser.
    """
    solver, lr = estimator.solver, estimator.learning_rate_init
    if solver == "sgd":
        momentum = float(estimator.momentum)
        nesterov = bool(estimator.nesterovs_momentum and momentum)
        found = SGD(parameters, lr, momentum, nesterov=nesterov)
        found.rates = Rates(estimator.learning_rate, float(lr), estimator.power_t)
        return found
    if solver == "adam":
        betas = estimator.beta_1, estimator.beta_2
        return Adam(parameters, lr, betas, estimator.epsilon)
    if isinstance(solver, str):
        return _CLASSES[solver](parameters, lr=lr)
    made = solver(parameters, lr=lr) if isinstance(solver, type) else solver(parameters)
    if not isinstance(made, Optimizer):
        raise TypeError(
            "solver is a name, a class of optim, or a function of the parameters that returns an "
            f"optimizer, as lambda params: optim.AdamW(params, weight_decay=0.1); got {made!r:.80}"
        )
    return made


def rates_of(optimizer: Optimizer) -> Rates | None:
    """How the learning rate changes; None of optimisers other than "sgd"."""
    return optimizer.rates if isinstance(optimizer, SGD) else None


def set_learning_rate(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of all groups."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def trains_by_batches(estimator: Any) -> bool:
    """Whether an estimator has `partial_fit`.

    Raises:
        AttributeError: if it has not.
    """
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
        )
    return True
