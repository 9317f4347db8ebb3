"""Training data: checks that name the fault, and one record that holds the arrays flat.

``Arrays`` is one array, a tuple of arrays (a model with several inputs) or a dict of named arrays.
The first dimension of every array counts the rows (examples). `checked_data` and
`checked_inputs` check arrays that a user gives and flatten them, once, into `Data`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainrule import _core, checks
from chainrule.data.mapped import blocks, extremes
from chainrule.dtypes import NUMBERS, check_unmasked
from chainrule.graph.operation import Limit
from chainrule.graph.tensor import Array
from chainrule.nn.inputs import input_dtype
from chainrule.system.reading import reason
from chainrule.tables import is_table, to_array

Arrays: TypeAlias = Array | tuple[Array, ...] | dict[str, Array]

Structure: TypeAlias = int | tuple[str, ...] | None
"""How arrays make up `Arrays`: None for a single one, the length of a tuple, the keys of a dict."""

_FINGERPRINT_BYTES = 1 << 17
"""About how many bytes of each array a fingerprint covers."""

_TEXT_REMEDY = (
    "Encode text as numbers first, e.g. classes, codes = np.unique(column, return_inverse=True)."
)
_OBJECT_REMEDY = (
    "Convert it to numbers first: encode text columns, fill missing values, give all rows the same "
    "length, then .astype('float32'); a sparse matrix needs .toarray()."
)


def as_arrays(data: Any, name: str) -> Arrays:
    """Return ``data`` as NumPy arrays of numbers that agree on the number of rows.

    Args:
        data: one array, a tuple or list of arrays, or a dict of arrays. An array is an ndarray, a
            ``np.memmap`` (it stays on disk), a frame or series of pandas, polars or pyarrow, or
            anything else that ``np.asarray`` accepts. A list or tuple of plain numbers or plain
            lists is one array, as in NumPy.
        name: the name of the data in error messages, e.g. ``"x"``.

    Returns:
        One ndarray, a tuple of them or a dict of them, without a copy where NumPy needs none.
        The dtype is kept: bool, integer or float, in the machine's byte order. A table whose
        columns are numbers of several dtypes becomes float64.

    Raises:
        TypeError: text, objects, complex numbers or dates.
        ValueError: no rows, ragged rows, masked values, or arrays with different numbers of rows.

    >>> as_arrays([[1, 2], [3, 4]], "x").shape
    (2, 2)
    >>> [a.shape for a in as_arrays((np.zeros((5, 3)), np.zeros((5, 8, 8))), "x")]
    [(5, 3), (5, 8, 8)]
    """
    arrays: Arrays
    if isinstance(data, dict):
        arrays = {key: _as_array(item, f"{name}[{key!r}]") for key, item in data.items()}
    elif isinstance(data, list | tuple) and any(_has_rows(item) for item in data):
        arrays = tuple(_as_array(item, f"{name}[{i}]") for i, item in enumerate(data))
    else:
        arrays = _as_array(data, name)
    if isinstance(arrays, dict) and not arrays:
        raise ValueError(f"{name} is an empty dict. Give at least one array.")
    check_same_rows(**{name: arrays})
    return arrays


def check_same_rows(**structures: Arrays) -> int:
    """Return the number of rows that all the arrays share.

    Args:
        structures: ``Arrays`` by their names in the error message.

    Raises:
        ValueError: the numbers of rows differ; the message lists every array and its shape.

    >>> check_same_rows(x=np.zeros((5, 3)), y=np.zeros(5))
    5
    """
    labelled = [pair for name, arrays in structures.items() for pair in _labelled(arrays, name)]
    counts = {len(array) for _, array in labelled}
    if len(counts) > 1:
        shown = checks.listed((f"{label} {array.shape}" for label, array in labelled), 4)
        raise ValueError(
            f"the numbers of rows (first dimension) differ: {shown}. Give every array one "
            "row per example; if each array is itself one example, join them with np.stack."
        )
    return counts.pop()


def check_finite(arrays: Arrays, name: str) -> None:
    """Refuse NaN and infinity, reading block by block so that a mapped file stays on disk.

    Args:
        arrays: a result of ``as_arrays``; integers and bools always pass.
        name: the name of the data in the error message.

    Raises:
        ValueError: naming the row and column (counted from 0) of the first bad value.

    >>> check_finite(np.array([[1.0, 2.0], [3.0, np.nan]]), "x")
    Traceback (most recent call last):
    ValueError: x holds nan at row 1, column 1. Fill or drop such rows.
    """
    for label, array in _labelled(arrays, name):
        if array.dtype.kind != "f":
            continue
        for start, block in blocks(array):
            if not _are_finite(block):
                first = tuple(int(i) for i in np.argwhere(~np.isfinite(block))[0])
                raise ValueError(
                    f"{label} holds {block[first]} at {_position(start + first[0], first[1:])}. "
                    "Fill or drop such rows."
                )


def _are_finite(array: Array) -> bool:
    if array.dtype.itemsize in (4, 8):
        if array.flags.c_contiguous:
            return _core.are_finite(array)
        if array.flags.f_contiguous:
            return _core.are_finite(array.T)
    return bool(np.isfinite(array).all())


def take(arrays: Arrays, indices: NDArray[np.intp]) -> Arrays:
    """Return a copy of the rows at ``indices``, in that order, in the same structure.

    Args:
        arrays: a result of ``as_arrays``.
        indices: integers, shape (rows,).

    Raises:
        IndexError: an index outside the rows.

    >>> take({"age": np.array([20, 30, 40])}, np.array([2, 0]))
    {'age': array([40, 20])}
    """
    # Not np.take, which copies all of an array that is not C-contiguous.
    flat, structure = flatten(arrays)
    taken: Arrays = unflatten(structure, iter([array[indices] for array in flat]))
    return taken


def flatten(arrays: Arrays) -> tuple[Sequence[Array], Structure]:
    """Return the arrays in a row, and the structure from which `unflatten` makes them again.

    >>> flatten({"age": np.array([20, 30])})
    ([array([20, 30])], ('age',))
    """
    if isinstance(arrays, dict):
        return list(arrays.values()), tuple(arrays)
    if isinstance(arrays, tuple):
        return arrays, len(arrays)
    return (arrays,), None


def unflatten(structure: Structure, values: Iterator[Any]) -> Any:
    """Return a structure of the next values, as many as it has places.

    >>> unflatten(("age", "height"), iter([1, 2, 3]))
    {'age': 1, 'height': 2}
    """
    if structure is None:
        return next(values)
    if isinstance(structure, int):
        return tuple(islice(values, structure))
    return {key: next(values) for key in structure}


class Form(NamedTuple):
    """The shapes, dtypes and structure of a batch, but for its number of rows; hashable.

    Attributes:
        shapes: the shape of a row of each array.
        dtypes: the dtype in which a step takes each array.
        structures: how the arrays make up x, y and the weights, as many of these as there are.
    """

    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[np.dtype[Any], ...]
    structures: tuple[Structure, ...]

    def unflatten(self, values: Iterable[Any]) -> list[Any]:
        """Return [x], [x, y] or [x, y, weights], made of one value for each array."""
        rest = iter(values)
        return [unflatten(structure, rest) for structure in self.structures]


class Data:
    """The data of a pass: inputs, and where there are any, targets and weights of the rows.

    Attributes:
        arrays: those of x, then those of y, then the weights, all with the same number of rows.
        form: their shapes, dtypes and structure.
    """

    def __init__(self, arrays: tuple[Array, ...], form: Form) -> None:
        self.arrays = arrays
        self.form = form

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.arrays[0])

    @property
    def parts(self) -> list[Any]:
        """[x], [x, y] or [x, y, weights], in the structures in which they were given."""
        return self.form.unflatten(self.arrays)

    def inputs(self) -> Data:
        """Return the inputs alone."""
        arrays = self.arrays[: len(flatten(self.parts[0])[0])]
        shapes, dtypes, structures = self.form
        return Data(arrays, Form(shapes[: len(arrays)], dtypes[: len(arrays)], structures[:1]))

    def map(self, function: Callable[[Array], Array]) -> Data:
        """Return the data with `function` applied to every array."""
        return Data(tuple([function(array) for array in self.arrays]), self.form)

    def fingerprint(self) -> str:
        """Return a checksum of shapes and values, by which other data are told apart.

        Of large data it covers rows from the first to the last at equal distances, so it is quick
        for files on disk, too. The values count as a step takes them, whatever dtype they have.
        """
        value = 0
        for array, dtype in zip(self.arrays, self.form.dtypes, strict=True):
            value = zlib.crc32(f"{array.shape} {dtype}".encode(), value)
            most = max(2, _FINGERPRINT_BYTES // max(1, array[:1].nbytes))
            step = max(1, -(-len(array) // most))
            for rows in (array[::step], array[-1:]):
                values = np.ascontiguousarray(rows, dtype)
                value = zlib.crc32(values.data.cast("B") if values.size else b"", value)
        return f"{value:08x}"

    def in_float64(self, *, inputs: bool, targets: bool) -> Data:
        """Return the data with all digits of float64 inputs, and of float64 targets, kept."""
        count = len(flatten(self.parts[0])[0])
        targets_end = count + len(flatten(self.parts[1])[0]) if len(self.parts) > 1 else count
        kept = [inputs] * count + [targets] * (targets_end - count)
        dtypes = list(self.form.dtypes)
        for number, (array, keeps) in enumerate(zip(self.arrays, kept, strict=False)):
            if keeps and array.dtype == np.float64:
                dtypes[number] = array.dtype
        return Data(self.arrays, self.form._replace(dtypes=tuple(dtypes)))

    def check_indices(self, limits: Iterable[tuple[int, int, Limit]], prefix: str = "") -> None:
        """Raise where labels or indices are out of range: the error that their limit names.

        Args:
            limits: (number of the array, number of classes or rows, limit) of arrays of such.
            prefix: the beginning of the message.
        """
        for number, length, limit in limits:
            if self.arrays[number].size:
                lowest, highest = map(int, extremes(self.arrays[number]))
                if fault := limit.fault(lowest, highest, length):
                    raise limit.error(f"{prefix}{fault}")


def as_data(dtype: np.dtype[Any], *parts: Arrays) -> Data:
    """Return x, y and weights (the first, two or three of these) as one record.

    Args:
        dtype: the floating dtype of the model. Steps take floats in it, and inputs that are uint8
            or, alone, bool; bools of several inputs or targets stay bools; other inputs, and
            targets of any whole type, are taken as int64.
        parts: what ``as_arrays`` returned, with the same number of rows.
    """
    arrays: list[Array] = []
    dtypes: list[np.dtype[Any]] = []
    structures: list[Structure] = []
    for number, part in enumerate(parts):
        flat, structure = flatten(part)
        structures.append(structure)
        is_one_of_several = len(flat) > 1
        for array in flat:
            arrays.append(array)
            if number == 0:
                dtypes.append(input_dtype(array.dtype, dtype, is_one_of_several))
            elif array.dtype.kind == "b" and is_one_of_several:
                dtypes.append(array.dtype)
            else:
                dtypes.append(dtype if array.dtype.kind == "f" else _INT64)
    shapes = tuple([array.shape[1:] for array in arrays])
    return Data(tuple(arrays), Form(shapes, tuple(dtypes), tuple(structures)))


_INT64 = np.dtype(np.int64)


def checked_inputs(x: Any, dtype: np.dtype[Any]) -> Data:
    """Return inputs that a model of floating dtype `dtype` can take.

    Raises:
        TypeError, ValueError: as ``as_arrays``; for numbers that are not finite or too large for
            the dtype.
    """
    return as_data(dtype, _checked_values(x, "x", dtype))


def checked_data(
    x: Any,
    y: Any,
    sample_weight: Any,
    dtype: np.dtype[Any],
    *,
    prefix: str,
    all_rows: bool,
) -> Data:
    """Return inputs and targets, and weights unless None, of the same number of rows.

    Args:
        x, y: as ``as_arrays`` takes them.
        sample_weight: as ``checked_weights`` takes it, or None.
        dtype: the model's floating dtype.
        prefix: the beginning of the names in error messages.
        all_rows: whether there are no more rows, so that some weight must be above 0.

    Raises:
        TypeError, ValueError: as `checked_inputs`, for each of the parts; for different numbers of
            rows.
    """
    names = f"{prefix}x", f"{prefix}y"
    x, y = _checked_values(x, names[0], dtype), _checked_values(y, names[1], dtype)
    rows = check_same_rows(**{names[0]: x, names[1]: y})
    if sample_weight is None:
        return as_data(dtype, x, y)
    name = f"{prefix}sample_weight"
    weights = checked_weights(sample_weight, rows, dtype, name)
    if all_rows:
        check_some_weight(weights, name)
    return as_data(dtype, x, y, weights)


def checked_weights(sample_weight: Any, rows: int, dtype: np.dtype[Any], name: str) -> Array:
    """Return a weight for each row, as floats: finite, not negative.

    Args:
        sample_weight: numbers, shape (rows,).
        rows: how many there must be.
        dtype: the floating dtype that whole numbers get.
        name: the name of the weights in error messages.

    Raises:
        TypeError, ValueError: for anything else.
    """
    weights = _checked_values(sample_weight, name, dtype)
    if not isinstance(weights, np.ndarray) or weights.shape != (rows,):
        seen = weights.shape if isinstance(weights, np.ndarray) else type(weights).__name__
        raise ValueError(
            f"{name} is one number a row, of shape ({rows},) for {rows} rows; got {seen}"
        )
    if weights.dtype.kind != "f":
        weights = weights.astype(dtype)
    negative = np.flatnonzero(weights < 0)
    if negative.size:
        raise ValueError(
            f"{name} is {weights[negative[0]]} at row {negative[0]}: a weight is not negative. "
            "Give 0 to a row that shall not count."
        )
    return weights


def check_some_weight(weights: Array, name: str) -> None:
    """Raise ValueError if all weights are 0."""
    if not weights.any():
        raise ValueError(f"{name} is 0 in all {len(weights)} rows: there is nothing to learn from")


def check_range(array: Array, name: str, dtype: np.dtype[Any], otherwise: str) -> None:
    """Raise ValueError for numbers that a narrower dtype can't hold.

    Args:
        array: finite numbers.
        name: of the numbers.
        dtype: the model's.
        otherwise: what to do but for scaling them down.
    """
    if array.dtype.kind != "f" or array.dtype.itemsize <= dtype.itemsize:
        return
    largest = float(np.finfo(dtype).max)
    low, high = extremes(array) if array.size else (0, 0)
    if max(high, -low) > largest:
        raise ValueError(
            f"{name} holds numbers beyond {largest:.2g}, the largest that the model's {dtype} can "
            f"hold: scale them down, or {otherwise}"
        )


def _checked_values(data: Any, name: str, dtype: np.dtype[Any]) -> Arrays:
    """Arrays of finite numbers that the model's dtype can hold."""
    arrays = as_arrays(data, name)
    check_finite(arrays, name)
    for array in flatten(arrays)[0]:
        check_range(array, name, dtype, "make the model's layers float64")
    return arrays


