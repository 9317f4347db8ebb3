"""The course of a training on a table of anything, by the recipe of RealMLP."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from chainrule import tabular
from chainrule.cli import output
from chainrule.cli.errors import INTERRUPTED
from chainrule.cli.saved_table import SavedTable, row_hashes
from chainrule.cli.sources import saying_what_text_is_for, target_column
from chainrule.cli.table_data import naming, say_notices
from chainrule.cli.tasks import (
    MAX_INFERRED_CLASSES,
    choose_task,
    describe_task,
    inferred_task,
)
from chainrule.data import cells
from chainrule.data.frame_cells import Doubt
from chainrule.data.frame_types import Frame
from chainrule.data.frames import read_frame
from chainrule.data.text_tables import Layout
from chainrule.graph.tensor import Array
from chainrule.system.atomic_files import write_atomically
from chainrule.tabular.cells import as_text
from chainrule.tabular.recipe import Task
from chainrule.tabular.report import compared, page_of
from chainrule.tabular.training import hold_out
from chainrule.train import Callback, Trainer
from chainrule.train.checkpoint import check_can_save


def train_on_table(ctx: click.Context, name: str, given: dict[str, Any]) -> None:
    """Read the table, say what is made of its columns, train, and compare with baselines.

    Args:
        ctx: of the command, whose exit code says whether Ctrl-C ended the training.
        name: the file, or "-".
        given: the options.
    """
    with saying_what_text_is_for(name):
        found = read_frame(
            name,
            header=given["header"],
            text=lambda layout: _text_columns(layout, given["categorical"]),
            labels=lambda names, _: _label_column(name, tuple(names), given["target"]),
            doubts=True,
        )
    names = tuple(found.frame.columns)
    asked = {
        kind: _named(names, given[kind]) for kind in ("numeric", "categorical", "date", "drop")
    }
    x, y, written, target, notices = _divide(name, found, given["target"])
    for kind, columns_asked in asked.items():
        if target in columns_asked:
            raise ValueError(f"{name}: --{kind} is of a feature, and {target!r:.80} is the target.")
    notices += _notices_of(name, found.doubts, asked, target)
    told = [doubt.column for doubt in found.doubts]
    notices += _notices_of_signs(x, {*told, *asked["categorical"], *asked["drop"], *asked["date"]})
    place = f"{name}, column {target!r}"
    doubt = next((doubt for doubt in found.doubts if doubt.column == target), None)
    y, task = _task_of(y, written, place, given["task"], doubt)
    y = y.to_numpy() if task == "classification" else np.asarray(y.to_numpy(), np.float64)
    for column in x.columns:
        _check_finite(name, column, x[column].to_numpy())
    _check_finite(name, target, y)
    train, test = _parts(y, task, given["test_fraction"], given["seed"])
    with naming(name):
        columns = tabular.Columns.fit(
            x,
            numeric=asked["numeric"],
            categorical=asked["categorical"],
            dates=asked["date"],
            drop=asked["drop"],
            embed=given["preset"] != "fast",
            rows=train,  # what the cells are, numbers or text, is told by all of them
        )
    say_notices(name, notices)
    _say_data(name, found, task, y, target, train, test, inferred=given["task"] is None)
    _say_columns(columns)
    click.echo()
    options = {k: given[k] for k in ("epochs", "batch_size", "hidden", "lr", "dropout", "seed")}
    callbacks = [] if given["out"] is None else [_CheckRoom(given["out"])]
    with naming(name):
        model = tabular.fit(
            x.iloc[train], y[train], task,
            preset=given["preset"], columns=columns, time_budget=given["time_budget"],
            weight_decay=given["weight_decay"], progress=True, callbacks=callbacks, **options,
        )  # fmt: skip
    members = model.report["members"]
    interrupted = any(member["stop_reason"] == "interrupted" for member in members)
    saved = SavedTable(
        model,
        target,
        row_hashes(model, x.iloc[train], y[train]),
        {
            "data": name,
            "task": task,
            "header": found.has_header,
            "target_index": list(found.frame.columns).index(target),
        },
    )
    if given["out"] is not None:
        saved.save(given["out"])
    if not interrupted:
        _say_training(members, task)
        if len(test):
            rows = x.iloc[test], y[test]
            figures = compared(model, *rows, (x.iloc[train], y[train]), given["time_budget"])
            _show_figures(figures, len(test))
            if given["report"] is not None:
                page = page_of(model, *rows, figures, f"{target}, from {Path(name).name}")
                write_atomically(given["report"], page.encode())
    output.show_files(given, interrupted=interrupted)
    if interrupted:
        ctx.exit(INTERRUPTED)


_MANY_ROWS = 20
"""From so many rows on text that differs in more than every other row is taken for no classes."""


_MOST_COLUMNS = 40
"""Of more columns those alike have one line; `chainrule info` has a line for each."""

_MOST_NAMED = 3
_ROWS = re.compile(r"\d+ rows?\b")
_NUMBERS = re.compile(r"-?\d[\d.e+-]*")


class _CheckRoom(Callback):
    """Finds out before the first epoch whether there is room for the model."""

    def __init__(self, path: str) -> None:
        self.path = path

    def on_train_begin(self, trainer: Trainer) -> None:
        check_can_save(trainer, self.path)


def _task_of(
    y: Any, written: Any, place: str, requested: str | None, doubt: Doubt | None
) -> tuple[Any, Task]:
    """The targets, and what is asked for; else classification for text, booleans and few whole
    numbers. Labels of classes are as they were written.
    """
    values = y.to_numpy()
    if values.dtype.kind in "iuf":
        if written is None or (requested or inferred_task(values)) == "regression":
            found = choose_task(values, place, requested).name
            return y, "regression" if found == "regression" else "classification"
    elif requested == "regression" and values.dtype.kind != "b":
        if doubt is not None:
            raise ValueError(_among_numbers(place, doubt))
        raise ValueError(f"{place}: the targets are text. Leave --task regression out.")
    elif requested == "regression":
        return y, "regression"
    if doubt is not None and doubt.remedy is not None and requested is None:
        raise ValueError(
            f"{_among_numbers(place, doubt)} If they are classes, --task classification."
        )
    y = y if written is None else written
    if y.nunique() < 2:
        raise ValueError(
            f"{place}: all rows have the one label {y.iloc[0]!s:.80}. Give at least two classes."
        )
    if requested is None and len(y) >= _MANY_ROWS and y.nunique() > len(y) // 2:
        if doubt is not None:
            raise ValueError(_among_numbers(place, doubt))
        raise ValueError(
            f"{place} holds {y.nunique():,} different texts in {len(y):,} rows: nearly every row "
            "is a class of its own, from which nothing is learnt. Name another --target, or give "
            "numbers; if they are classes, --task classification."
        )
    return y, "classification"


def _among_numbers(place: str, doubt: Doubt) -> str:
    """What is wrong with a target that is text among numbers."""
    other = f"{doubt.cell!r:.80} is text among numbers. Give a number, or leave the cell empty."
    return f"{place}, line {doubt.line}: {doubt.remedy or other}"


def _divide(name: str, found: Frame, wanted: str | None) -> tuple[Any, Any, Any, str, list[str]]:
    """The features, the targets, how they were written, the target's name, and notices; of the rows
    with a target.
    """
    names = tuple(found.frame.columns)
    if len(names) < 2:
        raise ValueError(
            f"{name} has the one column {names[0]!r:.80}, but a target and at least one feature "
            "are needed. Separate columns by a comma, a semicolon, a tab or a bar."
        )
    target = names[target_column(name, names, wanted)]
    notices = [found.notice] if found.notice is not None else []
    y, frame, written = found.frame[target], found.frame, found.written
    lacks = y.isna().to_numpy()
    if lacks.all():
        raise ValueError(
            f"{name}: the target {target!r:.80} is missing in every row. Name another --target."
        )
    if lacks.any():
        notices.append(left_out(int(lacks.sum())))
        frame, y = frame[~lacks].reset_index(drop=True), y[~lacks].reset_index(drop=True)
        written = None if written is None else written[~lacks].reset_index(drop=True)
    if y.dtype == object:  # booleans and whole numbers among which some were missing
        y = y.infer_objects()
    if len(y) < 2:
        raise ValueError(
            f"{name} has 1 row with a target; there is nothing to learn from it. Give more rows."
        )
    return frame.drop(columns=[target]), y, written, target, notices


def _notices_of(
    name: str, doubts: Iterable[Doubt], asked: Mapping[str, Sequence[str]], target: str
) -> list[str]:
    """Notices of text among numbers, which makes categories of a column.

    Raises:
        ValueError: for numbers that are written in another way, and where numbers are asked for.
    """
    notices = []
    for doubt in doubts:
        if doubt.column == target or doubt.column in (*asked["drop"], *asked["date"]):
            continue
        place = f"column {doubt.column!r:.80}"
        where = f"{name}, line {doubt.line}, {place}"
        if doubt.remedy is not None:
            raise ValueError(
                f"{where}: {doubt.remedy} If it is text, --categorical; else --drop leaves it out."
            )
        if doubt.column in asked["numeric"]:
            raise ValueError(
                f"{where} holds text, not numbers: {doubt.cell!r:.80}. Give a number, or an empty "
                "cell for a missing one."
            )
        rows = f"in {doubt.rows:,} row{'s' * (doubt.rows > 1)}"
        notices.append(
            f"{place} is read as text, for text among its numbers {rows}, as {doubt.cell!r:.80} on "
            f"line {doubt.line}: leave such cells empty where numbers are missing"
        )
    return notices


def _notices_of_signs(x: Any, others: Collection[str]) -> list[str]:
    """Notices of columns of numbers that are text for one sign, as - or unknown, in many rows; but
    for those of `others`.
    """
    notices = []
    for column in x.columns:
        if column in others or x[column].dtype.kind in "biufcmM":
            continue
        counts = x[column].value_counts()
        signs = _signs_among(map(str, counts.index))
        if signs:
            rows = int(sum(counts[sign] for sign in signs))
            notices.append(
                f"column {column!r:.80} is read as text, for {signs[0]!r:.80} among its numbers in "
                f"{rows:,} rows: leave such cells empty where numbers are missing, or give "
                "--categorical where it is text"
            )
    return notices


def _signs_among(texts: Iterable[str]) -> list[str]:
    """Those texts that stand for a missing number; empty where others may be names."""
    signs: list[str] = []
    numbers, words = 0, 0
    for text in texts:
        if cells.number(text) is not None or cells.comma_of(text) is not None:
            numbers += 1
            continue
        signs.append(text)
        words += not cells.stands_for_missing(text)
        if words > 1:
            return []
    return signs if numbers > (MAX_INFERRED_CLASSES if words else 0) else []


def _named(names: Sequence[str], given: Iterable[str]) -> list[str]:
    """The columns that are given by name, or by index if no column has that name."""
    found = []
    for wanted in given:
        is_index = wanted not in names and re.fullmatch(r"-?[0-9]{1,9}", wanted)
        if is_index and -len(names) <= int(wanted) < len(names):
            wanted = names[int(wanted)]
        found.append(wanted)
    return found


def _text_columns(layout: Layout, categorical: Iterable[str]) -> list[int]:
    """The numbers of the columns that are asked for as categories."""
    skipped = int(layout.may_have_index)
    wanted = _named(layout.names[skipped:], categorical)
    return [number for number, name in enumerate(layout.names) if name in wanted]


def _label_column(name: str, names: tuple[str, ...], wanted: str | None) -> str | None:
    """The target's name; None where there is no such column, of which `_divide` tells."""
    try:
        return names[target_column(name, names, wanted)]
    except ValueError:
        return None


