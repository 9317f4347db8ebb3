"""The executor: every instruction against NumPy, what it refuses, threads, and memory it must not
depend on."""

import ast
import ctypes
import math
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import scipy_openblas32
from bench import ARENA, CONSTANTS, STATE, Bench, block, tolerance

from chainrule import _core

FLOATS = ["float32", "float64"]
DTYPES = [
    "float32", "float64", "bool", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64",
]  # fmt: skip
STUB = Path(_core.__file__).with_name("_core.pyi")
if not STUB.exists():
    STUB = Path(__file__).parents[2] / "src" / "chainrule" / "_core.pyi"


@pytest.fixture(scope="module", autouse=True)
def blas():
    folder = Path(scipy_openblas32.get_lib_dir())
    library = ctypes.CDLL(str(next(folder.glob("*scipy_openblas*"))))
    library.scipy_openblas_set_num_threads(1)

    def address(name):
        return ctypes.cast(getattr(library, name), ctypes.c_void_p).value

    _core.set_blas(address("scipy_cblas_sgemm"), address("scipy_cblas_dgemm"))


# --- Programs ---


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("chunks", [0, 3])
@pytest.mark.parametrize("dtype", [*FLOATS, "int64"])
@pytest.mark.parametrize(
    "shape",
    [(1, 1), (1, 7), (7, 1), (3, 5), (32, 16), (131, 13), (5, 255), (4, 257), (3, 1031), (1, 5000),
     (1031, 1), (0, 4), (4, 0)],
)  # fmt: skip
def test_program_with_every_kind_of_load(bench, rng, shape, dtype, chunks, threads):
    rows, columns = shape
    x = rng.integers(-9, 9, shape).astype(dtype)
    wide = rng.integers(-9, 9, (rows, columns + 3)).astype(dtype)
    bias = rng.integers(-9, 9, columns).astype(dtype)
    column = rng.integers(-9, 9, rows).astype(dtype)
    number = rng.integers(-9, 9, ()).astype(dtype)
    out, result = bench.room(shape, dtype)
    second, strided = bench.room((rows, columns + 2), dtype)
    strided[...] = 77
    space, offset = bench.put(wide, STATE)
    itemsize = wide.itemsize
    bench.plan.program(
        "all", dtype, rows, columns, 9,
        [
            (*bench.put(x), dtype, columns, 1, 0),
            (space, offset + itemsize, dtype, columns + 3, 1, 1),
            (*bench.put(bias, CONSTANTS), dtype, 0, 1, 2),
            (*bench.put(column), dtype, 1, 0, 3),
            (*bench.put(number), dtype, 0, 0, 4),
        ],
        [(3.0, 5)],
        [
            ("multiply", 6, 0, 1, 0),
            ("add", 6, 6, 2, 0),
            ("add", 6, 6, 3, 0),
            ("multiply", 7, 6, 4, 0),
            ("add", 8, 7, 5, 0),
            ("subtract", 7, 6, 0, 0),
        ],
        [(*out, dtype, columns, 8), (*second, dtype, columns + 2, 7)],
        chunks=chunks,
    )  # fmt: skip
    bench.run(threads=threads)
    six = x * wide[:, 1 : columns + 1] + bias + column[:, None]
    np.testing.assert_array_equal(result, six * number + np.asarray(3, dtype))
    np.testing.assert_array_equal(strided[:, :columns], six - x)
    assert (strided[:, columns:] == 77).all()


@pytest.mark.parametrize("shape", [(1, 1000), (7, 3), (3, 300)])
@pytest.mark.parametrize("other", DTYPES)
@pytest.mark.parametrize("dtype", [*FLOATS, "int64"])
def test_program_converts_loads_and_stores(bench, dtype, other, shape):
    values = np.resize(np.arange(2 if other == "bool" else 100), shape).astype(other)
    row = np.resize(np.arange(2), shape[1]).astype(other)
    number = np.asarray(1, other)
    out, result = bench.room(shape, other)
    wide, strided = bench.room((shape[0], shape[1] + 1), other)
    bench.plan.program(
        "convert", dtype, *shape, 4,
        [
            (*bench.put(values), other, shape[1], 1, 0),
            (*bench.put(row), other, 0, 1, 1),
            (*bench.put(number), other, 0, 0, 2),
        ],
        [],
        [("multiply", 3, 0, 1, 0), ("multiply", 3, 3, 2, 0)],
        [(*out, other, shape[1], 3), (*wide, other, shape[1] + 1, 3)],
    )  # fmt: skip
    bench.run()
    np.testing.assert_array_equal(result, values * row)
    np.testing.assert_array_equal(strided[:, :-1], values * row)


@pytest.mark.parametrize("shape", [(1, 1500), (40, 12), (3, 700)])
def test_program_in_place(bench, rng, shape):
    x, y = rng.normal(size=(2, *shape)).astype("float32")
    a, b = bench.put(x), bench.put(y)
    columns = shape[1]
    # Exchanges a and b, and reads a after the operation that gives its new value.
    bench.plan.program(
        "exchange", "float32", *shape, 4,
        [(*a, "float32", columns, 1, 0), (*b, "float32", columns, 1, 1)],
        [],
        [("copy", 2, 1, 0, 0), ("add", 3, 0, 0, 0), ("subtract", 3, 3, 0, 0)],
        [(*a, "float32", columns, 2), (*b, "float32", columns, 3)],
    )  # fmt: skip
    bench.run()
    for ref, expected in ((a, y), (b, x)):
        view = bench.spaces[0][ref[1] :][: x.nbytes].view("float32").reshape(shape)
        np.testing.assert_array_equal(view, expected)


def test_program_stores_what_was_loaded_before_it_is_overwritten(bench):
    a, view = bench.room(1000, "float32")
    old, saved = bench.room(1000, "float32")
    view[...] = np.arange(1000)
    bench.plan.program(
        "increment", "float32", 1, 1000, 2, [(*a, "float32", 0, 1, 0)], [(1.0, 1)],
        [("add", 1, 0, 1, 0)], [(*a, "float32", 0, 1), (*old, "float32", 0, 0)], chunks=2,
    )  # fmt: skip
    bench.run(steps=3)
    np.testing.assert_array_equal(view, np.arange(1000) + 3)
    np.testing.assert_array_equal(saved, np.arange(1000) + 2)


@pytest.mark.parametrize("shape", [(1, 2000), (100, 9)])
def test_program_overwrites_registers_that_were_loaded(bench, shape):
    """What is loaded once must be there in every block, and constants too."""
    x = np.ones(shape, "float32")
    ref = bench.put(x)
    out, result = bench.room(shape, "float32")
    bench.plan.program(
        "overwrite", "float32", *shape, 3,
        [(*ref, "float32", shape[1], 1, 0), (*bench.put(np.float32(2)), "float32", 0, 0, 1)],
        [(3.0, 2)],
        [("add", 1, 1, 0, 0), ("add", 2, 2, 1, 0), ("add", 0, 0, 2, 0)],
        [(*out, "float32", shape[1], 0)],
    )  # fmt: skip
    bench.run(steps=2)
    assert (result == 7).all()
    assert (bench.spaces[0][ref[1] :][: x.nbytes].view("float32") == 1).all()


