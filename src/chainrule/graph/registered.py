"""The functions that a Tensor's methods and operators call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

functions: dict[str, Callable[..., Any]] = {}
"""The functions that Tensor's operators and methods call, by name. `ops` and `graph.backprop`
register them, so that this module imports neither."""


def method(function: Function) -> Function:
    """Make `function` the one that the Tensor method or operator of its name calls."""
    functions[function.__name__] = function
    return function
