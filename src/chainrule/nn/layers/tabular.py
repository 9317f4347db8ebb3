"""Networks for tables: periodic embeddings of numbers, and RealMLP."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor, TensorLike
from chainrule.nn import arguments, init
from chainrule.nn.layers.activations import SELU, Mish, ParametricActivation, ReLU
from chainrule.nn.layers.base import Layer
from chainrule.nn.layers.containers import Sequential
from chainrule.nn.layers.dropout import Dropout
from chainrule.nn.layers.embedding import Embedding
from chainrule.nn.layers.linear import Linear
from chainrule.nn.layers.preprocessing import RobustScale
from chainrule.nn.layers.scale import Scale
from chainrule.nn.module import Module
from chainrule.ops import concatenate, cos

_DIM = 8
"""The length of a category's vector in RealMLP."""

_WIDTH = 4
"""That of a number's."""

_WAVES = 16
"""Frequencies of a number."""

_ACTIVATIONS: dict[str, type[Layer]] = {"selu": SELU, "mish": Mish, "relu": ReLU}


class PeriodicEmbedding(Layer):
    """Each number x as (x, V cos(2 pi w x + c) + d): PBLD, periodic with a bias, linear, dense.

    Every feature has weights of its own.

    Args:
        num_features: n, the length of the input's last axis.
        width: the length of a number's embedding, x itself included.
        frequencies: the number of waves of each feature.
        sigma: the standard deviation of the frequencies w at first.
        dtype: of the weights; data are cast, outputs of layers must have it.

    Attributes:
        frequency: w, shape (num_features, frequencies), at first from N(0, sigma^2).
        phase: c, of the same shape, at first uniform in +-pi.
        weight: V, shape (num_features, frequencies, width - 1), at first uniform in
            +-1 / sqrt(frequencies).
        bias: d, shape (num_features, width - 1), likewise.

    Shapes:
        Input (..., n), output (..., n width): the numbers, then the rest of each feature's
        embedding.

    Source: Holzmüller, Grinsztajn, Steinwart, "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", NeurIPS 2024; the periodic features are those of Gorishniy,
    Rubachev, Babenko, "On embeddings for numerical features in tabular deep learning", NeurIPS
    2022.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.PeriodicEmbedding(2)(cr.tensor([[1.0, 2.0]])).shape
        (1, 8)
    """

    frequency: Parameter
    phase: Parameter
    weight: Parameter
    bias: Parameter

    def __init__(
        self,
        num_features: int,
        width: int = 4,
        frequencies: int = 16,
        sigma: float = 0.1,
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.num_features = checks.count("num_features", num_features)
        self.width = checks.integer("width", width, 2)
        self.frequencies = checks.count("frequencies", frequencies)
        self.sigma = checks.positive("sigma", sigma)
        self.dtype = arguments.floating(dtype, device)
        waves = (num_features, frequencies)
        self.frequency = Parameter(np.zeros(waves, self.dtype))
        self.phase = Parameter(np.zeros(waves, self.dtype))
        self.weight = Parameter(np.zeros((*waves, width - 1), self.dtype))
        self.bias = Parameter(np.zeros((num_features, width - 1), self.dtype))
        self.reset_parameters()

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        width = checks.integer("width", given["width"], 2)
        return (width - 1) * arguments.elements(given, "num_features", "frequencies")

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        init.normal_(self.frequency, 0.0, self.sigma)
        init.uniform_(self.phase, -math.pi, math.pi)
        bound = 1 / math.sqrt(self.frequencies)
        init.uniform_(self.weight, -bound, bound)
        init.uniform_(self.bias, -bound, bound)

    def forward(self, input: TensorLike) -> Tensor:
        x = arguments.as_input(input, self.num_features, self.dtype)
        rows = x.reshape(-1, self.num_features)
        columns = rows.T.reshape(self.num_features, -1, 1)
        angles = columns * (2 * math.pi * self.frequency).reshape(self.num_features, 1, -1)
        waves = cos(angles + self.phase.reshape(self.num_features, 1, -1))
        mixed = waves @ self.weight + self.bias.reshape(self.num_features, 1, -1)
        rest = mixed.transpose(1, 0, 2).reshape(*x.shape[:-1], -1)
        return concatenate([x, rest], axis=-1)


class RealMLP(Layer):
    """The network of RealMLP: a multilayer perceptron for tables, from raw numbers to outputs.

    The numbers are scaled robustly (`RobustScale`, fitted by `fit`) and the first `numeric` of them
    embedded (`PeriodicEmbedding`); codes are looked up in a table of vectors. What follows is a
    factor for each feature (`Scale`), hidden layers with parametric activations and dropout, and a
    linear output.

    Args:
        numeric: how many numbers are numeric features.
        plain: how many more numbers there are, flags and one-hot categories: they are scaled, but
            not embedded.
        codes: the number of columns of codes.
        num_codes: how many codes there are, of all columns together.
        outputs: the length of an output.
        hidden: the widths of the hidden layers.
        activation: "selu", "mish" or "relu".
        dropout: the probability of an activation being dropped.
        simple: without embeddings of numbers and without learnt activations: RealMLP-TD-S.
        dtype: of the weights.

    Attributes:
        scale: the `RobustScale`; None where there are no numbers.
        periodic: the `PeriodicEmbedding`; None without numeric features, or where `simple`.
        embedding: the `Embedding` of the codes, of 8 numbers each; None without codes.
        front: the `Scale`.
        layers: the hidden layers and the output.

    Shapes:
        Input numbers (N, numeric + plain) and codes (N, codes); output (N, outputs).

    Source: Holzmüller, Grinsztajn, Steinwart, "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", NeurIPS 2024.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> model = nn.RealMLP(numeric=2, plain=1, codes=0, num_codes=0, outputs=3).eval()
        >>> model(cr.tensor([[0.5, 1.0, -1.0]])).shape
        (1, 3)
    """

    makes_children = True

    def __init__(
        self,
        numeric: int,
        plain: int,
        codes: int,
        num_codes: int,
        outputs: int,
        hidden: Sequence[int] = (256, 256, 256),
        activation: str = "selu",
        dropout: float = 0.15,
        simple: bool = False,
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.numeric = checks.integer("numeric", numeric, 0)
        self.plain = checks.integer("plain", plain, 0)
        self.codes = checks.integer("codes", codes, 0)
        self.num_codes = checks.integer("num_codes", num_codes, 0)
        self.outputs = checks.count("outputs", outputs)
        self.hidden = tuple(checks.count("a width of hidden", width) for width in hidden)
        self.activation = checks.one_of("activation", activation, _ACTIVATIONS)
        self.dropout = checks.probability("dropout", dropout)
        self.simple = checks.flag("simple", simple)
        self.dtype = arguments.floating(dtype, device)
        if not numeric + plain + codes:
            raise ValueError("there are no features: numeric, plain and codes are all 0")
        if (num_codes > 0) != (codes > 0):
            raise ValueError(f"{codes} columns of codes can't have {num_codes} codes")
        embeds = numeric > 0 and not simple
        self.scale = RobustScale(numeric + plain, dtype=self.dtype) if numeric + plain else None
        self.periodic = (
            PeriodicEmbedding(numeric, _WIDTH, _WAVES, dtype=self.dtype) if embeds else None
        )
        self.embedding = Embedding(num_codes, _DIM, dtype=self.dtype) if codes else None
        width = numeric * (_WIDTH if embeds else 1) + plain + _DIM * codes
        self.front = Scale(width, dtype=self.dtype)
        self.layers = Sequential()
        for after in self.hidden:
            self.layers.append(Linear(width, after, dtype=self.dtype))
            active: Module = _ACTIVATIONS[activation]()
            if not simple:
                active = ParametricActivation(active, after, dtype=self.dtype)
            self.layers.append(active)
            if dropout:
                self.layers.append(Dropout(dropout))
            width = after
        self.layers.append(Linear(width, outputs, dtype=self.dtype))
        self.reset_parameters()

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        numeric, plain, codes, num_codes = (
            checks.integer(name, given[name], 0)
            for name in ("numeric", "plain", "codes", "num_codes")
        )
        simple = bool(given["simple"])
        width = (1 if simple else _WIDTH) * numeric + plain + _DIM * codes
        total = 2 * (numeric + plain) + _DIM * num_codes + width
        if not simple:  # the periodic embedding
            total += numeric * (_WAVES * (_WIDTH + 1) + _WIDTH - 1)
        for after in given["hidden"]:
            total += checks.count("a width", after) * (width + (1 if simple else 2))
            width = after
        total += checks.count("outputs", given["outputs"]) * (width + 1)
        return total

    def extra_repr(self) -> str:
        """Its arguments, in two lines."""
        return super().extra_repr().replace(", hidden=", ",\nhidden=")

    def reset_parameters(self) -> None:
        """Draw the layers anew: weights from N(0, 1 / in_features), biases from N(0, 1), and an
        output of 0. `nn.data_driven_` instead draws weights and biases that fit the data.
        """
        linear = [module for module in self.layers if isinstance(module, Linear)]
        for layer in linear:
            init.normal_(layer.weight, 0.0, 1 / math.sqrt(layer.in_features))
        for state in (p for layer in linear for p in layer.parameters() if p.ndim == 1):
            init.normal_(state)
        for state in linear[-1].parameters():
            init.zeros_(state)

    def fit(self, numbers: Any) -> RealMLP:
        """Take the scale of the numbers from those of the training rows."""
        if self.scale is not None:
            self.scale.fit(numbers)
        return self

    def features(
        self, numbers: TensorLike | None = None, codes: TensorLike | None = None
    ) -> Tensor:
        """What the factors and the layers get: scaled numbers, their embeddings, and vectors."""
        parts = []
        if self.scale is not None:
            x = self.scale(numbers)
            if self.periodic is not None:
                parts.append(self.periodic(x[:, : self.numeric]))
                x = x[:, self.numeric :]
            if x.shape[1]:
                parts.append(x)
        if self.embedding is not None:
            vectors = self.embedding(codes)
            parts.append(vectors.reshape(vectors.shape[0], -1))
        return parts[0] if len(parts) == 1 else concatenate(parts, axis=1)

    def forward(self, numbers: TensorLike | None = None, codes: TensorLike | None = None) -> Tensor:
        return self.layers(self.front(self.features(numbers, codes)))
