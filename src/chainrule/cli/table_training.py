"""The course of a training on a table of anything, by the recipe of RealMLP."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from chainrule import checks, tabular
from chainrule.cli import output
from chainrule.cli.saved_table import SavedTable, row_hashes
from chainrule.cli.table_data import naming, say_notices
from chainrule.cli.table_to_train import TableToTrain, read_table_to_train
from chainrule.cli.tasks import describe_task
from chainrule.system.atomic_files import write_atomically
from chainrule.tabular.cells import as_text
from chainrule.tabular.kinds import Category, Column, Unused
from chainrule.tabular.report import compared, page_of
from chainrule.tabular.targets import OutlierError
from chainrule.train import Callback, Trainer
from chainrule.train.checkpoint import check_can_save

_MOST_COLUMNS = 40
"""Of more columns those alike have one line; `chainrule info` has a line for each."""

_MOST_NAMED = 3


def train_on_table(name: str, given: dict[str, Any]) -> bool:
    """Read the table, say what is made of its columns, train, and compare with baselines.

    Args:
        name: the file, or "-".
        given: the options.

    Returns:
        Whether Ctrl-C ended the training.
    """
    table = read_table_to_train(name, given)
    say_notices(name, table.notices)
    if given["report"] is not None and not len(table.test):
        raise ValueError(
            f"{name}: --report needs test rows, and of {len(table.y)} rows none is held out. Give "
            "more rows."
        )
    _say_data(table, inferred=given["task"] is None)
    _say_columns(table.columns)
    click.echo()
    model = _trained(table, given)
    members = model.report["members"]
    interrupted = any(member["stop_reason"] == "interrupted" for member in members)
    if given["out"] is not None:
        _save(model, table, given["out"])
    if not interrupted:
        _say_training(members, table.task)
        if len(table.test):
            _compare(model, table, given)
    return interrupted


def _trained(table: TableToTrain, given: Mapping[str, Any]) -> tabular.TabularModel:
    """The model of the rows to train on."""
    names = "preset", "epochs", "batch_size", "hidden", "lr", "dropout", "weight_decay"
    options = {option: given[option] for option in (*names, "time_budget", "seed")}
    callbacks = [] if given["out"] is None else [_CheckRoom(given["out"])]
    with naming(table.name):
        try:
            return tabular.fit(
                *table.part(table.train), table.task, columns=table.columns, progress=True,
                callbacks=callbacks, **options,
            )  # fmt: skip
        except OutlierError as error:  # it counts the rows to train on
            raise OutlierError(int(table.train[error.row]), error.value) from None


def _save(model: tabular.TabularModel, table: TableToTrain, path: str) -> None:
    """Write the model, and by what its rows are known again."""
    metadata = {
        "data": table.name,
        "task": table.task,
        "header": table.has_header,
        "target_index": table.target_index,
    }
    hashes = row_hashes(model, *table.part(table.train))
    SavedTable(model, table.target, hashes, metadata).save(path)


def _compare(model: tabular.TabularModel, table: TableToTrain, given: Mapping[str, Any]) -> None:
    """Print the test figures of the model and of the baselines, and write the report."""
    rows = table.part(table.test)
    figures = compared(model, *rows, table.part(table.train))
    _show_figures(figures, len(table.test))
    if "a linear model" not in figures:
        output.line("", "a linear model is left out: there are too many rows and columns")
    if given["report"] is not None:
        title = f"{table.target}, from {Path(table.name).name}"
        write_atomically(given["report"], page_of(model, *rows, figures, title).encode())


class _CheckRoom(Callback):
    """Finds out before the first epoch whether there is room for the model."""

    def __init__(self, path: str) -> None:
        self.path = path

    def on_train_begin(self, trainer: Trainer) -> None:
        check_can_save(trainer, self.path)


def _say_data(table: TableToTrain, *, inferred: bool) -> None:
    output.line(
        "data",
        f"{table.name}: rows of {len(table.x.columns)} columns, {len(table.train):,} to train on, "
        f"{len(table.test):,} to test on",
    )
    classes = None
    if table.task == "classification":
        classes = [as_text(label) for label in np.unique(table.y)]
    output.line("task", describe_task(classes, table.target))
    if inferred:
        if classes is None:
            why, other = "numbers, with points or many different ones", "classification"
        else:
            why, other = "text, or whole numbers with few different values", "regression"
        output.line("", f"(inferred: {why}; else --task {other})")


def _say_columns(columns: tabular.Columns) -> None:
    """Print what was decided of each column; of many those alike together."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for number, described in enumerate(columns.describe()):
        is_alone = len(columns.columns) <= _MOST_COLUMNS
        key = number if is_alone else _form(columns.columns[number])
        groups.setdefault(key, []).append(described)
    rows: list[tuple[str, str, str]] = []
    for group in groups.values():
        decision = group[0]["decision"]
        if any(column["decision"] != decision for column in group):
            decision += " (the others alike)"
        names = checks.listed((column["name"] for column in group), _MOST_NAMED)
        rows.append((names, group[0]["kind"], decision))
    output.show_table({"column": "left", "kind": "left", "decision": "left"}, rows)


def _form(column: Column) -> tuple[Any, ...]:
    """What is done with a column, without its counts and values."""
    if isinstance(column, Category):
        is_of_two = len(column.values) == 2
        return column.meaning, column.is_embedded, is_of_two, column.has_missing
    if isinstance(column, Unused):  # a value follows the colon of its reason
        return Unused, column.reason.partition(":")[0]
    # A count of missing ones follows the semicolon.
    return type(column), column.reason.partition(";")[0], column.has_missing


def _say_training(members: list[dict[str, Any]], task: str) -> None:
    epochs = ", ".join(str(member["best_epoch"]) for member in members)
    measure = "share of wrong classes" if task == "classification" else "standardised rmse"
    error = np.mean([member["validation_error"] for member in members])
    which = "epoch" if len(members) == 1 else "epochs"
    if np.isnan(error):
        output.line("kept", f"{which} {epochs}, the last: there are too few rows to hold some out")
        return
    output.line("kept", f"{which} {epochs}: {measure} {error:.4f} on the held-out validation rows")


def _show_figures(found: Mapping[str, Mapping[str, float]], rows: int) -> None:
    """Print the test figures of the model and of the baselines."""
    headings = {f"{rows:,} test rows": "left"} | dict.fromkeys(found["the model"], "right")
    output.show_table(headings, [(name, *shown(row)) for name, row in found.items()])


def shown(row: Mapping[str, float]) -> list[str]:
    """Figures as text."""
    forms = {"accuracy": "{:.2%}", "loss": "{:.4f}", "r2": "{:.4f}"}
    return [forms.get(name, "{:.6g}").format(value) for name, value in row.items()]
