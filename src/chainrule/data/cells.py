"""Cells of text tables: which texts are numbers, which are names, and what is wrong with others.

A number is written in the digits 0 to 9, with a point and an exponent where it needs them. Python's
`float` also reads ``2020_01`` and digits of other scripts, which in a table are something else.
"""

from __future__ import annotations

import math
import re

# One way alone to match any digits: with more, a long run of them takes time by its square.
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_WHOLE = re.compile(r"0|[1-9][0-9]{0,14}")
_INFINITE = re.compile(r"[-+]?inf(?:inity)?", re.IGNORECASE)

_MISSING = {
    "", "?", "-", "--", ".", "na", "n/a", "n.a.", "#n/a", "nan", "-nan", "null", "none", "nil",
    "<na>", "nat", "missing", "\\n",
}  # fmt: skip

_THOUSANDS = re.compile(r"[-+]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?")
_POINTS_AND_COMMA = re.compile(r"[-+]?[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]*")
_COMMA = re.compile(r"[-+]?[0-9]*,[0-9]+")


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


def is_decimal_comma(cell: str) -> bool:
    """Whether a cell holds a number whose decimals are behind a comma.

    >>> is_decimal_comma("-1,5"), is_decimal_comma("1,5,2")
    (True, False)
    """
    return _COMMA.fullmatch(cell.strip()) is not None


def is_text(cell: str) -> bool:
    """Whether a cell holds neither a number, nor a faulty one, nor a sign that one is missing.

    >>> is_text("rooms"), is_text("2020_01"), is_text("1,5"), is_text("NA")
    (True, True, False, False)
    """
    text = cell.strip()
    return not (
        text.lower() in _MISSING
        or any(p.fullmatch(text) for p in (_NUMBER, _INFINITE, *_WITH_COMMAS))
    )


_WITH_COMMAS = _THOUSANDS, _POINTS_AND_COMMA, _COMMA


def fault(cell: str) -> str:
    """What is wrong with a cell that holds no number, and what to do.

    >>> fault("1,234,567")
    "'1,234,567' has commas between its thousands. Write 1234567."
    """
    text, shown = cell.strip(), f"{cell!r:.80}"
    if text.lower() in _MISSING:
        return f"the value is missing ({shown}). Fill it, or drop the row or the column."
    if _NUMBER.fullmatch(text) or _INFINITE.fullmatch(text):
        return f"{shown} is not finite. Fill it, or drop the row."
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
    if text.lower() in ("true", "false"):
        return f"{shown} is not a number. Write 1 for true and 0 for false."
    if _is_python_number(text):
        return (
            f"{shown} is not a number here: numbers are written in the digits 0 to 9 without "
            "underscores, as in -1234.5 or 1e-3."
        )
    return (
        f"{shown} is not a number. Tables that mix numbers and text are not supported yet: drop "
        "the column, or encode it as numbers."
    )


def _is_python_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
