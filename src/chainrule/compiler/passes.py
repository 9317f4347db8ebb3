"""Passes over a captured graph: prune, share equal nodes, fold constants and transposes.

The result is a list of Values: like the graph's nodes, but with what needs no computing taken away.
A reshape is the same memory under another shape; a broadcast is a way of reading; a transpose that
feeds a product is a flag of the product.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from chainrule.compiler.capture import CapturedGraph
from chainrule.compiler.elementwise import ELEMENTWISE, compute_dtype
from chainrule.compiler.values import LEAVES, Step, Value
from chainrule.graph.backprop import with_ancestors
from chainrule.graph.tensor import Tensor
from chainrule.trees import leaves


def simplify(graph: CapturedGraph) -> Step:
    """The graph's nodes as Values: equal ones shared, those without work folded away."""
    values: dict[Tensor, Value] = {}
    shared: dict[Any, Value] = {}
    numbers = {leaf: i for i, leaf in enumerate(graph.inputs)}
    order: list[Value] = []
    uses = Counter(i for node in graph.nodes for i in node.inputs)
    uses.update([*leaves(graph.outputs), *graph.updates.values()])
    for node in graph.nodes:
        if node.operation is None or node.value is not None:
            value = _shared(_leaf(node, numbers), shared)
        else:
            inputs = tuple([values[i] for i in node.inputs])
            single = all(uses[i] == 1 for i in node.inputs)
            value = _shared(_folded(node, inputs, single), shared)
        values[node] = value
        order.append(value)
    outputs = [values[node] for node in leaves(graph.outputs)]
    updates = {state: values[node] for state, node in graph.updates.items()}
    roots = [*outputs, *updates.values()]
    order = _pruned(order, roots)
    _read_casts_where_they_lie(order, set(roots))
    _derive_relu_from_its_result(order)
    order = _pruned(order, roots)
    paired = _losses_with_gradients(order)
    return Step(order, outputs, updates, paired)


def _read_casts_where_they_lie(order: list[Value], roots: set[Value]) -> None:
    """Let programs convert a number as they load it: one that is cast, then spread over a shape.

    So the optimiser's float64 coefficients need no instruction each to become float32.
    """
    users: dict[Value, list[Value]] = {}
    for value in order:
        for i in value.inputs:
            users.setdefault(i, []).append(value)
    for value in order:
        if value.kind != "broadcast_to" or value in roots:
            continue
        (cast,) = value.inputs
        if cast.kind != "astype" or cast.size != 1 or cast.dtype.kind != "f":
            continue
        (number,) = cast.inputs
        if number.dtype not in (np.float32, np.float64, np.int64) or number.array is not None:
            continue
        if all(u.kind in ELEMENTWISE and compute_dtype(u) == cast.dtype for u in users[value]):
            value.inputs = (number,)


def _derive_relu_from_its_result(order: list[Value]) -> None:
    """relu(x) > 0 exactly where x > 0: so the derivative needs relu(x), which the next layer keeps,
    and x need not be kept."""
    results: dict[Value, Value] = {}
    for value in order:
        if value.kind == "relu":
            results[value.inputs[0]] = value
        elif value.kind == "heaviside" and value.inputs[0] in results:
            value.inputs = (results[value.inputs[0]],)


def _losses_with_gradients(order: list[Value]) -> dict[Value, Value]:
    """Softmax cross-entropies whose gradients can be computed in the same pass over the logits.

    In `order` each is moved next to its losses, and what scales it before them: unless that depends
    on the losses.
    """
    paired: dict[Value, Value] = {}
    grads = {v.inputs[1:]: v for v in order if v.kind == "softmax_cross_entropy_grad"}
    for losses in [v for v in order if v.kind == "softmax_cross_entropy"]:
        grad = grads.get(losses.inputs)
        if grad is None:
            continue
        ahead = with_ancestors([grad])
        if losses in ahead:
            continue
        at = order.index(losses)
        late = [v for v in order[at:] if v in ahead]
        order[at:] = [*late[:-1], losses, grad, *(v for v in order[at + 1 :] if v not in ahead)]
        paired[losses] = grad
    return paired


