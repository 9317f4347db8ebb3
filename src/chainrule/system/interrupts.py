"""Ctrl-C: deferred while a change is half done, or handed to a function that stops a training."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Handler = Callable[[int, Any], Any]
"""A Python function that handles Ctrl-C: (number of the signal, frame)."""


class Interrupts:
    """A handler of Ctrl-C that defers it, or passes it to another handler.

    Made by `interrupts_to` and `interrupts_held`. At first Ctrl-C is deferred.
    """

    def __init__(self, handler: Handler | None) -> None:
        self._handler = handler
        self._lets_through = False
        self._is_waiting = False

    def __call__(self, number: int, frame: Any) -> None:
        assert self._handler is not None
        if not self._lets_through:
            self._is_waiting = True
            return
        try:
            self._handler(number, frame)
        except BaseException:
            self._lets_through = False  # defer Ctrl-C at once while the error leaves the block
            raise

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """Let Ctrl-C act inside this block; a deferred one acts at its start."""
        self._lets_through = True
        try:
            self.act_on_waiting()
            yield
        finally:
            self._lets_through = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside `let_through`: defer Ctrl-C until the end of this block."""
        self._lets_through = False
        try:
            yield
        finally:
            self._lets_through = True
            self.act_on_waiting()

    def act_on_waiting(self) -> None:
        """Let a deferred Ctrl-C act."""
        if self._is_waiting:
            self._is_waiting = False
            signal.raise_signal(signal.SIGINT)


@contextmanager
def interrupts_held() -> Iterator[Interrupts]:
    """Defer Ctrl-C until the end of the block, except inside `let_through`.

    A change that must be undone in every case stands between the two::

        with interrupts_held() as interrupts, exchanged(), interrupts.let_through():
            ...

    Ctrl-C then interrupts neither the exchange nor its reversal. Blocks may be nested. Where no
    Python function handles Ctrl-C, and outside the main thread, there is nothing to defer.
    """
    with _installed(lambda before: before) as interrupts:
        yield interrupts


@contextmanager
def interrupts_to(stop: Callable[[str], None]) -> Iterator[Interrupts]:
    """As `interrupts_held`, but a Ctrl-C calls `stop("interrupted")`; a second one acts at once.

    A handler that the program has installed itself is called in place of `stop`.
    """

    def stopping(before: Handler) -> Handler:
        if before is not signal.default_int_handler:
            return before
        has_stopped = False

        def interrupt(number: int, frame: Any) -> None:
            nonlocal has_stopped
            if has_stopped:
                before(number, frame)
            has_stopped = True
            stop("interrupted")

        return interrupt

    with _installed(stopping) as interrupts:
        yield interrupts


@contextmanager
def _installed(replace: Callable[[Handler], Handler]) -> Iterator[Interrupts]:
    """Install an `Interrupts` that passes Ctrl-C to `replace(handler installed before)`."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield Interrupts(None)
        return
    interrupts = Interrupts(replace(before))
    signal.signal(signal.SIGINT, interrupts)
    try:
        yield interrupts
    finally:
        last = signal.signal(signal.SIGINT, before)
        if last is not interrupts:  # the block has installed another handler: keep that
            signal.signal(signal.SIGINT, last)
        interrupts.act_on_waiting()
