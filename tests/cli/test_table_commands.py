"""Tables of anything on the command line: `train`, `predict`, `evaluate` and `info` of realmlp."""

import bz2
import csv
import gzip
import io
import lzma
import os
import re
import signal
import sys
import time

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from chainrule import tabular
from chainrule.cli import main
from chainrule.train import model_file

QUICK = ["--hidden", "8", "--epochs", "2"]


def people(rows=60, seed=0):
    """A table of all kinds of columns, whose target depends on age and town."""
    random = np.random.default_rng(seed)
    age = random.integers(20, 70, rows)
    town = random.choice(["Bern", "Basel", "Zug"], rows)
    since = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 900, rows), "D")
    income = 10.5 * age + 100 * (town == "Zug") + random.normal(size=rows)
    return pd.DataFrame(
        {
            "age": age,
            "town": town,
            "since": since,
            "member": random.random(rows) < 0.5,
            "height": np.where(random.random(rows) < 0.1, np.nan, random.normal(170, 9, rows)),
            "group": random.integers(1, 4, rows),
            "income": income,
        }
    )


@pytest.fixture
def table(tmp_path):
    people().to_csv(tmp_path / "people.csv", index=False)
    return "people.csv"


@pytest.fixture
def model(run, table):
    run("train", table, *QUICK, "--out", "model")
    return "model"


@pytest.fixture
def classes(run):
    frame = people()
    frame["income"] = np.where(frame["income"] > 480, "much", "little")
    frame.to_csv("classes.csv", index=False)
    run("train", "classes.csv", *QUICK, "--out", "classes")
    return "classes"


def cells_of(text):
    return list(csv.reader(io.StringIO(text)))


def test_decisions_are_printed_and_can_be_changed(run, table):
    text = run("train", table, *QUICK).stdout
    assert "people.csv: rows of 6 columns, 48 to train on, 12 to test on" in text
    assert "regression; target 'income'" in text and "else --task classification" in text
    for line in (
        r"^age +number +a number",
        r"^town +category +text of 3 values: a column each",
        r"^since +date +text of dates: days since the first",
        r"^member +category +boolean of 2 values: -1 and 1",
        r"^height +number +a number; missing in \d rows?: the median, and a flag",
        r"^group +number",
        r"^the model +\S+ +\S+ +\S+ *$",
        r"^a linear model ",
        r"^the mean ",
    ):
        assert re.search(line, text, re.MULTILINE), line
    assert "kept        epoch " in text
    options = ["--drop", "age", "--drop", "member", "--categorical", "group", "--date", "since"]
    text = run("train", table, *QUICK, *options, "--numeric", "height").stdout
    assert re.search(r"^age +unused +left out, as asked", text, re.MULTILINE)
    assert re.search(r"^member +unused", text, re.MULTILINE)
    assert re.search(r"^group +category +as asked", text, re.MULTILINE)


def test_the_task_is_inferred_and_can_be_forced(run):
    frame = people()
    frame.to_csv("t.csv", index=False)
    for target, found in (
        ("town", "classification, 3 classes: Basel, Bern, Zug"),
        ("member", "classification, 2 classes: False, True"),
        ("group", "classification, 3 classes: 1, 2, 3"),
        ("age", "regression"),
    ):
        assert f"task        {found}" in run("train", "t.csv", "--target", target, *QUICK).stdout
    forced = run("train", "t.csv", "--target", "group", "--task", "regression", *QUICK).stdout
    assert "regression; target 'group'" in forced and "inferred" not in forced
    frame["group"] = frame["group"] * 1000
    frame.to_csv("t.csv", index=False)
    forced = run("train", "t.csv", "--target", "age", "--task", "classification", *QUICK).stdout
    assert "the most frequent class" in forced


