"""Losses of the error x - y of a regression: squared, absolute, between both, and of quantiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn.losses.base import ElementLoss, Loss, floating
from chainrule.ops import abs, maximum, minimum


class MSELoss(ElementLoss):
    """(x - y)^2, by default its mean over all elements.

    Args:
        reduction: "mean", "sum" or "none".

    Shapes:
        Input and target equal; the target is cast to the input's dtype.

    Raises:
        ShapeError: if they differ, as (N, 1) and (N,) do. PyTorch broadcasts them and warns.

    Source: *Deep Learning*, section 5.1.4.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.MSELoss()(cr.tensor([1.0, 2.0]), [1.0, 4.0])
        tensor(2.)
    """

    outputs = "values"
    _may_train_target = True

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        x, y = self._pair(input, target)
        error = x - y
        return self._reduce(error * error, sample_weight)


class HalfSquaredErrorLoss(ElementLoss):
    """1/2 sum of (x - y)^2 over the outputs of each row, by default its mean over rows.

    Its delta at the outputs of a row is x - y, without a factor.

    Args:
        reduction: "mean" or "sum" over rows, or "none" for one loss per row.

    Shapes:
        Input and target equal, (N, ...); the target is cast to the input's dtype.

    Raises:
        ShapeError: if they differ, or have no axis of rows.

    Source: Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors",
    Nature 323, 1986, equation 3 (there summed over rows).

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.HalfSquaredErrorLoss()(cr.tensor([[1.0, 2.0], [0.0, 0.0]]), [[0.0, 5.0], [0.0, 2.0]])
        tensor(3.5)
    """

    outputs = "values"
    _may_train_target = True

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        x, y = self._pair(input, target)
        if not x.ndim:
            raise ShapeError("the input must have an axis of rows; its shape is ()")
        error = x - y
        squares = error * error
        if squares.ndim > 1:
            squares = squares.sum(tuple(range(1, squares.ndim)))
        return self._reduce(0.5 * squares, sample_weight)


class L1Loss(ElementLoss):
    """|x - y|, by default its mean over all elements; the derivative where x = y is 0.

    Args:
        reduction: "mean", "sum" or "none".

    Shapes:
        Input and target equal; the target is cast to the input's dtype.

    Raises:
        ShapeError: if they differ.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.L1Loss()(cr.tensor([1.0, 2.0]), [1.0, 4.0])
        tensor(1.)
    """

    outputs = "values"
    _may_train_target = True

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        x, y = self._pair(input, target)
        return self._reduce(abs(x - y), sample_weight)


def _huber(error: Tensor, delta: float) -> Tensor:
    """e^2 / 2 for |e| <= delta, else delta (|e| - delta / 2).

    With c, the error cut to [-delta, delta], both are c (e - c / 2), which squares nothing large.
    """
    cut = maximum(minimum(error, delta), -delta)
    return cut * (error - 0.5 * cut)


class HuberLoss(ElementLoss):
    """Half the squared error up to delta, and linear beyond; by default its mean over elements.

    Formula: e^2 / 2 for |e| <= delta, else delta (|e| - delta / 2), with e = x - y.

    Args:
        reduction: "mean", "sum" or "none".
        delta: a positive number.

    Shapes:
        Input and target equal; the target is cast to the input's dtype.

    Raises:
        ShapeError: if they differ.
        ValueError: if delta is not positive.

    Source: Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics
    35, 1964.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.HuberLoss(reduction="none", delta=2.0)(cr.tensor([1.0, 5.0]), [0.0, 0.0])
        tensor([0.5, 8. ])
    """

    outputs = "values"
    _may_train_target = True

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = checks.positive("delta", delta)

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        x, y = self._pair(input, target)
        return self._reduce(_huber(x - y, self.delta), sample_weight)


class SmoothL1Loss(ElementLoss):
    """The absolute error with its kink rounded off; by default its mean over all elements.

    Formula: e^2 / (2 beta) for |e| <= beta, else |e| - beta / 2, with e = x - y: `HuberLoss` with
    delta = beta, divided by beta.

    Args:
        reduction: "mean", "sum" or "none".
        beta: a number, at least 0; 0 gives `L1Loss`.

    Shapes:
        Input and target equal; the target is cast to the input's dtype.

    Raises:
        ShapeError: if they differ.
        ValueError: if beta is negative.

    Source: Girshick, "Fast R-CNN", ICCV 2015.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.SmoothL1Loss(reduction="none", beta=2.0)(cr.tensor([1.0, 5.0]), [0.0, 0.0])
        tensor([0.25, 4.  ])
    """

    outputs = "values"
    _may_train_target = True

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.beta = float(checks.not_negative("beta", beta))

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        x, y = self._pair(input, target)
        error = x - y
        losses = _huber(error, self.beta) if self.beta else abs(error)
        if self.beta not in (0.0, 1.0):
            losses = losses / self.beta
        return self._reduce(losses, sample_weight)


class PinballLoss(Loss):
    """The loss whose smallest mean is at a quantile; for several quantiles one output each.

    Formula: max(q e, (q - 1) e) with e = y - x: what lies above x costs q, what lies below costs
    1 - q. By default its mean over all elements and quantiles. At e = 0 the derivative by x is -q.

    Args:
        quantiles: each in 0 ... 1, both excluded; one number or several.
        reduction: "mean", "sum" or "none" for one loss per element of the input.

    Shapes:
        Input (..., Q) for Q quantiles, in their order; target (...) or (..., 1). For one quantile
        input and target may be equal, too. The target is cast to the input's dtype.

    Raises:
        ShapeError: if they do not fit.
        ValueError: if there is no quantile, or one that is not between 0 and 1.

    Source: Koenker and Bassett, "Regression quantiles", Econometrica 46, 1978.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> loss = nn.PinballLoss([0.1, 0.5, 0.9], reduction="none")
        >>> loss(cr.tensor([[0.0, 2.0, 6.0]]), [4.0])
        tensor([[0.4, 1. , 0.2]])
    """

    def __init__(self, quantiles: float | Sequence[float], *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        if isinstance(quantiles, Tensor) and quantiles.requires_grad:
            raise TypeError(f"quantiles are numbers, got {quantiles!r:.80}")
        given = np.atleast_1d(np.asarray(quantiles)).tolist()
        self.quantiles = tuple(float(checks.number("a quantile", q)) for q in given)
        if not self.quantiles or not all(0 < q < 1 for q in self.quantiles):
            raise ValueError(f"quantiles lie between 0 and 1, both excluded; got {quantiles}")

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        x, y = floating("input", input), as_tensor(target)
        if len(self.quantiles) > 1 or x.shape != y.shape:
            count = len(self.quantiles)
            if x.shape[-1:] != (count,) or y.shape not in (x.shape[:-1], (*x.shape[:-1], 1)):
                raise ShapeError(
                    f"for quantiles {self.quantiles} the input has shape (..., {count}), the "
                    f"target (...) or (..., 1); got {x.shape} and {y.shape}"
                )
            y = y.reshape(*x.shape[:-1], 1)
        error = y.astype(x.dtype) - x
        q = as_tensor(np.array(self.quantiles, x.dtype))
        if not x.ndim:
            q = q.reshape(())
        return self._reduce(maximum(q * error, (q - 1.0) * error), sample_weight)