def left_out(rows: int) -> str:
    """A notice of rows without a target."""
    return f"{rows:,} row{'s' * (rows > 1)} without a target {'are' if rows > 1 else 'is'} left out"


def _check_finite(name: str, column: str, values: Array) -> None:
    """Raise ValueError for numbers that are infinite; missing ones may be there."""
    if values.dtype.kind == "f" and np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise ValueError(
            f"{name}, column {column!r:.80}: row {row} (counted from 0) is not finite. Give a "
            "number, or leave the cell empty for a missing one."
        )


def _parts(y: Array, task: str, fraction: float, seed: int) -> tuple[Array, Array]:
    """The rows to train on and those to test on."""
    if task == "regression":
        return hold_out(np.zeros(len(y), np.int64), fraction, seed, stratify=False)
    labels = np.unique(y.astype(str), return_inverse=True)[1]
    return hold_out(labels.astype(np.int64), fraction, seed, stratify=True)


def _say_data(
    name: str,
    found: Frame,
    task: str,
    y: Array,
    target: str,
    train: Array,
    test: Array,
    *,
    inferred: bool,
) -> None:
    width = len(found.frame.columns) - 1
    output.line(
        "data", f"{name}: rows of {width} columns, {len(train):,} to train on, {len(test):,} to "
        "test on",
    )  # fmt: skip
    classes = None
    if task == "classification":
        classes = [as_text(label) for label in np.unique(y)]
    output.line("task", describe_task(classes, target))
    if inferred:
        other = "regression" if task == "classification" else "classification"
        why = (
            "text, or whole numbers with few different values"
            if task == "classification"
            else "numbers, with points or many different ones"
        )
        output.line("", f"(inferred: {why}; else --task {other})")


def _say_columns(columns: tabular.Columns) -> None:
    described = columns.describe()
    groups = [[column] for column in described]
    if len(described) > _MOST_COLUMNS:
        alike: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for column in described:
            key = column["kind"], _without_numbers(column["decision"])
            alike.setdefault(key, []).append(column)
        groups = list(alike.values())
    rows = []
    for group in groups:
        decisions = {column["decision"] for column in group}
        decision = group[0]["decision"]
        decision = decision if len(decisions) == 1 else _without_numbers(decision)
        rows.append((_names_of(group), group[0]["kind"], decision))
    output.show_table({"column": "left", "kind": "left", "decision": "left"}, rows)


def _without_numbers(decision: str) -> str:
    """A decision that says the same of columns with other counts.

    >>> _without_numbers("a number; missing in 2 rows: the median, and a flag")
    'a number; missing in some rows: the median, and a flag'
    """
    return _NUMBERS.sub("…", _ROWS.sub("some rows", decision))


def _names_of(group: Sequence[Mapping[str, Any]]) -> str:
    names = [column["name"] for column in group]
    if len(names) <= _MOST_NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST_NAMED])} and {len(names) - _MOST_NAMED:,} more"


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
