"""The transformer: encoder, decoder, and both together, as in PyTorch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.dtypes import as_dtype
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn import arguments, init
from chainrule.nn.containers import ModuleList
from chainrule.nn.layers.base import Layer
from chainrule.nn.layers.normalisation import LayerNorm
from chainrule.nn.layers.transformer_layers import (
    Activation,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
    checked_activation,
)
from chainrule.nn.module import Module

_SMALLEST = 100  # a layer without parameters takes memory, too


class _Stack(Layer):
    """What encoder and decoder have in common: copies of one layer, then a normalisation."""

    makes_children = True
    layers: ModuleList
    norm: Module | None
    _copied: ClassVar[str]
    """The argument that is the layer to copy."""

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        copies = checks.integer("num_layers", given["num_layers"], 0)
        inner = given[cls._copied]
        return max(copies - 1, 0) * inner + copies * _SMALLEST

    def _make(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        self.num_layers = checks.integer("num_layers", num_layers, 0)
        copies = [copy.deepcopy(layer) for _ in range(num_layers)]
        self.layers = ModuleList(copies)
        self.norm = None if norm is None else arguments.module("norm", norm)

    def extra_repr(self) -> str:
        """Nothing, as in PyTorch: the children say it all."""
        return ""

    def constructor_arguments(self) -> dict[str, Any]:
        return {"num_layers": self.num_layers}

    def parts(self) -> dict[str, Module]:
        if not self.num_layers:
            return {}  # the layer that was to be copied is not known any more
        found = {self._copied: self.layers[0]}
        return found if self.norm is None else {**found, "norm": self.norm}

    def _normalised(self, x: Tensor) -> Tensor:
        return x if self.norm is None else as_tensor(self.norm(x))


def _is_causal(mask: TensorLike | None, said: bool | None) -> bool:
    """Whether a mask is the causal one: as was said, else as its numbers say, if they are known."""
    if said is not None:
        return said
    if mask is None:
        return False
    values = as_tensor(mask).node().value
    if values is None or values.ndim != 2 or values.shape[0] != values.shape[1]:
        return False
    seen = np.tri(len(values), dtype=bool)
    return bool(
        np.array_equal(values, ~seen if values.dtype == bool else np.where(seen, 0, -np.inf))
    )


class TransformerEncoder(_Stack):
    """A stack of `TransformerEncoderLayer`, then a normalisation, if there is one.

    Args:
        encoder_layer: the layer that is copied; the copies begin with the same numbers.
        num_layers: how many copies.
        norm: applied to the last one's output, or None.
        enable_nested_tensor, mask_check: mean nothing here; PyTorch has them for its fast path.

    Raises:
        ShapeError, DTypeError: when called on inputs that do not fit.

    Source: Vaswani et al., "Attention is all you need", NIPS 2017.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)
        >>> mask = nn.Transformer.generate_square_subsequent_mask(5)
        >>> nn.TransformerEncoder(layer, num_layers=2)(cr.zeros((3, 5, 8)), mask=mask).shape
        (3, 5, 8)
    """

    _copied = "encoder_layer"

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self._make(arguments.module("encoder_layer", encoder_layer), num_layers, norm)

    def forward(
        self,
        src: TensorLike,
        mask: TensorLike | None = None,
        src_key_padding_mask: TensorLike | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """The output of the last layer; `is_causal` None looks whether the mask is causal."""
        x, causal = as_tensor(src), _is_causal(mask, is_causal)
        for layer in self.layers:
            x = layer(x, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=causal)
        return self._normalised(x)


class TransformerDecoder(_Stack):
    """A stack of `TransformerDecoderLayer`, then a normalisation, if there is one.

    Args:
        decoder_layer: the layer that is copied; the copies begin with the same numbers.
        num_layers: how many copies.
        norm: applied to the last one's output, or None.

    Raises:
        ShapeError, DTypeError: when called on inputs that do not fit.

    Source: Vaswani et al., "Attention is all you need", NIPS 2017.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.TransformerDecoderLayer(8, 2, dim_feedforward=16, batch_first=True)
        >>> decoder = nn.TransformerDecoder(layer, num_layers=2)
        >>> decoder(cr.zeros((3, 5, 8)), cr.zeros((3, 7, 8))).shape
        (3, 5, 8)
    """

    _copied = "decoder_layer"

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self._make(arguments.module("decoder_layer", decoder_layer), num_layers, norm)

    def forward(
        self,
        tgt: TensorLike,
        memory: TensorLike,
        tgt_mask: TensorLike | None = None,
        memory_mask: TensorLike | None = None,
        tgt_key_padding_mask: TensorLike | None = None,
        memory_key_padding_mask: TensorLike | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The output of the last layer; `tgt_is_causal` None looks whether the mask is causal."""
        x, causal = as_tensor(tgt), _is_causal(tgt_mask, tgt_is_causal)
        for layer in self.layers:
            x = layer(
                x,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal,
                memory_is_causal=memory_is_causal,
            )
        return self._normalised(x)


