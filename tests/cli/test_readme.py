"""The README's code runs: Python blocks in their order, and commands that need no file."""

import shlex
from pathlib import Path

import pytest

from chainrule.cli import main

README = Path(__file__).parents[2] / "README.md"

pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is not here")


def blocks(language):
    """(lines before it, text) of each fenced block of a language."""
    begin = None
    lines = README.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.startswith("```"):
            continue
        if begin is None:
            begin, found = number, line.removeprefix("```")
            continue
        if found == language:
            yield begin, "\n".join(lines[begin : number - 1])
        begin = None


def test_python_blocks(capsys):
    namespace = {"__name__": "readme"}
    found = list(blocks("python"))
    assert len(found) >= 7
    for line, text in found:
        code = compile("\n" * line + text, str(README), "exec")
        exec(code, namespace)
    output = capsys.readouterr().out
    assert "Linear(in_features=64, out_features=128, bias=True)" in output
    assert "tensor(" in output
    assert "%0: float32 4x2 = input" in output
    picture = README.parent / "docs" / "_static" / "step.svg"
    assert Path("step.svg").read_text("utf-8") == picture.read_text("utf-8")


def test_commands(run):
    commands = [line for _, text in blocks("") for line in text.splitlines()]
    assert commands[0].startswith("make run")
    mine = [line for line in commands if line.startswith("chainrule ")]
    assert {shlex.split(line)[1] for line in mine} >= {"train", "evaluate", "predict", "info"}
    for line in mine:
        _, name, *arguments = shlex.split(line)
        # Every option that is shown is known, whether the command is run or not.
        main.commands[name].make_context(name, list(arguments))
        if line.startswith("chainrule train digits"):
            arguments += ["--epochs", "2"]
        if "digits" in line or name == "doctor":
            run(name, *arguments)
