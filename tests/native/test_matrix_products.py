"""The matrix products of every instruction set, at the edges of their tiles, panels and blocks."""

import functools
import itertools

import numpy as np
import pytest
from bench import ARENA, load, op, store
from products import add_product, check, in_rows, multiply, space

from chainrule import _core

# Tiles have 6 or 14 rows, panels 4 to 32 columns, blocks 256 rows and a depth of 512; copies of
# rows begin at 9 rows.
ROWS = (1, 8, 9, 13, 15, 131, 257)
COLUMNS = (1, 3, 16, 31, 33, 67, 131)
DEPTHS = (1, 2, 17, 64, 511, 513, 1031)
SIZES = [
    *zip(ROWS, COLUMNS, DEPTHS, strict=True),
    *zip(ROWS, reversed(COLUMNS), DEPTHS, strict=True),
    *zip(ROWS, COLUMNS, reversed(DEPTHS), strict=True),
    *itertools.product((256, 257), (32, 33), (512,)),
    (28, 65, 1024),
    (150, 300, 96),
]


@functools.cache
def example(sizes, dtype):
    """(x, y, bias, x y in float64, how far from it a sum in `dtype` may be)."""
    m, n, k = sizes
    rng = np.random.default_rng(sizes)
    x, y = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    bias = rng.normal(size=n).astype(dtype)
    bound = 8 * np.finfo(dtype).eps * (np.abs(x) @ np.abs(y) + 1)
    return x, y, bias, x.astype("float64") @ y, bound


@pytest.mark.parametrize("in_pages", [False, True])
@pytest.mark.parametrize("transposed", list(itertools.product([False, True], repeat=2)))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
def test_products_at_the_edges_of_blocks(own_kernels, instruction_set, dtype, transposed, in_pages):
    for sizes in SIZES:
        x, y, _, expected, bound = example(sizes, dtype)
        check(multiply(instruction_set, x, y, transposed, in_pages), expected, bound, sizes)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
def test_products_of_several_blocks_of_rows_and_depth(
    own_kernels, instruction_set, dtype, transpose_a
):
    """What a thread takes has 144 rows, a block 112 at most; the panels of B serve them all."""
    for sizes in [(1103, 37, 513), (1103, 21, 2048)]:
        x, y, _, expected, bound = example(sizes, dtype)
        result = multiply(instruction_set, x, y, (transpose_a, False), False)
        check(result, expected, bound, sizes)


@pytest.mark.parametrize("in_pages", [False, True])
@pytest.mark.parametrize("transposed", list(itertools.product([False, True], repeat=2)))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
def test_epilogues_of_long_sums_in_many_tiles(
    own_kernels, instruction_set, dtype, transposed, in_pages
):
    for sizes in [(70, 515, 520), (521, 67, 600)]:
        x, y, bias, expected, bound = example(sizes, dtype)
        one, three = (
            multiply(instruction_set, x, y, transposed, in_pages, threads, bias)
            for threads in (1, 3)
        )
        check(one, np.maximum(expected + bias, 0), bound, sizes)
        assert one.tobytes() == three.tobytes(), sizes


# Epilogues of small products, as programs over registers 0 (the product) and 1, and by NumPy.
EPILOGUES = {
    "none": ([], lambda c, x: c),
    "add": ([op("add", 2, 0, 1)], np.add),
    "add_relu": (
        [op("add", 2, 1, 0), op("relu", 2, 2)],
        lambda c, x: np.maximum(c + x, c.dtype.type(0)),
    ),
    "heaviside_multiply": (
        [op("heaviside", 2, 1), op("multiply", 2, 0, 2)],
        lambda c, x: c * (x > 0),
    ),
    # Like one of them, but not one.
    "of_the_product": (
        [op("heaviside", 2, 0), op("multiply", 2, 1, 2)],
        lambda c, x: x * (c > 0),
    ),
    "overwritten": (
        [op("heaviside", 0, 1), op("multiply", 2, 0, 0)],
        lambda c, x: (x > 0) + 0 * c,
    ),
    "add_without_relu": (
        [op("add", 2, 0, 1), op("relu", 2, 0)],
        lambda c, x: np.maximum(c, 0),
    ),
}
SMALL = [
    *itertools.product((1, 3, 5, 16, 17), (1, 4, 15, 16, 17, 33), (1, 3, 16)),
    (32, 16, 4),
    (127, 70, 31),
]