class Transformer(Layer):
    """An encoder and a decoder that attends to its output.

    Args:
        d_model, nhead, dim_feedforward, dropout, activation: as in `TransformerEncoderLayer`.
        layer_norm_eps, batch_first, norm_first, bias, dtype: likewise.
        num_encoder_layers, num_decoder_layers: how many layers.
        custom_encoder, custom_decoder: modules in place of `TransformerEncoder` and
            `TransformerDecoder`, called as these are.

    Shapes:
        Source (S, N, d_model) and target (T, N, d_model), with `batch_first` N comes first; without
        a batch there is no N. The output has the target's shape.

    Raises:
        ShapeError, DTypeError: when called on inputs that do not fit.

    Source: Vaswani et al., "Attention is all you need", NIPS 2017.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> model = nn.Transformer(8, 2, 1, 1, dim_feedforward=16, batch_first=True)
        >>> model(cr.zeros((3, 7, 8)), cr.zeros((3, 5, 8))).shape
        (3, 5, 8)
    """

    activation: Activation
    makes_children = True
    modules_or_values = ("activation",)

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.dtype = arguments.floating(dtype, device)
        self.d_model, self.nhead = d_model, nhead
        self.num_encoder_layers = checks.integer("num_encoder_layers", num_encoder_layers, 0)
        self.num_decoder_layers = checks.integer("num_decoder_layers", num_decoder_layers, 0)
        self.dim_feedforward, self.dropout = dim_feedforward, dropout
        activation = checked_activation(activation)
        object.__setattr__(self, "activation", activation)  # no child: the layers have copies
        self.layer_norm_eps = layer_norm_eps
        self.batch_first, self.norm_first, self.bias = batch_first, norm_first, bias
        self._is_custom = (custom_encoder is not None, custom_decoder is not None)
        layer = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps)
        more = (batch_first, norm_first, bias, device, dtype)
        if custom_encoder is None:
            encoder_layer = TransformerEncoderLayer(*layer, *more)
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
            self.encoder: Module = TransformerEncoder(encoder_layer, num_encoder_layers, norm)
        else:
            self.encoder = arguments.module("custom_encoder", custom_encoder)
        if custom_decoder is None:
            decoder_layer = TransformerDecoderLayer(*layer, *more)
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
            self.decoder: Module = TransformerDecoder(decoder_layer, num_decoder_layers, norm)
        else:
            self.decoder = arguments.module("custom_decoder", custom_decoder)
        self._reset_parameters()

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        layers = checks.integer("num_encoder_layers", given["num_encoder_layers"], 0)
        layers += checks.integer("num_decoder_layers", given["num_decoder_layers"], 0)
        activation = given["activation"]
        more = activation if isinstance(activation, int) else 0  # of a module: its elements
        return (layers + 2) * (TransformerDecoderLayer.max_elements(given) + more)

    def _reset_parameters(self) -> None:
        """Draw all matrices anew, by Xavier's rule."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def parts(self) -> dict[str, Module]:
        names = ("custom_encoder", "custom_decoder")
        both = zip(names, (self.encoder, self.decoder), self._is_custom, strict=True)
        found = {name: part for name, part, is_custom in both if is_custom}
        if isinstance(self.activation, Module):
            found["activation"] = self.activation
        return found

    def constructor_arguments(self) -> dict[str, Any]:
        found = super().constructor_arguments()
        return {k: v for k, v in found.items() if not isinstance(v, Module)}

    def extra_repr(self) -> str:
        """Nothing, as in PyTorch: the children say it all."""
        return ""

    @staticmethod
    def generate_square_subsequent_mask(
        sz: int, device: Any = None, dtype: DTypeLike = "float32"
    ) -> Tensor:
        """The causal mask, (sz, sz): 0 where query i sees key j, for j <= i, else -infinity.

        Example:
            >>> from chainrule import nn
            >>> nn.Transformer.generate_square_subsequent_mask(2).tolist()
            [[0.0, -inf], [0.0, 0.0]]
        """
        size = checks.integer("sz", sz, 0)
        arguments.floating(dtype, device)
        mask = np.where(np.tri(size, dtype=bool), 0, -np.inf)
        return as_tensor(mask.astype(as_dtype(dtype)))

    def forward(
        self,
        src: TensorLike,
        tgt: TensorLike,
        src_mask: TensorLike | None = None,
        tgt_mask: TensorLike | None = None,
        memory_mask: TensorLike | None = None,
        src_key_padding_mask: TensorLike | None = None,
        tgt_key_padding_mask: TensorLike | None = None,
        memory_key_padding_mask: TensorLike | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The decoder's output; the masks are those of `MultiheadAttention`."""
        memory = self.encoder(
            src,
            mask=src_mask,
            src_key_padding_mask=src_key_padding_mask,
            is_causal=src_is_causal,
        )
        return as_tensor(
            self.decoder(
                tgt,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=tgt_is_causal,
                memory_is_causal=memory_is_causal,
            )
        )
