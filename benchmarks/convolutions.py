"""Convolutional networks: chainrule beside PyTorch, `python -m benchmarks.convolutions`.

Both libraries have the same names, so each network is written down once. Every library has a
process of its own; they take turns, from the same weights, on the same images.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import click
import numpy as np
from rich.console import Console

from benchmarks.report import _table, duration
from benchmarks.runner import SETTLE_SECONDS, environment, limit_cpus
from benchmarks.worker import time_of

BATCH, STEPS, CLASSES = 64, 8, 10
PREDICTED = (1, 1000)
EPOCHS_BEFORE = 2
LOSS_TOLERANCE = 0.2
"""The allowed difference of the losses after the first epochs, relative to their decrease."""


def lenet(nn: Any) -> Any:
    """LeNet-5 with ReLU and maximum pooling."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, CLASSES)),
    )


def mnist(nn: Any) -> Any:
    """The network of PyTorch's MNIST example, without its dropout, which no two draw alike."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, CLASSES)),
    )


def resnet(nn: Any) -> Any:
    """Three residual blocks of 16, 32 and 64 channels."""

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.first = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
            self.first_norm = nn.BatchNorm2d(outputs)
            self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
            self.second_norm = nn.BatchNorm2d(outputs)
            self.relu = nn.ReLU()
            self.around = nn.Identity()
            if stride != 1:
                convolution = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
                self.around = nn.Sequential(convolution, nn.BatchNorm2d(outputs))

        def forward(self, x: Any) -> Any:
            y = self.relu(self.first_norm(self.first(x)))
            return self.relu(self.second_norm(self.second(y)) + self.around(x))

    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES)),
    )


NETWORKS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "lenet": (lenet, (1, 28, 28)),
    "mnist": (mnist, (1, 28, 28)),
    "resnet": (resnet, (3, 32, 32)),
}
"""By name: the network, and the shape of an image."""


def images_of(name: str, count: int) -> tuple[Any, Any]:
    """Images of each class's own pattern, with as much noise; their labels."""
    random = np.random.default_rng(1)
    patterns = random.standard_normal((CLASSES, *NETWORKS[name][1]), np.float32)
    y = random.integers(0, CLASSES, count)
    return patterns[y] + random.standard_normal((count, *NETWORKS[name][1]), np.float32), y


class WithChainrule:
    """The Trainer: an epoch is one call of `fit`."""

    def __init__(self, name: str, x: Any, y: Any) -> None:
        import chainrule as cr
        from chainrule import nn, optim

        cr.manual_seed(0)
        self.x, self.y, self.shape = x, y, x.shape[1:]
        self.model = NETWORKS[name][0](nn)
        optimizer = optim.SGD(self.model.parameters(), lr=0.02, momentum=0.9)
        self.trainer = cr.Trainer(self.model, nn.CrossEntropyLoss(), optimizer)

    def flops(self) -> int:
        """2 for each weight and each place that it is used at, three times; of a training step.

        The first layer needs no gradient of its input.
        """
        found: list[int] = []

        def count(module: Any, inputs: Any, output: Any) -> None:
            found.append(2 * output.size * math.prod(module.weight.shape[1:]))

        weighted = [m for m in self.model.modules() if hasattr(m, "weight") and m.weight.ndim > 1]
        hooks = [module.register_forward_hook(count) for module in weighted]
        self.model(np.zeros((1, *self.shape), np.float32))
        for hook in hooks:
            hook.remove()
        return BATCH * (3 * sum(found) - found[0])

    def weights(self) -> dict[str, Any]:
        return dict(self.model.state_dict())

    def load(self, weights: dict[str, Any]) -> None:
        self.model.load_state_dict(weights)

    def train_epoch(self) -> None:
        self.trainer.fit(self.x, self.y, epochs=1, batch_size=BATCH, progress=False)

    def predict(self, x: Any) -> Any:
        return self.trainer.predict(x)


class WithPyTorch:
    """The loop of PyTorch's tutorials, with one kernel for the optimiser's update."""

    compiled = False

    def __init__(self, name: str, x: Any, y: Any) -> None:
        import torch

        self.torch = torch
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)
        self.model = NETWORKS[name][0](torch.nn)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.02, momentum=0.9, fused=True)
        loss_fn = torch.nn.CrossEntropyLoss()

        def loss(x: Any, y: Any) -> Any:
            return loss_fn(self.model(x), y)

        self.loss = torch.compile(loss, dynamic=False) if self.compiled else loss

    def weights(self) -> dict[str, Any]:
        return {name: t.numpy().copy() for name, t in self.model.state_dict().items()}

    def load(self, weights: dict[str, Any]) -> None:
        states = {name: self.torch.from_numpy(np.array(w)) for name, w in weights.items()}
        self.model.load_state_dict(states)

    def train_epoch(self) -> None:
        self.model.train()
        for rows in self.torch.randperm(len(self.x)).split(BATCH):
            loss = self.loss(self.x[rows], self.y[rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def predict(self, x: Any) -> Any:
        self.model.eval()
        with self.torch.inference_mode():
            return self.model(self.torch.from_numpy(x)).numpy()


class WithCompiledPyTorch(WithPyTorch):
    """With the model, the loss and their backward pass compiled; needs a C++ compiler."""

    compiled = True


LIBRARIES: dict[str, type[Any]] = {
    "chainrule": WithChainrule,
    "PyTorch": WithPyTorch,
    "PyTorch, compile": WithCompiledPyTorch,
}


def mean_loss(logits: Any, y: Any) -> float:
    """The mean cross-entropy."""
    z = logits - logits.max(axis=1, keepdims=True)
    return float((np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), y]).mean())


