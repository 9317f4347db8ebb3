"""Parts that a Trainer is made with: none can be replaced afterwards."""

from __future__ import annotations

from typing import Any

_REMEDIES = {
    "state": "its arrays and counts come from load(path), or from fit(..., resume=True)",
    "history": "read it, or change the records within it",
    "epoch": "it counts the epochs done; fit(epochs=...) trains on",
    "step": "it counts the updates done",
    "loss": "make another Trainer with the other loss",
    "schedule": "make another Trainer with the schedule; its methods change it",
    **dict.fromkeys(
        ("model", "optimizer", "metrics", "ema", "graphs", "backend"),
        "its steps are captured with it; make another Trainer",
    ),
}


class FixedParts:
    """An object whose parts stay: a step that was captured with one would ignore another."""

    def __setattr__(self, name: str, value: Any) -> None:
        is_new = name not in vars(self) and not hasattr(type(self), name) and name != "loss"
        if name in _REMEDIES and not is_new:
            raise AttributeError(
                f"a {type(self).__name__}'s {name} can't be set: {_REMEDIES[name]}"
            )
        super().__setattr__(name, value)
