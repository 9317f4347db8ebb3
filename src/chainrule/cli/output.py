"""Output of the commands: labelled lines, and tables."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from chainrule import nn
from chainrule.cli.tasks import Task, describe_task
from chainrule.errors import printable
from chainrule.graph.tensor import placeholder
from chainrule.markup import shape_text, size_text

if TYPE_CHECKING:
    from chainrule.cli.sources import SourceData


def line(label: str, text: str) -> None:
    """Print one line: a label, then the text."""
    click.echo(f"{label:<12}{printable(text)}")


def say(text: str) -> None:
    """Print one line, whatever signs the names in it hold."""
    click.echo(printable(text))


def write(text: str) -> None:
    """Write lines to standard output; to a terminal without signs that would steer it.

    Raises:
        OSError: if standard output is closed.
        ValueError: for a sign that its encoding does not have.
    """
    if sys.stdout is None:
        raise OSError("standard output is closed: there is nowhere to write to")
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError as error:
        raise ValueError(
            f"standard output has the encoding {error.encoding}, without the sign "
            f"{text[error.start]!a}: set PYTHONIOENCODING=utf-8, or write to a file"
        ) from None
    if sys.stdout.isatty():
        text = "\n".join(map(printable, text.split("\n")))
    click.echo(text, nl=False)


def show_table(columns: Mapping[str, str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of text, with an empty line before and after it.

    Args:
        columns: each column's heading and "left" or "right".
        rows: the cells of each row.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading, side in columns.items():
        table.add_column(
            printable(heading), justify="right" if side == "right" else "left", overflow="fold"
        )
    for cells in rows:
        table.add_row(*map(printable, cells))
    click.echo()
    Console(highlight=False, markup=False, emoji=False).print(table)
    click.echo()


def say_notice(data: SourceData) -> None:
    """Print, to standard error, what a user should know of how the data were read."""
    if data.notice is not None:
        click.echo(printable(f"Note: {data.name}: {data.notice}."), err=True)


def show_data(data: SourceData, task: Task, parts: Mapping[str, int], *, inferred: bool) -> None:
    """Print the data, the number of rows of each part (training, test, ...), and the task."""
    counts = ", ".join(f"{rows:,} {part}" for part, rows in parts.items())
    row = describe_row(data.x.shape[1:], data.columns)
    line("data", f"{data.name}: rows of {row}, {counts}")
    line("task", describe_task(task.classes, data.target))
    if inferred and data.kind in ("table", "npz"):
        if task.classes is not None:
            line("", "(inferred: whole numbers with few different values; else --task regression)")
        else:
            line(
                "",
                "(inferred: not whole numbers, or many different ones; else --task classification)",
            )


def describe_row(shape: Sequence[int], columns: Sequence[str] | None) -> str:
    """The content of a row of the inputs, as in "13 columns" or "8 × 8 numbers"."""
    if columns is not None:
        return f"{len(columns)} columns"
    return "1 number" if math.prod(shape) == 1 else f"{shape_text(shape)} numbers"


def show_model(model: nn.Module, input_shape: Sequence[int] | None) -> None:
    """Print the layers with the shapes of their outputs and their numbers of parameters."""
    rows = []
    shape = None if input_shape is None else tuple(input_shape)
    for layer in model if isinstance(model, nn.Sequential) else [model]:
        shape = _output_shape(layer, shape)
        width = "" if shape is None else shape_text(shape)
        parameters = count_parameters(layer)
        rows.append((repr(layer), width, f"{parameters:,}" if parameters else ""))
    show_table({"layer": "left", "output": "right", "parameters": "right"}, rows)
    line("", f"{count_parameters(model):,} parameters")


def count_parameters(module: nn.Module) -> int:
    """The number of elements of all parameters."""
    return sum(math.prod(parameter.shape) for parameter in module.parameters())


def _output_shape(layer: nn.Module, shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """The shape of a layer's output for a row of this shape; None where it is unknown."""
    if shape is None:
        return None
    with layer.in_mode(False):
        found: Any = layer(placeholder((1, *shape), "float32"))
    return tuple(found.shape[1:])


