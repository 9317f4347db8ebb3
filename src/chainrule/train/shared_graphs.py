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
_short_keys: LruCache[Hashable, object] = LruCache(128)
"""A small object for each long key, which all of its templates would have to compare."""


class SharedGraphs:
    """Finds the graphs of equal steps of equal models, and keeps them for others.

    Args:
        facts: what the captures depend on; they are shareable.
        states: all states that the steps may use, each as often as it has a role.
    """

    def __init__(self, facts: Facts, states: Iterable[State]) -> None:
        self.facts = facts
        self._numbers: dict[State, int] = {}
        numbers = self._numbers
        roles = [numbers.setdefault(state, len(numbers)) for state in (*facts.states, *states)]
        kinds = [(state.shape, state.dtype, state.own_name) for state in numbers]
        key = tuple(facts.items), tuple(facts.requires_grad), tuple(roles), tuple(kinds)
        short = _short_keys.get(key)
        if short is None:
            short = object()
            _short_keys.add(key, short)
        self._short_key = short

    def find(self, step: Hashable) -> CapturedGraph | None:
        """The graph of a step, with these states in it; None where there is none yet."""
        template = _templates.get(self._key(step))
        return template.graph(list(self._numbers)) if template is not None else None

    def keep(self, step: Hashable, graph: CapturedGraph) -> None:
        """Keep the graph of a step, but for its states."""
        template = template_of(graph, self._numbers)
        if template is not None:
            _templates.add(self._key(step), template)

    def _key(self, step: Hashable) -> Hashable:
        return self._short_key, step, local.context.grad_enabled, local.context.path
