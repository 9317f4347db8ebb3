"""Pooling to a size that is given: the parts of an axis, their means and largest elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.graph.tensor import Tensor, TensorLike
from chainrule.nn.functional.pooling import images, refuse_indices
from chainrule.ops.joining import concatenate
from chainrule.ops.matmul import matmul
from chainrule.ops.pooling import max_pool, sum_pool

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
]

OutputSize = int | None | Sequence[int | None]
_FEW_PARTS = 8  # up to these, a maximum for each is faster than windows over gathered elements


def _output_sizes(axes: int, x: Tensor, output_size: OutputSize) -> list[int]:
    """The lengths of the output; None keeps that of the input."""
    given = list(output_size) if isinstance(output_size, (list, tuple)) else [output_size]
    if len(given) == 1:
        given *= axes
    if len(given) != axes:
        raise ValueError(f"output_size is one number or {axes}, got {output_size!r}")
    return [
        length if size is None else checks.count("output_size", size)
        for size, length in zip(given, x.shape[-axes:], strict=True)
    ]


def _parts(length: int, size: int) -> list[tuple[int, int]]:
    """Where each of `size` parts of an axis begins and ends; parts of unequal length overlap."""
    return [(i * length // size, -(-(i + 1) * length // size)) for i in range(size)]


def _equal(axes: int, x: Tensor, lengths: list[int]) -> dict[str, Any]:
    """Windows of these lengths that lie side by side."""
    windows = tuple(lengths)
    return {
        "axis": x.ndim - axes,
        "kernel": windows,
        "stride": windows,
        "padding": ((0, 0),) * axes,
    }


def _adaptive_avg_pool(name: str, axes: int, input: TensorLike, output_size: OutputSize) -> Tensor:
    x = images(name, axes, input)
    sizes, lengths = _output_sizes(axes, x, output_size), x.shape[-axes:]
    if set(sizes) == {1}:
        return x.mean(tuple(range(x.ndim - axes, x.ndim)), keepdims=True)
    of_parts = [n // size if n % size == 0 else 1 for n, size in zip(lengths, sizes, strict=True)]
    if set(of_parts) != {1}:
        x = sum_pool(x, **_equal(axes, x, of_parts)) / np.asarray(math.prod(of_parts), x.dtype)
    for axis, size in enumerate(sizes, x.ndim - axes):
        length = x.shape[axis]
        if length == size:
            continue
        weights = np.zeros((size, length), x.dtype)
        for row, (begin, end) in enumerate(_parts(length, size)):
            weights[row, begin:end] = 1 / (end - begin)
        x = matmul(x.moveaxis(axis, -1), weights, transpose_b=True).moveaxis(-1, axis)
    return x


def _adaptive_max_pool(
    name: str, axes: int, input: TensorLike, output_size: OutputSize, return_indices: bool
) -> Tensor:
    refuse_indices(name, return_indices)
    x = images(name, axes, input)
    first = x.ndim - axes
    sizes = _output_sizes(axes, x, output_size)
    parts = {axis: _parts(x.shape[axis], size) for axis, size in enumerate(sizes, first)}
    if set(sizes) == {1}:
        return x.max(tuple(parts), keepdims=True)
    if not any(_takes_slices(x.shape[axis], of_axis) for axis, of_axis in parts.items()):
        return _max_of_windows(x, parts)
    for axis in reversed(parts):  # from the last: of equal elements the first row's wins
        if _takes_slices(x.shape[axis], parts[axis]):
            slices = [x[(*(slice(None),) * axis, slice(*part))] for part in parts[axis]]
            x = concatenate([part.max((axis,), keepdims=True) for part in slices], axis)
        else:
            x = _max_of_windows(x, {axis: parts[axis]})
    return x


def _takes_slices(length: int, parts: list[tuple[int, int]]) -> bool:
    """Whether the parts are the whole axis, or a few that are no windows at equal distances."""
    if len(parts) == 1:
        return length > 1
    return len(parts) <= _FEW_PARTS and _window(parts) is None


def _window(parts: list[tuple[int, int]]) -> tuple[int, int] | None:
    """The length of all parts and the distance from one to the next; None where they differ.

    None, too, where the parts begin at one place, as those of one element.
    """
    starts = [begin for begin, _ in parts]
    lengths = {end - begin for begin, end in parts}
    distances = {after - before for before, after in pairwise(starts)}
    if len(lengths) > 1 or len(distances) > 1 or 0 in distances:
        return None
    (length,) = lengths
    return length, (distances or lengths).pop()


def _max_of_windows(x: Tensor, parts: dict[int, list[tuple[int, int]]]) -> Tensor:
    """The largest elements of the parts of axes that lie side by side."""
    windows = []
    for axis, of_axis in parts.items():
        window = _window(of_axis)
        if window is None:
            # A shorter part takes its last element again, which loses the tie.
            longest = max(end - begin for begin, end in of_axis)
            places = [min(begin + i, end - 1) for begin, end in of_axis for i in range(longest)]
            x = x[(*(slice(None),) * axis, np.asarray(places))]
            window = longest, longest
        windows.append(window)
    kernel, stride = zip(*windows, strict=True)
    none = ((0, 0),) * len(parts)
    return max_pool(x, min(parts), kernel, stride, none, dilation=(1,) * len(parts))


def adaptive_avg_pool1d(input: TensorLike, output_size: OutputSize) -> Tensor:
    """The means of `output_size` parts of the last axis.

    Part i goes from floor(i L / size) to ceil((i + 1) L / size), so that parts may overlap.
    Parts of unequal lengths are one product with the matrix of their weights, which takes a
    fraction of the time of one after another. So a NaN or an infinity makes the other parts of its
    row NaN, too; PyTorch keeps it in the parts where it is.

    Args:
        input: shape (N, C, L) or (C, L).
        output_size: how many parts; None keeps the length.

    Returns:
        Shape (N, C, output_size), or without N.

    Raises:
        ShapeError: if the shape does not fit.

    Example:
        >>> import chainrule as cr
        >>> adaptive_avg_pool1d(cr.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]), 2)  # two parts of three
        tensor([[2., 4.]])
    """
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: TensorLike, output_size: OutputSize) -> Tensor:
    """The means of the parts of an image, as `adaptive_avg_pool1d` over two axes.

    Args:
        input: shape (N, C, H, W) or (C, H, W).
        output_size: one number, or one for each axis; 1 is global average pooling.

    Returns:
        Shape (N, C, *output_size), or without N.

    Raises:
        ShapeError: if the shape does not fit.

    Source: Lin, Chen, Yan, "Network in network", 2014 (global average pooling).

    Example:
        >>> import chainrule as cr
        >>> adaptive_avg_pool2d(cr.arange(16.0).reshape(1, 4, 4), 1)
        tensor([[[7.5]]])
    """
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_max_pool1d(
    input: TensorLike, output_size: OutputSize, return_indices: bool = False
) -> Tensor:
    """The largest elements of `output_size` parts of the last axis; see `adaptive_avg_pool1d`.

    Args:
        input: shape (N, C, L) or (C, L).
        output_size: how many parts; None keeps the length.
        return_indices: False, there is no other.

    Returns:
        Shape (N, C, output_size), or without N.

    Raises:
        ShapeError: if the shape does not fit.

    Example:
        >>> import chainrule as cr
        >>> adaptive_max_pool1d(cr.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]), 2)
        tensor([[3., 5.]])
    """
    return _adaptive_max_pool("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(
    input: TensorLike, output_size: OutputSize, return_indices: bool = False
) -> Tensor:
    """The largest elements of the parts of an image, as `adaptive_max_pool1d` over two axes.

    Args:
        input: shape (N, C, H, W) or (C, H, W).
        output_size: one number, or one for each axis; 1 is global max pooling.
        return_indices: False, there is no other.

    Returns:
        Shape (N, C, *output_size), or without N.

    Raises:
        ShapeError: if the shape does not fit.

    Example:
        >>> import chainrule as cr
        >>> adaptive_max_pool2d(cr.arange(16.0).reshape(1, 4, 4), 1)
        tensor([[[15.]]])
    """
    return _adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size, return_indices)
