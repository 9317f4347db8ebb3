"""Columns of a table as they come, as arrays: of numbers, of text, or of moments in time.

A column of the training keeps what it is: text is read as numbers, times, durations or dates only
where each of its values is one. Later tables are read as the training decided, each cell by itself.
A value is missing where it is null, NaN, NaT or None, or where a text says so.
"""

from __future__ import annotations

import datetime
import decimal
import math
import numbers
import re
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainrule.data import cells as texts
from chainrule.tabular.date_texts import ORDERS, Order, moment, moments
from chainrule.tabular.time_texts import DAY, days_of, hours_of, quantities, quantity

Form: TypeAlias = Literal["numbers", "text", "dates"]

Wanted: TypeAlias = Literal["numbers", "times", "durations", "text", "labels"] | Order
"""How cells are to be read: "times" as hours, "durations" as days, which numbers may be, too; of
"labels" no text says that one is missing."""

Meaning: TypeAlias = Literal["text", "numbers", "booleans", "dates"]

_DIGITS = re.compile(r"[-+]?[0-9]{1,400}")
EXACT = 2**53
"""From here on float64 does not hold every whole number."""


class Cells(NamedTuple):
    """The values of a column.

    Attributes:
        form: what they are.
        values: of "numbers" float64, with NaN where one is missing; of "text" a list of str, with
            None; of "dates" days since 1970 in float64, with NaN.
        missing: bool, shape (rows,).
        meaning: what text stands for: itself, numbers, True and False, or dates.
        is_whole: whether the numbers were integers of 53 bits or fewer.
        was: the column's type, in words.
        rounded: of text the first row whose whole number float64 may have rounded; None if none.
    """

    form: Form
    values: Any
    missing: NDArray[np.bool_]
    meaning: Meaning = "text"
    is_whole: bool = False
    was: str = "numbers"
    rounded: int | None = None

    def take(self, rows: NDArray[np.int64]) -> Cells:
        """Some of the cells."""
        is_text = isinstance(self.values, list)
        values = [self.values[row] for row in rows] if is_text else self.values[rows]
        return self._replace(values=values, missing=self.missing[rows])


def of_array(values: NDArray[Any], place: str, wanted: Wanted | None = None) -> Cells:
    """The cells of an array of shape (rows,).

    Args:
        values: the array.
        place: where it stands, for error messages.
        wanted: how to read it; None to decide by all of the values.

    Raises:
        TypeError: if it holds anything but numbers, booleans, text and dates.
        ValueError: for an infinite number; for a value that is not as wanted.
    """
    kind = values.dtype.kind
    if kind in "US":
        try:
            return of_objects(values.astype(str).tolist(), place, wanted)
        except UnicodeDecodeError:
            raise TypeError(
                f"{place} holds bytes that are no ASCII. Give text: numpy.char.decode(..., 'utf-8')"
            ) from None
    if kind in "OT":
        return of_objects(values.tolist(), place, wanted)
    if kind not in "biufmM":
        raise TypeError(f"{place} holds {values.dtype}. {_REMEDY}")
    are_numbers = wanted in QUANTITIES
    if are_numbers and kind in "iu":
        return _of_floats(values, place)
    is_other = kind in "bM" or (kind == "m" and wanted != "durations")
    if (are_numbers and is_other) or (wanted in ORDERS and kind != "M"):
        if kind in "mM":
            values = values.astype(f"{kind}8[us]")  # of which Python has objects
        return of_objects(values.tolist(), place, wanted)
    if wanted not in ("text", "labels"):
        return _of_typed(values, place)
    if values.dtype in NARROW:
        values = _as_written(values)
    return to_text(_of_typed(values, place))


def _as_written(values: NDArray[Any]) -> NDArray[np.float64]:
    """Narrow floats as float64, where 0.1 is 0.1; whole numbers keep their digits."""
    distinct, places = np.unique(values, return_inverse=True)
    exact = distinct.astype(np.float64)
    written = distinct.astype(str).astype(np.float64)
    return np.where(exact == np.rint(exact), exact, written)[places]


def _of_typed(values: NDArray[Any], place: str) -> Cells:
    kind = values.dtype.kind
    if kind == "b":
        return Cells("text", _texts(values.tolist()), _none(values), "booleans", was="boolean")
    if kind in "iu":
        return _of_integers(values)
    if kind == "f":
        return _of_floats(values, place)
    if kind == "M":
        return _of_times(values)
    days = values.astype("timedelta64[us]").astype(np.float64) / DAY
    days[np.isnat(values)] = np.nan
    return _of_floats(days, place)._replace(was="durations, in days")


