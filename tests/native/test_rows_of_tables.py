"""Products with rows of tables that lie where they are, and updates of such rows."""

import numpy as np
import pytest
from bench import ARENA, STATE, Bench

from chainrule import _core

random = np.random.default_rng(0)


def table(rows, width, dtype):
    return random.standard_normal((rows, width)).astype(dtype)


def close(found, wanted, dtype):
    limit = 2e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(found, wanted, rtol=limit, atol=limit)


SIZES = [(5, 3, 6, 100), (1, 1, 1, 1), (4, 10, 6, 37), (3, 2, 4, 130), (2, 7, 5, 16), (0, 3, 4, 8),
         (2, 0, 3, 8), (2, 3, 0, 8), (2, 3, 4, 0)]  # fmt: skip


@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("groups", "m", "n", "width"), SIZES)
def test_products_and_sums_of_rows(groups, m, n, width, dtype, instruction_set):
    bench = Bench(instruction_set=instruction_set, chunks=2)
    A, b = table(30, width, dtype), table(groups * n, width, dtype)
    i = random.integers(0, 30, (groups, m))
    shape = {"dtype": dtype, "groups": groups, "m": m, "n": n, "width": width}
    a_rows = {"a_length": 30, "a": bench.put(A, STATE), "a_indices": bench.put(i)}
    b_rows = {"b_length": groups * n, "b": bench.put(b)}
    ref, products = bench.room((2, groups, m, n), dtype)
    bench.plan.add("row_products", "it", **shape, parts=2, **a_rows, **b_rows, out=ref)
    sums = []
    for transposed in (False, True):
        w = random.standard_normal((groups, n, m) if transposed else (groups, m, n)).astype(dtype)
        ref, out = bench.room((groups, m, width), dtype)
        bench.plan.add(
            *("weighted_rows", "it"),
            **shape,
            weights=bench.put(w),
            transposed=transposed,
            **b_rows,
            out=ref,
        )
        sums.append((out, w.swapaxes(1, 2) if transposed else w))
    assert bench.run(threads=2).status == "ok"
    b = b.reshape(groups, n, width)
    close(products.sum(0), A[i] @ b.swapaxes(1, 2), dtype)
    for out, w in sums:
        close(out, w @ b, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("width", [1, 16, 37, 100])
def test_rows_are_subtracted_one_after_another(width, in_place, dtype):
    indices = np.array([3, 0, 3, 3, 6, 0])
    x, values = table(7, width, dtype), table(6, width, dtype)
    factor = np.array(0.3, dtype)
    wanted, results = x.copy(), []
    np.subtract.at(wanted, indices, factor * values)
    for chunks in (1, 2):
        bench = Bench(chunks=chunks)
        place = bench.put(x, STATE)
        ref, out = bench.room(x.shape, dtype, STATE)
        if in_place:
            ref, out = place, bench.spaces[STATE][place[1] :].view(dtype)[: x.size].reshape(x.shape)
        bench.plan.add(
            *("subtract_rows", "it"),
            **{"dtype": dtype, "length": 7, "count": 6, "inner": width, "x": place, "out": ref},
            indices=bench.put(indices),
            values=bench.put(values),
            factor=bench.put(factor),
        )
        if in_place:
            bench.plan.keep_rows()
        assert bench.run(threads=2).status == "ok"
        close(out, wanted, dtype)
        results.append(out.copy())
        if in_place:
            assert bench.plan.has_finite_rows()
            bench.plan.undo_rows()
            np.testing.assert_array_equal(out, x)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("index", [-1, 7, 2**62])
@pytest.mark.parametrize("kind", ["row_products", "weighted_rows", "subtract_rows"])
def test_indices_out_of_range_end_the_run(kind, index):
    bench = Bench()
    x = table(7, 5, "float32")
    place = bench.put(x, STATE)
    indices, values = bench.put(np.array([0, 2, index, 1])), bench.put(x[:4])
    shape = {"dtype": "float32", "groups": 2, "m": 2, "n": 2, "width": 5}
    rows = {"b_length": 7, "b": place, "b_indices": indices}
    fields = {
        "row_products": shape | rows | {"parts": 1, "a_length": 4, "a": values},
        "weighted_rows": shape | rows | {"weights": values, "transposed": False},
        "subtract_rows": {
            **{"dtype": "float32", "length": 7, "count": 4, "inner": 5, "x": place},
            **{"indices": indices, "values": values, "factor": values},
        },
    }
    out = place if kind == "subtract_rows" else bench.room((4, 5), "float32", ARENA)[0]
    bench.plan.add(kind, "it", **fields[kind], out=out)
    run = bench.run()
    assert (run.status, run.label) == ("index out of range", "it")
    np.testing.assert_array_equal(bench.spaces[STATE][place[1] :].view("f")[: x.size], x.ravel())
