"""Parquet files as frames: ordinary ones are read, whatever little room they take."""

import io
import sys
import threading
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest

import chainrule as cr
from chainrule.data.frames import read_frame
from chainrule.data.parquet_frames import read_parquet

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

ROWS = 500_000
RARE = (np.arange(ROWS) % 1000 == 0).astype("int64")
TABLES = {
    "constant": {"land": ["Germany"] * ROWS, "year": np.full(ROWS, 2024)},
    "sorted": {"day": np.arange(ROWS) // 1000, "shop": np.repeat(["north", "south"], ROWS // 2)},
    "rare": {f"is_{i}": RARE for i in range(20)},
    "categories": {"a": pd.Categorical.from_codes(RARE, ["a usual sort of thing", "another"])},
    "missing": {"a": pd.array([None] * ROWS, "Int64"), "b": pd.array([None] * ROWS, "string")},
    "times": {"at": pd.DatetimeIndex(["2024-02-29"] * ROWS), "on": RARE.astype(bool)},
}


def test_no_thread_of_arrow_reads_the_file(tmp_path):
    """Such a thread may still be at work as Python ends, and abort the program."""
    path, readers = tmp_path / "t.parquet", set()
    pd.DataFrame({"a": [1.5, None], "b": pd.array([2**60 + 1, None], "Int64")}).to_parquet(path)

    class Watched(io.FileIO):
        def read(self, size=-1):
            readers.add(threading.get_ident())
            return super().read(size)

        def readinto(self, buffer):
            readers.add(threading.get_ident())
            return super().readinto(buffer)

    with Watched(path) as file:
        read_parquet("t.parquet", file, path.stat().st_size, None)
    assert readers == {threading.get_ident()}


@pytest.mark.parametrize("compression", ["zstd", "snappy", None])
@pytest.mark.parametrize("name", TABLES)
def test_columns_that_repeat_their_values(tmp_path, name, compression):
    frame = pd.DataFrame(TABLES[name])
    frame.to_parquet(tmp_path / "t.parquet", compression=compression)
    found = read_frame(tmp_path / "t.parquet").frame
    assert found.equals(frame) and found.dtypes.equals(frame.dtypes)


@pytest.mark.parametrize(
    "encoding", ["PLAIN", "RLE_DICTIONARY", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"]
)
def test_encodings_of_text(tmp_path, encoding):
    """As they are written by Spark, DuckDB and others."""
    texts = [f"text {i // 3}" for i in range(1000)]
    table = pa.table({"a.b": texts, "a": [*texts[1:], None]})
    chosen = {"column_encoding": encoding, "use_dictionary": False}
    parquet.write_table(
        table, tmp_path / "t.parquet", **({} if encoding == "RLE_DICTIONARY" else chosen)
    )
    found = read_frame(tmp_path / "t.parquet").frame
    assert found["a.b"].tolist() == texts
    assert found["a"].tolist()[:-1] == texts[1:] and pd.isna(found["a"].iloc[-1])


@pytest.mark.parametrize("kind", [pa.decimal128(38, 0), pa.decimal256(60, 0), pa.decimal128(9, 2)])
@pytest.mark.parametrize("is_arrows", [False, True])
def test_decimals_are_numbers(tmp_path, kind, is_arrows):
    """Databases and Spark store prices, and Oracle and Snowflake all numbers, as decimals."""
    step = 0.25 if kind.scale else 1
    whole = [Decimal(k * step) for k in (3, -1, 0, 3)]
    table = pa.table({"price": pa.array(whole, kind), "gap": pa.array([*whole[:3], None], kind)})
    if is_arrows:
        table = table.to_pandas(types_mapper=pd.ArrowDtype)
        table.set_index("gap").to_parquet(tmp_path / "t.parquet")
    else:
        parquet.write_table(table, tmp_path / "t.parquet")
    frame = read_frame(tmp_path / "t.parquet").frame
    assert frame["price"].dtype == (np.float64 if kind.scale > 0 else np.int64)
    assert frame["price"].tolist() == [float(value) for value in whole]
    assert frame["gap"].tolist()[:3] == whole[:3] and pd.isna(frame["gap"].iloc[3])


def test_large_decimals_keep_their_digits(tmp_path):
    keys = [2**60 + 1, 10**30 + 1, None]
    table = pa.table({"key": pa.array(keys, pa.decimal128(38, 0))})
    parquet.write_table(table, tmp_path / "t.parquet")
    assert read_frame(tmp_path / "t.parquet").frame["key"].tolist() == keys


@pytest.mark.parametrize("name", ["t.parquet", "-"])
def test_without_pyarrow(name, tmp_path, monkeypatch):
    """An error of the package, not of the file."""
    parquet.write_table(pa.table({"a": [1, 2]}), tmp_path / "t.parquet")
    content = io.BytesIO((tmp_path / "t.parquet").read_bytes())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=content))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"^a Parquet file needs pyarrow: pip install [^.]*$"):
        read_frame(name)


LISTS = (
    [[1, 2]] * 2,
    [{"a": [1]}] * 2,
    pa.array([[("a", 1)]] * 2, pa.map_("string", "int64")),
    pa.FixedShapeTensorArray.from_numpy_ndarray(np.ones((2, 3, 4))),
)


