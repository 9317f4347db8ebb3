"""`chainrule explain`: a step of a saved model, in the terminal, as a page, as a trace."""

import json
from pathlib import Path

import numpy as np
import pytest
from quick_training import QUICK

import chainrule as cr
from chainrule import nn
from chainrule.cli.options import LETTERS
from chainrule.inspect.letters import LettersName


def read(name):
    return Path(name).read_text(encoding="utf-8")


@pytest.fixture
def flower_model(run, flowers):
    run("train", flowers, "--model", "mlp", "--hidden", "4", "--epochs", "1", "--out",
        "flowers.safetensors")  # fmt: skip
    return "flowers.safetensors"


def test_a_step_on_a_row_of_the_training_data(run, flower_model, flowers):
    before = cr.load(flower_model).state_dict()
    run("explain", flower_model, "--row", 3, "--html", "step.html", "--json", "trace.json",
        "--letters", "cornell")  # fmt: skip
    trace = json.loads(read("trace.json"))
    first = np.genfromtxt(flowers, delimiter=",", skip_header=1)[3]
    inputs = [n["value"]["values"] for n in trace["nodes"] if n["role"] == "input"]
    np.testing.assert_allclose(inputs[0], [first[:2]], rtol=1e-6)
    assert trace["letters"] == "cornell" and trace["rows"] == 1
    assert "SGD(lr=0.1" in trace["optimizer"] and trace["loss_after"] is not None
    page = read("step.html")
    assert 'data-level="neurons"' in page
    run("explain", "trace.json", "--html", "again.html")
    assert read("again.html") == page
    for name, value in cr.load(flower_model).state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_it_prints_where_no_file_is_named(run, flower_model, flowers):
    printed = run("explain", flower_model, flowers, "--row", 1).output
    assert "FORWARD" in printed and "Linear" in printed
    run("explain", flower_model, "--json", "trace.json", "--row", 1)
    assert run("explain", "trace.json").output == printed


def test_where_a_file_is_named_it_prints_no_tables(run, flower_model):
    for option, name in (("--html", "step.html"), ("--json", "trace.json")):
        assert "FORWARD" not in run("explain", flower_model, option, name).output


def test_a_row_of_a_set_that_is_built_in(run):
    run("train", "digits", *QUICK, "--epochs", 1, "--out", "digits.safetensors")
    run("explain", "digits.safetensors", "--row", 2, "--json", "trace.json")
    nodes = json.loads(read("trace.json"))["nodes"]
    (target,) = [n["value"]["values"] for n in nodes if n["role"] == "target"]
    assert target == [cr.data.datasets.digits().y_train[2]]


def test_a_model_of_a_table(run, flowers):
    run("train", flowers, "--model", "realmlp", "--hidden", "8", "--epochs", "1", "--out", "t.st")
    run("explain", "t.st", flowers, "--row", 89, "--json", "trace.json", "--html", "t.html")
    trace = json.loads(read("trace.json"))
    assert trace["optimizer"] is None and trace["rows"] == 1 and np.isfinite(trace["loss"])
    (row,) = {n["value"]["values"][0] for n in trace["nodes"] if n["role"] == "target"}
    assert row == 0  # the class -5


def test_what_can_not_be_explained(run, fails, flower_model, flowers, tmp_path):
    assert "rows 0 to 89: there is no --row 90" in fails("explain", flower_model, "--row", 90)
    assert "--row" in fails("explain", flower_model, "--row", -1, code=2)
    (tmp_path / "x.csv").write_text("width,length\n1,2\n")
    assert "lacks the targets" in fails("explain", flower_model, "x.csv")
    flowers.rename("moved.csv")
    assert "which is not here. Give DATA" in fails("explain", flower_model)
    cr.save(nn.Linear(2, 1), "own.safetensors")
    assert "was not saved by chainrule train" in fails("explain", "own.safetensors")
    (tmp_path / "other.json").write_text('{"format": "another"}')
    assert "other.json" in fails("explain", "other.json")
    run("explain", flower_model, "moved.csv", "--json", "trace.json")
    assert "Leave --row out" in fails("explain", "trace.json", "--row", 0)
    assert "would overwrite" in fails("explain", "trace.json", "--json", "trace.json")
    assert "no folder" in fails("explain", flower_model, "moved.csv", "--html", "gone/x.html")


def test_the_letters_are_those_of_the_library():
    assert LettersName.__args__ == LETTERS
