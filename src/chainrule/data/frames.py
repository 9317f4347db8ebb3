"""Tables of anything in files: CSV, gzipped or not, and Parquet, as frames.

pandas reads the cells, so they mean what its users expect. The layout of a text (its delimiter,
whether its first line holds names) is told by `text_tables`, as for tables of numbers.
"""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Collection, Sequence
from typing import BinaryIO

from chainrule.data.frame_types import Frame, Labels, Wishes
from chainrule.data.parquet_frames import read_parquet
from chainrule.data.text_frames import read_text
from chainrule.data.text_tables import (
    UTF_16,
    Choice,
    check_names,
    foreign_kind,
    is_parquet,
    other_byte,
    without_delimiter_line,
)
from chainrule.errors import FileError, missing
from chainrule.system.reading import (
    INPUT_IN_WORDS,
    STANDARD_INPUT,
    check_gzip,
    is_gzipped,
    reading,
    reading_input,
    size_of,
)

_REMEDY = "Give a CSV file, saved as UTF-8, or a Parquet file."


def read_frame(
    path: str | os.PathLike[str],
    *,
    header: bool | None = None,
    known: Sequence[str] = (),
    widths: Collection[int] = (),
    text: Choice | None = None,
    labels: Labels | None = None,
    doubts: bool = False,
) -> Frame:
    """Read a table whose cells are numbers, text, dates or missing.

    Text: UTF-8, cells between commas, semicolons, tabs or bars; with semicolons numbers may have a
    decimal comma. A first line such as sep=; is passed over. A first column without a name that
    holds the rows' numbers, as pandas writes it, is left out.

    Args:
        path: a text file or a Parquet file, also compressed by gzip; "-" reads standard input.
        header: whether the first line is a header; None to tell it from the file.
        known: names that the columns are likely to have: a first line that has them all is a
            header, though they may be numbers. Other columns may have one name then.
        widths: numbers of columns that it is likely to have: they decide where the lines of a text
            may be divided in several ways.
        text: the columns of a text file whose cells stay text, whatever they look like.
        labels: the column of labels of a text file. Where it holds text only an empty cell is a
            missing one: "none" and "NA" are labels. Beside numbers alone they are missing.
        doubts: whether to look for columns of a text file that seem to be numbers.

    Raises:
        FileNotFoundError: if there is no such file.
        FileError: if it is no table, has no rows, rows of different lengths, or two columns of one
            name.
        ImportError: if pandas, or for Parquet pyarrow, is not installed.
    """
    wishes = Wishes(header, known, widths, text, labels, doubts)
    _check_pandas()
    if os.fspath(path) == STANDARD_INPUT:
        with reading_input("a table", _REMEDY) as file:
            return _checked(INPUT_IN_WORDS, file, wishes)
    with reading(path, "a table", _REMEDY) as file:
        return _checked(os.fspath(path), file, wishes)


def _checked(name: str, file: BinaryIO, wishes: Wishes) -> Frame:
    found = _read(name, file, wishes)
    remedy = " If the first line is a row, give --no-header." if found.is_guessed else ""
    check_names(name, found.frame.columns, wishes.known, remedy)
    if not len(found.frame):
        raise FileError(f"{name} has a header but no rows. Give at least one row.")
    return found


def _check_pandas() -> None:
    """Raise ImportError with the remedy where pandas is not installed."""
    try:
        import pandas  # noqa: F401
    except ImportError:
        otherwise = "take --model mlp, for a table of numbers alone"
        raise missing("a table", "pandas", "tables", otherwise) from None


def _read(name: str, file: BinaryIO, wishes: Wishes) -> Frame:
    is_plain = name != INPUT_IN_WORDS
    size = size_of(file)
    if is_gzipped(file):
        check_gzip(file)
        is_plain = False
        file = io.BytesIO(gzip.GzipFile(fileobj=file).read())
    if is_parquet(file):
        return Frame(read_parquet(name, file, size, wishes.header), True, None)
    if what := foreign_kind(file):
        raise FileError(f"{name} is {what}.")
    has_mark = file.read(2) in UTF_16
    file.seek(0)
    if has_mark:
        is_plain = False
        file = io.BytesIO(file.read().decode("utf-16").encode())
    text = without_delimiter_line(file)
    try:
        found = read_text(name, text, wishes, is_plain=is_plain and text is file)
        return found._replace(is_guessed=found.has_header and wishes.header is None)
    except UnicodeDecodeError as error:
        raise FileError(
            f"{name} is not UTF-8 text ({other_byte(text)}). Save it as UTF-8: Excel calls it CSV "
            "UTF-8; of a file of Windows, iconv -f cp1252 -t utf-8 does it."
        ) from error
