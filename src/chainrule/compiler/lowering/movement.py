"""The lowering of what moves elements, draws them or reads them in."""

from __future__ import annotations

import math

import numpy as np

from chainrule.compiler.instructions import Instruction, Part, contiguous, copy, fill
from chainrule.compiler.lowering.base import INT64, as_int64, lowering, permuted
from chainrule.compiler.schedule import Scheduler
from chainrule.compiler.values import Value, constant
from chainrule.compiler.views import contiguous_view, sliced


@lowering("transpose")
def _transpose(scheduler: Scheduler, value: Value) -> None:
    (x,) = value.inputs
    axes = value.attributes["axes"]
    permuted(scheduler, value, scheduler.storage(x), x.shape, axes, scheduler.storage(value))


@lowering("slice")
def _slice(scheduler: Scheduler, value: Value) -> None:
    (x,) = value.inputs
    view = sliced(value, contiguous_view(x.shape))
    part, out = Part(scheduler.storage(x), view.offset), scheduler.storage(value)
    scheduler.add(copy(value, part, out, value.shape, view.strides, contiguous(value.shape)))


@lowering("unslice")
def _unslice(scheduler: Scheduler, value: Value) -> None:
    view = sliced(value, contiguous_view(value.shape))
    _placed(scheduler, value, 0.0, view.strides, view.offset)


@lowering("pad")
def _pad(scheduler: Scheduler, value: Value) -> None:
    strides = contiguous(value.shape)
    starts = [before for before, _ in value.attributes["widths"]]
    offset = sum(s * start for s, start in zip(strides, starts, strict=True))
    _placed(scheduler, value, value.attributes["value"], strides, offset)


def _placed(
    scheduler: Scheduler, value: Value, background: float, out_strides: tuple[int, ...], offset: int
) -> None:
    """The input at given strides of the output, the rest filled with one number."""
    (x,) = value.inputs
    out = scheduler.storage(value)
    scheduler.add(fill(value, out, background))
    _copy_into(scheduler, value, x, out_strides, offset)


def _copy_into(
    scheduler: Scheduler, value: Value, x: Value, out_strides: tuple[int, ...], offset: int
) -> None:
    """x written at given strides of the memory of `value`, from an element on."""
    if not x.size:  # it may begin where the memory ends
        return
    out = Part(scheduler.storage(value), offset)
    scheduler.add(copy(value, scheduler.storage(x), out, x.shape, contiguous(x.shape), out_strides))


@lowering("concatenate")
def _concatenate(scheduler: Scheduler, value: Value) -> None:
    axis = value.attributes["axis"]
    strides = contiguous(value.shape)
    start = 0
    for x in value.inputs:
        _copy_into(scheduler, value, x, strides, start * strides[axis])
        start += x.shape[axis]


_OUTSIDE = -(2**40)  # as an index, out of every array's range


def _flat_index(
    scheduler: Scheduler, value: Value, indices: list[Value], lengths: tuple[int, ...]
) -> Value:
    """One index into the axes `lengths` taken together, out of range where one of them is."""
    shape = indices[0].shape

    def whole_number(number: int) -> Value:
        return constant(number, shape, INT64, value.node)

    def compute(kind: str, *inputs: Value) -> Value:
        dtype = np.dtype(bool) if kind in ("less", "greater_equal") else INT64
        computed = Value(kind, inputs, {}, shape, dtype, value.node)
        scheduler.elementwise(computed)
        return computed

    flat = None
    for index, length, stride in zip(indices, lengths, contiguous(lengths), strict=True):
        from_end = compute("add", index, whole_number(length))
        index = compute("where", compute("less", index, whole_number(0)), from_end, index)
        for outside in (
            compute("less", index, whole_number(0)),
            compute("greater_equal", index, whole_number(length)),
        ):
            index = compute("where", outside, whole_number(_OUTSIDE), index)
        part = compute("multiply", index, whole_number(stride))
        flat = part if flat is None else compute("add", flat, part)
    assert flat is not None
    return flat


@lowering("gather", "scatter_add")
def _gather(scheduler: Scheduler, value: Value) -> None:
    x, *given = value.inputs
    indices = [as_int64(scheduler, i) for i in given]
    axis = value.attributes["axis"]
    whole = x.shape if value.kind == "gather" else value.attributes["shape"]
    lengths = whole[axis : axis + len(indices)]
    index = indices[0] if len(indices) == 1 else _flat_index(scheduler, value, indices, lengths)
    # Sums need the dtype; elements that are only moved, their size.
    element = {"itemsize": x.dtype.itemsize} if value.kind == "gather" else {"dtype": x.dtype}
    scheduler.add(
        Instruction(
            value.kind,
            value,
            {"x": scheduler.storage(x), "indices": scheduler.storage(index)},
            {"out": scheduler.storage(value)},
            flops=value.flops,
            **element,
            outer=math.prod(whole[:axis]),
            length=math.prod(lengths),
            count=index.size,
            inner=math.prod(whole[axis + len(indices) :]),
        )
    )


@lowering("random_uniform")
def _random_uniform(scheduler: Scheduler, value: Value) -> None:
    scheduler.add(
        Instruction(
            "random_uniform",
            value,
            {"state": scheduler.storage(value.inputs[0])},
            {"out": scheduler.storage(value)},
            dtype=value.dtype,
            count=value.size,
        )
    )


@lowering("input")
def _input(scheduler: Scheduler, value: Value) -> None:
    rows = value.shape[0] if value.shape else 1
    scheduler.add(
        Instruction(
            "gather_batch",
            value,
            {},
            {"out": scheduler.storage(value)},
            input=value.number,
            dtype=value.dtype,
            rows=rows,
            columns=value.size // rows if rows else 0,
        )
    )
