"""Tables to predict or evaluate with a model of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from chainrule import checks
from chainrule.cli.saved_table import SavedTable
from chainrule.cli.sources import in_words, kind_of
from chainrule.data.cells import whole
from chainrule.data.frames import read_frame
from chainrule.data.text_tables import Layout, check_names
from chainrule.errors import FileError, printable
from chainrule.tabular.columns import hint
from chainrule.tabular.kinds import Category


def read_table_to_use(
    name: str, saved: SavedTable, folder: str | None, part: str | None, *, header: bool | None
) -> Any:
    """A frame with the columns of a model, and others beside them, which are ignored.

    Where the table has no names, its columns are taken in the order of training, the target among
    them or not.

    Raises:
        OSError, ValueError: if it can't be read, or lacks columns.
    """
    for option, value in (("--data", folder), ("--part", part)):
        if value is not None:
            raise ValueError(f"{option} is not of tables. Leave it out.")
    if kind_of(name) != "table":
        raise ValueError(
            f"{name} is no table, and the model was trained on one. Give a .csv or .parquet file."
        )
    columns, numbered = saved.model.columns.names, saved.model.columns.numbered
    described = saved.model.columns.describe()
    used = [str(c["name"]) for c in described if c["kind"] != "unused"]
    found = read_frame(
        name,
        header=header,
        known=[column.removeprefix("x") for column in used] if numbered else used,
        widths=(len(columns), len(columns) + 1),
        text=lambda layout: _text_columns(layout, saved),
        labels=lambda names, has_header: _label_column(names, has_header, saved),
    )
    name = in_words(name)
    notices = [found.notice] if found.notice else []
    frame = found.frame
    names = _known_names(frame.columns, found.has_header, saved)
    if names is not None:
        frame = frame.set_axis(names, axis=1)
    else:
        frame = _in_order(name, frame, saved)
        which = "the model has no names of columns" if found.has_header else "it has no header"
        if found.is_guessed:
            which += ", and the first line is taken for names (--no-header if it is a row)"
        notices.append(f"{which}: columns are taken in the order of training")
    lacking = [column for column in used if column not in frame.columns]
    others = [c for c in frame.columns if c not in columns and c != saved.target]
    if lacking:
        raise FileError(
            f"{name} lacks {checks.listed(lacking)}. The model takes "
            f"{checks.listed(used)}; the file has {checks.listed(frame.columns)}"
            f"{hint(lacking, others) or '. Name the columns as in training'}."
        )
    check_names(name, frame.columns, [*used, saved.target])
    if others:
        notices.append(f"ignored, as not used in training: {checks.listed(others)}")
    say_notices(name, notices)
    if numbered or not saved.model.columns.named:  # which takes all columns, by their places
        target = [saved.target] * (saved.target in frame.columns)
        return frame.reindex(columns=[*columns, *target])
    wanted = {*used, saved.target}
    return frame[[column for column in frame.columns if column in wanted]]


def say_notices(name: str, notices: Iterable[str]) -> None:
    """Print, to standard error, what a user should know of how a table was read."""
    for notice in notices:
        click.echo(printable(f"Note: {in_words(name)}: {notice}."), err=True)


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Errors of the values of a table name its file."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise ValueError(f"{in_words(place)}: {error}") from error


def _known_names(names: Sequence[str], has_header: bool, saved: SavedTable) -> list[str] | None:
    """The names by which the model knows the columns; None where they are known by their order.

    Where pandas gave numbers to the columns of an array, "0" is known as "x0". A file's names are
    without blanks around them, which pandas keeps.
    """
    columns = saved.model.columns
    if not has_header or not saved.metadata.get("header", columns.named):
        return None
    if not columns.numbered:
        mine = frozenset(columns.names)
        own = {name.strip(): name for name in columns.names}
        return [name if name in mine else own.get(name, name) for name in names]
    known = [name if whole(name) is None else f"x{name}" for name in names]
    return known if set(known).intersection(columns.names) else None


def _text_columns(layout: Layout, saved: SavedTable) -> list[int]:
    """The numbers of the columns that were text in training."""
    text = {
        column.name
        for column in saved.model.columns.columns
        if isinstance(column, Category) and column.meaning == "text"
    }
    if isinstance((saved.model.classes or (None,))[0], str):
        text.add(saved.target)
    names, skipped = _known_names(layout.names, layout.header_lines > 0, saved), 0
    if names is None:
        skipped = int(layout.may_have_index)
        names = _names_in_order(len(layout.names) - skipped, saved)
    return [number for number, name in enumerate(names, skipped) if name in text]


def _label_column(names: Sequence[str], has_header: bool, saved: SavedTable) -> str | None:
    """The name that a file has for the target's column, if it is there."""
    known = _known_names(names, has_header, saved)
    if known is None:
        known = _names_in_order(len(names), saved)
    return dict(zip(known, names, strict=False)).get(saved.target)


def _names_in_order(width: int, saved: SavedTable) -> list[str]:
    """The names of training for a table of this width, with the target if it has room."""
    names = list(saved.model.columns.names)
    place = saved.metadata.get("target_index")
    if width == len(names) + 1 and type(place) is int and 0 <= place <= len(names):
        names.insert(place, saved.target)
    return names


def _in_order(name: str, frame: Any, saved: SavedTable) -> Any:
    """A frame without names, with those of training."""
    names = _names_in_order(frame.shape[1], saved)
    if frame.shape[1] != len(names):
        raise FileError(
            f"{name} has {frame.shape[1]} columns; the model takes {len(names)}: "
            f"{checks.listed(names)}. Give them in this order, or a header."
        )
    return frame.set_axis(names, axis=1)
