"""The losses of `chainrule.nn` as functions: each is its class, called once.

The class says what the formula, the shapes and the errors are. Weights may be any Tensors here, as
of a step that is captured. `ignore_index` is None by default, where PyTorch has -100: a label out
of range is an error, unless you said that you mean it. PyTorch's `size_average` and `reduce` are
deprecated there and missing here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from chainrule.errors import ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.tensor import Tensor, TensorLike
from chainrule.nn import losses
from chainrule.nn.losses.base import ElementLoss, Loss, checked_weights

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cross_entropy",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]

L = TypeVar("L", bound=Loss)


def _weighing(loss: L, **given: TensorLike | None) -> L:
    """The loss, with weights that may have no value yet."""
    for name, data in given.items():
        vars(loss)[name] = None if data is None else checked_weights(name, data)
    return loss


def _of_elements(
    loss: Callable[..., ElementLoss],
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike | None,
    reduction: str,
) -> Tensor:
    """The loss with a weight for each element; the mean is divided by the sum of the weights.

    Raises:
        ShapeError: if the weights have another shape than the input.
    """
    if weight is None:
        return loss(reduction=reduction)(input, target)
    loss(reduction=reduction)  # which checks it
    each = loss(reduction="none")(input, target)
    weights = checked_weights("weight", weight).astype(each.dtype)
    if weights.shape != each.shape:
        raise ShapeError(f"the weight has shape {weights.shape}; the input has {each.shape}")
    weighted = each * weights
    if reduction == "none":
        return weighted
    return weighted.sum() if reduction == "sum" else weighted.sum() / weights.sum()


@both_names()
def mse_loss(
    input: TensorLike,
    target: TensorLike,
    *,
    reduction: str = "mean",
    weight: TensorLike | None = None,
) -> Tensor:
    """(x - y)^2; see `nn.MSELoss`. A mean of weighted elements is divided by the weights' sum.

    Example:
        >>> import chainrule as cr
        >>> mse_loss(cr.tensor([1.0, 2.0]), [1.0, 4.0])
        tensor(2.)
    """
    return _of_elements(losses.MSELoss, input, target, weight, reduction)


@both_names()
def l1_loss(
    input: TensorLike,
    target: TensorLike,
    *,
    reduction: str = "mean",
    weight: TensorLike | None = None,
) -> Tensor:
    """|x - y|; see `nn.L1Loss`. A mean of weighted elements is divided by the weights' sum."""
    return _of_elements(losses.L1Loss, input, target, weight, reduction)


