"""Convolution over any number of spatial axes, and its two gradients.

The three operations are linear in both inputs, and each one's bprop rules are the other two: so
gradients of any order exist. With T the kernel's places and p an output's place:

    conv:              y[n, o, p]     = sum over c, t of x[n, c, s p + d t] w[o, c, t]
    conv_input_grad:   x[n, c, s p + d t] gets   g[n, o, p] w[o, c, t], for each o, t and p
    conv_weight_grad:  w[o, c, t]     = sum over n, p of g[n, o, p] x[n, c, s p + d t]

s is the stride, d the dilation, x stands in a border of zeros. With g groups, output channel o
takes only the input channels of its own group.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.operation import Spec, operation
from chainrule.graph.tensor import Array, Tensor
from chainrule.ops.samples import examples
from chainrule.ops.windows import Lengths, Widths, bordered, inside_of, places_of, taps_of
from chainrule.system.threads import hold_numpy

__all__: list[str] = []  # public as functions of nn.functional

_SPATIAL = 2  # the number of the first spatial axis
_ALL: tuple[Any, ...] = (slice(None),) * _SPATIAL
_BYTES = 1 << 21
"""The most bytes of what lies under windows at once, but for one line of one image."""


def _grouped(x: Array, groups: int) -> Array:
    """(N, C, *spatial) as (N, groups, C / groups, places)."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, math.prod(x.shape[2:]))


