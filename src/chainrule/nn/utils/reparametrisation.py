"""Weights that are computed from others at every use: weight and spectral normalisation."""

from __future__ import annotations

from typing import Any, TypeVar

from chainrule import checks
from chainrule.graph.context import no_grad
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor
from chainrule.nn import arguments
from chainrule.nn.distances import normalize
from chainrule.nn.hooks import remove_hook
from chainrule.nn.module import Module
from chainrule.ops.linalg import vector_norm
from chainrule.ops.random import current_generator

M = TypeVar("M", bound=Module)
_FIRST_ITERATIONS = 15  # of a new spectral norm, as in PyTorch's parametrizations


class _WeightNorm:
    """g v / |v|, with a length for each slice along `dim`, or one for all."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = dim

    def length(self, v: Tensor) -> Tensor:
        axes = tuple(a for a in range(v.ndim) if self.dim is None or a != self.dim % v.ndim)
        length = vector_norm(v, 2, axes, keepdims=True)
        return length.reshape(()) if self.dim is None else length

    def __call__(self, module: Any) -> Tensor:
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        return v * (g / self.length(v))


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Learn the length and the direction of a weight apart: W = g v / |v|.

    The parameter ``weight`` gives way to ``weight_g`` and ``weight_v``, which are frozen if it is;
    `remove_weight_norm` goes back. A description does not tell of it: such a model is saved as of a
    class of the user's.

    Args:
        module: a layer.
        name: its parameter.
        dim: the axis along which each slice has a length of its own; None for one length.

    Returns:
        The module.

    Raises:
        ValueError: if the module has no such parameter, or it has no such axis, or if one of the
            new names is taken.

    Source: Salimans and Kingma, "Weight normalization: a simple reparameterization to accelerate
    training of deep neural networks", NIPS 2016.

    Example:
        >>> from chainrule import nn
        >>> layer = nn.utils.weight_norm(nn.Linear(3, 2))
        >>> list(layer.state_dict())
        ['bias', 'weight_g', 'weight_v']
    """
    weight = _parameter(module, name, ("_g", "_v"))
    if dim is not None and not -weight.ndim <= checks.integer("dim", dim) < weight.ndim:
        raise ValueError(f"weight_norm: {name} of shape {weight.shape} has no axis {dim}")
    rule = _WeightNorm(name, dim)
    with no_grad():
        length = rule.length(weight.node())
    delattr(module, name)
    for end, value in (("_g", length), ("_v", weight)):
        new = Parameter(value, requires_grad=weight.requires_grad)
        module.register_parameter(name + end, new)
    module._compute(name, rule)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Make the weight of `weight_norm` a plain parameter again, of the value that it has.

    Raises:
        ValueError: if the module has no such weight.
    """
    _restore(module, name, _WeightNorm, "weight_norm", ("_g", "_v"))
    return module


class _SpectralNorm:
    """W / sigma, with the largest singular value u^T W v; before each forward in training its
    vectors are improved."""

    def __init__(self, name: str, iterations: int, eps: float, dim: int) -> None:
        self.name = name
        self.iterations = iterations
        self.eps = eps
        self.dim = dim
        self.hook = -1  # the number of `improve`: its handle would hold the module

    def matrix(self, W: Tensor) -> Tensor:
        order = (self.dim, *(a for a in range(W.ndim) if a != self.dim))
        return W.transpose(*order).reshape(W.shape[self.dim], -1)

    def improve(self, module: Any, inputs: Any) -> None:
        if module.training:
            self.iterate(module, self.iterations)

    def iterate(self, module: Any, iterations: int) -> None:
        with no_grad():
            W = self.matrix(getattr(module, self.name + "_orig").node())
            u, v = (getattr(module, self.name + end) for end in ("_u", "_v"))
            for _ in range(iterations):
                v.assign(normalize(W.T @ u.node(), dim=0, eps=self.eps))
                u.assign(normalize(W @ v.node(), dim=0, eps=self.eps))

    def __call__(self, module: Any) -> Tensor:
        W, u, v = (getattr(module, self.name + end) for end in ("_orig", "_u", "_v"))
        sigma: Tensor = (u * (self.matrix(W) @ v)).sum()
        weight: Tensor = W / sigma
        return weight


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """Divide a weight by its largest singular value, so that the layer lengthens no vector.

    The parameter ``weight`` gives way to ``weight_orig``, and the buffers ``weight_u`` and
    ``weight_v``, of 15 power iterations to begin with, which further ones improve before each
    forward in training. A frozen one stays frozen. The singular value is differentiated with u and
    v held fixed. `remove_spectral_norm` goes back. A weight of zeros has no direction: it becomes
    NaN, and stays so, as in PyTorch.

    Args:
        module: a layer.
        name: its parameter, of two axes or more.
        n_power_iterations: iterations before each forward.
        eps: the smallest length by which a vector is divided.
        dim: the axis of the outputs; by default 0, of a transposed convolution 1.

    Returns:
        The module.

    Raises:
        ValueError: if the module has no such parameter, or it has no such axis, or if one of the
            new names is taken.

    Source: Miyato, Kataoka, Koyama, Yoshida, "Spectral normalization for generative adversarial
    networks", ICLR 2018.

    Example:
        >>> import numpy as np
        >>> from chainrule import nn
        >>> layer = nn.utils.spectral_norm(nn.Linear(3, 2), n_power_iterations=20)
        >>> _ = layer(np.ones((1, 3), "float32"))
        >>> round(float(np.linalg.norm(layer.weight.numpy(), 2)), 3)
        1.0
    """
    weight = _parameter(module, name, ("_orig", "_u", "_v"))
    of_outputs = 1 if getattr(module, "transposed", False) else 0
    axis = of_outputs if dim is None else checks.integer("dim", dim)
    if weight.ndim < 2 or not -weight.ndim <= axis < weight.ndim:
        raise ValueError(
            f"spectral_norm: {name} of shape {weight.shape} is no matrix, or has no axis {axis}"
        )
    iterations = checks.count("n_power_iterations", n_power_iterations)
    rule = _SpectralNorm(name, iterations, checks.positive("eps", eps), axis % weight.ndim)
    rows, columns = rule.matrix(weight.node()).shape
    draw = current_generator().normal
    vectors = [normalize(draw((n,), weight.dtype), dim=0, eps=rule.eps) for n in (rows, columns)]
    delattr(module, name)
    original = Parameter(weight, requires_grad=weight.requires_grad)
    module.register_parameter(name + "_orig", original)
    for end, vector in zip(("_u", "_v"), vectors, strict=True):
        module.register_buffer(name + end, vector)
    rule.iterate(module, _FIRST_ITERATIONS)
    module._compute(name, rule)
    rule.hook = module.register_forward_pre_hook(rule.improve).id
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Make the weight of `spectral_norm` a plain parameter again, of the value that it has.

    Raises:
        ValueError: if the module has no such weight.
    """
    rule = _restore(module, name, _SpectralNorm, "spectral_norm", ("_orig", "_u", "_v"))
    assert isinstance(rule, _SpectralNorm)
    remove_hook(module, "forward_pre", rule.hook)
    return module


def _parameter(module: Module, name: str, ends: tuple[str, ...]) -> Parameter:
    """The parameter to normalise, in whose place come others, whose names end so."""
    weight = arguments.module("module", module)._parameters.get(name)
    if weight is None:
        raise ValueError(f"{type(module).__name__} has no parameter {name!r} to normalise")
    for end in ends:
        if hasattr(module, name + end):
            raise ValueError(
                f"{type(module).__name__} has an attribute {name + end!r} already, which the "
                f"normalisation of {name!r} needs: rename it"
            )
    return weight


def _restore(module: Module, name: str, kind: type, function: str, ends: tuple[str, ...]) -> Any:
    """Take a rule away: its weight is a parameter again."""
    rule = arguments.module("module", module)._computed.get(name)
    if rule is None or not isinstance(rule, kind):
        raise ValueError(f"{type(module).__name__} has no {name!r} of {function}")
    with no_grad():
        value = rule(module)
    requires_grad = any(getattr(module, name + end).requires_grad for end in ends)
    for end in ends:
        delattr(module, name + end)
    module._computed = {key: of for key, of in module._computed.items() if key != name}
    module.register_parameter(name, Parameter(value, requires_grad=requires_grad))
    return rule