_REMEDY = "Give numbers, booleans, text or dates, or drop the column."
PLAIN = {float, int, type(None), np.float64}
"""The types of numbers that NumPy makes float64 of at once; None is missing."""

QUANTITIES: tuple[Wanted, ...] = ("numbers", "times", "durations")
_BOOLEANS = bool, np.bool_
_NUMBERS = numbers.Real, decimal.Decimal
NARROW = np.float16, np.float32
"""Types of floats whose digits are others in float64."""

_DATES = datetime.date, np.datetime64
_LENGTHS = datetime.timedelta, np.timedelta64
_TYPED: tuple[tuple[Any, Wanted, str], ...] = (
    (datetime.time, "times", "hours"), (_LENGTHS, "durations", "days")
)  # fmt: skip


def of_objects(values: list[Any], place: str, wanted: Wanted | None) -> Cells:
    """The cells of a list of Python objects; see `of_array`."""
    if wanted in QUANTITIES and set(map(type, values)) <= PLAIN:
        try:
            return _of_floats(np.array(values, np.float64), place)
        except OverflowError:  # of an integer; below its row is named
            pass
    if any(kind.__name__ in _NOT_PLAIN for kind in set(map(type, values))):
        values = [_plain(value) for value in values]
    missing = np.array([is_missing(value) for value in values], bool)
    present = [v for v, gone in zip(values, missing.tolist(), strict=True) if not gone]
    kinds = {type(value) for value in present}
    _check_kinds(kinds, present, place)
    if wanted in QUANTITIES:
        return _as_numbers(values, place, wanted)
    if wanted in ORDERS:
        return _as_dates(values, place, wanted)
    if kinds and all(issubclass(kind, _BOOLEANS) for kind in kinds):
        return Cells("text", _texts(values, missing), missing, "booleans", was="boolean")
    if wanted is not None:
        return _kept(values, missing, place, wanted, kinds)
    has_booleans = any(issubclass(kind, _BOOLEANS) for kind in kinds)
    if not has_booleans and all(issubclass(kind, _NUMBERS) for kind in kinds):
        whole = bool(kinds) and all(issubclass(kind, numbers.Integral) for kind in kinds)
        if whole and any(abs(int(value)) >= EXACT for value in present):
            return Cells("text", _texts(values, missing), missing, "numbers", was="large integers")
        return _as_numbers(values, place)._replace(is_whole=whole)
    if all(issubclass(kind, _DATES) for kind in kinds):
        return _as_dates(values, place)
    for classes, quantity_of, unit in _TYPED:
        if all(issubclass(kind, classes) for kind in kinds):
            found = _as_numbers(values, place, quantity_of)
            return found._replace(was=f"{quantity_of}, in {unit}")
    return of_text(_texts(values, missing), missing)


def _as_numbers(values: list[Any], place: str, wanted: Wanted | None = "numbers") -> Cells:
    found = [_number(value, place, row, wanted) for row, value in enumerate(values)]
    return _of_floats(np.array(found, np.float64), place)


def _as_dates(values: list[Any], place: str, order: Order = "dates") -> Cells:
    known: dict[str, np.datetime64 | None] = {}  # one text is often many rows'
    found = []
    for row, value in enumerate(values):
        if type(value) is not str:
            found.append(_date(value, place, row, order))
            continue
        if value not in known:
            known[value] = _date(value, place, row, order)
        found.append(known[value])
    return _of_times(_times(found))


_NOT_PLAIN = "Interval", "Period", "Decimal", "timedelta64"


def _plain(value: Any) -> Any:
    """A period of pandas as its first moment, an interval as text, a whole decimal as an integer,
    which keeps its digits, a duration of NumPy, which counts as an integer, as one of Python; all
    else as it is.
    """
    name = type(value).__name__
    if name == "timedelta64":
        return value.astype("timedelta64[us]").item()
    if name == "Period":
        return getattr(value, "start_time", value)
    if isinstance(value, decimal.Decimal) and value.is_finite() and value.adjusted() < 400:
        return int(value) if value == value.to_integral_value() else value
    return str(value) if name == "Interval" else value


def _check_kinds(kinds: set[type], present: list[Any], place: str) -> None:
    """Raise TypeError for values that no column can hold."""
    fit = (str, *_BOOLEANS, *_NUMBERS, *_DATES, *_LENGTHS, datetime.time)
    for kind in kinds:
        if issubclass(kind, numbers.Complex) and not issubclass(kind, numbers.Real):
            raise TypeError(f"{place} holds complex data. {_REMEDY}")
        if not issubclass(kind, fit):
            value = next(value for value in present if type(value) is kind)
            raise TypeError(f"{place} holds {value!r:.40}, of type {kind.__name__}. {_REMEDY}")


