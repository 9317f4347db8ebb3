"""Instructions of a chain: each block of rows goes through all of them."""

import numpy as np
import pytest
from bench import Bench, column_sum, load, op, store, tolerance
from test_gemms import add_gemm

DEPTH = 3


def steps(bench, x, w, chain):
    """x = tanh(x w) some times over, each time a product, a copy and a program; the last result."""
    rows, columns = x.shape
    dtype = str(x.dtype)
    here = bench.put(x)
    for _ in range(DEPTH):
        product, _ = add_steps_product(bench, here, w, x.shape, dtype, chain)
        wide, _ = bench.room((rows, columns + 3), dtype)
        bench.plan.add(
            "copy",
            "copy",
            itemsize=x.dtype.itemsize,
            shape=[rows, columns],
            x=product,
            x_strides=[columns, 1],
            out=wide,
            out_strides=[columns + 3, 1],
            chain=chain,
        )
        here, result = bench.room(x.shape, dtype)
        bench.plan.add(
            "program",
            "tanh",
            dtype=dtype,
            rows=rows,
            columns=columns,
            registers=2,
            loads=[load(wide, dtype, columns + 3, 1, 0)],
            ops=[op("tanh", 1, 0)],
            stores=[store(here, dtype, columns, 1)],
            chain=chain,
        )
    return result


def add_steps_product(bench, x, w, shape, dtype, chain):
    rows, columns = shape
    out, result = bench.room(shape, dtype)
    bench.plan.add(
        "gemm",
        "product",
        dtype=dtype,
        m=rows,
        n=columns,
        k=columns,
        a=x,
        lda=columns,
        b=w,
        ldb=columns,
        c=out,
        ldc=columns,
        chain=chain,
    )
    return out, result


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 4), (2, 7), (33, 20), (100, 130), (70, 600)])
def test_a_chain_is_its_instructions(rng, shape, dtype):
    x = rng.normal(size=shape).astype(dtype)
    w = (rng.normal(size=(shape[1], shape[1])) / shape[1] ** 0.5).astype(dtype)
    expected = x
    for _ in range(DEPTH):
        expected = np.tanh(expected @ w)
    found = []
    for threads in (1, 2, 3):
        bench = Bench(16 << 20)
        result = steps(bench, x, bench.put(w), 1)
        bench.run(threads=threads)
        np.testing.assert_allclose(result, expected, **tolerance(dtype))
        found.append(result.copy())
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_each_instruction_of_a_chain_is_timed(rng):
    bench = Bench()
    steps(bench, rng.normal(size=(40, 8)), bench.put(rng.normal(size=(8, 8))), 1)
    bench.plan.profile(True)
    bench.run(steps=3)
    times = bench.plan.times()
    labels = ["product", "copy", "tanh"] * DEPTH
    assert [(label, calls) for label, calls, _ in times] == [(label, 3) for label in labels]
    assert all(seconds > 0 for _, _, seconds in times)


def test_what_can_not_be_in_a_chain(rng):
    bench = Bench()
    w = bench.put(rng.normal(size=(4, 4)))
    add_steps_product(bench, bench.put(rng.normal(size=(32, 4))), w, (32, 4), "float64", 1)
    with pytest.raises(ValueError, match="16 rows, but the chain has 32"):
        add_steps_product(bench, bench.put(rng.normal(size=(16, 4))), w, (16, 4), "float64", 1)
    with pytest.raises(ValueError, match="batch of products can't be in a chain"):
        add_gemm(bench, np.ones((2, 3, 3)), np.ones((2, 3, 3)), False, False, chain=1)
    with pytest.raises(ValueError, match="chain must not be negative"):
        add_gemm(bench, np.ones((3, 3)), np.ones((3, 3)), False, False, chain=-1)
    (x, _), (out, _) = bench.room((32, 4), "float64"), bench.room(4, "float64")
    with pytest.raises(ValueError, match="takes no sums"):
        bench.plan.add(
            "program",
            "sum",
            dtype="float64",
            rows=32,
            columns=4,
            registers=1,
            loads=[load(x, "float64", 4, 1, 0)],
            sums=[column_sum(out, 0)],
            chain=1,
        )
