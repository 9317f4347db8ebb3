"""Networks of convolutions, attention and recurrence: chainrule beside PyTorch and JAX.

`python -m benchmarks.architectures`. Every library has a process of its own; they take turns, from
the same weights, on the same data.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import statistics
import time
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any

import click
import numpy as np
from rich.console import Console

from benchmarks.models import ARCHITECTURES, DECAY, Architecture
from benchmarks.networks import MOMENTUM, cross_entropy
from benchmarks.report import duration, new_table
from benchmarks.runner import SETTLE_SECONDS, environment, limit_cpus
from benchmarks.worker import time_of

STEPS = 8
PREDICTED = (1, 1000)
EPOCHS_BEFORE = 2
LOSS_TOLERANCE = 0.2
"""The allowed difference of the losses after the first epochs, relative to their decrease."""


def optimizer_of(optim: Any, model: Any, architecture: Architecture, **options: Any) -> Any:
    """The optimiser, by a library's `optim`."""
    parameters, lr = model.parameters(), architecture.lr
    if architecture.optimizer == "sgd":
        return optim.SGD(parameters, lr=lr, momentum=MOMENTUM, **options)
    if architecture.optimizer == "adam":
        return optim.Adam(parameters, lr=lr, **options)
    return optim.AdamW(parameters, lr=lr, weight_decay=DECAY, **options)


class WithChainrule:
    """The Trainer: an epoch is one call of `fit`."""

    def __init__(self, name: str, x: Any, y: Any) -> None:
        import chainrule as cr
        from chainrule import nn, optim

        cr.manual_seed(0)
        architecture = ARCHITECTURES[name]
        self.x, self.y, self.batch = x, y, architecture.batch
        self.model = architecture.build(nn)
        self.flops = architecture.flops(self.model)
        loss_fn = nn.CrossEntropyLoss()

        def loss(logits: Any, y: Any) -> Any:
            return loss_fn(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))

        optimizer = optimizer_of(optim, self.model, architecture)
        self.trainer = cr.Trainer(self.model, loss, optimizer)

    def weights(self) -> dict[str, Any]:
        return dict(self.model.state_dict())

    def load(self, weights: dict[str, Any]) -> None:
        self.model.load_state_dict(weights)

    def train_epoch(self) -> None:
        self.trainer.fit(self.x, self.y, epochs=1, batch_size=self.batch, progress=False)

    def predict(self, x: Any) -> Any:
        return self.trainer.predict(x)


class WithPyTorch:
    """The loop of PyTorch's tutorials, with one kernel for the optimiser's update."""

    compiled = False

    def __init__(self, name: str, x: Any, y: Any) -> None:
        import torch

        self.torch = torch
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        architecture = ARCHITECTURES[name]
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)
        self.batch = architecture.batch
        self.model = architecture.build(torch.nn)
        self.optimizer = optimizer_of(torch.optim, self.model, architecture, fused=True)
        loss_fn = torch.nn.CrossEntropyLoss()

        def loss(x: Any, y: Any) -> Any:
            logits = self.model(x)
            return loss_fn(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))

        self.loss = torch.compile(loss, dynamic=False) if self.compiled else loss

    def load(self, weights: dict[str, Any]) -> None:
        states = {name: self.torch.from_numpy(np.array(w)) for name, w in weights.items()}
        self.model.load_state_dict(states)

    def train_epoch(self) -> None:
        self.model.train()
        for rows in self.torch.randperm(len(self.x)).split(self.batch):
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


def with_jax(name: str, x: Any, y: Any) -> Any:
    """JAX's compiled step; the module is imported in the process that trains."""
    from benchmarks.models_in_jax import WithJax

    return WithJax(name, x, y)


LIBRARIES: dict[str, tuple[str, Any]] = {
    "chainrule": ("chainrule", WithChainrule),
    "PyTorch": ("torch", WithPyTorch),
    "PyTorch, compile": ("torch", WithCompiledPyTorch),
    "JAX": ("jax", with_jax),
}
"""By name: the module that must be installed, and the training."""


