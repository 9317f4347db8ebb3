"""Layers that normalise each example: to mean 0 and variance 1, then scaled and shifted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor, TensorLike
from chainrule.nn import arguments, functional, init
from chainrule.nn.layers.base import Layer, MaybeParameter


class LayerNorm(Layer):
    """(x - mean) / sqrt(variance + eps) * weight + bias, over each example's last axes.

    It is the same in training and in evaluation; see `functional.layer_norm`.

    Args:
        normalized_shape: the lengths of the last axes.
        eps: added to the variance, which is the biased one.
        elementwise_affine: whether there is a weight (and a bias).
        bias: whether there is a bias.
        dtype: of weight and bias; data are cast, outputs of layers must have it.
            Without these floats keep theirs.

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

    weight: MaybeParameter
    bias: MaybeParameter

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = arguments.lengths("normalized_shape", normalized_shape)
        self.eps = checks.not_negative("eps", eps)
        self.elementwise_affine = affine = bool(elementwise_affine)
        self.dtype = arguments.floating(dtype, device)
        zeros = np.zeros(self.normalized_shape, self.dtype)
        self.register_parameter("weight", Parameter(zeros) if affine else None)
        self.register_parameter("bias", Parameter(zeros) if affine and bias else None)
        self.reset_parameters()

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "normalized_shape")

    def reset_parameters(self) -> None:
        """Make the weight 1 and the bias 0 again."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: TensorLike) -> Tensor:
        x = arguments.as_dtype_beside(input, self.dtype, self.weight)
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(Layer):
    """x / sqrt(mean of x^2 + eps) * weight, over each example's last axes.

    `LayerNorm` without mean and bias; see `functional.rms_norm`.

    Args:
        normalized_shape: the lengths of the last axes.
        eps: None for the dtype's distance from 1 to the next number.
        elementwise_affine: whether there is a weight.
        dtype: of the weight; data are cast, outputs of layers must have it.
            Without it floats keep theirs.

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

    weight: MaybeParameter

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = arguments.lengths("normalized_shape", normalized_shape)
        self.eps = None if eps is None else checks.not_negative("eps", eps)
        self.elementwise_affine = affine = bool(elementwise_affine)
        self.dtype = arguments.floating(dtype, device)
        zeros = np.zeros(self.normalized_shape, self.dtype)
        self.register_parameter("weight", Parameter(zeros) if affine else None)
        self.reset_parameters()

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "normalized_shape")

    def reset_parameters(self) -> None:
        """Make the weight 1 again."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: TensorLike) -> Tensor:
        x = arguments.as_dtype_beside(input, self.dtype, self.weight)
        return functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Layer):
    """`LayerNorm` of each group of channels; see `functional.group_norm`.

    Args:
        num_groups: the number of groups of neighbouring channels.
        num_channels: C, the length of the input's axis 1.
        eps: added to the variance, which is the biased one.
        affine: whether there is a weight (and a bias).
        dtype: of weight and bias; data are cast, outputs of layers must have it.
            Without these floats keep theirs.
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

    weight: MaybeParameter
    bias: MaybeParameter

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: DTypeLike | None = None,
        *,
        bias: bool = True,
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
        zeros = np.zeros(num_channels, self.dtype)
        self.register_parameter("weight", Parameter(zeros) if affine else None)
        self.register_parameter("bias", Parameter(zeros) if affine and bias else None)
        self.reset_parameters()

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "num_channels")

    def reset_parameters(self) -> None:
        """Make the weight 1 and the bias 0 again."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def extra_repr(self) -> str:
        """`bias` only where it says something, as in PyTorch's text of many years."""
        without = ", bias=True" if self.affine else ", bias=False"
        return super().extra_repr().removesuffix(without)

    def forward(self, input: TensorLike) -> Tensor:
        x = arguments.as_dtype_beside(input, self.dtype, self.weight)
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(
                f"the input must have shape (N, {self.num_channels}, ...); its shape is {x.shape}"
            )
        return functional.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class LocalResponseNorm(Layer):
    """x divided by a power of what its neighbouring channels hold; see
    `functional.local_response_norm`.

    Args:
        size: how many neighbouring channels.
        alpha, beta, k: x / (k + alpha mean of squares)^beta.

    Shapes:
        Input and output (N, C, ...).

    Raises:
        ShapeError: when called on an input of fewer than three axes.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.LocalResponseNorm(2)
        LocalResponseNorm(2, alpha=0.0001, beta=0.75, k=1.0)
        >>> nn.LocalResponseNorm(2, alpha=2.0, beta=0.5, k=0.0)(cr.tensor([[[3.0], [4.0]]]))
        tensor([[[1. ],
                 [0.8]]])
    """

    unnamed_arguments = 1

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = checks.count("size", size)
        self.alpha = checks.number("alpha", alpha)
        self.beta = checks.number("beta", beta)
        self.k = checks.number("k", k)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.local_response_norm(input, self.size, self.alpha, self.beta, self.k)
