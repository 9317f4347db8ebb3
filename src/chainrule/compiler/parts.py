"""Slices that are read where their inputs lie: which elements of memory they are.

z = x @ W           z lies in memory, rows of 12 elements
i = z[:, 0:4]       element 0 of z on, rows 12 elements apart
f = z[:, 4:8]       element 4 of z on, rows 12 elements apart
"""

from __future__ import annotations

from typing import NamedTuple

from chainrule.compiler.instructions import contiguous, repeating
from chainrule.compiler.values import Value, is_part, root, without_reshapes
from chainrule.compiler.views import View, contiguous_view, sliced


class Elements(NamedTuple):
    """Elements of a value: from `first` on, with strides over an index space."""

    whole: Value
    first: int
    strides: tuple[int, ...]


def elements(part: Value) -> Elements:
    """Which elements of its input a slice takes."""
    (whole,) = part.inputs
    view = sliced(part, contiguous_view(whole.shape))
    return Elements(whole, view.offset, view.strides)


def elements_of(value: Value) -> Elements | None:
    """The same of a slice, perhaps of another slice, that is perhaps reshaped.

    None where it is none, or has no strides.
    """
    part = without_reshapes(value)
    if not is_part(part):
        return None
    whole, first, strides = elements(part)
    if is_part(without_reshapes(whole)):
        around = elements_of(whole)
        if around is None:
            return None
        view = sliced(part, View(around.first, around.strides, whole.shape))
        whole, first, strides = around.whole, view.offset, view.strides
    if whole.fill is not None or root(whole) is not without_reshapes(whole):
        return None
    seen = restrided(part.shape, strides, value.shape)
    return None if seen is None else Elements(whole, first, seen)


def restrided(
    shape: tuple[int, ...], strides: tuple[int, ...], new: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The strides over `new` of elements that lie in `shape` with `strides`; None: there are none.

    Axes of length 1 have stride 0.
    """
    axes = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    if [n for n, _ in axes] == [n for n in new if n != 1]:
        rest = iter([s for _, s in axes])
        return tuple([0 if n == 1 else next(rest) for n in new])
    return repeating(new) if is_block(shape, strides) else None


def is_block(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether elements lie one after another, in row-major order."""
    axes = zip(shape, strides, contiguous(shape), strict=True)
    return all(stride == step for length, stride, step in axes if length > 1)
