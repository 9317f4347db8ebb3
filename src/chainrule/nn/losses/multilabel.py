"""Losses of scores for several labels at once, and of a score for -1 or 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.state import Buffer
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.nn.losses.base import (
    ElementLoss,
    Loss,
    floating,
    known,
    range_fault,
    require_same_shape,
    sign_fault,
    weights,
)
from chainrule.ops import max, relu, softplus, where
from chainrule.ops.index import one_hot


class SoftMarginLoss(ElementLoss):
    """log(1 + exp(-y x)) for y = -1 or 1, by default its mean over all elements.

    Of labels 0 and 1 it is `BCEWithLogitsLoss`.

    Args:
        reduction: "mean", "sum" or "none".

    Shapes:
        Input and target equal; the target is -1 or 1.

    Raises:
        ShapeError: if they differ.
        ValueError: if a target is known to be neither -1 nor 1.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.SoftMarginLoss(reduction="none")(cr.tensor([0.0, 1.0, 100.0]), [1, 1, -1])
        tensor([  0.6931,   0.3133, 100.    ])
    """

    outputs = "margins"

    def target_fault(self, target: Array) -> str | None:
        return sign_fault(target)

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        x, y = self._pair(input, target)
        return self._reduce(softplus(-y * x), sample_weight)


class MultiLabelSoftMarginLoss(ElementLoss):
    """The mean over classes of the cross-entropies of sigmoid(x) with y: one loss for each row.

    Formula: -1/C sum_c w_c (y_c log(sigmoid(x_c)) + (1 - y_c) log(1 - sigmoid(x_c))), by default
    its mean over rows.

    Args:
        weight: shape (C,), the w of each class; 1 by default.
        reduction: "mean", "sum" or "none".

    Shapes:
        Input and target equal, (..., C); the target lies in 0 ... 1.

    Raises:
        ShapeError: if they differ, or have no axis.
        ValueError: if a target is known to lie outside 0 ... 1.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.MultiLabelSoftMarginLoss()(cr.tensor([[0.0, 100.0]]), [[1.0, 1.0]])
        tensor(0.3466)
    """

    outputs = "logits"

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
        if not x.ndim:
            raise ShapeError("the input must have an axis of classes; its shape is ()")
        losses = y * softplus(-x) + (1.0 - y) * softplus(x)
        if self.weight is not None:
            losses = losses * self.weight.astype(x.dtype).broadcast_to(x.shape)
        return self._reduce(losses.mean(-1), sample_weight)


class MultiLabelMarginLoss(Loss):
    """The hinge of several labels: each label is to score more than each other class by 1.

    Formula: 1/C sum over labels j and classes i that are no label of max(0, 1 - x_j + x_i), by
    default its mean over rows.

    Args:
        reduction: "mean", "sum" or "none".

    Shapes:
        Input (N, C) or (C,); target: integers of the same shape, the labels of each row and then
        -1; what follows the first -1 does not count.

    Raises:
        ShapeError, DTypeError: if the target does not fit.
        ValueError: if a target is known to lie outside -1 ... C - 1.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.MultiLabelMarginLoss()(cr.tensor([[0.1, 0.2, 0.4, 0.8]]), [[3, 0, -1, 1]])
        tensor(0.85)
    """

    def target_fault(self, target: Array) -> str | None:
        high = target.shape[-1] - 1 if target.ndim else np.inf
        return range_fault("labels", target, -1, high)

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        x, y = floating("input", input), as_tensor(target)
        if x.ndim not in (1, 2):
            raise ShapeError(f"the input has shape (N, C) or (C,), not {x.shape}")
        require_same_shape(x, y)
        if y.dtype.kind not in "iu":
            raise DTypeError(f"the target is integer labels, and -1 after them; got {y.dtype}")
        self._check_target(y)
        classes, shape = x.shape[-1], x.shape[:-1]
        x, y = x.reshape(-1, classes), y.reshape(-1, classes).astype("int64")
        # How many -1 there are up to each place: a label has none.
        ends = (y < 0).astype(x.dtype) @ np.triu(np.ones((classes, classes), x.dtype))
        counts = (ends < 0.5).astype(x.dtype)
        numbers = known(counts)
        if numbers is None:
            most = classes  # labels of a row
        else:
            most = int(numbers.sum(1).max(initial=1))
            y, ends, counts = y[:, :most], ends[:, :most], counts[:, :most]
        chosen = one_hot(where(ends < 0.5, y, 0).reshape(-1), classes, x.dtype)
        chosen = chosen.reshape(-1, most, classes) * counts.reshape(-1, most, 1)
        other = 1.0 - max(chosen, axis=1, keepdims=True)
        scores = (chosen * x.reshape(-1, 1, classes)).sum(2, keepdims=True)
        short = relu(1.0 - scores + x.reshape(-1, 1, classes))
        losses = (short * counts.reshape(-1, most, 1) * other).sum((1, 2)) / float(classes)
        return self._reduce(losses.reshape(shape), sample_weight)
