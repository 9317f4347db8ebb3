"""Going on from a checkpoint: only of the same training."""

from __future__ import annotations

import os
from typing import Any

from chainrule.cli.output import say
from chainrule.errors import FileError
from chainrule.system.reading import reason
from chainrule.train import Trainer
from chainrule.train.model_file import metadata_of, read


def say_whether_resumed(trainer: Trainer, checkpoint: str | None, resume: bool) -> None:
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
