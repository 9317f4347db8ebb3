"""Which texts of a table are numbers and names, and what is refused where it may be either."""

import contextlib
import time

import numpy as np
import pytest

from chainrule.data import read_columns, read_table
from chainrule.data.frames import read_frame
from chainrule.errors import FileError


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "table.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    "cell", ["1", "-1", "+1", "1.", ".5", "1e5", "1E-5", " 1.5 ", '"1.5"', "1e+300", "007"]
)
def test_numbers(write, cell):
    expected = float(cell.strip('"'))
    assert read_columns(write(f"a,b\n{cell},2\n"))[1].tolist() == [[expected, 2]]
    assert read_columns(write(f"a,b,c\n{cell},2,3\n"))[1][0, 0] == expected
    assert read_columns(write(f"a\n{cell}\n"))[1].tolist() == [[expected]]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("2020_01", "digits 0 to 9 without underscores"),
        ("1_000.5", "digits 0 to 9 without underscores"),
        ("１２", "digits 0 to 9"),
        ("١٢", "digits 0 to 9"),
        ("0x10", "is not a number"),
        ("−5", "is not a number"),
        ("5%", "is not a number"),
        ("1d5", "is not a number"),
        ("True", "Write 1 for true"),
        ("Infinity", "is not finite"),
        ("1e400", "is not finite"),
        ("NaN", "the value is missing"),
        ("<NA>", "the value is missing"),
        ('""', "the value is missing"),
        ('"1,234"', r"1234 with a comma between its thousands, or 1\.234 with a decimal comma"),
        ('"-1,234,567"', "commas between its thousands. Write -1234567"),
        ('"1,234.5"', r"commas between its thousands. Write 1234\.5"),
        ('"1.234,5"', r"points between its thousands and a decimal comma. Write 1234\.5"),
        ('"12,5"', r"decimal comma.*12\.5"),
    ],
)
def test_texts_that_are_no_numbers(write, cell, words):
    for text in (f"a,b\n1,2\n{cell},3\n", f"a\n1\n{cell}\n"):
        with pytest.raises(FileError, match=f"line 3, column 'a': .*{words}"):
            read_columns(write(text))


def test_underscores_make_a_name_not_a_number(write):
    names, values = read_columns(write("2020_01,2020_02\n1,2\n"))
    assert names == ("2020_01", "2020_02")
    assert values.tolist() == [[1, 2]]


def test_frames_without_names(write):
    """What pandas writes: a header that counts, with and without the index."""
    pandas = pytest.importorskip("pandas")
    x = np.random.default_rng(0).normal(size=(5, 4))
    for options in ({"index": False}, {}):
        names, values = read_columns(write(pandas.DataFrame(x).to_csv(**options)))
        assert names == ("0", "1", "2", "3")
        np.testing.assert_array_equal(values, x)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0,1,2,3\n0.5,1,2,3\n", "0123"),
        (",0\n0,7\n1,8\n", "0"),
        (",2019,2021\n0,7,1.5\n1,8,2.5\n", ["2019", "2021"]),
        (";1.5;7\n0;7;1\n1;8;2\n", ["1.5", "7"]),
        ("2018;2019;2020;2021\n1;2;3;4\n1.5;2;3;4\n", ["2018", "2019", "2020", "2021"]),
    ],
)
def test_headers_that_count(write, text, names):
    assert read_columns(write(text))[0] == tuple(names)


@pytest.mark.parametrize("text", [",3,4\n5,6,7\n8,9,10\n", ",3,4\n0,6,7\n"])
def test_a_row_that_lacks_its_first_number_is_no_header(write, text):
    with pytest.raises(FileError, match="line 1, column 'x0': the value is missing"):
        read_columns(write(text))


@pytest.mark.parametrize(
    "text",
    [
        "0,1,2,3\n",
        "0,1,2,3\n1,0,2,3\n",
        "0,1\n0.5,0.8\n",
        "0,1,2\n1,2,3\n",
    ],
)
def test_headers_that_may_be_rows(write, text):
    path = write(text)
    with pytest.raises(FileError, match=r"table\.csv: its first line, 0,1.*header=True or False"):
        read_columns(path)
    rows = text.count("\n")
    names, values = read_columns(path, header=False)
    assert len(values) == rows
    assert names[:2] == ("x0", "x1")
    if rows > 1:
        names, values = read_columns(path, header=True)
        assert len(values) == rows - 1
        assert names[:2] == ("0", "1")
        assert read_table(path, header=True).target == names[-1]


@pytest.mark.parametrize("text", ["1,2\n3,4\n", "1,2,3\n0.5,2,3\n", "0,0,1\n1,1,2\n", "0\n1.5\n"])
def test_rows_of_whole_numbers(write, text):
    assert len(read_columns(write(text))[1]) == 2


