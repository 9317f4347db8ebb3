"""Memory: state updated in place, like updates joined, lifetimes laid out in one arena."""

from __future__ import annotations

from typing import Any, Protocol

from chainrule._core import CACHE_LINE
from chainrule.compiler.instructions import Group, Instruction, Storage, copy
from chainrule.compiler.programs import is_flat
from chainrule.compiler.schedule import Scheduler
from chainrule.compiler.values import Value
from chainrule.graph.state import State

ALIGNMENT = CACHE_LINE
"""Bytes: a cache line, and the widest vector."""


class StateLayout(Protocol):
    """Where states lie: the same for all plans of a model."""

    def offset(self, state: State) -> int: ...


def padded(nbytes: int) -> int:
    """The bytes that a storage takes with what keeps the next one aligned."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


class Memory:
    """Places all storages of a schedule.

    Attributes:
        instructions: the schedule, with copies added where a state can't be updated in place.
        arena_size: bytes.
        constants: the constant storages, in their order.
    """

    def __init__(self, scheduler: Scheduler, states: StateLayout) -> None:
        self.scheduler = scheduler
        self.instructions = scheduler.instructions
        self.states = states
        self.state_storages: dict[State, Storage] = {}
        self.constants: list[Storage] = []
        self.constants_size = 0
        for value in (*scheduler.step.outputs, *scheduler.step.updates.values()):
            scheduler.storage(value)  # what is only read in another way gets memory of its own
        for value, storage in scheduler.storages.items():
            if storage.space == "state":
                assert value.state is not None
                self.state_storages[value.state] = storage
                storage.offset = states.offset(value.state)
            elif storage.space == "constants":
                storage.offset = self.constants_size
                self.constants_size += padded(storage.nbytes)
                self.constants.append(storage)
        self.outputs = [self._output(value) for value in scheduler.step.outputs]
        self._update_states()
        self.segments = self._join_groups()
        self._renumber()
        self.arena_size = self._place()

    # State

    def _output(self, value: Value) -> Storage:
        """Where an output lies at the end of a run; state is copied before the step changes it."""
        storage = self.scheduler.storage(value)
        if storage.space != "state":
            return storage
        return self._copied(storage, value, first=True)

    def _copied(self, storage: Storage, value: Value, *, first: bool) -> Storage:
        out = Storage(value, "arena")
        self._add_copy(value, storage, out, first=first)
        return out

    def _add_copy(self, value: Value, x: Storage, out: Storage, *, first: bool) -> None:
        instruction = copy(value, x, out, (x.size,), (1,), (1,))
        self.instructions.insert(0 if first else len(self.instructions), instruction)

    def _update_states(self) -> None:
        """Let what computes a state's new value write it where the state lies, if nothing reads the
        old value later; else copy it there at the end."""
        claimed: set[Storage] = set(self.outputs)
        updates = []
        for state, value in self.scheduler.step.updates.items():
            new = self.scheduler.storage(value)
            if new.space == "state":  # before anything is changed
                new = self._copied(new, value, first=True)
            updates.append((state, value, new))
        self._renumber()
        readers = self._readers()
        copies = []
        for state, value, new in updates:
            old = self.state_storages.get(state)
            if old is None:
                old = Storage(value, "state")
                old.offset = self.states.offset(state)
                self.state_storages[state] = old
            if new in claimed or not self._in_place(old, new, readers):
                copies.append((value, new, old))
                continue
            claimed.add(new)
            new.space = "state"
            new.offset = old.offset
        for value, new, old in copies:
            self._add_copy(value, new, old, first=False)

    def _readers(self) -> dict[Storage, list[Instruction]]:
        readers: dict[Storage, list[Instruction]] = {}
        for instruction in self.instructions:
            for storage in instruction.reads:
                readers.setdefault(storage, []).append(instruction)
        return readers

    def _in_place(
        self, old: Storage, new: Storage, readers: dict[Storage, list[Instruction]]
    ) -> bool:
        writer = self.scheduler.position.get(new)
        if writer is None or new.space != "arena" or new.dtype != old.dtype or new.size != old.size:
            return False
        group = writer if isinstance(writer, Group) else writer.epilogue
        if group is None or new not in group.writes:
            return False
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
        """Make one program of groups that do the same to different memory of equal layout.

        Returns:
            Lists of storages that must lie one after another.
        """
        alike: dict[Any, list[Group]] = {}
        for instruction in self.instructions:
            if isinstance(instruction, Group):
                signature = self._signature(instruction)
                if signature is not None:
                    alike.setdefault(signature, []).append(instruction)
        segments: list[list[Storage]] = []
        taken: set[Storage] = set()
        for groups in alike.values():
            if len(groups) < 2:
                continue
            for run in self._runs(self._independent(groups, self._readers())):
                columns = self._columns(run)
                if columns is None or any(s in taken for column in columns for s in column):
                    continue
                for column in columns:
                    if column[0].space == "arena":
                        segments.append(column)
                        taken.update(column)
                self._replace(run)
        return segments

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
        """Whether each state of the second group lies right behind that of the first."""
        return all(
            a.offset + padded(a.nbytes) == b.offset
            for a, b in zip(self._flat(group), self._flat(after), strict=True)
            if a.space == "state"
        )

    def _replace(self, groups: list[Group]) -> None:
        """Put one group in the place of the last of several."""
        joined = Group(groups[-1].value, groups[-1].dtype)
        joined.members = groups[-1].members
        joined.parts = self._ordered(groups)
        joined.reads = list(dict.fromkeys(s for g in groups for s in g.reads))
        joined.writes = [s for g in groups for s in g.writes]
        self.instructions[groups[-1].position] = joined
        for group in groups[:-1]:
            self.instructions.remove(group)
        for storage in joined.writes:
            self.scheduler.position[storage] = joined
        self._renumber()

    def _signature(self, group: Group) -> Any:
        """What groups must have in common to be joined; None where a group can't be."""
        if group.sums:
            return None
        numbers: dict[Value, int] = {}
        accesses: list[Any] = []
        for value, access in group.accesses.items():
            numbers[value] = len(numbers)
            if access.storage.size == 1 and group.value.size != 1:
                accesses.append(("one", id(access.storage)))
            elif is_flat(group, access) and group.value.size > 1:
                accesses.append(("flat", access.storage.dtype, access.storage.space))
            else:
                return None
        members = []
        for member in group.members:
            inputs: list[Any] = []
            for i in member.inputs:
                if i in numbers:
                    inputs.append(numbers[i])
                else:
                    source = i.inputs[0] if i.kind == "broadcast_to" else i
                    inputs.append(("number", repr(source.fill)))
            members.append((member.kind, member.dtype, tuple(inputs)))
            numbers[member] = len(numbers)
        stored = tuple(
            (numbers[v], s.space) for v, s in zip(group.stored, group.writes, strict=True)
        )
        return (group.dtype, tuple(accesses), tuple(members), stored)

    def _independent(
        self, groups: list[Group], readers: dict[Storage, list[Instruction]]
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
                for reader in readers.get(storage, [])
            )
            read = {s.offset for s in group.reads if s.space == "state"}
            overtaken = any(
                storage.space == "state" and storage.offset in read
                for instruction in self.instructions[group.position + 1 : last + 1]
                for storage in instruction.writes
            )
            if reads_late and not overtaken:
                independent.append(group)
        return [*independent, groups[-1]]

    def _flat(self, group: Group) -> list[Storage]:
        flat = [a.storage for a in group.accesses.values() if a.storage.size == group.value.size]
        return [*flat, *group.writes]

    def _ordered(self, groups: list[Group]) -> list[Group]:
        """By the places of the states they touch, else as they stand."""

        def place(group: Group) -> int:
            return next((s.offset for s in self._flat(group) if s.space == "state"), 0)

        return sorted(groups, key=place)

    def _columns(self, groups: list[Group]) -> list[list[Storage]] | None:
        """For each operand of the groups its storages, in order; None where they don't match."""
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
            # Where a state stands in two columns, old and new, these must be one and the same.
            places = tuple([s.offset if s.space == "state" else id(s) for s in storages])
            for storage, place in zip(storages, places, strict=True):
                if seen.setdefault((storage.space, place), places) != places:
                    return None
            if len(set(places)) != len(places):
                return None
        return columns

    # The arena

    def _renumber(self) -> None:
        for number, instruction in enumerate(self.instructions):
            instruction.position = number

    def _place(self) -> int:
        """Offsets for all arena storages: the largest first, each at the lowest free place."""
        end = len(self.instructions)
        used: dict[Storage, list[int]] = {}
        for instruction in self.instructions:
            for storage in (*instruction.reads, *instruction.writes):
                if storage.space == "arena":
                    used.setdefault(storage, []).append(instruction.position)
        for storage in self.outputs:
            if storage.space == "arena":
                used.setdefault(storage, []).append(end)
        units: list[list[Storage]] = [s for s in self.segments if s[0].space == "arena"]
        joined = {storage for unit in units for storage in unit}
        hosts = self._hosts(used, joined)
        units += [[storage] for storage in used if storage not in joined and storage not in hosts]
        placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last
        size = 0

        def nbytes(unit: list[Storage]) -> int:
            return sum(padded(storage.nbytes) for storage in unit)

        for unit in sorted(units, key=nbytes, reverse=True):
            times = [t for storage in unit for t in used.get(storage, [0])]
            first, last = min(times), max(times)
            offset = 0
            for other in sorted(placed):
                start, stop, other_first, other_last = other
                if other_last < first or last < other_first:
                    continue
                if offset + nbytes(unit) <= start:
                    break
                offset = max(offset, stop)
            placed.append((offset, offset + nbytes(unit), first, last))
            for storage in unit:
                storage.offset = offset
                offset += padded(storage.nbytes)
            size = max(size, offset)
        for storage, host in hosts.items():
            storage.offset = host.offset
        return size

    def _hosts(
        self, used: dict[Storage, list[int]], joined: set[Storage]
    ) -> dict[Storage, Storage]:
        """For what programs compute, in whose place it may lie: of an input that ends there.

        The uses of such a value become uses of its host.
        """
        hosts: dict[Storage, Storage] = {}
        for instruction in self.instructions:
            group = instruction if isinstance(instruction, Group) else instruction.epilogue
            if group is None or group.parts:
                continue
            now = instruction.position
            # Other tiles still read a product's factors.
            factors = instruction.reads[:2] if instruction is not group else []
            kept = {*joined, *(hosts.get(s, s) for s in factors)}
            found = [a.storage for a in group.accesses.values() if is_flat(group, a)]
            free = [
                s
                for s in dict.fromkeys(hosts.get(s, s) for s in found)
                if s.space == "arena" and s not in kept and max(used[s]) == now
            ]
            for value, storage in zip(group.stored, group.writes, strict=False):
                if storage.space != "arena" or storage in joined or storage in hosts:
                    continue
                host = next((s for s in free if _is_alike(s, storage)), None)
                if host is None or min(used[storage]) != now or value.shape != group.shape:
                    continue
                free.remove(host)
                hosts[storage] = host
                used[host] += used.pop(storage)
        return hosts


def _is_alike(a: Storage, b: Storage) -> bool:
    return a.size == b.size and a.dtype == b.dtype
