"""Memory-mapped files, read without keeping the pages resident.

Each page read from a memory-mapped file counts as resident memory until the system runs short.
Here the pages are released while reading. The system keeps them in its cache of the file, so
reading them again is cheap.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule._core import CACHE_LINE
from chainrule.errors import FileError
from chainrule.graph.tensor import Array

_RESIDENT_BYTES = 1 << 25
"""Approximate limit on the resident memory of mapped files."""

_COPY_BYTES = 96 << 20
"""Memory of a `Copier`. The larger it is, the more rows are read from each page that is mapped."""

_PAGE_BYTES = 1 << 21
"""The largest page in which Linux maps a file: reading one byte may make this much resident."""

_BLOCK_BYTES = 1 << 20  # size of a block in `blocks`: it fits in L2

_SHARED_MODES = ("r", "r+", "w+")
"""The modes of `np.memmap` whose pages equal the file. In mode "c" pages may hold changes that are
not in the file, so they cannot be released."""


class MappedFiles:
    """The memory-mapped files among arrays.

    Args:
        arrays: any arrays. Mapped files are `np.memmap` objects in a mode other than "c" and views
            of them, on systems with MADV_DONTNEED (not on Windows).

    Attributes:
        rows_in_sequence: number of consecutive rows that may be read before `release`.
        rows_anywhere: number of rows at any positions that may be read before `release`.

    >>> bool(MappedFiles([np.zeros((3, 2))]))
    False
    """

    def __init__(self, arrays: Iterable[Array]) -> None:
        self._bases: list[np.memmap[Any, Any]] = []
        self._maps: list[mmap.mmap] = []
        row_bytes = mapped = 0
        for array in arrays:
            base = _mapped(array)
            if base is None:
                continue
            self._bases.append(base)
            map_ = _releasable(base)
            if map_ is not None:
                mapped += 1
                row_bytes += array[:1].nbytes
                if not any(map_ is other for other in self._maps):
                    self._maps.append(map_)
        self.rows_in_sequence = max(1, _RESIDENT_BYTES // max(1, row_bytes))
        self.rows_anywhere = max(1, _RESIDENT_BYTES // max(1, mapped * _PAGE_BYTES))

    def __bool__(self) -> bool:
        return bool(self._maps)

    def release(self) -> None:
        """Return all resident pages to the system; the arrays keep their values."""
        for map_ in self._maps:
            map_.madvise(mmap.MADV_DONTNEED)

    def check(self) -> None:
        """Raise FileError if a file has become shorter: reading what is gone ends the process."""
        for base in self._bases:
            map_ = base._mmap  # type: ignore[attr-defined]
            wanted = base.offset - base.offset % mmap.ALLOCATIONGRANULARITY + len(map_)
            if (size := map_.size()) < wanted:
                raise FileError(
                    f"{base.filename} was cut off while it was read: it had {wanted} bytes, now "
                    f"it has {size}"
                )


def mapped_files(arrays: Iterable[Array]) -> list[str]:
    """The names of the files that are mapped by these arrays, where they have one."""
    bases = [base for array in arrays if (base := _mapped(array)) is not None]
    return [os.fspath(base.filename) for base in bases if base.filename is not None]


def _mapped(array: Any) -> np.memmap[Any, Any] | None:
    """The mapped file that holds an array, in any mode; None if it is in memory."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and isinstance(getattr(array, "_mmap", None), mmap.mmap):
            return array
        array = array.base
    return None


def _releasable(base: np.memmap[Any, Any]) -> mmap.mmap | None:
    """Its memory map, if the pages can be released; else None."""
    if not hasattr(mmap, "MADV_DONTNEED") or base.mode not in _SHARED_MODES:
        return None
    return base._mmap  # type: ignore[attr-defined]


class Copier:
    """Copies rows of memory-mapped files into one buffer, which every read overwrites.

    Shuffled rows are read in the order of the file: each page is mapped once for all its rows. In
    the order of a shuffled epoch it would be mapped again for each row.

    Args:
        arrays: arrays with the same number of rows; one of them is a mapped file.
        rows: capacity of the buffer in rows; by default as many as the memory budget allows.

    Attributes:
        rows: capacity of the buffer in rows.
    """

    def __init__(self, arrays: Sequence[Array], rows: int | None = None) -> None:
        self._arrays = arrays
        self._files = MappedFiles(self._arrays)
        row_bytes = sum(array[:1].nbytes for array in self._arrays)
        self.rows = rows or min(len(self._arrays[0]), max(1, _COPY_BYTES // max(1, row_bytes)))
        # A memory map, because its pages can be released while arrays still refer to it.
        sizes = [_padded(self.rows * array[:1].nbytes) for array in self._arrays]
        self._memory = mmap.mmap(
            -1, max(1, sum(sizes)), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        )
        self._copies = [
            np.ndarray((self.rows, *array.shape[1:]), array.dtype, self._memory, sum(sizes[:i]))
            for i, array in enumerate(self._arrays)
        ]

    def read(self, rows: NDArray[np.int64]) -> tuple[Array, ...]:
        """Copies of the rows of each array; the next call overwrites them."""
        order = np.argsort(rows)
        ascending = rows[order]
        start = 0
        while start < len(rows):
            # As many rows as may be read before a release: those near one another share pages.
            near = np.searchsorted(ascending, ascending[start] + self._files.rows_in_sequence)
            chunk = slice(start, max(int(near), start + self._files.rows_anywhere))
            self._files.check()
            for array, copy in zip(self._arrays, self._copies, strict=True):
                copy[order[chunk]] = array[ascending[chunk]]
            self._files.release()
            start = chunk.stop
        return tuple([copy[: len(rows)] for copy in self._copies])

    def release(self) -> None:
        """Return the buffer's pages to the system; copies that were read lose their values."""
        self._memory.madvise(mmap.MADV_DONTNEED)


def _padded(nbytes: int) -> int:
    """The next multiple of a cache line."""
    return -(-nbytes // CACHE_LINE) * CACHE_LINE


def blocks(array: Array) -> Iterator[tuple[int, Array]]:
    """Blocks of rows of about 1 MB, as (index of the first row, view of the rows).

    >>> [(start, len(block)) for start, block in blocks(np.zeros((3, 1 << 17)))]
    [(0, 1), (1, 1), (2, 1)]
    """
    mapped = MappedFiles([array])
    rows = max(1, _BLOCK_BYTES // max(1, array[:1].nbytes))
    unreleased = 0
    for start in range(0, len(array), rows):
        mapped.check()
        block = array[start : start + rows]
        yield start, block
        unreleased += block.nbytes
        if unreleased >= _RESIDENT_BYTES:
            mapped.release()
            unreleased = 0
    mapped.release()


def extremes(array: Array) -> tuple[Any, Any]:
    """The smallest and the largest element of a non-empty array, read block by block.

    >>> extremes(np.array([3, 1, 2]))
    (1, 3)
    """
    if array.nbytes <= _BLOCK_BYTES:
        # The ufuncs are faster than the methods min and max, which go through Python: a compiled
        # step checks its labels at every call.
        return np.minimum.reduce(array, None).item(), np.maximum.reduce(array, None).item()
    low, high = zip(*[(block.min(), block.max()) for _, block in blocks(array)], strict=True)
    return min(low).item(), max(high).item()
