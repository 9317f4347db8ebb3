"""Chains of rows: instructions that a thread can do for some rows without waiting for the others.

    h1 = f(z1 + h0 W)     row r of h1 needs row r of h0 and z1
    h2 = f(z2 + h1 W)     row r of h2 needs row r of h1 and z2
    ...

So the core takes a block of rows through all steps of a recurrence, then the next block, or several
of them on as many threads: see cpp/plan/row_chains.h. `find_chains` finds the instructions. Rows
then are at different steps at one time; what follows from this for memory is told in `arena`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from chainrule.compiler.instructions import Group, Instruction, Part, Storage
from chainrule.compiler.programs import walk_of

_FEWEST_ROWS = 16  # of fewer, a block of rows would be too small for a product's tiles
_FEWEST_INSTRUCTIONS = 8
_FEWEST_PRODUCTS = 2
_FEWEST_MULTIPLICATIONS = 1 << 14  # of a product: smaller ones are done before a thread is awake
_MOST_FACTOR_BYTES = 1 << 21  # of the matrices that rows are multiplied by: each thread reads all


class Rows(NamedTuple):
    """Where an instruction reads or writes the rows of its result, in bytes of a storage.

    Row r takes `width` bytes from `first` + r `pitch` on. Whatever is read otherwise has pitch 0.
    """

    storage: Storage
    first: int
    pitch: int
    width: int


class Layout(NamedTuple):
    """How a storage is used in a chain: row r of each instruction in lines r + `phase` + i `rows`.

    A line is `pitch` bytes long; all that a row reads or writes of it lies within it.
    """

    pitch: int
    phase: int


class Chain:
    """Instructions that follow each other, all of which have the same number of rows.

    Attributes:
        rows: how many.
        instructions: in order.
        layouts: of the storages that all of them read and write by rows alone; of one that lies
            inside another, of the latter.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.instructions: list[Instruction] = []
        self.layouts: dict[Storage, Layout] = {}
        self._read_whole: set[Storage] = set()
        self._written: set[Storage] = set()
        self._factors: set[Storage] = set()

    def can_take(self, reads: Sequence[Rows], writes: Sequence[Rows]) -> bool:
        """Whether an instruction needs no other rows than its own of what the chain writes."""
        writing: dict[Storage, Layout] = {}
        for used in writes:
            root = used.storage
            layout = self._layout(used)
            if layout is None or root in self._read_whole:
                return False
            if self.layouts.get(root, layout) != layout:
                return False
            if writing.setdefault(root, layout) != layout:
                return False
        for used in reads:
            expected = writing.get(used.storage)
            if expected is None and used.storage in self._written:
                expected = self.layouts[used.storage]
            if expected is not None and self._layout(used) != expected:
                return False
        return True

    def add(self, instruction: Instruction, reads: Sequence[Rows], writes: Sequence[Rows]) -> None:
        """Add an instruction that the chain can take."""
        self.instructions.append(instruction)
        if instruction.kind == "gemm":
            self._factors.add(instruction.reads[1])
        for used in (*reads, *writes):
            layout = self._layout(used)
            root = used.storage
            if layout is None or self.layouts.setdefault(root, layout) != layout:
                self._read_whole.add(root)
        self._written.update([used.storage for used in writes])

    def _layout(self, used: Rows) -> Layout | None:
        """The layout by which rows are used; None where they aren't used by rows."""
        if used.pitch == 0 or used.first % used.pitch + used.width > used.pitch:
            return None
        return Layout(used.pitch, used.first // used.pitch % self.rows)

    def finish(self) -> bool:
        """Whether the chain is worth it."""
        for storage in self._read_whole:
            self.layouts.pop(storage, None)
        products = [i.arguments for i in self.instructions if i.kind == "gemm"]
        multiplications = sum([self.rows * p["n"] * p["k"] for p in products])
        return (
            len(self.instructions) >= _FEWEST_INSTRUCTIONS
            and len(products) >= _FEWEST_PRODUCTS
            and multiplications >= _FEWEST_MULTIPLICATIONS * len(products)
            and sum([s.nbytes for s in self._factors]) <= _MOST_FACTOR_BYTES
        )


def find_chains(instructions: Iterable[Instruction]) -> list[Chain]:
    """The chains among instructions, which then know the numbers of theirs, from 1 on."""
    chains: list[Chain] = []
    chain = Chain(0)
    for instruction in instructions:
        found = _rows(instruction)
        if found is None:
            chain = Chain(0)
            continue
        rows, reads, writes = found
        if rows != chain.rows or not chain.can_take(reads, writes):
            chain = Chain(rows)
            if not chain.can_take(reads, writes):
                continue
        if not chain.instructions:
            chains.append(chain)
        chain.add(instruction, reads, writes)
    chains = [chain for chain in chains if chain.finish()]
    for number, chain in enumerate(chains, 1):
        for instruction in chain.instructions:
            instruction.chain = number
    return chains


def _rows(instruction: Instruction) -> tuple[int, list[Rows], list[Rows]] | None:
    """An instruction's rows, what it reads and what it writes; None: it can't be in a chain."""
    if isinstance(instruction, Group):
        return _rows_of_group(instruction)
    arguments = instruction.arguments
    if instruction.kind == "copy":
        return _rows_of_copy(instruction)
    if instruction.kind != "gemm" or arguments.get("batch", 1) != 1:
        return None
    rows = arguments["m"]
    if rows < _FEWEST_ROWS:
        return None
    a, b, c = instruction.operands["a"], instruction.operands["b"], instruction.results["c"]
    reads = [_used(b, 0, 0)]
    if arguments.get("transpose_a", False):
        reads.append(_used(a, 0, 0))
    else:
        reads.append(_used(a, arguments["lda"], arguments["k"]))
    writes = [_used(c, arguments["ldc"], arguments["n"])]
    if instruction.epilogue is not None:
        found = _rows_of_group(instruction.epilogue)
        if found is None or found[0] != rows:
            return None
        reads += found[1]
        writes += found[2]
    return rows, reads, writes


def _rows_of_copy(instruction: Instruction) -> tuple[int, list[Rows], list[Rows]] | None:
    """Rows are the first axis."""
    arguments = instruction.arguments
    shape: Sequence[int] = arguments["shape"]
    if not shape or shape[0] < _FEWEST_ROWS or 0 in shape:
        return None
    found = []
    for operand, strides in (
        (instruction.operands["x"], arguments["x_strides"]),
        (instruction.results["out"], arguments["out_strides"]),
    ):
        if min(strides) < 0:
            return None
        reach = [(n - 1) * s for n, s in zip(shape[1:], strides[1:], strict=True)]
        found.append(_used(operand, strides[0], 1 + sum(reach)))
    if found[1].storage.space != "arena":
        return None
    return shape[0], found[:1], found[1:]


def _rows_of_group(group: Group) -> tuple[int, list[Rows], list[Rows]] | None:
    if group.parts or group.sums or any([s.space != "arena" for s in group.writes]):
        return None
    walk = walk_of(group, by_rows=True)
    if walk is None or walk.rows < _FEWEST_ROWS:
        return None
    columns = walk.columns
    reads = [
        _used(Part(access.storage, access.first), row_stride, columns if column_stride else 1)
        for access, row_stride, column_stride in walk.loads
    ]
    writes = [
        _used(Part(storage, first), row_stride, columns)
        for storage, first, row_stride in walk.stores
    ]
    return walk.rows, reads, writes


def _used(operand: object, stride: int, width: int) -> Rows:
    """The rows of an operand; where the stride is 0 each row needs the whole."""
    storage, first = operand if isinstance(operand, Part) else (operand, 0)
    assert isinstance(storage, Storage)
    itemsize = storage.dtype.itemsize
    if storage.inside is not None:
        first += storage.inside.first
        storage = storage.inside.storage
    return Rows(storage, first * itemsize, stride * itemsize, width * itemsize)
