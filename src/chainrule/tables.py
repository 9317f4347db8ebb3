"""Tables of pandas, polars and pyarrow: their numbers as arrays, and their columns by name.

`to_array` makes an array of a frame or a series. The names of the columns are kept with the model
that was trained on them: `in_order` brings the columns of another table into that order.

narwhals, which understands all of these libraries, is imported where such a table is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainrule import checks
from chainrule.dtypes import NUMBERS

Names: TypeAlias = (
    tuple[str, ...] | tuple["tuple[str, ...] | None", ...] | dict[str, "tuple[str, ...] | None"]
)
"""The names of the columns of one table, of each of a tuple of inputs, or of a dict of them; None
for an input that has none."""

_LIBRARIES = {"pandas", "polars", "pyarrow", "modin", "cudf", "narwhals"}
_FRAMES = {"DataFrame", "Table", "RecordBatch"}
_SERIES = {"Series", "ChunkedArray", "Array"}
_LAZY = {"LazyFrame"}


def is_table(data: Any) -> bool:
    """Whether data is a frame or a series of one of the libraries.

    >>> is_table(np.zeros((3, 2)))
    False
    """
    return _kind(data) is not None


def to_array(data: Any, name: str) -> NDArray[Any]:
    """The numbers of a frame, shape (rows, columns), or of a series, shape (rows,).

    Args:
        data: what `is_table` takes. Its columns hold integers, booleans or floats, of NumPy, Arrow
            or a nullable kind. They get the one dtype in which NumPy joins them.
        name: the name of the data in error messages.

    Raises:
        TypeError: for a column of text, categories, dates or anything else that is no number.
        ValueError: for a missing value, a name that two columns have, or a lazy frame.
    """
    import narwhals.stable.v2 as nw

    table = _through_narwhals(data, name)
    if not isinstance(table, nw.DataFrame):
        _check_numbers(table.dtype, name)
        return _values(table, name, "")
    schema = dict(table.schema)
    places = [f", column {column!r:.80}" for column in schema]
    for dtype, place in zip(schema.values(), places, strict=True):
        _check_numbers(dtype, f"{name}{place}")
    if len(set(schema.values())) == 1 and not _is_foreign(next(iter(schema.values()))):
        values: NDArray[Any] = table.to_numpy()
        if not _may_lack_values(values):
            return values
    arrays = [_values(c, name, p) for c, p in zip(table.iter_columns(), places, strict=True)]
    return np.stack(arrays, axis=1) if arrays else np.empty((len(table), 0))


def as_frame(data: Any, name: str) -> Any:
    """A frame of one of the libraries as narwhals' DataFrame.

    Raises:
        TypeError: for a series.
        ValueError: for a name that two columns have, or a lazy frame.
    """
    if is_series(data):
        raise TypeError(
            f"{name} is a single column, or a row: give a frame that has it, as .to_frame() of a "
            "column, and of a row frame.iloc[[0]] in place of frame.iloc[0]."
        )
    return _through_narwhals(data, name)


def is_pandas(data: Any) -> bool:
    """Whether data is a frame of pandas itself."""
    kind = type(data)
    return kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "pandas"


def is_series(data: Any) -> bool:
    """Whether data is a single column of one of the libraries."""
    return _kind(data) == "series"


def as_series(data: Any, name: str) -> Any:
    """A single column of one of the libraries as narwhals' Series."""
    return _through_narwhals(data, name)


def names_of(x: Any) -> Names | None:
    """The names of the columns of a table, or of each of several inputs; None if there are none.

    Names are text: labels of other types, as tuples, are written as text. A frame whose columns are
    numbered has none.
    """
    if isinstance(x, dict):
        by_key = {key: _names_of_frame(item) for key, item in x.items()}
        return by_key if any(by_key.values()) else None
    if isinstance(x, (tuple, list)):
        found = tuple([_names_of_frame(item) for item in x])
        return found if any(found) else None
    return _names_of_frame(x)