def test_one_register_stored_twice(bench):
    x = np.arange(600, dtype="float32")
    first, a = bench.room(600, "float32")
    second, b = bench.room(600, "float64")
    third, c = bench.room(600, "float32")
    bench.plan.program(
        "twice", "float32", 1, 600, 1, [(*bench.put(x), "float32", 0, 1, 0)], [],
        [("add", 0, 0, 0, 0)],
        [(*first, "float32", 0, 0), (*second, "float64", 0, 0), (*third, "float32", 0, 0)],
    )  # fmt: skip
    bench.run()
    for stored in (a, b, c):
        np.testing.assert_array_equal(stored, 2 * x)


# --- Matrix products ---


def add_gemm(bench, x, y, transpose_a, transpose_b, **options):
    m, k = x.shape[-2:]
    n = y.shape[-1]
    out, result = bench.room((*x.shape[:-2], m, n), x.dtype)
    a = bench.put(np.swapaxes(x, -1, -2) if transpose_a else x)
    b = bench.put(np.swapaxes(y, -1, -2) if transpose_b else y)
    if x.ndim == 3:
        options |= {"batch": len(x), "stride_a": m * k, "stride_b": k * n, "stride_c": m * n}
    bench.plan.gemm(
        "product", str(x.dtype), transpose_a, transpose_b, m, n, k,
        a, max(1, m if transpose_a else k), b, max(1, k if transpose_b else n),
        out, max(1, n), **options,
    )  # fmt: skip
    return out, result


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("transposed", [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize(
    "sizes",
    [(1, 1, 1), (1, 7, 5), (7, 1, 3), (32, 16, 16), (13, 17, 19), (64, 100, 64), (131, 257, 67),
     (256, 256, 128), (0, 3, 2), (3, 0, 2), (3, 4, 0)],
)  # fmt: skip
def test_gemm(rng, sizes, transposed, dtype, threads):
    m, n, k = sizes
    bench = Bench(4 << 20)
    x, y = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    _, result = add_gemm(bench, x, y, *transposed)
    bench.run(threads=threads)
    np.testing.assert_allclose(result, x @ y, **tolerance(dtype))


@pytest.mark.parametrize("chunks", [0, 1, 3])
@pytest.mark.parametrize("sizes", [(5, 3, 4, 2), (1, 64, 64, 64), (9, 33, 17, 65), (0, 2, 2, 2)])
def test_gemm_batched(rng, sizes, chunks):
    batch, m, n, k = sizes
    bench = Bench(4 << 20)
    x, y = rng.normal(size=(batch, m, k)), rng.normal(size=(batch, k, n))
    _, result = add_gemm(bench, x, y, False, True, chunks=chunks)
    bench.run(threads=2)
    np.testing.assert_allclose(result, x @ y, **tolerance("float64"))


def test_gemm_shares_one_factor_among_a_batch(bench, rng):
    x, y = rng.normal(size=(3, 4, 5)), rng.normal(size=(5, 6))
    out, result = bench.room((3, 4, 6), "float64")
    bench.plan.gemm(
        "p", "float64", False, False, 4, 6, 5, bench.put(x), 5, bench.put(y), 6, out, 6,
        batch=3, stride_a=20, stride_b=0, stride_c=24,
    )  # fmt: skip
    bench.run()
    np.testing.assert_allclose(result, x @ y, rtol=1e-12)


def test_gemm_with_strides_leaves_the_rest_alone(bench, rng):
    x, y = rng.normal(size=(6, 9)), rng.normal(size=(7, 11))
    out, result = bench.room((6, 13), "float64")
    result[...] = 5
    bench.plan.gemm(
        "p", "float64", False, False, 6, 10, 7, bench.put(x), 9, bench.put(y), 11, out, 13
    )
    bench.run()
    np.testing.assert_allclose(result[:, :10], x[:, :7] @ y[:, :10], rtol=1e-12)
    assert (result[:, 10:] == 5).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("sizes", [(1, 1, 1), (7, 5, 3), (64, 100, 64), (300, 520, 64), (6, 5, 0)])
def test_gemm_with_an_epilogue(rng, sizes, dtype, threads):
    """relu(x y + bias) * row, and the pre-activation as a second output."""
    m, n, k = sizes
    bench = Bench(8 << 20)
    x, y = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    bias, row = rng.normal(size=n).astype(dtype), rng.normal(size=m).astype(dtype)
    out = (ARENA, bench.ends[ARENA])
    second, activation = bench.room((m, n), dtype, STATE)
    epilogue = (
        4,
        [
            (*out, dtype, n, 1, 0),
            (*bench.put(bias, CONSTANTS), dtype, 0, 1, 1),
            (*bench.put(row, CONSTANTS), dtype, 1, 0, 2),
        ],
        [],
        [("add", 0, 0, 1, 0), ("relu", 3, 0, 0, 0), ("multiply", 3, 3, 2, 0)],
        [(*out, dtype, n, 0), (*second, dtype, n, 3)],
    )
    ref, result = add_gemm(bench, x, y, False, False, epilogue=epilogue)
    assert ref == out
    bench.run(threads=threads)
    expected = x @ y + bias
    np.testing.assert_allclose(result, expected, **tolerance(dtype))
    np.testing.assert_allclose(
        activation, np.maximum(expected, 0) * row[:, None], **tolerance(dtype)
    )


# --- Reductions and rows ---


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("chunks", [0, 2])
@pytest.mark.parametrize("kind", ["sum", "max", "min"])
@pytest.mark.parametrize("dtype", [*FLOATS, "int64"])
@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 1009, 1), (1, 64, 97), (13, 7, 1), (5, 3, 2), (0, 3, 2), (64, 10, 100)]
)
def test_reduce(bench, rng, shape, dtype, kind, chunks, threads):
    x = rng.integers(-50, 50, shape).astype(dtype)
    out, result = bench.room((shape[0], shape[2]), dtype)
    bench.plan.reduce("r", kind, dtype, *shape, bench.put(x), out, chunks=chunks)
    bench.run(threads=threads)
    np.testing.assert_array_equal(result, getattr(x, kind)(axis=1))


def test_sum_of_nothing_is_zero(bench):
    out, result = bench.room(6, "float32")
    bench.plan.reduce("r", "sum", "float32", 2, 0, 3, (ARENA, 0), out)
    bench.run()
    assert (result == 0).all()


