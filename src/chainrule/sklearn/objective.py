"""The objective that a network is trained on: scikit-learn's losses, and its penalty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.graph.state import HyperParameter, RunTimeNumber
from chainrule.graph.tensor import Array, Tensor
from chainrule.nn import Linear, Module, ModuleList
from chainrule.nn.losses.base import ElementLoss, Loss, range_fault
from chainrule.ops import add_n, exp, log, maximum, minimum, softplus, where
from chainrule.ops.shape import with_gradient_of
from chainrule.ops.softmax import softmax_cross_entropy
from chainrule.train.roles import loss_of_outputs


def _bounded(losses: Tensor) -> Tensor:
    """-log(p) as it is where p is held between eps and 1 - eps."""
    eps = float(np.finfo(losses.dtype).eps)
    return minimum(maximum(losses, -float(np.log1p(-eps))), -float(np.log(eps)))


class LogLoss(Loss):
    """-log(p_y) of the softmax of logits: the mean over rows.

    The value is that of probabilities held between eps and 1 - eps; the gradient is p - y.
    """

    outputs = "class logits"

    def forward(
        self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None
    ) -> Tensor:
        losses = softmax_cross_entropy(input, target)
        return self._reduce(with_gradient_of(losses, _bounded(losses)), sample_weight)


class BinaryLogLoss(ElementLoss):
    """-y log(p) - (1 - y) log(1 - p) of the sigmoid of logits: summed over outputs, mean over rows.

    The value is that of probabilities held between eps and 1 - eps; the gradient is p - y.
    """

    outputs = "logits"

    def target_fault(self, target: Array) -> str | None:
        return range_fault("targets", target, 0, 1)

    def forward(
        self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None
    ) -> Tensor:
        x, y = self._pair(input, target)
        positive, negative = softplus(-x), softplus(x)
        losses = y * positive + (1.0 - y) * negative
        bounded = y * _bounded(positive) + (1.0 - y) * _bounded(negative)
        return self._reduce(with_gradient_of(losses.sum(1), bounded.sum(1)), sample_weight)


class HalfSquaredError(ElementLoss):
    """(x - y)^2 / 2: the mean over rows and outputs; the gradient is that of the sum over outputs.

    So scikit-learn has it: the number of outputs changes the loss, and not the step.
    """

    outputs = "values"

    def forward(
        self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None
    ) -> Tensor:
        x, y = self._pair(input, target)
        error = x - y
        loss = 0.5 * self._reduce((error * error).sum(1), sample_weight)
        return loss if x.shape[1] == 1 else with_gradient_of(loss, loss / float(x.shape[1]))


class HalfPoissonDeviance(ElementLoss):
    """y log(y / m) - y + m of the mean m = exp(x): summed over outputs, the mean over rows."""

    def target_fault(self, target: Array) -> str | None:
        return range_fault("targets, which are counts,", target, 0)

    def forward(
        self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None
    ) -> Tensor:
        x, y = self._pair(input, target)
        tiny = float(np.finfo(y.dtype).tiny)
        losses = y * log(maximum(y, tiny)) - y * x - y + exp(x)
        return self._reduce(losses.sum(1), sample_weight)


def target_fault(loss: Any, target: Array) -> str | None:
    """What is wrong with the values of targets, as a loss says, which may be any function."""
    found = getattr(loss, "target_fault", None)
    return None if found is None else found(target)


class Objective(Module):
    """A loss, with scikit-learn's penalty: J = L + alpha / (2 n) sum of W^2.

    n is the number of rows of the batch. With weights w of rows both are divided by the sum of
    weights: J = (sum of w_i l_i + alpha / 2 sum of W^2) / sum of w_i.

    Args:
        loss: (outputs, targets) -> the mean over rows; with the keyword `sample_weight`, if rows
            are weighted.
        layers: those whose weights W the penalty counts.
        alpha: its strength; it can be set between steps.
    """

    alpha = RunTimeNumber(checks.not_negative)
    _alpha: HyperParameter
    loss: Any

    def __init__(self, loss: Any, layers: Sequence[Linear], alpha: float) -> None:
        super().__init__()
        if isinstance(loss, Module):  # registered without a name and a path: it is its user's
            self._modules["loss"] = loss
        object.__setattr__(self, "loss", loss)
        self.layers: Any = ModuleList(layers if alpha else ())
        self.alpha = alpha

    @property
    def outputs(self) -> str | None:
        """What the network's outputs are, as the loss says."""
        return getattr(self.loss, "outputs", None)

    def target_fault(self, target: Array) -> str | None:
        """What is wrong with the values of targets, as the loss says."""
        return target_fault(self.loss, target)

    @property
    def adds_up(self) -> bool:
        """Whether the loss of all rows is the sum of the losses of parts of them."""
        return isinstance(
            self.loss, (LogLoss, BinaryLogLoss, HalfSquaredError, HalfPoissonDeviance)
        )

    def mean_loss(self, input: Any, target: Any, **weights: Tensor) -> Tensor:
        """The loss alone.

        Raises:
            ShapeError: if it is no scalar Tensor.
        """
        return loss_of_outputs(self.loss, input, target, weights)

    def forward(self, input: Any, target: Any, *, sample_weight: Tensor | None = None) -> Tensor:
        rows = float(target.shape[0])
        total: Any = rows
        if sample_weight is None:
            loss = self.mean_loss(input, target)
        else:
            total = sample_weight.sum()
            total = where(total > 0.0, total, 1.0)  # a batch without weight has no loss
            loss = self.mean_loss(input, target, sample_weight=sample_weight * (rows / total))
        if not self.layers:
            return loss
        squares = add_n(*[(layer.weight * layer.weight).sum() for layer in self.layers])
        return loss + (0.5 * self._alpha).astype(squares.dtype) * squares / total
