"""Starting values of parameters.

Each function gives a `Parameter` (or a `Buffer`, or `data` of either) new values in its dtype, and
returns it. Random ones are drawn by `generator`, or else by the current one, so that `manual_seed`
and `use_generator` decide them. `nn.lsuv_` and `nn.data_driven_` give a model starting values that
depend on data.

For a weight of shape (out, in, *kernel), fan_in = in * size(kernel) counts the inputs of one
output, fan_out = out * size(kernel) the outputs of one input.

Example:
    >>> import numpy as np
    >>> from chainrule import nn
    >>> layer = nn.Linear(4, 4)
    >>> q = nn.init.orthogonal_(layer.weight).numpy()
    >>> np.allclose(q @ q.T, np.eye(4), atol=1e-6)
    True
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.names import absent
from chainrule.graph.state import State, StateData
from chainrule.graph.tensor import Tensor, TensorLike
from chainrule.ops.draws import between, check_interval
from chainrule.ops.random import Generator, current_generator

S = TypeVar("S", bound=Tensor)

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a layer's weights grow so that its activation keeps the variance.

    1 for linear, convolutions (conv1d to conv3d, conv_transpose1d to conv_transpose3d) and sigmoid;
    5/3 for tanh; sqrt(2) for relu; 3/4 for selu; sqrt(2 / (1 + param^2)) for leaky_relu, where
    `param` is the negative slope (0.01 if None).

    Raises:
        ValueError: for another name.

    Example:
        >>> calculate_gain("leaky_relu", 1.0)
        1.0
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    return _GAINS[checks.one_of("nonlinearity", nonlinearity, (*_GAINS, "leaky_relu"))]


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight; PyTorch's name, by which layers of one's own call it."""
    if tensor.ndim < 2:
        raise ShapeError(
            "fan_in and fan_out are those of a weight of shape (out, in, ...), not "
            f"{tensor.shape}; use uniform_, normal_ or zeros_"
        )
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def _fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out), at least 1 each: a weight without elements has nothing to scale."""
    _check_kind(tensor)
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return max(fan_in, 1), max(fan_out, 1)


def _check_kind(tensor: Any) -> None:
    """Raise TypeError unless it can hold other values."""
    if tensor is None:
        raise TypeError(
            "nn.init gives new values to a Parameter or a Buffer, got None: a layer made with "
            "bias=False has None as its bias"
        )
    if not isinstance(tensor, (State, StateData)):
        raise TypeError(
            "nn.init gives new values to a Parameter or a Buffer, and a Tensor keeps its own: make "
            f"it a chainrule.Parameter first; got {checks.described(tensor)}"
        )


def _assign(tensor: Tensor, value: TensorLike) -> None:
    """Let `tensor`, which `_check_kind` let pass, hold other values."""
    tensor.assign(value)  # type: ignore[attr-defined]


def constant_(tensor: S, val: float) -> S:
    """All elements `val`."""
    _check_kind(tensor)
    _assign(tensor, np.full(tensor.shape, val, tensor.dtype))
    return tensor


def zeros_(tensor: S) -> S:
    """All zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: S) -> S:
    """All ones."""
    return constant_(tensor, 1.0)


