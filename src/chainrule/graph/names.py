"""Errors that say of other libraries' names what is written here in their place."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from opcode import opmap
from types import FrameType, MappingProxyType
from typing import Any, NoReturn

from chainrule.graph.names_of_functions import OURS
from chainrule.graph.names_of_keras import KERAS
from chainrule.graph.names_of_layers import FAMILIES, LAYERS

OTHERS = KERAS | LAYERS | {"pdist": OURS["pdist"]}
"""What to write for the layers, losses and optimisers of PyTorch and Keras that have another name
here."""


def no_attribute(kind: type, name: str, ours: str | None) -> AttributeError:
    """The error of an attribute that a class has not; `ours` is what to write for it, if known."""
    message = f"{kind.__name__!r} object has no attribute {name!r}"
    return AttributeError(message if ours is None else f"{message}; here it is {ours}")


class ForeignName:
    """An attribute that a Tensor does not have: reading it raises, and says what it is here.

    A `__getattr__` would do the same, but makes every access to an attribute three times as slow.
    """

    __slots__ = ("name", "ours")

    def __init__(self, name: str, ours: str) -> None:
        self.name = name
        self.ours = ours

    def _refuse(self, kind: type) -> NoReturn:
        raise no_attribute(kind, self.name, self.ours)

    def __get__(self, tensor: Any, kind: type) -> NoReturn:
        self._refuse(kind)

    def __set__(self, tensor: Any, value: Any) -> NoReturn:
        self._refuse(type(tensor))


class ForeignNames:
    """The last base of a Tensor: each foreign name that no other class of it has."""

    __slots__ = ()

    def __dir__(self) -> list[str]:
        """The attributes that a Tensor has; not the names that only say what they are here."""
        kind = type(self)
        return [n for n in object.__dir__(self) if not isinstance(_raw(kind, n), ForeignName)]


def _raw(kind: type, name: str) -> Any:
    """What a class or its bases define under a name, unread."""
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def refer(names: Mapping[str, str]) -> None:
    """Let each of the names say on a Tensor, where nothing has it, what is written in its place."""
    for name, ours in names.items():
        if name not in vars(ForeignNames):
            setattr(ForeignNames, name, ForeignName(name, ours))


refer(OURS)


def absent(
    module: str, names: Mapping[str, Any], elsewhere: Mapping[str, str] = MappingProxyType({})
) -> Callable[[str], NoReturn]:
    """A module's `__getattr__`, which says of a name that is not there what it may be.

    Args:
        module: as a user calls it, as "nn".
        names: what is there.
        elsewhere: other names, with what stands for them.
    """

    def refuse(name: str) -> NoReturn:
        message = f"module 'chainrule.{module}' has no attribute {name!r}"
        if name.startswith("_"):
            raise AttributeError(message)
        kind = ImportError if is_import(sys._getframe(1)) else AttributeError
        if name in OTHERS:
            raise kind(f"{message}; here it is {OTHERS[name]}")
        family = next((f for f in FAMILIES if re.match(f, name, re.IGNORECASE)), None)
        if name in elsewhere:
            message += f"; it is {elsewhere[name]}"
        else:
            if family is not None:
                message += f"; {FAMILIES[family]}"
            by_case = {n.lower(): n for n in (*elsewhere, *names) if not n.startswith("_")}
            found = by_case.get(name.lower()) or nearest(name, (*names, *elsewhere))
            if found:
                message += f"; did you mean {elsewhere.get(found, f'{module}.{found}')}?"
        raise kind(message)

    return refuse


def is_import(frame: FrameType) -> bool:
    """Whether a frame's code is at ``from module import name``, which hides an AttributeError."""
    code, at = frame.f_code.co_code, frame.f_lasti
    return 0 <= at < len(code) and code[at] == opmap["IMPORT_FROM"]


def refuse_import(module: str) -> NoReturn:
    """Raise ModuleNotFoundError, with what stands for PyTorch's module of this name."""
    ours = OURS[module.rpartition(".")[2]]
    raise ModuleNotFoundError(f"No module named {module!r}; here it is {ours}", name=module)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name most like the given one, if one is like it at all."""
    from difflib import get_close_matches  # only where a name is wrong

    found = get_close_matches(name, [n for n in names if not n.startswith("_")], 1, 0.75)
    return found[0] if found else None
