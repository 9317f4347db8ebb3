"""Activations as layers; the functions are in `nn.functional`, with their sources."""

from __future__ import annotations

from chainrule.graph.tensor import Tensor, TensorLike
from chainrule.nn import arguments, functional
from chainrule.nn.module import Module


class ReLU(Module):
    """max(0, x); its derivative at 0 is 0.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ReLU()(cr.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def forward(self, input: TensorLike) -> Tensor:
        return functional.relu(input)


class LeakyReLU(Module):
    """x for x > 0, else negative_slope * x; see `functional.leaky_relu`."""

    _arguments = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = arguments.number("negative_slope", negative_slope)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.leaky_relu(input, self.negative_slope)


class ELU(Module):
    """x for x > 0, else alpha (exp(x) - 1); see `functional.elu`."""

    _arguments = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = arguments.number("alpha", alpha)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.elu(input, self.alpha)


class SELU(Module):
    """The self-normalizing exponential linear unit; see `functional.selu`."""

    def forward(self, input: TensorLike) -> Tensor:
        return functional.selu(input)


class GELU(Module):
    """x Phi(x), exact or with approximate="tanh"; see `functional.gelu`."""

    _arguments = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate is 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, input: TensorLike) -> Tensor:
        return functional.gelu(input, self.approximate)


class SiLU(Module):
    """x sigmoid(x); see `functional.silu`."""

    def forward(self, input: TensorLike) -> Tensor:
        return functional.silu(input)


class Mish(Module):
    """x tanh(softplus(x)); see `functional.mish`."""

    def forward(self, input: TensorLike) -> Tensor:
        return functional.mish(input)


class Sigmoid(Module):
    """1 / (1 + exp(-x)).

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Sigmoid()(cr.tensor([0.0]))
        tensor([0.5])
    """

    def forward(self, input: TensorLike) -> Tensor:
        return functional.sigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, input: TensorLike) -> Tensor:
        return functional.tanh(input)


class Softplus(Module):
    """log(1 + exp(beta x)) / beta, and x where beta x > threshold; see `functional.softplus`."""

    _arguments = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = arguments.number("beta", beta)
        if not self.beta:
            raise ValueError("Softplus: beta is not 0, because the formula divides by it")
        self.threshold = arguments.number("threshold", threshold)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.softplus(input, self.beta, self.threshold)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along the axis `dim`. Not for training: CrossEntropyLoss takes logits.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Softmax(dim=1)(cr.tensor([[0.0, 0.0]]))
        tensor([[0.5, 0.5]])
    """

    _arguments = ("dim",)

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = arguments.whole("dim", dim)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.softmax(input, self.dim)


class LogSoftmax(Module):
    """The logarithm of softmax along the axis `dim`: what NLLLoss takes."""

    _arguments = ("dim",)

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = arguments.whole("dim", dim)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.log_softmax(input, self.dim)
