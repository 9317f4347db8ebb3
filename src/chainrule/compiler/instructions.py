"""What a schedule is made of: storages, ways of reading them, instructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from chainrule.compiler.values import Value

MOST_MEMBERS = 48  # of a group: more registers than this would not stay in cache
_REGISTERS = 160  # of a program: the core has 256


class Storage:
    """Memory for one value: `size` elements of `dtype` in a space of the plan.

    It may lie `inside` another one, whose part it is.
    """

    __slots__ = ("dtype", "inside", "offset", "size", "space", "value")

    def __init__(self, value: Value, space: str) -> None:
        self.inside: Part | None = None
        self.value = value
        self.size = value.size
        self.dtype = value.dtype
        self.space = space
        self.offset = -1

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

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
        self.position = -1
        self.epilogue: Group | None = None


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


def is_full(*groups: Group) -> bool:
    """Whether the groups together have too many values for a program's registers."""
    members = accesses = 0
    for group in groups:
        members += len(group.members)
        accesses += len(group.accesses)
    return members >= MOST_MEMBERS or accesses + members >= _REGISTERS


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