def multiply_small(instruction_set, x, y, transposed, name="none", other=None, place="own"):
    """(x y, the result of the epilogue), the latter where `place` says."""
    (m, k), n, dtype = x.shape, y.shape[1], x.dtype.name
    a, b = x.T if transposed[0] else x, y.T if transposed[1] else y
    ldc = n + 1
    bytes_of_c = m * ldc * x.itemsize
    result = space(3 * bytes_of_c)
    thirds = result.view(x.dtype).reshape(3, m, ldc)
    out = {"product": 0, "own": 1, "other": 2}[place]
    epilogue = None
    if other is not None:
        thirds[2, :, :n] = other
        repeated = other.ndim == 1
        epilogue = {
            "dtype": dtype,
            "rows": m,
            "columns": n,
            "registers": 3,
            "loads": [
                load((ARENA, 2 * bytes_of_c), dtype, 0 if repeated else ldc, 1, 1),
                load((ARENA, 0), dtype, ldc, 1, 0),
            ],
            "ops": EPILOGUES[name][0],
            "stores": [store((ARENA, out * bytes_of_c), dtype, ldc, 2)],
        }
    plan = _core.Plan(
        result, in_rows(a, a.shape[1] + 2), in_rows(b, b.shape[1] + 1), instruction_set
    )
    strides = (a.shape[1] + 2, b.shape[1] + 1, ldc)
    add_product(plan, dtype, (m, n, k), transposed, strides, epilogue=epilogue)
    plan.run(None, 0, 1, None, 60.0, 1)
    assert (thirds[..., n:].view(np.uint8) == 0xFF).all()
    if epilogue is None or out != 1:
        assert (thirds[1].view(np.uint8) == 0xFF).all()
    return thirds[0, :, :n].copy(), thirds[out, :, :n].copy()


def multiply_in_a_batch(instruction_set, x, y, transposed):
    """x y, the first of a batch of two, which is done the general way."""
    (m, k), n = x.shape, y.shape[1]
    a, b = x.T if transposed[0] else x, y.T if transposed[1] else y
    lda, ldb = a.shape[1] + 2, b.shape[1] + 1
    result = space(2 * m * n * x.itemsize)
    factors = in_rows(np.vstack([a, a]), lda), in_rows(np.vstack([b, b]), ldb)
    plan = _core.Plan(result, *factors, instruction_set)
    add_product(
        plan,
        x.dtype.name,
        (m, n, k),
        transposed,
        (lda, ldb, n),
        batch=2,
        stride_a=len(a) * lda,
        stride_b=len(b) * ldb,
        stride_c=m * n,
    )
    plan.run(None, 0, 1, None, 60.0, 1)
    return result.view(x.dtype).reshape(2, m, n)[0].copy()


@pytest.mark.parametrize("transposed", list(itertools.product([False, True], repeat=2)))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
def test_small_products_are_those_of_the_general_way(
    own_kernels, instruction_set, dtype, transposed
):
    for sizes in SMALL:
        x, y, _, expected, bound = example(sizes, dtype)
        product, _ = multiply_small(instruction_set, x, y, transposed)
        check(product, expected, bound, sizes)
        general = multiply_in_a_batch(instruction_set, x, y, transposed)
        assert product.tobytes() == general.tobytes(), sizes


@pytest.mark.parametrize("place", ["product", "own", "other"])
@pytest.mark.parametrize("name", [name for name in EPILOGUES if name != "none"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
def test_epilogues_of_small_products(own_kernels, instruction_set, dtype, name, place):
    for sizes, transposed in zip(SMALL, itertools.cycle(itertools.product([0, 1], repeat=2))):
        x, y, bias, _, _ = example(sizes, dtype)
        transposed = tuple(map(bool, transposed))
        plain, _ = multiply_small(instruction_set, x, y, transposed)
        matrix = np.random.default_rng(sizes).normal(size=plain.shape).astype(dtype)
        for other in (matrix, bias) if place != "other" else (matrix,):
            product, result = multiply_small(instruction_set, x, y, transposed, name, other, place)
            if place != "product":
                assert np.array_equal(product, plain), sizes
            assert np.array_equal(result, EPILOGUES[name][1](plain, other)), sizes
