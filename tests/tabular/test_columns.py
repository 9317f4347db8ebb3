"""Columns: the kind of each is decided from the training rows; other tables are read alike."""

import copy
import datetime
import decimal
import io
import json
import math
import pickle
import re

import numpy as np
import pytest

from chainrule.tabular import Columns, reading
from chainrule.tabular.targets import fit_target

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

ROWS = 40
ROW = np.arange(ROWS)
RNG = np.random.default_rng(0)


def frame():
    """A table with a column of every kind that people have."""
    days = pd.date_range("2020-01-30 06:00", periods=ROWS, freq="37h")
    found = pd.DataFrame(
        {
            "price": RNG.normal(size=ROWS),
            "rooms": pd.array(RNG.integers(0, 9, ROWS), dtype="Int64"),
            "colour": RNG.choice(["red", "green", "blue"], ROWS),
            "sold": RNG.random(ROWS) > 0.5,
            "when": days,
            "where": days.tz_localize("UTC").tz_convert("Asia/Kolkata"),
            "constant": 1,
            "empty": np.nan,
            "kind": pd.Categorical(RNG.choice(["x", "y"], ROWS)),
            "key": 2**60 + RNG.integers(0, 3, ROWS),
            "id": range(1000, 1000 + ROWS),
            "user_id": RNG.integers(0, 12, ROWS),
            "comment": [f"text {number}" for number in range(ROWS)],
            "digits": [f" {number}.5" for number in RNG.integers(0, 99, ROWS)],
            "town": [f"town {number}" for number in RNG.integers(0, 12, ROWS)],
            "written": [f"2020-{number % 12 + 1:02}-28" for number in range(ROWS)],
            "took": pd.to_timedelta(RNG.integers(0, 99, ROWS), unit="h"),
        }
    )
    found.loc[3, ["price", "rooms", "colour", "town"]] = None
    found.loc[5, "when"] = pd.NaT
    return found


FRAME = frame()
COLUMNS = Columns.fit(FRAME)
KINDS = dict(
    price="number", rooms="number", colour="category", sold="category", when="date", where="date",
    constant="unused", empty="unused", kind="category", key="category", id="unused",
    user_id="category", comment="unused", digits="number", town="category", written="date",
    took="number",
)  # fmt: skip


def kinds(columns):
    return {d["name"]: d["kind"] for d in columns.describe()}


def same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(first[name], second[name], atol=1e-9)


def test_every_column_gets_its_kind_and_says_why():
    assert kinds(COLUMNS) == KINDS
    text = str(COLUMNS)
    for said in ("every value differs", "missing in 1 row", "constant: 1", "-1 and 1", "embedded"):
        assert said in text
    assert COLUMNS.numeric == 4 + (1 + 8) + (1 + 8) + (1 + 4)
    assert COLUMNS.plain == 3 + 3 + 2 * 1 + 3  # flags, colours, two binary ones, keys
    assert len(COLUMNS.sizes) == 2


@pytest.mark.parametrize(
    "convert",
    [
        pl.from_pandas,
        pa.Table.from_pandas,
        lambda f: f.convert_dtypes(dtype_backend="pyarrow"),
        lambda f: f.astype(object),
        lambda f: f[f.columns[::-1]].assign(other=1),
        lambda f: f.drop(columns=["constant", "empty", "id", "comment"]),
    ],
    ids=["polars", "pyarrow", "arrow dtypes", "objects", "reordered", "without unused ones"],
)
def test_the_same_rows_give_the_same_arrays_in_any_form(convert):
    same(COLUMNS.transform(convert(FRAME)), COLUMNS.transform(FRAME))


@pytest.mark.parametrize(
    ("convert", "column"),
    [
        (pd.DataFrame, lambda series: series),
        (pd.DataFrame, lambda series: series.array),
        (pd.DataFrame, pd.Index),
        (pl.from_pandas, lambda series: series),
        (pa.Table.from_pandas, lambda series: series),
        (lambda f: f.convert_dtypes(dtype_backend="pyarrow"), lambda series: series),
    ],
    ids=["pandas", "arrays", "indices", "polars", "pyarrow", "arrow dtypes"],
)
def test_a_dict_of_columns_is_as_their_frame(convert, column):
    """Times keep their zone, categories their type, and gaps stay gaps."""
    frame = FRAME.assign(size=FRAME["rooms"].astype("category"), one=FRAME["kind"].mask(ROW == 3))
    frame = convert(frame)
    table = {name: column(frame[name]) for name in [*KINDS, "size", "one"]}
    columns = Columns.fit(frame)
    assert Columns.fit(table) == columns
    found = columns.transform(frame)
    same(columns.transform(table), found)
    part = columns.transform(reading.rows_of(table, slice(2, 9)))
    same(part, {name: array[2:9] for name, array in found.items()})


