"""Passes over a captured graph: prune, share equal nodes, fold constants and transposes.

The result is a list of Values: like the graph's nodes, but with what needs no computing taken away.
A reshape is the same memory under another shape; a broadcast is a way of reading; a transpose that
feeds a product is a flag of the product:

    t = transpose(W)
    z = matmul(x, t)         z = matmul(x, W, transpose_b=True)
    b = broadcast_to(0, s)   constant, 0 at every element of s
    d = sum(g, axes of 1)    reshape of g
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.compiler.capture import CapturedGraph
from chainrule.compiler.elementwise import ELEMENTWISE, compute_dtype
from chainrule.compiler.rows import update_rows
from chainrule.compiler.table_products import multiply_rows_in_place
from chainrule.compiler.values import (
    Uses,
    Value,
    ValueGraph,
    constant,
    constant_array,
    pruned,
    reshaped,
    shared,
    transposed,
)
from chainrule.compiler.views import concatenation_of_parts, heads_in_place, parts_put_together
from chainrule.graph.backprop import with_ancestors
from chainrule.graph.state import State
from chainrule.graph.tensor import Tensor
from chainrule.trees import leaves


def simplify(graph: CapturedGraph) -> ValueGraph:
    """The graph's nodes as Values: equal ones shared, those without work folded away."""
    values: dict[Tensor, Value] = {}
    known: dict[Any, Value] = {}
    numbers = {leaf: i for i, leaf in enumerate(graph.inputs)}
    read = {leaf: state for state, leaf in graph.reads.items()}
    order: list[Value] = []
    uses = Counter([i for node in graph.nodes for i in node.inputs])
    uses.update([*leaves(graph.outputs), *graph.updates.values()])
    for node in graph.nodes:
        if node.operation is None or node.value is not None:
            value = shared(_leaf(node, numbers, read), known)
        else:
            value = shared(_folded(node, values, uses), known)
        values[node] = value
        order.append(value)
    outputs = [values[node] for node in leaves(graph.outputs)]
    updates = {state: values[node] for state, node in graph.updates.items()}
    roots = [*outputs, *updates.values()]
    order = pruned(order, roots)
    multiply_rows_in_place(order)
    order = update_rows(order, updates)
    _cast_in_programs(order, set(roots))
    _derive_relu_from_its_result(order)
    order = _derive_relu_from_its_maximum(order, roots)
    order = pruned(order, roots)
    loss_gradients = _losses_with_gradients(order)
    return ValueGraph(order, outputs, updates, loss_gradients)


def _cast_in_programs(order: list[Value], roots: set[Value]) -> None:
    """Let programs convert a number as they load it: one that is cast, then broadcast to a shape.

    So the optimiser's float64 coefficients need no instruction each to become float32.
    """
    found: dict[Value, list[Value]] = {}  # the broadcasts of a number that is cast, and their users
    for value in order:
        for i in value.inputs if found else ():
            if i in found:
                found[i].append(value)
        if value.kind == "broadcast_to" and value not in roots:
            (cast,) = value.inputs
            if cast.kind == "astype" and cast.size == 1 and cast.dtype.kind == "f":
                (number,) = cast.inputs
                if number.dtype in (np.float32, np.float64, np.int64) and number.array is None:
                    found[value] = []
    for value, users in found.items():
        (cast,) = value.inputs
        if all([u.kind in ELEMENTWISE and compute_dtype(u) == cast.dtype for u in users]):
            value.inputs = cast.inputs


def _derive_relu_from_its_result(order: list[Value]) -> None:
    """Compute the derivative of relu from relu(x) in place of x.

    relu(x) > 0 exactly where x > 0. The next layer keeps relu(x), so x need not be kept.
    """
    results: dict[Value, Value] = {}
    for value in order:
        if value.kind == "relu":
            results[value.inputs[0]] = value
        elif value.kind == "heaviside" and value.inputs[0] in results:
            value.inputs = (results[value.inputs[0]],)


def _derive_relu_from_its_maximum(order: list[Value], roots: list[Value]) -> list[Value]:
    """Multiply a gradient by the derivative of relu before it is put where the maximum was.

    Where r = relu(x) is pooled, y = max_pool(r), the element at the maximum's place is y. So in
    place of put_taps(g, taps) * (r > 0) it is put_taps(g * (y > 0), taps), of fewer elements.
    """
    if not any([value.kind == "put_taps" for value in order]):
        return order
    readers = Counter(i for value in order for i in value.inputs)
    readers.update(roots)
    pooled: dict[Any, Value] = {}  # by what the taps are computed from, and how
    found: list[Value] = []
    for value in order:
        found.append(value)
        if value.kind == "max_pool":
            pooled[value.inputs[0], tuple(sorted(value.attributes.items()))] = value
        kinds = [i.kind for i in value.inputs]
        if value.kind != "multiply" or sorted(kinds) != ["heaviside", "put_taps"]:
            continue
        put = value.inputs[kinds.index("put_taps")]
        derivative = value.inputs[kinds.index("heaviside")]
        g, taps = put.inputs
        over = dict(put.attributes)
        del over["spatial"]
        largest = pooled.get((derivative.inputs[0], tuple(sorted(over.items()))))
        is_pooled = taps.kind == "max_pool_taps" and taps.inputs == derivative.inputs
        if largest is None or not is_pooled or taps.attributes != over or readers[put] != 1:
            continue
        of_largest = Value("heaviside", (largest,), {}, g.shape, g.dtype, value.node)
        scaled = Value("multiply", (g, of_largest), {}, g.shape, g.dtype, value.node)
        value.become("put_taps", (scaled, taps), put.attributes)
        found[-1:] = [of_largest, scaled, value]
    return found


