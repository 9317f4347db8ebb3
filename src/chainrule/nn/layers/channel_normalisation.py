"""Layers that normalise channels, with running statistics: over a minibatch or each example."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from chainrule import checks
from chainrule.dtypes import check_unmasked
from chainrule.errors import ShapeError
from chainrule.graph.context import no_grad
from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.nn import arguments, functional, init
from chainrule.nn.layers.base import Layer, MaybeParameter

B = TypeVar("B", bound="BatchNorm")

_ROWS = 4096  # of data that `recompute_batch_statistics` takes to float64 at once


class _ChannelNorm(Layer):
    """What has a weight, a bias and running statistics for each channel."""

    unnamed_arguments = 1

    shapes: ClassVar[tuple[str, ...]]
    """The shapes of inputs, in words; C stands for the channels."""

    weight: MaybeParameter
    bias: MaybeParameter
    running_mean: Buffer | None
    running_var: Buffer | None
    num_batches_tracked: Buffer | None

    def _make(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        dtype: DTypeLike | None,
        bias: bool,
        device: Any,
    ) -> None:
        """Check and keep the arguments; make parameters and statistics."""
        self.num_features = checks.count("num_features", num_features)
        self.eps = checks.not_negative("eps", eps)
        self.momentum = None if momentum is None else checks.probability("momentum", momentum)
        self.affine = bool(affine)
        self.track_running_stats = bool(track_running_stats)
        self.dtype = arguments.floating(dtype, device)
        zeros = np.zeros(num_features, self.dtype)
        tracks = self.track_running_stats
        self.register_parameter("weight", Parameter(zeros) if affine else None)
        self.register_parameter("bias", Parameter(zeros) if affine and bias else None)
        self.register_buffer("running_mean", zeros if tracks else None)
        self.register_buffer("running_var", zeros if tracks else None)
        self.register_buffer("num_batches_tracked", np.int64(0) if tracks else None)
        self.reset_parameters()

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "num_features")

    def reset_parameters(self) -> None:
        """Make the weight 1 and the bias 0 again, and forget the running statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def reset_running_stats(self) -> None:
        """Make the running mean 0, the running variance 1 and the number of batches 0 again."""
        if self.running_mean is not None:
            init.zeros_(self.running_mean)
        if self.running_var is not None:
            init.ones_(self.running_var)
        if self.num_batches_tracked is not None:
            init.zeros_(self.num_batches_tracked)

    def extra_repr(self) -> str:
        """`bias` only where it says something, as in PyTorch's text of many years."""
        without = ", bias=True" if self.affine else ", bias=False"
        return super().extra_repr().removesuffix(without)

    def _check(self, shape: tuple[int, ...]) -> None:
        fitting = (w.split(", ") for w in self.shapes)
        found = next((words for words in fitting if len(words) == len(shape)), None)
        if found is None or shape[found.index("C")] != self.num_features:
            expected = [f"({words})".replace("C", f"{self.num_features}") for words in self.shapes]
            raise ShapeError(
                f"the input must have shape {' or '.join(expected)}; its shape is {shape}. Change "
                "num_features, or what comes before."
            )