@pytest.mark.parametrize("kind", [pa.string(), pa.int64(), pa.float64(), pa.float32()])
def test_a_gap_of_a_dictionary_of_pyarrow_is_missing(kind):
    values = ["0.1", "0.5", None, "2.5"] if kind == pa.string() else [1, 0, None, 3]
    column = pa.chunked_array([pa.array(values, kind).dictionary_encode()])
    expected = [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]
    if kind != pa.string():
        expected = [expected[n] for n in (1, 0, 2, 3)]
    of_arrow = pd.Series(pd.arrays.ArrowExtensionArray(column))
    for table in (pa.table({"c": column}), {"c": column}, pd.DataFrame({"c": of_arrow})):
        columns = Columns.fit(table)
        assert columns.columns[0].has_missing
        assert columns.transform(table)["numbers"].tolist() == expected


def test_arrays_hold_what_the_kinds_say():
    found = COLUMNS.transform(FRAME)
    numbers, rows = found["numbers"], np.arange(ROWS)
    assert numbers.shape == (ROWS, COLUMNS.numeric + COLUMNS.plain)
    assert np.isfinite(numbers).all()
    price = FRAME["price"].fillna(FRAME["price"].median()).to_numpy()
    np.testing.assert_array_equal(numbers[:, 0], price)
    flag = numbers[:, COLUMNS.numeric]
    np.testing.assert_array_equal(flag, np.where(rows == 3, 1, -1))
    days = (FRAME["when"] - FRAME["when"].min()) / pd.Timedelta(days=1)
    np.testing.assert_allclose(numbers[rows != 5, 2], days[rows != 5])
    time = FRAME["when"][rows != 5]
    hours = (time.dt.hour + time.dt.minute / 60) / 24 * 2 * np.pi
    np.testing.assert_allclose(numbers[rows != 5, 9], np.sin(hours), atol=1e-9)
    np.testing.assert_allclose(numbers[rows != 5, 10], np.cos(hours), atol=1e-9)
    year = (time.dt.day_of_year - 1 + hours / (2 * np.pi)) / 366
    np.testing.assert_allclose(numbers[rows != 5, 3], np.sin(2 * np.pi * year), atol=1e-9)
    # The clock of the time's own zone counts.
    local = FRAME["where"].dt.hour + FRAME["where"].dt.minute / 60
    np.testing.assert_allclose(numbers[:, 18], np.sin(local / 12 * np.pi), atol=1e-9)
    codes = found["codes"]
    assert codes.dtype == np.int64
    assert (codes[:, 0] < COLUMNS.sizes[0]).all()
    assert codes[:, 1].min() >= COLUMNS.sizes[0]
    assert codes.max() < sum(COLUMNS.sizes)
    assert codes[3, 1] == COLUMNS.sizes[0] + 1  # missing


def test_unknown_and_rare_categories():
    table = np.array([[f"c{k // 2}"] for k in range(40)] + [["once"]], dtype=object)
    columns = Columns.fit(table)
    codes = columns.transform([["c0"], ["once"], ["never seen"], [None]])["codes"]
    assert codes.ravel().tolist() == [2, 0, 0, 0]
    few = Columns.fit([["a"], ["b"], ["c"], ["a"]])
    assert few.transform([["c"], ["d"], [None]])["numbers"].tolist() == [
        [0, 0, 1],
        [0] * 3,
        [0] * 3,
    ]
    two = Columns.fit(pd.DataFrame({"x": [True, False, True]}))
    assert two.transform(pd.DataFrame({"x": ["True", None, "?"]}))["numbers"].tolist() == [
        [1], [0], [0]
    ]  # fmt: skip


