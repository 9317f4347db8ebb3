"""The penalties Omega of a regularised objective J = L + Omega(theta), and choosing parameters.

A penalty is called without arguments and gives a scalar Tensor built on its parameters, so that
J is a sum: ``loss_fn(model(x), y) + penalty()``. Backpropagation through J adds the penalty's
gradient to that of the loss. ``Trainer(penalties=[...])`` adds penalties to any loss. A function of
your own that gives a scalar Tensor is a penalty, too.

**Penalty or weight decay.** An L2 penalty adds 2 strength W to the gradient; weight decay takes a
share of W away in every update. For SGD, with momentum or without, these are the same, with
``weight_decay=2 * strength``: what SGD adds is the gradient of weight_decay / 2 * sum of W^2.
They are the same for Adam, whose weight_decay is added to the gradient, too. AdamW takes
lr weight_decay W away beside its step ("decoupled" weight decay: Loshchilov and Hutter, ICLR 2019),
while Adam divides a penalty's gradient by the root of the second moment, so that weights with large
gradients shrink less: there the two differ. A Trainer's history has the penalties in a column of
their own, beside the loss; weight decay is in neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import ClassVar

import numpy as np

from chainrule import checks
from chainrule.graph.parameter_lists import distinct_parameters
from chainrule.graph.state import HyperParameter, Parameter, RunTimeNumber
from chainrule.graph.tensor import Tensor
from chainrule.nn.module import Module
from chainrule.ops import abs, add_n


class _Penalty:
    """The base of all penalties: parameters, and strengths that can be set between steps."""

    _strengths: ClassVar[tuple[str, ...]] = ()

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self.parameters = distinct_parameters(parameters, "a penalty is on Parameters")

    def _total(self, term: Callable[[Tensor], Tensor]) -> Tensor:
        """The sum of `term` over all elements of all parameters, in their widest dtype."""
        dtype = np.result_type(*(W.dtype for W in self.parameters))
        return add_n(*(term(W).sum().astype(dtype) for W in self.parameters))

    def __repr__(self) -> str:
        strengths = ", ".join(f"{name}={getattr(self, name):g}" for name in self._strengths)
        count = len(self.parameters)
        return f"{type(self).__name__}({count} parameter{'s' if count > 1 else ''}, {strengths})"


class _OneStrength(_Penalty):
    """strength * sum of some term over the parameters' elements."""

    _strengths = ("strength",)
    strength = RunTimeNumber(checks.not_negative)
    _strength: HyperParameter

    def __init__(self, parameters: Iterable[Parameter], strength: float) -> None:
        super().__init__(parameters)
        self.strength = strength

    def _term(self, W: Tensor) -> Tensor:
        raise NotImplementedError

    def __call__(self) -> Tensor:
        total = self._total(self._term)
        return self._strength.astype(total.dtype) * total


class L1Penalty(_OneStrength):
    """strength * sum of |W| over the parameters' elements, which draws many of them to 0.

    The gradient is strength * sign(W), 0 where W is 0.

    Args:
        parameters: Parameters, such as ``nn.select_parameters(model, "weights")`` gives.
        strength: the lambda, at least 0. The attribute can be set between steps.

    Raises:
        TypeError, ValueError: if there are none, one comes twice, or is no Parameter; or if the
            strength is negative.

    Source: *Deep Learning*, section 7.1.2.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> penalty = nn.L1Penalty([cr.Parameter([1.0, -2.0])], strength=0.5)
        >>> penalty()
        tensor(1.5, operation=multiply)
        >>> penalty.strength = 0.25
        >>> penalty().item()
        0.75
    """

    def _term(self, W: Tensor) -> Tensor:
        return abs(W)


