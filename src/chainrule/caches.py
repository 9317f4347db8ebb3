"""A least-recently-used (LRU) cache of fixed capacity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from chainrule.system import forks

Key = TypeVar("Key")
Value = TypeVar("Value")
_adding = forks.lock()


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
        self._entries: dict[Key, _Entry[Value]] = {}
        self._clock = 0

    def get(self, key: Key) -> Value | None:
        """The value of a key, which becomes the most recently used; None if there is none.

        Threads may call it at once, and beside one that adds: no entry is missing for a moment.
        """
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._clock = entry.used = self._clock + 1
        return entry.value

    def add(self, key: Key, value: Value) -> Value | None:
        """Add an entry under a new key; returns the value that was evicted for it, or None."""
        evicted = None
        with _adding:
            if len(self._entries) >= self._capacity:
                oldest = min(self._entries, key=lambda key: self._entries[key].used)
                evicted = self._entries.pop(oldest).value
            self._clock += 1
            self._entries[key] = _Entry(value, self._clock)
        return evicted

    def __iter__(self) -> Iterator[Value]:
        return iter([entry.value for entry in list(self._entries.values())])


class _Entry(Generic[Value]):
    """A value, and when it was used last."""

    __slots__ = ("used", "value")

    def __init__(self, value: Value, used: int) -> None:
        self.value = value
        self.used = used
