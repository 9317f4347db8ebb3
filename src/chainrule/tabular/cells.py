"""Columns of a table as they come, as arrays: of numbers, of text, or of moments in time.

A column's values keep what they are: text is read as numbers or as dates only where each of them
is one. A value is missing where it is null, NaN, NaT or None, or where a text says so.
"""

from __future__ import annotations

import datetime
import decimal
import numbers
import re
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainrule.data import cells as texts

Form: TypeAlias = Literal["numbers", "text", "dates"]

_ISO_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)?Z?"
)
_MISSING_TEXT = {"", "?", "na", "n/a", "nan", "null", "none", "<na>", "nat"}
_DAY = 86_400_000_000
"""Microseconds in a day."""

EXACT = 2**53
"""From here on float64 does not hold every whole number."""


class Cells(NamedTuple):
    """The values of a column.

    Attributes:
        form: what they are.
        values: of "numbers" float64, with NaN where one is missing; of "text" a list of str, with
            None; of "dates" days since 1970 in float64, with NaN.
        missing: bool, shape (rows,).
        is_boolean: whether they were True and False, which are text here.
        is_whole: whether the numbers were integers of 53 bits or fewer.
        was: the column's type, in words.
    """

    form: Form
    values: Any
    missing: NDArray[np.bool_]
    is_boolean: bool = False
    is_whole: bool = False
    was: str = "numbers"


def of_array(values: NDArray[Any], place: str) -> Cells:
    """The cells of an array of shape (rows,).

    Raises:
        TypeError: if it holds anything but numbers, booleans, text and dates.
        ValueError: for an infinite number.
    """
    kind = values.dtype.kind
    if kind == "b":
        return Cells("text", _texts(values.tolist()), _none(values), is_boolean=True, was="boolean")
    if kind in "iu":
        return _of_integers(values)
    if kind == "f":
        return _of_floats(values, place)
    if kind == "M":
        return _of_times(values)
    if kind == "m":
        days = values.astype("timedelta64[us]").astype(np.float64) / _DAY
        days[np.isnat(values)] = np.nan
        return _of_floats(days, place)._replace(was="durations, in days")
    if kind in "US":
        return of_objects(values.astype(str).tolist(), place)
    if kind == "O":
        return of_objects(values.tolist(), place)
    raise TypeError(f"{place} holds {values.dtype}. {_REMEDY}")


_REMEDY = "Give numbers, booleans, text or dates, or drop the column."


def of_objects(values: list[Any], place: str) -> Cells:
    """The cells of a list of Python objects; see `of_array`."""
    missing = np.array([_is_missing(value) for value in values], bool)
    present = [v for v, gone in zip(values, missing.tolist(), strict=True) if not gone]
    kinds = {type(value) for value in present}
    if all(issubclass(k, (bool, np.bool_)) for k in kinds) and kinds:
        return Cells("text", _texts(values, missing), missing, is_boolean=True, was="boolean")
    if all(issubclass(k, (numbers.Number, decimal.Decimal)) for k in kinds):
        if any(issubclass(kind, numbers.Complex) and not issubclass(kind, numbers.Real)
               for kind in kinds):  # fmt: skip
            raise TypeError(f"{place} holds complex data. {_REMEDY}")
        whole = bool(kinds) and all(issubclass(kind, numbers.Integral) for kind in kinds)
        if whole and any(abs(int(value)) >= EXACT for value in present):
            return Cells("text", _texts(values, missing), missing, was="large integers")
        array = np.full(len(values), np.nan)
        array[~missing] = [float(value) for value in present]
        found = _of_floats(array, place)
        return found._replace(is_whole=whole)
    if all(issubclass(kind, (datetime.date, np.datetime64)) for kind in kinds):
        times = np.full(len(values), np.datetime64("NaT"), "datetime64[us]")
        times[~missing] = [_wall_time(value) for value in present]
        return _of_times(times)
    if all(issubclass(kind, datetime.time) for kind in kinds):
        hours = np.full(len(values), np.nan)
        hours[~missing] = [
            t.hour + t.minute / 60 + t.second / 3600 + t.microsecond / 3.6e9 for t in present
        ]
        return _of_floats(hours, place)._replace(was="times, in hours")
    if all(issubclass(kind, (datetime.timedelta, np.timedelta64)) for kind in kinds):
        lengths = np.full(len(values), np.timedelta64("NaT"), "timedelta64[us]")
        lengths[~missing] = [np.timedelta64(value, "us") for value in present]
        return of_array(lengths, place)
    for value in present:
        if not isinstance(value, (str, numbers.Real, datetime.date)):
            raise TypeError(
                f"{place} holds {value!r:.40}, of type {type(value).__name__}. {_REMEDY}"
            )
    return _of_text(_texts(values, missing), missing)


