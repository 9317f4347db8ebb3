"""Tables of numbers in text files: their layout (delimiter, header), and their values.

Whether the first line holds names is told by its texts. A line of numbers can be a header, too, as
the ``0,1,2`` that pandas writes for columns without names: where such a line may be either, it is
refused, until the caller says which it is.
"""

from __future__ import annotations

import array
import codecs
import csv
import gzip
import io
import os
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO, cast

import numpy as np
from numpy.typing import NDArray

from chainrule.data import cells as texts
from chainrule.errors import FileError
from chainrule.system.reading import (
    INPUT_IN_WORDS,
    STANDARD_INPUT,
    check_gzip,
    is_gzipped,
    reading,
    reading_input,
)
from chainrule.tables import check_distinct


class TextTable(NamedTuple):
    """A table that was read.

    Attributes:
        names: the names of its columns; ``x0, x1, ...`` where they have none.
        values: float64, shape (rows, columns).
        has_header: whether the first line names the columns.
        has_index: whether a first column, the row's number as pandas writes it, was left out.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    has_header: bool
    has_index: bool


class Layout(NamedTuple):
    """The form of a table in a text file.

    Attributes:
        delimiter: the sign between cells.
        names: the names of all columns.
        header_lines: lines before the first row; 0 without a header.
        records_before: empty records before the header, each a line or empty quotes.
        may_have_index: whether the first column has a name that only an index has.
    """

    delimiter: str
    names: tuple[str, ...]
    header_lines: int
    records_before: int
    may_have_index: bool


INDEX_LEFT_OUT = (
    "its first column, which has no name, is taken for the rows' index, as pandas writes it, and "
    "left out: give it a name if it is a feature"
)
"""What a user should know of a table whose rows had numbers."""

Choice = Callable[[Layout], Sequence[int]]
"""The columns that are wanted, by number."""


def is_parquet(file: BinaryIO) -> bool:
    """Whether a file begins as one of Parquet. It is at its start after."""
    file.seek(0)
    start = file.read(4)
    file.seek(0)
    return start == b"PAR1"


def foreign_kind(file: BinaryIO) -> str | None:
    """What a file is, and the remedy, if it is known to be no table. It is at its start after."""
    file.seek(0)
    start = file.read(16)
    file.seek(0)
    found = next((what for magic, what in _FOREIGN.items() if re.match(magic, start)), None)
    is_utf_16 = start.startswith(UTF_16) and start[2:4] != b"\0\0"
    if found is None and b"\0" in start[:4] and not is_utf_16:
        return "no UTF-8 text: it has bytes of 0, as UTF-16 without its mark. Save it as UTF-8"
    return found


def other_byte(file: BinaryIO) -> str:
    """The first byte of a file that is of no UTF-8, and its line."""
    file.seek(0)
    text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape")
    number, byte = next((n, b) for n, line in enumerate(text, 1) if (b := _ESCAPED.search(line)))
    text.detach()
    return f"byte 0x{ord(byte[0]) - 0xDC00:02x} in line {number}"


def without_delimiter_line(file: BinaryIO) -> BinaryIO:
    """A file from its beginning, with an empty line in place of a first one such as sep=;

    Excel reads and writes such a line. The delimiter is told by the others.
    """
    file.seek(0)
    line = _DELIMITER_LINE.match(file.read(16))
    file.seek(line.end() if line else 0)
    return io.BytesIO(line[1] + file.read()) if line else file


def check_names(
    name: str, columns: Iterable[str], known: Sequence[str] = (), remedy: str = ""
) -> None:
    """Raise FileError where two columns have one name, which is one of `known` if any are."""
    wanted = frozenset(known)
    try:
        check_distinct((c for c in columns if not known or c in wanted), name)
    except ValueError as error:
        raise FileError(f"{error}{remedy}") from None


def check_has_features(name: str, names: Sequence[str]) -> None:
    """Raise ValueError for a table of one column, which has no features beside the target."""
    if len(names) < 2:
        raise ValueError(
            f"{name} has the one column {names[0]!r:.80}, but a target and at least one feature "
            "are needed. Separate columns by a comma, a semicolon, a tab or a bar."
        )


def uneven(place: str, first: Sequence[str], found: int) -> str:
    """What is wrong with a row that has not as many cells as the first line, whose are given."""
    expected = len(first)
    text = f"{place}: expected {expected} cell{'s' * (expected > 1)} as in the first line, found "
    text += f"{found}. Give every row the same columns."
    if expected == 1 or first[0].startswith("#"):
        text += " A title or comments above the names of the columns are not read: delete them."
    return text


def read_text_table(
    path: str | os.PathLike[str],
    *,
    header: bool | None = None,
    known: Sequence[str] = (),
    widths: Collection[int] = (),
    choose: Choice | None = None,
    takes_input: bool = False,
) -> TextTable:
    """Read the columns of a table of numbers.

    Args:
        path: as in `read_columns`.
        header: whether the first line is a header; None to tell it from the file.
        known: names that the columns are likely to have: a first line that has them all is a
            header, though they may be numbers.
        widths: numbers of columns that it is likely to have: they decide where lines may be divided
            in several ways.
        choose: which columns to read, and in which order; the others may hold anything. By default
            all but a first column that is the row's number.
        takes_input: whether the path "-" is standard input.

    Raises:
        FileNotFoundError, FileError: as `read_columns`; what `choose` raises becomes a FileError.
    """
    form = "a table", "Give a CSV file, saved as UTF-8."
    is_input = takes_input and os.fspath(path) == STANDARD_INPUT
    with reading_input(*form) if is_input else reading(path, *form) as file:
        path = Path(INPUT_IN_WORDS if is_input else path)
        is_zipped = is_gzipped(file)
        if is_zipped:
            check_gzip(file)
        binary = cast("BinaryIO", gzip.GzipFile(fileobj=file) if is_zipped else file)
        if is_parquet(binary):
            raise FileError(
                f"{path} is a Parquet file, not text. pandas.read_parquet(file).to_csv(...) makes "
                "text of it."
            )
        if what := foreign_kind(binary):
            raise FileError(f"{path} is {what}.")
        binary = without_delimiter_line(binary)
        with io.TextIOWrapper(binary, encoding="utf-8-sig") as text:
            try:
                layout = read_layout(path, text, header, known, widths)
                columns = range(len(layout.names)) if choose is None else choose(layout)
                # One column may have gaps that NumPy takes for blank lines.
                values = _load_fast(text, layout, columns) if len(layout.names) > 1 else None
                if values is None:
                    text.seek(0)
                    values = _load_cell_by_cell(path, text, layout, columns)
            except UnicodeDecodeError as error:
                raise ValueError(f"it is not UTF-8 text ({other_byte(binary)})") from error
    names = tuple(layout.names[column] for column in columns)
    has_header = layout.header_lines > 0
    if choose is None and layout.may_have_index and _is_whole(values[:, 0]):
        return TextTable(names[1:], values[:, 1:], has_header, has_index=True)
    return TextTable(names, values, has_header, has_index=False)


UTF_16 = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
_DELIMITER_LINE = re.compile(rb'(?:\xef\xbb\xbf)?"?sep=[^\r\n]"?(\r\n?|\n)', re.IGNORECASE)
_ESCAPED = re.compile("[\udc80-\udcff]")
_ZIPPED = "compressed by {}. Unpack it, or compress it by gzip"
_JSON = "JSON, not a table. pandas.read_json(file).to_csv(...) makes one of it"
_FOREIGN = {
    rb"PK\x03\x04": "an Excel workbook, or a zip archive. Save the sheet as CSV UTF-8, or "
    "unpack it",
    rb"\xd0\xcf\x11\xe0": "an old Excel workbook. Save the sheet as CSV UTF-8",
    rb"BZh": _ZIPPED.format("bzip2"),
    rb"\xfd7zX": _ZIPPED.format("xz"),
    rb"\x28\xb5\x2f\xfd": _ZIPPED.format("zstd"),
    rb"(?:\xef\xbb\xbf)?\s*[\[{](\s*[\"\[{]|\s*[\r\n])": _JSON,
    rb"(?:\xef\xbb\xbf)?\s*<(?i:!doctype|html|head|table|\?xml)": "an HTML page or XML, not a "
    "table. Download the file that the page is of, or make one by "
    "pandas.read_html(file)[0].to_csv(...)",
    rb"ARROW1\0": "an Arrow or Feather file. pandas.read_feather(file).to_parquet(...) makes a "
    "Parquet file of it",
    rb"\x93NUMPY": "an array of NumPy. Write it with np.savez(path, x=..., y=...)",
    rb"\x80[\x02-\x05]": "a pickle, which may run any code, so that it is not read. "
    "pandas.read_pickle(file).to_parquet(...) makes a Parquet file of it",
    rb"\x89HDF": "an HDF5 file. pandas.read_hdf(file).to_parquet(...) makes a Parquet file of it",
    rb"(?s:.{5})\0\0\0\{": "a safetensors file, as of a model, not a table. Give a model before "
    "the table",
    rb"PARE[^\n]*\0": "an encrypted Parquet file. Write it without encryption",
}
"""How files begin that are no tables, as patterns, and what they are, with the remedy."""
_MOST_OF_FIRST_ROW = 1 << 22
"""More characters than this in the first row are no names or numbers of columns."""

_MOST_COLUMNS = 1 << 18
"""A column's name takes a hundred bytes, a cell of a file may take two."""