@pytest.mark.parametrize("text", ["1.5,absent,2\n1,2,3\n", "red,0.5\nblue,0.7\n"])
def test_first_lines_of_text_and_numbers(write, text):
    with pytest.raises(FileError, match=r"line 1 has both text .* and numbers .*header=True"):
        read_columns(write(text))


@pytest.mark.parametrize("mark", ["-", "n.a.", "#N/A", "<NA>", "NaT", ""])
def test_a_missing_value_in_the_first_row_makes_no_header(write, mark):
    with pytest.raises(FileError, match=r"line 1, column 'x1': the value is missing"):
        read_columns(write(f"1,{mark},2\n3,4,5\n"))


def test_the_index_of_a_frame_is_no_feature(write):
    for name in ("", "Unnamed: 0", "Unnamed: 0.1"):
        for ending in ("\n", "\r\n"):
            lines = [f"{name},a,b", "7,1,2", "3,3,4"]
            names, values = read_columns(write("\ufeff" + ending.join(lines) + ending))
            assert names == ("a", "b")
            assert values.tolist() == [[1, 2], [3, 4]]
    # A feature that lacks its name is none.
    assert read_columns(write(",a\n0.5,1\n"))[0] == ("x0", "a")


def test_an_empty_first_row_repeats_no_header(write):
    with pytest.raises(FileError, match=r"line 1, column 'x0': the value is missing"):
        read_columns(write(",,\na,b,c\n1,2,3\n"))


@pytest.mark.parametrize("header", ["a,b", '"a" , b'])
def test_a_repeated_header(write, header):
    with pytest.raises(FileError, match=r"line 3 repeats the header. Delete the line"):
        read_columns(write(f"{header}\n1,2\n{header}\n3,4\n"))


def test_gaps_in_a_single_column(write):
    for text in ("a\n1\n\n3\n", 'a\n1\n""\n3\n'):
        with pytest.raises(FileError, match="line 3, column 'a': the value is missing"):
            read_columns(write(text))
    assert len(read_columns(write("\na\n\n1\n3\n\n \n"))[1]) == 2


@pytest.mark.parametrize("digits", ["9", "0.1", "-1"])
@pytest.mark.parametrize("end", ["", "x", "e", "e5x", ",", " 1"])
def test_a_long_cell_takes_no_long_time(write, digits, end):
    path = write(f"a;b\n1;2\n{digits}{digits[-1] * 10**5}{end};3\n")
    begin = time.perf_counter()
    with contextlib.suppress(FileError):
        read_columns(path)
    assert time.perf_counter() - begin < 5  # the square of its length takes a minute


@pytest.mark.parametrize(
    "text",
    [
        '"area\n(m2)",y\n1,2.5\n3,4.5\n',
        '\n \n"area\r\n(m2)";y\r\n1;2.5\r\n\r\n3;4.5\r\n',
        '""\n"a\nb\nc",y\n1,2.5\n3,4.5\n',
        '5" pipes,y\n1,2.5\n3,4.5\n',
    ],
)
def test_a_header_over_several_lines_takes_no_row(write, text):
    pytest.importorskip("pandas")
    path = write(text)
    assert read_frame(path).frame.to_numpy().tolist() == [[1, 2.5], [3, 4.5]]
    assert read_columns(path)[1].tolist() == [[1, 2.5], [3, 4.5]]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("temp; C,humidity,y\n1.5,2,0\n2.5,3,1\n", ["temp; C", "humidity", "y"]),
        ("a|b,c,y\n1.5,2,0\n", ["a|b", "c", "y"]),
        ('"Preis;\nEUR",c,y\n1.5,2,0\n', ["Preis;\nEUR", "c", "y"]),
        ('y,"a|b"\n3,"x|1"\n4,"x|2"\n', ["y", "a|b"]),
        ('y;"a,b"\n3;"1,5"\n', ["y", "a,b"]),
        ("Preis, EUR;Menge, kg\n1,5;2,5\n", ["Preis, EUR", "Menge, kg"]),
        ("1,5;2,5\n3,5;4,5\n", ["x0", "x1"]),
        ("a,x;b,y\n1,5;2,5\n", ["a,x", "b,y"]),
        ("name\tnote\nSmith, J\tx\n", ["name", "note"]),
        ("City,Country\ty\nParis,France\t0\n", ["City,Country", "y"]),
        ("a, b\n1, 2\n", ["a", "b"]),
        ('a;"b\n' + ";;\n" * 200 + 'c"\n1;2\n', ["a", "b\n" + ";;\n" * 200 + "c"]),
        ("text\nhello\n", ["text"]),
    ],
)
def test_the_delimiter_divides_all_lines_alike(write, text, names):
    pytest.importorskip("pandas")
    assert read_frame(write(text)).frame.columns.tolist() == names


