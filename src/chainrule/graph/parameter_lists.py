"""Several parameters at once: what a list of them may be, and their gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor


def forget_gradients(parameters: Iterable[Parameter], set_to_none: bool) -> None:
    """Let `.grad` of parameters be None; or 0 of those that have a gradient."""
    for parameter in parameters:
        parameter.grad = None if set_to_none else parameter._zero_of_gradient()


def is_model(given: Any) -> bool:
    """Whether it is a model, and no module that lists Tensors, as a `ParameterList`."""
    if not callable(getattr(given, "parameters", None)):
        return False
    return not isinstance(given, Iterable) or not all(isinstance(part, Tensor) for part in given)


def may_list_parameters(given: Any) -> bool:
    """Whether it is an iterable, and no single Tensor, no model, mapping or text."""
    if isinstance(given, (Tensor, Mapping, str)) or not isinstance(given, Iterable):
        return False
    return not is_model(given)


def distinct_parameters(
    given: Any, purpose: str, known: Iterable[Parameter] = ()
) -> list[Parameter]:
    """`given` as a list, if these are distinct Parameters, and none of `known`.

    Args:
        given: an iterable of Parameters.
        purpose: the beginning of the messages, such as "an optimiser trains Parameters".
        known: Parameters that `given` may not repeat.

    Raises:
        TypeError: if `given` is no iterable of Parameters.
        ValueError: if there are none, or if one comes twice.
    """
    if not may_list_parameters(given):
        raise TypeError(
            f"{purpose}: an iterable of them, such as model.parameters(), not "
            f"{type(given).__name__}"
        )
    found = list(given)
    if not found:
        raise ValueError(f"{purpose}; there are none: pass model.parameters()")
    seen = set(known)
    for position, parameter in enumerate(found):
        if not isinstance(parameter, Parameter):
            remedy = ": make it a chainrule.Parameter" if isinstance(parameter, Tensor) else ""
            remedy = ": unpack its parameters()" if is_model(parameter) else remedy
            raise TypeError(f"{purpose}; number {position} is {parameter!r}{remedy}")
        if parameter in seen:
            raise ValueError(
                f"parameter {parameter.name or position} of shape {parameter.shape} was given "
                "twice, and would count twice"
            )
        seen.add(parameter)
    return found
