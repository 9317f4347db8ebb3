"""Two names for one argument: NumPy's and PyTorch's, such as `axis` and `dim`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from inspect import CO_VARARGS, CO_VARKEYWORDS
from types import FunctionType
from typing import Any, NoReturn, TypedDict, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

SPELLINGS = (("axis", "dim"), ("keepdims", "keepdim"), ("x", "a", "input"))
"""The names that NumPy and PyTorch have for the same argument."""

_OF_TWO = {"a": ("input", "x", "x1"), "b": ("other", "x2")}
"""Further names of the two operands of a function of `a` and `b`."""

NOT_TAKEN = {
    "out": (None, "the result is a new Tensor, as in y = {name}(x)"),
    "where": (
        True,
        "leave elements out before: x[condition]; along an axis put what changes nothing in their "
        "place, as by chainrule.where(condition, x, 0) for a sum; for a mean it is "
        "chainrule.average(x, axis, weights=condition)",
    ),
    "initial": (None, "put it together with the result, or concatenate it with x before"),
    "dtype": (None, "cast before or after, as by x.astype(dtype)"),
    "copy": (True, "the result is a new Tensor, and no one writes into x"),
    "size_average": (None, "for True it is reduction='mean', for False reduction='sum'"),
    "reduce": (None, "for False it is reduction='none'; for True leave it out"),
    "generator": (None, "call it inside `with chainrule.use_generator(generator):`"),
    "order": ("C", "elements are in row-major order; those of x.T are in the other one"),
}
"""Arguments of NumPy's and PyTorch's functions that a function has not: the default, which changes
nothing, and what to do instead."""

_TIMES = 1, "multiply before, as in {name}(x, alpha * y)"
_SWAPPED = None, "two axes are swapped by x.swapaxes(dim0, dim1)"
_NOT_TAKEN_BY = {
    ("add", "alpha"): _TIMES,
    ("subtract", "alpha"): _TIMES,
    ("divide", "rounding_mode"): (
        None,
        "for 'floor' it is x // y, for 'trunc' chainrule.trunc(x / y)",
    ),
    ("grad", "only_inputs"): (True, "all leaves get their gradients by z.backward()"),
    ("grad", "materialize_grads"): (True, "what does not matter has a gradient of zeros"),
    ("grad", "is_grads_batched"): (False, "chainrule.jacobian(f, x) has all rows at once"),
    ("nonzero", "as_tuple"): (True, "the matrix with an element's indices a row is argwhere(x)"),
    ("put", "accumulate"): (False, "chainrule.add_along_axis(x, indices, values, axis) adds"),
    ("searchsorted", "out_int32"): (False, "cast after, as by astype('int32')"),
    ("transpose", "dim0"): _SWAPPED,
    ("transpose", "dim1"): _SWAPPED,
}
"""The same of single functions: (function, argument)."""


class Keywords(TypedDict, total=False):
    """What `grad` takes by PyTorch's names alone, for type checkers."""

    grad_outputs: Any
    retain_graph: bool | None
    create_graph: bool | None
    allow_unused: bool | None
    only_inputs: bool
    materialize_grads: bool


