"""Trees: nested tuples, lists and dicts. Their leaves, and a function mapped over them."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping
from types import MemberDescriptorType
from typing import Any

_BUILT_IN = (tuple, list, dict)


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
    """A dict of the class of another, with `function` applied to every value.

    Raises:
        TypeError: if it has attributes, too.
    """
    kind = type(given)
    if kind is dict:
        return {key: function(value) for key, value in given.items()}
    check_items_only(given)
    base = _base(kind)
    made: Any = base.__new__(kind)
    if isinstance(given, defaultdict):
        base.__init__(made, given.default_factory)
    for key, value in base.items(given):
        base.__setitem__(made, key, function(value))
    return made


def items(given: dict[Any, Any]) -> ItemsView[Any, Any]:
    """The items that a dict holds, also where its class gives others."""
    return given.items() if type(given) is dict else _base(type(given)).items(given)


def elements(sequence: Any) -> Iterator[Any]:
    """The elements that a tuple or a list holds, also where its class gives others."""
    return (tuple if isinstance(sequence, tuple) else list).__iter__(sequence)


def _base(kind: type) -> Any:
    """The class of Python that holds the items of a class of dicts."""
    return next(base for base in (OrderedDict, defaultdict, dict) if issubclass(kind, base))


def own_attributes(collection: Any) -> list[str]:
    """The attributes of a tuple, a list or a dict: what it holds besides its items."""
    kind = type(collection)
    slots = [
        name
        for base in kind.__mro__
        if "__slots__" in vars(base)
        for name, member in vars(base).items()
        if isinstance(member, MemberDescriptorType)
    ]
    return [*map(str, collection.__dict__ if kind.__dictoffset__ else ()), *slots]


def check_items_only(collection: Any) -> None:
    """Raise TypeError if a tuple, a list or a dict has attributes, too."""
    kind = type(collection)
    if kind not in _BUILT_IN and (names := own_attributes(collection)):
        plain = next(base for base in _BUILT_IN if issubclass(kind, base)).__name__
        raise TypeError(
            f"a compiled function takes and returns only the items of a {plain}, but this "
            f"{kind.__name__} has attributes, too: {', '.join(names):.80}. Use a plain {plain}, "
            f"as {plain}(value), and pass what else is needed beside it"
        )


def with_leaves(structure: Any, values: Iterable[Any]) -> Any:
    """The same structure with other leaves: `values`, in the order of `leaves`."""
    rest = iter(values)
    return map_leaves(lambda _: next(rest), structure)