@pytest.mark.parametrize("rows", [6, 60])
def test_blanks_around_a_category_mean_nothing_but_where_they_tell_two_apart(rows):
    """pandas keeps the blanks behind the commas of a file, others leave them out."""
    names = [f" c{k % (rows // 3)}" for k in range(rows)]
    columns = Columns.fit(pd.DataFrame({"a": names}))
    plain = {"a": [name.strip() for name in names]}
    for name, found in columns.transform(plain).items():
        np.testing.assert_array_equal(found, columns.transform({"a": names})[name])
    both = Columns.fit([["a"], [" a"], ["b"], ["a"]])
    found = both.transform([["a"], [" a"], ["a "], ["b "]])["numbers"]
    assert found.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]]


def test_a_category_is_the_same_whatever_type_holds_it():
    columns = Columns.fit(pd.DataFrame({"n": [1, 2, 3, 1]}), categorical=["n"])
    for values in ([2, 3], [2.0, 3.0], ["2", "3"], pd.Categorical([2, 3])):
        found = columns.transform(pd.DataFrame({"n": values}))["numbers"]
        assert found.tolist() == [[0, 1, 0], [0, 0, 1]]


def test_objects_of_python():
    table = {
        "d": [datetime.date(2020, 1, 1), None, datetime.date(2021, 1, 1)],
        "t": [datetime.time(6), datetime.time(18, 30), datetime.time(0)],
        "n": [decimal.Decimal("1.5"), 2, None],
        "b": [True, None, False],
    }
    columns = Columns.fit(pd.DataFrame(table, dtype=object))
    assert list(kinds(columns).values()) == ["date", "number", "number", "category"]
    numbers = columns.transform(pd.DataFrame(table, dtype=object))["numbers"]
    assert numbers[:, columns.numeric - 2].tolist() == [6, 18.5, 0]


def test_types_that_few_libraries_have():
    polars = pytest.importorskip("polars")
    values = [1, None, 3, 3]
    wide = polars.DataFrame({
        "n": polars.Series(values, dtype=polars.Int128),
        "id": polars.Series([2**70, 2**70 + 1] * 2, dtype=polars.Int128),
    })  # fmt: skip
    columns = Columns.fit(wide)
    assert kinds(columns) == {"n": "number", "id": "category"}
    as_text = pd.DataFrame({"n": values, "id": [str(2**70), str(2**70 + 1)] * 2})
    np.testing.assert_array_equal(
        columns.transform(wide)["numbers"], columns.transform(as_text)["numbers"]
    )
    if text := getattr(np.dtypes, "StringDType", None):  # of NumPy 2
        texts = np.array([["1.5", "u"], ["2", None], ["3", "v"]], text(na_object=None))
        assert list(kinds(Columns.fit(texts)).values()) == ["number", "category"]


def test_numbers_that_are_left_out_say_what_to_write():
    money = [f"{i} {100 + i},50 €" for i in range(1, 40)]
    columns = Columns.fit(pd.DataFrame({"a": range(39), "b": money, "c": ["x", *money[1:]]}))
    assert kinds(columns) == {"a": "number", "b": "unused", "c": "unused"}
    b, c = (column.reason for column in columns.columns[1:])
    assert "'1 101,50' has the spaces" in b and b.endswith("point: 1101.50.")
    assert c.endswith("; numbers but for some rows, as 'x'")


