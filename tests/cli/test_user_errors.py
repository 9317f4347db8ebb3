"""Every mistake of a user ends with one line that says what to do, before anything is written."""

import os

import numpy as np
import pytest
from quick_training import QUICK

from chainrule.train import model_file


@pytest.fixture
def model(run, flowers):
    run("train", flowers, *QUICK, "--out", "model")
    return "model"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--hidden", "512,x"], "'x' in '512,x' is not the width of a layer"),
        (["--hidden", "0"], "'0' in '0' is not the width"),
        (["--hidden", "512,"], "'' in '512,' is not the width"),
        (["--hidden", "-5"], "not the width"),
        (["--hidden", "1000000000"], "not the width"),
        (["--lr", "0"], "0 is not a number above 0"),
        (["--lr", "nan"], "nan is not"),
        (["--lr", "inf"], "inf is not"),
        (["--lr", "fast"], "'fast' is not a number"),
        (["--momentum", "1"], "of at least 0 and below 1"),
        (["--momentum", "0.5", "--optimizer", "adam"], "--momentum is for sgd"),
        (["--epochs", "0"], "--epochs"),
        (["--batch-size", "0"], "--batch-size"),
        (["--warmup", "30"], "leaves nothing of --epochs 30"),
        (["--validation-fraction", "1"], "below 1"),
        (["--patience", "3", "--validation-fraction", "0"], "--patience needs held-out rows"),
        (["--seed", "-1"], "--seed"),
        (["--optimizer", "lbfgs"], "sgd"),
        (["--activation", "step"], "relu"),
        (["--resume"], "--resume needs --checkpoint"),
        (["--hidden", "none", "--batch-norm"], "--batch-norm is of hidden layers, and --hidden"),
        (["--hidden", "none", "--dropout", "0.1"], "--dropout is of hidden layers, and --hidden"),
    ],
)
def test_values_of_options(fails, options, said):
    assert said in fails("train", "digits", *options, code=2)


def test_mnist_without_its_folder(fails, tmp_path):
    assert "mnist needs --data FOLDER" in fails("train", "mnist", code=2)
    assert "train-images" in fails("train", "mnist", "--data", tmp_path)


@pytest.mark.parametrize("name", ["none.csv", "none.npz", "digit"])
def test_missing_data(fails, name):
    assert f"there is no file {name}" in fails("train", name)


def test_folders_for_files(fails, tmp_path):
    (tmp_path / "folder").mkdir()
    assert "folder holds no folders. Put the images of each class" in fails("train", "folder")
    assert "--out folder is a folder" in fails("train", "digits", "--out", "folder")
    assert "is a folder" in fails("info", "folder")


def test_options_for_other_kinds_of_data(fails, flowers, model):
    assert "digits is not a table" in fails("train", "digits", "--target", "x")
    assert "--data is the folder of mnist, fashion-mnist, cifar10; " in fails(
        "train", flowers, "--data", "."
    )
    for command in ("predict", "evaluate", "explain"):
        assert "digits needs none" in fails(command, model, "digits", "--data", ".")


def test_files_that_can_not_be_written(fails):
    for option in ("--out", "--checkpoint", "--history"):
        text = fails("train", "digits", option, "missing/file")
        assert f"{option} missing/file: there is no folder missing" in text
    assert os.listdir() == []