def _kept(
    values: list[Any], missing: NDArray[np.bool_], place: str, wanted: Wanted, kinds: set[type]
) -> Cells:
    """Values as text, each by itself."""
    for row, value in enumerate(values):
        if isinstance(value, (float, np.floating)) and math.isinf(value):
            raise ValueError(_infinite(place, row))
    found = _texts(values, missing)
    if wanted == "text":
        found, missing = _without_told(found)
    meaning: Meaning = "text"
    if kinds and all(issubclass(k, (*_NUMBERS, *_LENGTHS, datetime.time)) for k in kinds):
        meaning = "text" if any(issubclass(k, _BOOLEANS) for k in kinds) else "numbers"
    elif kinds and all(issubclass(kind, _DATES) for kind in kinds):
        meaning = "dates"
    floats = [(row, v) for row, v in enumerate(values) if isinstance(v, (float, np.floating))]
    rounded = next((row for row, value in floats if abs(float(value)) >= EXACT), None)
    return Cells("text", found, missing, meaning, was=meaning, rounded=rounded)


def _without_told(
    values: list[str | None],
) -> tuple[list[str | None], NDArray[np.bool_]]:
    """Text with None where it says that a value is missing."""
    told = {v for v in set(values) if v is not None and texts.is_missing(v)}
    found = [None if value in told else value for value in values]
    return found, np.array([value is None for value in found], bool)


def of_text(values: list[str | None], missing: NDArray[np.bool_]) -> Cells:
    """Text as numbers, times, durations or dates, if each of it is one, else as it is."""
    values, missing = _without_told(values)
    rest = {value for value in values if value is not None}
    found = {value: texts.number(value) for value in rest}
    if rest and all(number is not None for number in found.values()):
        if all(_DIGITS.fullmatch(v.strip()) for v in rest) and any(
            abs(int(v)) >= EXACT for v in rest
        ):
            if all(v.strip() == str(int(v)) for v in rest):
                values = [None if v is None else v.strip() for v in values]
                return Cells("text", values, missing, "numbers", was="large integers")
            return Cells("text", values, missing, was="large integers")
        array = np.array([np.nan if v is None else found[v] for v in values], np.float64)
        whole = all(texts.whole(value.lstrip("-")) is not None for value in rest)
        return Cells("numbers", array, missing, is_whole=whole, was="text of numbers")
    for wanted, unit in (("times", "hours"), ("durations", "days")):
        if lengths := quantities(rest, wanted):
            array = np.array([np.nan if v is None else lengths[v] for v in values], np.float64)
            return Cells("numbers", array, missing, was=f"text of {wanted}, in {unit}")
    found_dates = moments(rest) if rest else None
    if found_dates is None:
        return Cells("text", values, missing, was="text")
    order, times = found_dates
    if order is None:
        return Cells("text", values, missing, was="text of dates in no sure order")
    at = _times([None if v is None else times[v] for v in values])
    return _of_times(at)._replace(was=f"text of {order}")


def _number(value: Any, place: str, row: int, wanted: Wanted | None) -> float:
    """A cell of a column of numbers; NaN where it is missing."""
    if is_missing(value):
        return math.nan
    if isinstance(value, str):
        found = texts.number(value)
        if found is None and wanted != "numbers":
            found = quantity(value, wanted)
        if found is not None:
            return found
        if texts.is_missing(value):
            return math.nan
    elif isinstance(value, datetime.time) and wanted == "times":
        return hours_of(value)
    elif isinstance(value, _LENGTHS) and wanted == "durations":
        return days_of(value)
    elif isinstance(value, _NUMBERS) and not isinstance(value, _BOOLEANS):
        try:
            found = float(value)
        except OverflowError:
            found = math.inf
        if math.isinf(found):
            raise ValueError(_infinite(place, row))
        return found
    raise ValueError(_unfit(place, str(wanted), value, row))


def _date(value: Any, place: str, row: int, order: Order) -> np.datetime64 | None:
    """A cell of a column of dates; None where it is missing."""
    if is_missing(value):
        return None
    if isinstance(value, str):
        if texts.is_missing(value):
            return None
        found = moment(value, order)
        if found is not None:
            return found
    elif isinstance(value, _DATES):
        return _wall_time(value)
    raise ValueError(_unfit(place, order, value, row))


def check_exact(cells: Cells, name: str) -> None:
    """Raise ValueError for whole numbers as categories that float64 does not tell apart."""
    if cells.rounded is not None:
        raise ValueError(
            f"column {name!r:.80} is of categories and holds floats of 2**53 or more, at row "
            f"{cells.rounded}, which do not tell whole numbers apart. Give integers, which in "
            "pandas have room for missing ones as dtype 'Int64', or text"
        )