def work(connection: Connection, library: str, name: str) -> None:
    """What a process does: answers the method and its arguments that come by the connection."""
    architecture = ARCHITECTURES[name]
    x, y = architecture.data(architecture.batch * STEPS)
    training = LIBRARIES[library][1](name, x, y)
    more, _ = architecture.data(max(PREDICTED))

    def predict(rows: int, seconds: float) -> float:
        training.predict(more[:rows])  # the first call of a size compiles
        return time_of(lambda: training.predict(more[:rows]), seconds)

    methods = {
        "flops": lambda: training.flops,
        "weights": lambda: training.weights(),
        "load": training.load,
        "train_epoch": training.train_epoch,
        "loss": lambda: cross_entropy(training.predict(x), y),
        "train": lambda seconds: time_of(training.train_epoch, seconds) / STEPS,
        "predict": predict,
    }
    with contextlib.suppress(EOFError, BrokenPipeError):  # the other end has gone
        while True:
            method, arguments = connection.recv()
            connection.send(methods[method](*arguments))


class LibraryEndedError(Exception):
    """The process of a library has ended in a method."""

    def __init__(self, library: str, method: str) -> None:
        super().__init__(f"{library} has ended in {method!r}")
        self.library = library


class Worker:
    """A process of a library."""

    def __init__(self, library: str, name: str) -> None:
        self._library = library
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, library, name), daemon=True)
        self._process.start()

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of `work`; returns its result."""
        try:
            self._connection.send((method, arguments))
            return self._connection.recv()
        except (EOFError, ConnectionError):
            raise LibraryEndedError(self._library, method) from None

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
    columns = ["step", "of peak", "ratio"]
    for count in PREDICTED:
        columns += [f"{count:,} {'input' if count == 1 else 'inputs'}", "ratio"]
    batch = ARCHITECTURES[name].batch
    table = new_table(f"{name}: {flops / 1e6:,.0f} MFLOP a step, minibatches of {batch}", columns)
    for library, taken in times.items():
        cells = []
        for number, found in enumerate(taken):
            median = statistics.median(found)
            pairs = zip(times["chainrule"][number], found, strict=True)
            cells += [duration(median)] + [f"{flops / median / peak:.1%}"] * (number == 0)
            cells.append(f"{statistics.median(a / b for a, b in pairs):.2f}")
        table.add_row(library, *cells)
    console.print(table)
    console.print(
        "ratio: chainrule's time by the library's; inputs: the time of their prediction\n"
    )
    before, expected = losses["chainrule"]
    for library, (first, loss) in losses.items():
        if not abs(loss - expected) + abs(first - before) <= LOSS_TOLERANCE * (before - expected):
            console.print(
                f"NOT COMPARABLE: {library}: loss {first:.4f}, then {loss:.4f}, where chainrule's "
                f"is {before:.4f}, then {expected:.4f}"
            )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--network", "networks", multiple=True, type=click.Choice(list(ARCHITECTURES)))
@click.option("--library", "libraries", multiple=True, type=click.Choice(list(LIBRARIES)))
@click.option("--threads", type=click.IntRange(1), help="Of each library. [default: the CPUs]")
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True)
@click.option("--seconds", type=float, default=0.2, show_default=True, help="Duration of a turn.")
def main(
    networks: tuple[str, ...],
    libraries: tuple[str, ...],
    threads: int | None,
    rounds: int,
    seconds: float,
) -> None:
    """Measure networks of convolutions, attention and recurrence beside PyTorch and JAX, in turns.

    Libraries that are not installed are left out; chainrule is always there.
    """
    from chainrule.system.cpus import usable_cpus

    threads = threads or usable_cpus()
    os.environ.update(environment(threads))
    limit_cpus(threads)
    console = Console(highlight=False, markup=False)
    console.print(f"{threads} {'thread' if threads == 1 else 'threads'}, float32")
    chosen = [
        name
        for name, (module, _) in LIBRARIES.items()
        if find_spec(module) and (name in libraries or not libraries or name == "chainrule")
    ]
    for name in networks or ARCHITECTURES:
        measure_what_works(console, name, chosen, rounds, seconds)


def measure_what_works(
    console: Console, name: str, libraries: list[str], rounds: int, seconds: float
) -> None:
    """Measure a network by the libraries, again without a peer whose process has ended."""
    try:
        measure(console, name, libraries, rounds, seconds)
    except LibraryEndedError as error:
        if error.library == "chainrule":
            raise click.ClickException(str(error)) from None
        console.print(f"{name}: {error} and is left out")
        others = [library for library in libraries if library != error.library]
        measure_what_works(console, name, others, rounds, seconds)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.architectures")
