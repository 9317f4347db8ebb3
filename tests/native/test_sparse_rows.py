"""Products with sparse rows, beside the dense product."""

import numpy as np
import pytest
from bench import STATE, Bench

random = np.random.default_rng(0)


def sparse_rows(rows, entries, columns, dtype):
    """Indices and values, of which some rows end in zeros, and the dense matrix."""
    indices = random.integers(0, max(columns, 1), (rows, entries))
    values = random.standard_normal((rows, entries)).astype(dtype)
    values[::2, entries // 2 :] = 0
    dense = np.zeros((rows, columns), dtype)
    np.add.at(dense, (np.arange(rows)[:, None], indices), values)
    return indices, values, dense


def close(found, wanted, dtype):
    limit = 2e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(found, wanted, rtol=limit, atol=limit)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("rows", "entries", "columns", "outputs"),
    [(5, 4, 30, 7), (1, 1, 1, 1), (40, 16, 500, 33), (3, 0, 4, 2), (0, 3, 4, 2), (3, 2, 4, 0)],
)
def test_products_with_sparse_rows(rows, entries, columns, outputs, dtype):
    indices, values, dense = sparse_rows(rows, entries, columns, dtype)
    weight = random.standard_normal((outputs, columns)).astype(dtype)
    g = random.standard_normal((rows, outputs)).astype(dtype)
    bench = Bench(chunks=3)
    x = {
        **{"dtype": dtype, "rows": rows, "entries": entries, "columns": columns},
        **{"outputs": outputs, "indices": bench.put(indices), "values": bench.put(values)},
    }
    product, y = bench.room((rows, outputs), dtype)
    grad, dw = bench.room((outputs, columns), dtype)
    bench.plan.add("sparse_matmul", "it", **x, weight=bench.put(weight, STATE), out=product)
    bench.plan.add("sparse_matmul_weight_grad", "it", **x, g=bench.put(g), out=grad)
    assert bench.run(threads=2).status == "ok"
    close(y, dense @ weight.T, dtype)
    close(dw, g.T @ dense, dtype)


@pytest.mark.parametrize("index", [-1, 7, 2**62])
@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize(("kind", "matrix"), [("sparse_matmul", "weight"),
                                              ("sparse_matmul_weight_grad", "g")])  # fmt: skip
def test_columns_out_of_range_end_the_run(kind, matrix, value, index):
    bench = Bench()
    x = {
        **{"dtype": "float32", "rows": 2, "entries": 2, "columns": 7, "outputs": 3},
        **{"indices": bench.put(np.array([[0, 6], [2, index]]))},
        **{"values": bench.put(np.array([[1, 1], [1, value]], np.float32))},
    }
    given = bench.put(random.standard_normal((3, 7)).astype("float32"))
    out, _ = bench.room((3, 7), "float32")
    bench.plan.add(kind, "it", **x, **{matrix: given}, out=out)
    run = bench.run()
    assert (run.status, run.label) == ("index out of range", "it")
