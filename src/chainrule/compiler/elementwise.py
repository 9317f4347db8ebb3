"""Elementwise operations as the compiler sees them, and the dtype that they are computed in."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.compiler.values import Value
from chainrule.graph.operation import operations
from chainrule.ops.declare import Elementwise

ELEMENTWISE = {name: op for name, op in operations.items() if isinstance(op, Elementwise)}
"""By name, those of `chainrule.ops`: the core has kernels for them."""


class UnsupportedError(NotImplementedError):
    """An operation, or a form of it, that the native core has no kernel for."""


def compute_dtype(value: Value) -> np.dtype[Any]:
    """The dtype in which programs compute a value: float32, float64 or int64."""
    # Truth values are found by comparing, or casting, numbers of another dtype.
    dtype = value.inputs[0].dtype if value.dtype.kind == "b" else value.dtype
    if dtype in (np.float32, np.float64):
        return dtype
    if dtype.kind in "iub":
        return np.dtype(np.int64)
    raise UnsupportedError(f"{value.kind} of dtype {dtype}")


def is_exact_in_int64(value: Value) -> bool:
    """Whether int64 gives what the value's own dtype gives: nothing is cut to fewer bits."""
    if not ELEMENTWISE[value.kind].integers:
        return False
    if value.dtype == np.uint64:
        return value.kind == "add"  # the same bits, signed or not
    if any(i.dtype == np.uint64 for i in value.inputs):
        return False
    return value.dtype in (np.int64, np.bool_)
