"""Fingerprints of settings: equal ones, equal graphs of an update."""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any

import numpy as np

from chainrule.optim.hyperparameters import Declaration

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...))


def fingerprint(value: Any) -> Any:
    """A hashable value that differs where a setting does.

    Plain values and arrays are compared by their content, also within tuples, lists, dicts and
    sets; anything else by its identity.
    """
    return _fingerprint(value, set())


def _fingerprint(value: Any, within: set[int]) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return kind, repr(value)  # which tells 0.0 from -0.0, and NaN equals itself
    if id(value) in within:
        return id(value)
    inner = within | {id(value)}
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, np.generic):
        return kind, repr(value)
    if isinstance(value, Mapping):
        items = [(_fingerprint(k, inner), _fingerprint(v, inner)) for k, v in value.items()]
        return kind, tuple(items)
    if isinstance(value, (tuple, list)):
        return kind, tuple([_fingerprint(element, inner) for element in value])
    if isinstance(value, (set, frozenset)):
        return kind, frozenset([_fingerprint(element, inner) for element in value])
    return kind, _Same(value)


class _Same:
    """Equal for one object alone, which it keeps, so that no other gets its id."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def class_constants(kind: type) -> dict[str, Any]:
    """What a class defines besides its methods and declarations."""
    if kind.__module__.startswith("chainrule.optim."):
        return {}
    return {
        name: value
        for name, value in vars(kind).items()
        if not name.startswith("__")
        and not isinstance(value, (FunctionType, property, classmethod, staticmethod, Declaration))
    }
