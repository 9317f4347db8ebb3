"""Which operations elementwise programs have, and what they compute them in."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.compiler.values import Value

_INTEGER_KINDS = {
    "add",
    "subtract",
    "multiply",
    "negative",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "where",
    "maximum",
    "minimum",
    "abs",
    "sign",
    "astype",
    "add_n",
}
_FLOATING_ONLY = {
    "divide",
    "power",
    "heaviside",
    "exp",
    "log",
    "log1p",
    "expm1",
    "sqrt",
    "sin",
    "cos",
    "tanh",
    "sigmoid",
    "relu",
    "softplus",
    "erf",
}
ELEMENTWISE = _INTEGER_KINDS | _FLOATING_ONLY
_COMPARISONS = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}


class UnsupportedError(NotImplementedError):
    """An operation, or a form of it, that the native core has no kernel for."""


def compute_dtype(value: Value) -> np.dtype[Any]:
    """What an elementwise value is computed in: float32, float64 or int64."""
    dtype = value.inputs[0].dtype if value.kind in _COMPARISONS else value.dtype
    if value.kind == "astype" and dtype.kind == "b":
        dtype = value.inputs[0].dtype
    if dtype in (np.float32, np.float64):
        return dtype
    if dtype.kind in "iub":
        return np.dtype(np.int64)
    raise UnsupportedError(f"{value.kind} of dtype {dtype}")


def is_exact_in_int64(value: Value) -> bool:
    """Whether int64 gives what the value's own dtype gives: nothing is cut to fewer bits."""
    if value.kind not in _INTEGER_KINDS:
        return False
    if value.dtype == np.uint64:
        return value.kind == "add"  # the same bits, signed or not
    if any(i.dtype == np.uint64 for i in value.inputs):
        return False
    return value.dtype in (np.int64, np.bool_)
