"""Text tables as frames: pandas reads the cells, and what it mistakes is mended."""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from chainrule.data import frame_cells
from chainrule.data.frame_cells import Doubt
from chainrule.data.frame_types import Frame, Wishes
from chainrule.data.text_tables import INDEX_LEFT_OUT, read_layout, uneven
from chainrule.errors import FileError

_SAMPLE = 1 << 16
_PART = 1 << 18
_LINE_END = re.compile("\r\n?|\n")
_GAPS_ALONE: dict[str, Any] = {"keep_default_na": False, "na_values": [""]}
"""Options of pandas by which words such as NA are text."""

_MISSING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
"""What pandas takes for missing by default, as columns beside one with other rules need it."""


def read_text(name: str, file: BinaryIO, wishes: Wishes, *, is_plain: bool) -> Frame:
    """Read a table of text.

    Args:
        name: of the file.
        file: UTF-8.
        is_plain: whether the file of this name is what `file` reads.
    """
    table = _TextTable(name, file, wishes, is_plain)
    layout = table.layout
    kept = [] if wishes.text is None else list(wishes.text(layout))
    labels = {_label(table, wishes, skipped) for skipped in {0, int(layout.may_have_index)}}
    first = {n: table.first_cells(n) for n in labels if n is not None}
    as_text = [n for n in first if not any(map(frame_cells.has_fraction, first[n]))]
    # Numbers, True and False as objects keep their texts; as str pandas reads them more slowly.
    objects = [n for n in as_text if n not in kept and not frame_cells.hold_text(first[n])]
    frame = table.read(dict.fromkeys(kept, str) | dict.fromkeys(objects, object), as_text)
    by_text = {number: _Distinct(table, frame[number], number in kept) for number in as_text}
    for number, column in frame.items():
        if number in by_text:
            found = by_text[number].spread(by_text[number].values)
        else:
            found = table.mended(column, number in kept, partial(table.texts_of, number))
        if found is not column:
            frame[number] = found
    if frame.iloc[:, -1].isna().any() and not table.has_full_rows(len(frame)):
        table.check_lengths()
    skipped = int(layout.may_have_index and frame[0].dtype.kind in "iu")
    notice = INDEX_LEFT_OUT if skipped else None
    label = _label(table, wishes, skipped)
    written = None
    if label in by_text:
        distinct = by_text[label]
        values = _labels(distinct.values, label in kept, distinct.texts_of)
        frame[label] = distinct.spread(values)
        texts = frame_cells.as_written(distinct.texts, values)
        written = None if texts is None else distinct.spread(texts)
    elif label is not None:
        frame[label] = _labels(frame[label], label in kept, partial(table.texts_of, label))
    frame = frame.iloc[:, skipped:]
    doubts = table.doubts(frame.drop(columns=kept, errors="ignore")) if wishes.doubts else ()
    frame.columns = list(layout.names[skipped:])
    return Frame(frame, layout.header_lines > 0, notice, written, tuple(doubts))


class _Distinct:
    """A column by the texts that it holds, each once.

    Attributes:
        texts: a series of them; a gap is NaN.
        values: what pandas makes of them, mended.
    """

    def __init__(self, table: _TextTable, column: Any, is_kept: bool) -> None:
        import pandas as pd

        self._table, self._column = table, column
        self._codes, texts = pd.factorize(column)
        gap = [np.nan] if (self._codes < 0).any() else []  # its code, -1, takes the last text
        self.texts = pd.Series([*texts, *gap], dtype=column.dtype)
        values = self.texts_of() if is_kept else table.parsed(self.texts)
        self.values = table.mended(values, is_kept, self.texts_of)

    def texts_of(self, **options: Any) -> Any:
        """The texts as pandas takes them by these options."""
        return self._table.parsed(self.texts, dtype=str, **options)

    def spread(self, values: Any) -> Any:
        """A column of the values of the texts."""
        import pandas as pd

        if values.equals(self.texts):
            return self._column
        return pd.Series(values.array.take(self._codes))


def _labels(column: Any, is_kept: bool, texts_of: Callable[..., Any]) -> Any:
    """Labels where words such as none and NA, which pandas takes for missing values, are text.

    Args:
        column: the labels as pandas takes them.
        is_kept: whether they are text whatever they look like.
        texts_of: gives their texts, by options of pandas.
    """
    labels = column if is_kept else frame_cells.as_numbers(column)
    if labels.isna().any() and (is_kept or frame_cells.holds_text(labels)):
        return texts_of(**_GAPS_ALONE)
    return labels


