"""Tables on the command line: columns go by name, and others are ignored."""

import numpy as np
import pytest
from click.testing import CliRunner
from quick_training import QUICK

from chainrule.cli import main

ROWS = [(1.5, 100), (3.5, 400), (-4.5, 800)]


@pytest.fixture
def model(run, flowers):
    run("train", flowers, *QUICK, "--out", "model")
    return "model"


@pytest.fixture
def table(tmp_path):
    def table(header, row, name="new.csv"):
        """A file with a line for each of ROWS: `row` is given the width and the length."""
        path = tmp_path / name
        lines = [row(*values) for values in ROWS]
        path.write_text("\n".join([header] * (header is not None) + lines) + "\n")
        return path

    return table


@pytest.fixture
def expected(run, model, table):
    return run("predict", model, table("width,length", lambda w, n: f"{w},{n}"), "--proba").stdout


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("length,width", "{n},{w}"),
        ("width,length,kind", "{w},{n},"),
        ("kind,width,length", "?,{w},{n}"),
        ("name,length,width,note", '"an, iris",{n},{w},'),
        (",width,length", "0,{w},{n}"),
        ("Unnamed: 0,length,width", "rose,{n},{w}"),
        ('"width" , "length"', '"{w}",{n}'),
        ("length,width,length_2,x0,x1", "{n},{w},1,2,2020_01"),
        ("width,length,more,more", "{w},{n},1,2"),
    ],
)
def test_named_columns(run, model, table, expected, header, row):
    result = run("predict", model, table(header, lambda w, n: row.format(w=w, n=n)), "--proba")
    assert result.stdout == expected
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("x0,x1", "{w},{n}", "lacks width, length. The model takes width, length; the file has x0"),
        ("x1,x0", "{w},{n}", "lacks width"),
        ("0,1", "{w},{n}", "may be the header that pandas writes"),
        ("width", "{w}", "lacks length"),
        ("width,length,width", "{w},{n},1", "two columns named 'width'"),
        ("width,length", "{w},", "line 2, column 'length': the value is missing"),
        ("width,length,kind", "{w},{n}", "expected 3 cells"),
        (None, "{w}", "has 1 columns; the model takes 2"),
        (None, "{w},{n},3,4", "has 4 columns; the model takes 2"),
    ],
)
def test_columns_that_do_not_fit(fails, model, table, header, row, words):
    assert words in fails("predict", model, table(header, lambda w, n: row.format(w=w, n=n)))


def test_a_table_without_names_goes_by_place_and_says_so(run, model, table, expected):
    for row in ("{w},{n}", "{w},{n},"):
        path = table(None, lambda w, n, row=row: row.format(w=w, n=n))
        result = run("predict", model, path, "--proba")
        assert result.stdout == expected
        assert "has no header: columns are taken in their order, as width, length" in result.stderr
    path = table(None, lambda w, n: f"{w},{n},rose|red|wild|new")  # 4 columns by bars
    assert run("predict", model, path, "--proba", "--no-header").stdout == expected
    zero_one = table("0,1", lambda w, n: f"{w},{n}")
    result = run("predict", model, zero_one, "--proba", "--no-header")
    assert result.stdout.splitlines()[2:] == expected.splitlines()[1:]


def test_names_that_look_like_none(run, flowers, fails, table):
    """A model whose columns bear the names x0 and x1 by a header has names all the same."""
    text = flowers.read_text().replace("width,length", "x0,x1")
    flowers.write_text(text)
    run("train", flowers, *QUICK, "--out", "model")
    right = run("predict", "model", table("x0,x1", lambda w, n: f"{w},{n}"), "--proba").stdout
    swapped = run("predict", "model", table("x1,x0", lambda w, n: f"{n},{w}"), "--proba").stdout
    assert swapped == right
    assert "lacks x0, x1" in fails("predict", "model", table("a,b", lambda w, n: f"{w},{n}"))


def test_names_that_are_numbers(run, fails, tmp_path, table):
    """A frame without names: its columns are named 0, 1 and 2, in what is predicted, too."""
    generator = np.random.default_rng(0)
    rows = [f"{a},{b},{a - b}" for a, b in generator.normal(size=(50, 2))]
    (tmp_path / "frame.csv").write_text("\n".join(["0,1,2", *rows]) + "\n")
    assert "--header or --no-header" in fails("train", "frame.csv")
    result = run("train", "frame.csv", "--header", *QUICK, "--out", "model")
    assert "40 to train on" in result.stdout
    assert "target '2'" in result.stdout
    right = run("predict", "model", table("0,1", lambda w, n: f"{w},{n}")).stdout
    assert len(right.splitlines()) == 4
    assert run("predict", "model", table("1,0", lambda w, n: f"{n},{w}")).stdout == right