@pytest.mark.parametrize("values", LISTS)
def test_lists_are_left_to_whom_uses_them(tmp_path, values):
    """Columns that are asked to be dropped, or that a model has no use for, may hold anything."""
    table = pa.table({"my": [1, 2], "my.list": values, "y": [0.5, None]})
    parquet.write_table(table, tmp_path / "t.parquet")
    frame = read_frame(tmp_path / "t.parquet").frame
    assert list(frame) == ["my", "my.list", "y"]
    assert frame["my"].tolist() == [1, 2] and frame["y"].isna().tolist() == [False, True]
    with pytest.raises(TypeError, match=r"column 'my.list' holds a list, of type list"):
        cr.tabular.Columns.fit(frame)
    assert cr.tabular.Columns.fit(frame, drop=["my.list"]).numeric == 2


@pytest.mark.parametrize("values", LISTS)
def test_tables_of_lists_alone_are_refused(tmp_path, values):
    parquet.write_table(pa.table({"my.list": values}), tmp_path / "t.parquet")
    with pytest.raises(cr.FileError, match=r"column 'my.list' holds lists"):
        read_frame(tmp_path / "t.parquet")


def test_lists_as_an_index_are_refused(tmp_path):
    frame = pd.DataFrame({"x": [1, 2]}, pd.Index([[1], [2]], name="at", dtype=object))
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(cr.FileError, match=r"column 'at' holds lists"):
        read_frame(tmp_path / "t.parquet")


def test_lists_beside_an_index_with_a_name(tmp_path):
    held = {"l": [[1], [2, 3]], "at": [7, 8], "x": [1, 2], "m": [[], None]}
    pd.DataFrame(held).set_index("at").to_parquet(tmp_path / "t.parquet")
    frame = read_frame(tmp_path / "t.parquet").frame
    assert list(frame) == ["at", "l", "x", "m"] and frame["at"].tolist() == [7, 8]


def test_lists_beside_an_index_that_lies_first(tmp_path):
    frame = pd.DataFrame({"x": [1, 2], "l": [[1], [2, 3]]}, pd.Index([7, 8]))
    table = pa.Table.from_pandas(frame).select(["__index_level_0__", "x", "l"])
    parquet.write_table(table, tmp_path / "t.parquet")
    assert list(read_frame(tmp_path / "t.parquet").frame) == ["x", "l"]


def test_an_index_whose_name_a_column_has(tmp_path):
    """As `set_index(..., drop=False)` leaves it."""
    frame = pd.DataFrame({"day": ["mon", "tue"], "x": [1, 2], "y": [0.5, 1.5]})
    for index, names in (("day", ["day", "x", "y"]), (["x", "day"], ["day", "x", "y"])):
        frame.set_index(index, drop=False).to_parquet(tmp_path / "t.parquet")
        found = read_frame(tmp_path / "t.parquet").frame
        assert list(found) == names and found["day"].tolist() == ["mon", "tue"]
    frame.set_index(["x", "day"]).rename_axis(["x", None]).to_parquet(tmp_path / "t.parquet")
    assert list(read_frame(tmp_path / "t.parquet").frame) == ["x", "y"]


@pytest.mark.parametrize("labels", [[0, 1], [("a", "x"), ("b", "y")]])
def test_large_numbers_in_columns_whose_labels_are_no_text(tmp_path, labels):
    keys = pd.array([2**60 + 1, None], "Int64"), [1e20, 2e20]
    frame = pd.DataFrame(dict(zip(labels, keys, strict=True)))
    parquet.write_table(pa.Table.from_pandas(frame), tmp_path / "t.parquet")
    found = read_frame(tmp_path / "t.parquet").frame
    assert list(found) == list(map(str, labels))
    assert [found.iloc[0, n] for n in (0, 1)] == [2**60 + 1, 1e20]


def test_a_table_without_columns(tmp_path):
    pd.DataFrame(index=range(3)).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(cr.FileError, match=r"t.parquet has no columns. Give a table"):
        read_frame(tmp_path / "t.parquet")


@pytest.mark.parametrize("has_lists", [False, True])
def test_columns_of_several_levels(tmp_path, has_lists):
    held = {("a", "x"): [1, 2], ("a", "y"): [[1], [2]] if has_lists else [3, 4], ("b", "x"): [5, 6]}
    pd.DataFrame(held).to_parquet(tmp_path / "t.parquet")
    frame = read_frame(tmp_path / "t.parquet").frame
    assert list(frame) == ["('a', 'x')", "('a', 'y')", "('b', 'x')"]
    assert frame["('b', 'x')"].tolist() == [5, 6]


def test_the_remedy_for_a_table_that_unfolds_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr("chainrule.data.parquet_frames._FREE", 1 << 20)
    frame = pd.DataFrame({"a": ["the same text"] * ROWS, "b": RARE})
    frame.to_parquet(tmp_path / "t.parquet")
    remedy = "if they do, write it with use_dictionary=False and compression=None"
    with pytest.raises(cr.FileError, match=remedy):
        read_frame(tmp_path / "t.parquet")
    frame.to_parquet(tmp_path / "t.parquet", use_dictionary=False, compression=None)
    pd.testing.assert_frame_equal(read_frame(tmp_path / "t.parquet").frame, frame)
