"""What a model's file is served as."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from chainrule.errors import FileError
from chainrule.serve.application import MOST_BYTES, make_app
from chainrule.serve.predictor import Predictor
from chainrule.serve.questions import Served, ServedArray, ServedTable
from chainrule.system.reading import reason
from chainrule.tabular.model import is_model, model_of
from chainrule.train.model_file import WORD_VECTORS, build_model, metadata_of, read, values_of

_MOST_NUMBERS = 1 << 22
"""More numbers in a row are no row."""


def app(path: str | os.PathLike[str], *, most_bytes: int = MOST_BYTES) -> Any:
    """An ASGI application that answers for the model in a file; see `make_app`.

    Args:
        path: a file that `chainrule train` or `TabularModel.save` wrote.
        most_bytes: of a request.

    Raises:
        FileNotFoundError, FileError: if it can't be read.
        ValueError: if it does not say what a row holds.

    Example:
        >>> import os, tempfile
        >>> import numpy as np
        >>> from chainrule import serve, tabular
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> model = tabular.fit(x, x[:, 0], "regression", epochs=2)
        >>> path = os.path.join(tempfile.mkdtemp(), "sums.safetensors")
        >>> model.save(path)
        >>> serve.app(path)  # uvicorn.run takes it
        <starlette.applications.Starlette object at ...>
    """
    return make_app(served(path), title=Path(path).stem, most_bytes=most_bytes)


def served(path: str | os.PathLike[str]) -> Served:
    """The model of a file."""
    tensors, description = read(path)
    metadata = metadata_of(path, description)
    if is_model(found := values_of(path, tensors, description)):
        return ServedTable(model_of(path, found), str(metadata.get("target") or "prediction"))
    if WORD_VECTORS in description or "tokenizer" in metadata:
        raise ValueError(f"{path} holds words or text: only models of rows of numbers are served")
    data = metadata.get("data")
    if not isinstance(data, dict) or not {"shape", "columns", "target"} <= data.keys():
        raise ValueError(
            f"{path} does not say what a row holds: it was not saved by `chainrule train`. Give "
            "serve.make_app a ServedArray with the shape of a row"
        )
    model = build_model(path, tensors, description)
    try:
        shape = tuple(int(length) for length in data["shape"])
        names, classes = data["columns"], metadata.get("classes")
        if not 0 < math.prod(shape) <= _MOST_NUMBERS:
            raise ValueError(f"a row of shape {shape}")
        target = str(data["target"] or "prediction")
        return ServedArray(Predictor(model), shape, names, classes, target)
    except Exception as error:
        raise FileError(f"{path}: what it says of its data is damaged ({reason(error)})") from None
