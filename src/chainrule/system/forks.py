"""Locks across forks: in a child those that the parent's other threads held are free."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Protocol

_locks: weakref.WeakSet[Any] = weakref.WeakSet()


class Lock(Protocol):
    """What `lock` gives."""

    def acquire(self, blocking: bool = True) -> bool: ...

    def release(self) -> None: ...

    def __enter__(self) -> bool: ...

    def __exit__(self, kind: Any, error: Any, traceback: Any, /) -> None: ...


def lock() -> Lock:
    """A lock, which the thread that holds it may take again.

    A child has none of its parent's threads but the one that forked. Of the others nobody would
    release a lock, and the child would wait for ever.
    """
    made = threading.RLock()
    _locks.add(made)
    return made


def _free() -> None:
    for held in list(_locks):
        if not held._is_owned():  # by the thread that forked, which releases it
            held._at_fork_reinit()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_free)
