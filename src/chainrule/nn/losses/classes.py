"""Losses of scores for classes: cross-entropy, negative log-likelihood, margins."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from chainrule import checks
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.state import Buffer
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.nn.losses.base import Loss, floating, known, weights
from chainrule.nn.means import weighted_mean
from chainrule.ops import relu, where
from chainrule.ops.creation import ones_like
from chainrule.ops.index import check_labels, one_hot
from chainrule.ops.softmax import log_softmax, softmax_cross_entropy


class _ClassLoss(Loss):
    """A loss of scores for C classes, along axis 1 (or the only axis), that can weigh classes."""

    weight: Buffer | None

    def __init__(self, weight: ArrayLike | None, reduction: str) -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weights("weight", weight))
        _check_class_weight(self.weight)

    def _class_weight(self, rows: Tensor) -> Tensor | None:
        if self.weight is None:
            return None
        _check_class_weight(self.weight)
        if self.weight.shape[0] != rows.shape[1]:
            raise ShapeError(
                f"weight has {self.weight.shape[0]} numbers, the input {rows.shape[1]} classes"
            )
        return self.weight.astype(rows.dtype)


class _LikelihoodLoss(_ClassLoss):
    """The base of cross-entropy and negative log-likelihood: ignored labels and the mean."""

    def __init__(
        self, weight: ArrayLike | None, ignore_index: int | None, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction)
        if ignore_index is not None:
            ignore_index = checks.integer("ignore_index", ignore_index)
        self.ignore_index = ignore_index

    def target_fault(self, target: Array) -> str | None:
        if self.ignore_index is None or (np.asarray(target) != self.ignore_index).any():
            return None
        return f"all labels are {self.ignore_index}, the ignore_index: no row counts"

    def _losses(self, rows: Tensor, labels: Tensor, weight: Tensor | None) -> Tensor:
        """The loss of each row of scores, times the weight of its class."""
        raise NotImplementedError

    def _labelled(self, scores: Tensor, target: Tensor, sample_weight: TensorLike | None) -> Tensor:
        """The loss with class labels as targets."""
        labels = _class_labels(scores, target)
        rows = _rows(scores)
        weight = self._class_weight(rows)
        counted = None
        if self.ignore_index is not None:
            labels = labels.astype("int64")
            counted = labels != self.ignore_index
            labels = where(counted, labels, 0)
        losses = self._losses(rows, labels, weight)
        if counted is not None:
            losses = where(counted, losses, 0.0)
        if self.reduction == "none" or sample_weight is not None:
            losses = losses.reshape(target.shape)
        if self.reduction != "mean" or (weight is None and counted is None):
            return self._reduce(losses, sample_weight)
        losses = self._weighted(losses, sample_weight)
        shares = weight[labels] if weight is not None else ones_like(losses)
        if counted is not None:
            shares = where(counted, shares, 0.0)
        return weighted_mean(losses.sum(), shares.sum())


def _scores(input: TensorLike, target: Tensor) -> Tensor:
    """The input, if it is floating.

    Raises:
        DTypeError: if it is not.
    """
    scores = as_tensor(input)
    if scores.dtype.kind in "biu" and target.dtype.kind == "f":
        raise DTypeError(
            f"the input is {scores.dtype} of shape {scores.shape}, the target {target.dtype} of "
            f"shape {target.shape}: swap them. It is loss(input, target), the model's output first"
        )
    return floating("input", scores)


def _check_class_weight(weight: Tensor | None) -> None:
    if weight is not None and weight.ndim != 1:
        raise ShapeError(f"weight has one number per class, not shape {weight.shape}")


def _class_labels(scores: Tensor, target: Tensor) -> Tensor:
    """The target as integer labels of shape (rows,); raises where it does not fit the scores."""
    if target.dtype.kind == "b":  # as a Trainer gives those that stand beside another target
        target = target.astype("int64")
    if scores.ndim == 0:
        raise ShapeError("the input must have an axis of classes; its shape is ()")
    shape = scores.shape[:1] + scores.shape[2:] if scores.ndim > 1 else ()
    if target.shape != shape or target.dtype.kind not in "iu":
        if target.shape == scores.shape:
            remedy = f"Of one-hot rows take target.argmax({min(scores.ndim, 2) - 1})."
        elif target.size == math.prod(shape):
            remedy = "Use target" + (f".reshape({shape})" if target.shape != shape else "")
            remedy += "." if target.dtype.kind in "iu" else ".astype('int64')."
        elif scores.ndim > 2 and target.shape in (scores.shape[:-1], (*scores.shape[:-1], 1)):
            remedy = "The classes are axis 1 of the input: give cr.moveaxis(input, -1, 1)"
            remedy += "." if target.ndim < scores.ndim else ", and target[..., 0]."
        else:
            remedy = "Give one label for each row of the input."
        error = ShapeError if target.dtype.kind in "iu" else DTypeError
        raise error(
            f"for an input of shape {scores.shape} the target is integer class labels of shape "
            f"{shape}; got {target.dtype} of shape {target.shape}. {remedy}"
        )
    return target if target.ndim == 1 else target.reshape(-1)


def _rows(x: Tensor) -> Tensor:
    """(N, C), (C,) or (N, C, d1, ...) as rows of C classes."""
    if x.ndim == 2:
        return x
    if x.ndim < 2:
        return x.reshape(1, -1)
    return x.transpose(0, *range(2, x.ndim), 1).reshape(-1, x.shape[1])


class CrossEntropyLoss(_LikelihoodLoss):
    """The cross-entropy of softmax(logits) with labels or probabilities, by default its mean.

    Formula: -w_y log(softmax(z)_y) for a label y; -sum_c w_c y_c log(softmax(z)_c) for
    probabilities. Natural logarithm; all w are 1 by default.

    The mean over labels is the sum divided by the sum of their w_y, so without weights the mean
    over all rows that are not ignored; over probabilities it is the sum divided by the number of
    rows, whatever the weights. Both as in PyTorch. Where no label counts the mean is NaN, and its
    gradient 0; see `nn.weighted_mean` for what a Trainer makes of it.

    Args:
        weight: shape (C,), the w of each class.
        ignore_index: a label that does not count. None by default, where PyTorch has -100: so a
            label out of range is an error, unless you said that you mean it.
        reduction: "mean", "sum" or "none".
        label_smoothing: the e in 0 ... 1 by which targets become (1 - e) y + e / C.

    Shapes:
        Input (N, C), (N, C, d1, ...) or (C,): logits, not probabilities. Target: integer labels
        (or booleans, as 0 and 1) of the same shape without C, or floating probabilities of the
        same shape.

    Raises:
        ShapeError, DTypeError: if the target does not fit.
        IndexError: if a label is not in 0 ... C - 1.

    Source: *Deep Learning*, section 6.2.2.3; label smoothing: Szegedy et al., "Rethinking the
    inception architecture", CVPR 2016.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.CrossEntropyLoss()(cr.tensor([[2.0, 0.0], [0.0, 0.0]]), [0, 1])
        tensor(0.41)
    """

    outputs = "class logits"

    def __init__(
        self,
        weight: ArrayLike | None = None,
        *,
        ignore_index: int | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, ignore_index, reduction)
        self.label_smoothing = float(checks.probability("label_smoothing", label_smoothing))

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        target = as_tensor(target)
        logits = _scores(input, target)
        if target.dtype.kind == "f" and target.shape == logits.shape and logits.ndim:
            return self._probabilities(logits, target, sample_weight)
        return self._labelled(logits, target, sample_weight)

    def _losses(self, rows: Tensor, labels: Tensor, weight: Tensor | None) -> Tensor:
        losses = softmax_cross_entropy(rows, labels)
        if weight is not None:
            losses = losses * weight[labels]
        if self.label_smoothing:
            every = log_softmax(rows, 1)
            if weight is not None:
                every = every * weight
            share = self.label_smoothing / rows.shape[1]
            losses = (1.0 - self.label_smoothing) * losses - share * every.sum(1)
        return losses

    def _probabilities(
        self, logits: Tensor, target: Tensor, sample_weight: TensorLike | None
    ) -> Tensor:
        """The loss with the probability of each class as target."""
        if self.ignore_index is not None:
            raise ValueError("ignore_index is a label; the targets are probabilities")
        rows = _rows(logits)
        weight = self._class_weight(rows)
        y = _rows(target).astype(rows.dtype)
        if self.label_smoothing:
            y = (1.0 - self.label_smoothing) * y + self.label_smoothing / rows.shape[1]
        if weight is not None:
            y = y * weight
        losses = -(y * log_softmax(rows, 1)).sum(1)
        if self.reduction == "none" or sample_weight is not None:
            losses = losses.reshape(logits.shape[:1] + logits.shape[2:] if logits.ndim > 1 else ())
        return self._reduce(losses, sample_weight)


class NLLLoss(_LikelihoodLoss):
    """-w_y s_y, where s_y is the input at the label y: a log-probability, as from LogSoftmax.

    Without weights its sum is the negative multinomial log-likelihood of the labels. Of LogSoftmax
    it is the same as `CrossEntropyLoss` of the logits, which takes fewer steps.

    The mean is the sum divided by the sum of the w_y of all rows that are not ignored.

    Args:
        weight: shape (C,), the w of each class; 1 by default.
        ignore_index: a label that does not count. None by default; see `CrossEntropyLoss`.
        reduction: "mean", "sum" or "none".

    Shapes:
        Input (N, C), (N, C, d1, ...) or (C,); target: integer labels of the same shape without C,
        or booleans, as 0 and 1.

    Raises:
        ShapeError, DTypeError: if the target does not fit.
        IndexError: if a label is not in 0 ... C - 1.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.NLLLoss()(cr.tensor([[-0.5, -1.0], [-3.0, -0.25]]), [0, 1])
        tensor(0.375)
    """

    outputs = "class log-probabilities"

    def __init__(
        self,
        weight: ArrayLike | None = None,
        *,
        ignore_index: int | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, ignore_index, reduction)

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        target = as_tensor(target)
        return self._labelled(_scores(input, target), target, sample_weight)

    def _losses(self, rows: Tensor, labels: Tensor, weight: Tensor | None) -> Tensor:
        numbers = known(labels)
        if known(rows) is None or numbers is None:  # where a choice is fused, and a scatter is not
            # No product: the log-probability of another class may be -inf.
            chosen = one_hot(labels, rows.shape[1], rows.dtype) > 0.0
            losses = -where(chosen, rows, 0.0).sum(1)
        else:
            check_labels(numbers, rows.shape[1])
            losses = -rows[np.arange(len(numbers)), labels]
        return losses if weight is None else losses * weight[labels]


class MultiMarginLoss(_ClassLoss):
    """The hinge of several classes: each wrong class is to score less than the right one by margin.

    Formula: w_y sum over c != y of max(0, margin - s_y + s_c)^p / C for C classes and the label y,
    by default its mean over rows, whatever the weights.

    Args:
        p: 1 or 2.
        margin: by how much the right class is to score more.
        weight: shape (C,), the w of each class; 1 by default.
        reduction: "mean", "sum" or "none".

    Shapes:
        Input (N, C) or (C,); target: integer labels of shape (N,) or (), or booleans, as 0 and 1.

    Raises:
        ShapeError, DTypeError: if the target does not fit.
        IndexError: if a label is not in 0 ... C - 1.

    Source: Weston and Watkins, "Support vector machines for multi-class pattern recognition",
    ESANN 1999; the division by C is PyTorch's.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.MultiMarginLoss()(cr.tensor([[2.0, 1.5, 0.0, 0.0]]), [0])
        tensor(0.125)
    """

    outputs = "class scores"

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: ArrayLike | None = None,
        *,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, reduction)
        if p not in (1, 2):
            raise ValueError(f"p is 1 or 2, got {p!r}")
        self.p = int(p)
        self.margin = float(checks.number("margin", margin))

    def forward(
        self, input: TensorLike, target: TensorLike, *, sample_weight: TensorLike | None = None
    ) -> Tensor:
        target = as_tensor(target)
        scores = _scores(input, target)
        if scores.ndim > 2:
            raise ShapeError(f"the input has shape (N, C) or (C,), not {scores.shape}")
        labels = _class_labels(scores, target)
        rows = _rows(scores)
        weight = self._class_weight(rows)
        right = one_hot(labels, rows.shape[1], rows.dtype) > 0.0
        own = where(right, rows, 0.0).sum(1, keepdims=True)
        short = where(right, 0.0, relu(self.margin - own + rows))
        losses = (short if self.p == 1 else short * short).sum(1) / float(rows.shape[1])
        if weight is not None:
            losses = losses * weight[labels]
        return self._reduce(losses.reshape(target.shape), sample_weight)
