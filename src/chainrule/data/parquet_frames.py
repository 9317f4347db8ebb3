"""Parquet files as frames: pyarrow reads them once their claims fit their size."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from chainrule.data import frame_cells
from chainrule.data.text_tables import check_names
from chainrule.errors import FileError, missing
from chainrule.system.reading import check_expansion

_FREE = 1 << 30
"""The bytes to which any Parquet file may unfold: a value that is repeated takes no room in it."""
_FEW_ROWS = 256
"""Of text that is read whole so many rows are looked at together: all may take too much memory."""


def read_parquet(name: str, file: BinaryIO, size: int, header: bool | None) -> Any:
    """Read the DataFrame of a Parquet file.

    Columns of lists are not read, for the size of a file does not tell how long they are: each cell
    is a `_List`, which is refused where the column is used.

    Args:
        name: of the file.
        size: the bytes that were given, in which the file may lie compressed.
        header: what is known of its first line; a Parquet file has none.
    """
    import pandas as pd

    if header is not None:
        raise FileError(f"{name} is a Parquet file, whose columns have names: leave header out.")
    try:
        from pyarrow import parquet, types

        file = _in_memory_of_arrow(file)
        schema, lists = _check_parquet(name, file, size)
        read = [label for label in schema.names if label not in lists]
        file.seek(0)
        frame = pd.read_parquet(file, columns=read if lists else None)
    except ImportError:
        raise missing("a Parquet file", "pyarrow", "tables") from None
    frame, place = _with_index(frame)
    for label, column in frame.items():  # of whole numbers and gaps pandas makes floats
        if frame_cells.may_lack_digits(column):
            file.seek(0)
            again = parquet.read_table(file, columns=[label]).column(label)
            if types.is_integer(again.type):
                frame[label] = again.to_pandas(integer_object_nulls=True).to_numpy()
    beside = {*lists, *frame.columns[place:]}
    for label in schema.names:
        if label in lists:
            frame.insert(place, label, pd.Series([_List()] * len(frame), dtype=object))
        place += label in beside
    for field in schema:
        if types.is_decimal(field.type) and field.name in frame:
            frame[field.name] = _numbers(frame[field.name], float if field.type.scale else int)
    return frame


def _with_index(frame: Any) -> tuple[Any, int]:
    """A frame with text for names whose index became its first columns, and how many these are.

    Levels of the index without a name are left out, and those whose name a column has, as where
    pandas sets a column as the index and keeps it.
    """
    frame.columns = [str(label) for label in frame.columns]
    names = [None if label is None else str(label) for label in frame.index.names]
    frame.index.names = names
    kept = [n for n, label in enumerate(names) if label is not None and label not in frame.columns]
    if kept:
        frame = frame.reset_index(level=kept)
    return frame.reset_index(drop=True), len(kept)


def _in_memory_of_arrow(file: BinaryIO) -> Any:
    """The bytes of a file, as a file of Arrow.

    Arrow's threads may run on while Python ends. If they hold a file of Python then, they abort the
    program, or hang: https://github.com/apache/arrow/issues/34314 and 50482.
    """
    import pyarrow

    content = pyarrow.allocate_buffer(file.seek(0, io.SEEK_END))
    file.seek(0)
    file.readinto(content)  # type: ignore[attr-defined]
    return pyarrow.BufferReader(content)


class _List:
    """A list in a cell, whatever it holds."""

    def __repr__(self) -> str:
        return "a list"


_List.__name__ = "list"  # in error messages


def _numbers(decimals: Any, number: type) -> Any:
    """A column of decimals, of which pandas makes objects, as integers or floats."""
    found = [
        None if gone else number(value)
        for value, gone in zip(decimals, decimals.isna(), strict=True)
    ]
    dtype = float if number is float else object  # which keeps all digits beside a gap
    return type(decimals)(found, decimals.index, dtype=dtype).infer_objects()


def _check_parquet(name: str, file: Any, size: int) -> tuple[Any, set[str]]:
    """The schema of a file, and the columns that hold lists, which are not to be read.

    Raises:
        ValueError: where the others unfold to more than any data in a file of this size would.
        FileError: for a table without columns or of nothing but lists, or with an index of lists.
    """
    from pyarrow import parquet

    told = parquet.read_metadata(file)
    columns = [told.schema.column(i) for i in range(told.num_columns)]
    check_names(name, [c.path for c in columns])
    schema = told.schema.to_arrow_schema()
    if not schema.names:
        raise FileError(f"{name} has no columns. Give a table with one row per example.")
    lists = {field.name for field in schema if _holds_lists(field.type)}
    index = (schema.pandas_metadata or {}).get("index_columns", [])
    unknown = [c.path for c in columns if c.max_repetition_level and not _is_of(c.path, lists)]
    if unknown or lists.issuperset(schema.names) or not lists.isdisjoint(map(str, index)):
        raise FileError(
            f"{name}: column {[*lists, *unknown][0]!r:.80} holds lists. Give numbers, booleans, "
            "text or dates, or write the table without it."
        )
    columns = [c for c in columns if not c.max_repetition_level]
    # The values are not counted by the columns' metadata: Arrow aborts where these are damaged.
    rows = sum(told.row_group(i).num_rows for i in range(told.num_row_groups))
    expanded = rows * (sum(max(8, c.length) for c in columns) + 8 * len(lists))
    _check_size(expanded, size)
    for column in columns:
        if column.physical_type == "BYTE_ARRAY":
            for length in _lengths_of_text(file, told, column.path):
                expanded += length
                _check_size(expanded, size)
    file.seek(0)
    return schema, lists


def _holds_lists(kind: Any) -> bool:
    """Whether a type of Arrow is one of lists or maps, or has a part that is."""
    from pyarrow import types

    kind = getattr(kind, "storage_type", kind)  # of an extension, as of Tensors of one shape
    if types.is_struct(kind):
        return any(_holds_lists(field.type) for field in kind)
    return bool(types.is_nested(kind))


def _is_of(path: str, labels: Iterable[str]) -> bool:
    """Whether numbers that lie at this path belong to one of these columns."""
    return any(path == label or path.startswith(f"{label}.") for label in labels)


def _check_size(expanded: int, size: int) -> None:
    remedy = "write it with use_dictionary=False and compression=None"
    check_expansion(expanded, size, free=_FREE, remedy=remedy)


def _lengths_of_text(file: Any, told: Any, column: str) -> Iterator[int]:
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
