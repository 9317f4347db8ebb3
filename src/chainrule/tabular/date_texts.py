"""Dates in text: which texts are dates, and whether the day or the month comes first.

A date has one reading where the year comes first (2026-12-31, 2026/12/31), where the month has a
name (31 Dec 2026), and between points (31.12.2026), where the day comes first. Of 01/02/2026 there
are two: the other texts of its column tell which one is meant. A year of two digits stands last. A
month without a day is its first one.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection
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
    r"(?:(?:,? |T|:)(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?)?"
    rf"(?: ?(?P<half>[ap])m)?(?:Z| ?(?:UTC|GMT|{_OFFSET}))?)?"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?,? )?"
_DAY, _YEAR = r"(?P<day>[0-9]{1,2})", r"(?P<year>[0-9]{4})"


def _form(date: str) -> re.Pattern[str]:
    return re.compile(date + _TIME, re.IGNORECASE)


_WITH_ONE_READING = (
    _form(rf"{_YEAR}(?P<sign>[-/.])(?P<month>[0-9]{{1,2}})(?P=sign){_DAY}"),
    _form(rf"{_YEAR}(?P<sign>[-/ ]){_MONTH}(?P=sign){_DAY}"),
    _form(rf"{_WEEKDAY}{_DAY}(?P<sign>[-/ ]?){_MONTH}(?P=sign)(?P<year>[0-9]{{4}}|[0-9]{{2}})"),
    _form(rf"{_WEEKDAY}{_DAY}(?:st|nd|rd|th|\.)? {_MONTH}[.,]? {_YEAR}"),
    _form(rf"{_WEEKDAY}{_MONTH}\.? {_DAY}(?:st|nd|rd|th)?,? {_YEAR}"),
    re.compile(rf"{_WEEKDAY}{_MONTH} {{1,2}}{_DAY}{_TIME} {_YEAR}", re.IGNORECASE),  # of ctime
    re.compile(r"(?P<year>1[89][0-9]{2}|2[01][0-9]{2})[-/](?P<month>0[1-9]|1[0-2])"),
    re.compile(rf"{_MONTH}[-/ ]{_YEAR}", re.IGNORECASE),
)
_WITH_TWO_READINGS = _form(
    r"(?P<first>[0-9]{1,2})(?P<sign>[-/.])(?P<then>[0-9]{1,2})(?P=sign)"
    r"(?P<year>[0-9]{4}|[0-9]{2})"
)


def moment(text: str, order: Order = "dates") -> np.datetime64 | None:
    """The wall time of a text in microseconds, without its offset; None if it is no such date.

    >>> moment("31.12.2026", "dates, day first"), moment("12/31/2026 11:59 PM")
    (np.datetime64('2026-12-31T00:00:00.000000'), None)
    """
    found = _in_order(_readings(text), order)
    return None if found is None else np.datetime64(found, "us")


def moments(
    texts: Collection[str],
) -> tuple[Order | Literal["either"], dict[str, np.datetime64]] | None:
    """How the texts of a column are to be read, and their moments; None where they are no dates of
    one order.

    >>> moments(["2026-01-02", "3 Feb 2026"])[0], moments(["01/02/2026", "12/31/2026"])[0]
    ('dates', 'dates, month first')
    >>> moments(["01/02/2026", "03/02/2026"]), moments(["31/02/2026"])
    (('either', {}), None)
    """
    has_day_first = has_month_first = has_one_reading = True
    found = {}
    for text in texts:
        found[text] = day_first, month_first = _readings(text)
        has_day_first &= day_first is not None
        has_month_first &= month_first is not None
        has_one_reading &= day_first == month_first
        if not (has_day_first or has_month_first):
            return None
    if has_day_first and has_month_first and not has_one_reading:
        return "either", {}
    order: Order = "dates, day first" if has_day_first else "dates, month first"
    order = "dates" if has_one_reading else order
    micros = [_in_order(both, order) for both in found.values()]
    return order, dict(zip(found, np.array(micros, np.int64).view("datetime64[us]"), strict=True))


_Readings: TypeAlias = tuple[int | None, int | None]
"""The moment where the day comes before the month, and where it comes after, in microseconds since
1970; None where there is none."""


def _in_order(readings: _Readings, order: Order) -> int | None:
    day_first, month_first = readings
    if order == "dates, day first":
        return day_first
    if order == "dates, month first":
        return month_first
    return day_first if day_first == month_first else None


def _readings(text: str) -> _Readings:
    text = text.strip()
    if match := _WITH_TWO_READINGS.fullmatch(text):
        if len(match["year"]) == 2 and not _may_end_in_two_digits(match):
            return None, None
        first, second = int(match["first"]), int(match["then"])
        day_first = _micros(match, first, second)
        return day_first, None if match["sign"] == "." else _micros(match, second, first)
    if match := _ISO.fullmatch(text):
        try:
            found = np.datetime64(match[1].replace(" ", "T")).astype("datetime64[us]")
        except ValueError:  # no such day
            return None, None
        return int(found.astype(np.int64)), int(found.astype(np.int64))
    for form in _WITH_ONE_READING:
        if match := form.fullmatch(text):
            name = match["month"][:3].lower()
            month = _MONTHS.index(name) + 1 if name in _MONTHS else int(name)
            made = _micros(match, int(match.groupdict().get("day", 1)), month)
            return made, made
    return None, None


def hour_of(hour: int, half: str | None) -> int:
    """The hour of a day, 0 to 23, from what a clock shows, with "a" or "p" for AM or PM; 24 or more
    where there is no such hour.

    >>> hour_of(12, "a"), hour_of(6, "P"), hour_of(18, None), hour_of(13, "p")
    (0, 18, 18, 24)
    """
    if half is None:
        return hour
    if not 1 <= hour <= 12:
        return 24
    return hour % 12 + (12 if half in "Pp" else 0)


def _may_end_in_two_digits(match: re.Match[str]) -> bool:
    """Whether a date of numbers may have a year of two digits: 1.2.10 is a version."""
    if match["sign"] == ".":
        return len(match["first"]) == len(match["then"]) == 2
    return match["sign"] == "/"


_EPOCH = datetime.date(1970, 1, 1).toordinal()


def _micros(match: re.Match[str], day: int, month: int) -> int | None:
    """The moment of a match; None where there is no such day or time."""
    year = int(match["year"])
    if len(match["year"]) == 2:
        year += 1900 if year > 68 else 2000  # as POSIX reads them
    try:
        days = datetime.date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None
    if match.groupdict().get("hour") is None:
        return days * 86_400_000_000
    minute, second = int(match["minute"]), int(match["second"] or 0)
    hour = hour_of(int(match["hour"]), match["half"])
    if hour > 23 or minute > 59 or second > 59:
        return None
    micro = int((match["fraction"] or "0").ljust(6, "0")[:6])
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + micro
