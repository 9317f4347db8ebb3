"""MultiheadAttention: attention of several heads, with projections that are learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn import arguments, init
from chainrule.nn.functional.attention import as_bias, causal_mask, fused, weighted
from chainrule.nn.functional.linear import linear
from chainrule.nn.layers.base import Layer, MaybeParameter
from chainrule.nn.layers.linear import Linear
from chainrule.ops import concatenate, pad, zeros


class MultiheadAttention(Layer):
    """Attention of several heads side by side: concat(head_1, ..., head_h) W_O + b_O, where
    head_i = softmax(Q_i K_i^T / sqrt(d) + mask) V_i and Q, K, V are projections of the inputs.

    Args:
        embed_dim: E, the width of queries and results.
        num_heads: h; it divides E, and d = E / h.
        dropout: the probability of a weight being dropped in training.
        bias: whether the projections have a bias.
        add_bias_kv: whether a learned key and value are added to those of each sequence.
        add_zero_attn: whether a key and a value of zeros are added.
        kdim, vdim: the widths of keys and values; None for E.
        batch_first: whether arrays are (N, L, E) rather than (L, N, E).
        dtype: of the parameters; data are cast, outputs of layers must have it.

    Attributes:
        in_proj_weight: shape (3 E, E), the projections of query, key and value, at first Xavier's;
            None where kdim or vdim is not E, and then `q_proj_weight`, `k_proj_weight` and
            `v_proj_weight`, (E, E), (E, kdim) and (E, vdim), are in its place.
        in_proj_bias: shape (3 E,), at first 0; or None.
        bias_k, bias_v: shape (1, 1, E), or None.
        out_proj: the `Linear` that makes the result.

    Shapes:
        query (L, N, E), key (S, N, kdim), value (S, N, vdim); with `batch_first` N comes first;
        without a batch there is no N. The result has the query's shape.

    Raises:
        ValueError: if num_heads does not divide embed_dim.
        ShapeError, DTypeError: when called on inputs that do not fit.

    Source: Vaswani et al., "Attention is all you need", NIPS 2017, section 3.2.2; the starting
    values are PyTorch's.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.MultiheadAttention(4, 2, batch_first=True)
        >>> x = cr.zeros((3, 5, 4))
        >>> y, weights = layer(x, x, x)
        >>> y.shape, weights.shape
        ((3, 5, 4), (3, 5, 5))
    """

    is_stochastic = True
    makes_children = True

    in_proj_weight: MaybeParameter
    q_proj_weight: MaybeParameter
    k_proj_weight: MaybeParameter
    v_proj_weight: MaybeParameter
    in_proj_bias: MaybeParameter
    bias_k: MaybeParameter
    bias_v: MaybeParameter

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.embed_dim = width = checks.count("embed_dim", embed_dim)
        self.num_heads = checks.count("num_heads", num_heads)
        if width % num_heads:
            raise ValueError(f"num_heads must divide embed_dim, got {num_heads} and {width}")
        self.dropout = checks.probability("dropout", dropout)
        self.bias = bool(bias)
        self.add_bias_kv, self.add_zero_attn = bool(add_bias_kv), bool(add_zero_attn)
        self.kdim = width if kdim is None else checks.count("kdim", kdim)
        self.vdim = width if vdim is None else checks.count("vdim", vdim)
        self.batch_first = bool(batch_first)
        self.head_dim = width // num_heads
        self.dtype = arguments.floating(dtype, device)
        shapes: dict[str, tuple[int, ...] | None] = {
            "in_proj_weight": (3 * width, width) if self._same_widths() else None,
            "q_proj_weight": None if self._same_widths() else (width, width),
            "k_proj_weight": None if self._same_widths() else (width, self.kdim),
            "v_proj_weight": None if self._same_widths() else (width, self.vdim),
            "in_proj_bias": (3 * width,) if bias else None,
            "bias_k": (1, 1, width) if add_bias_kv else None,
            "bias_v": (1, 1, width) if add_bias_kv else None,
        }
        for name, shape in shapes.items():
            made = None if shape is None else Parameter(np.zeros(shape, self.dtype))
            self.register_parameter(name, made)
        self.out_proj = Linear(width, width, bias=bias, dtype=dtype)
        self.reset_parameters()

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        width = checks.count("embed_dim", given["embed_dim"])
        others = [
            width if given[n] is None else checks.count(n, given[n]) for n in ("kdim", "vdim")
        ]
        return width * (2 * width + sum(others) + 6)

    def _same_widths(self) -> bool:
        return self.kdim == self.vdim == self.embed_dim

    def reset_parameters(self) -> None:
        """Draw the projections of the inputs anew; biases become 0."""
        for weight in (
            self.in_proj_weight,
            self.q_proj_weight,
            self.k_proj_weight,
            self.v_proj_weight,
        ):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            assert self.out_proj.bias is not None
            init.zeros_(self.out_proj.bias)
        for added in (self.bias_k, self.bias_v):
            if added is not None:
                init.xavier_normal_(added)

    def __repr__(self) -> str:
        """As PyTorch prints it, which has a class of its own for this projection."""
        return (
            super()
            .__repr__()
            .replace("(out_proj): Linear(", "(out_proj): NonDynamicallyQuantizableLinear(")
        )

    def extra_repr(self) -> str:
        """Nothing, as in PyTorch: the projection says how wide it is."""
        return ""

    def forward(
        self,
        query: TensorLike,
        key: TensorLike,
        value: TensorLike,
        key_padding_mask: TensorLike | None = None,
        need_weights: bool = True,
        attn_mask: TensorLike | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The result, and the weights.

        Args:
            query, key, value: as the class says.
            key_padding_mask: shape (N, S), or (S,) without a batch: True for keys that no query
                sees; numbers are added to the scores.
            need_weights: whether the weights are returned, which takes memory for them; without
                them the second result is None.
            attn_mask: shape (L, S) or (N h, L, S): True for what a query does *not* see; numbers
                are added to the scores.
            average_attn_weights: whether the weights are the mean of the heads', (N, L, S), rather
                than (N, h, L, S).
            is_causal: says that attn_mask is the causal one, which then is not read, if no
                weights are needed and there is no key_padding_mask; without attn_mask that one
                is meant.

        Returns:
            The result; and the weights, after dropout, or None. A query that sees no key gets
            weights of 0.
        """
        q, k, v = (as_tensor(x) for x in (query, key, value))
        same = k is v and q is k
        q, k, v, batched = self._checked(q, k, v)
        batch, queries, keys = q.shape[0], q.shape[1], k.shape[1]
        q, k, v = self._projected(q, k, v, same)
        q, k, v = (self._with_added(x, extra) for x, extra in ((q, 0), (k, 1), (v, 2)))
        added = self.add_bias_kv + self.add_zero_attn  # keys that all queries see
        causal = is_causal and key_padding_mask is None and not added
        if causal and not need_weights:
            attn_mask = None
        elif is_causal and attn_mask is None:
            attn_mask = ~causal_mask(queries, keys)
        causal = causal and attn_mask is None
        bias = self._bias(attn_mask, key_padding_mask, batch, queries, keys, batched)
        if bias is not None and added:
            bias = pad(bias, ((0, 0),) * 3 + ((0, added),))
        scale = self.head_dim**-0.5
        p = self.dropout if self.training else 0.0
        weights = None
        if need_weights or p > 0:
            y, weights = weighted(q, k, v, bias, p, causal, scale)
        else:
            y = fused(q, k, v, bias, causal, scale)
        y = self.out_proj(y.transpose(0, 2, 1, 3).reshape(batch, queries, self.embed_dim))
        if not batched:
            y = y[0]
        elif not self.batch_first:
            y = y.transpose(1, 0, 2)
        if not need_weights or weights is None:
            return y, None
        if average_attn_weights:
            weights = weights.mean(axis=1)
        return y, weights if batched else weights[0]

    def _checked(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor, bool]:
        """The inputs as (N, places, width), and whether they have a batch."""
        batched = q.ndim == 3
        if q.ndim not in (2, 3) or not q.ndim == k.ndim == v.ndim:
            raise ShapeError(
                f"query, key and value have 3 axes, or 2 without a batch; got shapes {q.shape}, "
                f"{k.shape} and {v.shape}"
            )
        widths = (self.embed_dim, self.kdim, self.vdim)
        q, k, v = (
            arguments.as_input(x, n, self.dtype) for x, n in zip((q, k, v), widths, strict=True)
        )
        if not batched:
            q, k, v = (x.reshape(1, *x.shape) for x in (q, k, v))
        elif not self.batch_first:
            q, k, v = (x.transpose(1, 0, 2) for x in (q, k, v))
        if k.shape[:2] != v.shape[:2] or k.shape[0] != q.shape[0]:
            raise ShapeError(
                "key and value have as many places as each other, and the query's batch; got, as "
                f"(N, places, width), shapes {q.shape}, {k.shape} and {v.shape}"
            )
        return q, k, v, batched

    def _projected(self, q: Tensor, k: Tensor, v: Tensor, same: bool) -> tuple[Tensor, ...]:
        """Queries, keys and values, (N, places, E) each."""
        width = self.embed_dim
        if same and self.in_proj_weight is not None:
            packed = linear(q, self.in_proj_weight, self.in_proj_bias)
            return packed[..., :width], packed[..., width : 2 * width], packed[..., 2 * width :]
        if self.in_proj_weight is not None:
            weights = [self.in_proj_weight[i * width : (i + 1) * width] for i in range(3)]
        else:
            own = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
            weights = [w for w in own if w is not None]
        biases = [
            None if self.in_proj_bias is None else self.in_proj_bias[i * width : (i + 1) * width]
            for i in range(3)
        ]
        return tuple(linear(x, w, b) for x, w, b in zip((q, k, v), weights, biases, strict=True))

    def _with_added(self, x: Tensor, kind: int) -> Tensor:
        """(N, places, E) as heads (N, h, places, d), of keys and values with what is added."""
        batch = x.shape[0]
        learned = (None, self.bias_k, self.bias_v)[kind]
        if learned is not None:
            x = concatenate([x, learned.broadcast_to((batch, 1, self.embed_dim))], axis=1)
        if kind and self.add_zero_attn:
            x = concatenate([x, zeros((batch, 1, self.embed_dim), dtype=x.dtype)], axis=1)
        return x.reshape(batch, x.shape[1], self.num_heads, self.head_dim).transpose(0, 2, 1, 3)

    def _bias(
        self,
        attn_mask: TensorLike | None,
        key_padding_mask: TensorLike | None,
        batch: int,
        queries: int,
        keys: int,
        batched: bool,
    ) -> Tensor | None:
        """What is added to the scores of the keys that were given; None for nothing."""
        found = []
        if attn_mask is not None:
            mask = as_tensor(attn_mask)
            if mask.shape not in ((queries, keys), (batch * self.num_heads, queries, keys)):
                raise ShapeError(
                    f"attn_mask has shape {mask.shape}; it must be {(queries, keys)} or "
                    f"{(batch * self.num_heads, queries, keys)}"
                )
            several = (batch, self.num_heads) if mask.ndim == 3 else (1, 1)
            found.append(_hiding(mask, self.dtype).reshape(*several, queries, keys))
        if key_padding_mask is not None:
            mask = as_tensor(key_padding_mask)
            wanted = (batch, keys) if batched else (keys,)
            if mask.shape != wanted:
                raise ShapeError(
                    f"key_padding_mask has shape {mask.shape}; it must be {wanted}, with a number "
                    "for each key"
                )
            found.append(_hiding(mask, self.dtype).reshape(batch, 1, 1, keys))
        if not found:
            return None
        return found[0] if len(found) == 1 else found[0] + found[1]


def _hiding(mask: Tensor, dtype: str) -> Tensor:
    """A mask whose booleans say what is not seen, as a bias."""
    return as_bias(~mask if mask.dtype.kind == "b" else mask, np.dtype(dtype))
