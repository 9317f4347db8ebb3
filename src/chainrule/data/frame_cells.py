"""Columns of text files as pandas reads them: which of their cells it mistakes, which are doubtful.

One sign among numbers makes text of a column, a gap makes floats of whole numbers, and a comma in a
number has two meanings.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from chainrule.data import cells as texts

_EXACT = 2**53
_DIGITS = re.compile(r"[-+]?[0-9]+")
_PLAIN = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:[.,]0*)?")
_FEW = 0.1
"""Up to this share of texts among numbers is taken for a mistake."""


_SAMPLE = 200
"""So many cells show that a column is one of text."""


class Doubt(NamedTuple):
    """A column of text that seems to be one of numbers.

    Attributes:
        column: its name.
        cell: the first text that is no number.
        row: its row, counted from 0.
        line: its line in the file, counted from 1.
        rows: how many rows hold such texts.
        remedy: what to write in place of a number that is written otherwise; None for other text.
    """

    column: str
    cell: str
    row: int
    line: int
    rows: int
    remedy: str | None


def has_decimal_commas(lines: list[str], delimiter: str) -> bool:
    """Whether cells between other signs than commas hold numbers such as 1,5, and fewer as 1.5.

    What may have a comma between thousands, as 1,015, says nothing beside numbers without one. In
    columns that hold such numbers alone it is a decimal comma, the reason for the other delimiter.
    """
    if delimiter == ",":
        return False
    try:
        rows = list(csv.reader(lines, delimiter=delimiter))
    except csv.Error:  # a cell of great length
        return False
    cells = [cell for row in rows for cell in row if cell]
    commas = [texts.comma_of(cell) for cell in cells]
    points = sum("." in c and texts.number(c) is not None for c in cells)
    if "thousands" in commas:
        return False
    if "decimals" in commas:
        return commas.count("decimals") > points
    return points == 0 and "either" in commas and not any(map(_has_both, zip(*rows, strict=False)))


def _has_both(column: Iterable[str]) -> bool:
    """Whether a column holds numbers with one comma, which may divide thousands, and without."""
    commas = [(texts.comma_of(cell), texts.number(cell)) for cell in column]
    has_without = any(comma is None and number is not None for comma, number in commas)
    return has_without and any(comma == "either" for comma, _ in commas)


def with_points(column: Any) -> Any:
    """A column of numbers with decimal commas, among signs of missing ones, with points.

    pandas leaves it as text. A column with any other text stays as it is.
    """
    if not is_text(column):
        return column
    found = {}
    for value in _distinct(column):
        if not isinstance(value, str):
            return column
        if texts.comma_of(value) in ("decimals", "either") and "." not in value:
            found[value] = value.replace(",", ".")
        elif _DIGITS.fullmatch(value.strip()) or texts.is_missing(value):
            found[value] = value
        else:
            return column
    return column.map(found)


def may_lack_digits(column: Any) -> bool:
    """Whether a column of floats may have held whole numbers that float64 does not tell apart."""
    if column.dtype != np.float64:
        return False
    values = column.to_numpy()
    # fmax and fmin pass over NaN.
    if max(np.fmax.reduce(values, initial=0), -np.fmin.reduce(values, initial=0)) < _EXACT:
        return False
    values = values[~np.isnan(values)]
    return bool((values == np.round(values)).all())


def are_digits(column: Any) -> bool:
    """Whether all of a column's texts are whole numbers, written by digits alone."""
    return all(_DIGITS.fullmatch(value.strip()) for value in _distinct(column))


def as_numbers(column: Any) -> Any:
    """Targets of which each text is a number or a sign of a missing one, as numbers.

    A column with any other text, or without numbers, stays as it is.
    """
    if not is_text(column):
        return column
    distinct = _distinct(column)
    if not all(isinstance(value, str) for value in distinct):
        return column
    present = [value for value in distinct if not texts.is_missing(value)]
    found: dict[str, Any] = {value: texts.number(value) for value in present}
    if not present or None in found.values():
        return column
    if all(map(_DIGITS.fullmatch, map(str.strip, present))):
        found = {value: int(value) for value in present}
    numbers = [found.get(value) for value in column]
    return type(column)(numbers, index=column.index, dtype=object)  # which keeps all digits


