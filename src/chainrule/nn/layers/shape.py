"""Layers that change the shape alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.keywords import both_names
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


class Unflatten(Layer):
    """One axis made into several: what `Flatten` joined.

    Args:
        dim: the axis; a negative one counts from the end.
        unflattened_size: the lengths of the axes that it becomes; one may be -1 for what is left.

    Shapes:
        Input (..., n, ...), output (..., *unflattened_size, ...), whose product is n.

    Raises:
        ShapeError: when called on an input that has no such axis, or one of another length.

    Example:
        >>> import numpy as np
        >>> from chainrule import nn
        >>> nn.Unflatten(1, (28, 28))(np.zeros((32, 784), "float32")).shape
        (32, 28, 28)
    """

    @both_names()
    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim = checks.integer("dim", dim)
        if isinstance(unflattened_size, str) or not isinstance(unflattened_size, Sequence):
            raise TypeError(f"unflattened_size is a tuple of lengths, got {unflattened_size!r}")
        self.unflattened_size = tuple(
            checks.integer("unflattened_size", length, -1) for length in unflattened_size
        )

    def forward(self, input: TensorLike) -> Tensor:
        x = as_tensor(input)
        if not -x.ndim <= self.dim < x.ndim:
            raise ShapeError(f"the input of shape {x.shape} has no axis {self.dim} to divide")
        dim, size = self.dim % x.ndim, self.unflattened_size
        known = math.prod(length for length in size if length != -1)
        fits = (
            size.count(-1) == 1 and known and x.shape[dim] % known == 0
            if -1 in size
            else known == x.shape[dim]
        )
        if not fits:
            raise ShapeError(
                f"the input of shape {x.shape} has {x.shape[dim]} elements along axis {self.dim}, "
                f"which can't be divided into {size}"
            )
        size = tuple(x.shape[dim] // known if length == -1 else length for length in size)
        return x.reshape(*x.shape[:dim], *size, *x.shape[dim + 1 :])