def logsumexp(x):
    m = x.max(axis=1, keepdims=True)
    return (m + np.log(np.exp(x - m).sum(axis=1, keepdims=True)))[:, 0]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("chunks", [0, 3])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 10), (7, 3), (64, 10), (13, 101), (0, 5)])
def test_row_kernels(bench, rng, shape, dtype, chunks, threads):
    rows, columns = shape
    x = rng.normal(size=shape).astype(dtype)
    labels = rng.integers(0, columns, rows)
    g = rng.normal(size=rows).astype(dtype)
    extreme = x.max(axis=1) if rows else g
    hot = np.eye(columns, dtype=dtype)[labels]
    a, b, c, d = bench.put(x), bench.put(labels), bench.put(g), bench.put(extreme)
    lse = logsumexp(x) if rows else g
    softmax = np.exp(x - lse[:, None])
    cases = {
        "softmax": ([a], softmax),
        "log_softmax": ([a], x - lse[:, None]),
        "logsumexp": ([a], lse),
        "argmax": ([a], x.argmax(axis=1)),
        "first_equal": ([a, d], (x == extreme[:, None]).astype(dtype)),
        "softmax_cross_entropy": ([a, b], lse - (x * hot).sum(axis=1)),
        "softmax_cross_entropy_grad": ([c, a, b], g[:, None] * (softmax - hot)),
        "one_hot": ([b], hot),
    }
    results = {}
    for kind, (inputs, expected) in cases.items():
        out, results[kind] = bench.room(expected.shape, expected.dtype)
        bench.plan.rows(kind, kind, dtype, rows, columns, inputs, out, chunks=chunks)
    assert bench.run(threads=threads).status == "ok"
    for kind, (_, expected) in cases.items():
        np.testing.assert_allclose(results[kind], expected, err_msg=kind, **tolerance(dtype))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("chunks", [0, 3])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(1, 1), (33, 3), (64, 10), (13, 40), (13, 101), (0, 5)])
def test_losses_and_gradient_in_one_pass_have_the_bits_of_two(
    bench, rng, shape, dtype, chunks, threads
):
    rows, columns = shape
    x = rng.normal(size=shape, scale=5).astype(dtype)
    inputs = [
        bench.put(rng.normal(size=rows).astype(dtype)),
        bench.put(x),
        bench.put(rng.integers(0, columns, rows)),
    ]
    (losses_at, losses), (grad_at, grad) = bench.room(rows, dtype), bench.room(shape, dtype)
    (first_at, first), (second_at, second) = bench.room(rows, dtype), bench.room(shape, dtype)
    kind = "softmax_cross_entropy"
    bench.plan.rows("l", kind, dtype, rows, columns, inputs[1:], losses_at, chunks=chunks)
    bench.plan.rows("g", f"{kind}_grad", dtype, rows, columns, inputs, grad_at, chunks=chunks)
    bench.plan.rows(
        "both", f"{kind}_and_grad", dtype, rows, columns, inputs, first_at, chunks, second_at
    )
    assert bench.run(threads=threads).status == "ok"
    np.testing.assert_array_equal(first, losses)
    np.testing.assert_array_equal(second, grad)


def test_row_kernels_have_as_many_results_as_places(bench):
    x, labels = bench.put(np.zeros((4, 3))), bench.put(np.zeros(4, np.int64))
    (one, _), (two, _) = bench.room(4, "float64"), bench.room((4, 3), "float64")
    with pytest.raises(ValueError, match="two results, got a place for one"):
        bench.plan.rows(
            "b", "softmax_cross_entropy_and_grad", "float64", 4, 3, [one, x, labels], one
        )
    with pytest.raises(ValueError, match="one result, got two places"):
        bench.plan.rows("b", "softmax_cross_entropy", "float64", 4, 3, [x, labels], one, second=two)
    g = bench.put(np.zeros(4))
    with pytest.raises(ValueError, match="overlap"):
        bench.plan.rows(
            "b", "softmax_cross_entropy_and_grad", "float64", 4, 3, [g, x, labels], one, second=x
        )


@pytest.mark.parametrize("label", [-1, 4])
@pytest.mark.parametrize("threads", [1, 2])
def test_labels_out_of_range_end_the_run(bench, label, threads):
    x, labels = np.zeros((9, 4), "float32"), np.zeros(9, np.int64)
    labels[7] = label
    out, _ = bench.room(9, "float32")
    bench.plan.rows(
        "loss", "softmax_cross_entropy", "float32", 9, 4, [bench.put(x), bench.put(labels)], out,
        chunks=4,
    )  # fmt: skip
    bench.plan.total(*out, "float32", 1)
    result = bench.run(steps=3, threads=threads)
    assert (result.done, result.status, result.label) == (0, "index out of range", "loss")
    assert result.totals.tolist() == [0]


# --- Copies, fills, indices ---


