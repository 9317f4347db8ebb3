"""Layers that change the size of images, or put their elements elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn import functional
from chainrule.nn.functional.conv import Lengths, lengths
from chainrule.nn.functional.interpolation import Factors, Sizes
from chainrule.nn.layers.base import Layer


class Upsample(Layer):
    """Images in another size; see `nn.functional.interpolate`.

    Args:
        size: of the output, one number or one for each spatial axis.
        scale_factor: in place of `size`: how many times as long each axis becomes.
        mode: "nearest", "linear" (of sequences), "bilinear" or "bicubic" (of images).
        align_corners: whether the outermost elements stand on those of the input; None is no.
        recompute_scale_factor: whether a `scale_factor` only says what `size` is.

    Shapes:
        Input (N, C, L) or (N, C, H, W), output (N, C, L') or (N, C, H', W').

    Raises:
        ShapeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Upsample(scale_factor=2)
        Upsample(scale_factor=2.0, mode='nearest')
        >>> nn.Upsample(scale_factor=2)(cr.ones((1, 3, 7, 7))).shape
        (1, 3, 14, 14)
    """

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: Factors | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ValueError("Upsample: give size or scale_factor, one of them")
        self.size = tuple(size) if isinstance(size, (list, tuple)) else size
        self.scale_factor: float | tuple[float, ...] | None = None
        if isinstance(scale_factor, (list, tuple)):
            factors = [float(checks.positive("scale_factor", f)) for f in scale_factor]
            self.scale_factor = tuple(factors)
        elif scale_factor is not None:
            self.scale_factor = float(checks.positive("scale_factor", scale_factor))
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: TensorLike) -> Tensor:
        return functional.interpolate(
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            self.recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        """The text between the parentheses, as PyTorch has it."""
        if self.scale_factor is not None:
            return f"scale_factor={self.scale_factor!r}, mode={self.mode!r}"
        return f"size={self.size!r}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` of images with the mode "nearest".

    Args:
        size, scale_factor: as of `Upsample`.

    Shapes:
        Input (N, C, H, W), output (N, C, H', W').

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.UpsamplingNearest2d(scale_factor=2)(cr.tensor([[[[1.0, 2.0]]]]))
        tensor([[[[1., 1., 2., 2.],
                  [1., 1., 2., 2.]]]])
    """

    def __init__(self, size: Sizes | None = None, scale_factor: Factors | None = None) -> None:
        super().__init__(size, scale_factor)


class UpsamplingBilinear2d(Upsample):
    """`Upsample` of images with the mode "bilinear" and aligned corners.

    Args:
        size, scale_factor: as of `Upsample`.

    Shapes:
        Input (N, C, H, W), output (N, C, H', W').

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.UpsamplingBilinear2d(size=(1, 3))(cr.tensor([[[[1.0, 2.0]]]]))
        tensor([[[[1. , 1.5, 2. ]]]])
    """

    def __init__(self, size: Sizes | None = None, scale_factor: Factors | None = None) -> None:
        super().__init__(size, scale_factor, "bilinear", True)


class PixelShuffle(Layer):
    """Images r times as high and wide, of r^2 channels each; see `nn.functional.pixel_shuffle`.

    Args:
        upscale_factor: r.

    Shapes:
        Input (..., C r^2, H, W), output (..., C, r H, r W).

    Raises:
        ShapeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.PixelShuffle(3)(cr.ones((1, 9, 4, 4))).shape
        (1, 1, 12, 12)
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = checks.count("upscale_factor", upscale_factor)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.pixel_shuffle(input, self.upscale_factor)


class PixelUnshuffle(Layer):
    """Images r times less high and wide, with r^2 channels for each: undoes `PixelShuffle`.

    Args:
        downscale_factor: r.

    Shapes:
        Input (..., C, r H, r W), output (..., C r^2, H, W).

    Raises:
        ShapeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.PixelUnshuffle(3)(cr.ones((1, 1, 12, 12))).shape
        (1, 9, 4, 4)
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = checks.count("downscale_factor", downscale_factor)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.pixel_unshuffle(input, self.downscale_factor)


class ChannelShuffle(Layer):
    """The channels of groups in turn; see `nn.functional.channel_shuffle`.

    Args:
        groups: how many groups of neighbouring channels there are.

    Shapes:
        Input and output (N, C, ...).

    Raises:
        ShapeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ChannelShuffle(2)(cr.tensor([[[1.0], [2.0], [3.0], [4.0]]])).reshape(-1)
        tensor([1., 3., 2., 4.])
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = checks.count("groups", groups)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.channel_shuffle(input, self.groups)


class Unfold(Layer):
    """The patches of images, each as a column; see `nn.functional.unfold`.

    Args:
        kernel_size: of a patch, one number or (height, width), as the others.
        dilation: between the elements of a patch.
        padding: zeros around the images.
        stride: from one patch to the next.

    Shapes:
        Input (N, C, H, W) or (C, H, W), output (N, C kernel height kernel width, patches), or
        without N.

    Raises:
        ShapeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Unfold(3)(cr.ones((1, 2, 5, 5))).shape
        (1, 18, 9)
    """

    def __init__(
        self,
        kernel_size: Lengths,
        dilation: Lengths = 1,
        padding: Lengths = 0,
        stride: Lengths = 1,
    ) -> None:
        super().__init__()
        self.kernel_size = _checked("kernel_size", kernel_size)
        self.dilation = _checked("dilation", dilation)
        self.padding = _checked("padding", padding, 0)
        self.stride = _checked("stride", stride)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(Layer):
    """Images from their patches, which are added where they overlap; see `nn.functional.fold`.

    Args:
        output_size: (H, W) of the images.
        kernel_size, dilation, padding, stride: as of `Unfold`.

    Shapes:
        Input (N, C kernel height kernel width, patches), output (N, C, H, W), both also without N.

    Raises:
        ShapeError: when called on an input that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Fold((5, 5), 3)(cr.ones((1, 18, 9))).shape
        (1, 2, 5, 5)
    """

    def __init__(
        self,
        output_size: Lengths,
        kernel_size: Lengths,
        dilation: Lengths = 1,
        padding: Lengths = 0,
        stride: Lengths = 1,
    ) -> None:
        super().__init__()
        self.output_size = _checked("output_size", output_size)
        self.kernel_size = _checked("kernel_size", kernel_size)
        self.dilation = _checked("dilation", dilation)
        self.padding = _checked("padding", padding, 0)
        self.stride = _checked("stride", stride)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.fold(
            input,
            self.output_size,
            self.kernel_size,
            self.dilation,
            self.padding,
            self.stride,
        )


def _checked(name: str, value: Lengths, least: int = 1) -> int | tuple[int, ...]:
    """One number or two, checked, in the form in which they were given."""
    checked = lengths(name, value, 2, least)
    return checked if isinstance(value, Sequence) else checked[0]


class Softmax2d(Layer):
    """The softmax over the channels of each pixel.

    Shapes:
        Input and output (N, C, H, W) or (C, H, W).

    Raises:
        ShapeError: when called on an input of another shape.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Softmax2d()(cr.zeros((2, 1, 1))).reshape(-1)
        tensor([0.5, 0.5])
    """

    def forward(self, input: TensorLike) -> Tensor:
        x = as_tensor(input)
        if x.ndim not in (3, 4):
            raise ShapeError(f"the input has shape (N, C, H, W) or (C, H, W), got {x.shape}")
        return functional.softmax(x, -3)