def test_predictions_go_by_names(run, fails, model):
    frame = people(9, seed=1)
    features = frame.drop(columns="income")
    features.to_csv("new.csv", index=False)
    expected = run("predict", model, "new.csv")
    assert expected.stderr == ""
    assert cells_of(expected.stdout)[0] == ["income"]
    assert len(cells_of(expected.stdout)) == 10
    for name, other in {
        "reordered": features[features.columns[::-1]],
        "target there": frame,
        "target empty": frame.assign(income=np.nan),
        "with an index": features.rename_axis(None),
    }.items():
        other.to_csv("other.csv", index=name == "with an index")
        assert run("predict", model, "other.csv").stdout == expected.stdout
    features.assign(note="x", income_2=3).to_csv("other.csv", index=False)
    more = run("predict", model, "other.csv", "--out", "out.csv")
    assert more.stderr == ("Note: other.csv: ignored, as not used in training: note, income_2.\n")
    with open("out.csv") as file:
        assert file.read() == expected.stdout
    features.drop(columns=["age", "town"]).to_csv("other.csv", index=False)
    text = fails("predict", model, "other.csv")
    assert "other.csv lacks age, town. The model takes age, town, since" in text
    features.rename(columns={"age": "years"}).to_csv("other.csv", index=False)
    assert "lacks age. The model takes age" in fails("predict", model, "other.csv")
    features.assign(age="old").to_csv("other.csv", index=False)
    assert "other.csv: column 'age' held numbers in training and now holds text, as 'old'" in fails(
        "predict", model, "other.csv"
    )
    text = "\n".join([",".join([*features.columns, "more", "more"]), "30,Zug,2020-01-01,,,1,7,8"])
    with open("other.csv", "w") as file:
        file.write(text)
    assert len(run("predict", model, "other.csv").stdout.split()) == 2
    with open("other.csv", "w") as file:
        file.write(text.replace("more", "age"))
    assert "two columns named 'age'" in fails("predict", model, "other.csv")


def test_probabilities(run, fails, classes, model):
    header, *rows = cells_of(run("predict", classes, "classes.csv", "--proba").stdout)
    assert header == ["prediction", "probability_little", "probability_much"]
    for label, little, much in rows:
        assert float(little) + float(much) == pytest.approx(1, abs=1e-5)
        assert label == ("little" if float(little) >= float(much) else "much")
    assert "Leave --proba out" in fails("predict", model, "people.csv", "--proba")


def test_a_table_without_names_goes_by_place(run, fails):
    frame = people().drop(columns=["since", "member"]).dropna()
    frame.to_csv("bare.csv", index=False, header=False)
    run("train", "bare.csv", "--no-header", *QUICK, "--target", "2", "--out", "model")
    expected = run("predict", "model", "bare.csv", "--no-header")
    assert "it has no header: columns are taken in the order of training" in expected.stderr
    frame.drop(columns="height").to_csv("inputs.csv", index=False, header=False)
    assert run("predict", "model", "inputs.csv", "--no-header").stdout == expected.stdout
    frame.to_csv("named.csv", index=False)
    named = run("predict", "model", "named.csv")
    assert named.stdout == expected.stdout
    assert "the model has no names of columns" in named.stderr
    frame.iloc[:, :2].to_csv("few.csv", index=False, header=False)
    assert "few.csv has 2 columns; the model takes 4" in fails(
        "predict", "model", "few.csv", "--no-header"
    )


def test_evaluation(run, fails, classes, model):
    seen = run("evaluate", classes, "classes.csv")
    assert "the model was trained on 48 of these 60 rows" in seen.stderr
    assert re.search(r"^model +accuracy [\d.]+%  loss ", seen.stdout, re.MULTILINE)
    assert re.search(r"^little +\d+ +", seen.stdout, re.MULTILINE)
    fresh = people(40, seed=2)
    fresh.to_csv("fresh.csv", index=False)
    result = run("evaluate", model, "fresh.csv")
    assert result.stderr == ""
    predicted = np.array(run("predict", model, "fresh.csv").stdout.split()[1:], float)
    rmse = np.sqrt(np.mean((predicted - fresh["income"]) ** 2))
    assert f"rmse {rmse:.6g}" in result.stdout
    fresh.loc[:2, "income"] = np.nan
    fresh.to_csv("fresh.csv", index=False)
    result = run("evaluate", model, "fresh.csv")
    assert "37 rows" in result.stdout and "3 rows without a target are left out" in result.stderr
    fresh.assign(income=np.nan).to_csv("none.csv", index=False)
    assert "the target is missing in every row" in fails("evaluate", model, "none.csv")
    fresh.drop(columns="income").to_csv("none.csv", index=False)
    assert "lacks the target column 'income'" in fails("evaluate", model, "none.csv")
    fresh.assign(income="much more").to_csv("none.csv", index=False)
    assert "the targets are text" in fails("evaluate", model, "none.csv")
    assert "row 0 (counted from 0) has the label much more, which is not a class" in fails(
        "evaluate", classes, "none.csv"
    )