def _unfit(place: str, wanted: str, value: Any, row: int) -> str:
    shown = str(value) if isinstance(value, _DATES) else repr(value)
    if isinstance(value, str):
        shown = f"text, as {shown}"
    remedy = texts.remedy(value) if isinstance(value, str) and wanted == "numbers" else None
    given = "dates there, as 2026-12-31," if wanted in ORDERS else f"{wanted} there,"
    return (
        f"{place} held {wanted} in training and now holds {shown:.40} at row {row}. "
        f"{remedy or f'Give {given} or a missing value'}"
    )


def _infinite(place: str, row: int) -> str:
    return (
        f"{place} holds infinity at row {row}. Replace infinite values, and those that float64 "
        "cannot hold, by a large number or by NaN for a missing one."
    )


def _times(values: list[np.datetime64 | None]) -> NDArray[Any]:
    never = np.datetime64("NaT", "us")
    return np.array([never if v is None else v for v in values], "datetime64[us]")


def has_large(values: NDArray[Any]) -> bool:
    """Whether some of these integers are so large that float64 does not tell them apart."""
    return bool(len(values)) and max(abs(int(values.min())), abs(int(values.max()))) >= EXACT


def _of_integers(values: NDArray[Any]) -> Cells:
    if has_large(values):
        return Cells(
            "text", _texts(values.tolist()), _none(values), "numbers", was="large integers"
        )
    return Cells("numbers", values.astype(np.float64), _none(values), is_whole=True)


def _of_floats(values: NDArray[Any], place: str) -> Cells:
    array = values.astype(np.float64)
    missing = np.isnan(array)
    if np.isinf(array).any():
        row = np.flatnonzero(np.isinf(array))[0]
        raise ValueError(_infinite(place, int(row)))
    return Cells("numbers", array, missing)


def _of_times(values: NDArray[Any]) -> Cells:
    missing = np.isnat(values)
    days = values.astype("datetime64[us]").astype(np.int64).astype(np.float64) / DAY
    days[missing] = np.nan
    return Cells("dates", days, missing, was="dates")


def _wall_time(value: Any) -> np.datetime64:
    """A date or a time as its calendar and its clock show it where it was written down."""
    if isinstance(value, datetime.datetime):
        value = value.replace(tzinfo=None)
    return np.datetime64(value, "us")


def _none(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.zeros(len(values), bool)


def is_missing(value: Any) -> bool:
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
    if isinstance(value, _DATES):
        return str(_wall_time(value))
    if isinstance(value, datetime.time):
        value = hours_of(value)
    elif isinstance(value, _LENGTHS):
        value = days_of(value)
    elif isinstance(value, (*_BOOLEANS, numbers.Integral)) or not isinstance(value, _NUMBERS):
        return str(value)
    try:
        found = float(value)
    except OverflowError:
        return str(value)
    if found.is_integer():
        return str(int(found))
    return str(float(str(value))) if isinstance(value, NARROW) else str(found)


def canonical(text: str, meaning: Meaning) -> str:
    """The name of a category, written as that of the training was.

    >>> canonical("1.0", "numbers"), canonical("TRUE", "booleans"), canonical("1.0", "text")
    ('1', 'True', '1.0')
    """
    if meaning == "dates":
        at = moment(text)
        return text if at is None else str(at)
    if meaning == "booleans" and text.strip().lower() in ("true", "false"):
        return text.strip().capitalize()
    if meaning in ("numbers", "booleans"):
        found = texts.number(text)
        if meaning == "booleans":
            return {1.0: "True", 0.0: "False"}.get(found, text) if found is not None else text
        if _DIGITS.fullmatch(text.strip()):
            return str(int(text))
        return text if found is None else as_text(found)
    return text


def to_text(cells: Cells) -> Cells:
    """The same cells as categories."""
    if cells.form == "text":
        return cells
    values = [None if gone else v for v, gone in
              zip(cells.values.tolist(), cells.missing.tolist(), strict=True)]  # fmt: skip
    if cells.form == "dates":
        values = [None if v is None else str(np.datetime64(round(v * DAY), "us")) for v in values]
    is_rounded = (cells.form == "numbers") & (np.abs(cells.values) >= EXACT)
    rounded = int(is_rounded.argmax()) if is_rounded.any() else None
    return cells._replace(
        form="text", values=_texts(values, cells.missing), meaning=cells.form, is_whole=False,
        rounded=rounded,
    )  # fmt: skip


def to_numbers(cells: Cells) -> Cells:
    """Large integers, which are text, as the nearest float64 numbers."""
    values = [np.nan if text is None else float(text) for text in cells.values]
    return cells._replace(form="numbers", values=np.array(values, np.float64))
