"""Convolutions as layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor, TensorLike
from chainrule.nn import arguments, functional, init
from chainrule.nn.functional.conv import Lengths, lengths, spatial_names, widths
from chainrule.nn.functional.padding import BORDERS
from chainrule.nn.layers.base import Layer, MaybeParameter
from chainrule.ops import pad

_PADDING_MODES = ("reflect", "replicate", "circular", "zeros")


class _Convolution(Layer):
    """What convolutions and transposed ones over any number of axes have in common."""

    axes: ClassVar[int]
    transposed: ClassVar[bool] = False
    weight: Parameter
    bias: MaybeParameter

    def _make(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Lengths,
        stride: Lengths,
        padding: str | Lengths,
        dilation: Lengths,
        groups: int,
        bias: bool,
        padding_mode: str,
        dtype: DTypeLike | None,
        device: Any,
    ) -> None:
        """Check and keep the arguments that all have; make weight and bias."""
        self.in_channels = checks.count("in_channels", in_channels)
        self.out_channels = checks.count("out_channels", out_channels)
        self.groups = checks.count("groups", groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"in_channels and out_channels are multiples of groups, got {in_channels}, "
                f"{out_channels} and {groups}"
            )
        self.kernel_size = lengths("kernel_size", kernel_size, self.axes)
        self.stride = lengths("stride", stride, self.axes)
        self.dilation = lengths("dilation", dilation, self.axes)
        widths(padding, self.kernel_size, self.stride, self.dilation)
        self.padding = (
            padding if isinstance(padding, str) else lengths("padding", padding, self.axes, 0)
        )
        self.padding_mode = checks.one_of("padding_mode", padding_mode, _PADDING_MODES)
        self.dtype = arguments.floating(dtype, device)
        channels = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        shape = (channels[0], channels[1] // groups, *self.kernel_size)
        self.weight = Parameter(np.zeros(shape, self.dtype))
        self.register_parameter(
            "bias", Parameter(np.zeros(out_channels, self.dtype)) if bias else None
        )
        self.reset_parameters()

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        kernel = math.prod(lengths("kernel_size", given["kernel_size"], cls.axes))
        groups = checks.count("groups", given["groups"])
        channels = arguments.elements(given, "in_channels", "out_channels")
        return max(channels // groups * kernel, arguments.elements(given, "out_channels"))

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    def _images(self, input: TensorLike) -> Tensor:
        """The input in the layer's dtype; raises where its axes or channels do not fit."""
        x = arguments.as_dtype(input, self.dtype)
        if (
            x.ndim not in (self.axes + 1, self.axes + 2)
            or x.shape[-1 - self.axes] != self.in_channels
        ):
            spatial = spatial_names(self.axes)
            raise ShapeError(
                f"the input has shape (N, {self.in_channels}, {spatial}) or ({self.in_channels}, "
                f"{spatial}), got {x.shape}. {self._remedy(x)}"
            )
        return x

    def _remedy(self, x: Tensor) -> str:
        """What to do about an input of another shape."""
        if x.ndim in (self.axes + 1, self.axes + 2) and x.shape[-1] == self.in_channels:
            place = f"cr.moveaxis(x, -1, {-1 - self.axes})"
            return f"Images with the channels last are turned by {place}."
        if x.ndim in (self.axes, self.axes + 1) and self.in_channels == 1:
            return f"A channel axis is added by cr.expand_dims(x, {-1 - self.axes})."
        return f"The channels are axis {-1 - self.axes}."

    def extra_repr(self) -> str:
        """The text between the parentheses: as PyTorch has it, without what is the default."""
        usual = {
            "stride": None,  # always printed
            "padding": (0,) * self.axes,
            "dilation": (1,) * self.axes,
            "output_padding": (0,) * self.axes,
            "groups": 1,
            "bias": True,
            "padding_mode": "zeros",
            "dtype": "float32",
        }
        given = self.constructor_arguments()
        shown = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        shown += [
            f"{name}={given[name]}"
            for name, default in usual.items()
            if name in given and given[name] != default
        ]
        return ", ".join(shown)


