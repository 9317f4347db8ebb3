"""Products whose factors have many zeros: the same results, in less time."""

import functools
import itertools
import time

import numpy as np
import pytest
from products import add_product, check, in_rows, multiply, space

from chainrule import _core

# At the edges of words of 64, panels of 8 vectors, blocks of 128 and 256 rows and a depth of 512.
SIZES = [
    (16, 48, 16),
    (17, 131, 63),
    (64, 128, 64),
    (129, 129, 65),
    (131, 257, 128),
    (257, 50, 513),
    (40, 97, 784),
    (300, 260, 200),
]
TRANSPOSED = list(itertools.product([False, True], repeat=2))


def with_zeros(matrix, share, seed=0):
    zeros = np.random.default_rng(seed).random(matrix.shape) < share
    return np.where(zeros, matrix.dtype.type(0), matrix)


@functools.cache
def examples(dtype):
    """Factors with zeros, their product in float64, and how far from it a sum may be."""
    found = []
    shares = [(0.3, 0), (0.5, 0.5), (0, 0.9), (0.9, 0.2), (1, 0), (0, 1)]
    for number, sizes in enumerate(SIZES):
        for chosen in shares[number % 2 :: 2]:
            x, y = factors(sizes, dtype, *chosen)
            bound = 8 * np.finfo(dtype).eps * (np.abs(x) @ np.abs(y) + 1e-30)
            found.append((x, y, x.astype("float64") @ y, bound, (*sizes, *chosen)))
    return found


def factors(sizes, dtype, share_of_x, share_of_y):
    m, n, k = sizes
    rng = np.random.default_rng(sizes)
    x, y = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    return with_zeros(x, share_of_x, 1), with_zeros(y, share_of_y, 2)


@pytest.mark.parametrize("transposed", TRANSPOSED)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
def test_products_with_zeros(own_kernels, instruction_set, dtype, transposed):
    for x, y, expected, bound, label in examples(dtype):
        for in_pages in (False, True):
            result = multiply(instruction_set, x, y, transposed, in_pages)
            check(result, expected, bound, (*label, in_pages))


@pytest.mark.parametrize("transposed", TRANSPOSED)
@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
def test_epilogues_and_threads_of_products_with_zeros(own_kernels, instruction_set, transposed):
    for sizes in [(64, 512, 300), (260, 520, 64)]:
        x, y = factors(sizes, "float32", 0.6, 0.1)
        bias = np.random.default_rng(3).normal(size=sizes[1]).astype("float32")
        one, three = (
            multiply(instruction_set, x, y, transposed, False, threads, bias) for threads in (1, 3)
        )
        bound = 8 * np.finfo("float32").eps * (np.abs(x) @ np.abs(y) + 1)
        check(one, np.maximum(x.astype("float64") @ y + bias, 0), bound, sizes)
        assert one.tobytes() == three.tobytes(), sizes


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
def test_zeros_of_some_rows_change_no_bits_of_others(own_kernels, instruction_set, dtype, side):
    # Eight lines of a factor say whether it is worth while to leave out zeros.
    for transposed, depth in itertools.product(TRANSPOSED, (100, 700)):
        if side == "right" and transposed != (True, False):
            continue
        x, y = factors((64, 96, depth), dtype, 0.6, 0)
        if side == "right":
            x, y = y.T.copy(), x.T.copy()
        lines = (x.T if transposed[0] else x) if side == "left" else y
        sampled = len(lines) * np.arange(8) // 8
        lines[sampled] = 0
        sparse = multiply(instruction_set, x, y, transposed, False)
        lines[sampled] = 1e-30
        dense = multiply(instruction_set, x, y, transposed, False)
        if side == "left" and not transposed[0]:
            sparse, dense = np.delete(sparse, sampled, 0), np.delete(dense, sampled, 0)
        if transposed == (False, True):  # sums may be made by dot products, in another order
            np.testing.assert_allclose(sparse, dense, rtol=0, atol=1e-4)
        else:
            np.testing.assert_array_equal(sparse, dense, f"{transposed} {depth}")


@pytest.mark.parametrize("transposed", TRANSPOSED)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
def test_zeros_times_infinity_are_not_left_out(own_kernels, instruction_set, dtype, transposed):
    for side, special in itertools.product(("left", "right"), (np.inf, -np.inf, np.nan)):
        x, y = factors((70, 130, 150), dtype, 0.7, 0)
        if side == "right":
            x, y = y.T.copy(), x.T.copy()
        (y if side == "left" else x)[90, 17] = special
        x[3, 5] = y[5, 3] = special
        with np.errstate(invalid="ignore"):
            expected = x @ y
        found = multiply(instruction_set, x, y, transposed, False)
        np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))


@pytest.mark.parametrize("transposed", [(False, True), (False, False), (True, False)])
def test_products_with_zeros_are_faster(own_kernels, transposed):
    m = n = k = 512
    least = {0.0: np.inf, 0.9: np.inf}
    memory = []  # of the plans
    plans = {}
    for share in least:
        x, y = factors((m, n, k), "float32", share, 0)
        a, b = x.T if transposed[0] else x, y.T if transposed[1] else y
        spaces = [space(4 * m * n), in_rows(a, 512), in_rows(b, 512)]
        memory.append(spaces)
        plans[share] = _core.Plan(*spaces, _core.instruction_sets()[-1])
        add_product(plans[share], "float32", (m, n, k), transposed, (512, 512, 512))
    for share in list(plans) * 10:
        begin = time.perf_counter()
        plans[share].run(None, 0, 2, None, 60.0, 1)
        least[share] = min(least[share], time.perf_counter() - begin)
    assert least[0.9] < 0.7 * least[0]