def test_times_and_durations_are_read_from_text():
    seconds = [0, 59, 3600 * 5, 3600 * 23 + 61.25, 1.000001]
    moments = pd.to_datetime(seconds, unit="s").to_pydatetime()
    times = pd.DataFrame({
        "time": [moment.time() for moment in moments],
        "long": pd.to_timedelta([*seconds[:4], None], unit="s") - pd.Timedelta("2D"),
        "days": pd.to_timedelta([1, 3, -2, 0, 5], unit="D"),
    })  # fmt: skip
    fitted = Columns.fit(times)
    columns = Columns.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert columns == fitted
    assert columns != fitted.to_dict()
    expected = columns.transform(times)["numbers"]
    as_python = times.assign(long=[None if v is pd.NaT else str(v.to_pytimedelta())
                                   for v in times["long"]])  # fmt: skip
    for written in (times, as_python):
        read = pd.read_csv(io.StringIO(written.to_csv(index=False)))
        assert isinstance(read["time"][0], str)
        np.testing.assert_array_equal(columns.transform(read)["numbers"], expected)
        of_text = Columns.fit(read)
        assert [c.wanted for c in of_text.columns] == [c.wanted for c in columns.columns]
        np.testing.assert_array_equal(of_text.transform(times)["numbers"], expected)
    np.testing.assert_allclose(expected[:, 0], np.array(seconds) / 3600, rtol=1e-12)
    np.testing.assert_allclose(expected[:4, 1], np.array(seconds[:4]) / 86_400 - 2, rtol=1e-12)
    assert expected[:, 2].tolist() == [1, 3, -2, 0, 5]
    of_numpy = times.astype(object)
    of_numpy["long"] = pd.Series([*times["long"].to_numpy()], dtype=object)
    assert type(of_numpy["long"][4]) is np.timedelta64
    np.testing.assert_array_equal(columns.transform(of_numpy)["numbers"], expected)
    assert Columns.fit(of_numpy).columns[1] == columns.columns[1]
    rows = [[length, number] for number, length in enumerate(of_numpy["long"])]
    assert kinds(Columns.fit(rows)) == {"x0": "number", "x1": "number"}
    np.testing.assert_array_equal(Columns.fit(rows).transform(rows)["numbers"][:, 1], range(5))
    long = columns.transform(times.astype(object).assign(long="999999999 days"))["numbers"]
    assert (long[:, 1] == 999_999_999).all()  # more microseconds than int64 holds
    hours = times.assign(time=[24 * v for v in [0, 0.5, 0.25, 0.75, 0]])
    assert columns.transform(hours)["numbers"][:, 0].tolist() == [0, 12, 6, 18, 0]
    for name, value, held in (
        ("time", "24:00", "times"),
        ("time", "1 days 03:00:00", "times"),
        ("time", "noon", "times"),
        ("time", datetime.timedelta(1), "times"),
        ("long", "PT3H", "durations"),
        ("long", "0:60", "durations"),
        ("days", "days", "durations"),
        ("long", datetime.time(3), "durations"),
    ):
        with pytest.raises(ValueError, match=f"column '{name}' held {held} in training and now"):
            columns.transform(times.astype(object).assign(**{name: [value] * 5}))
    numbers = Columns.fit({"x": [1.5, 2.5]})  # of which the unit is not known
    length, time = datetime.timedelta(1), datetime.time(3)
    for value in ("12:30", length, time, np.timedelta64(1, "D"), pd.Timedelta(length)):
        for column in ([value], pd.Series([value]), np.array([value])):
            with pytest.raises(ValueError, match="held numbers in training and now holds"):
                numbers.transform({"x": column})


@pytest.mark.parametrize("odd", ["2:1", "10:60", "13:00 PM", "noon", "1 day, 3", "12:30:61"])
def test_a_column_of_times_with_anything_else_stays_text(odd):
    times = [f"{hour}:{minute:02}" for hour in range(24) for minute in (0, 7)]
    rows = [*range(len(times) + 1)]
    assert "text of times, in hours" in str(Columns.fit({"x": times}))
    assert "text of durations, in days" in str(Columns.fit({"x": [*times, "24:00"], "y": rows}))
    halves = pd.to_datetime(times, format="%H:%M").strftime("%I:%M %p")
    assert Columns.fit({"x": [*halves]}) == Columns.fit({"x": times})
    assert "text: nearly every value differs" in str(Columns.fit({"x": [*times, odd], "y": rows}))


def test_what_a_dropped_column_holds_does_not_matter():
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [[1], [2], []], "c": [np.inf, 1.0, 2.0]})
    columns = Columns.fit(table, drop=["b", "c"])
    assert kinds(columns) == {"a": "number", "b": "unused", "c": "unused"}
    assert columns.transform(table)["numbers"].tolist() == [[1], [2], [3]]


def test_columns_survive_json_pickle_and_copies_and_never_change():
    for again in (
        Columns.from_dict(json.loads(json.dumps(COLUMNS.to_dict()))),
        pickle.loads(pickle.dumps(COLUMNS)),
        copy.deepcopy(COLUMNS),
    ):
        assert again == COLUMNS
        same(again.transform(FRAME), COLUMNS.transform(FRAME))
    with pytest.raises(AttributeError, match="can't be changed"):
        COLUMNS.numeric = 3
    kind = {"columns": [{"kind": "x"}], "named": True, "numbered": False}
    for broken in ({}, kind, {"columns": 3, "named": 1}):
        with pytest.raises(ValueError, match="describes no columns"):
            Columns.from_dict(broken)


