"""Trials of a search, and its result."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from chainrule.errors import NonFiniteError
from chainrule.markup import aligned


@dataclass
class Trial:
    """One setting of the hyper-parameters, and what came of it.

    Attributes:
        number: counted from 0, in the order in which they were proposed.
        settings: the hyper-parameters.
        score: the metric, of a Trainer in its best epoch; NaN if the training diverged, or
            had no epoch.
        epochs: how many there were; None of an estimator.
        seconds: that the training took, beside others.
        rounds: how often it was trained, by an epoch or more: of successive halving, how far it
            came; 0 if it was stopped before.
        model: the Trainer, with the weights of its best epoch, or the estimator. Only the best
            trial of a search keeps it.
    """

    number: int
    settings: dict[str, Any]
    score: float = math.nan
    epochs: int | None = None
    seconds: float = 0.0
    rounds: int = 0
    model: Any = field(default=None, repr=False)


class SearchResult:
    """The trials of a search, the best first.

    Attributes:
        trials: a list of `Trial`.
        metric: the name of their score.

    Example:
        >>> import chainrule as cr
        >>> trials = [cr.Trial(0, {"lr": 0.1}, 0.5, 10), cr.Trial(1, {"lr": 0.01}, 0.25, 10)]
        >>> result = cr.SearchResult(trials, "validation_loss", "min")
        >>> print(result)
        trial  validation_loss    lr  epochs  seconds
            1             0.25  0.01      10      0.0
            0              0.5   0.1      10      0.0
        >>> result.best_settings
        {'lr': 0.01}
    """

    def __init__(self, trials: Iterable[Trial], metric: str, mode: str) -> None:
        self.metric = metric
        self.trials = ranked(trials, mode)

    @property
    def best(self) -> Trial:
        """The best trial, with its trained model.

        Raises:
            NonFiniteError: if all trainings diverged.
            RuntimeError: if none had the time to finish an epoch.
        """
        if not any(trial.rounds or not math.isnan(trial.score) for trial in self.trials):
            raise RuntimeError("no trial has finished an epoch: give the search more time")
        if math.isnan(self.trials[0].score):
            raise NonFiniteError(
                f"no training of the {len(self.trials)} trials stayed finite: search among smaller "
                "learning rates"
            )
        return self.trials[0]

    @property
    def best_settings(self) -> dict[str, Any]:
        """Its hyper-parameters."""
        return self.best.settings

    @property
    def best_model(self) -> Any:
        """Its Trainer, with the weights of its best epoch, or its estimator."""
        return self.best.model

    def to_dict(self) -> dict[str, list[Any]]:
        """The columns of the table as lists, for a DataFrame.

        A hyper-parameter that has the name of another column, as "epochs", is "setting epochs".
        """
        own: dict[str, list[Any]] = {
            "trial": [trial.number for trial in self.trials],
            self.metric: [trial.score for trial in self.trials],
            "epochs": [trial.epochs for trial in self.trials],
            "seconds": [trial.seconds for trial in self.trials],
        }
        own = {name: column for name, column in own.items() if _says_something(column)}
        names = dict.fromkeys(name for trial in self.trials for name in trial.settings)
        settings = {
            f"setting {name}" if name in own else name: column
            for name in names
            if _says_something(column := [trial.settings.get(name) for trial in self.trials])
        }
        first = {name: own[name] for name in ("trial", self.metric)}
        return {**first, **settings, **own}

    def __len__(self) -> int:
        return len(self.trials)

    def __str__(self) -> str:
        columns = self.to_dict()
        columns["seconds"] = [f"{seconds:.1f}" for seconds in columns["seconds"]]
        return aligned([[*columns], *zip(*columns.values(), strict=True)])

    def __repr__(self) -> str:
        return f"<SearchResult of {len(self)} trials>"


def ranked(trials: Iterable[Trial], mode: str) -> list[Trial]:
    """Those that came furthest first, then the best; those that diverged last."""
    sign = -1 if mode == "max" else 1

    def key(trial: Trial) -> tuple[bool, int, float]:
        diverged = math.isnan(trial.score)
        return diverged, -trial.rounds, 0.0 if diverged else sign * trial.score

    return sorted(trials, key=key)


def _says_something(column: list[Any]) -> bool:
    return not column or any(item is not None for item in column)
