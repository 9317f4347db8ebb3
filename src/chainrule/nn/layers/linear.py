"""Linear, the fully connected layer, and Bilinear."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn import arguments, functional, init
from chainrule.nn.layers.base import Layer, MaybeParameter


class Linear(Layer):
    """The fully connected layer: z = x W^T + b.

    Args:
        in_features: the length of the input's last axis.
        out_features: the length of the output's last axis.
        bias: whether there is a b.
        dtype: of weight and bias; data are cast, outputs of layers must have it.

    Attributes:
        weight: shape (out_features, in_features), at first uniform in +-1 / sqrt(in_features).
        bias: shape (out_features,), drawn likewise; or None.

    Shapes:
        Input (..., in_features), output (..., out_features).

    Raises:
        ShapeError, DTypeError: when called on an input that does not fit.

    Source: *Deep Learning*, section 6.1; the starting values are PyTorch's.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.Linear(3, 2)
        >>> layer(cr.tensor([[1.0, 2.0, 3.0]])).shape
        (1, 2)
    """

    weight: Parameter
    bias: MaybeParameter

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.in_features = checks.count("in_features", in_features)
        self.out_features = checks.count("out_features", out_features)
        self.dtype = arguments.floating(dtype, device)
        self.weight = Parameter(np.zeros((out_features, in_features), self.dtype))
        self.register_parameter(
            "bias", Parameter(np.zeros(out_features, self.dtype)) if bias else None
        )
        self.reset_parameters()

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "in_features", "out_features")

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: TensorLike) -> Tensor:
        x = input if isinstance(input, Tensor) else as_tensor(input)
        weight = self.weight
        if not x.shape or x.shape[-1] != self.in_features or x.dtype != weight.dtype:
            x = arguments.as_input(x, self.in_features, self.dtype)
        return functional.linear(x, weight, self.bias)


class Bilinear(Layer):
    """z_k = x1^T W_k x2 + b_k: each output is a product of both inputs.

    Args:
        in1_features, in2_features: the lengths of the inputs' last axes.
        out_features: the length of the output's last axis.
        bias: whether there is a b.
        dtype: of weight and bias; data are cast, outputs of layers must have it.

    Attributes:
        weight: shape (out_features, in1_features, in2_features), at first uniform in
            +-1 / sqrt(in1_features).
        bias: shape (out_features,), drawn likewise; or None.

    Shapes:
        Inputs (..., in1_features) and (..., in2_features), output (..., out_features).

    Raises:
        ShapeError, DTypeError: when called on inputs that do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.Bilinear(3, 2, 4)
        >>> layer(cr.tensor([[1.0, 2.0, 3.0]]), cr.tensor([[1.0, 2.0]])).shape
        (1, 4)
    """

    weight: Parameter
    bias: MaybeParameter

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.in1_features = checks.count("in1_features", in1_features)
        self.in2_features = checks.count("in2_features", in2_features)
        self.out_features = checks.count("out_features", out_features)
        self.dtype = arguments.floating(dtype, device)
        shape = (out_features, in1_features, in2_features)
        self.weight = Parameter(np.zeros(shape, self.dtype))
        self.register_parameter(
            "bias", Parameter(np.zeros(out_features, self.dtype)) if bias else None
        )
        self.reset_parameters()

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "in1_features", "in2_features", "out_features")

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: TensorLike, input2: TensorLike) -> Tensor:
        x1 = arguments.as_input(input1, self.in1_features, self.dtype)
        x2 = arguments.as_input(input2, self.in2_features, self.dtype)
        return functional.bilinear(x1, x2, self.weight, self.bias)
