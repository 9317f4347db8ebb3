"""Probes: whether a Python object still is what it was at a capture."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from operator import attrgetter, is_
from typing import Any, NamedTuple

import numpy as np

from chainrule.graph.context import MISSING
from chainrule.graph.tensor import Array

_contents = attrgetter("cell_contents")


class Names(NamedTuple):
    """A probe: these names of a mapping have these very values, and it has so many names."""

    what: str
    mapping: Mapping[Any, Any]
    names: tuple[Any, ...]
    values: tuple[Any, ...]
    length: int | None

    def holds(self) -> bool:
        """Whether they still have them."""
        if self.length is not None and len(self.mapping) != self.length:
            return False
        return all(map(is_, map(self.mapping.get, self.names), self.values))

    def changed(self) -> list[tuple[int, Any]]:
        """(id of the mapping, name) of those that have others."""
        get = self.mapping.get
        names = [n for n, v in zip(self.names, self.values, strict=True) if get(n) is not v]
        return [(id(self.mapping), name) for name in names]

    def __str__(self) -> str:
        return (
            ", ".join(f"{name} {self.what}" for _, name in self.changed()) or f"names {self.what}"
        )


class Items(NamedTuple):
    """A probe: a sequence holds these very objects."""

    what: str
    target: Any
    values: tuple[Any, ...]

    def holds(self) -> bool:
        """Whether it still does."""
        return len(self.target) == len(self.values) and all(map(is_, self.target, self.values))

    def changed(self) -> list[tuple[int, Any]]:
        """What stands for it among the ignored."""
        return [(id(self.target), None)]

    def __str__(self) -> str:
        return self.what


class Cells(NamedTuple):
    """A probe: the outer variables of a function hold these very objects."""

    what: str
    target: Any
    cells: tuple[Any, ...]
    values: tuple[Any, ...]

    def holds(self) -> bool:
        """Whether they still do."""
        return all(map(is_, map(_contents, self.cells), self.values))

    def changed(self) -> list[tuple[int, Any]]:
        """What stands for them among the ignored."""
        return [(id(self.target), None)]

    def __str__(self) -> str:
        return self.what


class Slots(NamedTuple):
    """A probe: these attributes of an object are these very objects."""

    what: str
    target: Any
    names: tuple[str, ...]
    values: tuple[Any, ...]

    def holds(self) -> bool:
        """Whether they still are."""
        now = [getattr(self.target, name, MISSING) for name in self.names]
        return all(map(is_, now, self.values))

    def changed(self) -> list[tuple[int, Any]]:
        """What stands for them among the ignored."""
        return [(id(self.target), None)]

    def __str__(self) -> str:
        return self.what


class Content(NamedTuple):
    """A probe: an array, or a set, has this content."""

    what: str
    target: Any
    read: Callable[[Any], Any]
    content: Any

    def holds(self) -> bool:
        """Whether it still has it."""
        return bool(self.read(self.target) == self.content)

    def changed(self) -> list[tuple[int, Any]]:
        """What stands for it among the ignored."""
        return [(id(self.target), None)]

    def __str__(self) -> str:
        return self.what


def checksum(array: Array) -> Any:
    """A number that another content hardly has, with the shape."""
    if array.dtype.hasobject:
        return array.shape, repr(array.tolist())
    return array.shape, array.dtype.str, zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data)


Probe = Names | Items | Cells | Slots | Content
