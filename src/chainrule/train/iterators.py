"""Iterators that a captured function advances: later calls go on with what they gave it once."""

from __future__ import annotations

import gc
import io
from collections.abc import Iterable, Iterator
from itertools import count
from operator import is_, length_hint
from types import FrameType, GeneratorType
from typing import Any, NamedTuple

from chainrule.train.user_code import foreign_attributes


class Position(NamedTuple):
    """How far an iterator has come, as far as Python shows it.

    Attributes:
        what: what it is, for a message.
        parts: the objects that it refers to, such as the variables of a generator.
        numbers: places in code, and how many items are left.
    """

    what: str
    iterator: Iterator[Any]
    parts: list[Any]
    numbers: list[Any]

    def has_moved(self) -> bool:
        """Whether the iterator has been advanced since."""
        now = position(self.what, self.iterator)
        is_same = len(now.parts) == len(self.parts) and all(map(is_, now.parts, self.parts))
        return not is_same or now.numbers != self.numbers


def position(what: str, iterator: Iterator[Any]) -> Position:
    """How far an iterator has come, and those that it takes its items from."""
    parts: list[Any] = []
    numbers: list[Any] = []
    seen: set[int] = set()
    left: list[Any] = [iterator]
    while left:
        value = left.pop()
        parts.append(value)
        if id(value) in seen or not isinstance(value, (Iterator, tuple, FrameType)):
            continue
        seen.add(id(value))
        if type(value) is GeneratorType:
            left.append(value.gi_frame)  # once it is read, it is a referent, too
        left += foreign_attributes(value).values()
        left += gc.get_referents(value)
        if isinstance(value, FrameType):
            numbers.append(value.f_lasti)
        elif isinstance(value, count):
            numbers.append(repr(value))
        elif hasattr(type(value), "__length_hint__"):
            numbers.append(length_hint(value, -1))
    return Position(what, iterator, parts, numbers)


def is_iterator(kind: type) -> bool:
    """Whether objects of a class give items one after another, and are no files.

    A mock has the methods of everything, and changes where it is called.
    """
    is_other = issubclass(kind, io.IOBase) or kind.__module__ == "unittest.mock"
    return issubclass(kind, Iterator) and not is_other


def moved(positions: Iterable[Position]) -> str:
    """The iterators that have been advanced since, for a message; "" where there are none."""
    return ", ".join(f"the iterator {p.what}" for p in positions if p.has_moved())
