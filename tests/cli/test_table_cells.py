"""Cells of tables on the command line that may mean several things."""

import csv
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
import pytest

pytest.importorskip("pandas")
QUICK = ["--preset", "fast", "--hidden", "8", "--epochs", "2"]


def rows(make, count=60, head="a,b,y"):
    return f"{head}\n" + "".join(f"{make(i)}\n" for i in range(count))


@pytest.fixture
def train(run, tmp_path):
    def train(text, *options, code=0):
        (tmp_path / "t.csv").write_text(text)
        return run("train", "t.csv", *QUICK, "--out", "m", *options, code=code)

    return train


def test_a_header_over_two_lines(run, train):
    train(rows(lambda i: f"{i},{i}.5", head='"area\n(m2)",y'))
    assert len(run("predict", "m", "t.csv").stdout.split()) == 61


@pytest.mark.parametrize("labels", [["01", "02"], ["1", "01"], ["1e3", "2e3"], ["TRUE", "FALSE"]])
def test_labels_are_those_of_the_file(run, train, labels):
    found = train(rows(lambda i: f"{i % 11}.5,{i % 7},{labels[i % 2]}"))
    assert f"2 classes: {', '.join(sorted(labels))}; target" in found.stdout
    assert set(run("predict", "m", "t.csv").stdout.split()[1:]) <= set(labels)
    assert "60 rows" in run("evaluate", "m", "t.csv").stdout
    numbers = train(rows(lambda i: f"{i % 11}.5,{i % 7},{i:03}"))
    assert "regression" in numbers.stdout


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_predictions_of_several_lines_are_read_back(run, tmp_path, end):
    pandas = pytest.importorskip("pandas")
    labels, name = [f"a{end}b", "c"], f"price{end}(EUR)"
    frame = pandas.DataFrame({"a": np.arange(60) % 7, "y": labels * 30, name: np.arange(60) / 7})
    for target, names in (
        ("y", ["prediction", *(f"probability_{v}" for v in labels)]),
        (name, [name]),
    ):
        frame[["a", target]].to_csv("t.csv", index=False, quoting=csv.QUOTE_ALL)
        run("train", "t.csv", "--target", target, *QUICK, "--out", "m")
        run("predict", "m", "t.csv", "--out", "p.csv", *["--proba"] * (target == "y"))
        found = pandas.read_csv(tmp_path / "p.csv")
        assert len(found) == 60 and list(found) == names
        assert target == name or set(found["prediction"]) <= set(labels)


@pytest.mark.parametrize(
    ("labels", "others"),
    [
        (["false", "true"], ["False", "True"]),
        (["False", "True"], ["0", "1"]),
        (["0", "1"], ["FALSE", "TRUE"]),
        (["00", "01"], ["0", "1"]),
        (["01", "02"], ["1.0", "2"]),
    ],
)
def test_labels_are_known_in_another_writing_of_their_value(run, train, tmp_path, labels, others):
    def text(labels):
        return rows(lambda i: f"{i % 11}.5,{i % 7},{labels[i % 2]}")

    train(text(labels))
    expected = run("evaluate", "m", "t.csv").stdout
    (tmp_path / "other.csv").write_text(text(others))
    assert run("evaluate", "m", "other.csv").stdout == expected.replace("t.csv", "other.csv")


def test_labels_that_are_none_by_their_value(run, train, tmp_path):
    def refused(labels):
        (tmp_path / "other.csv").write_text(rows(lambda i: f"{i},1,{labels[i % 2]}"))
        return "not a class of the model" in run("evaluate", "m", "other.csv", code=1).stderr

    train(rows(lambda i: f"{i},1,{['1', '01', '2'][i % 3]}"))
    assert refused(["1.0", "2"])  # 1 or 01
    train(rows(lambda i: f"{i},1,{['true', 'maybe'][i % 2]}"))
    assert refused(["maybe", "1"])
    train(rows(lambda i: f"{i},1,{['1000', 'x9'][i % 2]}"))
    assert refused(["1e3", "x9"])  # a name, as x9 is


def test_blanks_around_labels_mean_nothing(run, train, tmp_path):
    train(rows(lambda i: f"{i % 11}.5,{i % 7},{'xy'[i % 2]}"))
    (tmp_path / "other.csv").write_text(rows(lambda i: f"{i % 11}.5,{i % 7},{'xy'[i % 2]} "))
    assert "60 rows" in run("evaluate", "m", "other.csv").stdout


