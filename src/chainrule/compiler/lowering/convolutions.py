"""The lowering of convolutions.

The core computes with the channels last. So images have been brought into that order by the layout
pass (`compiler.layout`). Here copies bring weights (O, C / groups, *kernel) into the core's order.

Where a 3 x 3 kernel moves by single elements over many channels, Winograd's transforms leave 36
products of 144 (cpp/kernels/conv/winograd.cpp). Those of the weights are a product with a constant:

    G w G' = (G x G) w      (36, 9) (9, channels * filters)

Their rounding error in float32, as the root of the mean square, is 8e-7 of the result's for 64
channels and 1.1e-6 for 256, where the sums have 2e-7 and 3e-7. A number that is not finite reaches
all places of its tiles.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.compiler.elementwise import UnsupportedError
from chainrule.compiler.instructions import (
    Instruction,
    Part,
    Storage,
    contiguous,
    copy,
    fill,
    reduction,
)
from chainrule.compiler.lowering.base import WINDOW_AXES, lowering, permuted, shared, temporary
from chainrule.compiler.schedule import Scheduler
from chainrule.compiler.values import Value, constant_array

# Parts of the images, for each of which the gradient of weights is summed up, so that threads can
# share the work; not for large weights, which are shared out themselves.
_MOST_PARTS = 32
_MOST_SUMS = 1 << 18  # of all parts together
_MOST_PHASES = 256  # of an image that are computed for themselves
# With fewer channels or filters the transforms take as long as the products that they save, as was
# measured; so do the places of tiles that reach over the edge.
_FEWEST_WINOGRAD_CHANNELS = 16
_MOST_TILED_PLACES = 2.0  # for each that there is
_TILE_PLACES = 4  # of a tile along an axis
_TILE = 36  # numbers of a tile of 6 x 6


_POINTS = (0.0, 0.625, -0.625, 1.5, -1.5)  # beside infinity
_WINOGRAD_FILTERS = np.array(
    [[p**k / math.prod([p - q for q in _POINTS if q != p]) for k in range(3)] for p in _POINTS]
    + [[0.0, 0.0, 1.0]]
)
"""G, from 3 weights to the 6 numbers of a tile."""


def _frame(x: Value, starts: Sequence[int], steps: Sequence[int]) -> dict[str, list[int]]:
    """Where x (N, *spatial, C) lies in the window's lengths, or places lie in those of x.

    Number p of an axis lies at start + step * p.
    """
    more = (1,) * (WINDOW_AXES - len(starts))
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


def _turned_filters(
    scheduler: Scheduler, value: Value, w: Value, groups: int, phases: tuple[_Phase, ...]
) -> Storage:
    """w at the taps of phases, turned round, as (groups, *taps, O / groups, C / groups)."""
    filters, channels, *_ = w.shape
    of_filter, of_channel, *of_kernel = contiguous(w.shape)
    shape = (groups, *[phase.taps for phase in phases], filters // groups, channels)
    turned = [-s * phase.apart for s, phase in zip(of_kernel, phases, strict=True)]
    strides = (of_filter * (filters // groups), *turned, of_filter, of_channel)
    last = sum(s * phase.last for s, phase in zip(of_kernel, phases, strict=True))
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

    return shared(scheduler, value, shape, w.dtype, (storage, first, shape, strides), pack)


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
    more = (1,) * (WINDOW_AXES - len(lengths))
    if len(lengths) > WINDOW_AXES:
        raise UnsupportedError(
            f"a convolution over {len(lengths)} axes has no native kernel, up to {WINDOW_AXES} have"
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


def _over_image(
    x: Value, weights: tuple[int, ...], over: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """The window of weights of a shape (O, C / groups, *kernel) over x, and where x lies in it."""
    filters, channels, *kernel = weights
    groups, padding = over["groups"], over["padding"]
    lengths = [n + sum(widths) for n, widths in zip(x.shape[1:-1], padding, strict=True)]
    window = _window(
        x.shape[0],
        groups,
        channels,
        filters // groups,
        tuple(lengths),
        tuple(kernel),
        over["stride"],
        over["dilation"],
    )
    return window, _frame(x, [before for before, _ in padding], (1,) * len(kernel))


def _is_winograd(window: dict[str, Any], frame: dict[str, list[int]]) -> bool:
    """Whether a convolution is computed by Winograd's transforms."""
    one = [1] * WINDOW_AXES
    if window["kernel"] != [1, 3, 3] or window["lengths"][0] != 1 or window["groups"] != 1:
        return False
    if not window["stride"] == window["dilation"] == frame["step"] == one:
        return False
    height, width = [n - 2 for n in window["lengths"][1:]]
    tiled = math.prod([math.ceil(n / _TILE_PLACES) * _TILE_PLACES for n in (height, width)])
    return (
        min(window["channels"], window["filters"]) >= _FEWEST_WINOGRAD_CHANNELS
        and tiled <= _MOST_TILED_PLACES * height * width
    )


def _winograd_filters(
    scheduler: Scheduler, value: Value, w: Storage, channels: int, filters: int
) -> Storage:
    """w (3, 3, channels, filters) as (6, 6, channels, filters): G w G'."""
    shape = (6, 6, channels, filters)
    return shared(
        scheduler,
        value,
        shape,
        w.dtype,
        (w, shape),
        lambda out: _times_winograd(scheduler, value, w, out, channels * filters, back=False),
    )


def _times_winograd(
    scheduler: Scheduler, value: Value, x: Storage, out: Storage, columns: int, *, back: bool
) -> None:
    """out (36, columns) = (G x G) x (9, columns), or out (9, columns) = (G x G)' x."""
    factors = np.kron(_WINOGRAD_FILTERS, _WINOGRAD_FILTERS).astype(out.dtype)
    matrix = constant_array(factors, value.node)
    m, k = (9, _TILE) if back else (_TILE, 9)
    scheduler.add(
        Instruction(
            "gemm",
            value,
            {"a": scheduler.storage(matrix), "b": x},
            {"c": out},
            dtype=out.dtype,
            transpose_a=back,
            m=m,
            n=columns,
            k=k,
            lda=9,
            ldb=columns,
            ldc=columns,
        )
    )


@lowering("conv")
def _conv(scheduler: Scheduler, value: Value) -> None:
    x, w = value.inputs
    groups = value.attributes["groups"]
    window, frame = _over_image(x, w.shape, value.attributes)
    operands = {"x": scheduler.storage(x), "w": _filters(scheduler, value, w, groups)}
    _add(scheduler, value, window, frame, operands, scheduler.storage(value), value.flops)


def _add(
    scheduler: Scheduler,
    value: Value,
    window: dict[str, Any],
    frame: dict[str, list[int]],
    operands: dict[str, Storage],
    y: Storage,
    flops: int,
    y_frame: dict[str, list[int]] | None = None,
    *,
    accumulate: bool = False,
) -> None:
    """A convolution, whose places lie in y as `y_frame` says, else one after another.

    With `accumulate` and a frame it is added to what y holds; Winograd's can't be.
    """
    winograd = _is_winograd(window, frame) and not accumulate
    arguments: dict[str, Any] = {"winograd": winograd}
    if y_frame is not None and not winograd:
        arguments = {"y_frame": y_frame, "accumulate": accumulate}
    to = y
    if winograd:
        channels, filters = window["channels"], window["filters"]
        w = _winograd_filters(scheduler, value, operands["w"], channels, filters)
        operands = {**operands, "w": w}
        if y_frame is not None:  # these transforms cannot
            to = temporary(scheduler, value, _places(window), value.dtype)
    convolution = Instruction(
        "conv",
        value,
        operands,
        {"y": to},
        flops=flops,
        dtype=value.dtype,
        window=window,
        frame=frame,
        **arguments,
    )
    if accumulate:
        convolution.reads.append(y)
    scheduler.add(convolution)
    if winograd and y_frame is not None:
        shape = _places(window)
        of_image, *of_axes, of_channel = contiguous((shape[0], *y_frame["lengths"], shape[-1]))
        first = sum(s * n for s, n in zip(of_axes, y_frame["before"], strict=True))
        steps = [s * n for s, n in zip(of_axes, y_frame["step"], strict=True)]
        strides = (of_image, *steps, of_channel)
        scheduler.add(copy(value, to, Part(y, first), shape, contiguous(shape), strides))


def _places(window: dict[str, Any]) -> tuple[int, ...]:
    """The shape of what a window that moves by single elements gives."""
    reach = [d * (k - 1) for d, k in zip(window["dilation"], window["kernel"], strict=True)]
    places = [n - more for n, more in zip(window["lengths"], reach, strict=True)]
    return window["images"], *places, window["groups"] * window["filters"]


class _Phase(NamedTuple):
    """Elements of an axis of the input, a stride apart, which the same taps meet.

    They are a convolution of g with these taps turned round.
    """

    first: int
    elements: int
    last: int  # of the taps
    apart: int  # from a tap to the next
    taps: int  # how many
    dilation: int  # in g
    before: int  # where the window meets the first element of g


def _phases(
    length: int, kernel: int, stride: int, before: int, dilation: int
) -> Iterator[_Phase | None]:
    """The phases of an axis; None for one that no tap meets."""
    apart = stride // math.gcd(stride, dilation)
    for first in range(min(stride, length)):
        taps = [t for t in range(kernel) if (first + before - dilation * t) % stride == 0]
        if not taps:
            yield None
            continue
        elements = len(range(first, length, stride))
        place = (first + before - dilation * taps[-1]) // stride
        between = dilation * apart // stride
        yield _Phase(first, elements, taps[-1], apart, len(taps), between, -place)


def _spread_out(length: int, kernel: int, stride: int, before: int, dilation: int) -> _Phase:
    """All elements of an axis at once: all taps meet g, with zeros between its elements."""
    reach = dilation * (kernel - 1)
    return _Phase(0, length, kernel - 1, 1, kernel, dilation, reach - before)


def _axes_of_input(value: Value) -> list[tuple[int, int, int, int, int]]:
    """For each axis of a conv_input_grad: length, kernel, stride, elements before, dilation."""
    over, kernel = value.attributes, value.inputs[1].shape[2:]
    before = [b for b, _ in over["padding"]]
    axes = zip(over["spatial"], kernel, over["stride"], before, over["dilation"], strict=True)
    return list(axes)


def _has_phases(value: Value) -> bool:
    return 1 < math.prod(value.attributes["stride"]) <= _MOST_PHASES


def can_add(value: Value) -> bool:
    """Whether a conv_input_grad can add to another one, its third input, in place.

    It must have phases, none of which is computed by Winograd's transforms, which move along the
    last two axes; and it must not add to another one already.
    """
    if len(value.inputs) > 2 or not _has_phases(value):
        return False
    return any(
        all(phase.taps < 3 for phase in _phases(*axis) if phase)
        for axis in _axes_of_input(value)[-2:]
    )


@lowering("conv_input_grad")
def _conv_input_grad(scheduler: Scheduler, value: Value) -> None:
    _, w, *added = value.inputs
    over = value.attributes
    stride = over["stride"]
    axes = _axes_of_input(value)
    if added:
        (earlier,) = added
        scheduler.schedule.storages[value] = scheduler.storage(earlier)
    out = scheduler.storage(value)
    if not _has_phases(value):
        whole = tuple([_spread_out(*axis) for axis in axes])
        _add_phase(scheduler, value, whole, stride, out, value.flops)
        return
    phases = [list(_phases(*axis)) for axis in axes]
    if not added and any(None in of_axis for of_axis in phases):
        scheduler.add(fill(value, out, 0.0))
    for of_axes in itertools.product(*[[p for p in of_axis if p] for of_axis in phases]):
        places = value.shape[0] * math.prod([phase.elements for phase in of_axes])
        products = w.size // math.prod(w.shape[2:]) * math.prod([phase.taps for phase in of_axes])
        y_frame = _frame(value, [phase.first for phase in of_axes], stride)
        one = (1,) * len(stride)
        _add_phase(scheduler, value, of_axes, one, out, 2 * places * products, y_frame)


def _add_phase(
    scheduler: Scheduler,
    value: Value,
    phases: tuple[_Phase, ...],
    steps: tuple[int, ...],
    y: Storage,
    flops: int,
    y_frame: dict[str, list[int]] | None = None,
) -> None:
    """The convolution of g, its elements `steps` apart, that gives elements of its input."""
    g, w, *added = value.inputs
    groups = value.attributes["groups"]
    filters, channels = w.shape[0] // groups, w.shape[1]
    lengths = [phase.elements + phase.dilation * (phase.taps - 1) for phase in phases]
    window = _window(
        g.shape[0],
        groups,
        filters,
        channels,
        tuple(lengths),
        tuple([phase.taps for phase in phases]),
        (1,) * len(phases),
        tuple([phase.dilation for phase in phases]),
    )
    frame = _frame(g, [phase.before for phase in phases], steps)
    turned = _turned_filters(scheduler, value, w, groups, phases)
    operands = {"x": scheduler.storage(g), "w": turned}
    _add(scheduler, value, window, frame, operands, y, flops, y_frame, accumulate=bool(added))


@lowering("conv_weight_grad")
def _conv_weight_grad(scheduler: Scheduler, value: Value) -> None:
    x, g = value.inputs
    groups = value.attributes["groups"]
    filters, channels, *kernel = value.shape
    window, frame = _over_image(x, value.shape, value.attributes)
    winograd = _is_winograd(window, frame)
    of_group = (groups, *kernel, channels, filters // groups)
    summed = (6, 6, channels, filters) if winograd else of_group
    size = math.prod(summed)
    most = _MOST_SUMS * _TILE // 9 if winograd else _MOST_SUMS
    parts = max(min(x.shape[0], _MOST_PARTS, most // max(size, 1)), 1)
    if winograd:  # a part takes long: threads that are a power of two share them evenly
        parts = 1 << parts.bit_length() - 1
    w = temporary(scheduler, value, summed, value.dtype)
    sums = w if parts == 1 else temporary(scheduler, value, (parts, *summed), value.dtype)
    scheduler.add(
        Instruction(
            "conv_weight_grad",
            value,
            {"x": scheduler.storage(x), "g": scheduler.storage(g)},
            {"w": sums},
            flops=value.flops,
            dtype=value.dtype,
            window=window,
            frame=frame,
            winograd=winograd,
            parts=parts,
        )
    )
    if parts > 1:
        scheduler.add(reduction("sum", value, sums, w, (1, parts, size)))
    if winograd:
        tiles, w = w, temporary(scheduler, value, of_group, value.dtype)
        _times_winograd(scheduler, value, tiles, w, channels * filters, back=True)
    axes = len(kernel)
    order = (0, axes + 2, axes + 1, *range(1, axes + 1))
    permuted(scheduler, value, w, of_group, order, scheduler.storage(value))
