"""Cells of text tables: which texts are numbers, which are names, and what is wrong with others.

A number is written in the digits 0 to 9, with a point and an exponent where it needs them. Python's
`float` also reads ``2020_01`` and digits of other scripts, which in a table are something else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Literal

# One way alone to match any digits: with more, a long run of them takes time by its square.
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_WHOLE = re.compile(r"0|[1-9][0-9]{0,14}")
_INFINITE = re.compile(r"[-+]?inf(?:inity)?", re.IGNORECASE)

TOLD_MISSING = frozenset(["", "?", "na", "n/a", "nan", "null", "none", "<na>", "nat"])
"""Texts, in small letters, that say in any column that a value is missing."""

_IN_NUMBERS = ["-", "--", "\u2013", "\u2014", ".", "n.a.", "#n/a", "-nan", "nil", "missing", "\\n"]
_MISSING = TOLD_MISSING.union(_IN_NUMBERS)

_THOUSANDS = re.compile(r"[-+]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]*)?")
_POINTS = re.compile(r"[-+]?[1-9][0-9]{0,2}(?:\.[0-9]{3})+")
_POINTS_AND_COMMA = re.compile(r"[-+]?[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]*")
_COMMA = re.compile(r"[-+]?[0-9]*,[0-9]+(?:[eE][-+]?[0-9]+)?")
_GAPS = re.compile(
    r"[-+]?[1-9][0-9]{0,2}(?:(['’ \xa0\u2009\u202f])[0-9]{3})(?:\1[0-9]{3})*(?:[.,][0-9]*)?"
)
_NO_HYPHEN = re.compile(r"[\u2212\u2013](.+)")
_SIGN_BEHIND = re.compile(r"([0-9].*[.,][0-9]+)-")  # 2- may be a grade
_IN_PARENTHESES = re.compile(r"\(([0-9].*)\)")
_IN_QUOTES = re.compile(r"'([-+.]?[0-9].*)'")
_CURRENCY = (
    "[$€£¥₹]|(?:USD|EUR|GBP|CHF|JPY|CNY|INR|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|ZAR)"
)
_MONEY = re.compile(rf"([-+]?)(?:(?:{_CURRENCY}) ?([-+]?[0-9].*)|([0-9].*?) ?(?:{_CURRENCY}))")
_PERCENT = re.compile(r"([-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)) ?%")


def number(cell: str) -> float | None:
    """The finite number that a cell holds, or None.

    >>> number(" 1.5e3 "), number("2020_01"), number("nan")
    (1500.0, None, None)
    """
    text = cell.strip()
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def whole(cell: str) -> int | None:
    """The whole number that a cell holds, written as such and not negative, or None.

    >>> whole("12"), whole("12.0"), whole("012")
    (12, None, None)
    """
    text = cell.strip()
    return int(text) if _WHOLE.fullmatch(text) else None


def is_missing(cell: str) -> bool:
    """Whether a cell says, in a column of any kind, that its value is missing."""
    return cell.strip().lower() in TOLD_MISSING


def stands_for_missing(cell: str) -> bool:
    """Whether a cell in a column of numbers says that one is missing, as NA and - do.

    In a column of text - and its like are values.

    >>> stands_for_missing("-"), stands_for_missing("NA"), stands_for_missing("0")
    (True, True, False)
    """
    return cell.strip().lower() in _MISSING


def comma_of(cell: str) -> Literal["decimals", "thousands", "either"] | None:
    """What the commas of a number divide; None where a cell is no number with commas.

    >>> comma_of("1,5"), comma_of("1,234.5"), comma_of("1,234"), comma_of("1,5,2")
    ('decimals', 'thousands', 'either', None)
    """
    text = cell.strip()
    is_decimal = _COMMA.fullmatch(text) or _POINTS_AND_COMMA.fullmatch(text)
    if _THOUSANDS.fullmatch(text):
        return "either" if is_decimal else "thousands"
    return "decimals" if is_decimal else None


def has_points_between(cell: str) -> bool:
    """Whether the points of a number may divide its thousands, as in 1.234."""
    return _POINTS.fullmatch(cell.strip()) is not None


def is_text(cell: str) -> bool:
    """Whether a cell holds neither a number, nor a faulty one, nor a sign that one is missing.

    >>> is_text("rooms"), is_text("2020_01"), is_text("1,5"), is_text("NA")
    (True, True, False, False)
    """
    text = cell.strip()
    return not (
        stands_for_missing(cell)
        or any(p.fullmatch(text) for p in (_NUMBER, _INFINITE, *_WITH_COMMAS))
    )


_WITH_COMMAS = _THOUSANDS, _POINTS_AND_COMMA, _COMMA


def fault(cell: str) -> str:
    """What is wrong with a cell that holds no number, and what to do.

    >>> fault("1,234,567")
    "'1,234,567' has commas between its thousands. Write 1234567."
    """
    text, shown = cell.strip(), f"{cell!r:.80}"
    if stands_for_missing(cell):
        return f"the value is missing ({shown}). Fill it, or drop the row or the column."
    if _NUMBER.fullmatch(text) or _INFINITE.fullmatch(text):
        return f"{shown} is not finite. Fill it, or drop the row."
    if (otherwise := remedy(cell)) is not None:
        return otherwise
    if text.lower() in ("true", "false"):
        return f"{shown} is not a number. Write 1 for true and 0 for false."
    if _is_python_number(text):
        return (
            f"{shown} is not a number here: numbers are written in the digits 0 to 9 without "
            "underscores, as in -1234.5 or 1e-3."
        )
    return (
        f"{shown} is not a number, and here all columns are: drop the column, encode it as "
        "numbers, or take what reads text, too (cr.tabular.fit; in train the model realmlp)."
    )


def remedy(cell: str, has_commas: bool = False) -> str | None:
    """What is wrong with a number that is written in another way; None where a cell is none.

    Args:
        cell: the cell.
        has_commas: whether numbers of the table have decimal commas.

    >>> remedy("12%"), remedy("twelve")
    ("'12%' is not a number for its percent sign. Write 12.", None)
    >>> remedy("$12.50"), remedy("1'234")[-11:]
    ("'$12.50' is not a number for its sign of a currency. Write 12.50.", 'Write 1234.')
    """
    text, shown = cell.strip(), f"{cell!r:.80}"
    if _THOUSANDS.fullmatch(text):
        joined = text.replace(",", "")
        if _COMMA.fullmatch(text):
            return (
                f"{shown} has a comma: {joined} with a comma between its thousands, or "
                f"{text.replace(',', '.')} with a decimal comma. Write the one that is meant."
            )
        return f"{shown} has commas between its thousands. Write {joined:.80}."
    if _POINTS_AND_COMMA.fullmatch(text):
        plain = text.replace(".", "").replace(",", ".")
        return f"{shown} has points between its thousands and a decimal comma. Write {plain:.80}."
    if _COMMA.fullmatch(text):
        plain = text.replace(",", ".")
        return f"{shown} has a decimal comma. Write numbers with a point: {plain:.80}."
    if match := _PERCENT.fullmatch(text):
        return f"{shown} is not a number for its percent sign. Write {match[1]:.80}."
    for what, plain in _rewritten(text):
        if _NUMBER.fullmatch(plain) or (has_commas and _COMMA.fullmatch(plain)):
            return f"{shown} is not a number for {what}. Write {plain:.80}."
        if (of_rest := remedy(plain, has_commas)) is not None:
            return f"{shown} has {what.replace('its', 'the', 1)}, and {of_rest}"
    return None


def _rewritten(text: str) -> Iterator[tuple[str, str]]:
    """What a text has that a number has not, and the text without it."""
    if match := _MONEY.fullmatch(text):
        yield "its sign of a currency", match[1] + (match[2] or match[3])
    if match := _GAPS.fullmatch(text):
        signs = "spaces" if match[1].isspace() else "apostrophes"
        yield f"its {signs} between thousands", text.replace(match[1], "")
    if match := _NO_HYPHEN.fullmatch(text):
        yield "its minus sign, which is no hyphen", f"-{match[1]}"
    if match := _SIGN_BEHIND.fullmatch(text):
        yield "its sign, which stands behind", f"-{match[1]}"
    if match := _IN_PARENTHESES.fullmatch(text):
        yield "its parentheses", f"-{match[1]}"
    if match := _IN_QUOTES.fullmatch(text):
        yield "its quotes", match[1]


def remedy_of_points(cell: str) -> str:
    """What is wrong with a number such as 1.234 or 1.234,5 in a table with decimal commas.

    >>> remedy_of_points("1.234,5")
    "'1.234,5' has points between its thousands. Write 1234,5."
    """
    text, shown = cell.strip(), f"{cell!r:.80}"
    joined, decimal = text.replace(".", ""), text.replace(".", ",")
    if "," in text or (has_points_between(text) and text.count(".") > 1):
        return f"{shown} has points between its thousands. Write {joined:.80}."
    if has_points_between(text):
        return (
            f"{shown} has a point in a table with decimal commas: {joined} with a point between "
            f"its thousands, or {decimal} with a decimal comma. Write the one that is meant."
        )
    return f"{shown} has a point in a table with decimal commas. Write {decimal:.80}."


def _is_python_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