def test_columns_of_structures_are_named(run, tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    held = {"s": [{"q": 0}] * 20, "y": list(range(20))}
    parquet.write_table(arrow.table(held), tmp_path / "t.parquet")
    assert "column 's' holds {'q': 0}" in run("train", "t.parquet", code=1).stderr


def test_lists_that_are_not_used_need_no_care(run, tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    held = {"l": [[1, 2]] * 20, "x": list(range(20)), "y": [*range(19), None]}
    parquet.write_table(arrow.table(held), tmp_path / "t.parquet")
    assert "column 'l' holds a list" in run("train", "t.parquet", code=1).stderr
    run("train", "t.parquet", "--drop", "l", *QUICK, "--out", "m")
    assert len(run("predict", "m", "t.parquet").stdout.split()) == 21
    assert "19 rows" in run("evaluate", "m", "t.parquet").stdout
    found = run("train", "t.parquet", "--target", "l", code=1).stderr
    assert "column 'l' holds a list. Targets are numbers" in found
    parquet.write_table(arrow.table({**held, "y": held["l"]}), tmp_path / "t.parquet")
    found = run("evaluate", "m", "t.parquet", code=1).stderr
    assert "column 'y': the targets are no numbers, as a list, the model predicts numbers" in found


def test_decimal_targets_are_numbers(run):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for scale, cents in ((2, [i % 25 * 125 for i in range(60)]), (0, [i % 2 for i in range(60)])):
        y = [None, *(Decimal(cent).scaleb(-scale) for cent in cents[1:])]
        held = {"a": np.arange(60) % 7, "y": arrow.array(y, arrow.decimal128(12, scale))}
        parquet.write_table(arrow.table(held), "t.parquet")
        task = "regression" if scale else "classification, 2 classes: 0, 1"
        assert task in run("train", "t.parquet", *QUICK, "--out", "m").stdout
        assert "59 rows" in run("evaluate", "m", "t.parquet").stdout
        assert len(run("predict", "m", "t.parquet").stdout.split()) == 61


@pytest.mark.parametrize(
    "value", [{"q": 0}, b"q", date(2026, 1, 1), datetime(2026, 1, 1), time(1), timedelta(1)]
)
def test_targets_that_are_neither_numbers_nor_labels(run, value):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    held = {"a": np.arange(20), "y": arrow.array([value, value] * 10)}
    parquet.write_table(arrow.table(held), "t.parquet")
    for options in ([], ["--task", "regression"], ["--task", "classification"]):
        found = run("train", "t.parquet", *QUICK, *options, code=1).stderr
        assert "column 'y' holds " in found and "Targets are numbers" in found


def test_labels_with_a_sign_are_numbers_and_spaces_are_none(run, train, tmp_path):
    train(rows(lambda i: f"{i % 11}.5,{i % 7},{('+1', '-1')[i % 2]}"))
    assert set(run("predict", "m", "t.csv").stdout.split()[1:]) <= {"1", "-1"}
    (tmp_path / "other.csv").write_text(rows(lambda i: f"{i % 11}.5,{i % 7},{(-1) ** i}"))
    assert "60 rows" in run("evaluate", "m", "other.csv").stdout
    train(rows(lambda i: f"{i % 11}.5,{i % 7},0{1 + i % 2} "))
    assert "60 rows" in run("evaluate", "m", "t.csv").stdout


def test_a_sign_of_a_missing_label_beside_labels_of_digits(run, train):
    train(rows(lambda i: f"{i % 11}.5,{i % 7},{'NA' if i == 7 else f'0{1 + i % 2}'}"))
    found = run("evaluate", "m", "t.csv")
    assert "59 rows" in found.stdout and "1 row without a target" in found.stderr


def test_decimal_commas_of_three_places_alone(run, train, tmp_path):
    """Numbers such as 1,859 in the whole of a table with semicolons."""
    train(rows(lambda i: f"1,{859 + i};2,{100 + i};3,{200 + i}", head="a;b;y"))
    assert "column 'a'" not in run("info", "m").stderr
    (tmp_path / "few.csv").write_text("a;b\n1,900;2,150\n")
    value = float(run("predict", "m", "few.csv").stdout.split()[1])
    assert 0 < value < 9
    words = train(rows(lambda i: f"{950 + i if i < 50 else f'1,{i:03}'};{i}", head="a;y"), code=1)
    assert "line 52, column 'a': '1,050' has a comma" in words.stderr


def test_large_labels_beside_a_missing_one(run, train):
    text = rows(lambda i: f"{i % 11}.5,{i % 7},{2**53 + 1 + 2 * (i % 3)}") + "1,2,\n"
    found = train(text)
    assert "1 row without a target" in found.stderr
    assert "3 classes: 9007199254740993, 9007199254740995, 9007199254740997" in found.stdout
    assert "60 rows" in run("evaluate", "m", "t.csv").stdout


def test_a_large_key_is_known_beside_a_missing_one(run, train, tmp_path):
    train(rows(lambda i: f"{2**53 + 1 + 2 * (i % 5)},{i % 3},{'uv'[i % 5 > 2]}"), "--epochs", 20)
    new = "a,b\n" + "".join(f"{2**53 + 1 + 2 * i},{i % 3}\n" for i in range(5))
    (tmp_path / "new.csv").write_text(new)
    (tmp_path / "gap.csv").write_text(new + ",1\n")
    expected = run("predict", "m", "new.csv", "--proba").stdout
    assert run("predict", "m", "gap.csv", "--proba").stdout.startswith(expected)


@pytest.mark.parametrize("place", [0, 17, 59])
def test_text_among_numbers_is_told_wherever_it_is(train, place):
    text = rows(lambda i: f"{'unknown' if i == place else i % 9},{i % 5},{i % 7}.5")
    found = train(text)
    assert re.search(r"^a +category +text of", found.stdout, re.MULTILINE)
    assert f"'a' is read as text, for text among its numbers in 1 row, as 'unknown' on line " \
        f"{place + 2}" in found.stderr  # fmt: skip
    assert f"t.csv, line {place + 2}, column 'a' holds text, not numbers: 'unknown'" in (
        train(text, "--numeric", "a", code=1).stderr
    )
    for options in (["--drop", "a"], ["--drop", "0"], ["--categorical", "0"]):
        assert train(text, *options).stderr == ""


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ('"1,234"', ": '1,234' has a comma: 1234 with"),
        ("5%", "percent sign. Write 5."),
        ("-€5", "currency. Write -5."),
        ("1\u2019234.5", "apostrophes between thousands. Write 1234.5."),
        ("1\u202f234", "spaces between thousands. Write 1234."),
        ('"1 234,5"', "has the spaces between thousands, and '1234,5' has a decimal comma"),
        ("\u22121.5", "minus sign, which is no hyphen. Write -1.5."),
        ("'-1.5'", "is not a number for its quotes. Write -1.5."),
        ("1.50-", "sign, which stands behind. Write -1.50."),
        ('"(1,234.5)"', "has the parentheses, and '-1,234.5' has commas between its thousands"),
        ("CHF 5", "currency. Write 5."),
    ],
)
def test_numbers_written_in_another_way_are_refused(train, cell, words):
    text = rows(lambda i: f"{i % 9 or cell},{i % 5},{i % 7}.5")
    found = train(text, code=1)
    assert words in found.stderr and "t.csv, line 2, column 'a': " in found.stderr
    assert "--categorical; else --drop leaves it out" in found.stderr
    assert train(text, "--categorical", "a").stderr == train(text, "--drop", "a").stderr == ""
    target = rows(lambda i: f"{i % 5},{i % 9 or cell}", head="b,a")
    assert words in train(target, code=1).stderr
    assert "9 classes" in train(target, "--task", "classification").stdout