def test_labels_are_known_though_a_file_holds_few_of_them(run):
    frame = people().assign(code=["7", "8", "x"] * 20)
    frame.to_csv("t.csv", index=False)
    run("train", "t.csv", *QUICK, "--target", "code", "--out", "m")
    frame[frame["code"] == "7"].to_csv("sevens.csv", index=False)
    assert "20 rows" in run("evaluate", "m", "sevens.csv").stdout


def test_info(run, classes):
    text = run("info", classes).stdout
    assert "classification, 2 classes: little, much; target 'income'" in text
    assert re.search(r"^data +classes.csv: 48 rows", text, re.MULTILINE)
    assert "1 network of RealMLP" in text
    assert re.search(r"^town +category", text, re.MULTILINE)


def test_a_served_table_names_its_target(classes):
    served = pytest.importorskip("chainrule.serve.files").served(classes)
    assert served.target == "income"
    assert served.classes == ("little", "much")


def test_a_model_that_was_saved_in_python(run):
    frame = people()
    model = tabular.fit(frame.drop(columns="income"), frame["income"], "regression", epochs=2)
    model.save("m")
    frame.to_csv("t.csv", index=False)
    predicted = np.array(run("predict", "m", "t.csv").stdout.split()[1:], float)
    np.testing.assert_allclose(predicted, model.predict(frame), rtol=1e-6)
    found = run("info", "m").stdout
    assert "regression" in found and "None" not in found
    assert re.search(r"^data +60 rows$", found, re.MULTILINE)
    frame = frame.rename(columns={"age": "prediction", "town": "Unnamed: 0"})
    frame["Unnamed: 0"] = np.arange(60) // 2  # as of two files, one below the other
    frame = frame[["Unnamed: 0", *frame.columns.drop("Unnamed: 0")]]
    tabular.fit(frame, frame["income"], "regression", epochs=2).save("m")
    frame.to_csv("t.csv", index=False)
    assert len(run("predict", "m", "t.csv").stdout.split()) == 61


def test_a_model_of_a_file_whose_blanks_pandas_has_kept(run, tmp_path):
    text = "".join(f"{i % 11}, {'uvw'[i % 3]}, {i % 3 * 9}.5\n" for i in range(60))
    (tmp_path / "t.csv").write_text(f"age, kind, y\n{text}")
    frame = pd.read_csv("t.csv")
    assert list(frame) == ["age", " kind", " y"] and set(frame[" kind"]) == {" u", " v", " w"}
    model = tabular.fit(frame[["age", " kind"]], frame[" y"], "regression", epochs=20, hidden=[8])
    model.save("m")
    predicted = np.array(run("predict", "m", "t.csv").stdout.split()[1:], float)
    np.testing.assert_allclose(predicted, model.predict(frame), rtol=1e-6)
    assert np.ptp(predicted) > 3


@pytest.mark.parametrize("numbered", [False, True])
def test_a_model_of_columns_without_names_that_was_saved_in_python(run, fails, numbered):
    """Of an array, and of a frame that pandas made of one; the second column is not used."""
    x = np.random.default_rng(0).normal(size=(60, 3)) * [1, 0, 1]
    frame = pd.DataFrame(x)
    model = tabular.fit(frame if numbered else x, x[:, 0] + 1, "regression", epochs=2, hidden=[8])
    model.save("m")
    named = frame.set_axis(list("abc"), axis=1)
    files = {"--header": (frame, True), "index": (frame, True), "names": (named, True)}
    for form, (content, header) in (files | {"--no-header": (frame, False)}).items():
        content.to_csv("t.csv", index=form == "index", header=header)
        options = [form] * form.startswith("--")
        predicted = np.array(run("predict", "m", "t.csv", *options).stdout.split()[1:], float)
        np.testing.assert_allclose(predicted, model.predict(x), rtol=1e-6)
    if numbered:
        frame[[2, 0]].assign(more=1).to_csv("t.csv", index=False)
        predicted = np.array(run("predict", "m", "t.csv").stdout.split()[1:], float)
        np.testing.assert_allclose(predicted, model.predict(x), rtol=1e-6)
        frame[[2, 1]].assign(more=1).to_csv("t.csv", index=False)
        assert "t.csv lacks x0. The model takes x0, x2" in fails("predict", "m", "t.csv")
        frame.assign(prediction=model.predict(x) + 0.5).to_csv("t.csv", index=False)
        assert "mae 0.5 " in run("evaluate", "m", "t.csv").stdout
        assert run("explain", "m", "t.csv", "--row", "3").stdout
        predicted = np.array(run("predict", "m", "t.csv").stdout.split()[1:], float)
        np.testing.assert_allclose(predicted, model.predict(x), rtol=1e-6)


