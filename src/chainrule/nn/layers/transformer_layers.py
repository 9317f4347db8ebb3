"""The layers of which a transformer's encoder and decoder are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn import arguments, functional
from chainrule.nn.layers.attention import MultiheadAttention
from chainrule.nn.layers.base import Layer
from chainrule.nn.layers.dropout import Dropout
from chainrule.nn.layers.linear import Linear
from chainrule.nn.layers.normalisation import LayerNorm
from chainrule.nn.module import Module

Activation = str | Callable[[Tensor], Tensor]

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
}


def checked_activation(activation: Activation) -> Activation:
    """An activation; those that have a name by their name."""
    is_function = callable(activation) and not isinstance(activation, type)
    if not is_function and not (isinstance(activation, str) and activation in _ACTIVATIONS):
        raise ValueError(
            f"activation is one of {', '.join(_ACTIVATIONS)}, a function or a module; got "
            f"{checks.described(activation)}"
        )
    return next((name for name, f in _ACTIVATIONS.items() if f is activation), activation)


class _Block(Layer):
    """What the layers of encoder and decoder have in common: attention, then two linear layers."""

    makes_children = True
    modules_or_values = ("activation",)
    linear1: Linear
    linear2: Linear

    def _make(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int,
        dropout: float,
        activation: Activation,
        layer_norm_eps: float,
        batch_first: bool,
        norm_first: bool,
        bias: bool,
        dtype: DTypeLike | None,
        device: Any,
        attentions: tuple[str, ...],
    ) -> None:
        self.d_model = checks.count("d_model", d_model)
        self.nhead = checks.count("nhead", nhead)
        self.dim_feedforward = checks.count("dim_feedforward", dim_feedforward)
        self.layer_norm_eps = checks.not_negative("layer_norm_eps", layer_norm_eps)
        self.batch_first, self.norm_first = bool(batch_first), bool(norm_first)
        self.bias = bool(bias)
        self.dtype = arguments.floating(dtype, device)
        for name in attentions:
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype
            )
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype)
        for kind, made in (
            ("norm", lambda: LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)),
            ("dropout", lambda: Dropout(dropout)),
        ):
            for number in range(1, len(attentions) + 2):
                setattr(self, f"{kind}{number}", made())
        self.activation = checked_activation(activation)

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        width = arguments.elements(given, "d_model")
        attentions = 2  # of a decoder's layer
        inner = checks.count("dim_feedforward", given["dim_feedforward"])
        return attentions * 4 * width * (width + 2) + 2 * width * inner + inner + 10 * width

    def constructor_arguments(self) -> dict[str, Any]:
        return {**super().constructor_arguments(), "dropout": self.dropout.p}

    def parts(self) -> dict[str, Module]:
        return {"activation": self.activation} if isinstance(self.activation, Module) else {}

    def extra_repr(self) -> str:
        """Nothing, as in PyTorch: the children say it all."""
        return ""

    def _feed_forward(self, x: Tensor) -> Tensor:
        act = self.activation
        function = _ACTIVATIONS[act] if isinstance(act, str) else act
        return self.linear2(self.dropout(as_tensor(function(self.linear1(x)))))

    def _run(self, x: Tensor, *parts: Callable[[Tensor], Tensor]) -> Tensor:
        """Each part's result, after dropout, added to its input; normalised before or after."""
        for number, part in enumerate(parts, 1):
            norm, dropout = getattr(self, f"norm{number}"), getattr(self, f"dropout{number}")
            x = x + dropout(part(norm(x))) if self.norm_first else norm(x + dropout(part(x)))
        return x


