"""Tables to predict or evaluate with a model of a table."""

from __future__ import annotations

from typing import Any

import click

from chainrule.cli.saved_table import SavedTable
from chainrule.cli.sources import kind_of
from chainrule.data.frames import read_frame
from chainrule.errors import FileError, printable

_MOST_NAMED = 8


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
    columns = saved.model.columns.names
    found = read_frame(name, header=header, known=columns)
    notices = [found.notice] if found.notice else []
    frame = found.frame
    if not found.has_header:
        frame = _in_order(name, frame, saved)
        notices.append("it has no header: columns are taken in the order of training")
    used = [c["name"] for c in saved.model.columns.describe() if c["kind"] != "unused"]
    lacking = [column for column in used if column not in frame.columns]
    if lacking:
        raise FileError(
            f"{name} lacks {', '.join(lacking[:_MOST_NAMED])}. The model takes "
            f"{', '.join(used[:12])}; the file has {', '.join(frame.columns[:12])}."
        )
    others = [c for c in frame.columns if c not in columns and c != saved.target]
    if others:
        rest = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        notices.append(f"ignored, as not used in training: {', '.join(others[:_MOST_NAMED])}{rest}")
    for notice in notices:
        click.echo(f"Note: {name}: {printable(notice)}.", err=True)
    return frame


def _in_order(name: str, frame: Any, saved: SavedTable) -> Any:
    """A frame without names, with those of training."""
    names = list(saved.model.columns.names)
    place = saved.metadata.get("target_index")
    if frame.shape[1] == len(names) + 1 and type(place) is int and 0 <= place <= len(names):
        names.insert(place, saved.target)
    if frame.shape[1] != len(names):
        raise FileError(
            f"{name} has {frame.shape[1]} columns without names; the model takes {len(names)}: "
            f"{', '.join(names[:12])}. Give them in this order, or a header."
        )
    return frame.set_axis(names, axis=1)
