"""Gradients of images are added to each other where they are computed.

What goes around a block of layers gives its input a second gradient, often that of a 1 x 1
convolution with a stride, which is 0 at all places but those a stride apart:

    add_n(conv_input_grad(g, v), conv_input_grad(h, w))     the second adds what it has to the first

So there is no array of zeros to write, and none to read.
"""

from __future__ import annotations

from itertools import pairwise

from chainrule.compiler.lowering.convolutions import can_add
from chainrule.compiler.values import ValueGraph

_KIND = "conv_input_grad"


def add_in_place(graph: ValueGraph) -> ValueGraph:
    """The graph with gradients that take an earlier one as a third input, to which they add."""
    if not any([value.kind == _KIND and can_add(value) for value in graph.values]):
        return graph
    uses = graph.uses()
    numbers = {value: number for number, value in enumerate(graph.values)}
    for value in graph.values:
        if value.kind != "add_n":
            continue
        found = [i for i in value.inputs if i.kind == _KIND and uses[i] == 1]
        found.sort(key=numbers.__getitem__)
        for earlier, later in pairwise(found):
            if can_add(later):
                later.inputs = (*later.inputs, earlier)
                value.inputs = tuple([i for i in value.inputs if i is not earlier])
        if len(value.inputs) == 1:
            (only,) = value.inputs
            value.become(only.kind, only.inputs, only.attributes)
            value.node = only.node
    return graph.in_order(graph.values)