@pytest.mark.parametrize("chunks", [0, 3])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "view"),
    [
        ((), lambda x: x),
        ((997,), lambda x: x),
        ((17,), lambda x: x[::-1]),
        ((5, 7), lambda x: x.T),
        ((67, 131), lambda x: x.T),
        ((67, 131), lambda x: x[1:-1, 3:90:2]),
        ((2, 3, 5, 7), lambda x: x.transpose(3, 1, 0, 2)),
        ((2, 1, 3, 2, 1, 4), lambda x: x.transpose(5, 4, 3, 2, 1, 0)),
        ((5, 7), lambda x: np.broadcast_to(x, (3, 2, 5, 7))),
        ((5, 1), lambda x: np.broadcast_to(x, (5, 9))),
        ((4, 6), lambda x: x[:0]),
    ],
)
def test_copy(bench, rng, shape, view, dtype, chunks):
    x = rng.integers(0, 100, shape).astype(dtype)
    ref = bench.put(x)
    y = view(bench.spaces[0][ref[1] :][: x.nbytes].view(dtype).reshape(shape))
    start = (
        (ref[0], ref[1] + y.ctypes.data - bench.spaces[0].ctypes.data - ref[1]) if y.size else ref
    )
    out, result = bench.room(y.shape, dtype)
    strides = [s // x.itemsize for s in y.strides]
    out_strides = [s // x.itemsize for s in result.strides]
    bench.plan.copy("c", x.itemsize, list(y.shape), start, strides, out, out_strides, chunks=chunks)
    bench.run(threads=2)
    np.testing.assert_array_equal(result, view(x))


def test_copy_into_a_part(bench, rng):
    x = rng.normal(size=(6, 5))
    (space, offset), result = bench.room((6, 12), "float64")
    result[...] = 0
    bench.plan.copy("c", 8, [6, 5], bench.put(x), [5, 1], (space, offset + 3 * 8), [12, 1])
    bench.run()
    np.testing.assert_array_equal(result, np.pad(x, ((0, 0), (3, 4))))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [0, 1, 257])
def test_fill(bench, dtype, count):
    out, result = bench.room(count, dtype)
    _, after = bench.room(8, "uint8")
    bench.plan.fill("f", dtype, count, 1.0, out, chunks=2)
    bench.run(threads=2)
    np.testing.assert_array_equal(result, np.ones(count, dtype))
    assert (after == 0xFF).all()


@pytest.mark.parametrize("chunks", [0, 3])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("sizes", [(1, 5, 7, 1), (1, 10, 64, 33), (3, 4, 5, 2), (2, 3, 0, 4)])
def test_gather(bench, rng, sizes, dtype, chunks):
    outer, length, count, inner = sizes
    x = rng.integers(0, 100, (outer, length, inner)).astype(dtype)
    indices = rng.integers(-length, length, count)
    out, result = bench.room((outer, count, inner), dtype)
    bench.plan.gather("g", x.itemsize, *sizes, bench.put(x), bench.put(indices), out, chunks=chunks)
    bench.run(threads=2)
    np.testing.assert_array_equal(result, x[:, indices])


@pytest.mark.parametrize("chunks", [0, 3])
@pytest.mark.parametrize("dtype", [*FLOATS, "int64"])
@pytest.mark.parametrize("sizes", [(1, 5, 70, 1), (1, 10, 64, 33), (3, 4, 5, 2), (2, 3, 0, 4)])
def test_scatter_add(bench, rng, sizes, dtype, chunks):
    outer, length, count, inner = sizes
    x = rng.integers(0, 100, (outer, count, inner)).astype(dtype)
    indices = rng.integers(-length, length, count)
    out, result = bench.room((outer, length, inner), dtype)
    bench.plan.scatter_add("s", dtype, *sizes, bench.put(x), bench.put(indices), out, chunks=chunks)
    bench.run(threads=2)
    expected = np.zeros((outer, length, inner), dtype)
    np.add.at(expected, (slice(None), indices), x)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("index", [-6, 5, 2**62, -(2**62)])
@pytest.mark.parametrize("kind", ["gather", "scatter_add"])
def test_indices_out_of_range_end_the_run(bench, kind, index):
    out, _ = bench.room(100, "float32")
    x = bench.put(np.zeros(100, "float32"))
    indices = bench.put(np.array([0, index, 1]))
    if kind == "gather":
        bench.plan.gather("pick", 4, 1, 5, 3, 2, x, indices, out)
    else:
        bench.plan.scatter_add("pick", "float32", 1, 5, 3, 2, x, indices, out)
    result = bench.run(steps=2)
    assert (result.done, result.status, result.label) == (0, "index out of range", "pick")


def philox_uniform(seed, position, count, dtype):
    """Philox4x32-10, as Salmon et al. print it, one counter at a time."""
    words = []
    for i in range(count):
        c = [i & 0xFFFFFFFF, i >> 32, position & 0xFFFFFFFF, position >> 32]
        k = [seed & 0xFFFFFFFF, seed >> 32]
        for _ in range(10):
            p, q = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
            c = [q >> 32 ^ c[1] ^ k[0], q & 0xFFFFFFFF, p >> 32 ^ c[3] ^ k[1], p & 0xFFFFFFFF]
            k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
        words += c
    if dtype == "float32":
        return np.array([(w >> 8) * 2.0**-24 for w in words], dtype)[:count]
    pairs = zip(words[::2], words[1::2], strict=True)
    return np.array([((h >> 5 << 26) | low >> 6) * 2.0**-53 for h, low in pairs])[:count]


@pytest.mark.parametrize("chunks", [0, 1, 4])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("count", [0, 1, 7, 1001])
def test_random_uniform(bench, count, dtype, chunks):
    state = bench.put(np.array([2**40 + 7, 2**33 + 3], np.uint64), STATE)
    out, result = bench.room(count, dtype)
    bench.plan.random_uniform("u", dtype, count, state, out, chunks=chunks)
    bench.run(threads=2)
    expected = philox_uniform(2**40 + 7, 2**33 + 3, count, dtype)
    np.testing.assert_array_equal(result, expected)


# --- Batches of the user's rows ---


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("columns", [1, 3, 50])
@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("dtype", [*FLOATS, "int64"])
def test_gather_batch(bench, rng, dtype, source, columns, threads):
    x = rng.integers(0, 2 if source == "bool" else 100, (23, columns)).astype(source)
    out, result = bench.room((4, columns), dtype)
    bench.plan.gather_batch("rows", 0, dtype, 4, columns, out, chunks=2)
    bench.plan.input(0, x)
    order = rng.permutation(23)
    bench.run(steps=2, first=1, order=order, threads=threads)
    np.testing.assert_array_equal(result, x[order[8:12]].astype(dtype))


@pytest.mark.parametrize("columns", [1, 20])
def test_gather_batch_keeps_any_dtype(bench, columns):
    x = np.arange(5 * columns, dtype=np.uint8).reshape(5, columns)
    out, result = bench.room((2, columns), "uint8")
    bench.plan.gather_batch("rows", 3, "uint8", 2, columns, out)
    bench.plan.input(3, x)
    bench.run(order=np.array([4, 1]))
    np.testing.assert_array_equal(result, x[[4, 1]])


def test_gather_batch_reads_where_the_rows_lie(bench, tmp_path, rng):
    x = rng.normal(size=(30, 4, 5))
    file = tmp_path / "x.npy"
    np.save(file, x)
    mapped = np.load(file, mmap_mode="r")
    order = rng.permutation(10)
    out, result = bench.room((10, 20), "float32")
    bench.plan.gather_batch("rows", 0, "float32", 10, 20, out)
    record = np.zeros(30, [("y", "i8"), ("x", "f8", (4, 5))])
    record["x"] = x
    for rows, expected in (
        (mapped, x),
        (mapped[::3], x[::3]),
        (x[::-1], x[::-1]),
        (record["x"], x),
        (np.asfortranarray(x.reshape(30, 20).T).T, x),
    ):
        bench.plan.input(0, rows)
        bench.run(order=order)
        np.testing.assert_array_equal(result, expected[order].reshape(10, 20).astype("float32"))


def test_labels_and_rows_of_one_batch(bench):
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6, dtype=np.int32)
    a, rows = bench.room((3, 2), "float32")
    b, labels = bench.room(3, "int64")
    bench.plan.gather_batch("x", 0, "float32", 3, 2, a)
    bench.plan.gather_batch("y", 1, "int64", 3, 1, b)
    bench.plan.input(0, x)
    bench.plan.input(1, y)
    bench.run(order=np.array([5, 0, 0]))
    assert rows.tolist() == [[10, 11], [0, 1], [0, 1]]
    assert labels.tolist() == [5, 0, 0]


