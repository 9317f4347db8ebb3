"""Checkpoints: saving all of a Trainer's state, and loading it whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import checks
from chainrule.data.mapped import mapped_files
from chainrule.errors import DTypeError, FileError
from chainrule.graph.tensor import Array
from chainrule.nn import ties
from chainrule.system.atomic_files import check_writable, is_pipe
from chainrule.system.interrupts import interrupts_held
from chainrule.tables import Names, names_of
from chainrule.train import model_file
from chainrule.train.model_file import tensors_under
from chainrule.train.settings import difference
from chainrule.train.state import TrainingState

if TYPE_CHECKING:
    from chainrule.train.callbacks import Callback
    from chainrule.train.trainer import Trainer


class _DamageError(Exception):
    """A file says what can't be true."""


def save(trainer: Trainer, path: str | os.PathLike[str]) -> None:
    """Write all of the trainer's state."""
    checks.path("path", path)
    with trainer.backend.guard.alone:
        tensors, training = _collected(trainer)
    description = {
        **model_file.entries_of(trainer.model),
        "metadata": trainer.metadata,
        "training": training,
    }
    model_file.write(path, tensors, description)


def same_batches(key: dict[str, Any] | None, other: dict[str, Any]) -> bool:
    """Whether two trainings take rows of the same numbers in the same batches.

    Of an iterable of batches nobody knows.
    """
    if key is None or key["rows"] is None:
        return False
    return {**key, "fingerprint": ""} == {**other, "fingerprint": ""}


def check_can_save(
    trainer: Trainer, path: str | os.PathLike[str], arrays: Iterable[Array] = ()
) -> None:
    """Find out before a training whether it can be saved to a file, and leave that as it is.

    Raises:
        OSError: if it can't be written, is a pipe, or there is no room for it.
        TypeError: if JSON can't hold the metadata, or the state of a callback.
        ValueError: if the file is one from which the arrays, those of the data, are read.
    """
    for name in mapped_files(arrays):
        if os.path.exists(path) and os.path.samefile(path, name):
            raise ValueError(
                f"a checkpoint in {path} would overwrite the data that are read from it. Name "
                "another file."
            )
    if is_pipe(path):
        raise OSError(errno.ESPIPE, f"can't save {path}: it is a pipe. Name a file")
    tensors, training = _collected(trainer)
    text = model_file.as_text({"metadata": trainer.metadata, "training": training})
    check_writable(path, len(text) + sum(array.nbytes for array in tensors.values()))


def column_names(trainer: Trainer, x: Any, resumed: str | os.PathLike[str] | None) -> Names | None:
    """The names of the columns to train on, in their order.

    They are those of the file that training is resumed from, or of the model, as far as these have
    been trained on some; else those of x.
    """
    own = names_of(x)
    if resumed is None:
        return trainer.model._column_names or own
    if own is None:
        return None
    return model_file.column_names(resumed, model_file.read(resumed)[1]) or own


