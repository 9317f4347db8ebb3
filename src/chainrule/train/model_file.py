"""Model files: tensors and a description in one safetensors file, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.graph.tensor import Array
from chainrule.nn import Module, from_description, to_description
from chainrule.system.atomic_files import write_atomically

# json, safetensors and zlib are imported where a file is written or read: `import chainrule` is
# faster without them.

_KEY = "chainrule"
_CHECKSUM = "crc32"
_MODEL = "model"  # the prefix of the names of the model's tensors
FORMAT = 2
"""The version of the description; a file with another one is refused."""


class FileError(ValueError):
    """A model file that is truncated, damaged, or no file of chainrule."""


def save(
    model: Module, path: str | os.PathLike[str], metadata: Mapping[str, Any] | None = None
) -> None:
    """Save a model: a safetensors file with its weights, buffers and a description of its layers.

    The file is written whole or not at all: a file that stood there before stays intact if
    anything goes wrong. `Trainer.save` writes files of the same kind that hold a training, too.

    Args:
        model: any `nn.Module`.
        path: the file, by custom with the ending ``.safetensors``.
        metadata: a dict that JSON can hold, with the names of the classes, say; `read_metadata`
            gives it back, with strings for keys and lists for tuples.

    Raises:
        OSError: if the folder is missing or can't be written to, or the disk is full.
        TypeError: if `model` is no module, or JSON can't hold the metadata.

    Example:
        >>> import os, tempfile
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> cr.save(nn.Linear(2, 1), path, metadata={"unit": "metres"})
        >>> cr.load(path)
        Linear(in_features=2, out_features=1, bias=True)
        >>> cr.read_metadata(path)
        {'unit': 'metres'}
    """
    if not isinstance(model, Module):
        raise TypeError(
            f"model is a nn.Module, got {model!r:.80}; a Trainer saves itself: its `save`"
        )
    tensors = {f"{_MODEL}.{name}": array for name, array in model.state_dict().items()}
    write(path, tensors, {"model": to_description(model), "metadata": as_metadata(metadata)})


def as_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """The metadata for a file as a dict.

    Raises:
        TypeError: if they are neither a dict nor None.
    """
    if metadata is not None and not isinstance(metadata, Mapping):
        raise TypeError(f"metadata is a dict that JSON can hold, got {metadata!r:.80}")
    return dict(metadata or {})


def load(path: str | os.PathLike[str], model: Module | None = None) -> Module:
    """Load the model of a file that `save` or a Trainer wrote, in evaluation mode.

    If the Trainer had an average of the parameters, the model has the averaged ones.

    Args:
        path: the file.
        model: a module of the same structure to load weights and buffers into; by default one is
            built anew, which needs a model that consists of this library's layers alone.

    Returns:
        The model.

    Raises:
        FileNotFoundError: if there is no such file.
        FileError: if it is truncated, damaged or foreign.
        ValueError: if `model` is not given and can't be built anew.
        RuntimeError: if the weights do not fit `model`.
    """
    return build_model(path, *read(path), model)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the `metadata` of a file that `save` or a Trainer wrote.

    Raises:
        FileNotFoundError, FileError: as `load`.
    """
    metadata: dict[str, Any] = read(path)[1].get("metadata") or {}
    return metadata


def build_model(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Array],
    description: Mapping[str, Any],
    model: Module | None = None,
) -> Module:
    """The model of what `read` returned; see `load`."""
    weights = tensors_under(tensors, _MODEL)
    if model is not None:
        model.load_state_dict(weights)
        return model.eval()
    try:
        model = from_description(description.get("model"))
    except ValueError as error:
        raise ValueError(
            f"{path}: {error} Or give the model to load into: chainrule.load(path, model)."
        ) from None
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise FileError(f"{path}: its weights do not fit its model. {error}") from None
    return model.eval()


def tensors_under(tensors: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The tensors whose names begin with the prefix and a dot, by the rest of their names."""
    start = prefix + "."
    return {k.removeprefix(start): a for k, a in tensors.items() if k.startswith(start)}


def write(
    path: str | os.PathLike[str], tensors: Mapping[str, Array], description: dict[str, Any]
) -> None:
    """Write a safetensors file with `description` as JSON in its metadata.

    If anything goes wrong, a file that stood there before stays as it was.

    Raises:
        OSError: if the folder is missing or can't be written to, or the disk is full.
        TypeError: if JSON can't hold the description.
    """
    import json

    from safetensors.numpy import save as to_bytes

    text = json.dumps({"format": FORMAT, **description}, default=_plain)
    # safetensors takes the bytes as they lie: they must be contiguous.
    tensors = {k: np.ascontiguousarray(v).reshape(v.shape) for k, v in tensors.items()}
    write_atomically(
        path, to_bytes(dict(tensors), {_KEY: text, _CHECKSUM: _checksum(tensors, text)})
    )


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, Any]]:
    """The tensors and the description of a file that `write` made.

    Raises:
        FileNotFoundError: if there is none.
        FileError: if it is truncated, damaged, foreign, or of a later version. A single changed
            bit is noticed by a checksum.
    """
    import json

    from safetensors import SafetensorError, safe_open

    path = os.fspath(path)
    if os.path.isdir(path):
        raise FileError(f"{path} is a folder, not a model file")
    if not os.path.exists(path):
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
    """NumPy's scalars, which JSON does not know, as plain numbers."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(
        f"a file can't keep {value!r:.80} of type {type(value).__name__} in its description: "
        "numbers, strings, None, and lists and dicts of these"
    )