def holds_text(column: Any) -> bool:
    """Whether any cell of a column is text."""
    return is_text(column) and any(isinstance(value, str) for value in _distinct(column))


def _distinct(column: Any) -> Any:
    """The values of a column, each once, without missing ones."""
    return type(column)(column.unique()).dropna()


def has_fraction(cell: str) -> bool:
    """Whether a cell holds a number that is not whole."""
    value = texts.number(cell)
    return value is not None and not value.is_integer()


def hold_text(cells: Iterable[str]) -> bool:
    """Whether any of these cells is text, but for True and False."""
    return any(texts.is_text(c) and c.strip().lower() not in ("true", "false") for c in cells)


def as_written(labels: Any, column: Any) -> Any:
    """Labels as the file has them; None where they are text, whole numbers, or True and False.

    Numbers that are not whole are no labels.

    Args:
        labels: the distinct texts; a gap is NaN.
        column: what was made of them.
    """
    values = column.dropna().infer_objects()
    kind = values.dtype.kind
    if kind not in "biuf" or (kind == "f" and (values != np.round(values)).any()):
        return None
    written = labels.where(column.notna()).str.strip()
    present = written.dropna()
    if kind == "b":
        distinct = set(present)
        # One truth in two ways, as true and TRUE, is one.
        is_plain = len(distinct) != 2 or distinct == {"True", "False"}
    else:
        is_plain = all(map(_PLAIN.fullmatch, present))
    return None if is_plain else written


def doubt_of(column: Any, has_commas: bool) -> Doubt | None:
    """The doubt about a column of text, without its line; None where there is none.

    Args:
        column: the series.
        has_commas: whether numbers of the table have decimal commas.
    """
    if not is_text(column):
        return None
    present = np.flatnonzero(column.notna())
    sample = [str(value) for value in column.iloc[present[:: 1 + len(present) // _SAMPLE]]]
    if sum(_is_stray(text, has_commas) for text in sample) > len(sample) / 2:
        return None
    counts = {str(value): int(n) for value, n in column.value_counts().items()}
    odd = {t: texts.remedy(t, has_commas) for t in counts if not _is_number(t, has_commas)}
    if has_commas:
        points = [text for text in counts if "." in text and texts.number(text) is not None]
        beside = any(texts.comma_of(text) is not None for text in counts)
        if beside or all(map(texts.has_points_between, points)):
            odd |= {text: texts.remedy_of_points(text) for text in points}
        odd |= {t: texts.remedy_of_points(t) for t in odd if texts.comma_of(t) == "decimals"}
    written = {text for text, remedy in odd.items() if remedy is not None}
    strays = odd.keys() - written
    if not odd or sum(counts[text] for text in strays) > _FEW * sum(counts.values()):
        return None
    rows = np.flatnonzero(column.astype(str).isin(written or strays).to_numpy())
    cell = str(column.iloc[rows[0]])
    return Doubt(str(column.name), cell, int(rows[0]), 0, len(rows), odd[cell])


def _is_stray(text: str, has_commas: bool) -> bool:
    return not _is_number(text, has_commas) and texts.remedy(text) is None


def _is_number(text: str, has_commas: bool) -> bool:
    """Whether a cell holds a number, or a sign of a missing one."""
    if texts.number(text) is not None or texts.is_missing(text):
        return True
    return has_commas and "." not in text and texts.comma_of(text) in ("decimals", "either")


def is_text(column: Any) -> bool:
    """Whether pandas holds text or other objects in a column."""
    return column.dtype.kind not in "biufcmM"
