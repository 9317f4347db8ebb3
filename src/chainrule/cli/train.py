"""`chainrule train`: options, and the course of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from chainrule.cli.errors import INTERRUPTED
from chainrule.cli.options import ACTIVATIONS, HiddenLayers, Number, header_option, mnist_option

if TYPE_CHECKING:
    from chainrule.cli.building import Options
    from chainrule.cli.sources import Data
    from chainrule.cli.tasks import Task
    from chainrule.graph.tensor import Array
    from chainrule.train import Trainer

LEARNING_RATES = {
    "sgd": 0.1,
    "adam": 0.001,
    "adamw": 0.001,
    "nadam": 0.001,
    "rmsprop": 0.001,
    "adagrad": 0.01,
    "lion": 0.0001,
}
SMALL_BATCH, LARGE_BATCH, MANY_ROWS = 32, 64, 10_000
HELD_OUT = 0.2


@click.command(
    short_help="Train a network on a data set or on your own file.",
    epilog="""\b
Examples:
  chainrule train digits --out digits.safetensors
  chainrule train mnist --data mnist-folder --hidden 512,512 --epochs 5
  chainrule train houses.csv --target price --out houses.safetensors
  chainrule train long.npz --epochs 500 --checkpoint run.safetensors --resume
""",
)
@click.argument("data", metavar="digits|mnist|FILE.npz|FILE.csv")
@mnist_option
@click.option(
    "--target",
    metavar="COLUMN",
    help="The column of a CSV file to predict: its name, or its index from 0 (a whole number that "
    "is no column's name).  [default: the last one]",
)
@header_option
@click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    help="What the targets are.  [default: classification if they are whole numbers of at most 20 "
    "different values, each in 2 rows or more on average; else regression]",
)
@click.option(
    "--hidden",
    type=HiddenLayers(),
    default="128,128",
    show_default=True,
    help="Widths of the hidden layers; none for a linear model.",
)
@click.option(
    "--activation", type=click.Choice(list(ACTIVATIONS)), default="relu", show_default=True
)
@click.option(
    "--batch-norm",
    is_flag=True,
    help="Normalise every hidden layer over the batch, before its activation.",
)
@click.option(
    "--dropout",
    type=Number(0, 1, below=True),
    default=0,
    show_default=True,
    help="The share of each hidden layer's activations that training leaves out at random.",
)
@click.option(
    "--optimizer",
    type=click.Choice(list(LEARNING_RATES)),
    default="sgd",
    show_default=True,
)
@click.option(
    "--lr",
    type=Number(0, above=True),
    help="The learning rate.  [default: 0.1 for sgd, 0.01 for adagrad, 0.0001 for lion, else "
    "0.001]",
)
@click.option(
    "--momentum",
    type=Number(0, 1, below=True),
    help="Of sgd and rmsprop.  [default: 0.9 for sgd, 0 for rmsprop]",
)
@click.option("--weight-decay", type=Number(0), help="[default: 0.01 for adamw, else 0]")
@click.option(
    "--schedule",
    type=click.Choice(["constant", "step", "exponential", "inverse-time", "linear", "cosine"]),
    default="cosine",
    show_default=True,
    help="How the learning rate falls over the training: never; to a tenth after each third; "
    "evenly to a hundredth; as 1/t to a tenth; as a line to 0; as half a cosine to 0.",
)
@click.option(
    "--warmup",
    type=Number(0),
    default=0,
    show_default=True,
    metavar="EPOCHS",
    help="Over how many epochs the learning rate rises first.",
)
@click.option(
    "--clip-norm",
    type=Number(0),
    default=1,
    show_default=True,
    help="The largest norm of all gradients together; 0 for no limit.",
)
@click.option("--epochs", type=click.IntRange(1), default=30, show_default=True)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help=f"[default: {SMALL_BATCH}; {LARGE_BATCH} from {MANY_ROWS:,} rows on]",
)
@click.option(
    "--validation-fraction",
    type=Number(0, 1, below=True),
    help="The share of rows to hold out of the training.  [default: 0.2 for data without a test "
    "part and with --patience, else 0]",
)
@click.option(
    "--patience",
    type=click.IntRange(0),
    metavar="EPOCHS",
    help="Stop early: after more than this many epochs in which the loss on the held-out rows did "
    "not improve; keep the best epoch's weights.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    default=0,
    show_default=True,
    help="Of the weights, the order of the rows and the held-out rows. The same seed gives the "
    "same model.",
)
@click.option("--out", metavar="FILE.safetensors", help="Where to save the model.")
@click.option(
    "--checkpoint", metavar="FILE", help="Save all of the training's state here after every epoch."
)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint, if it is there.")
@click.option("--history", metavar="FILE.csv", help="Write every epoch's figures here.")
@click.pass_context
def train(ctx: click.Context, /, data: str, folder: str | None, **given: Any) -> None:
    """Train a network on a data set or on your own file.

    digits are 1,797 small images that come with chainrule. mnist is read from its four files in
    the folder --data. An .npz file holds arrays x and y (rows first), and x_test and y_test if
    there is a test part. A .csv file holds numbers, with or without a header; its columns are
    standardised within the model. Labels of classes may be any whole numbers.

    Ctrl-C ends the training; the model trained so far is saved.
    """
    from chainrule.cli import sources
    from chainrule.cli.files import check_outputs
    from chainrule.cli.tasks import choose_task

    _check_usage(data, folder, given)
    outputs = {f"--{name}": given[name] for name in ("out", "checkpoint", "history")}
    check_outputs(outputs, sources.files_of(data, folder))
    found = sources.read_to_train(data, folder, given["target"], given["header"])
    assert found.y is not None
    task = choose_task(found.y, _target_name(found), given["task"])
    _train(ctx, found, task, given)


def _check_usage(data: str, folder: str | None, given: dict[str, Any]) -> None:
    """Raise UsageError for options that contradict each other."""
    if data == "mnist" and folder is None:
        raise click.UsageError("mnist needs --data FOLDER, where its four files lie.")
    if given["resume"] and given["checkpoint"] is None:
        raise click.UsageError("--resume needs --checkpoint FILE, the file to go on from.")
    if given["momentum"] is not None and given["optimizer"] not in ("sgd", "rmsprop"):
        raise click.UsageError(
            f"--momentum is for sgd and rmsprop; {given['optimizer']} has its own."
        )
    if given["warmup"] >= given["epochs"]:
        raise click.UsageError(
            f"--warmup {given['warmup']:g} leaves nothing of --epochs {given['epochs']}."
        )
    if given["patience"] is not None and given["validation_fraction"] == 0:
        raise click.UsageError("--patience needs held-out rows: --validation-fraction above 0.")


def _options(given: dict[str, Any], fraction: float, rows: int) -> Options:
    """All options of the training, defaults filled in.

    Args:
        given: what the user gave, None where nothing.
        fraction: the share of rows held out.
        rows: how many are left to train on.
    """
    from chainrule.cli.building import Options

    optimizer, batch_size = given["optimizer"], given["batch_size"]
    if batch_size is None:
        batch_size = min(SMALL_BATCH if rows < MANY_ROWS else LARGE_BATCH, rows)
    elif batch_size > rows:
        raise ValueError(
            f"--batch-size is {batch_size}, but there are {rows} rows to train on. Give {rows} or "
            "less."
        )
    return Options(
        hidden=given["hidden"],
        activation=given["activation"],
        batch_norm=given["batch_norm"],
        dropout=given["dropout"],
        optimizer=optimizer,
        lr=given["lr"] or LEARNING_RATES[optimizer],
        momentum=_or_default(given["momentum"], 0.9 if optimizer == "sgd" else 0.0),
        weight_decay=_or_default(given["weight_decay"], 0.01 if optimizer == "adamw" else 0.0),
        schedule=given["schedule"],
        warmup=given["warmup"],
        clip_norm=given["clip_norm"] or None,
        batch_size=batch_size,
        epochs=given["epochs"],
        validation_fraction=fraction,
        patience=given["patience"],
        seed=given["seed"],
    )


def _or_default(value: float | None, default: float) -> float:
    return default if value is None else value


def _train(ctx: click.Context, data: Data, task: Task, given: dict[str, Any]) -> None:
    """Split, build, train, save, and say how well it went."""
    from chainrule.cli import building, output
    from chainrule.cli.saved import evaluate
    from chainrule.ops.random import manual_seed
    from chainrule.train import EarlyStopping, Trainer
    from chainrule.train.checkpoint import check_can_save

    fraction = given["validation_fraction"]
    if fraction is None:
        fraction = HELD_OUT if data.x_test is None or given["patience"] is not None else 0.0
    x, y, validation = _split(data, task, fraction, given["seed"])
    test = None
    if data.x_test is not None and data.y_test is not None:
        test = (building.as_input(data.x_test), task.encode(data.y_test, f"{data.name}: y_test"))
    options = _options(given, fraction, len(x))
    manual_seed(options.seed)
    standardize = data.kind in ("npz", "table")
    model = building.build_model(x, y, task, options, standardize=standardize)
    x = building.as_input(x)
    optimizer = building.build_optimizer(model, options)
    trainer = Trainer(
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
    parts = {"to train on": len(x)}
    if validation is not None:
        parts["to validate"] = len(validation[0])
    if test is not None:
        parts["to test on"] = len(test[0])
    output.say_notice(data)
    output.show_data(data, task, parts, inferred=given["task"] is None)
    output.show_model(model, x.shape[1:])
    output.show_options(options.to_json())
    click.echo()
    if given["out"] is not None:
        check_can_save(trainer, given["out"])
    _say_whether_resumed(trainer, given["checkpoint"], given["resume"])
    history = trainer.fit(
        x,
        y,
        epochs=options.epochs,
        batch_size=options.batch_size,
        validation_data=validation,
        checkpoint=given["checkpoint"],
        resume=given["resume"],
    )
    interrupted = history.stop_reason == "interrupted"
    if given["out"] is not None:
        trainer.save(given["out"])
    if given["history"] is not None:
        history.to_csv(given["history"])
    if not interrupted:
        for name, part in (("validation", validation), ("test", test)):
            if part is not None:
                output.show_figures(name, evaluate(model, task, *part), len(part[0]))
    output.show_files(given, interrupted=interrupted)
    if interrupted:
        ctx.exit(INTERRUPTED)


def _split(
    data: Data, task: Task, fraction: float, seed: int
) -> tuple[Array, Array, tuple[Array, Array] | None]:
    """The rows to train on, and those held out: of every class its share, if all have two rows."""
    import numpy as np

    from chainrule.cli.building import as_input
    from chainrule.data import split

    assert data.y is not None
    x, y = data.x, task.encode(data.y, data.name)
    if not fraction:
        return x, y, None
    stratify = task.classes is not None and int(np.bincount(y).min()) > 1
    train_part, held_out = split(x, y, fraction, seed=seed, stratify=stratify)
    (x, y), (held_x, held_y) = cast("tuple[tuple[Array, Array], ...]", (train_part, held_out))
    return x, y, (as_input(held_x), held_y)


def _metadata(data: Data, task: Task, options: Options) -> dict[str, Any]:
    """The metadata of the model's file: all that is needed to use the model."""
    import zlib

    import numpy as np

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
            "crc32": checksum,
        },
        "options": options.to_json(),
    }


def _say_whether_resumed(trainer: Trainer, checkpoint: str | None, resume: bool) -> None:
    """Check that the checkpoint is of the same training, before it is loaded.

    Raises:
        ValueError: if it is of another one, or would be overwritten unasked.
    """
    import os

    from chainrule.errors import FileError
    from chainrule.system.reading import reason
    from chainrule.train.model_file import read

    if checkpoint is None:
        return
    if not os.path.exists(checkpoint):
        if resume:
            click.echo(f"no checkpoint {checkpoint} yet: training begins")
        return
    if not resume:
        raise ValueError(
            f"{checkpoint} is there already. Go on from it with --resume, or delete it, or name "
            "another --checkpoint."
        )
    _, description = read(checkpoint)
    metadata = description.get("metadata") or {}
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
    click.echo(f"resuming from {checkpoint}, after {done} epochs")


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


def _target_name(data: Data) -> str:
    return f"{data.name}, column {data.target!r}" if data.kind == "table" else f"{data.name}: y"
