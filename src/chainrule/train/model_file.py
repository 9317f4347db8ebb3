"""Model files: tensors and a description in one safetensors file, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeVar, overload

import numpy as np

from chainrule import checks
from chainrule.errors import FileError, printable, warn
from chainrule.graph.placement import check_device
from chainrule.graph.tensor import Array
from chainrule.nn import Module, from_description, ties, to_description
from chainrule.nn.description import count_elements
from chainrule.system.atomic_files import write_atomically
from chainrule.system.reading import reason
from chainrule.tables import Names, names_from_json
from chainrule.train import plain_values, tensor_file

# json and zlib are imported where a file is written or read: `import chainrule` is faster without
# them.

M = TypeVar("M", bound=Module)

_KEY = "chainrule"
_CHECKSUM = "crc32"
_SPARE_ELEMENTS = 1 << 20  # that a description may count beyond those of its tensors
_MODEL = "model"  # the prefix of the names of the model's tensors
_VALUES = "values"  # of those of a dict
WORD_VECTORS = "word_vectors"
"""The key of the description of a file that holds vectors of words in place of a model."""

FORMAT = 3
"""The version of the description; a file with another one is refused."""


def save(
    model: Module | Mapping[str, Any],
    path: str | os.PathLike[str],
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Save a model: a safetensors file with its weights, buffers and a description of its layers.

    The description says which parameters are frozen: those whose `requires_grad` is False.

    Or save a dict, such as ``model.state_dict()`` or one of several: `load` gives it back.

    The file is written whole or not at all: a file that stood there before stays intact if
    anything goes wrong. `Trainer.save` writes files of the same kind that hold a training, too.

    Args:
        model: any `nn.Module`; or a dict of arrays, Tensors, numbers, strings, None, and dicts,
            lists and tuples of these. Of a Tensor the file holds the array.
        path: the file, by custom with the ending ``.safetensors``.
        metadata: a dict that JSON can hold, with the names of the classes, say; `read_metadata`
            gives it back, with strings for keys and lists for tuples.

    Raises:
        OSError: if the folder is missing or can't be written to, or the disk is full.
        TypeError: if `model` is neither, holds anything else, or JSON can't hold the metadata.
        ValueError: for an array with masked values.

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
        >>> cr.save({"epoch": 3, "model": nn.Linear(2, 1).state_dict()}, path)
        >>> cr.load(path)["epoch"]
        3
    """
    if isinstance(path, (Module, Mapping)):
        raise TypeError("save takes the model first, then the path: chainrule.save(model, path)")
    checks.path("path", path)
    if isinstance(model, Mapping):
        description, arrays = plain_values.split(model)
        tensors = {f"{_VALUES}.{name}": array for name, array in arrays.items()}
        write(path, tensors, {_VALUES: description, "metadata": as_metadata(metadata)})
        return
    if not isinstance(model, Module):
        raise TypeError(
            f"model is a nn.Module or a dict, got {model!r:.80}; a Tensor or a list goes into a "
            "dict, {'x': x}; a Trainer, an Ensemble and a model of a table save themselves: "
            "`save`, of an estimator `model_.save`"
        )
    tensors = {f"{_MODEL}.{name}": array for name, array in model.state_dict().items()}
    write(path, tensors, {**entries_of(model), "metadata": as_metadata(metadata)})


def entries_of(model: Module) -> dict[str, Any]:
    """What a file says of a model: its layers, and the names of the columns it was trained on."""
    found = {"model": to_description(model), "columns": model._column_names}
    hooked = forward_hooks(model)
    return {**found, "hooks": hooked} if hooked else found


def forward_hooks(model: Module) -> list[str]:
    """The names of the modules with hooks that may change what they compute."""
    return [
        name or "the model itself"
        for name, module in model.named_modules()
        if module._hooks is not None and (module._hooks.forward or module._hooks.forward_pre)
    ]


def warn_of_hooks(description: Mapping[str, Any], model: Module) -> None:
    """Warn where a file's model had forward hooks, which no file holds, and this one has none."""
    saved, has_now = description.get("hooks"), forward_hooks(model)
    missing = [str(n) for n in saved if n not in has_now] if isinstance(saved, list) else []
    if missing:
        warn(
            f"the model was saved with forward hooks on {', '.join(missing):.200}, which a file "
            "does not hold: without them it may compute something else. Register them again",
            RuntimeWarning,
        )


