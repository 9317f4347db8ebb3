"""What a plan refuses: instructions that could not run safely, and fields that do not fit."""

import math

import numpy as np
import pytest
from bench import ARENA, Bench, constant, load, store

from chainrule import _core

A, B, C = (ARENA, 0), (ARENA, 1024), (ARENA, 2048)
WINDOW = {
    "images": 2,
    "groups": 1,
    "channels": 2,
    "filters": 3,
    "lengths": [1, 4, 4],
    "kernel": [1, 2, 2],
    "stride": [1, 2, 1],
    "dilation": [1, 1, 1],
}
SQUARE = WINDOW | {"kernel": [1, 3, 3], "stride": [1, 1, 1]}
FRAME = {"lengths": [1, 4, 4], "before": [0, 0, 0], "step": [1, 1, 1]}
Y_FRAME = {"lengths": [1, 3, 3], "before": [0, 0, 0], "step": [1, 2, 1]}
POOL = {
    "outer": 2,
    "inner": 3,
    "lengths": [1, 4, 4],
    "kernel": [1, 2, 3],
    "stride": [1, 2, 1],
    "dilation": [1, 1, 1],
    "before": [0, 0, 1],
    "after": [0, 0, 1],
}
FORM = {
    "batch": 1,
    "heads": 1,
    "queries": 2,
    "keys": 2,
    "width": 2,
    "value_width": 2,
    "scale": 1.0,
    "causal": False,
}
ATTENTION = {"dtype": "float32", "form": FORM} | {
    field: value for name in "qkv" for field, value in ((name, A), (f"{name}_strides", [4, 2, 2]))
}
TABLES = {"dtype": "float32", "groups": 2, "m": 2, "n": 3, "width": 4} | {
    **{"b_length": 6, "b": C, "out": (ARENA, 3072)}
}
SPARSE = {"dtype": "float32", "rows": 2, "entries": 3, "columns": 4, "outputs": 2} | {
    **{"indices": A, "values": B}
}
VALID = {
    "program": {
        "dtype": "float32",
        "rows": 1,
        "columns": 2,
        "registers": 1,
        "loads": [load(A, "float32", 0, 1, 0)],
        "stores": [store(B, "float32", 0, 0)],
    },
    "gemm": {
        "dtype": "float32",
        "m": 2,
        "n": 2,
        "k": 2,
        "a": A,
        "lda": 2,
        "b": B,
        "ldb": 2,
        "c": C,
        "ldc": 2,
    },
    "attention": ATTENTION | {"out": C},
    "attention_grad": ATTENTION
    | {name: A for name in ("g", "y", "lse")}
    | {f"{name}_strides": [4, 2, 2] for name in ("g", "y", "dq", "dk", "dv")}
    | {"dq": (ARENA, 2048), "dk": (ARENA, 2304), "dv": (ARENA, 2560)},
    "conv": {"dtype": "float32", "window": WINDOW, "frame": FRAME, "x": A, "w": B, "y": C},
    "conv_weight_grad": {
        "dtype": "float32",
        "window": WINDOW,
        "frame": FRAME,
        "x": A,
        "g": C,
        "w": B,
    },
    "max_pool": {"dtype": "float32", "window": POOL, "x": A, "y": B, "taps": C},
    "sum_pool": {"dtype": "float32", "window": POOL, "x": A, "taps": C, "y": B},
    "sum_pool_input_grad": {"dtype": "float32", "window": POOL, "g": B, "taps": C, "x": A},
    "reduce": {
        "reduction": "sum",
        "dtype": "float32",
        "outer": 1,
        "length": 2,
        "inner": 3,
        "x": A,
        "out": B,
    },
    "rows": {
        "kernel": "softmax",
        "dtype": "float32",
        "rows": 1,
        "columns": 2,
        "inputs": [A],
        "out": B,
    },
    "copy": {"itemsize": 4, "shape": [2], "x": A, "x_strides": [1], "out": B, "out_strides": [1]},
    "fill": {"dtype": "float32", "count": 4, "number": 0.0, "out": A},
    "gather": {
        "itemsize": 4,
        "outer": 1,
        "length": 2,
        "count": 3,
        "inner": 4,
        "x": A,
        "indices": B,
        "out": C,
    },
    "scatter_add": {
        "dtype": "float32",
        "outer": 1,
        "length": 2,
        "count": 3,
        "inner": 4,
        "x": A,
        "indices": B,
        "out": C,
    },
    "first_uses": {"length": 2, "count": 3, "indices": A, "out": B},
    "put_rows": {
        "dtype": "float32",
        "length": 2,
        "count": 3,
        "inner": 4,
        "x": A,
        "indices": B,
        "values": C,
        "out": A,
    },
    "row_products": TABLES | {"a_length": 4, "a": A, "a_indices": B, "parts": 2},
    "weighted_rows": TABLES | {"weights": A, "transposed": True},
    "subtract_rows": {
        "dtype": "float32",
        "length": 2,
        "count": 3,
        "inner": 4,
        "x": A,
        "indices": B,
        "values": C,
        "factor": (ARENA, 3072),
        "out": A,
    },
    "sparse_matmul": SPARSE | {"weight": C, "out": (ARENA, 3072)},
    "sparse_matmul_weight_grad": SPARSE | {"g": C, "out": (ARENA, 3072)},
    "random_uniform": {"dtype": "float32", "count": 4, "state": A, "out": B},
    "gather_batch": {"input": 0, "dtype": "float32", "rows": 4, "columns": 4, "out": A},
}
BATCH = {"stride_a": 4, "stride_b": 4, "stride_c": 4}


