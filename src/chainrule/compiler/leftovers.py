"""Leftovers: the Tensors of a captured graph that modules hold after the capture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from chainrule.compiler.capture import CapturedGraph
from chainrule.compiler.signature import signature
from chainrule.errors import SymbolicError
from chainrule.graph.context import MISSING
from chainrule.graph.leftover import Leftover
from chainrule.graph.tensor import Tensor

_MOST_CAPTURES = 4
"""Where each capture differs from the one before it, as random numbers that NumPy draws do, the
attributes are not the reason."""


class Leftovers:
    """The attributes of modules that a captured function sets to Tensors of its graph.

    They are allowed where they are only kept to be looked at. But where a later call would read
    them, the graph would know no more than what it read at the capture. So a `Leftover`, which
    refuses to be read, takes their place, and the function is captured once more. Where it then
    does something else, as it may find an attribute set that was None, its first call differs from
    the later ones, and no graph stands for both.

    Attributes:
        before: the attributes of the modules before the capture.
        kept: what has taken the place of each that the last capture has set, by (module, name).
    """

    def __init__(self, modules: Iterable[Any] = ()) -> None:
        self.before: dict[Any, dict[str, Any]] = {}
        self.kept: dict[tuple[Any, str], Leftover] = {}
        self._ever_kept: dict[tuple[Any, str], Leftover] = {}
        self._captures: list[Any] = []
        for module in modules:
            self.watch(module)

    def watch(self, module: Any) -> None:
        """Remember the attributes of a module that is about to be called or changed."""
        if module not in self.before:
            self.before[module] = dict(vars(module))

    def take(self, content: Callable[[], Any]) -> bool:
        """Put a `Leftover` in place of each; whether the function shall be captured once more.

        Args:
            content: gives what has been captured, to be compared.

        Raises:
            SymbolicError: if the first call would differ from later ones.
        """
        captures, is_new = self._captures, self._replace()
        if not (is_new or captures):
            return False
        captures.append(content())
        is_settled = len(captures) > 1 and captures[-1] == captures[-2]
        if (is_new or not is_settled) and len(captures) < _MOST_CAPTURES:
            return True
        if is_settled and captures[-1] != captures[0]:
            names = ", ".join([str(kept.name) for kept in self._ever_kept.values()])
            raise SymbolicError(
                f"a later call would compute otherwise than the first one, as {names} is set then, "
                "and the graph is the same at every call. Make it a chainrule.Buffer, which is "
                "there from the first call on, or set the attribute before"
            )
        return False

    def _replace(self) -> bool:
        """Put a `Leftover` in place of each; whether there are new ones."""
        is_new, self.kept = False, {}
        for module, before in self.before.items():
            for name, value in vars(module).items():
                if not _is_symbolic(value) or isinstance(value, Leftover):
                    continue
                held = self._ever_kept.get((module, name), before.get(name))
                spec = value.shape, value.dtype
                if not isinstance(held, Leftover):
                    is_new = True
                if not isinstance(held, Leftover) or (held.shape, held.dtype) != spec:
                    held = Leftover(*spec, name, type(module).__name__)
                self.kept[module, name] = vars(module)[name] = held
        self._ever_kept |= self.kept
        return is_new

    def captured(self, capture: Callable[[], CapturedGraph]) -> CapturedGraph:
        """The graph that `capture` makes; nothing is left if it fails.

        Raises:
            SymbolicError: if a later call would read what it leaves, or differ from the first.
        """
        try:
            graph = capture()
            while self.take(partial(signature, graph, id, is_whole=True)):
                graph = capture()
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


def put_in_place(kept: dict[tuple[Any, str], Leftover]) -> dict[tuple[Any, str], Tensor]:
    """Let each replace a Tensor alike that was set since, as by an eager call; those replaced."""
    replaced = {}
    for (module, name), stand_in in kept.items():
        held = vars(module).get(name)
        if type(held) is not Tensor or held.value is None:
            continue
        if (held.shape, held.dtype) == (stand_in.shape, stand_in.dtype):
            replaced[module, name] = held
            vars(module)[name] = stand_in
    return replaced


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
