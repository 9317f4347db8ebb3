"""search: hyper-parameters by random search, successive halving, or TPE; trials side by side."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np

from chainrule import checks
from chainrule.errors import NonFiniteError, missing
from chainrule.ops.random import Generator, use_generator
from chainrule.system import forks
from chainrule.system.side_by_side import side_by_side
from chainrule.train.callbacks import EarlyStopping, check_mode, mode_of
from chainrule.train.own_parts import OwnParts
from chainrule.train.search_data import SearchData
from chainrule.train.search_space import Range, Space, check_space, chosen, draw
from chainrule.train.trainer import Trainer
from chainrule.train.trials import SearchResult, Trial, ranked

Method = Literal["random", "halving", "tpe"]

_METHODS = ("random", "halving", "tpe")
_REDUCTION = 3
"""Successive halving keeps one trial in so many, and gives it so many times the epochs or rows."""

_ASKED_AT_ONCE = 4
"""Trials that TPE proposes together. The number of CPUs must not change the result."""


def search(
    make: Callable[..., Any],
    space: Space,
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
    """Search for good hyper-parameters; the trials run side by side, one on each CPU; of "tpe" at
    most four.

    All trials see the same rows to train on and to validate on, and start from the same seed; an
    estimator's `random_state` that is None becomes that seed. Only the models that may still be the
    best stay in memory. Without a time budget the same arguments give the same result, for every
    number of CPUs.

    Args:
        make: called with a setting by keywords, as ``make(lr=0.01, width=64)``: returns a new
            Trainer, or an estimator with `fit` and `score`, as those of `chainrule.sklearn`. The
            Trainers share no parts, such as callbacks.
        space: by the name of each hyper-parameter a `Range`, or a list of choices.
        x, y: arrays or frames; as in `Trainer.fit`.
        method: "random": settings drawn at random. "halving": the same; all trials get a few
            epochs (estimators: a few of the rows, at least 32), and the best third of them go on
            three times longer, until one has all of them. "tpe": each setting follows from the
            scores of those before, by optuna: ``pip install 'chainrule[search]'``.
        trials: how many settings.
        epochs, batch_size: of Trainers; as in `Trainer.fit`.
        metric: of Trainers a column of the history, by default "validation_loss"; estimators have
            their `score`.
        mode: of Trainers "min" or "max"; by default as `EarlyStopping` chooses.
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
    checks.one_of("method", method, _METHODS)
    checks.function("make", make, "of hyper-parameters -> a new Trainer or estimator")
    trials = checks.count("trials", trials)
    epochs = checks.count("epochs", epochs)
    seed = checks.seed(seed)
    end = math.inf
    if time_budget is not None:
        end = time.monotonic() + checks.positive("time_budget", time_budget)
    check_mode(mode)
    check_space(space)
    data = SearchData.of(x, y, validation_data, validation_fraction, seed)
    run = _Run(make, data, epochs, batch_size, metric, mode, end, seed)
    if method == "tpe":
        _tpe(run, space, trials, seed)
    else:
        rng = np.random.default_rng(seed)
        drawn = [{name: draw(rng, given) for name, given in space.items()} for _ in range(trials)]
        run.add(drawn)
        if method == "halving":
            _halving(run)
        else:
            run.train(range(trials))
    return run.result()


class _Keep(EarlyStopping):
    """Keeps the best epoch's weights, and ends a training whose time is over.

    The model gets them from `restore`: a later round goes on from the last epoch.
    """

    def __init__(self, monitor: str, mode: str | None, end: float) -> None:
        super().__init__(monitor, patience=sys.maxsize, mode=mode)
        self._end = end

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        _check_metric(self.monitor, record)
        super().on_epoch_end(trainer, record)
        if time.monotonic() > self._end:
            trainer.stop("the time is over")

    def on_train_end(self, trainer: Trainer) -> None:
        pass

    def restore(self, trainer: Trainer) -> None:
        super().on_train_end(trainer)