def test_a_flag_of_missing_values_is_a_truth():
    table = pd.DataFrame({
        "number": [1.5, None, 2.5], "town": ["Bern", None, "Zug"],
        "day": pd.to_datetime(["2026-01-05", None, "2026-03-09"]),
    })  # fmt: skip
    columns = Columns.fit(table)
    described = columns.to_dict()
    for column in described["columns"]:
        assert column["has_missing"] is True
        column["has_missing"] = 2
    again = Columns.from_dict(described)
    assert again == columns and again.plain == columns.plain
    same(again.transform(table), columns.transform(table))


def test_names_are_matched_and_missing_ones_named():
    with pytest.raises(ValueError, match=r"lacks 'price'.*'Price' may be 'price': rename it"):
        COLUMNS.transform(FRAME.rename(columns={"price": "Price"}))
    with pytest.raises(ValueError, match="' price' may be 'price': rename it"):
        COLUMNS.transform(FRAME.rename(columns={"price": " price"}))
    with pytest.raises(ValueError, match=r"'Price' may be 'price', .*: rename them$"):
        COLUMNS.transform(FRAME.rename(columns=str.title))
    boxes = pd.DataFrame({"x_box": [1, 2], "y_box": [2, 3]})
    with pytest.raises(ValueError, match=r"it has 'y_box'$"):  # which is itself and no other
        Columns.fit(boxes).transform(boxes[["y_box"]])
    assert COLUMNS.unknown(FRAME.assign(more=1)) == ("more",)
    with pytest.raises(ValueError, match="2 features, but 17 features are expected"):
        COLUMNS.transform(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="two columns named 'a'"):
        Columns.fit(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    numbered = Columns.fit(pd.DataFrame([[1, 2.0], [2, 3.0]]))
    assert numbered.names == ("x0", "x1")


@pytest.mark.parametrize(
    ("table", "error", "said"),
    [
        (np.zeros((0, 2)), ValueError, "0 sample"),
        (np.zeros((2, 0)), ValueError, "0 feature"),
        (np.zeros(3), ValueError, "Reshape your data"),
        (np.zeros(3, [("a", "f8")]), TypeError, r"structured array: .*DataFrame\(x\)"),
        (np.zeros((2, 2), complex), ValueError, "Complex data not supported"),
        ([[1.0], [np.inf]], ValueError, "infinity at row 1"),
        (np.ones((4, 2)), ValueError, "no column of x, of 4 sample.*constant"),
        ("data.csv", TypeError, "got str"),
        ({"a": 1.5, "b": "u"}, ValueError, "'a' is one value. For one row give lists of one"),
        ([{"a": 1, "b": "u"}, {"a": 2, "b": "v"}], TypeError, r"list of dicts.*DataFrame\(x\)"),
        (["ab", "cd"], ValueError, r"shape \(2,\)"),
        ([1e17, 2.0], ValueError, r"shape \(2,\)"),
        (pl.LazyFrame({"a": [1]}), ValueError, "collect"),
        (pl.Series([1]), TypeError, "single column"),
        (pd.DataFrame({"a": [1]}).iloc[0], TypeError, r"or a row: .* frame.iloc\[\[0\]\]"),
        (pl.DataFrame({"a": [[1], [2]]}), TypeError, r"column 'a' holds .*list"),
        (pd.DataFrame({"a": [b"x", b"y"]}), TypeError, "of type bytes"),
        (pd.DataFrame({"a": [1j, 2.0]}), TypeError, "complex"),
        (np.array([["é".encode()], [b"e"]]), TypeError, "column 0 .* bytes that are no ASCII"),
    ],
)
def test_bad_tables_are_refused(table, error, said):
    with pytest.raises(error, match=said):
        Columns.fit(table)
    if said.startswith("list of dicts"):
        with pytest.raises(error, match=said):
            Columns.fit(pd.DataFrame(table)).transform(table)


def test_what_is_asked_for():
    asked = Columns.fit(FRAME, numeric=["id"], categorical=["rooms"], drop=["price"])
    assert kinds(asked) == {**KINDS, "id": "number", "rooms": "category", "price": "unused"}
    for wrong, said in (
        ({"drop": "price"}, "list of names"),
        ({"drop": ["prize"]}, "no column 'prize'"),
        ({"drop": ["price"], "numeric": ["price"]}, "asked for as"),
        ({"numeric": ["colour"]}, "holds text, not numbers"),
        ({"dates": ["colour"]}, "not dates"),
    ):
        with pytest.raises((TypeError, ValueError), match=said):
            Columns.fit(FRAME, **wrong)


@pytest.mark.parametrize("library", [pd.DataFrame, pa.table])
def test_categories_may_be_asked_for_as_what_they_are(library):
    columns = {"n": [1.5, 3, None, 3], "t": ["2", "5", "7", "2"], "d": ["31/12/2026", None] * 2}
    columns["when"] = pd.to_datetime(["2026-05-01", "2026-05-02", None, "2026-05-02"])
    plain = pd.DataFrame(columns)
    held = plain.astype("category")
    held = held if library is pd.DataFrame else pa.Table.from_pandas(held)
    asked = {"numeric": ["n", "t"], "dates": ["d", "when"]}
    assert kinds(Columns.fit(held)) == dict.fromkeys(plain, "category")
    found, expected = Columns.fit(held, **asked), Columns.fit(plain, **asked)
    assert kinds(found) == kinds(expected)
    same(found.transform(held), expected.transform(plain))
    with pytest.raises(ValueError, match="'c' holds text, not numbers: 'u' is none"):
        Columns.fit(pd.DataFrame({"c": pd.Categorical(["u", "1"])}), numeric=["c"])


def test_changed_columns_are_named():
    with pytest.raises(ValueError, match=r"'price' held numbers in training.*'cheap' at row 1"):
        COLUMNS.transform(FRAME.assign(price=[1.0, "cheap", *[2.0] * (ROWS - 2)]))
    with pytest.raises(ValueError, match="'when' held dates in training"):
        COLUMNS.transform(FRAME.assign(when=3))
    empty = FRAME.head(2).assign(price=None, when=None, colour=None)
    numbers = COLUMNS.transform(empty)["numbers"]
    assert numbers[0, 0] == pytest.approx(np.nanmedian(FRAME["price"]))


def test_rows_of_different_lengths_are_no_table():
    with pytest.raises(ValueError, match=r"x is no table: .*Give each row one value"):
        Columns.fit([[1.0, "a"], [2.0]])
    with pytest.raises(ValueError, match=r"y is no table: .*Give each row one value"):
        fit_target("regression", [[1.0, 2.0], [3.0]])


def test_numbered_columns_are_found_by_their_numbers():
    numbered = pd.DataFrame({0: [1.0, 2.0, 4.0], 1: [7.0, 8.0, 6.0], 2: [1.0, 2.0, 9.0]})
    columns = Columns.fit(numbered)
    expected = numbered.to_numpy()
    named = numbered.set_axis(["a", "b", "c"], axis=1)
    for table in (numbered[[2, 0, 1]], numbered.assign(more=0)[[1, 0, 2]], expected, named):
        np.testing.assert_array_equal(columns.transform(table)["numbers"], expected)
    with pytest.raises(ValueError, match="lacks 'x2'"):
        columns.transform(numbered[[1, 0]])
    # Against names, numbers stand for places.
    np.testing.assert_array_equal(Columns.fit(named).transform(numbered)["numbers"], expected)


def test_a_dict_with_numbers_for_keys_is_as_a_frame():
    values = {0: [1.0, 2.0, 4.0], 1: [7.0, 8.0, 6.0]}
    turned = pd.DataFrame(values)[[1, 0]]
    assert Columns.fit(values) == Columns.fit(pd.DataFrame(values))
    assert Columns.fit(values, drop=[0]) == Columns.fit(values, drop=["x0"])
    for columns in (Columns.fit(values), Columns.fit(turned[[0, 1]])):
        for table in (turned, {1: values[1], 0: values[0]}):
            found = columns.transform(table)["numbers"]
            np.testing.assert_array_equal(found, np.transpose([values[0], values[1]]))


@pytest.mark.parametrize(
    "labels",
    [
        [0, "b", 1],
        [("a", 1), ("a", 2), ("b", 1)],
        [0.5, 1.5, 2.5],
        [*pd.period_range("2026-01", periods=3, freq="M")],
    ],
    ids=["mixed", "tuples", "floats", "periods"],
)
def test_labels_that_are_no_text_are_names(labels):
    frame = pd.DataFrame([[1.0, 7.0, 1.0], [2.0, 8.0, 2.0], [4.0, 6.0, 9.0]])
    frame.columns = labels
    values = dict(zip(labels, frame.to_numpy().T, strict=True))
    fitted = Columns.fit(frame)
    assert Columns.fit(values) == fitted and fitted.names == tuple(map(str, labels))
    turned = frame.iloc[:, [2, 0, 1]]
    more = pd.concat([pd.Series([3, 4, 5], name="more"), turned], axis=1)
    for columns in (fitted, Columns.from_dict(json.loads(json.dumps(fitted.to_dict())))):
        for table in (turned, more, {label: values[label] for label in reversed(labels)}):
            found = columns.transform(table)["numbers"]
            np.testing.assert_array_equal(found, frame.to_numpy())
        np.testing.assert_array_equal(columns.transform(frame.to_numpy())["numbers"], frame)
        assert columns.unknown(more) == ("more",)
        with pytest.raises(ValueError, match=f"x lacks .*{re.escape(str(labels[0]))}"):
            columns.transform(frame[labels[1:]])
    asked = Columns.fit(frame, drop=[labels[0]], categorical=[str(labels[2])])
    assert list(kinds(asked).values()) == ["unused", "number", "category"]
    with pytest.raises(ValueError, match="x has two columns named '1'"):
        Columns.fit(pd.DataFrame([[1, 2]], columns=[1, "1"]))


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame, dict])
def test_text_that_looks_like_a_number_is_a_name(library):
    values = {"x1": np.array([1.0, 2.0, 4.0]), "x2": np.array([7.0, 8.0, 6.0])}
    columns = Columns.fit(library({**values, "site": np.ones(3)}))
    expected = np.stack(list(values.values()), axis=1)
    for kept in (columns, Columns.from_dict(json.loads(json.dumps(columns.to_dict())))):
        for table in (values, {"id": np.arange(3), "x2": values["x2"], "x1": values["x1"]}):
            np.testing.assert_array_equal(kept.transform(library(table))["numbers"], expected)
        with pytest.raises(ValueError, match="x lacks 'x1', 'x2'; it has 'a', 'b', 'c'"):
            kept.transform(library({"a": [1.0], "b": [1.0], "c": [1.0]}))
        assert kept.unknown(library({"id": [1.0], **{n: v[:1] for n, v in values.items()}})) == (
            "id",
        )
    numbered = Columns.fit(pd.DataFrame(expected))
    assert numbered.unknown(library(values)) == ()  # whose places count


