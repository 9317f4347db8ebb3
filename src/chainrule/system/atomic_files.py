"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from chainrule.system.interrupts import interrupts_held


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` beside its place, flush it to the disk and rename it.

    Where anything goes wrong on the way, a file that stood there before stays as it was. The new
    one has its permissions; of a symbolic link it takes the place of what that leads to. A device
    or a pipe has nothing to lose and is written to as it is.

    Raises:
        OSError: if the folder is missing or can't be written to, or the disk is full.
    """
    import tempfile

    if is_stream(path):
        with open(path, "wb") as file:
            file.write(data)
        return
    place = os.path.realpath(path)
    folder, name = os.path.split(place)
    with interrupts_held() as interrupts:  # no half a file is left beside, no mask of 0
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
            os.chmod(temporary, _permissions(place))
            os.replace(temporary, place)
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
    """Whether a path leads to a device or a pipe, which holds nothing that could be replaced."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _permissions(path: str) -> int:
    """Those of the file that is there; without one, those that the user's umask gives."""
    if os.path.isfile(path):
        return stat.S_IMODE(os.stat(path).st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_folder(folder: str) -> None:
    """Make the renaming last through a loss of power, where the system allows it."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
