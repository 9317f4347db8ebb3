"""Distances and angles between two inputs, as layers."""

from __future__ import annotations

from chainrule import checks
from chainrule.graph.keywords import both_names
from chainrule.graph.tensor import Tensor, TensorLike
from chainrule.nn import functional
from chainrule.nn.distances import order
from chainrule.nn.layers.base import Layer


class CosineSimilarity(Layer):
    """The cosine of the angle between two inputs; see `functional.cosine_similarity`.

    Args:
        dim: the axis of the vectors.
        eps: the smallest length that counts.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.CosineSimilarity()(cr.tensor([[1.0, 0.0]]), cr.tensor([[3.0, 4.0]]))
        tensor([0.6])
    """

    @both_names()
    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = checks.integer("dim", dim)
        self.eps = checks.not_negative("eps", eps)

    def extra_repr(self) -> str:
        return ""  # as PyTorch's

    def forward(self, x1: TensorLike, x2: TensorLike) -> Tensor:
        return functional.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Layer):
    """The p-norm of the difference of two inputs; see `functional.pairwise_distance`.

    Args:
        p: the norm's order, positive, or infinity.
        eps: added to each difference, as in PyTorch.
        keepdim: whether the last axis stays, of length 1.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.PairwiseDistance(eps=0.0)(cr.tensor([[3.0, 4.0]]), cr.tensor([[0.0, 0.0]]))
        tensor([5.])
    """

    @both_names()
    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.p = order("PairwiseDistance", p)
        self.eps = checks.not_negative("eps", eps)
        self.keepdim = bool(keepdim)

    def extra_repr(self) -> str:
        return ""  # as PyTorch's

    def forward(self, x1: TensorLike, x2: TensorLike) -> Tensor:
        return functional.pairwise_distance(x1, x2, self.p, self.eps, self.keepdim)
