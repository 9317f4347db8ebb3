"""Sums whose terms have a factor in common are multiplied by it once.

The gradient of x s(x), as of GELU and SiLU, is a sum of two products with the incoming one, g:

    d = g s + g x s'         f = s + x s'        from x alone: computed beside x s(x)
                             d = g f

The backward pass then reads f, in place of all that its two terms are made of.
"""

from __future__ import annotations

from collections import Counter

from chainrule.compiler.elementwise import ELEMENTWISE
from chainrule.compiler.values import LEAVES, Value, ValueGraph


def factor_out(graph: ValueGraph) -> ValueGraph:
    """The graph with each such sum as a product, where the sum left can be computed earlier."""
    if not any([_adds_products(value) for value in graph.values if value.kind == "add_n"]):
        return graph
    readers = Counter(i for value in graph.values for i in value.inputs)
    readers.update([*graph.outputs, *graph.updates.values()])
    # When a value can be computed: the number of the last instruction that is no program's part.
    ready: dict[Value, int] = {}
    order: list[Value] = []
    for number, value in enumerate(graph.values):
        if value.kind == "add_n":
            order += _factored(value, readers, ready)
        if value.kind in LEAVES:
            ready[value] = -1
        elif value.kind in ELEMENTWISE:
            ready[value] = max([ready.get(i, -1) for i in value.inputs], default=-1)
        else:
            ready[value] = number
        order.append(value)
    needed: set[Value] = {*graph.outputs, *graph.updates.values()}
    kept = []
    for value in reversed(order):
        if value in needed or value in graph.loss_gradients.values():
            kept.append(value)
            needed.update(value.inputs)
    return ValueGraph(kept[::-1], graph.outputs, graph.updates, graph.loss_gradients)


def _adds_products(value: Value) -> bool:
    """Whether a sum is one of several floating products."""
    is_float = value.dtype.kind == "f"
    return (
        is_float and len(set(value.inputs)) > 1 and {i.kind for i in value.inputs} == {"multiply"}
    )


def _factored(value: Value, readers: Counter[Value], ready: dict[Value, int]) -> list[Value]:
    """Make a sum a product, if it can be; the new values that it is computed from."""
    if not _adds_products(value):
        return []
    factors = [_factors(term, readers) for term in value.inputs]
    for common in factors[0]:
        if not all([common in others for others in factors[1:]]):
            continue
        left = [_without(others, common) for others in factors]
        read = {factor for rest in left for factor in rest if factor.kind != "constant"}
        if all(left) and len(read) > 1 and max([ready[i] for i in read]) < ready[common]:
            break
    else:
        return []
    made: list[Value] = []

    def computed(kind: str, *inputs: Value) -> Value:
        made.append(Value(kind, inputs, {}, value.shape, value.dtype, value.node))
        ready[made[-1]] = max([ready[i] for i in inputs])
        return made[-1]

    terms = []
    for first, *rest in left:
        term = first
        for factor in rest:
            term = computed("multiply", term, factor)
        terms.append(term)
    value.kind, value.attributes = "multiply", {}
    value.inputs = (common, computed("add_n", *terms))
    return made


def _factors(term: Value, readers: Counter[Value]) -> list[Value]:
    """The factors of a product, from left to right; of products that it alone reads, theirs."""
    found = []
    for factor in term.inputs:
        inner = factor.kind == "multiply" and readers[factor] == 1
        found += _factors(factor, readers) if inner else [factor]
    return found


def _without(factors: list[Value], one: Value) -> list[Value]:
    at = factors.index(one)
    return factors[:at] + factors[at + 1 :]
