"""Training data from a user's own files: tables of numbers (CSV) and NumPy archives (npz)."""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO, cast

import numpy as np
from numpy.typing import NDArray

from chainrule.data.arrays import as_arrays, check_finite, check_same_rows
from chainrule.data.npz import names_of, read_archive
from chainrule.errors import FileError
from chainrule.system.reading import check_gzip, reading


class Table(NamedTuple):
    """The features and the target of a table.

    Attributes:
        x: features, float64, shape (rows, features).
        y: target, float64, shape (rows,).
        names: the names of the features.
        target: the name of the target.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    names: tuple[str, ...]
    target: str


class NpzArrays(NamedTuple):
    """The arrays of an npz file.

    Attributes:
        x, y: the training data, first dimension = rows.
        x_test, y_test: the test data, or None where the file has none.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    x_test: NDArray[Any] | None
    y_test: NDArray[Any] | None


def read_table(path: str | os.PathLike[str], target: str | int | None = None) -> Table:
    """Read a table of numbers and separate the target column from the features.

    Args:
        path: a CSV file, as ``read_columns`` takes it.
        target: the target column: its name, its index (from 0; negative from the end), or None
            for the last one.

    Returns:
        A ``Table``: x, y, the names of the features and of the target.

    Raises:
        FileNotFoundError, FileError: as ``read_columns``.
        ValueError: if the target column does not exist or is the only one.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "houses.csv"
    >>> _ = path.write_text("rooms,price,age\\n3,100,10\\n5,250,2\\n")
    >>> table = read_table(path, target="price")
    >>> table.names, table.x.shape, table.y
    (('rooms', 'age'), (2, 2), array([100., 250.]))
    """
    names, values = read_columns(path)
    if len(names) < 2:
        raise ValueError(
            f"{path} has the one column {names[0]!r}, but a target and at least one feature are "
            "needed. Separate columns by a comma, a semicolon or a tab."
        )
    index = _column_index(path, names, target)
    return Table(
        x=np.delete(values, index, axis=1),
        y=values[:, index].copy(),
        names=names[:index] + names[index + 1 :],
        target=names[index],
    )


