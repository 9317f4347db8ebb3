"""Products that are added up become one, of their operands put one after another.

The gradient of a weight that T steps share is a sum of T products. Of equal steps they are small,
and each would be kept until the sum:

    G_1^T X_1 + G_2^T X_2 + ...     one product  (G_1 G_2 ...)^T (X_1 X_2 ...)

Sums of columns, as in the gradient of a bias, likewise. What is put together need not be copied:
see `strips`.
"""

from __future__ import annotations

from typing import Any

from chainrule.compiler.values import Value, ValueGraph

_FEWEST_TERMS = 4

Stacks = dict[tuple[Value, ...], Value]
"""By their parts: what was put one after another."""


def join_sums(graph: ValueGraph) -> ValueGraph:
    """The graph with one product, or one sum of columns, in the place of many that are added."""
    sums = [v for v in graph.values if v.kind == "add_n" and len(v.inputs) >= _FEWEST_TERMS]
    if not sums:
        return graph
    uses = graph.uses()
    made: dict[Value, list[Value]] = {}  # before which value new ones are computed
    stacks: Stacks = {}
    for value in sums:
        alike: dict[Any, list[Value]] = {}
        for term in value.inputs:
            alike.setdefault(_kind(term) if uses[term] == 1 else None, []).append(term)
        new = made[value] = []
        terms = []
        for kind, group in alike.items():
            if kind is None or len(group) < _FEWEST_TERMS:
                terms += group
                continue
            terms.append(_joined(group, stacks, new))
        if len(terms) == 1:  # it becomes the product itself
            (only,) = terms
            value.become(only.kind, only.inputs, only.attributes)
            new.remove(only)
        elif new:
            value.inputs = tuple(terms)
    return graph.in_order([v for value in graph.values for v in (*made.get(value, ()), value)])


def _kind(term: Value) -> Any:
    """What terms have in common that can be joined; None where a term can't be."""
    if len(term.inputs[0].shape if term.inputs else ()) != 2:
        return None
    attributes = term.attributes
    if term.kind == "matmul":
        flags = attributes.get("transpose_a", False), attributes.get("transpose_b", False)
        return ("matmul", term.dtype) if flags == (True, False) else None
    if term.kind == "sum" and attributes == {"axes": (0,), "keepdims": False}:
        return "sum", term.dtype
    return None


def _joined(terms: list[Value], stacks: Stacks, new: list[Value]) -> Value:
    """The sum of terms of one kind as one of them, of operands put one after another."""
    first = terms[0]
    operands = [
        _stacked(parts, stacks, new) for parts in zip(*[t.inputs for t in terms], strict=True)
    ]
    joined = Value(
        first.kind, tuple(operands), first.attributes, first.shape, first.dtype, first.node
    )
    new.append(joined)
    return joined


def _stacked(parts: tuple[Value, ...], stacks: Stacks, new: list[Value]) -> Value:
    """Matrices below one another."""
    if parts not in stacks:
        shape = (sum(part.shape[0] for part in parts), parts[0].shape[1])
        node, dtype = parts[0].node, parts[0].dtype
        stacks[parts] = Value("concatenate", parts, {"axis": 0}, shape, dtype, node)
        new.append(stacks[parts])
    return stacks[parts]
