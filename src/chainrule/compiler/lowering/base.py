"""Where lowerings are declared, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np

from chainrule.compiler.elementwise import UnsupportedError
from chainrule.compiler.instructions import Storage, contiguous, copy
from chainrule.compiler.schedule import Scheduler
from chainrule.compiler.values import Value, constant_array

Lowering = Callable[[Scheduler, Value], None]
LOWERINGS: dict[str, Lowering] = {}
"""By the operation's name."""


def lowering(*names: str) -> Callable[[Lowering], Lowering]:
    """Declare the decorated function as the lowering of operations."""

    def declare(function: Lowering) -> Lowering:
        LOWERINGS.update(dict.fromkeys(names, function))
        return function

    return declare


def temporary(
    scheduler: Scheduler, value: Value, shape: tuple[int, ...], dtype: np.dtype
) -> Storage:
    """Memory for something on the way to `value`."""
    stand_in = Value(value.kind, (), {}, shape, np.dtype(dtype), value.node)
    return scheduler.storage(stand_in)


def shared(
    scheduler: Scheduler,
    value: Value,
    shape: tuple[int, ...],
    dtype: np.dtype,
    what: Hashable,
    write: Callable[[Storage], None],
) -> Storage:
    """Memory that `write` fills for the first of all values that ask for the same thing."""
    if what not in scheduler.shared:
        scheduler.shared[what] = temporary(scheduler, value, shape, dtype)
        write(scheduler.shared[what])
    return scheduler.shared[what]


INT64 = np.dtype(np.int64)
WINDOW_AXES = 3
"""Of the windows of convolutions and poolings in the core; those of fewer have length 1."""


def as_int64(scheduler: Scheduler, x: Value) -> Value:
    """Integers or truth values as int64, in which the core counts and compares."""
    if x.dtype == INT64:
        return x
    if x.dtype == np.uint64:
        raise UnsupportedError(
            "the core counts and compares in int64, which does not hold all of uint64; cast it"
        )
    if x.array is not None:
        return constant_array(x.array.astype(INT64), x.node)
    cast = Value("astype", (x,), {"dtype": INT64}, x.shape, INT64, x.node)
    scheduler.elementwise(cast)
    return cast


def permuted(
    scheduler: Scheduler,
    value: Value,
    x: Storage,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    out: Storage | None = None,
) -> Storage:
    """x, an array of `shape`, copied with its axes in another order."""
    strides = contiguous(shape)
    new_shape = tuple([shape[a] for a in axes])
    if out is None:
        out = temporary(scheduler, value, new_shape, x.dtype)
    x_strides = tuple([strides[a] for a in axes])
    scheduler.add(copy(value, x, out, new_shape, x_strides, contiguous(new_shape)))
    return out
