"""Layers that bring activations to mean 0 and variance 1, then scale and shift them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.context import no_grad
from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.nn import arguments, functional
from chainrule.nn.layers.base import Layer

B = TypeVar("B", bound="BatchNorm1d")

_ROWS = 4096  # of data that `recompute_batch_statistics` takes to float64 at once


class BatchNorm1d(Layer):
    """(x - mean) / sqrt(variance + eps) * weight + bias, for each feature over the minibatch.

    In training mean and variance are those of the minibatch, the variance divided by the number of
    its elements. In evaluation they are `running_mean` and `running_var`. While training these
    follow by running <- (1 - momentum) running + momentum batch, where the batch's variance is
    divided by the number of elements less 1, as in PyTorch. `recompute_batch_statistics`
    makes them the exact mean and variance of the training data.

    Args:
        num_features: C, the length of the input's axis 1.
        eps: added to the variance.
        momentum: the share of the newest batch; None for the mean over all batches so far.
        affine: whether there is a weight (and a bias).
        track_running_stats: whether there are running statistics; without them evaluation, too,
            takes those of the batch.
        dtype: of parameters and statistics; the input must have it too.
        bias: whether there is a bias.

    Attributes:
        weight: gamma, shape (C,), at first 1.
        bias: beta, shape (C,), at first 0.
        running_mean, running_var: shape (C,), at first 0 and 1.
        num_batches_tracked: int64, the number of batches trained on.

    Shapes:
        Input and output (N, C) or (N, C, L).

    Raises:
        ShapeError, DTypeError: when called on an input that does not fit; in training, and without
            running statistics, also on one element for each feature, whose variance is 0.

    Source: Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing
    internal covariate shift", ICML 2015; *Deep Learning*, section 8.7.1.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.BatchNorm1d(1, eps=0)
        >>> layer(cr.tensor([[1.0], [3.0]])).tolist()
        [[-1.0], [1.0]]
        >>> layer.recompute_batch_statistics([[1.0], [3.0]]).eval()(cr.tensor([[4.0]])).tolist()
        [[2.0]]
    """

    unnamed_arguments = 1

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Buffer | None
    running_var: Buffer | None
    num_batches_tracked: Buffer | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: DTypeLike | None = None,
        *,
        bias: bool = True,
        device: Any = None,
    ) -> None:
        super().__init__()
        self.num_features = checks.count("num_features", num_features)
        self.eps = checks.not_negative("eps", eps)
        self.momentum = None if momentum is None else checks.probability("momentum", momentum)
        self.affine = bool(affine)
        self.track_running_stats = bool(track_running_stats)
        self.dtype = arguments.floating(dtype, device)
        ones, zeros = np.ones(num_features, self.dtype), np.zeros(num_features, self.dtype)
        tracks = self.track_running_stats
        self.register_parameter("weight", Parameter(ones) if affine else None)
        self.register_parameter("bias", Parameter(zeros) if affine and bias else None)
        self.register_buffer("running_mean", zeros if tracks else None)
        self.register_buffer("running_var", ones if tracks else None)
        self.register_buffer("num_batches_tracked", np.int64(0) if tracks else None)

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "num_features")

    def extra_repr(self) -> str:
        """`bias` only where it says something, as in PyTorch's text of many years."""
        without = ", bias=True" if self.affine else ", bias=False"
        return super().extra_repr().removesuffix(without)

    def forward(self, input: TensorLike) -> Tensor:
        x = as_tensor(input)
        self._check(x.shape)
        x = arguments.as_dtype(x, self.dtype)
        of_batch = self.training or self.running_mean is None or self.running_var is None
        if of_batch:
            self._check_several(x)
        tracks = self.training and self.num_batches_tracked is not None
        return functional.batch_norm(
            x,
            self.running_mean if tracks or not of_batch else None,
            self.running_var if tracks or not of_batch else None,
            self.weight,
            self.bias,
            of_batch,
            self._share_of_batch() if tracks else 0.0,
            self.eps,
        )

    def _share_of_batch(self) -> float | Tensor:
        """The share of the newest batch in the running statistics; it is counted."""
        assert self.num_batches_tracked is not None
        with no_grad():
            batches = self.num_batches_tracked + 1
            self.num_batches_tracked.assign(batches)
            if self.momentum is None:
                return 1.0 / batches.astype(self.dtype)
        return float(self.momentum)

    def recompute_batch_statistics(self: B, x: ArrayLike) -> B:
        """Make the running statistics the exact mean and biased variance of `x`.

        The layer takes them in evaluation. `x` is the input of this layer;
        `nn.recompute_batch_statistics` does the same for all such layers of a model.

        Args:
            x: shape (N, C) or (N, C, L); float64 sums are taken of it block by block.

        Raises:
            ShapeError: if `x` has another shape, or no rows.
            ValueError: if a feature has NaN or infinite values, or too large ones; if the layer
                keeps no running statistics.
        """
        x = x.numpy() if isinstance(x, Tensor) else np.asarray(x)
        self._check(x.shape)
        return self._recompute_statistics(x[i : i + _ROWS] for i in range(0, len(x), _ROWS))

    def _recompute_statistics(self: B, blocks: Iterable[Array]) -> B:
        """The statistics of data that come in blocks of rows: means and squares are joined exactly.

        Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance", The American
        Statistician 37, 1983.
        """
        if self.running_mean is None or self.running_var is None:
            raise ValueError(
                "recompute_batch_statistics: with track_running_stats=False there are no statistics"
            )
        count = 0
        mean = squares = np.zeros(self.num_features)
        with np.errstate(all="ignore"):
            for block in blocks:
                elements = np.moveaxis(block, 1, -1).reshape(-1, self.num_features)
                elements = elements.astype(np.float64)
                block_mean = elements.mean(axis=0)
                difference = block_mean - mean
                total = count + len(elements)
                mean = mean + difference * (len(elements) / total)
                squares = squares + ((elements - block_mean) ** 2).sum(axis=0)
                squares += difference**2 * (count * len(elements) / total)
                count = total
            if not count:
                raise ShapeError("recompute_batch_statistics: the data have no rows")
            found = mean.astype(self.dtype), (squares / count).astype(self.dtype)
        faulty = np.flatnonzero(~(np.isfinite(found[0]) & np.isfinite(found[1])))
        if len(faulty):
            raise ValueError(
                f"recompute_batch_statistics: feature {faulty[0]} (counted from 0) holds NaN or "
                "infinite values, or too large ones"
            )
        self.running_mean.assign(found[0])
        self.running_var.assign(found[1])
        return self

    def _check(self, shape: tuple[int, ...]) -> None:
        if len(shape) not in (2, 3) or shape[1] != self.num_features:
            raise ShapeError(
                f"the input must have shape (N, {self.num_features}) or (N, {self.num_features}, "
                f"L); its shape is {shape}. Change num_features, or what comes before."
            )

    def _check_several(self, x: Tensor) -> None:
        if x.size <= self.num_features:
            remedy = "or call eval()" if self.training else "or keep running statistics"
            raise ShapeError(
                f"{'in training' if self.training else 'without running statistics'} there must be "
                f"more than one element for each feature; the input has shape {x.shape}. Choose a "
                f"batch_size that leaves no last batch of one row, drop a row, {remedy}."
            )


