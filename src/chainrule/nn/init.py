"""Starting values of parameters.

Each function gives a `Parameter` new values drawn by the current generator (so `manual_seed` and
`use_generator` decide them), in the parameter's dtype, and returns it.

For a weight of shape (out, in, *kernel), fan_in = in * size(kernel) counts the inputs of one
output, fan_out = out * size(kernel) the outputs of one input.

Example:
    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> layer = nn.Linear(4, 4)
    >>> q = nn.init.orthogonal_(layer.weight).numpy()
    >>> np.allclose(q @ q.T, np.eye(4), atol=1e-6)
    True
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.graph.errors import ShapeError
from chainrule.graph.state import State
from chainrule.ops.random import current_generator

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a layer's weights grow so that its activation keeps the variance.

    1 for linear, conv1d to conv3d and sigmoid; 5/3 for tanh; sqrt(2) for relu; 3/4 for selu;
    sqrt(2 / (1 + param^2)) for leaky_relu, where `param` is the negative slope (0.01 if None).

    Raises:
        ValueError: for another name.

    Example:
        >>> calculate_gain("leaky_relu", 1.0)
        1.0
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        known = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(f"no gain is known for {nonlinearity!r}; known are {known}")
    return _GAINS[nonlinearity]


def _fans(tensor: State) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight."""
    if tensor.ndim < 2:
        raise ShapeError(
            "fan_in and fan_out are those of a weight of shape (out, in, ...), not "
            f"{tensor.shape}; use uniform_, normal_ or zeros_"
        )
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def zeros_(tensor: State) -> State:
    """All zeros."""
    tensor.assign(np.zeros(tensor.shape, tensor.dtype))
    return tensor


def uniform_(tensor: State, a: float = 0.0, b: float = 1.0) -> State:
    """Uniform in [a, b)."""
    drawn = current_generator().uniform(tensor.shape, tensor.dtype)
    tensor.assign(drawn * float(b - a) + float(a))
    return tensor


def normal_(tensor: State, mean: float = 0.0, std: float = 1.0) -> State:
    """Normal with this mean and standard deviation."""
    drawn = current_generator().normal(tensor.shape, tensor.dtype)
    tensor.assign(drawn * float(std) + float(mean))
    return tensor


def xavier_uniform_(tensor: State, gain: float = 1.0) -> State:
    """Uniform in [-b, b), b = gain sqrt(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010.
    """
    bound = gain * math.sqrt(6 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: State, gain: float = 1.0) -> State:
    """Normal with mean 0 and standard deviation gain sqrt(2 / (fan_in + fan_out)).

    Source: Glorot and Bengio, AISTATS 2010.
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_fans(tensor))))


def _kaiming_std(tensor: State, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode is 'fan_in' or 'fan_out', got {mode!r}")
    fan = _fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: State, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> State:
    """Uniform in [-b, b), b = gain sqrt(3 / fan), gain = calculate_gain(nonlinearity, a).

    Source: He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015.

    Args:
        tensor: a weight of shape (out, in, ...).
        a: the negative slope, for leaky_relu.
        mode: "fan_in" keeps the variance of the forward pass, "fan_out" that of the backward pass.
        nonlinearity: the activation after the layer.
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(
    tensor: State, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> State:
    """Normal with mean 0 and standard deviation gain / sqrt(fan); see `kaiming_uniform_`."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity))


def lecun_uniform_(tensor: State) -> State:
    """Uniform in [-b, b), b = sqrt(3 / fan_in).

    Source: LeCun, Bottou, Orr, Mueller, "Efficient BackProp", 1998.
    """
    bound = math.sqrt(3 / _fans(tensor)[0])
    return uniform_(tensor, -bound, bound)


def lecun_normal_(tensor: State) -> State:
    """Normal with mean 0 and standard deviation sqrt(1 / fan_in): what selu asks for.

    Source: LeCun, Bottou, Orr, Mueller, "Efficient BackProp", 1998.
    """
    return normal_(tensor, 0.0, math.sqrt(1 / _fans(tensor)[0]))


def orthogonal_(tensor: State, gain: float = 1.0) -> State:
    """`gain` times a random orthogonal matrix, of the weight as (out, the rest).

    With more rows than columns the columns are orthonormal, else the rows.

    Source: Saxe, McClelland, Ganguli, "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks", ICLR 2014.
    """
    _fans(tensor)
    rows = tensor.shape[0]
    columns = math.prod(tensor.shape[1:])
    long, short = max(rows, columns), min(rows, columns)
    drawn = current_generator().normal((long, short), np.float64).numpy()
    q, r = np.linalg.qr(drawn)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # makes the distribution uniform
    if rows < columns:
        q = q.T
    tensor.assign((gain * q).reshape(tensor.shape).astype(tensor.dtype))
    return tensor
