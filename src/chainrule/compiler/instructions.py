"""The schedule of a graph, and what it is made of: storages, ways of reading them, instructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from chainrule.compiler.values import Value, ValueGraph, without_reshapes

MOST_MEMBERS = 48  # of a group: more registers than this would not stay in cache
_REGISTERS = 160  # of a program: the core has 256
_SPACES = {"state": "state", "constant": "constants"}  # of leaves; all else is in the arena


class Storage:
    """Memory for one value: `size` elements of `dtype` in a space of the plan.

    It may lie `inside` another one, whose part it is.
    """

    __slots__ = ("dtype", "inside", "nbytes", "offset", "size", "space", "value")

    def __init__(self, value: Value, space: str) -> None:
        self.inside: Part | None = None
        self.value = value
        self.dtype = value.dtype
        self.resize(value.size)
        self.space = space
        self.offset = -1

    def resize(self, size: int) -> None:
        """Hold this many elements."""
        self.size = size
        self.nbytes = size * self.dtype.itemsize

    def place(self, first: int = 0) -> tuple[str, int]:
        """Where its elements lie from one on, as the core takes it: the space, and bytes in it."""
        return self.space, self.offset + first * self.dtype.itemsize


class Access:
    """How an elementwise program reads a value: strides (in elements) over the index space.

    The element of index 0 is the storage's element `first`. Where `drawn`, the storage is the state
    that the value's random numbers are drawn from.
    """

    __slots__ = ("drawn", "first", "storage", "strides")

    def __init__(
        self, storage: Storage, strides: tuple[int, ...], *, first: int = 0, drawn: bool = False
    ) -> None:
        self.storage = storage
        self.strides = strides
        self.first = first
        self.drawn = drawn


class Part(NamedTuple):
    """An operand that begins inside a storage, at this element."""

    storage: Storage
    first: int


Operand: TypeAlias = Storage | Part | Sequence[Storage]


class Instruction:
    """Something the core does: reads storages, writes storages.

    Attributes:
        kind: its name in the core (cpp/plan/instructions.def).
        value: what it computes (the last member of a group), for labels.
        operands, results: what it reads and writes, by the core's names of these fields.
        flops: floating-point operations, those of an epilogue apart.
        arguments: the other fields.
        reads, writes: all storages of the operands and results, in their order, and those of the
            epilogue.
        position: a number that is larger than those of all instructions that run before it.
        chain: the number of the chain of rows that it belongs to; 0: none.
    """

    def __init__(
        self,
        kind: str,
        value: Value,
        operands: Mapping[str, Operand],
        results: Mapping[str, Operand],
        *,
        flops: int = 0,
        **arguments: Any,
    ) -> None:
        self.kind = kind
        self.value = value
        self.operands = operands
        self.results = results
        self.flops = flops
        self.arguments = arguments
        self.reads = _storages(operands)
        self.writes = _storages(results)
        self.position = 0
        self.epilogue: Group | None = None
        self.chain = 0


def _storages(operands: Mapping[str, Operand]) -> list[Storage]:
    found: list[Storage] = []
    for operand in operands.values():
        if isinstance(operand, Storage):
            found.append(operand)
        elif isinstance(operand, Part):
            found.append(operand.storage)
        else:
            found += operand
    return found


def copy(
    value: Value,
    x: Storage | Part,
    out: Storage | Part,
    shape: tuple[int, ...],
    x_strides: tuple[int, ...],
    out_strides: tuple[int, ...],
) -> Instruction:
    """Elements of x to those of out, both strided, in memory of one dtype."""
    storage = x.storage if isinstance(x, Part) else x
    return Instruction(
        "copy",
        value,
        {"x": x},
        {"out": out},
        itemsize=storage.dtype.itemsize,
        shape=shape,
        x_strides=x_strides,
        out_strides=out_strides,
    )


def fill(value: Value, out: Storage, number: float) -> Instruction:
    """One number everywhere."""
    return Instruction(
        "fill", value, {}, {"out": out}, dtype=out.dtype, count=out.size, number=float(number)
    )


def reduction(
    kind: str, value: Value, x: Storage, out: Storage, lengths: tuple[int, int, int]
) -> Instruction:
    """x of shape (outer, length, inner) to out (outer, inner)."""
    outer, length, inner = lengths
    return Instruction(
        "reduce",
        value,
        {"x": x},
        {"out": out},
        flops=x.size,
        reduction=kind,
        dtype=x.dtype,
        outer=outer,
        length=length,
        inner=inner,
    )


class Group(Instruction):
    """Elementwise values of one shape and compute dtype, to become one program."""

    def __init__(self, value: Value, dtype: np.dtype[Any]) -> None:
        super().__init__("program", value, {}, {})
        self.members: list[Value] = []
        self.dtype = dtype
        self.shape = value.shape
        self.accesses: dict[Value, Access] = {}
        self.stored: list[Value] = []
        self.sums: list[tuple[Value, Storage]] = []
        """Members of which sums over rows are taken, and where they go."""
        self.sum_rows = 0
        """Over how many rows, of those of `as_matrix`, each sum is."""
        self.targets: dict[Value, Access] = {}
        """Where stored members go that lie among others: into a part of a larger storage."""
        self.parts: list[Group] = []
        """The groups that this one stands for, itself among them, where several were joined."""

    @property
    def ways(self) -> tuple[tuple[int, ...], ...]:
        """The strides of the accesses, then those of the targets."""
        return tuple([a.strides for a in (*self.accesses.values(), *self.targets.values())])


def is_full(*groups: Group) -> bool:
    """Whether the groups together have too many values for a program's registers."""
    members = accesses = 0
    for group in groups:
        members += len(group.members)
        accesses += len(group.accesses)
    return members >= MOST_MEMBERS or accesses + members >= _REGISTERS