def as_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """The metadata for a file as a dict.

    Raises:
        TypeError: if they are neither None nor a dict that JSON can hold.
    """
    if metadata is not None and not isinstance(metadata, Mapping):
        raise TypeError(f"metadata is a dict that JSON can hold, got {metadata!r:.80}")
    found = dict(metadata or {})
    if found:
        as_text(found)
    return found


@overload
def load(path: str | os.PathLike[str], model: M) -> M: ...


@overload
def load(
    path: str | os.PathLike[str],
    model: None = None,
    *,
    map_location: Any = None,
    weights_only: bool = True,
) -> Any: ...


def load(
    path: str | os.PathLike[str],
    model: Module | None = None,
    *,
    map_location: Any = None,
    weights_only: bool = True,
) -> Any:
    """Load the model of a file that `save` or a Trainer wrote, in evaluation mode.

    If the Trainer had an average of the parameters, the model has the averaged ones. Of a file with
    a dict, return the dict.

    Args:
        path: the file.
        model: a module of the same structure to load weights and buffers into; by default one is
            built anew, which needs a model that consists of this library's layers alone. What is
            frozen in a model built anew was frozen when it was saved; a given one stays as it is.
        map_location: PyTorch's: None or "cpu", which mean the same.
        weights_only: PyTorch's: it means nothing, as no file holds code.

    Returns:
        The model, or the dict.

    Raises:
        FileNotFoundError: if there is no such file.
        FileError: if it is truncated, damaged or foreign; if `model` is not given and can't be
            built anew.
        RuntimeError: if the weights do not fit `model`.
        TypeError: if `map_location` is another device, `model` is no module, or the file of a dict
            is given one.

    Warns:
        RuntimeWarning: if the model was saved with forward hooks where this one has none.
    """
    if map_location is not None:
        check_device(map_location)
    if model is not None and not isinstance(model, Module):
        raise TypeError(f"model is a nn.Module to load into, got {checks.described(model)}")
    tensors, description = read(path)
    if _VALUES not in description:
        return build_model(path, tensors, description, model)
    if model is not None:
        raise TypeError(f"{path} holds a dict: model.load_state_dict(chainrule.load(path))")
    return values_of(path, tensors, description)


def values_of(
    path: str | os.PathLike[str], tensors: Mapping[str, Array], description: Mapping[str, Any]
) -> dict[Any, Any]:
    """The dict of what `read` returned; an empty one of a file that holds none."""
    if _VALUES not in description:
        return {}
    try:
        values = plain_values.join(description[_VALUES], tensors_under(tensors, _VALUES))
    except Exception as error:
        raise FileError(f"{path}: its dict is damaged ({reason(error)})") from None
    if not isinstance(values, dict):
        raise FileError(f"{path}: its dict is damaged: {values!r:.80}")
    return values


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the `metadata` of a file that `save` or a Trainer wrote.

    Raises:
        FileNotFoundError, FileError: as `load`.
    """
    return metadata_of(path, read(path)[1])


def metadata_of(path: str | os.PathLike[str], description: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of what `read` returned; an empty dict of a file that has none."""
    metadata = description.get("metadata", {})
    if not isinstance(metadata, dict):
        raise FileError(f"{path}: its metadata are damaged: {metadata!r:.80} is no dict")
    return metadata


def build_model(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Array],
    description: Mapping[str, Any],
    model: Module | None = None,
) -> Module:
    """The model of what `read` returned; see `load`."""
    if WORD_VECTORS in description:
        raise FileError(
            f"{path} holds vectors of words, not a model: chainrule.text.WordVectors.load(path)"
        )
    weights = tensors_under(tensors, _MODEL)
    columns = column_names(path, description)
    if model is not None:
        _check_ties(path, description, weights, model)
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise RuntimeError(f"{printable(str(path))} does not fit the model. {error}") from error
        model._column_names = columns
        warn_of_hooks(description, model)
        return model.eval()
    try:
        model = described_model(tensors, description)
    except Exception as error:
        raise FileError(
            f"{path}: {reason(error)}. Load into a model that you have made: chainrule.load(path, "
            "model)."
        ) from error
    try:
        model.load_state_dict(weights)
    except Exception as error:
        raise FileError(f"{path}: its weights do not fit its model. {reason(error)}") from None
    model._column_names = columns
    warn_of_hooks(description, model)
    return model.eval()


