"""Arrays as plain JSON: whole where they are small, else a summary and a corner."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.graph.tensor import Array

MOST_ELEMENTS = 256
"""An array with more elements is summarised."""

_CORNER = 4


def as_json(array: Array) -> dict[str, Any]:
    """An array as JSON: `shape`, `dtype`, `values` or None, `summary`, `corner` or None."""
    is_small = array.size <= MOST_ELEMENTS
    return {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "values": _nested(array) if is_small else None,
        "summary": summary(array),
        "corner": None if is_small else _nested(_corner(array)),
    }


def _corner(array: Array) -> Array:
    """The first rows and columns, at 0 of all axes before them."""
    index = (0,) * (array.ndim - 2) + (slice(_CORNER),) * min(array.ndim, 2)
    corner: Array = array[index]
    return corner


def summary(array: Array) -> dict[str, Any]:
    """The `minimum`, `maximum`, `mean` and Euclidean `norm`; each is None of an empty array."""
    if not array.size:
        return dict.fromkeys(("minimum", "maximum", "mean", "norm"))
    numbers = array.astype(np.float64)
    with np.errstate(all="ignore"):
        found = {
            "minimum": numbers.min(),
            "maximum": numbers.max(),
            "mean": numbers.mean(),
            "norm": np.sqrt(np.square(numbers).sum()),
        }
    return {key: number(value) for key, value in found.items()}


def _nested(array: Array) -> Any:
    values = array.tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return _without_infinities(values)
    return values


def _without_infinities(values: Any) -> Any:
    return list(map(_without_infinities, values)) if isinstance(values, list) else number(values)


def number(value: Any) -> float | str:
    """A float; NaN and infinities as the names that JavaScript has for them."""
    found = float(value)
    if np.isfinite(found):
        return found
    return "NaN" if np.isnan(found) else "Infinity" if found > 0 else "-Infinity"


def from_json(held: dict[str, Any]) -> Array | None:
    """The array of which `as_json` made `held`; None where that has a summary alone."""
    if held["values"] is None:
        return None
    return np.array(_with_infinities(held["values"]), held["dtype"]).reshape(held["shape"])


def corner_from_json(held: dict[str, Any]) -> Array | None:
    """The corner of a large array of which `as_json` made `held`; None where that is whole."""
    if held["corner"] is None:
        return None
    return np.array(_with_infinities(held["corner"]), held["dtype"])


def _with_infinities(values: Any) -> Any:
    if isinstance(values, list):
        return list(map(_with_infinities, values))
    return float(values) if isinstance(values, str) else values
