"""Words: word2vec beside gensim, large tables beside PyTorch: `python -m benchmarks.words`.

Every library has a process of its own; they take turns.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console

from benchmarks.report import duration, new_table
from benchmarks.runner import SETTLE_SECONDS, environment, limit_cpus
from benchmarks.worker import time_of

WORDS, VOCABULARY, LINE = 1_000_000, 12_000, 8
VECTORS: dict[str, Any] = {
    **{"vector_size": 100, "window": 5, "negative": 5, "sg": 1, "sample": 1e-3},
    **{"min_count": 2, "epochs": 1},
}
ROWS, WIDTH, LOOK_UPS, STEPS = 1_000_000, 100, 1024, 16
RULES = ("SGD", "Adagrad", "SparseAdam")
LOSS_TOLERANCE = 1e-3
"""The allowed relative difference of the losses after the first steps on a table."""


@cache
def sentences(file: str | None) -> list[list[str]]:
    """The lines of a file, repeated to 1,000,000 words or more; without one, random lines.

    The random words have the frequencies of Zipf's law.
    """
    if file is None:
        random = np.random.default_rng(1)
        shares = 1 / np.arange(3, VOCABULARY + 3)
        words = random.choice(VOCABULARY, WORDS, p=shares / shares.sum()).tolist()
        return [[f"w{word}" for word in words[i : i + LINE]] for i in range(0, WORDS, LINE)]
    lines = [re.findall(r"[a-z']+", line.lower()) for line in Path(file).read_text().splitlines()]
    lines = [line for line in lines if line]
    return lines * -(-WORDS // max(1, sum(map(len, lines))))


def words_per_second(library: str, file: str | None) -> float:
    """Of an epoch of word2vec, with all that comes before it."""
    workers = int(os.environ["CHAINRULE_NUM_THREADS"])
    lines = sentences(file)
    if library == "chainrule":
        from chainrule.text import Word2Vec

        start = time.perf_counter()
        Word2Vec(**VECTORS, workers=workers).fit(lines)
    else:
        from gensim.models import Word2Vec as Gensim  # type: ignore[import-not-found]

        start = time.perf_counter()
        Gensim(lines, **VECTORS, workers=workers)
    return sum(map(len, lines)) / (time.perf_counter() - start)


@cache
def training(library: str, rule: str) -> Callable[[], float]:
    """A function that does the steps on a table of 1,000,000 x 100; it returns the last loss."""
    random = np.random.default_rng(1)
    x = random.integers(0, ROWS, STEPS * LOOK_UPS)
    y = random.standard_normal((STEPS * LOOK_UPS, WIDTH), np.float32)
    weight = np.zeros((ROWS, WIDTH), np.float32)
    if library == "chainrule":
        import chainrule as cr
        from chainrule import nn, optim

        table = nn.Embedding(ROWS, WIDTH, _weight=weight)
        optimizer = getattr(optim, rule)(table.parameters(), lr=0.01)
        trainer = cr.Trainer(table, nn.MSELoss(), optimizer)

        def epoch() -> float:
            history = trainer.fit(
                x, y, epochs=1, batch_size=LOOK_UPS, shuffle=False, progress=False
            )
            return float(history["loss"][-1])

        return epoch
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    layer = torch.nn.Embedding(ROWS, WIDTH, sparse=True, _weight=torch.from_numpy(weight))
    stepper = getattr(torch.optim, rule)(layer.parameters(), lr=0.01)
    loss_fn = torch.nn.MSELoss()
    rows, targets = torch.from_numpy(x).split(LOOK_UPS), torch.from_numpy(y).split(LOOK_UPS)

    def loop() -> float:
        losses = []
        for batch, target in zip(rows, targets, strict=True):
            loss = loss_fn(layer(batch), target)
            stepper.zero_grad()
            loss.backward()
            stepper.step()
            losses.append(loss.item())
        return statistics.mean(losses)

    return loop


def loss_after(library: str, rule: str, epochs: int) -> float:
    """The mean loss of the last of some epochs."""
    return [training(library, rule)() for _ in range(epochs)][-1]


def step_seconds(library: str, rule: str, seconds: float) -> float:
    """The median time of a step, after a first epoch: chainrule's copies the whole table."""
    epoch = training(library, rule)
    epoch()
    return time_of(epoch, seconds) / STEPS


def in_turns(
    libraries: list[str], rounds: int, call: Callable[..., float], *arguments: Any
) -> dict[str, list[float]]:
    """What `call(library, *arguments)` gives in each library's process, round by round."""
    found: dict[str, list[float]] = {library: [] for library in libraries}
    pools = {name: ProcessPoolExecutor(1, get_context("spawn")) for name in libraries}
    try:
        for _ in range(rounds):
            for library, pool in pools.items():
                time.sleep(SETTLE_SECONDS)
                found[library].append(pool.submit(call, library, *arguments).result())
    finally:
        for pool in pools.values():
            pool.shutdown()
    return found


def _ratio(ours: list[float], theirs: list[float]) -> str:
    return f"{statistics.median(a / b for a, b in zip(ours, theirs, strict=True)):.2f}"


def word2vec(console: Console, libraries: list[str], rounds: int, file: str | None) -> None:
    """Measure word2vec, and print the table."""
    table = new_table("word2vec: skip-gram, vectors of 100", ["words / s", "chainrule / it"])
    found = in_turns(libraries, rounds, words_per_second, file)
    for library, speeds in found.items():
        median = f"{statistics.median(speeds):,.0f}"
        table.add_row(library, median, _ratio(found["chainrule"], speeds))
    console.print(table)


def tables(console: Console, libraries: list[str], rounds: int, seconds: float, rule: str) -> None:
    """Measure steps on a large table, and print the times."""
    table = new_table(
        f"{rule}: {LOOK_UPS:,} look-ups in a table of {ROWS:,} x {WIDTH}",
        ["step", "chainrule / it"],
    )
    losses = in_turns(libraries, 1, loss_after, rule, 3)
    found = in_turns(libraries, rounds, step_seconds, rule, seconds)
    for library, times in found.items():
        median = duration(statistics.median(times))
        table.add_row(library, median, _ratio(found["chainrule"], times))
    console.print(table)
    ours = losses["chainrule"][0]
    for library, (loss,) in losses.items():
        if not abs(loss - ours) <= LOSS_TOLERANCE * ours:
            console.print(f"NOT COMPARABLE: {library}: loss {loss:.5f}, chainrule's is {ours:.5f}")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--text", "file", type=click.Path(exists=True, dir_okay=False), help="For word2vec.")
@click.option("--threads", type=click.IntRange(1), help="Of each library. [default: the CPUs]")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seconds", type=float, default=0.3, show_default=True, help="Duration of a turn.")
def main(file: str | None, threads: int | None, rounds: int, seconds: float) -> None:
    """Measure word2vec by chainrule and gensim, large tables by chainrule and PyTorch, in turns."""
    from chainrule.system.cpus import usable_cpus

    threads = threads or usable_cpus()
    os.environ.update(environment(threads))
    limit_cpus(threads)
    console = Console(highlight=False, markup=False)
    console.print(f"{threads} {'thread' if threads == 1 else 'threads'}, float32")
    word2vec(console, ["chainrule"] + ["gensim"] * bool(find_spec("gensim")), rounds, file)
    for rule in RULES:
        libraries = ["chainrule"] + ["PyTorch"] * bool(find_spec("torch"))
        tables(console, libraries, rounds, seconds, rule)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.words")
