"""Weights that many products take transposed are transposed once.

    z_t = h_t W^T for t = 1, 2, ...     V = W^T, z_t = h_t V

A product transposes its factor, panel by panel, as it reads it. Of few rows, as a step of a
recurrent layer has, that takes as long as a third of the product.
"""

from __future__ import annotations

from collections import Counter

from chainrule.compiler.values import Value, ValueGraph

_FEWEST_PRODUCTS = 4


def transpose_once(graph: ValueGraph) -> ValueGraph:
    """The graph with one transpose in the place of many products' flags."""
    products = [v for v in graph.values if _takes_transposed(v)]
    uses = Counter(product.inputs[1] for product in products)
    if not any(count >= _FEWEST_PRODUCTS for count in uses.values()):
        return graph
    transposes: dict[Value, Value] = {}
    order = []
    for value in graph.values:
        factor = value.inputs[1] if _takes_transposed(value) else None
        if factor is not None and uses[factor] >= _FEWEST_PRODUCTS:
            if factor not in transposes:
                shape = factor.shape[::-1]
                turned = Value(
                    "transpose", (factor,), {"axes": (1, 0)}, shape, factor.dtype, factor.node
                )
                transposes[factor] = turned
                order.append(turned)
            value.inputs = (value.inputs[0], transposes[factor])
            value.attributes = {**value.attributes, "transpose_b": False}
        order.append(value)
    return ValueGraph(order, graph.outputs, graph.updates, graph.loss_gradients)


def _takes_transposed(value: Value) -> bool:
    """Whether it is a product of two matrices, the second transposed."""
    return (
        value.kind == "matmul"
        and len(value.shape) == 2
        and value.attributes.get("transpose_b", False)
        and not value.attributes.get("transpose_a", False)
    )
