"""Interception: a function that is called in place of each module of a model, for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from chainrule.nn.module import Module

Around = Callable[..., Any]
"""(module, forward, *inputs, **keywords) -> what the call returns; `forward` is the module's."""


@contextmanager
def intercepted(model: Module, around: Around) -> Iterator[None]:
    """Inside the block every call of a module of `model` is a call of `around`.

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
    modules = list(model.modules())
    own = [vars(module).get("forward") for module in modules]  # an instance may have its own
    try:
        for module in modules:
            object.__setattr__(module, "forward", partial(around, module, module.forward))
        yield
    finally:
        for module, forward in zip(modules, own, strict=True):
            vars(module).pop("forward", None)
            if forward is not None:
                object.__setattr__(module, "forward", forward)
