"""What a model holds without registering it: modules and parameters in plain lists and dicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from chainrule.graph.state import Parameter
from chainrule.nn.hooks import Hooked

_MAX_DEPTH = 4  # of lists in lists
_OWN = ("_parameters", "_buffers", "_modules", "_hooks", "_computed")


def unregistered(model: Any, trained: Iterable[Parameter] = ()) -> Iterator[tuple[str, Any]]:
    """The modules and parameters in lists, tuples, sets and dicts that are attributes of a module,
    with their paths, as ``layers[0]``.

    Left out is what is registered, too, and what was set apart with care: a module whose
    parameters need no gradient and whose layers do the same in both modes, or are in evaluation
    mode; a parameter that needs no gradient.

    Args:
        model: the module.
        trained: parameters that are known to an optimiser, which may be anywhere.
    """
    known = {*model.modules(), *model.parameters(), *trained}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, (list, tuple, set, dict)) and name not in _OWN:
                where = f"{path}.{name}" if path else name
                for place, found in _within(value, where, _MAX_DEPTH):
                    if found not in known and _counts(found, known):
                        yield place, found


def _within(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (Hooked, Parameter)):
        yield path, value
    elif depth and isinstance(value, dict):
        for key, item in value.items():
            yield from _within(item, f"{path}[{key!r}]", depth - 1)
    elif depth and isinstance(value, (list, tuple, set)):
        for number, item in enumerate(value):
            yield from _within(item, f"{path}[{number}]", depth - 1)


def _counts(found: Any, known: set[Any]) -> bool:
    """Whether it matters that nothing knows of this module or parameter."""
    if isinstance(found, Parameter):
        return found.requires_grad
    return any(p.requires_grad and p not in known for p in found.parameters()) or any(
        module.training and (module.is_stochastic or module._buffers) for module in found.modules()
    )


def not_registered(model: Any, path: str, what: str) -> str:
    """The message for what `unregistered` found: `what` comes of it."""
    return (
        f"{type(model).__name__} holds {path} in a plain list or dict, where a model does not "
        f"look for its parts: {what}. Make the list an nn.ModuleList or nn.ParameterList, the "
        "dict an nn.ModuleDict or nn.ParameterDict; or, if it is to be left alone, freeze it by "
        "requires_grad_(False) and eval()"
    )