def _check_ties(
    path: str | os.PathLike[str],
    description: Mapping[str, Any],
    weights: Mapping[str, Array],
    model: Module,
) -> None:
    """Raise RuntimeError where the file has one parameter for two of the model."""
    own = model._named_state()
    for name, first in ties_of(path, description, weights).items():
        if name in own and first in own and own[name] is not own[first]:
            raise RuntimeError(
                f"{path} is of a model in which {first} and {name} are one and the same. "
                f"{ties.remedy(first, name)}"
            )


def ties_of(
    path: str | os.PathLike[str], description: Mapping[str, Any], weights: Mapping[str, Array]
) -> dict[str, str]:
    """For each further name of a state of a file's model its first name."""
    try:
        return ties.described_ties(description["model"], weights)
    except Exception as error:
        raise FileError(f"{path}: what it says of its model is damaged ({reason(error)})") from None


def column_names(path: str | os.PathLike[str], description: Mapping[str, Any]) -> Names | None:
    """The names of the columns that a file's model was trained on."""
    try:
        return names_from_json(description.get("columns"))
    except ValueError as error:
        raise FileError(f"{path}: the columns of its model are damaged: {error}") from None


def described_model(tensors: Mapping[str, Array], description: Mapping[str, Any]) -> Module:
    """The model of what `read` returned, without its weights.

    Raises:
        ValueError: if it can't be built anew, or would be larger than its weights.
    """
    described = description.get("model")
    held = sum(array.size for array in tensors_under(tensors, _MODEL).values())
    # A layer without parameters may count some that it does not make.
    if (needed := count_elements(described)) > held + _SPARE_ELEMENTS:
        raise ValueError(f"its model would hold about {needed} numbers, its tensors hold {held}")
    return from_description(described, needed)


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
    text = as_text(description)
    stored = {name: tensor_file.as_stored(array) for name, array in tensors.items()}
    texts = {_KEY: text, _CHECKSUM: _checksum(stored, text)}
    write_atomically(path, tensor_file.parts(stored, texts))


def as_text(description: Mapping[str, Any]) -> str:
    """The description as JSON.

    Raises:
        TypeError: if JSON can't hold it.
    """
    import json

    try:
        return json.dumps({"format": FORMAT, **description}, default=_plain)
    except (ValueError, RecursionError, UnicodeError) as error:  # in a circle, or too deep
        raise TypeError(
            f"a file can't keep what lies within itself or too deep: {reason(error)}"
        ) from None


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, Any]]:
    """The tensors and the description of a file that `write` made.

    Raises:
        FileNotFoundError: if there is none.
        FileError: if it is truncated, damaged, foreign, or of a later version. A single changed
            bit is noticed by a checksum.
    """
    import json

    path = os.fspath(checks.path("path", path))
    try:
        tensors, metadata = tensor_file.read(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}") from None
    if _KEY not in metadata:
        raise FileError(
            f"{path} is a safetensors file that chainrule did not write: it has no description. "
            "Read its tensors with safetensors and use load_state_dict."
        )
    try:
        description = json.loads(metadata[_KEY])
        version = description["format"]
    except Exception as error:
        raise FileError(
            f"{path}: the description in its metadata is damaged ({reason(error)})"
        ) from None
    if type(version) is not int or version != FORMAT:
        raise FileError(
            f"{path} has format {version!r:.80}; this chainrule reads format {FORMAT}. Install the "
            "version that wrote it."
        )
    # A file that another tool has changed on purpose can do without.
    if metadata.get(_CHECKSUM, checksum := _checksum(tensors, metadata[_KEY])) != checksum:
        raise FileError(
            f"{path} is damaged: its checksum is {metadata[_CHECKSUM]:.80}, that of what it holds "
            f"is {checksum}. Bits of it have changed since it was written."
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