def test_a_folder_of_parquet_files(fails, tmp_path):
    (tmp_path / "houses").mkdir()
    (tmp_path / "houses" / "part-0.snappy.parquet").write_bytes(b"PAR1")
    for options in ([], ["--model", "realmlp"]):
        text = fails("train", "houses", *options)
        assert "houses is a folder of Parquet files. pandas.read_parquet(folder).to_par" in text


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="root may write to every folder"
)
def test_folders_without_permission(fails, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "can't write to the folder closed" in fails("train", "digits", "--out", "closed/model")


def test_files_that_would_be_overwritten(run, fails, flowers):
    before = flowers.read_bytes()
    assert "would overwrite" in fails("train", flowers, "--out", flowers)
    assert "would overwrite" in fails("train", "digits", "--out", "a", "--checkpoint", "./a")
    run("train", flowers, *QUICK, "--out", "model", "--checkpoint", "state")
    assert "would overwrite" in fails("predict", "model", flowers, "--out", flowers)
    assert "Go on from it with --resume" in fails("train", flowers, *QUICK, "--checkpoint", "state")
    assert flowers.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", [], "is empty"),
        ("a,b\n", [], "no rows"),
        ("a\n1\n2\n", [], "the one column 'a'"),
        ("a,b\n1,2\n", [], ".csv has 1 row, of which no share can be held out. Give more rows, or"),
        ("a,b\n1,2\n3,nan\n", [], "line 3, column 'b': the value is missing"),
        ("a,b\n1,2\n,4\n", [], "line 3, column 'a': the value is missing"),
        ("a,b\n1,2\n3,inf\n", [], "not finite"),
        ("a,b\n1,2\nred,4\n", [], "'red' is not a number"),
        ("a,b\n1,2\n3\n", [], "expected 2 cells"),
        ("a,b\n1,2\n3,4\n", ["--target", "c"], "has no column 'c'. Its columns: a, b"),
        ("a,b\n1,2\n3,4\n", ["--target", "7"], "has no column '7'"),
        ("a,a,b\n1,2,3\n4,5,6\n", [], "two columns named 'a'"),
        ("a,b\n1,7\n2,7\n", [], "all rows have the one label 7"),
        ("a,b\n1,0.5\n2,1\n", ["--task", "classification"], "row 0 (counted from 0) has 0.5"),
        ("a,b\n1,0\n2,1\n3,1\n4,0\n", ["--batch-size", "9"], "--batch-size is 9"),
        (
            "a,b\n" + "1,0\n2,1\n" * 5,  # 8 to train on
            ["--batch-norm", "--batch-size", "7"],
            "--batch-size 7 leaves one in the last of 8 rows",
        ),
        ("a,b\n1e300,0.5\n-1e300,1.5\n1e300,2.5\n", [], "too large for float32"),
        ("a,b\n1,1e-200\n2,3e-200\n", [], "column 'b' holds numbers of size 3e-200 and less"),
    ],
)
def test_tables_of_numbers(fails, tmp_path, text, options, said):
    (tmp_path / "table.csv").write_text(text)
    assert said in fails("train", "table.csv", "--model", "mlp", *options, "--out", "model")
    assert not (tmp_path / "model").exists()


def test_archives(fails, tmp_path):
    x = np.zeros((6, 2))
    for said, arrays in (
        ("it has no array 'y'", {"x": x}),
        ("it has no array 'x'", {"y": x}),
        ("rows (first dimension) differ", {"x": x, "y": np.zeros(5)}),
        (
            "data.npz: x, column 1 (counted from 0) holds numbers of size 1e-200",
            {"x": np.tile([1, 1e-200], (6, 1)), "y": np.arange(6)},
        ),
        ("data.npz: y holds numbers of size 1e-50", {"x": x, "y": np.full(6, 1e-50)}),
        ("a number of size 1e+38", {"x": np.add(x, [1e38, 0]), "y": np.arange(6) % 2}),
        ("a number of size 1e+38", {"x": np.subtract(x, [1e38, 0]), "y": np.arange(6) % 2}),
        ("holds nan at row 0", {"x": x * np.nan, "y": np.arange(6) % 2}),
        ("holds text", {"x": x, "y": np.array(["a"] * 6)}),
        (
            "not a class of the model",
            {"x": x, "y": np.arange(6) % 2, "x_test": x, "y_test": x[:, 0] + 5},
        ),
        ("shape (6, 1, 2)", {"x": x, "y": np.random.default_rng(0).normal(size=(6, 1, 2))}),
    ):
        np.savez("data.npz", **arrays)
        assert said in fails("train", "data.npz", *QUICK)
    (tmp_path / "data.npz").write_bytes(b"no archive at all")
    assert "cannot be read as npz" in fails("train", "data.npz")


