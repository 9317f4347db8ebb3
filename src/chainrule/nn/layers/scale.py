"""Scale: a factor for each feature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor, TensorLike
from chainrule.nn import arguments, init
from chainrule.nn.layers.base import Layer


class Scale(Layer):
    """x weight, with a learnt factor for each feature: a Linear whose matrix is diagonal.

    As the first layer it lets training choose how much each column of a table counts.

    Args:
        num_features: the length of the input's last axis.
        dtype: of the weight; data are cast, outputs of layers must have it.

    Attributes:
        weight: shape (num_features,), at first 1.

    Shapes:
        Input and output (..., num_features).

    Source: Holzmüller, Grinsztajn, Steinwart, "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", NeurIPS 2024; they train it with six times the learning rate.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.Scale(2)
        >>> layer.weight.assign([1.0, 10.0])
        >>> layer(cr.tensor([[1.0, 2.0]])).tolist()
        [[1.0, 20.0]]
    """

    weight: Parameter

    def __init__(
        self, num_features: int, device: Any = None, dtype: DTypeLike | None = None
    ) -> None:
        super().__init__()
        self.num_features = checks.count("num_features", num_features)
        self.dtype = arguments.floating(dtype, device)
        self.weight = Parameter(np.ones(num_features, self.dtype))

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "num_features")

    def reset_parameters(self) -> None:
        """Make the weight 1 again."""
        init.ones_(self.weight)

    def forward(self, input: TensorLike) -> Tensor:
        x = arguments.as_input(input, self.num_features, self.dtype)
        return x * self.weight