class _Conv(_Convolution):
    """The convolution layers; each subclass says over how many axes."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Lengths,
        stride: Lengths = 1,
        padding: str | Lengths = 0,
        dilation: Lengths = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self._make(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            dtype,
            device,
        )

    def forward(self, input: TensorLike) -> Tensor:
        x = self._images(input)
        padding: str | Lengths = self.padding
        if self.padding_mode != "zeros":
            around = widths(padding, self.kernel_size, self.stride, self.dilation)
            none = ((0, 0),) * (x.ndim - self.axes)
            x = pad(x, (*none, *around), mode=BORDERS[self.padding_mode])
            padding = 0
        conv = functional.conv1d if self.axes == 1 else functional.conv2d
        return conv(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class _ConvTranspose(_Convolution):
    """The transposed convolution layers; each subclass says over how many axes."""

    transposed: ClassVar[bool] = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Lengths,
        stride: Lengths = 1,
        padding: Lengths = 0,
        output_padding: Lengths = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Lengths = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        if padding_mode != "zeros":
            raise ValueError(
                "a transposed convolution cuts off and pads nothing: padding_mode is 'zeros', got "
                f"{padding_mode!r}"
            )
        self.output_padding = lengths("output_padding", output_padding, self.axes, 0)
        lengths("padding", padding, self.axes, 0)  # numbers alone
        self._make(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            dtype,
            device,
        )

    def forward(self, input: TensorLike, output_size: Lengths | None = None) -> Tensor:
        """The output; of the lengths `output_size` of its last axes, where that is given, in place
        of `output_padding`."""
        assert not isinstance(self.padding, str)
        convolve = functional.conv_transpose1d if self.axes == 1 else functional.conv_transpose2d
        x = self._images(input)
        more = self.output_padding
        if output_size is not None:
            more = self._output_padding(x.shape[x.ndim - self.axes :], output_size)
        return convolve(
            x,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            more,
            self.groups,
            self.dilation,
        )

    def _output_padding(self, spatial: tuple[int, ...], output_size: Lengths) -> tuple[int, ...]:
        """How much longer the output is to be than the shortest, for these lengths."""
        if isinstance(output_size, Sequence):
            output_size = tuple(output_size)[-self.axes :]  # PyTorch takes all axes, too
        assert not isinstance(self.padding, str)
        wanted = lengths("output_size", output_size, self.axes)
        shortest = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                spatial,
                self.stride,
                lengths("padding", self.padding, self.axes, 0),
                self.dilation,
                self.kernel_size,
                strict=True,
            )
        ]
        more = [w - n for w, n in zip(wanted, shortest, strict=True)]
        if any(not 0 <= m < s for m, s in zip(more, self.stride, strict=True)):
            longest = [n + s - 1 for n, s in zip(shortest, self.stride, strict=True)]
            raise ShapeError(
                f"output_size is at least {tuple(shortest)} and at most {tuple(longest)} for an "
                f"input over {spatial}; got {wanted}"
            )
        return tuple(more)


class Conv1d(_Conv):
    """The convolution of sequences.

    y[n, o, p] = b_o + sum over c and t of x[n, c, s p + d t] w[o, c, t]

    As in every library it is the cross-correlation: the kernel is not turned round.

    Args:
        in_channels: C.
        out_channels: O, the number of kernels.
        kernel_size: k.
        stride: s, from one output to the next.
        padding: how much is put before and after x; "same" keeps the length, "valid" is 0.
        dilation: d, between the elements that a kernel takes.
        groups: output channel o takes the C / groups input channels of its own group alone.
        bias: whether there is a b.
        padding_mode: what is put there: "zeros", "reflect", "replicate" or "circular".
        dtype: of weight and bias; data are cast, outputs of layers must have it.

    Attributes:
        weight: shape (O, C / groups, k), at first uniform in +-1 / sqrt(C / groups k).
        bias: shape (O,), drawn likewise; or None.

    Shapes:
        Input (N, C, L) or (C, L), output (N, O, L') or (O, L'), where
        L' = floor((L + 2 padding - d (k - 1) - 1) / s) + 1.

    Raises:
        ShapeError, DTypeError: when called on an input that does not fit.

    Source: *Deep Learning*, chapter 9; the starting values are PyTorch's.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Conv1d(2, 8, 3, padding="same")(cr.ones((1, 2, 10))).shape
        (1, 8, 10)
    """

    axes = 1


class Conv2d(_Conv):
    """The convolution of images, as `Conv1d` over two axes.

    Natively a kernel of 3 x 3 that moves by single elements over many channels goes by Winograd's
    transforms. Their rounding error in float32 is about four times that of sums of products, and a
    number that is not finite, or huge beside its neighbours, reaches all of its tile of 4 x 4.

    Args:
        in_channels: C.
        out_channels: O, the number of kernels.
        kernel_size, stride, padding, dilation: one number, or one for each axis.
        groups, bias, padding_mode, dtype: as in `Conv1d`.

    Attributes:
        weight: shape (O, C / groups, kernel height, kernel width), at first uniform in
            +-1 / sqrt(fan_in), fan_in = C / groups times the kernel's size.
        bias: shape (O,), drawn likewise; or None.

    Shapes:
        Input (N, C, H, W) or (C, H, W), output (N, O, H', W') or (O, H', W').

    Raises:
        ShapeError, DTypeError: when called on an input that does not fit.

    Source: *Deep Learning*, chapter 9; the starting values are PyTorch's.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Conv2d(1, 6, 5)
        Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1))
        >>> nn.Conv2d(1, 6, 5)(cr.ones((3, 1, 28, 28))).shape
        (3, 6, 24, 24)
    """

    axes = 2


class ConvTranspose1d(_ConvTranspose):
    """The transposed convolution of sequences: each x[n, c, p] adds its kernel to the output.

    y[n, o, s p + d t - padding] gets x[n, c, p] w[c, o, t]. It does forward what the gradient of
    `Conv1d` does backward.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: k.
        stride: s, how far apart the elements of x are put.
        padding: how much is cut off before and after.
        output_padding: how much longer the output is; smaller than the stride or the dilation.
        groups, bias, dilation, dtype: as in `Conv1d`.
        padding_mode: "zeros", there is no other.

    Attributes:
        weight: shape (C, O / groups, k), at first uniform in +-1 / sqrt(O / groups k).
        bias: shape (O,), drawn likewise; or None.

    Shapes:
        Input (N, C, L) or (C, L), output (N, O, L') or (O, L'), where
        L' = (L - 1) s - 2 padding + d (k - 1) + output_padding + 1.

    Raises:
        ShapeError, DTypeError: when called on an input that does not fit.

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ConvTranspose1d(8, 2, 4, stride=2, padding=1)(cr.ones((1, 8, 5))).shape
        (1, 2, 10)
    """

    axes = 1


class ConvTranspose2d(_ConvTranspose):
    """The transposed convolution of images, as `ConvTranspose1d` over two axes.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size, stride, padding, output_padding, dilation: one number, or one for each axis.
        groups, bias, padding_mode, dtype: as in `ConvTranspose1d`.

    Attributes:
        weight: shape (C, O / groups, kernel height, kernel width).
        bias: shape (O,), or None.

    Shapes:
        Input (N, C, H, W) or (C, H, W), output (N, O, H', W') or (O, H', W').

    Raises:
        ShapeError, DTypeError: when called on an input that does not fit.

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ConvTranspose2d(8, 3, 2, stride=2)(cr.ones((1, 8, 7, 7))).shape
        (1, 3, 14, 14)
    """

    axes = 2