def test_several_targets_have_a_column_each(run):
    frame = people()
    targets = frame[["age", "income"]].to_numpy()
    model = tabular.fit(frame[["town", "age"]], targets, "regression", preset="fast", epochs=2)
    model.save("m")
    frame.to_csv("t.csv", index=False)
    header, *rows = cells_of(run("predict", "m", "t.csv").stdout)
    assert header == ["prediction_0", "prediction_1"]
    np.testing.assert_allclose(np.array(rows, float), model.predict(frame), rtol=1e-6)


def test_standard_input(start, table, tmp_path):
    process = start("train", "-", *QUICK, "--out", "model", before=f"exec <{table}")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    content = (tmp_path / table).read_bytes()
    found = CliRunner().invoke(main, ["predict", "model", "-"], input=content)
    assert found.output == CliRunner().invoke(main, ["predict", "model", table]).output
    found = CliRunner().invoke(main, ["predict", "model", "-"], input=b"")
    assert found.exit_code == 1
    assert found.output.startswith("Error: standard input is empty")
    assert found.output.count("\n") == 1
    found = CliRunner().invoke(main, ["predict", "model", "-"], input=b"x" + content)
    assert found.output.startswith("Error: standard input lacks age")
    changed = content.replace(b"Zug", b"Zug,,")
    found = CliRunner().invoke(main, ["predict", "model", "-"], input=changed)
    assert found.output.startswith("Error: standard input, line")
    old = people().assign(age="old", more=1).to_csv(index=False)
    found = CliRunner().invoke(main, ["predict", "model", "-"], input=old)
    assert found.output.startswith("Note: standard input: ignored, as not used in training: more")
    assert "Error: standard input: column 'age' held numbers" in found.output
    info = CliRunner().invoke(main, ["info", "model"]).output
    assert "standard input: 48 rows" in info and "-:" not in info


WRITTEN = {
    "gz": lambda f: f.to_csv("t.csv.gz", index=False),
    "parquet": lambda f: f.to_parquet("t.parquet"),
    "index": lambda f: f.to_csv("t.csv"),
    "semicolon, decimal comma": lambda f: f.to_csv("t.csv", index=False, sep=";", decimal=","),
    "tab": lambda f: f.to_csv("t.csv", index=False, sep="\t"),
    "bar": lambda f: f.to_csv("t.csv", index=False, sep="|"),
    "windows": lambda f: f.to_csv(
        "t.csv", index=False, lineterminator="\r\n", encoding="utf-8-sig"
    ),
    "quoted": lambda f: f.to_csv("t.csv", index=False, quoting=csv.QUOTE_NONNUMERIC),
    "categories": lambda f: f.astype({"town": "category"}).to_parquet("t.parquet"),
    "missing as NA": lambda f: f.to_csv("t.csv", index=False, na_rep="NA"),
    "named index": lambda f: f.set_index("age").to_parquet("t.parquet"),
}


@pytest.mark.parametrize("form", WRITTEN)
def test_forms_of_files(run, model, form):
    """All mean the same to a model that was trained on the plain one."""
    expected = run("predict", model, "people.csv").stdout
    WRITTEN[form](people())
    (name,) = [name for name in os.listdir() if name.startswith("t.")]
    assert run("predict", model, name).stdout == expected
    result = run("train", name, "--target", "income", *QUICK, "--out", "other")
    assert "rows of 6 columns" in result.stdout
    if form not in ("index", "named index"):
        assert result.stderr == ""
    for line in (r"^age +number", r"^town +category", r"^since +date", r"^member +category"):
        assert re.search(line, result.stdout, re.MULTILINE), line


def test_names_that_are_numbers(run, fails):
    frame = people()
    frame.columns = range(7)
    frame.to_csv("t.csv", index=False)
    result = run("train", "t.csv", *QUICK, "--out", "m")
    assert "target '6'" in result.stdout
    frame.drop(columns=6)[[5, 4, 3, 2, 1, 0]].to_csv("new.csv", index=False)
    assert run("predict", "m", "new.csv").stdout == run("predict", "m", "t.csv").stdout


