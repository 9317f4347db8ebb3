"""How many threads native runs use."""

from __future__ import annotations

import os
from functools import cache

from chainrule._core import MOST_THREADS

_threads: int | None = None


def get_num_threads() -> int:
    """How many threads a native run uses.

    The number given to `set_num_threads`; else that in the environment variable
    CHAINRULE_NUM_THREADS; else the CPUs that this process may really use.
    """
    if _threads is not None:
        return _threads
    given = os.environ.get("CHAINRULE_NUM_THREADS", "")
    if given:
        return _checked_threads(given, "CHAINRULE_NUM_THREADS")
    return _usable_cpus()


@cache
def _usable_cpus() -> int:
    """What the machine gives, found out once: it reads several files."""
    from chainrule.system.machine import usable_cpus  # slow to import

    return usable_cpus()


def set_num_threads(threads: int | None) -> None:
    """Let native runs use so many threads; None means the default. Results do not depend on it.

    Raises:
        ValueError: if the number is not at least 1.

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
