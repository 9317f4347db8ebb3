"""Matrix products against NumPy: sizes, strides, batches, epilogues."""

import numpy as np
import pytest
from bench import ARENA, CONSTANTS, STATE, Bench, load, op, store, tolerance

FLOATS = ["float32", "float64"]


def add_gemm(bench, x, y, transpose_a, transpose_b, **options):
    m, k = x.shape[-2:]
    n = y.shape[-1]
    out, result = bench.room((*x.shape[:-2], m, n), x.dtype)
    a = bench.put(np.swapaxes(x, -1, -2) if transpose_a else x)
    b = bench.put(np.swapaxes(y, -1, -2) if transpose_b else y)
    if x.ndim == 3:
        options |= {"batch": len(x), "stride_a": m * k, "stride_b": k * n, "stride_c": m * n}
    bench.plan.add(
        "gemm",
        "product",
        dtype=str(x.dtype),
        transpose_a=transpose_a,
        transpose_b=transpose_b,
        m=m,
        n=n,
        k=k,
        a=a,
        lda=max(1, m if transpose_a else k),
        b=b,
        ldb=max(1, k if transpose_b else n),
        c=out,
        ldc=max(1, n),
        **options,
    )
    return out, result


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("transposed", [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize(
    "sizes",
    [
        (1, 1, 1),
        (1, 7, 5),
        (7, 1, 3),
        (32, 16, 16),
        (13, 17, 19),
        (64, 100, 64),
        (131, 257, 67),
        (256, 256, 128),
        (0, 3, 2),
        (3, 0, 2),
        (3, 4, 0),
    ],
)
def test_gemm(rng, sizes, transposed, dtype, threads):
    m, n, k = sizes
    bench = Bench(4 << 20)
    x, y = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    _, result = add_gemm(bench, x, y, *transposed)
    bench.run(threads=threads)
    np.testing.assert_allclose(result, x @ y, **tolerance(dtype))


# Half of k and the other half are multiplied by two threads, one of which adds to what is there.
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("zeros", [0, 0.8])
@pytest.mark.parametrize(
    "sizes", [(2, 3, 513), (33, 17, 600), (128, 512, 768), (65, 128, 1000), (300, 300, 1024)]
)
def test_gradient_of_weights_in_halves(rng, sizes, zeros, dtype):
    m, n, k = sizes
    found = []
    x, y = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    bias = rng.normal(size=n).astype(dtype)
    x[rng.random(x.shape) < zeros] = 0
    expected = x.astype("float64") @ y.astype("float64")
    error = 1e-4 if dtype == "float32" else 1e-11
    for threads, chunks in [(1, 0), (2, 0), (5, 0), (2, 1), (3, 7)]:
        bench = Bench(16 << 20, chunks=chunks)
        out, row = (ARENA, bench.ends[ARENA]), bench.put(bias, CONSTANTS)
        epilogue = {
            "dtype": dtype,
            "rows": m,
            "columns": n,
            "registers": 3,
            "loads": [load(out, dtype, n, 1, 0), load(row, dtype, 0, 1, 1)],
            "ops": [op("add", 2, 0, 1)],
            "stores": [store(out, dtype, n, 2)],
        }
        ref, added = add_gemm(bench, x, y, True, False, epilogue=epilogue)
        assert ref == out
        _, result = add_gemm(bench, x, y, True, False)
        for _ in range(3):
            result[...] = added[...] = np.nan
            bench.run(threads=threads)
            np.testing.assert_allclose(result, expected, rtol=0, atol=error)
            np.testing.assert_array_equal(added, result + bias)
            found.append(result.copy())
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("sizes", [(945, 96, 942), (950, 96, 938)])
def test_gradient_of_weights_in_halves_that_are_packed(rng, sizes, threads):
    """The second half of k is shorter: more rows are packed at once."""
    m, n, k = sizes
    bench = Bench(8 << 20)
    wide = rng.normal(size=(k, 1024)).astype("float32")
    x, y = wide[:, :m].T, rng.normal(size=(k, n)).astype("float32")
    out, result = bench.room((m, n), "float32")
    factors = {"a": bench.put(wide), "lda": 1024, "b": bench.put(y), "ldb": n}
    sides = {"m": m, "n": n, "k": k, "transpose_a": True, "transpose_b": False}
    bench.plan.add("gemm", "product", dtype="float32", **sides, **factors, c=out, ldc=n)
    bench.run(threads=threads)
    np.testing.assert_allclose(result, x.astype("float64") @ y, rtol=0, atol=1e-3)


@pytest.mark.parametrize("chunks", [0, 1, 3])
@pytest.mark.parametrize("sizes", [(5, 3, 4, 2), (1, 64, 64, 64), (9, 33, 17, 65), (0, 2, 2, 2)])
def test_gemm_batched(rng, sizes, chunks):
    batch, m, n, k = sizes
    bench = Bench(4 << 20, chunks=chunks)
    x, y = rng.normal(size=(batch, m, k)), rng.normal(size=(batch, k, n))
    _, result = add_gemm(bench, x, y, False, True)
    bench.run(threads=2)
    np.testing.assert_allclose(result, x @ y, **tolerance("float64"))


def test_gemm_shares_one_factor_among_a_batch(bench, rng):
    x, y = rng.normal(size=(3, 4, 5)), rng.normal(size=(5, 6))
    out, result = bench.room((3, 4, 6), "float64")
    bench.plan.add(
        "gemm",
        "p",
        dtype="float64",
        transpose_a=False,
        transpose_b=False,
        m=4,
        n=6,
        k=5,
        a=bench.put(x),
        lda=5,
        b=bench.put(y),
        ldb=6,
        c=out,
        ldc=6,
        batch=3,
        stride_a=20,
        stride_b=0,
        stride_c=24,
    )
    bench.run()
    np.testing.assert_allclose(result, x @ y, rtol=1e-12)


def test_gemm_with_strides_leaves_the_rest_alone(bench, rng):
    x, y = rng.normal(size=(6, 9)), rng.normal(size=(7, 11))
    out, result = bench.room((6, 13), "float64")
    result[...] = 5
    bench.plan.add(
        "gemm",
        "p",
        dtype="float64",
        transpose_a=False,
        transpose_b=False,
        m=6,
        n=10,
        k=7,
        a=bench.put(x),
        lda=9,
        b=bench.put(y),
        ldb=11,
        c=out,
        ldc=13,
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
    epilogue = {
        "dtype": dtype,
        "rows": m,
        "columns": n,
        "registers": 4,
        "loads": [
            load(out, dtype, n, 1, 0),
            load(bench.put(bias, CONSTANTS), dtype, 0, 1, 1),
            load(bench.put(row, CONSTANTS), dtype, 1, 0, 2),
        ],
        "ops": [op("add", 0, 0, 1), op("relu", 3, 0), op("multiply", 3, 3, 2)],
        "stores": [store(out, dtype, n, 0), store(second, dtype, n, 3)],
    }
    ref, result = add_gemm(bench, x, y, False, False, epilogue=epilogue)
    assert ref == out
    bench.run(threads=threads)
    expected = x @ y + bias
    np.testing.assert_allclose(result, expected, **tolerance(dtype))
    np.testing.assert_allclose(
        activation, np.maximum(expected, 0) * row[:, None], **tolerance(dtype)
    )
