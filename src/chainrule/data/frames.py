"""Tables of anything in files: CSV in any dialect, compressed or not, and Parquet, as frames.

pandas reads the cells, so they mean what its users expect. The layout of a text (its delimiter,
whether its first line holds names) is told by `text_tables`, as for tables of numbers.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import os
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from chainrule.data import frame_cells
from chainrule.data.frame_cells import Doubt
from chainrule.data.text_tables import PARQUET, Choice, Layout, foreign_kind, read_layout
from chainrule.errors import FileError
from chainrule.system.reading import check_expansion, check_gzip, reading, reason, size_of

STANDARD_INPUT = "-"
_INPUT_IN_WORDS = "standard input"
_REMEDY = "Give a CSV file, saved as UTF-8, or a Parquet file."
_GZIP = b"\x1f\x8b"
_UTF_16 = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
_SAMPLE = 1 << 16
_FREE = 1 << 30
"""The bytes to which any Parquet file may unfold: a value that is repeated takes no room in it."""
_FEW_ROWS = 256
"""Of text that is read whole so many rows are looked at together: all may take too much memory."""


Labels: TypeAlias = Callable[[Sequence[str], bool], str | None]
"""Names of the columns, whether the file gives them -> the name of the column of labels, if any."""


class Wishes(NamedTuple):
    """What is known of a table before it is read; see `read_frame`."""

    header: bool | None
    known: Sequence[str]
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
    """

    frame: Any
    has_header: bool
    notice: str | None
    written: Any = None
    doubts: tuple[Doubt, ...] = ()


