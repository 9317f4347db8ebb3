"""How a model is called on data: in which dtype, and with one input or several."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule.graph.tensor import Array
from chainrule.nn.module import Module


def model_input(array: Array, dtype: DTypeLike) -> Array:
    """An input in the dtype that a model takes: floats, uint8 and bools in `dtype`, its own; other
    integers, which are indices, as int64."""
    values = array.dtype.kind in "fb" or array.dtype == np.uint8
    return np.asarray(array, dtype if values else np.int64)


def call_model(model: Module, x: Any) -> Any:
    """The model's output: a tuple is several inputs, a dict inputs by name."""
    if isinstance(x, tuple):
        return model(*x)
    return model(**x) if isinstance(x, dict) else model(x)
