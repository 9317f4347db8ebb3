"""Files: tensors and a description in one safetensors file, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.graph.tensor import Array
from chainrule.system.atomic_files import write_atomically

_KEY = "chainrule"
_CHECKSUM = "crc32"
FORMAT = 1
"""The version of the description; a file with a later one is refused."""


class FileError(ValueError):
    """A model file that is truncated, damaged, or no file of chainrule."""


def write(
    path: str | os.PathLike[str], tensors: Mapping[str, Array], description: dict[str, Any]
) -> None:
    """Write a safetensors file with `description` as JSON in its metadata.

    Where anything goes wrong on the way, a file that stood there before stays as it was.

    Raises:
        OSError: if the folder is missing or can't be written to, or the disk is full.
        TypeError: if JSON can't hold the description.
    """
    import json

    from safetensors.numpy import save

    text = json.dumps({"format": FORMAT, **description}, default=_plain)
    # safetensors takes the bytes as they lie: they must be contiguous.
    tensors = {k: np.ascontiguousarray(v).reshape(v.shape) for k, v in tensors.items()}
    write_atomically(path, save(dict(tensors), {_KEY: text, _CHECKSUM: _checksum(tensors, text)}))


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, Any]]:
    """The tensors and the description of a file that `write` made.

    Raises:
        FileNotFoundError: if there is none.
        FileError: if it is truncated, damaged, foreign, or of a later version. A single changed
            bit is noticed by a checksum.
    """
    import json
    from pathlib import Path

    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if path.is_dir():
        raise FileError(f"{path} is a folder, not a model file")
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, TypeError, ValueError) as error:
        raise FileError(
            f"{path} is no whole safetensors file ({error}): it is truncated, damaged or of "
            "another kind"
        ) from None
    if _KEY not in metadata:
        raise FileError(
            f"{path} is a safetensors file that chainrule did not write: it has no description. "
            "Read its tensors with safetensors and use load_state_dict."
        )
    try:
        description = json.loads(metadata[_KEY])
        version = description["format"]
    except (ValueError, TypeError, KeyError):
        raise FileError(f"{path}: the description in its metadata is damaged") from None
    if version != FORMAT:
        raise FileError(
            f"{path} has format {version}; this chainrule reads format {FORMAT}. Install the "
            "version that wrote it."
        )
    # A file that another tool has changed on purpose can do without.
    if metadata.get(_CHECKSUM, checksum := _checksum(tensors, metadata[_KEY])) != checksum:
        raise FileError(
            f"{path} is damaged: its checksum is {metadata[_CHECKSUM]}, that of what it holds is "
            f"{checksum}. Bits of it have changed since it was written."
        )
    return tensors, description


def _checksum(tensors: Mapping[str, Array], text: str) -> str:
    """The CRC-32 of all that a file says: a changed bit in it is noticed."""
    import zlib

    value = zlib.crc32(text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        value = zlib.crc32(f"{name} {array.dtype} {array.shape}".encode(), value)
        value = zlib.crc32(array.data, value)
    return f"{value:08x}"


def _plain(value: Any) -> Any:
    """What JSON does not know itself: NumPy's scalars."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(
        f"a file can't keep {value!r:.80} of type {type(value).__name__} in its description: "
        "numbers, strings, None, and lists and dicts of these"
    )
