"""Interception: a function that is called in place of each module of a model, for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from chainrule.graph.context import local

Around = Callable[..., Any]
"""(module, forward, *inputs, **keywords) -> what the call returns; `forward` is the module's."""


@contextmanager
def intercepted(model: Any, around: Around) -> Iterator[None]:
    """Inside the block every call of a module of `model` is a call of `around`, in this thread.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> def shown(module, forward, x):
        ...     y = forward(x)
        ...     print(type(module).__name__, y.shape)
        ...     return y
        >>> model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
        >>> with intercepted(model, shown):
        ...     _ = model(cr.tensor([[1.0, 2.0, 3.0]]))
        Linear (1, 2)
        ReLU (1, 2)
        Sequential (1, 2)
    """
    context = local.context
    before = context.around
    now = dict(before or {})
    for module in model.modules():
        now[id(module)] = (*now.get(id(module), ()), around)
    context.around = now
    try:
        yield
    finally:
        context.around = before


def intercepted_forward(module: Any) -> Callable[..., Any]:
    """What this thread calls as a module's forward."""
    forward: Callable[..., Any] = module.forward
    for around in (local.context.around or {}).get(id(module), ()):
        forward = partial(around, module, forward)
    return forward