class Schedule:
    """The instructions that compute a graph's values, in order, and where the values lie.

    Attributes:
        graph: the values.
        storages: the memory of each value that has its own.
        writers: the instruction that writes a storage; a leaf's has none.
        group_of: the group that computes an elementwise value.
        ranks: numbers by which members of one group come in the graph's order.
    """

    def __init__(self, graph: ValueGraph) -> None:
        self.graph = graph
        self._instructions: list[Instruction] = []
        self._removed: set[Instruction] = set()  # from the list at the next look at it
        self.storages: dict[Value, Storage] = {}
        self.writers: dict[Storage, Instruction] = {}
        self.group_of: dict[Value, Group] = {}
        self.ranks: dict[Value, int] = {}

    @property
    def instructions(self) -> list[Instruction]:
        """The instructions, in the order in which the core runs them."""
        if self._removed:
            self._instructions = [i for i in self._instructions if i not in self._removed]
            self._removed.clear()
        return self._instructions

    @property
    def groups(self) -> list[Group]:
        """The groups that are instructions of their own, in order."""
        return [i for i in self.instructions if isinstance(i, Group)]

    def storage(self, value: Value) -> Storage:
        """The memory of a value, which it gets now if it has none; a reshape has its input's."""
        value = without_reshapes(value)
        storage = self.storages.get(value)
        if storage is None:
            space = _SPACES.get(value.kind, "arena")
            storage = self.storages[value] = Storage(value, space)
        return storage

    def append(self, instruction: Instruction) -> None:
        """Run an instruction after all others."""
        if self._instructions:
            instruction.position = self._instructions[-1].position + 1
        self._instructions.append(instruction)
        for storage in instruction.writes:
            self.writers[storage] = instruction

    def prepend(self, instruction: Instruction) -> None:
        """Run an instruction before all others."""
        if self._instructions:
            instruction.position = self._instructions[0].position - 1
        self._instructions.insert(0, instruction)
        for storage in instruction.writes:
            self.writers[storage] = instruction

    def remove(self, instruction: Instruction) -> None:
        """Take an instruction out whose results nothing needs."""
        self._removed.add(instruction)

    def absorb(self, instruction: Instruction, into: Instruction) -> None:
        """Take an instruction out whose results another one writes from now on."""
        self._removed.add(instruction)
        for storage in instruction.writes:
            self.writers[storage] = into

    def replace(self, instruction: Instruction, new: Instruction) -> None:
        """Put a new instruction, which writes the same results, in the place of another one."""
        new.position = instruction.position
        self.instructions[self.instructions.index(instruction)] = new
        for storage in instruction.writes:
            self.writers[storage] = new


# Few shapes, asked for again and again.
_cached = lru_cache(maxsize=1024)


@_cached
def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides, in elements, of an array in row-major order."""
    strides = []
    step = 1
    for length in reversed(shape):
        strides.append(step)
        step *= length
    return tuple(reversed(strides))


@_cached
def repeating(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides that are 0 over axes of length 1, so that those repeat."""
    return tuple([0 if n == 1 else s for n, s in zip(shape, contiguous(shape), strict=True)])


@_cached
def collapse(
    shape: tuple[int, ...], strides: tuple[tuple[int, ...], ...]
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """The index space with as few axes as all the ways of reading it allow.

    Returns:
        The lengths of the axes, and the strides of each way over them. Results, which are stored in
        row-major order, count as one of the ways.
    """
    if 0 in shape:
        return (0,), ((0,),) * len(strides)
    ways = (contiguous(shape), *strides)
    lengths: list[int] = []
    found: list[list[int]] = [[] for _ in ways]
    for axis, length in enumerate(shape):
        if length == 1:
            continue
        joins = lengths and all(found[w][-1] == way[axis] * length for w, way in enumerate(ways))
        if joins:
            lengths[-1] *= length
            for w, way in enumerate(ways):
                found[w][-1] = way[axis]
        else:
            lengths.append(length)
            for w, way in enumerate(ways):
                found[w].append(way[axis])
    return tuple(lengths), tuple([tuple(way) for way in found[1:]])


def as_matrix(
    shape: tuple[int, ...], strides: tuple[tuple[int, ...], ...]
) -> tuple[tuple[int, int], tuple[tuple[int, int], ...]] | None:
    """The index space as rows and columns, the last axis; None where a way of reading forbids it.

    Returns:
        The numbers of rows and columns, and the strides of each way over them.
    """
    if not shape:
        return None
    lead, ways = collapse(shape[:-1], tuple([way[:-1] for way in strides]))
    if len(lead) > 1:
        return None
    rows = lead[0] if lead else 1
    of_rows = [way[0] if way else 0 for way in ways]
    return (rows, shape[-1]), tuple(
        [(step, way[-1]) for step, way in zip(of_rows, strides, strict=True)]
    )


@_cached
def fits_program(shape: tuple[int, ...], strides: tuple[tuple[int, ...], ...]) -> bool:
    """Whether a program can go over an index space with these ways of reading and writing it.

    It has two axes, and what it reads in a row lies side by side, or is one number.
    """
    lengths, ways = collapse(shape, strides)
    return len(lengths) <= 2 and all([not way or way[-1] <= 1 for way in ways])