def _leaf(node: Tensor, numbers: dict[Tensor, int]) -> Value:
    if node.value is None and node in numbers:
        value = Value("input", (), {}, node.shape, node.dtype, node)
        value.number = numbers[node]
    elif node.value is None:
        value = Value("state", (), {}, node.shape, node.dtype, node)
        value.state = node.state
    else:
        value = Value("constant", (), {}, node.shape, node.dtype, node)
        value.array = node.value
    return value


def _folded(node: Tensor, inputs: tuple[Value, ...], single: bool) -> Value:
    """The value of a node; one of its inputs where the operation changes nothing.

    `single` says that nothing else uses the inputs.
    """
    assert node.operation is not None
    kind, attributes = node.operation.name, node.attributes
    if kind == "stop_gradient":
        return inputs[0]
    if kind in ("reshape", "transpose") and _keeps_order(kind, inputs[0], attributes):
        source = inputs[0].inputs[0] if inputs[0].kind == "reshape" else inputs[0]
        if source.shape == node.shape:
            return source
        return Value("reshape", (source,), {}, node.shape, node.dtype, node)
    if kind == "broadcast_to" and inputs[0].fill is not None:
        value = Value("constant", (), {}, node.shape, node.dtype, node)
        value.array = np.broadcast_to(inputs[0].array, node.shape)  # type: ignore[arg-type]
        return value
    if kind == "sum" and all(inputs[0].shape[a] == 1 for a in attributes["axes"]):
        return Value("reshape", (inputs[0],), {}, node.shape, node.dtype, node)
    if kind == "transpose" and single and _is_of_product(inputs[0], attributes):
        (a, b), flags = inputs[0].inputs, inputs[0].attributes
        swapped = {
            "transpose_a": not flags.get("transpose_b", False),
            "transpose_b": not flags.get("transpose_a", False),
        }
        return Value("matmul", (b, a), swapped, node.shape, node.dtype, node)
    if kind == "matmul":
        a, b = inputs
        flags = dict(attributes)
        if _swaps_matrices(a):
            a = a.inputs[0]
            flags["transpose_a"] = not flags.get("transpose_a", False)
        if _swaps_matrices(b):
            b = b.inputs[0]
            flags["transpose_b"] = not flags.get("transpose_b", False)
        return Value(kind, (a, b), flags, node.shape, node.dtype, node)
    return Value(kind, inputs, attributes, node.shape, node.dtype, node)


def _keeps_order(kind: str, x: Value, attributes: dict[str, Any]) -> bool:
    """Whether the elements stay in their order: then only the shape's name changes."""
    if kind == "reshape":
        return True
    moved = [a for a in attributes["axes"] if x.shape[a] != 1]
    return moved == sorted(moved)


def _swaps_matrices(x: Value) -> bool:
    return x.kind == "transpose" and x.attributes["axes"] == _swap(len(x.shape))


def _is_of_product(x: Value, attributes: dict[str, Any]) -> bool:
    """Whether a transpose turns a product of matrices around: (A B)^T = B^T A^T."""
    return x.kind == "matmul" and attributes["axes"] == _swap(len(x.shape))


def _swap(ndim: int) -> tuple[int, ...]:
    """The order of axes that transposes each matrix of a stack."""
    return (*range(ndim - 2), ndim - 1, ndim - 2)


def _shared(value: Value, shared: dict[Any, Value]) -> Value:
    """An equal value met before, or this one."""
    number = value.fill
    if number is not None:
        key: Any = ("fill", number, np.signbit(number), value.shape, value.dtype)
        return shared.setdefault(key, value)
    if value.kind in LEAVES:
        return value
    key = (
        value.kind,
        tuple([id(i) for i in value.inputs]),
        tuple(sorted(value.attributes.items())) if value.attributes else (),
        value.shape,
        value.dtype,
    )
    return shared.setdefault(key, value)


def _pruned(order: Iterable[Value], roots: list[Value]) -> list[Value]:
    needed = with_ancestors(roots)
    return [value for value in dict.fromkeys(order) if value in needed]