class _Run:
    """The trials of a search, and how they are trained."""

    def __init__(
        self,
        make: Callable[..., Any],
        data: SearchData,
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
        self._of_trainers = False
        self._keepers: dict[int, _Keep] = {}
        self._own = OwnParts("make")
        self._lock = forks.lock()  # of what follows
        self._ended: set[int] = set()

    def add(self, settings: Iterable[dict[str, Any]]) -> range:
        """New trials; their numbers."""
        first = len(self.trials)
        self.trials += [Trial(first + i, given) for i, given in enumerate(settings)]
        return range(first, len(self.trials))

    def train(self, numbers: Sequence[int], share: float = 1.0, going_on: int = 1) -> None:
        """Train these trials side by side up to a share of the epochs, or on one of the rows.

        Only the models of the best ones stay, as many as will go on.
        """
        self._ended.difference_update(numbers)

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
                trial.rounds += 1
            except Exception as error:
                if error.args and isinstance(error.args[0], str):
                    error.args = (f"{error.args[0]} [{trial.settings}]", *error.args[1:])
                raise
            trial.seconds += time.monotonic() - begin
            self._forget(trial, going_on)

        def stop(reason: str) -> None:
            self.is_over = True
            for number in numbers:
                if isinstance(model := self.trials[number].model, Trainer):
                    model.stop(reason)

        side_by_side(task, len(numbers), stop, "trial")

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
        for name, value in (("metric", self.metric), ("mode", self.mode)):
            if value is not None:
                raise ValueError(f"{name} is for Trainers: an estimator has its `score`")
        _seed(model, self.seed)
        x, y = self.data.part(share, self.seed, by_class=_is_classifier(model))
        with use_generator(Generator(self.seed)):
            model.fit(x, y)
        trial.score = float(model.score(*self.data.validation))
        trial.rounds += 1

    def _train_on(self, trainer: Trainer, trial: Trial, share: float) -> None:
        self._of_trainers = True
        keep = self._keepers.get(trial.number)
        if keep is None:
            with self._lock:
                self._own.add(trainer)
            keep = _Keep(self.metric or "validation_loss", self.mode, self.end)
            if not trainer.callbacks:  # which may add columns
                _check_metric(keep.monitor, _columns(trainer))
            self._keepers[trial.number] = keep
            trainer.callbacks.append(keep)
            self.mode = mode_of(keep, trainer)
        done = trainer.epoch
        epochs = max(round(share * self.epochs), 1) - done
        if epochs >= 1 and trainer.history.stop_reason is None:
            trainer.fit(
                self.data.x, self.data.y, epochs=epochs, batch_size=self.batch_size,
                validation_data=self.data.validation, progress=False,
            )  # fmt: skip
            if trainer.epoch == done:
                return
        trial.epochs = trainer.epoch
        trial.score = math.nan if keep.best is None else keep.best
        trial.rounds += 1

    @property
    def direction(self) -> str:
        """Whether the least or the largest score is the best: "min" or "max"."""
        return self.mode or ("min" if self._of_trainers else "max")

    def _forget(self, trial: Trial, going_on: int) -> None:
        """Let go of the models that can neither go on nor be the best, now that a trial ended."""
        with self._lock:
            self._ended.add(trial.number)
            kept = going_on if self._of_trainers else 1
            ended = (trial for trial in self.trials if trial.number in self._ended)
            for other in ranked(ended, self.direction)[kept:]:
                other.model = None
                self._keepers.pop(other.number, None)

    def result(self) -> SearchResult:
        """All trials that have begun; the best one with its model."""
        name = "score"
        if self._of_trainers:
            name = self.metric or "validation_loss"
        begun = [trial for trial in self.trials if trial.number in self.begun]
        result = SearchResult(begun, name, self.direction)
        for trial in result.trials[1:]:
            trial.model = None
        for trial in result.trials[:1]:
            if isinstance(trial.model, Trainer):
                keep = self._keepers[trial.number]
                keep.restore(trial.model)
                trial.model.callbacks.remove(keep)
        return result


def _halving(run: _Run) -> None:
    """Train all trials a little, then the best third of them three times longer, and so on."""
    left = list(range(len(run.trials)))
    share = float(_REDUCTION) ** -math.ceil(math.log(len(left), _REDUCTION) - 1e-9)
    while True:
        going_on = math.ceil(len(left) / _REDUCTION)
        run.train(left, share, going_on)
        if len(left) == 1 or run.is_over:
            return
        best = ranked((run.trials[number] for number in left), run.direction)[:going_on]
        left = sorted(trial.number for trial in best)
        share = min(share * _REDUCTION, 1.0)


def _tpe(run: _Run, space: Space, trials: int, seed: int) -> None:
    """Let optuna propose the settings, some at a time."""
    try:
        import optuna  # an extra
    except ImportError as error:
        raise missing("method='tpe'", "optuna", "search") from error
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
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        study = optuna.create_study(sampler=sampler)  # which minimises
        while len(run.trials) < trials and not run.is_over:
            count = min(_ASKED_AT_ONCE, trials - len(run.trials))
            asked = [study.ask(distributions) for _ in range(count)]
            numbers = run.add({n: chosen(space[n], v) for n, v in t.params.items()} for t in asked)
            run.train(numbers)
            sign = -1 if run.direction == "max" else 1
            for one, number in zip(asked, numbers, strict=True):
                score = run.trials[number].score
                if math.isnan(score):
                    study.tell(one, state=optuna.trial.TrialState.FAIL)
                else:
                    study.tell(one, sign * score)
    finally:
        optuna.logging.set_verbosity(verbosity)


def _check_metric(metric: str, columns: Iterable[str]) -> None:
    if metric not in (names := list(columns)):
        raise ValueError(f"metric={metric!r:.80} is no column of the history: {', '.join(names)}")


def _columns(trainer: Trainer) -> list[str]:
    """The columns of a history without callbacks, which may have others beside them."""
    names = ["loss", *(metric.name for metric in trainer.metrics)]
    penalty = ["penalty"] * bool(trainer.graphs.options.penalties)
    return [*names, *penalty, *(f"validation_{name}" for name in names)]


def _seed(estimator: Any, seed: int) -> None:
    """Give it, and the parts of a pipeline, a seed where it has none."""
    given = estimator.get_params() if hasattr(estimator, "get_params") else {}
    for name, value in given.items():
        if value is None and name.split("__")[-1] == "random_state":
            estimator.set_params(**{name: seed % 2**32})


def _is_classifier(estimator: Any) -> bool:
    base = sys.modules.get("sklearn.base")
    return (
        base is not None
        and hasattr(estimator, "__sklearn_tags__")
        and bool(base.is_classifier(estimator))
    )
