"""What each consumer contributes to the gradient of a variable: their sum is the gradient."""

from __future__ import annotations

from chainrule.graph.context import no_grad
from chainrule.graph.tensor import Tensor
from chainrule.ops import ones_like

Contribution = tuple[Tensor, int, Tensor]
"""(consumer, index, gradient): what reaches `consumer.inputs[index]` by way of that consumer."""


def contributions(
    variable: Tensor, edges: list[tuple[Tensor, int]], grad_table: dict[Tensor, Tensor]
) -> list[Contribution]:
    """The terms of the sum of algorithm 6.6 for one variable.

    Args:
        variable: has its gradient in the table, as its consumers have.
        edges: its edges in G', as `graph.prune` lists them.
        grad_table: filled by `build_grad` so far.
    """
    edges = [edge for edge in edges if edge[0] in grad_table]
    if len(edges) == 1 and variable in grad_table:
        return [(*edges[0], grad_table[variable])]
    found = []
    for consumer, index in edges:
        assert consumer.operation is not None, "a consumer is computed"
        part = consumer.operation.bprop(consumer, index, grad_table[consumer])
        if part is not None:
            found.append((consumer, index, part))
    return found


def local_derivative(consumer: Tensor, index: int) -> float | None:
    """The derivative of a consumer with respect to its input, where both are one number."""
    if consumer.operation is None or not consumer.size == consumer.inputs[index].size == 1:
        return None
    if consumer.operation.name == "gradient_hook":  # which would be called once more
        return None
    with no_grad():
        found = consumer.operation.bprop(consumer, index, ones_like(consumer))
    return None if found is None else found.item()
