"""Columns of tables of anything: numbers written in other ways, large numbers and labels."""

import io

import pytest

import chainrule as cr
from chainrule.data.frames import read_frame
from chainrule.tabular import Columns

pandas = pytest.importorskip("pandas")
IDS = [2**53 + 1 + 2 * (i % 5) for i in range(20)]


@pytest.fixture
def read(tmp_path):
    def read(content, **options):
        path = tmp_path / "t.csv"
        path.write_text(content, encoding="utf-8")
        return read_frame(path, **options)

    return read


def lines(cells, sign=";"):
    return f"a{sign}n\n" + "".join(f"{cell}{sign}{n}\n" for n, cell in enumerate(cells))


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1,5", "2,25", "1,015"], [1.5, 2.25, 1.015]),
        (["0,125", "0,250"], [0.125, 0.25]),
        (['"1,5"', '"2,5"'], [1.5, 2.5]),
        (["1.5", "2.5"], [1.5, 2.5]),
        (["1,5e-13", "-2,5E+7"], [1.5e-13, -2.5e7]),
    ],
)
def test_decimal_commas(read, cells, numbers):
    assert read(lines(cells), doubts=True).frame["a"].tolist() == numbers


def test_decimal_commas_among_missing_ones(read):
    found = read(lines(["1,5", "?", "", "2,5"] * 5), doubts=True)
    assert found.doubts == ()
    columns = Columns.fit(found.frame)
    assert columns.describe()[0]["kind"] == "number"
    assert columns.transform(found.frame)["numbers"][:4, 0].tolist() == [1.5, 2, 2, 2.5]


@pytest.mark.parametrize(
    ("cells", "sign", "line", "words"),
    [
        (["954", "1,015"], ";", 3, "'1,015' has a comma: 1015 .* or 1.015 with a decimal comma"),
        (["1,234,567", "1,015"], ";", 2, "commas between its thousands. Write 1234567"),
        (["1,234.5", "1,015"], ";", 2, "commas between its thousands. Write 1234.5"),
        (["1", '"1,234"'], ",", 3, "'1,234' has a comma: 1234"),
        (["1", '"1.234,56"'], ",", 3, "Write 1234.56"),
        (["1", "12%"], ",", 3, "'12%' is not a number for its percent sign. Write 12"),
        (["1", '"€12,50"'], ",", 3, "sign of a currency, and '12,50' has a decimal comma.*12.50"),
        (["1", '"€-1,234.5"'], ",", 3, "and '-1,234.5' has commas between its thousands.*-1234.5"),
        (["0,5", "1.234,50 €"], ";", 3, "and '1.234,50' has points between its thousands"),
        (["1", "$12.50"], ",", 3, "is not a number for its sign of a currency. Write 12.50"),
        (["0,5", "1.234,5"], ";", 3, "'1.234,5' has points between its thousands. Write 1234,5"),
        (["0,5", "1.5"], ";", 3, "'1.5' has a point in a table with decimal commas. Write 1,5"),
        (["1", "\n\n12%"], ",", 5, "'12%'"),
    ],
)
def test_numbers_that_are_written_in_another_way(read, cells, sign, line, words):
    cells = [*cells, *(["0,5"] * 30 if cells[0] == "0,5" else ["7"] * 30)]
    (doubt,) = read(lines(cells, sign), doubts=True).doubts
    assert (doubt.column, doubt.line) == ("a", line)
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(doubt.remedy)


def test_commas_between_thousands_tell_of_all_columns(read):
    found = read("a;b\n1,234,567;2,500\n1,015;3,125\n").frame
    assert found["b"].tolist() == ["2,500", "3,125"]


def test_points_between_thousands_beside_decimal_commas(read):
    text = "a;b;c\n" + "".join(f"{a};{b},5;{b},5\n" for b, a in enumerate(["954", "1.015"] * 5))
    (doubt,) = read(text, doubts=True).doubts
    assert "1015 with a point between its thousands, or 1,015 with" in doubt.remedy
    assert read(text.replace("954", "9.54"), doubts=True).doubts == ()


def test_text_among_numbers(read):
    for stray in ("unknown", "-"):
        (doubt,) = read(lines([*range(30), stray, *range(9)]), doubts=True).doubts
        assert doubt[:5] == ("a", stray, 30, 32, 1)
        assert doubt.remedy is None
    assert read(lines(["x", "y", *range(9)]), doubts=True).doubts == ()
    assert read(lines([*range(30), "x"]), doubts=True, text=lambda layout: [0]).doubts == ()
    assert read(lines([*range(30), "?", ""]), doubts=True).doubts == ()


@pytest.mark.parametrize("options", [{"doubts": True}, {"labels": lambda names, header: "a"}])
def test_a_gap_among_texts_and_numbers_beyond_64_bits_is_missing(read, options):
    column = read(lines([f"{10**20 - 1}", "yes", ""]), **options).frame["a"]
    assert column.isna().tolist() == [False, False, True]
    assert column.tolist()[:2] == [f"{10**20 - 1}", "yes"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_large_whole_numbers_beside_a_gap(read, tmp_path, kind):
    frame = pandas.DataFrame({"a": pandas.array([*IDS, None], "Int64"), "n": range(21)})
    if kind == "csv":
        found = read(frame.to_csv(index=False)).frame
    else:
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.table({"a": [*IDS, None], "n": range(21)}), tmp_path / "t")
        found = read_frame(tmp_path / "t").frame
    columns = Columns.fit(frame[:-1])
    expected = columns.transform(frame)["numbers"]
    assert expected[:20, 1:].any(axis=1).all()
    assert columns.transform(found)["numbers"].tolist() == expected.tolist()
    assert Columns.fit(found) == Columns.fit(frame)


