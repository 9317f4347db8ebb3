"""A process that trains one network by one library, controlled by requests on its input.

Requests and answers are JSON, one per line.
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
    """One network and one library; each method answers one kind of request."""

    def __init__(self, library: str, network: Network) -> None:
        self.network = network
        self.x, self.y = networks.make_data(network)
        (chosen,) = (each for each in LIBRARIES if each.name == library)
        parameters = networks.first_parameters(network)
        self.first_loss = networks.mean_loss(parameters, self.x, self.y)
        begin = time.perf_counter()
        self.training: Training = chosen.load()(network, self.x, self.y, parameters)
        self.training.train_epoch()
        self.first_epoch_seconds = time.perf_counter() - begin

    def warm_up(self) -> dict[str, float]:
        """Finish the warm-up; returns the loss before and after it, and the first epoch's time.

        That time includes the import of the library and all compilation.
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
        """Seconds for the prediction of as many rows."""
        x = prediction_rows(self.network, rows)
        outputs = self.training.predict(x)
        expected = networks.logits(self.training.parameters(), x)
        agreement = (outputs.argmax(axis=1) == expected.argmax(axis=1)).mean()
        if outputs.shape != expected.shape or agreement < 0.99:
            raise ValueError(f"only {agreement:.1%} of the predictions are right")
        return time_of(lambda: self.training.predict(x), seconds)


def prediction_rows(network: Network, rows: int) -> Array:
    return np.random.default_rng(3).standard_normal((rows, network.sizes[0]), np.float32)


def time_of(call: Callable[[], object], seconds: float) -> float:
    """The median time of a call that is repeated for `seconds`."""
    times: list[float] = []
    while sum(times) < seconds:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main() -> None:
    # Answers go to standard output; the output of libraries is redirected to standard error.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    fields: dict[str, Any] = json.loads(sys.argv[2])
    worker = Worker(sys.argv[1], Network(**{**fields, "sizes": tuple(fields["sizes"])}))
    for line in sys.stdin:
        method, arguments = json.loads(line)
        print(json.dumps(getattr(worker, method)(**arguments)), file=answers, flush=True)


if __name__ == "__main__":
    main()
