"""Callbacks: code that runs during a training, after its batches and epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import checks
from chainrule.graph.keywords import referring
from chainrule.graph.state import State
from chainrule.markup import Constructed
from chainrule.optim.lr_scheduler.plateau import Plateau
from chainrule.system.interrupts import interrupts_held
from chainrule.train.keras_arguments import OF_CALLBACKS

if TYPE_CHECKING:
    from chainrule.train.trainer import Trainer


class Callback(Constructed):
    """Called by `Trainer.fit`; override what you need.

    To end the training call `trainer.stop("why")`.
    """

    def on_train_begin(self, trainer: Trainer) -> None:
        """Before the first epoch, or where training resumes."""

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Before an epoch; `trainer.epoch` epochs are done."""

    def on_step_end(self, trainer: Trainer, loss: float) -> None:
        """After a batch, with its loss."""

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        """After an epoch, with its record in the history.

        Numbers that are put into `record` become columns of the history; callbacks that come later
        in the list see them, too.
        """

    def on_train_end(self, trainer: Trainer) -> None:
        """After the last epoch, also where training was stopped."""

    def state_dict(self) -> dict[str, Any]:
        """The state that a checkpoint keeps: arrays, numbers, strings, None, flat."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""

    def check_state_dict(self, state: dict[str, Any], trainer: Trainer) -> None:
        """Raise ValueError or TypeError for a state, read from a file, that can't be loaded.

        Called for all callbacks before any of them loads its state.
        """


def as_callbacks(callbacks: Sequence[Callback]) -> list[Callback]:
    """The callbacks as a list.

    Raises:
        TypeError: for anything else than a list of `Callback` objects.
    """
    if not isinstance(callbacks, (list, tuple)):
        raise TypeError(f"callbacks are a list, got {callbacks!r}: write callbacks=[...]")
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise TypeError(
                f"a callback is an object of a Callback class, got {checks.described(callback)}"
            )
    return list(callbacks)


class EarlyStopping(Callback):
    """Stop when a quantity no longer improves.

    With ``monitor="loss"`` training runs until the training loss stops decreasing, as the lectures
    teach; with validation data the usual choice is ``"validation_loss"``.

    Args:
        monitor: a column of the history.
        patience: epochs without improvement to allow; training stops after one more.
        min_delta: an improvement is better than the best value by more than this.
        mode: ``"min"`` or ``"max"``; by default as the metric's `higher_is_better` says, so "max"
            for accuracy and r2, and "min" for losses and functions; and "max" for the
            "validation_score" of an estimator.
        restore_best: give the model back the weights (and buffers) of its best epoch at the end;
            an average of the parameters and what the loss learns, too.

    Attributes:
        best: the best value so far.
        best_epoch: its epoch, counted from 1.

    Raises:
        TypeError, ValueError: for a bad argument; at the end of the first epoch, if the history has
            no column named `monitor`.

    Source: Prechelt, "Early stopping - but when?", 1998.
    """

    @referring(**OF_CALLBACKS)
    def __init__(
        self,
        monitor: str = "validation_loss",
        *,
        patience: int = 0,
        min_delta: float = 0.0,
        mode: str | None = None,
        restore_best: bool = True,
    ) -> None:
        check_mode(mode)
        self.monitor = monitor
        self.patience = checks.integer("patience", patience, 0)
        self.min_delta = checks.not_negative("min_delta", min_delta)
        self.mode = mode
        self.restore_best = restore_best
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self.best: float | None = None
        self.best_epoch = 0
        self.waited = 0
        self._kept: dict[str, np.ndarray] = {}

    def on_train_begin(self, trainer: Trainer) -> None:
        if trainer.step == 0:
            self.reset()
        elif self.waited > self.patience:  # resumed after the epoch that ended the training
            self._stop(trainer)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        value = _monitored(self, record)
        gain = math.inf if self.best is None else value - self.best
        if self.best is not None and mode_of(self, trainer) == "min":
            gain = -gain
        if gain > self.min_delta and not math.isnan(value):
            kept = self._kept
            if self.restore_best:
                kept = {n: s.numpy().copy() for n, s in _restorable(trainer).items()}
            self.best, self.best_epoch, self.waited, self._kept = value, trainer.epoch, 0, kept
        else:
            self.waited += 1
            if self.waited > self.patience:
                self._stop(trainer)

    def _stop(self, trainer: Trainer) -> None:
        best = "it never was a number"
        if self.best is not None:
            best = f"best {self.best:.6g} in epoch {self.best_epoch}"
        trainer.stop(f"{self.monitor} stopped improving; {best}")

    def on_train_end(self, trainer: Trainer) -> None:
        self.waited = 0  # another fit shall go on
        if self._kept:
            with interrupts_held():  # all of the best weights, or none
                for name, state in _restorable(trainer).items():
                    state.assign(self._kept[name])

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "waited": self.waited,
            **self._kept,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.best_epoch, self.waited = _checked(state, "best_epoch", "waited")
        self._kept = {name: kept for name, kept in state.items() if isinstance(kept, np.ndarray)}

    def check_state_dict(self, state: dict[str, Any], trainer: Trainer) -> None:
        _checked(state, "best_epoch", "waited")
        restorable = _restorable(trainer)
        if not any(name in state for name in restorable):
            return  # saved with restore_best=False, or before the first epoch's end
        for name, own in restorable.items():
            found = "nothing"
            if isinstance(kept := state.get(name), np.ndarray):
                found = f"{kept.dtype} {kept.shape}"
            if found != (expected := f"{own.dtype} {own.shape}"):
                raise ValueError(f"{name} of the best epoch is {expected}; got {found}")


class ReduceLROnPlateau(Callback, Plateau):
    """Lower the learning rate when a quantity no longer improves: times `factor`, in every group.

    With a schedule of the learning rate the rates that it starts from, its `base_lrs`, are lowered
    instead, and it goes on from them.

    Args:
        monitor: a column of the history.
        factor: what a learning rate is multiplied with, in (0, 1).
        patience: epochs without improvement to allow; the rates are lowered after one more.
        threshold: by how much a value must be better than the best to be an improvement.
        threshold_mode: "rel": as a share of the best value; "abs": as it is.
        cooldown: for how many epochs after a lowering no bad epoch is counted.
        min_lr: no rate is lowered below this.
        mode: "min" or "max"; by default as `EarlyStopping` chooses.

    Attributes:
        best: the best value so far.

    Raises:
        TypeError, ValueError: for a bad argument; at the end of the first epoch, if the history has
            no column named `monitor`.

    Source: semantics of PyTorch's class of this name, with its least change of a rate, 1e-8.
    """

    @referring(min_delta="threshold=min_delta, threshold_mode='abs'", **OF_CALLBACKS)
    def __init__(
        self,
        monitor: str = "validation_loss",
        *,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        mode: str | None = None,
    ) -> None:
        Plateau.__init__(self, factor, patience, threshold, threshold_mode, cooldown)
        check_mode(mode)
        self.monitor = monitor
        self.min_lr = checks.not_negative("min_lr", min_lr)
        self.mode = mode

    def on_train_begin(self, trainer: Trainer) -> None:
        if trainer.step == 0:
            self.reset()

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        value = _monitored(self, record)
        if self.ends_with(value, mode_of(self, trainer)):
            self._lower(trainer)

    def _lower(self, trainer: Trainer) -> None:
        groups = own = tuple(trainer.optimizer.param_groups)
        schedule = trainer.schedule and trainer.schedule.for_parameter("lr")
        if schedule is not None:
            own = groups[len(schedule.base_lrs) :]  # groups that were added after the schedule
            schedule.base_lrs = [self.lowered(lr, self.min_lr) for lr in schedule.base_lrs]
            for group, lr in zip(groups, schedule.lrs(schedule.t), strict=False):
                group["lr"] = lr
        for group in own:
            group["lr"] = self.lowered(group["lr"], self.min_lr)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "cooling": self.cooling}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.waited, self.cooling = _checked(state, "waited", "cooling")

    def check_state_dict(self, state: dict[str, Any], trainer: Trainer) -> None:
        _checked(state, "waited", "cooling")


def check_mode(mode: str | None) -> None:
    """Raise ValueError unless it is "min", "max" or None."""
    if mode is not None:
        checks.one_of("mode", mode, ("min", "max"))


def _checked(state: dict[str, Any], *counts: str) -> tuple[Any, ...]:
    """The best value and the counts of a callback's state, if they are such.

    Raises:
        ValueError, TypeError: naming what is missing or wrong.
    """
    for name in ("best", *counts):
        if name not in state:
            raise ValueError(f"{name} is missing; there are {', '.join(state) or 'no fields'}")
    best = state["best"]
    is_number = isinstance(best, (int, float)) and not isinstance(best, bool)
    if best is not None and (not is_number or math.isnan(best)):
        raise TypeError(f"best is a number or None; got {best!r}")
    return best, *(checks.integer(name, state[name], 0) for name in counts)


def _monitored(callback: EarlyStopping | ReduceLROnPlateau, record: dict[str, float]) -> float:
    """The value of the column that a callback monitors."""
    if callback.monitor not in record:
        raise ValueError(
            f"{type(callback).__name__} monitors {callback.monitor!r}, but an epoch has only "
            f"{', '.join(record)}; pass validation data or another monitor"
        )
    return record[callback.monitor]


def mode_of(callback: EarlyStopping | ReduceLROnPlateau, trainer: Trainer) -> str:
    """Whether the monitored quantity shall become small ("min") or large ("max")."""
    if callback.mode is not None:
        return callback.mode
    name = callback.monitor.removeprefix("validation_")
    known = [m.higher_is_better for m in trainer.metrics if m.name == name]
    rising = any(known) or (not known and callback.monitor == "validation_score")
    return "max" if rising else "min"


def _restorable(trainer: Trainer) -> dict[str, State]:
    """The states that `restore_best` gives back: of the model, averages, parameters of the loss."""
    model = trainer.model
    parts = {
        "weights": dict([*model.named_parameters(), *model.named_buffers()]),
        "average": {} if trainer.ema is None else trainer.ema.states(),
        "other": trainer.graphs.states_outside_model(),
    }
    return {f"{part}.{name}": s for part, states in parts.items() for name, s in states.items()}