def test_an_input_is_kept_alive(bench):
    out, result = bench.room((1, 100000), "float32")
    bench.plan.gather_batch("x", 0, "float32", 1, 100000, out)
    bench.plan.input(0, np.full((2, 100000), 7, "float32"))
    other = np.zeros((2, 100000), "float32")
    bench.run(order=np.array([1]))
    assert (result == 7).all() and (other == 0).all()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 5), "float32"), "input 0: rows of 5 elements, the plan takes 6"),
        (np.zeros((4, 6), "complex64"), "input 0"),
        (np.zeros((4, 6), "float16"), "input 0"),
        (np.zeros((4, 6), ">f4"), "input 0"),
        (np.zeros((4, 6), "O"), "input 0"),
        (np.array([["a"] * 6]), "input 0"),
        (np.zeros((6, 4), "float32").T, "input 0: each row of an input must be contiguous"),
        (np.array(3.0), "input 0: an input has rows: its array is 0-d"),
        ([1.0, 2.0], "input 0"),
        (np.zeros(4 * 25, "uint8")[1:97].view("float32").reshape(4, 6), "input 0.*aligned"),
    ],
)
def test_unfit_inputs_are_refused(bench, array, message):
    out, _ = bench.room((2, 6), "float32")
    bench.plan.gather_batch("x", 0, "float32", 2, 6, out)
    with pytest.raises(ValueError, match=message):
        bench.plan.input(0, array)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"order": None}, "it needs an order"),
        ({"order": np.array([0, 6])}, "row 6 of the order: the inputs have 6 rows"),
        ({"order": np.array([0, -1])}, "row -1 of the order"),
        ({"order": np.array([0, 1, 2])[::1], "steps": 2}, "the order has 3 rows"),
        ({"order": np.array([0, 1]), "first": 1}, "the order has 2 rows"),
        ({"order": np.array([0, 1]), "first": 2**62}, "the order has 2 rows"),
        ({"order": np.array([0, 1]), "steps": 2**62}, "the order has 2 rows"),
        ({"order": np.array([0, 1]), "first": -1}, "must not be negative"),
        ({"order": np.array([0, 1]), "steps": -1}, "must not be negative"),
        ({"order": np.array([0, 1]), "threads": 0}, "threads must be from 1 to 4096, got 0"),
        ({"order": np.array([0, 1]), "seconds": math.nan}, "seconds must not be negative"),
        ({"order": np.array([0, 1]), "seconds": -1.0}, "seconds must not be negative"),
    ],
)
def test_unfit_runs_are_refused(bench, request_, message):
    out, _ = bench.room((2, 1), "float32")
    bench.plan.gather_batch("x", 0, "float32", 2, 1, out)
    bench.plan.input(0, np.zeros(6))
    with pytest.raises(ValueError, match=message):
        bench.run(**request_)


def test_an_input_that_is_not_bound_is_refused(bench):
    out, _ = bench.room((2, 1), "float32")
    bench.plan.gather_batch("x", 4, "float32", 2, 1, out)
    with pytest.raises(ValueError, match="input 4 is not bound"):
        bench.run(order=np.array([0, 1]))


def test_batches_of_one_plan_are_equal(bench):
    out, _ = bench.room((4, 1), "float32")
    bench.plan.gather_batch("x", 0, "float32", 2, 1, out)
    with pytest.raises(ValueError, match="y: 3 rows, but the batch of this plan has 2"):
        bench.plan.gather_batch("y", 1, "float32", 3, 1, out)


# --- Scalars, totals, time ---


def counter(bench, chunks=0):
    """A plan that adds 1 to a float32 in the state at each step."""
    ref, value = bench.room(1, "float32", STATE)
    value[0] = 0
    bench.plan.program(
        "count", "float32", 1, 1, 2, [(*ref, "float32", 0, 0, 0)], [(1.0, 1)],
        [("add", 0, 0, 1, 0)], [(*ref, "float32", 0, 0)], chunks=chunks,
    )  # fmt: skip
    return ref, value


def test_scalars_and_totals(bench):
    a, _ = bench.room(1, "float64")
    b, _ = bench.room(1, "float64", STATE)
    out, _ = bench.room(1, "float64")
    whole, count = bench.room(2, "int64")
    count[...] = [3, 4]
    bench.plan.program(
        "product", "float64", 1, 1, 3,
        [(*a, "float64", 0, 0, 0), (*b, "float64", 0, 0, 1)], [],
        [("multiply", 2, 0, 1, 0)], [(*out, "float64", 0, 2)],
    )  # fmt: skip
    bench.plan.scalar(*a)
    bench.plan.scalar(*b)
    bench.plan.total(*out, "float64", 1, 0.5)
    bench.plan.total(*whole, "int64", 2)
    scalars = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    result = bench.run(steps=3, scalars=scalars)
    assert (result.done, result.status, result.label) == (3, "ok", "")
    assert result.totals.tolist() == [0.5 * (2 + 12 + 30), 9, 12]
    assert result.last.tolist() == [30, 3, 4]
    begun = bench.plan.run(None, 0, 1, scalars[2:], 60.0, 1, result.totals)
    assert begun.totals.tolist() == [0.5 * (2 + 12 + 30 + 30), 12, 16]
    assert result.totals.tolist() == [0.5 * (2 + 12 + 30), 9, 12]
    with pytest.raises(ValueError, match="totals must have 3 numbers, got 2"):
        bench.plan.run(None, 0, 1, scalars, 60.0, 1, np.zeros(2))
    for unfit in (scalars[:2], None):
        with pytest.raises(ValueError, match="scalars must have 3 rows of 2"):
            bench.run(steps=3, scalars=unfit)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_total_that_is_not_finite_ends_the_run(bench, bad):
    place, _ = bench.room(1, "float64")
    out, _ = bench.room(1, "float32")
    bench.plan.program(
        "loss", "float32", 1, 1, 1, [(*place, "float64", 0, 0, 0)], [], [],
        [(*out, "float32", 0, 0)],
    )  # fmt: skip
    bench.plan.scalar(*place)
    bench.plan.total(*out, "float32", 1, 1.0, True)
    result = bench.run(steps=4, scalars=np.array([[1.0], [2.0], [bad], [3.0]]))
    assert (result.done, result.status, result.label) == (3, "non-finite", "loss")
    assert not math.isfinite(result.last[0])
    loose = Bench()
    place, value = loose.room(1, "float64")
    value[0] = bad
    loose.plan.total(*place, "float64", 1, 1.0, False)
    assert loose.run(steps=4).done == 4


def test_time_limit(bench):
    _, value = counter(bench)
    begin = time.perf_counter()
    result = bench.run(steps=10**9, seconds=0.05)
    assert 0.05 <= time.perf_counter() - begin < 5
    assert result.status == "ok"
    assert 1 < result.done < 10**9
    assert value[0] == min(result.done, 2**24)
    assert bench.run(steps=5, seconds=0.0).done >= 1


