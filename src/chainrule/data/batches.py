"""Minibatches: which rows come when, as a pure function of the seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import _core, checks
from chainrule.data.arrays import Arrays, as_arrays, check_same_rows, take
from chainrule.data.mapped import Copier, MappedFiles
from chainrule.trees import leaves, map_leaves


def batches(
    x: Any,
    y: Any = None,
    batch_size: int = 64,
    *,
    shuffle: bool = True,
    seed: int = 0,
    epoch: int = 0,
    drop_last: bool = False,
) -> Iterator[Any]:
    """Yield the rows of ``x`` and ``y`` in minibatches, each row once.

    The order depends on (seed, epoch) and the number of rows alone: every call with the same seed
    and epoch gives the same order. Pass the number of the epoch to shuffle anew in each.

    Args:
        x: one array, a tuple of arrays or a dict of arrays, first dimension = rows; memory-mapped
            files are read batch by batch.
        y: the targets, in the same forms, or None. A pair (targets, weights) carries a weight for
            each row along.
        batch_size: rows per batch, at most the number of rows.
        shuffle: False keeps the order of the data.
        seed, epoch: what the order depends on, integers from 0.
        drop_last: leave out a last batch that has fewer than ``batch_size`` rows.

    Yields:
        ``(xb, yb)``, or ``xb`` alone where y is None: copies, with the structure and dtypes given.

    Raises:
        TypeError, ValueError: at the call, for data that ``as_arrays`` refuses, different numbers
            of rows in x and y, or a batch size below 1 or above the number of rows.

    >>> x, y = np.arange(10).reshape(5, 2), np.arange(5)
    >>> [yb.tolist() for xb, yb in batches(x, y, 2, shuffle=False)]
    [[0, 1], [2, 3], [4]]
    """
    x = as_arrays(x, "x")
    rows = check_same_rows(x=x)
    if y is not None:
        y = as_arrays(y, "y")
        check_same_rows(x=x, y=y)
    batch_size = check_batch_size(batch_size, rows)
    order = permutation(rows, seed, epoch) if shuffle else np.arange(rows)
    stop = rows - rows % batch_size if drop_last else rows
    return _take_batches(x, y, order[:stop], batch_size)


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
    key = [checks.integer("seed", seed, 0), checks.integer("epoch", epoch, 0)]
    if max(key) >= 1 << 64:
        raise ValueError(f"seed {seed} and epoch {epoch} must be below 2**64. Use smaller ones.")
    order = np.empty(n, np.int64)
    _core.shuffle(order, *key)
    return order


def check_batch_size(batch_size: int, rows: int) -> int:
    """Return ``batch_size`` as an int that fits the data.

    Raises:
        TypeError: not an integer.
        ValueError: below 1, or above the number of rows.

    >>> check_batch_size(64, rows=100)
    64
    """
    batch_size = checks.integer("batch_size", batch_size, 1)
    if batch_size > rows:
        raise ValueError(
            f"batch_size is {batch_size} but the data has {rows} rows. "
            f"Use batch_size={rows} or less."
        )
    return batch_size


def _take_batches(
    x: Arrays, y: Arrays | None, order: NDArray[np.int64], batch_size: int
) -> Iterator[Any]:
    copier = Copier((x, y), batch_size) if MappedFiles(leaves((x, y))) else None
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        if copier is None:
            xb, yb = take(x, indices), None if y is None else take(y, indices)
        else:
            xb, yb = map_leaves(np.array, copier.read(indices))
        yield xb if y is None else (xb, yb)
