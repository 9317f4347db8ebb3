"""Tables as they come: frames of pandas, polars and pyarrow, and arrays, column by column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule.dtypes import mask_of
from chainrule.system.reading import reason
from chainrule.tables import (
    as_frame,
    as_series,
    check_distinct,
    is_pandas,
    is_series,
    is_table,
    is_wide,
    names_of_labels,
)
from chainrule.tabular import cells
from chainrule.tabular.cells import Cells, Wanted


class Table(NamedTuple):
    """A table whose columns are read when they are asked for.

    Attributes:
        names: the names of the columns; None where they have none.
        width: the number of columns.
        rows: the number of rows.
        column: number, place, how to read it -> its `Cells`; the place is for error messages,
            and None decides by the values how to read it.
        numbered: whether the labels of a frame are whole numbers, as pandas gives to an array:
            "x0" is the name of column 0 then.
        labels: the columns' own labels in a frame or a dict, which may be numbers or tuples; None
            of an array.
    """

    names: tuple[str, ...] | None
    width: int
    rows: int
    column: Callable[[int, str, Wanted | None], Cells]
    numbered: bool = False
    labels: Sequence[Any] | None = None


def read(table: Any, name: str = "x") -> Table:
    """A table of any of the libraries, a dict of columns, or an array of shape (rows, columns).

    Raises:
        TypeError: for anything else.
        ValueError: for two columns whose names are the same as text, for rows of different lengths,
            a lazy frame.
    """
    if is_table(table):
        frame = as_frame(table, name)
        labels = frame.columns
        names, numbered = _names(labels, name)
        columns = list(frame.iter_columns())
        return Table(
            names, len(columns), len(frame),
            lambda number, place, wanted: _of_series(columns[number], place, wanted),
            numbered, labels,
        )  # fmt: skip
    if isinstance(table, dict):
        return _of_columns(table, name)
    array = as_array(table, name)
    return Table(
        None, array.shape[1], len(array),
        lambda number, place, wanted: cells.of_array(array[:, number], place, wanted),
    )  # fmt: skip


def _names(labels: Sequence[Any], name: str) -> tuple[tuple[str, ...], bool]:
    """The names of columns by their labels, and whether these are whole numbers, as pandas gives to
    an array: x0, x1.
    """
    names = names_of_labels(labels)
    if names is None:
        return tuple(f"x{label}" for label in labels), True
    check_distinct(names, name)
    return names, False


def read_targets(y: Any, wanted: Wanted | None = None) -> tuple[list[Cells], bool]:
    """The columns of targets, and whether they are a vector.

    Args:
        y: a series, a frame, or an array of shape (rows,) or (rows, columns).
        wanted: how to read them; None to decide by their values.
    """
    if is_series(y):
        return [_of_series(as_series(y, "y"), "y", wanted)], True
    if is_table(y):
        table = read(y, "y")
        return [table.column(number, "y", wanted) for number in range(table.width)], False
    check_dense(y, "y")
    array = _rectangular(y, "y")
    if isinstance(y, Sequence) and array.dtype.kind in "USO":
        array = np.array(y, dtype=object)
    if array.dtype.kind == "c":
        raise ValueError("y: Complex data not supported. Give the real and imaginary parts.")
    if array.ndim not in (1, 2):
        raise ValueError(f"y has shape {array.shape}; give one target for each row")
    columns = array.T if array.ndim == 2 else [array]
    return [cells.of_array(column, "y", wanted) for column in columns], array.ndim == 1


def array_of_numbers(table: Any, names: tuple[str, ...] | None) -> Any:
    """A table of floats or integers alone as one array; None where its columns must be looked at.

    Args:
        table: as of `read`.
        names: those of the columns that it has, in this order, if it has any.
    """
    if table.__class__ is np.ndarray:
        array = table
    elif isinstance(table, (list, tuple)):
        array = as_array(table, "x")
    elif names is not None and is_pandas(table) and tuple(table.columns) == names:
        array = table.to_numpy()  # of objects where there are others than numbers
    elif names is not None and isinstance(table, dict) and all(name in table for name in names):
        columns = [table[name] for name in names]
        if not all(_are_numbers(column) for column in columns):
            return None
        try:
            array = np.array(columns, np.float64).T
        except (ValueError, OverflowError):  # of other lengths, or too large
            return None
    else:
        return None
    return array if array.dtype.kind in "fiu" and array.ndim == 2 else None


def _are_numbers(column: Any) -> bool:
    if column.__class__ is np.ndarray:
        return column.dtype.kind in "fiu"
    return isinstance(column, (list, tuple)) and cells.PLAIN.issuperset(map(type, column))


def rows_in(table: Any) -> int:
    """How many rows a table has; 0 of what is none, which `read` refuses."""
    if isinstance(table, dict):
        table = next(iter(table.values()), ())
    try:
        return len(table)
    except TypeError:
        return 0


def rows_of(table: Any, rows: slice | NDArray[np.int64]) -> Any:
    """Some rows of a table: a slice of them, or of frames and arrays those of these numbers."""
    if isinstance(table, dict):
        columns = (c if isinstance(c, (list, tuple)) else _column(c) for c in table.values())
        return {name: column[rows] for name, column in zip(table, columns, strict=True)}
    if is_table(table):
        return as_frame(table, "x")[rows].to_native()
    return table[rows]


def _of_columns(table: dict[Any, Any], name: str) -> Table:
    """A dict of columns: arrays, series, or lists of numbers, text and None, of the same length."""
    labels = list(table)
    names, numbered = _names(labels, name)
    columns = [_column(column) for column in table.values()]
    for label, column in zip(names, columns, strict=True):
        if not column.shape:
            raise ValueError(
                f"{name}: the columns of a dict are vectors, and {label!r:.80} is one value. For "
                "one row give lists of one value each"
            )
        if column.shape != columns[0].shape or len(column.shape) != 1:
            raise ValueError(
                f"{name}: the columns of a dict are vectors of the same length; {names[0]!r:.80} "
                f"has shape {columns[0].shape}, {label!r:.80} has {column.shape}"
            )

    def cells_of(number: int, place: str, wanted: Wanted | None) -> Cells:
        cells_in = _of_series if is_series(columns[number]) else cells.of_array
        return cells_in(columns[number], place, wanted)

    rows = len(columns[0]) if columns else 0
    return Table(names, len(names), rows, cells_of, numbered, labels)


def _column(given: Any) -> Any:
    """A column of a dict as an array, or as a series of narwhals, which keeps its type."""
    if isinstance(given, (list, tuple)):
        return np.array(given, dtype=object)
    if type(given).__module__.partition(".")[0] == "pandas":
        import pandas as pd

        is_plain = isinstance(given, (pd.Index, pd.api.extensions.ExtensionArray))
        if is_plain and not isinstance(given, pd.MultiIndex):
            given = pd.Series(given)
    return as_series(given, "x") if is_series(given) else unmasked(given)


def as_array(table: Any, name: str) -> Any:
    """A table that is no frame as an array of shape (rows, columns).

    Raises:
        TypeError, ValueError: as `read`.
    """
    check_dense(table, name)
    if isinstance(table, (str, bytes, dict)) or not (
        isinstance(table, Sequence) or hasattr(table, "__array__")
    ):
        raise TypeError(
            f"{name} is a frame of pandas, polars or pyarrow, or an array of shape (rows, "
            f"columns); got {type(table).__name__}"
        )
    if isinstance(table, Sequence) and isinstance(next(iter(table), None), Mapping):
        raise TypeError(
            f"{name} is a list of dicts; a table is a frame, as pandas.DataFrame({name}) makes "
            "one, or a list of lists, one for each row"
        )
    array = _rectangular(table, name)
    if array.dtype.names is not None:
        raise TypeError(f"{name} is a structured array: give a frame, as pandas.DataFrame({name})")
    if (
        isinstance(table, Sequence)
        and array.ndim == 2
        and (array.dtype.kind in "USOm" or (array.dtype.kind == "f" and _has_large(array)))
    ):
        array = np.array([list(row) for row in table], dtype=object)  # numbers stay numbers
    if array.dtype.kind == "c":
        raise ValueError(f"{name}: Complex data not supported. Give the real and imaginary parts.")
    if array.ndim != 2:
        raise ValueError(
            f"{name} has shape {array.shape}; a table has shape (rows, columns). Reshape your "
            "data: one column is x.reshape(-1, 1), one row is x.reshape(1, -1)"
        )
    return array


def check_dense(data: Any, name: str) -> None:
    """Raise TypeError for a sparse matrix."""
    if hasattr(data, "toarray") and hasattr(data, "nnz"):
        raise TypeError(
            f"{name} is a sparse matrix, and a dense array is needed: give {name}.toarray()"
        )


def is_dictionary(values: Any) -> bool:
    """Whether values are a dictionary of pyarrow, in whose gaps NumPy may see its last value."""
    return hasattr(getattr(values, "type", None), "index_type")


def unmasked(values: Any) -> Any:
    """Values as an array; what a masked array hides is missing, and so is a gap of a dictionary."""
    if is_dictionary(values):
        values = values.cast(values.type.value_type)
    array = np.asarray(values)
    mask = mask_of(values)
    if mask is None:
        return array
    if array.dtype.kind in "fmM":
        missing = np.nan if array.dtype.kind == "f" else "NaT"
        return np.where(mask, np.array(missing, array.dtype), array)
    objects = array.astype(object)
    objects[mask] = None
    return objects


def _rectangular(data: Any, name: str) -> Any:
    """Data that are no frame as an array; what a masked array hides is missing."""
    try:
        return unmasked(data)
    except ValueError as error:
        raise ValueError(
            f"{name} is no table: {reason(error)}. Give each row one value for each column"
        ) from None


def _has_large(array: Any) -> bool:
    """Whether numbers are so large that whole ones may have lost digits."""
    return bool((np.abs(array) >= cells.EXACT).any())


def _of_series(series: Any, place: str, wanted: Wanted | None) -> Cells:
    """The cells of a column of a frame, a series of narwhals."""
    import narwhals.stable.v2 as nw

    native = series.to_native()
    if isinstance(getattr(native, "dtype", None), np.dtype) and native.dtype.kind in "iuf":
        return cells.of_array(native.to_numpy(), place, wanted)
    if hasattr(getattr(native, "dtype", None), "pyarrow_dtype"):
        series = _of_arrow(native)
    dtype = series.dtype
    if is_wide(dtype):
        return cells.of_objects(series.to_list(), place, wanted)
    if dtype.is_integer() or dtype.is_float():
        values = series.to_numpy()
        if values.dtype.kind in "iuf" and dtype.is_integer() == (values.dtype.kind != "f"):
            return cells.of_array(values, place, wanted)  # of floats a missing one is NaN
    missing = series.is_null()
    if dtype.is_integer():
        if wanted is not None or cells.has_large(series.drop_nulls().to_numpy()):
            return cells.of_objects(series.to_list(), place, wanted)
        return cells.of_array(_floats(series), place)._replace(is_whole=True)
    if dtype.is_float() or dtype == nw.Decimal:
        values = _floats(series)
        if dtype == nw.Decimal and (wanted not in cells.QUANTITIES or _has_large(values)):
            # Whole ones are integers, and pyarrow rounds others: 1.38 becomes 1.3800000000000001.
            return cells.of_objects(series.to_list(), place, wanted)
        return cells.of_array(values, place, wanted)
    if isinstance(dtype, nw.Datetime) and dtype.time_zone is not None:
        series = series.dt.replace_time_zone(None)  # as the clock shows it
    if dtype in (nw.Date, nw.Datetime, nw.Duration):
        kind = "timedelta64[us]" if dtype == nw.Duration else "datetime64[us]"
        return cells.of_array(np.asarray(series.to_numpy()).astype(kind), place, wanted)
    if dtype == nw.Boolean and not missing.any():
        return cells.of_array(np.asarray(series.to_numpy()).astype(bool), place, wanted)
    if dtype not in (nw.Categorical, nw.Enum):
        return cells.of_objects(series.to_list(), place, wanted)
    array = unmasked(series.to_native())
    values = list(array) if array.dtype in cells.NARROW else series.to_list()
    if wanted is None:  # numbers are meant as categories
        return cells.of_objects(values, place, "text")._replace(was="categories")
    return cells.of_objects(values, place, wanted)


def _of_arrow(native: Any) -> Any:
    """A column of pandas that Arrow holds, as pyarrow's own.

    pandas before 3 gives its times without a time zone in UTC, not as the clock shows them.
    """
    import narwhals.stable.v2 as nw
    import pyarrow as pa

    return nw.from_native(pa.table([native.array], names=[""])[0], series_only=True)


def _floats(series: Any) -> Any:
    import narwhals.stable.v2 as nw

    values = np.array(series.cast(nw.Float64).to_numpy(), np.float64)
    values[series.is_null().to_numpy().astype(bool)] = np.nan
    return values
