"""Templates: a captured graph apart from its states, for models that are built alike.

A capture runs every layer and every rule in Python. Where a model is equal to an earlier one but
for its states, its graph is a copy of the earlier one, with its own states in their places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.compiler.capture import CapturedGraph
from chainrule.compiler.signature import is_plain
from chainrule.graph.state import State
from chainrule.graph.tensor import Tensor, _serials
from chainrule.trees import map_leaves


class Template:
    """A graph with numbers in place of its states, so that it keeps no model alive.

    Args:
        graph: the captured graph.
        numbers: of each state.
    """

    def __init__(self, graph: CapturedGraph, numbers: Mapping[State, int]) -> None:
        self._graph = _copy(graph, numbers)

    def graph(self, states: Sequence[State]) -> CapturedGraph:
        """The graph with these states, by number."""
        graph = _copy(self._graph, dict(enumerate(states)))
        graph.template = self
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
    """A copy of a graph that reads other states in the places of some of its own.

    Args:
        graph: the captured graph. It updates none of those that are replaced: such updates are
            left out of the copy.
        instead: the state, of the same shape and dtype, that stands for each.
    """
    of_nodes = [node.state for node in graph.nodes if node.state is not None]
    states = {*graph.reads, *graph.updates, *of_nodes}
    copy = _copy(graph, {state: instead.get(state, state) for state in states})
    copy.updates = {s: copy.updates[s] for s in graph.updates if s not in instead}
    return copy


def _copy(graph: CapturedGraph, places: Mapping[Any, Any]) -> CapturedGraph:
    """A copy of a graph, with other states in the places of its own."""
    copies: dict[Tensor, Tensor] = {}

    def copied(node: Tensor) -> None:
        if node in copies:
            return
        copy = Tensor.__new__(Tensor)
        copy.value = node.value
        copy.shape = node.shape
        copy.dtype = node.dtype
        copy.operation = node.operation
        copy.inputs = ()
        copy.attributes = node.attributes
        copy.requires_grad = node.requires_grad
        copy.name = node.name
        copy.path = node.path
        copy.origin = copy._grad = copy.state = None
        copy.serial = next(_serials)
        copies[node] = copy

    leaf_of: dict[Any, Tensor] = {}  # one, where two states have the same place
    for state, leaf in graph.reads.items():
        copied(leaf)
        copies[leaf] = leaf_of.setdefault(places[state], copies[leaf])
    for node in (*graph.inputs, *graph.nodes):
        copied(node)
    for node in graph.nodes:
        copy = copies[node]
        if node.value is None:
            copy.inputs = tuple([copies[i] for i in node.inputs])
        if node.state is not None:
            copy.state = places[node.state]
        if node.origin is not None:  # it may be a node that nothing needs
            copied(node.origin)
            copy.origin = copies[node.origin]
    for leaf in graph.reads.values():
        copies[leaf].state = places[leaf.state]
    return CapturedGraph(
        tuple([copies[leaf] for leaf in graph.inputs]),
        map_leaves(copies.__getitem__, graph.outputs),
        {places[state]: copies[leaf] for state, leaf in graph.reads.items()},
        {places[state]: copies[node] for state, node in graph.updates.items()},
        [*dict.fromkeys([copies[node] for node in graph.nodes])],
    )
