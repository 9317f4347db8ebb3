"""What a checkpoint of a Trainer holds, and how it is taken up again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import checks
from chainrule.errors import DTypeError
from chainrule.graph.tensor import Array
from chainrule.nn import Module, from_description, to_description
from chainrule.system.interrupts import interrupts_held
from chainrule.train import checkpoint
from chainrule.train.history import History

if TYPE_CHECKING:
    from chainrule.train.callbacks import Callback
    from chainrule.train.trainer import Trainer


class _DamageError(Exception):
    """What a file says can't be so."""


def save(trainer: Trainer, path: str | os.PathLike[str]) -> None:
    """Write all of the trainer's state."""
    tensors, training = _collected(trainer)
    description = {
        "model": to_description(trainer.model),
        "metadata": trainer.metadata,
        "training": training,
    }
    checkpoint.write(path, tensors, description)


def load(
    trainer: Trainer, path: str | os.PathLike[str], data_key: dict[str, Any] | None = None
) -> None:
    """Take up everything in the file; where it does not fit the trainer, change nothing.

    A file from the middle of an epoch must be over data as in `data_key`, where that is given.
    """
    tensors, description = checkpoint.read(path)
    if "training" not in description:
        raise ValueError(f"{path} holds a model but no training to go on with")
    before, history = _collected(trainer), trainer.history
    with interrupts_held():
        try:
            training = description["training"]
            if data_key is not None and training["position"] and training["data"] != data_key:
                raise ValueError(
                    f"it is from the middle of an epoch over {training['data']} and can't go on "
                    f"over {data_key}"
                )
            _check_fits(trainer, training)
            _check_progress(tensors, training)
            _take_up(trainer, tensors, training)
            _check_callbacks(trainer, tensors, training)
            _take_up_callbacks(trainer, tensors, training)
        except BaseException as error:
            _take_up(trainer, *before)
            trainer.history = history
            _take_up_callbacks(trainer, *before)
            if not isinstance(error, Exception):
                raise
            if isinstance(error, (ValueError, RuntimeError, DTypeError)):
                raise ValueError(f"{path} does not fit this Trainer: {error}") from error
            reason = error if isinstance(error, _DamageError) else repr(error)
            raise checkpoint.FileError(
                f"{path}: what it says of the training is damaged ({reason})"
            ) from error


def _collected(trainer: Trainer) -> tuple[dict[str, Array], dict[str, Any]]:
    """All of the trainer's state: its arrays by name, and the rest as plain data."""
    tensors: dict[str, Array] = {}
    ema, average = trainer.ema, None
    if ema is None:
        _add(tensors, "model", trainer.model.state_dict())
    else:  # "model" is what predicts: who reads the file for its weights wants those
        with interrupts_held(), ema.applied():
            _add(tensors, "model", trainer.model.state_dict())
        _add(tensors, "trained", trainer.model.state_dict())
        arrays, rest = _parted(ema.state_dict())
        _add(tensors, "ema", arrays)
        average = {"class": type(ema).__name__, "state": rest}
    _add(tensors, "other", {k: s.numpy() for k, s in trainer.graphs.others().items()})
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
    schedule = trainer.schedule
    return tensors, {
        "optimizer": {"class": type(trainer.optimizer).__name__, "state": optimizer},
        "schedule": schedule and {"class": type(schedule).__name__, "state": schedule.state_dict()},
        "ema": average,
        "callbacks": callbacks,
        "metrics": _sums(trainer),
        "accumulate": trainer.accumulate,
        "history": list(trainer.history),
        "seed": trainer.seed,
        "epoch": trainer.epoch,
        "step": trainer.step,
        "position": trainer.position,
        "loss": trainer.totals.loss,
        "rows": trainer.totals.rows,
        "data": trainer.data_key,
    }


def _take_up(trainer: Trainer, tensors: dict[str, Array], training: dict[str, Any]) -> None:
    """Give the trainer the state that `_collected` returned, but for its callbacks."""
    trainer.model.load_state_dict(_of(tensors, "model" if trainer.ema is None else "trained"))
    if trainer.ema is not None:
        trainer.ema.load_state_dict({**training["ema"]["state"], **_of(tensors, "ema")})
    if trainer.schedule is not None:
        trainer.schedule.load_state_dict(training["schedule"]["state"])
    # After the schedule: a callback may have set another learning rate than that does.
    trainer.optimizer.load_state_dict(
        {**training["optimizer"]["state"], **_of(tensors, "optimizer")}
    )
    values, others = _of(tensors, "other"), trainer.graphs.others()
    if values.keys() != others.keys():
        raise ValueError(
            f"it was saved with {len(values)} parameters and buffers outside the model, of the "
            f"loss, say; this Trainer has {len(others)}"
        )
    for name, value in values.items():
        others[name].assign(value)
    accumulated = _of(tensors, "accumulated")
    for number, buffer in enumerate(trainer.graphs.accumulated):
        buffer.assign(accumulated[str(number)])
    trainer.graphs.accumulated_rows.assign(tensors["accumulated_rows"])
    trainer.generator.state.assign(tensors["generator"])
    trainer.history = History(training["history"])
    trainer.epoch, trainer.step = training["epoch"], training["step"]
    trainer.position, trainer.data_key = training["position"], training["data"]
    trainer.totals.loss, trainer.totals.rows = float(training["loss"]), training["rows"]
    totals = _of(tensors, "totals")
    trainer.totals.metrics = [totals[str(i)] for i in range(len(totals))]


