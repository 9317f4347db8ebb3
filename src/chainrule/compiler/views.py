"""Views: values that are another one's elements, seen in another order or in part.

A chain of slices, transposes, reshapes and broadcasts is a place to begin in the memory of the
value below it and a stride for each axis, as NumPy's views are. Instructions that take strides read
such values where they lie; and parts that are put together as they were cut are the whole again.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

from chainrule.compiler.instructions import contiguous, repeating
from chainrule.compiler.values import Uses, Value, reshaped
from chainrule.graph.tensor import Tensor

Shape = tuple[int, ...]


class View(NamedTuple):
    """Elements of a value: those from `offset` on, at the strides, over the shape."""

    offset: int
    strides: Shape
    shape: Shape

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def view_of(value: Value) -> tuple[Value, View]:
    """The value whose memory another one can be read from, and how."""
    chain = []
    while value.kind in ("slice", "transpose", "reshape", "broadcast_to"):
        chain.append(value)
        value = value.inputs[0]
    root, view = value, contiguous_view(value.shape)
    for step in reversed(chain):
        seen = _STEPS[step.kind](step, view)
        # What can't be seen through the strides so far lies in memory of its own.
        root, view = (step, contiguous_view(step.shape)) if seen is None else (root, seen)
    return root, view


def contiguous_view(shape: Shape) -> View:
    """All elements of an array, as they lie in memory."""
    return View(0, contiguous(shape), shape)


def sliced(part: Value, view: View) -> View:
    """The elements of a view that a slice takes, or that "unslice" fills."""
    runs = part.attributes["runs"]
    shape = part.shape if part.kind == "slice" else part.inputs[0].shape
    strides = tuple([s * step for s, (_, step, _) in zip(view.strides, runs, strict=True)])
    if 0 in shape:  # what they start at may not exist
        return View(0, strides, shape)
    offset = sum(s * start for s, (start, _, _) in zip(view.strides, runs, strict=True))
    return View(view.offset + offset, strides, shape)


def _transposed(value: Value, view: View) -> View:
    strides = tuple([view.strides[axis] for axis in value.attributes["axes"]])
    return View(view.offset, strides, value.shape)


def _broadcast(value: Value, view: View) -> View:
    lead = len(value.shape) - len(view.shape)
    kept = [0 if n == 1 else s for n, s in zip(view.shape, view.strides, strict=True)]
    return View(view.offset, (*(0,) * lead, *kept), value.shape)


def restrided(shape: Shape, strides: Shape, new: Shape) -> Shape | None:
    """The strides over `new` of elements that lie in `shape` with `strides`; None: there are none.

    Axes of length 1 have stride 0.
    """
    if 0 in new:
        return repeating(new)
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    rest = [n for n in new if n != 1]
    found: list[int] = []
    while rest:
        # The fewest axes, old and new, that have equally many elements.
        here, there = [old.pop(0)], [rest.pop(0)]
        old_size, new_size = here[0][0], there[0]
        while old_size != new_size:
            if old_size < new_size:
                here.append(old.pop(0))
                old_size *= here[-1][0]
            else:
                there.append(rest.pop(0))
                new_size *= there[-1]
        if any(s != n * t for (_, s), (n, t) in pairwise(here)):
            return None
        found += [here[-1][1] * step for step in contiguous(tuple(there))]
    of_axes = iter(found)
    return tuple([0 if n == 1 else next(of_axes) for n in new])


def _reshaped(value: Value, view: View) -> View | None:
    """The same elements in another shape, if strides can say where they lie."""
    if not value.size:
        return contiguous_view(value.shape)
    strides = restrided(view.shape, view.strides, value.shape)
    return None if strides is None else View(view.offset, strides, value.shape)


_STEPS: dict[str, Any] = {
    "slice": sliced,
    "transpose": _transposed,
    "broadcast_to": _broadcast,
    "reshape": _reshaped,
}


# Rules of `passes`


def heads_in_place(node: Tensor, inputs: tuple[Value, ...], uses: Uses) -> Value:
    """An attention reads the heads where they lie, as in one projection for q, k and v."""
    roots, views = [], []
    for value in inputs:
        root, view = view_of(value)
        if not _is_read_in_place(view):
            root, view = value, contiguous_view(value.shape)
        roots.append(root)
        views.append(view)
    assert node.operation is not None
    attributes = {**node.attributes, "views": tuple(views)}
    return Value(node.operation.name, tuple(roots), attributes, node.shape, node.dtype, node)


def _is_read_in_place(view: View) -> bool:
    """Whether the elements of the last axis lie side by side; all elements, of numbers of rows."""
    if len(view.shape) == 3:
        return view.strides == contiguous(view.shape)
    return min(view.strides) >= 0 and (view.strides[-1] == 1 or view.shape[-1] == 1)


def parts_put_together(node: Tensor, inputs: tuple[Value, ...], uses: Uses) -> Value | None:
    """The sum of parts that stand side by side, with zeros around them, is their concatenation.

    It is the gradient of what was split, as one projection into queries, keys and values.
    """
    if any(value.kind != "unslice" for value in inputs):
        return None
    runs = [value.attributes["runs"] for value in inputs]
    whole = tuple([(0, 1, n) for n in node.shape])
    for axis in range(len(whole)):
        order = sorted(range(len(inputs)), key=lambda i: runs[i][axis])
        end = 0
        for i in order:
            start, step, count = runs[i][axis]
            others = (*runs[i][:axis], whole[axis], *runs[i][axis + 1 :])
            if start != end or step != 1 or others != whole:
                break
            end += count
        else:
            if end == node.shape[axis]:
                parts = tuple([inputs[i].inputs[0] for i in order])
                return whole_of_parts(node, parts, axis) or Value(
                    "concatenate", parts, {"axis": axis}, node.shape, node.dtype, node
                )
    return None


def whole_of_parts(node: Tensor, parts: tuple[Value, ...], axis: int) -> Value | None:
    """The value that was cut into these parts, if they are put together as they were."""
    strides = contiguous(node.shape)
    root, start = None, 0
    for part in parts:
        found, view = view_of(part)
        root = root or found
        here = [s for s, n in zip(strides, part.shape, strict=True) if n != 1]
        seen = [s for s, n in zip(view.strides, part.shape, strict=True) if n != 1]
        if found is not root or seen != here or view.offset != start * strides[axis]:
            return None
        start += part.shape[axis]
    if root is None or root.size != node.size or root.dtype != node.dtype:
        return None
    return reshaped(root, node.shape, node)


def concatenation_of_parts(node: Tensor, inputs: tuple[Value, ...], uses: Uses) -> Value | None:
    """The concatenation of the parts of a value is that value."""
    return whole_of_parts(node, inputs, node.attributes["axis"])
