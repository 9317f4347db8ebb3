"""search: hyper-parameters by random search, successive halving, or TPE; trials side by side."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from chainrule import checks
from chainrule.data.batches import permutation
from chainrule.errors import NonFiniteError
from chainrule.ops.random import Generator, use_generator
from chainrule.system.side_by_side import side_by_side
from chainrule.tables import as_frame, as_series, is_series, is_table
from chainrule.train.callbacks import EarlyStopping, _mode
from chainrule.train.trainer import Trainer

Method = Literal["random", "halving", "tpe"]

_METHODS = ("random", "halving", "tpe")
_THIRD = 3
"""Of so many trials of successive halving one goes on; and it goes on so many times longer."""

_ASKED_AT_ONCE = 4
"""Trials that TPE proposes together. The number of CPUs must not change the result."""


@dataclass(frozen=True)
class Range:
    """The numbers of a hyper-parameter from `low` to `high`: whole ones if both are.

    Args:
        low, high: the ends, both included.
        log: whether equal ratios, not equal distances, are equally likely: for learning rates,
            decays and widths.

    Raises:
        ValueError: unless low < high, and low > 0 with `log`.

    Example:
        >>> import chainrule as cr
        >>> cr.Range(1e-4, 1e-1, log=True).at(0.5).__round__(5)
        0.00316
        >>> cr.Range(1, 4).at(0.99)
        4
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            checks.number(name, getattr(self, name))
        checks.flag("log", self.log)
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"a Range has low < high, with log=True 0 < low: got {self}")

    @property
    def is_whole(self) -> bool:
        """Whether the numbers are whole."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def at(self, share: float) -> float:
        """The number below which this share, in [0, 1), of the numbers lies."""
        low, high = (self.low - 0.5, self.high + 0.5) if self.is_whole else (self.low, self.high)
        found = low * (high / low) ** share if self.log else low + (high - low) * share
        found = min(max(found, self.low), self.high)
        return round(found) if self.is_whole else float(found)


@dataclass
class Trial:
    """One setting of the hyper-parameters, and what came of it.

    Attributes:
        number: counted from 0, in the order in which they were proposed.
        settings: the hyper-parameters.
        score: the metric, of a Trainer in its best epoch; NaN if the training diverged.
        epochs: how many there were; None of an estimator.
        seconds: that the training took, beside others.
        model: the Trainer, with the weights of its best epoch, or the estimator. Only the best
            trial of a search keeps it.
    """

    number: int
    settings: dict[str, Any]
    score: float = math.nan
    epochs: int | None = None
    seconds: float = 0.0
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
        self.trials = _ranked(trials, mode)

    @property
    def best(self) -> Trial:
        """The best trial, with its trained model.

        Raises:
            NonFiniteError: if all trainings diverged.
        """
        if not self.trials or math.isnan(self.trials[0].score):
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
        """The columns of the table as lists, for a DataFrame."""
        names = dict.fromkeys(name for trial in self.trials for name in trial.settings)
        columns: dict[str, list[Any]] = {
            "trial": [trial.number for trial in self.trials],
            self.metric: [trial.score for trial in self.trials],
            **{name: [trial.settings.get(name) for trial in self.trials] for name in names},
            "epochs": [trial.epochs for trial in self.trials],
            "seconds": [trial.seconds for trial in self.trials],
        }
        return {k: v for k, v in columns.items() if any(item is not None for item in v) or not v}

    def __len__(self) -> int:
        return len(self.trials)

    def __str__(self) -> str:
        columns = self.to_dict()
        shown = [[name, *map(_shown, values)] for name, values in columns.items()]
        if columns["seconds"]:
            shown[-1][1:] = [f"{seconds:.1f}" for seconds in columns["seconds"]]
        widths = [max(map(len, column)) for column in shown]
        rows = zip(*shown, strict=True)
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        )

    def __repr__(self) -> str:
        return f"<SearchResult of {len(self)} trials>"


def search(
    make: Callable[..., Any],
    space: Mapping[str, Range | Sequence[Any]],
    x: Any,
    y: Any,
    *,
    method: Method = "random",
    trials: int = 20,
    epochs: int = 10,
    batch_size: int | None = None,
    metric: str | None = None,
    mode: str | None = None,
    validation_data: Any = None,
    validation_fraction: float = 0.2,
    time_budget: float | None = None,
    seed: int = 0,
) -> SearchResult:
    """Search for good hyper-parameters; the trials run side by side, one on each CPU.

    All trials see the same rows to train on and to validate on, and start from the same seed.
    Without a time budget the same arguments give the same result, for every number of CPUs.

    Args:
        make: called with a setting by keywords, as ``make(lr=0.01, width=64)``: returns a new
            Trainer, or an estimator with `fit` and `score`, as those of `chainrule.sklearn`.
        space: by the name of each hyper-parameter a `Range`, or a list of choices.
        x, y: arrays or frames; as in `Trainer.fit`.
        method: "random": settings drawn at random. "halving": the same; all trials get a few
            epochs (estimators: a few of the rows), and the best third of them go on three times
            longer, until one has all of them. "tpe": each setting follows from the scores of those
            before, by optuna: ``pip install 'chainrule[search]'``.
        trials: how many settings.
        epochs, batch_size: of Trainers; as in `Trainer.fit`.
        metric: of Trainers a column of the history, by default "validation_loss"; estimators have
            their `score`.
        mode: "min" or "max"; by default as `EarlyStopping` chooses.
        validation_data: (x, y), which score a trial.
        validation_fraction: the share of rows that is held out for that instead.
        time_budget: seconds after which no trial begins, and Trainers end after their epoch.
        seed: of the settings, the rows held out and the models' starting values.

    Returns:
        A `SearchResult`, which prints as a table. After Ctrl-C it has the trials that had begun.

    Raises:
        ImportError: for "tpe" without optuna.
        TypeError, ValueError: for arguments that do not fit; an error of a trial, with its number.

    Source: Bergstra, Bengio, "Random search for hyper-parameter optimization", JMLR 2012; Jamieson,
    Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS
    2016; Bergstra, Bardenet, Bengio, Kégl, "Algorithms for hyper-parameter optimization", NIPS
    2011.

    Example:
        >>> import chainrule as cr
        >>> import numpy as np
        >>> from chainrule import nn, optim
        >>> def make(lr, width):
        ...     model = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 1))
        ...     return cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters(), lr=lr))
        >>> space = {"lr": cr.Range(1e-4, 1e-1, log=True), "width": [4, 16]}
        >>> x = np.linspace(-1, 1, 80, dtype="float32").reshape(-1, 1)
        >>> result = cr.search(make, space, x, x**2, trials=6, epochs=20, batch_size=16)
        >>> len(result), result.best_settings["lr"] > 1e-3
        (6, True)
    """
    if method not in _METHODS:
        raise ValueError(f"method is 'random', 'halving' or 'tpe', got {method!r:.80}")
    trials = checks.count("trials", trials)
    epochs = checks.count("epochs", epochs)
    seed = checks.integer("seed", seed, 0)
    end = math.inf
    if time_budget is not None:
        end = time.monotonic() + checks.positive("time_budget", time_budget)
    _check_space(space)
    data = _Data.of(x, y, validation_data, validation_fraction, seed)
    run = _Run(make, data, epochs, batch_size, metric, mode, end, seed)
    if method == "tpe":
        _tpe(run, space, trials, seed)
    else:
        rng = np.random.default_rng(seed)
        drawn = [{name: _draw(rng, given) for name, given in space.items()} for _ in range(trials)]
        run.add(drawn)
        if method == "halving":
            _halving(run)
        else:
            run.train(range(trials))
    return run.result()


class _Data:
    """Rows to train on, and rows to validate on."""

    def __init__(self, x: Any, y: Any, validation: tuple[Any, Any]) -> None:
        self.x, self.y = x, y
        self.validation = validation
        self.rows = _length(y)

    @classmethod
    def of(cls, x: Any, y: Any, validation: Any, fraction: float, seed: int) -> _Data:
        if validation is not None:
            if not isinstance(validation, (tuple, list)) or len(validation) != 2:
                raise ValueError("validation_data is a pair (x, y)")
            return cls(x, y, (validation[0], validation[1]))
        if not 0 < checks.number("validation_fraction", fraction) < 1:
            raise ValueError(f"validation_fraction is between 0 and 1, got {fraction}")
        rows = _length(y)
        count = round(fraction * rows)
        if not 0 < count < rows:
            raise ValueError(f"{fraction} of {rows} rows can't be held out: give more rows")
        order = permutation(rows, seed, epoch=0)
        held, kept = np.sort(order[:count]), np.sort(order[count:])
        return cls(_take(x, kept), _take(y, kept), (_take(x, held), _take(y, held)))

    def part(self, share: float, seed: int) -> tuple[Any, Any]:
        """A share of the rows to train on."""
        if share >= 1:
            return self.x, self.y
        rows = np.sort(permutation(self.rows, seed, epoch=1)[: max(round(share * self.rows), 1)])
        return _take(self.x, rows), _take(self.y, rows)


class _Keep(EarlyStopping):
    """Keeps the best epoch, and ends a training whose time is over."""

    def __init__(self, monitor: str, mode: str | None, end: float) -> None:
        super().__init__(monitor, patience=sys.maxsize, mode=mode)
        self._end = end

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        super().on_epoch_end(trainer, record)
        if time.monotonic() > self._end:
            trainer.stop("the time is over")


class _Run:
    """The trials of a search, and how they are trained."""

    def __init__(
        self,
        make: Callable[..., Any],
        data: _Data,
        epochs: int,
        batch_size: int | None,
        metric: str | None,
        mode: str | None,
        end: float,
        seed: int,
    ) -> None:
        self.make, self.data = make, data
        self.epochs, self.batch_size = epochs, batch_size
        self.metric, self.mode = metric, mode
        self.end, self.seed = end, seed
        self.trials: list[Trial] = []
        self.begun: set[int] = set()
        self.is_over = False
        self._keepers: dict[int, _Keep] = {}

    def add(self, settings: Iterable[dict[str, Any]]) -> range:
        """New trials; their numbers."""
        first = len(self.trials)
        self.trials += [Trial(first + i, given) for i, given in enumerate(settings)]
        return range(first, len(self.trials))

    def train(self, numbers: Sequence[int], share: float = 1.0) -> None:
        """Train these trials side by side up to a share of the epochs, or on one of the rows."""

        def task(place: int) -> None:
            if time.monotonic() > self.end:
                self.is_over = True
                return
            trial = self.trials[numbers[place]]
            self.begun.add(trial.number)
            begin = time.monotonic()
            try:
                self._train(trial, share)
            except NonFiniteError:
                trial.score, trial.model = math.nan, None
            except Exception as error:
                if error.args and isinstance(error.args[0], str):
                    error.args = (f"{error.args[0]} [{trial.settings}]", *error.args[1:])
                raise
            trial.seconds += time.monotonic() - begin

        def stop(reason: str) -> None:
            self.is_over = True
            for number in numbers:
                if isinstance(model := self.trials[number].model, Trainer):
                    model.stop(reason)

        side_by_side(task, len(numbers), stop, "trial")
        self._forget()

    def _train(self, trial: Trial, share: float) -> None:
        model = trial.model
        if model is None or not isinstance(model, Trainer):
            with use_generator(Generator(self.seed)):
                model = trial.model = self.make(**trial.settings)
        if isinstance(model, Trainer):
            self._train_on(model, trial, share)
            return
        if not hasattr(model, "fit") or not hasattr(model, "score"):
            raise TypeError(
                f"make returns a Trainer or an estimator with fit and score, got "
                f"{checks.described(model)}"
            )
        if self.metric is not None:
            raise ValueError("metric is for Trainers: an estimator has its `score`")
        with use_generator(Generator(self.seed)):
            model.fit(*self.data.part(share, self.seed))
        trial.score = float(model.score(*self.data.validation))

    def _train_on(self, trainer: Trainer, trial: Trial, share: float) -> None:
        keep = self._keepers.get(trial.number)
        if keep is None:
            keep = _Keep(self.metric or "validation_loss", self.mode, self.end)
            self._keepers[trial.number] = keep
            trainer.callbacks.append(keep)
        epochs = max(round(share * self.epochs), 1) - trainer.epoch
        if epochs < 1 or trainer.history.stop_reason is not None:
            return
        trainer.fit(
            self.data.x, self.data.y, epochs=epochs, batch_size=self.batch_size,
            validation_data=self.data.validation, progress=False,
        )  # fmt: skip
        self.mode = _mode(keep, trainer)
        trial.epochs = trainer.epoch
        trial.score = math.nan if keep.best is None else keep.best

    @property
    def direction(self) -> str:
        """Whether the least or the largest score is the best: "min" or "max"."""
        return self.mode or ("min" if self._keepers else "max")

    def _forget(self) -> None:
        """Let go of estimators that are not the best."""
        ranked = _ranked(self.trials, self.direction)
        for trial in ranked[1:]:
            if not isinstance(trial.model, Trainer):
                trial.model = None

    def result(self) -> SearchResult:
        """All trials that have begun; the best one with its model."""
        name = "score"
        if self._keepers:
            name = self.metric or "validation_loss"
        begun = [trial for trial in self.trials if trial.number in self.begun]
        result = SearchResult(begun, name, self.direction)
        for trial in result.trials[1:]:
            trial.model = None
        for trial in result.trials[:1]:
            if isinstance(trial.model, Trainer):
                trial.model.callbacks.remove(self._keepers[trial.number])
        return result


def _halving(run: _Run) -> None:
    """Train all trials a little, then the best third of them three times longer, and so on."""
    left = list(range(len(run.trials)))
    share = float(_THIRD) ** -math.ceil(math.log(len(left), _THIRD) - 1e-9)
    while True:
        run.train(left, share)
        if len(left) == 1 or run.is_over:
            return
        ranked = _ranked((run.trials[number] for number in left), run.direction)
        kept = ranked[: math.ceil(len(left) / _THIRD)]
        for trial in ranked[len(kept) :]:
            trial.model = None
        left = sorted(trial.number for trial in kept)
        share = min(share * _THIRD, 1.0)


def _tpe(run: _Run, space: Mapping[str, Range | Sequence[Any]], trials: int, seed: int) -> None:
    """Let optuna propose the settings, some at a time."""
    try:
        import optuna  # an extra
    except ImportError as error:
        raise ImportError("method='tpe' needs optuna: pip install 'chainrule[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions: dict[str, Any] = {}
    for name, given in space.items():
        if not isinstance(given, Range):
            distributions[name] = optuna.distributions.CategoricalDistribution(range(len(given)))
        elif given.is_whole:
            low, high = int(given.low), int(given.high)
            distributions[name] = optuna.distributions.IntDistribution(low, high, given.log)
        else:
            distributions[name] = optuna.distributions.FloatDistribution(
                given.low, given.high, given.log
            )
    sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    study = optuna.create_study(sampler=sampler)  # which minimises
    while len(run.trials) < trials and not run.is_over:
        count = min(_ASKED_AT_ONCE, trials - len(run.trials))
        asked = [study.ask(distributions) for _ in range(count)]
        numbers = run.add({n: _chosen(space[n], v) for n, v in t.params.items()} for t in asked)
        run.train(numbers)
        sign = -1 if run.direction == "max" else 1
        for one, number in zip(asked, numbers, strict=True):
            score = run.trials[number].score
            if math.isnan(score):
                study.tell(one, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(one, sign * score)


def _check_space(space: Any) -> None:
    if not isinstance(space, Mapping) or not space:
        raise TypeError("space is a dict: by the name of a hyper-parameter a Range, or a list")
    for name, given in space.items():
        is_list = isinstance(given, (list, tuple, np.ndarray)) and len(given)
        if not isinstance(given, Range) and not is_list:
            raise TypeError(
                f"space[{name!r}] is a Range or a list of choices, got {checks.described(given)}"
            )


def _draw(rng: np.random.Generator, given: Range | Sequence[Any]) -> Any:
    share = float(rng.random())
    return given.at(share) if isinstance(given, Range) else given[int(share * len(given))]


def _chosen(given: Range | Sequence[Any], proposed: Any) -> Any:
    """The value of what optuna proposed: a number, or that of a choice."""
    return proposed if isinstance(given, Range) else given[int(proposed)]


def _ranked(trials: Iterable[Trial], mode: str) -> list[Trial]:
    """The best first; those that diverged last."""
    sign = -1 if mode == "max" else 1
    return sorted(
        trials, key=lambda t: (math.isnan(t.score), sign * t.score if t.score == t.score else 0)
    )


def _length(y: Any) -> int:
    return len(next(iter(y.values()))) if isinstance(y, Mapping) else len(y)


def _take(data: Any, rows: NDArray[np.int64]) -> Any:
    """Some rows of an array, a frame, a series, or a tuple or dict of such."""
    if isinstance(data, Mapping):
        return {name: _take(part, rows) for name, part in data.items()}
    if isinstance(data, tuple):
        return tuple(_take(part, rows) for part in data)
    if is_series(data):
        return as_series(data, "y")[rows.tolist()].to_native()
    if is_table(data):
        return as_frame(data, "x")[rows.tolist()].to_native()
    return np.asarray(data)[rows]


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
