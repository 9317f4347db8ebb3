"""Dates in text: which texts are dates, and which of their parts comes first.

A date has one reading where a year of four digits comes first (2026-12-31, 2026/12/31), where the
month has a name (31 Dec 2026), and between points (31.12.2026), where the day comes first. Of
01/02/2026 there are two, of 01/02/26 three: the other texts of its column tell which one is meant.
A month without a day is its first one.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection
from typing import Literal, TypeAlias

import numpy as np

Order: TypeAlias = Literal["dates", "dates, day first", "dates, month first", "dates, year first"]
"""How texts of dates are to be read; of "dates" alone each text has one reading."""

ORDERS: tuple[Order, ...] = (
    "dates", "dates, day first", "dates, month first", "dates, year first"
)  # fmt: skip

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


_ANY_CASE = re.IGNORECASE | re.ASCII


def _form(date: str) -> re.Pattern[str]:
    return re.compile(date + _TIME, _ANY_CASE)


_WITH_ONE_READING = (
    _form(rf"{_YEAR}(?P<sign>[-/.])(?P<month>[0-9]{{1,2}})(?P=sign){_DAY}"),
    _form(rf"{_YEAR}(?P<sign>[-/ ]){_MONTH}(?P=sign){_DAY}"),
    _form(rf"{_WEEKDAY}{_DAY}(?P<sign>[-/ ]?){_MONTH}(?P=sign)(?P<year>[0-9]{{4}}|[0-9]{{2}})"),
    _form(rf"{_WEEKDAY}{_DAY}(?:st|nd|rd|th|\.)? {_MONTH}[.,]? {_YEAR}"),
    _form(rf"{_WEEKDAY}{_MONTH}\.? {_DAY}(?:st|nd|rd|th)?,? {_YEAR}"),
    re.compile(rf"{_WEEKDAY}{_MONTH} {{1,2}}{_DAY}{_TIME} {_YEAR}", _ANY_CASE),  # of ctime
    re.compile(r"(?P<year>1[89][0-9]{2}|2[01][0-9]{2})[-/](?P<month>0[1-9]|1[0-2])"),
    re.compile(rf"{_MONTH}[-/ ]{_YEAR}", _ANY_CASE),
)
_OF_NUMBERS = _form(
    r"(?P<first>[0-9]{1,2})(?P<sign>[-/.])(?P<then>[0-9]{1,2})(?P=sign)"
    r"(?P<last>[0-9]{4}|[0-9]{2})"
)


def moment(text: str, order: Order = "dates") -> np.datetime64 | None:
    """The wall time of a text in microseconds, without its offset; None if it is no such date.

    >>> moment("31.12.2026"), moment("12/31/2026 11:59 PM")
    (np.datetime64('2026-12-31T00:00:00.000000'), None)
    """
    found = _readings(text)[order]
    return None if found is None else np.datetime64(found, "us")


def moments(
    texts: Collection[str],
) -> tuple[Order | None, dict[str, np.datetime64]] | None:
    """The order that all texts of a column have, and their moments.

    The order is None where several fit, and the result where none does.

    >>> moments(["2026-01-02", "3 Feb 2026"])[0], moments(["01/02/2026", "12/31/2026"])[0]
    ('dates', 'dates, month first')
    >>> moments(["01/02/2026", "03/02/2026"]), moments(["31/02/2026"])
    ((None, {}), None)
    """
    found, orders = {}, list(ORDERS)
    for text in texts:
        found[text] = readings = _readings(text)
        orders = [order for order in orders if readings[order] is not None]
        if not orders:
            return None
    if len(orders) > 1 and orders[0] != "dates":
        return None, {}
    micros = np.array([readings[orders[0]] for readings in found.values()], np.int64)
    return orders[0], dict(zip(found, micros.view("datetime64[us]"), strict=True))


_Readings: TypeAlias = dict[Order, int | None]
"""The moment of a text in each order, in microseconds since 1970; None where there is none."""


def _alike(moment: int | None) -> _Readings:
    return dict.fromkeys(ORDERS, moment)


def _readings(text: str) -> _Readings:
    text = text.strip()
    if match := _ISO.fullmatch(text):
        try:
            found = np.datetime64(match[1].replace(" ", "T")).astype("datetime64[us]")
        except ValueError:  # no such day
            return _alike(None)
        return _alike(int(found.astype(np.int64)))
    if match := _OF_NUMBERS.fullmatch(text):
        return _readings_of_numbers(match)
    for form in _WITH_ONE_READING:
        if match := form.fullmatch(text):
            name = match["month"][:3].lower()
            month = str(_MONTHS.index(name) + 1) if name in _MONTHS else name
            return _alike(_micros(match, match["year"], month, match.groupdict().get("day", "1")))
    return _alike(None)


def _readings_of_numbers(match: re.Match[str]) -> _Readings:
    """The readings of a date whose parts are numbers and whose year has no place of its own."""
    first, then, last, sign = match["first"], match["then"], match["last"], match["sign"]
    day_first = _micros(match, last, then, first)
    if sign == "." and len(last) == 4:
        return _alike(day_first)
    if sign == "-" and len(last) == 2:  # a code, as a rule
        return _alike(None)
    if sign == "." and not len(first) == len(then) == 2:  # 1.2.10 is a version
        return _alike(None)
    month_first = _micros(match, last, first, then) if sign != "." else None
    year_first = _micros(match, first, then, last) if len(first) == len(last) == 2 else None
    is_one = day_first == month_first and (len(last) == 4 or day_first == year_first)
    return {
        "dates": day_first if is_one else None,
        "dates, day first": day_first,
        "dates, month first": month_first,
        "dates, year first": year_first,
    }


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


_EPOCH = datetime.date(1970, 1, 1).toordinal()


def _micros(match: re.Match[str], year: str, month: str, day: str) -> int | None:
    """The moment of a date with the time of a match; None where there is no such day or time."""
    number = int(year)
    if len(year) == 2:
        number += 1900 if number > 68 else 2000  # as POSIX reads them
    try:
        days = datetime.date(number, int(month), int(day)).toordinal() - _EPOCH
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
