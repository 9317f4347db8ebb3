"""Borders around sequences and images as layers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn import functional
from chainrule.nn.functional.conv import Lengths, lengths, spatial_names
from chainrule.nn.layers.base import Layer


class _Border(Layer):
    """A border; each subclass says over how many axes, and what is in it."""

    axes: ClassVar[int]
    unnamed_arguments = 1

    def __init__(self, padding: Lengths) -> None:
        super().__init__()
        self.padding = lengths("padding", padding, 2 * self.axes, None)  # two sides of each


class _Pad(_Border):
    """The borders that repeat elements; each subclass says which."""

    mode: ClassVar[str]

    def forward(self, input: TensorLike) -> Tensor:
        x = as_tensor(input)
        if x.ndim not in (self.axes + 1, self.axes + 2):
            spatial = spatial_names(self.axes)
            raise ShapeError(
                f"the input has shape (N, C, {spatial}) or (C, {spatial}), got {x.shape}"
            )
        return functional.pad(x, self.padding, self.mode)


class _ConstantPad(_Border):
    """The borders of one number."""

    unnamed_arguments = 0

    def __init__(self, padding: Lengths, value: float) -> None:
        super().__init__(padding)
        number = checks.any_number("value", value)
        self.value = int(number) if isinstance(number, (int, np.integer)) else float(number)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.pad(input, self.padding, "constant", self.value)


class _ZeroPad(_Border):
    """The borders of zeros."""

    def forward(self, input: TensorLike) -> Tensor:
        return functional.pad(input, self.padding)


class ZeroPad1d(_ZeroPad):
    """Zeros before and after a sequence; see `nn.functional.pad`.

    Args:
        padding: (before, after), or one number for both. A negative one cuts off.

    Shapes:
        Input (N, C, L) or (C, L), output (N, C, L + before + after), or without N.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ZeroPad1d((0, 2))(cr.tensor([[1.0, 2.0]]))
        tensor([[1., 2., 0., 0.]])
    """

    axes = 1


class ZeroPad2d(_ZeroPad):
    """Zeros around an image; see `nn.functional.pad`.

    Args:
        padding: (left, right, top, bottom), or one number for all. A negative one cuts off.

    Shapes:
        Input (N, C, H, W) or (C, H, W), output (N, C, H + top + bottom, W + left + right), or
        without N.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ZeroPad2d(2)(cr.ones((1, 1, 28, 28))).shape
        (1, 1, 32, 32)
    """

    axes = 2


class ConstantPad1d(_ConstantPad):
    """One number before and after a sequence; see `nn.functional.pad`.

    Args:
        padding: as of `ZeroPad1d`.
        value: the number.

    Shapes:
        As of `ZeroPad1d`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ConstantPad1d(1, 9)(cr.tensor([[1.0, 2.0]]))
        tensor([[9., 1., 2., 9.]])
    """

    axes = 1


class ConstantPad2d(_ConstantPad):
    """One number around an image; see `nn.functional.pad`.

    Args:
        padding: as of `ZeroPad2d`.
        value: the number.

    Shapes:
        As of `ZeroPad2d`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ConstantPad2d((1, 0, 0, 0), 9)(cr.tensor([[[1.0, 2.0]]]))
        tensor([[[9., 1., 2.]]])
    """

    axes = 2


class ReflectionPad1d(_Pad):
    """A sequence mirrored at its ends, which are not repeated; see `nn.functional.pad`.

    Args:
        padding: (before, after), or one number for both; each is less than L.

    Shapes:
        As of `ZeroPad1d`.

    Raises:
        ShapeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ReflectionPad1d(2)(cr.tensor([[1.0, 2.0, 3.0]]))
        tensor([[3., 2., 1., 2., 3., 2., 1.]])
    """

    axes = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """An image mirrored at its border, which is not repeated; see `nn.functional.pad`.

    Args:
        padding: (left, right, top, bottom), or one number for all; each is less than the length.

    Shapes:
        As of `ZeroPad2d`.

    Raises:
        ShapeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ReflectionPad2d((1, 1, 0, 0))(cr.tensor([[[1.0, 2.0]]]))
        tensor([[[2., 1., 2., 1.]]])
    """

    axes = 2
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """The first and last element of a sequence, repeated; see `nn.functional.pad`.

    Args:
        padding: as of `ZeroPad1d`.

    Shapes:
        As of `ZeroPad1d`.

    Raises:
        ShapeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ReplicationPad1d(2)(cr.tensor([[1.0, 2.0, 3.0]]))
        tensor([[1., 1., 1., 2., 3., 3., 3.]])
    """

    axes = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """The border of an image, repeated; see `nn.functional.pad`.

    Args:
        padding: as of `ZeroPad2d`.

    Shapes:
        As of `ZeroPad2d`.

    Raises:
        ShapeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ReplicationPad2d((0, 2, 0, 0))(cr.tensor([[[1.0, 2.0]]]))
        tensor([[[1., 2., 2., 2.]]])
    """

    axes = 2
    mode = "replicate"


class CircularPad1d(_Pad):
    """A sequence continued by its other end; see `nn.functional.pad`.

    Args:
        padding: (before, after), or one number for both; each is at most L.

    Shapes:
        As of `ZeroPad1d`.

    Raises:
        ShapeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.CircularPad1d(1)(cr.tensor([[1.0, 2.0, 3.0]]))
        tensor([[3., 1., 2., 3., 1.]])
    """

    axes = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """An image continued by its other side; see `nn.functional.pad`.

    Args:
        padding: (left, right, top, bottom), or one number for all; each is at most the length.

    Shapes:
        As of `ZeroPad2d`.

    Raises:
        ShapeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.CircularPad2d((1, 0, 0, 0))(cr.tensor([[[1.0, 2.0, 3.0]]]))
        tensor([[[3., 1., 2., 3.]]])
    """

    axes = 2
    mode = "circular"