def test_categories_are_embedded_or_not_as_the_rows_that_decide_say():
    towns = np.array([f"town {number % 12}" for number in range(60)] + ["elsewhere", "elsewhere"])
    table = pd.DataFrame({"town": towns, "n": np.arange(62.0)})
    embedded = Columns.fit(table)
    assert embedded.sizes == (15,) and embedded.plain == 0
    one_hot = Columns.fit(table, embed=False, rows=np.arange(60))
    assert one_hot.sizes == () and one_hot.plain == 12
    assert "text of 12 values: a column each" in str(one_hot)
    shown = one_hot.transform(table)["numbers"][:, 1:]
    assert shown[:60].sum(axis=1).tolist() == [1.0] * 60 and not shown[60:].any()
    assert Columns.from_dict(one_hot.to_dict()) == one_hot
    many = [f"{number // 2}" + "x" for number in range(400)]
    assert Columns.fit(pd.DataFrame({"many": many}), embed=False).sizes == (202,)


@pytest.mark.parametrize("size", [1e-310, 1e-45, 1e-38, 1e38, 1e300])
def test_numbers_that_float32_can_not_scale_have_a_unit(size):
    values = RNG.normal(size=(200, 1))
    holes = np.concatenate([size * values, [[np.nan]]])
    columns = Columns.fit(holes)
    (column,) = columns.columns
    assert math.frexp(column.unit)[0] == 0.5  # a power of 2: no digit is lost
    assert 1e-3 < abs(column.unit / size) < 1e13
    found = columns.transform(holes)["numbers"]
    np.testing.assert_allclose(found[:-1, 0], holes[:-1, 0] / column.unit)
    for form in (holes.astype(object), pd.DataFrame(holes), pl.from_numpy(holes)):
        np.testing.assert_array_equal(columns.transform(form)["numbers"], found)
    again = Columns.from_dict(json.loads(json.dumps(columns.to_dict())))
    np.testing.assert_array_equal(again.transform(holes)["numbers"], found)
    assert np.abs(columns.transform([[1e308], [-1e308], [0.0]])["numbers"]).max() < 3e38
    assert Columns.fit(values).columns[0].unit == 1.0
    for unit in (0.0, float("nan")):
        described = columns.to_dict()
        described["columns"][0]["unit"] = unit
        with pytest.raises(ValueError, match="describes no columns"):
            Columns.from_dict(described)