def test_every_instruction_has_an_example_here():
    assert sorted(_core.instructions()) == sorted(VALID)


@pytest.mark.parametrize("kind", VALID)
def test_the_examples_are_fit(kind):
    Bench(4096).plan.add(kind, "it", **VALID[kind])


def epilogue(loads, stores, rows=2, **changes):
    fields = {"dtype": "float32", "rows": rows, "columns": 2, "registers": 1}
    return {"epilogue": fields | {"loads": loads, "stores": stores} | changes}


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("program", {"rows": 2**63 - 1, "loads": [load(A, "float32", 0, 1, 0)]},
         "it: rows is too large"),
        ("program", {"rows": 2**40, "columns": 2**40}, "it: rows x columns is too large"),
        ("program", {"dtype": "int64", "loads": [], "constants": [constant(math.nan, 0)]},
         "it: nan is no int64"),
        ("program", {"dtype": "int64", "loads": [], "constants": [constant(2.0**63, 0)]},
         "it: .* is no int64"),
        *[
            case
            for kind in ("conv", "conv_weight_grad")
            for case in (
                (kind, {"dtype": "int64"}, "it: convolutions compute in float32 or float64"),
                (kind, {"window": WINDOW | {"lengths": [4, 4]}}, "it: a window has 3 spatial axes"),
                (kind, {"window": WINDOW | {"kernel": [1, 5, 2]}}, "it: the kernel reaches over 5"),
                (kind, {"window": WINDOW | {"kernel": [1, 0, 2]}}, "it: kernel, stride and dil.*"),
                (kind, {"window": WINDOW | {"stride": [1, 0, 2]}}, "it: kernel, stride and dil.*"),
                (kind, {"window": WINDOW | {"dilation": [1, 4, 1]}}, "it: the kernel reaches over"),
                (kind, {"window": WINDOW | {"images": -1}}, "it: images must not be negative"),
                (kind, {"window": WINDOW | {"images": 200}}, "it: .* after its space"),
                (kind, {"window": WINDOW | {"filters": 2**47}}, "it: w is too large"),
                (kind, {"frame": FRAME | {"before": [0, 0]}}, "it: a window has 3 spatial axes"),
                (kind, {"frame": FRAME | {"step": [1, 0, 1]}}, "it: the step must be positive"),
                (kind, {"frame": FRAME | {"lengths": [1, 90, 4]}}, "it: .* after its space"),
                (kind, {"frame": FRAME | {"before": [0, -(2**62), 0]}}, "it: what .* is too large"),
                (kind, {"frame": FRAME | {"before": [0, -(2**63), 0]}}, "it: what .* is too large"),
                (kind, {"x": B}, "it: .*"),
                (kind, {"x": C}, "it: .*"),
            )
            if (kind, case[1]) not in [("conv", {"x": B}), ("conv_weight_grad", {"x": C})]
        ],
        *[
            (kind, {"winograd": True} | changes, "it: Winograd's convolution has one group and a")
            for kind in ("conv", "conv_weight_grad")
            for changes in (
                {},
                {"window": SQUARE | {"groups": 2, "channels": 1}},
                {"window": SQUARE | {"stride": [1, 2, 1]}},
                {"window": SQUARE | {"lengths": [1, 9, 9], "dilation": [1, 1, 2]}},
                {"window": SQUARE | {"lengths": [2, 4, 4]}},
                {"window": SQUARE, "frame": FRAME | {"step": [1, 2, 1]}},
            )
        ],
        ("conv", {"winograd": True, "window": SQUARE | {"filters": 0}}, "it: .*channels and filt"),
        ("conv", {"winograd": True, "window": SQUARE | {"filters": 32}}, "it: y overlaps w|it: .*"),
        ("conv", epilogue([], [store(C, "float32", 6, 0)]), "it: the epilogue must have the rows"),
        ("conv", epilogue([], [], 12, columns=3, sums=[{"ref": A, "register": 0}], sum_rows=4,
                          constants=[constant(1.0, 0)]), "it: the epilogue of a conv.* its images"),
        ("gemm", epilogue([], [], sums=[{"ref": A, "register": 0}], constants=[constant(1.0, 0)]),
         "it: the epilogue of a conv.* its images"),
        *[
            ("conv", {"y_frame": Y_FRAME | changes}, message)
            for changes, message in (
                ({"lengths": [1, 3, 2]}, "it: a window has 3 spatial axes|it: places must lie in"),
                ({"lengths": [1, 3]}, "it: a window has 3 spatial axes"),
                ({"before": [0, -1, 0]}, "it: what lies before the places must not be negative"),
                ({"before": [0, 1, 0]}, "it: places must lie inside y"),
                ({"step": [1, 0, 1]}, "it: places must lie inside y, apart from each other"),
                ({"step": [1, 2**47, 1]}, "it: places must lie inside y"),
                ({"lengths": [1, 90, 3]}, "it: .* after its space"),
                ({"lengths": [2**40, 90, 3]}, "it: y is too large"),
            )
        ],
        ("conv", {"accumulate": True}, "it: only places in a frame are added to what y holds"),
        (
            "conv",
            {"y_frame": FRAME, "winograd": True, "window": SQUARE},
            "it: neither Winograd's convolution nor one with an epilogue",
        ),
        (
            "conv",
            {"y_frame": Y_FRAME} | epilogue([], [store(A, "float32", 3, 0)], 12, columns=3,
                                            constants=[constant(1.0, 0)]),
            "it: neither Winograd's convolution nor one with an epilogue",
        ),
        ("conv_weight_grad", {"parts": 0}, "it: there must be a part of the images"),
        ("conv_weight_grad", {"parts": 90}, "it: .* after its space"),
        *[
            case
            for kind in ("max_pool", "sum_pool", "sum_pool_input_grad")
            for case in (
                (kind, {"dtype": "int64"}, "it: poolings compute in float32 or float64"),
                (kind, {"window": POOL | {"before": [0, 0]}}, "it: a window has 3 spatial axes"),
                (kind, {"window": POOL | {"kernel": [1, 5, 2]}}, "it: the kernel reaches over 5"),
                (kind, {"window": POOL | {"stride": [1, 0, 2]}}, "it: kernel, stride and dil.*"),
                (kind, {"window": POOL | {"outer": -1}}, "it: outer must not be negative"),
                (kind, {"window": POOL | {"after": [0, 0, -1]}}, "it: after must not be negative"),
                (kind, {"window": POOL | {"after": [0, 2**46, 0]}}, "it: x with its border is too"),
                (kind, {"window": POOL | {"kernel": [1, 2**13, 2**12], "after": [0, 2**13, 2**12]}},
                 "it: a window has up to 16777216"),
                (kind, {"window": POOL | {"outer": 200}}, "it: .* after its space"),
                (kind, {"x": B}, "it: its output overlaps an input"),
                (kind, {"taps": B if kind != "sum_pool_input_grad" else A}, "it: its output over"),
            )
        ],
        *[
            case
            for kind, out in (("attention", "out"), ("attention_grad", "dk"))
            for case in (
                (kind, {"dtype": "int64"}, "it: attention computes in float32 or float64"),
                (kind, {"form": FORM | {"heads": -1}}, "it: heads must not be negative"),
                (kind, {"form": FORM | {"keys": 2**49}}, "it: keys is too large"),
                (kind, {"form": FORM | {"keys": 3000}}, "it: k .* after its space"),
                (kind, {"q_strides": [4, 2]}, "it: q has 3 strides, got 2"),
                (kind, {"k_strides": [4, -2, 2]}, "it: a stride must not be negative"),
                (kind, {"bias": (ARENA, 4092), "bias_strides": [0, 2, 0]}, "it: bias .* after"),
                (kind, {out: A}, "it: its output overlaps an input"),
            )
        ],
        ("attention", {"lse": C}, "it: its output overlaps an input"),
        ("gemm", {"dtype": "int64"}, "it: matrix products are float32 or float64"),
        ("gemm", {"n": 3, "k": 4, "lda": 3, "ldb": 3, "ldc": 3},
         "it: the row stride of a is 3, below its 4 columns"),
        ("gemm", {"c": A}, "it: its output overlaps an input"),
        ("gemm", {"k": 500, "lda": 500, "n": 3, "ldb": 3, "ldc": 3}, "it: b .* after its space"),
        ("gemm", {"k": 2**31, "lda": 2**31}, "it: a matrix product of sizes above"),
        ("gemm", BATCH | {"batch": 3, "stride_c": 3}, "it: the products of a batch overlap"),
        ("gemm", epilogue([], [store(C, "float32", 2, 0)]), "it: register 0 is read before"),
        ("gemm", epilogue([load(C, "float32", 2, 1, 0)], [store(A, "float32", 2, 0)]),
         "it: its output overlaps an input"),
        ("gemm", BATCH | {"batch": 2}
         | epilogue([load(C, "float32", 2, 1, 0)], [store(C, "float32", 2, 0)]),
         "it: only a single product has an epilogue"),
        ("gemm", epilogue([load(C, "float32", 2, 1, 0)], [store(C, "float32", 2, 0)], rows=3),
         "it: the epilogue must have the rows and columns of the product"),
        ("gemm", epilogue([load(C, "float32", 2, 1, 0)], [store(C, "float32", 2, 0)],
                          dtype="float64"),
         "it: the epilogue computes in another dtype"),
        ("gemm", {"m": 4} | epilogue([load(C, "float32", 0, 1, 0)],
                                     [store((ARENA, 3072), "float32", 2, 0)], rows=4),
         "it: the epilogue reads the product in another layout"),
        ("gemm", {"m": 4} | epilogue([load(C, "float32", 2, 1, 0)],
                                     [store((ARENA, 2048 + 8), "float32", 2, 0)], rows=4),
         "it: a store overlaps a load of another layout"),
        ("gemm", {"m": 4} | epilogue([], [store((ARENA, 2048 + 8), "float32", 2, 0)], rows=4,
                                     constants=[constant(1.0, 0)]),
         "it: the epilogue overwrites the product in another layout"),
        ("reduce", {"reduction": "mean"}, "it: reduction: unknown reduction 'mean'; known are sum"),
        ("reduce", {"reduction": "max", "length": 0}, "it: the max or min of nothing"),
        ("reduce", {"dtype": "uint8"}, "it: reductions compute in"),
        ("reduce", {"outer": 2**40, "length": 2**40}, "it: .* its space"),
        ("rows", {"kernel": "softmin"}, "it: kernel: unknown row kernel 'softmin'"),
        ("rows", {"dtype": "int64"}, "it: softmax of int64"),
        ("rows", {"inputs": [A, A]}, "it: softmax takes 1 inputs"),
        ("rows", {"kernel": "softmax_cross_entropy_and_grad", "inputs": [A, A, A], "second": B},
         "it: its output overlaps an input"),
        ("rows", {"kernel": "argmax", "columns": 0}, "it: argmax of empty rows"),
        ("rows", {"kernel": "logsumexp", "columns": 0}, "it: logsumexp of empty rows"),
        ("copy", {"itemsize": 3}, "it: itemsize must be 1, 2, 4 or 8"),
        ("copy", {"shape": [1] * 65, "x_strides": [1] * 65, "out_strides": [1] * 65},
         "it: a copy has at most 64"),
        ("copy", {"x_strides": [1, 2]}, "it: shape and strides differ"),
        ("copy", {"x_strides": [-1]}, "it: x .* needs bytes before its space"),
        ("copy", {"out_strides": [0]}, "it: elements of out overlap"),
        ("copy", {"x_strides": [-(2**63)]}, "it: a stride out of range"),
        ("copy", {"x_strides": [2**62]}, "it: x .* after its space"),
        ("fill", {"dtype": "uint8", "number": 256.0}, "it: 256.* is no uint8"),
        ("fill", {"dtype": "int8", "number": -129.0}, "it: -129.* is no int8"),
        ("fill", {"dtype": "int64", "number": 0.5}, "it: 0.5.* is no int64"),
        ("fill", {"dtype": "int64", "number": math.nan}, "it: nan is no int64"),
        ("fill", {"dtype": "int64", "number": 2.0**63}, "it: .* is no int64"),
        ("fill", {"count": 1025}, "it: out .* after its space"),
        ("fill", {"count": 0, "out": (ARENA, 4100)}, "it: out .* lies outside of its space"),
        ("gather", {"indices": (ARENA, 4)}, "it: indices .* not aligned"),
        ("gather", {"outer": 2**40, "count": 2**40, "inner": 0}, "it: outer x count is too large"),
        ("scatter_add", {"dtype": "uint8"}, "it: scatter_add computes"),
        ("random_uniform", {"dtype": "int64"}, "it: random numbers are float32"),
        ("put_rows", {"x": (ARENA, 16)}, "it: its output overlaps an input"),
        ("put_rows", {"count": -1}, "it: count must not be negative"),
        ("row_products", {"dtype": "int64"}, "it: rows of tables are multiplied in float32"),
        ("row_products", {"b_length": 5}, "it: without indices a table has 6 rows, got 5"),
        ("row_products", {"parts": 0}, "it: parts must be from 1 to 4095, got 0"),
        ("row_products", {"parts": 4096}, "it: parts must be from 1 to 4095, got 4096"),
        ("row_products", {"parts": 64}, "it: out .* after its space"),
        ("row_products", {"m": -1}, "it: m must not be negative"),
        ("weighted_rows", {"dtype": "int64"}, "it: rows of tables are multiplied in float32"),
        ("subtract_rows", {"dtype": "int64"}, "it: rows of tables are multiplied in float32"),
        ("subtract_rows", {"x": (ARENA, 16)}, "it: its output overlaps an input"),
        ("subtract_rows", {"count": 600}, "it: values .* after its space"),
        ("sparse_matmul", {"dtype": "int64"}, "it: sparse rows are float32 or float64, not int64"),
        ("sparse_matmul", {"entries": -1}, "it: entries must not be negative"),
        ("sparse_matmul", {"entries": 2**62}, "it: "),
        ("sparse_matmul", {"columns": 2**40}, "it: weight .* after its space"),
        ("sparse_matmul_weight_grad", {"columns": 2**40}, "it: out .* after its space"),
        ("sparse_matmul_weight_grad", {"rows": 2**40}, "it: indices .* after its space"),
        ("gather_batch", {"input": 256}, "it: inputs are numbered 0 to 255"),
        ("gather_batch", {"rows": 0}, "it: a batch has at least one row"),
    ],
)  # fmt: skip
def test_unfit_instructions_are_refused(kind, changes, message):
    plan = Bench(4096).plan
    with pytest.raises(ValueError, match=message):
        plan.add(kind, "it", **(VALID[kind] | changes))
    assert plan.times() == []