def test_the_width_of_the_model_decides_between_delimiters(run, train, tmp_path):
    train(rows(lambda i: f"{i % 11}.5,{'uv'[i % 2]},{'kl'[i % 3 > 0]},{i % 7}.5", head="a,b,c,y"))
    for name, c in (("new.csv", "k"), ("bars.csv", "k|l")):  # 2 columns by bars
        (tmp_path / name).write_text("".join(f"{i}.5,u,{c}\n" for i in range(9)))
    expected = run("predict", "m", "new.csv", "--no-header").stdout
    assert len(run("predict", "m", "bars.csv", "--no-header").stdout.split()) == 10
    (tmp_path / "bars.csv").write_text("".join(f"{i}.5,u,k,1|2\n" for i in range(9)))
    assert run("predict", "m", "bars.csv", "--no-header").stdout == expected


@pytest.mark.parametrize("size", ["e-200", "e200"])
def test_numbers_beyond_float32_are_brought_into_its_range(run, train, size):
    text = rows(lambda i: f"{1 + i % 11}{size},{1 + i % 7},{2 + i % 11}{size}")
    found = train(text, "--epochs", 30, "--task", "regression").stdout
    assert float(re.search(r"^the model .* ([-.\d]+)$", found, re.MULTILINE)[1]) > 0.9
    predicted = run("predict", "m", "t.csv").stdout.split()[1:]
    assert 0.5 < float(predicted[4]) / float(f"6{size}") < 1.5
    assert "r2 0.9" in run("evaluate", "m", "t.csv").stdout


