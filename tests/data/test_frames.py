"""Frames and series of pandas, polars and pyarrow as arrays, and what is refused in them."""

import datetime
import subprocess
import sys

import numpy as np
import pytest

from chainrule import nn
from chainrule.data import split
from chainrule.data.arrays import as_arrays, check_finite

NUMBERS = {"age": [20, 30, 40], "member": [True, False, True], "size": [1.5, 2.5, 3.5]}
EXPECTED = np.array([[20, 1, 1.5], [30, 0, 2.5], [40, 1, 3.5]])


def of_pandas(columns):
    return pytest.importorskip("pandas").DataFrame(columns)


def nullable(columns):
    return of_pandas(columns).convert_dtypes()


def arrow_backed(columns):
    pytest.importorskip("pyarrow")
    return of_pandas(columns).convert_dtypes(dtype_backend="pyarrow")


def of_polars(columns):
    return pytest.importorskip("polars").DataFrame(columns)


def of_pyarrow(columns):
    return pytest.importorskip("pyarrow").table(columns)


def record_batch(columns):
    return pytest.importorskip("pyarrow").RecordBatch.from_pydict(columns)


FRAMES = [of_pandas, nullable, arrow_backed, of_polars, of_pyarrow, record_batch]


@pytest.mark.parametrize("frame", FRAMES)
def test_frames(frame):
    array = as_arrays(frame(NUMBERS), "x")
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, EXPECTED)
    whole = as_arrays(frame({"a": [1, 2], "b": [3, 4]}), "x")
    assert whole.dtype == np.int64
    assert whole.tolist() == [[1, 3], [2, 4]]
    truths = as_arrays(frame({"a": [True, False]}), "x")
    assert truths.dtype == bool
    inputs = as_arrays({"left": frame(NUMBERS), "right": frame({"a": [1, 2, 3]})}, "x")
    assert {key: item.shape for key, item in inputs.items()} == {"left": (3, 3), "right": (3, 1)}


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("name", NUMBERS)
def test_series(frame, name):
    table = frame(NUMBERS)
    series = table.column(name) if hasattr(table, "column") else table[name]
    array = as_arrays(series, "y")
    np.testing.assert_array_equal(array, NUMBERS[name])
    assert array.dtype == np.array(NUMBERS[name]).dtype
    assert [a.shape for a in as_arrays((series, series), "x")] == [(3,), (3,)]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("values", [[1, 2, None], [True, False, None], [0.5, 1.5, None]])
def test_missing_values(frame, values):
    table = frame({"a": [1.5, 2.5, 3.5], "b": values})
    with pytest.raises(ValueError, match=r"x holds nan or null at row 2, column 'b' \(1 in all\)"):
        as_arrays(table, "x")
    column = table.column("b") if hasattr(table, "column") else table["b"]
    with pytest.raises(ValueError, match="y holds nan or null at row 2"):
        as_arrays(column, "y")


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["red", "blue", "red"], "holds String, not numbers. Encode it .* one column per category"),
        ([datetime.datetime(2026, 1, 1)] * 3, "holds Datetime.*Make it a number first"),
        ([datetime.timedelta(1)] * 3, "holds Duration.*Make it a number first"),
    ],
)
def test_columns_without_numbers(frame, values, words):
    table = frame({"a": [1, 2, 3], "colour": values})
    with pytest.raises(TypeError, match=f"x, column 'colour' {words}"):
        as_arrays(table, "x")


def test_categories():
    table = of_pandas({"a": ["x", "y"]}).astype("category")
    for data in (table, table.astype("str").astype("category")):
        with pytest.raises(TypeError, match="x, column 'a' holds Categorical, not numbers"):
            as_arrays(data, "x")
    with pytest.raises(TypeError, match="y holds Categorical"):
        as_arrays(table["a"], "y")
    polars = pytest.importorskip("polars")
    with pytest.raises(TypeError, match="x, column 'a' holds Categorical"):
        as_arrays(polars.DataFrame({"a": ["x", "y"]}).cast(polars.Categorical), "x")
    arrow = pytest.importorskip("pyarrow")
    with pytest.raises(TypeError, match="x, column 'a' holds Categorical"):
        as_arrays(arrow.table({"a": arrow.array(["x", "y"]).dictionary_encode()}), "x")


