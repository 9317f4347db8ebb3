"""Normalisation of each example as functions of the graph, composed of operations.

The input is reshaped to a matrix of (examples, elements), so that a plan reads the mean and scale
of a row in place, as one column. Batch normalisation has state and is only a layer:
`nn.BatchNorm1d`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn import arguments
from chainrule.ops import sqrt

__all__ = ["group_norm", "layer_norm", "rms_norm"]


@both_names()
def layer_norm(
    input: TensorLike,
    normalized_shape: int | Sequence[int],
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias, over the last axes of each example.

    The variance is the biased one (divided by the number of elements).

    Args:
        input: shape (..., *normalized_shape).
        normalized_shape: the lengths of the axes over which mean and variance are taken.
        weight, bias: shape `normalized_shape`, or None.
        eps: added to the variance.

    Raises:
        ShapeError: if shapes do not fit.

    Source: Ba, Kiros, Hinton, "Layer normalization", 2016.

    Example:
        >>> import chainrule as cr
        >>> layer_norm(cr.tensor([[1.0, 3.0], [10.0, 10.0]]), 2)
        tensor([[-1.,  1.],
                [ 0.,  0.]])
    """
    x = as_tensor(input)
    rows = _as_rows("layer_norm", x, normalized_shape)
    y = _scaled("layer_norm", _normalized(rows, eps), normalized_shape, weight, bias)
    return y.reshape(x.shape)


@both_names()
def rms_norm(
    input: TensorLike,
    normalized_shape: int | Sequence[int],
    weight: TensorLike | None = None,
    eps: float | None = None,
) -> Tensor:
    """x / sqrt(mean of x^2 + eps) * weight, over the last axes of each example.

    Args:
        input: shape (..., *normalized_shape).
        normalized_shape: the lengths of the axes over which the mean is taken.
        weight: shape `normalized_shape`, or None.
        eps: added to the mean; None means the machine epsilon of the dtype, as in PyTorch.

    Raises:
        ShapeError: if shapes do not fit.

    Source: Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019.

    Example:
        >>> import chainrule as cr
        >>> rms_norm(cr.tensor([[3.0, -3.0]]), 2)
        tensor([[ 1., -1.]])
    """
    x = as_tensor(input)
    rows = _as_rows("rms_norm", x, normalized_shape)
    squares = (rows * rows).mean(axis=1, keepdims=True)
    eps = float(np.finfo(squares.dtype).eps) if eps is None else float(eps)
    scale = 1.0 / sqrt(squares + eps)
    return _scaled("rms_norm", rows * scale, normalized_shape, weight, None).reshape(x.shape)


@both_names()
def group_norm(
    input: TensorLike,
    num_groups: int,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """`layer_norm` of each group of channels, then a weight and a bias for each channel.

    Args:
        input: shape (N, C, ...).
        num_groups: number of groups of adjacent channels; it must divide C.
        weight, bias: shape (C,), or None.
        eps: added to the variance.

    Raises:
        ShapeError: if C can't be divided into the groups, or shapes do not fit.

    Source: Wu and He, "Group normalization", ECCV 2018.

    Example:
        >>> import chainrule as cr
        >>> group_norm(cr.tensor([[1.0, 3.0, 7.0, 3.0]]), 2)
        tensor([[-1.,  1.,  1., -1.]])
    """
    x = as_tensor(input)
    if x.ndim < 2 or x.shape[1] % checks.count("num_groups", num_groups):
        raise ShapeError(
            f"group_norm: the input has shape {x.shape}; its axis 1, the channels, must exist and "
            f"divide into {num_groups} groups"
        )
    rows = x.reshape(x.shape[0] * num_groups, math.prod(x.shape[1:]) // num_groups)
    y = _normalized(rows, eps).reshape(x.shape)
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and as_tensor(parameter).shape != x.shape[1:2]:
            raise ShapeError(
                f"group_norm: {name} has shape {as_tensor(parameter).shape}, not {x.shape[1:2]}"
            )
    if weight is not None:
        y = y * over_axis_1(as_tensor(weight), x)
    if bias is not None:
        y = y + over_axis_1(as_tensor(bias), x)
    return y


def _normalized(rows: Tensor, eps: float) -> Tensor:
    """Each row minus its mean, divided by its standard deviation."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    variance = (centred * centred).mean(axis=1, keepdims=True)
    return centred * (1.0 / sqrt(variance + float(eps)))


def _as_rows(name: str, x: Tensor, normalized_shape: int | Sequence[int]) -> Tensor:
    """x as a matrix: its leading axes become the rows, the normalised axes the columns."""
    shape = arguments.lengths("normalized_shape", normalized_shape)
    start = x.ndim - len(shape)
    if start < 0 or x.shape[start:] != shape:
        raise ShapeError(
            f"{name}: the input must have the shape (..., {', '.join(map(str, shape))}); its shape "
            f"is {x.shape}. Change normalized_shape, or the layers before."
        )
    return x.reshape(math.prod(x.shape[:start]), math.prod(shape))


def _scaled(
    name: str,
    rows: Tensor,
    normalized_shape: int | Sequence[int],
    weight: TensorLike | None,
    bias: TensorLike | None,
) -> Tensor:
    """rows * weight + bias, where these are given."""
    shape = arguments.lengths("normalized_shape", normalized_shape)
    for label, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and as_tensor(parameter).shape != shape:
            raise ShapeError(f"{name}: {label} has shape {as_tensor(parameter).shape}, not {shape}")
    y = rows if weight is None else rows * as_tensor(weight).reshape(-1)
    return y if bias is None else y + as_tensor(bias).reshape(-1)


def over_axis_1(channels: Tensor, x: Tensor) -> Tensor:
    """One number per channel, as a Tensor that broadcasts against x of shape (N, C, ...).

    It is first broadcast to one example, whose memory a plan then reads again for each of the N.
    """
    if x.ndim == 2:
        return channels
    return channels.reshape(-1, *(1,) * (x.ndim - 2)).broadcast_to(x.shape[1:])
