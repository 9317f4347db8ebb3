"""Training data as arrays: checks whose errors name the fault, and the selection of rows.

``Arrays`` is one array, a tuple of arrays (a model with several inputs) or a dict of named arrays.
The first dimension of every array counts the rows (examples).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainrule.data.mapped import blocks
from chainrule.graph.tensor import Array
from chainrule.trees import map_leaves

Arrays: TypeAlias = Array | tuple[Array, ...] | dict[str, Array]

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
            ``np.memmap`` (it stays on disk) or anything ``np.asarray`` accepts, such as a pandas
            table. A list or tuple of plain numbers or plain lists is one array, as in NumPy.
        name: the name of the data in error messages, e.g. ``"x"``.

    Returns:
        One ndarray, a tuple of them or a dict of them, without a copy where NumPy needs none.
        The dtype is kept: bool, integer or float, in the machine's byte order.

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
        shown = ", ".join(f"{label} {array.shape}" for label, array in labelled[:4])
        more = f" and {len(labelled) - 4} more" if len(labelled) > 4 else ""
        raise ValueError(
            f"the numbers of rows (first dimension) differ: {shown}{more}. Give every array one "
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
    ValueError: x holds nan at row 1, column 1. Fill or drop such rows before training.
    """
    for label, array in _labelled(arrays, name):
        if array.dtype.kind != "f":
            continue
        for start, block in blocks(array):
            finite = np.isfinite(block)
            if not finite.all():
                first = tuple(int(i) for i in np.argwhere(~finite)[0])
                raise ValueError(
                    f"{label} holds {block[first]} at {_position(start + first[0], first[1:])}. "
                    "Fill or drop such rows before training."
                )


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
    taken: Arrays = map_leaves(lambda array: array[indices], arrays)
    return taken


def _labelled(arrays: Arrays, name: str) -> list[tuple[str, Array]]:
    if isinstance(arrays, dict):
        return [(f"{name}[{key!r}]", array) for key, array in arrays.items()]
    if isinstance(arrays, tuple):
        return [(f"{name}[{i}]", array) for i, array in enumerate(arrays)]
    return [(name, arrays)]


def _has_rows(item: Any) -> bool:
    return len(getattr(item, "shape", ())) > 0


def _as_array(data: Any, name: str) -> Array:
    mask = getattr(data, "mask", None)  # np.ma.is_masked would import np.ma, which is slow
    if isinstance(mask, np.ndarray | np.bool_) and mask.any():
        raise ValueError(f"{name} has masked values. Fill them first, e.g. with .filled(0).")
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ValueError(f"{name} is not an array: {error}. {_OBJECT_REMEDY}") from error
    if array.dtype.kind in "UST":
        raise TypeError(f"{name} holds text (dtype {array.dtype}). {_TEXT_REMEDY}")
    if array.dtype.kind == "O":
        raise TypeError(f"{name} is {_describe(data)} of dtype object. {_OBJECT_REMEDY}")
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
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def _describe(data: Any) -> str:
    return "None" if data is None else f"a {type(data).__name__}"


def _position(row: int, rest: tuple[int, ...]) -> str:
    if not rest:
        return f"row {row}"
    return f"row {row}, column {rest[0]}" if len(rest) == 1 else f"row {row}, position {rest}"
