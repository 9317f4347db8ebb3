"""Trees: nested tuples, lists and dicts. Their leaves, and a function mapped over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from typing import Any


def _place(key: Any) -> tuple[str, str]:
    return str(key), type(key).__name__


def leaves(structure: Any) -> Iterator[Any]:
    """The leaves of nested tuples, lists and dicts, from left to right; None is not a leaf.

    The values of a dict are in the order of its sorted keys, so equal dicts have equal leaves.
    """
    if isinstance(structure, Mapping):
        for key in sorted(structure, key=_place):
            yield from leaves(structure[key])
    elif isinstance(structure, (tuple, list)):
        for value in structure:
            yield from leaves(value)
    elif structure is not None:
        yield structure


def map_leaves(function: Callable[[Any], Any], structure: Any) -> Any:
    """The same structure with `function` applied to every leaf, in the order of `leaves`."""
    if isinstance(structure, Mapping):
        keys = sorted(structure, key=_place)
        mapped = {key: map_leaves(function, structure[key]) for key in keys}
        return {key: mapped[key] for key in structure}
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*(map_leaves(function, value) for value in structure))
    if isinstance(structure, (tuple, list)):
        return type(structure)(map_leaves(function, value) for value in structure)
    return None if structure is None else function(structure)


def with_values(given: dict[Any, Any], function: Callable[[Any], Any]) -> Any:
    """A dict of the class of another, with `function` applied to every value."""
    made = copy(given)
    for key, value in given.items():
        made[key] = function(value)
    return made


def with_leaves(structure: Any, values: Iterable[Any]) -> Any:
    """The same structure with other leaves: `values`, in the order of `leaves`."""
    rest = iter(values)
    return map_leaves(lambda _: next(rest), structure)
