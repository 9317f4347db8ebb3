"""What code is a user's, and which names it reads."""

from __future__ import annotations

import dis
import sys
from collections.abc import Mapping
from functools import cached_property, lru_cache
from types import CodeType, FunctionType, MemberDescriptorType, SimpleNamespace
from typing import Any

import numpy as np

from chainrule.graph.context import MISSING

PLAIN: frozenset[type] = frozenset(
    (int, float, bool, str, bytes, complex, type(None), type(...), slice)
)
_ENTRIES = frozenset(
    ("forward", "__call__", "apply", "update", "sums", "rule", "group_rule", "coefficients")
)
"""The methods of a user's class by which the library calls it while a graph is captured."""
_NEVER_CALLED = frozenset(
    f"__{name}__"
    for name in (
        "init", "new", "del", "repr", "str", "eq", "hash", "copy", "deepcopy", "reduce",
        "reduce_ex", "getstate", "setstate", "init_subclass", "set_name", "class_getitem",
        "post_init", "replace",
    )
)  # fmt: skip
"""The special methods of a user's class that make, copy and show objects."""
_BY_ANY_NAME = frozenset(("getattr", "attrgetter", "vars", "__dict__", "__getattribute__"))
_OWN_ROOMS = ("chainrule.nn", "chainrule.train.metrics", "chainrule.train.step_options")
_OWN_FILES = ("chainrule.optim.averaging", "chainrule.optim.constraints", "chainrule.optim.groups")


@lru_cache(1024)
def is_watched(module: str) -> bool:
    """Whether the code of a module is a user's: of no library."""
    root = module.partition(".")[0]
    if root in ("chainrule", "numpy") or (root in sys.stdlib_module_names and root != "__main__"):
        return False
    file = getattr(sys.modules.get(root), "__file__", None) or ""
    return "site-packages" not in file and "dist-packages" not in file


def is_watched_object(kind: type) -> bool:
    """Whether the attributes of such an object count: of a user's, and of what has `Number`s."""
    module = kind.__module__
    return (
        is_watched(module)
        or kind is SimpleNamespace
        or module in _OWN_FILES
        or module.startswith(_OWN_ROOMS)
    )


@lru_cache(1024)
def loaded_names(code: CodeType) -> tuple[str, ...]:
    """The global names that a function and those within it read."""
    names = {
        i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names.update(loaded_names(constant))
    return tuple(sorted(names))


@lru_cache(1024)
def attribute_names(code: CodeType) -> frozenset[str]:
    """All names of attributes that a function and those within it read, or may: any string that it
    holds may be one, as in ``getattr(self, "scale")`` or ``vars(self)["scale"]``."""
    nested = [attribute_names(c) for c in code.co_consts if isinstance(c, CodeType)]
    strings = (c for c in code.co_consts if isinstance(c, str) and c.isidentifier())
    return frozenset(code.co_names).union(strings, *nested)


def names_any(names: frozenset[str]) -> bool:
    """Whether a function with these `attribute_names` may make up others, as ``f"scale{i}"``."""
    return not names.isdisjoint(_BY_ANY_NAME)


def names_itself(code: CodeType) -> bool:
    """Whether a function names itself, as for an attribute of its own."""
    return code.co_name in loaded_names(code) or code.co_name in code.co_freevars


def foreign_attributes(value: Any) -> dict[str, Any]:
    """The attributes of an object of another library's class, without running code of it."""
    if type(value).__module__.partition(".")[0] == "chainrule":
        return {}
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return attributes if isinstance(attributes, dict) else {}


def slot_names(kind: type) -> list[str]:
    """The attributes of a user's class that are no items of a `__dict__`."""
    return [
        name
        for base in kind.__mro__
        if is_watched(base.__module__)
        for name, member in vars(base).items()
        if isinstance(member, MemberDescriptorType)
    ]


def constants(namespace: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of plain values and containers in a class or a Python module."""
    kinds = (*PLAIN, list, tuple, dict, set, np.ndarray)
    return tuple(n for n, v in namespace.items() if type(v) in kinds and not n.startswith("__"))


def entries(namespace: Mapping[str, Any]) -> tuple[str, ...]:
    """The methods of a class that no code need name: `_ENTRIES`, operators and the like."""
    return tuple(
        name
        for name, value in namespace.items()
        if isinstance(value, FunctionType)
        and (name in _ENTRIES or (name.startswith("__") and name not in _NEVER_CALLED))
    )


def has_cached(kind: type, name: str | None = None) -> bool:
    """Whether a class computes this attribute, or any, once by `functools.cached_property`."""
    return any(
        isinstance(value, cached_property) and name in (None, key)
        for base in kind.__mro__
        for key, value in vars(base).items()
    )


def is_full(cell: Any) -> bool:
    """Whether a variable of an outer function has its value."""
    try:
        return cell.cell_contents is not MISSING
    except ValueError:
        return False
