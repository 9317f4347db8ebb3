"""The schedule: which instructions compute a step's values, in which order.

Elementwise values are grouped into programs: a value joins the group of one of its inputs if all
its other inputs are computed before that group. What becomes of the groups once all their members
are known is told in `fusion`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.compiler.elementwise import (
    ELEMENTWISE,
    UnsupportedError,
    compute_dtype,
    is_exact_in_int64,
)
from chainrule.compiler.instructions import (
    Access,
    Group,
    Instruction,
    Storage,
    collapse,
    contiguous,
    copy,
    fill,
    is_full,
    repeating,
)
from chainrule.compiler.values import LEAVES, Step, Value, root

_SIMPLE = {"add", "subtract", "multiply", "negative", "astype", "heaviside"}
_TERMS = 32  # of a sum that is computed at once
_CONSTANT_BYTES = 4096  # of a constant that is kept rather than filled in every step
_SMALL_PART = 16  # a broadcast value is small whose memory is so many times smaller
_RECOMPUTED = 3  # operations at most, instead of keeping a value in memory


class Scheduler:
    """Builds the instructions of a step."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.instructions: list[Instruction] = []
        self.storages: dict[Value, Storage] = {}
        self.position: dict[Storage, Instruction] = {}
        self.group_of: dict[Value, Group] = {}
        self.age: dict[Value, int] = {}
        """The order in which values came into their groups."""
        self._demanded: set[Value] = set()
        """What lies in memory anyway, as other instructions than programs read or write it."""
        self._readers: dict[Group, set[Group | None]] = {}
        """The groups that read a group's values; None stands for all other instructions."""
        self._copies: dict[tuple[Group, Value], Value] = {}
        self.drawn = _drawn_where_read(step)
        """Random numbers that a program draws itself; they take no memory."""

    # Where values lie

    def storage(self, value: Value) -> Storage:
        """The memory of a value; one that is only a way of reading is copied into memory first."""
        self._demanded.add(root(value))
        self._note_reader(value, None)
        return self._storage(value)

    def _note_reader(self, value: Value, reader: Group | None) -> None:
        home = self.group_of.get(root(value))
        if home is not None:
            self._readers.setdefault(home, set()).add(reader)

    def _storage(self, value: Value) -> Storage:
        if value.kind == "reshape":
            return self._storage(value.inputs[0])
        if value.kind == "broadcast_to" or (
            value.kind == "constant"
            and value.fill is not None
            and value.size * value.dtype.itemsize > _CONSTANT_BYTES
        ):
            return self._materialise(value)
        if value not in self.storages:
            space = {"state": "state", "constant": "constants"}.get(value.kind, "arena")
            self.storages[value] = Storage(value, space)
        return self.storages[value]

    def before(self, value: Value) -> int:
        """The position of the instruction that computes what a read of `value` needs; -1: none."""
        while value.kind in ("reshape", "broadcast_to") and value not in self.storages:
            value = value.inputs[0]
        if value in self.drawn:
            return self.before(value.inputs[0])
        if value in self.group_of:
            return self.group_of[value].position
        if value in self.storages and self.storages[value] in self.position:
            return self.position[self.storages[value]].position
        return -1

    def add(self, instruction: Instruction) -> Instruction:
        instruction.position = len(self.instructions)
        self.instructions.append(instruction)
        for storage in instruction.writes:
            self.position[storage] = instruction
        return instruction

    def _materialise(self, value: Value) -> Storage:
        """A contiguous copy of a broadcast or constant value, made where it is first needed."""
        if value not in self.storages:
            access = self.access(value, value.shape)
            out = self.storages[value] = Storage(value, "arena")
            if access is None:
                source = value if value.kind == "constant" else value.inputs[0]
                assert source.fill is not None
                self.add(fill(value, out, source.fill))
            else:
                strides = contiguous(value.shape)
                self.add(copy(value, access.storage, out, value.shape, access.strides, strides))
        return self.storages[value]

    def access(self, value: Value, shape: tuple[int, ...]) -> Access | None:
        """How a program over `shape` reads `value`; None for a constant of one number."""
        strides = self._strides(value, shape)
        if strides is None:
            return None
        if value in self.drawn:
            return Access(self._storage(value.inputs[0]), strides, drawn=True)
        if value.kind == "broadcast_to" and value not in self.storages:
            value = value.inputs[0]
        return Access(self._storage(value), strides)

    def _strides(self, value: Value, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """The strides of `access`, without asking for memory."""
        if value.fill is not None:
            return None
        if value.kind == "broadcast_to" and value not in self.storages:
            source = value.inputs[0].shape
            return (0,) * (len(shape) - len(source)) + repeating(source)
        return repeating(shape)

    # Instructions

    def elementwise(self, value: Value) -> None:
        """Put an elementwise value into a group, or start one."""
        dtype = compute_dtype(value)
        if dtype.kind == "i" and not is_exact_in_int64(value):
            raise UnsupportedError(
                f"operation {value.kind} of {value.dtype} has no native kernel; cast to int64"
            )
        while value.kind == "add_n" and len(value.inputs) > _TERMS:
            value.inputs = tuple(self._partial_sums(value))
        group = self._group_to_join(value, dtype)
        if group is None:
            # What must lie in memory is put there before the group starts.
            for i in value.inputs:
                if self._needs_copy(i):
                    self.access(i, value.shape)
            strides = [s for i in value.inputs if (s := self._strides(i, value.shape)) is not None]
            if len(collapse(value.shape, strides)[0]) > 2:
                for i in value.inputs:
                    if i.kind == "broadcast_to" and i.inputs[0].size > 1:
                        self._materialise(i)
            group = Group(value, dtype)
            self.add(group)
        value.inputs = tuple([self._recomputed(i, group) for i in value.inputs])
        self._put(value, group)

    def _put(self, value: Value, group: Group) -> None:
        """Make a value a member of a group."""
        for i in value.inputs:
            if i not in group.accesses and self.group_of.get(i) is not group:
                access = self.access(i, value.shape)
                if access is not None:
                    group.accesses[i] = access
                    self._note_reader(i, group)
        group.members.append(value)
        group.value = value
        self.group_of[value] = group
        self.age[value] = len(self.age)

    # What is computed twice rather than kept

    def _recomputed(self, value: Value, group: Group) -> Value:
        """A copy of `value` inside `group` if that is cheaper than to keep `value` in memory.

        That is so where it takes a few simple operations from what is kept anyway, or from a truth
        value, which takes a byte. The original then often has no reader and is dropped.
        """
        home = self.group_of.get(value)
        if home is None or home is group or value in self._demanded:
            return value
        if self._readers.get(home, set()) <= {group} and not is_full(home, group):
            return value  # the groups become one: see `fusion`
        if (group, value) not in self._copies:
            self._copies[group, value] = self._copied(value, group)
        return self._copies[group, value]

    def _copied(self, value: Value, group: Group) -> Value:
        way: list[tuple[Value, Value]] = []  # what is computed again, and from which input
        source = value
        while not self._is_kept(source):
            whole = [i for i in source.inputs if not self._is_small(i, source)]
            if (
                source.kind not in _SIMPLE
                or len(way) == _RECOMPUTED
                or len(whole) != 1
                or whole[0].shape != group.shape
                or source.shape != group.shape
                or compute_dtype(source) != group.dtype
            ):
                return self._copied_sign(value, group)
            way.append((source, whole[0]))
            source = whole[0]
        for original, before in reversed(way):
            if (group, original) not in self._copies:
                inputs = tuple([source if i is before else i for i in original.inputs])
                copy = Value(
                    original.kind,
                    inputs,
                    original.attributes,
                    original.shape,
                    original.dtype,
                    original.node,
                )
                self._put(copy, group)
                self.age[copy] = self.age[original]
                self._copies[group, original] = copy
            source = self._copies[group, original]
        return source

    def _is_small(self, value: Value, reader: Value) -> bool:
        """Whether to read a value costs next to nothing beside the values of its reader."""
        if value.fill is not None:
            return True
        return (
            value.kind == "broadcast_to"
            and value not in self.storages
            and value.inputs[0].size * _SMALL_PART <= reader.size
        )

    def _is_kept(self, value: Value) -> bool:
        """Whether a value lies in memory anyway, or may at little cost."""
        return value.kind in LEAVES or value in self._demanded or value.dtype.kind == "b"

    def _copied_sign(self, value: Value, group: Group) -> Value:
        """heaviside(x) in another group than x's, by way of x > 0 as truth values."""
        home = self.group_of[value]
        if value.kind != "heaviside" or home.dtype != group.dtype or value.shape != group.shape:
            return value
        zero = Value("constant", (), {}, value.shape, value.dtype, value.node)
        zero.array = np.broadcast_to(np.zeros((), value.dtype), value.shape)
        truth = Value(
            "greater", (value.inputs[0], zero), {}, value.shape, np.dtype(bool), value.node
        )
        self._put(truth, home)
        self.age[truth] = self.age[value]
        copy = Value("astype", (truth,), {}, value.shape, value.dtype, value.node)
        self._put(copy, group)
        self.age[copy] = self.age[value]
        return copy

    def _partial_sums(self, value: Value) -> Iterator[Value]:
        """The sums of a few terms each of a sum of many."""
        for start in range(0, len(value.inputs), _TERMS):
            terms = value.inputs[start : start + _TERMS]
            if len(terms) == 1:
                yield terms[0]
                continue
            partial = Value("add_n", terms, {}, value.shape, value.dtype, value.node)
            self.elementwise(partial)
            yield partial

    def _group_to_join(self, value: Value, dtype: np.dtype[Any]) -> Group | None:
        candidates = [self.group_of[i] for i in value.inputs if i in self.group_of]
        if not candidates:
            return None
        group = max(candidates, key=lambda g: g.position)
        if group.dtype != dtype or group.shape != value.shape or is_full(group):
            return None
        strides = [a.strides for a in group.accesses.values()]
        for i in value.inputs:
            if self.group_of.get(i) is group:
                continue
            if self.before(i) >= group.position or self._needs_copy(i):
                return None
            more = self._strides(i, value.shape)
            if more is not None:
                strides.append(more)
        return group if len(collapse(value.shape, strides)[0]) <= 2 else None

    def _needs_copy(self, value: Value) -> bool:
        """Whether a program can read the value only after it was copied into memory."""
        if value.kind == "broadcast_to" and value not in self.storages:
            value = value.inputs[0]
            if value.kind == "constant":
                return False
        elif value.kind != "reshape":
            return False
        while value.kind == "reshape":
            value = value.inputs[0]
        only_read = value.kind == "broadcast_to" or value.fill is not None
        return only_read and value not in self.storages


def _drawn_where_read(step: Step) -> set[Value]:
    """Random numbers that one elementwise operation alone reads: its program draws them itself."""
    users: dict[Value, list[Value]] = {}
    for value in step.values:
        for i in value.inputs:
            users.setdefault(i, []).append(value)
    ends = {*step.outputs, *step.updates.values()}
    drawn = set()
    for value in step.values:
        if value.kind == "random_uniform" and value not in ends and len(users[value]) == 1:
            (user,) = users[value]
            simple = user.kind in ELEMENTWISE and user.shape == value.shape
            if simple and compute_dtype(user) == value.dtype:
                drawn.add(value)
    return drawn
