"""The numbers of axes and lengths that a call gives: checked, and as the functions need them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index
from typing import Any

from chainrule.errors import ShapeError
from chainrule.graph.methods import Axis

Axes = tuple[int, ...]


def normalize_axes(name: str, axis: Axis, shape: tuple[int, ...]) -> Axes:
    """The axes as sorted non-negative numbers; None means all.

    A number without axes may be reduced over axis 0 or -1, as in NumPy: that changes nothing.
    """
    ndim = len(shape)
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if axis.__class__ is int else _several_axes(name, axis)
    if not ndim and axes in ((0,), (-1,)):
        return ()
    for a in axes:
        if not -ndim <= a < ndim:
            raise ShapeError(f"{name}: axis {a} is out of range for shape {shape}")
    normalized = tuple(sorted({a % ndim for a in axes}))
    if len(normalized) != len(axes):
        raise ShapeError(f"{name}: axis {axis} names an axis of shape {shape} twice")
    return normalized


def _several_axes(name: str, axis: int | Iterable[int]) -> Axes:
    """One axis, or several in a list, an array or a set, as a tuple."""
    try:
        if isinstance(axis, Iterable) and getattr(axis, "ndim", None) != 0:
            return tuple(map(_number, axis))
        return (_number(axis),)
    except TypeError:
        remedy = f"; of two Tensors it is {name}imum" if name in ("max", "min") else ""
        raise TypeError(
            f"{name}: the axis is a whole number, or several, got {axis!r:.80}{remedy}"
        ) from None


def _number(number: Any) -> int:
    """A whole number; True, which Python counts among them, is none."""
    if isinstance(number, bool):
        raise TypeError
    return index(number)


def one_axis(name: str, axis: int, ndim: int) -> int:
    """An axis as a non-negative number."""
    if axis.__class__ is not int:
        try:
            axis = _number(axis)
        except TypeError:
            remedy = "; reshape makes one axis of several" if isinstance(axis, Sequence) else ""
            raise TypeError(
                f"{name}: the axis is one whole number, got {axis!r:.80}{remedy}"
            ) from None
    if not -ndim <= axis < ndim:
        raise ShapeError(f"{name}: axis {axis} is out of range for {ndim} axes")
    return axis % ndim


def axis_or_all(name: str, axis: int | None, ndim: int) -> int | None:
    """One axis as a non-negative number, or None: all, as of a number without axes 0 and -1 are."""
    if axis is None:
        return None
    if not ndim:
        normalize_axes(name, axis, ())
        return None
    return one_axis(name, axis, ndim)


def as_list(name: str, numbers: int | Sequence[int]) -> list[int]:
    """One whole number, or several, as a list."""
    try:
        several = numbers if isinstance(numbers, Iterable) else (numbers,)
        return list(map(_number, several))
    except TypeError:
        raise TypeError(f"{name} takes whole numbers, got {numbers!r:.80}") from None
