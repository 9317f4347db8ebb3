"""How a model is called on data: in which dtype, and with one input or several."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.graph.tensor import Array
from chainrule.nn.module import Module


def input_dtype(given: np.dtype[Any], dtype: np.dtype[Any], one_of_several: bool) -> np.dtype[Any]:
    """The dtype in which a model of floating dtype `dtype` takes an input of dtype `given`.

    Floats, uint8 and bools are values, in `dtype`; other integers are indices, int64. Bools beside
    other inputs are a mask and stay so: attention would add numbers to its scores.
    """
    if given.kind == "b" and one_of_several:
        return given
    is_value = given.kind in "fb" or given == np.uint8
    return dtype if is_value else np.dtype(np.int64)


def floating_dtype(model: Module) -> np.dtype[Any]:
    """The dtype of the model's parameters, or buffers; float32 if there are no floating ones."""
    states = [*model.parameters(), *model.buffers()]
    return next((s.dtype for s in states if s.dtype.kind == "f"), np.dtype(np.float32))


def takes_float64(model: Module) -> bool:
    """Whether a layer of the model uses all digits of float64 inputs."""
    return any(module.takes_float64 for module in model.modules())


def model_input(model: Module, array: Array, dtype: np.dtype[Any], one_of_several: bool) -> Array:
    """An input in the dtype in which a model of floating dtype `dtype` takes it."""
    if array.dtype == np.float64 and takes_float64(model):
        return array
    return np.asarray(array, input_dtype(array.dtype, dtype, one_of_several))


def call_model(model: Module, x: Any) -> Any:
    """The model's output: a tuple is several inputs, a dict inputs by name."""
    if isinstance(x, tuple):
        return model(*x)
    return model(**x) if isinstance(x, dict) else model(x)
