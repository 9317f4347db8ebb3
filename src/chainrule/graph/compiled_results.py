"""Tensors that a compiled function returned, whose graph is not kept."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from chainrule.graph.operation import Operation, Spec, no_flops
from chainrule.graph.tensor import Array, Tensor


def _compiled(parameters: Array) -> Array:
    """All that a compiled function did to compute a result, which has its value: never called."""
    raise NotImplementedError


class _Compiled(Operation):
    """Stands for all that a compiled function did to compute a result. No graph is built of it."""

    def __init__(self) -> None:
        super().__init__(
            "compiled",
            lambda parameters: Spec(parameters.shape, parameters.dtype),
            _compiled,
            lambda random: [],
            flops=no_flops,
        )

    def _register(self) -> None:
        """It is in no registry: nobody computes with it."""

    def __reduce__(self) -> Any:
        return "COMPILED"

    def bprop(self, node: Tensor, index: int, grad_output: Tensor) -> NoReturn:
        raise without_graph(node)


COMPILED = _Compiled()

_PLAIN: dict[str, Any] = {}
_PARAMETERS = Tensor(np.zeros((), np.float32), requires_grad=True)


def compiled_result(value: Array, requires_grad: bool) -> Tensor:
    """A result of a compiled function.

    Args:
        requires_grad: whether in the eager loop `backward` would reach leaves through it.
    """
    tensor = Tensor(value, requires_grad)
    if requires_grad:
        tensor.operation, tensor.inputs = COMPILED, (_PARAMETERS,)
    else:
        tensor.attributes = _PLAIN
    return tensor


def is_compiled(tensor: Tensor) -> bool:
    """Whether a compiled function returned the Tensor."""
    return tensor.operation is COMPILED or tensor.attributes is _PLAIN


def without_graph(result: Tensor) -> ValueError:
    """The error of a gradient through a result."""
    return ValueError(
        f"a Tensor of shape {result.shape} was computed by a compiled function, which keeps no "
        "graph: call backward() inside that function. For a constant call the function within "
        "no_grad(), or take detach() of the result"
    )
