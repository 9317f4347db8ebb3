"""The mode of a module, training or evaluation: a thread that captures sees one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, overload

from chainrule.graph.context import local
from chainrule.nn.traversal import Traversed

M = TypeVar("M", bound="Moded")


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


class Moded(Traversed):
    """The base of a module: what puts it into training or evaluation mode."""

    training = Mode()

    def train(self: M, mode: bool = True) -> M:
        """Put this module and all within it into training mode, or out of it.

        It calls `train` of each child. A class that keeps a part in evaluation mode overrides it::

            def train(self, mode=True):
                super().train(mode)
                self.backbone.eval()
                return self

        Raises:
            ValueError: for a mode that is no bool.
        """
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is expected to be boolean, got {mode!r}")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: M) -> M:
        """Put this module and all within it into evaluation mode: `train(False)`.

        In a model that is in training mode a part in evaluation mode is a frozen layer: a Trainer
        leaves it so. If the model itself is in evaluation mode, training puts all of it into
        training mode.
        """
        return self.train(False)

    @contextmanager
    def in_mode(self, training: bool) -> Iterator[None]:
        """Within it this module and all within it are in training mode, or in evaluation mode.

        In training mode a part stays in evaluation mode if `eval` put it there while what it
        lies in is in training mode, or if a `train` method keeps it there. Other threads see no
        change, and afterwards each has the mode that it had before.

        Example:
            >>> from chainrule import nn
            >>> layer = nn.Dropout(0.5)
            >>> with layer.in_mode(False):
            ...     print(layer.training)
            False
            >>> layer.training
            True
        """
        frozen = self._frozen(above=False, seen=set()) if training else []
        with modes_of_this_thread():
            self.train(training)
            for module in frozen:
                module.training = False
            yield

    def _frozen(self, *, above: bool, seen: set[tuple[Moded, bool]]) -> list[Moded]:
        """The modules in evaluation mode that lie in one in training mode; `above` is one."""
        if (self, above) in seen:
            return []
        seen.add((self, above))
        found = [self] if above and not self.training else []
        for module in self.children():
            found += module._frozen(above=above or self.training, seen=seen)
        return found
