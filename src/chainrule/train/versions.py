"""Version: a number for what captured graphs depend on, another one after each change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

from chainrule.compiler.leftovers import Leftovers
from chainrule.errors import warn
from chainrule.graph.context import MISSING
from chainrule.graph.tensor import Tensor
from chainrule.train.facts import Facts
from chainrule.train.iterators import moved, position
from chainrule.train.randomness import randomness_watched
from chainrule.train.user_code import has_cached

_numbers = count()  # of all versions: counters of their own could not be pickled


class Version:
    """Gives the facts that captured graphs depend on a number: equal numbers mean equal facts.

    Args:
        roots, gradients: as of `Facts`.
        beyond: a version whose objects are looked at first; its facts are taken over.
    """

    _KEPT = 8
    """How many versions are kept, and get their old number when the facts are theirs again."""

    def __init__(
        self, roots: Sequence[Any], *, gradients: bool = True, beyond: Version | None = None
    ) -> None:
        self._roots = roots
        self._beyond = beyond
        self._gradients = gradients
        self._ignored: set[tuple[int, Any]] = set()
        self._known: list[tuple[Facts, int]] = []  # the present one last

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle takes: not the facts, which are of the original's objects."""
        return {**vars(self), "_ignored": set(), "_known": []}

    def number(self) -> int:
        """The number of the present facts."""
        return self._present()[1]

    def _present(self) -> tuple[Facts, int]:
        if self._known and self._known[-1][0].hold():
            return self._known[-1]
        now = self._now()
        numbers = [number for facts, number in self._known if facts.equals(now)]
        present = now, (numbers[0] if numbers else next(_numbers))
        others = [known for known in self._known if known[1] != present[1]]
        self._known = [*others[1 - self._KEPT :], present]  # at once, for other threads
        return present

    def _now(self) -> Facts:
        """The facts as they are; what they have in common with others is not looked at twice."""
        ignored, gradients, beyond = self._ignored, self._gradients, self._beyond
        if beyond is None:
            return Facts(self._roots, ignored, gradients=gradients)
        if ignored or beyond._ignored:  # each version leaves out other things
            return Facts(self._all_roots(), ignored, gradients=gradients)
        return beyond._present()[0].with_roots(self._roots, gradients=gradients)

    def _all_roots(self) -> list[Any]:
        return [*(self._beyond._all_roots() if self._beyond is not None else ()), *self._roots]

    def shared_facts(self) -> Facts | None:
        """The present facts, if objects with equal items have equal graphs; else None."""
        facts = self._present()[0]
        return facts if facts.is_shareable and not facts.has_foreign_code else None

    @contextmanager
    def unchanged(self) -> Iterator[Leftovers]:
        """Warn if the capture within it draws NumPy's random numbers, or changes an object.

        What a capture changes is left out of the facts afterwards: otherwise each capture would
        make the graphs of the others stale.

        Yields:
            what watches the modules for Tensors that the capture leaves in them.
        """
        facts, number = self._present()
        if not facts.has_foreign_code:
            yield Leftovers()
            return
        leftovers = Leftovers(facts.modules)
        positions = [position(*found) for found in facts.iterators]
        with randomness_watched(facts.generators, facts.clocks):
            yield leftovers
        if advanced := moved(positions):
            warn(
                f"{advanced} was advanced while a graph was captured: what it gave is a constant "
                "of the graph, the same at every step. Pass what it gives with the data",
                RuntimeWarning,
            )
        changed: list[str] = []
        is_new = any(group.captured_keys is not keys for group, keys in facts.groups)
        for module, attributes in leftovers.before.items():
            for name, value in vars(module).items():
                if value is attributes.get(name, MISSING):
                    continue
                is_new, kind = True, type(module)
                is_left = isinstance(value, Tensor) and value.is_symbolic
                if is_left or not has_cached(kind, name):
                    self._ignored.add((id(module), name))
                    changed += [] if is_left else [f"{name} of {kind.__name__}"]
        for probe in facts.probes:
            if not probe.holds():
                is_new = True
                if any(probe is partition for partition in facts.partitions):
                    continue  # the graph has read the new one
                changed.append(str(probe))
                self._ignored.update(probe.changed())
        if is_new:
            now = self._now()
            self._known = [(now, number)]
        if changed:
            warn(
                f"{', '.join(changed)} changed while a graph was captured: the graph keeps what it "
                "read, and changes nothing at later steps. Make it a chainrule.Buffer and assign "
                "to it",
                RuntimeWarning,
            )