def test_targets_that_are_missing_are_left_out(run):
    frame = people()
    frame.loc[3:5, "income"] = np.nan
    frame.to_csv("t.csv", index=False)
    result = run("train", "t.csv", *QUICK)
    assert "Note: t.csv: 3 rows without a target are left out." in result.stderr
    assert "46 to train on, 11 to test on" in result.stdout


def test_the_same_seed_gives_the_same_arrays(run, table):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        run("train", table, *QUICK, "--seed", seed, "--out", name)
    a, b, c = (model_file.read(name)[0] for name in "abc")
    assert a.keys() == b.keys()
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert any(not np.array_equal(a[name], c[name]) for name in a)


def test_a_report_is_written(run, fails, table, tmp_path):
    text = run("train", table, *QUICK, "--report", "r.html").stdout
    assert re.search("^saved +the report: r.html$", text, re.MULTILINE)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    rmse = float(re.search(r"^the model +(\S+)", text, re.MULTILINE)[1])
    assert f'<td >the model</td><td class="number">{rmse:.4g}</td>' in page
    assert "a linear model" in page and "income, from people.csv" in page
    usage = "--report needs test rows"
    assert usage in fails("train", table, "--report", "s.html", "--test-fraction", 0, code=2)
    assert "no folder" in fails("train", table, *QUICK, "--report", "none/r.html")
    people(4).to_csv("few.csv", index=False)
    few = fails("train", "few.csv", *QUICK, "--report", "s.html", "--out", "m")
    assert "--report needs test rows, and of 4 rows none is held out" in few
    assert not (tmp_path / "s.html").exists() and not (tmp_path / "m").exists()


