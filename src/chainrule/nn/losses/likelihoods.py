"""Negative log-likelihoods and divergences of distributions: Bernoulli, Poisson, normal, any."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.state import Buffer
from chainrule.graph.tensor import Array, Tensor, TensorLike
from chainrule.nn.losses.base import ElementLoss, floating, range_fault, weights
from chainrule.ops import exp, log, log1p, maximum, softplus, where
from chainrule.ops.shape import with_gradient_of


class BCEWithLogitsLoss(ElementLoss):
    """The cross-entropy of sigmoid(x) with y, by default its mean over all elements.

    Formula: -(p y log(sigmoid(x)) + (1 - y) log(1 - sigmoid(x))), as
    p y softplus(-x) + (1 - y) softplus(x), which neither overflows nor cancels.

    Args:
        weight: a factor of each loss, of a shape that broadcasts to the input's: one for each
            output, say. The mean still divides by the number of elements, as PyTorch's.
        reduction: "mean", "sum" or "none".
        pos_weight: the p, a number or one for each output: above 1 a missed y = 1 costs more.

    Shapes:
        Input and target equal; the target, in 0 ... 1, is cast to the input's dtype.

    Raises:
        ShapeError: if the shapes differ, as (N, 1) and (N,) do.
        ValueError: if a target is known to lie outside 0 ... 1; PyTorch lets it pass.

    Source: *Deep Learning*, section 6.2.2.2.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.BCEWithLogitsLoss()(cr.tensor([0.0, 100.0]), [1.0, 1.0])
        tensor(0.3466)
    """

    outputs = "logits"

    weight: Buffer | None
    pos_weight: Buffer | None

    def __init__(
        self,
        weight: ArrayLike | None = None,
        *,
        reduction: str = "mean",
        pos_weight: ArrayLike | None = None,
    ) -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weights("weight", weight))
        self.register_buffer("pos_weight", weights("pos_weight", pos_weight))

    def target_fault(self, target: Array) -> str | None:
        return range_fault("targets", target, 0, 1)

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        x, y = self._pair(input, target)
        positive = y * softplus(-x)
        if self.pos_weight is not None:
            positive = _like(x, "pos_weight", self.pos_weight) * positive
        losses = positive + (1.0 - y) * softplus(x)
        return self._reduce(_times(losses, self.weight), sample_weight)


class BCELoss(ElementLoss):
    """The cross-entropy of a probability x with y, by default its mean over all elements.

    Formula: -(y log(x) + (1 - y) log(1 - x)), where a logarithm is at least -100 and has the
    derivative 1e12 at 0: so a probability of exactly 0 or 1 has a finite loss and gradient, those
    of PyTorch. Between 0 and 1 the derivative is exact; PyTorch's is at most 1e12. After a Sigmoid
    prefer `BCEWithLogitsLoss` without the Sigmoid: it is exact far out, too.

    Args:
        weight: a factor of each loss, as in `BCEWithLogitsLoss`.
        reduction: "mean", "sum" or "none".

    Shapes:
        Input and target equal, both in 0 ... 1; the target is cast to the input's dtype.

    Raises:
        ShapeError: if the shapes differ.
        ValueError: if an input or a target is known to lie outside 0 ... 1.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.BCELoss(reduction="none")(cr.tensor([0.5, 0.0]), [1.0, 1.0])
        tensor([  0.6931, 100.    ])
    """

    outputs = "probabilities"

    weight: Buffer | None

    def __init__(self, weight: ArrayLike | None = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weights("weight", weight))

    def target_fault(self, target: Array) -> str | None:
        return range_fault("targets", target, 0, 1)

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        x, y = self._pair(input, target)
        remedy = "Give probabilities, as from a Sigmoid, or logits to BCEWithLogitsLoss."
        self._check_input("inputs", x, 0, 1, remedy=remedy)
        losses = -(y * _bounded_log(x) + (1.0 - y) * _bounded_log1m(x))
        return self._reduce(_times(losses, self.weight), sample_weight)


def _times(losses: Tensor, weight: Tensor | None) -> Tensor:
    """The losses of elements, each times its weight."""
    return losses if weight is None else losses * _like(losses, "weight", weight)


def _like(x: Tensor, name: str, weight: Tensor) -> Tensor:
    """Weights of elements in the shape and dtype of x."""
    try:
        return weight.astype(x.dtype).broadcast_to(x.shape)
    except ShapeError:
        raise ShapeError(
            f"{name} has shape {weight.shape}, which does not broadcast to that of the input, "
            f"{x.shape}"
        ) from None


def _bounded_log(p: Tensor) -> Tensor:
    """log(p) where p > exp(-100), else its bound, -100 + 1e12 p."""
    inside = p > max(math.exp(-100.0), float(np.finfo(p.dtype).tiny))
    return where(inside, log(where(inside, p, 1.0)), 1e12 * p - 100.0)


def _bounded_log1m(p: Tensor) -> Tensor:
    """log(1 - p) where p < 1, else its bound, -100 + 1e12 (1 - p)."""
    inside = p < 1.0
    return where(inside, log1p(where(inside, -p, 0.0)), 1e12 * (1.0 - p) - 100.0)


class PoissonNLLLoss(ElementLoss):
    """The negative log-likelihood of counts y under a Poisson distribution, by default its mean.

    Formula: exp(x) - y x for the logarithm x of the rate; x - y log(x + eps) for the rate x itself.
    The term log(y!), constant in x, is left out, or with `full` added by Stirling's formula
    y log(y) - y + log(2 pi y) / 2 where y > 1.

    Args:
        log_input: whether the input is the rate's logarithm.
        full: whether to add Stirling's term.
        eps: keeps the logarithm of a rate of 0 finite.
        reduction: "mean" (over all elements), "sum" or "none".

    Shapes:
        Input and target equal; the target, at least 0, is cast to the input's dtype.

    Raises:
        ShapeError: if the shapes differ.
        ValueError: if a target, or without log_input a rate, is known to be negative.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.PoissonNLLLoss(log_input=False, reduction="none")(cr.tensor([1.0, 2.0]), [3.0, 0.0])
        tensor([1., 2.])
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        *,
        eps: float = 1e-8,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.log_input = log_input
        self.full = full
        self.eps = float(checks.not_negative("eps", eps))

    def target_fault(self, target: Array) -> str | None:
        return range_fault("targets, which are counts,", target, 0)

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        x, y = self._pair(input, target)
        if self.log_input:
            losses = exp(x) - y * x
        else:
            remedy = "End the model with a Softplus, or let it give logarithms: log_input=True."
            self._check_input("rates", x, 0, remedy=remedy)
            losses = x - y * log(x + self.eps)
        if self.full:
            large = y > 1.0
            count = where(large, y, 1.0)
            stirling = count * log(count) - count + 0.5 * log(2 * math.pi * count)
            losses = losses + where(large, stirling, 0.0)
        return self._reduce(losses, sample_weight)


