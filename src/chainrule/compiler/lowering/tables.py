"""The lowering of what looks up rows of tables, and puts them back."""

from __future__ import annotations

import math

from chainrule.compiler.instructions import Instruction
from chainrule.compiler.lowering.base import as_int64, lowering
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


@lowering("put_rows")
def _put_rows(scheduler: Scheduler, value: Value) -> None:
    x, indices, values = value.inputs
    scheduler.add(
        Instruction(
            "put_rows",
            value,
            {
                "x": scheduler.storage(x),
                "indices": scheduler.storage(as_int64(scheduler, indices)),
                "values": scheduler.storage(values),
            },
            {"out": scheduler.storage(value)},
            dtype=value.dtype,
            length=x.shape[0],
            count=indices.size,
            inner=math.prod(x.shape[1:]),
        )
    )
