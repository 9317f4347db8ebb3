"""Files that are read: opened with care, and whatever is wrong with one is a `FileError`.

A file may come from anywhere. What is made of it is bounded by what it holds: a reader compares the
sizes that a file claims with its length before it makes anything of that size.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import FileError

_SMALL = 1 << 24
"""Up to this many bytes, in all or of holes, a file may unfold as it likes."""

FREE_ARRAY = 1 << 28
"""Up to this many bytes an array may unfold as it likes, as a blank page or rows of one-hot do.

It takes no more memory than that. Pillow begins to warn at images of this size.
"""

_MOST_EXPANSION = 100
"""Tables of numbers shrink to a third or a tenth when they are compressed; bombs to a thousandth.
"""

_MOST_HOLES = 8
"""Many times more holes than bytes that are on the disk is no file that anyone has written."""


@contextmanager
def reading(path: str | os.PathLike[str], kind: str, remedy: str) -> Iterator[BinaryIO]:
    """Open a file for a block whose errors become those of `naming_faults`.

    Args:
        path: the file.
        kind, remedy: as of `naming_faults`.

    Raises:
        OSError: if there is no such file, or it may not be read.
        FileError: if it is no regular file (a pipe would block).
    """
    with _opened(path) as file, naming_faults(path, kind, remedy):
        _check_holes(path, file)
        yield file


STANDARD_INPUT = "-"
"""What stands for standard input in place of a path."""
INPUT_IN_WORDS = "standard input"


@contextmanager
def reading_input(kind: str, remedy: str) -> Iterator[BinaryIO]:
    """Standard input as a file that may be read several times, for a block as of `reading`.

    Raises:
        OSError: if standard input is closed.
    """
    import shutil  # late, as tempfile: `import chainrule` is faster without
    import tempfile

    if sys.stdin is None:
        raise OSError("standard input is closed: there is nothing to read")
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.seek(0)
        with naming_faults(INPUT_IN_WORDS, kind, remedy):
            yield copy


@contextmanager
def naming_faults(name: str | os.PathLike[str], kind: str, remedy: str) -> Iterator[None]:
    """A block in which every error but that of a missing package becomes a `FileError`.

    Args:
        name: what is read.
        kind: what it should be, for the message, as in "an npz file".
        remedy: the last sentence of the message.
    """
    try:
        yield
    except (FileError, ImportError):
        raise
    except Exception as error:
        raise FileError(f"{name} cannot be read as {kind}: {reason(error)}. {remedy}") from error


def reason(error: BaseException) -> str:
    """What an error says, in few words."""
    if isinstance(error, MemoryError):
        return "it takes more memory than there is"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    text = f"{error}".strip().rstrip(".")
    if isinstance(error, LookupError) or not text:
        text = f"{type(error).__name__} {text}".strip()
    return text[:300]


def size_of(file: BinaryIO) -> int:
    """The length of an open file."""
    return os.fstat(file.fileno()).st_size


def check_expansion(
    expanded: int,
    compressed: int,
    *,
    free: int = _SMALL,
    remedy: str = "store it without compression",
) -> None:
    """Raise ValueError where compressed bytes unfold to more than any data would.

    Args:
        expanded: the bytes that they unfold to.
        compressed: the bytes of the file.
        free: the bytes to which any file may unfold.
        remedy: what to do with a file that does hold so much.
    """
    if expanded > free + _MOST_EXPANSION * compressed:
        raise ValueError(
            f"{compressed} bytes would unfold to {expanded} or more; if they do, {remedy}"
        )


def is_gzipped(file: BinaryIO) -> bool:
    """Whether a file is one of gzip, whatever its name. It is at its start before and after."""
    start = file.read(2)
    file.seek(0)
    return start == b"\x1f\x8b"


def check_gzip(file: BinaryIO) -> None:
    """Unpack a gzip file to nowhere, and return to its start.

    Raises:
        ValueError: if it is damaged, or unfolds to more than any data would.
    """
    compressed, expanded = size_of(file), 0
    with unpacking(file) as content:
        while block := content.read(1 << 20):
            expanded += len(block)
            check_expansion(expanded, compressed)
    file.seek(0)


@contextmanager
def unpacking(file: BinaryIO) -> Iterator[Any]:
    """The content of a gzip file, for a block in which damage to it is a ValueError."""
    import gzip
    import zlib

    try:
        yield gzip.GzipFile(fileobj=file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"it is a truncated or damaged gzip file ({error})") from error


def read_values(source: Any, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    """The next `count` values of a binary source, and no more.

    Raises:
        EOFError: if it ends before.
    """
    values = np.empty(count, dtype)
    view = values.data.cast("B") if values.nbytes else memoryview(b"")
    done = 0
    while done < values.nbytes:
        read = source.readinto(view[done : done + (1 << 20)])
        if not read:
            raise EOFError(f"it ends {values.nbytes - done} bytes too early")
        done += read
    return values


def _opened(path: str | os.PathLike[str]) -> BinaryIO:
    # Without O_NONBLOCK a pipe is opened only when another program writes to it.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if os.path.isdir(path):  # which Windows does not open
        raise FileError(f"{path} is a folder, not a file")
    handle = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileError(f"{path} is a pipe or a device. Copy what it gives into a file first.")
    return os.fdopen(handle, "rb")


def _check_holes(path: str | os.PathLike[str], file: BinaryIO) -> None:
    """Raise FileError for a file that is long only because of holes, which take no place on disk.

    Zeros may have become holes when a file was copied, so some are let through.
    """
    size = size_of(file)
    if size <= _SMALL or not hasattr(os, "SEEK_DATA"):
        return
    held = end = 0
    try:
        while end < size and held * _MOST_HOLES < size:
            start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            held += end - start
    except OSError as error:
        if error.errno != errno.ENXIO:  # ENXIO: only a hole is left
            return
    finally:
        file.seek(0)
    if held * _MOST_HOLES + _SMALL < size:
        raise FileError(
            f"{path} is {size} bytes long, but only {held} of them are on the disk: the rest are "
            "holes. Copy or download it again."
        )
