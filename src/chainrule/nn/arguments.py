"""Checks of layers' inputs and arguments; an argument is returned as its owner keeps it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.placement import check_device
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn.module import Module


def module(name: str, value: Any) -> Module:
    """A module."""
    if not isinstance(value, Module):
        raise TypeError(f"{name} is a Module, got {checks.described(value)}")
    return value


def floating(dtype: DTypeLike | None, device: Any = None) -> str:
    """The name of the dtype of a layer's parameters: float32 for None. The device is the CPU."""
    check_device(device)
    return checks.floating(dtype)


def axis(kind: str, dim: int | None) -> int:
    """The axis of a softmax, which has to be given."""
    if dim is None:
        raise TypeError(
            f"{kind} takes the axis along which the results sum to 1: dim=-1, the last, where a "
            "row has the scores of the classes. Where PyTorch guesses, it takes axis 1 of matrices "
            "and axis 0 of vectors and of three axes"
        )
    return checks.integer("dim", dim)


def lengths(name: str, value: Any) -> tuple[int, ...]:
    """The lengths of one axis or more, as a tuple."""
    several = value if isinstance(value, (list, tuple)) else [value]
    if not several:
        raise ValueError(f"{name} has at least one length, got {value!r}")
    return tuple([checks.count(name, length) for length in several])


def elements(given: Mapping[str, Any], *names: str) -> int:
    """How many elements an array has whose lengths are these of the arguments of a constructor."""
    return math.prod(math.prod(lengths(name, given[name])) for name in names)


def check_input(x: Tensor, features: int, dtype: str) -> None:
    """Raise where the input's last axis is not `features` long, or its dtype is another."""
    if not x.shape or x.shape[-1] != features:
        if x.ndim > 2 and math.prod(x.shape[1:]) == features:
            remedy = "Put a Flatten() before this layer."
        else:
            remedy = "Change this layer's number of features, or what comes before it."
        raise ShapeError(
            f"the input's last axis must have length {features}; its shape is {x.shape}. {remedy}"
        )
    check_dtype(x, dtype)


def as_input(x: TensorLike, features: int, dtype: str) -> Tensor:
    """The input in a layer's dtype, as `as_dtype`; raises where its last axis does not fit."""
    found = as_dtype(x, dtype)
    check_input(found, features, dtype)
    return found


def as_dtype(x: TensorLike, dtype: str) -> Tensor:
    """The input in a layer's dtype: data of any dtype are cast, as `Trainer.predict` does.

    The output of a layer before, through which a gradient flows, has to have the dtype.
    """
    x = as_tensor(x)
    if x.dtype == dtype:
        return x
    if not x.requires_grad:
        return x.astype(dtype)
    check_dtype(x, dtype)
    return x


def as_dtype_beside(x: TensorLike, dtype: str, *held: Tensor | None) -> Tensor:
    """The input in the dtype of what a layer holds, as `as_dtype`.

    Floats keep theirs where it holds nothing, as in PyTorch.
    """
    x = as_tensor(x)
    if x.dtype.kind == "f" and all(tensor is None for tensor in held):
        return x
    return as_dtype(x, dtype)


def centred(input: TensorLike, centre: Tensor, dtype: str) -> Tensor:
    """input - centre for each column, subtracted in float64 and cast to a layer's dtype.

    So numbers that are large beside their differences keep all digits of these.
    """
    x = as_tensor(input).astype(np.float64)
    check_input(x, centre.shape[0], "float64")
    return (x - centre).astype(dtype)


def check_dtype(x: Tensor, dtype: str) -> None:
    """Raise where the input has another dtype than the layer."""
    if x.dtype != dtype:
        raise DTypeError(
            f"the input has dtype {x.dtype}, this layer {dtype}. Convert the input: "
            f"x.astype({dtype!r})."
        )
