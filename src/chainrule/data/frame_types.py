"""What is asked of a table in a file, and the frame that is made of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, TypeAlias

from chainrule.data.frame_cells import Doubt
from chainrule.data.text_tables import Choice

Labels: TypeAlias = Callable[[Sequence[str], bool], str | None]
"""Names of the columns, whether the file gives them -> the name of the column of labels, if any."""


class Wishes(NamedTuple):
    """What is known of a table before it is read; see `read_frame`."""

    header: bool | None
    known: Sequence[str]
    widths: Collection[int]
    text: Choice | None
    labels: Labels | None
    doubts: bool


class Frame(NamedTuple):
    """A table that was read.

    Attributes:
        frame: a DataFrame of pandas.
        has_header: whether the file names the columns; else they are x0, x1, ...
        notice: what a user should know of how it was read, or None.
        written: of labels that pandas took for numbers or booleans the texts of the file, where
            they are written in another way, as 01; else None.
        doubts: columns of text that seem to be numbers.
        is_guessed: whether the first line of a text alone told that the file names the columns.
    """

    frame: Any
    has_header: bool
    notice: str | None
    written: Any = None
    doubts: tuple[Doubt, ...] = ()
    is_guessed: bool = False
