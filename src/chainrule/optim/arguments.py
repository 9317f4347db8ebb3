"""What an optimiser is given: keywords, parameters, gradients and a loss, each checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from chainrule import checks
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.parameter_lists import distinct_parameters, is_model, may_list_parameters
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor


class Options(TypedDict, total=False):
    """The keywords that every optimiser takes, as PyTorch's do.

    Attributes:
        maximize: go up the gradient, so that the objective grows. (A group may differ.)
        foreach, fused, capturable: accepted, and mean nothing: every update is one graph.
        differentiable: must be False: an update is not differentiated. Compute the gradient of one
            step by hand, with `chainrule.grad`.
    """

    maximize: bool
    foreach: bool | None
    fused: bool | None
    capturable: bool
    differentiable: bool


_OF_KERAS = {
    "learning_rate": "lr",
    "beta_1": "betas[0]",
    "beta_2": "betas[1]",
    "epsilon": "eps",
    "rho": "alpha",
    "decay": "a schedule, as optim.InverseTimeLR(optimizer, decay, unit='step')",
    "clipnorm": "Trainer(..., clip_norm=), of all gradients together",
    "global_clipnorm": "Trainer(..., clip_norm=)",
    "clipvalue": "Trainer(..., clip_value=)",
    "use_ema": "Trainer(..., ema=optim.EMA(model.parameters(), decay))",
    "ema_momentum": "Trainer(..., ema=optim.EMA(model.parameters(), decay))",
    "gradient_accumulation_steps": "Trainer(..., accumulate=)",
}
"""Keywords of Keras' optimisers: what is written here for them."""

_OF_YOUR_OWN = (
    "an optimiser of your own declares its hyper-parameters in its class, lr = "
    "optim.Number(low=0), gives their values by name, super().__init__(params, lr=lr), and updates "
    "a parameter in rule(self, W, grad, moments, h), as in the example of optim.Optimizer"
)


def taken_options(kind: type, options: Options | None, defaults: Mapping[str, Any]) -> bool:
    """`maximize`, from the keywords that every optimiser takes.

    Args:
        kind: the optimiser's class.
        options: the keywords; PyTorch's base class has the defaults of hyper-parameters here.
        defaults: the values of the hyper-parameters.

    Raises:
        TypeError, ValueError: for a keyword that there is not, or that can't be so.
    """
    given: dict[str, Any] = {**(options or {})}
    if isinstance(defaults.get("defaults"), Mapping):
        raise TypeError(f"{kind.__name__} has no hyper-parameter 'defaults': {_OF_YOUR_OWN}")
    if given.get("differentiable"):
        raise ValueError(
            "an update is not differentiated: leave out differentiable, and compute one step "
            "by hand, W - lr * chainrule.grad(loss, W)"
        )
    if unknown := given.keys() - Options.__annotations__.keys():
        known = [
            f"{name} is {ours}"
            for name, ours in sorted(_OF_KERAS.items())
            if name in unknown and _is_had(ours, defaults)
        ]
        remedy = f"; here {', '.join(known)}" if known else ""
        if not kind.__module__.startswith("chainrule."):
            remedy = f": {_OF_YOUR_OWN}"
        raise TypeError(f"{kind.__name__} has no argument {', '.join(sorted(unknown))}{remedy}")
    maximize: bool = given.get("maximize", False)
    return maximize


def _is_had(ours: str, defaults: Mapping[str, Any]) -> bool:
    """Whether an optimiser with these hyper-parameters has what is written for a keyword."""
    name = ours.partition("[")[0]
    return name in defaults or not name.isidentifier()


def as_groups(params: Any) -> list[Mapping[str, Any]]:
    """An optimiser's first argument as groups: one of all Parameters, unless it has groups.

    Raises:
        TypeError: for what is no iterable of either.
        ValueError: if there is nothing in it.
    """
    if not may_list_parameters(params):
        kind = checks.described(params) if isinstance(params, type) else type(params).__name__
        raise TypeError(
            f"params are an iterable of Parameters or of groups, not {kind}: "
            "pass model.parameters()"
        )
    _check_order(params)
    items: list[Any] = list(params)
    if not items:
        raise ValueError("the optimiser got no parameters: pass model.parameters()")
    if any(isinstance(item, Mapping) for item in items):
        return items
    return [{"params": items}]


def as_parameters(given: Any, known: Iterable[Parameter]) -> list[Parameter]:
    """The Parameters of a group: one, or an iterable of them or of pairs (name, Parameter).

    Args:
        given: the group's "params".
        known: the Parameters of other groups.

    Raises:
        TypeError, ValueError: for anything else, for none, or if one comes twice.
    """
    if isinstance(given, Tensor):
        given = [given]
    elif isinstance(given, Iterable) and not isinstance(given, (str, Mapping)):
        _check_order(given)
        if not is_model(given):
            given = _without_names(list(given))
    return distinct_parameters(given, "an optimiser trains Parameters", known)


def _without_names(items: list[Any]) -> list[Any]:
    """The second of each, where they are pairs such as `named_parameters` gives."""
    named = [
        isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) for item in items
    ]
    if not any(named):
        return items
    if not all(named):
        raise ValueError(
            f"parameters come with names or without: number {named.index(False)} has none, and "
            f"number {named.index(True)} has one"
        )
    return [parameter for _, parameter in items]


def _check_order(params: Any) -> None:
    if isinstance(params, (set, frozenset)):
        raise TypeError(
            "params are a set, whose order differs from run to run, and the state is saved in "
            "that order: pass a list"
        )


def check_grads(params: Sequence[Parameter], grads: Sequence[Tensor | None]) -> None:
    """Raise unless each gradient is None or fits its parameter."""
    for index, (parameter, grad) in enumerate(zip(params, grads, strict=True)):
        label = f"the gradient of parameter {index} ({parameter.name or 'unnamed'})"
        if grad is None:
            continue
        if not isinstance(grad, Tensor):
            raise TypeError(f"{label} is a {type(grad).__name__}, not a Tensor")
        if grad.shape != parameter.shape:
            raise ShapeError(f"{label} has shape {grad.shape}; it has {parameter.shape} itself")
        if grad.dtype != parameter.dtype:
            raise DTypeError(f"{label} is {grad.dtype}; it is {parameter.dtype} itself")


def check_loss(loss: Tensor | None) -> None:
    """Raise unless a loss is None or a float scalar."""
    if loss is None:
        return
    if not isinstance(loss, Tensor):
        raise TypeError(
            f"the loss is {checks.described(loss)}, not a Tensor: step takes a closure, the loss, "
            "or nothing"
        )
    if loss.shape != () or loss.dtype.kind != "f":
        raise ShapeError(f"the loss is a float scalar, got {loss.dtype} of shape {loss.shape}")


def number_of(loss: Any) -> float:
    """The loss that a closure returned, for a rule that compares losses.

    Raises:
        TypeError: if it is none.
        ShapeError: if it is no scalar.
    """
    if isinstance(loss, Tensor):
        check_loss(loss)
        return float(loss.item())
    if isinstance(loss, (int, float, np.number)):
        return float(loss)
    raise TypeError(
        f"the closure returned {checks.described(loss)}, and this optimiser needs the loss: end "
        "it with return loss"
    )
