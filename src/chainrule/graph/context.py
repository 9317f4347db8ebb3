"""The context in which a node is built: gradient mode, capture, layer path, origin."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from functools import partial, wraps
from inspect import isgeneratorfunction
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, overload

if TYPE_CHECKING:
    from chainrule.graph.state import State
    from chainrule.graph.tensor import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])
Result = TypeVar("Result")

MISSING = object()
"""What an attribute is that is not there."""


class Recorder(Protocol):
    """Records what a function does to state while its graph is captured."""

    def read(self, state: State) -> Tensor: ...

    def assign(self, state: State, tensor: Tensor) -> None: ...

    def gradient(self, state: State) -> Tensor | None:
        """What `.grad` of the state is now."""

    def set_gradient(self, state: State, grad: Tensor | None) -> None: ...

    def takes_gradients(self, leaf: Tensor) -> bool:
        """Whether `backward` may fill the `.grad` of this leaf."""

    def stepped(self, optimizer: Any) -> None:
        """An optimiser has made its step from `.grad` of its parameters."""

    def uses(self, module: Any) -> None:
        """A module is called."""

    def sets(self, module: Any, name: str, before: Any) -> None:
        """An attribute of a module, which was `before`, is set."""


class Context:
    """The context of one thread; every new node reads it once.

    Attributes:
        modes: the modes of modules, by their id, that this thread alone sees; None outside
            `nn.Module.in_mode`.
        around: what this thread calls in place of modules, by their id; None as a rule.
        shared: what `shared_gradient` keeps during a backward pass; None outside of one.
    """

    __slots__ = ("around", "capture", "grad_enabled", "modes", "origin", "path", "shared")

    def __init__(self) -> None:
        self.grad_enabled = True
        self.capture: Recorder | None = None
        self.modes: dict[int, bool] | None = None
        self.around: dict[int, tuple[Callable[..., Any], ...]] | None = None
        self.shared: dict[tuple[Tensor, Tensor], Any] | None = None
        self.path = ""
        self.origin: Tensor | None = None


class _Local(threading.local):
    def __init__(self) -> None:
        self.context = Context()


local = _Local()


class _NoGrad(ContextDecorator):
    """A class, not a generator: a generator abandoned by Ctrl-C is finalised later and would
    restore a stale gradient mode."""

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        context = local.context
        self._before.append(context.grad_enabled)
        context.grad_enabled = False

    def __exit__(self, *error: object) -> None:
        local.context.grad_enabled = self._before.pop()

    def _recreate_cm(self) -> _NoGrad:
        return _NoGrad()

    def __call__(self, function: Function) -> Function:
        """The function with its body inside the block; of a generator what it does at each step."""
        if not isgeneratorfunction(function):
            return super().__call__(function)

        @wraps(function)
        def generator(*arguments: Any, **keywords: Any) -> Any:
            steps = function(*arguments, **keywords)
            resume = partial(next, steps)
            while True:
                try:
                    with _NoGrad():
                        item = resume()
                except StopIteration as end:
                    return end.value
                try:
                    resume = partial(steps.send, (yield item))
                except GeneratorExit:
                    with _NoGrad():
                        steps.close()
                    raise
                except BaseException as error:
                    resume = partial(steps.throw, error)

        return cast(Function, generator)


@overload
def no_grad() -> _NoGrad: ...


@overload
def no_grad(function: Function) -> Function: ...


def no_grad(function: Any = None) -> Any:
    """Keep no graph inside the block: results do not require gradients.

    It decorates functions and generators, too: `@no_grad()`, or `@no_grad`. The derivatives of a
    function, as of `value_and_grad` and `jacobian`, are computed inside it as outside.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor(2.0, requires_grad=True)
        >>> with cr.no_grad():
        ...     (w * w).requires_grad
        False
    """
    if function is None:
        return _NoGrad()
    if not callable(function):
        raise TypeError(f"no_grad takes nothing, or a function to decorate; got {function!r:.80}")
    return _NoGrad()(function)


def with_gradients(function: Callable[[], Result]) -> Result:
    """What a function returns, called with gradients enabled, inside `no_grad` too."""
    context = local.context
    before, context.grad_enabled = context.grad_enabled, True
    try:
        return function()
    finally:
        context.grad_enabled = before