_ROWS_LOOKED_AT = 100
"""The rows that tell what the delimiter is, and whether a line of whole numbers is a header."""

_CHARACTERS_LOOKED_AT = 1 << 18

_SIGNS = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}
"""The delimiters, in words."""

_QUOTED = re.compile(r'((?:^|(?<=[\t\r;|,])) *)"(?:[^"]|"")*(?:(")|\Z)', re.MULTILINE)
"""A cell in quotes, whole or cut off by the end of the sample."""

_SURELY_COUNTED = 4
"""From so many columns on, a line that counts them, over numbers with points, is a header."""

_INDEX = re.compile(r"|Unnamed: 0(\.\d+)*")
"""The names that pandas gives to an index that has none: as it writes it, and as it reads it."""


def read_layout(
    path: Path,
    file: TextIO,
    header: bool | None,
    known: Sequence[str],
    widths: Collection[int],
) -> Layout:
    """The form of a table in an open text file; see `read_text_table`.

    Raises:
        FileError: if it is empty, too wide, or its first line may be names or a row.
    """
    first_line = next((line for line in _short_lines(path, file) if line.strip()), None)
    if first_line is None:
        raise FileError(f"{path} is empty. Give a table with one row per example.")
    file.seek(0)
    delimiter = _delimiter(path, file, widths)
    file.seek(0)
    reader = csv.reader(_short_lines(path, file), delimiter=delimiter, skipinitialspace=True)
    before, cells = next(
        ((n, row) for n, row in enumerate(reader) if row not in ([], [""])), (0, None)
    )
    if cells is None:
        raise FileError(f"{path} is empty but for quotes. Give a table with one row per example.")
    if len(cells) > _MOST_COLUMNS:
        raise FileError(
            f"{path}: its first row has {len(cells)} cells, and a table has at most "
            f"{_MOST_COLUMNS} columns. Give a table with one line per example, or an npz file."
        )
    cells, header_lines = [cell.strip() for cell in cells], reader.line_num
    if header is None:
        header = _is_header(path, cells, reader, known)
    unnamed = tuple(f"x{i}" for i in range(len(cells)))
    if not header:
        return Layout(delimiter, unnamed, 0, 0, may_have_index=False)
    names = tuple(cell or name for cell, name in zip(cells, unnamed, strict=True))
    is_of_index = _INDEX.fullmatch(cells[0]) is not None and cells[0] not in known
    may_have_index = len(cells) > 1 and is_of_index
    return Layout(delimiter, names, header_lines, before, may_have_index)