def load(
    trainer: Trainer, path: str | os.PathLike[str], data_key: dict[str, Any] | None = None
) -> None:
    """Load everything in the file; if it does not fit the trainer, change nothing.

    Where `data_key` is given the file must be of a training on these data; if it is from the middle
    of an epoch, in these batches.

    Raises:
        FileError: if the file is truncated, damaged or foreign.
        ValueError: if it does not fit.
    """
    tensors, description = model_file.read(path)
    if "training" not in description:
        raise FileError(f"{path} holds a model but no training to go on with")
    columns = model_file.column_names(path, description)
    saved_ties = model_file.ties_of(path, description, tensors_under(tensors, "model"))
    with interrupts_held(), trainer.backend.guard.alone:
        before, history = _collected(trainer), trainer.state.history
        try:
            training = description["training"]
            if other := ties.difference(saved_ties, ties.tied_names(trainer.model._named_state())):
                raise ValueError(f"it was saved with {other}")
            _check_fits(trainer, training)
            _check_progress(tensors, training)
            _load_parts(trainer, tensors, training)
            if other := difference(training["settings"], trainer.settings):
                raise ValueError(f"it was saved with {other}. Make it as it was")
            if data_key is not None:
                _check_data(training, data_key)
            _check_callbacks(trainer, tensors, training)
            _load_callbacks(trainer, tensors, training)
        except BaseException as error:
            _load_parts(trainer, *before)
            trainer.state.history = history
            _load_callbacks(trainer, *before)
            if not isinstance(error, Exception):
                raise
            if isinstance(error, (ValueError, RuntimeError, DTypeError)):
                raise ValueError(f"{path} does not fit this Trainer: {error}") from error
            reason = error if isinstance(error, _DamageError) else repr(error)
            raise FileError(
                f"{path}: what it says of the training is damaged ({reason})"
            ) from error
        trainer.model._column_names = columns
    model_file.warn_of_hooks(description, trainer.model)


def _check_data(training: dict[str, Any], data_key: dict[str, Any]) -> None:
    """Raise ValueError for a training on other data, or in the middle of other batches."""
    saved = training["data"]
    if saved is None:  # no data yet
        return
    remedy = "To go on with other data, load it with `load` and fit without `resume`"
    if saved["rows"] != data_key["rows"]:
        raise ValueError(
            f"it was saved in a training on {_rows(saved)}, these are {_rows(data_key)}. {remedy}"
        )
    if saved["rows"] is None and saved["fingerprint"] != data_key["fingerprint"]:
        raise ValueError(
            f"it was saved in a training on batches of another form: other dtypes, other inputs, "
            f"or with weights where these have none. {remedy}"
        )
    if saved["fingerprint"] != data_key["fingerprint"]:
        raise ValueError(
            f"it was saved in a training on other data of as many rows: their fingerprint is "
            f"{saved['fingerprint']:.20}, that of these is {data_key['fingerprint']}. {remedy}"
        )
    if training["position"] and saved != data_key:
        raise ValueError(
            f"it is from the middle of an epoch over {saved} and can't go on over {data_key}"
        )


def _rows(key: dict[str, Any]) -> str:
    return "batches of an iterable" if key["rows"] is None else f"{key['rows']} rows"


def _collected(trainer: Trainer) -> tuple[dict[str, Array], dict[str, Any]]:
    """All of the trainer's state: its arrays by name, and the rest as plain data."""
    tensors: dict[str, Array] = {}
    ema, average = trainer.ema, None
    if ema is None:
        _add(tensors, "model", trainer.model.state_dict())
    else:  # "model" has the weights that predict: `chainrule.load` reads those
        with interrupts_held(), ema.applied():
            _add(tensors, "model", trainer.model.state_dict())
        _add(tensors, "trained", trainer.model.state_dict())
        arrays, rest = _parted(ema.state_dict())
        _add(tensors, "ema", arrays)
        average = {"class": type(ema).__name__, "state": rest}
    outside = trainer.graphs.states_outside_model()
    _add(tensors, "other", {name: state.numpy() for name, state in outside.items()})
    arrays, optimizer = _parted(trainer.optimizer.state_dict())
    for described, group in zip(
        optimizer["param_groups"], trainer.optimizer.param_groups, strict=True
    ):
        for key in group.own:  # objects of any kind, which the script gives again
            del described[key]
    _add(tensors, "optimizer", arrays)
    tensors["generator"] = trainer.graphs.generator.state.numpy()
    callbacks = []
    for i, callback in enumerate(trainer.callbacks):
        arrays, rest = _parted(callback.state_dict())
        _add(tensors, f"callback.{i}", arrays)
        callbacks.append({"class": type(callback).__name__, "state": rest})
    arrays, progress = _parted(trainer.state.state_dict())
    tensors.update(arrays)
    schedule = trainer.schedule
    return tensors, {
        "optimizer": {"class": type(trainer.optimizer).__name__, "state": optimizer},
        "schedule": schedule and {"class": type(schedule).__name__, "state": schedule.state_dict()},
        "ema": average,
        "callbacks": callbacks,
        "metrics": trainer.graphs.training_sums(),
        "accumulate": trainer.graphs.options.accumulate,
        "seed": trainer.seed,
        "settings": trainer.settings,
        **progress,
    }


