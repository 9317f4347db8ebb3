"""Scaled dot-product attention of one or several heads, and its gradient, as fused operations.

With Q, K and V of one head, of the widths d and d', and a bias B (or none):

    S = scale Q K^T + B          scores, one row per query; -infinity where a query must not look
    L = log(sum over keys of exp(S))
    P = exp(S - L)               the weights: softmax of each row
    Y = P V                      attention
    D = row sums of dY * Y
    dS = P * (dY V^T - D)        attention_grad:  dQ = scale dS K,  dK = scale dS^T Q,  dV = P^T dY

All arrays have the axes (batch, place, head, width), so that the heads of one projection lie side
by side and need no copy. Natively no (queries, keys) matrix but a tile of it is ever in memory: the
softmax is taken by running maximum and sum (Milakov and Gimelshein, "Online normalizer calculation
for softmax", 2018), and the gradient recomputes each tile from L (Dao, Fu, Ermon, Rudra, Re,
"FlashAttention: fast and memory-efficient exact attention with IO-awareness", NeurIPS 2022).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.operation import Spec, operation, shared_gradient
from chainrule.graph.tensor import Array, Tensor
from chainrule.ops.comparison import where
from chainrule.ops.creation import arange
from chainrule.ops.matmul import matmul
from chainrule.ops.samples import examples
from chainrule.ops.unary import exp
from chainrule.system.threads import hold_numpy

__all__: list[str] = []  # public as functions of nn.functional

Shape = tuple[int, ...]


def _check(name: str, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> None:
    shapes = (q.shape, k.shape, v.shape)
    if any(len(shape) != 4 for shape in shapes):
        raise ShapeError(f"{name}: q, k, v have axes (batch, place, head, width), got {shapes}")
    fits = q.shape[0] == k.shape[0] == v.shape[0] and q.shape[2:] == k.shape[2:]
    if not fits or k.shape[:3] != v.shape[:3]:
        raise ShapeError(
            f"{name}: q, k and v have shapes {', '.join(map(str, shapes))}: batch and heads must "
            "agree, q and k in their width, k and v in their places"
        )
    wanted = (q.shape[0], q.shape[2], q.shape[1], k.shape[1])
    if bias is not None and bias.shape != wanted:
        raise ShapeError(f"{name}: the bias has shape {bias.shape}, not {wanted}")
    dtypes = {t.dtype for t in (q, k, v, bias) if t is not None}
    if len(dtypes) != 1 or q.dtype.kind != "f":
        raise DTypeError(
            f"{name} takes floating Tensors of one dtype, not {sorted(map(str, dtypes))}"
        )


def _pairs(q: Shape, k: Shape, causal: bool) -> int:
    """How many pairs of a query and a key that it sees there are, in all heads."""
    queries, keys = q[1], k[1]
    if causal:
        within = min(queries, keys)
        seen = within * (within + 1) // 2 + (queries - within) * keys
    else:
        seen = queries * keys
    return q[0] * q[2] * seen


# Cases: shapes of q, k, v; whether there is a bias; causal.
_CASES = (
    ((2, 3, 2, 4), (2, 3, 2, 4), (2, 3, 2, 4), False, True),
    ((1, 5, 1, 3), (1, 4, 1, 3), (1, 4, 1, 2), False, False),
    ((1, 2, 3, 1), (1, 4, 3, 1), (1, 4, 3, 1), True, False),
    ((2, 1, 1, 2), (2, 3, 1, 2), (2, 3, 1, 2), True, True),
    ((0, 2, 1, 2), (0, 2, 1, 2), (0, 2, 1, 2), False, True),
)
_SCALE = 0.7


def _samples(kind: str) -> Any:
    cases = []
    for q, k, v, has_bias, causal in _CASES:
        row = (q[0], q[2], q[1])
        bias = ((*row, k[1]),) if has_bias else ()
        y = (*q[:3], v[3])
        inputs = {
            "attention": (q, k, v, *bias),
            "attention_lse": (q, k, *bias),
            "attention_grad": (y, q, k, v, y, row, *bias),
        }
        cases.append((inputs[kind], {"causal": causal, "scale": _SCALE}))
    return examples(*cases)


# In NumPy, with the axes (batch, head, place, width)


def _heads(x: Array) -> Array:
    return x.transpose(0, 2, 1, 3)


def _scores(q: Array, k: Array, bias: Array | None, causal: bool, scale: float) -> Array:
    hold_numpy()
    s = np.matmul(_heads(q), k.transpose(0, 2, 3, 1))
    s *= s.dtype.type(scale)
    if bias is not None:
        s = s + bias
    if causal:
        np.copyto(s, -np.inf, where=np.tri(*s.shape[-2:]) == 0)
    return s


def _shift(s: Array) -> Array:
    """The largest number of each row; 0 where it is -infinity."""
    largest = np.maximum.reduce(s, axis=-1, keepdims=True, initial=-np.inf)
    return np.where(np.isneginf(largest), s.dtype.type(0), largest)


def _lse(s: Array) -> Array:
    """log(sum(exp(s))) of each row; 0 where a row has nothing above -infinity. It overwrites s."""
    shift = _shift(s)
    s -= shift
    total = np.exp(s, out=s).sum(axis=-1)
    safe = np.where(total == 0, total.dtype.type(1), total)
    return np.where(total == 0, total, np.log(safe) + shift[..., 0])


def _weights(s: Array) -> Array:
    """The softmax of each row, in its place; 0 where a row has nothing above -infinity."""
    s -= _shift(s)
    total = np.exp(s, out=s).sum(axis=-1, keepdims=True)
    s /= np.where(total == 0, total.dtype.type(1), total)
    return s


def _shapes(views: Any, *inputs: Tensor) -> tuple[Shape, ...]:
    """The shapes of inputs; a plan reads them through views of what they are parts of."""
    return tuple([x.shape for x in views or inputs])


# Attention


def _attention_spec(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, *, causal: bool, scale: float
) -> Spec:
    _check("attention", q, k, v, bias)
    return Spec((*q.shape[:3], v.shape[3]), q.dtype)


def _attention_flops(y: Any, *inputs: Any, causal: bool, scale: float, views: Any = None) -> int:
    """The two products, and four operations on each score as softmax has."""
    q, k, v = _shapes(views, *inputs)[:3]
    return _pairs(q, k, causal) * (2 * (q[3] + v[3]) + 4)


@operation(
    _attention_spec,
    _samples("attention"),
    flops=_attention_flops,
)
def _attention(
    q: Array, k: Array, v: Array, bias: Array | None = None, *, causal: bool, scale: float
) -> Array:
    """The values of each query's keys, weighted by the softmax of its scores."""
    p = _weights(_scores(q, k, bias, causal, scale))
    return np.ascontiguousarray(_heads(np.matmul(p, _heads(v))))