def read_frame(
    path: str | os.PathLike[str],
    *,
    header: bool | None = None,
    known: Sequence[str] = (),
    text: Choice | None = None,
    labels: Labels | None = None,
    doubts: bool = False,
) -> Frame:
    """Read a table whose cells are numbers, text, dates or missing.

    Text: UTF-8, cells between commas, semicolons, tabs or bars; with semicolons numbers may have a
    decimal comma. A first column without a name that holds the rows' numbers, as pandas writes it,
    is left out.

    Args:
        path: a text file or a Parquet file, also compressed by gzip; "-" reads standard input.
        header: whether the first line is a header; None to tell it from the file.
        known: names that the columns are likely to have: a first line that has them all is a
            header, though they may be numbers. Other columns may have one name then.
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
    wishes = Wishes(header, known, text, labels, doubts)
    if os.fspath(path) == STANDARD_INPUT:
        _check_pandas()
        if sys.stdin is None:
            raise OSError("standard input is closed: there is nothing to read")
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.seek(0)
            try:
                return _named_errors(_INPUT_IN_WORDS, copy, wishes)
            except (FileError, ImportError):
                raise
            except Exception as error:
                raise FileError(
                    f"{_INPUT_IN_WORDS} cannot be read as a table: {reason(error)}. {_REMEDY}"
                ) from error
    _check_pandas()
    with reading(path, "a table", _REMEDY) as file:
        return _named_errors(os.fspath(path), file, wishes)


def _named_errors(name: str, file: BinaryIO, wishes: Wishes) -> Frame:
    try:
        found = _read(name, file, wishes)
    except UnicodeDecodeError as error:
        raise FileError(
            f"{name} is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8: "
            "Excel calls it CSV UTF-8; of a file of Windows, iconv -f cp1252 -t utf-8 does it."
        ) from error
    _check_names(name, found.frame.columns, wishes.known)
    if not len(found.frame):
        raise FileError(f"{name} has a header but no rows. Give at least one row.")
    return found


def _check_names(name: str, columns: Iterable[str], known: Sequence[str] = ()) -> None:
    """Raise FileError where two columns have one name, which is one of `known` if any are."""
    counts = Counter(columns)
    repeated = next((label for label in (known or counts) if counts[label] > 1), None)
    if repeated is not None:
        raise FileError(f"{name} has two columns named {repeated!r:.80}. Rename one of them.")


def _check_pandas() -> None:
    """Raise ImportError with the remedy where pandas is not installed."""
    try:
        import pandas  # noqa: F401
    except ImportError:
        raise ImportError(
            "tables are read by pandas: pip install 'chainrule[tables]'. For a table of numbers "
            "alone --model mlp does without"
        ) from None


def _read(name: str, file: BinaryIO, wishes: Wishes) -> Frame:
    import pandas as pd

    is_plain = name != _INPUT_IN_WORDS
    size = size_of(file)
    start = file.read(4)
    file.seek(0)
    if start.startswith(_GZIP):
        check_gzip(file)
        is_plain = False
        file = io.BytesIO(gzip.GzipFile(fileobj=file).read())
        start = file.read(4)
        file.seek(0)
    if start == PARQUET:
        return _read_parquet(name, file, size, wishes.header)
    if what := foreign_kind(start):
        raise FileError(f"{name} is {what}.")
    if start.startswith(_UTF_16):
        is_plain = False
        file = io.BytesIO(file.read().decode("utf-16").encode())
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    layout = read_layout(Path(name), text, wishes.header, wishes.known)
    text.seek(0)
    sample = text.read(_SAMPLE)
    text.detach()
    file.seek(0)
    # pandas reads a file that it opens itself in half the time.
    source: Any = Path(name).absolute() if is_plain else file
    kept = [] if wishes.text is None else list(wishes.text(layout))
    lines = sample.splitlines()
    # The last line of a part may be cut off in a number.
    lines = lines[:-1] if len(sample) == _SAMPLE else lines
    has_commas = frame_cells.has_decimal_commas(lines, layout.delimiter)
    options: dict[str, Any] = {
        "sep": layout.delimiter,
        "header": 0 if layout.header_lines else None,  # which may go over several lines
        "skiprows": layout.records_before,
        "names": list(range(len(layout.names))),
        "decimal": "," if has_commas else ".",
        "skipinitialspace": f"{layout.delimiter} " in sample,
        "index_col": False,
        "compression": None,
        "dtype": dict.fromkeys(kept, str),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # cells would be lost
        warnings.simplefilter("error", pd.errors.DtypeWarning)
        try:
            try:
                frame = pd.read_csv(source, **options)
            except pd.errors.DtypeWarning:  # numbers in a part of the rows, text in another
                file.seek(0)
                frame = pd.read_csv(source, low_memory=False, **options)
        except (pd.errors.ParserError, pd.errors.ParserWarning):
            _check_lengths(name, file, layout)
            raise
        except pd.errors.EmptyDataError:
            frame = pd.DataFrame(columns=range(len(layout.names)))
    if frame.iloc[:, -1].isna().any():
        _check_lengths(name, file, layout)

    def texts_of(number: int, **changes: Any) -> Any:
        """A column again, as text."""
        file.seek(0)
        return pd.read_csv(source, **options | {"usecols": [number], "dtype": str} | changes).iloc[
            :, 0
        ]

    for number, column in frame.items():
        if has_commas and number not in kept and frame_cells.is_text(column):
            frame[number] = frame_cells.with_points(column)
        elif frame_cells.may_lack_digits(column):
            again = texts_of(number)
            if frame_cells.are_digits(again):
                frame[number] = again
    names = list(layout.names)
    notice = None
    skipped = int(layout.may_have_index and _counts_rows(frame[0]))
    if skipped:
        notice = (
            "its first column, which has no name, is taken for the rows' index, as pandas writes "
            "it, and left out: give it a name if it is a feature"
        )
    has_header = layout.header_lines > 0
    label = None if wishes.labels is None else wishes.labels(tuple(names[skipped:]), has_header)
    written = None
    if label is not None and names.count(label) == 1:
        number = names.index(label)
        if number not in kept:
            frame[number] = frame_cells.as_numbers(frame[number])
        labels = frame[number]
        if number in kept or labels.map(type).eq(str).any():
            if labels.isna().any():  # else all labels are as they were written
                frame[number] = texts_of(number, keep_default_na=False, na_values=[""])
        elif frame_cells.may_be_labels(labels):
            written = frame_cells.as_written(texts_of(number), labels)
    frame = frame.iloc[:, skipped:]
    doubts = []
    if wishes.doubts:
        for number, column in frame.items():
            doubt = None if number in kept else frame_cells.doubt_of(column, has_commas)
            if doubt is not None:
                line = _line_of(file, layout, doubt.row)
                doubts.append(doubt._replace(column=names[number], line=line))
    frame.columns = names[skipped:]
    return Frame(frame, has_header, notice, written, tuple(doubts))


def _line_of(file: BinaryIO, layout: Layout, row: int) -> int:
    """The line of a file on which a row ends, counted from 1."""
    file.seek(0)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    reader = csv.reader(text, delimiter=layout.delimiter, skipinitialspace=True)
    rows = (r for r in reader if reader.line_num > layout.header_lines and r not in ([], [""]))
    next(islice(rows, row, None), None)
    line = reader.line_num
    text.detach()
    return line


def _read_parquet(name: str, file: BinaryIO, size: int, header: bool | None) -> Frame:
    import pandas as pd

    if header is not None:
        raise FileError(f"{name} is a Parquet file, whose columns have names: leave header out.")
    try:
        _check_parquet(name, file, size)
        from pyarrow import parquet, types

        frame = pd.read_parquet(file)
    except ImportError:
        raise ImportError(
            "Parquet files are read by pyarrow: pip install 'chainrule[tables]'"
        ) from None
    has_names = any(label is not None for label in frame.index.names)
    for label in frame.columns:  # of whole numbers and gaps pandas makes floats
        column = frame[label]
        if column.ndim == 1 and frame_cells.may_lack_digits(column):
            file.seek(0)
            again = parquet.read_table(file, columns=[label]).column(label)
            if types.is_integer(again.type):
                frame[label] = again.to_pandas(integer_object_nulls=True).to_numpy()
    frame = frame.reset_index(drop=not has_names)  # an index with a name is a column
    frame.columns = [str(label) for label in frame.columns]
    return Frame(frame, True, None)


def _check_parquet(name: str, file: BinaryIO, size: int) -> None:
    """Raise ValueError where a Parquet file of this size unfolds to more than any data would."""
    from pyarrow import parquet

    told = parquet.read_metadata(file)
    columns = [told.schema.column(i) for i in range(told.num_columns)]
    _check_names(name, [c.path for c in columns])
    lists = [c.path for c in columns if c.max_repetition_level]
    if lists:
        names = told.schema.to_arrow_schema().names
        label = next((n for n in names if lists[0].startswith(f"{n}.")), lists[0])
        raise FileError(
            f"{name}: column {label!r:.80} holds lists. Give numbers, booleans, text or dates, or "
            "drop the column."
        )
    # The values are not counted by the columns' metadata: Arrow aborts where these are damaged.
    rows = sum(told.row_group(i).num_rows for i in range(told.num_row_groups))
    expanded = rows * sum(max(8, c.length) for c in columns)
    _check_size(expanded, size)
    for column in columns:
        if column.physical_type == "BYTE_ARRAY":
            for length in _lengths_of_text(file, told, column.path):
                expanded += length
                _check_size(expanded, size)
    file.seek(0)


def _check_size(expanded: int, size: int) -> None:
    remedy = "write it with use_dictionary=False and compression=None"
    check_expansion(expanded, size, free=_FREE, remedy=remedy)


def _lengths_of_text(file: BinaryIO, told: Any, column: str) -> Iterator[int]:
    """The bytes of a column of text, part by part."""
    from pyarrow.parquet import ParquetFile

    try:  # each value once, as most files store it
        stored = ParquetFile(file, metadata=told, read_dictionary=[column]).read(columns=[column])
    except OSError:  # delta encodings, of which Arrow makes no dictionary
        for batch in ParquetFile(file, metadata=told).iter_batches(_FEW_ROWS, columns=[column]):
            yield batch.nbytes
    else:
        for values in stored.columns:
            yield from map(_length_of, values.chunks)


def _length_of(values: Any) -> int:
    """The bytes of an array of Arrow when each value is written down."""
    from pyarrow import compute, types

    if types.is_struct(values.type):
        return sum(map(_length_of, values.flatten()))
    if not types.is_dictionary(values.type):
        return int(values.nbytes)
    lengths = compute.binary_length(values.dictionary)
    return compute.sum(compute.take(lengths, values.indices)).as_py() or 0


def _check_lengths(name: str, file: BinaryIO, layout: Layout) -> None:
    """Raise FileError for a row that has fewer or more cells than the first line.

    pandas fills the rest of a short row with missing values, as if it had been written down so.
    """
    width = len(layout.names)
    file.seek(0)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    reader = csv.reader(text, delimiter=layout.delimiter, skipinitialspace=True)
    for cells in reader:
        if len(cells) != width and any(map(str.strip, cells)):
            raise FileError(
                f"{name}, line {reader.line_num}: expected {width} cells as in the first line, "
                f"found {len(cells)}. Give every row the same columns."
            )
    text.detach()


def _counts_rows(column: Any) -> bool:
    return bool(column.dtype.kind in "iu")
