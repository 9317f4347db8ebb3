"""Images in another size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.nn.functional.adaptive_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d
from chainrule.ops.matmul import matmul

__all__ = ["interpolate"]

Factors = float | Sequence[float]
Sizes = int | Sequence[int]

_OF_AXES = {"linear": 1, "bilinear": 2, "bicubic": 2}
_MODES = ("nearest", "nearest-exact", "area", *_OF_AXES)


def interpolate(
    input: TensorLike,
    size: Sizes | None = None,
    scale_factor: Factors | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Images x in another size, each spatial axis for itself.

    Element p of an output axis stands at q = (p + 1/2) r - 1/2 of the input's, where r is L / L',
    or 1 / `scale_factor` where that is given. "linear" weighs its two neighbours by their distance.

    Args:
        input: x, shape (N, C, L) or (N, C, H, W).
        size: of the output, one number for all spatial axes or one for each.
        scale_factor: in place of `size`: L' = floor(L factor).
        mode: "nearest" takes the element at floor(p r), "nearest-exact" the nearest; "linear" (for
            one axis) and "bilinear" (for two) weigh the neighbours; "bicubic" the four along each
            axis by Keys' kernel of a = -3/4; "area" is the mean of what an element covers.
        align_corners: whether the outermost elements stand on those of the input, so that
            q = p (L - 1) / (L' - 1); None is no. Not for "nearest", "nearest-exact" and "area".
        recompute_scale_factor: whether r is L / L' with a `scale_factor`, too.
        antialias: False, there is no other.

    Returns:
        Shape (N, C, *size).

    Raises:
        ShapeError: if the input has other axes than the mode takes, or no elements to take.

    Source: Keys, "Cubic convolution interpolation for digital image processing", IEEE ASSP 29,
    1981.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([[[1.0, 3.0]]])
        >>> interpolate(x, scale_factor=2)
        tensor([[[1., 1., 3., 3.]]])
        >>> interpolate(x, size=4, mode="linear")
        tensor([[[1. , 1.5, 2.5, 3. ]]])
    """
    x = as_tensor(input)
    _check(x, mode, align_corners, antialias)
    sizes, ratios = _goals(x, size, scale_factor, recompute_scale_factor)
    if mode == "area":
        return adaptive_avg_pool1d(x, sizes) if len(sizes) == 1 else adaptive_avg_pool2d(x, sizes)
    for axis, (length, ratio) in enumerate(zip(sizes, ratios, strict=True), 2):
        if mode.startswith("nearest"):
            x = _nearest(x, axis, length, ratio, exact=mode == "nearest-exact")
        elif length != x.shape[axis] or mode == "bicubic":
            neighbours = 4 if mode == "bicubic" else 2
            weights = _weights(x.shape[axis], length, ratio, bool(align_corners), neighbours)
            x = _weighted(x, axis, weights.astype(x.dtype))
    return x


def _check(x: Tensor, mode: str, align_corners: bool | None, antialias: bool) -> None:
    checks.one_of("interpolate: mode", mode, _MODES)
    if antialias:
        raise ValueError(
            "interpolate: antialias is not there; mode='area' takes the mean of what an element "
            "covers when images get smaller"
        )
    if align_corners is not None and mode not in _OF_AXES:
        raise ValueError(f"interpolate: align_corners means nothing for mode {mode!r}: leave it")
    if x.dtype.kind != "f":
        raise DTypeError(f"interpolate takes a floating Tensor, not {x.dtype}; cast it")
    if x.ndim - 2 not in ((1, 2) if mode not in _OF_AXES else (_OF_AXES[mode],)):
        spatial = {1: "L", 2: "H, W"}.get(_OF_AXES.get(mode, 0), "L) or (N, C, H, W")
        raise ShapeError(
            f"interpolate: for mode {mode!r} the input has shape (N, C, {spatial}), got {x.shape}"
        )
    if 0 in x.shape[2:]:
        raise ShapeError(f"interpolate: the images of shape {x.shape} have no elements")


def _for_each(name: str, axes: int, value: Any) -> list[Any]:
    """One number for each of the axes; one alone is meant for all."""
    several = list(value) if isinstance(value, (list, tuple)) else [value] * axes
    if len(several) != axes:
        raise ValueError(f"interpolate: {name} is one number or {axes}, got {value!r}")
    return several


def _goals(
    x: Tensor, size: Sizes | None, scale_factor: Factors | None, recompute: bool | None
) -> tuple[list[int], list[float]]:
    """The length of each output axis, and how far apart its elements stand in the input."""
    axes, lengths = x.ndim - 2, x.shape[2:]
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: give size or scale_factor, one of them")
    if scale_factor is None:
        if recompute:
            raise ValueError("interpolate: recompute_scale_factor goes with scale_factor")
        sizes = [checks.count("size", n) for n in _for_each("size", axes, size)]
        return sizes, [n / m for n, m in zip(lengths, sizes, strict=True)]
    factors = [
        checks.positive("scale_factor", f) for f in _for_each("scale_factor", axes, scale_factor)
    ]
    sizes = [math.floor(n * f) for n, f in zip(lengths, factors, strict=True)]
    if min(sizes) < 1:
        raise ShapeError(f"interpolate: scale_factor {scale_factor} leaves nothing of {x.shape}")
    if recompute:
        return sizes, [n / m for n, m in zip(lengths, sizes, strict=True)]
    return sizes, [1 / f for f in factors]


def _nearest(x: Tensor, axis: int, length: int, ratio: float, exact: bool) -> Tensor:
    """For each element of the output the one of the input that it is."""
    before, given, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    # PyTorch counts in float32, which decides where p r is nearly whole.
    steps = np.arange(length).astype(np.float32) + np.float32(0.5 if exact else 0)
    places = np.minimum(np.floor(steps * np.float32(ratio)).astype(np.int64), given - 1)
    if length == given and not exact:
        return x
    times = length // given
    if length % given == 0 and (places == np.arange(length) // times).all():
        x = x.reshape(*before, given, 1, *after).broadcast_to((*before, given, times, *after))
        return x.reshape(*before, length, *after)
    return x[(slice(None),) * axis + (places,)]


def _weights(given: int, length: int, ratio: float, align_corners: bool, neighbours: int) -> Array:
    """The weight of each element of an input axis in each of the output, (length, given)."""
    places = np.arange(length)
    if align_corners:
        at = places * ((given - 1) / (length - 1) if length > 1 else 0.0)
    else:
        at = (places + 0.5) * ratio - 0.5
        if neighbours == 2:
            at = np.maximum(at, 0)
    first = np.floor(at).astype(np.int64)
    t = at - first
    if neighbours == 2:
        shares = [(0, 1 - t), (1, t)]
    else:
        shares = [(k, _keys(np.abs(t - k))) for k in (-1, 0, 1, 2)]
    weights = np.zeros((length, given))
    for offset, share in shares:
        np.add.at(weights, (places, np.clip(first + offset, 0, given - 1)), share)
    return weights


def _keys(distance: Array, a: float = -0.75) -> Array:
    """Keys' cubic kernel."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, far)


def _weighted(x: Tensor, axis: int, weights: Array) -> Tensor:
    """The weighted sums along one axis, as a product."""
    if axis == x.ndim - 1:
        return matmul(x, weights, transpose_b=True)
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    lines = x.reshape(math.prod(before), x.shape[axis], math.prod(after))
    return matmul(weights, lines).reshape(*before, len(weights), *after)
