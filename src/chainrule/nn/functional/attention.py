"""Attention as functions of the graph."""

from __future__ import annotations

import math

import numpy as np

from chainrule import checks
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn.functional.dropout import dropout
from chainrule.ops import arange, matmul, repeat, softmax, where
from chainrule.ops.attention import attention

__all__ = ["scaled_dot_product_attention"]

_NEVER = -math.inf  # the score of a key that a query must not see


@both_names()
def scaled_dot_product_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    attn_mask: TensorLike | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(scale Q K^T + mask) V: the values of the keys that are most like each query.

    In a plan it is one kernel, forward and backward, without the (L, S) matrix of weights in
    memory; only with dropout the weights are there.

    Args:
        query: Q, shape (..., L, E).
        key: K, shape (..., S, E).
        value: V, shape (..., S, Ev).
        attn_mask: of a shape that broadcasts to (..., L, S): booleans say which keys a query sees,
            numbers are added to the scores.
        dropout_p: the probability of a weight being dropped; it counts at every call, so give 0 in
            evaluation.
        is_causal: whether query i sees only the keys 0 ... i; not together with a mask.
        scale: of the scores; None for 1 / sqrt(E).
        enable_gqa: whether K and V may have fewer heads, on axis -3, than Q has: each then serves
            as many heads of Q in a row.

    Returns:
        Shape (..., L, Ev). A query that sees no key gets 0.

    Raises:
        ShapeError: if shapes do not fit.
        DTypeError: if Q, K and V are not floating, or differ in dtype.
        ValueError: for a mask beside is_causal, or dropout_p outside 0 ... 1.

    Source: Vaswani et al., "Attention is all you need", NIPS 2017, section 3.2; for `enable_gqa`
    Ainslie et al., "GQA: training generalized multi-query transformer models", EMNLP 2023.

    Example:
        >>> import chainrule as cr
        >>> q = cr.tensor([[0.0], [100.0]])
        >>> k, v = cr.tensor([[-1.0], [1.0]]), cr.tensor([[10.0], [20.0]])
        >>> scaled_dot_product_attention(q, k, v).tolist()
        [[15.0], [20.0]]
        >>> scaled_dot_product_attention(q, k, v, is_causal=True).tolist()
        [[10.0], [20.0]]
    """
    q, k, v = as_tensor(query), as_tensor(key), as_tensor(value)
    if len({q.dtype, k.dtype, v.dtype}) > 1 or q.dtype.kind != "f":
        raise DTypeError(
            "scaled_dot_product_attention takes floating Tensors of one dtype, not "
            f"{q.dtype}, {k.dtype} and {v.dtype}; cast them"
        )
    if is_causal and attn_mask is not None:
        raise ValueError("give attn_mask or is_causal=True, not both: put the one into the other")
    if enable_gqa:
        k, v = _repeated_heads(q, k), _repeated_heads(q, v)
    q, k, v, lead = _as_stacks(q, k, v)
    bias = None if attn_mask is None else _bias(as_tensor(attn_mask), q, k, lead)
    width = q.shape[-1]
    if scale is not None:
        factor = checks.number("scale", scale)
    else:
        factor = 1.0 / math.sqrt(width) if width else 1.0
    if isinstance(dropout_p, Tensor) or checks.probability("dropout_p", dropout_p) > 0:
        y, _ = weighted(q, k, v, bias, dropout_p, is_causal, factor)
    else:
        y = fused(q, k, v, bias, is_causal, factor)
    return y.reshape(*lead, *y.shape[2:])


def fused(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, is_causal: bool, scale: float
) -> Tensor:
    """Attention of stacks (batch, head, place, width); the bias broadcasts to the scores."""
    if bias is not None:
        bias = bias.broadcast_to((*q.shape[:3], k.shape[2]))
    q, k, v = (x.transpose(0, 2, 1, 3) for x in (q, k, v))
    return attention(q, k, v, bias, causal=is_causal, scale=scale).transpose(0, 2, 1, 3)


def weighted(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor | None,
    dropout_p: float | Tensor,
    is_causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """The same by ordinary operations, and the weights, (batch, head, query, key)."""
    s = matmul(q, k, transpose_b=True) * scale
    if bias is not None:
        s = s + bias
    if is_causal:
        s = where(causal_mask(*s.shape[2:]), s, _NEVER)
    if not s.shape[3]:  # the softmax of nothing
        return matmul(s, v), s
    if bias is None:
        weights = softmax(s, -1)
    else:  # the softmax of a query that sees nothing would be no number
        blind = s.max(axis=-1, keepdims=True) == _NEVER
        weights = where(blind, 0.0, softmax(where(blind, 0.0, s), -1))
    if isinstance(dropout_p, Tensor) or dropout_p > 0:
        weights = dropout(weights, dropout_p)
    return matmul(weights, v), weights


def causal_mask(queries: int, keys: int) -> Tensor:
    """Which keys each query sees, (queries, keys): query i those up to i."""
    return arange(keys).reshape(1, -1) <= arange(queries).reshape(-1, 1)


def as_bias(mask: Tensor, dtype: np.dtype) -> Tensor:
    """What is added to the scores, by a mask of booleans or of numbers."""
    if mask.dtype.kind == "b":
        return where(mask, 0.0, _NEVER).astype(dtype)
    if mask.dtype.kind != "f":
        raise DTypeError(f"a mask has booleans or floats, not {mask.dtype}; cast it to bool")
    return mask.astype(dtype)


def _bias(mask: Tensor, q: Tensor, k: Tensor, lead: tuple[int, ...]) -> Tensor:
    """The mask as a bias of four axes that broadcasts to the scores of the stacks."""
    scores = (*lead, q.shape[2], k.shape[2])
    try:
        fits = np.broadcast_shapes(mask.shape, scores) == scores
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            f"scaled_dot_product_attention: attn_mask has shape {mask.shape}, which does not "
            f"broadcast to that of the scores, {scores}"
        )
    bias = as_bias(mask, q.dtype)
    if len(lead) > 2 and bias.ndim > 3:  # all axes but the last of them are one in the stacks
        bias = bias.broadcast_to((*lead[:-1], *bias.shape[-3:])).reshape(-1, *bias.shape[-3:])
    return bias.reshape(*(1,) * (4 - bias.ndim), *bias.shape)


def _as_stacks(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor, tuple[int, ...]]:
    """(batch, head, place, width) each, and the axes before the last two that the result has."""
    shapes = f"{q.shape}, {k.shape} and {v.shape}"
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            "scaled_dot_product_attention: query, key and value have shapes (..., L, E), "
            f"(..., S, E) and (..., S, Ev); got {shapes}"
        )
    try:
        lead = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    except ValueError:
        raise ShapeError(
            "scaled_dot_product_attention: the axes before the last two of query, key and value "
            f"do not broadcast together: {shapes}. With fewer heads of key and value give "
            "enable_gqa=True"
        ) from None
    stack = (math.prod(lead[:-1]), *(lead[-1:] or (1,)))
    q, k, v = (
        x.broadcast_to((*lead, *x.shape[-2:])).reshape(*stack, *x.shape[-2:]) for x in (q, k, v)
    )
    return q, k, v, lead


def _repeated_heads(q: Tensor, x: Tensor) -> Tensor:
    """K or V with each head as often as Q has heads for it."""
    if q.ndim < 3 or x.ndim < 3 or not x.shape[-3] or q.shape[-3] % x.shape[-3]:
        raise ShapeError(
            "scaled_dot_product_attention: with enable_gqa the heads of the query, on axis -3, are "
            f"a multiple of those of key and value; got shapes {q.shape} and {x.shape}"
        )
    times = q.shape[-3] // x.shape[-3]
    return x if times == 1 else repeat(x, times, axis=x.ndim - 3)
