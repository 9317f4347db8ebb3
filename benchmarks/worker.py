"""A process that trains one network by one library, and does what it is asked on its input.

Questions and answers are JSON, one per line.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import networks
from benchmarks.libraries import LIBRARIES, Training
from benchmarks.networks import Array, Network

WARM_UP_EPOCHS = 2


class Worker:
    """Answers questions about one network and library."""

    def __init__(self, library: str, network: Network) -> None:
        self.network = network
        self.x, self.y = networks.make_data(network)
        (found,) = (each for each in LIBRARIES if each.name == library)
        parameters = networks.first_parameters(network)
        self.first_loss = networks.mean_loss(parameters, self.x, self.y)
        begin = time.perf_counter()
        self.training: Training = found.load()(network, self.x, self.y, parameters)
        self.training.train_epoch()
        self.first_epoch_seconds = time.perf_counter() - begin

    def warm_up(self) -> dict[str, float]:
        """Finish the warm-up: the loss before and after it, and the time of the first epoch.

        That time begins with the library's import and includes all that it compiles.
        """
        for _ in range(WARM_UP_EPOCHS - 1):
            self.training.train_epoch()
        loss = networks.mean_loss(self.training.parameters(), self.x, self.y)
        return {
            "first_loss": self.first_loss,
            "loss": loss,
            "first_epoch_seconds": self.first_epoch_seconds,
        }

    def train(self, seconds: float) -> float:
        """Seconds per training step: the median of as many epochs as take `seconds`."""
        return time_of(self.training.train_epoch, seconds) / self.network.steps

    def predict(self, rows: int, seconds: float) -> float:
        """Seconds for predicting so many rows."""
        x = prediction_rows(self.network, rows)
        found = self.training.predict(x)
        expected = networks.logits(self.training.parameters(), x)
        agreeing = (found.argmax(axis=1) == expected.argmax(axis=1)).mean()
        if found.shape != expected.shape or agreeing < 0.99:
            raise ValueError(f"only {agreeing:.1%} of the predictions are right")
        return time_of(lambda: self.training.predict(x), seconds)


def prediction_rows(network: Network, rows: int) -> Array:
    return np.random.default_rng(3).standard_normal((rows, network.sizes[0]), np.float32)


def time_of(call: Callable[[], object], seconds: float) -> float:
    """The median time of a call, repeated until `seconds` are over."""
    times: list[float] = []
    while sum(times) < seconds:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main() -> None:
    # Answers go where standard output went; what a library prints goes to standard error.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    described: dict[str, Any] = json.loads(sys.argv[2])
    worker = Worker(sys.argv[1], Network(**{**described, "sizes": tuple(described["sizes"])}))
    for line in sys.stdin:
        question, arguments = json.loads(line)
        print(json.dumps(getattr(worker, question)(**arguments)), file=answers, flush=True)


if __name__ == "__main__":
    main()