def eye_(tensor: S) -> S:
    """The identity, of a weight (out, in): each output begins as the input of its number.

    Raises:
        ShapeError: if `tensor` is not a matrix.

    Example:
        >>> from chainrule import nn
        >>> nn.init.eye_(nn.Linear(3, 2).weight).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    _check_kind(tensor)
    if tensor.ndim != 2:
        raise ShapeError(f"eye_ fills a matrix, not shape {tensor.shape}")
    _assign(tensor, np.eye(*tensor.shape, dtype=tensor.dtype))
    return tensor


def dirac_(tensor: S, groups: int = 1) -> S:
    """The identity, of a convolution (out, in, *kernel): each output channel begins as the input
    channel of its number, in each of the groups of outputs.

    Raises:
        ShapeError: if `tensor` is no weight of a convolution.
        ValueError: if the outputs can't be divided into `groups` groups.

    Example:
        >>> from chainrule import nn
        >>> nn.init.dirac_(nn.Conv1d(1, 2, 3).weight).tolist()
        [[[0.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]]]
    """
    _check_kind(tensor)
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(f"dirac_ fills a weight (out, in, *kernel), not shape {tensor.shape}")
    out, channels, *kernel = tensor.shape
    if out % checks.count("groups", groups):
        raise ValueError(f"dirac_: {out} outputs can't be divided into {groups} groups")
    value = np.zeros(tensor.shape, tensor.dtype)
    centre = tuple(length // 2 for length in kernel)
    for number in range(out):
        channel = number % (out // groups)
        if channel < channels:
            value[(number, channel, *centre)] = 1
    _assign(tensor, value)
    return tensor


def uniform_(tensor: S, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> S:
    """Uniform in [a, b).

    Raises:
        ValueError: if a is greater than b, or b - a no finite number of the tensor's dtype.
    """
    _check_kind(tensor)
    if not a <= b:
        raise ValueError(f"uniform_: a is at most b, got {a} and {b}")
    check_interval(a, b, tensor.dtype)
    generator = generator or current_generator()
    if not generator.draws:
        return tensor
    drawn = generator.uniform(tensor.shape, tensor.dtype)
    _assign(tensor, between(drawn, float(a), float(b)))
    return tensor


def normal_(
    tensor: S, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> S:
    """Normal with this mean and standard deviation.

    Raises:
        ValueError: if `std` is negative.
    """
    _check_kind(tensor)
    checks.not_negative("std", std)
    generator = generator or current_generator()
    if not generator.draws:
        return tensor
    drawn = generator.normal(tensor.shape, tensor.dtype)
    _assign(tensor, drawn * float(std) + float(mean))
    return tensor


def trunc_normal_(
    tensor: S,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> S:
    """Normal with this mean and standard deviation, but within [a, b]: values outside are drawn
    again.

    Raises:
        ValueError: if less than a thousandth of the distribution lies in [a, b]; if `std` is not
            positive.
    """
    _check_kind(tensor)
    checks.positive("std", std)
    below = [(1 + math.erf((bound - mean) / (std * math.sqrt(2)))) / 2 for bound in (a, b)]
    if not below[1] - below[0] > 1e-3:
        raise ValueError(
            f"trunc_normal_: [{a}, {b}] holds too little of the normal distribution of mean {mean} "
            f"and standard deviation {std}; choose bounds nearer to the mean"
        )
    value = np.full(tensor.size, np.nan)
    missing = np.arange(tensor.size)
    while len(missing):
        drawn = (generator or current_generator()).normal(missing.shape, "float64").numpy()
        value[missing] = mean + std * drawn
        missing = missing[(value[missing] < a) | (value[missing] > b)]
    _assign(tensor, value.reshape(tensor.shape).astype(tensor.dtype))
    return tensor


def sparse_(tensor: S, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> S:
    """Normal with mean 0, and in each column a share of zeros, at places drawn at random.

    Source: Martens, "Deep learning via Hessian-free optimization", ICML 2010.

    Args:
        tensor: a matrix.
        sparsity: the share of zeros in each column, rounded up to whole elements.
        std: the standard deviation of the others.

    Raises:
        ShapeError: if `tensor` is not a matrix.
        ValueError: if `sparsity` is not in [0, 1].
    """
    _check_kind(tensor)
    if tensor.ndim != 2:
        raise ShapeError(f"sparse_ fills a matrix, not shape {tensor.shape}")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparse_: sparsity is a share in [0, 1], got {sparsity}")
    normal_(tensor, 0.0, std, generator)
    drawn = (generator or current_generator()).uniform(tensor.shape, "float64").numpy()
    order = drawn.argsort(axis=0)
    zeros = order[: math.ceil(sparsity * tensor.shape[0])]
    value = tensor.numpy().copy()
    np.put_along_axis(value, zeros, 0, axis=0)
    _assign(tensor, value)
    return tensor


def scaled_normal_(tensor: S, scale: float | None = None) -> S:
    """Standard normal numbers times `scale`; by default 1 / sqrt(fan_in), as in `lecun_normal_`.

    With the default a sum of fan_in inputs of variance 1 has variance 1.
    """
    return lecun_normal_(tensor) if scale is None else normal_(tensor, 0.0, scale)


def xavier_uniform_(tensor: S, gain: float = 1.0, generator: Generator | None = None) -> S:
    """Uniform in [-b, b), b = gain sqrt(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010.
    """
    bound = gain * math.sqrt(6 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: S, gain: float = 1.0, generator: Generator | None = None) -> S:
    """Normal with mean 0 and standard deviation gain sqrt(2 / (fan_in + fan_out)).

    Source: Glorot and Bengio, AISTATS 2010.
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_fans(tensor))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    checks.one_of("mode", mode, ("fan_in", "fan_out"))
    fan = _fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: S,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> S:
    """Uniform in [-b, b), b = gain sqrt(3 / fan), gain = calculate_gain(nonlinearity, a).

    Source: He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015.

    Args:
        tensor: a weight of shape (out, in, ...).
        a: the negative slope, for leaky_relu.
        mode: "fan_in" keeps the variance of the forward pass, "fan_out" that of the backward pass.
        nonlinearity: the activation after the layer.
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: S,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> S:
    """Normal with mean 0 and standard deviation gain / sqrt(fan); see `kaiming_uniform_`."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def lecun_uniform_(tensor: S) -> S:
    """Uniform in [-b, b), b = sqrt(3 / fan_in).

    Source: LeCun, Bottou, Orr, Mueller, "Efficient BackProp", 1998.
    """
    bound = math.sqrt(3 / _fans(tensor)[0])
    return uniform_(tensor, -bound, bound)


def lecun_normal_(tensor: S) -> S:
    """Normal with mean 0 and standard deviation sqrt(1 / fan_in), as SELU assumes.

    Source: LeCun, Bottou, Orr, Mueller, "Efficient BackProp", 1998.
    """
    return normal_(tensor, 0.0, math.sqrt(1 / _fans(tensor)[0]))


def orthogonal_(tensor: S, gain: float = 1.0, generator: Generator | None = None) -> S:
    """`gain` times a random orthogonal matrix, of the weight as (out, the rest).

    With more rows than columns the columns are orthonormal, else the rows.

    Source: Saxe, McClelland, Ganguli, "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks", ICLR 2014.
    """
    _fans(tensor)
    rows = tensor.shape[0]
    columns = math.prod(tensor.shape[1:])
    long, short = max(rows, columns), min(rows, columns)
    drawn = (generator or current_generator()).normal((long, short), np.float64).numpy()
    q, r = np.linalg.qr(drawn)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # makes the distribution uniform
    if rows < columns:
        q = q.T
    _assign(tensor, (gain * q).reshape(tensor.shape).astype(tensor.dtype))
    return tensor


if not TYPE_CHECKING:  # a type checker would take every name for one of ours
    __getattr__ = absent("nn.init", globals())