def _losses_with_gradients(order: list[Value]) -> dict[Value, Value]:
    """Softmax cross-entropies whose gradients can be computed in the same pass over the logits.

    In `order` each gradient is moved next to its losses, and what it is scaled by before them:
    unless that depends on the losses.
    """
    loss_gradients: dict[Value, Value] = {}
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
        loss_gradients[losses] = grad
    return loss_gradients


def _leaf(node: Tensor, numbers: dict[Tensor, int], read: dict[Tensor, State]) -> Value:
    """The value of a leaf, or of a node of before the capture: an input, a state or a constant."""
    if node.value is not None:
        return constant_array(node.value, node)
    kind = "input" if node in numbers else "state"
    value = Value(kind, (), {}, node.shape, node.dtype, node)
    if kind == "input":
        value.number = numbers[node]
    else:
        value.state = read[node]
    return value


def _folded(node: Tensor, values: dict[Tensor, Value], uses: Uses) -> Value:
    """The value of a node; a simpler one, or an input, where a rule for its operation knows it.

    Args:
        node: the node.
        values: of its inputs, at least.
        uses: how often each node is used.
    """
    assert node.operation is not None
    inputs = tuple([values[i] for i in node.inputs])
    kind = node.operation.name
    for rule in _RULES.get(kind, ()):
        value = rule(node, inputs, uses)
        if value is not None:
            return value
    return Value(kind, inputs, node.attributes, node.shape, node.dtype, node)


def _skip(node: Tensor, inputs: tuple[Value, ...], uses: Uses) -> Value:
    """An operation that gradients alone know is its input: they are in the graph already."""
    return inputs[0]


def _choice_of_equals(node: Tensor, inputs: tuple[Value, ...], uses: Uses) -> Value | None:
    """A choice between a value and itself, as where no gradient shall pass, is that value."""
    return inputs[1] if inputs[1] is inputs[2] else None


def _reshape(node: Tensor, inputs: tuple[Value, ...], uses: Uses) -> Value:
    """A reshape of a reshape is one; to the shape that there was before, it is none."""
    return reshaped(inputs[0], node.shape, node)


def _transpose(node: Tensor, inputs: tuple[Value, ...], uses: Uses) -> Value:
    """As `transposed`; and (A B)^T = B^T A^T, if nothing else needs A B."""
    (product,) = inputs
    value = transposed(product, node.attributes["axes"], node)
    if (
        value.kind != "transpose"
        or product.kind != "matmul"
        or uses[node.inputs[0]] != 1
        or not _swaps_matrices(node.attributes, node.shape)
    ):
        return value
    (a, b), flags = product.inputs, product.attributes
    swapped = {
        "transpose_a": not flags.get("transpose_b", False),
        "transpose_b": not flags.get("transpose_a", False),
    }
    return Value("matmul", (b, a), swapped, node.shape, node.dtype, node)


def _product_of_transposes(node: Tensor, inputs: tuple[Value, ...], uses: Uses) -> Value:
    """A transposed factor is a flag of the product."""
    factors, flags = list(inputs), dict(node.attributes)
    for i, flag in enumerate(("transpose_a", "transpose_b")):
        factor = factors[i]
        if factor.kind == "transpose" and _swaps_matrices(factor.attributes, factor.shape):
            factors[i] = factor.inputs[0]
            flags[flag] = not flags.get(flag, False)
    return Value("matmul", tuple(factors), flags, node.shape, node.dtype, node)


def _broadcast_of_number(node: Tensor, inputs: tuple[Value, ...], uses: Uses) -> Value | None:
    """A broadcast constant of one number is such a constant of another shape."""
    fill = inputs[0].fill
    return None if fill is None else constant(fill, node.shape, node.dtype, node)


def _sum_of_one(node: Tensor, inputs: tuple[Value, ...], uses: Uses) -> Value | None:
    """A sum over axes of length 1 is a reshape."""
    if any(inputs[0].shape[a] != 1 for a in node.attributes["axes"]):
        return None
    return Value("reshape", (inputs[0],), {}, node.shape, node.dtype, node)


_Rule = Callable[[Tensor, "tuple[Value, ...]", Uses], "Value | None"]
_RULES: dict[str, tuple[_Rule, ...]] = {
    "divide_gradient": (_skip,),
    "gradient_hook": (_skip,),
    "stop_gradient": (_skip,),
    "reshape": (_reshape,),
    "transpose": (_transpose,),
    "attention": (heads_in_place,),
    "attention_lse": (heads_in_place,),
    "attention_grad": (heads_in_place,),
    "add_n": (parts_put_together,),
    "concatenate": (concatenation_of_parts,),
    "matmul": (_product_of_transposes,),
    "broadcast_to": (_broadcast_of_number,),
    "sum": (_sum_of_one,),
    "where": (_choice_of_equals,),
}
"""By operation: what gives the simpler value of a node, or None where there is none. The rules are
told how often each node is used."""


def _swaps_matrices(attributes: dict[str, Any], shape: tuple[int, ...]) -> bool:
    """Whether a transpose turns each matrix of a stack around, and does nothing else."""
    ndim = len(shape)
    return bool(attributes["axes"] == (*range(ndim - 2), ndim - 1, ndim - 2))
