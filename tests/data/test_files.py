"""Tables of numbers and npz files, and the errors of faulty ones."""

import gzip
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from chainrule import FileError
from chainrule.data import read_columns, read_npz, read_table
from chainrule.data.frames import read_frame

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def write(tmp_path):
    def write(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    "text",
    [
        "a,b,c\n1,2,3\n4,5,6\n",
        "a,b,c\n1,2,3\n4,5,6",
        "a;b;c\r\n1;2;3\r\n4;5;6\r\n",
        "a\tb\tc\n1\t2\t3\n4\t5\t6\n",
        "\ufeffa,b,c\n1,2,3\n4,5,6\n",
        '"a","b","c"\n"1",2,3\n4,"5",6\n',
        " a , b,c\n 1, 2.0,3\n4 ,5e0,+6\n",
        "\n  \na,b,c\n\n1,2,3\n   \n4,5,6\n\n",
    ],
)
def test_forms_of_the_same_table(write, pack, text):
    names, values = read_columns(write(pack(text.encode())))
    assert names == ("a", "b", "c")
    assert values.dtype == np.float64
    assert values.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_table_without_header(write):
    names, values = read_columns(write("1,2\n3,4\n"))
    assert names == ("x0", "x1")
    assert values.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("id,2019,2020", ("id", "2019", "2020")),
        ("a,,b", ("a", "x1", "b")),
        ('"a,1","b;2","c\n3"', ("a,1", "b;2", "c\n3")),
    ],
)
def test_headers(write, header, names):
    assert read_columns(write(f"{header}\n1,2,3\n"))[0] == names


def test_one_row_and_one_column(write):
    assert read_columns(write("5\n"))[1].tolist() == [[5]]
    assert read_columns(write("a\n5\n6\n"))[1].tolist() == [[5], [6]]
    assert read_columns(write("1,2,3\n"))[1].tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("target", "name", "y", "names"),
    [
        (None, "c", [3, 6], ("a", "b")),
        ("a", "a", [1, 4], ("b", "c")),
        (1, "b", [2, 5], ("a", "c")),
        (-3, "a", [1, 4], ("b", "c")),
        (-1, "c", [3, 6], ("a", "b")),
    ],
)
def test_target(write, target, name, y, names):
    table = read_table(write("a,b,c\n1,2,3\n4,5,6\n"), target)
    assert table.target == name
    assert table.y.tolist() == y
    assert table.names == names
    assert table.x.shape == (2, 2)
    assert not set(table.x.ravel()) & set(y)


@pytest.mark.parametrize(
    ("text", "target", "words"),
    [
        ("a,b\n1,2\n", "price", "no column 'price'. Its columns: a, b"),
        ("price,b\n1,2\n", "prize", "no column 'prize'. Did you mean 'price'?"),
        ("a,a,b\n1,2,3\n", "a", "two columns named 'a'"),
        ("a,b\n1,2\n", 2, "no column of index 2: it has 2 columns. Use 0 to 1"),
        ("a,b\n1,2\n", -3, "no column of index -3"),
        ("a\n1\n", None, "the one column 'a'.*comma, a semicolon, a tab or a bar"),
    ],
)
def test_no_such_target(write, text, target, words):
    with pytest.raises(ValueError, match=words):
        read_table(write(text), target)


