"""Losses, under PyTorch's names: one number that training makes smaller.

Each takes `reduction`: "mean" (each docstring says over what), "sum", or "none" for one loss per
example or element. PyTorch's other arguments, `size_average` and `reduce`, are deprecated there and
missing here.
"""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from chainrule.graph.errors import DTypeError, ShapeError
from chainrule.graph.state import Buffer
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn import arguments
from chainrule.nn.module import Module
from chainrule.ops.elementwise import abs, softplus, where
from chainrule.ops.index import one_hot
from chainrule.ops.loss import log_softmax, softmax_cross_entropy
from chainrule.ops.shape import ones_like


class _Loss(Module):
    """What all losses share."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction is 'mean', 'sum' or 'none', got {reduction!r}")
        self.reduction = reduction

    def _reduce(self, losses: Tensor) -> Tensor:
        if self.reduction == "mean":
            return losses.mean()
        return losses.sum() if self.reduction == "sum" else losses


class _ElementLoss(_Loss):
    """A loss for each element of an input and a target of one shape."""

    def _pair(self, input: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor]:
        """Both as Tensors of the input's dtype; raises where they do not fit."""
        input, target = as_tensor(input), as_tensor(target)
        if input.dtype.kind != "f":
            raise DTypeError(f"the input must be floating, not {input.dtype}; cast it first")
        if input.shape != target.shape:
            remedy = "They must be equal, because broadcasting would pair each with all."
            if input.size == target.size:
                remedy += f" Use target.reshape({', '.join(map(str, input.shape))})."
            raise ShapeError(
                f"the input has shape {input.shape}, the target {target.shape}. {remedy}"
            )
        return input, target.cast(input.dtype)


class MSELoss(_ElementLoss):
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

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        x, y = self._pair(input, target)
        error = x - y
        return self._reduce(error * error)


class L1Loss(_ElementLoss):
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

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        x, y = self._pair(input, target)
        return self._reduce(abs(x - y))