class L2Penalty(_OneStrength):
    """strength * sum of W^2 over the parameters' elements, without a factor 1/2.

    The gradient is 2 strength W. Books that write lambda / 2 * sum of W^2 mean a strength of
    lambda / 2 here. How it differs from weight decay: see `chainrule.nn.penalties`.

    Args:
        parameters: Parameters, such as ``nn.select_parameters(model, "weights")`` gives.
        strength: the lambda, at least 0. The attribute can be set between steps.

    Raises:
        TypeError, ValueError: see `L1Penalty`.

    Source: *Deep Learning*, section 7.1.1 (with the factor 1/2).

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> W = cr.Parameter([1.0, -2.0])
        >>> penalty = nn.L2Penalty([W], strength=0.5)
        >>> penalty().item(), cr.grad(penalty(), W).tolist()
        (2.5, [1.0, -2.0])
    """

    def _term(self, W: Tensor) -> Tensor:
        return W * W


class ElasticNetPenalty(_Penalty):
    """l1 * sum of |W| + l2 * sum of W^2 over the parameters' elements.

    Args:
        parameters: Parameters, such as ``nn.select_parameters(model, "weights")`` gives.
        l1, l2: at least 0. The attributes can be set between steps.

    Raises:
        TypeError, ValueError: see `L1Penalty`.

    Source: Zou and Hastie, "Regularization and variable selection via the elastic net", Journal of
    the Royal Statistical Society B 67, 2005.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ElasticNetPenalty([cr.Parameter([1.0, -2.0])], l1=0.5, l2=0.25)().item()
        2.75
    """

    _strengths = ("l1", "l2")
    l1 = RunTimeNumber(checks.not_negative)
    l2 = RunTimeNumber(checks.not_negative)
    _l1: HyperParameter
    _l2: HyperParameter

    def __init__(self, parameters: Iterable[Parameter], l1: float, l2: float) -> None:
        super().__init__(parameters)
        self.l1 = l1
        self.l2 = l2

    def __call__(self) -> Tensor:
        absolute = self._total(abs)
        squares = self._total(lambda W: W * W)
        l1, l2 = self._l1.astype(absolute.dtype), self._l2.astype(squares.dtype)
        return l1 * absolute + l2 * squares


def select_parameters(
    model: Module, which: str | Callable[[str, Parameter], bool]
) -> list[Parameter]:
    """The parameters of a model that a penalty or an optimiser's group shall have.

    Args:
        model: a module.
        which: "weights" for the parameters with two axes or more (the matrices and kernels of
            layers), "biases" for all others (biases, and the scales and shifts of normalisation);
            or a pattern for paths, in which ``*`` stands for anything, dots included, as in
            "*.weight" or "0.*"; or a function (path, parameter) -> whether to take it.

    Returns:
        The parameters in the model's order; a shared one once.

    Raises:
        ValueError: if there are none; it lists the paths that there are.
        TypeError: for another kind of argument.

    Example:
        >>> from chainrule import nn, optim
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> [p.shape for p in nn.select_parameters(model, "*.weight")]
        [(3, 2), (1, 3)]
        >>> optimizer = optim.AdamW(
        ...     [
        ...         {"params": nn.select_parameters(model, "weights"), "weight_decay": 0.01},
        ...         {"params": nn.select_parameters(model, "biases"), "weight_decay": 0.0},
        ...     ]
        ... )
    """
    if not isinstance(model, Module):
        raise TypeError(f"select_parameters takes a Module, not {type(model).__name__}")
    named = list(model.named_parameters())
    if which == "weights":
        found = [p for _, p in named if p.ndim >= 2]
    elif which == "biases":
        found = [p for _, p in named if p.ndim < 2]
    elif isinstance(which, str):
        found = [p for path, p in named if fnmatchcase(path, which)]
    elif callable(which):
        found = [p for path, p in named if which(path, p)]
    else:
        raise TypeError(
            "select_parameters takes a pattern such as '*.weight', 'weights', 'biases' or a "
            f"function (path, parameter) -> bool; not {which!r}"
        )
    if not found:
        paths = ", ".join(path for path, _ in named) or "none at all"
        raise ValueError(f"no parameter of {type(model).__name__} fits {which!r}; it has {paths}")
    return found
