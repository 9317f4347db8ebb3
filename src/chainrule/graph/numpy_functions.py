"""NumPy's functions called on Tensors: the function of chainrule of the same name takes them.

It builds a node, so gradients pass. What has no such function is refused, because an array without
its gradient would go unnoticed. A few functions that compare, print or store take values; so do
`np.asarray` and `np.array`, which convert.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import SymbolicError
from chainrule.graph.names_of_functions import OURS
from chainrule.trees import leaves, map_leaves

if TYPE_CHECKING:
    from chainrule.graph.tensor import Tensor

namespace = ModuleType("nothing")
"""The functions of chainrule. The room `ops` puts itself here, so that no import points up."""

_NAMES = {"expit": "sigmoid"}
"""SciPy's names of functions that have another one here."""

_KEYWORDS = {"a_max": "max", "a_min": "min", "ddof": "correction"}

_OTHER_MEANING = ("linspace", "put", "put_along_axis")
"""Names of functions that are constants here, or return what NumPy's write in place."""

_OF_PYTORCH = ("resize", "select")
"""Names in `OURS` that are PyTorch's functions, and other ones of NumPy."""

_REDUCTIONS = {
    "add": "sum",
    "logical_and": "all",
    "logical_or": "any",
    "maximum": "max",
    "minimum": "min",
    "multiply": "prod",
}
"""By the name of a ufunc, what its `reduce` is."""

_OF_VALUES = frozenset(
    {
        np.allclose,
        np.array2string,
        np.array_equal,
        np.array_equiv,
        np.array_repr,
        np.array_str,
        np.copy,
        np.isclose,
        np.may_share_memory,
        np.save,
        np.savetxt,
        np.savez,
        np.savez_compressed,
        np.shares_memory,
    }
)
"""Functions that compare, print or store arrays: nobody asks them for a gradient."""

_OF_FORMS = frozenset(
    {
        np.can_cast,
        np.iscomplexobj,
        np.isrealobj,
        np.ndim,
        np.result_type,
        np.shape,
        np.size,
    }
)
"""Functions of the shape and the dtype of arrays alone, which a symbolic Tensor has, too."""


class NumPyFunctions:
    """What a `Tensor` inherits: NumPy hands its functions over to chainrule's.

    Other libraries take a copy of its value.
    """

    __slots__ = ()
    __pandas_priority__ = 5000  # above a DataFrame's 4000: `series * Tensor` is a Tensor

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any
    ) -> Tensor:
        name = ufunc.__name__
        called = f"np.{name}" if getattr(np, name, None) is ufunc else name
        if method == "__call__":
            return _call(called, _find("numpy", name), inputs, keywords)
        called += f".{method}"
        if method != "reduce" or name not in _REDUCTIONS:
            raise _refusal(called, inputs)
        keywords.setdefault("axis", 0)
        return _call(called, _find("numpy", _REDUCTIONS[name]), inputs, keywords)

    def __array_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        arguments: tuple[Any, ...],
        keywords: dict[str, Any],
    ) -> Any:
        if function in _OF_VALUES or function in _OF_FORMS:
            taken = _value if function in _OF_VALUES else _form
            return function(*map_leaves(taken, arguments), **map_leaves(taken, keywords))
        room = function.__module__
        called = f"{room.replace('numpy', 'np', 1)}.{function.__name__}"
        found = _find(room, function.__name__)
        signature = _signature(function)
        positional, named = _given(signature, arguments, keywords)
        if found is not None and signature is not None and not _fit(found, signature):
            found = None
        return _call(called, found, positional, named)

    def __dlpack__(self, *, copy: bool | None = None, **wanted: Any) -> Any:
        """A copy of the value, which its taker may write into, for `from_dlpack` of a library."""
        if copy is False:
            raise BufferError("a Tensor is immutable: another library takes a copy of its value")
        return np.array(_value(self)).__dlpack__(**wanted)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # the CPU


def _value(argument: Any) -> Any:
    """The array of a Tensor; anything else as it is."""
    return argument.numpy() if isinstance(argument, NumPyFunctions) else argument  # type: ignore[attr-defined]


