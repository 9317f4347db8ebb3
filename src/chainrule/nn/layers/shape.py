"""Layers that change the shape alone."""

from __future__ import annotations

import math

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn.layers.base import Layer


class Flatten(Layer):
    """The axes from `start_dim` to `end_dim` made into one: images into rows for a Linear.

    Args:
        start_dim, end_dim: the first and last axis to join; negative ones count from the end.

    Shapes:
        By default input (N, ...), output (N, the product of the rest).

    Raises:
        ShapeError: when called on an input that lacks these axes.

    Example:
        >>> import numpy as np
        >>> from chainrule import nn
        >>> nn.Flatten()(np.zeros((32, 28, 28), "float32")).shape
        (32, 784)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = checks.integer("start_dim", start_dim)
        self.end_dim = checks.integer("end_dim", end_dim)

    def forward(self, input: TensorLike) -> Tensor:
        x = as_tensor(input)
        shape = x.shape or (1,)  # as in PyTorch, a 0-d input has one axis
        start, end = (d + len(shape) if d < 0 else d for d in (self.start_dim, self.end_dim))
        if not 0 <= start <= end < len(shape):
            raise ShapeError(
                f"the input of shape {x.shape} has no axes {self.start_dim} to {self.end_dim} to "
                "join; give it an axis for the examples, or choose other axes"
            )
        return x.reshape(*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