def work(connection: Connection, library: str, name: str) -> None:
    """What a process does: answers the method and its arguments that come by the connection."""
    x, y = images_of(name, BATCH * STEPS)
    training = LIBRARIES[library](name, x, y)
    methods = {
        "flops": lambda: training.flops(),
        "weights": training.weights,
        "load": training.load,
        "train_epoch": training.train_epoch,
        "loss": lambda: mean_loss(training.predict(x), y),
        "train": lambda seconds: time_of(training.train_epoch, seconds) / STEPS,
        "predict": lambda rows, seconds: time_of(lambda: training.predict(more[:rows]), seconds),
    }
    more, _ = images_of(name, max(PREDICTED))
    while True:
        method, arguments = connection.recv()
        connection.send(methods[method](*arguments))


class Worker:
    """A process of a library."""

    def __init__(self, library: str, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, library, name), daemon=True)
        self._process.start()

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of `work`; returns its result."""
        self._connection.send((method, arguments))
        while not self._connection.poll(1):
            if not self._process.is_alive():
                raise click.ClickException(f"a library has ended in {method!r}")
        return self._connection.recv()

    def close(self) -> None:
        self._process.terminate()
        self._process.join()


def measure(console: Console, name: str, libraries: list[str], rounds: int, seconds: float) -> None:
    """Measure a network by all libraries, and print the table."""
    from chainrule.system.machine import fma_peak

    workers = {library: Worker(library, name) for library in libraries}
    try:
        weights = workers["chainrule"].call("weights")
        flops = workers["chainrule"].call("flops")
        losses = {}
        for library, worker in workers.items():
            worker.call("load", weights)
            first = worker.call("loss")
            for _ in range(EPOCHS_BEFORE):
                worker.call("train_epoch")
            losses[library] = (first, worker.call("loss"))
        calls: list[tuple[str, tuple[float, ...]]] = [("train", (seconds,))]
        calls += [("predict", (rows, seconds)) for rows in PREDICTED]
        times: dict[str, list[list[float]]] = {library: [] for library in workers}
        for method, arguments in calls:
            for library in times:
                times[library].append([])
            for _ in range(rounds):
                for library, worker in workers.items():
                    time.sleep(SETTLE_SECONDS)
                    times[library][-1].append(worker.call(method, *arguments))
    finally:
        for worker in workers.values():
            worker.close()
    peak = fma_peak("float32", int(os.environ["CHAINRULE_NUM_THREADS"])) * 1e9
    columns = ["step", "of peak", "chainrule / it"]
    for rows in PREDICTED:
        columns += [f"{rows:,} predicted", "chainrule / it"]
    table = _table(f"{name}: {flops / 1e6:,.0f} MFLOP a step of {BATCH} images", columns)
    for library, taken in times.items():
        cells = []
        for number, found in enumerate(taken):
            median = statistics.median(found)
            pairs = zip(times["chainrule"][number], found, strict=True)
            cells += [duration(median)] + [f"{flops / median / peak:.1%}"] * (number == 0)
            cells.append(f"{statistics.median(a / b for a, b in pairs):.2f}")
        table.add_row(library, *cells)
    console.print(table)
    before, expected = losses["chainrule"]
    for library, (first, loss) in losses.items():
        if not abs(loss - expected) + abs(first - before) <= LOSS_TOLERANCE * (before - expected):
            console.print(
                f"NOT COMPARABLE: {library}: loss {first:.4f}, then {loss:.4f}, where chainrule's "
                f"is {before:.4f}, then {expected:.4f}"
            )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--network", "networks", multiple=True, type=click.Choice(list(NETWORKS)))
@click.option("--threads", type=click.IntRange(1), help="Of each library. [default: the CPUs]")
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True)
@click.option("--seconds", type=float, default=0.2, show_default=True, help="Duration of a turn.")
@click.option("--compile", "compiled", is_flag=True, help="Measure torch.compile, too.")
def main(
    networks: tuple[str, ...], threads: int | None, rounds: int, seconds: float, compiled: bool
) -> None:
    """Measure convolutional networks by chainrule and by PyTorch, in turns."""
    from chainrule.system.cpus import usable_cpus

    threads = threads or usable_cpus()
    os.environ.update(environment(threads))
    limit_cpus(threads)
    console = Console(highlight=False, markup=False)
    console.print(f"{threads} {'thread' if threads == 1 else 'threads'}, float32")
    libraries = [name for name in LIBRARIES if compiled or name != "PyTorch, compile"]
    for name in networks or NETWORKS:
        measure(console, name, libraries, rounds, seconds)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.convolutions")
