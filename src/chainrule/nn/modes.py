"""The mode of a module, training or evaluation: a thread that captures sees one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, overload

from chainrule.graph.context import local


class Mode:
    """Descriptor: whether a module is in training mode.

    Inside `modes_of_this_thread` it reads and sets what this thread alone sees.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, owner: None, kind: type) -> Mode: ...
    @overload
    def __get__(self, owner: Any, kind: type) -> bool: ...
    def __get__(self, owner: Any, kind: type) -> Mode | bool:
        if owner is None:
            return self
        modes = local.context.modes
        if modes is not None and id(owner) in modes:
            return modes[id(owner)]
        try:
            found: bool = vars(owner)[self.name]
            return found
        except KeyError:
            raise AttributeError(
                f"{type(owner).__name__}: call super().__init__() before reading {self.name}"
            ) from None

    def __set__(self, owner: Any, mode: bool) -> None:
        modes = local.context.modes
        if modes is not None and self.name in vars(owner):
            modes[id(owner)] = mode
            return
        vars(owner)[self.name] = mode
        if modes is not None:  # of a module that is being made, and may have the id of one gone
            modes.pop(id(owner), None)


@contextmanager
def modes_of_this_thread() -> Iterator[None]:
    """Inside the block a change of a module's mode is seen by this thread alone; then it is gone.

    So a thread that captures a step in training mode does not disturb one that predicts.
    """
    context = local.context
    before = context.modes
    context.modes = {} if before is None else dict(before)
    try:
        yield
    finally:
        context.modes = before
