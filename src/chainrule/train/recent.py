"""What was used last is kept, and no more than so much."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """At most so many values by their keys: the least recently used one goes first.

    Args:
        most: how many values.

    Example:
        >>> kept = Recent(2)
        >>> kept.add("a", 1), kept.add("b", 2)
        (None, None)
        >>> kept.get("a")
        1
        >>> kept.add("c", 3)  # what had to go for it
        2
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[Key, Value] = {}  # the one used last is at the end

    def get(self, key: Key) -> Value | None:
        """The value of a key, which is now the one used last; None if it is not here."""
        value = self._values.pop(key, None)
        if value is not None:
            self._values[key] = value
        return value

    def add(self, key: Key, value: Value) -> Value | None:
        """Keep the value of a key that is not here; returns the value that had to go, or None."""
        gone = None
        if len(self._values) >= self._most:
            gone = self._values.pop(next(iter(self._values)))
        self._values[key] = value
        return gone

    def clear(self) -> None:
        """Keep none of them."""
        self._values.clear()

    def __iter__(self) -> Iterator[Value]:
        return iter(self._values.values())
