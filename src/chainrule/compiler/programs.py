"""Elementwise programs: a group's values as operations on registers."""

from __future__ import annotations

from typing import NamedTuple

from chainrule.compiler.instructions import Access, Group, Storage, as_matrix, collapse
from chainrule.compiler.values import Value


class Load(NamedTuple):
    """A storage read into a register, with strides over rows and columns.

    With `random`, the register gets random numbers, drawn from the state in the storage.
    """

    storage: Storage
    row_stride: int
    column_stride: int
    register: int
    random: bool


class Store(NamedTuple):
    """A register written to a storage of rows x columns."""

    storage: Storage
    register: int


class Constant(NamedTuple):
    """A number in a register."""

    value: float
    register: int


class Operation(NamedTuple):
    """An elementwise operation on registers."""

    opcode: str
    out: int
    inputs: tuple[int, ...]


class Program(NamedTuple):
    """What the core needs of a group."""

    rows: int
    columns: int
    registers: int
    loads: list[Load]
    constants: list[Constant]
    operations: list[Operation]
    stores: list[Store]
    sums: list[Store]
    """Where the sums of a register over each `sum_rows` rows go."""
    sum_rows: int


def program(group: Group, *, tiles: bool = False) -> Program:
    """The program of a group.

    Where it runs on tiles or sums its rows, the columns are the last axis of its shape.
    """
    accesses = list(group.accesses.items())
    lengths = group.shape
    strides = tuple([access.strides for _, access in accesses])
    if tiles or group.sums:
        matrix = as_matrix(lengths, strides)
        assert matrix is not None
        lengths, strides = matrix
    else:
        lengths, strides = collapse(lengths, strides)
    rows, columns = (*(1,) * (2 - len(lengths)), *lengths)
    builder = _Builder(group)
    loads = []
    for (value, access), steps in zip(accesses, strides, strict=True):
        row_stride, column_stride = (*(0,) * (2 - len(steps)), *steps)
        register = builder.keep(value)
        loads.append(Load(access.storage, row_stride, column_stride, register, access.drawn))
    for member in group.members:
        builder.compute(member)
    stores = [Store(_storage(group, v), builder.registers[v]) for v in group.stored]
    sums = [Store(storage, builder.registers[v]) for v, storage in group.sums]
    return Program(
        rows,
        columns,
        builder.count,
        loads,
        builder.constants,
        builder.operations,
        stores,
        sums,
        group.sum_rows,
    )


def _storage(group: Group, value: Value) -> Storage:
    return group.writes[group.stored.index(value)]


class _Builder:
    """Assigns registers: loads and constants keep theirs, those of dead values are used again."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.registers: dict[Value, int] = {}
        self.constants: list[Constant] = []
        self.operations: list[Operation] = []
        self.count = 0
        self._free: list[int] = []
        self._kept: set[int] = set()
        self._numbers: dict[str, int] = {}
        self._fused = _fused_products(group)
        self._uses = self._count_uses()
        self._lasting = {*group.stored, *(value for value, _ in group.sums)}

    def _count_uses(self) -> dict[Value, int]:
        uses: dict[Value, int] = {}
        for member in self.group.members:
            if member in self._fused.values():
                continue
            for i in self._operands(member):
                uses[i] = uses.get(i, 0) + 1
        return uses

    def _operands(self, member: Value) -> tuple[Value, ...]:
        product = self._fused.get(member)
        if product is None:
            return member.inputs
        rest = [i for i in member.inputs if i is not product]
        return (*product.inputs, *rest)

    def keep(self, value: Value) -> int:
        """A register of its own, for the whole program."""
        register = self.count
        self.count += 1
        self._kept.add(register)
        self.registers[value] = register
        return register

    def number(self, number: float) -> int:
        """The register of a constant."""
        key = repr(number)
        if key not in self._numbers:
            register = self.count
            self.count += 1
            self._kept.add(register)
            self._numbers[key] = register
            self.constants.append(Constant(float(number), register))
        return self._numbers[key]

    def operand(self, value: Value) -> int:
        if value in self.registers:
            return self.registers[value]
        source = value.inputs[0] if value.kind == "broadcast_to" else value
        assert source.fill is not None
        return self.number(source.fill)

    def compute(self, member: Value) -> None:
        if member in self._fused.values():
            return
        operands = self._operands(member)
        inputs = [self.operand(i) for i in operands]
        if member.kind == "astype":
            if member.dtype.kind == "b" and operands[0].dtype.kind != "b":
                self._emit(member, "not_equal", [inputs[0], self.number(0.0)], operands)
            elif member in self._lasting or not self._stays(operands[0]):
                self._emit(member, "copy", inputs, operands)
            else:  # registers have one type only
                self.registers[member] = inputs[0]
                self._kept.add(inputs[0])
        elif member.kind == "add_n":
            self._sum(member, inputs, operands)
        elif member in self._fused:
            self._emit(member, "multiply_add", inputs, operands)
        else:
            self._emit(member, member.kind, inputs, operands)

    def _stays(self, value: Value) -> bool:
        """Whether a value's register holds it until the end of the program."""
        return value in self._lasting or self.registers.get(value) in self._kept

    def _sum(self, member: Value, inputs: list[int], operands: tuple[Value, ...]) -> None:
        partial = inputs[0]
        for i in inputs[1:-1]:
            out = self._take()
            self.operations.append(Operation("add", out, (partial, i)))
            if partial not in inputs:
                self._free.append(partial)
            partial = out
        self._emit(member, "add", [partial, inputs[-1]], operands)
        if partial not in inputs:
            self._free.append(partial)

    def _emit(
        self, member: Value, opcode: str, inputs: list[int], operands: tuple[Value, ...]
    ) -> None:
        for i in operands:
            self._uses[i] -= 1
        for i in dict.fromkeys(operands):
            register = self.registers.get(i)
            if (
                register is not None
                and self._uses[i] == 0
                and register not in self._kept
                and i not in self._lasting
                and register not in self._free
            ):
                self._free.append(register)
        out = self._take()
        self.registers[member] = out
        self.operations.append(Operation(opcode, out, tuple(inputs)))

    def _take(self) -> int:
        if self._free:
            return self._free.pop()
        self.count += 1
        return self.count - 1


def _fused_products(group: Group) -> dict[Value, Value]:
    """For each sum that is computed as a multiply-add, the product that is part of it."""
    uses: dict[Value, int] = {}
    for member in group.members:
        for i in member.inputs:
            uses[i] = uses.get(i, 0) + 1
    inside = set(group.members)
    lasting = {*group.stored, *(value for value, _ in group.sums)}
    fused: dict[Value, Value] = {}
    for member in group.members:
        if member.kind == "add" and group.dtype.kind == "f":
            for i in member.inputs:
                if i.kind == "multiply" and i in inside and uses[i] == 1 and i not in lasting:
                    fused[member] = i
                    break
    return fused


def is_flat(group: Group, access: Access) -> bool:
    """Whether an access reads element for element what lies in memory."""
    size = group.value.size
    if (
        access.drawn
        or access.storage.size != size
        or len(collapse(group.shape, (access.strides,))[0]) > 1
    ):
        return False
    return size == 1 or any(access.strides)