def _lse_spec(
    q: Tensor, k: Tensor, bias: Tensor | None = None, *, causal: bool, scale: float
) -> Spec:
    _check("attention_lse", q, k, k, bias)
    return Spec((q.shape[0], q.shape[2], q.shape[1]), q.dtype)


def _lse_flops(y: Any, *inputs: Any, causal: bool, scale: float, views: Any = None) -> int:
    """One product, and three operations on each score."""
    q, k = _shapes(views, *inputs)[:2]
    return _pairs(q, k, causal) * (2 * q[3] + 3)


@operation(
    _lse_spec,
    _samples("attention_lse"),
    flops=_lse_flops,
)
def _attention_lse(
    q: Array, k: Array, bias: Array | None = None, *, causal: bool, scale: float
) -> Array:
    """The logarithm of the sum of exp(scores) of each query; 0 for one that sees no key."""
    return _lse(_scores(q, k, bias, causal, scale))


# Its gradient: dQ, dK and dV in one Tensor


def _are_alike(q: Shape, k: Shape, v: Shape) -> bool:
    """Whether the three gradients have one shape; then they lie side by side in each place."""
    return q == k == v


def _grad_spec(
    g: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    y: Tensor,
    lse: Tensor,
    bias: Tensor | None = None,
    *,
    causal: bool,
    scale: float,
) -> Spec:
    _check("attention_grad", q, k, v, bias)
    row = (q.shape[0], q.shape[2], q.shape[1])
    result = (*q.shape[:3], v.shape[3])
    if g.shape != result or y.shape != result or lse.shape != row:
        raise ShapeError(
            f"attention_grad: g, y and lse have shapes {g.shape}, {y.shape} and {lse.shape}, not "
            f"{result}, {result} and {row}"
        )
    if _are_alike(q.shape, k.shape, v.shape):
        batch, places, heads, width = q.shape
        return Spec((batch, places, 3, heads, width), q.dtype)
    return Spec((q.size + k.size + v.size,), q.dtype)


