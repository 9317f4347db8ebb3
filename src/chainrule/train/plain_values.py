"""Dicts and lists of arrays and plain values, as `state_dict` returns them: tensors and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.dtypes import as_dtype, check_unmasked
from chainrule.errors import DTypeError
from chainrule.graph.tensor import Array, Tensor

# JSON has no tuples, no arrays, and strings alone as keys: each of these is a dict with one key,
# that of its kind.


def split(value: Any) -> tuple[Any, dict[str, Array]]:
    """What JSON can hold of a value, and the arrays that it refers to.

    Raises:
        TypeError: for what is neither an array, a dict, list or tuple of such values, nor plain.
        ValueError: for an array with masked values.
    """
    arrays: dict[str, Array] = {}
    try:
        return _described(value, "", arrays), arrays
    except RecursionError:
        raise TypeError("a file can't keep what lies within itself or too deep") from None


def join(described: Any, arrays: Mapping[str, Array]) -> Any:
    """The value that `split` took apart.

    Raises:
        ValueError, KeyError, TypeError: if it did not.
    """
    if not isinstance(described, dict):
        return described
    ((kind, content),) = described.items()
    if kind == "array":
        return arrays[content]
    if kind == "dict":
        return {join(key, arrays): join(item, arrays) for key, item in content}
    if kind in ("list", "tuple"):
        items = [join(item, arrays) for item in content]
        return items if kind == "list" else tuple(items)
    raise ValueError(f"it names a kind of values {kind!r:.80}")


def _described(value: Any, path: str, arrays: dict[str, Array]) -> Any:
    if isinstance(value, Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        check_unmasked(path or "the array", value)
        try:
            as_dtype(value.dtype)
        except DTypeError as error:
            raise TypeError(f"a file can't keep {path or 'an array'}: {error}") from None
        name = path or "value"
        while name in arrays:  # of keys such as "a.b" beside {"a": {"b": ...}}
            name += "'"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, Mapping):
        items = [
            [_described(key, path, arrays), _described(item, f"{path}.{key}".strip("."), arrays)]
            for key, item in value.items()
        ]
        return {"dict": items}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {
            kind: [_described(v, f"{path}.{i}".strip("."), arrays) for i, v in enumerate(value)]
        }
    if value is None or isinstance(value, (bool, int, float, str, np.generic)):
        return value
    raise TypeError(
        f"a file can't keep {path or 'a value'} of type {type(value).__name__}: arrays, numbers, "
        "strings, None, and dicts, lists and tuples of these; take it out before"
    )
