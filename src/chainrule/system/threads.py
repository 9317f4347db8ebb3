"""The number of threads of native runs, and of the library that computes NumPy's products."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from chainrule import checks
from chainrule._core import MOST_THREADS
from chainrule.system import forks
from chainrule.system.cpus import allowed_cpus, usable_cpus

_VARIABLE = "CHAINRULE_NUM_THREADS"
_KEY = os.environ.encodekey(_VARIABLE)

_threads: int | None = None
_usable_cpus = cache(usable_cpus)  # which reads several files
_numpy_is_held = False
_first_numbers: dict[str, int] = {}
"""By the path of a library: its number of threads before the first change."""

_limiting = forks.lock()
_limits: Any = None
_in_one_thread = 0
"""How many threads of Python are in a block `one_blas_thread`."""


class _Local(threading.local):
    share: ThreadShare | None = None
    """Whose block this thread of Python is in."""


_local = _Local()


def get_num_threads() -> int:
    """The number of threads of a native run, and the most of an eager product.

    This is the number given to `set_num_threads`; else that in the environment variable
    CHAINRULE_NUM_THREADS; else the number of CPUs that this process may keep busy. Trainings side
    by side, as those of an `Ensemble`, share them: in their threads it is the number of each.
    """
    share = _local.share
    return _of_process() if share is None else share.each()


def _of_process() -> int:
    if _threads is not None:
        return _threads
    variables = getattr(os.environ, "_data", None)  # undecoded: this is asked before every run
    given = os.environ.get(_VARIABLE) if variables is None or _KEY in variables else None
    return checked_threads(given, _VARIABLE) if given else _usable_cpus()


def set_num_threads(threads: int | None) -> None:
    """Set the number of threads of native runs and of NumPy's products; None means the default.

    The eager loop computes with NumPy, whose BLAS would start a thread for each CPU that it sees,
    even where a container may keep few of them busy. By default it has no more threads than native
    runs. Results of native runs do not depend on the number.

    Raises:
        TypeError: if it is no whole number.
        ValueError: if the number is below 1 or above the maximum.

    Example:
        >>> import chainrule as cr
        >>> cr.set_num_threads(1)
        >>> cr.get_num_threads()
        1
        >>> cr.set_num_threads(None)
    """
    global _threads, _numpy_is_held
    _threads = (
        None if threads is None else checked_threads(checks.count("threads", threads), "threads")
    )
    for library in _numpy_libraries():
        first = _first_numbers.setdefault(library.filepath, library.num_threads)
        library.set_num_threads(min(first, _of_process()) if threads is None else _threads)
    _numpy_is_held = True


class ThreadShare:
    """What several threads of Python share: a number of threads of native runs.

    Each gets an equal part, at least 1: of those that are in the block `taken` at the time.

    Args:
        total: the number; None for `get_num_threads()` as it is now.
    """

    def __init__(self, total: int | None = None) -> None:
        self._total = get_num_threads() if total is None else total
        self._users = 0
        self._lock = forks.lock()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Native runs of this thread have their part inside the block."""
        before = _local.share
        with self._lock:
            self._users += 1
        _local.share = self
        try:
            yield
        finally:
            _local.share = before
            with self._lock:
                self._users -= 1

    def each(self) -> int:
        """The number of threads of each user now."""
        return max(1, self._total // max(1, self._users))


def hold_numpy() -> None:
    """Let NumPy's products use no more threads than native runs; called before each product."""
    global _numpy_is_held
    if _numpy_is_held:
        return
    if _of_process() < allowed_cpus():  # else the library's own default is right
        set_num_threads(_threads)
    _numpy_is_held = True


def numpy_threads() -> int | None:
    """The number of threads of NumPy's products now; None where no library tells it."""
    return max((library.num_threads for library in _numpy_libraries()), default=None)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """While it is open, products and solvers of NumPy and SciPy run in one thread.

    Their results are the same bits on any number of CPUs then, and their threads, which spin for
    0.1 s after each call, leave the CPUs to others. Several threads of Python may be in such
    blocks: the number is again what it was when the last of them leaves.
    """
    global _in_one_thread, _limits
    with _limiting:
        if not _in_one_thread:
            from threadpoolctl import threadpool_limits  # a fifth of the time of our import

            hold_numpy()  # which would take the one thread for the library's own default
            _limits = threadpool_limits(1, user_api="blas")
        _in_one_thread += 1
    try:
        yield
    finally:
        with _limiting:
            _in_one_thread -= 1
            if not _in_one_thread:
                _limits.restore_original_limits()


def _numpy_libraries() -> list[Any]:
    """The BLAS libraries of this process but the core's, which runs one thread a call."""
    from threadpoolctl import ThreadpoolController  # a fifth of the time of our import

    found = ThreadpoolController().select(user_api="blas").lib_controllers
    return [library for library in found if "scipy_openblas32" not in library.filepath]


def checked_threads(given: int | str, name: str) -> int:
    """A number of threads; raises ValueError for one out of range."""
    try:
        threads = int(given)
    except ValueError:
        threads = 0
    if not 1 <= threads <= MOST_THREADS:
        raise ValueError(f"{name} is a whole number in 1 ... {MOST_THREADS}, got {given!r}")
    return threads
