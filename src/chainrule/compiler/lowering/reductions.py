"""The lowering of reductions, and of what goes row by row."""

from __future__ import annotations

import math

import numpy as np

from chainrule.compiler.elementwise import UnsupportedError
from chainrule.compiler.instructions import Instruction, copy, fill, reduction
from chainrule.compiler.lowering.base import INT64, as_int64, lowering, permuted, temporary
from chainrule.compiler.schedule import Scheduler
from chainrule.compiler.values import Value


@lowering("sum", "max", "min")
def _reduce(scheduler: Scheduler, value: Value) -> None:
    (x,) = value.inputs
    if x.dtype.kind != "f" and x.dtype != INT64:
        inputs = (as_int64(scheduler, x),)
        wide = Value(value.kind, inputs, value.attributes, value.shape, INT64, value.node)
        _reduce(scheduler, wide)
        value.become("astype", (wide,), {"dtype": value.dtype})
        scheduler.elementwise(value)
        return
    axes = [a for a in value.attributes["axes"] if x.shape[a] != 1 or value.kind != "sum"]
    storage, shape = scheduler.storage(x), x.shape
    runs = _runs(axes)
    if not runs:  # over no axis: a copy
        scheduler.add(copy(value, storage, scheduler.storage(value), (x.size,), (1,), (1,)))
        return
    if (
        value.kind == "sum"
        and runs[0] == (0, len(shape) - 1)
        and shape[-1] <= _FEW_COLUMNS
        and math.prod(shape[1:-1]) >= _MANY_ROWS
    ):
        runs[:1] = [(0, 1), (1, len(shape) - 1)]  # image by image, so that threads can share it
    # From the last run of axes to the first, so that the numbers of the others stay right.
    for start, stop in reversed(runs):
        outer, length, inner = (
            math.prod(shape[:start]),
            math.prod(shape[start:stop]),
            math.prod(shape[stop:]),
        )
        shape = (*shape[:start], *(1,) * (stop - start), *shape[stop:])
        last = (start, stop) == runs[0]
        out = scheduler.storage(value) if last else temporary(scheduler, value, shape, x.dtype)
        lengths = (outer, length, inner)
        scheduler.add(reduction(value.kind, value, storage, out, lengths))
        storage = out


_FEW_COLUMNS = 256  # that one thread alone would sum up
_MANY_ROWS = 32  # of an image: fewer are better summed with those of the others


def _runs(axes: list[int]) -> list[tuple[int, int]]:
    """Neighbouring axes as (start, stop)."""
    runs: list[tuple[int, int]] = []
    for axis in axes:
        if runs and runs[-1][1] == axis:
            runs[-1] = (runs[-1][0], axis + 1)
        else:
            runs.append((axis, axis + 1))
    return runs


def _last(axes: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """The order of axes with `axes` moved to the end."""
    return (*(a for a in range(ndim) if a not in axes), *axes)


def _rows(scheduler: Scheduler, value: Value, axes: tuple[int, ...], *, keeps_shape: bool) -> None:
    """A row kernel of the operation's name along `axes` of its first input.

    They are moved to the end where they are not there.
    """
    x = value.inputs[0]
    if x.dtype not in (np.float32, np.float64, np.int64):
        raise UnsupportedError(f"{value.kind} of {x.dtype} has no native kernel; cast the Tensor")
    ndim = len(x.shape)
    columns = math.prod([x.shape[a] for a in axes])
    order = _last(axes, ndim)
    more_inputs = [scheduler.storage(i) for i in value.inputs[1:]]
    storage, out = scheduler.storage(x), scheduler.storage(value)
    in_place = order == tuple(range(ndim))
    target = out
    moved = tuple([x.shape[a] for a in order])
    if not in_place:
        storage = permuted(scheduler, value, storage, x.shape, order)
        if keeps_shape:
            target = temporary(scheduler, value, moved, value.dtype)
    scheduler.add(
        Instruction(
            "rows",
            value,
            {"inputs": [storage, *more_inputs]},
            {"out": target},
            flops=value.flops,
            kernel=value.kind,
            dtype=x.dtype,
            rows=x.size // columns if columns else 0,
            columns=columns,
        )
    )
    if not in_place and keeps_shape:
        back = tuple([order.index(a) for a in range(ndim)])
        permuted(scheduler, value, target, moved, back, out)


@lowering("softmax", "log_softmax", "cumsum", "reverse_cumsum")
def _along_axis(scheduler: Scheduler, value: Value) -> None:
    _rows(scheduler, value, (value.attributes["axis"],), keeps_shape=True)


@lowering("logsumexp")
def _logsumexp(scheduler: Scheduler, value: Value) -> None:
    if not value.inputs[0].size:  # the logarithm of an empty sum
        scheduler.add(fill(value, scheduler.storage(value), -math.inf))
        return
    _rows(scheduler, value, value.attributes["axes"], keeps_shape=False)


@lowering("argmax")
def _argmax(scheduler: Scheduler, value: Value) -> None:
    (x,) = value.inputs
    if x.dtype.kind != "f":
        value.inputs = (as_int64(scheduler, x),)
    _rows(scheduler, value, (value.attributes["axis"],), keeps_shape=False)


@lowering("first_equal")
def _first_equal(scheduler: Scheduler, value: Value) -> None:
    _rows(scheduler, value, value.attributes["axes"], keeps_shape=True)


@lowering("softmax_cross_entropy", "softmax_cross_entropy_grad", "one_hot")
def _labelled(scheduler: Scheduler, value: Value) -> None:
    if value.kind == "one_hot":
        rows, columns = value.inputs[0].size, value.attributes["classes"]
    else:
        rows, columns = value.inputs[-2].shape
    labels = value.inputs[-1]
    grad = scheduler.graph.loss_gradients.get(value)
    results = {"out": scheduler.storage(value)}
    if grad is not None:
        results["second"] = scheduler.storage(grad)
    computed = grad or value  # a gradient's work includes that of the losses
    labels = as_int64(scheduler, labels)
    scheduler.add(
        Instruction(
            "rows",
            value,
            {"inputs": [scheduler.storage(i) for i in (*computed.inputs[:-1], labels)]},
            results,
            flops=computed.flops,
            kernel=value.kind if grad is None else f"{value.kind}_and_grad",
            dtype=value.dtype,
            rows=rows,
            columns=columns,
        )
    )


@lowering("normalize_rows", "normalize_rows_grad")
def _normalize_rows(scheduler: Scheduler, value: Value) -> None:
    kernel = "layer_norm" if value.attributes["centred"] else "rms_norm"
    rows, columns = value.shape
    scheduler.add(
        Instruction(
            "rows",
            value,
            {"inputs": [scheduler.storage(x) for x in value.inputs]},
            {"out": scheduler.storage(value)},
            flops=value.flops,
            kernel=kernel if value.kind == "normalize_rows" else f"{kernel}_grad",
            dtype=value.dtype,
            rows=rows,
            columns=columns,
            number=value.attributes["eps"],
        )
    )
