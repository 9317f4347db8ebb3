"""The Plan: a step as instructions over buffers, ready for the native core.

A plan is data: `describe` prints its instructions, buffers, FLOPs and bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule import _core
from chainrule.compiler.added_gradients import add_in_place
from chainrule.compiler.arena import padded
from chainrule.compiler.capture import CapturedGraph
from chainrule.compiler.common_factors import factor_out
from chainrule.compiler.fusion import fuse
from chainrule.compiler.instructions import Group, Instruction, Part, Storage
from chainrule.compiler.layout import channels_last
from chainrule.compiler.linear_sums import sum_linear
from chainrule.compiler.long_sums import join_sums
from chainrule.compiler.lowering import lower
from chainrule.compiler.memory import Memory, StateLayout, aligned_zeros
from chainrule.compiler.multiplied_tables import multiply_tables
from chainrule.compiler.passes import simplify
from chainrule.compiler.programs import program
from chainrule.compiler.repeated_factors import transpose_once
from chainrule.dtypes import name_of
from chainrule.graph.state import HyperParameter
from chainrule.graph.tensor import Array
from chainrule.markup import Lines, aligned

_FLOPS = {  # floating-point operations an element, as textbooks count them: one each
    "copy": 0,
    "multiply_add": 2,
}


Place = tuple[str, int, int]
"""A part of memory: its space, its first byte there, and the number of its bytes."""


class Call(NamedTuple):
    """What the core's `Plan.add` is called with for an instruction, its costs, and what it reads
    and writes."""

    kind: str
    label: str
    fields: dict[str, Any]
    flops: int
    nbytes: int
    reads: list[Place]
    writes: list[Place]


class Output(NamedTuple):
    """Where an output lies after a run."""

    space: str
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Plan:
    """The instructions of a captured step and where everything lies.

    It holds nothing of the graph and its states, so equal graphs can share it: see `signature`.

    Args:
        graph: the captured step.
        states: where states lie.

    Attributes:
        calls: the instructions, as the core's plan takes them.
        arena_size, constants_size: bytes.
        constants: their bytes, which nothing changes: copies, for the arrays are a user's.
        outputs: of the graph, as leaves from left to right.
        scalars: the numbers, among the states that the graph reads, of the hyper-parameters that
            instructions read.
        by_rows: the numbers, among the states that the graph updates, of those of which a step
            changes single rows.

    Raises:
        UnsupportedError: if an operation has no native kernel.
    """

    def __init__(self, graph: CapturedGraph, states: StateLayout) -> None:
        values = join_sums(factor_out(sum_linear(simplify(graph))))
        values = channels_last(transpose_once(multiply_tables(values)))
        schedule = lower(add_in_place(values))
        fuse(schedule)
        memory = Memory(schedule, states)
        self.arena_size = memory.arena_size
        self.constants_size = memory.constants_size
        self.constants = aligned_zeros(memory.constants_size)
        for constant in memory.constants:
            raw = np.ascontiguousarray(_array(constant)).reshape(-1).view(np.uint8)
            self.constants[constant.offset : constant.offset + len(raw)] = raw
        self.outputs = [
            Output(s.space, s.offset, v.shape, v.dtype)
            for s, v in zip(memory.outputs, schedule.graph.outputs, strict=True)
        ]
        self.scalars = [
            number
            for number, state in enumerate(graph.reads)
            if isinstance(state, HyperParameter) and state in memory.state_storages
        ]
        self.by_rows = [
            number for number, state in enumerate(graph.updates) if state in memory.by_rows
        ]
        self.calls = [_call(i) for i in memory.instructions]
        self.instructions = [
            _core.instruction(call.kind, call.label, **call.fields) for call in self.calls
        ]

    @property
    def flops(self) -> int:
        """Floating-point operations of a step: 2 m n k for a product, 1 for an elementwise one."""
        return sum(call.flops for call in self.calls)

    def describe(self, times: Sequence[tuple[str, int, float]] = ()) -> Lines:
        """The plan as a table: instructions with FLOPs and bytes, then the sums.

        In a chain each thread takes its rows through all instructions, without waiting for others.

        Args:
            times: (label, calls, seconds) of each instruction, if they were measured: adds the
                microseconds of a call and GFLOP/s.
        """
        rows = [["", "instruction", "what", "FLOPs", "bytes"]]
        for number, call in enumerate(self.calls):
            rows.append([str(number), call.kind, call.label, f"{call.flops:,}", f"{call.nbytes:,}"])
        nbytes = sum(call.nbytes for call in self.calls)
        rows.append(["", "total", "", f"{self.flops:,}", f"{nbytes:,}"])
        if times:
            seconds = [spent / max(calls, 1) for _, calls, spent in times]
            flops = [call.flops for call in self.calls]
            rows[0] += ["us", "GFLOP/s"]
            for row, spent, work in zip(
                rows[1:], [*seconds, sum(seconds)], [*flops, self.flops], strict=True
            ):
                speed = f"{work / spent / 1e9:.1f}" if work and spent else ""
                row += [f"{spent * 1e6:.2f}", speed]
        lines = [aligned(rows, left=(1, 2))]
        lines.append(f"arena {self.arena_size:,} bytes, constants {self.constants_size:,} bytes")
        chains = [f"{first}-{last}" for first, last in self._chains()]
        if chains:
            lines.append(f"chains, block of rows by block of rows: {', '.join(chains)}")
        return Lines("\n".join(lines))

    def _chains(self) -> list[tuple[int, int]]:
        """The numbers of the first and the last instruction of each chain of rows."""
        found: dict[int, tuple[int, int]] = {}
        for number, call in enumerate(self.calls):
            if chain := call.fields.get("chain", 0):
                found[chain] = found.get(chain, (number,))[0], number
        return list(found.values())


def _array(constant: Storage) -> Array:
    array = constant.value.array
    assert array is not None
    return array


def _label(instruction: Instruction) -> str:
    """What the instruction computes: the operations, the layer, and which pass."""
    if isinstance(instruction, Group):
        names = list(dict.fromkeys(member.kind for member in instruction.members))
        shown = " ".join(names[:4]) + (" ..." if len(names) > 4 else "")
        shown += " + sum" if instruction.sums else ""
    else:
        shown = instruction.value.kind
        if instruction.epilogue is not None:
            names = list(dict.fromkeys(m.kind for m in instruction.epilogue.members))
            shown += " + " + " ".join(names)
    node = instruction.value.node
    where = node.path or node.name or ""
    if node.origin is not None:
        where = f"{where} backward".strip()
    return f"{shown} ({where})" if where else shown


def _call(instruction: Instruction) -> Call:
    flops = instruction.flops
    if isinstance(instruction, Group):
        fields = _whole_program(instruction)
        flops = _program_flops(fields)
    else:
        fields = {**instruction.operands, **instruction.results, **instruction.arguments}
        for name, value in fields.items():
            if value.__class__ not in _PLAIN:
                fields[name] = _field(value)
    if instruction.chain != 0:
        fields["chain"] = instruction.chain
    if instruction.epilogue is not None:
        fields["epilogue"] = epilogue = program(instruction.epilogue, tiles=True)
        flops += _program_flops(epilogue)
    reads = [(s.space, s.offset, s.nbytes) for s in instruction.reads]
    writes = [(s.space, s.offset, s.nbytes) for s in instruction.writes]
    nbytes = sum([place[2] for place in reads]) + sum([place[2] for place in writes])
    return Call(instruction.kind, _label(instruction), fields, flops, nbytes, reads, writes)


_PLAIN = {bool, int, float, str}


def _field(value: Any) -> Any:
    """A field as the core takes it: places as (space, offset), dtypes by NumPy's names."""
    if isinstance(value, Storage):
        return value.place()
    if isinstance(value, Part):
        return value.storage.place(value.first)
    if isinstance(value, np.dtype):
        return name_of(value)
    if isinstance(value, (list, tuple)):
        return [_field(element) for element in value]
    return value


def _whole_program(group: Group) -> dict[str, Any]:
    """The program of a group, or of all groups that it stands for."""
    if not group.parts:
        return program(group, tiles=group.chain != 0)
    fields = program(group.parts[0])  # they lie one after another in memory, gaps included
    *rest, last = group.parts
    itemsize = last.writes[0].dtype.itemsize
    size = sum(padded(part.writes[0].nbytes) // itemsize for part in rest) + last.value.size
    return {**fields, "rows": 1, "columns": size}


def _program_flops(fields: dict[str, Any]) -> int:
    operations = sum([_FLOPS.get(op["opcode"], 1) for op in fields["ops"]])
    return int(fields["rows"] * fields["columns"] * (operations + len(fields["sums"])))
