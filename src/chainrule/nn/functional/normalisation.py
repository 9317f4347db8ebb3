"""Normalisation as functions of the graph, composed of operations.

Where each example is normalised, the input is reshaped to a matrix of (examples, elements), whose
rows a plan normalises by one kernel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.context import no_grad
from chainrule.graph.keywords import both_names
from chainrule.graph.state import State
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor, plain_number
from chainrule.nn import arguments
from chainrule.ops import add_n, pad, sqrt
from chainrule.ops.normalisation import normalize_rows

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "rms_norm",
]


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
    y = _normalized(rows, np.finfo(rows.dtype).eps if eps is None else eps, centred=False)
    return _scaled("rms_norm", y, normalized_shape, weight, None).reshape(x.shape)


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
    _check_channels("group_norm", x, weight=weight, bias=bias)
    rows = _floats(x).reshape(x.shape[0] * num_groups, math.prod(x.shape[1:]) // num_groups)
    return _channels_scaled(_normalized(rows, eps).reshape(x.shape), weight, bias)


@both_names()
def instance_norm(
    input: TensorLike,
    running_mean: TensorLike | None = None,
    running_var: TensorLike | None = None,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias, for each channel of each example.

    Args:
        input: shape (N, C, L) or (N, C, H, W).
        running_mean, running_var: shape (C,): mean and variance where not `use_input_stats`; else
            they follow the mean over the batch of those of the examples and are Buffers, or None.
        weight, bias: shape (C,), or None.
        use_input_stats: whether mean and variance are those of the input.
        momentum: the share of the newest batch in the running statistics.
        eps: added to the variance, which is the biased one.

    Raises:
        ShapeError: if shapes do not fit; with the input's own statistics for one element for each
            channel.
        ValueError: if statistics are missing where not `use_input_stats`.
        TypeError: for running statistics that can't be assigned to.

    Source: Ulyanov, Vedaldi, Lempitsky, "Instance normalization: the missing ingredient for fast
    stylization", 2016.

    Example:
        >>> import chainrule as cr
        >>> instance_norm(cr.tensor([[[1.0, 3.0], [5.0, 5.0]]]), eps=1e-9)
        tensor([[[-1.,  1.],
                 [ 0.,  0.]]])
    """
    x, momentum = as_tensor(input), plain_number("momentum", momentum)
    if x.ndim < 3:
        raise ShapeError(f"instance_norm: the input has shape (N, C, L, ...), not {x.shape}")
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    given = {"running_mean": running_mean, "running_var": running_var}
    _check_channels("instance_norm", x, **given, weight=weight, bias=bias)
    places = math.prod(x.shape[2:])
    if places < 2:
        raise ShapeError(
            "instance_norm: there must be more than one element for each channel of an example; "
            f"the input has shape {x.shape}"
        )
    rows = _floats(x).reshape(x.shape[0] * x.shape[1], places)
    if running_mean is not None and running_var is not None and x.shape[0]:
        mean = rows.mean(axis=1, keepdims=True)
        variance = ((rows - mean) ** 2).mean(axis=1)
        unbiased = variance * (places / (places - 1))
        mean, unbiased = (t.reshape(x.shape[:2]).mean(axis=0) for t in (mean, unbiased))
        _follow("instance_norm", running_mean, running_var, mean, unbiased, momentum)
    return _channels_scaled(_normalized(rows, eps).reshape(x.shape), weight, bias)