def in_order(x: Any, names: Names | None, name: str = "x") -> Any:
    """The inputs with the columns of every named table in the order of `names`.

    What has no names, such as a plain array, is taken as it is.

    Args:
        x: inputs as a user gives them.
        names: the names of the columns that a model was trained on; None if it has none.
        name: the name of the inputs in error messages.

    Raises:
        ValueError: if a table lacks columns, or has others.
    """
    if names is None:
        return x
    if isinstance(x, dict):
        known = names if isinstance(names, dict) else {}
        return {k: _frame_in_order(v, known.get(k), f"{name}[{k!r}]") for k, v in x.items()}
    if isinstance(x, (tuple, list)):
        if isinstance(names, dict) or len(x) != len(names) or not any(map(_is_frame, x)):
            return x
        pairs = enumerate(zip(x, names, strict=True))
        return tuple([_frame_in_order(item, n, f"{name}[{i}]") for i, (item, n) in pairs])
    return _frame_in_order(x, names, name)


def names_from_json(found: Any) -> Names | None:
    """The names of columns that a file holds, where JSON has lists in place of tuples.

    Raises:
        ValueError: for anything that is no `Names`.
    """
    if found is None:
        return None
    if isinstance(found, dict):
        return {key: _strings(item) for key, item in found.items()}
    if isinstance(found, list) and any(not isinstance(item, str) for item in found):
        return tuple([_strings(item) for item in found])
    return _strings(found)


def _strings(found: Any) -> tuple[str, ...] | None:
    if found is None:
        return None
    if not isinstance(found, list) or any(not isinstance(item, str) for item in found):
        raise ValueError(f"names of columns are text, not {found!r:.80}")
    return tuple(found)


def _kind(data: Any) -> str | None:
    """ "frame", "series" or "lazy" for an object of one of the libraries, else None."""
    if isinstance(data, (np.ndarray, list, tuple, dict)):
        return None
    for base in type(data).__mro__:
        if base.__module__.partition(".")[0] in _LIBRARIES:
            for kind, classes in (("frame", _FRAMES), ("series", _SERIES), ("lazy", _LAZY)):
                if base.__name__ in classes:
                    return kind
    return None


def _is_frame(data: Any) -> bool:
    return _kind(data) == "frame"


def _through_narwhals(data: Any, name: str) -> Any:
    if _kind(data) == "lazy":
        raise ValueError(f"{name} is a lazy frame, which holds no values yet. Give .collect().")
    import narwhals.stable.v2 as nw

    base = type(data).__mro__
    if any(c.__module__.startswith("pyarrow") for c in base):
        import pyarrow as pa

        if isinstance(data, pa.RecordBatch):
            data = pa.Table.from_batches([data])
        elif isinstance(data, pa.Array):
            data = pa.chunked_array([data])
    if _is_frame(data):
        check_distinct(_columns_of(data), name)
    return nw.from_native(data, eager_only=True, allow_series=True)


def _columns_of(frame: Any) -> list[Any]:
    """The labels of the columns of a frame, which in pandas may be anything."""
    if type(frame).__module__.startswith("pyarrow"):
        return list(frame.schema.names)
    return list(frame.columns)


def check_distinct(labels: Iterable[Any], name: str) -> None:
    """Raise ValueError for a label that two columns have."""
    seen = set()
    for label in labels:
        if label in seen:
            raise ValueError(f"{name} has two columns named {label!r:.80}. Rename one of them.")
        seen.add(label)


def _check_numbers(dtype: Any, label: str) -> None:
    """Raise TypeError for the dtype of columns that hold no numbers, booleans or objects."""
    if dtype.is_numeric() or dtype == _dtype("Boolean") or _is_foreign(dtype):
        return
    if dtype.is_temporal():
        remedy = (
            "Make it a number first, such as the days since a date, e.g. with "
            "(column - start).dt.total_seconds() / 86400."
        )
    elif dtype in (_dtype("String"), _dtype("Categorical"), _dtype("Enum")):
        remedy = (
            "Encode it as numbers first, e.g. one column per category (pandas.get_dummies, "
            "polars to_dummies), or drop it."
        )
    else:
        remedy = "Give each of its parts a column of numbers, or drop it."
    raise TypeError(f"{label} holds {dtype}, not numbers. {remedy}")