def test_models_that_are_none(run, fails, model, tmp_path):
    whole = (tmp_path / model).read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("no model")
    import safetensors.numpy

    safetensors.numpy.save_file({"w": np.zeros(3)}, "foreign")
    for command in (["predict", "digits"], ["evaluate", "digits"], ["info"]):
        name, *data = command
        for file in ("cut", "empty", "text"):
            assert "truncated, damaged or of another kind" in fails(name, file, *data)
        assert "chainrule did not write" in fails(name, "foreign", *data)
        assert "there is no file missing" in fails(name, "missing", *data)


def test_models_whose_description_was_changed(fails, model):
    tensors, description = model_file.read(model)
    description.pop("format")
    metadata = description["metadata"]
    for changed in (
        {**metadata, "classes": "many"},
        {**metadata, "data": None},
        {**metadata, "data": {**metadata["data"], "shape": 7}},
        {**metadata, "data": {**metadata["data"], "columns": [1, 2]}},
    ):
        model_file.write("changed", tensors, {**description, "metadata": changed})
        assert "damaged" in fails("predict", "changed", "flowers.csv")
    model_file.write("changed", tensors, {**description, "metadata": 7})
    for command in (["predict", "digits"], ["evaluate", "digits"], ["info"]):
        name, *data = command
        assert "\nError: changed: its metadata are damaged" in "\n" + fails(name, "changed", *data)
    tensors["model.1.weight"] = tensors["model.1.weight"][:3]
    model_file.write("changed", tensors, description)
    assert "weights do not fit" in fails("predict", "changed", "flowers.csv")


def test_data_of_another_form(run, fails, model, flowers, houses):
    text = fails("predict", model, houses)
    assert "lacks width, length" in text
    assert "takes width, length" in text
    assert "8 × 8" in fails("predict", model, "digits")
    np.savez("wide.npz", x=np.zeros((3, 5)))
    assert "rows of shape 5; the model takes 2" in fails("predict", model, "wide.npz")
    run("train", "digits", *QUICK, "--out", "images")
    assert "is a table, but the model was trained on digits" in fails("predict", "images", flowers)
    for part in ("test", "train"):
        assert "has no training and test part" in fails("evaluate", model, flowers, "--part", part)


def test_evaluation_without_or_with_unknown_targets(fails, model, tmp_path):
    (tmp_path / "bare.csv").write_text("width,length\n1,2\n")
    assert "lacks the target column 'kind'" in fails("evaluate", model, "bare.csv")
    (tmp_path / "new.csv").write_text("width,length,kind\n1,2,10\n1,2,30\n")
    text = fails("evaluate", model, "new.csv")
    assert "row 1 (counted from 0) has the label 30" in text
    assert "-5, 10, 20" in text


def test_probabilities_of_a_regression(run, fails, houses):
    run("train", houses, *QUICK, "--target", "price", "--out", "model")
    assert "Leave --proba out" in fails("predict", "model", houses, "--proba")


def test_a_checkpoint_of_another_training(run, fails, flowers, tmp_path):
    options = [*QUICK, "--checkpoint", "state"]
    run("train", flowers, *options)
    resume = ["--resume", *options]
    text = fails("train", flowers, *resume, "--hidden", "9")
    assert "--hidden 8, this is 9" in text
    assert "--lr 0.1, this is 0.2" in fails("train", flowers, *resume, "--lr", "0.2")
    assert "--patience None, this is 2" in fails("train", flowers, *resume, "--patience", 2)
    text = fails("train", flowers, *resume, "--epochs", 9)
    assert "over which its learning rate falls, this is 9. One with --schedule constant" in text
    flowers.write_text(flowers.read_text() + "1,2,10\n")
    assert "other data" in fails("train", flowers, *resume)
    (tmp_path / "state").write_bytes(b"rubbish")
    assert "damaged" in fails("train", flowers, *resume)


def test_a_training_that_diverges(fails, tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 3))
    np.savez("data.npz", x=x, y=x.sum(axis=1))
    options = ["--lr", 1e9, "--clip-norm", 0, "--schedule", "constant", "--out", "model"]
    text = fails("train", "data.npz", *options)
    assert "non-finite in epoch" in text
    assert "learning rate" in text


def test_debug_shows_the_traceback(start):
    _, errors = start("--debug", "train", "none.csv").communicate()
    assert "Traceback" in errors