def test_objects():
    pandas = pytest.importorskip("pandas")
    as_objects = pandas.DataFrame({"a": [1, 2.5], "b": [True, 2]}, dtype=object)
    assert as_arrays(as_objects, "x").tolist() == [[1, 1], [2.5, 2]]
    for values, words in (
        ([1, None], "nan or null at row 1, column 'a'"),
        ([1, pandas.NA], "nan or null at row 1, column 'a'"),
        ([1, 2j], "column 'a' holds Python objects"),
        ([1, [2]], "column 'a' holds Python objects"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            as_arrays(pandas.DataFrame({"a": values}, dtype=object), "x")


def test_nan_and_infinity():
    polars = pytest.importorskip("polars")
    for value in (np.nan, np.inf):
        array = as_arrays(polars.DataFrame({"a": [1.0, value]}), "x")
        with pytest.raises(ValueError, match=f"x holds {value} at row 1, column 0"):
            check_finite(array, "x")


def test_names():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(EXPECTED, columns=["a", "b", "a"])
    with pytest.raises(ValueError, match="x has two columns named 'a'"):
        as_arrays(table, "x")
    for names in (range(3), [1, "b", "c"], pandas.MultiIndex.from_product([["a"], [1, 2, 3]])):
        np.testing.assert_array_equal(
            as_arrays(pandas.DataFrame(EXPECTED, columns=names), "x"), EXPECTED
        )


def test_a_frame_of_one_dtype_is_not_copied():
    table = of_pandas({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    assert np.shares_memory(as_arrays(table, "x"), table.to_numpy())


def test_lazy_and_empty_frames():
    polars = pytest.importorskip("polars")
    with pytest.raises(ValueError, match=r"x is a lazy frame.*collect"):
        as_arrays(polars.DataFrame(NUMBERS).lazy(), "x")
    for frame in (of_pandas, of_polars, of_pyarrow):
        with pytest.raises(ValueError, match="x has no rows"):
            as_arrays(frame({"a": []}).head(0) if frame is of_pandas else frame({}), "x")


def test_frames_are_split():
    table = of_pandas({"a": range(10), "b": range(10)})
    (x, y), (held_x, _) = split(table, table["a"], 0.2, seed=0)
    assert (len(x), len(held_x)) == (8, 2)
    np.testing.assert_array_equal(x[:, 1], y)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("layer", [nn.Standardize, nn.MinMaxScale, nn.RobustScale, nn.PCA])
def test_layers_are_fitted_to_frames(frame, layer):
    found, expected = layer(3).fit(frame(NUMBERS)), layer(3).fit(EXPECTED)
    for name, value in expected.state_dict().items():
        np.testing.assert_array_equal(found.state_dict()[name], value)
    with pytest.raises(TypeError, match=f"{layer.__name__}.fit: x, column 'b' holds String"):
        layer(2).fit(frame({"a": [1], "b": ["x"]}))


def test_narwhals_is_imported_for_tables_only():
    """It takes as long as all of the library."""
    code = (
        "import sys, numpy, chainrule as cr\n"
        "from chainrule.data.arrays import as_arrays\n"
        "as_arrays([numpy.zeros((2, 2)), [1, 2]], 'x')\n"
        "sys.exit(any(n in sys.modules for n in ('narwhals', 'pandas', 'polars', 'pyarrow')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_integers_of_128_bits():
    polars = pytest.importorskip("polars")
    for large, dtype in ((2**60 + 1, np.int64), (2**70, np.float64)):
        frame = polars.DataFrame({"a": polars.Series([1, -large], dtype=polars.Int128)})
        array = as_arrays(frame, "x")
        assert array.dtype == dtype and array.tolist() == [[1], [-large]]
