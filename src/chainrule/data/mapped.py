"""Memory-mapped files: read without what was read staying in the program's memory.

Who reads a mapped file has each page that was read counted as resident memory until the system
runs short. Here the pages are given back to the system on the way; its cache of the file keeps
them, so reading them again is cheap.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule._core import CACHE_LINE
from chainrule.graph.tensor import Array
from chainrule.trees import leaves, map_leaves

_RESIDENT_BYTES = 1 << 25
"""About how much of mapped files may be resident."""

_COPY_BYTES = 96 << 20
"""How much of mapped files `Copier` holds: the more, the fewer pages are mapped for few rows."""

_PAGE_BYTES = 1 << 21
"""What reading a single byte may make resident: the largest page in which Linux maps a file."""

_BLOCK_BYTES = 1 << 20  # of a block to look through: it fits in L2, and spares memory

_SHARED = ("r", "r+", "w+")
"""The modes in which pages hold what the file holds. Those of "c" may hold changes of their own."""


class MappedFiles:
    """The memory-mapped files among arrays.

    Args:
        arrays: any arrays. Counted are `np.memmap` objects in a mode other than "c" and views of
            them, on systems that take pages back (not on Windows).

    Attributes:
        rows_in_sequence: how many rows that follow one another may be read before `release`.
        rows_anywhere: how many may be, wherever they lie.

    >>> bool(MappedFiles([np.zeros((3, 2))]))
    False
    """

    def __init__(self, arrays: Iterable[Array]) -> None:
        self._maps: list[mmap.mmap] = []
        row_bytes = mapped = 0
        for array in arrays:
            found = _map_of(array)
            if found is not None:
                mapped += 1
                row_bytes += array[:1].nbytes
                if not any(found is other for other in self._maps):
                    self._maps.append(found)
        self.rows_in_sequence = max(1, _RESIDENT_BYTES // max(1, row_bytes))
        self.rows_anywhere = max(1, _RESIDENT_BYTES // max(1, mapped * _PAGE_BYTES))

    def __bool__(self) -> bool:
        return bool(self._maps)

    def release(self) -> None:
        """Give all resident pages back to the system; the arrays stay as they are."""
        for mapped in self._maps:
            mapped.madvise(mmap.MADV_DONTNEED)


def _map_of(array: Any) -> mmap.mmap | None:
    """The map in whose file an array lies, if its pages can be given back."""
    if not hasattr(mmap, "MADV_DONTNEED"):
        return None
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and getattr(array, "mode", None) in _SHARED:
            found = getattr(array, "_mmap", None)
            return found if isinstance(found, mmap.mmap) else None
        array = array.base
    return None


class Copier:
    """Copies rows of memory-mapped files into memory, always the same.

    Rows that lie anywhere are read in the file's order: a page that the system maps then serves all
    its rows, where in the order of a shuffled epoch it would be mapped anew for each.

    Args:
        arrays: an array, or a tuple or dict of them; one of them is a mapped file.
        rows: how many rows to copy at once; by default as many as there may be in memory.

    Attributes:
        rows: how many rows can be copied at once.
    """

    def __init__(self, arrays: Any, rows: int | None = None) -> None:
        self._arrays = list(leaves(arrays))
        self._files = MappedFiles(self._arrays)
        self._structure = arrays
        row_bytes = sum(array[:1].nbytes for array in self._arrays)
        self.rows = rows or min(len(self._arrays[0]), max(1, _COPY_BYTES // max(1, row_bytes)))
        # Memory of its own, which can be given back while arrays still lie in it.
        sizes = [_padded(self.rows * array[:1].nbytes) for array in self._arrays]
        self._memory = mmap.mmap(
            -1, max(1, sum(sizes)), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        )
        self._copies = [
            np.ndarray((self.rows, *array.shape[1:]), array.dtype, self._memory, sum(sizes[:i]))
            for i, array in enumerate(self._arrays)
        ]

    def read(self, rows: NDArray[np.int64]) -> Any:
        """The rows, in the structure given; the next call overwrites them."""
        places = np.argsort(rows)
        ascending = rows[places]
        start = 0
        while start < len(rows):
            near = np.searchsorted(ascending, ascending[start] + self._files.rows_in_sequence)
            part = slice(start, max(int(near), start + self._files.rows_anywhere))
            for array, copy in zip(self._arrays, self._copies, strict=True):
                copy[places[part]] = array[ascending[part]]
            self._files.release()
            start = part.stop
        found = iter(self._copies)
        return map_leaves(lambda _: next(found)[: len(rows)], self._structure)

    def release(self) -> None:
        """Give the memory back to the system: the copies are no longer what was read."""
        self._memory.madvise(mmap.MADV_DONTNEED)


def _padded(nbytes: int) -> int:
    """The next multiple of a cache line."""
    return -(-nbytes // CACHE_LINE) * CACHE_LINE


def blocks(array: Array) -> Iterator[tuple[int, Array]]:
    """(number of its first row, rows) of blocks of rows, about 1 MB each, without copies.

    >>> [(start, len(block)) for start, block in blocks(np.zeros((3, 1 << 17)))]
    [(0, 1), (1, 1), (2, 1)]
    """
    mapped = MappedFiles([array])
    rows = max(1, _BLOCK_BYTES // max(1, array[:1].nbytes))
    unreleased = 0
    for start in range(0, len(array), rows):
        block = array[start : start + rows]
        yield start, block
        unreleased += block.nbytes
        if unreleased >= _RESIDENT_BYTES:
            mapped.release()
            unreleased = 0
    mapped.release()


def extremes(array: Array) -> tuple[Any, Any]:
    """The least and the largest element, read block by block; an array with elements.

    >>> extremes(np.array([3, 1, 2]))
    (1, 3)
    """
    if array.nbytes <= _BLOCK_BYTES:
        # Without the methods' detour by Python: a compiled step looks at its labels at every call.
        return np.minimum.reduce(array, None).item(), np.maximum.reduce(array, None).item()
    low, high = zip(*[(block.min(), block.max()) for _, block in blocks(array)], strict=True)
    return min(low).item(), max(high).item()
