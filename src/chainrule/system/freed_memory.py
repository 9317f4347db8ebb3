"""How much freed memory the C library keeps for the arrays that come next."""

from __future__ import annotations

import numpy as np

_LARGEST = (32 << 20) - 8192
"""Bytes of the largest block, with room for its header, from which glibc learns."""


def keep_freed_memory() -> None:
    """Let glibc keep up to 64 MB that were freed, in place of giving them back at once.

    An eager gradient makes and frees an array per node. glibc gives freed memory back to the system
    when more than twice the largest block freed so far is unused. So the memory of arrays of one
    size goes back and forth, and each page is cleared again, which takes most of the time of a
    gradient. One large block that comes and goes raises the limit, and none of its pages is
    touched. Where the environment sets ``MALLOC_TRIM_THRESHOLD_`` or the like, that holds.
    """
    np.empty(_LARGEST, np.uint8)
