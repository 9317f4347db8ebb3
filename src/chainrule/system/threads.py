"""The number of threads of native runs."""

from __future__ import annotations

import os
from functools import cache

from chainrule._core import MOST_THREADS
from chainrule.system.cpus import usable_cpus

_threads: int | None = None
_usable_cpus = cache(usable_cpus)  # which reads several files


def get_num_threads() -> int:
    """The number of threads of a native run.

    This is the number given to `set_num_threads`; else that in the environment variable
    CHAINRULE_NUM_THREADS; else the number of CPUs that this process may keep busy.
    """
    if _threads is not None:
        return _threads
    given = os.environ.get("CHAINRULE_NUM_THREADS", "")
    if given:
        return _checked_threads(given, "CHAINRULE_NUM_THREADS")
    return _usable_cpus()


def set_num_threads(threads: int | None) -> None:
    """Set the number of threads of native runs; None means the default.

    Results do not depend on it.

    Raises:
        ValueError: if the number is below 1 or above the maximum.

    Example:
        >>> import chainrule as cr
        >>> cr.set_num_threads(1)
        >>> cr.get_num_threads()
        1
        >>> cr.set_num_threads(None)
    """
    global _threads
    _threads = None if threads is None else _checked_threads(threads, "threads")


def _checked_threads(given: int | str, name: str) -> int:
    try:
        threads = int(given)
    except ValueError:
        threads = 0
    if not 1 <= threads <= MOST_THREADS:
        raise ValueError(f"{name} is a whole number in 1 ... {MOST_THREADS}, got {given!r}")
    return threads