class TransformerEncoderLayer(_Block):
    """Self-attention, then two linear layers with an activation between; each is added to its
    input, and normalised.

    Formula: x <- norm1(x + attention(x)); x <- norm2(x + linear2(activation(linear1(x)))). With
    `norm_first`: x <- x + attention(norm1(x)); x <- x + linear2(activation(linear1(norm2(x)))).

    Args:
        d_model: the width of inputs and outputs.
        nhead: the number of heads; it divides d_model.
        dim_feedforward: the width between the linear layers.
        dropout: the probability of dropping weights of attention and elements of the results.
        activation: "relu", "gelu", a module as `nn.SiLU()`, or another function; a file of
            `chainrule.save` can't hold a function, so such a model is loaded into one like it.
        layer_norm_eps: of the normalisations.
        batch_first: whether arrays are (N, L, E) rather than (L, N, E).
        norm_first: whether normalisation comes before each part, not after it.
        bias: whether linear layers and normalisations have one.
        dtype: of the parameters; data are cast, outputs of layers must have it.

    Shapes:
        Input and output (L, N, d_model), or (N, L, d_model), or (L, d_model) without a batch.

    Raises:
        ShapeError, DTypeError: when called on inputs that do not fit.

    Source: Vaswani et al., "Attention is all you need", NIPS 2017; for `norm_first` Xiong et al.,
    "On layer normalization in the transformer architecture", ICML 2020.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)
        >>> layer(cr.zeros((3, 5, 8))).shape
        (3, 5, 8)
    """

    self_attn: MultiheadAttention

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self._make(
            d_model,
            nhead,
            dim_feedforward,
            dropout,
            activation,
            layer_norm_eps,
            batch_first,
            norm_first,
            bias,
            dtype,
            device,
            ("self_attn",),
        )

    def forward(
        self,
        src: TensorLike,
        src_mask: TensorLike | None = None,
        src_key_padding_mask: TensorLike | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """The layer's output; the masks are those of `MultiheadAttention`."""

        def attend(x: Tensor) -> Tensor:
            y, _ = self.self_attn(
                x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal
            )
            return y

        x = arguments.as_dtype(src, self.dtype)
        return self._run(x, attend, self._feed_forward)


class TransformerDecoderLayer(_Block):
    """Self-attention, attention to the encoder's output, then two linear layers; each is added to
    its input, and normalised.

    Args:
        d_model, nhead, dim_feedforward, dropout, activation: as in `TransformerEncoderLayer`.
        layer_norm_eps, batch_first, norm_first, bias, dtype: likewise.

    Shapes:
        Target (T, N, d_model) and memory (S, N, d_model), with `batch_first` N comes first; without
        a batch there is no N. The output has the target's shape.

    Raises:
        ShapeError, DTypeError: when called on inputs that do not fit.

    Source: Vaswani et al., "Attention is all you need", NIPS 2017.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.TransformerDecoderLayer(8, 2, dim_feedforward=16, batch_first=True)
        >>> layer(cr.zeros((3, 5, 8)), cr.zeros((3, 7, 8))).shape
        (3, 5, 8)
    """

    self_attn: MultiheadAttention
    multihead_attn: MultiheadAttention

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self._make(
            d_model,
            nhead,
            dim_feedforward,
            dropout,
            activation,
            layer_norm_eps,
            batch_first,
            norm_first,
            bias,
            dtype,
            device,
            ("self_attn", "multihead_attn"),
        )

    def forward(
        self,
        tgt: TensorLike,
        memory: TensorLike,
        tgt_mask: TensorLike | None = None,
        memory_mask: TensorLike | None = None,
        tgt_key_padding_mask: TensorLike | None = None,
        memory_key_padding_mask: TensorLike | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The layer's output; the masks are those of `MultiheadAttention`."""

        def attend(x: Tensor) -> Tensor:
            y, _ = self.self_attn(
                x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal
            )
            return y

        def attend_to_memory(x: Tensor) -> Tensor:
            y, _ = self.multihead_attn(
                x,
                memory,
                memory,
                memory_key_padding_mask,
                False,
                memory_mask,
                is_causal=memory_is_causal,
            )
            return y

        x = arguments.as_dtype(tgt, self.dtype)
        return self._run(x, attend, attend_to_memory, self._feed_forward)
