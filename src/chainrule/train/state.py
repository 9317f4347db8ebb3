"""What a checkpoint of a Trainer holds, and how it is taken up again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph.tensor import Array
from chainrule.nn import Module, build, describe
from chainrule.train import checkpoint
from chainrule.train.history import History

if TYPE_CHECKING:
    from chainrule.train.trainer import Trainer


def save(trainer: Trainer, path: str | os.PathLike[str]) -> None:
    """Write all of the trainer's state."""
    tensors: dict[str, Array] = {}
    _add(tensors, "model", trainer.model.state_dict())
    arrays, optimizer = _parted(trainer.optimizer.state_dict())
    _add(tensors, "optimizer", arrays)
    _add(tensors, "accumulated", _numbered(trainer.graphs.accumulated))
    tensors["accumulated_rows"] = trainer.graphs.accumulated_rows.numpy()
    tensors["generator"] = trainer.generator.state.numpy()
    callbacks = []
    for i, callback in enumerate(trainer.callbacks):
        arrays, rest = _parted(callback.state_dict())
        _add(tensors, f"callback.{i}", arrays)
        callbacks.append({"class": type(callback).__name__, "state": rest})
    _add(tensors, "totals", {str(i): m for i, m in enumerate(trainer.totals.metrics)})
    checkpoint.write(
        path,
        tensors,
        {
            "model": describe(trainer.model),
            "about": trainer.about,
            "training": {
                "optimizer": {"class": type(trainer.optimizer).__name__, "state": optimizer},
                "schedule": None
                if trainer.schedule is None
                else {
                    "class": type(trainer.schedule).__name__,
                    "state": trainer.schedule.state_dict(),
                },
                "callbacks": callbacks,
                "history": trainer.history.epochs,
                "seed": trainer.seed,
                "epoch": trainer.epoch,
                "step": trainer.step,
                "position": trainer.position,
                "loss": trainer.totals.loss,
                "rows": trainer.totals.rows,
                "data": trainer.data_key,
            },
        },
    )


def load(trainer: Trainer, path: str | os.PathLike[str]) -> None:
    """Check everything in the file against the trainer, then take it up."""
    tensors, description = checkpoint.read(path)
    if "training" not in description:
        raise ValueError(f"{path} holds a model but no training to go on with")
    training = description["training"]
    for name, mine, theirs in (
        ("optimizer", type(trainer.optimizer).__name__, training["optimizer"]["class"]),
        ("schedule", _class(trainer.schedule), (training["schedule"] or {}).get("class")),
        (
            "callbacks",
            [type(c).__name__ for c in trainer.callbacks],
            [c["class"] for c in training["callbacks"]],
        ),
        ("seed", trainer.seed, training["seed"]),
    ):
        if mine != theirs:
            raise ValueError(
                f"{path} was saved with {name} {theirs}; this Trainer has {mine}. Make it as it was"
            )
    accumulated = _of(tensors, "accumulated")
    expected = _numbered(trainer.graphs.accumulated)
    if {k: a.shape for k, a in accumulated.items()} != {k: a.shape for k, a in expected.items()}:
        raise ValueError(f"{path} was saved with another accumulate or other parameters")
    before = trainer.model.state_dict()
    trainer.model.load_state_dict(_of(tensors, "model"))  # checks all, then loads
    try:
        trainer.optimizer.load_state_dict(
            {**training["optimizer"]["state"], **_of(tensors, "optimizer")}
        )
    except (ValueError, TypeError, KeyError):
        trainer.model.load_state_dict(before)
        raise
    if trainer.schedule is not None:
        trainer.schedule.load_state_dict(training["schedule"]["state"])
    for i, callback in enumerate(trainer.callbacks):
        callback.load_state_dict(
            {**training["callbacks"][i]["state"], **_of(tensors, f"callback.{i}")}
        )
    for number, buffer in enumerate(trainer.graphs.accumulated):
        buffer.assign(accumulated[str(number)])
    trainer.graphs.accumulated_rows.assign(tensors["accumulated_rows"])
    trainer.generator.state.assign(tensors["generator"])
    trainer.history = History(training["history"])
    trainer.epoch = training["epoch"]
    trainer.step = training["step"]
    trainer.position = training["position"]
    trainer.data_key = training["data"]
    trainer.totals.loss = training["loss"]
    trainer.totals.rows = training["rows"]
    totals = _of(tensors, "totals")
    trainer.totals.metrics = [totals[str(i)] for i in range(len(totals))]


def read_model(path: str | os.PathLike[str]) -> tuple[Module, dict[str, Any]]:
    """The model of a file that a Trainer saved, built anew, and the Trainer's `about`.

    Raises:
        FileError: if the file is truncated, damaged or foreign.
        ValueError: if the model has layers that are not of this library: construct your own class,
            then load the file by a Trainer.
    """
    tensors, description = checkpoint.read(path)
    model = build(description.get("model"))
    try:
        model.load_state_dict(_of(tensors, "model"))
    except RuntimeError as error:
        raise checkpoint.FileError(f"{path}: its weights do not fit its model. {error}") from None
    return model.eval(), description.get("about", {})


def _class(thing: Any) -> str | None:
    return None if thing is None else type(thing).__name__


def _numbered(buffers: Any) -> dict[str, Array]:
    return {str(i): buffer.numpy() for i, buffer in enumerate(buffers)}


def _add(tensors: dict[str, Array], prefix: str, arrays: dict[str, Array]) -> None:
    tensors.update({f"{prefix}.{name}": array for name, array in arrays.items()})


def _of(tensors: dict[str, Array], prefix: str) -> dict[str, Array]:
    start = prefix + "."
    return {k.removeprefix(start): a for k, a in tensors.items() if k.startswith(start)}


def _parted(state: dict[str, Any]) -> tuple[dict[str, Array], dict[str, Any]]:
    """A flat state taken apart into its arrays and the rest, which goes into the description."""
    arrays = {k: v for k, v in state.items() if isinstance(v, np.ndarray)}
    return arrays, {k: v for k, v in state.items() if k not in arrays}
