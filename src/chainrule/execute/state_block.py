"""StateBlock: the states of a model and its optimiser in one piece of memory, and copies of it."""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from chainrule import _core
from chainrule.compiler.arena import padded
from chainrule.compiler.memory import aligned_zeros
from chainrule.dtypes import name_of
from chainrule.graph.guards import guard_of
from chainrule.graph.state import State
from chainrule.graph.tensor import Array
from chainrule.system.threads import get_num_threads

_REMEMBERED = 8
"""Assignments that a block remembers."""

_FEW = 1000
"""The most numbers, assigned as hyper-parameters are, that a copy takes over state by state."""


class StateBlock:
    """One block of memory for all states of a model and its optimiser.

    Parameters, gradients' moments and the like lie one after another in the order given, so that
    one program can update them all. Between runs a State holds a view of its place; where a user
    has assigned another array since, the next run copies it into the block.

    Attributes:
        guard: what a thread holds while it uses the block.
    """

    def __init__(self, states: Iterable[State]) -> None:
        self._offsets: dict[State, int] = {}
        size = 0
        for state in states:
            if state not in self._offsets:
                self._offsets[state] = size
                size += padded(state.size * state.dtype.itemsize)
        self.array = aligned_zeros(size)
        self.guard = guard_of(self._offsets)
        self._views = {state: self._view(state) for state in self._offsets}
        self.places = list(self._views.items())
        """Each state with its place, as an array."""
        self._copies: dict[Any, Copies] = {}
        self.version = 0
        """Changes with the states: a number that is never used again."""
        self._assigned: list[tuple[int, list[State]]] = []  # by the version that it made

    def _view(self, state: State) -> Array:
        return np.ndarray(state.shape, state.dtype, self.array, self._offsets[state])

    def __contains__(self, state: State) -> bool:
        return state in self._offsets

    @property
    def states(self) -> list[State]:
        """All states, in their order."""
        return list(self._offsets)

    def view(self, state: State) -> Array:
        """The place of a state, as an array."""
        return self._views[state]

    def offset(self, state: State) -> int:
        """Where a state lies, in bytes."""
        return self._offsets[state]

    def has_assigned(self) -> bool:
        """Whether anything was assigned to a state since the last run."""
        return any([state.value is not view for state, view in self._views.items()])

    def copy_assigned(self) -> None:
        """Copy into the block what was assigned to states since the last run."""
        assigned = [
            (state, view, np.array(state.value))  # copies: one may be a view of another's place
            for state, view in self.places
            if state.value is not view
        ]
        for _, view, value in assigned:
            view[...] = value
        if assigned:
            self.version += 1
            states = [state for state, _, _ in assigned]
            self.show_results(states)
            self._assigned = [*self._assigned[1 - _REMEMBERED :], (self.version, states)]

    def assigned_since(self, version: int) -> list[State] | None:
        """What was assigned since a version; None if anything else has changed, too."""
        found = [states for number, states in self._assigned if number > version]
        if version + len(found) != self.version:
            return None
        return [state for states in found for state in states]

    def show_results(self, states: Iterable[State] | None = None) -> None:
        """Let the states, or those given, show their numbers in the block, which a run changed."""
        for state in self._views if states is None else states:
            state.set_view(self._views[state])

    def copies(self, states: Collection[State], scalars: Collection[State]) -> Copies:
        """The record of copies of states, and of scalars, which need not be finite.

        It is the same object for the same states and scalars.
        """
        key = frozenset(states), frozenset(scalars)
        if key not in self._copies:
            offsets = self._offsets
            spans = [(offsets[s], s.size * s.dtype.itemsize, name_of(s.dtype)) for s in states]
            spans += [(offsets[s], s.size * s.dtype.itemsize, "uint8") for s in scalars]
            self._copies[key] = Copies(self, spans)
        return self._copies[key]


class Copies:
    """The last good copy of states in a block, to go back to.

    Args:
        block: where they lie.
        spans: (offset, bytes, dtype) of each.
    """

    def __init__(self, block: StateBlock, spans: list[tuple[int, int, str]]) -> None:
        self._block: StateBlock = weakref.proxy(block)  # which holds its copies
        self._core = _core.StateCopies(block.array, spans)
        self._version = -1

    def save(self) -> None:
        """Keep a copy of the states as they are, assignments included."""
        block = self._block
        block.copy_assigned()
        assigned = block.assigned_since(self._version)
        if assigned is not None and sum([state.size for state in assigned]) <= _FEW:
            for state in assigned:
                self._core.refresh(block.offset(state), state.size * state.dtype.itemsize)
        else:
            self._core.keep(get_num_threads(), True)
        self._version = block.version

    def save_if_finite(self) -> bool:
        """Keep a copy, if all numbers are finite; whether they are."""
        is_finite = self._core.keep(get_num_threads(), False)
        if is_finite:
            self._version = self._block.version
        return is_finite

    def is_finite(self) -> bool:
        """Whether all numbers of the states are finite; takes no copy."""
        return self._core.is_finite(get_num_threads())

    def restore(self) -> None:
        """Go back to the copy."""
        self._core.restore(get_num_threads())
        self._block.version += 1
        self._version = self._block.version
