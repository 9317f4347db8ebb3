"""Elementwise operations as the compiler sees them, and the dtype that they are computed in."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.compiler.values import Value, ValueGraph
from chainrule.graph.operation import operations
from chainrule.ops.declare import Elementwise

ELEMENTWISE = {name: op for name, op in operations.items() if isinstance(op, Elementwise)}
"""By name, those of `chainrule.ops`: the core has kernels for them."""


_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


class UnsupportedError(NotImplementedError):
    """An operation, or a form of it, that the native core has no kernel for."""


def compute_dtype(value: Value) -> np.dtype[Any]:
    """The dtype in which programs compute a value: float32, float64 or int64."""
    # Truth values are found by comparing, or casting, numbers of another dtype.
    dtype = value.inputs[0].dtype if value.dtype.kind == "b" else value.dtype
    if dtype in (_FLOAT32, _FLOAT64):
        return dtype
    if dtype.kind in "iub":
        return np.dtype(np.int64)
    raise UnsupportedError(f"{value.kind} of dtype {dtype}")


def is_exact_in_int64(value: Value) -> bool:
    """Whether int64, cut to the value's bits where it is stored, gives what its dtype gives."""
    if not ELEMENTWISE[value.kind].integers:
        return False
    if value.kind == "astype" and value.inputs[0].dtype.kind == "f":
        return value.dtype != np.uint64
    if any(t.dtype == np.uint64 for t in (value, *value.inputs)):
        if value.kind in ("equal", "not_equal"):  # -1 has the bits of 2^64 - 1
            return all(t.dtype.kind == "u" for t in value.inputs)
        return value.kind in _SAME_BITS
    return True


_SAME_BITS = {"add", "add_n", "astype", "equal", "multiply", "negative", "not_equal", "subtract"}
_SAME_BITS |= {"where"}
"""Operations that give the same bits whether a sign is read into those of their inputs or not."""


def is_narrowed(value: Value) -> bool:
    """Whether memory narrows a value: a program's register may hold more than its dtype can.

    That of a sum of two int8 may, or of two truth values, which is 2. What reads the value reads
    what memory holds.
    """
    if value.dtype.kind == "b":
        return value.kind in ("add", "add_n")
    return value.dtype.kind in "iu" and value.dtype.itemsize < 8


def drawn_by_programs(graph: ValueGraph) -> set[Value]:
    """Random numbers that one elementwise operation alone reads: its program can draw them."""
    drawn = [value for value in graph.values if value.kind == "random_uniform"]
    users, roots = graph.users() if drawn else {}, set(graph.roots)
    found = set()
    for value in drawn:
        if value not in roots and len(users[value]) == 1:
            (user,) = users[value]
            simple = user.kind in ELEMENTWISE and user.shape == value.shape
            if simple and compute_dtype(user) == value.dtype:
                found.add(value)
    return found
