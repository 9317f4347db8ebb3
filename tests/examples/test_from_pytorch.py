"""The script for PyTorch and its port: few lines differ, and both learn the same."""

import contextlib
import difflib
import functools
import importlib.util
import io
import re
import sys
from pathlib import Path

import pytest

import chainrule as cr

FOLDER = Path(__file__).parents[2] / "examples" / "from_pytorch"
PAGE = FOLDER.parents[1] / "docs" / "from_pytorch.md"


def load(name):
    spec = importlib.util.spec_from_file_location(f"from_pytorch_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """name -> (the accuracy that its script returns, what it prints); each script runs once."""
    folder = tmp_path_factory.mktemp("from_pytorch")

    @functools.cache
    def run(name):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            accuracy = load(name).main(["--epochs", "15", "--out", str(folder / name)])
        return accuracy, printed.getvalue()

    return run


def lines(name):
    return (FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()


def changes():
    """The lines of theirs that change and those of ours that take their place, as a diff."""
    found = difflib.ndiff(lines("torch_script"), lines("chainrule_script"))
    return [d[0] + d[2:] for d in found if d[0] in "-+" and d[2:].strip()]


def test_fewer_than_five_lines_change_besides_imports():
    changed = [line[0] for line in changes() if not re.match(r"[-+](import|from) ", line)]
    assert changed.count("-") == changed.count("+") == 4
    assert len(lines("torch_script")) > 150


@pytest.mark.skipif(not PAGE.exists(), reason="the documentation is missing")
def test_the_page_shows_what_changes():
    page = PAGE.read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```diff\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    gone, new = ({line[1:] for line in changes() if line[0] == sign} for sign in "-+")
    wanted = [line for line in changes() if line[1:] not in gone & new]  # the rest moved
    assert sorted(filter(None, shown.splitlines())) == sorted(wanted)


def test_the_port_learns(run):
    accuracy, out = run("chainrule_script")
    assert accuracy > 0.95
    assert "22,090 parameters" in out and "test accuracy 0.9" in out


def test_both_learn_the_same(run):
    pytest.importorskip("torch").set_num_threads(1)
    (theirs, _), (ours, _) = both = run("torch_script"), run("chainrule_script")
    assert abs(theirs - ours) < 0.03
    for _, printed in both:
        assert printed.count("ResidualMLP(") == 1 and printed.count("22,090 parameters") == 1


def test_epochs_are_timed(monkeypatch, capsys):
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(sys, "argv", ["time_epochs.py", "--rounds", "1"])
    before = cr.get_num_threads()
    try:
        load("time_epochs").main()
    finally:
        cr.set_num_threads(before)
    out = capsys.readouterr().out
    ways = ["as it comes", "compiled", "Trainer"]
    if importlib.util.find_spec("torch"):
        ways.append("PyTorch")
    assert re.findall(r"^(.+?) +[\d.]+ ms an epoch$", out, re.MULTILINE) == ways
