"""Atomic files: written completely, or left as they were."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from chainrule.system.interrupts import interrupts_held


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to a temporary file in the same folder, flush it to the disk and rename it.

    After an error an existing file is unchanged. The new file has its permissions. A symbolic link
    is kept: the file that it leads to is replaced. A device or a pipe, which has no content to
    lose, is written to directly.

    Raises:
        OSError: if the folder is missing or can't be written to, or the disk is full.
    """
    import tempfile

    if is_stream(path):
        with open(path, "wb") as file:
            file.write(data)
        return
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    # Ctrl-C may neither leave the temporary file nor, in _permissions, a umask of 0.
    with interrupts_held() as interrupts:
        try:
            handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
        except FileNotFoundError:
            raise FileNotFoundError(f"can't save {path}: the folder {folder} is missing") from None
        except OSError as error:
            raise OSError(error.errno, f"can't save {path}: {error.strerror}") from None
        try:
            with os.fdopen(handle, "wb") as file, interrupts.let_through():
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, _permissions(target))
            os.replace(temporary, target)
        except BaseException as error:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            if isinstance(error, OSError):
                raise OSError(
                    error.errno, f"can't save {path}: {error.strerror}; nothing was changed there"
                ) from error
            raise
        _sync_folder(folder)


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a device or a pipe, which has no content to replace."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _permissions(path: str) -> int:
    """The permissions of an existing file; of a new one, those that the user's umask gives."""
    if os.path.isfile(path):
        return stat.S_IMODE(os.stat(path).st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_folder(folder: str) -> None:
    """Make a rename survive a loss of power, where the system allows it."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
