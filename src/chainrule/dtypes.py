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

NUMBERS = (bool, int, float, np.bool_, np.integer, np.floating)
"""The classes of single numbers that a Tensor can hold."""

_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = (np.dtype("<f8"), np.dtype(">f8"))
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
        dtype: by default an array's own, in sequences too; float32 for Python floats, int64 for
            Python integers.

    Raises:
        DTypeError: if a Tensor can't hold the data.
        OverflowError: if an integer dtype does not hold a whole number of the data.
        ValueError: if nested sequences have different lengths; if values are masked.
    """
    check_unmasked("the array", data)
    if dtype is None:
        array = np.asarray(data)
        if array.dtype == np.float64 and not _has_float64(data):
            return array.astype(_FLOAT32)
        if array.dtype.kind == "O" and not hasattr(data, "dtype"):
            raise DTypeError(_why_objects(array))
    else:
        dtype = as_dtype(dtype)
        try:
            array = np.asarray(data, dtype)
        except OverflowError as error:
            if "infinity" in str(error):
                raise OverflowError(f"infinity is no number of {dtype}") from None
            raise OverflowError(_why_too_large(data, dtype)) from None
    return array if array.dtype in _KNOWN else array.astype(as_dtype(array.dtype))


def check_unmasked(name: str, data: Any) -> None:
    """Raise ValueError for a masked array of NumPy's that masks some of its values, or a list of
    such."""
    if isinstance(data, (list, tuple)):
        kinds = set(map(type, data)) - {np.ndarray}
        if any(issubclass(kind, np.ndarray) for kind in kinds):
            for part in data:
                check_unmasked(name, part)
    elif mask_of(data) is not None:
        raise ValueError(f"{name} has masked values. Fill them first, e.g. with .filled(0).")


def mask_of(data: Any) -> Any:
    """The mask of a masked array of NumPy's; None where it masks nothing, and of anything else."""
    if not isinstance(data, np.ndarray) or type(data) is np.ndarray:
        return None
    mask = getattr(data, "mask", None)  # np.ma.is_masked would import np.ma, which is slow
    return mask if isinstance(mask, np.ndarray | np.bool_) and mask.any() else None


def _has_float64(data: Any) -> bool:
    """Whether data that NumPy takes for float64 are so by a dtype, not as Python's numbers."""
    if not isinstance(data, (list, tuple)):
        return hasattr(data, "dtype")
    kinds = set(map(type, data)) - {float, int, bool}  # a list of a million numbers has one kind
    if not kinds:
        return False
    if kinds <= {list, tuple}:
        return any(map(_has_float64, data))
    return any(
        _has_float64(part)
        if isinstance(part, (list, tuple))
        else hasattr(part, "dtype") and np.asarray(part).dtype in _FLOAT64
        for part in data
    )


def _why_too_large(data: Any, dtype: np.dtype[Any]) -> str:
    """What to say of data that hold a whole number which does not fit a dtype."""
    given = f"{data}" if isinstance(data, int) else "a whole number of the data"
    if dtype.kind == "f":
        return f"{given:.80} does not fit {dtype}: it is too large"
    held = np.iinfo(dtype)
    wider = "int64" if dtype.itemsize < 8 else "float64"
    return (
        f"{given:.80} does not fit {dtype}, of whole numbers {held.min} to {held.max}: take a "
        f"wider dtype first, as with .astype({wider!r})"
    )


def _why_objects(array: NDArray[Any]) -> str:
    """What to say of data that NumPy takes for Python objects."""
    others = [x for x in array.flat if not isinstance(x, NUMBERS)]
    if not others:
        return "a whole number of the data needs more than 64 bits: write it as a float"
    part = others[0]
    if part is None:
        remedy = "NaN stands for a number that is missing"
    elif hasattr(part, "__next__"):
        remedy = "it gives its elements one by one; make a list of it, as list(...)"
    elif isinstance(part, (dict, set, frozenset)):
        remedy = "its elements have no places; make a list of them, as list(...) or sorted(...)"
    elif hasattr(part, "__float__"):
        remedy = "convert it, as by float(...)"
    else:
        remedy = "make an array of numbers first"
    return f"a Tensor holds numbers or booleans, not {part!r:.40}: {remedy}"