def _form(argument: Any) -> Any:
    """An array of the shape and dtype of a Tensor; anything else as it is."""
    if not isinstance(argument, NumPyFunctions):
        return argument
    return np.broadcast_to(np.zeros((), argument.dtype), argument.shape)  # type: ignore[attr-defined]


def _find(room: str, name: str) -> Callable[..., Any] | None:
    """The function of chainrule for one of NumPy's, in `numpy` or in a part such as its linalg."""
    if name in _OTHER_MEANING:
        return None
    part = room.partition(".")[2]
    functions = getattr(namespace, part, None) if part else namespace
    return getattr(functions, _NAMES.get(name, name), None)


@lru_cache
def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except ValueError:  # of a function in C without one
        return None


def _given(
    signature: inspect.Signature | None, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """What was given to a function of NumPy, without what is its default: in order, and by name.

    Those without a default are in order, because their names differ here.
    """
    if signature is None:
        return list(arguments), keywords
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for name, value in signature.bind(*arguments, **keywords).arguments.items():
        parameter = signature.parameters[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional += value
        elif parameter.kind is parameter.VAR_KEYWORD:
            named |= value
        elif parameter.default is parameter.empty or parameter.kind is parameter.POSITIONAL_ONLY:
            positional.append(value)
        elif value is not parameter.default:
            named[name] = value
    return positional, named


def _fit(ours: Callable[..., Any], theirs: inspect.Signature) -> bool:
    """Whether what NumPy's function needs, after its first argument, has the same names here."""
    signature = _signature(ours)
    if signature is None:
        return False
    names = [
        p.name
        for p in theirs.parameters.values()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    return signature.parameters.keys() >= set(names[1:]) or _takes_any_number(signature)


def _takes_any_number(signature: inspect.Signature) -> bool:
    return any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())


def _call(
    called: str, function: Callable[..., Any] | None, arguments: Any, keywords: dict[str, Any]
) -> Any:
    """chainrule's function on the arguments of NumPy's, where it takes them."""
    signature = None if function is None else _signature(function)
    if function is None or signature is None:
        raise _refusal(called, (arguments, keywords))
    positional, named = list(arguments), {}
    for name, value in keywords.items():
        if name not in signature.parameters:
            name = _KEYWORDS.get(name, name)
        if name in ("axes", "shape") and _takes_any_number(signature):  # of transpose and reshape
            positional.append(value)
        else:
            named[name] = value
    try:
        signature.bind(*positional, **named)
    except TypeError as error:
        raise _refusal(called, (arguments, keywords), f" with these arguments ({error})") from None
    return function(*positional, **named)


def _refusal(called: str, arguments: Any, detail: str = "") -> Exception:
    """The error of a call that has no node."""
    name = called.rpartition(".")[2]
    ours = "" if detail or name in _OF_PYTORCH else OURS.get(name, "")
    missing = f"{called} has no form{detail} among chainrule's functions"
    if ours:
        missing = f"{called} is not among chainrule's functions; here it is {ours}"
    tensors = [leaf for leaf in leaves(arguments) if isinstance(leaf, NumPyFunctions)]
    if any(tensor.node().value is None for tensor in tensors):  # type: ignore[attr-defined]
        if ".numpy()" in ours:
            missing = f"{called} has no form among chainrule's functions"
        return SymbolicError(
            f"{missing}. A symbolic Tensor has no value yet: compute with chainrule's own functions"
        )
    if ours:
        return TypeError(missing)
    return TypeError(
        f"{missing}, and its result would have no gradient: compute with chainrule's own "
        "functions, or pass x.numpy() for the values alone"
    )


def of_numpy(name: str, room: Any) -> str:
    """What to say of a name that is in `numpy` or its linalg and not here; "" where it is none."""
    found = getattr(room, name, None)
    called = f"{room.__name__.replace('numpy', 'np', 1)}.{name}"
    if isinstance(found, np.ufunc) or hasattr(found, "_implementation"):  # a function of arrays
        return f"{called} of x.numpy() gives its value, without a gradient"
    return f"it is {called}" if callable(found) else ""
