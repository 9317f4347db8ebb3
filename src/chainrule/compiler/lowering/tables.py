"""The lowering of what looks up rows of tables, and puts them back."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chainrule._core import CACHE_LINE
from chainrule.compiler.instructions import Instruction, Storage, reduction
from chainrule.compiler.lowering.base import as_int64, lowering, temporary
from chainrule.compiler.schedule import Scheduler
from chainrule.compiler.values import Value


@lowering("lookup")
def _lookup(scheduler: Scheduler, value: Value) -> None:
    table, indices = value.inputs
    scheduler.add(
        Instruction(
            "gather",
            value,
            {
                "x": scheduler.storage(table),
                "indices": scheduler.storage(as_int64(scheduler, indices)),
            },
            {"out": scheduler.storage(value)},
            itemsize=table.dtype.itemsize,
            outer=1,
            length=table.shape[0],
            count=indices.size,
            inner=math.prod(table.shape[1:]),
            wraps=False,
        )
    )


@lowering("first_uses")
def _first_uses(scheduler: Scheduler, value: Value) -> None:
    (indices,) = value.inputs
    scheduler.add(
        Instruction(
            "first_uses",
            value,
            {"indices": scheduler.storage(as_int64(scheduler, indices))},
            {"out": scheduler.storage(value)},
            length=value.attributes["rows"],
            count=indices.size,
        )
    )


@lowering("put_rows", "subtract_rows")
def _update_rows(scheduler: Scheduler, value: Value) -> None:
    x, indices, values, *factor = value.inputs
    operands = {
        "x": scheduler.storage(x),
        "indices": scheduler.storage(as_int64(scheduler, indices)),
        "values": scheduler.storage(values),
    }
    if factor:
        operands["factor"] = scheduler.storage(factor[0])
    scheduler.add(
        Instruction(
            value.kind,
            value,
            operands,
            {"out": scheduler.storage(value)},
            dtype=value.dtype,
            length=x.shape[0],
            count=indices.size,
            inner=math.prod(x.shape[1:]),
        )
    )


@lowering("row_products")
def _row_products(scheduler: Scheduler, value: Value) -> None:
    groups, m, n = value.shape
    split = 1 + value.attributes["a"]
    a, a_length = _rows(scheduler, "a", value.inputs[:split], groups * m)
    b, b_length = _rows(scheduler, "b", value.inputs[split:], groups * n)
    width = value.attributes["width"]
    parts = _parts(width * value.dtype.itemsize, value.size * width)
    out = scheduler.storage(value)
    sums = out if parts == 1 else temporary(scheduler, value, (parts, value.size), value.dtype)
    scheduler.add(
        Instruction(
            "row_products",
            value,
            a | b,
            {"out": sums},
            flops=2 * value.size * width,
            dtype=value.dtype,
            parts=parts,
            groups=groups,
            m=m,
            n=n,
            width=width,
            a_length=a_length,
            b_length=b_length,
        )
    )
    if parts > 1:
        scheduler.add(reduction("sum", value, sums, out, (1, parts, value.size)))


_LEAST_WORK = 1 << 16  # multiplications that are worth sharing


def _parts(row_bytes: int, multiplications: int) -> int:
    """Into how many parts the columns of rows are split, as in cpp/tasks/table_products.cpp."""
    if multiplications < _LEAST_WORK or row_bytes % CACHE_LINE:
        return 1
    lines = row_bytes // CACHE_LINE
    return max(min(lines, 2), lines // 3)


@lowering("weighted_rows")
def _weighted_rows(scheduler: Scheduler, value: Value) -> None:
    groups, m, width = value.shape
    weights, *rows = value.inputs
    n = value.attributes["n"]
    b, b_length = _rows(scheduler, "b", rows, groups * n)
    scheduler.add(
        Instruction(
            "weighted_rows",
            value,
            {"weights": scheduler.storage(weights)} | b,
            {"out": scheduler.storage(value)},
            flops=2 * value.size * n,
            dtype=value.dtype,
            groups=groups,
            m=m,
            n=n,
            width=width,
            transposed=value.attributes["transposed"],
            b_length=b_length,
        )
    )


def _rows(
    scheduler: Scheduler, name: str, rows: Sequence[Value], count: int
) -> tuple[dict[str, Storage], int]:
    """An operand of `count` rows, which are (table, indices) or one after another; its length."""
    table, *indices = rows
    operand = {name: scheduler.storage(table)}
    if not indices:
        return operand, count
    operand[f"{name}_indices"] = scheduler.storage(as_int64(scheduler, indices[0]))
    return operand, table.shape[0]
