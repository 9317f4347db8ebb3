"""What a cell becomes depends on what training decided and on the cell, not on other rows."""

import datetime
import decimal
import json

import numpy as np
import pytest

from chainrule.tabular import Columns
from chainrule.tabular.targets import fit_target

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

MIXED = ["007", "A12", "1.0", "B", "1e5", "2020-01-01", "7", "true", "1"]
DAY = datetime.date(2020, 1, 2)


def column(values, **asked):
    """The columns of a table of this one, through JSON."""
    made = Columns.fit({"c": list(values), "filler": list(range(len(values)))}, **asked)
    return Columns.from_dict(json.loads(json.dumps(made.to_dict())))


def arrays(columns, values):
    found = columns.transform({"c": values, "filler": [0] * len(values)})
    return np.hstack([array.astype(np.float64) for array in found.values()])


@pytest.mark.parametrize(
    ("values", "asked", "later"),
    [
        (MIXED * 2, {}, [*MIXED, 1, 1.0, True, DAY, None, "?"]),
        ([True, False, True], {}, [True, 1, 0.0, "true", "FALSE", 3, "x", None]),
        ([1, 2, 3, 1], {"categorical": ["c"]}, [1, "1", 2.0, "03", "x", True, None]),
        ([1.5, 2, "?"], {}, [3, "4.5", "?", "", None, 2**53, np.float32(2), 10**20, "1e9"]),
        (["2020-01-01", DAY, None], {}, [DAY, "2021-02-03", "", None, "2020-01-01 03:04+01:00"]),
        ([str(2**59 + n // 2) for n in range(40)], {}, [2**59, str(2**59 + 1), "x", 1.5]),
    ],
    ids=["text", "booleans", "numbers as categories", "numbers", "dates", "large integers"],
)
def test_a_row_alone_becomes_what_it_becomes_among_others(values, asked, later):
    columns = column(values, **asked)
    together = arrays(columns, later)
    for row, value in enumerate(later):
        np.testing.assert_array_equal(arrays(columns, [value])[0], together[row])


def test_all_text_of_training_is_known_alone():
    columns = column(MIXED * 2)
    codes = [int(columns.transform({"c": [v], "filler": [0]})["codes"][0, 0]) for v in MIXED]
    assert sorted(codes) == list(range(2, 11))
    typed = columns.transform(pl.DataFrame({"c": [7, 1], "filler": [0, 0]}))["codes"]
    assert typed.ravel().tolist() == [codes[6], codes[8]]


def test_a_boolean_is_the_same_however_it_is_written():
    columns = column([True, False, True])
    yes, no = arrays(columns, [True, False])
    for values, row in (([True, 1, 1.0, "true", "TRUE", "1"], yes), ([0, 0.0, "False"], no)):
        for value in values:
            np.testing.assert_array_equal(arrays(columns, [value])[0], row)
        np.testing.assert_array_equal(arrays(columns, values), [row] * len(values))
    known = arrays(columns, [True, False, 1])
    np.testing.assert_array_equal(known, [yes, no, yes])


def test_long_numbers_keep_their_digits_as_text_and_as_integers():
    ids = [10**17 + n // 2 for n in range(80)]
    as_integers, as_text = column(ids), column(list(map(str, ids)))
    assert "large integers" in as_text.columns[0].reason
    assert as_integers.columns[0].values == as_text.columns[0].values
    assert len(as_text.columns[0].values) == 40
    np.testing.assert_array_equal(arrays(as_text, ids), arrays(as_integers, list(map(str, ids))))
    rows = [[10**17 + 1, 0.5], [10**17, 0.5]]  # which float64 would merge
    codes = as_text.transform(rows)["codes"].ravel()
    assert codes[0] != codes[1]
    assert column(ids, numeric=["c"]).columns[0].median == pytest.approx(10**17)


def test_text_that_differs_is_not_merged():
    zips = ["01", "1", "001", "1"]
    asked = Columns.fit(pd.DataFrame({"c": pd.Categorical(zips)}))
    for columns in (asked, column(zips, categorical=["c"])):
        assert columns.columns[0].values == ("001", "01", "1")
    assert fit_target("classification", ["01", "1", "1"]).labels == ("01", "1")


@pytest.mark.parametrize("made", [list, np.array, pd.Series, pd.Categorical])
def test_labels_are_missing_only_where_they_are_no_text(made):
    labels = ["none", "mild", "NA", "null", "?", ""]
    y = made(labels)
    target = fit_target("classification", pd.Series(y) if made is pd.Categorical else y)
    assert target.labels == tuple(sorted(labels))
    assert [target.labels[n] for n in target.encode(labels)] == labels
    for gone in (None, np.nan, pd.NaT, pd.NA):
        with pytest.raises(ValueError, match="missing at row 1"):
            fit_target("classification", np.array(["none", gone, "bad"], dtype=object))


def test_a_label_alone_is_known():
    target = fit_target("classification", ["1.0", "a", "2020-01-01", "true"])
    for label in target.labels:
        assert target.decode(target.encode([label])).tolist() == [label]
    numbers = fit_target("classification", [0, 1, 2])
    assert numbers.encode(["1", 2.0]).tolist() == [1, 2]
    assert fit_target("classification", [True, False]).encode([1, "false"]).tolist() == [1, 0]
    with pytest.raises(ValueError, match="y holds 3, which is none"):
        numbers.encode([3])


@pytest.mark.parametrize(
    "made",
    [
        np.array,
        pd.Series,
        lambda values: pd.Series(values, dtype="Int64"),
        pl.Series,
        lambda values: [decimal.Decimal(value) for value in values],
    ],
    ids=["numpy", "pandas", "nullable", "polars", "decimals"],
)
def test_targets_of_more_than_53_bits(made):
    """Labels are integers with all digits, numbers the nearest float64."""
    values = [2**60 + 1, 2**60, 3, 2**60 + 1]
    target = fit_target("classification", made(values))
    assert target.labels == (3, 2**60, 2**60 + 1)
    assert target.decode(target.encode(made(values))).tolist() == values
    assert target.encode(list(map(str, values))).tolist() == [2, 1, 0, 2]
    numbers = fit_target("regression", made(values))
    assert numbers.values(made(values))[:, 0].tolist() == list(map(float, values))
    assert (numbers.low, numbers.high) == ((3.0,), (2.0**60,))


def test_numbers_that_float64_cannot_hold_are_refused_with_their_row():
    columns = column([1.5, 2.5])
    assert arrays(columns, [2**53])[0, 0] == 2**53
    assert columns.transform(np.array([[2**60, 1]]))["numbers"][0, 0] == 2**60
    for values in ([1, 10**400], [1, float("inf")]):
        with pytest.raises(ValueError, match="column 'c' holds infinity at row 1"):
            arrays(columns, values)
    with pytest.raises(
        ValueError, match="held numbers in training and now holds text, as '1e999' at row 0"
    ):
        arrays(columns, ["1e999"])
    with pytest.raises(ValueError, match="held numbers in training and now holds True at row 1"):
        arrays(columns, [1, True])
    with pytest.raises(ValueError, match="infinity at row 1"):
        Columns.fit({"c": [1.5, 10**400]})


def test_names_that_are_the_same_as_text_are_refused():
    with pytest.raises(ValueError, match="x has two columns named '1'"):
        Columns.fit({1: [1, 2], "1": [3, 4]})


@pytest.mark.parametrize("offset", ["+00:00", "+01:00", " -0530", "+02", "Z"])
def test_dates_keep_the_wall_time_of_an_offset(offset):
    plain = [f"2020-01-0{n}T10:30:00" for n in (1, 2, 3)]
    first, second = column(plain), column([f"{text}{offset}" for text in plain])
    assert first == second
    np.testing.assert_array_equal(
        arrays(first, [f"{plain[1]}.5{offset}"]), arrays(first, [f"{plain[1]}.5"])
    )


@pytest.mark.parametrize("asked", [{}, {"categorical": ["c"]}])
def test_large_decimals_are_told_apart_as_integers(asked):
    """As keys from a database, whose driver gives decimals for all numbers."""
    pa = pytest.importorskip("pyarrow")
    keys = [10**35 + k % 3 for k in range(30)]
    decimals = [decimal.Decimal(key) for key in keys]
    series = pd.Series(decimals, dtype=pd.ArrowDtype(pa.decimal128(38, 0)))
    forms = [decimals, pd.Series(decimals), series]
    tables = [pd.DataFrame({"c": form}) for form in forms]
    tables += [kind({"c": decimals}) for kind in (pl.DataFrame, pa.table)]
    columns = Columns.fit(pd.DataFrame({"c": keys}, dtype=object), **asked)
    expected = columns.transform(pd.DataFrame({"c": keys}, dtype=object))["numbers"]
    for table in tables:
        assert Columns.fit(table, **asked).columns[0].values == columns.columns[0].values
        np.testing.assert_array_equal(columns.transform(table)["numbers"], expected)
    whole = {"id": [decimal.Decimal(number) for number in range(30)], "x": [*range(30)]}
    for kind in (pd.DataFrame, pl.DataFrame, pa.table):
        assert "an identifier" in Columns.fit(kind(whole)).columns[0].reason
    prices = [decimal.Decimal(price) / 100 for price in range(100, 200)]
    made = [
        Columns.fit(kind({"c": prices}), categorical=["c"]).columns[0].values
        for kind in (pd.DataFrame, pl.DataFrame, pa.table)
    ]
    assert made == [tuple(sorted(str(float(price)).removesuffix(".0") for price in prices))] * 3
    mixed = [decimal.Decimal("1.50"), decimal.Decimal("2.00"), decimal.Decimal("NaN"), None] * 5
    made = column(mixed, categorical=["c"])
    assert made.columns[0].values == ("1.5", "2") and made.columns[0].has_missing
    assert arrays(column(mixed), mixed)[:4, 0].tolist() == [1.5, 2, 1.75, 1.75]


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        ("float16", None),
        ("float16", object),
        ("float32", None),
        ("float32", object),
        ("float32", "category"),
        ("longdouble", None),
    ],
)
def test_a_category_of_floats_is_the_same_in_any_width(dtype, kept):
    """Whole numbers keep all digits, as 16384, which float16 writes as 16380."""
    rates = np.array([0.1, 0.25, np.nan, 2, 16384] * 4)
    if dtype == "float32":
        rates[rates == 16384] = 2**27
    wide = pd.DataFrame({"c": rates})
    held = rates.astype(dtype)
    narrow = pd.DataFrame({"c": pd.Series([*held] if kept is object else held, dtype=kept)})
    for fitted in (wide, narrow):
        columns = Columns.fit(fitted, categorical=["c"])
        assert set(columns.columns[0].values) == {"0.1", "0.25", "2", f"{int(rates[4])}"}
        ones = columns.transform(wide)["numbers"]
        assert ones.sum() == 16
        np.testing.assert_array_equal(columns.transform(narrow)["numbers"], ones)


def test_floats_do_not_tell_large_integers_apart():
    pandas = pytest.importorskip("pandas")
    large = [2**53 + 1 + 2 * (i % 4) for i in range(20)] + [99]
    columns = Columns.fit(pandas.DataFrame({"key": large}))
    known = pandas.DataFrame({"key": pandas.array([large[0], None], "Int64")})
    assert columns.transform(known)["numbers"].tolist() == [[1, 0, 0, 0, 0], [0] * 5]
    for lost in (pandas.DataFrame({"key": [large[0], None]}), {"key": [float(large[0])]}):
        with pytest.raises(ValueError, match=r"'key' .* floats of 2.*at row 0.* Give integers"):
            columns.transform(lost)
    floats = pandas.DataFrame({"key": [*large, None]})
    with pytest.raises(ValueError, match=r"'key' .* floats of 2"):
        Columns.fit(floats, categorical=["key"])
    assert "rounded to a float" in Columns.fit(floats).describe()[0]["decision"]
    small = Columns.fit(pandas.DataFrame({"key": [1, 2] * 9}), categorical=["key"])
    assert small.transform(pandas.DataFrame({"key": [1e20, 1]}))["numbers"].tolist() == [[0], [-1]]


def test_numbers_written_in_another_way_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"not numbers: '1,234.5' .*Write 1234"):
        Columns.fit({"a": ["1", "1,234.5"]}, numeric=["a"])
    columns = Columns.fit({"a": [1.5, 2.5]})
    with pytest.raises(ValueError, match=r"holds text, as '12%' at row 0.*Write 12"):
        columns.transform({"a": ["12%"]})


@pytest.mark.parametrize(
    "targets",
    [
        ["8:30", "9:00", "1:15"],
        ["1 days 02:00:00", "3 days", "0:10"],
        np.arange(3).astype("timedelta64[h]"),
        np.arange(3).astype("datetime64[D]"),
        [datetime.time(hour) for hour in range(3)],
        [datetime.timedelta(days) for days in range(3)],
    ],
)
def test_times_are_no_targets_of_numbers(targets):
    """The unit of text would depend on the other rows, that of others be for the user to guess."""
    said = r"y holds .*(times|durations|dates).*, and a regression predicts numbers: give numbers"
    with pytest.raises(TypeError, match=said):
        fit_target("regression", targets)


@pytest.mark.parametrize(
    ("odd", "count", "said"),
    [
        ("60*", 1, "; numbers but for 1 row, as '60*'"),
        ("inf", 3, "; numbers but for 3 rows, as 'inf'"),
        ("12%", 3, "; '12%' is not a number for its percent sign. Write 12."),
    ],
)
@pytest.mark.parametrize("repeats", [1, 2])
def test_what_keeps_a_column_from_being_numbers_is_said(odd, count, said, repeats):
    """Of text that is left out, and of categories; a code of letters and digits is none."""
    values = [str(number) for number in range(60)] * repeats + [odd] * count
    reason = Columns.fit({"c": values, "filler": range(len(values))}).describe()[0]["decision"]
    assert reason.endswith(said)
    percents = [f"{number}%" for number in range(60)] * repeats + ["bad"]
    reason = Columns.fit({"c": percents[::-1], "filler": range(len(percents))}).describe()
    assert reason[0]["decision"].endswith("; numbers but for some rows, as 'bad'")
    codes = [f"{'ABC'[number % 3]}{number}" for number in range(60)] * repeats + ["7"]
    reason = Columns.fit({"c": codes, "filler": range(len(codes))}).describe()[0]["decision"]
    assert "number" not in reason