def _delimiter(path: Path, file: TextIO, widths: Collection[int]) -> str:
    """The sign that divides the first lines into the same number of cells; a tab before others.

    Raises:
        FileError: where two signs do, and not one of them into one of `widths`.
    """
    lines: list[str] = []
    characters = 0
    for line in _short_lines(path, file):
        lines.append(line)
        characters += len(line)
        if len(lines) > _ROWS_LOOKED_AT:
            break
        if characters > _CHARACTERS_LOOKED_AT and len(lines) > 2:  # a row below a wide header
            break
    text = _QUOTED.sub(lambda found: "" if found[2] is None else found[1] + "q", "".join(lines))
    rows = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    if not rows:
        return ","
    alike = {sign: _share_alike([row.count(sign) for row in rows]) for sign in _SIGNS}
    fit = [sign for sign in _SIGNS if alike[sign] == 1]
    if "\t" in fit:  # which hardly any cell holds
        return "\t"
    if len(fit) > 1:
        fit = [sign for sign in fit if _is_clean(rows[1:] or rows, sign)] or fit
    if len(fit) > 1:
        fit = [sign for sign in fit if rows[0].count(sign) + 1 in widths] or fit
    if len(fit) > 1:
        counts = " or ".join(f"{rows[0].count(sign) + 1} by {_SIGNS[sign]}" for sign in fit)
        raise FileError(
            f"{path}: its lines may be divided into cells in several ways: {counts}. Put names and "
            "cells that hold such a sign in quotes."
        )
    return fit[0] if fit else max(reversed(_SIGNS), key=lambda sign: alike[sign])


def _share_alike(counts: list[int]) -> float:
    """The share of the lines that hold as many signs as the first one, if that holds any."""
    return counts.count(counts[0]) / len(counts) if counts[0] else 0.0


def _is_clean(rows: list[str], delimiter: str) -> bool:
    """Whether cells hold signs of other tables in numbers, or before a space as in prose, alone."""
    others = "".join(sign for sign in _SIGNS if sign != delimiter)
    inside = re.compile(f"[{others}](?! )")
    return not any(
        inside.search(cell) and texts.comma_of(cell) in (None, "thousands")
        for row in rows
        for cell in row.split(delimiter)
    )