def _grad_flops(y: Any, *inputs: Any, causal: bool, scale: float, views: Any = None) -> int:
    """Five products, and six operations on each score."""
    q, k, v = _shapes(views, *inputs)[1:4]
    return _pairs(q, k, causal) * (6 * q[3] + 4 * v[3] + 6)


@operation(
    _grad_spec,
    _samples("attention_grad"),
    flops=_grad_flops,
)
def _attention_grad(
    g: Array,
    q: Array,
    k: Array,
    v: Array,
    y: Array,
    lse: Array,
    bias: Array | None = None,
    *,
    causal: bool,
    scale: float,
) -> Array:
    """dQ, dK and dV, given g = dY: (batch, place, 3, head, width), or, where their shapes differ,
    one after another in a row."""
    p = np.exp(_scores(q, k, bias, causal, scale) - lse[..., None])
    delta = (_heads(g) * _heads(y)).sum(axis=-1, keepdims=True)
    ds = p * (np.matmul(_heads(g), v.transpose(0, 2, 3, 1)) - delta)
    ds *= ds.dtype.type(scale)
    parts = (
        _heads(np.matmul(ds, _heads(k))),
        _heads(np.matmul(ds.swapaxes(2, 3), _heads(q))),
        _heads(np.matmul(p.swapaxes(2, 3), _heads(g))),
    )
    if _are_alike(q.shape, k.shape, v.shape):
        return np.stack(parts, axis=2)
    return np.concatenate([part.reshape(-1) for part in parts])


