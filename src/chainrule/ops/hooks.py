"""A hook on a gradient: a function that sees it, or replaces it, on its way back."""

from __future__ import annotations

from collections.abc import Callable

from chainrule.errors import ShapeError
from chainrule.graph.operation import no_flops, operation
from chainrule.graph.tensor import Array, Tensor, as_tensor
from chainrule.ops.declare import same_spec
from chainrule.ops.samples import examples

Hook = Callable[[Tensor], "Tensor | None"]


@operation(same_spec, examples((((3, 4),), {"hook": lambda g: None})), flops=no_flops)
def _gradient_hook(x: Array, hook: Hook) -> Array:
    """x itself; its gradient passes through `hook`."""
    return x


@_gradient_hook.differentiable
def _hooked(g: Tensor, y: Tensor, x: Tensor, hook: Hook) -> Tensor:
    found = hook(g)
    if found is None:
        return g
    found = as_tensor(found)
    if found.shape != g.shape:
        raise ShapeError(f"a hook gave a gradient of shape {found.shape}, not {g.shape}")
    return found.astype(g.dtype)


def gradient_hook(x: Tensor, hook: Hook) -> Tensor:
    """x, whose gradient is what `hook` returns for it; or itself, where the hook returns None."""
    return _gradient_hook.apply(x, hook=hook)
