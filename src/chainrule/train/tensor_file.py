"""The safetensors format: named tensors, and texts that describe them.

A file is the length of its header (8 bytes, little-endian), the header (JSON), and the bytes of the
tensors, one after another. The header names each tensor's dtype, shape and place.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from chainrule.dtypes import to_array
from chainrule.errors import FileError
from chainrule.graph.tensor import Array
from chainrule.system.reading import read_values, reading, size_of

# json is imported where a file is written or read: `import chainrule` is faster without it.

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "u1",
}  # fmt: skip

_NAMES = {np.dtype(code): name for name, code in _DTYPES.items() if name != "BOOL"}
_NAMES[np.dtype(bool)] = "BOOL"
"""The format's names of NumPy's dtypes."""

_ELSEWHERE = re.compile("BF16|C64|F4|F6_.+|F8_.+")
"""The format's dtypes that NumPy does not have."""

_MOST_AXES = 64
"""The most axes of NumPy's arrays."""
_REMEDY = "It is truncated, damaged or of another kind"


def parts(tensors: Mapping[str, Array], texts: dict[str, str]) -> list[bytes | memoryview]:
    """The content of a file with these tensors, `as_stored`, and texts: its header, then each
    tensor's own memory, the widest numbers first, so that each lies at a multiple of its size."""
    import json

    header: dict[str, Any] = {"__metadata__": texts} if texts else {}
    arrays, end = [], 0
    for name, array in sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0])):
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        begin, end = end, end + little.nbytes
        dtype = _NAMES[little.dtype]
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [begin, end]}
        arrays.append(little.data)
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little"), text, *arrays]


def as_stored(array: Array) -> Array:
    """An array as a file holds its bytes: one row after another, in the machine's byte order.

    Raises:
        DTypeError: for a dtype that Tensors can't have.
    """
    return to_array(np.asarray(array, order="C"))


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """The tensors and texts of a file.

    It is read here, not by safetensors, so that every tensor is bounded by the bytes that are there
    and every fault is an error of one kind.

    Raises:
        OSError: if there is no such file, or it may not be read.
        FileError: if it is not a whole safetensors file with dtypes that NumPy has.
    """
    with reading(path, "a safetensors file", _REMEDY) as file:
        header, start = _header(file)
        texts = header.pop("__metadata__", {})
        if not isinstance(texts, dict) or not all(isinstance(v, str) for v in texts.values()):
            raise ValueError("its metadata are not texts")
        _check_numpy_has(path, header)
        found = [(*_place(name, entry), name, entry) for name, entry in header.items()]
        tensors, end = {}, 0
        for begin, stop, name, _ in sorted(found, key=lambda f: f[:2]):
            if begin != end:
                raise ValueError(f"the bytes of tensor {name!r:.80} begin at {begin}, not at {end}")
            end = stop
        if start + end != size_of(file):
            raise ValueError(f"it has {size_of(file)} bytes; its header names {start + end}")
        for begin, _, name, entry in found:
            file.seek(start + begin)
            tensors[name] = _tensor(file, name, entry)
        return tensors, texts


def _header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """The header, and where it ends."""
    import json

    start, size = file.read(8), size_of(file)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > size - 8:
        raise ValueError(f"its {size} bytes do not hold the header that they begin with")
    header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_without_repetition)
    if not isinstance(header, dict):
        raise ValueError("its header is not a dict")
    return header, 8 + length


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("its header has a name twice")
    return found


def _check_numpy_has(path: str | os.PathLike[str], header: dict[str, Any]) -> None:
    for name, entry in header.items():
        dtype = entry.get("dtype") if isinstance(entry, dict) else None
        if isinstance(dtype, str) and _ELSEWHERE.fullmatch(dtype):
            raise FileError(
                f"{path}: tensor {name!r:.80} has dtype {dtype:.80}, which NumPy does not have. "
                "Convert it to float32 where the file was written"
            )


def _place(name: str, entry: Any) -> tuple[int, int]:
    """Where the bytes of a tensor begin and end, if they are as many as it needs."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"what it says of tensor {name!r:.80} is damaged")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not (_are_lengths(shape) and _are_lengths(place)) or len(place) != 2:
        raise ValueError(f"shape or place of tensor {name!r:.80} are damaged")
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ValueError(f"tensor {name!r:.80} has dtype {dtype!r:.80}, which there is not")
    if math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize != place[1] - place[0]:
        raise ValueError(f"tensor {name!r:.80} does not fill its place")
    return place[0], place[1]


def _are_lengths(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MOST_AXES
        and all(type(n) is int and 0 <= n < 2**63 for n in value)
    )


def _tensor(file: BinaryIO, name: str, entry: dict[str, Any]) -> Array:
    shape, dtype = entry["shape"], np.dtype(_DTYPES[entry["dtype"]])
    values = read_values(file, dtype, math.prod(shape))
    if entry["dtype"] == "BOOL":
        if values.size and values.max() > 1:
            raise ValueError(f"tensor {name!r:.80} holds truth values that are neither 0 nor 1")
        values = values.view(np.bool_)
    return values.astype(values.dtype.newbyteorder("="), copy=False).reshape(shape)
