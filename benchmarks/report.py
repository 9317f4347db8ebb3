"""The report of a run: tables, and JSON."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.digits import Digits
from benchmarks.libraries import FAMILIES
from benchmarks.runner import Measured, Results

PACKAGES = ("chainrule", "torch", "jax", "scikit-learn", "numpy")


def show_training(console: Console, results: Results, peak: float) -> None:
    """Print the time of a training step, its speed, and the ratio of chainrule's time to it."""
    network = results.network
    table = new_table(
        f"{network.name}: {network.parameters:,} parameters, "
        f"{_flops(network.flops_per_step)}FLOP a step",
        ["step", "least", "GFLOP/s", "of peak", "chainrule / it", "first epoch"],
    )
    chainrule = chainrule_of(results.training)
    for each in results.training:
        gflops = network.flops_per_step / each.median / 1e9
        table.add_row(
            each.library.title,
            duration(each.median),
            duration(each.least),
            f"{gflops:.3g}",
            f"{gflops / peak:.1%}",
            "" if chainrule is None else f"{chainrule.ratio(each):.2f}",
            duration(each.warm_up["first_epoch_seconds"]),
        )
    console.print(table)
    for each in results.training:
        if each.fault is not None:
            console.print(f"NOT COMPARABLE: {each.library.title}: {each.fault}")
    for name, reason in results.failed.items():
        console.print(f"left out: {name}: {reason}", soft_wrap=True)


def show_prediction(console: Console, results: Results) -> None:
    """Print the time of a prediction."""
    for rows, measured in results.prediction.items():
        chainrule = chainrule_of(measured)
        table = new_table(
            f"{results.network.name}: prediction of {rows:,} {'row' if rows == 1 else 'rows'}",
            ["call", "least", "chainrule / it"],
        )
        for each in measured:
            ratio = "" if chainrule is None else f"{chainrule.ratio(each):.2f}"
            table.add_row(each.library.title, duration(each.median), duration(each.least), ratio)
        console.print(table)


def show_digits(console: Console, found: Sequence[Digits]) -> None:
    """Print the time from the start of a process to a saved model."""
    table = new_table(
        "digits: from the start of a process to a trained and saved model",
        ["time", "least", "chainrule / it", "peak memory", "test accuracy"],
    )
    for each in found:
        ratios = (a / b for a, b in zip(found[0].seconds, each.seconds, strict=True))
        table.add_row(
            each.title,
            duration(each.median),
            duration(min(each.seconds)),
            f"{statistics.median(ratios):.2f}",
            f"{max(each.peak_bytes) / 1e6:.0f} MB",
            f"{each.accuracy:.2%}",
        )
    console.print(table)


def show_summary(console: Console, all_results: Iterable[Results]) -> None:
    """Print the ratio of chainrule's time to that of each peer's fastest variant, per network."""
    families = {name: title for name, title in FAMILIES.items() if name != "chainrule"}
    table = new_table("a training step: chainrule / the best of each peer", list(families.values()))
    table.add_column("best peer")
    for results in all_results:
        chainrule = chainrule_of(results.training)
        if chainrule is None:
            continue
        best = best_of_families(results.training)
        cells = [f"{chainrule.ratio(best[name]):.2f}" if name in best else "" for name in families]
        fastest = min(best.values(), key=lambda each: each.median, default=None)
        table.add_row(results.network.name, *cells, fastest.library.title if fastest else "")
    if table.row_count:
        console.print(table)


def chainrule_of(measured: Iterable[Measured]) -> Measured | None:
    """chainrule's Trainer, to which all others are compared."""
    return next((each for each in measured if each.library.name == "chainrule"), None)


def best_of_families(measured: Iterable[Measured]) -> dict[str, Measured]:
    """The variant of each peer with the smallest median."""
    best: dict[str, Measured] = {}
    for each in measured:
        family = each.library.family
        if family == "chainrule" or each.fault is not None:
            continue
        if family not in best or each.median < best[family].median:
            best[family] = each
    return best


def as_json(
    all_results: Iterable[Results],
    digits: Iterable[Digits],
    *,
    threads: int,
    peak: float | None,
    cpu: str,
) -> dict[str, Any]:
    """All figures; times in seconds, in the order of the rounds."""
    training, prediction = [], []
    for results in all_results:
        flops = results.network.flops_per_step
        for each in results.training:
            gflops = flops / each.median / 1e9
            training.append(
                {
                    "network": results.network.name,
                    "flops_per_step": flops,
                    **_times(each, results.training),
                    "gflops": gflops,
                    "share_of_peak": None if peak is None else gflops / peak,
                    **each.warm_up,
                    "fault": each.fault,
                }
            )
        for name, reason in results.failed.items():
            training.append({"network": results.network.name, "library": name, "failed": reason})
        for rows, measured in results.prediction.items():
            prediction += [
                {"network": results.network.name, "rows": rows, **_times(each, measured)}
                for each in measured
            ]
    return {
        "machine": {"cpu": cpu, "threads": threads, "fma_peak_float32_gflops": peak},
        "versions": {"python": platform.python_version(), **_versions()},
        "training": training,
        "prediction": prediction,
        "digits": [{**vars(each), "median": each.median} for each in digits],
    }


def _times(each: Measured, measured: Iterable[Measured]) -> dict[str, Any]:
    chainrule = chainrule_of(measured)
    return {
        "library": each.library.name,
        "median": each.median,
        "least": each.least,
        "seconds": each.seconds,
        "chainrule_ratio": None if chainrule is None else chainrule.ratio(each),
    }


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def new_table(title: str, columns: Iterable[str]) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def duration(seconds: float) -> str:
    """A time with its unit, to three significant digits.

    >>> duration(0.00139)
    '1.39 ms'
    """
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def _flops(flops: float) -> str:
    """A number with a unit prefix, as in "205 M"."""
    for factor, prefix in ((1e9, "G"), (1e6, "M")):
        if flops >= factor:
            return f"{flops / factor:.3g} {prefix}"
    return f"{flops / 1e3:.3g} K"