@pytest.mark.parametrize(
    ("text", "quoted", "names"),
    [
        ("id,a|b,y\n3,x|1,0\n", 'id,"a|b",y\n3,x|1,0\n', ["id", "a|b", "y"]),
        ("a,b;c,d\nx,y;z,w\n", '"a,b";"c,d"\n"x,y";"z,w"\n', ["a,b", "c,d"]),
    ],
)
def test_two_delimiters_that_may_be_meant_are_refused(write, text, quoted, names):
    pytest.importorskip("pandas")
    with pytest.raises(
        FileError, match=r"several ways: 2 by .* or 3 by commas. Put names .*quotes"
    ):
        read_frame(write(text))
    assert read_frame(write(quoted)).frame.columns.tolist() == names


def test_lines_of_many_quotes_take_no_long_time(write):
    begin = time.perf_counter()
    for text in (',"' * 10**5, '"a""' * 10**5, '"' * 10**5):
        with contextlib.suppress(FileError):
            read_columns(write(text))
    assert time.perf_counter() - begin < 5


def test_a_wide_header_is_not_judged_alone(write):
    pytest.importorskip("pandas")
    names = [f"gene{i},x" for i in range(30_000)]
    frame = read_frame(write(";".join(names) + "\n" + ";".join(["1"] * 30_000) + "\n")).frame
    assert frame.columns[0] == "gene0,x" and frame.shape == (1, 30_000)


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;\r", "\ufeffsep=;", "sep=,"])
def test_a_first_line_that_tells_the_delimiter(write, line):
    pytest.importorskip("pandas")
    sign = line.rstrip('\r"')[-1]
    path = write(f"{line}\na;b\n1.5;2\n3.5;4\n".replace(";", sign))
    found = read_columns(path)
    assert found[0] == ("a", "b") and found[1].tolist() == [[1.5, 2], [3.5, 4]]
    frame = read_frame(path).frame
    assert list(frame) == ["a", "b"] and frame.to_numpy().tolist() == found[1].tolist()
    path = write(f"{line}\n1.5;2\n3.5;4\n5;red\n".replace(";", sign))
    assert len(read_frame(path, header=False).frame) == 3
    with pytest.raises(FileError, match="line 4, column 'x1': 'red' is not a number"):
        read_columns(path)


@pytest.mark.parametrize("above", ["", "E", "EE", "EEE", " E", '""E', 'EE""E E', "sep=,E"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_empty_lines_above_the_header_take_no_row(tmp_path, above, end, mark):
    pytest.importorskip("pandas")
    path = tmp_path / "table.csv"
    path.write_bytes((mark + f"{above}a,bE1,2EE3,4E".replace("E", end)).encode())
    frame = read_frame(path, doubts=True).frame
    assert list(frame) == ["a", "b"] and frame.to_numpy().tolist() == [[1, 2], [3, 4]]
    assert read_columns(path)[1].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("above", ["Measured today", "# measured today, in Bern", '"#a"'])
def test_a_comment_above_the_names_is_told(write, above):
    pytest.importorskip("pandas")
    path = write(f"{above}\na,b,c\n1,2,3\n")
    for reads in (read_frame, read_columns):
        with pytest.raises(FileError, match=r"line 2: expected . cells? .*above the names .* dele"):
            reads(path)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("empty", ["", "  "])
@pytest.mark.parametrize("header", [True, False])
def test_an_empty_cell_below_an_empty_line_stays_in_its_column(tmp_path, end, empty, header):
    pytest.importorskip("pandas")
    path = tmp_path / "table.csv"
    lines = [*["a,b,c"] * header, '1,2,"x ""\r"', empty, ",3, y", empty, ",,z", ""]
    path.write_bytes(end.join(lines).encode())
    frame = read_frame(path, header=header, text=lambda layout: range(3)).frame
    found = frame.astype(object).where(frame.notna(), None).to_numpy().tolist()
    assert found == [["1", "2", 'x "\r'], [None, "3", "y"], [None, None, "z"]]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('3,"x', "line 3: a quote is opened and not closed. Close it"),
        ('"x,3', "line 12, in one row with line 3 by its quotes: expected 2 cells .* found 1"),
    ],
)
def test_quotes_that_are_not_closed(write, row, words):
    pytest.importorskip("pandas")
    with pytest.raises(FileError, match=words):
        read_frame(write(f"a,b\n1,2\n{row}\n" + "5,6\n" * 9))