def test_a_sign_of_a_missing_target_beside_numbers(train):
    found = train(rows(lambda i: f"1,{i},{i + 0.25 if i else '?'}"))
    assert "regression" in found.stdout and "1 row without a target" in found.stderr
    found = train(rows(lambda i: f"1,{i},{i % 2 if i % 5 else 'none'}"))
    assert "2 classes: 0, 1" in found.stdout and "12 rows without a target" in found.stderr
    text = rows(lambda i: f"1,{i},{i + 0.25 if i else 'bad'}")
    for options in ([], ["--task", "regression"]):
        error = train(text, *options, code=1).stderr
        assert "column 'y', line 2: 'bad' is text among numbers. Give a number" in error


def test_spaces_between_thousands_beside_decimal_commas(train):
    text = rows(lambda i: f"{i + 1} 234,5;{i % 5},5;{i % 7},5", head="a;b;y")
    words = "'1 234,5' is not a number for its spaces between thousands. Write 1234,5."
    assert words in train(text, code=1).stderr


def test_grades_are_text(train):
    assert train(rows(lambda i: f"{['2-', '3', '1'][i % 3]},{i % 5},{i % 7}.5")).stderr == ""


@pytest.mark.parametrize("sign", ["-", "Unknown", "--", "\u2013"])
def test_a_sign_in_many_rows_of_numbers_is_told(train, sign):
    text = rows(lambda i: f"{i % 40 if i % 4 else sign},{i % 5},{i % 7}.5")
    words = f"column 'a' is read as text, for '{sign}' in 15 rows among its numbers: leave such"
    assert words in train(text).stderr
    for option in ("--drop", "--categorical"):
        assert train(text, option, "a").stderr == ""


def test_a_sign_that_is_missing_anywhere_makes_no_text_of_numbers(train):
    found = train(rows(lambda i: f"{i % 40 if i % 4 else '?'},{i % 5},{i % 7}.5"))
    assert found.stderr == ""
    assert re.search(r"^a +number +text of numbers; missing in", found.stdout, re.MULTILINE)
    both = train(rows(lambda i: f"{i % 40 if i % 4 else '?-'[i % 8 > 0]},{i % 5},{i % 7}.5"))
    assert "read as text, for '-' in 7 rows among its numbers" in both.stderr


def test_every_sign_is_told_with_its_rows(train):
    signs = {0: "-", 1: "n.a.", 2: "-", 3: "unknown", 4: "-", 5: "unknown", 6: "-", 7: "-"}
    found = train(rows(lambda i: f"{signs.get(i, i)},{i % 5},{i % 7}.5")).stderr
    assert "for '-' in 5 rows, 'unknown' in 2 rows, 'n.a.' in 1 row among its numbers" in found


def test_a_sign_in_many_rows_of_the_target_is_told(train):
    text = rows(lambda i: f"{i % 7},{i % 5},{i % 3 if i % 5 else '-'}")
    found = train(text)
    words = "column 'y' is read as text, for '-' in 12 rows among its numbers: leave such cells"
    assert words in found.stderr and "4 classes: -, 0, 1, 2" in found.stdout
    assert "give --task classification where they are labels" in found.stderr
    assert train(text, "--task", "classification").stderr == ""


def test_a_name_among_numbers_is_no_sign(train):
    assert train(rows(lambda i: f"{100 + i % 30 if i % 4 else 'A'},{i % 5},{i % 7}.5")).stderr == ""