class GaussianNLLLoss(ElementLoss):
    """The negative log-likelihood of y under a normal distribution, by default its mean.

    Formula: (log(v) + (x - y)^2 / v) / 2 for the mean x and the variance v, which is taken as eps
    where it is smaller; the gradient by v is then that at eps. With `full` log(2 pi) / 2 is added.

    It is called as PyTorch's, loss(input, target, var), or as a Trainer does,
    loss((input, var), target), where the model returns both, such as
    ``return self.mean(h), nn.functional.softplus(self.spread(h))``.

    Args:
        full: whether to add the constant.
        eps: the smallest variance.
        reduction: "mean" (over all elements), "sum" or "none".

    Shapes:
        Input and target equal; the variance equal, too, or (..., 1), or without the last axis, for
        one variance for all outputs of a row; or a number.

    Raises:
        ShapeError: if the shapes do not fit.
        ValueError: if a variance is known to be negative.

    Source: Nix and Weigend, "Estimating the mean and variance of the target probability
    distribution", ICNN 1994.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.GaussianNLLLoss()(cr.tensor([1.0, 2.0]), [1.0, 4.0], cr.tensor([1.0, 1.0]))
        tensor(1.)
    """

    _may_train_target = True

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = checks.positive("eps", eps)

    def forward(
        self,
        input: TensorLike | tuple[TensorLike, TensorLike],
        target: TensorLike,
        var: TensorLike | None = None,
        *,
        sample_weight: TensorLike | None = None,
    ) -> Tensor:
        if var is None:
            if not isinstance(input, tuple) or len(input) != 2:
                raise TypeError(
                    "GaussianNLLLoss is called as loss(input, target, var) or "
                    "loss((input, var), target): the model returns a mean and a variance"
                )
            input, var = input
        x, y = self._pair(input, target)
        v = self._variance(x, floating("variance", var))
        error = x - y
        losses = 0.5 * (log(v) + error * error / v)
        if self.full:
            losses = losses + 0.5 * math.log(2 * math.pi)
        return self._reduce(losses, sample_weight)

    def _variance(self, x: Tensor, v: Tensor) -> Tensor:
        """The variance of each element of x."""
        if v.shape not in ((), x.shape, (*x.shape[:-1], 1), x.shape[:-1]):
            raise ShapeError(
                f"for an input of shape {x.shape} the variance has that shape, (..., 1), or that "
                f"without the last axis, or is a number; got {v.shape}"
            )
        self._check_input("variances", v, 0, remedy="End that part of the model with a Softplus.")
        if v.ndim < x.ndim:
            v = v.reshape(*v.shape, 1)
        v = v.astype(x.dtype).broadcast_to(x.shape)
        # As in PyTorch the gradient passes where the variance is raised: so it can grow again.
        return with_gradient_of(v, maximum(v, self.eps))


class KLDivLoss(ElementLoss):
    """The divergence of the distribution y from exp(x): y (log(y) - x) for each element.

    The input is log-probabilities, as from LogSoftmax. A row's divergence is the sum over its
    elements, so the mean over rows is reduction="batchmean"; "mean" is over all elements.

    Args:
        reduction: "mean", "batchmean", "sum" or "none".
        log_target: whether the target is the logarithm of y.

    Shapes:
        Input and target equal; the target is cast to the input's dtype.

    Raises:
        ShapeError: if they differ; for "batchmean" if they have no axis of rows, or no row.
        ValueError: if a probability in the target is known to be negative.

    Source: *Deep Learning*, equation 3.50.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> loss = nn.KLDivLoss(reduction="batchmean")
        >>> loss(cr.log(cr.tensor([[0.5, 0.5]])), [[1.0, 0.0]])
        tensor(0.6931)
    """

    outputs = "class log-probabilities"

    _reductions = ("mean", "batchmean", "sum", "none")
    _may_train_target = True

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.log_target = log_target

    def target_fault(self, target: Array) -> str | None:
        return (
            None if self.log_target else range_fault("targets, which are probabilities,", target, 0)
        )

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        x, y = self._pair(input, target)
        if self.reduction == "batchmean" and not any(x.shape[:1]):
            raise ShapeError(f"batchmean needs an axis of rows, and one at least; got {x.shape}")
        if self.log_target:
            return self._reduce(exp(y) * (y - x), sample_weight)
        entropy = y * log(where(y > 0.0, y, 1.0))  # 0 log(0) = 0
        return self._reduce(entropy - y * x, sample_weight)
