"""Atomic files: written completely, or left as they were."""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from chainrule.system.interrupts import interrupts_held

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LONGEST = 240
"""The longest name of a file that something can be added to, in bytes."""

_TRIES = 100
"""How often to look for a name that no other program is writing to."""


def write_atomically(
    path: str | os.PathLike[str], data: bytes | Iterable[bytes | memoryview]
) -> None:
    """Write `data` to a temporary file in the same folder, flush it to the disk and rename it.

    The data may be in parts, which are written one after another. After an error an existing file
    is unchanged. The new file has its permissions. A symbolic link is kept: the file that it leads
    to is replaced. A device or a pipe, which has no content to lose, is written to directly, if
    another program reads the pipe.

    A program that is killed meanwhile may leave the temporary file, ``.NAME.0.new``. The next
    writing to the same path removes it.

    Raises:
        OSError: if the folder is missing or can't be written to, the disk is full, or nobody reads
            a pipe.
    """
    parts = [data] if isinstance(data, bytes) else data
    if is_stream(path):
        with _errors_named(path), _open_stream(path) as file:
            file.writelines(parts)
        return
    # Ctrl-C may not leave the temporary file.
    with interrupts_held() as interrupts, _errors_named(path):
        target = _target(path)
        handle, temporary = _new_file(target)
        try:
            with os.fdopen(handle, "wb") as file:
                with interrupts.let_through():
                    file.writelines(parts)
                    file.flush()
                    os.fsync(file.fileno())
                if os.path.isfile(target):
                    os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
                if os.name == "posix":  # else an open file can't be renamed
                    os.replace(temporary, target)
            if os.name != "posix":
                os.replace(temporary, target)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        _sync_folder(os.path.dirname(target))


def check_writable(path: str | os.PathLike[str], size: int = 0) -> None:
    """Find out whether `write_atomically` can write so many bytes, and leave everything as it is.

    Raises:
        OSError: if the folder is missing or can't be written to, the name is too long, a folder
            stands there, or there is no room.
    """
    if is_stream(path):
        return
    with interrupts_held(), _errors_named(path):
        target = _target(path)
        if os.path.isdir(target):
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        handle, temporary = _new_file(target)
        try:
            if size and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle, 0, size)
        finally:
            os.close(handle)
            os.unlink(temporary)


def is_pipe(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a pipe."""
    return os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode)


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a device or a pipe, which has no content to replace."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _open_stream(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a device or a pipe to be written to; without O_NONBLOCK a pipe would wait for a reader.

    A pipe without a reader is an error here, as nobody may come.
    """
    flags = os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ENXIO and is_pipe(path):
            raise OSError(errno.ENXIO, "it is a pipe that no program reads") from None
        raise
    if os.name == "posix":
        os.set_blocking(handle, True)
    return os.fdopen(handle, "wb")


@contextmanager
def _errors_named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors of the system into ones that name the file to be saved."""
    try:
        yield
    except OSError as error:
        folder = os.path.dirname(os.path.realpath(path))
        if isinstance(error, FileNotFoundError) and not os.path.isdir(folder):
            raise FileNotFoundError(f"can't save {path}: the folder {folder} is missing") from None
        raise OSError(
            error.errno, f"can't save {path}: {error.strerror}; nothing was changed there"
        ) from error


def _target(path: str | os.PathLike[str]) -> str:
    """The file that a path leads to, by links too."""
    target = os.path.realpath(path)
    if os.path.islink(target):
        raise OSError(errno.ELOOP, "it is a link that leads back to itself")
    return target


def _new_file(target: str) -> tuple[int, str]:
    """An empty file beside the target, and its name. It is locked while it is open.

    One of that name which nobody has locked was left by a program that was killed; it goes.
    """
    folder, name = os.path.split(target)
    exists = os.path.lexists(target)
    if len(os.fsencode(name)) > _LONGEST:
        if not exists:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))  # is it too long?
            os.unlink(target)
        name = f"{zlib.crc32(os.fsencode(name)):08x}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    # Without what the user's umask takes away, which the system does; a file that may be private is
    # at no time open to others.
    mode = 0o600 if exists else 0o666
    for number in range(_TRIES):
        path = os.path.join(folder, f".{name}.{number}.new")
        _remove_dead(path)
        try:
            handle = os.open(path, flags, mode)
        except FileExistsError:
            continue
        if _lock(handle, path):
            return handle, path
        os.close(handle)
    raise FileExistsError(errno.EEXIST, f"{_TRIES} programs are writing it")


def _lock(handle: int, path: str) -> bool:
    """Lock a new file; False if another program took it for a dead one in that moment."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    with suppress(FileNotFoundError):
        return os.path.samestat(os.lstat(path), os.fstat(handle))
    return False


def _remove_dead(path: str) -> None:
    """Remove a file that a program left when it was killed; one that is in use stays."""
    if not os.path.lexists(path):
        return
    with suppress(OSError):  # it is in use, another's, or gone
        if fcntl is None:
            os.unlink(path)  # Windows does not remove a file that is open
            return
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.lstat(path), os.fstat(handle)):
                os.unlink(path)
        finally:
            os.close(handle)


def _sync_folder(folder: str) -> None:
    """Make a rename survive a loss of power, where the system allows it."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
