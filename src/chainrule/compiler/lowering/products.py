"""The lowering of matrix products."""

from __future__ import annotations

import math

from chainrule.compiler.elementwise import UnsupportedError
from chainrule.compiler.instructions import Instruction
from chainrule.compiler.lowering.base import lowering
from chainrule.compiler.schedule import Scheduler
from chainrule.compiler.values import Value


@lowering("matmul")
def _matmul(scheduler: Scheduler, value: Value) -> None:
    a, b = value.inputs
    if value.dtype.kind != "f":
        raise UnsupportedError(
            f"matmul of {value.dtype} has no native kernel; cast the operands to floats (float64 "
            "is exact below 2**53)"
        )
    transpose_a = value.attributes.get("transpose_a", False)
    transpose_b = value.attributes.get("transpose_b", False)
    m, n = value.shape[-2:]
    k = a.shape[-2] if transpose_a else a.shape[-1]
    batch = math.prod(value.shape[:-2])
    (a_place, lda), (b_place, ldb) = scheduler.matrix(a), scheduler.matrix(b)
    scheduler.add(
        Instruction(
            "gemm",
            value,
            {"a": a_place, "b": b_place},
            {"c": scheduler.storage(value)},
            flops=value.flops,
            dtype=value.dtype,
            transpose_a=transpose_a,
            transpose_b=transpose_b,
            m=m,
            n=n,
            k=k,
            lda=lda,
            ldb=ldb,
            ldc=max(n, 1),
            batch=batch,
            stride_a=a.shape[-2] * a.shape[-1],
            stride_b=b.shape[-2] * b.shape[-1],
            stride_c=m * n,
        )
    )
