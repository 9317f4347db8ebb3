"""A least-recently-used (LRU) cache of fixed capacity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class LruCache(Generic[Key, Value]):
    """A mapping with at most `capacity` entries: the least recently used one is evicted first.

    Example:
        >>> cache = LruCache(capacity=2)
        >>> cache.add("a", 1), cache.add("b", 2)
        (None, None)
        >>> cache.get("a")
        1
        >>> cache.add("c", 3)  # the value that was evicted
        2
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._values: dict[Key, Value] = {}  # the most recently used one is last

    def get(self, key: Key) -> Value | None:
        """The value of a key, which becomes the most recently used; None if there is none."""
        value = self._values.pop(key, None)
        if value is not None:
            self._values[key] = value
        return value

    def add(self, key: Key, value: Value) -> Value | None:
        """Add an entry under a new key; returns the value that was evicted for it, or None."""
        evicted = None
        if len(self._values) >= self._capacity:
            evicted = self._values.pop(next(iter(self._values)))
        self._values[key] = value
        return evicted

    def __iter__(self) -> Iterator[Value]:
        return iter(self._values.values())
