"""What is left when a training is killed, interrupted, or finds the disk full."""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from quick_training import QUICK

from chainrule.train.model_file import read

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")

# Long enough to be stopped on the way, mostly within an epoch: 100 epochs of 72 batches.
LONG = [
    "--model",
    "mlp",
    "--hidden",
    "8",
    "--epochs",
    "100",
    "--batch-size",
    "1",
    "--patience",
    "1000",
]


def same_arrays(first, second):
    a, b = read(first)[0], read(second)[0]
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def wait_for(path, process, seconds=60):
    end = time.monotonic() + seconds
    while not os.path.exists(path):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_killed_training_resumes_to_the_same_bits(start, flowers):
    command = ["train", flowers, *LONG]
    begin = time.monotonic()
    assert start(*command, "--out", "whole").wait() == 0
    seconds = time.monotonic() - begin
    command += ["--checkpoint", "state", "--resume", "--out", "resumed"]
    kills = 0
    for moment in (0.0, *(random.Random(0).uniform(0, 0.3) for _ in range(3))):
        process = start(*command)
        if kills == 0:
            wait_for("state", process)
        else:
            time.sleep(0.5 * seconds)
        time.sleep(moment * seconds)
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        assert read("state")[1]["training"]["epoch"] >= 1  # whole at every moment
    assert kills >= 1
    process = start(*command)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "resuming from state, after " in output
    assert same_arrays("whole", "resumed")


def test_ctrl_c_saves_the_model_and_the_state_to_go_on_from(start, run, flowers):
    command = ["train", flowers, *LONG]
    assert start(*command, "--out", "whole").wait() == 0
    files = ["--checkpoint", "state", "--out", "model", "--history", "history.csv"]
    for attempt in range(4):
        process = start(*command, *files, "--resume")
        wait_for("state", process)
        for line in process.stdout:
            if line.startswith("epoch "):
                break
        time.sleep(0.005 * attempt)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
        assert process.returncode == 130
        assert errors == ""
        if read("state")[1]["training"]["position"] > 0:  # within an epoch: the hardest to resume
            break
    assert "interrupted" in output
    assert "the model trained so far: model" in output
    assert "go on from with --resume: state" in output
    assert os.path.exists("history.csv")
    assert run("predict", "model", flowers).stdout.startswith("prediction\n")
    process = start(*command, "--checkpoint", "state", "--resume", "--out", "resumed")
    process.communicate()
    assert process.returncode == 0
    assert same_arrays("whole", "resumed")


def test_a_full_disk_leaves_the_model_that_was_there(start, run, flowers):
    run("train", flowers, *QUICK, "--out", "model")
    with open("model", "rb") as file:
        before = file.read()

    # No file may grow beyond 16 blocks of 512 or 1024 bytes.
    options = [*QUICK, "--hidden", "1024", "--out", "model"]
    process = start("train", flowers, *options, before="ulimit -f 16")
    _, errors = process.communicate()
    assert process.returncode == 1
    (line,) = errors.strip().splitlines()
    assert line.startswith("Error: can't save model: ")
    with open("model", "rb") as file:
        assert file.read() == before
    assert sorted(os.listdir()) == ["flowers.csv", "model"]


@pytest.mark.parametrize("table", ["predictions.csv", "history.csv"])
def test_a_full_disk_leaves_the_table_that_was_there(start, run, flowers, table):
    if table == "predictions.csv":
        run("train", "digits", *QUICK, "--out", "model")
        command = ["predict", "model", "digits", "--proba", "--out", table]
    else:
        command = ["train", flowers, *QUICK, "--epochs", 99, "--patience", 99]
        command += ["--history", table]
    with open(table, "w") as file:
        file.write("before\n")
    there = sorted(os.listdir())
    # No file may grow beyond 4 blocks of 512 or 1024 bytes.
    process = start(*command, before="ulimit -f 4")
    _, errors = process.communicate()
    assert process.returncode == 1
    (line,) = errors.strip().splitlines()
    assert line.startswith(f"Error: can't save {table}: ")
    with open(table) as file:
        assert file.read() == "before\n"
    assert sorted(os.listdir()) == there


def test_ctrl_c_while_predictions_are_written_leaves_those_that_were_there(
    run, flowers, monkeypatch
):
    run("train", flowers, *QUICK, "--out", "model")
    run("predict", "model", flowers, "--out", "out.csv")
    with open("out.csv", "rb") as file:
        before = file.read()
    there = sorted(os.listdir())

    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        run("predict", "model", flowers, "--proba", "--out", "out.csv", code=130)
    with open("out.csv", "rb") as file:
        assert file.read() == before
    assert sorted(os.listdir()) == there
    run("predict", "model", flowers, "--proba", "--out", "out.csv")
    with open("out.csv", "rb") as file:
        assert file.read() != before


def test_ctrl_c_while_a_class_is_made(run, monkeypatch):
    """As in an import, where Python made a RuntimeError of it until 3.12."""

    class Interrupts:
        def __set_name__(self, owner, name):
            raise KeyboardInterrupt

    def read(path):
        return type("Made", (), {"attribute": Interrupts()})

    monkeypatch.setattr("chainrule.train.model_file.read", read)
    assert run("evaluate", "model", "digits", code=130).stderr == "Interrupted.\n"


def test_predictions_go_into_a_pipe(run, flowers):
    run("train", flowers, *QUICK, "--out", "model")
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert run("predict", "model", flowers, "--out", "pipe").stdout == ""
        assert os.read(reader, 10_000).decode() == run("predict", "model", flowers).stdout
    finally:
        os.close(reader)


ONE_WORKER = """
from importlib import util
util.find_spec = lambda name: None  # no PyTorch
from chainrule.cli import main
main(["bench", "--rounds", "1000"])
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="asks as Linux answers")
def test_ctrl_c_ends_the_processes_of_bench_without_a_word_from_them():
    command, pipe = [sys.executable, "-c", ONE_WORKER], subprocess.PIPE
    with subprocess.Popen(
        command, start_new_session=True, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            end = time.monotonic() + 30
            while sum(map(ignores, group(process.pid))) < 2 and time.monotonic() < end:
                assert process.poll() is None, process.communicate()
                time.sleep(0.01)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            output, errors = process.communicate(timeout=60)
        finally:
            with contextlib.suppress(ProcessLookupError):  # all have ended
                os.killpg(process.pid, signal.SIGKILL)
    assert (output, errors, process.returncode) == ("", "Interrupted.\n", 130)


def ignores(process):
    """Whether a process ignores Ctrl-C, as the worker and multiprocessing's own process do."""
    with contextlib.suppress(OSError):  # it has ended meanwhile
        status = (process / "status").read_text()
        return int(re.search(r"SigIgn:\t(\w+)", status)[1], 16) >> signal.SIGINT - 1 & 1
    return 0


def group(number):
    """The processes of a group."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            stat = (path / "stat").read_text()
            if int(stat.rpartition(")")[2].split()[2]) == number:
                found.append(path)
    return found
