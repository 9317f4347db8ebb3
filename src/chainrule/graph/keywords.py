"""Two names for one argument: NumPy's and PyTorch's, such as `axis` and `dim`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

SPELLINGS = (("axis", "dim"), ("keepdims", "keepdim"), ("x", "a", "input"))
"""The names that NumPy and PyTorch have for the same argument."""


NOT_TAKEN = {
    "out": "the result is a new Tensor, as in y = {name}(x)",
    "where": "leave elements out before, as by chainrule.where(condition, x, 0)",
    "initial": "put it together with the result, or concatenate it with x before",
    "size_average": "for True it is reduction='mean', for False reduction='sum'",
    "reduce": "for False it is reduction='none'; for True leave it out",
}
"""Arguments of NumPy's and PyTorch's functions that none has here, and what to do instead."""


def both_names(**more: str) -> Callable[[Function], Function]:
    """Let the decorated function take an argument under NumPy's and under PyTorch's name.

    Each argument that `SPELLINGS` knows is taken under its other names too. The signature, and so
    the documentation, keeps the names that the function is written with. The decorator stands on
    top of `@method`, and on the method of the same name in `TensorMethods`; calls without keywords
    pass through.

    Args:
        more: further names, as in ``both_names(dims="axis")``: other name = the function's own.

    Raises:
        TypeError: in a call that gives one argument under two names, or one that NumPy's functions
            have and none has here, as `out`.

    Example:
        >>> @both_names(ddof="correction")
        ... def spread(x, axis=None, correction=0):
        ...     return x, axis, correction
        >>> spread(3, dim=1, ddof=2)
        (3, 1, 2)
    """

    def decorate(function: Function) -> Function:
        code = cast(FunctionType, function).__code__  # faster to import than the signature
        own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        others = dict(more)
        for names in SPELLINGS:
            for name in set(names) & set(own):
                others.update({other: name for other in names if other not in own})
        refused = NOT_TAKEN.keys() - {*own}

        @wraps(function)
        def call(*arguments: Any, **keywords: Any) -> Any:
            if keywords and not keywords.keys().isdisjoint(others):
                for other in others.keys() & keywords.keys():
                    name = others[other]
                    if name in keywords:
                        raise TypeError(
                            f"{function.__name__}: {name} and {other} are two names of one "
                            "argument; give one of them"
                        )
                    keywords[name] = keywords.pop(other)
            for name in keywords.keys() & refused:
                raise TypeError(
                    f"{function.__name__} has no argument {name!r}: "
                    + NOT_TAKEN[name].format(name=function.__name__)
                )
            return function(*arguments, **keywords)

        return cast(Function, call)

    return decorate
