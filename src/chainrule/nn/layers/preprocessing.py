"""Standardize: columns of a table brought to mean 0 and variance 1, inside the model; and back."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from chainrule.graph.errors import ShapeError
from chainrule.graph.state import Buffer
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn import arguments
from chainrule.nn.module import Module

S = TypeVar("S", bound="Standardize")


class Standardize(Module):
    """(x - mean) / scale for each column, with the numbers of the data given to `fit`.

    As a layer it is saved with the model, which then takes raw columns. Before `fit` it changes
    nothing.

    Args:
        num_features: the number of columns.
        dtype: of the buffers; the input must have it too.

    Attributes:
        mean: shape (num_features,), the mean of each column.
        scale: shape (num_features,), the standard deviation of each column (divided by N, not
            N - 1); 1 for a constant column.

    Shapes:
        Input and output (..., num_features).

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.Standardize(2).fit([[1.0, 5.0], [3.0, 5.0]])
        >>> layer(cr.tensor([[1.0, 5.0], [3.0, 6.0]]))
        tensor([[-1.,  0.],
                [ 1.,  1.]])
    """

    _arguments = ("num_features", "dtype")

    mean: Buffer
    scale: Buffer

    def __init__(self, num_features: int, dtype: DTypeLike = "float32") -> None:
        super().__init__()
        self.num_features = arguments.count("num_features", num_features)
        self.dtype = arguments.floating(dtype)
        self.mean = Buffer(np.zeros(num_features, self.dtype))
        self.scale = Buffer(np.ones(num_features, self.dtype))

    def fit(self: S, x: ArrayLike) -> S:
        """Take mean and scale from `x` of shape (N, num_features), computed in float64.

        Raises:
            ShapeError: if `x` has another shape, or no rows.
            ValueError: if a column has NaN or infinite values, or such a mean or deviation.
        """
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1] != self.num_features or not len(x):
            raise ShapeError(
                f"Standardize.fit: x must have shape (rows, {self.num_features}), got {x.shape}"
            )
        mean = x.mean(axis=0, dtype=np.float64).astype(self.dtype)
        scale = x.std(axis=0, dtype=np.float64).astype(self.dtype)
        faulty = np.flatnonzero(~(np.isfinite(mean) & np.isfinite(scale)))
        if len(faulty):
            raise ValueError(
                f"Standardize.fit: column {faulty[0]} (counted from 0) holds NaN or infinite "
                "values, or too large ones; drop or fill them first"
            )
        constant = (x.min(axis=0) == x.max(axis=0)) | (scale == 0)
        self.mean.assign(mean)
        self.scale.assign(np.where(constant, np.ones_like(scale), scale))
        return self

    def forward(self, input: TensorLike) -> Tensor:
        x = as_tensor(input)
        arguments.check_input(x, self.num_features, self.dtype)
        return (x - self.mean) / self.scale


class Unstandardize(Standardize):
    """x scale + mean for each column: the way back, as the last layer of a regression.

    With the numbers of the targets given to `fit` the layers before it work in standard units, and
    the model's outputs have the units of the targets. See `Standardize` for the rest.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.Unstandardize(1).fit([[100.0], [300.0]])
        >>> layer(cr.tensor([[-1.0], [0.0]]))
        tensor([[100.],
                [200.]])
    """

    def forward(self, input: TensorLike) -> Tensor:
        x = as_tensor(input)
        arguments.check_input(x, self.num_features, self.dtype)
        return x * self.scale + self.mean
