"""GPT: a transformer that predicts the next token of a text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.state import Buffer
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn import arguments, functional, init
from chainrule.nn.containers import ModuleDict, ModuleList
from chainrule.nn.layers.base import Layer
from chainrule.nn.layers.dropout import Dropout
from chainrule.nn.layers.embedding import Embedding
from chainrule.nn.layers.linear import Linear
from chainrule.nn.layers.normalisation import LayerNorm
from chainrule.nn.module import Module
from chainrule.ops import arange, where


class Cache:
    """The keys and values of the tokens that a model has seen, for each of its blocks.

    Attributes:
        keys, values: Buffers of shape (1, block_size, n_head, width of a head).
    """

    def __init__(self, model: GPT) -> None:
        shape = (1, model.block_size, model.n_head, model.n_embd // model.n_head)
        blocks = range(model.n_layer)
        self.keys = [Buffer(np.zeros(shape, model.dtype)) for _ in blocks]
        self.values = [Buffer(np.zeros(shape, model.dtype)) for _ in blocks]


class _SelfAttention(Module):
    """Each token sees itself and those before it."""

    def __init__(self, model: GPT) -> None:
        super().__init__()
        width, bias, dtype = model.n_embd, model.bias, model.dtype
        self.c_attn = Linear(width, 3 * width, bias, dtype=dtype)
        self.c_proj = Linear(width, width, bias, dtype=dtype)
        self.resid_dropout = Dropout(model.dropout)
        self.n_head = model.n_head
        self.dropout = model.dropout

    def _heads(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, (batch, place, head, width) each."""
        width = x.shape[-1]
        shape = (*x.shape[:2], self.n_head, width // self.n_head)
        packed = self.c_attn(x)
        return tuple(packed[..., i * width : (i + 1) * width].reshape(shape) for i in range(3))

    def _joined(self, y: Tensor) -> Tensor:
        """The heads (batch, head, place, width) side by side, projected."""
        batch, heads, places, width = y.shape
        y = y.transpose(0, 2, 1, 3).reshape(batch, places, heads * width)
        return self.resid_dropout(self.c_proj(y))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (t.transpose(0, 2, 1, 3) for t in self._heads(x))
        p = self.dropout if self.training else 0.0
        return self._joined(
            functional.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        )

    def step(self, x: Tensor, position: Tensor, keys: Buffer, values: Buffer) -> Tensor:
        """The same for the token at `position` alone; its key and value join those before it."""
        q, k, v = self._heads(x)
        places = arange(keys.shape[1])
        here = (places == position).reshape(1, -1, 1, 1)
        for cache, new in ((keys, k), (values, v)):
            cache.assign(where(here, new.broadcast_to(cache.shape), cache))
        q, k, v = (t.transpose(0, 2, 1, 3) for t in (q, keys.node(), values.node()))
        seen = (places <= position).reshape(1, -1)
        return self._joined(functional.scaled_dot_product_attention(q, k, v, attn_mask=seen))


class _Block(Module):
    """Attention, then two linear layers, each added to its input, which is normalised before."""

    def __init__(self, model: GPT) -> None:
        super().__init__()
        width, bias, dtype = model.n_embd, model.bias, model.dtype
        self.ln_1 = LayerNorm(width, bias=bias, dtype=dtype)
        self.attn = _SelfAttention(model)
        self.ln_2 = LayerNorm(width, bias=bias, dtype=dtype)
        self.mlp = ModuleDict(
            {
                "c_fc": Linear(width, 4 * width, bias, dtype=dtype),
                "c_proj": Linear(4 * width, width, bias, dtype=dtype),
                "dropout": Dropout(model.dropout),
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        return self._feed_forward(x + self.attn(self.ln_1(x)))

    def step(self, x: Tensor, position: Tensor, keys: Buffer, values: Buffer) -> Tensor:
        return self._feed_forward(x + self.attn.step(self.ln_1(x), position, keys, values))

    def _feed_forward(self, x: Tensor) -> Tensor:
        hidden = functional.gelu(self.mlp["c_fc"](self.ln_2(x)))
        return x + self.mlp["dropout"](self.mlp["c_proj"](hidden))


_STEPPED = (_Block, _SelfAttention, ModuleDict, ModuleList, Embedding, Linear, LayerNorm, Dropout)


class GPT(Layer):
    """A decoder-only transformer: of each token the logits of the one that follows.

    Token and position are looked up and added; `n_layer` blocks of causal self-attention and two
    linear layers with GELU follow, each normalised before and added to its input; at the end a
    normalisation and a linear layer whose weight is the table of the tokens. The names of the
    arguments and parameters are those of nanoGPT.

    Args:
        vocab_size: how many tokens there are.
        block_size: the longest context.
        n_layer, n_head, n_embd: blocks, heads of each, and the width, which n_head divides.
        dropout: the probability of dropping, in training.
        bias: whether linear layers and normalisations have a bias.
        dtype: of the parameters.

    Shapes:
        Input (N, T) integers with T <= block_size, output (N, T, vocab_size).

    Raises:
        ShapeError: when called on a longer context, or on what has no two axes.
        IndexError: for a token out of range.

    Source: Radford, Wu, Child, Luan, Amodei, Sutskever, "Language models are unsupervised multitask
    learners", 2019; the starting values are those of that model.

    Example:
        >>> from chainrule.text import GPT
        >>> model = GPT(vocab_size=65, block_size=16, n_layer=2, n_head=2, n_embd=8)
        >>> model([[1, 2, 3]]).shape
        (1, 3, 65)
    """

    is_stochastic = True
    makes_children = True

    def __init__(
        self,
        vocab_size: int,
        block_size: int = 64,
        n_layer: int = 4,
        n_head: int = 4,
        n_embd: int = 128,
        dropout: float = 0.0,
        bias: bool = False,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.vocab_size = checks.count("vocab_size", vocab_size)
        self.block_size = checks.count("block_size", block_size)
        self.n_layer = checks.count("n_layer", n_layer)
        self.n_head = checks.count("n_head", n_head)
        self.n_embd = checks.count("n_embd", n_embd)
        if n_embd % n_head:
            raise ValueError(f"n_head must divide n_embd, got {n_head} and {n_embd}")
        self.dropout = checks.probability("dropout", dropout)
        self.bias = bool(bias)
        self.dtype = arguments.floating(dtype)
        self.transformer = ModuleDict(
            {
                "wte": Embedding(vocab_size, n_embd, dtype=dtype),
                "wpe": Embedding(block_size, n_embd, dtype=dtype),
                "drop": Dropout(dropout),
                "h": ModuleList([_Block(self) for _ in range(n_layer)]),
                "ln_f": LayerNorm(n_embd, bias=bias, dtype=dtype),
            }
        )
        self.lm_head = Linear(n_embd, vocab_size, False, dtype=dtype)
        table: Any = self.transformer["wte"]
        self.lm_head.weight = table.weight
        self._reset_parameters()

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        names = ("vocab_size", "block_size", "n_layer", "n_embd")
        rows, places, blocks, width = (checks.count(name, given[name]) for name in names)
        return width * (2 * rows + places + 2) + blocks * width * (12 * width + 20)

    def _reset_parameters(self) -> None:
        """Draw the matrices anew; those that end a block's parts are smaller in deeper models."""
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                deep = math.sqrt(2 * self.n_layer) if name.endswith("c_proj.weight") else 1.0
                init.normal_(parameter, 0.0, 0.02 / deep)
            elif name.endswith("bias"):
                init.zeros_(parameter)

    def extra_repr(self) -> str:
        return ""

    def forward(self, idx: TensorLike) -> Tensor:
        tokens = as_tensor(idx)
        if tokens.ndim != 2 or tokens.shape[1] > self.block_size:
            raise ShapeError(
                f"the tokens have shape (N, T) with T at most block_size = {self.block_size}; "
                f"theirs is {tokens.shape}"
            )
        parts: Any = self.transformer
        x = parts["drop"](parts["wte"](tokens) + parts["wpe"](arange(tokens.shape[1])))
        for block in parts["h"]:
            x = block(x)
        return self.lm_head(parts["ln_f"](x))

    def step(self, token: Tensor, position: Tensor, cache: Cache) -> Tensor:
        """The logits after the token at `position`, (vocab_size,), given those before it.

        Args:
            token, position: shape (1, 1), integers.
            cache: of the tokens before; this one is added.
        """
        parts: Any = self.transformer
        x = parts["wte"](token) + parts["wpe"](position)
        for block, keys, values in zip(parts["h"], cache.keys, cache.values, strict=True):
            x = block.step(x, position, keys, values)
        return self.lm_head(parts["ln_f"](x)).reshape(-1)


def steps_as_called(model: GPT) -> bool:
    """Whether a model's `step` gives what a call gives: it goes past the calls of some modules."""
    return (
        type(model).forward is GPT.forward
        and type(model).step is GPT.step
        and all(
            module._hooks is None
            and vars(module).keys().isdisjoint(("forward", "step"))
            and (module is model or type(module) in _STEPPED)
            for module in model.modules()
        )
    )
