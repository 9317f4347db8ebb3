"""Ctrl-C: ends a training after the batch under way, and waits while things belong together."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Handler = Callable[[int, Any], Any]
"""A Python function that Ctrl-C calls: (number of the signal, frame)."""


class Interrupts:
    """Hands Ctrl-C on to a handler, or holds it back until it may act.

    Made by `interrupts_to` and `interrupts_held`. At first it holds back.
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
            self._lets_through = False  # the way out of the block is held, from its first step on
            raise

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """Within it Ctrl-C acts, also one that came before."""
        self._lets_through = True
        try:
            self.act_on_waiting()
            yield
        finally:
            self._lets_through = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside `let_through`: a part that Ctrl-C does not end, but acts after."""
        self._lets_through = False
        try:
            yield
        finally:
            self._lets_through = True
            self.act_on_waiting()

    def act_on_waiting(self) -> None:
        """Let Ctrl-C act where it has been held back."""
        if self._is_waiting:
            self._is_waiting = False
            signal.raise_signal(signal.SIGINT)


@contextmanager
def interrupts_held() -> Iterator[Interrupts]:
    """Hold Ctrl-C back until the end of the block, but for what `let_through` encloses.

    What must be undone whatever happens goes between the two::

        with interrupts_held() as interrupts, exchanged(), interrupts.let_through():
            ...

    Here neither the exchange nor the way back is ever left half done. Blocks may be nested. Where
    Ctrl-C calls no Python function, and outside the main thread, there is nothing to hold.
    """
    with _in_charge(lambda before: before) as interrupts:
        yield interrupts


@contextmanager
def interrupts_to(stop: Callable[[str], None]) -> Iterator[Interrupts]:
    """As `interrupts_held`, but a Ctrl-C calls `stop("interrupted")`; a second one acts at once.

    Where someone else's handler is in charge, that one is called.
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

    with _in_charge(stopping) as interrupts:
        yield interrupts


@contextmanager
def _in_charge(instead: Callable[[Handler], Handler]) -> Iterator[Interrupts]:
    """Ctrl-C is handed on to what stands `instead` of the handler that is in charge before."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield Interrupts(None)
        return
    interrupts = Interrupts(instead(before))
    signal.signal(signal.SIGINT, interrupts)
    try:
        yield interrupts
    finally:
        last = signal.signal(signal.SIGINT, before)
        if last is not interrupts:  # someone has put another in charge
            signal.signal(signal.SIGINT, last)
        interrupts.act_on_waiting()