def local_response_norm(
    input: TensorLike, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha / size times the sum of x^2 over `size` neighbouring channels)^beta.

    Args:
        input: shape (N, C, ...), of three axes or more.
        size: how many channels, of which size // 2 lie before; those that are not there count as 0.
        alpha, beta, k: as in the formula.

    Raises:
        ShapeError: if the input has too few axes.

    Source: Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural
    networks", NIPS 2012.

    Example:
        >>> import chainrule as cr
        >>> local_response_norm(cr.tensor([[[3.0], [4.0]]]), 2, alpha=2.0, beta=0.5, k=0.0)
        tensor([[[1. ],
                 [0.8]]])
    """
    x, size = as_tensor(input), checks.count("size", size)
    if x.ndim < 3:
        raise ShapeError(f"local_response_norm: the input has shape (N, C, L, ...), not {x.shape}")
    before = size // 2
    squares = pad(x * x, [(0, 0), (before, size - 1 - before), *[(0, 0)] * (x.ndim - 2)])
    total = add_n(*[squares[:, i : i + x.shape[1]] for i in range(size)])
    return x * (total * (alpha / size) + k) ** -beta


@both_names()
def batch_norm(
    input: TensorLike,
    running_mean: TensorLike | None,
    running_var: TensorLike | None,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    training: bool = False,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias, for each feature over the minibatch.

    See `nn.BatchNorm1d`, which keeps all of these.

    Args:
        input: shape (N, C, ...).
        running_mean, running_var: shape (C,): mean and variance where not `training`; in training
            they follow those of the batch and are Buffers, or None.
        weight, bias: shape (C,), or None.
        training: whether mean and variance are those of the batch.
        momentum: the share of the newest batch in the running statistics.
        eps: added to the variance.

    Raises:
        ShapeError: if shapes do not fit; in training for one element for each feature.
        ValueError: if statistics are missing where not `training`.
        TypeError: for running statistics that can't be assigned to.

    Example:
        >>> import chainrule as cr
        >>> batch_norm(cr.tensor([[1.0], [3.0]]), None, None, training=True, eps=0.0)
        tensor([[-1.],
                [ 1.]])
    """
    x = as_tensor(input)
    if x.ndim < 2:
        raise ShapeError(f"batch_norm: the input has shape (N, C, ...), not {x.shape}")
    given = {"running_mean": running_mean, "running_var": running_var}
    _check_channels("batch_norm", x, **given, weight=weight, bias=bias)
    if training:
        count = x.size // max(x.shape[1], 1)
        if count < 2:
            raise ShapeError(
                "batch_norm: in training there must be more than one element for each feature; "
                f"the input has shape {x.shape}"
            )
        mean = _channel_mean(x)
        centred = x - over_axis_1(mean, x)
        variance = _channel_mean(centred * centred)
        if running_mean is not None and running_var is not None:
            unbiased = variance * (count / (count - 1))
            _follow("batch_norm", running_mean, running_var, mean, unbiased, momentum)
    elif running_mean is None or running_var is None:
        raise ValueError("batch_norm: without training there must be running statistics")
    else:
        centred = x - over_axis_1(as_tensor(running_mean), x)
        variance = as_tensor(running_var).node()
    scale = 1.0 / sqrt(variance + eps)
    if weight is not None:
        scale = scale * as_tensor(weight)
    y = centred * over_axis_1(scale, x)
    return y if bias is None else y + over_axis_1(as_tensor(bias), x)


def _channel_mean(x: Tensor) -> Tensor:
    """The mean of each feature. Over the rest after N: so the gradient is spread over one example
    alone."""
    total = x.sum(axis=0)
    if x.ndim > 2:
        total = total.sum(axis=tuple(range(1, x.ndim - 1)))
    return total / float(x.size // x.shape[1])


def _follow(
    name: str,
    running_mean: TensorLike,
    running_var: TensorLike,
    mean: Tensor,
    variance: Tensor,
    momentum: float | Tensor,
) -> None:
    """Let the running statistics follow those of a batch."""
    states = [_running(name, statistics) for statistics in (running_mean, running_var)]
    with no_grad():
        for running, batch in zip(states, (mean, variance), strict=True):
            running.assign(running * (1.0 - momentum) + batch * momentum)


def _running(name: str, statistics: TensorLike) -> State:
    """Running statistics; raises where they can't be assigned to."""
    if not isinstance(statistics, State):
        raise TypeError(
            f"{name}: in training the running statistics are Buffers, which can be assigned to; "
            f"got {type(statistics).__name__}. Make them chainrule.Buffer(...)"
        )
    return statistics


def _check_channels(name: str, x: Tensor, **given: TensorLike | None) -> None:
    """Raise ShapeError where one of the Tensors does not have a number for each channel of x."""
    for label, tensor in given.items():
        if tensor is not None and as_tensor(tensor).shape != x.shape[1:2]:
            raise ShapeError(
                f"{name}: {label} has shape {as_tensor(tensor).shape}, not {x.shape[1:2]}"
            )


def _channels_scaled(y: Tensor, weight: TensorLike | None, bias: TensorLike | None) -> Tensor:
    """y * weight + bias, where these are given, one number for each channel."""
    if weight is not None:
        y = y * over_axis_1(as_tensor(weight), y)
    return y if bias is None else y + over_axis_1(as_tensor(bias), y)


def _normalized(rows: Tensor, eps: float, *, centred: bool = True) -> Tensor:
    """Each row minus its mean, divided by its standard deviation; or by the root of its mean
    square, if not `centred`."""
    return normalize_rows(rows, plain_number("eps", eps), centred=centred)


def _as_rows(name: str, x: Tensor, normalized_shape: int | Sequence[int]) -> Tensor:
    """x as a matrix: its leading axes become the rows, the normalised axes the columns."""
    shape = arguments.lengths("normalized_shape", normalized_shape)
    start = x.ndim - len(shape)
    if start < 0 or x.shape[start:] != shape:
        raise ShapeError(
            f"{name}: the input must have the shape (..., {', '.join(map(str, shape))}); its shape "
            f"is {x.shape}. Change normalized_shape, or the layers before."
        )
    return _floats(x).reshape(math.prod(x.shape[:start]), math.prod(shape))


def _floats(x: Tensor) -> Tensor:
    """Integers as float32."""
    return x if x.dtype.kind == "f" else x.astype(np.float32)


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
