"""Guards: which threads may use the numbers of states now.

A captured step reads many states and changes many: another thread must see all of its changes or
none. So the states that steps use together share a lock, which those that only read hold together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from chainrule._core import Hold, StateLock
from chainrule.system import forks

if TYPE_CHECKING:
    from chainrule.graph.state import State

_making = forks.lock()


class Guard:
    """The locks of some states.

    Attributes:
        alone: what changes the states runs in a block ``with guard.alone``. The thread that is in
            one may enter another.
        shared: what reads them runs in a block ``with guard.shared``.
    """

    def __init__(self, locks: Iterable[StateLock]) -> None:
        # One order for all threads, or two would block each other.
        self.locks = sorted(locks, key=id)
        self.alone = Hold(self.locks, True)
        self.shared = Hold(self.locks, False)


def guard_of(states: Iterable[State]) -> Guard:
    """The guard of all these states.

    States that have none yet share that of the others: a new one, if there are no others.
    """
    with _making:
        found: dict[int, Guard] = {}
        new: list[State] = []
        for state in states:
            if state.guard is None:
                new.append(state)
            else:
                found[id(state.guard)] = state.guard
        guards = list(found.values()) or [Guard([StateLock()])]
        for state in new:
            state.guard = guards[0]
        if len(guards) == 1:
            return guards[0]
        return Guard(lock for guard in guards for lock in guard.locks)
