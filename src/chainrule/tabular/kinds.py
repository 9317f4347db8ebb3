"""The kinds of columns: what each makes of its cells."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from chainrule.data import cells as texts
from chainrule.tabular.cells import (
    EXACT,
    QUANTITIES,
    Cells,
    Meaning,
    Wanted,
    canonical,
    check_exact,
)
from chainrule.tabular.date_texts import ORDERS, Order

MOST_ONE_HOT = 8
"""So many values of a category get a column each; more are embedded."""

MOST_WITHOUT_EMBEDDING = 128
"""The same where embeddings are not wanted. More columns would fill the memory."""

CYCLES = {"year": 366.0, "month": 31.0, "week": 7.0, "day": 1.0}
"""The cycles of dates, and their greatest lengths in days: the same day of every month is at the
same place."""


class Encoded(NamedTuple):
    """What a column becomes.

    Attributes:
        numeric: columns of numbers, float64.
        plain: columns of flags and one-hot categories, float64.
        codes: the numbers of an embedded category, int64; else None.
    """

    numeric: list[NDArray[np.float64]]
    plain: list[NDArray[np.float64]]
    codes: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Number:
    """A column of numbers.

    Attributes:
        median: what stands for a missing number.
        has_missing: whether some were missing in training, so that a flag says which.
        unit: what numbers are divided by: a power of 2, other than 1 where float32 could not hold
            the numbers, or their scale.
        wanted: "numbers"; "times", in hours; or "durations", in days.
    """

    name: str
    reason: str
    median: float
    has_missing: bool
    unit: float = 1.0
    wanted: Wanted = "numbers"

    codes: ClassVar[int] = 0
    numeric: ClassVar[int] = 1

    @property
    def plain(self) -> int:
        return int(self.has_missing)

    def encode(self, cells: Cells) -> Encoded:
        values = to_units(np.where(cells.missing, self.median, cells.values), self.unit)
        return Encoded([values], _flag(cells) if self.has_missing else [])

    def checked(self) -> Number:
        if not _finite(self.unit) > 0:
            raise ValueError(f"a unit is above 0, not {self.unit!r:.80}")
        if self.wanted not in QUANTITIES:
            raise ValueError(f"numbers are {', '.join(QUANTITIES)}, not {self.wanted!r:.80}")
        return replace(
            self, median=_finite(self.median), has_missing=bool(self.has_missing),
            unit=float(self.unit),
        )  # fmt: skip


@dataclass(frozen=True)
class Category:
    """A column of categories.

    Attributes:
        values: the known ones, as text.
        has_missing: whether some were missing in training.
        meaning: what they were: text, which is kept as it stands, or the text of numbers, booleans
            or dates, of which each may be written in several ways.
        one_hot: whether each has a column, also where there are more than 8.
    """

    name: str
    reason: str
    values: tuple[str, ...]
    has_missing: bool
    meaning: Meaning
    one_hot: bool = False

    numeric: ClassVar[int] = 0
    wanted: ClassVar[Wanted | None] = "text"

    @property
    def is_embedded(self) -> bool:
        return len(self.values) > MOST_ONE_HOT and not self.one_hot

    @property
    def plain(self) -> int:
        if self.is_embedded:
            return 0
        return 1 if len(self.values) == 2 else len(self.values)

    @property
    def codes(self) -> int:
        """The numbers of an embedding: 0 for unknown ones, 1 for missing ones, then the values."""
        return len(self.values) + 2 if self.is_embedded else 0

    @cached_property
    def _known(self) -> dict[str, int]:
        """The number of each known value, from 2."""
        return {value: number for number, value in enumerate(self.values, 2)}

    @cached_property
    def _without_blanks(self) -> dict[str, int]:
        """The number of each value by its text without blanks around it, if no other has that."""
        counts = Counter(map(str.strip, self.values))
        numbers = {value.strip(): number for value, number in self._known.items()}
        return {text: number for text, number in numbers.items() if counts[text] == 1}

    def _number(self, text: str) -> int:
        """The number of a value, which may have other blanks around it; 0 of an unknown one."""
        value = canonical(text, self.meaning)
        return self._known.get(value) or self._without_blanks.get(value.strip(), 0)

    @cached_property
    def _has_large(self) -> bool:
        """Whether some are whole numbers that float64 does not tell apart."""
        is_number = self.meaning == "numbers"
        return is_number and any(abs(texts.number(value) or 0.0) >= EXACT for value in self.values)

    def encode(self, cells: Cells) -> Encoded:
        if cells.rounded is not None and self._has_large:
            check_exact(cells, self.name)
        code = {text: 1 if text is None else self._number(text) for text in set(cells.values)}
        codes = np.array([code[text] for text in cells.values], np.int64)
        if self.is_embedded:
            if not self.has_missing:
                codes[codes == 1] = 0  # nothing was learnt of missing ones
            return Encoded([], [], codes)
        if len(self.values) == 2:
            return Encoded([], [np.array([0.0, 0.0, -1.0, 1.0])[codes]])
        return Encoded(
            [], [(codes == number).astype(np.float64) for number in self._known.values()]
        )

    def checked(self) -> Category:
        if isinstance(self.values, str) or not all(isinstance(v, str) for v in self.values):
            raise ValueError(f"categories are text, not {self.values!r:.80}")
        if self.meaning not in get_args(Meaning):
            raise ValueError(f"categories mean {get_args(Meaning)}, not {self.meaning!r:.80}")
        return replace(
            self, values=tuple(self.values), has_missing=bool(self.has_missing),
            one_hot=bool(self.one_hot),
        )  # fmt: skip


@dataclass(frozen=True)
class Dates:
    """A column of dates and times.

    Attributes:
        start: the first one, in days since 1970.
        median: the one that stands for a missing date.
        cycles: those of "year", "month", "week" and "day" that vary.
        has_missing: whether some were missing in training.
        wanted: how text is read.
    """

    name: str
    reason: str
    start: float
    median: float
    cycles: tuple[str, ...]
    has_missing: bool
    wanted: Order = "dates"

    codes: ClassVar[int] = 0

    @property
    def numeric(self) -> int:
        return 1 + 2 * len(self.cycles)

    @property
    def plain(self) -> int:
        return int(self.has_missing)

    def encode(self, cells: Cells) -> Encoded:
        days = np.where(cells.missing, self.median, cells.values)
        found = [days - self.start]
        for cycle in self.cycles:
            angle = 2 * np.pi * phase(days, cycle)
            found += [np.sin(angle), np.cos(angle)]
        return Encoded(found, _flag(cells) if self.has_missing else [])

    def checked(self) -> Dates:
        if any(cycle not in CYCLES for cycle in self.cycles):
            raise ValueError(f"cycles are of {', '.join(CYCLES)}, not {self.cycles!r:.80}")
        if self.wanted not in ORDERS:
            raise ValueError(f"dates are {'; '.join(ORDERS)}, not {self.wanted!r:.80}")
        return replace(
            self, start=_finite(self.start), median=_finite(self.median),
            cycles=tuple(self.cycles), has_missing=bool(self.has_missing),
        )  # fmt: skip


@dataclass(frozen=True)
class Unused:
    """A column that is not used."""

    name: str
    reason: str

    codes: ClassVar[int] = 0
    numeric: ClassVar[int] = 0
    plain: ClassVar[int] = 0
    wanted: ClassVar[Wanted | None] = None

    def encode(self, cells: Cells) -> Encoded:
        return Encoded([], [])

    def checked(self) -> Unused:
        return self


Column: TypeAlias = Number | Category | Dates | Unused

KINDS: dict[str, Any] = {"number": Number, "category": Category, "date": Dates, "unused": Unused}


_FAR = 2.0**100
"""A column has the unit 1 where a quarter of its largest number in training is below this."""

_MOST = 4 * _FAR
"""Numbers of other rows that lie farther out are clipped, as `nn.RobustScale` does to 3 spreads."""


def unit_of(values: NDArray[np.float64]) -> float:
    """The unit of these numbers, in which float32 holds them and their scale."""
    lower, upper = np.quantile(values, [0.25, 0.75]) / 4  # differences stay finite
    low, high = values.min() / 4, values.max() / 4
    spread = upper - lower if lower < upper else high - low
    if max(-low, high) < _FAR and (spread > 1 / _FAR or low == high):
        return 1.0
    return float(np.ldexp(1.0, int(np.frexp(max(spread or abs(low), 1e-300))[1])))


def to_units(values: NDArray[np.float64], units: Any) -> NDArray[np.float64]:
    """Numbers, changed in place: in units of their columns, near enough to 0 for float32.

    Args:
        values: the numbers.
        units: what they are divided by; None where it is 1 for all.
    """
    if units is not None:
        with np.errstate(over="ignore"):
            values /= units
    return values.clip(-_MOST, _MOST, out=values)


def phase(days: NDArray[np.float64], cycle: str) -> NDArray[np.float64]:
    """How much of a year, month, week or day has passed, as a share of the longest one."""
    length = CYCLES[cycle]
    if cycle in ("year", "month"):
        unit = "Y" if cycle == "year" else "M"
        first = np.floor(days).astype("datetime64[D]").astype(f"datetime64[{unit}]")
        days = days - first.astype("datetime64[D]").astype(np.float64)
    return np.asarray(np.mod(days, length) / length, np.float64)


def _finite(value: Any) -> float:
    if not math.isfinite(value):
        raise ValueError(f"a finite number is needed, got {value!r:.80}")
    return float(value)


def _flag(cells: Cells) -> list[NDArray[np.float64]]:
    return [np.where(cells.missing, 1.0, -1.0)]
