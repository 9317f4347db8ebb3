"""What a notebook shows of a Tensor: its value, shape, dtype and operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chainrule.markup import shape_text, table

if TYPE_CHECKING:
    from chainrule.graph.tensor import Tensor

_MOST = 10
"""Rows and columns that are shown whole."""


def html_of(tensor: Tensor) -> str:
    """A table of the value, up to two axes of it, below a line of what it is."""
    facts = [f"{type(tensor).__name__} {tensor.name or ''}".rstrip()]
    facts += [shape_text(tensor.shape) or "scalar", str(tensor.dtype)]
    if tensor.operation is not None:
        facts.append(f"operation {tensor.operation.name}")
    if tensor.path:
        facts.append(f"layer {tensor.path}")
    if tensor.requires_grad:
        facts.append("requires grad")
    caption = " · ".join(facts)
    if tensor.value is None:
        return table(f"{caption} · symbolic, without a value", [], [])
    if tensor.value.ndim > 2 or not tensor.value.size:
        text = np.array2string(tensor.value, precision=4, threshold=200, edgeitems=2)
        return table(caption, [], [[text]])
    return table(caption, [], _cells(np.atleast_2d(tensor.value)))


def _cells(array: np.ndarray) -> list[list[object]]:
    """The numbers as text; of a large array the first and last rows and columns."""
    rows, columns = (_edges(length) for length in array.shape)
    return [["…" if i is None or j is None else array[i, j].item() for j in columns] for i in rows]


def _edges(length: int) -> list[int | None]:
    if length <= _MOST:
        return list(range(length))
    half = _MOST // 2
    return [*range(half), None, *range(length - half, length)]