def test_large_numbers_that_are_no_digits_stay_numbers(read):
    assert read(lines(["1e300", "", "2e300"])).frame["a"].dtype == float
    assert read(lines(["9007199254740993", "", "1.5"])).frame["a"].dtype == float


@pytest.mark.parametrize(
    ("labels", "written"),
    [
        (["01", "02"], ["01", "02"]),
        (["1", "01"], ["1", "01"]),
        (["1e3", "2e3"], ["1e3", "2e3"]),
        (["TRUE", "FALSE"], ["TRUE", "FALSE"]),
        (["tRUE", "FaLse"], ["tRUE", "FaLse"]),
        (["01", "", "02"], ["01", None, "02"]),
        (["1", "-2"], None),
        (["1.0", "2.0", ""], None),
        (["True", "False"], None),
        (["true", "TRUE", "false"], None),
        (["1.5", "02"], None),
        (["x", "01"], None),
    ],
)
def test_labels_as_they_were_written(read, labels, written):
    found = read(lines(labels), labels=lambda names, _: "a").written
    if written is None:
        assert found is None
    else:
        assert found.astype(object).where(found.notna(), None).tolist() == written


def test_signs_of_missing_targets_beside_numbers(read):
    def targets(*cells):
        column = read(lines(cells), labels=lambda names, _: "a").frame["a"]
        return column.astype(object).where(column.notna(), None).tolist()

    assert targets("0", "1", "?", "NA") == [0, 1, None, None]
    assert targets("0.5", "none", "1") == [0.5, None, 1]
    assert targets(str(2**53 + 1), "", str(2**53 + 3)) == [2**53 + 1, None, 2**53 + 3]
    assert targets("yes", "no", "?", "none") == ["yes", "no", "?", "none"]


@pytest.mark.parametrize("labels", [["yes", "", "NA"], ["1", "", "2"], ["0.5", "", "1"]])
def test_features_beside_labels_miss_what_pandas_takes_for_missing(read, labels):
    words = [
        "", "-1.#IND", "1.#QNAN", "1.#IND", "-1.#QNAN", "#N/A N/A", "#N/A", "N/A", "n/a", "NA",
        "#NA", "<NA>", "NULL", "null", "NaN", "nan", "-NaN", "-nan", "None", "none", "na", "n a",
        "nil", "?", "-", "--", ".", "NAN", "Null", "N.A.", "x", "1", "2.5",
    ]  # fmt: skip
    pairs = zip(words, words[::-1], strict=True)
    rows = [[*pair, label] for pair in pairs for label in labels]
    text = pandas.DataFrame(rows, columns=["a", "b", "y"]).to_csv(index=False)
    found = read(text, labels=lambda names, _: "y").frame[["a", "b"]]
    expected = pandas.read_csv(io.StringIO(text), usecols=["a", "b"])
    pandas.testing.assert_frame_equal(found, expected)


def test_words_are_labels_beside_text(read):
    for kept in (None, lambda layout: [0]):
        found = read(lines(["NA", "yes", "", "null"]), labels=lambda names, _: "a", text=kept)
        labels = found.frame["a"]
        assert labels.isna().tolist() == [False, False, True, False]
        assert labels.dropna().tolist() == ["NA", "yes", "null"]
        assert found.written is None


def test_rows_that_are_too_short_beside_gaps_are_refused(read):
    with pytest.raises(cr.FileError, match="line 3: expected 2 cells"):
        read('a,b\n"1,2",3\n4\n')
    with pytest.raises(cr.FileError, match="line 2: expected 3 cells"):
        read("a,b,y\n1,2,0,\n4,1\n5,6,1\n")
    with pytest.raises(cr.FileError, match="line 2: expected 3 cells"):
        read("a,b,y\n1,2,0\f,\n4,1\n5,6,1\n")
    with pytest.raises(cr.FileError, match="line 2: expected 3 cells"):
        read("a,b,y\r\n1,2\r,3\r\n5,6,1\r\n")
    with pytest.raises(cr.FileError, match="expected 2 cells"):
        read("\ra,b\r2,1\rx,2.5\r2\rx,3\r")
    with pytest.raises(cr.FileError, match="line 4: expected 2 cells"):
        read("a,b\n1,2\n3,\n4")
    assert read("a,b\r\n1,2\r\n3,\r\n").frame["b"].isna().tolist() == [False, True]
    assert read('a,b\n"1,2",3\n4,\n').frame["a"].tolist() == ["1,2", "4"]
    assert read("a,b\n\n1,2\n,\n").frame["b"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    "cells",
    [
        ["1", "2", ""],
        ["", ""],
        ["0.5", "2"],
        ["1"] * 300 + ["2.5"],
        ["1"] * 300 + ["x"],
        ["x"] * 300 + ["01", "", "1"],
        ["True", "False", ""],
        ["18446744073709551615", "1"],
        ['"a ""b"" c"', '"x, y"'],
        [" 1", " 2"],
    ],
)
def test_labels_have_the_values_and_dtype_that_pandas_gives_them(read, cells):
    text = "a,n\n" + "".join(f"{cell},0\n" for cell in cells)
    found = read(text, labels=lambda names, _: "a").frame["a"]
    expected = pandas.read_csv(io.StringIO(text))["a"]
    pandas.testing.assert_series_equal(found, expected, check_names=False)
