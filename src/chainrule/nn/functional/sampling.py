"""Images read at other places: at the points of a grid, by nearest or weighted pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule import checks
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.ops import clip, floor, pad, rint

__all__ = ["affine_grid", "grid_sample"]


def affine_grid(
    theta: TensorLike, size: Sequence[int], align_corners: bool | None = None
) -> Tensor:
    """Where the pixels of an output lie in the input of an affine map, for `grid_sample`.

    Formula: grid[n, h, w] = theta[n] (x, y, 1), with the place (x, y) of pixel (h, w); images go
    from -1 to 1 along both axes.

    Args:
        theta: maps of the output's places to the input's, shape (N, 2, 3).
        size: (N, C, H, W) of the output.
        align_corners: whether -1 and 1 are the centres of the outermost pixels, or, as None says,
            their outer borders.

    Returns:
        Shape (N, H, W, 2): x, then y.

    Raises:
        ShapeError: if the shapes do not fit.

    Source: Jaderberg, Simonyan, Zisserman, Kavukcuoglu, "Spatial transformer networks", NIPS 2015.

    Example:
        >>> import chainrule as cr
        >>> affine_grid([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]], (1, 1, 1, 2)).tolist()
        [[[[-0.5, 0.0], [0.5, 0.0]]]]
    """
    maps = as_tensor(theta)
    lengths = [checks.count("size", length) for length in checks.several("size", size, "lengths")]
    if len(lengths) != 4 or maps.shape != (lengths[0], 2, 3):
        raise ShapeError(
            f"affine_grid: size is (N, C, H, W) and theta has shape (N, 2, 3), got {tuple(size)} "
            f"and {maps.shape}"
        )
    if maps.dtype.kind != "f":
        raise DTypeError(f"affine_grid takes a floating theta, not {maps.dtype}; cast it")
    ends = [1 - (0 if align_corners else 1 / n) for n in lengths[2:]]
    y, x = (
        np.linspace(-end, end, n) if n > 1 else np.zeros(1)
        for end, n in zip(ends, lengths[2:], strict=True)
    )
    places = np.stack([*np.meshgrid(x, y), np.ones((len(y), len(x)))], axis=-1)
    rows = as_tensor(places.reshape(-1, 3).astype(maps.dtype))
    return (rows @ maps.mT).reshape(lengths[0], len(y), len(x), 2)


def grid_sample(
    input: TensorLike,
    grid: TensorLike,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Images x at the points of a grid: y[n, c, h, w] = x[n, c] at grid[n, h, w].

    Args:
        input: x, shape (N, C, H, W).
        grid: points (x, y), shape (N, H', W', 2); the images go from -1 to 1 along both axes.
        mode: "bilinear" weighs the four pixels around a point, "nearest" takes the nearest.
        padding_mode: what lies outside: "zeros", or "border" for the outermost pixels.
        align_corners: whether -1 and 1 are the centres of the outermost pixels, or, as None says,
            their outer borders.

    Returns:
        y, shape (N, C, H', W').

    Raises:
        ShapeError: if the shapes do not fit.

    Source: as of `affine_grid`.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> grid_sample(x, [[[[0.0, 0.0], [0.5, -0.5]]]])  # the middle, and a pixel
        tensor([[[[2.5, 2. ]]]])
    """
    x, points = as_tensor(input), as_tensor(grid)
    checks.one_of("grid_sample: mode", mode, ("bilinear", "nearest"))
    if padding_mode not in ("zeros", "border"):
        raise ValueError(
            f"grid_sample: padding_mode is 'zeros' or 'border', got {padding_mode!r}; for other "
            "borders put nn.functional.pad before"
        )
    if x.ndim != 4 or points.ndim != 4 or points.shape[::3] != (x.shape[0], 2):
        raise ShapeError(
            "grid_sample: the input has shape (N, C, H, W) and the grid (N, H', W', 2), got "
            f"{x.shape} and {points.shape}"
        )
    if 0 in x.shape[2:]:
        raise ShapeError(f"grid_sample: the images of shape {x.shape} have no elements")
    if x.dtype.kind != "f":
        raise DTypeError(f"grid_sample takes a floating Tensor, not {x.dtype}; cast it")
    places = points.astype(x.dtype).reshape(points.shape[0] * points.shape[1], points.shape[2], 2)
    columns, rows = (
        (places[..., i] + 1.0) * (0.5 * (n - 1 if align_corners else n))
        for i, n in enumerate((x.shape[3], x.shape[2]))
    )
    if not align_corners:
        columns, rows = columns - 0.5, rows - 0.5
    fill = None if padding_mode == "border" else 0.0
    return sampled(x, rows, columns, points.shape[1], mode, fill)


