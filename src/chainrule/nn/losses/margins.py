"""Losses of margins and angles: the hinge of the support vector machine, and cosines."""

from __future__ import annotations

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.tensor import Array, Tensor, TensorLike
from chainrule.nn.losses.base import (
    ElementLoss,
    Loss,
    pair_and_target,
    sign_fault,
)
from chainrule.ops import maximum, relu, sqrt, where


class HingeLoss(ElementLoss):
    """max(0, 1 - y x) for y = -1 or 1, by default its mean over all elements.

    The loss of a support vector machine: 0 from a margin y x of 1 on, where the derivative is 0.

    Args:
        reduction: "mean", "sum" or "none".

    Shapes:
        Input and target equal; the target, -1 or 1, is cast to the input's dtype.

    Raises:
        ShapeError: if they differ.
        ValueError: if a target is known to be neither -1 nor 1.

    Source: Cortes and Vapnik, "Support-vector networks", Machine Learning 20, 1995.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.HingeLoss(reduction="none")(cr.tensor([2.0, 0.5, 0.5]), [1, 1, -1])
        tensor([0. , 0.5, 1.5])
    """

    outputs = "margins"

    def target_fault(self, target: Array) -> str | None:
        return sign_fault(target)

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        x, y = self._pair(input, target)
        return self._reduce(relu(1.0 - y * x), sample_weight)


def _cosine(x1: Tensor, x2: Tensor) -> Tensor:
    """The cosine of the angle between vectors along the last axis; 0 where one of them is 0."""
    tiny = 1e-12  # PyTorch's in cosine_embedding_loss
    length1 = sqrt((x1 * x1).sum(-1) + tiny)
    length2 = sqrt((x2 * x2).sum(-1) + tiny)
    return (x1 * x2).sum(-1) / length1 / length2


class CosineSimilarityLoss(ElementLoss):
    """1 - cos(x, y): how far the direction of the output is from that of the target.

    Formula: 1 - x.y / (|x| |y|) along the last axis; 1e-12 is added to each squared length. By
    default its mean over rows. It is 0 for one direction, 1 for right angles, 2 for opposites.

    Args:
        reduction: "mean", "sum" or "none".

    Shapes:
        Input and target equal, (N, D) or (D,); the target is cast to the input's dtype.

    Raises:
        ShapeError: if they differ, or have no axis.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.CosineSimilarityLoss()(cr.tensor([[1.0, 0.0], [2.0, 0.0]]), [[0.0, 3.0], [1.0, 0.0]])
        tensor(0.5)
    """

    _may_train_target = True

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        x, y = self._pair(input, target)
        _require_vectors(x)
        return self._reduce(1.0 - _cosine(x, y), sample_weight)


class CosineEmbeddingLoss(Loss):
    """For pairs of vectors that shall be similar (y = 1) or not (y = -1).

    Formula: 1 - cos(x1, x2) for y = 1, max(0, cos(x1, x2) - margin) for y = -1, by default its mean
    over rows; 1e-12 is added to each squared length, as in PyTorch. For an output and the vector
    that it shall point to see `CosineSimilarityLoss`.

    It is called as PyTorch's, loss(input1, input2, target), or as a Trainer does,
    loss((input1, input2), target), where the model returns both.

    Args:
        margin: in -1 ... 1; below this cosine a pair with y = -1 costs nothing.
        reduction: "mean", "sum" or "none".

    Shapes:
        Both inputs (N, D), target (N,); or (D,) and (). The target is -1 or 1.

    Raises:
        ShapeError: if they do not fit.
        ValueError: if a target is known to be neither -1 nor 1.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> x1, x2 = cr.tensor([[1.0, 0.0], [1.0, 0.0]]), cr.tensor([[0.0, 2.0], [3.0, 0.0]])
        >>> nn.CosineEmbeddingLoss(margin=0.5, reduction="none")(x1, x2, [1, -1])
        tensor([1. , 0.5])
    """

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = float(checks.number("margin", margin))
        if not -1 <= self.margin <= 1:
            raise ValueError(f"margin lies in -1 ... 1, got {margin}")

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
        _require_vectors(x1)
        if y.shape != x1.shape[:-1]:
            raise ShapeError(
                f"for inputs of shape {x1.shape} the target has shape {x1.shape[:-1]}, one number "
                f"for each pair; got {y.shape}"
            )
        self._check_target(y)
        cosine = _cosine(x1, x2.astype(x1.dtype))
        similar = y.astype(x1.dtype) > 0.0
        losses = where(similar, 1.0 - cosine, maximum(cosine - self.margin, 0.0))
        return self._reduce(losses, sample_weight)


def _require_vectors(x: Tensor) -> None:
    if not x.ndim:
        raise ShapeError("the input must have an axis of features; its shape is ()")
