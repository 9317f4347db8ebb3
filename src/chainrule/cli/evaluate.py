"""`chainrule evaluate`: how good a model's predictions are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from chainrule.cli.options import (
    data_argument,
    header_option,
    mnist_option,
    model_argument,
    part_option,
)

if TYPE_CHECKING:
    from chainrule.cli.saved_table import SavedTable
    from chainrule.cli.saved_text import SavedText
    from chainrule.graph.tensor import Array


@click.command(
    short_help="Say how good a saved model's predictions are.",
    epilog="""\b
Examples:
  chainrule evaluate digits.safetensors digits
  chainrule evaluate houses.safetensors sold-houses.csv
""",
)
@model_argument
@data_argument
@mnist_option
@part_option
@header_option
def evaluate(
    model: str, data: str, folder: str | None, part: str | None, header: bool | None
) -> None:
    """Say how good a saved model's predictions are for DATA, which holds the targets too.

    Classes: the share of rows whose class is right, the cross-entropy, and for each class how many
    of its rows were found (recall) and how many of its predictions are right (precision).
    Numbers: the root of the mean squared error, the mean absolute error (both in the target's
    units), and r2, the share of the variance that is explained.
    Text: the cross-entropy of each next character, and its exponential, the perplexity.
    """
    from chainrule.cli import output
    from chainrule.cli.building import as_input
    from chainrule.cli.saved import evaluate as final_figures
    from chainrule.cli.saved import saved_of
    from chainrule.cli.saved_table import table_of
    from chainrule.cli.saved_text import is_text, text_of
    from chainrule.cli.sources import check_is_text, read_to_use
    from chainrule.train.model_file import metadata_of, read

    tensors, description = read(model)
    if is_text(metadata_of(model, description)):
        for option, value in (("--data", folder), ("--part", part), ("--header", header)):
            if value is not None:
                raise ValueError(f"{option} is for rows; {model} is a model of text. Leave it out.")
        check_is_text(data)
        _evaluate_text(text_of(model, tensors, description), data)
        return
    if (table := table_of(model, tensors, description)) is not None:
        _evaluate_table(table, data, folder, part, header)
        return
    saved = saved_of(model, tensors, description)
    found = read_to_use(data, folder, saved.trained_on, part=part, header=header, with_target=True)
    output.say_notice(found)
    x, y = found.x, found.y
    if y is None:
        target = saved.trained_on["target"]
        wanted = f"the target column {target!r}" if target else "the targets y"
        raise ValueError(f"{data} lacks {wanted}, with which to compare. See chainrule predict.")
    y = saved.task.encode(y, data, found.files)
    figures = final_figures(saved.model, saved.task, as_input(x), y)
    output.line("data", f"{data}: {len(x):,} rows")
    output.line("model", output.describe_figures(figures, len(x)))
    if saved.task.classes is not None:
        _show_classes(saved.task.classes, y, saved.predict(as_input(x)).argmax(axis=1))


_MOST_TRAINED_ON = 0.01
"""The share of rows that were trained on above which a notice says so."""


def _evaluate_table(
    saved: SavedTable, data: str, folder: str | None, part: str | None, header: bool | None
) -> None:
    """Say how good a model of a table is; warn of rows that it was trained on."""
    from chainrule import tabular
    from chainrule.cli import output
    from chainrule.cli.table_data import naming, read_table_to_use, say_notices
    from chainrule.cli.table_to_train import left_out
    from chainrule.cli.table_training import shown

    frame = read_table_to_use(data, saved, folder, part, header=header)
    if saved.target not in frame.columns:
        raise ValueError(
            f"{data} lacks the target column {saved.target!r}, with which to compare. See "
            "chainrule predict."
        )
    lacks = saved.lacks_target(frame)
    if lacks.all():
        raise ValueError(
            f"{data}, column {saved.target!r:.80}: the target is missing in every row. See "
            "chainrule predict."
        )
    if lacks.any():
        say_notices(data, [left_out(int(lacks.sum()))])
        frame = frame[~lacks]
    x, y = saved.inputs_of(frame), saved.targets_of(frame, data)
    with naming(data):
        seen = saved.rows_trained_on(x, y)
        found = tabular.figures(saved.model, x, y)
    if seen > _MOST_TRAINED_ON * len(y):
        knows = (
            f"the model was trained on {seen:,} of these {len(y):,} rows, so it knows their "
            "targets: for new rows the figures will be worse"
        )
        say_notices(data, [knows])
    output.line("data", f"{data}: {len(y):,} rows")
    output.line("model", "  ".join(f"{k} {v}" for k, v in zip(found, shown(found), strict=True)))
    if saved.model.classes is not None:
        predicted = saved.model.predict_proba(x).argmax(axis=1)
        _show_classes(saved.model.classes, saved.model.target.encode(y), predicted)


def _show_classes(classes: tuple[Any, ...], y: Array, predicted: Array) -> None:
    from chainrule.cli import output

    columns = {"class": "left", "rows": "right", "recall": "right", "precision": "right"}
    output.show_table(columns, _per_class(classes, y, predicted))


def _evaluate_text(saved: SavedText, name: str) -> None:
    """Say how well a model of text foresees the characters of a file."""
    from chainrule.cli import output, text_training
    from chainrule.data import read_text

    tokens, context = saved.encode(read_text(name), name), saved.model.block_size
    if len(tokens) <= context:
        raise ValueError(
            f"{name} has {len(tokens)} characters, fewer than the {context} of a context and the "
            "one that follows. Give a longer text."
        )
    x, y = text_training.contexts_of(tokens, context)
    output.line("data", f"{name}: {len(tokens):,} characters")
    loss = text_training.evaluate(saved.model, x, y)
    output.line("model", text_training.describe_loss(loss, x.size))


def _per_class(classes: tuple[Any, ...], y: Array, predicted: Array) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for code, label in enumerate(classes):
        hits = int(((y == code) & (predicted == code)).sum())
        actual, claimed = int((y == code).sum()), int((predicted == code).sum())
        rows.append((str(label), f"{actual:,}", _share(hits, actual), _share(hits, claimed)))
    return rows


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"
