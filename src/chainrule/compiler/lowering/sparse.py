"""The lowering of products with sparse rows."""

from __future__ import annotations

from chainrule.compiler.instructions import Instruction
from chainrule.compiler.lowering.base import as_int64, lowering
from chainrule.compiler.schedule import Scheduler
from chainrule.compiler.values import Value


@lowering("sparse_matmul")
def _sparse_matmul(scheduler: Scheduler, value: Value) -> None:
    _product(scheduler, value, "weight", value.inputs[2].shape[1], value.shape[1])


@lowering("sparse_matmul_weight_grad")
def _sparse_matmul_weight_grad(scheduler: Scheduler, value: Value) -> None:
    _product(scheduler, value, "g", value.shape[1], value.shape[0])


def _product(scheduler: Scheduler, value: Value, matrix: str, columns: int, outputs: int) -> None:
    indices, values, given = value.inputs
    scheduler.add(
        Instruction(
            value.kind,
            value,
            {
                "indices": scheduler.storage(as_int64(scheduler, indices)),
                "values": scheduler.storage(values),
                matrix: scheduler.storage(given),
            },
            {"out": scheduler.storage(value)},
            flops=2 * values.size * outputs,
            dtype=value.dtype,
            rows=indices.shape[0],
            entries=indices.shape[1],
            columns=columns,
            outputs=outputs,
        )
    )
