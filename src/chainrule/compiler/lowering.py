"""Lowering: the values of a step become instructions of the core.

Elementwise values go into programs (see `schedule`); each other operation has a function below.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from chainrule.compiler.elementwise import ELEMENTWISE, UnsupportedError
from chainrule.compiler.instructions import Instruction, Part, Storage, contiguous, copy, fill
from chainrule.compiler.schedule import Schedule, Scheduler
from chainrule.compiler.values import LEAVES, Value, ValueGraph

Lowering = Callable[[Scheduler, Value], None]
LOWERINGS: dict[str, Lowering] = {}
"""By the operation's name."""


def lowering(*names: str) -> Callable[[Lowering], Lowering]:
    """Declare the decorated function as the lowering of operations."""

    def declare(function: Lowering) -> Lowering:
        LOWERINGS.update(dict.fromkeys(names, function))
        return function

    return declare


def lower(graph: ValueGraph) -> Schedule:
    """The instructions of a graph, in the order of its values; programs are not finished yet.

    Raises:
        UnsupportedError: if an operation has no native kernel.
    """
    scheduler = Scheduler(graph)
    for value in graph.values:
        if value.dtype == np.float16:
            raise UnsupportedError(
                f"{value.kind} of float16: the native core computes in float32 and float64; cast it"
            )
        if value.kind in LOWERINGS:
            if value not in scheduler.drawn_by_programs:
                LOWERINGS[value.kind](scheduler, value)
        elif value.kind in ELEMENTWISE:
            scheduler.elementwise(value)
        elif value.kind not in (*LEAVES, "reshape", "broadcast_to"):
            reason = getattr(value.node.operation, "only_numpy", "")
            raise UnsupportedError(
                f"operation {value.kind} has no native kernel{reason and ': ' + reason}; use "
                "backend='reference'"
            )
    return scheduler.finish()


def _temporary(
    scheduler: Scheduler, value: Value, shape: tuple[int, ...], dtype: np.dtype
) -> Storage:
    """Memory for something on the way to `value`."""
    stand_in = Value(value.kind, (), {}, shape, np.dtype(dtype), value.node)
    return scheduler.storage(stand_in)


_INT64 = np.dtype(np.int64)


def _as_int64(scheduler: Scheduler, x: Value) -> Value:
    """Integers or truth values as int64, in which the core counts and compares."""
    if x.dtype == _INT64:
        return x
    if x.dtype == np.uint64:
        raise UnsupportedError(
            "uint64 is compared in int64, which does not hold all of it; cast it"
        )
    cast = Value("astype", (x,), {"dtype": _INT64}, x.shape, _INT64, x.node)
    if x.array is not None:
        cast = Value("constant", (), {}, x.shape, _INT64, x.node)
        cast.array = x.array.astype(_INT64)
    else:
        scheduler.elementwise(cast)
    return cast


