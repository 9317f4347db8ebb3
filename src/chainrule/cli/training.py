"""The course of a training on rows: tables, arrays and images."""

from __future__ import annotations

import zlib
from typing import Any, cast

import click
import numpy as np

from chainrule.cli import building, output, sources
from chainrule.cli.building import Options
from chainrule.cli.options import LARGE_BATCH, LEARNING_RATES, MANY_ROWS, SMALL_BATCH
from chainrule.cli.resuming import fit_and_save
from chainrule.cli.saved import evaluate
from chainrule.cli.sources import SourceData
from chainrule.cli.tasks import Task, choose_task
from chainrule.data import split
from chainrule.graph.tensor import Array
from chainrule.ops.random import manual_seed
from chainrule.train import EarlyStopping, Trainer

HELD_OUT = 0.2
"""The share of rows to validate on, by default."""


def train_on_rows(name: str, folder: str | None, given: dict[str, Any]) -> bool:
    """Read the data, train an mlp or cnn, save it, and say how well it went.

    Args:
        name, folder: the data.
        given: the other options.

    Returns:
        Whether Ctrl-C ended the training.
    """
    data = sources.read_to_train(
        name, folder, given["target"], given["header"], given["size"], given["grayscale"]
    )
    assert data.y is not None
    if given["model"] == "cnn":
        building.check_images(data)
    task = choose_task(data.y, _target_name(data), given["task"])
    return _train(data, task, given)


def _options(given: dict[str, Any], fraction: float, rows: int, shape: tuple[int, ...]) -> Options:
    """All options of the training, defaults filled in.

    Args:
        given: what the user gave, None where nothing.
        fraction: the share of rows held out.
        rows: how many are left to train on.
        shape: of a row of the inputs.
    """
    is_cnn = given["model"] == "cnn"
    hidden, epochs = given["hidden"], given["epochs"]
    channels: tuple[int, ...] = ()
    if hidden is None:
        hidden = (128,) if is_cnn else (128, 128)
    if is_cnn:
        channels = (
            building.default_channels(shape) if given["channels"] is None else given["channels"]
        )
    if epochs is None:
        epochs = 5 if is_cnn and rows >= MANY_ROWS else 30
    if given["warmup"] >= epochs:
        raise click.UsageError(f"--warmup {given['warmup']:g} leaves nothing of --epochs {epochs}.")
    optimizer, batch_size = given["optimizer"], given["batch_size"]

    def leaves_one(size: int) -> bool:  # of which a hidden layer's batch norm knows no variance
        return bool(given["batch_norm"] and hidden) and (rows % size or size) == 1

    if batch_size is None:
        batch_size = min(SMALL_BATCH if rows < MANY_ROWS else LARGE_BATCH, rows)
        while leaves_one(batch_size) and batch_size < rows:
            batch_size += 1
    elif batch_size > rows:
        raise ValueError(
            f"--batch-size is {batch_size}, but there are {rows} rows to train on. Give {rows} or "
            "less."
        )
    if leaves_one(batch_size):
        raise ValueError(
            f"--batch-norm takes two rows or more in each batch; --batch-size {batch_size} leaves "
            f"one in the last of {rows} rows. Give another --batch-size."
        )
    return Options(
        model=given["model"],
        hidden=hidden,
        channels=channels,
        activation=given["activation"],
        batch_norm=given["batch_norm"],
        dropout=_or_default(given["dropout"], 0.5 if is_cnn else 0.0),
        optimizer=optimizer,
        lr=given["lr"] or LEARNING_RATES[optimizer],
        momentum=_or_default(given["momentum"], 0.9 if optimizer == "sgd" else 0.0),
        weight_decay=_or_default(given["weight_decay"], 0.01 if optimizer == "adamw" else 0.0),
        schedule=given["schedule"],
        warmup=given["warmup"],
        clip_norm=given["clip_norm"] or None,
        batch_size=batch_size,
        epochs=epochs,
        validation_fraction=fraction,
        patience=given["patience"],
        seed=given["seed"],
    )


