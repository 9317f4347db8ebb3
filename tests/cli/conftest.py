"""What the tests of the command line share: running commands here or apart, and small files."""

import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from chainrule.cli import main


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run():
    """A command in this process: run("info", "model.safetensors") -> its result."""

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        told = result.exception is None or isinstance(result.exception, SystemExit)
        assert told, result.exc_info
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def fails(run):
    """A command that ends with one line of error, which is returned."""

    def fails(*arguments, code=1):
        text = run(*arguments, code=code).stderr.strip()
        assert "Traceback" not in text
        if code == 1:
            assert len(text.splitlines()) == 1
            assert text.startswith("Error: ")
        return text

    return fails


@pytest.fixture
def start():
    """A command in a process of its own; `before` is shell code that prepares it."""
    # One thread of the BLAS: networks this small do not share, and other tests may be running.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    started = []

    def start(*arguments, before=None):
        command = [sys.executable, "-m", "chainrule", *map(str, arguments)]
        if before is not None:
            command = ["sh", "-c", f'{before}; exec "$@"', "sh", *command]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def flowers(tmp_path):
    """A table of two columns in three classes, labelled 10, 20 and -5, that lie apart."""
    generator = np.random.default_rng(0)
    labels = np.repeat([10, 20, -5], 30)
    centres = np.repeat([[0.0, 100.0], [5.0, 300.0], [-5.0, 900.0]], 30, axis=0)
    x = centres + generator.normal(size=(90, 2)) * [0.5, 20.0]
    path = tmp_path / "flowers.csv"
    lines = [f"{a:.3f},{b:.1f},{label}" for (a, b), label in zip(x, labels, strict=True)]
    path.write_text("\n".join(["width,length,kind", *lines]) + "\n")
    return path


@pytest.fixture
def houses(tmp_path):
    """A table whose price is 1000 rooms + 50000, with the price in the middle."""
    generator = np.random.default_rng(1)
    rooms, age = generator.uniform(1, 9, 200), generator.uniform(0, 50, 200)
    path = tmp_path / "houses.csv"
    rows = [f"{r:.3f},{1000 * r + 50_000:.2f},{a:.2f}" for r, a in zip(rooms, age, strict=True)]
    path.write_text("\n".join(["rooms,price,age", *rows]) + "\n")
    return path