def show_gpt(model: nn.GPT) -> None:
    """Print the sizes of a GPT."""
    line(
        "model",
        f"GPT of {model.n_layer} layer{'s' * (model.n_layer > 1)}, {model.n_head} "
        f"head{'s' * (model.n_head > 1)}, width {model.n_embd}, context "
        f"{model.block_size}: {count_parameters(model):,} parameters",
    )


def show_options(options: Mapping[str, Any]) -> None:
    """Print the options of a training: the optimiser, the schedule, the batch size and so on.

    Args:
        options: as `Options.to_json` returns them, or those of a training on text as a dict.
    """
    if options.get("model") == "gpt":
        texts = [f"adamw, lr {options['lr']:g}, weight decay {options['weight_decay']:g}"]
        texts += [f"dropout {options['dropout']:g}"] * (options["dropout"] > 0)
        texts += [f"clip norm {options['clip_norm']:g}"] * (options["clip_norm"] is not None)
        texts.append(f"batch {options['batch_size']} × {options['context']}")
        texts += [f"{options['steps']:,} steps", f"seed {options['seed']}"]
        line("options", ", ".join(texts))
        return
    texts = [options["optimizer"], f"lr {options['lr']:g}"]
    if options["momentum"]:
        texts.append(f"momentum {options['momentum']:g}")
    if options["weight_decay"]:
        texts.append(f"weight decay {options['weight_decay']:g}")
    texts.append(f"{options['schedule']} schedule")
    if options["warmup"]:
        texts.append(f"warm-up {options['warmup']:g} epochs")
    if options["clip_norm"]:
        texts.append(f"clip norm {options['clip_norm']:g}")
    texts += [f"batch {options['batch_size']}", f"{options['epochs']} epochs"]
    texts.append(f"seed {options['seed']}")
    if options["patience"] is not None:
        texts.append(f"patience {options['patience']}")
    line("options", ", ".join(texts))


def show_figures(part: str, figures: Mapping[str, float], rows: int) -> None:
    """Print the metrics of the model on a part of the data."""
    line(part, describe_figures(figures, rows))


def describe_figures(figures: Mapping[str, float], rows: int) -> str:
    """Accuracy and loss of a classification; the errors of a regression, in the target's units."""
    if "accuracy" in figures:
        hits = round(figures["accuracy"] * rows)
        return (
            f"accuracy {figures['accuracy']:.2%} ({hits:,} of {rows:,})  loss {figures['loss']:.4f}"
        )
    return (
        f"rmse {math.sqrt(figures['mse']):.6g}  mae {figures['mae']:.6g}  r2 {figures['r2']:.4f} "
        f"(in the target's units, {rows:,} rows)"
    )


def show_files(given: Mapping[str, Any], *, interrupted: bool) -> None:
    """Print which files a training saved.

    Args:
        given: the command's options.
        interrupted: whether Ctrl-C ended the training.
    """
    out, checkpoint, history = given["out"], given["checkpoint"], given["history"]
    what, was = "the model", "was"
    if given["model"] == "word2vec":
        what, was = "the vectors", "were"
    if out is not None:
        content = f"{what} trained so far" if interrupted else what
        line("saved", f"{content}: {out} ({size_of(out)})")
    if given["report"] is not None and not interrupted:
        line("saved", f"the report: {given['report']}")
    if history is not None:
        line("saved", f"the history: {history}")
    if interrupted and checkpoint is not None:
        line("saved", f"the state to go on from with --resume: {checkpoint}")
    if out is None:
        line("", f"{what} {was} not saved; --out FILE.safetensors does")


def size_of(path: str) -> str:
    """The size of a file, as in "1.23 MB"."""
    return size_text(os.path.getsize(path))