@pytest.mark.parametrize("size", [1e300, -1e38])
def test_one_number_that_float32_can_not_hold(size):
    columns = Columns.fit([[size], [np.nan], [np.nan]])
    found = columns.transform([[size], [None], [2 * size]])["numbers"]
    assert 1 < abs(found[0, 0]) < 16 and found[1, 0] == found[0, 0] and abs(found[2, 0]) < 32
    assert Columns.fit([[1e20], [np.nan]]).columns[0].unit == 1.0


def test_what_a_mask_hides_is_missing():
    hidden = np.arange(ROWS) % 3 == 0
    days = np.datetime64("2020-01-01") + np.arange(ROWS)
    made = {
        "a": RNG.normal(size=ROWS), "b": RNG.choice(["u", "v"], ROWS), "c": days,
        "d": RNG.permutation(ROWS), "e": RNG.random(ROWS) > 0.5,
    }  # fmt: skip
    masked = {name: np.ma.masked_array(column, hidden) for name, column in made.items()}
    expected = pd.DataFrame({n: pd.Series(c).mask(hidden) for n, c in made.items()})
    columns = Columns.fit(masked)
    assert columns == Columns.fit(expected)
    assert all(c.has_missing for c in columns.columns)
    found = columns.transform(masked)["numbers"]
    np.testing.assert_array_equal(found, columns.transform(expected)["numbers"])
    table = np.ma.masked_array(np.stack([made["a"], made["d"]], axis=1), hidden[:, None] * [1, 0])
    np.testing.assert_array_equal(
        Columns.fit(table).transform(table)["numbers"],
        Columns.fit(table.filled(np.nan)).transform(table.filled(np.nan))["numbers"],
    )


