"""Leftovers: the Tensors of a captured graph that modules hold after the capture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from chainrule.graph.context import MISSING
from chainrule.graph.not_kept import NotKept
from chainrule.graph.tensor import Tensor

Graph = TypeVar("Graph")


class Leftovers:
    """The attributes of modules that a captured function sets to Tensors of its graph.

    They are allowed where they are only kept to be looked at. But where a later call would read
    them, the graph would know no more than what it read at the capture. So a `NotKept`, which
    refuses to be read, takes their place, and the function is captured once more.

    Attributes:
        before: the attributes of the modules before the capture.
    """

    def __init__(self, modules: Iterable[Any] = ()) -> None:
        self.before: dict[Any, dict[str, Any]] = {}
        self._is_second = False
        for module in modules:
            self.watch(module)

    def watch(self, module: Any) -> None:
        """Remember the attributes of a module that is about to be called or changed."""
        if module not in self.before:
            self.before[module] = dict(vars(module))

    def take(self) -> bool:
        """Put a `NotKept` in place of each; whether the function shall be captured once more."""
        is_new = False
        for module, before in self.before.items():
            for name, value in vars(module).items():
                if not _is_symbolic(value) or isinstance(value, NotKept):
                    continue
                held, spec = before.get(name), (value.shape, value.dtype)
                if not isinstance(held, NotKept):
                    is_new = True
                if not isinstance(held, NotKept) or (held.shape, held.dtype) != spec:
                    held = NotKept(*spec, name, type(module).__name__)
                vars(module)[name] = held
        is_second, self._is_second = self._is_second, True
        return is_new and not is_second

    def captured(self, capture: Callable[[], Graph]) -> Graph:
        """The graph that `capture` makes; nothing is left if it fails.

        Raises:
            SymbolicError: if a later call would read what it leaves.
        """
        try:
            graph = capture()
            if self.take():
                graph = capture()
                self.take()
        except BaseException:
            self.set_back()
            raise
        return graph

    def set_back(self) -> None:
        """Let the attributes be what they were before."""
        for module, before in self.before.items():
            for name, value in list(vars(module).items()):
                if _is_symbolic(value) and value is not before.get(name):
                    set_back(module, name, before.get(name, MISSING))


def set_back(module: Any, name: str, before: Any) -> None:
    """Let an attribute be what it was before, or be missing."""
    if before is MISSING:
        if name in vars(module):
            delattr(module, name)
    else:
        setattr(module, name, before)


@contextmanager
def nothing_left(modules: Iterable[Any]) -> Iterator[None]:
    """After it modules hold no Tensors of the graph that is captured within it."""
    leftovers = Leftovers(modules)
    try:
        yield
    finally:
        leftovers.set_back()


def _is_symbolic(value: Any) -> bool:
    return isinstance(value, Tensor) and value.value is None
