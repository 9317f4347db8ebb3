"""Memory: where each storage of a schedule lies.

There are three spaces. States lie where the model keeps them (`StateLayout`), constants one after
another; all else lies in the arena, which every step uses anew.

1. *In place.* A new value of a state is written where the state lies, if nothing reads the old
   value later; else it is computed in the arena and copied at the end of the step.

2. *Joined.* Groups that do the same to different states of equal layout, as the updates of all
   parameters, become one group over all of them. Each operand is a column: the storages of the
   groups, which must lie one after another, so that one program can go over them as over one array.

       v1 = 0.9 v1 + g1,  W1 = W1 - lr v1        columns:  v1 v2 v3   in the states
       v2 = 0.9 v2 + g2,  W2 = W2 - lr v2                  g1 g2 g3   a segment of the arena
       v3 = 0.9 v3 + g3,  W3 = W3 - lr v3                  W1 W2 W3   in the states

3. *The arena.* See `row_chains` and `arena`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from chainrule.compiler.arena import ALIGNMENT, padded, place_storages
from chainrule.compiler.instructions import Group, Instruction, Schedule, Storage, copy
from chainrule.compiler.programs import form, is_flat
from chainrule.compiler.row_chains import find_chains
from chainrule.compiler.rows import ROW_UPDATES
from chainrule.compiler.strips import lay_in_strips
from chainrule.compiler.values import Value
from chainrule.graph.state import State
from chainrule.graph.tensor import Array


class StateLayout(Protocol):
    """Where states lie: the same for all plans of a model."""

    def offset(self, state: State) -> int:
        """The first byte of a state in the block of all states."""


def aligned_zeros(nbytes: int) -> Array:
    """Zeros whose address is a multiple of a cache line."""
    whole = np.zeros(nbytes + ALIGNMENT, np.uint8)
    start = -whole.__array_interface__["data"][0] % ALIGNMENT
    return whole[start : start + max(nbytes, 1)]


class Memory:
    """Places all storages of a schedule.

    Attributes:
        arena_size: bytes.
        constants: the constant storages, in their order.
    """

    def __init__(self, schedule: Schedule, states: StateLayout) -> None:
        self.schedule = schedule
        self.states = states
        self.state_storages: dict[State, Storage] = {}
        self.by_rows: set[State] = set()
        """States of which a step changes single rows, in place."""
        self.constants: list[Storage] = []
        self.constants_size = 0
        for value, storage in schedule.storages.items():
            if storage.space == "state":
                assert value.state is not None
                self.state_storages[value.state] = storage
                storage.offset = states.offset(value.state)
            elif storage.space == "constants":
                storage.offset = self.constants_size
                self.constants_size += padded(storage.nbytes)
                self.constants.append(storage)
        self.outputs = [self._output(value) for value in schedule.graph.outputs]
        self._update_states()
        lay_in_strips(schedule)
        self.segments = self._join_groups()
        chains = find_chains(self.instructions)
        self.arena_size = place_storages(self.instructions, self.outputs, self.segments, chains)

    @property
    def instructions(self) -> list[Instruction]:
        """The schedule, with copies added where a state can't be updated in place."""
        return self.schedule.instructions

    # State

    def _output(self, value: Value) -> Storage:
        """Where an output lies at the end of a run; state is copied before the step changes it."""
        storage = self.schedule.storage(value)
        if storage.space != "state":
            return storage
        return self._copied(storage, value)

    def _copied(self, storage: Storage, value: Value) -> Storage:
        """A copy in the arena, with which the step begins."""
        out = Storage(value, "arena")
        self.schedule.prepend(_whole_copy(value, storage, out))
        return out

    def _update_states(self) -> None:
        """Update states in place where nothing reads the old value later; else copy the new value
        to its state at the end of the step."""
        claimed: set[Storage] = set(self.outputs)
        updates = []
        for state, value in self.schedule.graph.updates.items():
            new = self.schedule.storage(value)
            if new.space == "state":  # before anything is changed
                new = self._copied(new, value)
            updates.append((state, value, new))
        readers = self._readers()
        copies = []
        for state, value, new in updates:
            old = self.state_storages.get(state)
            if old is None:
                old = Storage(value, "state")
                old.offset = self.states.offset(state)
                self.state_storages[state] = old
            stages = self._stages_by_rows(old, new, readers)
            if stages and claimed.isdisjoint(stages):
                self.by_rows.add(state)
            elif new not in claimed and self._in_place(old, new, readers):
                stages = [new]
            else:
                copies.append((value, new, old))
                continue
            claimed.update(stages)
            for stage in stages:
                stage.space = "state"
                stage.offset = old.offset
        for value, new, old in copies:
            self.schedule.append(_whole_copy(value, new, old))

    def _stages_by_rows(
        self, old: Storage, new: Storage, readers: dict[Storage, list[Instruction]]
    ) -> list[Storage]:
        """The values of a state from the last to the first, each the one before with other rows.

        Empty where they can't all lie in one place: where one is read after the next is written.
        """
        stages: list[Storage] = []
        while new is not old:
            writer = self.schedule.writers.get(new)
            if writer is None or writer.kind not in ROW_UPDATES:
                return []
            before = writer.reads[0]
            if any(reader.position > writer.position for reader in readers.get(before, [])):
                return []
            stages.append(new)
            new = before
        return stages

    def _readers(self) -> dict[Storage, list[Instruction]]:
        """The instructions that read each storage, in order."""
        readers: dict[Storage, list[Instruction]] = defaultdict(list)
        for instruction in self.instructions:
            for storage in instruction.reads:
                readers[storage].append(instruction)
        return readers

    def _in_place(
        self, old: Storage, new: Storage, readers: dict[Storage, list[Instruction]]
    ) -> bool:
        """Whether the instruction that computes a state's new value may write it over the old one.

        It must be a program, which reads an element before it writes that element, and nothing may
        read the old value after it. As an epilogue it runs tile by tile, while other tiles still
        read the product's factors: so the state must be none of these.
        """
        writer = self.schedule.writers.get(new)
        if writer is None or new.space != "arena" or new.dtype != old.dtype or new.size != old.size:
            return False
        group = writer if isinstance(writer, Group) else writer.epilogue
        if group is None or new not in group.writes:
            return False
        if any(target.storage is new for target in group.targets.values()):
            return False  # others write the rest of it
        for reader in readers.get(old, []):
            if reader.position > writer.position:
                return False
            if reader is writer:
                if writer is not group and old in writer.reads[:2]:  # a factor of the product
                    return False
                if not all(is_flat(group, a) for a in group.accesses.values() if a.storage is old):
                    return False
        return True

    # Joining

    def _join_groups(self) -> list[list[Storage]]:
        """Make one group of those that do the same to different memory of equal layout.

        Groups are alike by `_signature`; of these the independent ones are taken (`_independent`),
        in runs whose states lie one after another (`_runs`), if their operands form columns
        (`_columns`).

        Returns:
            The columns in the arena: storages that must lie one after another.
        """
        alike: dict[Any, list[Group]] = {}
        for instruction in self.instructions:
            if isinstance(instruction, Group):
                signature = self._signature(instruction)
                if signature is not None:
                    alike.setdefault(signature, []).append(instruction)
        segments: list[list[Storage]] = []
        taken: set[Storage] = set()
        uses = None
        for groups in alike.values():
            if len(groups) < 2:
                continue
            uses = uses or (self._readers(), self._changes())
            for run in self._runs(_independent(groups, *uses)):
                columns = self._columns(run)
                if columns is None or any(s in taken for column in columns for s in column):
                    continue
                for column in columns:
                    if column[0].space == "arena":
                        segments.append(column)
                        taken.update(column)
                self._replace(run)
                uses = None
        return segments

    def _changes(self) -> dict[int, list[int]]:
        """By the offset of a state the positions of the instructions that write it, in order."""
        changes: dict[int, list[int]] = {}
        for instruction in self.instructions:
            for storage in instruction.writes:
                if storage.space == "state":
                    changes.setdefault(storage.offset, []).append(instruction.position)
        return changes

    def _runs(self, groups: list[Group]) -> list[list[Group]]:
        """Groups whose states lie one after another, two or more at a time, in their order."""
        runs: list[list[Group]] = []
        for group in self._ordered(groups):
            if runs and self._follows(runs[-1][-1], group):
                runs[-1].append(group)
            else:
                runs.append([group])
        return [sorted(run, key=lambda g: g.position) for run in runs if len(run) > 1]

    def _follows(self, group: Group, after: Group) -> bool:
        """Whether each state of the second group lies right after that of the first."""
        return all(
            a.offset + padded(a.nbytes) == b.offset
            for a, b in zip(self._flat(group), self._flat(after), strict=True)
            if a.space == "state"
        )

    def _replace(self, groups: list[Group]) -> None:
        """Put one group in the place of the last of several, which the others can wait for."""
        last = groups[-1]
        joined = Group(last.value, last.dtype)
        joined.members = last.members
        joined.parts = self._ordered(groups)
        joined.reads = list(dict.fromkeys(s for g in groups for s in g.reads))
        joined.writes = [s for g in groups for s in g.writes]
        self.schedule.replace(last, joined)
        for group in groups[:-1]:
            self.schedule.absorb(group, joined)

    def _signature(self, group: Group) -> Any:
        """What groups must have in common to be joined; None where a group can't be.

        They run the same operations on operands of the same kinds: whole arrays, which may differ,
        single numbers in memory and constants, which must be the same.
        """
        if group.sums or group.targets or any(s.inside for s in (*group.reads, *group.writes)):
            return None
        accesses: list[Any] = []
        for access in group.accesses.values():
            if access.storage.size == 1 and group.value.size != 1:
                accesses.append(("one", id(access.storage)))
            elif is_flat(group, access) and group.value.size > 1:
                accesses.append(("flat", access.storage.dtype, access.storage.space))
            else:
                return None
        return form(group), tuple(accesses), tuple([s.space for s in group.writes])

    def _flat(self, group: Group) -> list[Storage]:
        """The arrays that a group reads and writes element by element; not the single numbers."""
        flat = [a.storage for a in group.accesses.values() if a.storage.size == group.value.size]
        return [*flat, *group.writes]

    def _ordered(self, groups: list[Group]) -> list[Group]:
        """The groups by the offsets of the states they touch; those without keep their order."""

        def place(group: Group) -> int:
            return next((s.offset for s in self._flat(group) if s.space == "state"), 0)

        return sorted(groups, key=place)

    def _columns(self, groups: list[Group]) -> list[list[Storage]] | None:
        """For each operand of the groups its storages, in order; None where they can't lie so.

        A storage may stand in one column only, at one place: two columns that share a storage must
        be one and the same, as that of a state's old values and that of its new ones.
        """
        columns: list[list[Storage]] = []
        if len({s.dtype.itemsize for group in groups for s in self._flat(group)}) > 1:
            return None  # the gaps between storages would not match
        for column in zip(*(self._flat(g) for g in self._ordered(groups)), strict=True):
            storages = list(column)
            if storages not in columns:
                columns.append(storages)
            if storages[0].space not in ("state", "arena"):
                return None
        seen: dict[tuple[str, int], tuple[int, ...]] = {}
        for storages in columns:
            # A state's old and new storage are two objects at one offset.
            places = tuple([s.offset if s.space == "state" else id(s) for s in storages])
            for storage, here in zip(storages, places, strict=True):
                if seen.setdefault((storage.space, here), places) != places:
                    return None
            if len(set(places)) != len(places):
                return None
        return columns


def _whole_copy(value: Value, x: Storage, out: Storage) -> Instruction:
    return copy(value, x, out, (x.size,), (1,), (1,))


def _independent(
    groups: list[Group],
    readers: Mapping[Storage, list[Instruction]],
    changes: Mapping[int, list[int]],
) -> list[Group]:
    """Those groups that can as well be computed at the last group's place.

    Nothing may read their results before, and nothing may change a state that they read.
    """
    last = groups[-1].position
    independent = []
    for group in groups[:-1]:
        reads_late = all(
            reader.position > last
            for storage in group.writes
            for reader in readers.get(storage, ())
        )
        overtaken = any(
            bisect_right(at, group.position) < bisect_right(at, last)
            for storage in group.reads
            if storage.space == "state" and (at := changes.get(storage.offset))
        )
        if reads_late and not overtaken:
            independent.append(group)
    return [*independent, groups[-1]]
