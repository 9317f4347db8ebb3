"""Lengths of vectors, and distances and angles between them."""

from __future__ import annotations

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor, plain_number
from chainrule.ops import maximum
from chainrule.ops.declare import align
from chainrule.ops.linalg import vector_norm

__all__ = ["cosine_similarity", "normalize", "pairwise_distance"]


@both_names()
def normalize(
    input: TensorLike, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12
) -> Tensor:
    """x divided by its p-norm along `dim`, or by `eps` where that is larger.

    Args:
        input: floating, any shape.
        p: the norm's order, positive, or infinity.
        dim: the axis, or axes.
        eps: the smallest divisor.

    Example:
        >>> import chainrule as cr
        >>> normalize(cr.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6, 0.8],
                [0. , 0. ]])
    """
    x = as_tensor(input)
    return x / maximum(
        vector_norm(x, order("normalize", p), dim, keepdims=True), plain_number("eps", eps)
    )


@both_names()
def pairwise_distance(
    x1: TensorLike, x2: TensorLike, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis.

    Args:
        x1, x2: shape (N, D) or (D,); they are broadcast to one shape.
        p: the norm's order, positive, or infinity.
        eps: added to each difference, as in PyTorch: so the derivative is finite.
        keepdim: whether the last axis stays, of length 1.

    Raises:
        ShapeError: if the vectors have no axis, or their shapes do not meet.
        ValueError: if p is not positive.

    Example:
        >>> import chainrule as cr
        >>> pairwise_distance(cr.tensor([[3.0, 4.0]]), cr.tensor([[0.0, 0.0]]), eps=0.0)
        tensor([5.])
    """
    p = order("pairwise_distance", p)
    a, b = align("pairwise_distance", as_tensor(x1), as_tensor(x2))
    if not a.ndim:
        raise ShapeError("pairwise_distance: the vectors have an axis of features; got ()")
    return vector_norm(a - b + plain_number("eps", eps), p, -1, keepdim)


@both_names()
def cosine_similarity(x1: TensorLike, x2: TensorLike, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along `dim`.

    Args:
        x1, x2: any shape; they are broadcast to one shape.
        dim: the axis of the vectors.
        eps: the smallest length.

    Raises:
        ShapeError: if there is no axis `dim`, or the shapes do not meet.

    Example:
        >>> import chainrule as cr
        >>> cosine_similarity(cr.tensor([[1.0, 0.0]]), cr.tensor([[3.0, 4.0]]))
        tensor([0.6])
    """
    a, b = align("cosine_similarity", as_tensor(x1), as_tensor(x2))
    if not -a.ndim <= checks.integer("dim", dim) < a.ndim:
        raise ShapeError(f"cosine_similarity: there is no axis {dim} in shape {a.shape}")
    least = plain_number("eps", eps)
    a, b = (x / maximum(vector_norm(x, 2, dim, keepdims=True), least) for x in (a, b))
    return (a * b).sum(dim)


def order(name: str, p: float) -> float:
    """The order of a norm, positive or infinity."""
    found = plain_number("p", p)
    if not found > 0:
        raise ValueError(f"{name}: p, the order of the norm, is positive; got {p}")
    return found
