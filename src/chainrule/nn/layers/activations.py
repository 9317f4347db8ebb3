"""Activations as layers; the functions are in `nn.functional`, with their sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.graph.keywords import both_names
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor, TensorLike
from chainrule.nn import arguments, functional, init
from chainrule.nn.layers.base import Layer
from chainrule.nn.module import Module


class ReLU(Layer):
    """max(0, x); its derivative at 0 is 0.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ReLU()(cr.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: TensorLike) -> Tensor:
        return functional.relu(input)


class LeakyReLU(Layer):
    """x for x > 0, else negative_slope * x; see `functional.leaky_relu`."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = checks.number("negative_slope", negative_slope)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.leaky_relu(input, self.negative_slope)


class PReLU(Layer):
    """x for x > 0, else weight * x, with a slope that is learnt; see `functional.prelu`.

    Args:
        num_parameters: 1, or the number of channels (axis 1): a slope for each.
        init: the slopes at first.
        dtype: of the weight; data are cast, outputs of layers must have it.

    Attributes:
        weight: shape (num_parameters,).

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.PReLU()(cr.tensor([-1.0, 2.0])).tolist()
        [-0.25, 2.0]
    """

    weight: Parameter

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.num_parameters = checks.count("num_parameters", num_parameters)
        self.init = checks.number("init", init)
        self.dtype = arguments.floating(dtype, device)
        self.weight = Parameter(np.zeros(num_parameters, self.dtype))
        self.reset_parameters()

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "num_parameters")

    def reset_parameters(self) -> None:
        """Make the weight `init` again."""
        init.constant_(self.weight, self.init)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"

    def forward(self, input: TensorLike) -> Tensor:
        x = arguments.as_dtype(input, self.dtype)
        return functional.prelu(x, self.weight)


class ELU(Layer):
    """x for x > 0, else alpha (exp(x) - 1); see `functional.elu`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = checks.number("alpha", alpha)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.elu(input, self.alpha)


class SELU(Layer):
    """The self-normalizing exponential linear unit; see `functional.selu`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: TensorLike) -> Tensor:
        return functional.selu(input)


class GELU(Layer):
    """x Phi(x), exact or with approximate="tanh"; see `functional.gelu`."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = checks.one_of("GELU: approximate", approximate, ("none", "tanh"))

    def forward(self, input: TensorLike) -> Tensor:
        return functional.gelu(input, self.approximate)


class SiLU(Layer):
    """x sigmoid(x); see `functional.silu`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: TensorLike) -> Tensor:
        return functional.silu(input)


class Mish(Layer):
    """x tanh(softplus(x)); see `functional.mish`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: TensorLike) -> Tensor:
        return functional.mish(input)


class Sigmoid(Layer):
    """1 / (1 + exp(-x)).

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Sigmoid()(cr.tensor([0.0]))
        tensor([0.5])
    """

    def forward(self, input: TensorLike) -> Tensor:
        return functional.sigmoid(input)


class Tanh(Layer):
    """The hyperbolic tangent."""

    def forward(self, input: TensorLike) -> Tensor:
        return functional.tanh(input)


class Softplus(Layer):
    """log(1 + exp(beta x)) / beta, and x where beta x > threshold; see `functional.softplus`."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = checks.number("beta", beta)
        if not self.beta:
            raise ValueError("Softplus: beta is not 0, because the formula divides by it")
        self.threshold = checks.number("threshold", threshold)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.softplus(input, self.beta, self.threshold)


class Softmax(Layer):
    """exp(x) / sum(exp(x)) along the axis `dim`. Not for training: CrossEntropyLoss takes logits.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Softmax(dim=1)(cr.tensor([[0.0, 0.0]]))
        tensor([[0.5, 0.5]])
    """

    @both_names()
    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = arguments.axis("Softmax", dim)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.softmax(input, self.dim)


class LogSoftmax(Layer):
    """The logarithm of softmax along the axis `dim`: what NLLLoss takes."""

    @both_names()
    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = arguments.axis("LogSoftmax", dim)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.log_softmax(input, self.dim)


class Hardtanh(Layer):
    """x, but at least `min_val` and at most `max_val`; see `functional.hardtanh`."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.min_val = checks.number("min_val", min_val)
        self.max_val = checks.number("max_val", max_val)
        if not self.min_val < self.max_val:
            raise ValueError(f"Hardtanh: min_val {min_val} is not less than max_val {max_val}")

    def forward(self, input: TensorLike) -> Tensor:
        return functional.hardtanh(input, self.min_val, self.max_val)


