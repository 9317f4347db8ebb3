"""Columns: what is done with each column of a table, decided once from the training rows."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule import _core, checks
from chainrule.markup import aligned
from chainrule.tabular import decisions
from chainrule.tabular.cells import Cells
from chainrule.tabular.kinds import (
    KINDS,
    MOST_ONE_HOT,
    MOST_WITHOUT_EMBEDDING,
    Column,
    Encoded,
    Number,
    Unused,
    to_units,
)
from chainrule.tabular.reading import Table, array_of_numbers, read

_MOST_NAMED = 8
"""Columns that an error message names."""


class _Numbers(NamedTuple):
    """What is done with a table of which only columns of numbers are used.

    Attributes:
        places: the numbers of these columns.
        medians: what stands for a missing number of each.
        flagged: which of them have a flag.
        units: what the numbers of each are divided by; None where it is 1 for all.
    """

    places: NDArray[np.int64]
    medians: NDArray[np.float64]
    flagged: NDArray[np.int64]
    units: NDArray[np.float64] | None


class Columns:
    """How the columns of a table become arrays; fixed once it is made.

    `fit` decides each column's kind from the rows that a model is trained on:

    - *numbers* stay as they are, but where float32 could not hold them or their scale: these are
      divided by a power of 2. A missing one becomes the median, and where some were missing in
      training a second column says so, by 1 and -1.
    - *categories* (text, booleans, pandas' categories, whole numbers of more than 53 bits): two
      values are one column, -1 and 1; up to eight a column each, of 0 and 1; more a number, for an
      embedding. A value that is missing, or that was not seen, is 0 throughout; in an embedding
      a missing one has a vector of its own, and values seen once share that of unknown ones. Whole
      numbers by such a name as "user_id" are categories, too, where more than eight values come
      back, each twice or more in the mean.
    - *dates* become the days since the first one, and the sine and cosine of the time of the
      year, month, week and day, as far as these vary.
    - *unused* columns are those without any values, constant ones, text that differs in nearly
      every row, and whole numbers that differ in every row by such a name as "id", "index", "row"
      or "patient_id".

    Text is read as numbers, as times (18:30), as durations (2 days 06:00:00) or as dates where all
    of it is; an offset of a date is left out. Dates are written as 2026-12-31, 2026/12/31,
    31.12.2026, 31 Dec 2026 or Dec 31, 2026, with or without a time; as 12/31/2026 or 31/12/2026
    where some date of the column tells which part is the month.
    Whole numbers of more than 53 bits stay text, and so does what is asked for as categorical. What
    a cell of a later table becomes depends on these decisions and on itself alone.

    Attributes:
        columns: the decision on each column, in order: its name, kind and reason.
        named: whether the table had names; then those of other tables are matched.
        numbered: whether these names are whole numbers, which pandas gives to an array's columns.
        numeric: how many of the numbers are numeric: numbers and parts of dates. They come first.
        plain: how many are flags and categories.
        sizes: for each embedded column how many codes it has.

    Example:
        >>> import numpy as np
        >>> table = np.array([[1.5, "red"], [2.5, "blue"], [None, "red"]], dtype=object)
        >>> columns = Columns.fit(table)
        >>> print(columns)
        column  kind      decision
        x0      number    a number; missing in 1 row: the median, and a flag
        x1      category  text of 2 values: -1 and 1
        >>> columns.transform(table)["numbers"]
        array([[ 1.5, -1. ,  1. ],
               [ 2.5, -1. , -1. ],
               [ 2. ,  1. ,  1. ]])
    """

    __slots__ = ("_numbers_alone", "columns", "named", "numbered", "numeric", "plain", "sizes")

    columns: tuple[Column, ...]
    named: bool
    numbered: bool
    numeric: int
    plain: int
    sizes: tuple[int, ...]
    _numbers_alone: _Numbers | None

    def __init__(self, columns: Sequence[Column], named: bool, numbered: bool = False) -> None:
        for name, value in {
            "columns": tuple(columns),
            "named": bool(named),
            "numbered": bool(numbered),
            "numeric": sum(column.numeric for column in columns),
            "plain": sum(column.plain for column in columns),
            "sizes": tuple(column.codes for column in columns if column.codes),
            "_numbers_alone": _numbers_alone(columns),
        }.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("Columns can't be changed: fit others")

    def __reduce__(self) -> Any:
        return Columns.from_dict, (self.to_dict(),)

    @classmethod
    def fit(
        cls,
        table: Any,
        *,
        numeric: Collection[Hashable] = (),
        categorical: Collection[Hashable] = (),
        dates: Collection[Hashable] = (),
        drop: Collection[Hashable] = (),
        embed: bool = True,
        rows: NDArray[np.int64] | None = None,
    ) -> Columns:
        """Decide what is done with each column.

        Args:
            table: a frame of pandas, polars or pyarrow, a dict of columns, which are arrays, series
                or lists, or an array of shape (rows, columns) of numbers or objects.
            numeric, categorical, dates: names of columns that are of this kind, whatever they look
                like; of a table without names, or with numbers for names, 0 or "x0", 1 or "x1" and
                so on. Of an array -1 is the last one. Labels that are neither text nor numbers, as
                the tuples of several levels, are names by their text.
            drop: names of columns that are not to be used.
            embed: whether a category of more than eight values is embedded; else one of up to 128
                values has a column for each.
            rows: the numbers of the rows that decide, int64; by default all. Whether text is
                numbers, times or dates all rows tell.

        Raises:
            TypeError: for a column of lists, bytes or anything else but numbers, text and dates.
            ValueError: for a table without rows, for infinite numbers, an unknown name, or values
                that are not of the kind that is asked for; if no column can be used.
        """
        found = read(table)
        if not found.rows or not found.width:
            raise ValueError(
                f"x has {found.rows} sample(s) and {found.width} feature(s) (shape=({found.rows}, "
                f"{found.width})) while a minimum of 1 is required: there is nothing to learn from"
            )
        names = _names(found)
        asked = decisions.asked(names, numeric, categorical, dates, drop, labels=found.labels)
        most = MOST_ONE_HOT if embed else MOST_WITHOUT_EMBEDDING
        columns: list[Column] = []
        for number, (name, place) in enumerate(zip(names, _places(found), strict=True)):
            kind = asked.get(name)
            if kind == "drop":  # whatever it holds
                columns.append(Unused(name, "left out, as asked"))
                continue
            cells = found.column(number, place, "text" if kind == "categorical" else None)
            cells = cells if rows is None else cells.take(rows)
            columns.append(decisions.decide(cells, name, kind, most))
        if not any(column.numeric + column.plain + column.codes for column in columns):
            reasons = "; ".join(f"{c.name!r}: {c.reason}" for c in columns[:_MOST_NAMED])
            raise ValueError(f"no column of x, of {found.rows} sample(s), can be used. {reasons}")
        return cls(columns, found.names is not None, found.numbered)

    def transform(self, table: Any) -> dict[str, NDArray[Any]]:
        """The arrays of a table's rows.

        Args:
            table: as in `fit`. A frame's columns may be in any order, and others beside them; those
                that are not used may be left out. Labels that are numbers count as names where
                those of `fit` were numbers, too. An array has all columns, in the order of `fit`.

        Returns:
            A dict: "numbers", float64 of shape (rows, numeric + plain), unless there are none;
            where there are embedded columns "codes", int64 of shape (rows, len(sizes)), numbered
            through: each column's begin where the last one's end.

        Raises:
            ValueError: for columns that are missing, or values that don't fit their kind.
            TypeError: as in `fit`.
        """
        if (numbers_alone := self._in_one_array(table)) is not None:
            return {"numbers": numbers_alone}
        parts = [column.encode(cells) for column, cells in self.cells_of(table)]
        arrays: dict[str, NDArray[Any]] = {}
        if self.numeric + self.plain:
            arrays["numbers"] = _joined(parts)
        if self.sizes:
            codes = np.stack([part.codes for part in parts if part.codes is not None], axis=1)
            starts = np.cumsum([0, *self.sizes[:-1]])
            arrays["codes"] = codes + starts
        return arrays

    def cells_of(self, table: Any) -> Iterator[tuple[Column, Cells]]:
        """Each column that is used, with its cells in a table; the table is as in `transform`."""
        found = read(table)
        numbers, places = self._numbers_in(found), _places(found)
        for column, number in zip(self.columns, numbers, strict=True):
            if number is not None:
                yield column, found.column(number, places[number], column.wanted)

    def _in_one_array(self, table: Any) -> NDArray[np.float64] | None:
        """The numbers of a table of finite ones, read at once; None where it may hold others."""
        kept, width = self._numbers_alone, len(self.columns)
        array = None
        if kept is not None:
            has_text = self.named and not self.numbered
            array = array_of_numbers(table, self.names if has_text else None)
        if kept is None or array is None or array.shape[1] != width:
            return None
        found = np.full((len(array), self.numeric + self.plain), -1.0)  # none is missing
        numbers = found[:, : self.numeric]
        numbers[...] = array if len(kept.places) == width else array[:, kept.places]
        if not _core.are_finite(found):
            missing = np.isnan(numbers)
            if np.isinf(numbers).any():
                return None
            np.copyto(numbers, kept.medians, where=missing)
            np.copyto(found[:, self.numeric :], 1.0, where=missing[:, kept.flagged])
        to_units(numbers, kept.units)
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, of those that are not used, too."""
        return tuple(column.name for column in self.columns)

    def unknown(self, table: Any) -> tuple[str, ...]:
        """The names of a table's columns that were not there in `fit`, which `transform` ignores.

        Example:
            >>> import pandas as pd
            >>> columns = Columns.fit(pd.DataFrame({"a": [1, 2, 4], "b": ["u", "v", "u"]}))
            >>> columns.unknown(pd.DataFrame({"c": [1], "b": ["v"], "a": [3]}))
            ('c',)
        """
        found = read(table)
        if not self._has_names_like(found):
            return ()
        return tuple(name for name in found.names or () if name not in self.names)

    def _has_names_like(self, found: Table) -> bool:
        """Whether columns are found by name: those with numbers for labels go by their places
        where the others have text, or none.
        """
        return self.named and found.names is not None and self.numbered == found.numbered

    def _numbers_in(self, found: Table) -> list[int | None]:
        """For each column its number in a table; None where it is not needed."""
        used = [column.numeric + column.plain + column.codes > 0 for column in self.columns]
        if self._has_names_like(found):
            names = found.names or ()
            places = {name: number for number, name in enumerate(names)}
            lacking = [
                c.name for c, is_used in zip(self.columns, used, strict=True)
                if is_used and c.name not in places
            ]  # fmt: skip
            if lacking:
                others = [name for name in names if name not in self.names]
                raise ValueError(
                    f"x lacks {checks.listed(map(repr, lacking))}; it has "
                    f"{checks.listed(map(repr, names))}{hint(lacking, others)}"
                )
            return [
                places[c.name] if is_used else None
                for c, is_used in zip(self.columns, used, strict=True)
            ]
        if found.width != len(self.columns):
            raise ValueError(
                f"x has {found.width} features, but {len(self.columns)} features are expected, in "
                f"the order of the training: {checks.listed(map(repr, self.names))}"
            )
        return [number if is_used else None for number, is_used in enumerate(used)]

    def describe(self) -> list[dict[str, Any]]:
        """For each column a dict with its "name", "kind" and "decision", in words."""
        return [
            {"name": c.name, "kind": _NAMES[type(c)], "decision": c.reason} for c in self.columns
        ]

    def __str__(self) -> str:
        rows = [(d["name"], d["kind"], d["decision"]) for d in self.describe()]
        return aligned([("column", "kind", "decision"), *rows], left=range(3))

    def __repr__(self) -> str:
        return f"<Columns: {len(self.columns)} columns, {self.numeric + self.plain} numbers>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Columns) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def to_dict(self) -> dict[str, Any]:
        """All of it, as plain data that JSON can hold."""
        columns = [{"kind": _NAMES[type(c)], **asdict(c)} for c in self.columns]
        return {"named": self.named, "numbered": self.numbered, "columns": columns}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Columns:
        """What `to_dict` gave, also where JSON has made lists of its tuples.

        Raises:
            ValueError: for anything else.
        """
        try:
            columns = []
            for given in found["columns"]:
                fields = dict(given)
                columns.append(KINDS[fields.pop("kind")](**fields).checked())
            return cls(columns, found["named"], found["numbered"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"this describes no columns: {error!r:.200}") from None


_NAMES = {kind: name for name, kind in KINDS.items()}


def _numbers_alone(columns: Sequence[Column]) -> _Numbers | None:
    """How the columns are read at once; None where others than numbers are used."""
    if not all(isinstance(column, (Number, Unused)) for column in columns):
        return None
    used = [(place, c) for place, c in enumerate(columns) if isinstance(c, Number)]
    units = np.array([column.unit for _, column in used])
    return _Numbers(
        np.array([place for place, _ in used]),
        np.array([column.median for _, column in used]),
        np.array([number for number, (_, c) in enumerate(used) if c.has_missing], np.int64),
        None if (units == 1.0).all() else units,
    )


def _names(found: Table) -> tuple[str, ...]:
    return found.names or tuple(f"x{number}" for number in range(found.width))


def _places(found: Table) -> list[str]:
    if found.names is None:
        return [f"x: column {number} (counted from 0)" for number in range(found.width)]
    return [f"column {name!r:.80}" for name in found.names]


def _joined(parts: Sequence[Encoded]) -> NDArray[np.float64]:
    """The numeric columns of all parts, then the plain ones."""
    arrays = [a for p in parts for a in p.numeric] + [a for p in parts for a in p.plain]
    return np.stack(arrays, axis=1)


def hint(lacking: Sequence[str], others: Sequence[str]) -> str:
    """Which of the other columns may be meant, by names that are nearly the same; empty if none."""
    lower = {name.strip().lower(): name for name in others}
    hints = []
    for name in lacking[:_MOST_NAMED]:
        near = difflib.get_close_matches(name.strip().lower(), lower, n=1, cutoff=0.75)
        if near:
            hints.append(f"{lower[near[0]]!r} may be {name!r}")
    return f". {', '.join(hints)}: rename {'them' if hints[1:] else 'it'}" if hints else ""
