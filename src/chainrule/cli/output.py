"""What the commands print: short lines with a label, and tables."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from chainrule import nn
from chainrule.cli.tasks import Task, describe_task

if TYPE_CHECKING:
    from chainrule.cli.sources import Data


def line(label: str, text: str) -> None:
    """One line: what it is about, and the text."""
    click.echo(f"{label:<12}{text}")


def show_table(columns: Mapping[str, str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of text, with an empty line before and after it.

    Args:
        columns: each column's heading and "left" or "right".
        rows: the cells of each row.
    """
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading, side in columns.items():
        made.add_column(heading, justify="right" if side == "right" else "left", overflow="fold")
    for cells in rows:
        made.add_row(*cells)
    click.echo()
    Console(highlight=False, markup=False).print(made)
    click.echo()


def show_data(data: Data, task: Task, parts: Mapping[str, int], *, inferred: bool) -> None:
    """The data, the parts they are split into, and the task."""
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
    """What a row of the inputs is."""
    if columns is not None:
        return f"{len(columns)} columns"
    return " × ".join(map(str, shape)) + " numbers" if shape else "1 number"


def show_model(model: nn.Module, input_shape: Sequence[int] | None) -> None:
    """The layers, what comes out of each, and how many parameters it has."""
    rows = []
    shape = None if input_shape is None else tuple(input_shape)
    for layer in model if isinstance(model, nn.Sequential) else [model]:
        shape = _output_shape(layer, shape)
        width = "" if shape is None else " × ".join(map(str, shape))
        parameters = count_parameters(layer)
        rows.append((repr(layer), width, f"{parameters:,}" if parameters else ""))
    show_table({"layer": "left", "output": "right", "parameters": "right"}, rows)
    line("", f"{count_parameters(model):,} parameters")


def count_parameters(module: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(math.prod(parameter.shape) for parameter in module.parameters())


def _output_shape(layer: nn.Module, shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """What comes out of a layer for a row of this shape, where that is known."""
    if shape is None:
        return None
    if isinstance(layer, nn.Flatten):
        return (math.prod(shape),)
    if isinstance(layer, nn.Linear):
        return (*shape[:-1], layer.out_features)
    return shape


def show_options(options: Mapping[str, Any]) -> None:
    """The optimiser and what else the training is made of, as `Options.to_json` has it."""
    parts = [options["optimizer"], f"lr {options['lr']:g}"]
    if options["momentum"]:
        parts.append(f"momentum {options['momentum']:g}")
    if options["weight_decay"]:
        parts.append(f"weight decay {options['weight_decay']:g}")
    parts.append(f"{options['schedule']} schedule")
    if options["warmup"]:
        parts.append(f"warm-up {options['warmup']:g} epochs")
    if options["clip_norm"]:
        parts.append(f"clip norm {options['clip_norm']:g}")
    parts += [f"batch {options['batch_size']}", f"{options['epochs']} epochs"]
    parts.append(f"seed {options['seed']}")
    if options["patience"] is not None:
        parts.append(f"patience {options['patience']}")
    line("options", ", ".join(parts))


def show_figures(part: str, figures: Mapping[str, float], rows: int) -> None:
    """How well the model does on a part of the data."""
    line(part, describe_figures(figures, rows))


def describe_figures(figures: Mapping[str, float], rows: int) -> str:
    """Accuracy and loss; or the errors in the target's units."""
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
    """What was saved where."""
    out, checkpoint, history = given["out"], given["checkpoint"], given["history"]
    if out is not None:
        what = "the model trained so far" if interrupted else "the model"
        line("saved", f"{what}: {out} ({size_of(out)})")
    if history is not None:
        line("saved", f"the history: {history}")
    if interrupted and checkpoint is not None:
        line("saved", f"the state to go on from with --resume: {checkpoint}")
    if out is None:
        line("", "the model was not saved; --out FILE.safetensors does")


def size_of(path: str) -> str:
    """The size of a file."""
    size = os.path.getsize(path)
    for unit, factor in {"GB": 1e9, "MB": 1e6, "kB": 1e3}.items():
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
