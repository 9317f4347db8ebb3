"""`python -m benchmarks`: its options, and the run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click
from rich.console import Console

from benchmarks import report
from benchmarks.digits import Digits, measure_digits
from benchmarks.libraries import FAMILIES, REMEDIES, Library, find_libraries
from benchmarks.networks import NETWORKS, find_networks, make_data
from benchmarks.runner import Results, limit_cpus, measure

QUICK_NETWORKS = 3
PREDICTING = "784-512-512-10:64"
PREDICT_ROWS = (1, 10_000)
PLAIN_WIDTH = 100


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  python -m benchmarks --json results.json
  python -m benchmarks --quick
  python -m benchmarks --network 784-512-512-10 --library chainrule --library jax
  python -m benchmarks --mnist data/mnist --network 784-512-512-10:64:mnist
""",
)
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="NAME",
    help="Only networks whose names start with NAME; may be repeated: "
    + ", ".join(network.name for network in NETWORKS)
    + ".",
)
@click.option(
    "--library",
    "libraries",
    multiple=True,
    metavar="NAME",
    help=f"Only this library; may be repeated: {', '.join(FAMILIES)}; or one variant: jax-scan.",
)
@click.option(
    "--mnist",
    type=click.Path(exists=True, file_okay=False),
    metavar="FOLDER",
    help="The folder of MNIST's files: 784-512-512-10 also trains on its images.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Threads of every library.  [default: the usable CPUs]",
)
@click.option("--rounds", type=click.IntRange(1), help="Turns of every library.  [default: 7]")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    help="Duration of a turn; it takes at least an epoch.  [default: 0.2]",
)
@click.option(
    "--quick",
    is_flag=True,
    help="Three networks, fewer rows, 3 short rounds, no digits: less than a minute.",
)
@click.option("--digits/--no-digits", default=None, help="Train on the digits, too.")
@click.option(
    "--json", "json_file", type=click.File("w", lazy=True), help="Write all figures to this file."
)
def main(
    networks: tuple[str, ...],
    libraries: tuple[str, ...],
    mnist: str | None,
    threads: int | None,
    rounds: int | None,
    seconds: float | None,
    quick: bool,
    digits: bool | None,
    json_file: Any,
) -> None:
    """Measure chainrule beside PyTorch, JAX, scikit-learn and NumPy, in one run.

    In each round every library has one turn. Times are the median over the rounds, and "chainrule /
    it" is the median of the rounds' ratios: below 1, chainrule is faster. The peak is that of fused
    multiply-adds in registers, measured in the same run.
    """
    console = Console(
        highlight=False, markup=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH
    )
    try:
        chosen_networks, chosen = find_networks(networks, mnist), find_libraries(libraries)
        for network in chosen_networks:
            if network.mnist is not None:
                make_data(network)  # its errors would otherwise come minutes later
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if quick:
        chosen_networks = [
            replace(n, rows=n.rows // 4) for n in chosen_networks if n in NETWORKS[:QUICK_NETWORKS]
        ] or chosen_networks
        chosen = [library for library in chosen if library.quick or library.name in libraries]
    rounds = rounds or (3 if quick else 7)
    seconds = seconds or (0.05 if quick else 0.2)
    chosen = leave_out_missing(console, chosen)
    cpu, threads = the_machine(console, threads)
    peaks: list[float] = []
    all_results: list[Results] = []
    digits_results: list[Digits] = []

    def figures() -> dict[str, Any]:
        peak = max(peaks, default=None)
        return report.as_json(all_results, digits_results, threads=threads, peak=peak, cpu=cpu)

    with written_at_the_end(json_file, figures), console.status("") as status:
        for network in chosen_networks:
            peaks.append(measured_peak(threads))
            results = measure(
                network,
                chosen,
                threads=threads,
                rounds=rounds,
                seconds=seconds,
                predict_rows=PREDICT_ROWS if network.name == PREDICTING else (),
                say=status.update,
            )
            all_results.append(results)
            peaks.append(measured_peak(threads))
            report.show_training(console, results, max(peaks))
            report.show_prediction(console, results)
        if digits or (digits is None and not (quick or networks)):
            families = {library.family for library in chosen}
            if "chainrule" in families:
                try:
                    digits_results += measure_digits(
                        threads=threads, rounds=rounds, sklearn="sklearn" in families,
                        say=status.update,
                    )  # fmt: skip
                except RuntimeError as error:
                    raise click.ClickException(str(error)) from None
                report.show_digits(console, digits_results)
    report.show_summary(console, all_results)


@contextmanager
def written_at_the_end(json_file: Any, figures: Callable[[], Any]) -> Iterator[None]:
    """Write to a file, if there is one, what was measured, even if an error ends the run."""
    try:
        yield
    finally:
        if json_file is not None:
            json.dump(figures(), json_file, indent=1)
            json_file.write("\n")


def leave_out_missing(console: Console, libraries: list[Library]) -> list[Library]:
    """The libraries that are installed; prints a line for each family that is not."""
    missing = {library.family for library in libraries if not library.installed}
    for family in sorted(missing):
        console.print(f"{FAMILIES[family]} is not installed and is left out: {REMEDIES[family]}")
    return [library for library in libraries if library.installed]


def the_machine(console: Console, threads: int | None) -> tuple[str, int]:
    """The CPU's name and the number of threads; limits this process to as many CPUs."""
    from chainrule.system.cpus import usable_cpus
    from chainrule.system.machine import describe

    usable = usable_cpus()
    if threads is None:
        threads = usable
    elif threads > usable:
        raise click.UsageError(f"--threads {threads}, but only {usable} CPUs may be used")
    limit_cpus(threads)
    cpu = str(describe()["cpu"])
    console.print(f"{cpu}, {threads} {'thread' if threads == 1 else 'threads'}, float32")
    return cpu, threads


def measured_peak(threads: int) -> float:
    """The peak in GFLOP/s of fused multiply-adds, measured now."""
    from chainrule.system.machine import fma_peak

    return fma_peak("float32", threads)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
