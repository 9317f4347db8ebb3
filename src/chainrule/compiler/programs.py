"""Elementwise programs: a group's values as operations on registers.

What a program does to registers depends on the group's form alone, which tells nothing of memory:

    u = z + b        operands 0 and 1             add       r2 <- r0 r1
    a = relu(u)      form: 2 = add(0, 1)          relu      r2 <- r2
                           3 = relu(2), kept      stores    r2

So groups of equal forms, as the steps of a recurrence have, share their operations (`code`).
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from chainrule.compiler.instructions import Access, Group, Storage, as_matrix, collapse
from chainrule.compiler.values import Value
from chainrule.dtypes import name_of

Operand = int | tuple[str, np.dtype[Any]]
"""The number of an operand or a member of a group; or a constant's digits and dtype."""


class Member(NamedTuple):
    """A member of a group, as a form tells of it."""

    kind: str
    dtype: np.dtype[Any]
    inputs: tuple[Operand, ...]


class Form(NamedTuple):
    """What groups have in common that do the same, each to its own memory.

    Attributes:
        dtype: that they compute in.
        operands: the dtypes of the values that are read, which have the numbers from 0 on.
        members: in their order, with the numbers after those of the operands.
        stored, summed: the numbers of the members that are stored, and of those summed up.
    """

    dtype: np.dtype[Any]
    operands: tuple[np.dtype[Any], ...]
    members: tuple[Member, ...]
    stored: tuple[int, ...]
    summed: tuple[int, ...]


class Code(NamedTuple):
    """The operations of a program on its registers; operand i is in register i.

    Attributes:
        registers: how many there are.
        constants, operations: as the core takes them.
        stored, summed: the registers of the members that are stored, and of those summed up.
    """

    registers: int
    constants: tuple[dict[str, Any], ...]
    operations: tuple[dict[str, Any], ...]
    stored: tuple[int, ...]
    summed: tuple[int, ...]


class Walk(NamedTuple):
    """How a program goes over its index space, and over memory meanwhile, in elements.

    Attributes:
        rows, columns: of the index space.
        loads: (access, row stride, column stride) of all that is read.
        stores: (storage, first element, row stride) of all that is stored.
    """

    rows: int
    columns: int
    loads: list[tuple[Access, int, int]]
    stores: list[tuple[Storage, int, int]]


def walk_of(group: Group, *, by_rows: bool) -> Walk | None:
    """How a group's program goes over its shape.

    Args:
        group: the group.
        by_rows: with the last axis as columns; else with as few rows as can be.

    Returns:
        The walk; None where a way of reading forbids columns that are the last axis.
    """
    if by_rows:
        matrix = as_matrix(group.shape, group.ways)
        if matrix is None:
            return None
        (rows, columns), strides = matrix
    else:
        lengths, found = collapse(group.shape, group.ways)
        rows, columns = (*(1,) * (2 - len(lengths)), *lengths)
        padded = [(0, 0, *way) for way in found]
        strides = tuple([(way[-2], way[-1]) for way in padded])
    steps = dict(zip((*group.accesses.values(), *group.targets.values()), strides, strict=True))
    stores = []
    for value, storage in zip(group.stored, group.writes, strict=False):
        first, row_stride = 0, columns
        if value in group.targets:
            target = group.targets[value]
            first, row_stride = target.first, steps[target][0] if rows > 1 else columns
        stores.append((storage, first, row_stride))
    return Walk(rows, columns, [(a, *steps[a]) for a in group.accesses.values()], stores)


def program(group: Group, *, tiles: bool = False) -> dict[str, Any]:
    """The program of a group, as the core takes it: see cpp/plan/program.h.

    Where it runs on tiles or sums its rows, the columns are the last axis of its shape.
    """
    found = code(form(group))
    walk = walk_of(group, by_rows=tiles or bool(group.sums))
    assert walk is not None
    loads = [
        {
            "ref": access.storage.place(access.first),
            "dtype": name_of(access.storage.dtype),
            "row_stride": row_stride,
            "column_stride": column_stride,
            "register": register,
            "random": access.drawn,
        }
        for register, (access, row_stride, column_stride) in enumerate(walk.loads)
    ]
    stores = [
        {
            "ref": storage.place(first),
            "dtype": name_of(storage.dtype),
            "row_stride": row_stride,
            "register": register,
        }
        for (storage, first, row_stride), register in zip(walk.stores, found.stored, strict=True)
    ]
    sums = zip(group.sums, found.summed, strict=True)
    return {
        "dtype": name_of(group.dtype),
        "rows": walk.rows,
        "columns": walk.columns,
        "registers": found.registers,
        "loads": loads,
        "constants": found.constants,
        "ops": found.operations,
        "stores": stores,
        "sums": [{"ref": out.place(), "register": register} for (_, out), register in sums],
        "sum_rows": group.sum_rows,
    }


def form(group: Group) -> Form:
    """The form of a group."""
    numbers: dict[Value, int] = {value: i for i, value in enumerate(group.accesses)}
    members = []
    for number, member in enumerate(group.members, len(numbers)):
        inputs = tuple([numbers[i] if i in numbers else _constant(i) for i in member.inputs])
        members.append(Member(member.kind, member.dtype, inputs))
        numbers[member] = number
    return Form(
        group.dtype,
        tuple([value.dtype for value in group.accesses]),
        tuple(members),
        tuple([numbers[value] for value in group.stored]),
        tuple([numbers[value] for value, _ in group.sums]),
    )