class BatchNorm(_ChannelNorm):
    """Normalisation by the minibatch; each subclass says which inputs it takes."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: DTypeLike | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self._make(num_features, eps, momentum, affine, track_running_stats, dtype, bias, device)

    def forward(self, input: TensorLike) -> Tensor:
        x = as_tensor(input)
        self._check(x.shape)
        x = arguments.as_dtype_beside(x, self.dtype, self.weight, self.running_mean)
        of_batch = self.training or self.running_mean is None or self.running_var is None
        if of_batch:
            self._check_several(x)
        counter = self.num_batches_tracked if self.training else None
        tracks = counter is not None
        share: float | Tensor = 0.0 if self.momentum is None else float(self.momentum)
        if counter is not None:
            with no_grad():
                batches = counter + 1
                if self.momentum is None:
                    share = 1.0 / batches.astype(self.dtype)
        y = functional.batch_norm(
            x,
            self.running_mean if tracks or not of_batch else None,
            self.running_var if tracks or not of_batch else None,
            self.weight,
            self.bias,
            of_batch,
            share,
            self.eps,
        )
        if counter is not None:
            counter.assign(batches)
        return y

    def recompute_batch_statistics(self: B, x: ArrayLike) -> B:
        """Make the running statistics the exact mean and biased variance of `x`.

        The layer takes them in evaluation. `x` is the input of this layer;
        `nn.recompute_batch_statistics` does the same for all such layers of a model.

        Args:
            x: of the shape of an input; float64 sums are taken of it block by block.

        Raises:
            ShapeError: if `x` has another shape, or no rows.
            ValueError: if a feature has NaN or infinite values, or too large ones, or masked ones;
                if the layer keeps no running statistics.
        """
        check_unmasked("x", x)
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

    def _check_several(self, x: Tensor) -> None:
        if x.size <= self.num_features:
            remedy = "or call eval()" if self.training else "or keep running statistics"
            raise ShapeError(
                f"{'in training' if self.training else 'without running statistics'} there must be "
                f"more than one element for each feature; the input has shape {x.shape}. Choose a "
                f"batch_size that leaves no last batch of one row, drop a row, {remedy}."
            )


class BatchNorm1d(BatchNorm):
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
        dtype: of parameters and statistics; data are cast, outputs of layers must have it.
            Without these floats keep theirs.
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

    shapes = ("N, C", "N, C, L")


class BatchNorm2d(BatchNorm):
    """(x - mean) / sqrt(variance + eps) * weight + bias, for each channel of a minibatch of images.

    Mean and variance are over the batch and over the pixels; all else is as in `BatchNorm1d`.

    Args:
        num_features: C, the number of channels.
        eps, momentum, affine, track_running_stats, dtype, bias: as in `BatchNorm1d`.

    Attributes:
        weight, bias, running_mean, running_var, num_batches_tracked: as in `BatchNorm1d`.

    Shapes:
        Input and output (N, C, H, W).

    Raises:
        ShapeError, DTypeError: as `BatchNorm1d`.

    Source: Ioffe and Szegedy, ICML 2015.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.BatchNorm2d(1, eps=0)(cr.tensor([[[[1.0, 3.0]]], [[[3.0, 1.0]]]])).tolist()
        [[[[-1.0, 1.0]]], [[[1.0, -1.0]]]]
    """

    shapes = ("N, C, H, W",)


class InstanceNorm(_ChannelNorm):
    """Normalisation of each channel of each example; a subclass says which inputs it takes."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: DTypeLike | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self._make(num_features, eps, momentum, affine, track_running_stats, dtype, bias, device)

    def forward(self, input: TensorLike) -> Tensor:
        x = as_tensor(input)
        self._check(x.shape)
        x = arguments.as_dtype_beside(x, self.dtype, self.weight, self.running_mean)
        is_batch = len(x.shape) == len(self.shapes[0].split(", "))
        of_input = self.training or not self.track_running_stats
        if of_input and math.prod(x.shape[1 + is_batch :]) < 2:
            raise ShapeError(
                "there must be more than one element for each channel of an example, else its "
                f"variance is 0; the input has shape {x.shape}. Put this layer before the pooling."
            )
        y = functional.instance_norm(
            x if is_batch else x.reshape(1, *x.shape),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            of_input,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return y if is_batch else y.reshape(x.shape)


class InstanceNorm1d(InstanceNorm):
    """(x - mean) / sqrt(variance + eps) * weight + bias, for each channel of each sequence.

    Mean and variance are those of the channel's own elements. With running statistics, which follow
    them as in `BatchNorm1d`, evaluation takes these.

    Args:
        num_features: C, the number of channels.
        eps: added to the variance, which is the biased one.
        momentum: the share of the newest batch in the running statistics; None is 0, as in PyTorch.
        affine: whether there is a weight (and a bias).
        track_running_stats: whether there are running statistics.
        dtype: of parameters and statistics; data are cast, outputs of layers must have it.
            Without these floats keep theirs.
        bias: whether there is a bias, where `affine`.

    Attributes:
        weight: gamma, shape (C,), at first 1; or None.
        bias: beta, shape (C,), at first 0; or None.
        running_mean, running_var: shape (C,), at first 0 and 1; or None.
        num_batches_tracked: int64, which stays 0, as in PyTorch; or None.

    Shapes:
        Input and output (N, C, L) or (C, L).

    Raises:
        ShapeError, DTypeError: when called on an input that does not fit.

    Source: Ulyanov, Vedaldi, Lempitsky, "Instance normalization: the missing ingredient for fast
    stylization", 2016.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.InstanceNorm1d(2, eps=1e-9)(cr.tensor([[1.0, 3.0], [5.0, 5.0]]))
        tensor([[-1.,  1.],
                [ 0.,  0.]])
    """

    shapes = ("N, C, L", "C, L")


class InstanceNorm2d(InstanceNorm):
    """(x - mean) / sqrt(variance + eps) * weight + bias, for each channel of each image.

    Args:
        num_features: C, the number of channels.
        eps, momentum, affine, track_running_stats, dtype, bias: as in `InstanceNorm1d`.

    Attributes:
        weight, bias, running_mean, running_var, num_batches_tracked: as in `InstanceNorm1d`.

    Shapes:
        Input and output (N, C, H, W) or (C, H, W).

    Raises:
        ShapeError, DTypeError: when called on an input that does not fit.

    Source: Ulyanov, Vedaldi, Lempitsky, 2016.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.InstanceNorm2d(1, eps=1e-9)(cr.tensor([[[1.0, 3.0]]]))
        tensor([[[-1.,  1.]]])
    """

    shapes = ("N, C, H, W", "C, H, W")
