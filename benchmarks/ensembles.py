"""Networks side by side beside one large product: `python -m benchmarks.ensembles`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import click
import numpy as np

import chainrule as cr
from benchmarks.networks import MOMENTUM, Network, make_data
from chainrule import nn, optim

NETWORKS = (
    Network((64, 64, 64, 10), 64),
    Network((64, 64, 64, 10), 64, "adam"),
    Network((256, 256, 256, 256, 10), 256),
)
SIZE = 2048
"""Rows and columns of the large product's matrices."""
PAUSE = 0.2
"""Seconds between two turns, in which idle threads go to sleep."""


def trainer_of(network: Network) -> Callable[[int], cr.Trainer]:
    """What makes a member of a seed."""

    def make(seed: int) -> cr.Trainer:
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(network.sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        model = nn.Sequential(*layers[:-1])
        optimizer: optim.Optimizer = (
            optim.Adam(model.parameters(), lr=network.lr)
            if network.optimizer == "adam"
            else optim.SGD(model.parameters(), lr=network.lr, momentum=MOMENTUM)
        )
        return cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, seed=seed)

    return make


def fits(network: Network, members: int, epochs: int) -> Callable[[], float]:
    """What fits an ensemble and returns operations a second."""
    x, y = make_data(network)
    ensemble = cr.Ensemble(trainer_of(network), members)
    ensemble.fit(x, y, epochs=1, batch_size=network.batch, progress=False)
    operations = members * epochs * network.steps * network.flops_per_step

    def run() -> float:
        time.sleep(PAUSE)
        start = time.perf_counter()
        ensemble.fit(x, y, epochs=epochs, batch_size=network.batch, progress=False)
        return operations / (time.perf_counter() - start)

    return run


def product() -> Callable[[], float]:
    """What multiplies two large matrices and returns operations a second."""
    a, b = np.random.default_rng(0).standard_normal((2, SIZE, SIZE), np.float32)
    out = np.empty_like(a)

    def run() -> float:
        time.sleep(PAUSE)
        start = time.perf_counter()
        np.matmul(a, b, out=out)
        return 2 * SIZE**3 / (time.perf_counter() - start)

    return run


@click.command()
@click.option("--members", multiple=True, default=(8, 32), show_default=True)
@click.option("--epochs", default=10, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", type=int, help="Threads of both; by default the CPUs.")
def main(members: tuple[int, ...], epochs: int, rounds: int, threads: int | None) -> None:
    """Measure the rate of an `Ensemble`'s fits as a share of that of one large product."""
    cr.set_num_threads(threads or cr.get_num_threads())
    multiply = product()
    multiply()
    for network in NETWORKS:
        for count in members:
            fit = fits(network, count, epochs)
            rates = [(fit(), multiply()) for _ in range(rounds)]
            ours, large = (statistics.median(rate) for rate in zip(*rates, strict=True))
            share = statistics.median(own / other for own, other in rates)
            click.echo(
                f"{network.name:24} {count:3} members {ours / 1e9:6.0f} GFLOP/s, "
                f"{SIZE}^3 {large / 1e9:6.0f} GFLOP/s, share {share:.2f}"
            )
    cr.set_num_threads(None)


if __name__ == "__main__":
    main()