class LayerNorm(Layer):
    """(x - mean) / sqrt(variance + eps) * weight + bias, over each example's last axes.

    It is the same in training and in evaluation; see `functional.layer_norm`.

    Args:
        normalized_shape: the lengths of the last axes.
        eps: added to the variance, which is the biased one.
        elementwise_affine: whether there is a weight (and a bias).
        bias: whether there is a bias.
        dtype: of weight and bias; the input must have it too.

    Attributes:
        weight: gamma, shape `normalized_shape`, at first 1.
        bias: beta, shape `normalized_shape`, at first 0.

    Shapes:
        Input and output (..., *normalized_shape).

    Raises:
        ShapeError, DTypeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.LayerNorm(2, eps=0)(cr.tensor([[1.0, 3.0]])).tolist()
        [[-1.0, 1.0]]
    """

    unnamed_arguments = 1

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: DTypeLike | None = None,
        *,
        device: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = arguments.lengths("normalized_shape", normalized_shape)
        self.eps = checks.not_negative("eps", eps)
        self.elementwise_affine = affine = bool(elementwise_affine)
        self.dtype = arguments.floating(dtype, device)
        ones = np.ones(self.normalized_shape, self.dtype)
        self.register_parameter("weight", Parameter(ones) if affine else None)
        self.register_parameter("bias", Parameter(ones * 0) if affine and bias else None)

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "normalized_shape")

    def forward(self, input: TensorLike) -> Tensor:
        x = as_tensor(input)
        x = arguments.as_dtype(x, self.dtype)
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(Layer):
    """x / sqrt(mean of x^2 + eps) * weight, over each example's last axes.

    `LayerNorm` without mean and bias; see `functional.rms_norm`.

    Args:
        normalized_shape: the lengths of the last axes.
        eps: None for the dtype's distance from 1 to the next number.
        elementwise_affine: whether there is a weight.
        dtype: of the weight; the input must have it too.

    Attributes:
        weight: shape `normalized_shape`, at first 1.

    Shapes:
        Input and output (..., *normalized_shape).

    Raises:
        ShapeError, DTypeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.RMSNorm(2)(cr.tensor([[3.0, -3.0]])).tolist()
        [[1.0, -1.0]]
    """

    unnamed_arguments = 1

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: DTypeLike | None = None,
        *,
        device: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = arguments.lengths("normalized_shape", normalized_shape)
        self.eps = None if eps is None else checks.not_negative("eps", eps)
        self.elementwise_affine = affine = bool(elementwise_affine)
        self.dtype = arguments.floating(dtype, device)
        ones = np.ones(self.normalized_shape, self.dtype)
        self.register_parameter("weight", Parameter(ones) if affine else None)

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "normalized_shape")

    def forward(self, input: TensorLike) -> Tensor:
        x = as_tensor(input)
        x = arguments.as_dtype(x, self.dtype)
        return functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Layer):
    """`LayerNorm` of each group of channels; see `functional.group_norm`.

    Args:
        num_groups: the number of groups of neighbouring channels.
        num_channels: C, the length of the input's axis 1.
        eps: added to the variance, which is the biased one.
        affine: whether there is a weight (and a bias).
        dtype: of weight and bias; the input must have it too.
        bias: whether there is a bias.

    Attributes:
        weight: gamma, shape (C,), at first 1.
        bias: beta, shape (C,), at first 0.

    Shapes:
        Input and output (N, C, ...).

    Raises:
        ShapeError, DTypeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.GroupNorm(2, 4, eps=0)(cr.tensor([[1.0, 3.0, 7.0, 3.0]])).tolist()
        [[-1.0, 1.0, 1.0, -1.0]]
    """

    unnamed_arguments = 2

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: DTypeLike | None = None,
        *,
        bias: bool = True,
        device: Any = None,
    ) -> None:
        super().__init__()
        self.num_groups = checks.count("num_groups", num_groups)
        self.num_channels = checks.count("num_channels", num_channels)
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: {num_channels} channels can't be divided into {num_groups} groups of "
                "one size"
            )
        self.eps = checks.not_negative("eps", eps)
        self.affine = bool(affine)
        self.dtype = arguments.floating(dtype, device)
        ones = np.ones(num_channels, self.dtype)
        self.register_parameter("weight", Parameter(ones) if affine else None)
        self.register_parameter("bias", Parameter(ones * 0) if affine and bias else None)

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "num_channels")

    def extra_repr(self) -> str:
        """`bias` only where it says something, as in PyTorch's text of many years."""
        without = ", bias=True" if self.affine else ", bias=False"
        return super().extra_repr().removesuffix(without)

    def forward(self, input: TensorLike) -> Tensor:
        x = as_tensor(input)
        x = arguments.as_dtype(x, self.dtype)
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(
                f"the input must have shape (N, {self.num_channels}, ...); its shape is {x.shape}"
            )
        return functional.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