def _load_parts(trainer: Trainer, tensors: dict[str, Array], training: dict[str, Any]) -> None:
    """Load the state that `_collected` returned, but for that of the callbacks."""
    trainer.model.load_state_dict(
        tensors_under(tensors, "model" if trainer.ema is None else "trained")
    )
    if trainer.ema is not None:
        trainer.ema.load_state_dict({**training["ema"]["state"], **tensors_under(tensors, "ema")})
    if trainer.schedule is not None:
        trainer.schedule.load_state_dict(training["schedule"]["state"])
    trainer.optimizer.load_state_dict(
        {**training["optimizer"]["state"], **tensors_under(tensors, "optimizer")}
    )
    values, outside = tensors_under(tensors, "other"), trainer.graphs.states_outside_model()
    if values.keys() != outside.keys():
        raise ValueError(
            f"it was saved with {len(values)} parameters and buffers outside the model, of the "
            f"loss, say; this Trainer has {len(outside)}"
        )
    for name, value in values.items():
        outside[name].assign(value)
    trainer.graphs.generator.state.assign(tensors["generator"])
    trainer.state.load_state_dict({**training, **tensors})


def _check_progress(tensors: dict[str, Array], training: dict[str, Any]) -> None:
    """Raise unless what says how far a training has come can be true."""
    try:
        TrainingState.check_state_dict({**training, **tensors}, training["metrics"])
    except (ValueError, TypeError) as error:
        raise _DamageError(str(error)) from None


def _callback_states(
    trainer: Trainer, tensors: dict[str, Array], training: dict[str, Any]
) -> Iterator[tuple[Callback, dict[str, Any], str]]:
    """Each callback, the state for it, and what to call it."""
    for i, callback in enumerate(trainer.callbacks):
        state = {**training["callbacks"][i]["state"], **tensors_under(tensors, f"callback.{i}")}
        yield callback, state, f"callback {i}, {type(callback).__name__}"


def _check_callbacks(trainer: Trainer, tensors: dict[str, Array], training: dict[str, Any]) -> None:
    for callback, state, name in _callback_states(trainer, tensors, training):
        try:
            callback.check_state_dict(state, trainer)
        except (ValueError, TypeError) as error:
            raise _DamageError(f"{name}: {error}") from error


def _load_callbacks(trainer: Trainer, tensors: dict[str, Array], training: dict[str, Any]) -> None:
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
        ("accumulate", trainer.graphs.options.accumulate, training["accumulate"]),
    ]
    if training["position"]:  # the sums over the epoch so far are of these
        pairs.append(("metrics", trainer.graphs.training_sums(), training["metrics"]))
    for name, mine, theirs in pairs:
        if mine != theirs:
            raise ValueError(
                f"it was saved with {name} {theirs}; this Trainer has {mine}. Make it as it was"
            )


def _class(thing: Any) -> str | None:
    return None if thing is None else type(thing).__name__


def _add(tensors: dict[str, Array], prefix: str, arrays: dict[str, Array]) -> None:
    tensors.update({f"{prefix}.{name}": array for name, array in arrays.items()})


def _parted(state: dict[str, Any]) -> tuple[dict[str, Array], dict[str, Any]]:
    """(arrays, rest) of a flat state; the rest goes into the description."""
    arrays = {k: v for k, v in state.items() if isinstance(v, np.ndarray)}
    return arrays, {k: v for k, v in state.items() if k not in arrays}
