"""Pooling as layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from chainrule import checks
from chainrule.graph.tensor import Tensor, TensorLike
from chainrule.nn import functional
from chainrule.nn.functional.adaptive_pooling import OutputSize
from chainrule.nn.functional.conv import Lengths, lengths
from chainrule.nn.functional.pooling import refuse_indices
from chainrule.nn.layers.base import Layer


def _kept(value: Any) -> Any:
    """Lengths as they were given; a list as a tuple, which nobody changes."""
    return tuple(value) if isinstance(value, list) else value


class _MaxPool(Layer):
    """The maximum pooling layers; each subclass says which function it is."""

    pool: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        kernel_size: Lengths,
        stride: Lengths | None = None,
        padding: Lengths = 0,
        dilation: Lengths = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        refuse_indices(type(self).__name__, return_indices)
        self.kernel_size = _kept(kernel_size)
        self.stride = self.kernel_size if stride is None else _kept(stride)
        self.padding = _kept(padding)
        self.dilation = _kept(dilation)
        self.return_indices = False
        self.ceil_mode = bool(ceil_mode)

    def forward(self, input: TensorLike) -> Tensor:
        return type(self).pool(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )

    def extra_repr(self) -> str:
        """The text between the parentheses, as PyTorch has it."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest element of each window of a sequence; see `nn.functional.max_pool1d`.

    Args:
        kernel_size: k, the length of a window.
        stride: from one window to the next; None is k.
        padding: places before and after, which are never the largest; at most k / 2.
        dilation: between the elements of a window.
        return_indices: False, there is no other.
        ceil_mode: whether a last window may reach over the end.

    Shapes:
        Input (N, C, L) or (C, L), output (N, C, L') or (C, L').

    Raises:
        ShapeError: when called on an input that does not fit.

    Source: *Deep Learning*, section 9.3.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.MaxPool1d(2)(cr.tensor([[1.0, 5.0, 2.0, 3.0]]))
        tensor([[5., 3.]])
    """

    pool = staticmethod(functional.max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest element of each window of an image; see `nn.functional.max_pool2d`.

    Args:
        kernel_size, stride, padding, dilation: one number, or one for each axis; see `MaxPool1d`.
        return_indices: False, there is no other.
        ceil_mode: whether last windows may reach over the border.

    Shapes:
        Input (N, C, H, W) or (C, H, W), output (N, C, H', W') or (C, H', W').

    Raises:
        ShapeError: when called on an input that does not fit.

    Source: *Deep Learning*, section 9.3.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.MaxPool2d(2)(cr.ones((1, 6, 24, 24))).shape
        (1, 6, 12, 12)
    """

    pool = staticmethod(functional.max_pool2d)