def test_no_steps(bench):
    _, value = counter(bench)
    assert bench.run(steps=0).done == 0
    assert value[0] == 0


def test_profile(bench):
    counter(bench)
    bench.run(steps=3)
    assert bench.plan.times() == [("count", 0, 0.0)]
    bench.plan.profile(True)
    bench.run(steps=4)
    bench.plan.profile(False)
    bench.run(steps=5)
    [(label, calls, seconds)] = bench.plan.times()
    assert (label, calls) == ("count", 4)
    assert 0 < seconds < 1


# --- What is refused when a plan is built ---

LOAD = (ARENA, 0, "float32", 8, 1, 0)
STORE = (ARENA, 512, "float32", 8, 1)


def program(bench, *, dtype="float32", rows=4, columns=8, registers=2, loads=(LOAD,), constants=(),
            ops=(("relu", 1, 0, 0, 0),), stores=(STORE,), chunks=0):  # fmt: skip
    bench.plan.program(
        "it", dtype, rows, columns, registers, list(loads), list(constants), list(ops),
        list(stores), chunks=chunks,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "float16"}, "unknown dtype 'float16'; known are float32"),
        ({"dtype": "uint8"}, "it: programs compute in float32, float64 or int64, not uint8"),
        ({"rows": -1}, "it: rows must not be negative, got -1"),
        ({"columns": -3}, "it: columns must not be negative, got -3"),
        ({"columns": 2**40}, "it: "),
        ({"rows": 2**62, "columns": 2**62}, "it: "),
        ({"registers": 1}, "it: register 1 of 1"),
        ({"registers": 257}, "it: registers must be 0 to 256, got 257"),
        ({"ops": [("relu", 1, 300, 0, 0)]}, "registers are numbered 0 to 255, got 300"),
        ({"ops": [("relu", 1, -1, 0, 0)]}, "registers are numbered 0 to 255, got -1"),
        ({"ops": [("frobnicate", 1, 0, 0, 0)]}, "unknown opcode 'frobnicate'; known are add"),
        ({"ops": [("relu", 0, 1, 0, 0)]}, "it: register 1 is read before it is written"),
        ({"ops": [("add", 1, 0, 1, 0)]}, "it: register 1 is read before it is written"),
        ({"ops": []}, "it: register 1 is read before it is written"),
        ({"loads": [LOAD, LOAD]}, "it: register 0 is loaded twice"),
        ({"constants": [(1.0, 0)]}, "it: register 0 is loaded twice"),
        ({"loads": [(3, *LOAD[1:])]}, "spaces are 0 .*, got 3"),
        ({"loads": [(ARENA, -4, *LOAD[2:])]}, "it: a load .* outside of its space"),
        ({"loads": [(ARENA, 2, *LOAD[2:])]}, "it: a load .* not aligned"),
        ({"loads": [(ARENA, 4096 - 4, *LOAD[2:])]}, "it: a load .* needs bytes behind its space"),
        ({"loads": [(ARENA, 2**62, *LOAD[2:])]}, "it: a load .* outside of its space"),
        ({"loads": [(ARENA, 0, "float32", -8, 1, 0)]}, "it: row_stride must not be negative"),
        ({"loads": [(ARENA, 0, "float32", 2**61, 1, 0)]}, "it: a load .* behind its space"),
        ({"loads": [(ARENA, 0, "float32", 8, 2, 0)]}, "it: column_stride must be 0 or 1, got 2"),
        ({"loads": [(ARENA, 0, "float", 8, 1, 0)]}, "unknown dtype 'float'"),
        ({"stores": []}, "it: a program without stores"),
        ({"stores": [(ARENA, 4096, "float32", 8, 1)]}, "it: a store .* behind its space"),
        ({"stores": [(ARENA, 514, "float32", 8, 1)]}, "it: a store .* not aligned"),
        ({"stores": [(ARENA, 512, "float32", 7, 1)]}, "it: rows of a store overlap"),
        ({"stores": [(ARENA, 4, "float32", 8, 1)]}, "it: a store overlaps a load"),
        ({"stores": [(ARENA, 0, "float64", 8, 1)]}, "it: a store overlaps a load"),
        ({"stores": [STORE, STORE]}, "it: two stores overlap"),
        ({"chunks": -1}, "it: chunks must be 0 to 4095, got -1"),
        ({"chunks": 4096}, "it: chunks must be 0 to 4095, got 4096"),
        ({"chunks": 2**40}, "it: chunks must be 0 to 4095"),
        ({"dtype": "int64", "ops": [("exp", 1, 0, 0, 0)]}, "it: no kernel for exp in .* int64"),
    ],
)
def test_unfit_programs_are_refused(changes, message):
    bench = Bench(4096)
    with pytest.raises(ValueError, match=message):
        program(bench, **changes)
    program(bench)
    assert bench.run().done == 1


def test_columns_of_one_matrix_may_be_read_and_written(bench):
    ref, matrix = bench.room((5, 8), "float32")
    matrix[...] = np.arange(40).reshape(5, 8)
    program(
        bench, rows=5, columns=4, loads=[(*ref, "float32", 8, 1, 0)],
        ops=[("add", 1, 0, 0, 0)], stores=[(ref[0], ref[1] + 16, "float32", 8, 1)],
    )  # fmt: skip
    bench.run()
    np.testing.assert_array_equal(matrix[:, 4:], 2 * matrix[:, :4])


