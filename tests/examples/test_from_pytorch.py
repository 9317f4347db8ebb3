"""The script for PyTorch and its port: few lines differ, and both learn the same."""

import difflib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "from_pytorch"
PAGE = FOLDER.parents[1] / "docs" / "from_pytorch.md"


def run(name, tmp_path):
    spec = importlib.util.spec_from_file_location(f"from_pytorch_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main(["--epochs", "15", "--out", str(tmp_path / name)])


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


def test_the_port_learns(tmp_path, capsys):
    assert run("chainrule_script", tmp_path) > 0.95
    out = capsys.readouterr().out
    assert "22,090 parameters" in out and "test accuracy 0.9" in out


def test_both_learn_the_same(tmp_path, capsys):
    pytest.importorskip("torch").set_num_threads(1)
    theirs, ours = (run(name, tmp_path) for name in ("torch_script", "chainrule_script"))
    assert abs(theirs - ours) < 0.03
    printed = capsys.readouterr().out
    assert printed.count("ResidualMLP(") == 2 and printed.count("22,090 parameters") == 2


def test_epochs_are_timed():
    command = [sys.executable, str(FOLDER / "time_epochs.py"), "--rounds", "1"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    ways = ["as it comes", "compiled", "Trainer"]
    if importlib.util.find_spec("torch"):
        ways.append("PyTorch")
    assert re.findall(r"^(.+?) +[\d.]+ ms an epoch$", out, re.MULTILINE) == ways