def _labelled(arrays: Arrays, name: str) -> list[tuple[str, Array]]:
    if isinstance(arrays, dict):
        return [(f"{name}[{key!r}]", array) for key, array in arrays.items()]
    if isinstance(arrays, tuple):
        return [(f"{name}[{i}]", array) for i, array in enumerate(arrays)]
    return [(name, arrays)]


def _has_rows(item: Any) -> bool:
    return len(getattr(item, "shape", ())) > 0 or is_table(item)


def _as_array(data: Any, name: str) -> Array:
    if is_table(data):
        data = to_array(data, name)
    if data is None:
        raise TypeError(f"{name} is None: give an array, or another that holds numbers")
    check_unmasked(name, data)
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ValueError(f"{name} is not an array: {reason(error)}. {_OBJECT_REMEDY}") from error
    if array.dtype.kind in "UST":
        raise TypeError(f"{name} holds text (dtype {array.dtype}). {_TEXT_REMEDY}")
    if array.dtype.kind == "O" and not isinstance(data, np.ndarray) and _are_numbers(array):
        array = array.astype(np.float64)  # as of a table with columns of several dtypes
    if array.dtype.kind == "O":
        raise TypeError(f"{name} is a {type(data).__name__} of dtype object. {_OBJECT_REMEDY}")
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{name} has dtype {array.dtype}, not real numbers. "
            "Convert it to float32, float64, integers or bool first."
        )
    if array.ndim == 0:
        raise ValueError(
            f"{name} is the single value {array}, not an array of rows. "
            "Give shape (rows, ...), e.g. with np.atleast_1d."
        )
    if len(array) == 0:
        raise ValueError(f"{name} has no rows: its shape is {array.shape}. Give at least one row.")
    if array.dtype == np.uint64 and array.size and extremes(array)[1] > np.iinfo(np.int64).max:
        raise ValueError(
            f"{name} holds {extremes(array)[1]}: whole numbers are int64, at most "
            f"{np.iinfo(np.int64).max}. Convert it to float64 first."
        )
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _are_numbers(array: Array) -> bool:
    """Whether an array of objects holds numbers alone."""
    return array.size > 0 and all(isinstance(item, NUMBERS) for item in array.flat)


def _position(row: int, rest: tuple[int, ...]) -> str:
    if not rest:
        return f"row {row}"
    return f"row {row}, column {rest[0]}" if len(rest) == 1 else f"row {row}, position {rest}"
