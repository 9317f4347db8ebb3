"""Matrix products by plans of one instruction, for the tests of their kernels."""

import numpy as np
from bench import ARENA, CONSTANTS, STATE, load, op, store

from chainrule import _core

PAGE = 4096


def space(count):
    """Bytes that begin on a cache line, of which every number is NaN."""
    raw = np.full(count + 64, 0xFF, np.uint8)
    begin = -raw.ctypes.data % 64
    return raw[begin : begin + count]


def in_rows(matrix, distance, behind=()):
    """The matrix in rows that are `distance` elements apart, NaN between, and what lies behind."""
    count = len(matrix) * distance
    memory = space((count + len(behind)) * matrix.itemsize)
    numbers = memory.view(matrix.dtype)
    numbers[:count].reshape(len(matrix), distance)[:, : matrix.shape[1]] = matrix
    numbers[count:] = behind
    return memory


def row_distance(columns, itemsize, in_pages):
    """Of rows of `columns` elements: just enough, or a multiple of 4 KiB."""
    unit = PAGE // itemsize if in_pages else 1
    return -(-columns // unit) * unit


def add_product(plan, dtype, sizes, transposed, row_strides, **fields):
    """Add c = op(a) op(b); a lies in the state, b in the constants, c in the arena, from 0 on."""
    (m, n, k), (lda, ldb, ldc) = sizes, row_strides
    plan.add(
        "gemm",
        "product",
        dtype=dtype,
        transpose_a=transposed[0],
        transpose_b=transposed[1],
        m=m,
        n=n,
        k=k,
        a=(STATE, 0),
        lda=lda,
        b=(CONSTANTS, 0),
        ldb=ldb,
        c=(ARENA, 0),
        ldc=ldc,
        **fields,
    )


def multiply(instruction_set, x, y, transposed, in_pages, threads=1, bias=None):
    """x y, or max(x y + bias, 0) by an epilogue; nothing but the result may be written."""
    (m, k), n = x.shape, y.shape[1]
    dtype = x.dtype.name
    a, b = x.T if transposed[0] else x, y.T if transposed[1] else y
    lda, ldb, ldc = (row_distance(c, x.itemsize, in_pages) for c in (a.shape[1], b.shape[1], n + 3))
    result = space(m * ldc * x.itemsize)
    factors = [in_rows(a, lda), in_rows(b, ldb, () if bias is None else bias)]
    epilogue = None
    if bias is not None:
        place = (CONSTANTS, len(b) * ldb * x.itemsize)
        epilogue = {
            "dtype": dtype,
            "rows": m,
            "columns": n,
            "registers": 3,
            "loads": [load((ARENA, 0), dtype, ldc, 1, 0), load(place, dtype, 0, 1, 1)],
            "ops": [op("add", 0, 0, 1), op("relu", 2, 0)],
            "stores": [store((ARENA, 0), dtype, ldc, 2)],
        }
    plan = _core.Plan(result, *factors, instruction_set)
    add_product(plan, dtype, (m, n, k), transposed, (lda, ldb, ldc), epilogue=epilogue)
    before = [memory.copy() for memory in factors]
    plan.run(None, 0, 1, None, 60.0, threads)
    for memory, copy in zip(factors, before, strict=True):
        assert np.array_equal(memory, copy)
    rows = result.view(x.dtype).reshape(m, ldc)
    assert (rows[:, n:].view(np.uint8) == 0xFF).all()
    return rows[:, :n].copy()


def check(result, expected, bound, sizes):
    off = ~(np.abs(result - expected) <= bound)
    assert not off.any(), f"{sizes}: {off.sum()} elements, the first at {np.argwhere(off)[0]}"