class AvgPool1d(Layer):
    """The mean of each window of a sequence; see `nn.functional.avg_pool1d`.

    Args:
        kernel_size: k, the length of a window.
        stride: from one window to the next; None is k.
        padding: zeros before and after; at most k / 2.
        ceil_mode: whether a last window may reach over the end.
        count_include_pad: whether the zeros are counted in the mean.

    Shapes:
        Input (N, C, L) or (C, L), output (N, C, L') or (C, L').

    Raises:
        ShapeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.AvgPool1d(2)(cr.tensor([[1.0, 5.0, 2.0, 3.0]]))
        tensor([[3. , 2.5]])
    """

    def __init__(
        self,
        kernel_size: Lengths,
        stride: Lengths | None = None,
        padding: Lengths = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = lengths("kernel_size", kernel_size, 1)
        steps = kernel_size if stride is None else stride
        self.stride = lengths("stride", steps, 1)
        self.padding = lengths("padding", padding, 1, 0)
        self.ceil_mode = bool(ceil_mode)
        self.count_include_pad = bool(count_include_pad)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )

    def extra_repr(self) -> str:
        """The text between the parentheses, as PyTorch has it."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Layer):
    """The mean of each window of an image; see `nn.functional.avg_pool2d`.

    Args:
        kernel_size, stride, padding: one number, or one for each axis; see `AvgPool1d`.
        ceil_mode, count_include_pad: as in `AvgPool1d`.
        divisor_override: what the sums are divided by, in place of the count.

    Shapes:
        Input (N, C, H, W) or (C, H, W), output (N, C, H', W') or (C, H', W').

    Raises:
        ShapeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.AvgPool2d(2)(cr.ones((1, 6, 24, 24))).shape
        (1, 6, 12, 12)
    """

    def __init__(
        self,
        kernel_size: Lengths,
        stride: Lengths | None = None,
        padding: Lengths = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = _kept(kernel_size)
        self.stride = self.kernel_size if stride is None else _kept(stride)
        self.padding = _kept(padding)
        self.ceil_mode = bool(ceil_mode)
        self.count_include_pad = bool(count_include_pad)
        self.divisor_override = (
            None if divisor_override is None else checks.count("divisor_override", divisor_override)
        )

    def forward(self, input: TensorLike) -> Tensor:
        return functional.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        """The text between the parentheses, as PyTorch has it."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AdaptivePool(Layer):
    """The adaptive pooling layers; each subclass says which function it is."""

    pool: ClassVar[Callable[..., Tensor]]

    def __init__(self, output_size: OutputSize) -> None:
        super().__init__()
        self.output_size = _kept(output_size)

    def forward(self, input: TensorLike) -> Tensor:
        return type(self).pool(input, self.output_size)


class _AdaptiveMaxPool(_AdaptivePool):
    """The adaptive pooling layers that take the maximum."""

    def __init__(self, output_size: OutputSize, return_indices: bool = False) -> None:
        super().__init__(output_size)
        refuse_indices(type(self).__name__, return_indices)
        self.return_indices = False

    def extra_repr(self) -> str:
        """The text between the parentheses, as PyTorch has it."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptivePool):
    """The means of parts of a sequence, so that the output has one length for all inputs.

    Args:
        output_size: how many parts; part i is from floor(i L / size) to ceil((i + 1) L / size),
            so that neighbours may overlap.

    Shapes:
        Input (N, C, L) or (C, L), output (N, C, output_size) or (C, output_size).

    Raises:
        ShapeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.AdaptiveAvgPool1d(2)(cr.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]))
        tensor([[2., 4.]])
    """

    pool = staticmethod(functional.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptivePool):
    """The means of parts of an image; `AdaptiveAvgPool2d(1)` is global average pooling.

    Args:
        output_size: one number, or one for each axis; None keeps the length.

    Shapes:
        Input (N, C, H, W) or (C, H, W), output (N, C, *output_size) or (C, *output_size).

    Raises:
        ShapeError: when called on an input that does not fit.

    Source: Lin, Chen, Yan, "Network in network", 2014.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.AdaptiveAvgPool2d(1)(cr.ones((2, 6, 7, 5))).shape
        (2, 6, 1, 1)
    """

    pool = staticmethod(functional.adaptive_avg_pool2d)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest elements of parts of a sequence; parts as of `AdaptiveAvgPool1d`.

    Args:
        output_size: how many parts.
        return_indices: False, there is no other.

    Shapes:
        Input (N, C, L) or (C, L), output (N, C, output_size) or (C, output_size).

    Raises:
        ShapeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.AdaptiveMaxPool1d(2)(cr.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]))
        tensor([[3., 5.]])
    """

    pool = staticmethod(functional.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest elements of parts of an image; `AdaptiveMaxPool2d(1)` is global max pooling.

    Args:
        output_size: one number, or one for each axis; None keeps the length.
        return_indices: False, there is no other.

    Shapes:
        Input (N, C, H, W) or (C, H, W), output (N, C, *output_size) or (C, *output_size).

    Raises:
        ShapeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.AdaptiveMaxPool2d((2, 1))(cr.ones((2, 6, 7, 5))).shape
        (2, 6, 2, 1)
    """

    pool = staticmethod(functional.adaptive_max_pool2d)
