"""`chainrule train`: what it reads, infers, prints and saves."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from quick_training import QUICK

import chainrule as cr
from chainrule.cli.options import ACTIVATIONS
from chainrule.train.model_file import read

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"


MLP = ["--model", "mlp"]


def accuracy(output, part="test"):
    return float(re.search(rf"^{part} +accuracy ([\d.]+)%", output, re.MULTILINE)[1])


def test_digits_are_learnt_by_the_defaults(start):
    output, errors = start("train", "digits", "--out", "model.safetensors").communicate()
    assert accuracy(output) >= 97
    assert "1,442 to train on, 355 to test on" in output
    assert "26,122 parameters" in output
    assert "epoch 30/30" in output
    assert "model.safetensors" in output
    assert errors == ""


def test_the_same_seed_gives_the_same_weights(run):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        run("train", "digits", *QUICK, "--seed", seed, "--out", name)
    a, b, c = (read(name)[0] for name in "abc")
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not np.array_equal(a["model.1.weight"], c["model.1.weight"])


def test_labels_of_a_table_may_be_any_whole_numbers(run, flowers):
    result = run("train", flowers, *MLP, "--out", "model.safetensors")
    assert "classification, 3 classes: -5, 10, 20; target 'kind'" in result.stdout
    assert "inferred" in result.stdout
    assert accuracy(result.stdout, "validation") == 100
    assert read("model.safetensors")[1]["metadata"]["classes"] == [-5, 10, 20]


def test_a_regression_is_reported_in_the_units_of_its_target(run, houses):
    result = run("train", houses, *MLP, "--target", "price", "--out", "model.safetensors")
    assert "regression; target 'price'" in result.stdout
    rmse = float(re.search(r"rmse ([\d.]+)", result.stdout)[1])
    assert 0 < rmse < 300  # prices run over 8,000
    described = read("model.safetensors")[1]["model"]
    assert [layer["class"] for layer in described["children"].values()] == [
        "Standardize",
        *["Linear", "ReLU"] * 2,
        "Linear",
        "Unstandardize",
    ]


@pytest.mark.parametrize("target", ["price", "1", "-2"])
def test_a_target_is_a_name_or_an_index(run, houses, target):
    result = run("train", houses, "--target", target, *QUICK)
    assert "target 'price'" in result.stdout


def test_a_name_that_is_a_number_comes_before_the_index(run, tmp_path):
    rows = "\n".join(f"{i},{i % 2},{i * 7 % 10 / 3}" for i in range(40))
    (tmp_path / "odd.csv").write_text("b,2,c\n" + rows)
    assert "target '2'" in run("train", "odd.csv", "--target", "2", *QUICK).stdout


def test_the_task_can_be_chosen(run, flowers):
    assert "regression;" in run("train", flowers, "--task", "regression", *QUICK).stdout


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (np.arange(100) % 20, "classification"),
        (np.arange(100) % 21, "regression"),
        (np.arange(100) % 2 == 0, "classification"),
        (np.arange(100) % 3 * 1.0, "classification"),
        (np.arange(100) % 3 * 0.5, "regression"),
        (np.arange(100).reshape(50, 2) % 3, "regression"),
        (np.arange(19), "regression"),
    ],
)
def test_the_task_is_inferred_from_the_targets(run, y, task):
    np.savez("data.npz", x=np.random.default_rng(0).normal(size=(len(y), 4)), y=y)
    assert f"task        {task}" in run("train", "data.npz", *QUICK).stdout


def test_an_npz_of_images_with_a_test_part(run):
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 120)
    x = generator.integers(0, 50, (120, 5, 5)).astype(np.uint8) + (60 * y[:, None, None]).astype(
        np.uint8
    )
    np.savez("images.npz", x=x[:100], y=y[:100], x_test=x[100:], y_test=y[100:])
    result = run("train", "images.npz", "--hidden", "16", "--epochs", 20)
    assert "5 × 5 numbers, 100 to train on, 20 to test on" in result.stdout
    assert accuracy(result.stdout) > 90


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        ("sgd", "constant"),
        ("adam", "step"),
        ("adamw", "exponential"),
        ("nadam", "linear"),
        ("rmsprop", "inverse-time"),
        ("adagrad", "cosine"),
        ("lion", "linear"),
    ],
)
def test_optimisers_and_schedules(run, flowers, optimizer, schedule):
    options = ["--optimizer", optimizer, "--schedule", schedule, "--warmup", 1]
    result = run("train", flowers, *QUICK, "--epochs", 3, *options)
    assert f"{optimizer}, lr " in result.stdout
    assert f"{schedule} schedule, warm-up 1 epochs" in result.stdout


def test_a_linear_schedule_ends_at_0(run, flowers):
    run("train", flowers, *QUICK, "--epochs", 2, "--schedule", "linear", "--history", "h.csv")
    with open("h.csv", newline="") as file:
        rates = [float(row["lr"]) for row in csv.DictReader(file)]
    assert rates == pytest.approx([0.05, 0.0])


def test_dropout_and_batch_normalisation(run, flowers):
    options = [*MLP, "--hidden", "8,6", "--batch-norm", "--dropout", 0.25, "--epochs", 40]
    result = run("train", flowers, *options, "--out", "model.safetensors")
    for layer in ("BatchNorm1d(8", "BatchNorm1d(6", "Dropout(p=0.25"):
        assert layer in result.stdout
    assert result.stdout.count("bias=False") == 2
    assert accuracy(result.stdout, "validation") > 60
    model = cr.load("model.safetensors")
    kinds = [type(layer).__name__ for layer in model]
    assert kinds[1:5] == ["Linear", "BatchNorm1d", "ReLU", "Dropout"]
    assert len(kinds) == 10  # standardised inputs, twice these, and the output
    found = [run("predict", "model.safetensors", flowers).stdout for _ in range(2)]
    assert found[0] == found[1]


def test_no_batch_of_one_row_is_left_by_the_defaults(run, tmp_path):
    rows = "".join(f"{i},{i * i % 7}\n" for i in range(97))
    (tmp_path / "t.csv").write_text("a,b\n" + rows)
    options = ["--model", "mlp", "--batch-norm", "--validation-fraction", 0, "--epochs", 1]
    assert "epoch 1/1" in run("train", "t.csv", *options).stdout


def test_activations(run, flowers):
    for name, layer in ACTIVATIONS.items():
        result = run("train", flowers, *QUICK, "--epochs", 1, "--activation", name)
        assert layer in result.stdout


def test_a_linear_model(run, flowers):
    result = run("train", flowers, *MLP, "--hidden", "none", "--epochs", 1)
    assert "ReLU" not in result.stdout
    assert "in_features=2, out_features=3" in result.stdout


def test_options_and_files_are_told(run, flowers):
    told = run("train", flowers, *QUICK, "--clip-norm", 2, "--seed", 5, "--history", "h.csv").stdout
    options = re.search(r"^options +(.*)$", told, re.MULTILINE).group(1).split(", ")
    assert {"clip norm 2", "seed 5", "2 epochs"} <= set(options)
    assert re.search(r"^saved +the history: h\.csv$", told, re.MULTILINE)
    told = run("train", flowers, *QUICK, "--clip-norm", 0).stdout
    assert "clip norm" not in told and "the history" not in told


def test_history(run, flowers):
    run("train", flowers, *QUICK, "--history", "history.csv")
    with open("history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {"loss", "accuracy", "validation_loss", "validation_accuracy", "lr"} <= rows[0].keys()


def test_patience_stops_early_and_keeps_the_best(run, flowers):
    options = [*MLP, "--epochs", 200, "--lr", 0.5, "--patience", 2]
    result = run("train", flowers, *options, "--out", "model.safetensors", "--history", "h.csv")
    assert "validation_loss stopped improving" in result.stdout
    with open("h.csv", newline="") as file:
        losses = [float(row["validation_loss"]) for row in csv.DictReader(file)]
    assert len(losses) == losses.index(min(losses)) + 1 + 3
    shown = float(re.search(r"^validation .*loss ([\d.]+)$", result.stdout, re.MULTILINE)[1])
    assert shown == pytest.approx(min(losses), abs=1e-4)


def test_a_training_can_be_resumed_for_more_epochs(run, flowers):
    options = [
        "train",
        flowers,
        *MLP,
        "--hidden",
        "8",
        "--schedule",
        "constant",
        "--checkpoint",
        "c",
    ]
    assert "no checkpoint c yet" in run(*options, "--epochs", 2, "--resume").stdout
    resumed = run(*options, "--epochs", 4, "--resume", "--out", "resumed")
    assert "resuming from c, after 2 epochs" in resumed.stdout
    assert "epoch 2/4" not in resumed.stdout
    run(*options[:-1], "other", "--epochs", 4, "--out", "whole")
    assert_same_arrays("resumed", "whole")


def test_a_finished_training_that_stopped_early_resumes_to_the_same(run, flowers):
    options = ["train", flowers, *MLP, "--epochs", 200, "--lr", 0.5, "--patience", 2]
    options += ["--checkpoint", "c", "--resume"]
    run(*options, "--out", "first")
    result = run(*options, "--out", "again")
    assert "epoch" not in result.stdout.split("resuming")[1].split("\n", 1)[1].split("stopped")[0]
    assert_same_arrays("first", "again")


def assert_same_arrays(first, second):
    a, b = read(first)[0], read(second)[0]
    assert a.keys() == b.keys()
    different = [name for name in a if not np.array_equal(a[name], b[name])]
    assert different == []


def test_help_and_version_import_no_training():
    script = (
        "import sys, chainrule\n"
        "before = set(sys.modules)\n"
        "from chainrule.cli import main\n"
        "for arguments in (['--help'], ['--version'], ['train', '--help']):\n"
        "    try: main(arguments, prog_name='chainrule')\n"
        "    except SystemExit as error: assert error.code == 0\n"
        "new = set(sys.modules) - before\n"
        "bad = [m for m in new if m.split('.')[0] in ('rich', 'numpy')]\n"
        "bad += [m for m in new if m.startswith('chainrule.') and '.cli' not in m]\n"
        "assert not bad, bad\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert re.search(r"^chainrule \d+\.\d+", result.stdout, re.MULTILINE)
    assert "chainrule train digits --out digits.safetensors" in result.stdout


def test_every_command_has_help(run):
    for command in (
        "train",
        "predict",
        "evaluate",
        "generate",
        "neighbours",
        "info",
        "doctor",
        "bench",
    ):
        assert command in run("--help").stdout
        assert "Usage:" in run(command, "--help").stdout


def test_the_help_says_which_models_have_an_option(run, fails):
    text = " ".join(run("train", "--help").stdout.split())
    for option, models, other in [
        ("--channels=8", "cnn", "mlp"),
        ("--optimizer=adam", "mlp, cnn", "gpt"),
        ("--steps=9", "gpt", "mlp"),
        ("--clip-norm=1", "mlp, cnn, gpt", "word2vec"),
        ("--cbow", "word2vec", "gpt"),
        ("--report=page.html", "realmlp", "cnn"),
    ]:
        name, _, _ = option.partition("=")
        assert re.search(rf" {name} .*?\(for ([^)]*)\)", text)[1] == models
        refused = fails("train", "digits", "--model", other, option, code=2)
        assert (
            re.search(rf"{name} is an option of --model ([^;]*);", refused)[1].replace(
                " and ", ", "
            )
            == models
        )
    for name, after in [
        ("--hidden", "--channels"),
        ("--target", "--header"),
        ("--lr", "--momentum"),
    ]:
        assert "(for" not in text[text.index(f" {name} ") : text.index(f" {after} ")]


@pytest.mark.skipif(not MNIST.is_dir(), reason="the files of MNIST are not here")
def test_mnist_is_read(run):
    options = ["--hidden", "16", "--epochs", 1, "--batch-size", 6000, "--lr", 0.5]
    result = run("train", "mnist", "--data", MNIST, *options)
    assert "60,000 to train on, 10,000 to test on" in result.stdout
    assert accuracy(result.stdout) > 50
