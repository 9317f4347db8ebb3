"""Training data from a user's own files: tables of numbers (CSV) and NumPy archives (npz)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from chainrule import checks
from chainrule.data.arrays import as_arrays, check_finite, check_same_rows
from chainrule.data.npz import names_of, read_archive
from chainrule.data.text_tables import check_has_features, check_names, read_text_table
from chainrule.errors import FileError


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


def read_table(
    path: str | os.PathLike[str],
    target: str | int | None = None,
    *,
    header: bool | None = None,
) -> Table:
    """Read a table of numbers and separate the target column from the features.

    Args:
        path: a CSV file, as ``read_columns`` takes it.
        target: the target column: its name, its index (from 0; negative from the end), or None
            for the last one.
        header: as in ``read_columns``.

    Returns:
        A ``Table``: x, y, the names of the features and of the target.

    Raises:
        FileNotFoundError, FileError: as ``read_columns``.
        TypeError: for a target that is neither text nor a whole number.
        ValueError: if the target column does not exist or is the only one.

    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "houses.csv"
    >>> _ = path.write_text("rooms,price,age\\n3,100,10\\n5,250,2\\n")
    >>> table = read_table(path, target="price")
    >>> table.names, table.x.shape, table.y
    (('rooms', 'age'), (2, 2), array([100., 250.]))
    """
    names, values = read_columns(path, header=header)
    check_has_features(os.fspath(path), names)
    index = find_column(path, names, target)
    return Table(
        x=np.delete(values, index, axis=1),
        y=values[:, index].copy(),
        names=names[:index] + names[index + 1 :],
        target=names[index],
    )


def read_columns(
    path: str | os.PathLike[str], *, header: bool | None = None
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Read all the columns of a table of numbers.

    A first column that has no name, or ``Unnamed: 0``, and holds whole numbers is the rows' index
    as pandas writes it: it is left out.

    Args:
        path: a UTF-8 text file, gzipped or not, with columns separated by commas, semicolons,
            tabs or bars. Numbers are written in the digits 0 to 9 with a decimal point, as 12,
            -0.5, 1e-3.
        header: whether the first line holds the names of the columns. By default it does if there
            is any text in it, or if it counts the columns (``0,1,2,3``) over rows that have
            decimal points.

    Returns:
        The names of the columns (``x0, x1, ...`` without a header) and the values, float64,
        shape (rows, columns).

    Raises:
        FileNotFoundError: no such file.
        FileError: no text, or damaged; no rows; a row with a wrong number of cells; a cell that is
            empty or not a finite number. The message names the first such line (from 1) and column.
            A first line that may be a header or a row: ``0,1,2`` over whole numbers, or one that
            mixes text and decimal numbers.

    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "points.csv"
    >>> _ = path.write_text("1;2\\n3;4\\n")
    >>> read_columns(path)
    (('x0', 'x1'), array([[1., 2.],
           [3., 4.]]))
    """
    table = read_text_table(path, header=header)
    return table.names, table.values


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
    >>> from pathlib import Path
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
                f"{', '.join(names_of(path)):.400}. Write it with np.savez(path, x=..., y=...)."
            )
    if ("x_test" in found) != ("y_test" in found):
        raise FileError(f"{path} has only one of x_test and y_test. Write both or neither.")
    try:
        arrays = {name: _numbers(array, f"{path}: {name}") for name, array in found.items()}
    except (TypeError, ValueError) as error:
        raise FileError(f"{error}") from error
    try:
        check_same_rows(x=arrays["x"], y=arrays["y"])
        if "x_test" in arrays:
            check_same_rows(x_test=arrays["x_test"], y_test=arrays["y_test"])
    except ValueError as error:
        raise FileError(f"{path}: {error}") from error
    return NpzArrays(arrays["x"], arrays["y"], arrays.get("x_test"), arrays.get("y_test"))


def _numbers(array: NDArray[Any], name: str) -> NDArray[Any]:
    numbers = cast("NDArray[Any]", as_arrays(array, name))
    check_finite(numbers, name)
    return numbers


def find_column(
    path: str | os.PathLike[str], names: Sequence[str], target: str | int | None
) -> int:
    """The index of a column, given by its name or its index; by default the last.

    Raises:
        TypeError: for what is neither text nor a whole number.
        ValueError: if there is no such column.
        FileError: if two columns have the name.
    """
    if target is None:
        return len(names) - 1
    if not isinstance(target, str):
        target = checks.integer("target", target)
        if not -len(names) <= target < len(names):
            raise ValueError(
                f"{path} has no column of index {target}: it has {len(names)} columns. "
                f"Use 0 to {len(names) - 1}, or negative from the end."
            )
        return target % len(names)
    if target not in names:
        from difflib import get_close_matches  # only where a name is wrong

        near = "".join(f" Did you mean {name!r}?" for name in get_close_matches(target, names, 1))
        raise ValueError(
            f"{path} has no column {target!r:.80}.{near} Its columns: {checks.listed(names)}. Name "
            f"one of them, or give the index of one, 0 to {len(names) - 1}."
        )
    check_names(os.fspath(path), names, [target])
    return names.index(target)
