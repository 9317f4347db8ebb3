"""The Plan: a step as instructions over buffers, ready for the native core.

A plan is data: `describe` prints its instructions, buffers, FLOPs and bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.compiler.capture import CapturedGraph
from chainrule.compiler.fusion import fuse
from chainrule.compiler.instructions import Group, Instruction, Storage
from chainrule.compiler.lowering import lower
from chainrule.compiler.memory import Memory, StateLayout, padded
from chainrule.compiler.passes import simplify
from chainrule.compiler.programs import Program, program

SPACES = {"arena": 0, "state": 1, "constants": 2}

_COSTS = {  # floating-point operations an element, as textbooks count them: one each
    "copy": 0,
    "multiply_add": 2,
}


class Call(NamedTuple):
    """One call of a method of the core's plan builder."""

    method: str
    label: str
    arguments: tuple[Any, ...]
    flops: int
    nbytes: int


class Output(NamedTuple):
    """Where an output lies after a run."""

    space: str
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Plan:
    """The instructions of a captured step and where everything lies.

    Args:
        graph: the captured step.
        states: where states lie.

    Attributes:
        calls: the instructions, as calls of the core's builder.
        arena_size, constants_size: bytes.
        outputs: of the graph, as leaves from left to right.

    Raises:
        UnsupportedError: if an operation has no native kernel.
    """

    def __init__(self, graph: CapturedGraph, states: StateLayout) -> None:
        schedule = lower(simplify(graph))
        fuse(schedule)
        memory = Memory(schedule, states)
        self.graph = graph
        self.arena_size = memory.arena_size
        self.constants_size = memory.constants_size
        self.constants = memory.constants
        self.outputs = [
            Output(s.space, s.offset, v.shape, v.dtype)
            for s, v in zip(memory.outputs, schedule.graph.outputs, strict=True)
        ]
        self.scalars = {state: storage.offset for state, storage in memory.state_storages.items()}
        self.calls = [_call(i) for i in memory.instructions]

    @property
    def flops(self) -> int:
        """Floating-point operations of a step: 2 m n k for a product, 1 for an elementwise one."""
        return sum(call.flops for call in self.calls)

    def describe(self, times: Sequence[tuple[str, int, float]] = ()) -> str:
        """The plan as a table: instructions with FLOPs and bytes, then the sums.

        Args:
            times: (label, calls, seconds) of each instruction, if they were measured: adds the
                microseconds of a call and GFLOP/s.
        """
        rows = [["", "instruction", "what", "FLOPs", "bytes"]]
        for number, call in enumerate(self.calls):
            rows.append(
                [str(number), call.method, call.label, f"{call.flops:,}", f"{call.nbytes:,}"]
            )
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
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = []
        for row in rows:
            cells = [
                cell.ljust(width) if i in (1, 2) else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        lines.append(f"arena {self.arena_size:,} bytes, constants {self.constants_size:,} bytes")
        return "\n".join(lines)


def _ref(storage: Storage, elements: int = 0) -> tuple[int, int]:
    return SPACES[storage.space], storage.offset + elements * storage.dtype.itemsize


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
    method, arguments, flops = _BUILDERS[instruction.kind](instruction)
    nbytes = sum(s.nbytes for s in (*instruction.reads, *instruction.writes))
    label = _label(instruction)
    return Call(method, label, (label, *arguments), flops, nbytes)


def _dtype(dtype: np.dtype[Any]) -> str:
    return "bool" if dtype.kind == "b" else dtype.name


def _program_lists(p: Program) -> tuple[Any, ...]:
    return (
        p.registers,
        [
            (
                *_ref(x.storage),
                "uniform" if x.drawn else _dtype(x.storage.dtype),
                x.row_stride,
                x.column_stride,
                x.register,
            )
            for x in p.loads
        ],
        p.constants,
        p.operations,
        [(*_ref(s.storage), _dtype(s.storage.dtype), p.columns, s.register) for s in p.stores],
    )


def _program_flops(p: Program) -> int:
    operations = sum(_COSTS.get(op[0], 1) for op in p.operations)
    return p.rows * p.columns * (operations + len(p.sums))


def _program(instruction: Instruction) -> tuple[str, tuple[Any, ...], int]:
    assert isinstance(instruction, Group)
    p = program(instruction.parts[0] if instruction.parts else instruction)
    if instruction.parts:  # one after another in memory, gaps included
        *rest, last = instruction.parts
        itemsize = last.writes[0].dtype.itemsize
        size = sum(padded(part.writes[0].nbytes) // itemsize for part in rest) + last.value.size
        p = p._replace(rows=1, columns=size)
    chunks = 0  # as many as the core thinks fit
    sums = [(*_ref(storage), register) for storage, register in p.sums]
    arguments = (_dtype(instruction.dtype), p.rows, p.columns, *_program_lists(p), chunks, sums)
    return "program", arguments, _program_flops(p)


def _gemm(instruction: Instruction) -> tuple[str, tuple[Any, ...], int]:
    a = instruction.arguments
    x, y = instruction.reads[:2]
    c = instruction.writes[0]
    epilogue = None
    flops = 2 * a["batch"] * a["m"] * a["n"] * a["k"]
    if instruction.epilogue is not None:
        p = program(instruction.epilogue, tiles=True)
        epilogue = _program_lists(p)
        flops += _program_flops(p)
    arguments = (
        _dtype(c.dtype),
        a["transpose_a"],
        a["transpose_b"],
        a["m"],
        a["n"],
        a["k"],
        _ref(x),
        a["lda"],
        _ref(y),
        a["ldb"],
        _ref(c),
        a["ldc"],
        a["batch"],
        a["stride_a"],
        a["stride_b"],
        a["stride_c"],
        epilogue,
    )
    return "gemm", arguments, flops


def _reduce(instruction: Instruction) -> tuple[str, tuple[Any, ...], int]:
    a = instruction.arguments
    (x,), (out,) = instruction.reads, instruction.writes
    arguments = (
        a["reduction"],
        _dtype(x.dtype),
        a["outer"],
        a["length"],
        a["inner"],
        _ref(x),
        _ref(out),
    )
    return "reduce", arguments, x.size


def _rows(instruction: Instruction) -> tuple[str, tuple[Any, ...], int]:
    a = instruction.arguments
    out, *second = instruction.writes
    arguments = (
        a["row_kind"],
        _dtype(a["dtype"]),
        a["rows"],
        a["columns"],
        [_ref(s) for s in instruction.reads],
        *[_ref(out), *([0, _ref(second[0])] if second else [])],
    )
    return "rows", arguments, 4 * a["rows"] * a["columns"]


def _copy(instruction: Instruction) -> tuple[str, tuple[Any, ...], int]:
    a = instruction.arguments
    (x,), (out,) = instruction.reads, instruction.writes
    arguments = (
        x.dtype.itemsize,
        list(a["shape"]),
        _ref(x, a.get("x_offset", 0)),
        list(a["x_strides"]),
        _ref(out, a.get("out_offset", 0)),
        list(a["out_strides"]),
    )
    return "copy", arguments, 0


def _fill(instruction: Instruction) -> tuple[str, tuple[Any, ...], int]:
    (out,) = instruction.writes
    value = float(instruction.arguments["number"])
    return "fill", (_dtype(out.dtype), out.size, value, _ref(out)), 0


def _gather(instruction: Instruction) -> tuple[str, tuple[Any, ...], int]:
    a = instruction.arguments
    x, indices = instruction.reads
    (out,) = instruction.writes
    first = x.dtype.itemsize if instruction.kind == "gather" else _dtype(x.dtype)
    arguments = (
        first,
        a["outer"],
        a["length"],
        a["count"],
        a["inner"],
        _ref(x),
        _ref(indices),
        _ref(out),
    )
    return instruction.kind, arguments, 0


def _random_uniform(instruction: Instruction) -> tuple[str, tuple[Any, ...], int]:
    (state,), (out,) = instruction.reads, instruction.writes
    arguments = (_dtype(out.dtype), out.size, _ref(state), _ref(out))
    return "random_uniform", arguments, 0


def _gather_batch(instruction: Instruction) -> tuple[str, tuple[Any, ...], int]:
    a = instruction.arguments
    (out,) = instruction.writes
    arguments = (a["input"], _dtype(out.dtype), a["rows"], a["columns"], _ref(out))
    return "gather_batch", arguments, 0


_BUILDERS = {
    "program": _program,
    "gemm": _gemm,
    "reduce": _reduce,
    "rows": _rows,
    "copy": _copy,
    "fill": _fill,
    "gather": _gather,
    "scatter_add": _gather,
    "random_uniform": _random_uniform,
    "gather_batch": _gather_batch,
}