def _of_text(values: list[str | None], missing: NDArray[np.bool_]) -> Cells:
    """Text as numbers or dates, if each of it is one, else as it is."""
    distinct = {value for value in values if value is not None}
    told = {value for value in distinct if value.strip().lower() in _MISSING_TEXT}
    rest = distinct - told
    found = {value: texts.number(value) for value in rest}
    if rest and all(number is not None for number in found.values()):
        array = np.array([found.get(v, np.nan) if v is not None else np.nan for v in values])
        array = array.astype(np.float64)
        whole = all(texts.whole(value.lstrip("-")) is not None for value in rest)
        return Cells("numbers", array, np.isnan(array), is_whole=whole, was="text of numbers")
    if rest and all(map(is_date, rest)):
        try:
            times = {
                v: np.datetime64(v.strip().removesuffix("Z").replace(" ", "T"), "us") for v in rest
            }
        except ValueError:  # no such day
            times = {}
        if times:
            never = np.datetime64("NaT", "us")
            array = np.array([times.get(v, never) for v in values], "datetime64[us]")  # type: ignore[arg-type]
            return _of_times(array)._replace(was="text of dates")
    if told:
        values = [None if value in told else value for value in values]
        missing = np.array([value is None for value in values], bool)
    return Cells("text", values, missing, was="text")


def _of_integers(values: NDArray[Any]) -> Cells:
    if len(values) and max(abs(int(values.min())), abs(int(values.max()))) >= EXACT:
        return Cells("text", _texts(values.tolist()), _none(values), was="large integers")
    return Cells("numbers", values.astype(np.float64), _none(values), is_whole=True)


def _of_floats(values: NDArray[Any], place: str) -> Cells:
    array = values.astype(np.float64)
    missing = np.isnan(array)
    if np.isinf(array).any():
        row = np.flatnonzero(np.isinf(array))[0]
        raise ValueError(
            f"{place} holds infinity at row {row}. Replace infinite values, by a large number or "
            "by NaN for a missing one."
        )
    return Cells("numbers", array, missing)


def _of_times(values: NDArray[Any]) -> Cells:
    missing = np.isnat(values)
    days = values.astype("datetime64[us]").astype(np.int64).astype(np.float64) / _DAY
    days[missing] = np.nan
    return Cells("dates", days, missing, was="dates")


def _wall_time(value: Any) -> np.datetime64:
    """A date or a time as its calendar and its clock show it where it was written down."""
    if isinstance(value, datetime.datetime):
        value = value.replace(tzinfo=None)
    return np.datetime64(value, "us")


def _none(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.zeros(len(values), bool)


def _is_missing(value: Any) -> bool:
    """Whether a value is None, NaN, NaT or a library's own sign of a missing one."""
    if value is None:
        return True
    if isinstance(value, (str, bytes, bool, int)):
        return False
    try:
        return not bool(value == value)  # NaN and NaT differ from themselves
    except (TypeError, ValueError):  # pandas.NA has no truth; an array has many
        return type(value).__name__ == "NAType"


def _texts(values: list[Any], missing: NDArray[np.bool_] | None = None) -> list[str | None]:
    """Values as text: whole numbers are written alike, whatever type held them."""
    known: dict[Any, str] = {}
    found: list[str | None] = []
    gone = [False] * len(values) if missing is None else missing.tolist()
    for value, is_missing in zip(values, gone, strict=True):
        if is_missing:
            found.append(None)
            continue
        if type(value) is str:
            found.append(value)
            continue
        key = (type(value), value)
        if key not in known:
            known[key] = as_text(value)
        found.append(known[key])
    return found


def as_text(value: Any) -> str:
    """A category's name: that of 2, 2.0 and "2" is the same.

    >>> as_text(2.0), as_text(True), as_text("red")
    ('2', 'True', 'red')
    """
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    return texts.number(text) is not None


def is_date(text: str) -> bool:
    """Whether a text is a date as ISO 8601 writes it, with or without a time."""
    return _ISO_DATE.fullmatch(text.strip()) is not None


def to_text(cells: Cells) -> Cells:
    """The same cells as categories."""
    if cells.form == "text":
        return cells
    values = [None if gone else v for v, gone in
              zip(cells.values.tolist(), cells.missing.tolist(), strict=True)]  # fmt: skip
    if cells.form == "dates":
        values = [None if v is None else str(np.datetime64(round(v * _DAY), "us")) for v in values]
    return cells._replace(form="text", values=_texts(values, cells.missing))
