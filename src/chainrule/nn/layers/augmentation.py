"""Augmentation of images: layers at the head of a model, random in training.

Every image of a batch is changed by numbers of its own, which the current generator draws by
counter: a run gives the same bits as the one before, natively and by NumPy, for any number of
threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn.functional.sampling import Pixels
from chainrule.nn.layers.base import Layer
from chainrule.ops import exp, floor, minimum, pad, rint, sqrt, where
from chainrule.ops.random import uniform


class Augmentation(Layer):
    """The base of the layers that change images at random in training."""

    is_stochastic = True

    def forward(self, input: TensorLike) -> Tensor:
        x = as_tensor(input)
        if x.ndim != 4:
            raise ShapeError(
                f"the input has shape (N, C, H, W), got {x.shape}. Grey images get an axis for "
                "their channel by nn.Unflatten(1, (1, H)), or x[:, None]; one image gets one for "
                "the batch by x[None]."
            )
        return self.augmented(x) if self.training else self.evaluated(x)

    def augmented(self, x: Tensor) -> Tensor:
        """The images (N, C, H, W) in training."""
        raise NotImplementedError

    def evaluated(self, x: Tensor) -> Tensor:
        """The images in evaluation."""
        return x


def drawn(x: Tensor, count: int) -> list[Tensor]:
    """`count` numbers of [0, 1) for each image, each a column (N, 1)."""
    numbers = uniform((count, x.shape[0], 1), x.dtype if x.dtype.kind == "f" else np.float32)
    return [numbers[i] for i in range(count)]


def for_lines(column: Tensor, lines: int) -> Tensor:
    """A column (N, 1) of numbers of images as one of their lines, (N lines, 1)."""
    return column.broadcast_to((column.shape[0], lines)).reshape(-1, 1)


class _RandomFlip(Augmentation):
    """The flips; each subclass says along which axis."""

    axis: int

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = checks.probability("p", p)

    def augmented(self, x: Tensor) -> Tensor:
        (number,) = drawn(x, 1)
        turned = x[(..., slice(None, None, -1), *(slice(None),) * (-1 - self.axis))]
        return where((number < self.p).reshape(-1, 1, 1, 1), turned, x)


class RandomHorizontalFlip(_RandomFlip):
    """Images mirrored, left for right, each with probability p; in evaluation nothing changes.

    Args:
        p: the probability.

    Shapes:
        Input and output (N, C, H, W).

    Raises:
        ShapeError: when called on an input of another shape.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.RandomHorizontalFlip(p=1.0)(cr.tensor([[[[1.0, 2.0, 3.0]]]])).tolist()
        [[[[3.0, 2.0, 1.0]]]]
    """

    axis = -1


class RandomVerticalFlip(_RandomFlip):
    """Images turned upside down, each with probability p; in evaluation nothing changes.

    Args:
        p: the probability.

    Shapes:
        Input and output (N, C, H, W).

    Raises:
        ShapeError: when called on an input of another shape.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.RandomVerticalFlip(p=1.0)(cr.tensor([[[[1.0], [2.0]]]])).tolist()
        [[[[2.0], [1.0]]]]
    """

    axis = -2


class RandomCrop(Augmentation):
    """A part of each image at a random place; with padding, a random shift.

    `RandomCrop(28, padding=2)` shifts images of 28 x 28 by up to two pixels. In evaluation it is
    the middle part: of images of the given size, the images themselves.

    Args:
        size: of the part, (height, width) or one number for both.
        padding: what is put around the images before: one number, (left and right, top and
            bottom), or (left, top, right, bottom); None is nothing.
        fill: the number of a constant padding.
        padding_mode: "constant", "edge" (the outermost pixel), "reflect" or "symmetric".

    Shapes:
        Input (N, C, H, W), output (N, C, *size).

    Raises:
        ShapeError: when called on an input of another shape, or on images that are smaller than the
            part, with their padding.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.RandomCrop(2, padding=1)
        >>> layer(cr.ones((5, 3, 2, 2))).shape
        (5, 3, 2, 2)
        >>> layer.eval()(cr.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).tolist()
        [[[[1.0, 2.0], [3.0, 4.0]]]]
    """

    unnamed_arguments = 1

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        fill: float = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        sizes = tuple(size) if isinstance(size, (list, tuple)) else (size, size)
        if len(sizes) != 2:
            raise ValueError(f"size is one number or (height, width), got {size!r}")
        self.size = tuple([checks.count("size", length) for length in sizes])
        self.padding = None if padding is None else _border(padding)
        self.fill = checks.number("fill", fill)
        modes = ("constant", "edge", "reflect", "symmetric")
        self.padding_mode = checks.one_of("padding_mode", padding_mode, modes)

    def augmented(self, x: Tensor) -> Tensor:
        x = self._padded(x)
        height, width = self.size
        free = [n - m for n, m in zip(x.shape[2:], self.size, strict=True)]
        if min(free) < 0:
            raise ShapeError(
                f"the images of shape {x.shape[2:]} are smaller than the part, {self.size}, with "
                "their padding; give more padding, or a smaller size"
            )
        if not any(free):
            return x
        top, left = (
            floor(number * float(count + 1)).astype(np.int64)
            for number, count in zip(drawn(x, 2), free, strict=True)
        )
        pixels = Pixels(x, height)
        lines = top * x.shape[3] + left + as_tensor(np.arange(height) * x.shape[3])
        starts = lines.reshape(-1, 1) + as_tensor(pixels.starts)
        return pixels.read(starts + as_tensor(np.arange(width)))

    def evaluated(self, x: Tensor) -> Tensor:
        if any(n < m for n, m in zip(x.shape[2:], self.size, strict=True)):
            x = self._padded(x)
        starts = [(n - m) // 2 for n, m in zip(x.shape[2:], self.size, strict=True)]
        if min(starts) < 0:
            raise ShapeError(
                f"the images of shape {x.shape[2:]} are smaller than the part, {self.size}; give "
                "a smaller size"
            )
        return x[(..., *(slice(s, s + m) for s, m in zip(starts, self.size, strict=True)))]

    def _padded(self, x: Tensor) -> Tensor:
        if self.padding is None:
            return x
        left, top, right, bottom = self.padding
        widths = [(0, 0), (0, 0), (top, bottom), (left, right)]
        if self.padding_mode == "constant":
            checks.fitting("fill", self.fill, x.dtype)
        return pad(x, widths, self.padding_mode, constant_values=self.fill)


def _border(padding: int | Sequence[int]) -> tuple[int, ...]:
    """The padding as (left, top, right, bottom)."""
    several = list(padding) if isinstance(padding, (list, tuple)) else [padding]
    if len(several) not in (1, 2, 4):
        raise ValueError(f"padding is one number, two or four, got {padding!r}")
    widths = [checks.integer("padding", width, 0) for width in several]
    return tuple(widths * (4 // len(widths)))


class RandomErasing(Augmentation):
    """A rectangle of each image replaced by one number, with probability p, as in Cutout.

    The rectangle has the share a of the pixels, uniform in `scale`, and the ratio r of height to
    width, whose logarithm is uniform; its sides sqrt(a H W r) and sqrt(a H W / r) are rounded, and
    cut to those of the image. In evaluation nothing changes.

    Args:
        p: the probability.
        scale: the least and the largest share of the pixels.
        ratio: the least and the largest ratio.
        value: what the pixels become.

    Shapes:
        Input and output (N, C, H, W).

    Raises:
        ShapeError: when called on an input of another shape.

    Source: Zhong, Zheng, Kang, Li, Yang, "Random erasing data augmentation", AAAI 2020; DeVries and
    Taylor, "Improved regularization of convolutional neural networks with cutout", 2017.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.RandomErasing(p=1.0, scale=(0.25, 0.25), ratio=(1, 1))
        >>> layer(cr.ones((2, 1, 8, 8))).sum(axis=(1, 2, 3)).tolist()  # without 4 x 4 of 64 pixels
        [48.0, 48.0]
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: float = 0,
    ) -> None:
        super().__init__()
        self.p = checks.probability("p", p)
        self.scale = interval("scale", scale, 0)
        self.ratio = interval("ratio", ratio)
        if self.scale[1] > 1:
            raise ValueError(f"scale is a share of the pixels, at most 1; got {scale}")
        if self.ratio[0] <= 0:
            raise ValueError(f"ratio is positive, got {ratio}")
        self.value = checks.number("value", value)

    def augmented(self, x: Tensor) -> Tensor:
        images, channels, height, width = x.shape
        chosen, share, ratio, y, z = drawn(x, 5)
        low, high = self.scale
        area = (share * (high - low) + low) * float(height * width)
        low, high = (math.log(r) for r in self.ratio)
        ratio = exp(ratio * (high - low) + low)
        rows, columns = (
            minimum(rint(sqrt(side)), float(n))
            for side, n in ((area * ratio, height), (area / ratio, width))
        )
        top = floor(y * (height - rows + 1.0))
        left = floor(z * (width - columns + 1.0))
        line = as_tensor(np.arange(height).astype(top.dtype))  # of each image, along axis 1
        erased = where(line < top, 0.0, where(line < top + rows, 1.0, 0.0))
        ends = left + erased * where(chosen < self.p, columns, 0.0)
        shape = (images, channels, height)
        begin, end = (
            t.reshape(images, 1, height).broadcast_to(shape).reshape(-1, 1)
            for t in (left.broadcast_to((images, height)), ends)
        )
        lines = x.reshape(images * channels * height, width)
        column = as_tensor(np.arange(width).astype(top.dtype))
        checks.fitting("value", self.value, x.dtype)
        value = as_tensor(np.asarray(self.value, x.dtype))
        return where(column < begin, lines, where(column < end, value, lines)).reshape(x.shape)


def interval(name: str, value: Sequence[float], least: float | None = None) -> tuple[float, float]:
    """Two numbers, the first not above the second."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ValueError(f"{name} is a pair of numbers, got {value!r}")
    low, high = (checks.number(name, number) for number in value)
    if low > high or (least is not None and low < least):
        above = "" if least is None else f", of which none is below {least}"
        raise ValueError(f"{name} is (least, largest){above}; got {value!r}")
    return low, high
