"""Windows: the batches of a pass over data, of which as much is in memory as there may be."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from chainrule.data.mapped import Copier, MappedFiles
from chainrule.graph.tensor import Array
from chainrule.train.backends import Batches
from chainrule.trees import leaves, map_leaves


class Window(NamedTuple):
    """Batches that follow one another in a pass.

    Attributes:
        first: the number in the pass of the first of `batches`.
        batches: the batches; their own numbers begin at 0.
    """

    first: int
    batches: Batches

    @property
    def end(self) -> int:
        """The number in the pass of the batch after the last."""
        return self.first + len(self.batches)


def windows(
    x: Any, y: Any, size: int, *, order: Array | None = None, start: int = 0
) -> Iterator[Window]:
    """The batches of a pass: all in one window, or of memory-mapped files part by part.

    A window holds until the next is asked for.

    Args:
        x, y: arrays, or tuples or dicts of them; y may be None.
        size: rows in a batch.
        order: the rows in the order in which they come, or some of them; None for all, in the order
            of the data.
        start: the number of the first batch that is needed.
    """
    files = MappedFiles(leaves((x, y)))
    rows = len(next(leaves(x)) if order is None else order)
    if not files:
        yield Window(0, Batches(x, y, np.arange(rows) if order is None else order, size))
    elif order is None:
        length = max(1, files.rows_in_sequence // size)
        for first in range(start, -(-rows // size), length):
            chosen = slice(first * size, (first + length) * size)
            xs, ys = map_leaves(operator.itemgetter(chosen), (x, y))
            count = len(next(leaves(xs)))
            yield Window(first, Batches(xs, ys, np.arange(count), size))
            files.release()
    else:
        copier = Copier((x, y))
        length = max(1, copier.rows // size)
        try:
            for first in range(start, -(-rows // size), length):
                part = order[first * size : (first + length) * size]
                xs, ys = copier.read(part)
                yield Window(first, Batches(xs, ys, np.arange(len(part)), size))
        finally:
            copier.release()