@pytest.mark.parametrize("kind", [kind for kind in VALID if "out" in VALID[kind]])
def test_an_output_lies_apart_from_each_input(kind):
    fields = VALID[kind]
    inputs = [place for name, place in fields.items() if isinstance(place, tuple) and name != "out"]
    for place in inputs + fields.get("inputs", []):
        if kind in ("put_rows", "subtract_rows") and place == fields["x"]:
            continue  # they change rows in place
        with pytest.raises(ValueError, match="it: its output overlaps an input"):
            Bench(4096).plan.add(kind, "it", **fields | {"out": place})


FILL, PROGRAM = VALID["fill"], VALID["program"]
LOAD = PROGRAM["loads"][0]


def without(fields, name):
    return {key: value for key, value in fields.items() if key != name}


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("fill", without(FILL, "count"), "it: the field 'count' is missing"),
        (
            "fill",
            FILL | {"size": 3},
            "it: unknown field 'size'; known are dtype, count, number, out",
        ),
        ("fill", FILL | {"count": "3"}, "it: count must be a whole number, got '3'"),
        ("fill", FILL | {"count": 3.0}, "it: count must be a whole number, got 3.0"),
        ("fill", FILL | {"count": True}, "it: count must be a whole number, got True"),
        ("fill", FILL | {"count": 2**63}, "it: count must be a whole number of 64 bits, got 922"),
        ("fill", FILL | {"number": "0"}, "it: number must be a number, got '0'"),
        ("fill", FILL | {"dtype": np.dtype("float32")}, "it: dtype must be a name, got dtype"),
        ("fill", FILL | {"out": 0}, r"it: out must be a place \(space, offset\), got 0"),
        ("fill", FILL | {"out": (ARENA, 0, 1)}, "it: out must be a place"),
        ("fill", FILL | {"out": (0, 0)}, r"it: out\[0\] must be a name, got 0"),
        ("fill", FILL | {"out": None}, "it: out must be a place"),
        ("copy", VALID["copy"] | {"shape": 2}, "it: shape must be a list, got 2"),
        (
            "copy",
            VALID["copy"] | {"shape": ["2"]},
            r"it: shape\[0\] must be a whole number, got '2'",
        ),
        (
            "gemm",
            VALID["gemm"] | {"transpose_a": 1},
            "it: transpose_a must be True or False, got 1",
        ),
        (
            "gemm",
            VALID["gemm"] | {"epilogue": []},
            r"it: epilogue must be a dict of fields, got \[\]",
        ),
        (
            "gemm",
            VALID["gemm"] | {"epilogue": without(PROGRAM, "rows")},
            "it: epilogue: the field 'rows' is missing",
        ),
        (
            "program",
            PROGRAM | {"loads": [LOAD, without(LOAD, "dtype")]},
            r"it: loads\[1\]: the field 'dtype' is missing",
        ),
        (
            "program",
            PROGRAM | {"loads": [LOAD | {"stride": 1}]},
            r"it: loads\[0\]: unknown field 'stride'; known are ref, dtype, row_stride",
        ),
    ],
)
def test_fields_are_checked_by_name(kind, fields, message):
    with pytest.raises(TypeError, match=message):
        Bench(4096).plan.add(kind, "it", **fields)


