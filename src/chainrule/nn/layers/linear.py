"""Linear: the fully connected layer."""

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
from chainrule.nn.layers.base import Layer


class Linear(Layer):
    """The fully connected layer: z = x W^T + b.

    Args:
        in_features: the length of the input's last axis.
        out_features: the length of the output's last axis.
        bias: whether there is a b.
        dtype: of weight and bias; the input must have it too.

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
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        dtype: DTypeLike = "float32",
    ) -> None:
        super().__init__()
        self.in_features = checks.count("in_features", in_features)
        self.out_features = checks.count("out_features", out_features)
        self.dtype = checks.floating(dtype)
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
        if not x.shape or x.shape[-1] != self.in_features or x.dtype != self.weight.dtype:
            x = arguments.as_input(x, self.in_features, self.dtype)
        return functional.linear(x, self.weight, self.bias)
