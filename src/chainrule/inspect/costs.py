"""What the nodes of a step cost: floating-point operations, as textbooks count them."""

from __future__ import annotations

import math

from chainrule.compiler.capture import capture
from chainrule.compiler.elementwise import ELEMENTWISE
from chainrule.compiler.plan import Plan
from chainrule.compiler.values import LEAVES, Value
from chainrule.graph.state import State
from chainrule.graph.tensor import placeholder

_FREE = {
    "argmax",
    "broadcast_to",
    "astype",
    "concatenate",
    "gather",
    "one_hot",
    "pad",
    "random_uniform",
    "reshape",
    "slice",
    "stop_gradient",
    "transpose",
    "unslice",
}
_PER_INPUT_ELEMENT = {  # a softmax takes the largest, subtracts it, takes exp, sums, divides
    "logsumexp": 4,
    "max": 1,
    "min": 1,
    "scatter_add": 1,
    "softmax_cross_entropy": 4,
    "sum": 1,
}
_PER_ELEMENT = {"first_equal": 1, "log_softmax": 4, "softmax": 4, "softmax_cross_entropy_grad": 4}


def connections(value: Value) -> int:
    """The multiply-adds of a product of matrices: one for each connection and row."""
    if value.kind != "matmul":
        return 0
    a = value.inputs[0].shape
    return value.size * a[-2 if value.attributes.get("transpose_a") else -1]


def flops(value: Value) -> int:
    """2 m n k for a product of matrices, 1 an element for what is computed element by element, 1 an
    input's element for sums, 4 for softmax and its relatives, 0 for moving and rounding.

    What is none of these costs what the compiler counts for its kernels.
    """
    if value.kind in LEAVES or value.kind in _FREE:
        return 0
    if value.kind == "matmul":
        return 2 * connections(value)
    if value.kind == "add_n":
        return (len(value.inputs) - 1) * value.size
    if value.kind in ELEMENTWISE:
        return value.size
    if value.kind in _PER_INPUT_ELEMENT:
        return _PER_INPUT_ELEMENT[value.kind] * value.inputs[0].size
    if value.kind in _PER_ELEMENT:
        return _PER_ELEMENT[value.kind] * value.size
    return _of_the_plan(value)


class _NoStates:
    def offset(self, state: State) -> int:
        raise KeyError(state)


def _of_the_plan(value: Value) -> int:
    """The FLOPs of the plan of this operation alone."""
    operation = value.node.operation
    assert operation is not None
    inputs = [placeholder(i.shape, i.dtype) for i in value.inputs]
    graph = capture(lambda *x: operation.apply(*x, **value.attributes), *inputs)
    return Plan(graph, _NoStates()).flops


def kept_for(value: Value) -> Value:
    """The value in whose memory this one lies: reshapes and broadcasts take none of their own."""
    while value.kind in ("reshape", "broadcast_to"):
        value = value.inputs[0]
    return value


def nbytes(value: Value) -> int:
    """The bytes of a value."""
    return math.prod(value.shape) * value.dtype.itemsize
