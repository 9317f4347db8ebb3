"""Functions that can't be copied with a model, because they would go on using the original."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

from chainrule.graph.state import State
from chainrule.nn import Module
from chainrule.optim import Optimizer
from chainrule.train.user_code import is_full, loaded_names


def check_copies(role: str, function: Any) -> None:
    """Raise TypeError for a function of Python that uses a parameter or module from outside.

    A copy of a function is the function itself: in the copy of a Trainer it would still compute
    with the original's parameters. An object is copied with what its attributes hold.

    Args:
        role: what the function is, for the message.
        function: a function, or any other object, which passes.
    """
    if not isinstance(function, types.FunctionType):
        return
    for used in _used(function, set()):
        if isinstance(used, (State, Module, Optimizer)):
            name = getattr(used, "name", None) or type(used).__name__
            raise TypeError(
                f"{role}, the function {function.__qualname__}, uses {name}, and in a copy or a "
                "pickle it would still use that of the original: write it as a class whose objects "
                "have that as an attribute and are called, as those of nn.penalties are"
            )


def _used(function: Any, seen: set[int]) -> Iterator[Any]:
    """What a function takes from outside: its defaults, enclosing functions and globals.

    Of a function that it uses, what that one does; likewise the elements of lists and dicts.
    """
    if id(function) in seen:
        return
    seen.add(id(function))
    if isinstance(function, (list, tuple, dict)):
        for element in function.values() if isinstance(function, dict) else function:
            yield from _used(element, seen)
        return
    if not isinstance(function, types.FunctionType):
        yield function
        return
    names, known = loaded_names(function.__code__), function.__globals__
    cells = [cell.cell_contents for cell in function.__closure__ or () if is_full(cell)]
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for used in (*cells, *defaults, *(known[name] for name in names if name in known)):
        yield from _used(used, seen)