def test_the_index_of_a_frame_is_left_out(run, flowers, tmp_path):
    lines = flowers.read_text().splitlines()
    indexed = [f",{lines[0]}", *(f"{i},{line}" for i, line in enumerate(lines[1:]))]
    (tmp_path / "indexed.csv").write_text("\n".join(indexed))
    plain = run("train", flowers, *QUICK, "--out", "plain")
    result = run("train", "indexed.csv", *QUICK, "--out", "model")
    assert "rows of 2 columns" in result.stdout
    assert "taken for the rows' index" in result.stderr
    assert plain.stderr == ""
    assert run("predict", "model", "indexed.csv").stdout == run("predict", "plain", flowers).stdout


def test_the_target_is_read_where_it_is_compared(run, fails, model, table):
    full = table("kind,length,more,width", lambda w, n: f"10,{n},,{w}")
    assert "accuracy" in run("evaluate", model, full).stdout
    twice = table("kind,length,width,kind", lambda w, n: f"10,{n},{w},10")
    assert "two columns named 'kind'" in fails("evaluate", model, twice)
    run("predict", model, twice)  # which reads no target
    empty = table("kind,length,width", lambda w, n: f",{n},{w}")
    assert "column 'kind': the value is missing" in fails("evaluate", model, empty)
    assert "lacks the target" in fails(
        "evaluate", model, table("length,width", lambda w, n: f"{n},{w}")
    )


def test_standard_input(model, flowers, expected):
    table = "width,length\n1.5,100\n3.5,400\n-4.5,800\n"
    found = CliRunner().invoke(main, ["predict", "model", "-", "--proba"], input=table)
    assert found.stdout == expected
    found = CliRunner().invoke(main, ["train", "-", *QUICK], input=flowers.read_text())
    assert "rows of 2 columns, 72 to train on" in found.stdout
    found = CliRunner().invoke(main, ["train", "-", *QUICK], input="a,b\n1,red\n")
    assert found.stderr.startswith("Error: standard input, line 2, column 'b': 'red' is not")


def test_header_is_of_tables(fails, model):
    assert "--header is of tables" in fails("train", "digits", "--header")
    assert "--no-header is of tables" in fails("predict", model, "digits", "--no-header")


@pytest.mark.parametrize("whole", [False, True])
def test_timestamps(run, tmp_path, whole):
    """Of an hour, which float32 can't tell apart to better than two minutes."""
    time = 1.6e9 + np.arange(0, 3600, 6)
    shape = np.sin(np.arange(0, 3600, 6) / 600)
    digits = ".0f" if whole else ".1f"
    rows = [f"{t:{digits}},{y:.5f}" for t, y in zip(time, shape, strict=True)]
    (tmp_path / "time.csv").write_text("\n".join(["time,y", *rows]))
    options = ["--model", "mlp", "--optimizer", "adam", "--lr", 0.01, "--epochs", 30, "--out"]
    result = run("train", "time.csv", *options, "model")
    np.savez("time.npz", x=time.astype(np.int64 if whole else float)[:, None], y=shape)
    other = run("train", "time.npz", *options, "other")
    for text in (result.stdout, other.stdout, run("evaluate", "model", "time.csv").stdout):
        assert float(text.split(" r2 ")[1].split()[0]) > 0.99


def test_targets_that_float32_cannot_tell_apart(run, tmp_path):
    x = np.linspace(-1, 1, 300)
    rows = [f"{a:.5f},{1.6e9 + 5 * a:.5f}" for a in x]
    (tmp_path / "time.csv").write_text("\n".join(["x,time", *rows]))
    options = ["--model", "mlp", "--optimizer", "adam", "--lr", 0.01, "--out", "model"]
    result = run("train", "time.csv", *options)
    for text in (result.stdout, run("evaluate", "model", "time.csv").stdout):
        assert float(text.split(" r2 ")[1].split()[0]) > 0.99
    predicted = [float(line) for line in run("predict", "model", "time.csv").stdout.split()[1:]]
    np.testing.assert_allclose(predicted, 1.6e9 + 5 * x, rtol=0, atol=1)