def _is_header(
    path: Path, cells: list[str], rows: Iterator[list[str]], known: Sequence[str]
) -> bool:
    """Whether the first line is a header.

    Args:
        path: the file.
        cells: those of the first line.
        rows: the rows below.
        known: see `read_text_table`.
    """
    if known and set(known) <= set(cells):
        return True
    names = [cell for cell in cells if texts.is_text(cell)]
    if names:
        numbers = [c for c in cells if texts.number(c) is not None and texts.whole(c) is None]
        if numbers:
            raise FileError(
                f"{path}, line 1 has both text ({names[0]!r:.80}) and numbers "
                f"({numbers[0]!r:.80}), so it may be names or a row. {_SAY_WHICH}"
            )
        return True
    if cells[0] == "":  # as over an index without a name
        index = [row[0] for row in islice(rows, _ROWS_LOOKED_AT) if row]
        return _counts(cells[1:]) == 0 or (len(index) > 1 and _counts(index) == 0)
    first = _counts(cells)
    if first is None or len(cells) == 1:
        return False
    below = islice(rows, _ROWS_LOOKED_AT)
    has_points = any(not texts.is_text(c) and "." in c for row in below for c in row)
    if len(cells) >= _SURELY_COUNTED and has_points:
        return True
    if first == 0:
        raise FileError(
            f"{path}: its first line, {','.join(cells[:4])}{', ...' * (len(cells) > 4)}, may be "
            f"the header that pandas writes for columns without names, or a row. {_SAY_WHICH}"
        )
    return False


_SAY_WHICH = (
    "Give the columns names, or say which it is: header=True or False, on the command line "
    "--header or --no-header."
)


def _counts(cells: list[str]) -> int | None:
    """The first of whole numbers that follow one another, one a cell; None for anything else."""
    numbers = [texts.whole(cell) for cell in cells]
    if not numbers or numbers[0] is None:
        return None
    first = numbers[0]
    return first if numbers == list(range(first, first + len(cells))) else None


def _short_lines(path: Path, file: TextIO) -> Iterator[str]:
    """The lines of the file, up to a limit for what names and counts the columns."""
    left = _MOST_OF_FIRST_ROW
    while line := file.readline(left):
        left = left - len(line) if line.strip() else left
        if left <= 0:
            raise FileError(
                f"{path}: its first row has more than {_MOST_OF_FIRST_ROW} characters. Give a "
                "table with one line per example."
            )
        yield line


def _load_fast(file: TextIO, layout: Layout, columns: Sequence[int]) -> NDArray[np.float64] | None:
    """The values, read by NumPy; None if the table has a fault, or text in any column."""
    file.seek(0)
    for _ in range(layout.header_lines):
        file.readline()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an empty table is an error below, not a warning
            values = np.loadtxt(
                file, delimiter=layout.delimiter, quotechar='"', comments=None, ndmin=2
            )
    except ValueError:
        return None
    if values.shape[1] != len(layout.names) or not len(values):
        return None
    if len(columns) < len(layout.names) or list(columns) != sorted(columns):
        values = values[:, list(columns)]
    return values if np.isfinite(values).all() else None


def _load_cell_by_cell(
    path: Path, file: TextIO, layout: Layout, columns: Sequence[int]
) -> NDArray[np.float64]:
    """The values, read more slowly; the error names the position of the first fault."""
    file.seek(0)
    found = array.array("d")
    rows, blank = 0, None
    # In a single column an empty line is told from an empty cell by what is left of the spaces.
    skips_spaces = len(layout.names) > 1
    reader = csv.reader(file, delimiter=layout.delimiter, skipinitialspace=skips_spaces)
    for cells in reader:
        if reader.line_num <= layout.header_lines:
            continue
        if not cells or (cells == [""] if skips_spaces else cells[0].isspace()):
            blank = reader.line_num
            continue
        place = f"{path}, line {reader.line_num}"
        if rows and blank is not None and len(layout.names) == 1:
            raise FileError(
                f"{path}, line {blank}, column {layout.names[0]!r:.80}: {texts.fault('')}"
            )
        if len(cells) != len(layout.names):
            raise FileError(uneven(place, layout.names, len(cells)))
        for column in columns:
            value = texts.number(cells[column])
            if value is None:
                raise FileError(_fault(place, cells, layout, column))
            found.append(value)
        rows, blank = rows + 1, None
    if not rows:
        raise FileError(f"{path} has a header but no rows. Give at least one row of numbers.")
    return np.array(found).reshape(rows, len(columns))


def _fault(place: str, cells: list[str], layout: Layout, column: int) -> str:
    name = layout.names[column]
    written = [cell.strip() or f"x{i}" for i, cell in enumerate(cells)]
    if layout.header_lines and written == list(layout.names):
        return f"{place} repeats the header. Delete the line."
    return f"{place}, column {name!r:.80}: {texts.fault(cells[column])}"


def _is_whole(values: NDArray[np.float64]) -> bool:
    return bool((values == np.round(values)).all())
