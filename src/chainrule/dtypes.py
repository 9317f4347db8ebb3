"""The dtypes of Tensors: which there are, and data as an array of one of them.

Every array that the library holds came through `to_array` or has a dtype from `as_dtype`, so the
core, which reads memory in the machine's byte order, never meets another.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from chainrule.errors import DTypeError

_FLOAT32 = np.dtype(np.float32)
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_KNOWN = {
    np.dtype(name): np.dtype(name) for name in ("bool", *_INTEGERS, "float16", "float32", "float64")
}
"""Each as itself, so that equal dtypes are one object. In foreign byte order none is equal."""
_REASONS = {
    "c": "chainrule computes with real numbers; take .real, .imag or abs of the data",
    "O": "the elements are Python objects, as of rows of different lengths; make an array of "
    "numbers first",
    "M": "dates are no numbers; take a duration since a day of your choice, in a unit",
    "m": "durations are no numbers; divide them by a unit, as np.timedelta64(1, 's')",
    "U": "text is no number; convert it, as with .astype('float32')",
    "S": "text is no number; convert it, as with .astype('float32')",
    "structured": "a structured array holds several columns; take one, as data['name'], or use "
    "numpy.lib.recfunctions.structured_to_unstructured",
    "f": "it is wider than float64; convert it with .astype('float64')",
}


@cache  # NumPy puts the name together at each look
def name_of(dtype: np.dtype[Any]) -> str:
    """NumPy's name of a dtype, as the core knows it."""
    return dtype.name


def as_dtype(dtype: DTypeLike | None) -> np.dtype[Any]:
    """A dtype of Tensors, in the machine's byte order; None is the default, float32.

    Raises:
        DTypeError: if a Tensor can't have it.

    Example:
        >>> as_dtype(">f8"), as_dtype(None)
        (dtype('float64'), dtype('float32'))
    """
    if dtype is None:
        return _FLOAT32
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise DTypeError(
            f"{dtype!r} is no dtype; name one, such as 'float32', 'float64' or 'int64'"
        ) from None
    known = _KNOWN.get(found) or _KNOWN.get(found.newbyteorder("="))
    if known is None:
        kind = "structured" if found.names else found.kind
        reason = _REASONS.get(kind, "convert the data first, as with .astype('float32')")
        raise DTypeError(f"a Tensor holds numbers or booleans, not dtype {found}: {reason}")
    return known


def to_array(data: Any, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """`data` as an array that a Tensor can hold: `data` itself where it is one.

    Args:
        data: a number, nested sequences of numbers, or an array.
        dtype: by default an array's own; float32 for Python floats, int64 for Python integers.

    Raises:
        DTypeError: if a Tensor can't hold the data.
        ValueError: if nested sequences have different lengths.
    """
    if dtype is None:
        array = np.asarray(data)
        if array.dtype == np.float64 and not hasattr(data, "dtype"):
            return array.astype(_FLOAT32)
    else:
        array = np.asarray(data, as_dtype(dtype))
    return array if array.dtype in _KNOWN else array.astype(as_dtype(array.dtype))
