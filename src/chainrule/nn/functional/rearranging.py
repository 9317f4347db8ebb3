"""Elements of images in other places: pixels from channels and back, patches and their sums."""

from __future__ import annotations

import math

import numpy as np

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.nn.functional.conv import Lengths, lengths
from chainrule.ops import pad
from chainrule.ops.index import scatter_add

__all__ = ["channel_shuffle", "fold", "pixel_shuffle", "pixel_unshuffle", "unfold"]


def pixel_shuffle(input: TensorLike, upscale_factor: int) -> Tensor:
    """Images that are r times as high and wide, made of r^2 channels each.

    Formula: y[..., c, r h + i, r w + j] = x[..., c r^2 + i r + j, h, w].

    Args:
        input: x, shape (..., C r^2, H, W).
        upscale_factor: r.

    Returns:
        y, shape (..., C, r H, r W).

    Raises:
        ShapeError: if the channels can't be divided so.

    Source: Shi et al., "Real-time single image and video super-resolution using an efficient
    sub-pixel convolutional neural network", CVPR 2016.

    Example:
        >>> import chainrule as cr
        >>> pixel_shuffle(cr.tensor([[[1.0]], [[2.0]], [[3.0]], [[4.0]]]), 2)
        tensor([[[1., 2.],
                 [3., 4.]]])
    """
    x, r = as_tensor(input), checks.count("upscale_factor", upscale_factor)
    if x.ndim < 3 or x.shape[-3] % r**2:
        raise ShapeError(
            f"pixel_shuffle: the input has shape (..., C {r**2}, H, W) with a factor of {r}, got "
            f"{x.shape}; make the layer before give {r**2} times as many channels"
        )
    *lead, channels, height, width = x.shape
    x = x.reshape(math.prod(lead), channels // r**2, r, r, height, width)
    x = x.transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(*lead, channels // r**2, height * r, width * r)


def pixel_unshuffle(input: TensorLike, downscale_factor: int) -> Tensor:
    """Images that are r times less high and wide, with r^2 channels for each: undoes
    `pixel_shuffle`.

    Args:
        input: shape (..., C, r H, r W).
        downscale_factor: r.

    Returns:
        Shape (..., C r^2, H, W).

    Raises:
        ShapeError: if height and width can't be divided so.

    Source: as of `pixel_shuffle`.

    Example:
        >>> import chainrule as cr
        >>> pixel_unshuffle(cr.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2).reshape(-1)
        tensor([1., 2., 3., 4.])
    """
    x, r = as_tensor(input), checks.count("downscale_factor", downscale_factor)
    if x.ndim < 3 or x.shape[-2] % r or x.shape[-1] % r:
        raise ShapeError(
            f"pixel_unshuffle: the input has shape (..., C, {r} H, {r} W) with a factor of {r}, "
            f"got {x.shape}; pad the images, or choose another factor"
        )
    *lead, channels, height, width = x.shape
    x = x.reshape(math.prod(lead), channels, height // r, r, width // r, r)
    x = x.transpose(0, 1, 3, 5, 2, 4)
    return x.reshape(*lead, channels * r**2, height // r, width // r)


def channel_shuffle(input: TensorLike, groups: int) -> Tensor:
    """The channels in another order: the first of each group, then the second of each, and so on.

    So what a convolution in groups gives is mixed for the next one.

    Args:
        input: shape (N, C, ...), C a multiple of `groups`.
        groups: how many groups of neighbouring channels there are.

    Raises:
        ShapeError: if the channels can't be divided so.

    Source: Zhang, Zhou, Lin, Sun, "ShuffleNet: an extremely efficient convolutional neural network
    for mobile devices", CVPR 2018.

    Example:
        >>> import chainrule as cr
        >>> channel_shuffle(cr.tensor([[[1.0], [2.0], [3.0], [4.0]]]), 2).reshape(-1)
        tensor([1., 3., 2., 4.])
    """
    x, groups = as_tensor(input), checks.count("groups", groups)
    if x.ndim < 3 or x.shape[1] % groups:
        raise ShapeError(
            f"channel_shuffle: the input has shape (N, C, ...) with C a multiple of {groups}, got "
            f"{x.shape}"
        )
    parts = x.reshape(x.shape[0], groups, x.shape[1] // groups, math.prod(x.shape[2:]))
    return parts.transpose(0, 2, 1, 3).reshape(x.shape)


class _Patches:
    """The patches of an image with its border: where each of their elements lies in it."""

    def __init__(
        self,
        name: str,
        image: tuple[int, ...],
        kernel_size: Lengths,
        dilation: Lengths,
        padding: Lengths,
        stride: Lengths,
    ) -> None:
        self.kernel = lengths("kernel_size", kernel_size, 2)
        distances = lengths("dilation", dilation, 2)
        self.border = lengths("padding", padding, 2, 0)
        steps = lengths("stride", stride, 2)
        self.size = tuple([n + 2 * p for n, p in zip(image, self.border, strict=True)])
        reach = [d * (k - 1) + 1 for k, d in zip(self.kernel, distances, strict=True)]
        self.places = tuple(
            [(n - m) // s + 1 for n, m, s in zip(self.size, reach, steps, strict=True)]
        )
        if min(self.places) < 1:
            raise ShapeError(
                f"{name}: a patch reaches over {tuple(reach)}, an image with its padding over "
                f"{self.size}; take a smaller kernel_size or more padding"
            )
        rows, columns = (
            (np.arange(k) * d)[:, None] + np.arange(p) * s
            for k, d, p, s in zip(self.kernel, distances, self.places, steps, strict=True)
        )
        at = rows[:, None, :, None] * self.size[1] + columns[None, :, None, :]
        self.index: Array = at.reshape(math.prod(self.kernel), math.prod(self.places))


def unfold(
    input: TensorLike,
    kernel_size: Lengths,
    dilation: Lengths = 1,
    padding: Lengths = 0,
    stride: Lengths = 1,
) -> Tensor:
    """The patches of images, each as a column: what a convolution multiplies with its kernels.

    `conv2d(x, w)` is w as a matrix (O, C kh kw) times the columns.

    Args:
        input: shape (N, C, H, W) or (C, H, W).
        kernel_size: of a patch, one number or (height, width), as the others.
        dilation: between the elements of a patch.
        padding: zeros around the images.
        stride: from one patch to the next.

    Returns:
        Shape (N, C kernel height kernel width, number of patches), or without N.

    Raises:
        ShapeError: if the shape does not fit, or a patch is larger than the padded image.

    Source: Chellapilla, Puri, Simard, "High performance convolutional neural networks for document
    processing", 2006.

    Example:
        >>> import chainrule as cr
        >>> unfold(cr.arange(6.0).reshape(1, 2, 3), 2)
        tensor([[0., 1.],
                [1., 2.],
                [3., 4.],
                [4., 5.]])
    """
    x = as_tensor(input)
    if x.ndim not in (3, 4):
        raise ShapeError(f"unfold: the input has shape (N, C, H, W) or (C, H, W), got {x.shape}")
    patches = _Patches("unfold", x.shape[-2:], kernel_size, dilation, padding, stride)
    *lead, channels = x.shape[:-2]
    if any(patches.border):
        x = pad(x, [(0, 0)] * (x.ndim - 2) + [(p, p) for p in patches.border])
    pixels = x.reshape(math.prod(lead) * channels, math.prod(patches.size))
    columns = pixels[:, patches.index]
    return columns.reshape(*lead, channels * len(patches.index), patches.index.shape[1])


def fold(
    input: TensorLike,
    output_size: Lengths,
    kernel_size: Lengths,
    dilation: Lengths = 1,
    padding: Lengths = 0,
    stride: Lengths = 1,
) -> Tensor:
    """Images in which each pixel is the sum of what lies on it of patches: the adjoint of `unfold`.

    Args:
        input: shape (N, C kernel height kernel width, number of patches), or without N.
        output_size: (H, W) of the images; the other arguments as of `unfold`.

    Returns:
        Shape (N, C, H, W) or (C, H, W).

    Raises:
        ShapeError: if the shape is not that of the patches of such images.

    Example:
        >>> import chainrule as cr
        >>> fold(cr.ones((4, 2)), (2, 3), 2)
        tensor([[[1., 2., 1.],
                 [1., 2., 1.]]])
    """
    x = as_tensor(input)
    size = lengths("output_size", output_size, 2)
    patches = _Patches("fold", size, kernel_size, dilation, padding, stride)
    elements, places = patches.index.shape
    if x.ndim not in (2, 3) or x.shape[-1] != places or x.shape[-2] % elements:
        raise ShapeError(
            f"fold: images of {size} have {places} patches of {elements} elements, so the input "
            f"has shape (N, C {elements}, {places}) or without N, got {x.shape}"
        )
    *lead, rows = x.shape[:-1]
    columns = x.reshape(math.prod(lead) * rows // elements, elements, places)
    shape = (columns.shape[0], math.prod(patches.size))
    pixels = scatter_add.apply(columns, as_tensor(patches.index), shape=shape, axis=1)
    images = pixels.reshape(*lead, rows // elements, *patches.size)
    if not any(patches.border):
        return images
    inside = [slice(p, p + n) for p, n in zip(patches.border, size, strict=True)]
    return images[(..., *inside)]
