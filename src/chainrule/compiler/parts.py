"""Slices that are read where their inputs lie: which elements of memory they are.

z = x @ W           z lies in memory, rows of 12 elements
i = z[:, 0:4]       element 0 of z on, rows 12 elements apart
f = z[:, 4:8]       element 4 of z on, rows 12 elements apart
"""

from __future__ import annotations

from typing import NamedTuple

from chainrule.compiler.instructions import contiguous
from chainrule.compiler.values import Value, is_part, root, without_reshapes
from chainrule.compiler.views import View, contiguous_view, restrided, sliced


class Elements(NamedTuple):
    """Elements of a value: from `first` on, with strides over an index space."""

    whole: Value
    first: int
    strides: tuple[int, ...]


def elements_of_input(part: Value) -> Elements:
    """Which elements of its input a slice takes."""
    (whole,) = part.inputs
    view = sliced(part, contiguous_view(whole.shape))
    return Elements(whole, view.offset, view.strides)


def elements_in_memory(value: Value) -> Elements | None:
    """The elements that a slice, or a reshape of one, takes of what lies in memory.

    A slice of a slice takes them of the latter's input. None for other values, and where no strides
    say which they are.
    """
    part = without_reshapes(value)
    if not is_part(part):
        return None
    whole, first, strides = elements_of_input(part)
    if is_part(without_reshapes(whole)):
        around = elements_in_memory(whole)
        if around is None:
            return None
        view = sliced(part, View(around.first, around.strides, whole.shape))
        whole, first, strides = around.whole, view.offset, view.strides
    if whole.fill is not None or root(whole) is not without_reshapes(whole):
        return None
    seen = restrided(part.shape, strides, value.shape)
    return None if seen is None else Elements(whole, first, seen)


def is_block(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether elements lie one after another, in row-major order."""
    axes = zip(shape, strides, contiguous(shape), strict=True)
    return all(stride == step for length, stride, step in axes if length > 1)