def test_categories_of_parquet_are_text(run, train):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    cells = [str(i % 40) if i % 4 else "-" for i in range(60)]
    frame = pandas.DataFrame({"a": cells, "b": np.arange(60) % 5, "y": np.arange(60) % 7 + 0.5})
    for dtype, is_told in ((str, True), ("category", False)):
        frame.astype({"a": dtype}).to_parquet("t.parquet")
        found = run("train", "t.parquet", *QUICK)
        assert ("for '-' in 15 rows" in found.stderr) == is_told


def test_text_of_other_signs_is_told_of_by_none(train):
    sizes = ["S", "M", "-", "38", "40"]
    assert train(rows(lambda i: f"{sizes[i % 5]},{i % 5},{i % 7}.5")).stderr == ""


@pytest.mark.parametrize("options", [[], ["--preset", "ensemble"]])
def test_a_target_far_from_the_others_is_refused_by_its_row(train, options):
    text = rows(lambda i: f"{i % 9},{i + 0.5 if i else '1e40'}", head="a,y")
    found = train(text, *options, code=1)  # for the row is held out by a member
    assert "t.csv: y: row 0 (counted from 0) holds 1e+40, too far from the oth" in found.stderr


def test_targets_beyond_1e300_are_refused(train):
    text = rows(lambda i: f"{i % 9},{'-' * (i % 2)}1e308", head="a,y")
    found = train(text, "--task", "regression", code=1)
    assert "t.csv: y: row 0 (counted from 0) holds a number of size 1e+308" in found.stderr


@pytest.mark.filterwarnings("error")
def test_a_model_of_numbers_of_1e308_can_be_read(run, train):
    train(rows(lambda i: f"{'-' * (i % 3 == 0)}1e308,{i % 5},{i % 7}.5"))
    assert len(run("predict", "m", "t.csv").stdout.split()) == 61


def test_a_category_of_whole_numbers_is_known_beside_a_gap(run, train, tmp_path):
    """Where pandas writes 2 as 2.0; in the training or in what is predicted."""
    whole, gap = (
        rows(lambda i, e=e: f"{i % 4 - 1}{e},{i % 3},{5 * (i % 4)}.5") for e in ("", ".0")
    )
    for text, other in ((whole, gap + ",0,1\n"), (gap + ",0,1.5\n", whole)):
        found = train(text, "--categorical", "a", "--epochs", 20)
        assert re.search(
            "^a +category +as asked, numbers as categories of 4 values", found.stdout, re.M
        )
        expected = run("predict", "m", "t.csv").stdout.split()[1:61]
        (tmp_path / "other.csv").write_text(other)
        assert run("predict", "m", "other.csv").stdout.split()[1:61] == expected
        assert len(set(expected)) > 3
    (tmp_path / "other.csv").write_text(rows(lambda i: f"{i % 2:02},0,{i % 2}.5"))
    found = run("train", "other.csv", *QUICK, "--categorical", "a").stdout
    assert "as asked, text of 2 values" in found


def test_colons_in_names_and_labels_are_no_emoji(run, train):
    found = train(rows(lambda i: f"{i % 11}.5,{i % 7},{('x:a:y', ':x:')[i % 2]}", head="b:m:c,d,y"))
    assert re.search(r"^b:m:c +number", found.stdout, re.MULTILINE)
    assert re.search(r"^x:a:y +30 ", run("evaluate", "m", "t.csv").stdout, re.MULTILINE)


def test_rows_of_text_that_may_be_names(run, train, tmp_path):
    """A first line of text is taken for names; where it may be a row the option is named."""
    text = "".join(f"{'low' if i % 2 else 'high'},{'low' if i % 3 else 'mid'},{i % 5}\n"
                   for i in range(1, 60))  # fmt: skip
    error = train(text, code=1).stderr
    assert (
        "two columns named 'low'. Rename one of them. If the first line is a row, give --no-header"
        in error
    )
    train(text, "--no-header")
    (tmp_path / "new.csv").write_text("low,mid\nhigh,low\n")
    for options, count in (([], 1), (["--no-header"], 2)):
        found = run("predict", "m", "new.csv", *options)
        assert len(found.stdout.split()) == 1 + count
        told = "the first line is taken for names (--no-header if it is a row)" in found.stderr
        assert told == (count == 1)
    assert "--no-header" not in train("a,a,b\n1,2,3\n", "--header", code=1).stderr
