"""The functions that a Tensor's methods and operators call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)
Function = TypeVar("Function", bound=Callable[..., Any])

functions: dict[str, Callable[..., Any]] = {}
"""The functions that Tensor's operators and methods call, by name. `ops` and `graph.gradients`
register them, so that this module imports neither."""


def method(function: Function) -> Function:
    """Make `function` the one that the Tensor method or operator of its name calls."""
    functions[function.__name__] = function
    return function


def of_tensor(kind: Class) -> Class:
    """Let the methods of a base of `Tensor` bear its name, also in errors of a wrong call."""
    for name, function in vars(kind).items():
        while callable(function):  # the one that is called, and those that it wraps
            function.__module__ = "chainrule.graph.tensor"
            function.__qualname__ = f"Tensor.{name}"
            function = getattr(function, "__wrapped__", None)
    return kind
