"""Minibatches: which rows come when, as a pure function of the seed and the epoch.

`Minibatches` is for loops that a user writes. `Batches` and `windows` are for steps that run in
the core, which takes the rows of many batches itself.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Generator, Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule import _core, checks
from chainrule.data.arrays import Data, as_arrays, check_same_rows, flatten, unflatten
from chainrule.data.mapped import Copier, MappedFiles
from chainrule.graph.tensor import Array


class IndexedBatches(NamedTuple):
    """What minibatches are rows of, for steps that take the rows themselves.

    Attributes:
        parts: x, y and, where there are any, the weights.
        size: rows in a batch; the last may have fewer.
        rows: in a pass.
        order: epoch -> the row numbers of its pass.
    """

    parts: tuple[Any, ...]
    size: int
    rows: int
    order: Callable[[int], Array]


class Minibatches:
    """The rows of data in minibatches, shuffled anew in every pass. Made by `batches`.

    Attributes:
        passes: how many passes have begun.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        epoch: int | None,
        drop_last: bool,
    ) -> None:
        parts = {"x": as_arrays(x, "x")}
        if y is not None:
            parts["y"] = as_arrays(y, "y")
        rows = check_same_rows(**parts)
        arrays, self._structures = zip(*map(flatten, parts.values()), strict=True)
        self._arrays = tuple(chain(*arrays))
        self._rows, self._size = rows, check_batch_size(batch_size, rows)
        if drop_last and batch_size > rows:
            raise ValueError(
                f"batch_size is {batch_size} but the data has {rows} rows, so drop_last leaves "
                f"nothing. Use batch_size={rows} or less, or drop_last=False."
            )
        self._shuffle = shuffle
        self._seed = checks.seed(seed)
        self._epoch = None if epoch is None else _checked_epoch(epoch)
        self._drop_last = drop_last
        self.passes = 0

    def __len__(self) -> int:
        """The number of batches in a pass."""
        return self._rows // self._size if self._drop_last else -(-self._rows // self._size)

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass have the order of this epoch; `Trainer.fit` does so."""
        self.passes = checks.integer("epoch", epoch, 0)

    def __iter__(self) -> Iterator[Any]:
        return self._pass(self._order(self.passes))

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """The rows of a pass, in order."""
        self.passes = epoch + 1
        if not self._shuffle:
            return np.arange(self._rows)
        return permutation(self._rows, self._seed, epoch if self._epoch is None else self._epoch)

    def indexed(self) -> IndexedBatches | None:
        """What the batches are rows of, if they have targets."""
        if len(self._structures) == 1 or type(self) is not Minibatches:
            return None
        parts = self._parts(iter(self._arrays))
        rows = len(self) * self._size if self._drop_last else self._rows
        return IndexedBatches(parts, self._size, rows, lambda epoch: self._order(epoch)[:rows])

    def _pass(self, order: NDArray[np.int64]) -> Iterator[Any]:
        copier = Copier(self._arrays, self._size) if MappedFiles(self._arrays) else None
        for number in range(len(self)):
            rows = order[number * self._size : (number + 1) * self._size]
            if copier is None:
                copies = iter([array[rows] for array in self._arrays])
            else:
                copies = iter([np.array(array) for array in copier.read(rows)])
            parts = self._parts(copies)
            yield parts if len(parts) > 1 else parts[0]

    def _parts(self, arrays: Iterator[Array]) -> tuple[Any, ...]:
        """(x,) or (x, y), made of the arrays."""
        return tuple([unflatten(structure, arrays) for structure in self._structures])

    def __repr__(self) -> str:
        return f"<{len(self)} minibatches of {self._size} of {self._rows} rows>"


def batches(
    x: Any,
    y: Any = None,
    batch_size: int = 64,
    *,
    shuffle: bool = True,
    seed: int = 0,
    epoch: int | None = None,
    drop_last: bool = False,
) -> Minibatches:
    """Return the rows of ``x`` and ``y`` in minibatches, to loop over once an epoch.

    Each pass gives each row once, in an order that depends on the seed, the number of the pass
    and the number of rows alone. Make the object once, before the loop over epochs: its first pass
    has the order of epoch 0, the next one that of epoch 1, and so on.

    Args:
        x: one array, a tuple of arrays or a dict of arrays, first dimension = rows; memory-mapped
            files are read batch by batch.
        y: the targets, in the same forms, or None. A pair (targets, weights) carries a weight for
            each row along.
        batch_size: rows per batch; fewer rows are one batch.
        shuffle: False keeps the order of the data.
        seed: what the orders depend on, an integer from 0.
        epoch: give every pass the order of this epoch, an integer from 0.
        drop_last: leave out a last batch that has fewer than ``batch_size`` rows.

    Returns:
        An object whose `len` is the number of batches. A pass over it yields ``(xb, yb)``, or
        ``xb`` alone where y is None: copies, with the structure and dtypes given.

    Raises:
        TypeError, ValueError: at the call, for data that is no array, different numbers
            of rows in x and y, a batch size below 1, or with drop_last above the number of rows, or
            a seed or epoch that `permutation` refuses.

    >>> x, y = np.arange(10).reshape(5, 2), np.arange(5)
    >>> [yb.tolist() for xb, yb in batches(x, y, 2, shuffle=False)]
    [[0, 1], [2, 3], [4]]
    >>> shuffled = batches(x, y, 2)
    >>> len(shuffled)
    3
    >>> for epoch in range(2):
    ...     print([yb.tolist() for xb, yb in shuffled])
    [[4, 1], [2, 0], [3]]
    [[0, 2], [4, 1], [3]]
    """
    return Minibatches(
        x, y, batch_size, shuffle=shuffle, seed=seed, epoch=epoch, drop_last=drop_last
    )


def in_few_sizes(
    rows: int, most: int, fewest: int = 1
) -> Iterator[tuple[slice | NDArray[np.int64], int, int]]:
    """Rows for predictions in batches of few sizes, as each size needs a plan.

    Products of few sizes add up in few orders: what is predicted for a row depends on the rows
    beside it in the last digits alone.

    Args:
        rows: how many there are.
        most: rows in a batch, a power of two.
        fewest: the same of the last one, which is filled up to a power of two by the last row.

    Returns:
        Once or twice (which rows, rows in a batch, how many of the outputs count).

    Example:
        >>> for which, size, count in in_few_sizes(11, 4):
        ...     print(which, size, count)
        slice(0, 8, None) 4 8
        [ 8  9 10 10] 4 3
    """
    whole = rows // most * most
    if whole:
        yield slice(0, whole), most, whole
    if whole < rows:
        size = max(fewest, 1 << (rows - whole - 1).bit_length())
        if size == rows - whole:
            yield slice(whole, rows), size, size
            return
        yield np.minimum(np.arange(whole, whole + size), rows - 1), size, rows - whole


def permutation(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order in which an epoch visits n rows: a pure function of its arguments.

    Args:
        n: number of rows.
        seed, epoch: the two words of the key of a Philox generator, integers from 0.

    Returns:
        A permutation of 0 .. n-1, int64, shape (n,).

    Raises:
        TypeError: an argument is not an integer.
        ValueError: an argument is negative, or the seed or epoch does not fit in 64 bits.

    It is NumPy's order for that generator: ``Generator(Philox(key=[seed, epoch])).permutation(n)``.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.

    >>> permutation(5, seed=0, epoch=0).tolist() == permutation(5, seed=0, epoch=0).tolist()
    True
    >>> sorted(permutation(5, seed=0, epoch=1).tolist())
    [0, 1, 2, 3, 4]
    """
    n = checks.integer("n", n, 0)
    key = checks.seed(seed), _checked_epoch(epoch)
    order = np.empty(n, np.int64)
    _core.shuffle(order, *key)
    return order