def _dtype(name: str) -> Any:
    import narwhals.stable.v2 as nw

    return getattr(nw, name)


def _is_foreign(dtype: Any) -> bool:
    """Whether a column of this dtype does not become an array of numbers by itself."""
    return dtype in (_dtype("Object"), _dtype("Unknown"), _dtype("Decimal")) or is_wide(dtype)


def is_wide(dtype: Any) -> bool:
    """Whether a column holds integers of 128 bits, of which NumPy has no arrays."""
    return dtype in (_dtype("Int128"), _dtype("UInt128"))


def _may_lack_values(array: NDArray[Any]) -> bool:
    """Whether there may have been missing values: they become NaN or objects."""
    return array.dtype.kind == "O" or (array.dtype.kind == "f" and bool(np.isnan(array).any()))


def _values(column: Any, name: str, place: str) -> NDArray[Any]:
    """The numbers of a column.

    Raises:
        ValueError: for a missing one.
        TypeError: for objects that are no numbers.
    """
    if is_wide(column.dtype):
        largest = max((abs(column.min() or 0), abs(column.max() or 0)))
        column = column.cast(_dtype("Int64" if largest < 2**63 else "Float64"))
    if column.dtype == _dtype("Decimal"):
        column = column.cast(_dtype("Float64"))
    is_foreign = _is_foreign(column.dtype)
    array: NDArray[Any] = np.asarray(column.to_native()) if is_foreign else column.to_numpy()
    if _may_lack_values(array):
        missing = np.flatnonzero(column.is_null().to_numpy())
        if len(missing):
            raise ValueError(
                f"{name} holds nan or null at row {missing[0]}{place} ({len(missing)} in all). "
                "Fill or drop such rows."
            )
    if array.dtype.kind in "biuf":
        return array
    if others := [value for value in array if not isinstance(value, NUMBERS)]:
        raise TypeError(
            f"{name}{place} holds Python objects, {others[0]!r:.40} among them, not numbers. "
            "Encode it as numbers, or drop it."
        )
    return array.astype(np.float64)


def _names_of_frame(data: Any) -> tuple[str, ...] | None:
    return names_of_labels(_columns_of(data)) if _is_frame(data) else None


def names_of_labels(labels: Sequence[Any]) -> tuple[str, ...] | None:
    """The labels of columns as text; None where all are whole numbers, or there are none.

    >>> names_of_labels([("a", 1), "b"]), names_of_labels([0, 1])
    (("('a', 1)", 'b'), None)
    """
    if all(isinstance(label, (int, np.integer)) for label in labels):
        return None
    return tuple(map(str, labels))


def _frame_in_order(data: Any, names: Any, name: str) -> Any:
    """A frame with its columns in the order of `names`; what has no names as it is."""
    mine = _names_of_frame(data)
    if names is None or mine is None:
        return data
    check_distinct(mine, name)
    if mine == names:
        return data
    missing = [column for column in names if column not in mine]
    others = [column for column in mine if column not in names]
    if missing or others:
        faults = [f"lacks {checks.listed(map(repr, missing))}"] * bool(missing)
        unknown = f"has {checks.listed(map(repr, others))}, which it was not trained on"
        faults += [unknown] * bool(others)
        raise ValueError(
            f"{name} {' and '.join(faults)}. The model was trained on "
            f"{checks.listed(map(repr, names))}: give these columns, in any order."
        )
    import narwhals.stable.v2 as nw

    places = {label: place for place, label in enumerate(mine)}
    return nw.to_native(_through_narwhals(data, name)[:, [places[label] for label in names]])
