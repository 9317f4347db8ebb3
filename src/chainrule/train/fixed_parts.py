"""Parts that a Trainer is made with: none can be replaced afterwards."""

from __future__ import annotations

from typing import Any

_REMEDIES = {
    "state": "its arrays and counts come from load(path), or from fit(..., resume=True)",
    "history": "read it, or change the records within it",
    "epoch": "it counts the epochs done; fit(epochs=...) trains on",
    "step": "it counts the updates done",
    "seed": "its random numbers have begun; make another Trainer with the other seed",
    "schedule": "make another Trainer with the schedule; its methods change it",
    **dict.fromkeys(
        ("model", "optimizer", "metrics", "ema", "graphs", "backend"),
        "its steps are captured with it; make another Trainer",
    ),
}

_ARGUMENTS = dict.fromkeys(
    (
        "loss",
        "augmentation",
        "penalties",
        "constraints",
        "accumulate",
        "clip_norm",
        "clip_value",
    ),
    "its steps are captured with it; make another Trainer, with the same model and optimiser",
)
_ARGUMENTS["lr"] = "set optimizer.param_groups[0]['lr']"
_ARGUMENTS |= dict.fromkeys(("epochs", "batch_size"), "it is an argument of fit")
"""Arguments that are no attributes: setting one would have no effect."""


class FixedParts:
    """An object whose parts stay: a step that was captured with one would ignore another."""

    def __setattr__(self, name: str, value: Any) -> None:
        is_new = name not in vars(self) and not hasattr(type(self), name)
        remedy = _ARGUMENTS.get(name) or (None if is_new else _REMEDIES.get(name))
        if remedy is not None:
            raise AttributeError(f"a {type(self).__name__}'s {name} can't be set: {remedy}")
        super().__setattr__(name, value)