_FIRST_ROWS = np.arange(4096)
_FIRST_ROWS.setflags(write=False)


def in_order(rows: int) -> NDArray[np.int64]:
    """Return 0 .. rows-1, read-only where it is short.

    >>> in_order(3)
    array([0, 1, 2])
    """
    return _FIRST_ROWS[:rows] if rows <= len(_FIRST_ROWS) else np.arange(rows)


def _checked_epoch(epoch: int) -> int:
    number = checks.integer("epoch", epoch, 0)
    if number >= 2**64:
        raise ValueError(f"epoch {epoch} must be below 2**64. Use a smaller one.")
    return number


def check_batch_size(batch_size: int, rows: int) -> int:
    """Return ``batch_size`` as an int, at most the number of rows: fewer rows are one batch.

    Raises:
        TypeError: not an integer.
        ValueError: below 1.

    >>> check_batch_size(64, rows=100), check_batch_size(64, rows=10)
    (64, 10)
    """
    return min(checks.count("batch_size", batch_size), rows)


class Batches:
    """The batches of one pass over data, by row numbers.

    Attributes:
        data: the data, with arrays that the core can take rows from.
        order: the rows, in the order in which they come.
        size: rows in a batch; the last may have fewer.
        full: the number of batches that have all their rows.
        is_copied: whether the data are copies, into which nobody writes.
    """

    def __init__(self, data: Data, order: Array, size: int, *, is_copied: bool = False) -> None:
        self.data = data.map(_readable)
        self.order = order
        self.size = size
        self.full = len(order) // size
        self.is_copied = is_copied

    def __len__(self) -> int:
        return -(-len(self.order) // self.size)

    def rows(self, number: int) -> int:
        """The number of rows of a batch."""
        return min(self.size, len(self.order) - number * self.size)

    def indices(self, number: int) -> Array:
        """The row numbers of a batch."""
        return self.order[number * self.size : (number + 1) * self.size]

    def take(self, number: int) -> list[Array]:
        """The arrays of a batch, in the dtypes in which a step takes them."""
        indices = self.indices(number)
        arrays, dtypes = self.data.arrays, self.data.form.dtypes
        return [np.asarray(a[indices], dtype) for a, dtype in zip(arrays, dtypes, strict=True)]

    def consecutive(self, first: int, most: int) -> tuple[Array, int, int]:
        """(order, number of the first batch in it, number of batches) of batches of one size.

        These are at most `most` full batches, or the short last one alone.
        """
        if first < self.full:
            return self.order, first, min(most, self.full - first)
        return self.indices(first), 0, 1


def _readable(array: Array) -> Array:
    """The array, or a copy if the core can't take rows from it.

    It can't where the elements of a row lie apart, as in Fortran's order, where they are not
    aligned, and where they are half or extended floats.
    """
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        return array.astype(np.float32 if array.dtype.itemsize == 2 else np.float64, order="C")
    if not array.flags.aligned or (array.ndim > 1 and not array[:1].flags.c_contiguous):
        return np.array(array, order="C")
    return array


class Window(NamedTuple):
    """A run of consecutive batches of a pass.

    Attributes:
        first: the number in the pass of the first of `batches`.
        batches: the batches; their own numbers begin at 0.
        is_last: whether the pass ends with them.
    """

    first: int
    batches: Batches
    is_last: bool = True

    @property
    def end(self) -> int:
        """The number in the pass of the batch after the last."""
        return self.first + len(self.batches)


def windows(
    data: Data, size: int, *, order: Array | None = None, start: int = 0
) -> Generator[Window, None, None]:
    """Yield the batches of a pass in windows, each small enough for the memory budget.

    Data in memory are one window; memory-mapped files are read window by window. A window is valid
    until the next is asked for.

    Raises:
        FileError: for a mapped file that has become shorter.

    Args:
        data: the data.
        size: rows in a batch.
        order: the rows in the order in which they come, or some of them; None for all, in the order
            of the data.
        start: the number of the first batch that is needed.
    """
    files = MappedFiles(data.arrays)
    rows = data.rows if order is None else len(order)
    files.check()
    if not files:
        yield Window(0, Batches(data, in_order(rows) if order is None else order, size))
    elif order is None:
        length = max(1, files.rows_in_sequence // size)
        for first in range(start, -(-rows // size), length):
            part = data.map(operator.itemgetter(slice(first * size, (first + length) * size)))
            files.check()
            is_last = (first + length) * size >= rows
            yield Window(first, Batches(part, in_order(part.rows), size), is_last)
            files.release()
    else:
        copier = Copier(data.arrays)
        length = max(1, copier.rows // size)
        try:
            for first in range(start, -(-rows // size), length):
                chosen = order[first * size : (first + length) * size]
                part = Data(copier.read(chosen), data.form)
                is_last = (first + length) * size >= rows
                yield Window(first, Batches(part, in_order(len(chosen)), size), is_last)
        finally:
            copier.release()