@both_names()
def smooth_l1_loss(
    input: TensorLike, target: TensorLike, *, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """The absolute error with its kink rounded off; see `nn.SmoothL1Loss`."""
    return losses.SmoothL1Loss(reduction=reduction, beta=beta)(input, target)


@both_names()
def huber_loss(
    input: TensorLike,
    target: TensorLike,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: TensorLike | None = None,
) -> Tensor:
    """Half the squared error up to delta, and linear beyond; see `nn.HuberLoss`.

    A mean of weighted elements is divided by their number, as in PyTorch.
    """
    loss = partial(losses.HuberLoss, delta=delta)
    if weight is None or reduction != "mean":
        return _of_elements(loss, input, target, weight, reduction)
    return _of_elements(loss, input, target, weight, "none").mean()


@both_names()
def cross_entropy(
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross-entropy of softmax(logits) with labels or probabilities; see `nn.CrossEntropyLoss`.

    Example:
        >>> import chainrule as cr
        >>> cross_entropy(cr.tensor([[2.0, 0.0], [0.0, 0.0]]), [0, 1])
        tensor(0.41)
    """
    loss = losses.CrossEntropyLoss(
        ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
    )
    return _weighing(loss, weight=weight)(input, target)


@both_names()
def nll_loss(
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-probability of labels; see `nn.NLLLoss`."""
    loss = losses.NLLLoss(ignore_index=ignore_index, reduction=reduction)
    return _weighing(loss, weight=weight)(input, target)


@both_names()
def binary_cross_entropy(
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    *,
    reduction: str = "mean",
) -> Tensor:
    """The cross-entropy of a probability with y; see `nn.BCELoss`."""
    return _weighing(losses.BCELoss(reduction=reduction), weight=weight)(input, target)


@both_names()
def binary_cross_entropy_with_logits(
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    *,
    reduction: str = "mean",
    pos_weight: TensorLike | None = None,
) -> Tensor:
    """The cross-entropy of sigmoid(x) with y; see `nn.BCEWithLogitsLoss`."""
    loss = losses.BCEWithLogitsLoss(reduction=reduction)
    return _weighing(loss, weight=weight, pos_weight=pos_weight)(input, target)


@both_names()
def kl_div(
    input: TensorLike, target: TensorLike, *, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """The divergence of the distribution y from exp(x); see `nn.KLDivLoss`."""
    return losses.KLDivLoss(reduction=reduction, log_target=log_target)(input, target)


@both_names()
def gaussian_nll_loss(
    input: TensorLike,
    target: TensorLike,
    var: TensorLike,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood under a normal distribution; see `nn.GaussianNLLLoss`."""
    loss = losses.GaussianNLLLoss(full=full, eps=eps, reduction=reduction)
    return loss(input, target, var)


@both_names()
def poisson_nll_loss(
    input: TensorLike,
    target: TensorLike,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood under a Poisson distribution; see `nn.PoissonNLLLoss`."""
    return losses.PoissonNLLLoss(log_input, full, eps=eps, reduction=reduction)(input, target)


@both_names()
def hinge_embedding_loss(
    input: TensorLike, target: TensorLike, margin: float = 1.0, *, reduction: str = "mean"
) -> Tensor:
    """The hinge of a distance; see `nn.HingeEmbeddingLoss`."""
    return losses.HingeEmbeddingLoss(margin, reduction=reduction)(input, target)


@both_names()
def margin_ranking_loss(
    input1: TensorLike,
    input2: TensorLike,
    target: TensorLike,
    margin: float = 0.0,
    *,
    reduction: str = "mean",
) -> Tensor:
    """The hinge of a ranking; see `nn.MarginRankingLoss`."""
    return losses.MarginRankingLoss(margin, reduction=reduction)(input1, input2, target)


@both_names()
def triplet_margin_loss(
    anchor: TensorLike,
    positive: TensorLike,
    negative: TensorLike,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Tensor:
    """The hinge of two distances from an anchor; see `nn.TripletMarginLoss`."""
    loss = losses.TripletMarginLoss(margin, p, eps, swap, reduction=reduction)
    return loss(anchor, positive, negative)


@both_names()
def triplet_margin_with_distance_loss(
    anchor: TensorLike,
    positive: TensorLike,
    negative: TensorLike,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """The same with a distance of the user's; see `nn.TripletMarginWithDistanceLoss`."""
    loss = losses.TripletMarginWithDistanceLoss(
        distance_function=distance_function, margin=margin, swap=swap, reduction=reduction
    )
    return loss(anchor, positive, negative)


@both_names()
def cosine_embedding_loss(
    input1: TensorLike,
    input2: TensorLike,
    target: TensorLike,
    margin: float = 0.0,
    *,
    reduction: str = "mean",
) -> Tensor:
    """The loss of an angle; see `nn.CosineEmbeddingLoss`."""
    return losses.CosineEmbeddingLoss(margin, reduction=reduction)(input1, input2, target)


@both_names()
def multi_margin_loss(
    input: TensorLike,
    target: TensorLike,
    p: int = 1,
    margin: float = 1.0,
    weight: TensorLike | None = None,
    *,
    reduction: str = "mean",
) -> Tensor:
    """The hinge of several classes; see `nn.MultiMarginLoss`."""
    loss = losses.MultiMarginLoss(p, margin, reduction=reduction)
    return _weighing(loss, weight=weight)(input, target)


@both_names()
def multilabel_margin_loss(
    input: TensorLike, target: TensorLike, *, reduction: str = "mean"
) -> Tensor:
    """The hinge of several labels; see `nn.MultiLabelMarginLoss`."""
    return losses.MultiLabelMarginLoss(reduction=reduction)(input, target)


@both_names()
def multilabel_soft_margin_loss(
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    *,
    reduction: str = "mean",
) -> Tensor:
    """The cross-entropies of several labels; see `nn.MultiLabelSoftMarginLoss`."""
    loss = losses.MultiLabelSoftMarginLoss(reduction=reduction)
    return _weighing(loss, weight=weight)(input, target)


@both_names()
def soft_margin_loss(input: TensorLike, target: TensorLike, *, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-y x)); see `nn.SoftMarginLoss`."""
    return losses.SoftMarginLoss(reduction=reduction)(input, target)
