"""Callbacks: what a user does between the epochs of a training; early stopping is one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from chainrule.train.trainer import Trainer


class Callback:
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
        """After an epoch, with its record in the history."""

    def on_train_end(self, trainer: Trainer) -> None:
        """After the last epoch, also where training was stopped."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of the callback: arrays, numbers, strings, None, flat."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""


class EarlyStopping(Callback):
    """Stop when a quantity no longer improves.

    With ``monitor="loss"`` training runs until the training loss stops decreasing, as the lectures
    teach; with validation data the usual choice is ``"validation_loss"``.

    Args:
        monitor: a column of the history.
        patience: how many epochs without improvement are borne; the next one ends the training.
        min_delta: an improvement is better than the best value by more than this.
        mode: ``"min"`` or ``"max"``; by default as the metric's `higher_is_better` says, so "max"
            for accuracy and r2, and "min" for losses and functions.
        restore_best: give the model back the weights (and buffers) of its best epoch at the end.

    Attributes:
        best: the best value so far.
        best_epoch: its epoch, counted from 1.

    Raises:
        ValueError: for a bad argument; at the end of the first epoch, if the history has no column
            named `monitor`.

    Source: Prechelt, "Early stopping - but when?", 1998.
    """

    def __init__(
        self,
        monitor: str = "validation_loss",
        *,
        patience: int = 0,
        min_delta: float = 0.0,
        mode: str | None = None,
        restore_best: bool = True,
    ) -> None:
        if patience < 0 or min_delta < 0:
            raise ValueError(
                f"patience and min_delta are not negative; got {patience} and {min_delta}"
            )
        if mode not in (None, "min", "max"):
            raise ValueError(f"mode is 'min' or 'max', got {mode!r}")
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.mode = mode
        self.restore_best = restore_best
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self.best: float | None = None
        self.best_epoch = 0
        self.waited = 0
        self._weights: dict[str, np.ndarray] = {}

    def on_train_begin(self, trainer: Trainer) -> None:
        if trainer.step == 0:
            self.reset()
        elif self.waited > self.patience:  # resumed after the epoch that ended the training
            self._stop(trainer)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        if self.monitor not in record:
            raise ValueError(
                f"EarlyStopping monitors {self.monitor!r}, but an epoch has only "
                f"{', '.join(record)}; pass validation data or another monitor"
            )
        value = record[self.monitor]
        gain = math.inf if self.best is None else value - self.best
        if self.best is not None and self._mode(trainer) == "min":
            gain = -gain
        if gain > self.min_delta and not math.isnan(value):
            self.best, self.best_epoch, self.waited = value, trainer.epoch, 0
            if self.restore_best:
                self._weights = trainer.model.state_dict()
        else:
            self.waited += 1
            if self.waited > self.patience:
                self._stop(trainer)

    def _mode(self, trainer: Trainer) -> str:
        if self.mode is not None:
            return self.mode
        name = self.monitor.removeprefix("validation_")
        rising = any(m.higher_is_better for m in trainer.metrics if m.name == name)
        return "max" if rising else "min"

    def _stop(self, trainer: Trainer) -> None:
        best = "it never was a number"
        if self.best is not None:
            best = f"best {self.best:.6g} in epoch {self.best_epoch}"
        trainer.stop(f"{self.monitor} stopped improving; {best}")

    def on_train_end(self, trainer: Trainer) -> None:
        self.waited = 0  # who calls fit again wants to go on
        if self._weights:
            trainer.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "waited": self.waited,
            **{f"weights.{name}": array for name, array in self._weights.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = state["best"]
        self.best_epoch = state["best_epoch"]
        self.waited = state["waited"]
        prefix = "weights."
        self._weights = {
            name.removeprefix(prefix): array
            for name, array in state.items()
            if name.startswith(prefix)
        }
