"""Copies, fills, indices and random numbers against NumPy."""

import numpy as np
import pytest
from bench import ARENA, STATE

FLOATS = ["float32", "float64"]
DTYPES = [*FLOATS, "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


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
def test_copy(bench, rng, shape, view, dtype):
    x = rng.integers(0, 100, shape).astype(dtype)
    ref = bench.put(x)
    y = view(bench.spaces[ARENA][ref[1] :][: x.nbytes].view(dtype).reshape(shape))
    start = (
        (ref[0], ref[1] + y.ctypes.data - bench.spaces[ARENA].ctypes.data - ref[1])
        if y.size
        else ref
    )
    out, result = bench.room(y.shape, dtype)
    strides = [s // x.itemsize for s in y.strides]
    out_strides = [s // x.itemsize for s in result.strides]
    bench.plan.add(
        "copy",
        "c",
        itemsize=x.itemsize,
        shape=list(y.shape),
        x=start,
        x_strides=strides,
        out=out,
        out_strides=out_strides,
    )
    bench.run(threads=2)
    np.testing.assert_array_equal(result, view(x))


def test_copy_into_a_part(bench, rng):
    x = rng.normal(size=(6, 5))
    (space, offset), result = bench.room((6, 12), "float64")
    result[...] = 0
    bench.plan.add(
        "copy",
        "c",
        itemsize=8,
        shape=[6, 5],
        x=bench.put(x),
        x_strides=[5, 1],
        out=(space, offset + 3 * 8),
        out_strides=[12, 1],
    )
    bench.run()
    np.testing.assert_array_equal(result, np.pad(x, ((0, 0), (3, 4))))


@pytest.mark.parametrize("chunks", [2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [0, 1, 257])
def test_fill(bench, dtype, count):
    out, result = bench.room(count, dtype)
    _, after = bench.room(8, "uint8")
    bench.plan.add("fill", "f", dtype=dtype, count=count, number=1.0, out=out)
    bench.run(threads=2)
    np.testing.assert_array_equal(result, np.ones(count, dtype))
    assert (after == 0xFF).all()


@pytest.mark.parametrize("chunks", [0, 3])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("sizes", [(1, 5, 7, 1), (1, 10, 64, 33), (3, 4, 5, 2), (2, 3, 0, 4)])
def test_gather(bench, rng, sizes, dtype):
    outer, length, count, inner = sizes
    x = rng.integers(0, 100, (outer, length, inner)).astype(dtype)
    indices = rng.integers(-length, length, count)
    out, result = bench.room((outer, count, inner), dtype)
    bench.plan.add(
        "gather",
        "g",
        itemsize=x.itemsize,
        outer=sizes[0],
        length=sizes[1],
        count=sizes[2],
        inner=sizes[3],
        x=bench.put(x),
        indices=bench.put(indices),
        out=out,
    )
    bench.run(threads=2)
    np.testing.assert_array_equal(result, x[:, indices])


@pytest.mark.parametrize("chunks", [0, 3])
@pytest.mark.parametrize("dtype", [*FLOATS, "int64"])
@pytest.mark.parametrize("sizes", [(1, 5, 70, 1), (1, 10, 64, 33), (3, 4, 5, 2), (2, 3, 0, 4)])
def test_scatter_add(bench, rng, sizes, dtype):
    outer, length, count, inner = sizes
    x = rng.integers(0, 100, (outer, count, inner)).astype(dtype)
    indices = rng.integers(-length, length, count)
    out, result = bench.room((outer, length, inner), dtype)
    bench.plan.add(
        "scatter_add",
        "s",
        dtype=dtype,
        outer=sizes[0],
        length=sizes[1],
        count=sizes[2],
        inner=sizes[3],
        x=bench.put(x),
        indices=bench.put(indices),
        out=out,
    )
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
        bench.plan.add(
            "gather",
            "pick",
            itemsize=4,
            outer=1,
            length=5,
            count=3,
            inner=2,
            x=x,
            indices=indices,
            out=out,
        )
    else:
        bench.plan.add(
            "scatter_add",
            "pick",
            dtype="float32",
            outer=1,
            length=5,
            count=3,
            inner=2,
            x=x,
            indices=indices,
            out=out,
        )
    result = bench.run(steps=2)
    assert (result.steps, result.status, result.label) == (0, "index out of range", "pick")


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
def test_random_uniform(bench, count, dtype):
    state = bench.put(np.array([2**40 + 7, 2**33 + 3], np.uint64), STATE)
    out, result = bench.room(count, dtype)
    bench.plan.add("random_uniform", "u", dtype=dtype, count=count, state=state, out=out)
    bench.run(threads=2)
    expected = philox_uniform(2**40 + 7, 2**33 + 3, count, dtype)
    np.testing.assert_array_equal(result, expected)