def test_a_target_is_a_name_or_a_whole_number(write):
    assert read_table(write("a,b\n1,2\n"), np.int64(0)).target == "a"
    with pytest.raises(TypeError, match="target is a whole number"):
        read_table(write("a,b\n1,2\n"), 1.0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("a,b\n", "a header but no rows"),
        ("a,b\n\n1,2\n3\n", "line 4: expected 2 cells as in the first line, found 1"),
        ("a,b\n1,2,3\n4,5,6\n", "line 2: expected 2 cells as in the first line, found 3"),
        ("1,2\n3,4,5\n", "line 2: expected 2 cells"),
        (
            "a,b\n1,2\n3,red\n",
            "line 3, column 'b': 'red' is not a number.*drop the column.*realmlp",
        ),
        ("a,b\n1,\n", r"line 2, column 'b': the value is missing \(''\)"),
        ("1,2\n3, \n", "line 2, column 'x1': the value is missing"),
        ("1,NA\n3,4\n", r"line 1, column 'x1': the value is missing \('NA'\)"),
        ("a,b\n1,2\nnan,3\n", r"line 3, column 'a': the value is missing \('nan'\)"),
        ("a,b\n1,?\n", r"line 2, column 'b': the value is missing \('\?'\)"),
        ("a,b\n1,-inf\n", "line 2, column 'b': '-inf' is not finite"),
        ("a;b\n1,5;2\n", "line 2, column 'a': '1,5' has a decimal comma"),
        ("1,5;2\n1;2\n", "line 1, column 'x0': '1,5' has a decimal comma"),
        ("a b\n1 2\n", "line 2, column 'a b': '1 2' is not a number"),
        (b"a,b\n\xff\xfe,2\n", r"not UTF-8 text \(byte 0xff in line 2\)"),
        (b"a,b\r1,2\r\xe9,2\r", r"not UTF-8 text \(byte 0xe9 in line 3\)"),
        (b"a,b\n" + b"1,2\n" * 99_999 + b"\xe9", r"not UTF-8 text \(byte 0xe9 in line 100001\)"),
        ("a,b\n1,2\n".encode("utf-16-le"), "no UTF-8 text: it has bytes of 0.*Save it as UTF-8"),
        ("a,b\n1,2\n".encode("utf-32"), "no UTF-8 text: it has bytes of 0"),
        ("# by me\na,b\n1,2\n3,4\n", "line 2: expected 1 cell .*, found 2.*comments.*: delete"),
        (b"PAR1" + bytes(20), r"is a Parquet file, not text. pandas.read_parquet\(file\).to_csv"),
        (gzip.compress(b"PAR1" + bytes(20)), "is a Parquet file, not text"),
        (b"PK\x03\x04" + bytes(20), "is an Excel workbook, or a zip archive. Save"),
        (b'{"a": [1, 2]}', "is JSON, not a table"),
        ('[\n  {\n    "a": 1\n  }\n]', "is JSON, not a table"),
        ("<!DOCTYPE html>\n<html>\n", "is an HTML page or XML, not a table. Download"),
        ("\ufeff\n<!DOCTYPE html>\n", "is an HTML page or XML, not a table. Download"),
        ("\ufeff[\n  {", "is JSON, not a table"),
        ("<?xml version='1.0'?>\n<a/>\n", "is an HTML page or XML"),
        (b"ARROW1\0\0" + bytes(20), r"is an Arrow or Feather file. pandas.read_feather\(file\)"),
        (b"\x93NUMPY\x01\0" + bytes(20), "is an array of NumPy. Write it with np.savez"),
        (pickle.dumps([1, 2]), "is a pickle, which may run any code"),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "is an HDF5 file"),
        (b"\x90\1\0\0\0\0\0\0" + b'{"w":{}}', "is a safetensors file, as of a model, not a table"),
        (b"PARE\x15\0\x15\x18" + bytes(20), "is an encrypted Parquet file"),
        (gzip.compress(b"a,b\n" + b"1,2\n" * 1000)[:-15], "truncated or damaged gzip"),
        (gzip.compress(b"a,b\n1,2\n")[:-8] + b"\0" * 8, "truncated or damaged gzip"),
    ],
)
def test_faulty_tables(write, content, words):
    path = write(content, "faulty.csv")
    with pytest.raises(ValueError, match=f"faulty.csv.*{words}"):
        read_columns(path)


@pytest.mark.parametrize("name", ["PARENT", "ARROW1", "bzh", "<a>", "[a]", "{a}"])
def test_names_that_begin_as_other_files_do(write, name):
    assert read_columns(write(f"{name},b\n1,2\n", "t.csv"))[0] == (name, "b")


def test_a_late_byte_that_is_no_utf_8_beside_text(write):
    pytest.importorskip("pandas")
    content = b"a,b\n" + b"1,red\n" * 99_999 + b"2,caf\xe9\n"
    for held in (content, gzip.compress(content)):
        with pytest.raises(FileError, match=r"\(byte 0xe9 in line 100001\). Save it as UTF-8"):
            read_frame(write(held, "t.csv"))


def test_missing_table(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        read_table(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("name", "target", "shape"),
    [
        ("concrete.csv", "Concrete-compressive-strength", (1030, 8)),
        ("power-plant.csv", "PE", (9568, 4)),
        ("wine.csv", None, (1599, 11)),
        ("digits.csv.gz", "digit", (1797, 64)),
    ],
)
def test_real_tables(name, target, shape):
    if not (SHARED / name).exists():
        pytest.skip(f"{name} is not here")
    table = read_table(SHARED / name, target)
    assert table.x.shape == shape
    assert table.y.shape == shape[:1]
    assert target in (None, table.target)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("california.csv", "line 2, column 'ocean_proximity': 'NEAR BAY' is not a number"),
        ("adult.csv", "line 2, column 'workclass': 'State-gov' is not a number"),
    ],
)
def test_real_mixed_tables(name, words):
    if not (SHARED / name).exists():
        pytest.skip(f"{name} is not here")
    with pytest.raises(ValueError, match=words):
        read_table(SHARED / name)


