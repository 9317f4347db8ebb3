"""Times of day, in hours, and durations, in days: as Python and NumPy have them, and in text."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection
from typing import Any

import numpy as np

from chainrule.tabular.date_texts import hour_of

DAY = 86_400_000_000
"""Microseconds in a day."""

_QUANTITY = re.compile(  # of time, as "18:30", "3 days" or pandas' "-1 days +23:59:00"
    r"(?:([-+]?[0-9]{1,9}) days?(?:$|,? \+?(?=[0-9])))?"
    r"(?:([0-9]{1,9}):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]{1,9}))?)?(?: ?([AaPp])[Mm])?)?"
)


def hours_of(value: datetime.time) -> float:
    """A time of day in hours."""
    return value.hour + value.minute / 60 + value.second / 3600 + value.microsecond / 3.6e9


def quantity(text: str, wanted: str | None) -> float | None:
    """The hours of a time of day, or the days of a duration, that a text holds; None of others."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or not match[0]:
        return None
    days, hour, minute, second, fraction, _ = (part or "0" for part in match.groups())
    micro = int(fraction.ljust(6, "0")[:6])
    try:
        if wanted == "times":
            of_day = hour_of(int(hour), match[6])
            time = datetime.time(of_day, int(minute), int(second), micro)
            return None if match[1] else hours_of(time)
        if match[6]:
            return None
        of_clock = datetime.timedelta(0, int(second), micro, 0, int(minute), int(hour))
        return days_of(datetime.timedelta(int(days)) + of_clock)
    except (ValueError, OverflowError):  # no such time, or too long
        return None


def quantities(values: Collection[str], wanted: str) -> dict[str, float]:
    """What each of the texts holds; nothing where one holds none."""
    found = {}
    for value in values:
        number = quantity(value, wanted)
        if number is None:
            return {}
        found[value] = number
    return found


def days_of(value: Any) -> float:
    """A duration of Python or NumPy in days."""
    if isinstance(value, datetime.timedelta):
        return value / datetime.timedelta(1)
    return float(np.timedelta64(value, "us").astype(np.int64)) / DAY
