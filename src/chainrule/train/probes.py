"""Probes: whether a Python object still is what it was at a capture."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from operator import attrgetter, is_
from types import CellType
from typing import Any

import numpy as np

from chainrule.errors import printable
from chainrule.graph.context import MISSING
from chainrule.graph.tensor import Array

_contents = attrgetter("cell_contents")
_BY_DIGITS = frozenset((float, complex, slice))


class Probe:
    """The base of all probes; what an object is, is read when its probe is made.

    Args:
        what: what the object is, for a message.
        target: the object.
    """

    __slots__ = ("target", "what")

    def __init__(self, what: str, target: Any) -> None:
        self.what = what
        self.target = target

    def holds(self) -> bool:
        """Whether the object still is what it was."""
        raise NotImplementedError

    def changed(self) -> list[tuple[int, Any]]:
        """What stands for the object, once it has changed, among the `ignored` of `Facts`."""
        return [(id(self.target), None)]

    def __str__(self) -> str:
        return self.what


class Names(Probe):
    """These names of a mapping have these very values; and it has that many, if `length` says."""

    __slots__ = ("length", "names", "values")

    def __init__(
        self, what: str, target: Mapping[Any, Any], names: tuple[Any, ...], length: int | None
    ) -> None:
        super().__init__(what, target)
        self.names = names
        self.values = tuple(map(target.get, names))
        self.length = length

    def holds(self) -> bool:
        if self.length is not None and len(self.target) != self.length:
            return False
        return all(map(is_, map(self.target.get, self.names), self.values))

    def changed(self) -> list[tuple[int, Any]]:
        """(id of the mapping, name) of those that have other values."""
        get = self.target.get
        names = [n for n, v in zip(self.names, self.values, strict=True) if get(n) is not v]
        return [(id(self.target), name) for name in names]

    def __str__(self) -> str:
        added = [] if self.length is None else list(self.target)[self.length :]
        changed = [
            f"{printable(str(name))} {self.what}"
            for name in [*(n for _, n in self.changed()), *added]
        ]
        return ", ".join(changed) or f"names {self.what}"


class Entries(Names):
    """A mapping has these very keys, in this order, and these very values of its names."""

    __slots__ = ("keys",)

    def __init__(self, what: str, target: Mapping[Any, Any], names: tuple[Any, ...]) -> None:
        super().__init__(what, target, names, len(target))
        self.keys = tuple(target)

    def holds(self) -> bool:
        return super().holds() and all(map(is_, self.target, self.keys))


class Items(Probe):
    """A sequence holds these very objects."""

    __slots__ = ("values",)

    def __init__(self, what: str, target: Any) -> None:
        super().__init__(what, target)
        self.values = tuple(target)

    def holds(self) -> bool:
        return len(self.target) == len(self.values) and all(map(is_, self.target, self.values))


class Cells(Probe):
    """The outer variables of a function, those that have values, hold these very objects."""

    __slots__ = ("cells", "values")

    def __init__(self, what: str, target: Any, cells: tuple[CellType, ...]) -> None:
        super().__init__(what, target)
        self.cells = cells
        self.values = tuple(map(_contents, cells))

    def holds(self) -> bool:
        return all(map(is_, map(_contents, self.cells), self.values))


class Slots(Probe):
    """These attributes of an object are these very objects."""

    __slots__ = ("names", "values")

    def __init__(self, what: str, target: Any, names: list[str]) -> None:
        super().__init__(what, target)
        self.names = names
        self.values = self._now()

    def _now(self) -> tuple[Any, ...]:
        return tuple([getattr(self.target, name, MISSING) for name in self.names])

    def holds(self) -> bool:
        return all(map(is_, self._now(), self.values))


class Content(Probe):
    """What `read` gives of an object, as the content of an array or a set, is equal to this."""

    __slots__ = ("content", "read")

    def __init__(self, what: str, target: Any, read: Callable[[Any], Any]) -> None:
        super().__init__(what, target)
        self.read = read
        self.content = read(target)

    def holds(self) -> bool:
        return bool(self.read(self.target) == self.content)


def exact(value: Any) -> Any:
    """A hashable value that tells plain ones apart by type and digits: 1 equals True, 0.0 -0.0.

    It does so within tuples and sets, too, and NaN equals itself.
    """
    kind = type(value)
    if isinstance(value, tuple):
        return kind, tuple(map(exact, value))
    if isinstance(value, (set, frozenset)):
        return kind, frozenset(map(exact, value))
    return kind, repr(value) if kind in _BY_DIGITS or isinstance(value, np.generic) else value


def checksum(array: Array) -> Any:
    """A number that another content hardly has, with the shape."""
    if array.dtype.hasobject:
        return array.shape, repr(array.tolist())
    return array.shape, array.dtype.str, zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data)
