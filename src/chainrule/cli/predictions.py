"""A model's outputs as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from chainrule.cli.saved import SavedModel
from chainrule.cli.saved_table import SavedTable
from chainrule.graph.tensor import Array
from chainrule.train.metrics.outputs import softmax


def to_csv(
    outputs: Array,
    saved: SavedModel,
    *,
    proba: bool,
    files: Sequence[str] | None,
) -> str:
    """A header and a line for each row of the outputs.

    Images in files: ``file`` comes first, their names.
    Classes: ``prediction``, the label; with `proba` also ``probability_LABEL`` for each class.
    Numbers: the target's name where there is one, else ``prediction``, or ``prediction_0`` ...
    for several.
    """
    header, rows = _table(outputs, saved, proba)
    if files is not None:
        header = ["file", *header]
        rows = ([file, *row] for file, row in zip(files, rows, strict=True))
    return _csv(header, rows)


def table_to_csv(saved: SavedTable, frame: Any, *, proba: bool) -> str:
    """A header and a line for each row of a table, as `to_csv`."""
    model, x = saved.model, saved.inputs_of(frame)
    if model.classes is None:
        return _csv(*_table_of_numbers(model.predict(x), saved.target))
    shares = model.predict_proba(x)
    return _csv(*_table_of_classes(model.classes, shares.argmax(axis=1), shares if proba else None))


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines: list[str] = []
    # The signs that end lines are quoted, by older versions of Python no others.
    writer = csv.writer(SimpleNamespace(write=lines.append), lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    return "".join(line.removesuffix("\r\n") + "\n" for line in lines)


def _table(outputs: Array, saved: SavedModel, proba: bool) -> tuple[list[str], Iterable[list[Any]]]:
    """The names of the columns, and the cells of each row."""
    classes = saved.task.classes
    if classes is None:
        return _table_of_numbers(outputs, saved.trained_on["target"])
    shares = softmax(outputs.astype(np.float64)) if proba else None
    return _table_of_classes(classes, outputs.argmax(axis=1), shares)


def _table_of_classes(
    classes: Sequence[Any], codes: Array, shares: Array | None
) -> tuple[list[str], Iterable[list[Any]]]:
    """Labels by their codes, and the share of each class if they are given."""
    labels = np.array(classes)[codes].tolist()
    if shares is None:
        return ["prediction"], ([label] for label in labels)
    names = ["prediction", *(f"probability_{label}" for label in classes)]
    return names, (
        [label, *(f"{value:.6g}" for value in row)]
        for label, row in zip(labels, shares, strict=True)
    )


def _table_of_numbers(values: Array, target: str | None) -> tuple[list[str], Iterable[list[str]]]:
    """The name of the target, or numbered names of several, and the numbers of each row."""
    columns = values.reshape(len(values), -1)
    names = ["prediction" if target is None else target]
    if columns.shape[1] > 1:
        names = [f"prediction_{number}" for number in range(columns.shape[1])]
    return names, ([str(value) for value in row] for row in columns)