def sampled(
    x: Tensor, rows: Tensor, columns: Tensor, lines: int, mode: str, fill: float | None
) -> Tensor:
    """Images x (N, C, H, W) at pixel coordinates: matrices (N H', W'), n the slowest, H' = `lines`.

    Outside lies the number `fill`, or the outermost pixel where that is None: x gets a frame of it,
    and coordinates further out are moved to the frame. All channels are read by the same indices,
    from the images with the channels first.
    """
    height, width = x.shape[2:]
    before = 0 if fill is None else 1
    after = before + 1  # of a weight of 0, right of the last pixel and below
    widths = [(0, 0), (0, 0), (before, after), (before, after)]
    framed = pad(x, widths, "edge") if fill is None else pad(x, widths, constant_values=fill)
    rows, columns = (
        clip(at, -before, n - 1 + before) for at, n in ((rows, height), (columns, width))
    )
    pixels = Pixels(framed, lines)
    if mode == "nearest":
        return pixels.read(pixels.index(rint(rows) + before, rint(columns) + before))
    top, left = floor(rows), floor(columns)
    down, right = rows - top, columns - left
    first = pixels.index(top + before, left + before)
    upper, lower = (
        _between(pixels.lines(at), pixels.lines(at + 1), right)
        for at in (first, first + framed.shape[3])
    )
    return pixels.images(_between(upper, lower, down))


class Pixels:
    """Images (N, C, H, W) of which pixels are read, all channels of one by one index.

    Indices are matrices (N H', W') in which n is the slowest, and H' is `lines`.

    Attributes:
        starts: where the image of each line begins in the memory of a channel, (N H', 1).
    """

    def __init__(self, x: Tensor, lines: int) -> None:
        self.shape, self.height = x.shape, lines
        images, channels, height, width = x.shape
        by_channel = x if channels == 1 else x.transpose(1, 0, 2, 3)
        self.flat = by_channel.reshape(channels, images * height * width)
        size = height * width
        self.starts: Array = np.repeat(np.arange(images) * size, lines).reshape(-1, 1)

    def index(self, rows: Tensor, columns: Tensor) -> Tensor:
        """The indices of pixels whose coordinates are whole numbers, as floats."""
        height, width = self.shape[2:]
        if height * width > 2**24:  # float32 does not hold all whole numbers beyond
            rows, columns = rows.astype(np.float64), columns.astype(np.float64)
        return (rows * float(width) + columns).astype(np.int64) + as_tensor(self.starts)

    def lines(self, index: Tensor) -> Tensor:
        """The pixels at the indices, shape (C, N H', W')."""
        return self.flat[:, index]

    def images(self, lines: Tensor) -> Tensor:
        """Lines of pixels as images (N, C, H', W')."""
        images, channels = self.shape[:2]
        if channels == 1:
            return lines.reshape(images, 1, self.height, lines.shape[2])
        parts = lines.reshape(channels, images, self.height, lines.shape[2])
        return parts.transpose(1, 0, 2, 3)

    def read(self, index: Tensor) -> Tensor:
        """The images (N, C, H', W') of the pixels at the indices."""
        return self.images(self.lines(index))


def _between(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    return a + (b - a) * share