def read_columns(path: str | os.PathLike[str]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Read all the columns of a table of numbers.

    Args:
        path: a UTF-8 text file, gzipped or not, with columns separated by commas, semicolons or
            tabs. A first line with any text in it is the header.

    Returns:
        The names of the columns (``x0, x1, ...`` without a header) and the values, float64,
        shape (rows, columns).

    Raises:
        FileNotFoundError: no such file.
        FileError: no text, or damaged; no rows; a row with a wrong number of cells; a cell that is
            empty or not a finite number. The message names the first such line (from 1) and column.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "points.csv"
    >>> _ = path.write_text("1;2\\n3;4\\n")
    >>> read_columns(path)
    (('x0', 'x1'), array([[1., 2.],
           [3., 4.]]))
    """
    with reading(path, "a table", "Give a CSV file, saved as UTF-8.") as file:
        path = Path(path)
        is_zipped = file.read(2) == _GZIP
        file.seek(0)
        if is_zipped:
            check_gzip(file)
        binary = cast("BinaryIO", gzip.GzipFile(fileobj=file) if is_zipped else file)
        with io.TextIOWrapper(binary, encoding="utf-8-sig") as text:
            try:
                layout = _read_layout(path, text)
                values = _load_fast(text, layout)
                if values is None:
                    text.seek(0)
                    values = _load_cell_by_cell(path, text, layout)
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"it is not UTF-8 text ({error.reason} at byte {error.start})"
                ) from error
    return layout.names, values


def read_npz(path: str | os.PathLike[str]) -> NpzArrays:
    """Read ``x`` and ``y``, and ``x_test`` and ``y_test`` if they exist, from an npz file.

    Args:
        path: a file written by ``np.savez`` or ``np.savez_compressed``. Pickled objects in it are
            never loaded; arrays of other names are ignored.

    Returns:
        An ``NpzArrays`` with the dtypes and shapes of the file.

    Raises:
        FileNotFoundError: no such file.
        FileError: not an npz file, a damaged one, or a missing array; an array with values that
            are not finite numbers; or x and y with different numbers of rows.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "data.npz"
    >>> np.savez(path, x=np.zeros((5, 3)), y=np.arange(5))
    >>> read_npz(path).x.shape
    (5, 3)
    """
    found = read_archive(path, NpzArrays._fields)
    for name in ("x", "y"):
        if name not in found:
            raise FileError(
                f"{path} cannot be read as npz: it has no array {name!r}, only "
                f"{', '.join(names_of(path))}. Write it with np.savez(path, x=..., y=...)."
            )
    if ("x_test" in found) != ("y_test" in found):
        raise FileError(f"{path} has only one of x_test and y_test. Write both or neither.")
    try:
        arrays = {name: _numbers(array, f"{path}: {name}") for name, array in found.items()}
        check_same_rows(x=arrays["x"], y=arrays["y"])
        if "x_test" in arrays:
            check_same_rows(x_test=arrays["x_test"], y_test=arrays["y_test"])
    except (TypeError, ValueError) as error:
        raise FileError(f"{error}") from error
    return NpzArrays(arrays["x"], arrays["y"], arrays.get("x_test"), arrays.get("y_test"))


def _numbers(array: NDArray[Any], name: str) -> NDArray[Any]:
    numbers = cast("NDArray[Any]", as_arrays(array, name))
    check_finite(numbers, name)
    return numbers


class _Layout(NamedTuple):
    delimiter: str
    names: tuple[str, ...]
    header_lines: int  # lines to skip before the first row


_GZIP = b"\x1f\x8b"
_MOST_OF_FIRST_ROW = 1 << 22
"""More characters than this in the first row are no names or numbers of columns."""

_MISSING = {"", "?", "na", "n/a", "nan", "null", "none"}
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+,\d+\s*")


def _read_layout(path: Path, file: TextIO) -> _Layout:
    first_line = next((line for line in _short_lines(path, file) if line.strip()), None)
    if first_line is None:
        raise FileError(f"{path} is empty. Give a table with one row per example.")
    unquoted = re.sub(r'"[^"]*"', "", first_line)
    # The comma last: a table with decimal commas has another delimiter.
    delimiter = next((sign for sign in "\t;" if sign in unquoted), ",")
    file.seek(0)
    reader = csv.reader(_short_lines(path, file), delimiter=delimiter)
    cells = next((cells for cells in reader if not _is_blank(cells)), None)
    if cells is None:
        raise FileError(f"{path} is empty but for quotes. Give a table with one row per example.")
    if any(_is_text(cell) for cell in cells):
        names = tuple(cell.strip() or f"x{i}" for i, cell in enumerate(cells))
        return _Layout(delimiter, names, header_lines=reader.line_num)
    return _Layout(delimiter, tuple(f"x{i}" for i in range(len(cells))), header_lines=0)


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


def _load_fast(file: TextIO, layout: _Layout) -> NDArray[np.float64] | None:
    """The values, read by NumPy; None if the table has a fault."""
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
    is_valid = values.shape[1] == len(layout.names) and len(values) and np.isfinite(values).all()
    return values if is_valid else None


def _load_cell_by_cell(path: Path, file: TextIO, layout: _Layout) -> NDArray[np.float64]:
    """The values, read more slowly; the error names the position of the first fault."""
    file.seek(0)
    rows = []
    reader = csv.reader(file, delimiter=layout.delimiter)
    for cells in reader:
        if reader.line_num <= layout.header_lines or _is_blank(cells):
            continue
        if len(cells) != len(layout.names):
            raise FileError(
                f"{path}, line {reader.line_num}: expected {len(layout.names)} cells as in the "
                f"first line, found {len(cells)}. Give every row the same columns."
            )
        rows.append(
            [
                _to_number(cell, f"{path}, line {reader.line_num}, column {name!r:.80}")
                for cell, name in zip(cells, layout.names, strict=True)
            ]
        )
    if not rows:
        raise FileError(f"{path} has a header but no rows. Give at least one row of numbers.")
    return np.array(rows)


def _to_number(cell: str, position: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = np.nan
    if np.isfinite(number):
        return number
    if cell.strip().lower() in _MISSING:
        raise FileError(
            f"{position}: the value is missing ({cell!r:.80}). Fill it, or drop the row or the "
            "column."
        )
    if np.isinf(number):
        raise FileError(f"{position}: {cell!r:.80} is not finite. Fill it, or drop the row.")
    if _DECIMAL_COMMA.fullmatch(cell):
        raise FileError(
            f"{position}: {cell!r:.80} has a decimal comma. Write numbers with a point."
        )
    raise FileError(
        f"{position}: {cell!r:.80} is not a number. Tables that mix numbers and text are not "
        "supported yet: drop the column, or encode it as numbers."
    )


def _is_text(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip().lower() not in _MISSING and not _DECIMAL_COMMA.fullmatch(cell)
    return False


def _is_blank(cells: list[str]) -> bool:
    return len(cells) == 0 or (len(cells) == 1 and not cells[0].strip())


def _column_index(
    path: str | os.PathLike[str], names: tuple[str, ...], target: str | int | None
) -> int:
    if target is None:
        return len(names) - 1
    if isinstance(target, str):
        if names.count(target) != 1:
            raise ValueError(
                f"{path} has {names.count(target)} columns named {target!r}. Its columns: "
                f"{', '.join(names)}. Name one of them, or give the index of one, from 0."
            )
        return names.index(target)
    if not -len(names) <= target < len(names):
        raise ValueError(
            f"{path} has no column of index {target}: it has {len(names)} columns. "
            f"Use 0 to {len(names) - 1}, or negative from the end."
        )
    return target % len(names)
