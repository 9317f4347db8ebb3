"""Layers that scale the columns of a table, each by itself, with numbers fitted to data.

Each is saved with the model, which then takes raw columns. `fit` computes in float64 and reads
memory-mapped arrays a block at a time; `inverse` returns the layer that maps back. Before `fit` a
column has centre 0 and scale 1.

The centre is kept and subtracted in float64, and the difference cast to the layer's dtype: float32
has 128 between one second and the next of the timestamps of 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from chainrule import checks
from chainrule.graph.state import Buffer
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.nn import arguments
from chainrule.nn.layers import column_statistics
from chainrule.nn.layers.base import Layer
from chainrule.ops import maximum, minimum, sqrt

S = TypeVar("S", bound="_Scale")

CLIP = 3.0
"""The bound of robustly scaled columns, in RealMLP."""

_FAR = 1e12
"""From here on clipping gives the bound exactly, in float64 too; squares do not overflow yet."""


class _Columns(Layer):
    """A layer that treats each of `num_features` columns by itself."""

    def __init__(self, num_features: int, dtype: DTypeLike = "float32") -> None:
        super().__init__()
        self.num_features = checks.count("num_features", num_features)
        self.dtype = checks.floating(dtype)

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "num_features")

    def _filled(self, value: float) -> Buffer:
        """A Buffer with this value for each column."""
        return Buffer(np.full(self.num_features, value, self.dtype))

    def _centre(self) -> Buffer:
        """A Buffer for what is subtracted from each column."""
        return Buffer(np.zeros(self.num_features))

    def _table(self, x: ArrayLike) -> Array:
        return column_statistics.as_table(type(self).__name__, x, self.num_features)

    def _centred(self, input: TensorLike, centre: Buffer) -> Tensor:
        return arguments.centred(input, centre, self.dtype)

    def _columns(self, input: TensorLike) -> Tensor:
        """Columns that are mapped back, in the layer's dtype."""
        return arguments.as_input(
            as_tensor(input).astype(self.dtype), self.num_features, self.dtype
        )


class Center(_Columns):
    """x - mean for each column, with the means of the data given to `fit`.

    Args:
        num_features: the number of columns.
        dtype: of the buffers; data are cast, outputs of layers must have it.

    Attributes:
        mean: shape (num_features,), the mean of each column.

    Shapes:
        Input and output (..., num_features).

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.Center(2).fit([[1.0, 5.0], [3.0, 5.0]])
        >>> layer(cr.tensor([[1.0, 6.0]]))
        tensor([[-1.,  1.]])
    """

    takes_float64 = True
    mean: Buffer

    def __init__(self, num_features: int, dtype: DTypeLike = "float32") -> None:
        super().__init__(num_features, dtype)
        self.mean = self._centre()

    def fit(self, x: ArrayLike) -> Center:
        """Take the means from `x` of shape (N, num_features); errors as in `Standardize.fit`."""
        mean = column_statistics.mean(self._table(x))
        column_statistics.check_finite("Center", *column_statistics.rounded(self.dtype, mean))
        self.mean.assign(mean)
        return self

    def inverse(self) -> Unstandardize:
        """The layer y + mean."""
        layer = Unstandardize(self.num_features, self.dtype)
        layer.mean.assign(self.mean.numpy().astype(self.dtype))
        return layer

    def forward(self, input: TensorLike) -> Tensor:
        return self._centred(input, self.mean)


class _Scale(_Columns):
    """Mean and standard deviation of each column."""

    mean: Buffer
    scale: Buffer

    def __init__(self, num_features: int, dtype: DTypeLike = "float32") -> None:
        super().__init__(num_features, dtype)
        self.mean = self._centre() if self.takes_float64 else self._filled(0)
        self.scale = self._filled(1)

    def fit(self: S, x: ArrayLike) -> S:
        """Take mean and scale from `x` of shape (N, num_features), computed in float64.

        Raises:
            ShapeError: if `x` has another shape, or no rows.
            TypeError: if `x` does not hold numbers.
            ValueError: if a column has NaN or infinite values, or such a mean or deviation.
        """
        table = self._table(x)
        low, high = column_statistics.extremes(table)
        exact = column_statistics.mean(table)
        mean, scale = column_statistics.rounded(
            self.dtype, exact, column_statistics.deviation(table, exact)
        )
        column_statistics.check_finite(type(self).__name__, mean, scale)
        self.mean.assign(exact if self.takes_float64 else mean)
        self.scale.assign(np.where((low == high) | (scale == 0), np.ones_like(scale), scale))
        return self

    def _with_numbers_of(self: S, mean: Buffer, scale: Buffer) -> S:
        self.mean.assign(mean.numpy().astype(self.mean.dtype))
        self.scale.assign(scale.numpy())
        return self


