"""The collector of Python's garbage, held while graphs and plans are built.

After so many new objects the collector looks whether cycles of old ones can go. A long graph is a
million new objects, none of which can go while it is built: to look costs half of the time. What
a process has made up to the end of its first graph counts as old then: most of it, as modules,
lasts.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from chainrule.system import forks

_lock = forks.lock()
_holders: set[int] = set()  # the threads within `collector_held`
_was_enabled = False
_has_held = False


@contextmanager
def collector_held() -> Iterator[None]:
    """Within it the collector does not run by itself, in any thread; afterwards as before.

    Blocks may be nested, and several threads may be within one: the last to leave it counts. It
    stands within `interrupts_held`, as a change that must be undone in every case.
    """
    if threading.get_ident() in _holders:
        yield
        return
    _hold()
    try:
        yield
    finally:
        _release({threading.get_ident()})


def _hold() -> None:
    global _was_enabled
    with _lock:
        if not _holders:
            _was_enabled = gc.isenabled()
            gc.disable()
        _holders.add(threading.get_ident())


def _release(threads: set[int]) -> None:
    with _lock:
        if not _holders.isdisjoint(threads):
            _holders.difference_update(threads)
            if not _holders and _was_enabled:
                _let_objects_be_old()
                gc.enable()


def _let_objects_be_old() -> None:
    """Let a full collection be the first to look at the objects that there are; does so once."""
    global _has_held
    if not _has_held and not gc.get_freeze_count():  # what the program froze itself stays so
        gc.freeze()
        gc.unfreeze()
    _has_held = True


def _forget_other_threads() -> None:
    """Release what other threads held: a fork has the one that forked only."""
    _release(_holders - {threading.get_ident()})


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_other_threads)
