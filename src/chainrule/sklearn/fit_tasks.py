"""scikit-learn's protocol of callbacks: a fit is a task, each of its epochs a task within it."""

from __future__ import annotations

from typing import Any

from chainrule.sklearn.training import network_of_now
from chainrule.train import Callback, Trainer

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """In its place: nothing."""


__all__ = ["CallbackSupportMixin", "FitTask"]


class FitTask(Callback):
    """Tells the callbacks of an estimator of its fit, and of each epoch or iteration.

    Args:
        estimator: that is fitted.
        X, y: the rows, checked, with missing values as they were given.
        weights: of the rows, or None.
        epochs: how many there are at most.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, weights: Any, epochs: int) -> None:
        self._estimator = estimator
        metadata = None if weights is None else {"sample_weight": weights}
        self._given = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._fit = estimator._init_callback_context(max_subtasks=epochs)
        self._epoch: Any = None
        self._fit.call_on_fit_task_begin(**self._given)

    def on_epoch_begin(self, trainer: Trainer) -> None:
        self.begin()

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        if self.end():
            trainer.stop("a callback asked for it")

    def begin(self) -> None:
        """An epoch begins."""
        self._epoch = self._fit.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(
            **self._given, reconstruction_attributes=self._attributes
        )

    def end(self) -> bool:
        """An epoch is over; whether a callback asks for the end of the fit."""
        asked = self._epoch.call_on_fit_task_end(
            **self._given, reconstruction_attributes=self._attributes
        )
        return bool(asked)

    def finish(self) -> None:
        """The fit is over."""
        self._fit.call_on_fit_task_end(**self._given, reconstruction_attributes=self._attributes)

    def _attributes(self) -> dict[str, Any]:
        return network_of_now(self._estimator)