def _label(table: _TextTable, wishes: Wishes, skipped: int) -> int | None:
    """The number of the column of labels, where the first `skipped` columns are left out."""
    names = table.layout.names
    if wishes.labels is None:
        return None
    label = wishes.labels(names[skipped:], table.layout.header_lines > 0)
    return names.index(label) if label is not None and names.count(label) == 1 else None


class _TextTable:
    """A table in a text file. In its frames 0, 1, ... name the columns.

    Attributes:
        layout: the table's form.
        has_commas: whether numbers have decimal commas.
    """

    def __init__(self, name: str, file: BinaryIO, wishes: Wishes, is_plain: bool) -> None:
        self._name, self._file = name, file
        with self._opened() as text:
            self.layout = read_layout(Path(name), text, wishes.header, wishes.known, wishes.widths)
            text.seek(0)
            sample = text.read(_SAMPLE)
            text.seek(0)
            above = sum(len(text.readline()) for _ in range(self.layout.records_before))
            ends_by_returns = text.readline().endswith("\r")
        delimiter = self.layout.delimiter
        lines = _LINE_END.split(sample)
        # The last line of a part may be cut off in a number.
        self._lines = lines[:-1] if len(sample) == _SAMPLE or not lines[-1] else lines
        self.has_commas = frame_cells.has_decimal_commas(self._lines, delimiter)
        # pandas reads a file that it opens itself in half the time.
        self._source: Any = Path(name).absolute() if is_plain else file
        if ends_by_returns:
            self._source = self._with_line_feeds()
        elif above:  # empty records, which pandas takes for rows where they are quotes
            file.seek(0)
            self._source = io.BytesIO(file.read().removeprefix(codecs.BOM_UTF8)[above:])
        self._numbers = {"decimal": "," if self.has_commas else "."}
        self._options: dict[str, Any] = self._numbers | {
            "sep": delimiter,
            "header": 0 if self.layout.header_lines else None,  # which may go over several lines
            "names": list(range(len(self.layout.names))),
            "skipinitialspace": f"{delimiter} " in sample,
            "index_col": False,
            "compression": None,
        }

    @contextmanager
    def _opened(self) -> Iterator[io.TextIOWrapper]:
        self._file.seek(0)
        text = io.TextIOWrapper(self._file, encoding="utf-8-sig", newline="")
        yield text
        text.detach()

    def _with_line_feeds(self) -> io.StringIO:
        """The records of a table whose lines end with carriage returns alone, without empty ones.

        Below an empty line of such a file pandas leaves out an empty first cell.
        """
        delimiter, is_wide = self.layout.delimiter, len(self.layout.names) > 1
        source = io.StringIO()
        writer = csv.writer(source, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
        with self._opened() as text:
            reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True)
            rows = islice(reader, self.layout.records_before, None)
            writer.writerows(row for row in rows if row and not (is_wide and row == [""]))
        return source

    def read(self, dtypes: dict[int, type], labels: Collection[int]) -> Any:
        """The table.

        Args:
            dtypes: what is given of the columns' dtypes.
            labels: columns in which words such as NA are text.
        """
        import pandas as pd

        options: dict[str, Any] = {"dtype": dtypes}
        if labels:
            missing = {n: [""] if n in labels else _MISSING for n in self._options["names"]}
            options |= _GAPS_ALONE | {"na_values": missing}
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # cells would be lost
            warnings.simplefilter("error", pd.errors.DtypeWarning)
            try:
                try:
                    table = self._read(**options)
                except pd.errors.DtypeWarning:  # numbers in a part of the rows, text in another
                    table = self._read(**options, low_memory=False)
            except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
                last = self.check_lengths()
                if "EOF inside string" in str(error):
                    raise FileError(
                        f"{self._name}, line {last}: a quote is opened and not closed. Close it; "
                        'a cell that holds a quote is written as "2"" pipe".'
                    ) from None
                raise
            except pd.errors.EmptyDataError:
                return pd.DataFrame(columns=range(len(self.layout.names)))
        for number in {*table} - {*dtypes}:
            column = table[number]
            if (found := _without_empty(column)) is not column:
                table[number] = found
        return table

    def mended(self, column: Any, is_kept: bool, texts_of: Callable[[], Any]) -> Any:
        """A column with numbers whose commas or digits pandas does not take.

        Args:
            column: as pandas takes it.
            is_kept: whether it is text whatever it looks like.
            texts_of: gives its texts.
        """
        if self.has_commas and not is_kept and frame_cells.is_text(column):
            return frame_cells.with_points(column)
        if frame_cells.may_lack_digits(column) and frame_cells.are_digits(texts := texts_of()):
            return texts
        return column

    def texts_of(self, number: int, **options: Any) -> Any:
        """A column again, as text."""
        return self._read(usecols=[number], dtype=str, **options).iloc[:, 0]

    def _read(self, **options: Any) -> Any:
        import pandas as pd

        if not isinstance(self._source, Path):
            self._source.seek(0)
        return pd.read_csv(self._source, **self._options, **options)

    def parsed(self, texts: Any, **options: Any) -> Any:
        """What pandas makes of these texts, those of a column."""
        import pandas as pd

        lines = '"\n"'.join(text.replace('"', '""') for text in texts.fillna(""))
        values = pd.read_csv(
            io.StringIO(f'"{lines}"'),
            header=None,
            skip_blank_lines=False,
            low_memory=False,
            **self._numbers,
            **options,
        )[0]
        return _without_empty(values)

    def first_cells(self, number: int) -> set[str]:
        """The cells in a column's first rows; none where one of a row has a great length."""
        before = self.layout.records_before + (self.layout.header_lines > 0)
        reader = csv.reader(self._lines, delimiter=self.layout.delimiter, skipinitialspace=True)
        try:
            rows = list(islice(reader, before, None))
        except csv.Error:
            return set()
        cells = {row[number] for row in rows if number < len(row)}
        return {cell.replace(",", ".") for cell in cells} if self.has_commas else cells

    def has_full_rows(self, rows: int) -> bool:
        """Whether the file has delimiters enough for all cells of its rows.

        pandas refuses rows that are longer than the first, so where that one has the right
        length none makes up for a shorter one. False where that can't be told from the
        delimiters alone: quotes may hold some, and pandas may leave out a line that ends with
        a carriage return alone.
        """
        header = int(self.layout.header_lines > 0)
        expected = len(self.layout.names) - 1
        first = [line for line in self._lines if line.strip()][header : header + 1]
        if [line.count(self.layout.delimiter) for line in first] != [expected]:
            return False
        delimiter, found = ord(self.layout.delimiter), 0
        self._file.seek(0)
        while part := self._file.read(_PART):
            # The search is ten times as fast as the counts, which few files need.
            if b'"' in part or (b"\r" in part and part.count(b"\r") != part.count(b"\r\n")):
                return False
            found += int(np.count_nonzero(np.frombuffer(part, np.uint8) == delimiter))
        return found == (header + rows) * expected

    def check_lengths(self) -> int:
        """The line on which the last row begins, where all have as many cells as the first line.

        pandas fills the rest of a short row with missing values, as if it had been written so.

        Raises:
            FileError: for a row that has fewer or more cells.
        """
        width = len(self.layout.names)
        with self._opened() as text:
            reader = csv.reader(text, delimiter=self.layout.delimiter, skipinitialspace=True)
            begin = end = 0
            for cells in reader:
                begin, end = end + 1, reader.line_num
                if len(cells) != width and any(map(str.strip, cells)):
                    place = f"{self._name}, line {end}"
                    if begin < end:
                        place += f", in one row with line {begin} by its quotes"
                    raise FileError(uneven(place, self.layout.names, len(cells)))
        return begin

    def doubts(self, columns: Any) -> Iterator[Doubt]:
        """The doubts about columns that seem to be numbers."""
        for number, column in columns.items():
            doubt = frame_cells.doubt_of(column, self.has_commas)
            if doubt is not None:
                name, line = self.layout.names[number], self._line_of(doubt.row)
                yield doubt._replace(column=name, line=line)

    def _line_of(self, row: int) -> int:
        """The line of the file on which a row ends, counted from 1."""
        header = self.layout.header_lines
        with self._opened() as text:
            reader = csv.reader(text, delimiter=self.layout.delimiter, skipinitialspace=True)
            rows = (r for r in reader if reader.line_num > header and r not in ([], [""]))
            next(islice(rows, row, None), None)
            return reader.line_num


def _without_empty(column: Any) -> Any:
    """A column without empty texts, which pandas leaves beside a number beyond uint64."""
    if frame_cells.is_text(column) and (is_empty := column == "").any():
        return column.mask(is_empty)
    return column