def both_names(**more: str) -> Callable[[Function], Function]:
    """Let the decorated function take an argument under NumPy's and under PyTorch's name.

    Each argument that `SPELLINGS` knows is taken under its other names too, and what is taken as
    ``*shape`` as ``shape=(2, 3)``. The signature, and so the documentation, keeps the names that
    the function is written with. The decorator stands on top of `@method`, and on the method of the
    same name in `TensorMethods`.

    Args:
        more: further names, as in ``both_names(dims="axis")``: other name = the function's own.

    Raises:
        TypeError: in a call that gives one argument under two names, too many, or one that the
            function has not, with what stands for it where NumPy's functions have it.

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
        others = other_names(own) | more
        several = code.co_varnames[len(own)] if code.co_flags & CO_VARARGS else ""
        taken = (*own, several) if several else own
        known = frozenset(own)
        most = sys.maxsize if several else code.co_argcount
        takes_any = bool(code.co_flags & CO_VARKEYWORDS)
        keepdims = own.index("keepdims") if "keepdims" in own else sys.maxsize

        @wraps(function)
        def call(*arguments: Any, **keywords: Any) -> Any:
            if keywords and not keywords.keys() <= known:
                keywords = own_names(function.__name__, keywords, taken, others, takes_any)
                if several in keywords:
                    arguments = (*arguments, keywords.pop(several))
            if len(arguments) > most:
                too_many(function.__name__, arguments, own[:most])
            if len(arguments) > keepdims and not isinstance(arguments[keepdims], (bool, int)):
                raise TypeError(
                    f"{function.__name__}: keepdims is True or False, got "
                    f"{arguments[keepdims]!r:.80}; a dtype is given by its name, dtype=..."
                )
            return function(*arguments, **keywords)

        return cast(Function, call)

    return decorate


def referring(**ours: str) -> Callable[[Function], Function]:
    """Let the decorated method say of other libraries' arguments what stands for them here.

    Args:
        ours: by the name of such an argument.

    Raises:
        TypeError: in a call that gives one of them.
    """

    def decorate(method: Function) -> Function:
        @wraps(method)
        def call(self: Any, *arguments: Any, **keywords: Any) -> Any:
            for given in keywords:
                if given in ours:
                    name = type(self).__name__
                    if method.__name__ != "__init__":
                        name += f".{method.__name__}"
                    raise TypeError(f"{name} has no argument {given!r}; here it is {ours[given]}")
            return method(self, *arguments, **keywords)

        return cast(Function, call)

    return decorate


def other_names(own: Sequence[str]) -> dict[str, str]:
    """The further names of a function's arguments, each with its own name."""
    others: dict[str, str] = {}
    for names in SPELLINGS:
        for name in set(names) & set(own):
            others |= {other: name for other in names if other not in own}
    if {*own} >= {"a", "b"}:
        others |= {o: name for name, found in _OF_TWO.items() for o in found if o not in own}
    return others


def own_names(
    name: str,
    keywords: Mapping[str, Any],
    own: Collection[str],
    others: Mapping[str, str],
    takes_any: bool = False,
) -> dict[str, Any]:
    """The keywords of a call under a function's own names.

    Args:
        name: of the function.
        keywords: of the call.
        own: the names of the function's arguments.
        others: further names, each with its own one.
        takes_any: whether the function takes keywords that are not among its arguments.

    Raises:
        TypeError: for an argument under two names, and for one that the function has not.
    """
    found: dict[str, Any] = {}
    for given, value in keywords.items():
        known = given if given in own else others.get(given, given)
        if known in found:
            both = " and ".join(sorted(k for k in keywords if others.get(k, k) == known))
            raise TypeError(f"{name}: {both} are two names of one argument; give one of them")
        if known in own or takes_any:
            found[known] = value
            continue
        not_taken = _NOT_TAKEN_BY.get((name, known)) or NOT_TAKEN.get(known)
        if not_taken is None:
            raise TypeError(
                f"{name}() got an unexpected keyword argument {known!r}; it takes {_listed(own)}"
            )
        if value is not not_taken[0]:
            raise TypeError(f"{name} has no argument {known!r}: {not_taken[1].format(name=name)}")
    return found


def too_many(name: str, arguments: Sequence[Any], own: Sequence[str]) -> NoReturn:
    """Refuse a call with more arguments in order than a function takes."""
    if own and own[0] == "self":
        arguments, own = arguments[1:], own[1:]
    takes = f"at most {len(own)} in order ({_listed(own)})" if own else "no argument in order"
    raise TypeError(f"{name} takes {takes}, got {len(arguments)}")


def _listed(own: Collection[str]) -> str:
    return ", ".join(name for name in own if name != "self")
