"""Norms of vectors whose squares may overflow or vanish, for clipping; and the divisors that keep
squares from it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from chainrule.graph.methods import Axis
from chainrule.graph.tensor import Tensor, as_tensor
from chainrule.ops.arithmetic import add_n
from chainrule.ops.axis_numbers import normalize_axes
from chainrule.ops.comparison import abs, maximum, where
from chainrule.ops.reduce import max
from chainrule.ops.shape import stop_gradient
from chainrule.ops.unary import sqrt

_WIDE = np.dtype(np.float64)


def row_norm(x: Tensor, axis: int | tuple[int, ...]) -> Tensor:
    """The Euclidean length along `axis`, which stays with length 1, in float64.

    Squares of float32 numbers fit into float64. Those of float64 are taken after a division by the
    largest element.
    """
    wide = x.astype(_WIDE)
    if x.dtype != _WIDE or not x.size:
        return sqrt((wide * wide).sum(axis, keepdims=True))
    scale = _scale(max(abs(wide), axis=axis, keepdims=True))
    scaled = wide / scale
    return scale * sqrt((scaled * scaled).sum(axis, keepdims=True))


def total_norm(tensors: Sequence[Tensor], order: float = 2.0) -> Tensor:
    """The norm of all elements of the Tensors as one vector: a scalar in float64.

    Args:
        tensors: floating, of any shapes.
        order: p of (sum |x|^p)^(1/p), or infinity for the largest |x|.
    """
    wide = [x.astype(_WIDE) for x in tensors if 0 not in x.shape]
    if not wide:
        return as_tensor(np.float64(0.0))
    if order == 2 and all(x.dtype != _WIDE for x in tensors):
        return sqrt(add_n(*[(x * x).sum() for x in wide]))
    largest = max(abs(wide[0]))
    for x in wide[1:]:
        largest = maximum(largest, max(abs(x)))
    if order == math.inf:
        return largest
    scale = _scale(largest)
    scaled = [x / scale for x in wide]
    if order == 2:
        return scale * sqrt(add_n(*[(x * x).sum() for x in scaled]))
    total = add_n(*[(abs(x) ** float(order)).sum() for x in scaled])
    return scale * total ** (1.0 / float(order))


def scale_of(x: Tensor, axis: Axis) -> Tensor:
    """The largest |x| along `axis`, which stays with length 1, as a divisor without a gradient.

    It is 1 where the largest is 0 or not finite. x has elements.
    """
    axes = normalize_axes("max", axis, x.shape)
    value = x.node().value
    if value is None or x.dtype.kind != "f":
        return _scale(max(abs(stop_gradient(x)), axis=axis, keepdims=True))
    largest = np.abs(value).max(axes, keepdims=True)
    return as_tensor(np.where((largest > 0) & (largest < np.inf), largest, value.dtype.type(1)))


def _scale(largest: Tensor) -> Tensor:
    """A divisor: 1 where the largest element is 0 or not finite."""
    return where(largest > 0.0, where(largest < math.inf, largest, 1.0), 1.0)