def _parts(packed: Tensor, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What belongs to q, to k and to v in a Tensor of the shape of `attention_grad`."""
    if _are_alike(q.shape, k.shape, v.shape):
        return packed[:, :, 0], packed[:, :, 1], packed[:, :, 2]
    to_k, to_v = q.size, q.size + k.size
    return (
        packed[:to_k].reshape(q.shape),
        packed[to_k:to_v].reshape(k.shape),
        packed[to_v:].reshape(v.shape),
    )


# Rules


def _with_heads_first(x: Tensor) -> Tensor:
    """(batch, place, head, width) as (batch, head, place, width), or back."""
    return x.transpose(0, 2, 1, 3)


def _times_transposed(a: Tensor, b: Tensor) -> Tensor:
    """A B^T of each head, where rows are places."""
    return matmul(_with_heads_first(a), _with_heads_first(b), transpose_b=True)


def _times(a: Tensor, b: Tensor) -> Tensor:
    """A B of each head: A is (batch, head, places, places), the result has heads after places."""
    return _with_heads_first(matmul(a, _with_heads_first(b)))


def _graph_weights(
    q: Tensor, k: Tensor, lse: Tensor, bias: Tensor | None, causal: bool, scale: float
) -> Tensor:
    """P from L, by ordinary operations."""
    s = _times_transposed(q, k) * scale
    if bias is not None:
        s = s + bias
    p = exp(s - lse.reshape(*lse.shape, 1))
    if causal:
        hidden = arange(s.shape[3]).reshape(1, -1) > arange(s.shape[2]).reshape(-1, 1)
        p = where(hidden, 0.0, p)
    return p


def _row_sums(x: Tensor) -> Tensor:
    return x.sum(axis=-1, keepdims=True)


def _for_bias(
    g: Tensor,
    y: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor,
    *,
    causal: bool,
    scale: float,
) -> Tensor:
    """dS: as large as the bias itself."""
    lse = _attention_lse.apply(q, k, bias, causal=causal, scale=scale)
    p = _graph_weights(q, k, lse, bias, causal, scale)
    delta = _row_sums(_with_heads_first(g * y))
    return p * (_times_transposed(g, v) - delta)


def _for(index: int) -> Any:
    def rule(
        g: Tensor,
        y: Tensor,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *bias: Tensor,
        causal: bool,
        scale: float,
    ) -> Tensor:
        def of_all() -> Tensor:
            over = {"causal": causal, "scale": scale}
            lse = _attention_lse.apply(q, k, *bias, **over)
            return _attention_grad.apply(g, q, k, v, y, lse, *bias, **over)

        return _parts(shared_gradient(y, g, of_all), q, k, v)[index]

    return rule


_attention.differentiable(_for(0), _for(1), _for(2), _for_bias)


def _lse_for(wanted: str) -> Any:
    """L depends on S by P: dS = dL P."""

    def rule(
        g: Tensor,
        y: Tensor,
        q: Tensor,
        k: Tensor,
        bias: Tensor | None = None,
        *,
        causal: bool,
        scale: float,
    ) -> Tensor:
        ds = _graph_weights(q, k, y, bias, causal, scale) * g.reshape(*g.shape, 1)
        if wanted == "q":
            return _times(ds, k) * scale
        return _times(ds.swapaxes(2, 3), q) * scale if wanted == "k" else ds

    return rule


_attention_lse.differentiable(_lse_for("q"), _lse_for("k"), _lse_for("bias"))


def _grad_for(wanted: str) -> Any:
    """The rules of the gradient. With h the gradient by (dQ, dK, dV), and * element by element:

    A = scale (hQ K^T + Q hK^T)            by dS
    C = (dY hV^T + A * (dY V^T - D)) * P   by S
    r = row sums of A * P                  by -D
    """

    def rule(
        h: Tensor,
        _packed: Tensor,
        g: Tensor,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        y: Tensor,
        lse: Tensor,
        bias: Tensor | None = None,
        *,
        causal: bool,
        scale: float,
    ) -> Tensor:
        hq, hk, hv = _parts(h, q, k, v)
        p = _graph_weights(q, k, lse, bias, causal, scale)
        a = (_times_transposed(hq, k) + _times_transposed(q, hk)) * scale
        if wanted == "v":
            return _times((a * p).swapaxes(2, 3), g)
        if wanted in ("g", "y"):
            r = _with_heads_first(_row_sums(a * p))
            return _times(p, hv) + _times(a * p, v) - r * y if wanted == "g" else -(r * g)
        delta = _row_sums(_with_heads_first(g * y))
        ds = p * (_times_transposed(g, v) - delta)
        c = p * _times_transposed(g, hv) + a * ds
        if wanted == "q":
            return (_times(ds, hk) + _times(c, k)) * scale
        if wanted == "k":
            return (_times(ds.swapaxes(2, 3), hq) + _times(c.swapaxes(2, 3), q)) * scale
        return -c.sum(axis=-1) if wanted == "lse" else c

    return rule


_attention_grad.differentiable(*map(_grad_for, ("g", "q", "k", "v", "y", "lse", "bias")))


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor | None = None,
    *,
    causal: bool = False,
    scale: float,
) -> Tensor:
    """softmax(scale q k^T + bias) v of each head.

    Args:
        q: shape (batch, queries, heads, width).
        k: shape (batch, keys, heads, width).
        v: shape (batch, keys, heads, width of the values).
        bias: shape (batch, heads, queries, keys), or None.
        causal: whether query i sees only the keys 0 ... i.
        scale: of the scores.

    Returns:
        Shape (batch, queries, heads, width of the values); 0 for a query that sees no key.
    """
    inputs = (q, k, v) if bias is None else (q, k, v, bias)
    return _attention.apply(*inputs, causal=causal, scale=scale)
