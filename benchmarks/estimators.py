"""chainrule's estimators beside scikit-learn's networks: `python -m benchmarks.estimators`."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import click
import numpy as np
from sklearn import neural_network
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from chainrule import sklearn as ours

PAUSE = 0.2
"""Seconds between two turns, in which idle threads go to sleep."""


class Case(NamedTuple):
    """A training that both do.

    Attributes:
        title: what it is.
        run: the module of the estimators -> the loss curve, or the scores.
    """

    title: str
    run: Callable[[Any], np.ndarray]


def fits(rows: int, epochs: int) -> list[Case]:
    """Fits of 100 hidden units to `rows` rows of 20 columns, with the default settings."""
    x, y = make_classification(rows, 20, n_informative=10, random_state=0)
    alike = {"max_iter": epochs, "tol": 0.0, "random_state": 0}
    cases = []
    for dtype in ("float64", "float32"):
        for what, more in (
            ("MLPClassifier", {}),
            ("MLPClassifier sgd", {"solver": "sgd"}),
            ("MLPClassifier lbfgs", {"solver": "lbfgs", "tol": 1e-4}),
            ("MLPClassifier early_stopping", {"early_stopping": True, "n_iter_no_change": epochs}),
            ("MLPRegressor", {}),
        ):

            def fit(
                room: Any,
                kind: str = what.split()[0],
                more: dict[str, Any] = more,
                given: np.ndarray = x.astype(dtype),  # noqa: B008 - bound at once
            ) -> np.ndarray:
                found = getattr(room, kind)(**{**alike, **more}).fit(given, y)
                return np.array(getattr(found, "loss_curve_", [found.loss_]))

            cases.append(Case(f"{what}, {dtype}, {rows:,} rows, {epochs} epochs", fit))
    return cases


def cross_validation() -> Case:
    """Five folds of breast_cancer, standardised, with the default settings."""
    x, y = load_breast_cancer(return_X_y=True)

    def score(room: Any) -> np.ndarray:
        network = room.MLPClassifier(random_state=0)
        return cross_val_score(make_pipeline(StandardScaler(), network), x, y)

    return Case("cross_val_score, breast_cancer, 5 folds", score)


def measure(case: Case, rounds: int) -> tuple[float, float, float]:
    """(scikit-learn's seconds, ours, the largest relative difference of the numbers).

    The two take turns; a first turn of each is not counted. Medians of the rounds.
    """
    seconds: dict[Any, list[float]] = {neural_network: [], ours: []}
    found = {}
    for _ in range(rounds + 1):
        for room, times in seconds.items():
            time.sleep(PAUSE)
            begin = time.perf_counter()
            found[room] = case.run(room)
            times.append(time.perf_counter() - begin)
    theirs, mine = found.values()
    difference = float(np.max(np.abs(mine / theirs - 1))) if len(theirs) == len(mine) else np.inf
    medians = [statistics.median(times[1:]) for times in seconds.values()]
    return medians[0], medians[1], difference


@click.command()
@click.option("--rows", multiple=True, type=int, default=(100, 1000, 10000), help="Rows of a fit.")
@click.option("--rounds", default=5, help="Turns of each that are measured.")
@click.option("--epochs", default=100, help="Epochs of a fit; a tenth on 10,000 rows and more.")
@click.option("--folds/--no-folds", default=True, help="Cross-validation, too.")
def main(rows: tuple[int, ...], rounds: int, epochs: int, folds: bool) -> None:
    """Measure both in turns, and compare their loss curves."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    click.echo(f"{'':62} scikit-learn  chainrule  ratio  difference")
    cases = [c for n in rows for c in fits(n, epochs if n < 10_000 else max(1, epochs // 10))]
    for case in [*cases, *([cross_validation()] if folds else [])]:
        theirs, mine, difference = measure(case, rounds)
        click.echo(
            f"{case.title:62} {theirs * 1e3:9.1f} ms {mine * 1e3:7.1f} ms {theirs / mine:6.2f}"
            f"  {difference:.1e}"
        )


if __name__ == "__main__":
    main()