def _under_windows(
    x: Array, kernel: Lengths, places: Lengths, stride: Lengths, dilation: Lengths, groups: int
) -> Iterator[tuple[slice, slice, Array]]:
    """What lies under the window at each place (im2col), for a few images or lines at a time.

    Yields which images, which places, and (images, groups, channels of a group x taps, places). One
    buffer serves all: what was yielded before is overwritten.
    """
    lines, line = places[0], math.prod(places[1:])
    taps = math.prod(kernel)
    rows = x.shape[1] * taps
    most = _BYTES // max(1, rows * line * x.itemsize)  # lines
    images = min(len(x), max(1, most // max(1, lines)))
    lines_each = min(lines, max(1, most // max(1, images)))
    buffer = np.empty(images * rows * lines_each * line, x.dtype)
    for first, top in product(
        range(0, len(x), max(1, images)), range(0, lines, max(1, lines_each))
    ):
        part = x[first : first + images, :, top * stride[0] :]
        here = min(lines_each, lines - top), *places[1:]
        shape = len(part), x.shape[1], taps, *here
        under = buffer[: math.prod(shape)].reshape(shape)
        for tap, (_, window) in enumerate(taps_of(kernel, here, stride, dilation)):
            under[:, :, tap] = part[(*_ALL, *window)]
        yield (
            slice(first, first + len(part)),
            slice(top * line, (top + here[0]) * line),
            under.reshape(len(part), groups, rows // groups, here[0] * line),
        )


def _check(name: str, x: Tensor, w: Tensor) -> None:
    if x.ndim < 3 or x.ndim != w.ndim:
        raise ShapeError(
            f"{name}: shapes {x.shape} and {w.shape}: both have a batch axis, a channel axis and "
            "the same number of spatial axes"
        )
    if x.dtype.kind != "f" or x.dtype != w.dtype:
        raise DTypeError(f"{name} takes two floating Tensors of one dtype: {x.dtype}, {w.dtype}")


def _conv_spec(
    x: Tensor, w: Tensor, stride: Lengths, padding: Widths, dilation: Lengths, groups: int
) -> Spec:
    _check("conv", x, w)
    if w.shape[0] % groups or x.shape[1] != w.shape[1] * groups:
        raise ShapeError(
            f"conv: the input has {x.shape[1]} channels, the weight of shape {w.shape} with "
            f"{groups} groups takes {w.shape[1] * groups}"
        )
    places = places_of("conv", x.shape[2:], w.shape[2:], stride, padding, dilation)
    return Spec((x.shape[0], w.shape[0], *places), x.dtype)


def _input_grad_spec(
    g: Tensor,
    w: Tensor,
    spatial: Lengths,
    stride: Lengths,
    padding: Widths,
    dilation: Lengths,
    groups: int,
) -> Spec:
    _check("conv_input_grad", g, w)
    places = places_of("conv_input_grad", spatial, w.shape[2:], stride, padding, dilation)
    if w.shape[0] % groups or g.shape[1:] != (w.shape[0], *places):
        raise ShapeError(
            f"conv_input_grad: {g.shape} is not the shape of an output of the kernel {w.shape} "
            f"over {spatial} in {groups} groups: (N, {w.shape[0]}, {', '.join(map(str, places))})"
        )
    return Spec((g.shape[0], w.shape[1] * groups, *spatial), g.dtype)


def _weight_grad_spec(
    x: Tensor,
    g: Tensor,
    kernel: Lengths,
    stride: Lengths,
    padding: Widths,
    dilation: Lengths,
    groups: int,
) -> Spec:
    _check("conv_weight_grad", x, g)
    places = places_of("conv_weight_grad", x.shape[2:], kernel, stride, padding, dilation)
    if (
        g.shape[0] != x.shape[0]
        or g.shape[2:] != places
        or x.shape[1] % groups
        or g.shape[1] % groups
    ):
        raise ShapeError(
            f"conv_weight_grad: {g.shape} is not the shape of an output of a kernel {kernel} over "
            f"{x.shape} in {groups} groups"
        )
    return Spec((g.shape[1], x.shape[1] // groups, *kernel), x.dtype)


def _flops(y: Tensor, x: Tensor, w: Tensor, **attributes: Any) -> int:
    """A multiplication and an addition for each output and each weight that it takes."""
    return 2 * y.size * math.prod(w.shape[1:])


def _input_flops(y: Tensor, g: Tensor, w: Tensor, **attributes: Any) -> int:
    return 2 * g.size * math.prod(w.shape[1:])


def _weight_flops(y: Tensor, x: Tensor, g: Tensor, **attributes: Any) -> int:
    return 2 * g.size * math.prod(y.shape[1:])


# The input, the weight, and how the one goes over the other.
_CASES = (
    ((2, 3, 7), (4, 3, 3), (1,), ((0, 0),), (1,), 1),
    ((2, 4, 9), (6, 2, 3), (2,), ((1, 2),), (2,), 2),
    ((2, 2, 5, 6), (3, 2, 3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((1, 4, 6, 5), (4, 1, 3, 3), (2, 1), ((1, 1), (1, 1)), (1, 2), 4),
    ((2, 1, 5, 5), (2, 1, 1, 1), (3, 2), ((0, 0), (0, 0)), (1, 1), 1),
    ((0, 2, 4, 4), (3, 2, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((1, 2, 3, 4, 3), (2, 2, 2, 2, 2), (1, 2, 1), ((0, 0), (1, 0), (0, 0)), (1, 1, 1), 1),
)


def _samples(kind: str) -> Any:
    """The cases as inputs and attributes of the operation `kind`."""
    cases = []
    for x, w, stride, padding, dilation, groups in _CASES:
        over = {"stride": stride, "padding": padding, "dilation": dilation}
        places = places_of(kind, x[2:], w[2:], stride, padding, dilation)
        y = (x[0], w[0], *places)
        of_kind: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
            "conv": ((x, w), {}),
            "conv_input_grad": ((y, w), {"spatial": x[2:]}),
            "conv_weight_grad": ((x, y), {"kernel": w[2:]}),
        }
        inputs, own = of_kind[kind]
        cases.append((inputs, {**own, **over, "groups": groups}))
    return examples(*cases)


@operation(_conv_spec, _samples("conv"), flops=_flops)
def _conv(
    x: Array, w: Array, stride: Lengths, padding: Widths, dilation: Lengths, groups: int
) -> Array:
    """The sums of x under a window that moves, weighted by w."""
    hold_numpy()
    x, kernel = bordered(x, _SPATIAL, padding, 0.0), w.shape[2:]
    none = ((0, 0),) * len(kernel)
    places = places_of("conv", x.shape[2:], kernel, stride, none, dilation)
    y = np.empty((len(x), groups, len(w) // groups, math.prod(places)), x.dtype)
    weights = w.reshape(groups, len(w) // groups, math.prod(w.shape[1:]))
    for images, here, under in _under_windows(x, kernel, places, stride, dilation, groups):
        np.matmul(weights, under, out=y[images, ..., here])
    return y.reshape(len(x), len(w), *places)


@operation(_input_grad_spec, _samples("conv_input_grad"), flops=_input_flops)
def _conv_input_grad(
    g: Array,
    w: Array,
    spatial: Lengths,
    stride: Lengths,
    padding: Widths,
    dilation: Lengths,
    groups: int,
) -> Array:
    """What a window at each place of g adds to the places under it, weighted by w."""
    hold_numpy()
    padded = [n + before + after for n, (before, after) in zip(spatial, padding, strict=True)]
    channels = w.shape[1] * groups
    x = np.zeros((len(g), channels, *padded), g.dtype)
    places = g.shape[2:]
    g = _grouped(g, groups)
    for tap, window in taps_of(w.shape[2:], places, stride, dilation):
        weights = w[(*_ALL, *tap)].reshape(groups, len(w) // groups, w.shape[1]).swapaxes(1, 2)
        # NumPy's products of matrices are slow where each has one element.
        sent = weights * g if len(w) == groups else np.matmul(weights, g)
        x[(*_ALL, *window)] += sent.reshape(len(g), channels, *places)
    return np.ascontiguousarray(x[inside_of(_SPATIAL, spatial, padding)])


@operation(_weight_grad_spec, _samples("conv_weight_grad"), flops=_weight_flops)
def _conv_weight_grad(
    x: Array,
    g: Array,
    kernel: Lengths,
    stride: Lengths,
    padding: Widths,
    dilation: Lengths,
    groups: int,
) -> Array:
    """The sums of g times what lies under each place of the window."""
    hold_numpy()
    x = bordered(x, _SPATIAL, padding, 0.0)
    places, channels = g.shape[2:], x.shape[1] // groups
    g = _grouped(g, groups)
    w = np.zeros((groups, g.shape[2], channels * math.prod(kernel)))
    for images, here, under in _under_windows(x, kernel, places, stride, dilation, groups):
        w += np.matmul(g[images, ..., here], under.swapaxes(2, 3)).sum(axis=0, dtype=np.float64)
    return w.astype(x.dtype).reshape(groups * g.shape[2], channels, *kernel)


def _for_input(g: Tensor, y: Tensor, x: Tensor, w: Tensor, **over: Any) -> Tensor:
    """g sent back through the window's places."""
    return _conv_input_grad.apply(g, w, spatial=x.shape[2:], **over)


def _for_weight(g: Tensor, y: Tensor, x: Tensor, w: Tensor, **over: Any) -> Tensor:
    """g times the input under the window."""
    return _conv_weight_grad.apply(x, g, kernel=w.shape[2:], **over)


_conv.differentiable(_for_input, _for_weight)


def _for_output_grad(
    G: Tensor, y: Tensor, g: Tensor, w: Tensor, spatial: Lengths, **over: Any
) -> Tensor:
    return _conv.apply(G, w, **over)


def _for_weight_of_input_grad(
    G: Tensor, y: Tensor, g: Tensor, w: Tensor, spatial: Lengths, **over: Any
) -> Tensor:
    return _conv_weight_grad.apply(G, g, kernel=w.shape[2:], **over)


_conv_input_grad.differentiable(_for_output_grad, _for_weight_of_input_grad)


def _for_input_of_weight_grad(
    G: Tensor, y: Tensor, x: Tensor, g: Tensor, kernel: Lengths, **over: Any
) -> Tensor:
    return _conv_input_grad.apply(g, G, spatial=x.shape[2:], **over)


def _for_output_of_weight_grad(
    G: Tensor, y: Tensor, x: Tensor, g: Tensor, kernel: Lengths, **over: Any
) -> Tensor:
    return _conv.apply(x, G, **over)


_conv_weight_grad.differentiable(_for_input_of_weight_grad, _for_output_of_weight_grad)


def conv(
    x: Tensor, w: Tensor, stride: Lengths, padding: Widths, dilation: Lengths, groups: int
) -> Tensor:
    """The cross-correlation of x (N, C, *spatial) with w (O, C / groups, *kernel)."""
    return _conv.apply(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups)


def conv_input_grad(
    g: Tensor,
    w: Tensor,
    spatial: Lengths,
    stride: Lengths,
    padding: Widths,
    dilation: Lengths,
    groups: int,
) -> Tensor:
    """The gradient of `conv` for its input (N, C, *spatial), given the one for its output.

    It is the transposed convolution of g with w.
    """
    return _conv_input_grad.apply(
        g, w, spatial=spatial, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