def _or_default(value: float | None, default: float) -> float:
    return default if value is None else value


def _train(data: SourceData, task: Task, given: dict[str, Any]) -> bool:
    """Split, build, train, save, and say how well it went."""
    fraction = given["validation_fraction"]
    if fraction is None:
        fraction = HELD_OUT if data.x_test is None or given["patience"] is not None else 0.0
    x, y, validation = _split(data, task, fraction, given["seed"])
    test = None
    if data.x_test is not None and data.y_test is not None:
        test = (building.as_input(data.x_test), task.encode(data.y_test, f"{data.name}: y_test"))
    options = _options(given, fraction, len(x), x.shape[1:])
    trainer = _trainer(data, task, options, x, y)
    x = building.as_input(x)
    parts = {"to train on": len(x)}
    if validation is not None:
        parts["to validate"] = len(validation[0])
    if test is not None:
        parts["to test on"] = len(test[0])
    output.say_notice(data)
    output.show_data(data, task, parts, inferred=given["task"] is None)
    output.show_model(trainer.model, x.shape[1:])
    output.show_options(options.to_json())
    click.echo()
    interrupted = fit_and_save(
        trainer, given, x, y, epochs=options.epochs, batch_size=options.batch_size,
        validation_data=validation,
    )  # fmt: skip
    if not interrupted:
        for name, part in (("validation", validation), ("test", test)):
            if part is not None:
                output.show_figures(name, evaluate(trainer.model, task, *part), len(part[0]))
    return interrupted


def _trainer(data: SourceData, task: Task, options: Options, x: Array, y: Array) -> Trainer:
    """A new model for these rows, and its Trainer."""
    manual_seed(options.seed)
    standardize = data.kind in ("npz", "table", "images")
    model = building.build_model(x, y, task, options, standardize=standardize)
    optimizer = building.build_optimizer(model, options)
    return Trainer(
        model,
        building.build_loss(model, task),
        optimizer,
        metrics=task.training_metrics,
        schedule=building.build_schedule(optimizer, options, len(x)),
        clip_norm=options.clip_norm,
        callbacks=[] if options.patience is None else [EarlyStopping(patience=options.patience)],
        metadata=_metadata(data, task, options),
        seed=options.seed,
    )


def _split(
    data: SourceData, task: Task, fraction: float, seed: int
) -> tuple[Array, Array, tuple[Array, Array] | None]:
    """The rows to train on, and those held out: of every class its share, if all have two rows."""
    assert data.y is not None
    x, y = data.x, task.encode(data.y, data.name)
    if not fraction:
        return x, y, None
    if len(x) < 2:
        raise ValueError(
            f"{data.name} has 1 row, of which no share can be held out. Give more rows, or "
            "--validation-fraction 0."
        )
    stratify = task.classes is not None and int(np.bincount(y).min()) > 1
    train_part, held_out = split(x, y, fraction, seed=seed, stratify=stratify)
    (x, y), (held_x, held_y) = cast("tuple[tuple[Array, Array], ...]", (train_part, held_out))
    return x, y, (building.as_input(held_x), held_y)


def _metadata(data: SourceData, task: Task, options: Options) -> dict[str, Any]:
    """The metadata of the model's file: all that is needed to use the model."""
    checksum = 0
    for array in (data.x, data.y):
        checksum = zlib.crc32(np.ascontiguousarray(array).tobytes(), checksum)
    shape = data.x.shape[1:]
    return {
        "task": task.name,
        "classes": None if task.classes is None else list(task.classes),
        "data": {
            "kind": data.kind,
            "name": data.name,
            "rows": len(data.x),
            "shape": list(shape),
            "columns": None if data.columns is None else list(data.columns),
            "target": data.target,
            "target_index": data.target_index,
            "header": data.header,
            "resized": data.resized,
            "crc32": checksum,
        },
        "options": options.to_json(),
    }


def _target_name(data: SourceData) -> str:
    return f"{data.name}, column {data.target!r}" if data.kind == "table" else f"{data.name}: y"