class BCEWithLogitsLoss(_ElementLoss):
    """The cross-entropy of sigmoid(x) with y, by default its mean over all elements.

    Formula: -(p y log(sigmoid(x)) + (1 - y) log(1 - sigmoid(x))), as
    p y softplus(-x) + (1 - y) softplus(x), which neither overflows nor cancels.

    Args:
        reduction: "mean", "sum" or "none".
        pos_weight: the p, a number or one for each output: above 1 it makes a missed y = 1 dearer.

    Shapes:
        Input and target equal; the target, in 0 ... 1, is cast to the input's dtype.

    Raises:
        ShapeError: if the shapes differ, as (N, 1) and (N,) do.

    Source: *Deep Learning*, section 6.2.2.2.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.BCEWithLogitsLoss()(cr.tensor([0.0, 100.0]), [1.0, 1.0])
        tensor(0.3466)
    """

    pos_weight: Buffer | None

    def __init__(self, *, reduction: str = "mean", pos_weight: ArrayLike | None = None) -> None:
        super().__init__(reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        x, y = self._pair(input, target)
        positive = y * softplus(-x)
        if self.pos_weight is not None:
            positive = self.pos_weight.cast(x.dtype).broadcast_to(x.shape) * positive
        return self._reduce(positive + (1.0 - y) * softplus(x))


class _ClassLoss(_Loss):
    """A loss of scores for C classes, along axis 1 (or the only axis), with class labels."""

    weight: Buffer | None

    def __init__(
        self, weight: ArrayLike | None, ignore_index: int | None, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        if self.weight is not None and self.weight.ndim != 1:
            raise ShapeError(f"weight has one number per class, not shape {self.weight.shape}")
        if ignore_index is not None:
            ignore_index = arguments.whole("ignore_index", ignore_index)
        self.ignore_index = ignore_index

    def _losses(self, rows: Tensor, labels: Tensor, weight: Tensor | None) -> Tensor:
        """The loss of each row of scores, times the weight of its class."""
        raise NotImplementedError

    def _labelled(self, scores: Tensor, target: Tensor) -> Tensor:
        """The loss with class labels as targets."""
        labels = _class_labels(scores, target)
        rows = _rows(scores)
        weight = self._class_weight(rows)
        counted = None
        if self.ignore_index is not None:
            labels = labels.cast("int64")
            counted = labels != self.ignore_index
            labels = where(counted, labels, 0)
        losses = self._losses(rows, labels, weight)
        if counted is not None:
            losses = where(counted, losses, 0.0)
        if self.reduction == "none":
            return losses.reshape(target.shape)
        if self.reduction == "sum" or (weight is None and counted is None):
            return self._reduce(losses)
        shares = weight[labels] if weight is not None else ones_like(losses)
        if counted is not None:
            shares = where(counted, shares, 0.0)
        return losses.sum() / shares.sum()

    def _class_weight(self, rows: Tensor) -> Tensor | None:
        if self.weight is None:
            return None
        if self.weight.shape[0] != rows.shape[1]:
            raise ShapeError(
                f"weight has {self.weight.shape[0]} numbers, the input {rows.shape[1]} classes"
            )
        return self.weight.cast(rows.dtype)


def _class_labels(scores: Tensor, target: Tensor) -> Tensor:
    """The target as integer labels of shape (rows,); raises where it does not fit the scores."""
    if scores.ndim == 0:
        raise ShapeError("the input must have an axis of classes; its shape is ()")
    shape = scores.shape[:1] + scores.shape[2:] if scores.ndim > 1 else ()
    if target.shape != shape or target.dtype.kind not in "iu":
        if target.shape == scores.shape:
            remedy = "Of one-hot rows take target.argmax(1)."
        elif target.size == math.prod(shape):
            remedy = f"Use target.reshape({shape}), with .astype('int64') unless it is integer."
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


class CrossEntropyLoss(_ClassLoss):
    """The cross-entropy of softmax(logits) with labels or probabilities, by default its mean.

    Formula: -w_y log(softmax(z)_y) for a label y; -sum_c w_c y_c log(softmax(z)_c) for
    probabilities. Natural logarithm; all w are 1 by default.

    The mean over labels is the sum divided by the sum of their w_y, so without weights the mean
    over all rows that are not ignored; over probabilities it is the sum divided by the number of
    rows, whatever the weights. Both as in PyTorch.

    Args:
        weight: shape (C,), the w of each class.
        ignore_index: a label that does not count. None by default, where PyTorch has -100: so a
            label out of range is an error, unless you said that you mean it.
        reduction: "mean", "sum" or "none".
        label_smoothing: the e in 0 ... 1 by which targets become (1 - e) y + e / C.

    Shapes:
        Input (N, C), (N, C, d1, ...) or (C,): logits, not probabilities. Target: integer labels
        of the same shape without C, or floating probabilities of the same shape.

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

    def __init__(
        self,
        weight: ArrayLike | None = None,
        *,
        ignore_index: int | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, ignore_index, reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing lies in 0 ... 1, got {label_smoothing}")
        self.label_smoothing = float(label_smoothing)

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        logits, target = as_tensor(input), as_tensor(target)
        if target.dtype.kind == "f" and target.shape == logits.shape and logits.ndim:
            return self._probabilities(logits, target)
        return self._labelled(logits, target)

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

    def _probabilities(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss with the probability of each class as target."""
        if self.ignore_index is not None:
            raise ValueError("ignore_index is a label; the targets are probabilities")
        rows = _rows(logits)
        weight = self._class_weight(rows)
        y = _rows(target).cast(rows.dtype)
        if self.label_smoothing:
            y = (1.0 - self.label_smoothing) * y + self.label_smoothing / rows.shape[1]
        if weight is not None:
            y = y * weight
        losses = -(y * log_softmax(rows, 1)).sum(1)
        if self.reduction == "none":
            return losses.reshape(logits.shape[:1] + logits.shape[2:] if logits.ndim > 1 else ())
        return self._reduce(losses)


class NLLLoss(_ClassLoss):
    """-w_y s_y, where s_y is the input at the label y: a log-probability, as from LogSoftmax.

    The mean is the sum divided by the sum of the w_y of all rows that are not ignored.

    Args:
        weight: shape (C,), the w of each class; 1 by default.
        ignore_index: a label that does not count. None by default; see `CrossEntropyLoss`.
        reduction: "mean", "sum" or "none".

    Shapes:
        Input (N, C), (N, C, d1, ...) or (C,); target: integer labels of the same shape without C.

    Raises:
        ShapeError, DTypeError: if the target does not fit.
        IndexError: if a label is not in 0 ... C - 1.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.NLLLoss()(cr.tensor([[-0.5, -1.0], [-3.0, -0.25]]), [0, 1])
        tensor(0.375)
    """

    def __init__(
        self,
        weight: ArrayLike | None = None,
        *,
        ignore_index: int | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, ignore_index, reduction)

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        return self._labelled(as_tensor(input), as_tensor(target))

    def _losses(self, rows: Tensor, labels: Tensor, weight: Tensor | None) -> Tensor:
        # A choice, not a product: the log-probability of another class may be -inf.
        chosen = one_hot(labels, rows.shape[1], rows.dtype) > 0.0
        losses = -where(chosen, rows, 0.0).sum(1)
        return losses if weight is None else losses * weight[labels]