def _check_progress(tensors: dict[str, Array], training: dict[str, Any]) -> None:
    """Raise unless what says how far a training has come can be so."""
    data, history, loss = training["data"], training["history"], training["loss"]
    try:
        for name in ("epoch", "step", "position", "rows"):
            checks.integer(name, training[name], 0)
        if data is not None:
            for name in ("rows", "batch_size"):
                checks.integer(f"{name} of the data", data[name], 1)
    except (ValueError, TypeError) as error:
        raise _DamageError(str(error)) from None
    batches = 0 if data is None else -(-data["rows"] // data["batch_size"])
    if training["position"] > batches:
        raise _DamageError(f"position is {training['position']} of {batches} batches")
    if not isinstance(loss, (int, float)):
        raise _DamageError(f"loss is a number; got {loss!r}")
    if not isinstance(history, list) or not all(map(_is_record, history)):
        raise _DamageError(
            f"history is a list of records, names with numbers; got {history!r:.200}"
        )
    sums, totals = training["metrics"], _of(tensors, "totals")
    if training["rows"] and len(totals) != len(sums):
        raise _DamageError(f"there are {len(totals)} sums for {len(sums)} metrics: {sums}")


def _is_record(record: Any) -> bool:
    return isinstance(record, dict) and all(isinstance(v, (int, float)) for v in record.values())


def _callback_states(
    trainer: Trainer, tensors: dict[str, Array], training: dict[str, Any]
) -> Iterator[tuple[Callback, dict[str, Any], str]]:
    """Each callback, the state for it, and what to call it."""
    for i, callback in enumerate(trainer.callbacks):
        state = {**training["callbacks"][i]["state"], **_of(tensors, f"callback.{i}")}
        yield callback, state, f"callback {i}, {type(callback).__name__}"


def _check_callbacks(trainer: Trainer, tensors: dict[str, Array], training: dict[str, Any]) -> None:
    for callback, state, name in _callback_states(trainer, tensors, training):
        try:
            callback.check_state_dict(state, trainer)
        except (ValueError, TypeError) as error:
            raise _DamageError(f"{name}: {error}") from error


def _take_up_callbacks(
    trainer: Trainer, tensors: dict[str, Array], training: dict[str, Any]
) -> None:
    for callback, state, _ in _callback_states(trainer, tensors, training):
        callback.load_state_dict(state)


def _check_fits(trainer: Trainer, training: dict[str, Any]) -> None:
    """Raise where a training was with another optimiser, seed and so on than the trainer's."""
    pairs = [
        ("optimizer", type(trainer.optimizer).__name__, training["optimizer"]["class"]),
        ("schedule", _class(trainer.schedule), (training["schedule"] or {}).get("class")),
        ("ema", _class(trainer.ema), (training.get("ema") or {}).get("class")),
        (
            "callbacks",
            [type(c).__name__ for c in trainer.callbacks],
            [c["class"] for c in training["callbacks"]],
        ),
        ("seed", trainer.seed, training["seed"]),
        ("accumulate", trainer.accumulate, training["accumulate"]),
    ]
    if training["position"]:  # what was added up in the epoch so far is of these
        pairs.append(("metrics", _sums(trainer), training["metrics"]))
    for name, mine, theirs in pairs:
        if mine != theirs:
            raise ValueError(
                f"it was saved with {name} {theirs}; this Trainer has {mine}. Make it as it was"
            )


def read_model(path: str | os.PathLike[str]) -> tuple[Module, dict[str, Any]]:
    """The model of a file that a Trainer saved, built anew, and the Trainer's `metadata`.

    Of a Trainer with an average of the parameters it has the averaged ones.

    Raises:
        FileError: if the file is truncated, damaged or foreign.
        ValueError: if the model has layers that are not of this library: construct your own class,
            then load the file by a Trainer.
    """
    tensors, description = checkpoint.read(path)
    model = from_description(description.get("model"))
    try:
        model.load_state_dict(_of(tensors, "model"))
    except RuntimeError as error:
        raise checkpoint.FileError(f"{path}: its weights do not fit its model. {error}") from None
    return model.eval(), description.get("metadata", {})


def _sums(trainer: Trainer) -> list[str]:
    """What is added up over an epoch besides the loss."""
    return [m.name for m in trainer.metrics] + ["penalty"] * bool(trainer.graphs.penalties)


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