class ReLU6(Layer):
    """min(max(x, 0), 6); see `functional.relu6`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: TensorLike) -> Tensor:
        return functional.relu6(input)


class Hardswish(Layer):
    """x min(max(x + 3, 0), 6) / 6; see `functional.hardswish`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: TensorLike) -> Tensor:
        return functional.hardswish(input)


class Softsign(Layer):
    """x / (1 + |x|); see `functional.softsign`."""

    def forward(self, input: TensorLike) -> Tensor:
        return functional.softsign(input)


class LogSigmoid(Layer):
    """log(1 / (1 + exp(-x))); see `functional.logsigmoid`."""

    def forward(self, input: TensorLike) -> Tensor:
        return functional.logsigmoid(input)


class GLU(Layer):
    """a sigmoid(b) of the two halves of x along the axis `dim`; see `functional.glu`.

    Shapes:
        Input (..., 2 n, ...), output (..., n, ...).
    """

    @both_names()
    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = checks.integer("dim", dim)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.glu(input, self.dim)


class CELU(Layer):
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1)); see `functional.celu`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = checks.positive("alpha", alpha)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.celu(input, self.alpha)


class Hardsigmoid(Layer):
    """min(max(x / 6 + 1/2, 0), 1); see `functional.hardsigmoid`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: TensorLike) -> Tensor:
        return functional.hardsigmoid(input)


class Hardshrink(Layer):
    """x where |x| > lambd, else 0; see `functional.hardshrink`."""

    unnamed_arguments = 1

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = checks.number("lambd", lambd)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.hardshrink(input, self.lambd)


class Softshrink(Layer):
    """x brought nearer to 0 by lambd, but not beyond it; see `functional.softshrink`."""

    unnamed_arguments = 1

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = checks.not_negative("lambd", lambd)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.softshrink(input, self.lambd)


class Tanhshrink(Layer):
    """x - tanh(x); see `functional.tanhshrink`."""

    def forward(self, input: TensorLike) -> Tensor:
        return functional.tanhshrink(input)


class Threshold(Layer):
    """x where x > threshold, else value; see `functional.threshold`."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = checks.number("threshold", threshold)
        self.value = checks.number("value", value)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.threshold(input, self.threshold, self.value)


class RReLU(Layer):
    """x for x > 0, else a x, where training draws each a anew; see `functional.rrelu`."""

    is_stochastic = True

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        super().__init__()
        self.lower = checks.number("lower", lower)
        self.upper = checks.number("upper", upper)
        if not self.lower <= self.upper:
            raise ValueError(f"RReLU: lower {lower} is above upper {upper}")

    def forward(self, input: TensorLike) -> Tensor:
        return functional.rrelu(input, self.lower, self.upper, self.training)


class Softmin(Layer):
    """Softmax of -x along the axis `dim`; see `functional.softmin`."""

    @both_names()
    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = arguments.axis("Softmin", dim)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.softmin(input, self.dim)


class ParametricActivation(Layer):
    """x + a (s(x) - x) for an activation s: a, one number for each feature, is learnt.

    With a = 1, where it begins, this is s; with a = 0 the layer passes x on.

    Args:
        activation: a module that acts on each element, as `SELU()` or `Mish()`.
        num_features: the length of the input's last axis.
        dtype: of the weight; data are cast, outputs of layers must have it.

    Attributes:
        weight: a, of shape (num_features,).

    Source: Holzmüller, Grinsztajn, Steinwart, "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", NeurIPS 2024; they train it with a tenth of the learning rate.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.ParametricActivation(nn.ReLU(), 2)
        >>> layer.weight.assign([1.0, 0.5])
        >>> layer(cr.tensor([[-2.0, -2.0]])).tolist()
        [[0.0, -1.0]]
    """

    activation: Module
    weight: Parameter

    def __init__(
        self,
        activation: Module,
        num_features: int,
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.activation = arguments.module("activation", activation)
        self.num_features = checks.count("num_features", num_features)
        self.dtype = arguments.floating(dtype, device)
        self.weight = Parameter(np.ones(num_features, self.dtype))

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "num_features")

    def reset_parameters(self) -> None:
        """Make the weight 1 again."""
        init.ones_(self.weight)

    def forward(self, input: TensorLike) -> Tensor:
        x = arguments.as_input(input, self.num_features, self.dtype)
        return x + self.weight * (self.activation(x) - x)
