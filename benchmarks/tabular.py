"""Tables: presets of chainrule beside scikit-learn and pytabkit: `python -m benchmarks.tabular`.

Every training has a process of its own; on each split all models see the same rows.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from rich.console import Console

from benchmarks.report import new_table
from benchmarks.tables import TARGETS, Split, filled, split

PRESETS = {
    "chainrule fast": "fast",
    "chainrule": "default",
    "chainrule ensemble": "ensemble",
    "chainrule best": "best",
}
PYTABKIT = {"RealMLP-TD (pytabkit)": "RealMLP_TD", "TabM (pytabkit)": "TabM_D"}
MODELS = (*PRESETS, "scikit-learn MLP", "HistGradientBoosting", *PYTABKIT)
REFERENCE = "RealMLP-TD (pytabkit)"


class Measured(NamedTuple):
    """One training.

    Attributes:
        error: on the rows to test on.
        seconds: that `fit` took, with all preparation of the columns.
    """

    error: float
    seconds: float


def fit(model: str, folder: Path, name: str, number: int, seed: int) -> Measured:
    """Train a model of this process's libraries on one split of a table."""
    data = split(folder, name, number)
    if model in PRESETS:
        from chainrule.sklearn import TabularClassifier, TabularRegressor

        kind = TabularClassifier if data.is_classification else TabularRegressor
        estimator: Any = kind(PRESETS[model], random_state=seed)
        begin = time.perf_counter()  # without the import
    else:
        data = filled(data)
        estimator = _of_scikit_learn(model, data, seed)
        begin = time.perf_counter()
    estimator.fit(data.x, data.y)
    seconds = time.perf_counter() - begin
    return Measured(data.error(estimator.predict(data.x_test)), seconds)


def _of_scikit_learn(model: str, data: Split, seed: int) -> Any:
    """A pipeline with default settings: categories one-hot, the MLP's numbers standardised."""
    from sklearn.compose import TransformedTargetRegressor, make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [column for column in data.x if data.x[column].dtype.kind in "if"]
    others = [column for column in data.x if column not in numbers]
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    is_mlp = model == "scikit-learn MLP"
    columns = make_column_transformer(
        (StandardScaler() if is_mlp else "passthrough", numbers), (one_hot, others)
    )
    if data.is_classification:
        kind = MLPClassifier if is_mlp else HistGradientBoostingClassifier
        return make_pipeline(columns, kind(random_state=seed))
    if not is_mlp:
        return make_pipeline(columns, HistGradientBoostingRegressor(random_state=seed))
    network = MLPRegressor(random_state=seed)
    scaled = TransformedTargetRegressor(network, transformer=StandardScaler())
    return make_pipeline(columns, scaled)


def fit_pytabkit(
    python: str, model: str, folder: Path, name: str, number: int, seed: int, threads: int
) -> Measured:
    """Train a model of pytabkit, which may be installed for another Python."""
    command = [python, "-m", "benchmarks.with_pytabkit", str(folder.absolute()), name]
    found = subprocess.run(
        [*command, str(number), str(seed), PYTABKIT[model], str(threads)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    return Measured(**json.loads(found.stdout.splitlines()[-1]))


def relative(results: dict[str, dict[str, list[Measured]]], model: str) -> float | None:
    """The geometric mean over the tables of a model's error, as a share of the reference's.

    None where no table has both.
    """
    ratios = []
    for found in results.values():
        if found.get(model) and found.get(REFERENCE):
            ratios.append(_mean_error(found[model]) / _mean_error(found[REFERENCE]))
    return float(np.exp(np.mean(np.log(ratios)))) if ratios else None


def _mean_error(measured: list[Measured]) -> float:
    return statistics.mean(m.error for m in measured)


def _has_pytabkit(python: str) -> bool:
    found = subprocess.run([python, "-c", "import pytabkit"], capture_output=True, check=False)
    return found.returncode == 0


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--table", "tables", multiple=True, type=click.Choice(list(TARGETS)))
@click.option("--model", "models", multiple=True, type=click.Choice(MODELS))
@click.option("--splits", default=5, show_default=True, help="How often each table is split.")
@click.option(
    "--seeds", default=1, show_default=True, help="How often each model trains on a split."
)
@click.option("--threads", default=os.cpu_count() or 1, show_default=True)
@click.option("--pytabkit", default=sys.executable, help="A Python that has pytabkit.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path))
def main(
    folder: Path,
    tables: tuple[str, ...],
    models: tuple[str, ...],
    splits: int,
    seeds: int,
    threads: int,
    pytabkit: str,
    json_file: Path | None,
) -> None:
    """Measure and print errors and times; FOLDER holds the tables, NAME.csv."""
    console = Console()
    for variable in ("CHAINRULE_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    chosen = [model for model in models or MODELS]
    if set(chosen) & set(PYTABKIT) and not _has_pytabkit(pytabkit):
        console.print("pytabkit is not installed and is left out: pip install pytabkit")
        chosen = [model for model in chosen if model not in PYTABKIT]
    results: dict[str, dict[str, list[Measured]]] = {}
    for name in tables or TARGETS:
        found = results[name] = {model: [] for model in chosen}
        for seed in range(splits * seeds):
            number = seed % splits
            for model in chosen:
                if model in PYTABKIT:
                    one = fit_pytabkit(pytabkit, model, folder, name, number, seed, threads)
                else:
                    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                        one = pool.submit(fit, model, folder, name, number, seed).result()
                found[model].append(one)
                console.print(f"{name} {number} {model}: {one.error:.5g}, {one.seconds:.2f} s")
    console.print(_report(results, chosen))
    if json_file is not None:
        json_file.write_text(json.dumps(results))


def _report(results: dict[str, dict[str, list[Measured]]], models: list[str]) -> Any:
    """A table of mean errors and times, and the mean ratio to the reference."""
    table = new_table("error, and seconds to train", ["table", *models])
    for name, found in results.items():
        cells = [
            f"{_mean_error(m):.5g}  {statistics.median(x.seconds for x in m):.2f} s"
            for m in found.values()
        ]
        table.add_row(name, *cells)
    ratios = [relative(results, model) for model in models]
    table.add_row(f"error / {REFERENCE}", *[f"{r:.3f}" if r else "-" for r in ratios])
    return table


if __name__ == "__main__":
    main()