class Standardize(_Scale):
    """(x - mean) / scale for each column, with the numbers of the data given to `fit`.

    As a layer it is saved with the model, which then takes raw columns. Before `fit` it changes
    nothing.

    Args:
        num_features: the number of columns.
        dtype: of the buffers; data are cast, outputs of layers must have it.

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

    takes_float64 = True

    def inverse(self) -> Unstandardize:
        """The layer y scale + mean."""
        layer = Unstandardize(self.num_features, self.dtype)
        return layer._with_numbers_of(self.mean, self.scale)

    def forward(self, input: TensorLike) -> Tensor:
        return self._centred(input, self.mean) / self.scale


class Unstandardize(_Scale):
    """x scale + mean for each column: the way back, as the last layer of a regression.

    With the numbers of the targets given to `fit` the layers before it work in standard units, and
    the model's outputs have the units of the targets. With ``dtype="float64"`` it has float64
    outputs of a float32 model: for targets that float32 can't tell apart, such as timestamps. See
    `Standardize` for the rest.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.Unstandardize(1).fit([[100.0], [300.0]])
        >>> layer(cr.tensor([[-1.0], [0.0]]))
        tensor([[100.],
                [200.]])
    """

    def __init__(self, num_features: int, dtype: DTypeLike = "float32") -> None:
        super().__init__(num_features, dtype)
        self.gives_float64 = self.dtype == "float64"

    def inverse(self) -> Standardize:
        """The layer (y - mean) / scale."""
        layer = Standardize(self.num_features, self.dtype)
        return layer._with_numbers_of(self.mean, self.scale)

    def forward(self, input: TensorLike) -> Tensor:
        return self._columns(input) * self.scale + self.mean


class MinMaxScale(_Columns):
    """(x - minimum) / scale for each column: the data given to `fit` lie in [0, 1].

    Args:
        num_features: the number of columns.
        dtype: of the buffers; data are cast, outputs of layers must have it.

    Attributes:
        minimum: shape (num_features,), the smallest value of each column.
        scale: shape (num_features,), the largest value less the smallest; 1 for a constant
            column, which so becomes 0.

    Shapes:
        Input and output (..., num_features).

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.MinMaxScale(2).fit([[1.0, 5.0], [3.0, 5.0]])
        >>> layer(cr.tensor([[2.0, 5.0], [5.0, 5.0]]))
        tensor([[0.5, 0. ],
                [2. , 0. ]])
    """

    takes_float64 = True
    minimum: Buffer
    scale: Buffer

    def __init__(self, num_features: int, dtype: DTypeLike = "float32") -> None:
        super().__init__(num_features, dtype)
        self.minimum = self._centre()
        self.scale = self._filled(1)

    def fit(self, x: ArrayLike) -> MinMaxScale:
        """Take minimum and scale from `x` of shape (N, num_features).

        Errors are those of `Standardize.fit`.
        """
        low, high = column_statistics.extremes(self._table(x))
        with np.errstate(invalid="ignore", over="ignore"):
            scale = np.where(low == high, 1.0, high - low)
        rounded, scale = column_statistics.rounded(self.dtype, low, scale)
        column_statistics.check_finite("MinMaxScale", rounded, scale)
        self.minimum.assign(low)
        self.scale.assign(np.where(scale == 0, np.ones_like(scale), scale))
        return self

    def inverse(self) -> Unstandardize:
        """The layer y scale + minimum."""
        layer = Unstandardize(self.num_features, self.dtype)
        return layer._with_numbers_of(self.minimum, self.scale)

    def forward(self, input: TensorLike) -> Tensor:
        return self._centred(input, self.minimum) / self.scale


class RobustScale(_Columns):
    """z / sqrt(1 + (z/3)^2) with z = scale (x - median), for each column.

    Outliers move neither the median nor the quartiles, and the smooth clipping keeps them within
    (-3, 3). Before `fit` it only clips.

    Args:
        num_features: the number of columns.
        dtype: of the buffers; data are cast, outputs of layers must have it.

    Attributes:
        median: shape (num_features,), the median of each column.
        scale: shape (num_features,), 1 / (q75 - q25) of each column's quartiles; where they are
            equal 2 / (largest - smallest value); 0 for a constant column, which so becomes 0.

    Shapes:
        Input and output (..., num_features).

    Source: Holzmüller, Grinsztajn, Steinwart, "Better by default: strong pre-tuned MLPs and boosted
    trees on tabular data", NeurIPS 2024.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.RobustScale(1).fit([[0.0], [1.0], [2.0], [3.0], [1000.0]])
        >>> layer(cr.tensor([[2.0], [4.0], [1000.0]]))
        tensor([[0.    ],
                [0.9487],
                [2.9999]])
    """

    takes_float64 = True
    median: Buffer
    scale: Buffer

    def __init__(self, num_features: int, dtype: DTypeLike = "float32") -> None:
        super().__init__(num_features, dtype)
        self.median = self._centre()
        self.scale = self._filled(1)

    def fit(self, x: ArrayLike) -> RobustScale:
        """Take median and scale from `x` of shape (N, num_features).

        Errors are those of `Standardize.fit`.
        """
        table = self._table(x)
        low, high = column_statistics.extremes(table)
        column_statistics.check_finite("RobustScale", low, high)
        lower, median, upper = column_statistics.quantiles(table, [0.25, 0.5, 0.75])
        with np.errstate(invalid="ignore", over="ignore"):
            spread = np.where(lower < upper, upper - lower, (high - low) / 2)
            column_statistics.check_finite("RobustScale", spread)
            scale = _reciprocal(spread)
        rounded, scale = column_statistics.rounded(self.dtype, median, scale)
        column_statistics.check_finite("RobustScale", rounded, scale)
        self.median.assign(median)
        self.scale.assign(scale)
        return self

    def inverse(self) -> InverseRobustScale:
        """The layer that maps back; see there."""
        layer = InverseRobustScale(self.num_features, self.dtype)
        layer.median.assign(self.median.numpy().astype(self.dtype))
        layer.spread.assign(_reciprocal(self.scale.numpy()))
        return layer

    def forward(self, input: TensorLike) -> Tensor:
        z = self._centred(input, self.median) * self.scale
        z = maximum(minimum(z, _FAR), -_FAR)
        return z / sqrt(1.0 + z * z * CLIP**-2)


class InverseRobustScale(_Columns):
    """median + spread z with z = y / sqrt(1 - (y/3)^2): the inverse of `RobustScale`.

    `RobustScale` maps into (-3, 3), so outside there is no inverse: the result is NaN or infinite,
    also at 3 itself, to which `RobustScale` rounds numbers far out.

    Args:
        num_features: the number of columns.
        dtype: of the buffers; data are cast, outputs of layers must have it.

    Attributes:
        median: shape (num_features,).
        spread: shape (num_features,), 1 / scale of the `RobustScale`; 0 for a constant column,
            which becomes its median.

    Shapes:
        Input and output (..., num_features).

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.RobustScale(1).fit([[0.0], [2.0], [4.0]])
        >>> layer.inverse()(layer(cr.tensor([[5.0]])))
        tensor([[5.]])
    """

    median: Buffer
    spread: Buffer

    def __init__(self, num_features: int, dtype: DTypeLike = "float32") -> None:
        super().__init__(num_features, dtype)
        self.median = self._filled(0)
        self.spread = self._filled(1)

    def inverse(self) -> RobustScale:
        """The layer that scales and clips."""
        layer = RobustScale(self.num_features, self.dtype)
        layer.median.assign(self.median.numpy().astype(np.float64))
        layer.scale.assign(_reciprocal(self.spread.numpy()))
        return layer

    def forward(self, input: TensorLike) -> Tensor:
        y = self._columns(input)
        z = y / sqrt(1.0 - y * y * CLIP**-2)
        return z * self.spread + self.median


def _reciprocal(values: Array) -> Array:
    """1 / values, and 0 where they are 0."""
    return np.divide(1, values, out=np.zeros_like(values), where=values != 0)
