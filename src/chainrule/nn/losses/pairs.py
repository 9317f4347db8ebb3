"""Losses of distances and rankings: of one number, of pairs, of triplets."""

from __future__ import annotations

from collections.abc import Callable

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.tensor import Array, Tensor, TensorLike, plain_number
from chainrule.nn.distances import pairwise_distance
from chainrule.nn.losses.base import (
    ElementLoss,
    Loss,
    floating,
    pair_and_target,
    require_same_shape,
    sign_fault,
)
from chainrule.ops import minimum, relu, where


class HingeEmbeddingLoss(ElementLoss):
    """For a distance x: x itself for y = 1, max(0, margin - x) for y = -1; by default its mean.

    Args:
        margin: from this distance on a pair with y = -1 costs nothing.
        reduction: "mean" (over all elements), "sum" or "none".

    Shapes:
        Input and target equal; the target is -1 or 1.

    Raises:
        ShapeError: if they differ.
        ValueError: if a target is known to be neither -1 nor 1.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.HingeEmbeddingLoss(reduction="none")(cr.tensor([0.5, 0.25, 3.0]), [1, -1, -1])
        tensor([0.5 , 0.75, 0.  ])
    """

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = float(checks.number("margin", margin))

    def target_fault(self, target: Array) -> str | None:
        return sign_fault(target)

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        x, y = self._pair(input, target)
        return self._reduce(where(y > 0.0, x, relu(self.margin - x)), sample_weight)


class MarginRankingLoss(Loss):
    """max(0, margin - y (x1 - x2)): x1 is to be above x2 by margin for y = 1, below for y = -1.

    It is called as PyTorch's, loss(input1, input2, target), or as a Trainer does,
    loss((input1, input2), target), where the model returns both. By default its mean.

    Args:
        margin: by how much the one is to be above the other.
        reduction: "mean" (over all elements), "sum" or "none".

    Shapes:
        Both inputs and the target equal; the target is -1 or 1.

    Raises:
        ShapeError: if they differ.
        ValueError: if a target is known to be neither -1 nor 1.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> loss = nn.MarginRankingLoss(margin=1.0, reduction="none")
        >>> loss(cr.tensor([2.0, 2.0]), cr.tensor([0.0, 1.5]), [1, 1])
        tensor([0. , 0.5])
    """

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = float(checks.number("margin", margin))

    def target_fault(self, target: Array) -> str | None:
        return sign_fault(target)

    def forward(
        self,
        input1: TensorLike | tuple[TensorLike, TensorLike],
        input2: TensorLike,
        target: TensorLike | None = None,
        *,
        sample_weight: TensorLike | None = None,
    ) -> Tensor:
        x1, x2, y = pair_and_target(self, input1, input2, target)
        require_same_shape(x1, y)
        self._check_target(y)
        return self._reduce(relu(self.margin - y.astype(x1.dtype) * (x1 - x2)), sample_weight)


class _Triplet(Loss):
    """max(0, d(a, p) - d(a, n) + margin), for a distance d of rows."""

    def __init__(self, margin: float, swap: bool, reduction: str) -> None:
        super().__init__(reduction=reduction)
        self.margin = checks.positive("margin", margin)
        self.swap = bool(swap)

    def _distance(self, x1: Tensor, x2: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(
        self,
        anchor: TensorLike,
        positive: TensorLike,
        negative: TensorLike,
        *,
        sample_weight: TensorLike | None = None,
    ) -> Tensor:
        a, p, n = (
            floating(name, x)
            for name, x in (("anchor", anchor), ("positive", positive), ("negative", negative))
        )
        require_same_shape(a, p)
        require_same_shape(a, n)
        if not a.ndim:
            raise ShapeError("anchor, positive and negative have an axis of features; got ()")
        near, far = self._distance(a, p), self._distance(a, n)
        if self.swap:
            far = minimum(far, self._distance(p, n))
        return self._reduce(relu(near - far + self.margin), sample_weight)


class TripletMarginLoss(_Triplet):
    """max(0, d(a, p) - d(a, n) + margin): an anchor is to be nearer to a positive than a negative.

    d is `nn.functional.pairwise_distance`. By default the mean over rows. For a Trainer, whose
    model returns the three, write ``lambda output, target: loss(*output)``.

    Args:
        margin: by how much nearer; positive.
        p: the norm's order.
        eps: added to each difference, as in PyTorch.
        swap: whether d(p, n) counts in place of d(a, n) where it is smaller.
        reduction: "mean", "sum" or "none".

    Shapes:
        All three equal, (N, D) or (D,).

    Raises:
        ShapeError: if they differ.
        ValueError: if the margin is not positive.

    Source: Balntas, Riba, Ponsa, Mikolajczyk, "Learning local feature descriptors with triplets and
    shallow convolutional neural networks", BMVC 2016.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> a, p, n = (cr.tensor([[x, 0.0]]) for x in (0.0, 1.0, -1.5))
        >>> round(nn.TripletMarginLoss()(a, p, n).item(), 4)
        0.5
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        *,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin, swap, reduction)
        self.p = plain_number("p", p)
        self.eps = float(checks.not_negative("eps", eps))

    def _distance(self, x1: Tensor, x2: Tensor) -> Tensor:
        return pairwise_distance(x1, x2, self.p, self.eps)


class TripletMarginWithDistanceLoss(_Triplet):
    """`TripletMarginLoss` with a distance of the user's.

    Args:
        distance_function: (x1, x2) -> a distance for each row; by default
            `nn.functional.pairwise_distance`.
        margin, swap, reduction: as in `TripletMarginLoss`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> loss = nn.TripletMarginWithDistanceLoss(
        ...     distance_function=lambda a, b: (a - b).abs().max(axis=1)
        ... )
        >>> a, p, n = (cr.tensor([[x, 0.0]]) for x in (0.0, 1.0, -1.5))
        >>> loss(a, p, n)
        tensor(0.5)
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin, swap, reduction)
        self.distance_function = distance_function or pairwise_distance

    def _distance(self, x1: Tensor, x2: Tensor) -> Tensor:
        return self.distance_function(x1, x2)
