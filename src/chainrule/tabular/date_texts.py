"""Dates in text: which texts are dates, and whether the day or the month comes first.

A date has one reading where the year comes first (2026-12-31, 2026/12/31), where the month has a
name (31 Dec 2026), and between points (31.12.2026), where the day comes first. Of 01/02/2026 there
are two: the other texts of its column tell which one is meant.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import Literal, TypeAlias

import numpy as np

Order: TypeAlias = Literal["dates", "dates, day first", "dates, month first"]
"""How texts of dates are to be read; of "dates" alone each text has one reading."""

ORDERS: tuple[Order, ...] = ("dates", "dates, day first", "dates, month first")

_OFFSET = r"[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?"
_ISO_TIME = r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
_ISO = re.compile(
    rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[T ]{_ISO_TIME}(?= ?{_OFFSET}$|Z?$))?)(?:Z| ?{_OFFSET})?"
)
_TIME = (
    r"(?:(?:,? |T)(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?)?"
    rf"(?: ?(?P<half>[ap])m)?(?:Z| ?{_OFFSET})?)?"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_DAY, _YEAR = r"(?P<day>[0-9]{1,2})", r"(?P<year>[0-9]{4})"


def _form(date: str) -> re.Pattern[str]:
    return re.compile(date + _TIME, re.IGNORECASE)


_WITH_ONE_READING = (
    _form(rf"{_YEAR}(?P<sign>[-/.])(?P<month>[0-9]{{1,2}})(?P=sign){_DAY}"),
    _form(rf"{_DAY}(?P<sign>[-/ ]?){_MONTH}(?P=sign)(?P<year>[0-9]{{4}}|[0-9]{{2}})"),
    _form(rf"{_DAY}(?:st|nd|rd|th|\.)? {_MONTH}[.,]? {_YEAR}"),
    _form(rf"{_MONTH}\.? {_DAY}(?:st|nd|rd|th)?,? {_YEAR}"),
)
_WITH_TWO_READINGS = _form(
    rf"(?P<first>[0-9]{{1,2}})(?P<sign>[-/.])(?P<second_part>[0-9]{{1,2}})(?P=sign){_YEAR}"
)


def moment(text: str, order: Order = "dates") -> np.datetime64 | None:
    """The wall time of a text in microseconds, without its offset; None if it is no such date.

    >>> moment("31.12.2026", "dates, day first"), moment("12/31/2026 11:59 PM")
    (np.datetime64('2026-12-31T00:00:00.000000'), None)
    """
    day_first, month_first = _readings(text)
    if order == "dates, day first":
        return day_first
    if order == "dates, month first":
        return month_first
    return day_first if day_first == month_first else None


def order_of(texts: Iterable[str]) -> Order | Literal["either"] | None:
    """How the texts of a column are to be read; None where they are no dates of one order.

    >>> order_of(["01/02/2026", "31/02/2026"]), order_of(["01/02/2026", "12/31/2026"])
    (None, 'dates, month first')
    >>> order_of(["01/02/2026", "03/02/2026"]), order_of(["2026-01-02", "3 Feb 2026"])
    ('either', 'dates')
    """
    has_day_first = has_month_first = has_one_reading = True
    for text in texts:
        day_first, month_first = _readings(text)
        has_day_first &= day_first is not None
        has_month_first &= month_first is not None
        has_one_reading &= day_first == month_first
        if not (has_day_first or has_month_first):
            return None
    if has_one_reading:
        return "dates"
    if has_day_first and has_month_first:
        return "either"
    return "dates, day first" if has_day_first else "dates, month first"


def _readings(text: str) -> tuple[np.datetime64 | None, np.datetime64 | None]:
    """The moment of a text where the day comes before the month, and where it comes after."""
    text = text.strip()
    if match := _ISO.fullmatch(text):
        try:
            found = np.datetime64(match[1].replace(" ", "T")).astype("datetime64[us]")
        except ValueError:  # no such day
            return None, None
        return found, found
    for form in _WITH_ONE_READING:
        if match := form.fullmatch(text):
            name = match["month"][:3].lower()
            month = _MONTHS.index(name) + 1 if name in _MONTHS else int(name)
            made = _made(match, int(match["day"]), month)
            return made, made
    if match := _WITH_TWO_READINGS.fullmatch(text):
        first, second = int(match["first"]), int(match["second_part"])
        day_first = _made(match, first, second)
        return day_first, None if match["sign"] == "." else _made(match, second, first)
    return None, None


def _made(match: re.Match[str], day: int, month: int) -> np.datetime64 | None:
    """The moment of a match; None where there is no such day or time."""
    year, hour = int(match["year"]), int(match["hour"] or 0)
    if len(match["year"]) == 2:
        year += 1900 if year > 68 else 2000  # as POSIX reads them
    if match["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match["half"] in "Pp" else 0)
    micro = int((match["fraction"] or "0").ljust(6, "0")[:6])
    try:
        found = datetime.datetime(
            year, month, day, hour, int(match["minute"] or 0), int(match["second"] or 0), micro
        )
    except ValueError:
        return None
    return np.datetime64(found, "us")