def _permuted(
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
        out = _temporary(scheduler, value, new_shape, x.dtype)
    x_strides = tuple([strides[a] for a in axes])
    scheduler.add(copy(value, x, out, new_shape, x_strides, contiguous(new_shape)))
    return out


@lowering("matmul")
def _matmul(scheduler: Scheduler, value: Value) -> None:
    a, b = value.inputs
    if value.dtype.kind != "f":
        raise UnsupportedError(
            f"matmul of {value.dtype} has no native kernel; cast the operands to floats (float64 "
            "is exact below 2**53)"
        )
    transpose_a = value.attributes.get("transpose_a", False)
    transpose_b = value.attributes.get("transpose_b", False)
    m, n = value.shape[-2:]
    k = a.shape[-2] if transpose_a else a.shape[-1]
    batch = math.prod(value.shape[:-2])
    scheduler.add(
        Instruction(
            "gemm",
            value,
            {"a": scheduler.storage(a), "b": scheduler.storage(b)},
            {"c": scheduler.storage(value)},
            flops=value.flops,
            dtype=value.dtype,
            transpose_a=transpose_a,
            transpose_b=transpose_b,
            m=m,
            n=n,
            k=k,
            lda=max(a.shape[-1], 1),
            ldb=max(b.shape[-1], 1),
            ldc=max(n, 1),
            batch=batch,
            stride_a=a.shape[-2] * a.shape[-1],
            stride_b=b.shape[-2] * b.shape[-1],
            stride_c=m * n,
        )
    )


@lowering("sum", "max", "min")
def _reduce(scheduler: Scheduler, value: Value) -> None:
    (x,) = value.inputs
    if x.dtype.kind != "f" and x.dtype != _INT64:
        inputs = (_as_int64(scheduler, x),)
        wide = Value(value.kind, inputs, value.attributes, value.shape, _INT64, value.node)
        _reduce(scheduler, wide)
        value.kind, value.inputs, value.attributes = "astype", (wide,), {"dtype": value.dtype}
        scheduler.elementwise(value)
        return
    axes = [a for a in value.attributes["axes"] if x.shape[a] != 1 or value.kind != "sum"]
    storage, shape = scheduler.storage(x), x.shape
    runs = _runs(axes)
    if not runs:  # over no axis: a copy
        scheduler.add(copy(value, storage, scheduler.storage(value), (x.size,), (1,), (1,)))
        return
    # From the last run of axes to the first, so that the numbers of the others stay right.
    for start, stop in reversed(runs):
        outer, length, inner = (
            math.prod(shape[:start]),
            math.prod(shape[start:stop]),
            math.prod(shape[stop:]),
        )
        shape = (*shape[:start], *(1,) * (stop - start), *shape[stop:])
        last = (start, stop) == runs[0]
        out = scheduler.storage(value) if last else _temporary(scheduler, value, shape, x.dtype)
        scheduler.add(
            Instruction(
                "reduce",
                value,
                {"x": storage},
                {"out": out},
                flops=storage.size,
                reduction=value.kind,
                dtype=x.dtype,
                outer=outer,
                length=length,
                inner=inner,
            )
        )
        storage = out


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
        storage = _permuted(scheduler, value, storage, x.shape, order)
        if keeps_shape:
            target = _temporary(scheduler, value, moved, value.dtype)
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
        _permuted(scheduler, value, target, moved, back, out)


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
        value.inputs = (_as_int64(scheduler, x),)
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
    if value in scheduler.graph.loss_gradients.values():
        return  # computed with the losses
    grad = scheduler.graph.loss_gradients.get(value)
    results = {"out": scheduler.storage(value)}
    if grad is not None:
        results["second"] = scheduler.storage(grad)
    computed = grad or value  # a gradient's work includes that of the losses
    labels = _as_int64(scheduler, labels)
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


@lowering("transpose")
def _transpose(scheduler: Scheduler, value: Value) -> None:
    (x,) = value.inputs
    axes = value.attributes["axes"]
    _permuted(scheduler, value, scheduler.storage(x), x.shape, axes, scheduler.storage(value))


@lowering("slice")
def _slice(scheduler: Scheduler, value: Value) -> None:
    (x,) = value.inputs
    runs = value.attributes["runs"]
    strides = contiguous(x.shape)
    # A slice of no elements may begin where the memory ends.
    part = Part(scheduler.storage(x), _offset(strides, runs) if value.size else 0)
    x_strides = tuple([s * step for s, (_, step, _) in zip(strides, runs, strict=True)])
    out = scheduler.storage(value)
    scheduler.add(copy(value, part, out, value.shape, x_strides, contiguous(value.shape)))


def _offset(strides: tuple[int, ...], runs: tuple[tuple[int, int, int], ...]) -> int:
    if not all(count for _, _, count in runs):  # no elements: what they start at may not exist
        return 0
    return sum(s * start for s, (start, _, _) in zip(strides, runs, strict=True))


@lowering("unslice")
def _unslice(scheduler: Scheduler, value: Value) -> None:
    runs = value.attributes["runs"]
    strides = contiguous(value.shape)
    _placed(
        scheduler,
        value,
        0.0,
        tuple([s * step for s, (_, step, _) in zip(strides, runs, strict=True)]),
        _offset(strides, runs),
    )


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
        constant = Value("constant", (), {}, shape, np.dtype(np.int64), value.node)
        constant.array = np.broadcast_to(np.int64(number), shape)
        return constant

    def compute(kind: str, *inputs: Value) -> Value:
        dtype = np.dtype(bool) if kind in ("less", "greater_equal") else np.dtype(np.int64)
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
    indices = [_as_int64(scheduler, i) for i in given]
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
