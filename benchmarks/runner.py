"""Runs the workers in turn, so that a disturbance of the machine affects all of them alike."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.libraries import Library
from benchmarks.networks import Network

ROOT = Path(__file__).parents[1]
SETTLE_SECONDS = 0.1
"""A pause before each measurement, in which the threads of the library before stop spinning."""
LOSS_TOLERANCE = 0.05
"""The allowed difference of a loss from the median of all, relative to the median's decrease."""


class WorkerError(Exception):
    """A worker has ended without an answer; the message is the last line of its errors."""


def environment(threads: int) -> dict[str, str]:
    """Environment variables that set the number of threads of every library."""
    names = [
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NPROC",
        "PJRT_NPROC",
        "CHAINRULE_NUM_THREADS",
    ]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    settings = {**os.environ, **dict.fromkeys(names, str(threads)), "PYTHONPATH": path}
    settings |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    if threads == 1:
        flags = os.environ.get("XLA_FLAGS", "")
        settings["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    return settings


def limit_cpus(threads: int) -> None:
    """Limit this process and its children to that many CPUs, where the system can.

    JAX runs as many threads as it may use CPUs, whatever its settings are.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


class WorkerProcess:
    """A process of `benchmarks.worker`, for one network and one library."""

    def __init__(self, library: Library, network: Network, threads: int) -> None:
        self.library = library
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.worker",
                library.name,
                json.dumps(dataclasses.asdict(network)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment(threads),
        )

    def call(self, method: str, **arguments: Any) -> Any:
        """Call a method of the worker; returns its result."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([method, arguments]) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._process.wait()
            self._errors.seek(0)
            lines = self._errors.read().strip().splitlines()
            raise WorkerError(lines[-1] if lines else f"exit code {self._process.returncode}")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


@dataclass
class Measured:
    """The times of one library, one per round.

    Attributes:
        library: the library.
        seconds: seconds per step, or per call.
        warm_up: the result of the worker's `warm_up`.
        fault: the reason why it can't be compared with the others, or None.
    """

    library: Library
    seconds: list[float]
    warm_up: dict[str, float] = dataclasses.field(default_factory=dict)
    fault: str | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def least(self) -> float:
        return min(self.seconds)

    def ratio(self, other: Measured) -> float:
        """The ratio of this time to the other's: the median of the rounds' ratios."""
        pairs = zip(self.seconds, other.seconds, strict=True)
        return statistics.median(a / b for a, b in pairs)


@dataclass
class Results:
    """The measurements of one network.

    Attributes:
        training: for each library, seconds per training step.
        prediction: the same per call of a prediction, by the number of rows.
        failed: the errors of the libraries that were left out, by their names.
    """

    network: Network
    training: list[Measured]
    prediction: dict[int, list[Measured]]
    failed: dict[str, str]


def measure(
    network: Network,
    libraries: Iterable[Library],
    *,
    threads: int,
    rounds: int,
    seconds: float,
    predict_rows: Sequence[int] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Results:
    """Measure training and prediction of the network by every library.

    Args:
        threads: threads of every library.
        rounds: number of turns of each library.
        seconds: approximate duration of a turn; it takes at least an epoch.
        predict_rows: numbers of rows to predict.
        say: called with a text for the progress display.
    """
    workers: dict[str, WorkerProcess] = {}
    training: dict[str, Measured] = {}
    failed: dict[str, str] = {}
    try:
        for library in libraries:
            if network.regularized and not library.regularizes:
                continue
            say(f"{network.name}: {library.title} starts")
            worker = workers[library.name] = WorkerProcess(library, network, threads)
            try:
                training[library.name] = Measured(library, [], worker.call("warm_up"))
            except WorkerError as error:
                failed[library.name] = str(error)
                workers.pop(library.name).close()
        mark_faults(list(training.values()))

        def take_turns(measured: dict[str, Measured], method: str, **arguments: Any) -> None:
            for number in range(rounds):
                say(f"{network.name}: {method}, round {number + 1} of {rounds}")
                for name, result in list(measured.items()):
                    time.sleep(SETTLE_SECONDS)
                    try:
                        result.seconds.append(workers[name].call(method, **arguments))
                    except WorkerError as error:
                        failed[name] = str(error)
                        workers.pop(name).close()
                        del measured[name]

        take_turns(training, "train", seconds=seconds)
        prediction = {}
        for rows in predict_rows:
            measured = {
                name: Measured(result.library, [])
                for name, result in training.items()
                if result.library.predicts and name in workers
            }
            take_turns(measured, "predict", rows=rows, seconds=seconds)
            prediction[rows] = list(measured.values())
    finally:
        for worker in workers.values():
            worker.close()
    return Results(network, list(training.values()), prediction, failed)


def mark_faults(training: Sequence[Measured]) -> None:
    """Mark the libraries whose loss differs from the others' after the same number of epochs.

    All start from the same weights; another order of the rows changes the loss only a little.
    """
    if not training:
        return
    expected = statistics.median(each.warm_up["loss"] for each in training)
    for each in training:
        first, loss = each.warm_up["first_loss"], each.warm_up["loss"]
        if not abs(loss - expected) <= LOSS_TOLERANCE * (first - expected):
            each.fault = f"loss {loss:.4f} where the median of all is {expected:.4f}"
