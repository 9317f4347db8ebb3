"""Layers that rotate the columns of a table to its principal axes: PCA, whitening, the way back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.state import Buffer
from chainrule.graph.tensor import Array, Tensor, TensorLike
from chainrule.nn import arguments
from chainrule.nn.layers import column_statistics
from chainrule.nn.layers.base import Layer
from chainrule.ops import sqrt
from chainrule.ops.matmul import matmul


class FixedLinear(Layer):
    """x W^T + b, as `Linear`, with numbers that are not trained, as the inverse of a PCA.

    Args:
        in_features: the length of the input's last axis.
        out_features: the length of the output's last axis.
        dtype: of weight and bias; data are cast, outputs of layers must have it.

    Attributes:
        weight: a Buffer of shape (out_features, in_features), at first zeros.
        bias: a Buffer of shape (out_features,), at first zeros.

    Shapes:
        Input (..., in_features), output (..., out_features).

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.FixedLinear(2, 1)
        >>> layer.weight.assign([[1.0, 10.0]])
        >>> layer(cr.tensor([[3.0, 4.0]]))
        tensor([[43.]])
    """

    weight: Buffer
    bias: Buffer

    def __init__(self, in_features: int, out_features: int, dtype: DTypeLike = "float32") -> None:
        super().__init__()
        self.in_features = checks.count("in_features", in_features)
        self.out_features = checks.count("out_features", out_features)
        self.dtype = checks.floating(dtype)
        self.weight = Buffer(np.zeros((self.out_features, self.in_features), self.dtype))
        self.bias = Buffer(np.zeros(self.out_features, self.dtype))

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "in_features", "out_features")

    def forward(self, input: TensorLike) -> Tensor:
        x = arguments.as_input(input, self.in_features, self.dtype)
        return _product(x, self.weight, transpose=True) + self.bias


class _Principal(Layer):
    """The mean, the principal axes of the data given to `fit`, and the variance along each."""

    takes_float64 = True
    mean: Buffer
    components: Buffer
    explained_variance: Buffer

    def __init__(self, num_features: int, num_components: int | None, dtype: DTypeLike) -> None:
        super().__init__()
        self.num_features = checks.count("num_features", num_features)
        if num_components is None:
            num_components = self.num_features
        self.num_components = checks.count("num_components", num_components)
        if self.num_components > self.num_features:
            raise ValueError(
                f"num_components is at most num_features, {num_features}; got {num_components}"
            )
        self.dtype = checks.floating(dtype)
        # NaN until `fit`: a forgotten fit can't pass for a result.
        shape = (self.num_components, self.num_features)
        self.mean = Buffer(np.full(self.num_features, np.nan))
        self.components = Buffer(np.full(shape, np.nan, self.dtype))
        self.explained_variance = Buffer(np.full(self.num_components, np.nan, self.dtype))

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        kept = given["num_components"] or given["num_features"]
        given = {**given, "num_components": kept}
        return arguments.elements(given, "num_features", "num_components")

    def _fit(self, x: ArrayLike) -> tuple[Array, Array, Array]:
        """(mean, components, explained variance) of the data, in the dtypes of the buffers."""
        name = type(self).__name__
        table = column_statistics.as_table(name, x, self.num_features)
        if len(table) < self.num_components:
            raise ShapeError(
                f"{name}.fit: {len(table)} rows have no {self.num_components} principal axes; "
                "give more rows, or choose fewer num_components"
            )
        low, high = column_statistics.extremes(table)
        # The mean of a constant column would be rounded, and the column seem to vary.
        mean = np.where(low == high, low, column_statistics.mean(table))
        column_statistics.check_finite(name, mean, *column_statistics.rounded(self.dtype, mean))
        _, singular, axes = np.linalg.svd(
            column_statistics.triangle(table, mean), full_matrices=False
        )
        # Below this a singular value is rounding, of the decomposition, or of the numbers in x and
        # their mean: the data do not vary along its axis.
        eps = np.finfo(np.float64).eps
        of_numbers = np.sqrt(len(table)) * (np.abs(axes) @ (4 * eps * np.maximum(-low, high)))
        singular[singular <= np.maximum(singular[0] * (max(table.shape) * eps), of_numbers)] = 0
        kept = axes[: self.num_components]
        largest = np.take_along_axis(kept, np.abs(kept).argmax(axis=1)[:, None], axis=1)
        with np.errstate(over="ignore"):
            variance = np.square(singular[: self.num_components]) / len(table)
        signed = kept * np.sign(largest)
        components, variance = column_statistics.rounded(self.dtype, signed, variance)
        if not np.isfinite(variance).all():
            raise ValueError(
                f"{name}.fit: the variance is too large for {self.dtype}; scale x down"
            )
        return mean, components, variance

    def _assign(self, mean: Array, components: Array, variance: Array) -> None:
        self.mean.assign(mean)
        self.components.assign(components)
        self.explained_variance.assign(variance)

    def _check_fitted(self) -> None:
        assert self.mean.value is not None  # a State always has a value, also during capture
        if np.isnan(self.mean.value[0]):
            name = type(self).__name__
            raise RuntimeError(
                f"{name} is not fitted, so it has no axes yet: call its fit(x), or load the state "
                "of one that is fitted"
            )

    def _centred(self, input: TensorLike) -> Tensor:
        arguments.as_input(input, self.num_features, self.dtype)  # which checks it
        self._check_fitted()
        return arguments.centred(input, self.mean, self.dtype)

    def _inverse(self, weight: Array) -> FixedLinear:
        """The layer y W^T + mean."""
        layer = FixedLinear(weight.shape[1], self.num_features, self.dtype)
        layer.weight.assign(weight.astype(self.dtype))
        layer.bias.assign(self.mean.numpy().astype(self.dtype))
        return layer


class PCA(_Principal):
    """(x - mean) V^T: the data centred and turned to their principal axes, the rows of V.

    The columns that come out are uncorrelated on the data given to `fit`, and the first ones have
    the largest variance. It must be fitted before it is called.

    Args:
        num_features: the number of columns that go in.
        num_components: how many principal axes are kept, and columns come out; by default all.
        dtype: of the buffers; data are cast, outputs of layers must have it.

    Attributes:
        mean: shape (num_features,), the mean of each column.
        components: shape (num_components, num_features), the axes; orthonormal rows, each with
            its largest entry (by absolute value) positive.
        explained_variance: shape (num_components,), the variance along each axis (divided by N,
            as in `Standardize`).

    Shapes:
        Input (..., num_features), output (..., num_components).

    Raises:
        RuntimeError: when called before `fit`.

    Source: Bishop, *Pattern Recognition and Machine Learning*, section 12.1.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.PCA(2, num_components=1).fit([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
        >>> layer.components.numpy()
        array([[0.6, 0.8]], dtype=float32)
        >>> layer(cr.tensor([[6.0, 8.0]]))
        tensor([[5.]])
    """

    def __init__(
        self,
        num_features: int,
        num_components: int | None = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        super().__init__(num_features, num_components, dtype)

    def fit(self, x: ArrayLike) -> PCA:
        """Take the axes from `x` of shape (N, num_features), N at least num_components.

        Computed in float64, by a singular value decomposition of the centred data.

        Raises:
            ShapeError: if `x` has another shape, or too few rows.
            TypeError: if `x` does not hold numbers.
            ValueError: if a column has NaN or infinite values.
        """
        self._assign(*self._fit(x))
        return self

    def inverse(self) -> FixedLinear:
        """The layer y V + mean: with fewer components the least-squares reconstruction of x."""
        self._check_fitted()
        return self._inverse(self.components.numpy().T)

    def forward(self, input: TensorLike) -> Tensor:
        return _product(self._centred(input), self.components, transpose=True)


class Whiten(_Principal):
    """Columns made uncorrelated and of variance 1 on the data given to `fit`: covariance I.

    With the principal axes V (rows) and the variances v along them:
    method "pca": y = (x - mean) V^T / sqrt(v + eps), the columns being the principal axes;
    method "zca": the same turned back by V, which of all whitenings changes the data least.

    Args:
        num_features: the number of columns that go in.
        method: "pca" or "zca".
        num_components: for "pca", how many principal axes are kept; by default all.
        eps: added to the variances, against a division by 0 and the amplification of weak axes.
        dtype: of the buffers; data are cast, outputs of layers must have it.

    Attributes:
        mean, components, explained_variance: as in `PCA`.

    Shapes:
        Input (..., num_features), output (..., num_components).

    Raises:
        RuntimeError: when called before `fit`.

    Source: Kessy, Lewin, Strimmer, "Optimal whitening and decorrelation", The American
    Statistician 2018.

    Example:
        >>> from chainrule import nn
        >>> x = [[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0], [0.0, -3.0]]
        >>> nn.Whiten(2, method="zca", dtype="float64").fit(x)(np.array(x))
        tensor([[ 1.4142,  0.    ],
                [-1.4142,  0.    ],
                [ 0.    ,  1.4142],
                [ 0.    , -1.4142]], dtype=float64)
    """

    def __init__(
        self,
        num_features: int,
        method: str = "pca",
        num_components: int | None = None,
        eps: float = 0.0,
        dtype: DTypeLike = "float32",
    ) -> None:
        super().__init__(num_features, num_components, dtype)
        self.method = checks.one_of("Whiten: method", method, ("pca", "zca"))
        if method == "zca" and self.num_components < self.num_features:
            raise ValueError(
                f"Whiten: method 'zca' keeps all {num_features} components, got num_components "
                f"{num_components}; use 'pca' for fewer"
            )
        self.eps = checks.not_negative("eps", eps)

    def fit(self, x: ArrayLike) -> Whiten:
        """Take axes and variances from `x` of shape (N, num_features), as `PCA.fit` does.

        Raises:
            ShapeError, TypeError: as for `PCA.fit`.
            ValueError: if a column has NaN or infinite values; if the data do not vary along one of
                the axes, as where a column is constant, and eps is 0.
        """
        mean, components, variance = self._fit(x)
        if not (variance + self.eps).all():
            varying = np.count_nonzero(variance)
            raise ValueError(
                f"Whiten.fit: the data vary along {varying} axes only, which can't be scaled to "
                f"variance 1 along {self.num_components}. Drop constant and dependent columns, "
                "choose fewer num_components, or pass eps > 0"
            )
        self._assign(mean, components, variance)
        return self

    def inverse(self) -> FixedLinear:
        """The layer that maps back; with fewer components as far as `PCA.inverse` does."""
        self._check_fitted()
        axes = self.components.numpy().astype(np.float64)
        spread = np.sqrt(self.explained_variance.numpy().astype(np.float64) + self.eps)
        weight = axes.T * spread
        return self._inverse(weight @ axes if self.method == "zca" else weight)

    def forward(self, input: TensorLike) -> Tensor:
        y = _product(self._centred(input), self.components, transpose=True)
        y = y / sqrt(self.explained_variance + self.eps)
        return _product(y, self.components) if self.method == "zca" else y


def _product(x: Tensor, matrix: Tensor, transpose: bool = False) -> Tensor:
    """Each row of x, over all axes but the last, times a matrix."""
    rows = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
    y = matmul(rows, matrix, transpose_b=transpose)
    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], y.shape[-1])
