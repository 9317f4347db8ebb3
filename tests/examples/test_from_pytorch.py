"""The script for PyTorch and its port: few lines differ, and both learn the same."""

import difflib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "from_pytorch"


def run(name, tmp_path):
    spec = importlib.util.spec_from_file_location(f"from_pytorch_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main(["--epochs", "15", "--out", str(tmp_path / name)])


def lines(name):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not re.match(r"(import|from) ", line)]


def test_fewer_than_five_lines_change_besides_imports():
    theirs, ours = lines("torch_script"), lines("chainrule_script")
    changed = [d for d in difflib.ndiff(theirs, ours) if d[0] in "-+" and d[2:].strip()]
    assert [d[0] for d in changed].count("-") == [d[0] for d in changed].count("+") == 4, changed
    assert len(theirs) > 140


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
