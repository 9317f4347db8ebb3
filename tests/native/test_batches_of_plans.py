"""Batches of the user's arrays: rows by the order of a run, converted."""

import math

import numpy as np
import pytest

FLOATS = ["float32", "float64"]
DTYPES = [*FLOATS, "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@pytest.mark.parametrize("chunks", [2])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("columns", [1, 3, 50])
@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("dtype", [*FLOATS, "int64"])
def test_gather_batch(bench, rng, dtype, source, columns, threads):
    x = rng.integers(0, 2 if source == "bool" else 100, (23, columns)).astype(source)
    out, result = bench.room((4, columns), dtype)
    bench.plan.add("gather_batch", "rows", input=0, dtype=dtype, rows=4, columns=columns, out=out)
    bench.plan.input(0, x)
    order = rng.permutation(23)
    bench.run(steps=2, first=1, order=order, threads=threads)
    np.testing.assert_array_equal(result, x[order[8:12]].astype(dtype))


@pytest.mark.parametrize("columns", [1, 20])
def test_gather_batch_keeps_any_dtype(bench, columns):
    x = np.arange(5 * columns, dtype=np.uint8).reshape(5, columns)
    out, result = bench.room((2, columns), "uint8")
    bench.plan.add("gather_batch", "rows", input=3, dtype="uint8", rows=2, columns=columns, out=out)
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
    bench.plan.add("gather_batch", "rows", input=0, dtype="float32", rows=10, columns=20, out=out)
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


@pytest.mark.parametrize("shape", [(0, 6), (0, 2, 3), (3, 0, 4)])
def test_an_input_may_have_no_elements(bench, shape):
    x, columns = np.zeros(shape), math.prod(shape[1:])
    out, _ = bench.room((2, columns), "float32")
    bench.plan.add("gather_batch", "x", input=0, dtype="float32", rows=2, columns=columns, out=out)
    bench.plan.input(0, x)
    if not len(x):
        with pytest.raises(ValueError, match="row 0 of the order: the inputs have 0 rows"):
            bench.run(order=np.array([0, 0]))
    else:
        bench.run(order=np.array([2, 0]))


def test_labels_and_rows_of_one_batch(bench):
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6, dtype=np.int32)
    a, rows = bench.room((3, 2), "float32")
    b, labels = bench.room(3, "int64")
    bench.plan.add("gather_batch", "x", input=0, dtype="float32", rows=3, columns=2, out=a)
    bench.plan.add("gather_batch", "y", input=1, dtype="int64", rows=3, columns=1, out=b)
    bench.plan.input(0, x)
    bench.plan.input(1, y)
    bench.run(order=np.array([5, 0, 0]))
    assert rows.tolist() == [[10, 11], [0, 1], [0, 1]]
    assert labels.tolist() == [5, 0, 0]


def test_an_input_is_kept_alive(bench):
    out, result = bench.room((1, 100000), "float32")
    bench.plan.add("gather_batch", "x", input=0, dtype="float32", rows=1, columns=100000, out=out)
    bench.plan.input(0, np.full((2, 100000), 7, "float32"))
    other = np.zeros((2, 100000), "float32")
    bench.run(order=np.array([1]))
    assert (result == 7).all() and (other == 0).all()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 5), "float32"), "^input 0: rows of 5 elements, the plan takes 6"),
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
    bench.plan.add("gather_batch", "x", input=0, dtype="float32", rows=2, columns=6, out=out)
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
        ({"order": np.array([0, 1]), "first": 2**63 - 1}, "1 steps from step 9223372036854775807"),
        ({"order": np.array([0, 1]), "first": -1}, "must not be negative"),
        ({"order": np.array([0, 1]), "steps": -1}, "must not be negative"),
        ({"order": np.array([0, 1]), "threads": 0}, "threads must be from 1 to 1024, got 0"),
        ({"order": np.array([0, 1]), "seconds": math.nan}, "seconds must not be negative"),
        ({"order": np.array([0, 1]), "seconds": -1.0}, "seconds must not be negative"),
    ],
)
def test_unfit_runs_are_refused(bench, request_, message):
    out, _ = bench.room((2, 1), "float32")
    bench.plan.add("gather_batch", "x", input=0, dtype="float32", rows=2, columns=1, out=out)
    bench.plan.input(0, np.zeros(6))
    with pytest.raises(ValueError, match=message):
        bench.run(**request_)


def test_an_input_that_is_not_bound_is_refused(bench):
    out, _ = bench.room((2, 1), "float32")
    bench.plan.add("gather_batch", "x", input=4, dtype="float32", rows=2, columns=1, out=out)
    with pytest.raises(ValueError, match="input 4 is not bound"):
        bench.run(order=np.array([0, 1]))


def test_batches_of_one_plan_are_equal(bench):
    out, _ = bench.room((4, 1), "float32")
    bench.plan.add("gather_batch", "x", input=0, dtype="float32", rows=2, columns=1, out=out)
    with pytest.raises(ValueError, match="y: 3 rows, but the batch of this plan has 2"):
        bench.plan.add("gather_batch", "y", input=1, dtype="float32", rows=3, columns=1, out=out)