@pytest.mark.parametrize("holes", [False, True])
def test_intervals_and_periods_of_pandas(holes):
    months = pd.Series(pd.period_range("2020-01", periods=ROWS, freq="M"))
    table = pd.DataFrame({"bin": pd.cut(RNG.normal(size=ROWS), 3), "month": months})
    if holes:
        table.loc[3] = None
    assert table["month"].dtype == "period[M]"
    same = pd.DataFrame({"bin": table["bin"].astype(str), "month": months.dt.start_time})
    if holes:
        same.loc[3] = None
    columns = Columns.fit(table)
    assert [c["kind"] for c in columns.describe()] == ["category", "date"]
    expected = Columns.fit(same).transform(same)["numbers"]
    np.testing.assert_array_equal(columns.transform(table)["numbers"], expected)
    np.testing.assert_array_equal(columns.transform(same)["numbers"], expected)
    np.testing.assert_array_equal(columns.transform(table[:1])["numbers"], expected[:1])


def test_columns_by_their_numbers():
    array = RNG.integers(0, 5, (ROWS, 3)) + 0.5
    by_name = Columns.fit(array, categorical=["x0"], drop=["x2"])
    assert Columns.fit(array, categorical=[0], drop=np.array([2])) == by_name
    assert Columns.fit(array, categorical=[-3], drop=[np.int64(-1)]) == by_name
    frame = pd.DataFrame(array, columns=[7, 8, 9])
    columns = Columns.fit(frame, categorical=[7], drop=[9])
    assert columns == Columns.fit(frame, categorical=["x7"], drop=["x9"])
    labelled = Columns.fit(frame.set_axis([0, -1, 1], axis=1), drop=[-1])
    assert labelled.describe()[1]["decision"] == "left out, as asked"
    named = frame.rename(columns=str)
    for table, number in ((array, 3), (array, -4), (array, True), (frame, -1), (named, 7)):
        with pytest.raises(ValueError, match=f"drop: x has no column {number}"):
            Columns.fit(table, drop=[number])


def test_cycles_are_told_in_few_words():
    hours = pd.date_range("2020-01-01", periods=ROWS, freq="37h")
    table = pd.DataFrame({"all": hours, "day": pd.date_range("2020-01-01", periods=ROWS, freq="s")})
    decisions = [column["decision"] for column in Columns.fit(table).describe()]
    assert decisions == [
        "dates: days since the first, time of year, month, week and day",
        "dates: days since the first, time of day",
    ]
