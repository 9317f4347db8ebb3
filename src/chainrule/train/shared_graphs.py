"""Shared graphs: a step of a model that is equal to an earlier one is copied, not captured."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from chainrule.caches import LruCache
from chainrule.compiler.capture import CapturedGraph
from chainrule.compiler.template import Template, template_of
from chainrule.graph.context import local
from chainrule.graph.state import State
from chainrule.train.facts import Facts

_templates: LruCache[Hashable, Template] = LruCache(128)


class SharedGraph:
    """Finds the graph of an equal step, and keeps one for others.

    Args:
        step: what distinguishes the step from others of its model.
        facts: what the capture depends on; they are shareable.
        states: all states that the step may use, each as often as it has a role.
    """

    def __init__(self, step: Hashable, facts: Facts, states: Iterable[State]) -> None:
        self._numbers: dict[State, int] = {}
        numbers = self._numbers
        roles = [numbers.setdefault(state, len(numbers)) for state in (*facts.states, *states)]
        kinds = [(state.shape, state.dtype, state.own_name) for state in numbers]
        context = step, local.context.grad_enabled, local.context.path
        self._key = context, tuple(facts.items), tuple(roles), tuple(kinds)

    def find(self) -> CapturedGraph | None:
        """The graph, with these states in it; None where there is none yet."""
        template = _templates.get(self._key)
        return template.graph(list(self._numbers)) if template is not None else None

    def keep(self, graph: CapturedGraph) -> None:
        """Keep the graph, but for its states."""
        template = template_of(graph, self._numbers)
        if template is not None:
            _templates.add(self._key, template)