class Unprintable:
    def __repr__(self):
        return "\ud800"


@pytest.mark.parametrize(
    "fields",
    [
        FILL | {"dtype": "\ud800"},
        FILL | {"\ud800": 1},
        FILL | {"count": Unprintable()},
    ],
)
def test_text_that_utf_8_does_not_have_is_refused(fields):
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        Bench(4096).plan.add("fill", "it", **fields)


@pytest.mark.parametrize("key", [1, b"rows", None])
def test_names_of_fields_are_text(key):
    with pytest.raises(TypeError, match="it: epilogue: unknown field"):
        Bench(4096).plan.add("gemm", "it", **VALID["gemm"], epilogue=PROGRAM | {key: 1})


def test_an_instruction_needs_a_kind_and_a_label():
    plan = Bench(4096).plan
    with pytest.raises(ValueError, match="an instruction needs a label"):
        plan.add("fill", "", **FILL)
    with pytest.raises(
        ValueError, match="it: unknown instruction 'refill'; known are program, gemm"
    ):
        plan.add("refill", "it", **FILL)


def test_whole_numbers_of_numpy_and_tuples_will_do():
    fields = VALID["copy"] | {"itemsize": np.int64(4), "shape": (np.int32(2),)}
    Bench(4096).plan.add("copy", "it", **fields)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: p.input(-1, np.zeros(3)), "inputs are numbered 0 to 255, got -1"),
        (lambda p: p.scalar((ARENA, 4)), "a scalar: .* not aligned"),
        (lambda p: p.scalar((ARENA, 4096)), "a scalar: .* after its space"),
        (lambda p: p.total((ARENA, 4092), "float32", 2), "a total: .* after its space"),
        (lambda p: p.total((ARENA, 0), "float32", -1), "a total: count must not be negative"),
    ],
)
def test_unfit_places_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(Bench(4096).plan)


@pytest.mark.parametrize("chunks", [-1, 4096, 2**40])
def test_chunks_have_a_range(chunks):
    with pytest.raises(ValueError, match=f"chunks must be 0 to 4095, got {chunks}"):
        Bench(4096, chunks=chunks)