def test_presets_and_a_time_budget(run, table):
    assert "0 to test on" in run("train", table, *QUICK, "--test-fraction", 0).stdout
    ensemble = run("train", table, *QUICK, "--preset", "ensemble", "--out", "m").stdout
    assert re.search(r"^kept +epochs \d, \d, \d, \d, \d:", ensemble, re.MULTILINE)
    assert "5 networks of RealMLP" in run("info", "m").stdout
    best = run("train", table, *QUICK, "--preset", "best").stdout
    assert re.search(r"^kept +epochs (\d, ){9}\d:", best, re.MULTILINE)
    run("train", table, "--preset", "fast", *QUICK)
    begin = time.monotonic()
    run("train", table, "--hidden", "8", "--epochs", 100_000, "--time-budget", 0.5)
    assert time.monotonic() - begin < 20


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("preset", ["default", "ensemble"])
def test_ctrl_c_saves_the_model(start, run, table, preset):
    process = start("train", table, "--hidden", 8, "--epochs", 10**6, "--preset", preset,
                    "--out", "m")  # fmt: skip
    for line in process.stdout:
        if line.startswith("epoch 3/"):
            break
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == ""
    assert "the model trained so far: m" in output
    assert run("predict", "m", table).stdout.startswith("income\n")


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", [], "t.csv is empty"),
        ("a,b\n", [], "has a header but no rows"),
        ("a,b\n1,2\n", [], "has 1 row with a target"),
        ("a\n1\n2\n", [], "the one column 'a'"),
        ("a,b\n1,\n2,\n", [], "'b' is missing in every row. Name another --target"),
        ("a,b\n1,7\n2,7\n", [], "column 'b': all rows have the one label 7"),
        ("a,b\n1,red\n2,red\n", [], "column 'b': all rows have the one label red"),
        ("a,b\n1,red\n2,blue\n", ["--task", "regression"], "the targets are text"),
        ("a,b\n1,0.5\n2,1\n", ["--task", "classification"], "row 0 (counted from 0) has 0.5"),
        ("a,b\n1,2\n3,inf\n", [], "column 'b': row 1 (counted from 0) is not finite"),
        ("a,b\n-inf,2\n3,4\n", [], "column 'a': row 0 (counted from 0) is not finite"),
        ("a,a,b\n1,2,3\n4,5,6\n", [], "two columns named 'a'"),
        ("a,b\n1,2\n3,4\n", ["--target", "c"], "has no column 'c'. Its columns: a, b"),
        ("age,price\n1,2\n3,4\n", ["--target", "prise"], "'prise'. Did you mean 'price'? Its"),
        ("a,b\n1,2\n3,4\n", ["--drop", "c"], "--drop: t.csv has no column 'c'. Its columns: a, b"),
        ("a,b\n1,2\n3,4\n", ["--drop", "-1"], "--drop is of a feature, and 'b' is the target"),
        ("a,b\n1,2\n3,4\n", ["--date", "a"], "column 'a' holds numbers, not dates"),
        ("a,b\nx,2\ny,4\n", ["--numeric", "a"], "column 'a' holds text, not numbers"),
        ("a,b\n1,2\n1,4\n", [], "'a': constant: 1"),
        ("a,b\n1,2\n3\n", [], "line 3: expected 2 cells as in the first line, found 1"),
        ("a,b\n1,2\n3,4,5\n", [], "line 3: expected 2 cells as in the first line, found 3"),
        ("a,b\n1,2,3\n3,4,5\n", [], "line 2: expected 2 cells as in the first line, found 3"),
        ("a,b,c\n1,2,3\n4,5\n", [], "line 3: expected 3 cells"),
        ("a,b\ncaf\xe9,2\n3,4\n".encode("latin-1"), [], "is not UTF-8 text"),
        ("a,b\n1,2\n3,4\n".encode("utf-16")[:-1], [], "cannot be read as a table"),
        (b"\x1f\x8b rubbish", [], "damaged gzip"),
        (b"PAR1 rubbish", [], "cannot be read as a table"),
    ],
)  # fmt: skip
def test_tables_that_can_not_be_used(fails, tmp_path, text, options, said):
    (tmp_path / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    error = fails("train", "t.csv", *options, *QUICK, "--out", "model")
    assert said in error and "t.csv" in error
    assert not (tmp_path / "model").exists()


def test_columns_that_say_little_are_left_out(run):
    frame = people().assign(one=1, none=np.nan, text=[f"row {i}" for i in range(60)], wide=np.inf)
    frame["income"] = frame.pop("income")
    frame.to_csv("t.csv", index=False)
    text = run("train", "t.csv", *QUICK, "--drop", "wide", "--out", "m").stdout
    for line in (r"^one +unused +constant", r"^none +unused +all", r"^text +unused +text: nearly"):
        assert re.search(line, text, re.MULTILINE), line
    frame[["age", "town", "since", "member", "height", "group"]].to_csv("new.csv", index=False)
    assert run("predict", "m", "new.csv").stdout == run("predict", "m", "t.csv").stdout


def test_ten_thousand_categories(run):
    codes = np.arange(20_000) % 10_000
    frame = pd.DataFrame({"code": [f"c{i}" for i in codes], "y": codes % 7 + 0.5})
    frame.to_csv("t.csv", index=False)
    options = ["--preset", "fast", "--hidden", 8, "--epochs", 1, "--batch-size", 1024]
    text = run("train", "t.csv", *options, "--out", "m").stdout
    assert re.search(r"^code +category +text of \S+ values.* embedded", text, re.MULTILINE)
    (_, first, second) = run("predict", "m", "t.csv").stdout.split()[:3]
    assert float(first) and float(second)


def test_files_that_are_cut_off_or_changed(fails, run, tmp_path):
    people().to_parquet("t.parquet")
    whole = (tmp_path / "t.parquet").read_bytes()
    for size in (6, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.parquet").write_bytes(whole[:size])
        assert "cut.parquet cannot be read as a table" in fails("train", "cut.parquet", *QUICK)
    assert "leave header out" in fails("train", "t.parquet", "--no-header")
    people().to_csv("t.csv.gz")
    (tmp_path / "cut.gz").write_bytes((tmp_path / "t.csv.gz").read_bytes()[:-9])
    assert "truncated or damaged gzip file" in fails("train", "cut.gz", *QUICK)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"0" * (1 << 25)))
    assert "cannot be read as a table" in fails("train", "bomb.gz", *QUICK)
    pd.DataFrame({"a": [[1], [2]], "b": [1, 2]}).to_parquet("lists.parquet")
    assert "lists.parquet: column 'a' holds" in fails("train", "lists.parquet", *QUICK)
    pa = pytest.importorskip("pyarrow")
    twice = pa.table([[1, 2], [3, 4], [5, 6]], names=["a", "a", "b"])
    pytest.importorskip("pyarrow.parquet").write_table(twice, "twice.parquet")
    assert "twice.parquet has two columns named 'a'" in fails("train", "twice.parquet", *QUICK)