A, B, C = (ARENA, 0), (ARENA, 1024), (ARENA, 2048)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda p: p.fill("", "float32", 1, 0.0, A), "an instruction needs a label"),
        (lambda p: p.gemm("it", "int64", False, False, 2, 2, 2, A, 2, B, 2, C, 2),
         "it: matrix products are float32 or float64"),
        (lambda p: p.gemm("it", "float32", False, False, 2, 3, 4, A, 3, B, 3, C, 3),
         "it: the row stride of a is 3, below its 4 columns"),
        (lambda p: p.gemm("it", "float32", False, False, 2, 3, 4, A, 4, B, 3, A, 3),
         "it: its output overlaps an input"),
        (lambda p: p.gemm("it", "float32", False, False, 2, 3, 400, A, 400, B, 3, C, 3),
         "it: b .* behind its space"),
        (lambda p: p.gemm("it", "float32", False, False, 2, 3, 2**31, A, 2**31, B, 3, C, 3),
         "it: a matrix product of sizes above"),
        (lambda p: p.gemm("it", "float32", False, False, 2, 2, 2, A, 2, B, 2, C, 2, batch=3,
                          stride_a=4, stride_b=4, stride_c=3),
         "it: the products of a batch overlap"),
        (lambda p: p.gemm("it", "float32", False, False, 2, 2, 2, A, 2, B, 2, C, 2,
                          epilogue=(1, [], [], [], [(*C, "float32", 2, 0)])),
         "it: register 0 is read before"),
        (lambda p: p.gemm("it", "float32", False, False, 2, 2, 2, A, 2, B, 2, C, 2,
                          epilogue=(1, [(*C, "float32", 2, 1, 0)], [], [],
                                    [(*A, "float32", 2, 0)])),
         "it: its output overlaps an input"),
        (lambda p: p.gemm("it", "float32", False, False, 2, 2, 2, A, 2, B, 2, C, 2, batch=2,
                          stride_a=4, stride_b=4, stride_c=4,
                          epilogue=(1, [(*C, "float32", 2, 1, 0)], [], [],
                                    [(*C, "float32", 2, 0)])),
         "it: only a single product has an epilogue"),
        (lambda p: p.gemm("it", "float32", False, False, 4, 2, 2, A, 2, B, 2, C, 2,
                          epilogue=(1, [(*C, "float32", 0, 1, 0)], [], [],
                                    [(ARENA, 3072, "float32", 2, 0)])),
         "it: the epilogue reads the product in another layout"),
        (lambda p: p.gemm("it", "float32", False, False, 4, 2, 2, A, 2, B, 2, C, 2,
                          epilogue=(1, [(*C, "float32", 2, 1, 0)], [], [],
                                    [(ARENA, 2048 + 8, "float32", 2, 0)])),
         "it: a store overlaps a load of another layout"),
        (lambda p: p.gemm("it", "float32", False, False, 4, 2, 2, A, 2, B, 2, C, 2,
                          epilogue=(1, [], [(1.0, 0)], [],
                                    [(ARENA, 2048 + 8, "float32", 2, 0)])),
         "it: the epilogue overwrites the product in another layout"),
        (lambda p: p.reduce("it", "mean", "float32", 1, 2, 3, A, B), "unknown reduction 'mean'"),
        (lambda p: p.reduce("it", "max", "float32", 1, 0, 3, A, B),
         "it: the max or min of nothing"),
        (lambda p: p.reduce("it", "sum", "uint8", 1, 2, 3, A, B), "it: reductions compute in"),
        (lambda p: p.reduce("it", "sum", "float32", 2**40, 2**40, 3, A, B), "it: .* its space"),
        (lambda p: p.rows("it", "softmin", "float32", 1, 2, [A], B),
         "unknown row kernel 'softmin'"),
        (lambda p: p.rows("it", "softmax", "int64", 1, 2, [A], B), "it: softmax of int64"),
        (lambda p: p.rows("it", "softmax", "float32", 1, 2, [A, A], B),
         "it: softmax takes 1 inputs"),
        (lambda p: p.rows("it", "argmax", "float32", 1, 0, [A], B), "it: argmax of empty rows"),
        (lambda p: p.copy("it", 3, [2], A, [1], B, [1]), "it: itemsize must be 1, 2, 4 or 8"),
        (lambda p: p.copy("it", 4, [1] * 7, A, [1] * 7, B, [1] * 7), "it: a copy has at most 6"),
        (lambda p: p.copy("it", 4, [2], A, [1, 2], B, [1]), "it: shape and strides differ"),
        (lambda p: p.copy("it", 4, [2], A, [-1], B, [1]), "it: x .* needs bytes before its space"),
        (lambda p: p.copy("it", 4, [2], B, [1], A, [0]), "it: elements of out overlap"),
        (lambda p: p.copy("it", 4, [2], A, [-(2**63)], B, [1]), "it: a stride out of range"),
        (lambda p: p.copy("it", 4, [2], A, [2**62], B, [1]), "it: x .* behind its space"),
        (lambda p: p.fill("it", "uint8", 4, 256.0, A), "it: 256.* is no uint8"),
        (lambda p: p.fill("it", "int8", 4, -129.0, A), "it: -129.* is no int8"),
        (lambda p: p.fill("it", "int64", 4, 0.5, A), "it: 0.5.* is no int64"),
        (lambda p: p.fill("it", "int64", 4, math.nan, A), "it: nan is no int64"),
        (lambda p: p.fill("it", "int64", 4, 2.0**63, A), "it: .* is no int64"),
        (lambda p: p.fill("it", "float32", 1025, 0.0, A), "it: out .* behind its space"),
        (lambda p: p.gather("it", 4, 1, 2, 3, 4, A, (ARENA, 4), B), "it: indices .* not aligned"),
        (lambda p: p.gather("it", 4, 1, 2, 3, 4, A, B, A), "it: its output overlaps an input"),
        (lambda p: p.scatter_add("it", "uint8", 1, 2, 3, 4, A, B, C), "it: scatter_add computes"),
        (lambda p: p.random_uniform("it", "int64", 4, A, B), "it: random numbers are float32"),
        (lambda p: p.random_uniform("it", "float32", 4, A, A), "it: its output overlaps"),
        (lambda p: p.gather_batch("it", 256, "float32", 4, 4, A),
         "it: inputs are numbered 0 to 255"),
        (lambda p: p.gather_batch("it", 0, "float32", 0, 4, A), "it: a batch has at least one row"),
        (lambda p: p.input(-1, np.zeros(3)), "inputs are numbered 0 to 255, got -1"),
        (lambda p: p.scalar(0, 4), "a scalar: .* not aligned"),
        (lambda p: p.scalar(0, 4096), "a scalar: .* behind its space"),
        (lambda p: p.total(0, 4092, "float32", 2), "a total: .* behind its space"),
        (lambda p: p.total(0, 0, "float32", -1), "a total: count must not be negative"),
    ],
)  # fmt: skip
def test_unfit_instructions_are_refused(build, message):
    plan = Bench(4096).plan
    with pytest.raises(ValueError, match=message):
        build(plan)
    assert plan.times() == []


def test_spaces_must_be_aligned_writable_bytes():
    good = block(128)
    readonly = block(128)
    readonly.flags.writeable = False
    with pytest.raises(ValueError, match="aligned to 64 bytes"):
        _core.Plan(good[8:], good, good)
    for bad in (good.view("float32"), readonly, good.reshape(2, 64), good[::2], [1, 2]):
        with pytest.raises(TypeError):
            _core.Plan(good, bad, good)
    empty = np.zeros(0, np.uint8)
    plan = _core.Plan(empty, empty, empty)
    plan.fill("nothing", "float32", 0, 0.0, (ARENA, 0))
    assert plan.run(None, 0, 2, None, 1.0, 1).done == 2


