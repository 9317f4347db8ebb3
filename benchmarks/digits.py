"""From the start of a process to a trained and saved model of the digits."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.runner import ROOT, environment

GOOD_ACCURACY = 0.97


@dataclass
class Digits:
    """The results of one command that trains on the digits, round by round.

    Attributes:
        title: the title of the command.
        seconds: time from start to end.
        peak_bytes: peak of resident memory.
        accuracy: accuracy on the test rows.
    """

    title: str
    seconds: list[float] = field(default_factory=list)
    peak_bytes: list[int] = field(default_factory=list)
    accuracy: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def measure_digits(
    *,
    threads: int,
    rounds: int,
    sklearn: bool,
    say: Callable[[str], None] = lambda text: None,
) -> list[Digits]:
    """Measure `chainrule train digits`, and if `sklearn` the same training by scikit-learn.

    Args:
        threads: threads of each command.
        rounds: number of measured runs of each command; one more fills the file cache.
        sklearn: whether to measure scikit-learn, too.
        say: called with a text for the progress display.

    Raises:
        RuntimeError: a command failed, saved no file, or is below 97 % on the test rows.
    """
    commands = {"chainrule train digits": ["-m", "chainrule", "train", "digits", "--out"]}
    if sklearn:
        script = Path(__file__).with_name("digits_with_sklearn.py")
        commands["scikit-learn's MLPClassifier"] = [str(script)]
    results = {title: Digits(title) for title in commands}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            say(f"digits: round {number} of {rounds}")
            for title, command in commands.items():
                out = Path(folder) / f"model-{number}.safetensors"
                found = _run([sys.executable, *command, str(out)], threads)
                accuracies = re.findall(r"accuracy ([\d.]+)%", found["output"])
                accuracy = float(accuracies[-1]) / 100 if accuracies else 0.0
                if found["code"] or not out.is_file() or accuracy < GOOD_ACCURACY:
                    raise RuntimeError(f"{title} made no good model:\n{found['output']}")
                out.unlink()
                if number == 0:
                    continue  # this run filled the file cache
                results[title].seconds.append(found["seconds"])
                results[title].peak_bytes.append(found["peak_bytes"])
                results[title].accuracy = accuracy
    return list(results.values())


def _run(command: list[str], threads: int) -> Any:
    """Run a command under `process.py`; returns what that prints."""
    process = Path(__file__).with_name("process.py")
    text = subprocess.run(
        [sys.executable, "-I", "-S", str(process), *command],
        capture_output=True,
        text=True,
        check=True,
        env=environment(threads),
        cwd=ROOT,
    ).stdout
    return json.loads(text)
