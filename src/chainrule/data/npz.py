"""NumPy's files: an array (npy), and archives of arrays (npz).

NumPy stops before the end of an archive's member, so it never compares the checksum. Here a member
is read to its end, and nothing in the file may be left over.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Collection
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from chainrule.system.reading import FREE_ARRAY, check_expansion, read_values, reading, size_of

_REMEDY = "Write it with np.savez(path, x=..., y=...), arrays of numbers only."
_LOCAL_HEADER = 30
_NAME_LENGTH, _EXTRA_LENGTH = slice(26, 28), slice(28, 30)
_SIZES_FOLLOW = 1 << 3
"""The flag of a member that is followed by its checksum and sizes, in 12 to 24 bytes."""


def read_archive(path: str | os.PathLike[str], names: Collection[str]) -> dict[str, NDArray[Any]]:
    """The arrays of these names that an npz file has, in its order.

    Arrays of other names are not read, but everything in the file must belong to some array.

    Raises:
        OSError: if there is no such file, or it may not be read.
        FileError: if it is damaged or no npz file, or an array holds other things than numbers.
    """
    with reading(path, "npz", _REMEDY) as file:
        if file.read(6) == np.lib.format.MAGIC_PREFIX:
            raise ValueError("it holds a single array (npy)")
        with zipfile.ZipFile(file) as archive:
            _check_complete(archive, file)
            arrays = {}
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                with archive.open(member) as content:  # compares the name in both headers
                    if name in names and member.filename.endswith(".npy"):
                        check_expansion(member.file_size, member.compress_size, free=FREE_ARRAY)
                        arrays[name] = _read_array(content, member.file_size, name)
            return arrays


def names_of(path: str | os.PathLike[str]) -> list[str]:
    """The names of the arrays in an npz file.

    Raises:
        OSError, FileError: as `read_archive`.
    """
    with reading(path, "npz", _REMEDY) as file, zipfile.ZipFile(file) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def _check_complete(archive: zipfile.ZipFile, file: BinaryIO) -> None:
    """Raise ValueError unless the members in the directory fill the file.

    A changed bit in the directory can hide a member. Its bytes are then no one's.
    """
    end = 0
    members = sorted(archive.infolist(), key=lambda m: m.header_offset)
    for member in members:
        if member.header_offset != end:
            raise ValueError(f"bytes {end} to {member.header_offset} of it belong to no array")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{member.filename!r:.80} is compressed in a way that NumPy has not")
        file.seek(end)
        header = file.read(_LOCAL_HEADER)
        end += _LOCAL_HEADER + member.compress_size
        for length in (_NAME_LENGTH, _EXTRA_LENGTH):
            end += int.from_bytes(header[length], "little")
        if member.flag_bits & _SIZES_FOLLOW:
            end = _end_of_sizes(members, end, archive.start_dir)
    if end != archive.start_dir:
        raise ValueError(f"bytes {end} to {archive.start_dir} of it belong to no array")
    if len({member.filename for member in members}) != len(members):
        raise ValueError("it has two arrays of one name")
    directory = sum(46 + len(_encoded(m)) + len(m.extra) + len(m.comment) for m in members)
    tail = size_of(file) - archive.start_dir - directory - len(archive.comment)
    if tail not in (22, 22 + 56 + 20):  # the end of the directory, alone or after zip64's
        raise ValueError(f"{tail} bytes follow its directory")


def _end_of_sizes(members: list[zipfile.ZipInfo], end: int, directory: int) -> int:
    """Where the next member or the directory begins, if only the sizes lie before it."""
    following = min((m.header_offset for m in members if m.header_offset >= end), default=directory)
    return following if following - end in (12, 16, 20, 24) else end


def _encoded(member: zipfile.ZipInfo) -> bytes:
    return member.orig_filename.encode("utf-8" if member.flag_bits & 1 << 11 else "cp437")


def _read_array(content: Any, size: int, name: str) -> NDArray[Any]:
    """The array of a member of `size` bytes, which it must fill."""
    version = np.lib.format.read_magic(content)
    if version == (1, 0):
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(content)
    elif version == (2, 0):
        shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(content)
    else:
        raise ValueError(f"array {name} has version {version} of the format, for names in dtypes")
    if dtype.hasobject or dtype.itemsize == 0:
        raise ValueError(
            f"array {name} has dtype {dtype}: Object arrays and empty texts are never read"
        )
    if any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"array {name} has shape {shape!r:.80}")
    count, start = math.prod(shape), content.tell()
    if start + count * dtype.itemsize != size:
        raise ValueError(
            f"array {name} has {size - start} bytes of values; shape {shape!r:.80} {dtype!s:.80} "
            f"takes {count * dtype.itemsize}"
        )
    values = read_values(content, dtype, count)
    if content.read(1):  # at its end the checksum is compared
        raise ValueError(f"array {name} is longer than it says")
    return values.reshape(shape, order="F" if is_fortran else "C")
