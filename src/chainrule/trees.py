"""Tuples, lists and dicts of Tensors: taken apart into leaves, and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


def leaves(structure: Any) -> Iterator[Any]:
    """What hangs in nested tuples, lists and dicts, from left to right; None is no leaf.

    A dict's values come in the order of its sorted keys: equal dicts have equal leaves.
    """
    if isinstance(structure, Mapping):
        for key in sorted(structure, key=str):
            yield from leaves(structure[key])
    elif isinstance(structure, (tuple, list)):
        for value in structure:
            yield from leaves(value)
    elif structure is not None:
        yield structure


def map_leaves(function: Callable[[Any], Any], structure: Any) -> Any:
    """The same structure with `function` applied to every leaf, in the order of `leaves`."""
    if isinstance(structure, Mapping):
        found = {key: map_leaves(function, structure[key]) for key in sorted(structure, key=str)}
        return {key: found[key] for key in structure}
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*(map_leaves(function, value) for value in structure))
    if isinstance(structure, (tuple, list)):
        return type(structure)(map_leaves(function, value) for value in structure)
    return None if structure is None else function(structure)