def test_options_of_other_data_and_models(fails, table, model):
    assert "--data is the folder of mnist" in fails("train", table, "--data", ".")
    assert "--size is for a folder of images" in fails("train", table, "--size", 8)
    assert "digits is no table" in fails("train", "digits", "--model", "realmlp")
    assert "--part is not of tables" in fails("predict", model, table, "--part", "test")
    assert "digits is no table" in fails("predict", model, "digits")
    text = fails("train", table, "--patience", 3, code=2)
    assert "Leave it out, or take --model mlp." in text
    with open("prose.txt", "w") as file:
        file.write("Once, twice\nor three times, and more, it\nwas told.\n")
    assert "To train on text, give --model gpt" in fails("train", "prose.txt")


def test_without_pandas(fails, monkeypatch, table, model):
    monkeypatch.setitem(sys.modules, "pandas", None)
    for command in (["train", table], ["train", "-"], ["predict", model, table]):
        assert "pip install 'chainrule[tables]'" in fails(*command)


def test_files_at_risk(fails, start, run, table, model, tmp_path):
    before = (tmp_path / table).read_bytes()
    os.link(table, "link.csv")
    for out in (table, "link.csv"):
        assert "would overwrite" in fails("train", table, *QUICK, "--out", out)
        assert "would overwrite" in fails("predict", model, table, "--out", out)
    assert (tmp_path / table).read_bytes() == before
    assert "too long" in fails("train", table, *QUICK, "--out", "n" * 300)
    assert "is a folder" in fails("train", table, *QUICK, "--out", tmp_path)
    if not hasattr(os, "mkfifo"):
        return
    os.mkfifo("pipe")
    assert "is a pipe or a device" in fails("train", "pipe")
    assert "is a pipe or a device" in fails("predict", model, "pipe")
    assert "it is a pipe. Name a file" in fails("train", table, *QUICK, "--out", "pipe")
    process = start("train", table, *QUICK, "--hidden", 512, "--out", "big", before="ulimit -f 1")
    output, errors = process.communicate()
    assert process.returncode == 1 and "can't save big" in errors and "epoch 1" not in output
    assert errors.count("\n") == 1


CODES = "\x1b[31mred\x07"


def test_no_escape_codes_reach_the_terminal(run, fails, tmp_path):
    frame = people().rename(columns={"age": f"age{CODES}", "group": f"group{CODES}"})
    frame["town"] = np.where(frame["town"] == "Zug", CODES, "b")
    frame[["income", "town", f"age{CODES}", f"group{CODES}"]].to_csv("t.csv", index=False)
    found = run("train", "t.csv", "--target", "town", *QUICK, "--out", "m")
    outputs = [found.output, run("info", "m").output, run("evaluate", "m", "t.csv").output]
    frame.rename(columns={"town": f"t{CODES}"}).to_csv("more.csv", index=False)
    outputs.append(run("predict", "m", "more.csv").stderr)
    frame[["income"]].to_csv("few.csv", index=False)
    outputs.append(fails("predict", "m", "few.csv"))
    frame.assign(income=CODES).to_csv("wrong.csv", index=False)
    outputs.append(run("predict", "m", "wrong.csv", code=1).output)
    outputs.append(fails("train", "t.csv", "--drop", CODES))
    for output in outputs:
        assert "\x1b" not in output and "\x07" not in output
        assert "x1b[31mred" in output


ODD = [None, [], {}, "x", 10**30, -1, 1e300, True, [[]], {"a": None}]


