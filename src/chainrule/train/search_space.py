"""The space of a search: ranges and choices of hyper-parameters, and how settings are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np

from chainrule import checks


@dataclass(frozen=True)
class Range:
    """The numbers of a hyper-parameter from `low` to `high`: whole ones if both are.

    Args:
        low, high: the ends, both included.
        log: whether equal ratios, not equal distances, are equally likely: for learning rates,
            decays and widths.

    Raises:
        TypeError: for ends that are no numbers.
        ValueError: unless low < high, and low > 0 with `log`.

    Example:
        >>> import chainrule as cr
        >>> cr.Range(1e-4, 1e-1, log=True).at(0.5).__round__(5)
        0.00316
        >>> cr.Range(1, 4).at(0.99)
        4
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            checks.number(name, getattr(self, name))
        checks.flag("log", self.log)
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"a Range has low < high, with log=True 0 < low: got {self}")

    @property
    def is_whole(self) -> bool:
        """Whether the numbers are whole."""
        return isinstance(self.low, Integral) and isinstance(self.high, Integral)

    def at(self, share: float) -> float:
        """The number below which this share, in [0, 1), of the numbers lies."""
        low, high = (self.low - 0.5, self.high + 0.5) if self.is_whole else (self.low, self.high)
        found = low * (high / low) ** share if self.log else low + (high - low) * share
        found = min(max(found, self.low), self.high)
        return round(float(found)) if self.is_whole else float(found)


Space: TypeAlias = Mapping[str, Any]
"""By the name of each hyper-parameter its `Range`, or a list of choices."""


def check_space(space: Any) -> None:
    """Raise TypeError or ValueError unless it is a space."""
    if not isinstance(space, Mapping):
        raise TypeError(
            "space is a dict: by the name of a hyper-parameter a Range, or a list; got "
            f"{checks.described(space)}"
        )
    if not space:
        raise ValueError(
            "space is empty: give at least one hyper-parameter, as {'lr': Range(1e-4, 1e-1)}"
        )
    for name, given in space.items():
        is_list = isinstance(given, (list, tuple, np.ndarray)) and len(given)
        if not isinstance(given, Range) and not is_list:
            raise TypeError(
                f"space[{name!r}] is a Range or a list of choices, got {checks.described(given)}"
            )


def draw(rng: np.random.Generator, given: Range | Sequence[Any]) -> Any:
    """A random value of a hyper-parameter."""
    share = float(rng.random())
    return given.at(share) if isinstance(given, Range) else given[int(share * len(given))]


def chosen(given: Range | Sequence[Any], proposed: Any) -> Any:
    """The value of what optuna proposed: a number, or that of a choice."""
    return proposed if isinstance(given, Range) else given[int(proposed)]
