"""Pooling as functions of the graph: where the windows lie, and what their sums are divided by."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn.functional.conv import Lengths, lengths, spatial_names
from chainrule.ops.pooling import max_pool, sum_pool

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "max_pool1d",
    "max_pool2d",
]


def images(name: str, axes: int, input: TensorLike) -> Tensor:
    """The input; raises where it is no batch of images and no image."""
    x = as_tensor(input)
    if x.ndim not in (axes + 1, axes + 2):
        spatial = spatial_names(axes)
        raise ShapeError(
            f"{name}: the input has shape (N, C, {spatial}) or (C, {spatial}), got {x.shape}"
        )
    if x.dtype.kind != "f":
        raise DTypeError(f"{name} takes a floating Tensor, not {x.dtype}; cast it")
    if 0 in x.shape[-axes:]:
        raise ShapeError(f"{name}: the images of shape {x.shape} have no elements to pool")
    return x


def refuse_indices(name: str, return_indices: bool) -> None:
    """Raise where the places of the largest elements are asked for."""
    if return_indices:
        raise ValueError(
            f"{name}: return_indices is not there: the gradient finds the places by itself"
        )


class _Windows:
    """Windows along one axis: where they begin, and how much border they need.

    With `ceil_mode` a last window may reach over the end, but not begin there.
    """

    def __init__(
        self,
        name: str,
        length: int,
        kernel: int,
        stride: int,
        padding: int,
        dilation: int,
        ceil_mode: bool,
    ) -> None:
        self.length, self.kernel, self.stride = length, kernel, stride
        self.padding, self.dilation = padding, dilation
        reach = dilation * (kernel - 1) + 1
        free = length + 2 * padding - reach
        if free < 0 and not (ceil_mode and free > -stride):
            raise ShapeError(
                f"{name}: a window reaches over {reach}, an axis with its padding over "
                f"{length + 2 * padding}; take a smaller kernel or more padding"
            )
        self.places = (-(-free // stride) if ceil_mode else free // stride) + 1
        if ceil_mode and (self.places - 1) * stride >= length + padding:
            self.places -= 1
        self.after = max((self.places - 1) * stride + reach - length - padding, 0)

    def counts(self, includes_padding: bool) -> np.ndarray:
        """How many elements of each window lie in the input, or in it and its padding."""
        starts = np.arange(self.places) * self.stride - self.padding
        border = self.padding if includes_padding else 0
        ends = np.minimum(starts + self.kernel, self.length + border)
        return ends - np.maximum(starts, -border)


def _windows(
    name: str,
    axes: int,
    x: Tensor,
    kernel_size: Lengths,
    stride: Lengths | None,
    padding: Lengths,
    dilation: Lengths,
    ceil_mode: bool,
) -> list[_Windows]:
    kernel = lengths("kernel_size", kernel_size, axes)
    steps = kernel if stride is None else lengths("stride", stride, axes)
    border = lengths("padding", padding, axes, 0)
    if any(2 * p > k for p, k in zip(border, kernel, strict=True)):
        raise ValueError(
            f"{name}: padding is at most half the kernel, so that each window holds elements; got "
            f"{border} for {kernel}"
        )
    distances = lengths("dilation", dilation, axes)
    return [
        _Windows(name, *of_axis, ceil_mode)
        for of_axis in zip(x.shape[-axes:], kernel, steps, border, distances, strict=True)
    ]


def _over(x: Tensor, windows: list[_Windows]) -> dict[str, Any]:
    """The windows as the operations take them."""
    return {
        "axis": x.ndim - len(windows),
        "kernel": tuple([w.kernel for w in windows]),
        "stride": tuple([w.stride for w in windows]),
        "padding": tuple([(w.padding, w.after) for w in windows]),
    }


def _max_pool(
    name: str,
    axes: int,
    input: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None,
    padding: Lengths,
    dilation: Lengths,
    ceil_mode: bool,
    return_indices: bool,
) -> Tensor:
    refuse_indices(name, return_indices)
    x = images(name, axes, input)
    windows = _windows(name, axes, x, kernel_size, stride, padding, dilation, ceil_mode)
    return max_pool(x, **_over(x, windows), dilation=tuple([w.dilation for w in windows]))


def _avg_pool(
    name: str,
    axes: int,
    input: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None,
    padding: Lengths,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    x = images(name, axes, input)
    windows = _windows(name, axes, x, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override is not None:
        counts = np.asarray(checks.count("divisor_override", divisor_override))
    else:
        counts = reduce(np.multiply.outer, [w.counts(count_include_pad) for w in windows])
    if counts.size and (counts == counts.flat[0]).all():
        counts = counts.flat[0]
    return sum_pool(x, **_over(x, windows)) / np.asarray(counts, x.dtype)


def max_pool1d(
    input: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    dilation: Lengths = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """The largest element of each window: y[p] = max over t < k of x[s p + d t - padding].

    The gradient of y[p] goes to the element that it is; of equal ones to the first.

    Args:
        input: x, shape (N, C, L) or (C, L).
        kernel_size: k.
        stride: s, from one window to the next; None is k.
        padding: places before and after x, which are never the largest; at most k / 2.
        dilation: d, between the elements of a window.
        ceil_mode: whether a last window may reach over the end.
        return_indices: False, there is no other.

    Returns:
        Shape (N, C, floor((L + 2 padding - d (k - 1) - 1) / s) + 1), or without N.

    Raises:
        ShapeError: if the shape does not fit, or a window is longer than the padded input.

    Source: *Deep Learning*, section 9.3.

    Example:
        >>> import chainrule as cr
        >>> max_pool1d(cr.tensor([[1.0, 5.0, 2.0, 3.0]]), 2)
        tensor([[5., 3.]])
    """
    return _max_pool(
        "max_pool1d",
        1,
        input,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        return_indices,
    )


def max_pool2d(
    input: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    dilation: Lengths = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """The largest element of each window of an image, as `max_pool1d` over two axes.

    Args:
        input: shape (N, C, H, W) or (C, H, W).
        kernel_size, stride, padding, dilation: one number, or one for each axis.
        ceil_mode, return_indices: as in `max_pool1d`.

    Returns:
        Shape (N, C, H', W'), or without N.

    Raises:
        ShapeError: if the shape does not fit, or a window is larger than the padded image.

    Source: *Deep Learning*, section 9.3.

    Example:
        >>> import chainrule as cr
        >>> max_pool2d(cr.arange(16.0).reshape(1, 4, 4), 2)
        tensor([[[ 5.,  7.],
                 [13., 15.]]])
    """
    return _max_pool(
        "max_pool2d",
        2,
        input,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        return_indices,
    )


def avg_pool1d(
    input: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window: y[p] = sum over t < k of x[s p + t - padding], divided by a count.

    Args:
        input: x, shape (N, C, L) or (C, L).
        kernel_size: k.
        stride: s, from one window to the next; None is k.
        padding: zeros before and after x; at most k / 2.
        ceil_mode: whether a last window may reach over the end.
        count_include_pad: whether the zeros are counted in the mean.

    Returns:
        Shape (N, C, floor((L + 2 padding - k) / s) + 1), or without N.

    Raises:
        ShapeError: if the shape does not fit, or a window is longer than the padded input.

    Example:
        >>> import chainrule as cr
        >>> avg_pool1d(cr.tensor([[1.0, 5.0, 2.0, 3.0]]), 2)
        tensor([[3. , 2.5]])
    """
    return _avg_pool(
        "avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None
    )


def avg_pool2d(
    input: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of an image, as `avg_pool1d` over two axes.

    Args:
        input: shape (N, C, H, W) or (C, H, W).
        kernel_size, stride, padding: one number, or one for each axis.
        ceil_mode, count_include_pad: as in `avg_pool1d`.
        divisor_override: what the sums are divided by, in place of the count.

    Returns:
        Shape (N, C, H', W'), or without N.

    Raises:
        ShapeError: if the shape does not fit, or a window is larger than the padded image.

    Example:
        >>> import chainrule as cr
        >>> avg_pool2d(cr.arange(16.0).reshape(1, 4, 4), 2)
        tensor([[[ 2.5,  4.5],
                 [10.5, 12.5]]])
    """
    return _avg_pool(
        "avg_pool2d",
        2,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )
