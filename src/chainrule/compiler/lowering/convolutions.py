"""The lowering of convolutions.

The core computes with the channels last. So images have been brought into that order by the layout
pass (`compiler.layout`). Here copies bring weights (O, C / groups, *kernel) into the core's order.
"""

from __future__ import annotations

from typing import Any

from chainrule.compiler.elementwise import UnsupportedError
from chainrule.compiler.instructions import (
    Instruction,
    Part,
    Storage,
    contiguous,
    copy,
    reduction,
)
from chainrule.compiler.lowering.base import lowering, permuted, shared, temporary
from chainrule.compiler.schedule import Scheduler
from chainrule.compiler.values import Value

_AXES = 3  # of the core's windows
# The gradient of weights is summed up for each of so many parts of the images, so that threads can
# share the work; but not of large weights, which are shared out themselves.
_MOST_PARTS = 32
_MOST_SUMS = 1 << 18  # of all parts together


def _frame(x: Value, starts: tuple[int, ...], steps: tuple[int, ...]) -> dict[str, list[int]]:
    """Where x (N, *spatial, C) lies in the window's lengths: element p at start + step * p."""
    more = (1,) * (_AXES - len(starts))
    return {
        "lengths": [*more, *x.shape[1:-1]],
        "before": [*(0,) * len(more), *starts],
        "step": [*more, *steps],
    }


def _filters(scheduler: Scheduler, value: Value, w: Value, groups: int) -> Storage:
    """w (O, C / groups, *kernel) as (groups, *kernel, C / groups, O / groups)."""
    filters, channels, *kernel = w.shape
    of_filter, of_channel, *of_kernel = contiguous(w.shape)
    shape = (groups, *kernel, channels, filters // groups)
    strides = (of_filter * (filters // groups), *of_kernel, of_channel, of_filter)
    return _packed(scheduler, value, w, shape, strides, 0)


def _turned_filters(scheduler: Scheduler, value: Value, w: Value, groups: int) -> Storage:
    """w, each kernel turned round, as (groups, *kernel, O / groups, C / groups)."""
    filters, channels, *kernel = w.shape
    of_filter, of_channel, *of_kernel = contiguous(w.shape)
    shape = (groups, *kernel, filters // groups, channels)
    turned = [-s for s in of_kernel]
    strides = (of_filter * (filters // groups), *turned, of_filter, of_channel)
    last = sum(s * (k - 1) for s, k in zip(of_kernel, kernel, strict=True))
    return _packed(scheduler, value, w, shape, strides, last)


def _packed(
    scheduler: Scheduler,
    value: Value,
    w: Value,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    first: int,
) -> Storage:
    """A copy of weights in the core's order, which all convolutions that want it so share."""
    storage = scheduler.storage(w)

    def pack(out: Storage) -> None:
        if out.size:
            part = Part(storage, first)
            scheduler.add(copy(value, part, out, shape, strides, contiguous(shape)))

    return shared(scheduler, value, shape, w.dtype, (storage, shape, strides), pack)


def _window(
    images: int,
    groups: int,
    channels: int,
    filters: int,
    lengths: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> dict[str, Any]:
    """The core's window; channels and filters are those of a group."""
    more = (1,) * (_AXES - len(lengths))
    if len(lengths) > _AXES:
        raise UnsupportedError(
            f"a convolution over {len(lengths)} axes has no native kernel, up to {_AXES} have; use "
            "backend='reference'"
        )
    return {
        "images": images,
        "groups": groups,
        "channels": channels,
        "filters": filters,
        "lengths": [*more, *lengths],
        "kernel": [*more, *kernel],
        "stride": [*more, *stride],
        "dilation": [*more, *dilation],
    }


def _padded(x: Value, padding: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    return tuple([n + sum(widths) for n, widths in zip(x.shape[1:-1], padding, strict=True)])


@lowering("conv")
def _conv(scheduler: Scheduler, value: Value) -> None:
    x, w = value.inputs
    over = value.attributes
    groups, axes = over["groups"], len(x.shape) - 2
    lengths = _padded(x, over["padding"])
    starts = tuple([before for before, _ in over["padding"]])
    window = _window(
        x.shape[0],
        groups,
        w.shape[1],
        w.shape[0] // groups,
        lengths,
        w.shape[2:],
        over["stride"],
        over["dilation"],
    )
    operands = {"x": scheduler.storage(x), "w": _filters(scheduler, value, w, groups)}
    _add(scheduler, value, window, _frame(x, starts, (1,) * axes), operands)


@lowering("conv_input_grad")
def _conv_input_grad(scheduler: Scheduler, value: Value) -> None:
    g, w = value.inputs
    over = value.attributes
    groups, axes = over["groups"], len(g.shape) - 2
    # A convolution of g, spread out by the stride, with the weights turned round.
    reach = [d * (k - 1) for k, d in zip(w.shape[2:], over["dilation"], strict=True)]
    lengths = tuple([n + r for n, r in zip(over["spatial"], reach, strict=True)])
    starts = tuple([r - before for r, (before, _) in zip(reach, over["padding"], strict=True)])
    window = _window(
        g.shape[0],
        groups,
        w.shape[0] // groups,
        w.shape[1],
        lengths,
        w.shape[2:],
        (1,) * axes,
        over["dilation"],
    )
    operands = {"x": scheduler.storage(g), "w": _turned_filters(scheduler, value, w, groups)}
    _add(scheduler, value, window, _frame(g, starts, over["stride"]), operands)


def _add(
    scheduler: Scheduler,
    value: Value,
    window: dict[str, Any],
    frame: dict[str, list[int]],
    operands: dict[str, Storage],
) -> None:
    scheduler.add(
        Instruction(
            "conv",
            value,
            operands,
            {"y": scheduler.storage(value)},
            flops=value.flops,
            dtype=value.dtype,
            window=window,
            frame=frame,
        )
    )


@lowering("conv_weight_grad")
def _conv_weight_grad(scheduler: Scheduler, value: Value) -> None:
    x, g = value.inputs
    over = value.attributes
    groups, axes = over["groups"], len(x.shape) - 2
    filters, channels, *kernel = value.shape
    lengths = _padded(x, over["padding"])
    starts = tuple([before for before, _ in over["padding"]])
    of_group = (groups, *kernel, channels, filters // groups)
    parts = max(min(x.shape[0], _MOST_PARTS, _MOST_SUMS // max(value.size, 1)), 1)
    w = temporary(scheduler, value, of_group, value.dtype)
    sums = w if parts == 1 else temporary(scheduler, value, (parts, *of_group), value.dtype)
    scheduler.add(
        Instruction(
            "conv_weight_grad",
            value,
            {"x": scheduler.storage(x), "g": scheduler.storage(g)},
            {"w": sums},
            flops=value.flops,
            dtype=value.dtype,
            window=_window(
                x.shape[0],
                groups,
                channels,
                filters // groups,
                lengths,
                tuple(kernel),
                over["stride"],
                over["dilation"],
            ),
            frame=_frame(x, starts, (1,) * axes),
            parts=parts,
        )
    )
    if parts > 1:
        scheduler.add(reduction("sum", value, sums, w, (1, parts, w.size)))
    order = (0, axes + 2, axes + 1, *range(1, axes + 1))
    permuted(scheduler, value, w, of_group, order, scheduler.storage(value))