def test_npz(tmp_path):
    path = tmp_path / "data.npz"
    x, y = np.arange(6, dtype=np.uint8).reshape(3, 2), np.arange(3)
    np.savez(path, x=x, y=y, names=np.array(["a", "b"], dtype=object))
    data = read_npz(path)
    np.testing.assert_array_equal(data.x, x)
    np.testing.assert_array_equal(data.y, y)
    assert data.x.dtype == np.uint8
    assert data.x_test is None
    assert data.y_test is None
    np.savez_compressed(path, x=x, y=y, x_test=x[:1], y_test=y[:1])
    assert read_npz(path).x_test.shape == (1, 2)
    assert read_npz(path).y_test.tolist() == [0]


class Pipe(io.BytesIO):
    """Is written from its start to its end: an array's sizes follow it."""

    def seekable(self):
        return False

    def seek(self, *args):
        raise io.UnsupportedOperation("seek")

    def tell(self):
        raise io.UnsupportedOperation("tell")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_of_a_pipe(write, save):
    x, y, pipe = np.arange(6.0).reshape(3, 2), np.arange(3), Pipe()
    save(pipe, x=x, y=y)
    content = pipe.getvalue()
    data = read_npz(write(content, "data.npz"))
    np.testing.assert_array_equal(data.x, x)
    np.testing.assert_array_equal(data.y, y)
    directory = zipfile.ZipFile(io.BytesIO(content)).start_dir
    longer = content[:directory] + bytes(8) + content[directory:]  # its end says where it begins
    end = longer.rindex(b"PK\x05\x06") + 16
    longer = longer[:end] + (directory + 8).to_bytes(4, "little") + longer[end + 4 :]
    with pytest.raises(FileError, match="belong to no array"):
        read_npz(write(longer, "longer.npz"))


def test_npz_of_the_second_version(tmp_path):
    path, x, y = tmp_path / "data.npz", np.arange(6.0).reshape(3, 2), np.arange(3)
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in {"x": x, "y": y}.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array, version=(2, 0))
    np.testing.assert_array_equal(read_npz(path).x, x)
    np.testing.assert_array_equal(read_npz(path).y, y)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.ones(3)}, "no array 'y', only x"),
        ({"x_train": np.ones(3), "y": np.ones(3)}, "no array 'x', only x_train, y"),
        ({"x": np.ones(3), "y": np.ones(4)}, r"x \(3,\), y \(4,\)"),
        ({"x": np.ones(3), "y": np.ones(3), "x_test": np.ones(2)}, "only one of x_test and y_test"),
        (
            {"x": np.ones(3), "y": np.ones(3), "x_test": np.ones(2), "y_test": np.ones(3)},
            r"x_test \(2,\), y_test \(3,\)",
        ),
        ({"x": np.array([0, np.nan]), "y": np.ones(2)}, r"bad\.npz: x holds nan at row 1"),
        ({"x": np.ones((0, 2)), "y": np.ones(0)}, r"bad\.npz: x has no rows"),
        ({"x": np.array([None]), "y": np.ones(1)}, r"bad\.npz cannot be read.*[Oo]bject"),
        ({"x": np.array(["a"]), "y": np.ones(1)}, r"bad\.npz: x holds text"),
    ],
)
def test_faulty_npz(tmp_path, arrays, words):
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(FileError, match=words) as refused:
        read_npz(path)
    assert str(path) in str(refused.value)


def test_damaged_and_foreign_npz(tmp_path):
    path = tmp_path / "bad.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).random((50, 4)), y=np.arange(50))
    whole = path.read_bytes()
    contents = [whole[:length] for length in (0, 3, 30, 500, len(whole) - 1)]
    contents += [whole[:300] + b"\0" * 50 + whole[350:], b"x,y\n1,2\n", gzip.compress(b"1")]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.npz cannot be read as npz.*np\.savez"):
            read_npz(path)
    np.save(tmp_path / "bad.npy", np.ones(3))
    with pytest.raises(ValueError, match=r"single array \(npy\)"):
        read_npz(tmp_path / "bad.npy")
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "nowhere.npz")


def test_rows_of_one_hot_are_no_bomb(tmp_path):
    x, y = np.tile(np.eye(1000, dtype=np.uint8), (40, 1)), np.arange(40_000) % 1000
    np.savez_compressed(tmp_path / "t.npz", x=x, y=y)
    assert (tmp_path / "t.npz").stat().st_size * 100 < x.nbytes
    np.testing.assert_array_equal(read_npz(tmp_path / "t.npz")[0], x)
