"""Targets of a table: classes as numbers, or standardised numbers, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainrule.tabular import cells
from chainrule.tabular.criteria import (
    Classification,
    Criterion,
    Gaussian,
    Quantiles,
    SquaredError,
    deviation,
)
from chainrule.tabular.reading import read_targets
from chainrule.tabular.recipe import TaskName
from chainrule.tabular.time_texts import days_of

_LARGEST = 1e300
"""Larger targets are refused: their distances, and sums over rows, would overflow float64."""

_FARTHEST = 1e18
"""Standardised targets farther out are refused: the loss squares them in float32."""


_ROUNDING = 1e-14
"""Targets that differ by less, as a share of the largest, count as equal: float64 rounds them."""


class OutlierError(ValueError):
    """A target lies too far from those that a network is trained on.

    Attributes:
        row: its row, counted from 0.
        value: the target.
    """

    def __init__(self, row: int, value: float) -> None:
        super().__init__(
            f"y: row {row} (counted from 0) holds {value:g}, too far from the other rows for "
            "float32. Correct it, or drop the row"
        )
        self.row, self.value = row, value


@dataclass(frozen=True)
class Classes:
    """The classes of a classification.

    Attributes:
        labels: the classes, sorted: all text, all numbers, or False and True.
    """

    labels: tuple[Any, ...]

    @property
    def outputs(self) -> int:
        return len(self.labels)

    def encode(self, y: Any) -> NDArray[np.int64]:
        """The number of each row's class.

        Raises:
            ValueError: for a class that is not among the labels.
        """
        known = {cells.as_text(label): number for number, label in enumerate(self.labels)}
        found = _column(y, "labels")
        _check_present(found)
        meaning = _meaning(self.labels[0])
        code = {text: known.get(cells.canonical(text, meaning)) for text in set(found.values)}
        wrong = next((text for text in found.values if code[text] is None), None)
        if wrong is not None:
            shown = repr(wrong) if found.meaning == "text" else wrong
            raise ValueError(
                f"y holds {shown:.80}, which is none of the {len(known)} classes of the training"
            )
        return np.array([code[text] for text in found.values], np.int64)

    def decode(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """The classes of these numbers."""
        labels = np.array(self.labels)
        if labels.tolist() != list(self.labels):  # of text, without NUL at its end
            labels = np.array(self.labels, object)
        return labels[numbers]


@dataclass(frozen=True)
class Numbers:
    """The targets of a regression, standardised for the network.

    Attributes:
        mean, scale: of each target on the training rows; the scale of a constant one is 1, or what
            float64 rounds of it if that is more.
        low, high: the range of each target, within which predictions are clipped: that of the rows
            to train on and those held out of them, not of rows that `validation` gives.
        is_vector: whether a target is one number, not a row of them.
        loss: "squared_error", "quantile" or "gaussian".
        quantiles: the levels, rising, where that is "quantile".
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    is_vector: bool
    loss: str = "squared_error"
    quantiles: tuple[float, ...] = ()

    @property
    def outputs(self) -> int:
        """The number of outputs of a network."""
        return {"quantile": len(self.quantiles), "gaussian": 2}.get(self.loss, len(self.mean))

    def encode(self, y: Any) -> NDArray[np.float32]:
        """Standardised targets, shape (rows, targets); infinite beyond float32's range."""
        with np.errstate(over="ignore"):
            return ((self.values(y) - self.mean) / self.scale).astype(np.float32)

    def values(self, y: Any) -> NDArray[np.float64]:
        """Targets in their own units, shape (rows, targets).

        Raises:
            ValueError: for a missing or infinite one, or another number of targets.
            TypeError: for targets that are no numbers.
        """
        values = _numbers(y)
        values = values.reshape(len(values), -1)
        if values.shape[1] != len(self.mean):
            raise ValueError(f"y has {values.shape[1]} columns, not {len(self.mean)}")
        return values

    def decode(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        """Predictions in the units of the targets, clipped to their range.

        Of quantiles it is the median: between the two around it if they do not hold it, the nearest
        if all are on one side. Of a Gaussian it is the mean.
        """
        if self.loss == "quantile":
            levels = self.quantiles
            shares = [np.interp(0.5, levels, unit) for unit in np.eye(len(levels))]
            values = (self.bounds(outputs) * shares).sum(axis=1, keepdims=True)
        else:
            values = self._in_units(outputs[:, :1] if self.loss == "gaussian" else outputs)
        return values[:, 0] if self.is_vector else values

    def bounds(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        """The quantiles in the units of the targets, rising in each row."""
        return self._in_units(np.sort(outputs, axis=1))

    def deviation(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        """The standard deviation of a Gaussian, in the units of the targets."""
        return deviation(outputs) * self.scale[0]

    def squared_error(self) -> SquaredError:
        """The squared error of standardised predictions."""
        low, high = (
            (np.array(bounds) - self.mean) / self.scale for bounds in (self.low, self.high)
        )
        return SquaredError(low, high)

    def _in_units(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        values = outputs.astype(np.float64) * self.scale + self.mean
        return np.asarray(np.clip(values, self.low, self.high))


Target: TypeAlias = Classes | Numbers


def classes_of(labels: NDArray[Any]) -> Classes:
    """Sorted labels of an estimator as classes that a file can keep: dates as text, durations as
    days, others as Python's own text, numbers and booleans.

    >>> classes_of(np.array(["2026-03-01", "2026-12-31"], "M8[D]")).labels
    ('2026-03-01T00:00:00.000000', '2026-12-31T00:00:00.000000')
    """
    as_kept: dict[str, Callable[[Any], Any]] = {
        "M": cells.as_text,
        "m": days_of,
        "f": float,
        "O": str.__str__,
    }
    convert = as_kept.get(labels.dtype.kind)
    return Classes(tuple(labels.tolist() if convert is None else map(convert, labels)))


def fit_target(
    task: TaskName,
    y: Any,
    train: NDArray[np.int64] | None = None,
    seen: NDArray[np.int64] | None = None,
    *,
    loss: str = "squared_error",
    quantiles: Sequence[float] = (),
) -> Target:
    """What the targets are made of.

    Args:
        task: "classification" or "regression".
        y: the targets.
        train: the rows that are trained on; the mean and the scale are theirs.
        seen: those whose range predictions are clipped to; by default the same.
        loss, quantiles: of a regression; see `Numbers`.

    Raises:
        ValueError: for missing, infinite or too large targets, or of a classification a single
            class.
        TypeError: for targets that are no labels or numbers.
    """
    if task == "classification":
        labels = sorted(set(_labels(y)))
        if len(labels) < 2:
            raise ValueError(
                f"the classifier needs two classes or more: y holds 1 class, {labels[0]!r:.80}"
            )
        return Classes(tuple(labels))
    values = _numbers(y)
    table = values.reshape(len(values), -1)
    sizes = np.abs(table).max(axis=1)
    if sizes.max() > _LARGEST:
        row = int(sizes.argmax())
        raise ValueError(
            f"y: row {row} (counted from 0) holds a number of size {sizes[row]:g}, and a "
            f"regression takes {_LARGEST:g} at most: give y another unit"
        )
    if loss != "squared_error" and table.shape[1] > 1:
        raise ValueError(f"loss={loss!r} is for one target, and y has {table.shape[1]} columns")
    rows = slice(None) if train is None else train
    within, table = table[rows if seen is None else seen], table[rows]
    if not len(table):
        raise ValueError(f"of {len(values)} rows none is left to train on: give more rows")
    size = powers_of_two(table)
    scale = (table / size).std(axis=0) * size
    rounded = _ROUNDING * np.abs(table).max(axis=0)
    return Numbers(
        _plain((table / size).mean(axis=0) * size),
        _plain(np.where(scale > rounded, scale, np.maximum(rounded, 1.0))),
        _plain(within.min(axis=0)),
        _plain(within.max(axis=0)),
        values.ndim == 1,
        loss,
        tuple(quantiles) if loss == "quantile" else (),
    )


def check_near(target: Target, y: Any, rows: NDArray[np.int64]) -> None:
    """Raise OutlierError where some of these rows hold a number too far away for a loss."""
    if isinstance(target, Classes):
        return
    values = target.values(y)[rows]
    with np.errstate(over="ignore"):
        distances = np.abs(values - target.mean) / target.scale
    if (distances > _FARTHEST).any():
        place, output = np.unravel_index(int(distances.argmax()), distances.shape)
        raise OutlierError(int(rows[place]), float(values[place, output]))


def powers_of_two(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each column the next power of 2 above its largest absolute value, 2**1023 at most.

    Division by it rounds nothing, and leaves numbers whose squares do not overflow.
    """
    return np.ldexp(1.0, np.minimum(np.frexp(np.abs(columns).max(axis=0))[1], 1023))


def criterion_of(target: Target, label_smoothing: float) -> Criterion:
    """The loss and the error for a target."""
    if isinstance(target, Classes):
        return Classification(label_smoothing)
    if target.loss == "quantile":
        return Quantiles(target.quantiles)
    return Gaussian() if target.loss == "gaussian" else target.squared_error()


def target_from_dict(found: Mapping[str, Any]) -> Target:
    """What `asdict` gave of one, also where lists are in the places of tuples.

    Raises:
        ValueError: for anything else.
    """
    try:
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in found.items()
        }
        target = Classes(**fields) if "labels" in fields else Numbers(**fields)
        fault = _fault_of_classes(target) if "labels" in fields else _fault_of_numbers(target)
    except TypeError as error:
        fault = str(error)
    if fault is not None:
        raise ValueError(f"this describes no target: {fault:.200}")
    return target


def _fault_of_classes(target: Any) -> str | None:
    """What is wrong with labels that come from a file; None where nothing is."""
    labels = target.labels
    kinds = {type(label) for label in labels}
    if len(kinds) != 1 or not kinds <= {str, int, bool, float}:
        return f"labels are all text, numbers or booleans, not {labels!r}"
    if len(labels) < 2 or len(set(labels)) < len(labels) or list(labels) != sorted(labels):
        return f"labels are two or more, sorted, each once, not {labels!r}"
    return None


def _fault_of_numbers(target: Any) -> str | None:
    """What is wrong with the description of numbers; None where nothing is."""
    columns = target.mean, target.scale, target.low, target.high
    if any(len(column) != len(target.mean) for column in columns) or not target.mean:
        return "mean, scale, low and high hold a number for each target"
    if any(type(value) is not float for column in columns for value in column):
        return "mean, scale, low and high hold numbers"
    values = np.array(columns)
    if not np.isfinite(values).all() or (values[1] <= 0).any() or (values[2] > values[3]).any():
        return "a scale is above 0, and low at most high"
    if target.is_vector not in (True, False) or (target.is_vector and len(target.mean) > 1):
        return f"is_vector={target.is_vector!r} of {len(target.mean)} targets"
    levels = target.quantiles
    if target.loss == "quantile":
        is_rising = all(type(q) is float for q in levels) and list(levels) == sorted({*levels})
        if not levels or not is_rising or not 0 < levels[0] <= levels[-1] < 1:
            return f"quantiles rise and lie between 0 and 1, not {levels!r}"
    elif target.loss not in ("squared_error", "gaussian"):
        return f"loss={target.loss!r}"
    return (
        None if target.loss == "squared_error" or len(values[0]) == 1 else "one target has a loss"
    )


def _meaning(label: Any) -> cells.Meaning:
    """What the classes are of which this is one."""
    if isinstance(label, str):
        return "text"
    return "booleans" if isinstance(label, bool) else "numbers"


def _column(y: Any, wanted: cells.Wanted) -> cells.Cells:
    columns, _ = read_targets(y, wanted=wanted)
    if len(columns) != 1:
        raise ValueError(
            f"y should be a 1d array, got an array of {len(columns)} columns instead: give one "
            "column of classes"
        )
    return columns[0]


def _labels(y: Any) -> list[Any]:
    """Labels as text, whole numbers or booleans."""
    found = _column(y, "labels")
    _check_present(found)
    if found.meaning == "booleans":
        return [value == "True" for value in found.values]
    if found.meaning == "text":
        return list(found.values)
    if found.meaning == "dates":
        raise TypeError("y holds dates, which are no classes")
    distinct = set(found.values)
    for text in found.values:
        if not text.lstrip("-").isdigit():
            raise ValueError(
                f"Unknown label type: y holds {text}, and classes are text, whole numbers or "
                "booleans. For numbers there is regression"
            )
    whole = {text: int(text) for text in distinct}
    return [whole[text] for text in found.values]


def _numbers(y: Any) -> NDArray[np.float64]:
    """Targets of a regression as float64, shape (rows,) or (rows, targets)."""
    columns, is_vector = read_targets(y)
    found = [_finite(column) for column in columns]
    return found[0] if is_vector else np.stack(found, axis=1)


def _finite(found: cells.Cells) -> NDArray[np.float64]:
    _check_present(found)
    if found.meaning == "booleans":
        return np.array([value == "True" for value in found.values], np.float64)
    if found.was == "large integers":
        found = cells.to_numbers(found)._replace(was="numbers")
    if found.form != "numbers" or not found.was.endswith("numbers"):
        has_unit = found.form in ("numbers", "dates")
        remedy = ": give numbers of a unit, as hours or days" if has_unit else ""
        raise TypeError(f"y holds {found.was}, and a regression predicts numbers{remedy}")
    return np.asarray(found.values, np.float64)


def _check_present(found: cells.Cells) -> None:
    gone = np.flatnonzero(found.missing)
    if not len(found.missing):
        raise ValueError("y has no rows")
    if len(gone):
        raise ValueError(
            f"y contains NaN: it is missing at row {gone[0]} ({len(gone)} in all). Drop such rows"
        )


def _plain(values: Sequence[Any] | NDArray[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
