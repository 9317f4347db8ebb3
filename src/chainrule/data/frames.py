"""Tables of anything in files: CSV in any dialect, compressed or not, and Parquet, as frames.

pandas reads the cells, so they mean what its users expect. The layout of a text (its delimiter,
whether its first line holds names) is told by `text_tables`, as for tables of numbers.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from chainrule.data.text_tables import Layout, read_layout
from chainrule.errors import FileError
from chainrule.system.reading import check_gzip, reading, reason

STANDARD_INPUT = "-"
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_SAMPLE = 1 << 16
_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+")
_DECIMAL_POINT = re.compile(r"[-+]?[0-9]*\.[0-9]+")


class Frame(NamedTuple):
    """A table that was read.

    Attributes:
        frame: a DataFrame of pandas.
        has_header: whether the file names the columns; else they are x0, x1, ...
        notice: what a user should know of how it was read, or None.
    """

    frame: Any
    has_header: bool
    notice: str | None


def read_frame(
    path: str | os.PathLike[str], *, header: bool | None = None, known: Sequence[str] = ()
) -> Frame:
    """Read a table whose cells are numbers, text, dates or missing.

    Text: UTF-8, cells between commas, semicolons, tabs or bars; with semicolons numbers may have a
    decimal comma. A first column without a name that holds the rows' numbers, as pandas writes it,
    is left out.

    Args:
        path: a text file or a Parquet file, also compressed by gzip; "-" reads standard input.
        header: whether the first line is a header; None to tell it from the file.
        known: names that the columns are likely to have: a first line that has them all is a
            header, though they may be numbers.

    Raises:
        FileNotFoundError: if there is no such file.
        FileError: if it is no table, has no rows, or two columns of one name.
        ImportError: if pandas, or for Parquet pyarrow, is not installed.
    """
    if os.fspath(path) == STANDARD_INPUT:
        if sys.stdin is None:
            raise OSError("standard input is closed: there is nothing to read")
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.seek(0)
            try:
                return _named_errors("standard input", copy, header, known)
            except (ValueError, LookupError) as error:
                raise FileError(f"standard input is no table: {reason(error)}") from error
    with reading(path, "a table", "Give a CSV file, saved as UTF-8, or a Parquet file.") as file:
        return _named_errors(os.fspath(path), file, header, known)


def _named_errors(name: str, file: BinaryIO, header: bool | None, known: Sequence[str]) -> Frame:
    try:
        found = _read(name, file, header, known)
    except UnicodeDecodeError as error:
        raise FileError(
            f"{name} is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8"
        ) from error
    labels = [str(label) for label in found.frame.columns]
    repeated = next((label for label in labels if labels.count(label) > 1), None)
    if repeated is not None:
        raise FileError(f"{name} has two columns named {repeated!r:.80}. Rename one of them.")
    if not len(found.frame):
        raise FileError(f"{name} has a header but no rows. Give at least one row.")
    return found


def _read(name: str, file: BinaryIO, header: bool | None, known: Sequence[str]) -> Frame:
    try:
        import pandas as pd
    except ImportError:
        raise ImportError(
            "tables are read by pandas: pip install 'chainrule[tables]'. For a table of numbers "
            "alone --model mlp does without"
        ) from None
    start = file.read(4)
    file.seek(0)
    if start.startswith(_GZIP):
        check_gzip(file)
        file = io.BytesIO(gzip.GzipFile(fileobj=file).read())
        start = file.read(4)
        file.seek(0)
    if start == _PARQUET:
        try:
            frame = pd.read_parquet(file)
        except ImportError:
            raise ImportError(
                "Parquet files are read by pyarrow: pip install 'chainrule[tables]'"
            ) from None
        if not all(isinstance(label, str) for label in frame.columns):
            frame.columns = [str(label) for label in frame.columns]
        return Frame(frame.reset_index(drop=True), True, None)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    layout = read_layout(Path(name), text, header, known)
    text.seek(0)
    sample = text.read(_SAMPLE)
    text.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # cells would be lost
        frame = pd.read_csv(
            text,
            sep=layout.delimiter,
            header=None,
            names=list(range(len(layout.names))),
            skiprows=layout.header_lines,
            decimal="," if _has_decimal_commas(sample, layout) else ".",
            skipinitialspace=True,
            index_col=False,
            low_memory=False,
        )
    text.detach()
    frame.columns = list(layout.names)
    notice = None
    if layout.may_have_index and _counts_rows(frame.iloc[:, 0]):
        frame = frame.iloc[:, 1:]
        notice = (
            "its first column, which has no name, is taken for the rows' index, as pandas writes "
            "it, and left out: give it a name if it is a feature"
        )
    return Frame(frame, layout.header_lines > 0, notice)


def _has_decimal_commas(sample: str, layout: Layout) -> bool:
    """Whether cells between other signs than commas hold numbers such as 1,5, and none as 1.5."""
    if layout.delimiter == ",":
        return False
    cells = [cell.strip() for line in sample.splitlines() for cell in line.split(layout.delimiter)]
    commas = sum(_DECIMAL_COMMA.fullmatch(cell) is not None for cell in cells)
    points = sum(_DECIMAL_POINT.fullmatch(cell) is not None for cell in cells)
    return commas > points


def _counts_rows(column: Any) -> bool:
    return bool(column.dtype.kind in "iu")
