"""What kind each column is, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from chainrule.data import cells as texts
from chainrule.tabular.cells import (
    EXACT,
    QUANTITIES,
    Cells,
    check_exact,
    of_text,
    to_numbers,
    to_text,
)
from chainrule.tabular.date_texts import ORDERS
from chainrule.tabular.kinds import (
    CYCLES,
    MOST_ONE_HOT,
    Category,
    Column,
    Dates,
    Number,
    Unused,
    phase,
    unit_of,
)

Asked = Literal["numeric", "categorical", "dates", "drop"]

_IDENTIFIER = re.compile(
    r"(?i:id|index|idx|row|rowid|row[ _]?(id|number)|unnamed: 0|.*[ _]id)|.*[a-z]I[dD]"
)
_FEW_ROWS = 20
"""With fewer rows all values of a text may differ by chance."""

_LOOKED_AT = 100
"""The number of texts that tell whether a column is one of numbers written otherwise."""

_DISTINCT = 0.9
"""Text of which this share differs says nothing of other rows."""


def asked(
    names: tuple[str, ...],
    numeric: Collection[Hashable],
    categorical: Collection[Hashable],
    dates: Collection[Hashable],
    drop: Collection[Hashable],
    *,
    labels: Sequence[Any] | None,
) -> dict[str, Asked]:
    """The kinds that the user asks for, by the column's name.

    Args:
        names: those of the table.
        numeric, categorical, dates, drop: the names or labels that the user gives for each kind.
        labels: the table's own for these names; None of an array, whose columns have numbers, from
            0 or from -1 at the end.

    Raises:
        TypeError: for one name in place of a list of them.
        ValueError: for a name that the table does not have, or that is asked for twice.
    """
    found: dict[str, Asked] = {}
    known = _names_by_label(names, labels)
    kinds: dict[Asked, Collection[Hashable]] = {
        "numeric": numeric, "categorical": categorical, "dates": dates, "drop": drop
    }  # fmt: skip
    for kind, given in kinds.items():
        if isinstance(given, str):
            raise TypeError(f"{kind} is a list of names: write {kind}=[{given!r}]")
        if not isinstance(given, Iterable):
            raise TypeError(f"{kind} is a list of names, got {given!r:.80}")
        for label in map(_plain, given):
            is_label = isinstance(label, Hashable) and not isinstance(label, (str, bool))
            name = known.get(label, label) if is_label else label
            if name not in names:
                raise ValueError(
                    f"{kind}: x has no column {label!r:.80}; it has {', '.join(names)[:400]}"
                )
            if name in found:
                raise ValueError(f"column {name!r} is asked for as {found[name]} and as {kind}")
            found[name] = kind
    return found


def _plain(label: Any) -> Any:
    """A label of NumPy as one of Python."""
    return label.item() if isinstance(label, np.generic) else label


def _names_by_label(names: Sequence[str], labels: Sequence[Any] | None) -> dict[Any, str]:
    """The names of columns by what stands for them; numbers below 0 count from the end."""
    numbers = range(len(names))
    if labels is not None and [*labels] != [*numbers]:
        return dict(zip(labels, names, strict=True))
    return {number: names[number] for number in (*numbers, *range(-len(names), 0))}


def decide(cells: Cells, name: str, kind: Asked | None, most: int = MOST_ONE_HOT) -> Column:
    """The kind of a column with these cells; a category of up to `most` values is not embedded.

    Raises:
        ValueError: if the cells are not of the kind that is asked for.
    """
    present = int((~cells.missing).sum())
    if not present:
        return Unused(name, "all values are missing")
    if kind == "categorical":
        cells = to_text(cells)
        check_exact(cells, name)
        return _category(cells, name, "as asked, ", most)
    if kind in ("numeric", "dates") and cells.was == "categories":
        cells = of_text(cells.values, cells.missing)
    if kind == "numeric" and cells.was == "large integers":
        cells = to_numbers(cells)
    if kind == "numeric" and cells.form != "numbers":
        raise ValueError(f"numeric: column {name!r} holds {cells.was}, not numbers{_remedy(cells)}")
    if kind == "dates" and cells.form != "dates":
        raise ValueError(
            f"dates: column {name!r} holds {cells.was}, not dates. Write them as 2026-12-31 or "
            "2026-12-31 23:59:59"
        )
    if cells.form == "text":
        return _of_text(cells, name, present, most)
    values = cells.values[~cells.missing]
    if present == len(cells.missing) and (values == values[0]).all():
        shown = f"{values[0]:g}" if cells.form == "numbers" else "one date"
        return Unused(name, f"constant: {shown}")
    if cells.form == "dates":
        return _dates(cells, name)
    if kind is None and cells.is_whole and _IDENTIFIER.fullmatch(name):
        distinct = len(np.unique(values))
        if distinct == len(cells.missing) >= _FEW_ROWS:
            return Unused(name, "an identifier: its name says so, and every value differs")
        if MOST_ONE_HOT < distinct <= present // 2:
            return _category(to_text(cells), name, "an identifier by its name, ", most)
    return _number(cells, name)


def _remedy(cells: Cells) -> str:
    """What to do about the first text that is no number."""
    found = (v for v in cells.values if v is not None) if cells.form == "text" else ()
    text = next((v for v in found if texts.number(v) is None), None)
    return "" if text is None else f": {texts.remedy(text) or f'{text!r:.80} is none'}"


def _number(cells: Cells, name: str) -> Number:
    values = cells.values[~cells.missing]
    median = 2 * float(np.median(values / 2))  # whose two middle numbers have a finite sum
    reason = "a number" if cells.was == "numbers" else cells.was
    has_missing, unit = bool(cells.missing.any()), unit_of(values)
    is_rounded = np.abs(values).max() >= EXACT and (values == np.round(values)).all()
    if is_rounded and has_missing:  # as where a gap made floats of identifiers
        reason += " of 2**53 or more, rounded to a float"
    was = cells.was.removeprefix("text of ")
    wanted = next((w for w in QUANTITIES if was.startswith(w)), QUANTITIES[0])
    return Number(name, f"{reason}{_of_missing(cells)}", median, has_missing, unit, wanted)


def _of_text(cells: Cells, name: str, present: int, most: int) -> Column:
    distinct = len({value for value in cells.values if value is not None})
    if distinct == 1 and present == len(cells.missing):
        return Unused(name, f"constant: {cells.values[0]!r:.40}")
    if len(cells.missing) >= _FEW_ROWS and distinct >= _DISTINCT * present and distinct > 2:
        reason = f"{cells.was}: nearly every value differs ({distinct} of {present})"
        return Unused(name, reason + _of_numbers(cells.values))
    found = _category(cells, name, "", most)
    if len(found.values) <= MOST_ONE_HOT:
        return found
    return replace(found, reason=found.reason + _of_numbers(cells.values))


def _of_numbers(values: list[str | None]) -> str:
    """What keeps texts from being numbers: how all are written, or some texts among numbers."""
    given = [text for text in values if text is not None]
    first = given[:_LOOKED_AT]
    foreign = [text for text in first if texts.number(text) is None and not texts.remedy(text)]
    if 2 * len(foreign) >= len(first):
        return ""
    others = [text for text in given if texts.number(text) is None]
    remedies = [texts.remedy(text) for text in others[:_LOOKED_AT]]
    if remedies and all(remedies):
        return f"; {remedies[0]}"
    if not others:
        return ""
    if 2 * len(others) >= len(given):  # numbers in another form, and texts among them
        text = others[remedies.index(None)]
        return f"; numbers but for some rows, as {text!r:.40}"
    rows = f"{len(others)} row{'s' * (len(others) > 1)}"
    return f"; numbers but for {rows}, as {others[0]!r:.40}"


def _category(cells: Cells, name: str, why: str, most: int) -> Category:
    counts = Counter(value for value in cells.values if value is not None)
    has_missing = bool(cells.missing.any())
    was = cells.was if cells.was != "numbers" else "numbers as categories"
    reason = f"{why}{was} of {len(counts)} value{'s' * (len(counts) > 1)}"
    if len(counts) <= MOST_ONE_HOT:
        form = "-1 and 1" if len(counts) == 2 else "a column each"
        missing = "; missing ones are 0" if has_missing else ""
        return Category(
            name, f"{reason}: {form}{missing}", _ordered(counts), has_missing, cells.meaning
        )
    seen_once = sum(count == 1 for count in counts.values())
    kept = counts
    if seen_once and len(counts) - seen_once > MOST_ONE_HOT:
        kept = Counter({value: count for value, count in counts.items() if count > 1})
        reason += f", {seen_once} of them in one row alone"
    if len(kept) <= most:
        missing = "; missing ones are 0" if has_missing else ""
        return Category(
            name, f"{reason}: a column each{missing}", _ordered(kept), has_missing, cells.meaning,
            one_hot=True,
        )  # fmt: skip
    missing = "; missing ones have a vector" if has_missing else ""
    return Category(
        name, f"{reason}: embedded{missing}", _ordered(kept), has_missing, cells.meaning
    )


def _ordered(counts: Counter[str]) -> tuple[str, ...]:
    return tuple(sorted(counts))


def _dates(cells: Cells, name: str) -> Dates:
    days = cells.values[~cells.missing]
    varying = [cycle for cycle in CYCLES if np.ptp(phase(days, cycle))]
    if np.ptp(days) < 1:  # a few hours
        varying = [cycle for cycle in varying if cycle == "day"]
    reason = f"{cells.was}: days since the first"
    if varying:
        reason += ", time of " + " and ".join(", ".join(varying).rsplit(", ", 1))
    order = next(order for order in reversed(ORDERS) if cells.was.endswith(order))
    return Dates(
        name, reason + _of_missing(cells), float(days.min()), float(np.median(days)),
        tuple(varying), bool(cells.missing.any()), order,
    )  # fmt: skip


def _of_missing(cells: Cells) -> str:
    count = int(cells.missing.sum())
    rows = f"{count} row{'s' * (count > 1)}"
    return f"; missing in {rows}: the median, and a flag" if count else ""
