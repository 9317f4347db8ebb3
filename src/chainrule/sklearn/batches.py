"""Minibatches in the order that scikit-learn draws, of dense and of sparse rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import sparse

from chainrule import nn
from chainrule.data import Minibatches
from chainrule.data.batches import IndexedBatches
from chainrule.graph.tensor import Array
from chainrule.sklearn import sparse_rows
from chainrule.sklearn.sparse_rows import as_taken_by, form_of_parts, has_short_rows


def as_rows(x: Any, *, keeps_short: bool = False) -> Any:
    """A matrix as an array in C order, or as a CSR matrix if it is sparse and large.

    With `keeps_short` a CSR matrix it is where it has short rows, too.
    """
    if not sparse.issparse(x):
        return np.ascontiguousarray(x)
    rows = x.tocsr()
    is_large = rows.shape[0] * rows.shape[1] * rows.dtype.itemsize > sparse_rows.MOST_BYTES
    if is_large or (keeps_short and has_short_rows(rows)):
        return rows
    return rows.toarray(order="C")


def dense_parts(rows: Any, most: int) -> Iterator[Array]:
    """Arrays of some rows of a CSR matrix after the other, of at most `most` rows, a power of two.

    Of wide matrices there are fewer rows in each, so that it takes at most 2^28 bytes.
    """
    while most > 1 and most * rows.shape[1] * rows.dtype.itemsize > sparse_rows.MOST_BYTES:
        most //= 2
    for start in range(0, rows.shape[0], most):
        yield rows[start : start + most].toarray()


class DenseBatches(Minibatches):
    """Minibatches of arrays in an order that a function draws for every pass.

    Args:
        x: the inputs, an array or `entries`.
        y: the targets.
        weights: of the rows, or None.
        size: rows in a batch.
        order: () -> the row numbers of the next pass.

    Attributes:
        parts: x, y and, where there are any, the weights.
        size: rows in a batch.
        next_order: the function given as `order`.
    """

    def __init__(
        self, x: Any, y: Array, weights: Array | None, size: int, order: Callable[[], Array]
    ) -> None:
        super().__init__(x, y, size, shuffle=False, seed=0, epoch=None, drop_last=False)
        self.parts = (x, y) if weights is None else (x, y, weights)
        self.size = self._size
        self.next_order = order

    def indexed(self) -> IndexedBatches:
        return IndexedBatches(self.parts, self.size, self._rows, lambda epoch: self.next_order())


class SparseBatches:
    """The same of the rows of a CSR matrix: `form` gives those of each batch when it comes."""

    def __init__(
        self,
        x: Any,
        y: Array,
        weights: Array | None,
        size: int,
        order: Callable[[], Array],
        form: Callable[[Any], Any],
    ) -> None:
        self._x = x
        self._form = form
        self._others = (y,) if weights is None else (y, weights)
        self._size = size
        self._order = order

    def __len__(self) -> int:
        return -(-self._x.shape[0] // self._size)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        order = self._order()
        for start in range(0, len(order), self._size):
            rows = order[start : start + self._size]
            yield (self._form(self._x[rows]), *[array[rows] for array in self._others])


def make_batches(
    model: nn.Module,
    x: Any,
    y: Array,
    weights: Array | None,
    size: int,
    order: Callable[[], Array],
) -> DenseBatches | SparseBatches:
    """Minibatches of a matrix, dense or sparse, as a model takes them."""
    taken = as_taken_by(model, x)
    if sparse.issparse(taken):
        return SparseBatches(x, y, weights, size, order, form_of_parts(model, x))
    return DenseBatches(taken, y, weights, size, order)


def orders(rows: int, shuffle: bool, random_state: np.random.RandomState) -> Callable[[], Array]:
    """A function that gives the row numbers of the next pass.

    Each order is a shuffle of the one before it, drawn as `sklearn.utils.shuffle` does.
    """
    order = np.arange(rows)
    if not shuffle:
        return lambda: order

    def draw() -> Array:
        nonlocal order
        drawn = np.arange(rows)
        random_state.shuffle(drawn)
        order = order[drawn]
        return order

    return draw