def places_in(value, way=()):
    """The way to everything in a description."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in items:
        yield (*way, key)
        if isinstance(part, (dict, list)):
            yield from places_in(part, (*way, key))


def test_a_file_that_is_odd_anywhere_is_told_in_one_line(classes):
    tensors, _ = model_file.read(classes)
    places = list(
        places_in({k: v for k, v in model_file.read(classes)[1].items() if k != "format"})
    )
    random = np.random.default_rng(0)
    for number in random.permutation(len(places))[:60]:
        description = model_file.read(classes)[1]
        *way, last = places[number]
        part = description
        for key in way:
            part = part[key]
        part[last] = odd = ODD[random.integers(len(ODD))]
        model_file.write("odd", tensors, description)
        for command in (["info", "odd"], ["predict", "odd", "classes.csv"]):
            result = CliRunner().invoke(main, command)
            told = result.exception is None or isinstance(result.exception, SystemExit)
            assert told, (places[number], odd, result.exc_info)
            assert result.exit_code in (0, 1), (places[number], odd, result.output)
    os.truncate("odd", os.path.getsize(classes) // 2)
    for command in (["info", "odd"], ["predict", "odd", "classes.csv"]):
        assert "truncated, damaged or of another kind" in CliRunner().invoke(main, command).output


def test_cells_of_a_file_are_read_as_training_decided(run):
    random = np.random.default_rng(0)
    code = random.choice(["007", "7", "A12"], 60)
    where = random.choice(["01", "1", "001"], 60)
    label = np.array(["none", "mild", "bad"])[np.unique(code, return_inverse=True)[1]]
    frame = pd.DataFrame({"code": code, "zip": where, "on": random.random(60) < 0.5, "y": label})
    frame.to_csv("t.csv", index=False)
    text = run("train", "t.csv", *QUICK, "--categorical", "zip", "--out", "m").stdout
    assert "3 classes" in text and re.search("^zip +category .*of 3 values", text, re.M)
    together = cells_of(run("predict", "m", "t.csv", "--proba").stdout)
    for row in (0, int(np.argmax(code == "007")), int(np.argmax(code == "7"))):
        frame.iloc[[row]].to_csv("one.csv", index=False)
        assert cells_of(run("predict", "m", "one.csv", "--proba").stdout)[1] == together[row + 1]
    frame[frame["y"] == "none"].to_csv("none.csv", index=False)
    run("evaluate", "m", "none.csv")


def _latin(text):
    return text.replace("Bern", "Zürich").encode("cp1252")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (_latin, "not UTF-8 text .* iconv -f cp1252 -t utf-8"),
        (lambda text: b"PK\x03\x04" + bytes(20), "an Excel workbook, or a zip archive. Save"),
        (lambda text: bz2.compress(text.encode()), "compressed by bzip2. Unpack it"),
        (lambda text: lzma.compress(text.encode()), "compressed by xz. Unpack it"),
        (lambda text: b'{"age": [1, 2]}', "is JSON, not a table"),
        (lambda text: text.replace("height", "Height").encode(), "'Height' may be 'height'"),
    ],
)
def test_files_that_are_refused_with_the_remedy(fails, model, tmp_path, content, said):
    (tmp_path / "new.csv").write_bytes(content(people().to_csv(index=False)))
    assert re.search(said, fails("predict", model, "new.csv"))


def test_utf_16_is_told_by_its_mark(run, model, table, tmp_path):
    people().to_csv("wide.csv", index=False, encoding="utf-16", sep="\t")
    right = run("predict", model, table).stdout
    run("predict", model, "wide.csv", "-o", "out.csv")
    assert (tmp_path / "out.csv").read_text() == right


def test_text_that_differs_in_nearly_every_row_is_no_target(run, fails):
    people().to_csv("t.csv", index=False)
    assert "different texts in 60 rows" in fails("train", "t.csv", "--target", "since", *QUICK)
    forced = ["--task", "classification", "--target", "since"]
    assert "60 classes" in run("train", "t.csv", *forced, *QUICK).stdout


def test_a_wide_table_trains_without_a_warning_and_its_columns_are_told_in_groups(
    run, tmp_path, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "120")
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(30, 150)), columns=[f"c{i}" for i in range(150)])
    table.iloc[:20, 90] = table.iloc[:25, 91] = np.nan
    table["kind"], table["tone"] = list("uv" * 15), list("abc" * 10)
    table["hue"], table["flat"], table["floor"] = list("defgh" * 6), "5 rows", "7 rows"
    table["y"] = random.normal(size=30)
    table.to_csv(tmp_path / "wide.csv", index=False)
    out = run("train", tmp_path / "wide.csv", "--target", "y", *QUICK, "--out", "m").stdout
    lines = [re.split("  +", line.rstrip()) for line in out.splitlines()]
    start = lines.index(["column", "kind", "decision"]) + 2
    alike = " (the others alike)"
    assert lines[start : start + 5] == [
        ["c0, c1, c2 and 145 more", "number", "a number"],
        ["c90, c91", "number", f"a number; missing in 15 rows: the median, and a flag{alike}"],
        ["kind", "category", "text of 2 values: -1 and 1"],
        ["tone, hue", "category", f"text of 3 values: a column each{alike}"],
        ["flat, floor", "unused", f"constant: '5 rows'{alike}"],
    ]
    assert re.search(r"^c149 +number +a number *$", run("info", "m").stdout, re.MULTILINE)