def _constant(value: Value) -> Operand:
    source = value.inputs[0] if value.kind == "broadcast_to" else value
    assert source.fill is not None
    return repr(source.fill), value.dtype


@lru_cache(maxsize=1024)
def code(form: Form) -> Code:
    """The operations of the groups of a form."""
    builder = _Builder(form)
    first = len(form.operands)
    for number, member in enumerate(form.members, first):
        builder.compute(number, member)
    registers = builder.registers
    return Code(
        builder.count,
        tuple(builder.constants),
        tuple(builder.operations),
        tuple([registers[number] for number in form.stored]),
        tuple([registers[number] for number in form.summed]),
    )


class _Builder:
    """Assigns registers: loads and constants keep theirs, those of dead values are used again."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.count = len(form.operands)
        self.registers: dict[Operand, int] = {number: number for number in range(self.count)}
        self.constants: list[dict[str, Any]] = []
        self.operations: list[dict[str, Any]] = []
        self._free: list[int] = []
        self._kept = set(range(self.count))
        self._numbers: dict[str, int] = {}
        self._lasting = {*form.stored, *form.summed}
        self._fused = _fused_products(form, self._lasting)
        self._products = set(self._fused.values())
        self._uses = self._count_uses()

    def _count_uses(self) -> Counter[Operand]:
        members = enumerate(self.form.members, len(self.form.operands))
        computed = [(n, member) for n, member in members if n not in self._products]
        return Counter([i for n, member in computed for i in self._operands(n, member)])

    def _operands(self, number: int, member: Member) -> tuple[Operand, ...]:
        product = self._fused.get(number)
        if product is None:
            return member.inputs
        rest = [i for i in member.inputs if i != product]
        return (*self.form.members[product - len(self.form.operands)].inputs, *rest)

    def _dtype(self, operand: Operand) -> np.dtype[Any]:
        if isinstance(operand, tuple):
            return operand[1]
        operands = self.form.operands
        if operand < len(operands):
            return operands[operand]
        return self.form.members[operand - len(operands)].dtype

    def number(self, digits: str) -> int:
        """The register of a constant."""
        if digits not in self._numbers:
            register = self.count
            self.count += 1
            self._kept.add(register)
            self._numbers[digits] = register
            self.constants.append({"value": float(digits), "register": register})
        return self._numbers[digits]

    def operand(self, operand: Operand) -> int:
        """The register that holds an operand, or a constant."""
        return self.number(operand[0]) if isinstance(operand, tuple) else self.registers[operand]

    def compute(self, number: int, member: Member) -> None:
        """Let a register hold a member, unless it is a product within a multiply-add."""
        if number in self._products:
            return
        operands = self._operands(number, member)
        inputs = [self.operand(i) for i in operands]
        if member.kind == "astype":
            if member.dtype.kind == "b" and self._dtype(operands[0]).kind != "b":
                self._emit(number, "not_equal", [inputs[0], self.number(repr(0.0))], operands)
            elif number in self._lasting or not self._stays(operands[0]):
                self._emit(number, "copy", inputs, operands)
            else:  # registers have one type only
                self.registers[number] = inputs[0]
                self._kept.add(inputs[0])
        elif member.kind == "add_n":
            self._sum(number, inputs, operands)
        elif number in self._fused:
            self._emit(number, "multiply_add", inputs, operands)
        else:
            self._emit(number, member.kind, inputs, operands)

    def _stays(self, operand: Operand) -> bool:
        """Whether an operand's register holds it until the end of the program."""
        return operand in self._lasting or self.registers.get(operand) in self._kept

    def _sum(self, number: int, inputs: list[int], operands: tuple[Operand, ...]) -> None:
        partial = inputs[0]
        for i in inputs[1:-1]:
            out = self._take()
            self._operation("add", out, [partial, i])
            if partial not in inputs:
                self._free.append(partial)
            partial = out
        self._emit(number, "add", [partial, inputs[-1]], operands)
        if partial not in inputs:
            self._free.append(partial)

    def _emit(
        self, number: int, opcode: str, inputs: list[int], operands: tuple[Operand, ...]
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
        self.registers[number] = out
        self._operation(opcode, out, inputs)

    def _operation(self, opcode: str, out: int, inputs: list[int]) -> None:
        self.operations.append({"opcode": opcode, "out": out, "inputs": tuple(inputs)})

    def _take(self) -> int:
        if self._free:
            return self._free.pop()
        self.count += 1
        return self.count - 1


def _fused_products(form: Form, lasting: set[int]) -> dict[int, int]:
    """For each sum that is computed as a multiply-add, the product that is part of it."""
    if form.dtype.kind != "f":
        return {}
    uses = Counter([i for member in form.members for i in member.inputs])
    first = len(form.operands)
    fused: dict[int, int] = {}
    for number, member in enumerate(form.members, first):
        if member.kind != "add":
            continue
        for i in member.inputs:
            if isinstance(i, tuple) or i < first or uses[i] != 1 or i in lasting:
                continue
            if form.members[i - first].kind == "multiply":
                fused[number] = i
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
