"""The context in which a node is built: gradient mode, capture, layer path, origin."""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from chainrule.graph.state import State
    from chainrule.graph.tensor import Tensor


class Recorder(Protocol):
    """Records the reads and assignments of state while a graph is captured."""

    def read(self, state: State) -> Tensor: ...

    def assign(self, state: State, tensor: Tensor) -> None: ...

    def has_assigned(self, state: State) -> bool: ...


class Context:
    """The context of one thread; every new node reads it once.

    Attributes:
        modes: the modes of modules, by their id, that this thread alone sees; None outside
            `nn.Module.in_mode`.
    """

    __slots__ = ("capture", "grad_enabled", "modes", "origin", "path")

    def __init__(self) -> None:
        self.grad_enabled = True
        self.capture: Recorder | None = None
        self.modes: dict[int, bool] | None = None
        self.path = ""
        self.origin: Tensor | None = None


class _Local(threading.local):
    def __init__(self) -> None:
        self.context = Context()


local = _Local()


class _NoGrad(ContextDecorator):
    """A class, not a generator: a generator abandoned by Ctrl-C is finalised later and would
    restore a stale gradient mode."""

    def __enter__(self) -> None:
        context = local.context
        self._before = context.grad_enabled
        context.grad_enabled = False

    def __exit__(self, *error: object) -> None:
        local.context.grad_enabled = self._before

    def _recreate_cm(self) -> _NoGrad:
        return _NoGrad()


def no_grad() -> _NoGrad:
    """Keep no graph inside the block: results do not require gradients.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor(2.0, requires_grad=True)
        >>> with cr.no_grad():
        ...     (w * w).requires_grad
        False
    """
    return _NoGrad()
