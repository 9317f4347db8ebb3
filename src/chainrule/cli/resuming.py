"""Trainings that are saved, and go on from a checkpoint: only from one of the same training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from chainrule.cli.output import say
from chainrule.errors import FileError
from chainrule.system.reading import reason
from chainrule.train import Trainer
from chainrule.train.checkpoint import check_can_save
from chainrule.train.model_file import metadata_of, read


def fit_and_save(trainer: Trainer, given: Mapping[str, Any], *data: Any, **options: Any) -> bool:
    """Train, from the checkpoint on where that is asked for; save the model and the history.

    Args:
        trainer: the trainer.
        given: the options of the command.
        data, options: as of `Trainer.fit`.

    Returns:
        Whether Ctrl-C ended the training.

    Raises:
        OSError, ValueError: before the training, if there is no room for the model, or the
            checkpoint is of another training.
    """
    out, checkpoint, resume = given["out"], given["checkpoint"], given["resume"]
    if out is not None:
        check_can_save(trainer, out)
    _say_whether_resumed(trainer, checkpoint, resume)
    history = trainer.fit(*data, checkpoint=checkpoint, resume=resume, **options)
    if out is not None:
        trainer.save(out)
    if given["history"] is not None:
        history.to_csv(given["history"])
    return history.stop_reason == "interrupted"


def _say_whether_resumed(trainer: Trainer, checkpoint: str | None, resume: bool) -> None:
    """Check that the checkpoint is of the same training, before it is loaded.

    Raises:
        ValueError: if it is of another one, or would be overwritten unasked.
    """
    if checkpoint is None:
        return
    if not os.path.exists(checkpoint):
        if resume:
            say(f"no checkpoint {checkpoint} yet: training begins")
        return
    if not resume:
        raise ValueError(
            f"{checkpoint} is there already. Go on from it with --resume, or delete it, or name "
            "another --checkpoint."
        )
    _, description = read(checkpoint)
    metadata = metadata_of(checkpoint, description)
    if "options" not in metadata:
        raise ValueError(f"{checkpoint} was not saved by chainrule train; name another one.")
    try:
        difference = _difference(trainer.metadata, metadata)
        done = int(description["training"]["epoch"])
    except Exception as error:
        raise FileError(
            f"{checkpoint}: what it says of its training is damaged ({reason(error)})"
        ) from error
    if difference is not None:
        raise ValueError(f"{checkpoint} was saved {difference}, or name another --checkpoint.")
    say(f"resuming from {checkpoint}, after {done} epochs")


def _difference(mine: dict[str, Any], theirs: dict[str, Any]) -> str | None:
    """How a training differs from the one of a checkpoint, and what to do; None if it does not."""
    for name, value in mine["options"].items():
        saved = theirs["options"].get(name)
        if name == "epochs":
            if saved != value and mine["options"]["schedule"] != "constant":
                return (
                    f"with --epochs {_shown(saved)}, over which its learning rate falls, this is "
                    f"{value}. One with --schedule constant can go on for more; here give the same"
                )
        elif saved != value:
            return (
                f"with --{name.replace('_', '-')} {_shown(saved)}, this is {_shown(value)}. Give "
                "the same options to resume"
            )
    if {**theirs["data"], "name": ""} != {**mine["data"], "name": ""}:
        return (
            f"in a training on other data ({theirs['data']['name']}, {theirs['data']['rows']} "
            "rows). Give the same data"
        )
    if theirs["classes"] != mine["classes"]:
        return "with another --task. Give the same"
    return None


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
