"""Methods of an object that one thread at a time may be in, as a training is."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from chainrule.system import forks

P = ParamSpec("P")
Result = TypeVar("Result")


class Turn:
    """Which thread is training, and in which methods it is; a copy is free."""

    def __init__(self) -> None:
        self.lock = forks.lock()
        self.thread = 0
        self.inside: set[str] = set()

    def __reduce__(self) -> Any:
        if not self.lock.acquire(blocking=False):
            raise RuntimeError(
                "another thread trains what is to be copied: copy it before or after, or call "
                "save, which waits for the batch under way"
            )
        self.lock.release()
        return Turn, ()


class Trains(Protocol):
    """What has a turn."""

    _turn: Turn


Self = TypeVar("Self", bound=Trains)


def one_at_a_time(
    method: Callable[Concatenate[Self, P], Result],
) -> Callable[Concatenate[Self, P], Result]:
    """Let one thread at a time be in the methods that are decorated so; others get an error, and so
    does a method that is called from within itself.
    """
    name = method.__name__

    @functools.wraps(method)
    def only(self: Self, /, *args: P.args, **keywords: P.kwargs) -> Result:
        if not self._turn.lock.acquire(blocking=False):
            raise RuntimeError(
                f"this {type(self).__name__} is training in another thread; wait for its end, or "
                "give each thread a model and a Trainer of its own. Meanwhile it can predict, "
                "evaluate and save"
            )
        inside = self._turn.inside
        if self._turn.thread != threading.get_ident():
            self._turn.thread = threading.get_ident()
            inside.clear()  # a fork has not the thread that was in them
        try:
            if name in inside:
                raise RuntimeError(
                    f"{name} of this {type(self).__name__} is called from within itself, by a "
                    "callback: call it again when it has returned. To end it early a callback "
                    "calls stop"
                )
            inside.add(name)
            try:
                return method(self, *args, **keywords)
            finally:
                inside.remove(name)
        finally:
            self._turn.lock.release()

    return only
