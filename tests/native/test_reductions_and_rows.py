"""Reductions and row kernels against NumPy."""

import numpy as np
import pytest
from bench import ARENA, Bench, tolerance

from chainrule import _core

FLOATS = ["float32", "float64"]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("chunks", [0, 2])
@pytest.mark.parametrize("kind", ["sum", "max", "min"])
@pytest.mark.parametrize("dtype", [*FLOATS, "int64"])
@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 1009, 1), (1, 64, 97), (13, 7, 1), (5, 3, 2), (0, 3, 2), (64, 10, 100)]
)
def test_reduce(bench, rng, shape, dtype, kind, threads):
    x = rng.integers(-50, 50, shape).astype(dtype)
    out, result = bench.room((shape[0], shape[2]), dtype)
    bench.plan.add(
        "reduce",
        "r",
        reduction=kind,
        dtype=dtype,
        outer=shape[0],
        length=shape[1],
        inner=shape[2],
        x=bench.put(x),
        out=out,
    )
    bench.run(threads=threads)
    np.testing.assert_array_equal(result, getattr(x, kind)(axis=1))


def test_sum_of_nothing_is_zero(bench):
    out, result = bench.room(6, "float32")
    bench.plan.add(
        "reduce",
        "r",
        reduction="sum",
        dtype="float32",
        outer=2,
        length=0,
        inner=3,
        x=(ARENA, 0),
        out=out,
    )
    bench.run()
    assert (result == 0).all()


def logsumexp(x):
    m = x.max(axis=1, keepdims=True)
    return (m + np.log(np.exp(x - m).sum(axis=1, keepdims=True)))[:, 0]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("chunks", [0, 3])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 10), (7, 3), (64, 10), (13, 101), (0, 5)])
def test_row_kernels(bench, rng, shape, dtype, threads):
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
        bench.plan.add(
            "rows",
            kind,
            kernel=kind,
            dtype=dtype,
            rows=rows,
            columns=columns,
            inputs=inputs,
            out=out,
        )
    assert bench.run(threads=threads).status == "ok"
    for kind, (_, expected) in cases.items():
        np.testing.assert_allclose(results[kind], expected, err_msg=kind, **tolerance(dtype))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("chunks", [0, 3])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(1, 1), (33, 3), (64, 10), (13, 40), (13, 101), (0, 5)])
def test_losses_and_gradient_in_one_pass_have_the_bits_of_two(bench, rng, shape, dtype, threads):
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
    bench.plan.add(
        "rows",
        "l",
        kernel=kind,
        dtype=dtype,
        rows=rows,
        columns=columns,
        inputs=inputs[1:],
        out=losses_at,
    )
    bench.plan.add(
        "rows",
        "g",
        kernel=f"{kind}_grad",
        dtype=dtype,
        rows=rows,
        columns=columns,
        inputs=inputs,
        out=grad_at,
    )
    bench.plan.add(
        "rows",
        "both",
        kernel=f"{kind}_and_grad",
        dtype=dtype,
        rows=rows,
        columns=columns,
        inputs=inputs,
        out=first_at,
        second=second_at,
    )
    assert bench.run(threads=threads).status == "ok"
    np.testing.assert_array_equal(first, losses)
    np.testing.assert_array_equal(second, grad)


@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
def test_the_softmax_of_a_very_long_row_keeps_its_digits(rng, instruction_set):
    x = (0.1 + 0.001 * rng.standard_normal(6_000_000)).astype("float32")
    bench = Bench(2 * x.nbytes + 1024, instruction_set=instruction_set)
    out, result = bench.room(x.size, "float32")
    bench.plan.add(
        "rows",
        "r",
        kernel="softmax",
        dtype="float32",
        rows=1,
        columns=x.size,
        inputs=[bench.put(x)],
        out=out,
    )
    assert bench.run().status == "ok"
    expected = np.exp(x.astype(float))
    np.testing.assert_allclose(result, expected / expected.sum(), rtol=5e-7)


def test_row_kernels_have_as_many_results_as_places(bench):
    x, labels = bench.put(np.zeros((4, 3))), bench.put(np.zeros(4, np.int64))
    (one, _), (two, _) = bench.room(4, "float64"), bench.room((4, 3), "float64")
    with pytest.raises(ValueError, match="two results, got a place for one"):
        bench.plan.add(
            "rows",
            "b",
            kernel="softmax_cross_entropy_and_grad",
            dtype="float64",
            rows=4,
            columns=3,
            inputs=[one, x, labels],
            out=one,
        )
    with pytest.raises(ValueError, match="one result, got two places"):
        bench.plan.add(
            "rows",
            "b",
            kernel="softmax_cross_entropy",
            dtype="float64",
            rows=4,
            columns=3,
            inputs=[x, labels],
            out=one,
            second=two,
        )
    g = bench.put(np.zeros(4))
    with pytest.raises(ValueError, match="overlap"):
        bench.plan.add(
            "rows",
            "b",
            kernel="softmax_cross_entropy_and_grad",
            dtype="float64",
            rows=4,
            columns=3,
            inputs=[g, x, labels],
            out=one,
            second=x,
        )


@pytest.mark.parametrize("chunks", [4])
@pytest.mark.parametrize("label", [-1, 4])
@pytest.mark.parametrize("threads", [1, 2])
def test_labels_out_of_range_end_the_run(bench, label, threads):
    x, labels = np.zeros((9, 4), "float32"), np.zeros(9, np.int64)
    labels[7] = label
    out, _ = bench.room(9, "float32")
    bench.plan.add(
        "rows",
        "loss",
        kernel="softmax_cross_entropy",
        dtype="float32",
        rows=9,
        columns=4,
        inputs=[bench.put(x), bench.put(labels)],
        out=out,
    )
    bench.plan.total(out, "float32", 1)
    result = bench.run(steps=3, threads=threads)
    assert (result.steps, result.status, result.label) == (0, "index out of range", "loss")
    assert result.totals.tolist() == [0]
