"""Elementwise programs against NumPy, and what is refused."""

import numpy as np
import pytest
from bench import ARENA, CONSTANTS, STATE, Bench, constant, load, op, store

FLOATS = ["float32", "float64"]
DTYPES = [*FLOATS, "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("chunks", [0, 3])
@pytest.mark.parametrize("dtype", [*FLOATS, "int64"])
@pytest.mark.parametrize(
    "shape",
    [
        (1, 1),
        (1, 7),
        (7, 1),
        (3, 5),
        (32, 16),
        (131, 13),
        (5, 255),
        (4, 257),
        (3, 1031),
        (1, 5000),
        (1031, 1),
        (0, 4),
        (4, 0),
    ],
)
def test_program_with_every_kind_of_load(bench, rng, shape, dtype, threads):
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
    bench.plan.add(
        "program",
        "all",
        dtype=dtype,
        rows=rows,
        columns=columns,
        registers=9,
        loads=[
            load(bench.put(x), dtype, columns, 1, 0),
            load((space, offset + itemsize), dtype, columns + 3, 1, 1),
            load(bench.put(bias, CONSTANTS), dtype, 0, 1, 2),
            load(bench.put(column), dtype, 1, 0, 3),
            load(bench.put(number), dtype, 0, 0, 4),
        ],
        constants=[constant(3.0, 5)],
        ops=[
            op("multiply", 6, 0, 1),
            op("add", 6, 6, 2),
            op("add", 6, 6, 3),
            op("multiply", 7, 6, 4),
            op("add", 8, 7, 5),
            op("subtract", 7, 6, 0),
        ],
        stores=[store(out, dtype, columns, 8), store(second, dtype, columns + 2, 7)],
    )
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
    bench.plan.add(
        "program",
        "convert",
        dtype=dtype,
        rows=shape[0],
        columns=shape[1],
        registers=4,
        loads=[
            load(bench.put(values), other, shape[1], 1, 0),
            load(bench.put(row), other, 0, 1, 1),
            load(bench.put(number), other, 0, 0, 2),
        ],
        ops=[op("multiply", 3, 0, 1), op("multiply", 3, 3, 2)],
        stores=[store(out, other, shape[1], 3), store(wide, other, shape[1] + 1, 3)],
    )
    bench.run()
    np.testing.assert_array_equal(result, values * row)
    np.testing.assert_array_equal(strided[:, :-1], values * row)


@pytest.mark.parametrize("shape", [(1, 1500), (40, 12), (3, 700)])
def test_program_in_place(bench, rng, shape):
    x, y = rng.normal(size=(2, *shape)).astype("float32")
    a, b = bench.put(x), bench.put(y)
    columns = shape[1]
    # Exchanges a and b, and reads a after the operation that gives its new value.
    bench.plan.add(
        "program",
        "exchange",
        dtype="float32",
        rows=shape[0],
        columns=shape[1],
        registers=4,
        loads=[load(a, "float32", columns, 1, 0), load(b, "float32", columns, 1, 1)],
        ops=[op("copy", 2, 1), op("add", 3, 0, 0), op("subtract", 3, 3, 0)],
        stores=[store(a, "float32", columns, 2), store(b, "float32", columns, 3)],
    )
    bench.run()
    for ref, expected in ((a, y), (b, x)):
        view = bench.spaces[ARENA][ref[1] :][: x.nbytes].view("float32").reshape(shape)
        np.testing.assert_array_equal(view, expected)


@pytest.mark.parametrize("chunks", [2])
def test_program_stores_what_was_loaded_before_it_is_overwritten(bench):
    a, view = bench.room(1000, "float32")
    old, saved = bench.room(1000, "float32")
    view[...] = np.arange(1000)
    bench.plan.add(
        "program",
        "increment",
        dtype="float32",
        rows=1,
        columns=1000,
        registers=2,
        loads=[load(a, "float32", 0, 1, 0)],
        constants=[constant(1.0, 1)],
        ops=[op("add", 1, 0, 1)],
        stores=[store(a, "float32", 0, 1), store(old, "float32", 0, 0)],
    )
    bench.run(steps=3)
    np.testing.assert_array_equal(view, np.arange(1000) + 3)
    np.testing.assert_array_equal(saved, np.arange(1000) + 2)


@pytest.mark.parametrize("shape", [(1, 2000), (100, 9)])
def test_program_overwrites_registers_that_were_loaded(bench, shape):
    """What is loaded once must be there in every block, and constants too."""
    x = np.ones(shape, "float32")
    ref = bench.put(x)
    out, result = bench.room(shape, "float32")
    bench.plan.add(
        "program",
        "overwrite",
        dtype="float32",
        rows=shape[0],
        columns=shape[1],
        registers=3,
        loads=[
            load(ref, "float32", shape[1], 1, 0),
            load(bench.put(np.float32(2)), "float32", 0, 0, 1),
        ],
        constants=[constant(3.0, 2)],
        ops=[op("add", 1, 1, 0), op("add", 2, 2, 1), op("add", 0, 0, 2)],
        stores=[store(out, "float32", shape[1], 0)],
    )
    bench.run(steps=2)
    assert (result == 7).all()
    assert (bench.spaces[ARENA][ref[1] :][: x.nbytes].view("float32") == 1).all()


def test_one_register_stored_twice(bench):
    x = np.arange(600, dtype="float32")
    first, a = bench.room(600, "float32")
    second, b = bench.room(600, "float64")
    third, c = bench.room(600, "float32")
    bench.plan.add(
        "program",
        "twice",
        dtype="float32",
        rows=1,
        columns=600,
        registers=1,
        loads=[load(bench.put(x), "float32", 0, 1, 0)],
        ops=[op("add", 0, 0, 0)],
        stores=[
            store(first, "float32", 0, 0),
            store(second, "float64", 0, 0),
            store(third, "float32", 0, 0),
        ],
    )
    bench.run()
    for stored in (a, b, c):
        np.testing.assert_array_equal(stored, 2 * x)


# --- What is refused ---

LOAD = load((ARENA, 0), "float32", 8, 1, 0)
STORE = store((ARENA, 512), "float32", 8, 1)


def fields_with(changes):
    """A program that may run, but for the changes."""
    fields = {"dtype": "float32", "rows": 4, "columns": 8, "registers": 2, "loads": [LOAD]}
    return fields | {"ops": [op("relu", 1, 0)], "stores": [STORE]} | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "float16"}, "it: dtype: unknown dtype 'float16'; known are float32"),
        ({"dtype": "uint8"}, "it: programs compute in float32, float64 or int64, not uint8"),
        ({"rows": -1}, "it: rows must not be negative, got -1"),
        ({"columns": -3}, "it: columns must not be negative, got -3"),
        ({"columns": 2**40}, "it: "),
        ({"rows": 2**62, "columns": 2**62}, "it: "),
        ({"registers": 1}, "it: register 1 of 1"),
        ({"registers": 257}, "it: registers must be 0 to 256, got 257"),
        ({"ops": [op("relu", 300, 0)]}, r"it: ops\[0\].out: registers are .* 0 to 255, got 300"),
        ({"ops": [op("relu", 1, -1)]}, r"it: ops\[0\].inputs\[0\]: registers are .* got -1"),
        ({"ops": [op("frobnicate", 1, 0)]}, r"ops\[0\].opcode: unknown opcode 'frobnicate'; known"),
        ({"ops": [op("relu", 0, 1)]}, "it: register 1 is read before it is written"),
        ({"ops": [op("relu", 1, 0, 0)]}, "it: relu takes 1 inputs, got 2"),
        ({"ops": [op("add", 1, 0)]}, "it: add takes 2 inputs, got 1"),
        ({"ops": [op("add", 1, 0, 1)]}, "it: register 1 is read before it is written"),
        ({"ops": []}, "it: register 1 is read before it is written"),
        ({"loads": [LOAD, LOAD]}, "it: register 0 is loaded twice"),
        ({"constants": [constant(1.0, 0)]}, "it: register 0 is loaded twice"),
        ({"loads": [LOAD | {"ref": ("heap", 0)}]}, "unknown space 'heap'; known are arena"),
        ({"loads": [LOAD | {"ref": (ARENA, -4)}]}, "it: a load .* outside of its space"),
        ({"loads": [LOAD | {"ref": (ARENA, 2)}]}, "it: a load .* not aligned"),
        ({"loads": [LOAD | {"ref": (ARENA, 4092)}]}, "it: a load .* needs bytes after its space"),
        ({"loads": [LOAD | {"ref": (ARENA, 2**62)}]}, "it: a load .* outside of its space"),
        ({"loads": [LOAD | {"row_stride": -8}]}, "it: row_stride must not be negative"),
        ({"loads": [LOAD | {"row_stride": 2**61}]}, "it: a load .* after its space"),
        ({"loads": [LOAD | {"column_stride": 2}]}, "it: column_stride must be 0 or 1, got 2"),
        ({"loads": [LOAD | {"dtype": "float"}]}, r"it: loads\[0\].dtype: unknown dtype 'float'"),
        ({"stores": []}, "it: a program without stores"),
        ({"stores": [STORE | {"ref": (ARENA, 4096)}]}, "it: a store .* after its space"),
        ({"stores": [STORE | {"ref": (ARENA, 514)}]}, "it: a store .* not aligned"),
        ({"stores": [STORE | {"row_stride": 7}]}, "it: rows of a store overlap"),
        ({"stores": [STORE | {"ref": (ARENA, 4)}]}, "it: a store overlaps a load"),
        (
            {"stores": [store((ARENA, 0), "float64", 8, 1)]},
            "it: a store overlaps a load",
        ),
        ({"stores": [STORE, STORE]}, "it: two stores overlap"),
        ({"dtype": "int64", "ops": [op("exp", 1, 0)]}, "it: no kernel for exp in .* int64"),
    ],
)
def test_unfit_programs_are_refused(changes, message):
    bench = Bench(4096)
    with pytest.raises(ValueError, match=message):
        bench.plan.add("program", "it", **fields_with(changes))
    bench.plan.add("program", "it", **fields_with({}))
    assert bench.run().steps == 1


def test_columns_of_one_matrix_may_be_read_and_written(bench):
    (space, begin), matrix = bench.room((5, 8), "float32")
    matrix[...] = np.arange(40).reshape(5, 8)
    left, right = (space, begin), (space, begin + 16)
    changes = {
        "rows": 5,
        "columns": 4,
        "loads": [LOAD | {"ref": left}],
        "ops": [op("add", 1, 0, 0)],
        "stores": [STORE | {"ref": right}],
    }
    bench.plan.add("program", "double", **fields_with(changes))
    bench.run()
    np.testing.assert_array_equal(matrix[:, 4:], 2 * matrix[:, :4])
