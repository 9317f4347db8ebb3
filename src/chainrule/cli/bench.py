"""`chainrule bench`: the time of a training step on this machine, and PyTorch's if installed.

This is a short form of `benchmarks/` in the repository, which has more networks, libraries and
figures.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any

import click

NETWORKS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((4, 16, 16, 3), 32),
    ((64, 100, 10), 64),
    ((784, 512, 512, 10), 64),
)
"""Sizes of the layers, and rows in a minibatch."""
ROWS = 2_560
TURN_SECONDS = 0.1
LR, MOMENTUM = 0.02, 0.9


@click.command(short_help="Measure how fast training is here.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--threads", type=click.IntRange(1), help="[default: the usable CPUs]")
def bench(rounds: int, threads: int | None) -> None:
    """Measure the time of a training step, of chainrule and of PyTorch if it is installed.

    The networks have ReLU and softmax cross-entropy, and train by SGD with momentum in float32. The
    time includes shuffling and gathering the minibatch. Both libraries train in turn, each in its
    own process. Times are medians over the rounds; the peak is that of fused multiply-adds in
    registers.
    """
    from chainrule.cli import output
    from chainrule.system.cpus import usable_cpus
    from chainrule.system.machine import fma_peak

    threads = threads or usable_cpus()
    libraries = ["chainrule"] + ["PyTorch"] * (find_spec("torch") is not None)
    peak, found = 0.0, []
    for sizes, batch in NETWORKS:
        peak = max(peak, fma_peak("float32", threads))
        found.append(measure(libraries, sizes, batch, rounds, threads))
    rows = []
    for (sizes, batch), times in zip(NETWORKS, found, strict=True):
        gflops = flops_per_step(sizes, batch) / statistics.median(times["chainrule"]) / 1e9
        cells = [f"{'-'.join(map(str, sizes))}, batch {batch}"]
        cells += [f"{statistics.median(times[name]) * 1e6:,.0f} us" for name in libraries]
        if "PyTorch" in times:
            pairs = zip(times["PyTorch"], times["chainrule"], strict=True)
            cells.append(f"{statistics.median(a / b for a, b in pairs):,.1f}")
        rows.append([*cells, f"{gflops:.1f}", f"{gflops / peak:.1%}"])
    headings = ["training step", *libraries, *["speed-up"] * (len(libraries) - 1)]
    headings += ["GFLOP/s", "of peak"]
    sides = ["left"] + ["right"] * (len(headings) - 1)
    output.show_table(dict(zip(headings, sides, strict=True)), rows)
    click.echo(f"{threads} {'thread' if threads == 1 else 'threads'}, float32, {rounds} rounds")
    if "PyTorch" not in libraries:
        click.echo("PyTorch is not installed. To compare its times: pip install torch")


def flops_per_step(sizes: Sequence[int], batch: int) -> int:
    """2 B (3 sum(w) - w_1), w_i the weights of layer i: the first layer needs no dX.

    >>> flops_per_step((784, 512, 512, 10), 64)
    205389824
    """
    weights = [n * m for n, m in pairwise(sizes)]
    return 2 * batch * (3 * sum(weights) - weights[0])


def measure(
    libraries: Sequence[str], sizes: Sequence[int], batch: int, rounds: int, threads: int
) -> dict[str, list[float]]:
    """Seconds per training step, for each library one per round.

    Raises:
        RuntimeError: a library's process has ended.
    """
    from multiprocessing import get_context

    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CHAINRULE_NUM_THREADS")
    os.environ.update(dict.fromkeys(names, str(threads)))  # the processes inherit them
    context = get_context("spawn")
    times: dict[str, list[float]] = {name: [] for name in libraries}
    workers: dict[str, Any] = {}
    try:
        for name in libraries:
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, name, sizes, batch, threads))
            process.start()
            theirs.close()
            workers[name] = (ours, process)
        for turn in range(-1, rounds):
            for name, (connection, _) in workers.items():
                time.sleep(TURN_SECONDS if turn >= 0 else 0)  # until the other's threads sleep
                connection.send("epoch")
                seconds = connection.recv()
                if turn >= 0:  # the turn before includes all imports
                    times[name].append(seconds)
    except (EOFError, OSError) as error:
        raise RuntimeError(f"{name} could not train; its error is printed above") from error
    finally:
        for connection, process in workers.values():
            connection.close()
            process.terminate()
            process.join()
    return times


def _work(
    connection: Connection, name: str, sizes: Sequence[int], batch: int, threads: int
) -> None:
    """Train and send the seconds per step at each request, until it is terminated."""
    import numpy as np

    # A terminal's Ctrl-C goes to all processes: the one that began this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    random = np.random.default_rng(1)
    x = random.standard_normal((ROWS, sizes[0]), np.float32)
    y = (x @ random.standard_normal((sizes[0], sizes[-1]), np.float32)).argmax(axis=1)
    make = _chainrule_epoch if name == "chainrule" else _pytorch_epoch
    train_epoch = make(x, y, sizes, batch, threads)
    train_epoch()
    while True:
        try:
            connection.recv()
            times: list[float] = []
            while sum(times) < TURN_SECONDS:
                begin = time.perf_counter()
                train_epoch()
                times.append(time.perf_counter() - begin)
            connection.send(statistics.median(times) / (ROWS // batch))
        except (EOFError, OSError):
            return


def _layers(nn: Any, sizes: Sequence[int]) -> Any:
    layers = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _chainrule_epoch(
    x: Any, y: Any, sizes: Sequence[int], batch: int, threads: int
) -> Callable[[], object]:
    from chainrule import nn, optim
    from chainrule.train import Trainer

    model = _layers(nn, sizes)
    optimizer = optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)
    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer)
    return lambda: trainer.fit(x, y, epochs=1, batch_size=batch, progress=False)


def _pytorch_epoch(
    x: Any, y: Any, sizes: Sequence[int], batch: int, threads: int
) -> Callable[[], object]:
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    model, loss_fn = _layers(nn, sizes), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)

    def train_epoch() -> None:
        order: Any = torch.randperm(len(x))
        for rows in order.split(batch):
            loss = loss_fn(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return train_epoch
