"""Templates: a captured graph apart from its states, for models that are built alike.

A capture runs every layer and every rule in Python. Where a model is equal to an earlier one but
for its states, its graph has the nodes of the earlier one, and other states in the places of its.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chainrule.compiler.capture import CapturedGraph
from chainrule.compiler.signature import is_plain
from chainrule.graph.state import State
from chainrule.graph.tensor import Tensor
from chainrule.trees import map_leaves


class Template:
    """The nodes of a graph, with numbers in place of its states, so that it keeps no model alive.

    Args:
        graph: the captured graph, whose nodes forget which states they stand for: from now on its
            `reads` alone say so.
        numbers: of each state.
    """

    def __init__(self, graph: CapturedGraph, numbers: Mapping[State, int]) -> None:
        self._inputs = graph.inputs
        self._outputs = graph.outputs
        self._nodes = graph.nodes
        self._limits = graph.index_limits
        self._reads = [(numbers[state], leaf) for state, leaf in graph.reads.items()]
        self._updates = [(numbers[state], node) for state, node in graph.updates.items()]
        for node in (*graph.reads.values(), *graph.nodes):
            node.state = None
            if node.origin is not None:  # it may be a node that nothing needs
                node.origin.state = None

    def graph(self, states: Sequence[State]) -> CapturedGraph:
        """The graph with these states, by number."""
        graph = CapturedGraph(
            self._inputs,
            self._outputs,
            {states[number]: leaf for number, leaf in self._reads},
            {states[number]: node for number, node in self._updates},
            self._nodes,
        )
        graph.template = self
        graph.index_limits = self._limits
        return graph


def template_of(graph: CapturedGraph, numbers: Mapping[State, int]) -> Template | None:
    """The template of a graph, which becomes its `template`; None where it has none.

    It has none where it holds large constants or other objects, or uses states without a number.
    """
    states = {*graph.reads, *graph.updates, *[n.state for n in graph.nodes if n.state is not None]}
    if not states <= numbers.keys() or not is_plain(graph):
        return None
    graph.template = Template(graph, numbers)
    return graph.template


def with_states(graph: CapturedGraph, instead: Mapping[State, State]) -> CapturedGraph:
    """A graph that reads other states in the places of some of its own.

    Args:
        graph: the captured graph. It updates none of those that are replaced: such updates are
            left out.
        instead: the state, of the same shape and dtype, that stands for each.
    """
    reads: dict[State, Tensor] = {}
    places: dict[Tensor, Tensor] = {}  # of leaves that stand for a state that has another leaf
    for state, leaf in graph.reads.items():
        first = reads.setdefault(instead.get(state, state), leaf)
        if first is not leaf:
            places[leaf] = first
    nodes = []
    for node in graph.nodes:
        if places and any(i in places for i in node.inputs):
            places[node] = _with_inputs(node, tuple([places.get(i, i) for i in node.inputs]))
        nodes.append(places.get(node, node))

    def place(node: Tensor) -> Tensor:
        return places.get(node, node)

    updates = {s: place(node) for s, node in graph.updates.items() if s not in instead}
    outputs = map_leaves(place, graph.outputs)
    return CapturedGraph(graph.inputs, outputs, reads, updates, [*dict.fromkeys(nodes)])


def _with_inputs(node: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
    """A node of the same operation on other inputs."""
    new = Tensor(None, node.requires_grad, node.name, shape=node.shape, dtype=node.dtype)
    new.operation, new.inputs, new.attributes = node.operation, inputs, node.attributes
    new.path, new.origin = node.path, node.origin
    return new
