"""The schedule: which instructions compute a graph's values, in which order.

`Scheduler` builds it while `lowering` goes through the values in the graph's order. What is no
elementwise operation becomes an instruction at once. Elementwise values are collected in groups,
each to become one program, which goes over memory once for all its members:

    z = x @ W.T         gemm
    u = z + b           group 1: u         starts a group: z is computed before
    a = relu(u)         group 1: u a       joins the group of its input
    h = heaviside(a)    group 1: u a h
    y = a @ V.T         gemm               reads a, which so lies in memory
    d = y * h           group 2: h d       y comes after group 1; h is computed anew from a

A value joins the group of one of its inputs if all its other inputs are computed before that group.
Where it has to start another one, some of its inputs may be computed a second time in the new group
rather than kept in memory ("What is computed twice" below). What becomes of the groups once all
their members are known is told in `fusion`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np

from chainrule.compiler.elementwise import (
    ELEMENTWISE,
    UnsupportedError,
    compute_dtype,
    drawn_by_programs,
    is_exact_in_int64,
    is_narrowed,
)
from chainrule.compiler.instructions import (
    Access,
    Group,
    Instruction,
    Part,
    Schedule,
    Storage,
    contiguous,
    copy,
    fill,
    fits_program,
    is_full,
    repeating,
)
from chainrule.compiler.parts import Elements, elements_in_memory, elements_of_input
from chainrule.compiler.values import (
    LEAVES,
    READ_ELSEWHERE,
    Value,
    ValueGraph,
    constant,
    is_part,
    is_read_elsewhere,
    root,
    without_reshapes,
)

# What costs less to compute anew than to load, as was measured.
_RECOMPUTABLE = {"add", "subtract", "multiply", "negative", "astype", "heaviside"}
_MOST_RECOMPUTED = 3  # operations, one after another
_MOST_TERMS = 32  # of a sum that is computed at once
_MOST_CONSTANT_BYTES = 4096  # of a constant that is kept rather than filled in every step
_SMALL_PART = 16  # a broadcast value is small if its memory is that many times smaller


class Scheduler:
    """Builds the schedule of a graph.

    Attributes:
        schedule: what is built.
        drawn_by_programs: random numbers that a program draws itself; they take no memory.
        shared: copies that several instructions read, by what they are copies of.
    """

    def __init__(self, graph: ValueGraph) -> None:
        self.graph = graph
        self.schedule = Schedule(graph)
        self.drawn_by_programs = drawn_by_programs(graph)
        self.shared: dict[Hashable, Storage] = {}
        self._demanded: set[Value] = set()
        """Values that lie in memory anyway: instructions other than programs read or write them."""
        self._readers: dict[Group, set[Group | None]] = {}
        """The groups that read a group's values; None stands for all other instructions."""
        self._copies: dict[tuple[Group, Value], Value] = {}
        """The copies of values in groups that compute them a second time."""
        self._ways: dict[Group, set[tuple[int, ...]]] = {}
        """The strides over which a group reads its operands."""
        self._elements: dict[Value, Elements | None] = {}
        """What `elements_in_memory` said of slices and reshapes."""
        self._by_inputs: dict[tuple[str, tuple[Value, ...]], list[Value]] = {}
        """The values of the graph by operation and inputs."""

    def finish(self) -> Schedule:
        """The schedule, with memory for the graph's roots."""
        for value in self.graph.roots:
            self.storage(value)
        return self.schedule

    # Where values lie

    def storage(self, value: Value) -> Storage:
        """The memory of a value that an instruction other than a program reads or writes.

        A value that is only a way of reading another is copied into memory first.
        """
        self._demanded.add(root(value))
        self._note_reader(value, None)
        return self._storage(value)

    def matrix(self, value: Value) -> tuple[Storage | Part, int]:
        """Where a matrix, or a stack of them, lies, and how many elements from row to row.

        The elements of a row lie side by side: a part where they don't is copied.
        """
        part = self._part(value) if len(value.shape) == 2 else None
        if part is not None and (part.strides[1] == 1 or value.shape[1] == 1):
            return Part(self.storage(part.whole), part.first), max(part.strides[0], value.shape[1])
        return self.storage(value), max(value.shape[-1], 1)

    def _note_reader(self, value: Value, reader: Group | None) -> None:
        """Remember which group reads a value of another one; None is any other instruction."""
        group = self.schedule.group_of.get(root(value))
        if group is not None:
            self._readers.setdefault(group, set()).add(reader)

    def _storage(self, value: Value) -> Storage:
        """The memory of a value; what has none, as a broadcast or a large constant, gets a copy."""
        value = without_reshapes(value)
        if (
            value.kind == "broadcast_to"
            or is_part(value)
            or (value.fill is not None and value.nbytes > _MOST_CONSTANT_BYTES)
        ):
            return self._materialise(value)
        return self.schedule.storage(value)

    def _has_memory(self, value: Value) -> bool:
        """Whether a value, or a copy of what it reads, lies in memory."""
        return value in self.schedule.storages

    def _ready_after(self, value: Value) -> int:
        """The position of the instruction after which `value` can be read; -1: of none."""
        schedule = self.schedule
        home = schedule.group_of.get(value)
        while home is None and value not in schedule.storages and is_read_elsewhere(value):
            value = value.inputs[0]
            home = schedule.group_of.get(value)
        if home is not None:
            return home.position
        if value in self.drawn_by_programs:
            return self._ready_after(value.inputs[0])
        storage = schedule.storages.get(value)
        writer = None if storage is None else schedule.writers.get(storage)
        return -1 if writer is None else writer.position

    def is_computed(self, value: Value) -> bool:
        """Whether an instruction gives a value already, as one may that gives two."""
        return self.schedule.storages.get(value) in self.schedule.writers

    def partner(
        self, kind: str, inputs: tuple[Value, ...], attributes: dict[str, Any]
    ) -> Value | None:
        """The value of the graph that is computed so, if the step needs it."""
        if not self._by_inputs:
            for value in self.graph.values:
                self._by_inputs.setdefault((value.kind, value.inputs), []).append(value)
        alike = self._by_inputs.get((kind, inputs), ())
        return next((value for value in alike if value.attributes == attributes), None)

    def add(self, instruction: Instruction) -> None:
        """Run an instruction after all others."""
        self.schedule.append(instruction)

    def _materialise(self, value: Value) -> Storage:
        """A contiguous copy of a broadcast or constant value, made where it is first needed."""
        storages = self.schedule.storages
        if value in storages:
            return storages[value]
        if is_part(value):
            whole, first, strides = elements_in_memory(value) or elements_of_input(value)
            source: Access | None = Access(self.storage(whole), strides, first=first)
        else:
            source = self.access(value, value.shape)
        out = storages[value] = Storage(value, "arena")
        if source is None:
            constant = value if value.kind == "constant" else value.inputs[0]
            assert constant.fill is not None
            self.add(fill(value, out, constant.fill))
        else:
            part = Part(source.storage, source.first)
            self.add(copy(value, part, out, value.shape, source.strides, contiguous(value.shape)))
        return out

    def access(self, value: Value, shape: tuple[int, ...]) -> Access | None:
        """How a program over `shape` reads `value`; None for a constant of one number."""
        if self._lies_as_it_is(value):
            return Access(self.schedule.storage(value), repeating(shape))
        strides = self._strides(value, shape)
        if strides is None:
            return None
        if value in self.drawn_by_programs:
            return Access(self._storage(value.inputs[0]), strides, drawn=True)
        part = self._part(value)
        if part is not None:
            return Access(self._storage(part.whole), strides, first=part.first)
        if value.kind == "broadcast_to" and not self._has_memory(value):
            value = value.inputs[0]
        return Access(self._storage(value), strides)

    def _lies_as_it_is(self, value: Value) -> bool:
        """Whether a value lies in memory of its own, or will, element after element."""
        kind = value.kind
        return (
            kind not in READ_ELSEWHERE
            and value.fill is None
            and (kind != "random_uniform" or value not in self.drawn_by_programs)
        )

    def _strides(self, value: Value, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """The strides of `access`, without asking for memory."""
        if self._lies_as_it_is(value):
            return repeating(shape)
        if value.fill is not None:
            return None
        part = self._part(value)
        if part is not None:
            return part.strides
        if value.kind == "broadcast_to" and not self._has_memory(value):
            source = value.inputs[0].shape
            return (0,) * (len(shape) - len(source)) + repeating(source)
        return repeating(shape)

    # Groups of elementwise values

    def elementwise(self, value: Value) -> None:
        """Put an elementwise value into a group, or start one."""
        dtype = compute_dtype(value)
        if dtype.kind == "i" and not is_exact_in_int64(value):
            dtypes = ", ".join(str(i.dtype) for i in value.inputs)
            remedy = "int64" if ELEMENTWISE[value.kind].integers else "floats"
            raise UnsupportedError(
                f"{value.kind} of {dtypes} to {value.dtype} has no native kernel; cast to {remedy}"
            )
        while value.kind == "add_n" and len(value.inputs) > _MOST_TERMS:
            value.inputs = tuple(self._partial_sums(value))
        homes = list(map(self.schedule.group_of.get, value.inputs))
        group = self._group_to_join(value, dtype, homes)
        if group is None:
            group = self._new_group(value, dtype)
        if any([home is not None and home is not group for home in homes]):
            value.inputs = tuple(
                [
                    i if home is None or home is group else self._recomputed(i, home, group, value)
                    for i, home in zip(value.inputs, homes, strict=True)
                ]
            )
        self._put(value, group)

    def _group_to_join(
        self, value: Value, dtype: np.dtype[Any], homes: Sequence[Group | None]
    ) -> Group | None:
        """The last of the groups of a value's inputs, if the value can be computed in it.

        Where no input is in a group, that of the value beside which it is best computed.

        It must have room, the value's shape and dtype, and no more than two axes after the value's
        inputs are read in it; all other inputs must be computed before it.

        Args:
            value: the value.
            dtype: that it is computed in.
            homes: the group that computes each input, if one does.
        """
        group: Group | None = None
        for home in homes:
            if home is not None and (group is None or home.position > group.position):
                group = home
        if group is None and value.beside is not None:
            group = self.schedule.group_of.get(value.beside)
        if group is None or group.dtype != dtype or group.shape != value.shape or is_full(group):
            return None
        more = []
        for i, home in zip(value.inputs, homes, strict=True):
            if home is group:
                if is_narrowed(i):
                    return None
            elif i not in group.accesses:
                if home is None and self._ready_after(i) >= group.position:
                    return None
                if i.kind in READ_ELSEWHERE and self._needs_copy(i):
                    return None
                strides = self._strides(i, value.shape)
                if strides is not None:
                    more.append(strides)
        if self._ways[group].issuperset(more):
            return group
        ways = dict.fromkeys([*[a.strides for a in group.accesses.values()], *more])
        return group if fits_program(value.shape, tuple(ways)) else None

    def _new_group(self, value: Value, dtype: np.dtype[Any]) -> Group:
        """An empty group for a value, after what must be copied into memory for it to be read."""
        for i in value.inputs:
            if i.kind in READ_ELSEWHERE and self._needs_copy(i):
                self.access(i, value.shape)
        strides = [s for i in value.inputs if (s := self._strides(i, value.shape)) is not None]
        if not fits_program(value.shape, tuple(strides)):
            for i in value.inputs:
                if self._part(i) is not None or (i.kind == "broadcast_to" and i.inputs[0].size > 1):
                    self._storage(i)
        group = Group(value, dtype)
        self._ways[group] = set()
        self.add(group)
        return group

    def _fits(self, group: Group, values: Sequence[Value]) -> bool:
        """Whether a group's program can read the inputs of more values, too."""
        ways = {s for v in values for i in v.inputs if (s := self._strides(i, v.shape)) is not None}
        return fits_program(group.shape, tuple(self._ways[group] | ways))

    def _part(self, value: Value) -> Elements | None:
        """Where a slice, perhaps reshaped, lies in its input's memory; None if it has its own.

        None, too, for what is no slice or can only be read after it was copied.
        """
        if value.kind not in ("slice", "reshape") or self._has_memory(without_reshapes(value)):
            return None
        if value not in self._elements:
            self._elements[value] = elements_in_memory(value)
        return self._elements[value]

    def _needs_copy(self, value: Value) -> bool:
        """Whether a program can read the value only after it was copied into memory.

        That is so where two ways of reading follow one another, as a broadcast of a broadcast.
        """
        if value.kind not in READ_ELSEWHERE:
            return False
        source = without_reshapes(value)
        if is_part(source):
            return self._part(value) is None and not self._has_memory(source)
        if value.kind == "broadcast_to" and not self._has_memory(value):
            value = value.inputs[0]
            if value.kind == "constant":
                return False
        elif value.kind != "reshape":
            return False
        value = without_reshapes(value)
        only_read = value.kind == "broadcast_to" or is_part(value) or value.fill is not None
        return only_read and not self._has_memory(value)

    def _put(self, value: Value, group: Group) -> None:
        """Make a value a member of a group, which reads what it needs from outside."""
        schedule, group_of = self.schedule, self.schedule.group_of
        for i in value.inputs:
            if i not in group.accesses and group_of.get(i) is not group:
                access = self.access(i, value.shape)
                if access is not None:
                    group.accesses[i] = access
                    self._ways[group].add(access.strides)
                    self._note_reader(i, group)
        group.members.append(value)
        group.value = value
        group_of[value] = group
        schedule.ranks[value] = len(schedule.ranks)

    def _partial_sums(self, value: Value) -> Iterator[Value]:
        """The sums of a few terms each of a sum of many."""
        for start in range(0, len(value.inputs), _MOST_TERMS):
            terms = value.inputs[start : start + _MOST_TERMS]
            if len(terms) == 1:
                yield terms[0]
                continue
            partial = Value("add_n", terms, {}, value.shape, value.dtype, value.node)
            self.elementwise(partial)
            yield partial

    # What is computed twice rather than kept
    #
    #     forward     group 1: ... u, a          u would be stored for the backward pass alone
    #     backward    group 2: ... g * h(u)      and loaded here
    #
    # `_recomputed` looks from u back, along inputs of full size, for a value that is kept anyway.
    # Where cheap operations lead from there to u, group 2 gets copies of these, and loads what is
    # kept; if then nothing reads u outside of group 1, `fusion` does not store it.

    def _recomputed(self, value: Value, original: Group, group: Group, reader: Value) -> Value:
        """A copy of a value of another group if that is cheaper than to keep it in memory.

        That is so where it takes a few simple operations from what is kept anyway, or from a truth
        value, which takes a byte. The original then often has no reader and is dropped.

        Args:
            value: the value.
            original: its group.
            group: the one that reads it.
            reader: the value that reads it, not yet a member of `group`.
        """
        if value in self._demanded or is_narrowed(value):
            return value
        if self._readers.get(original, set()) <= {group} and not is_full(original, group):
            return value  # the groups become one: see `fusion`
        if (group, value) not in self._copies:
            self._copies[group, value] = self._copied(value, group, reader)
        return self._copies[group, value]

    def _copied(self, value: Value, group: Group, reader: Value) -> Value:
        """The value computed anew in `group` from one that is kept, or costs more; else itself."""
        anew = self._computed_anew(value, group)
        if not anew or not self._fits(group, [reader, *anew]):
            return self._copied_sign(value, group)
        for original in anew:
            if (group, original) not in self._copies:
                inputs = tuple([self._copies.get((group, i), i) for i in original.inputs])
                copy = Value(
                    original.kind,
                    inputs,
                    original.attributes,
                    original.shape,
                    original.dtype,
                    original.node,
                )
                self._put(copy, group)
                self.schedule.ranks[copy] = self.schedule.ranks[original]
                self._copies[group, original] = copy
        return self._copies[group, value]

    def _computed_anew(self, value: Value, group: Group) -> list[Value]:
        """The few operations, in order, that lead to a value from a single one of full size.

        That one is kept anyway, or it is what costs more than to load it: then it is kept in place
        of the value, and the operations are done where the value is read. None where there is no
        such one.
        """
        anew: list[Value] = []
        source: Value | None = None
        waiting = [value]
        while waiting:
            one = waiting.pop()
            if one in anew or one is source:
                continue
            is_cheap = one.kind in _RECOMPUTABLE and compute_dtype(one) == group.dtype
            if one.shape != group.shape or (one is value and not is_cheap):
                return []
            if is_cheap and not self._is_kept(one):
                anew.append(one)
                if len(anew) > _MOST_RECOMPUTED:
                    return []
                waiting += [i for i in one.inputs if not self._is_small(i, one)]
            elif source is None:
                source = one
            else:
                return []
        ranks = self.schedule.ranks
        return [] if source is None else sorted(anew, key=ranks.__getitem__)

    def _is_small(self, value: Value, reader: Value) -> bool:
        """Whether to read a value costs next to nothing beside the values of its reader."""
        if value.fill is not None:
            return True
        return (
            value.kind == "broadcast_to"
            and not self._has_memory(value)
            and value.inputs[0].size * _SMALL_PART <= reader.size
        )

    def _is_kept(self, value: Value) -> bool:
        """Whether a value lies in memory anyway, or may at little cost."""
        is_read_from_memory = value.dtype.kind == "b" or is_narrowed(value)
        is_read_from_memory |= is_part(without_reshapes(value))
        return value.kind in LEAVES or value in self._demanded or is_read_from_memory

    def _copied_sign(self, value: Value, group: Group) -> Value:
        """heaviside(x) in another group than x's, by way of x > 0 as truth values."""
        home = self.schedule.group_of[value]
        if value.kind != "heaviside" or home.dtype != group.dtype or value.shape != group.shape:
            return value
        zero = constant(0, value.shape, value.dtype, value.node)
        truth = Value(
            "greater", (value.inputs[0], zero), {}, value.shape, np.dtype(bool), value.node
        )
        self._put(truth, home)
        copy = Value("astype", (truth,), {}, value.shape, value.dtype, value.node)
        self._put(copy, group)
        ranks = self.schedule.ranks
        ranks[truth] = ranks[copy] = ranks[value]
        return copy