def test_a_plan_keeps_its_memory_alive():
    space = block(1 << 20)
    plan = _core.Plan(space, block(64), block(64))
    plan.fill("f", "float32", 1 << 18, 3.0, (ARENA, 0))
    view = space[:16].view("float32").copy()
    del space
    assert plan.run(None, 0, 1, None, 1.0, 1).done == 1
    assert (view == 0).all()


# --- Threads ---


def training_step(bench, rng, threads, steps=3):
    """Something of everything, in many chunks; all bytes that it wrote."""
    m, n, k = 256, 192, 160
    x, y = rng.normal(size=(m, k)).astype("float32"), rng.normal(size=(k, n)).astype("float32")
    labels = rng.integers(0, n, m)
    weight = bench.put(y, STATE)
    a, b = bench.put(x), bench.put(labels)
    plan = bench.plan
    product, view = bench.room((m, n), "float32")
    plan.gemm(
        "product", "float32", False, False, m, n, k, a, k, weight, n, product, n,
        epilogue=(2, [(*product, "float32", n, 1, 0)], [(0.5, 1)], [("multiply", 0, 0, 1, 0)],
                  [(*product, "float32", n, 0)]),
    )  # fmt: skip
    loss, losses = bench.room(m, "float32")
    plan.rows("loss", "softmax_cross_entropy", "float32", m, n, [product, b], loss, chunks=7)
    mean, total = bench.room(1, "float32")
    plan.reduce("total", "sum", "float32", 1, m, 1, loss, mean)
    columns, by_column = bench.room(n, "float32")
    plan.reduce("columns", "sum", "float32", 1, m, n, product, columns, chunks=5)
    plan.program(
        "update", "float32", k, n, 4,
        [(*weight, "float32", n, 1, 0), (*columns, "float32", 0, 1, 1)], [(-1e-3, 2)],
        [("multiply_add", 3, 1, 2, 0)], [(*weight, "float32", n, 3)], chunks=13,
    )  # fmt: skip
    uniform, random = bench.room(1001, "float32")
    seed = bench.put(np.array([1, 2], np.uint64))
    plan.random_uniform("random", "float32", 1001, seed, uniform, chunks=3)
    plan.total(*mean, "float32", 1)
    result = bench.run(steps=steps, threads=threads)
    updated = bench.spaces[STATE][weight[1] :][: y.nbytes]
    arrays = (view, losses, total, by_column, random, updated, result.totals)
    return b"".join(array.tobytes() for array in arrays)


@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
def test_same_bits_for_every_number_of_threads_and_any_memory(instruction_set):
    results = {
        training_step(Bench(4 << 20, fill, instruction_set), np.random.default_rng(1), threads)
        for threads in (1, 2, 3, 8)
        for fill in (0x00, 0xFF)
        for _ in range(3)
    }
    assert len(results) == 1


def test_more_threads_than_cpus_do_not_stall(bench):
    _, value = counter(bench)
    out, result = bench.room(100000, "float32")
    bench.plan.fill("f", "float32", 100000, 2.0, out, chunks=50)
    begin = time.perf_counter()
    assert bench.run(steps=300, threads=64).done == 300
    assert time.perf_counter() - begin < 20
    assert value[0] == 300 and (result == 2).all()


def test_plans_of_several_python_threads_run_at_once():
    results = [None] * 4

    def work(number):
        results[number] = training_step(
            Bench(4 << 20), np.random.default_rng(1), threads=1 + number, steps=20
        )

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] is not None
    assert len(set(results)) == 1


def test_a_running_plan_is_left_alone(bench):
    _, value = counter(bench)
    done = []
    runner = threading.Thread(target=lambda: done.append(bench.run(10**9, seconds=1.0).done))
    runner.start()
    while value[0] == 0:
        time.sleep(0)
    for touch in (
        lambda: bench.run(),
        lambda: bench.plan.fill("f", "float32", 1, 0.0, (ARENA, 0)),
        lambda: bench.plan.input(0, np.zeros(3)),
        lambda: bench.plan.times(),
        lambda: bench.plan.profile(True),
        lambda: bench.plan.scalar(ARENA, 0),
    ):
        with pytest.raises(RuntimeError, match="running in another thread"):
            touch()
    runner.join()
    assert done[0] > 0
    assert bench.run().done == 1


def test_the_interpreter_goes_on_while_a_plan_runs(bench):
    counter(bench)
    runner = threading.Thread(target=lambda: bench.run(10**9, seconds=0.3))
    runner.start()
    loops = 0
    while runner.is_alive():
        loops += 1
    runner.join()
    assert loops > 100


SCRIPT = """
import os, sys
sys.path.insert(0, {folder!r})
import numpy as np
import test_plan_executor as t
def step():
    b = t.Bench(4 << 20)
    out, view = b.room(100000, "float32")
    b.plan.fill("f", "float32", 100000, 2.0, out, chunks=40)
    assert b.run(steps=50, threads=4).done == 50
    assert (view == 2).all()
step()
{rest}
"""


def run_script(rest):
    script = SCRIPT.format(folder=str(Path(__file__).parent), rest=rest)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
    )


def test_clean_exit_with_workers():
    result = run_script("print('end')")
    assert (result.returncode, result.stdout, result.stderr) == (0, "end\n", "")


def test_clean_exit_while_another_thread_runs():
    rest = """
import threading
def forever():
    b = t.Bench(4 << 20)
    out, view = b.room(100000, "float32")
    b.plan.fill("f", "float32", 100000, 2.0, out, chunks=40)
    b.run(steps=10**9, threads=4, seconds=60.0)
threading.Thread(target=forever, daemon=True).start()
import time
time.sleep(0.2)
print('end')
"""
    result = run_script(rest)
    assert (result.returncode, result.stdout, result.stderr) == (0, "end\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_fork_starts_a_pool_of_its_own():
    rest = """
child = os.fork()
step()
if child == 0:
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print('end')
"""
    result = run_script(rest)
    assert (result.returncode, result.stdout) == (0, "end\n"), result.stderr


# --- Names ---


def test_opcodes():
    opcodes = _core.opcodes()
    assert ("multiply_add", 3) in opcodes and ("relu", 1) in opcodes and ("add", 2) in opcodes
    assert len({name for name, _ in opcodes}) == len(opcodes)


def test_stub_of_the_plan_agrees_with_the_plan():
    stub = {
        node.name: node
        for node in ast.parse(STUB.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
    for cls in (_core.Plan, _core.RunResult):
        functions = {n.name: n for n in stub[cls.__name__].body if isinstance(n, ast.FunctionDef)}
        public = {name for name in vars(cls) if not name.startswith("_")}
        assert {name for name in functions if name != "__init__"} == public
        for name, node in functions.items():
            signature = getattr(getattr(cls, name), "__nb_signature__", None)
            if signature is not None:
                arguments = ["self", *re.findall(r"(\w+): ", signature[0][0])]
                assert [a.arg for a in node.args.args] == arguments, name
