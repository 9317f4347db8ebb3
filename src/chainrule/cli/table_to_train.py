"""Tables to train on: the features, the targets and the task, and what is made of the columns."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule import checks, tabular
from chainrule.cli.sources import column_index, in_words, saying_what_text_is_for
from chainrule.cli.table_data import naming
from chainrule.cli.tasks import choose_task, inferred_task
from chainrule.data import cells
from chainrule.data.frame_cells import Doubt, as_numbers, is_text
from chainrule.data.frame_types import Frame
from chainrule.data.frames import read_frame
from chainrule.data.text_tables import Layout, check_has_features
from chainrule.graph.tensor import Array
from chainrule.tabular.recipe import TaskName
from chainrule.tabular.targets import fit_target
from chainrule.tabular.training import hold_out

_MANY_ROWS = 20
"""From so many rows on text that differs in more than every other row is taken for no classes."""


_UNKNOWN = frozenset(["unknown", "unk", "not known", "not available", "no data"])
"""Words, in small letters, that among numbers say that one is missing."""


class TableToTrain(NamedTuple):
    """The rows of a table that have a target.

    Attributes:
        name: of the file.
        x: the features, a frame.
        y: the targets: labels or float64.
        target, target_index: the name of the target, and its place among all columns.
        task: what the targets are for.
        columns: what was decided of the features, from the rows to train on.
        train, test: the numbers of the rows to train and to test on.
        has_header: whether the file names the columns.
        notices: what a user should know of how it was read.
    """

    name: str
    x: Any
    y: Array
    target: str
    target_index: int
    task: TaskName
    columns: tabular.Columns
    train: Array
    test: Array
    has_header: bool
    notices: Sequence[str]

    def part(self, rows: Array) -> tuple[Any, Array]:
        """The features and the targets of some rows."""
        return self.x.iloc[rows], self.y[rows]


def read_table_to_train(name: str, given: Mapping[str, Any]) -> TableToTrain:
    """Read a table, and decide what its columns and its target are.

    Args:
        name: the file, or "-".
        given: the options of the command.

    Raises:
        OSError, ValueError, TypeError: if it can't be read, or there is nothing to learn from it.
    """
    with saying_what_text_is_for(name):
        found = read_frame(
            name,
            header=given["header"],
            text=lambda layout: _text_columns(layout, given["categorical"]),
            labels=lambda names, _: _column(names, given["target"]),
            doubts=True,
        )
    name = in_words(name)
    names = tuple(found.frame.columns)
    x, y, written, target, notices = _divide(name, found, given["target"])
    asked: dict[str, list[str]] = {}
    for kind in ("numeric", "categorical", "date", "drop"):
        with naming(f"--{kind}"):
            asked[kind] = [names[column_index(name, names, wanted)] for wanted in given[kind]]
        if target in asked[kind]:
            raise ValueError(f"{name}: --{kind} is of a feature, and {target!r:.80} is the target.")
    notices += _notices_of(name, found.doubts, asked, target)
    told = [doubt.column for doubt in found.doubts]
    others = {*told, *asked["categorical"], *asked["drop"], *asked["date"]}
    for column in x.columns:
        if column not in others:
            notices += _notice_of_signs(x[column], "give --categorical where it is text")
    if target not in told and given["task"] is None:
        notices += _notice_of_signs(y, "give --task classification where they are labels")
    place = f"{name}, column {target!r}"
    doubt = next((doubt for doubt in found.doubts if doubt.column == target), None)
    y, task = _task_of(y, written, place, given["task"], doubt)
    y = y.to_numpy() if task == "classification" else np.asarray(y.to_numpy(), np.float64)
    for column in x.columns:
        if column not in asked["drop"]:
            _check_finite(name, column, x[column].to_numpy())
    _check_finite(name, target, y)
    if task == "regression":
        with naming(name):
            fit_target(task, y)  # which refuses numbers that are too large
    for column in asked["categorical"]:
        if _are_whole(x[column]):
            x[column] = as_numbers(x[column])
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
    return TableToTrain(
        name, x, y, target, names.index(target), task, columns, train, test, found.has_header,
        notices,
    )  # fmt: skip


def _divide(name: str, found: Frame, wanted: str | None) -> tuple[Any, Any, Any, str, list[str]]:
    """The features, the targets, how they were written, the target's name, and notices; of the rows
    with a target.
    """
    names = tuple(found.frame.columns)
    check_has_features(name, names)
    target = names[column_index(name, names, wanted)]
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


def _task_of(
    y: Any, written: Any, place: str, requested: str | None, doubt: Doubt | None
) -> tuple[Any, TaskName]:
    """The targets, and what is asked for; else classification for text, booleans and few whole
    numbers. Labels of classes are as they were written.
    """
    values = y.to_numpy()
    _check_targets(values, place)
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


def _check_targets(values: Array, place: str) -> None:
    """Raise ValueError for targets that are neither numbers, text nor booleans."""
    if values.dtype.kind in "iufb":
        return
    odd = next((v for v in values.tolist() if not isinstance(v, (str, numbers.Real))), None)
    if odd is not None:
        raise ValueError(
            f"{place} holds {odd!r:.40}. Targets are numbers, or text and booleans for classes: "
            "write dates and times as numbers, as days since one date, or name another --target."
        )


def _among_numbers(place: str, doubt: Doubt) -> str:
    """What is wrong with a target that is text among numbers."""
    other = f"{doubt.cell!r:.80} is text among numbers. Give a number, or leave the cell empty."
    return f"{place}, line {doubt.line}: {doubt.remedy or other}"


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


def _notice_of_signs(column: Any, other: str) -> list[str]:
    """A notice, if a column of numbers is text for signs of missing ones, as - or unknown.

    Args:
        column: the series.
        other: what to do where it is meant to be text.
    """
    if not is_text(column) or column.dtype == "category":
        return []
    if not all(isinstance(value, str) for value in column.dropna()):
        return []
    found = column.value_counts().items()
    counts = {text: int(rows) for text, rows in found if not cells.is_missing(text)}
    signs = {text: rows for text, rows in counts.items() if _is_sign(text)}
    others = counts.keys() - signs.keys()
    if not signs or not others or not all(map(_is_number, others)):
        return []
    shown = [f"{text!r:.80} in {rows:,} row{'s' * (rows > 1)}" for text, rows in signs.items()]
    return [
        f"column {column.name!r:.80} is read as text, for {checks.listed(shown)} among its "
        f"numbers: leave such cells empty where numbers are missing, or {other}"
    ]


def _are_whole(column: Any) -> bool:
    """Whether the texts of a column are whole numbers, but for signs of missing ones.

    pandas writes 2 as 2.0 beside a gap: as numbers both are one category. 02 stays a text.
    """
    texts = {text.strip() for text in column.dropna() if isinstance(text, str)}
    plain = (t.removeprefix("-").removesuffix(".0") for t in texts if not cells.is_missing(t))
    return is_text(column) and all(cells.whole(text) is not None for text in plain)


def _is_sign(text: str) -> bool:
    return cells.stands_for_missing(text) or text.strip().lower() in _UNKNOWN


def _is_number(text: str) -> bool:
    return cells.number(text) is not None or cells.comma_of(text) is not None


def _text_columns(layout: Layout, categorical: Iterable[str]) -> list[int]:
    """The numbers of the columns that are asked for as categories."""
    names = layout.names[int(layout.may_have_index) :]
    wanted = {_column(names, column) for column in categorical}
    return [number for number, name in enumerate(layout.names) if name in wanted]


def _column(names: Sequence[str], wanted: str | None) -> str | None:
    """A column's name; None where there is no such column, of which an error tells later."""
    try:
        return names[column_index("", names, wanted)]
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
    classes = None
    if task == "classification":
        classes = np.unique(y.astype(str), return_inverse=True)[1]
    return hold_out(len(y), fraction, seed, classes)
