"""Pooling over any number of spatial axes: the maximum and the sum of windows, and what is adjoint.

x has the shape (*outer, *spatial, *inner), where `axis` is the number of the first spatial axis:
axes before and after are taken each for itself. So (N, C, H, W) and (N, H, W, C) are pooled alike.
With t the tap of a window (its element, counted in row-major order), p a window's place:

    max_pool:            y[p]     = max over t of x[s p + d t - before]
    max_pool_taps:       t*[p]    = the tap that is the maximum
    take_taps:           y[p]     = x[s p + d t*[p] - before]
    put_taps:            x[s p + d t*[p] - before] gets g[p], for each p
    sum_pool:            y[p]     = sum over t of x[s p + d t - before]
    sum_pool_input_grad: x[s p + d t - before] gets g[p], for each p and t

The last four are linear, and one's bprop rule is another: so gradients of any order exist. What
lies outside of x is never the maximum, and adds nothing. Of equal elements the first one is the
maximum; NaN is, and of several the last.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce
from typing import Any

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.operation import Sample, Samples, Spec, no_flops, operation
from chainrule.graph.tensor import Array, Tensor
from chainrule.ops.comparison import choose
from chainrule.ops.windows import Lengths, Widths, bordered, inside_of, places_of, taps_of

__all__: list[str] = []  # public as functions of nn.functional

TAPS = np.dtype(np.int32)  # of the numbers of taps
_MANY_TAPS = 16


def _pooled(
    name: str,
    x: Any,
    axis: int,
    kernel: Lengths,
    stride: Lengths,
    padding: Widths,
    dilation: Lengths,
) -> Lengths:
    """The shape of x's windows; raises where x cannot be pooled."""
    if x.ndim < axis + len(kernel):
        raise ShapeError(
            f"{name}: the shape {x.shape} has no {len(kernel)} spatial axes from axis {axis} on"
        )
    if x.dtype.kind != "f":
        raise DTypeError(f"{name} takes a floating Tensor, not {x.dtype}; cast it")
    end = axis + len(kernel)
    places = places_of(name, x.shape[axis:end], kernel, stride, padding, dilation)
    return (*x.shape[:axis], *places, *x.shape[end:])


def _pooled_spec(x: Tensor, **over: Any) -> Spec:
    return Spec(_pooled("pooling", x, **over), x.dtype)


def _taps_spec(x: Tensor, **over: Any) -> Spec:
    return Spec(_pooled("max_pool_taps", x, **over), TAPS)


def _taken_spec(x: Tensor, taps: Tensor, **over: Any) -> Spec:
    shape = _pooled("take_taps", x, **over)
    _check_taps("take_taps", taps, shape)
    return Spec(shape, x.dtype)


def _check_taps(name: str, taps: Tensor, shape: Lengths) -> None:
    if taps.shape != shape or taps.dtype != TAPS:
        raise ShapeError(
            f"{name}: one tap for each window, {TAPS} of shape {shape}; got {taps.dtype} of shape "
            f"{taps.shape}"
        )


def _input_spec(
    g: Tensor,
    spatial: Lengths,
    axis: int,
    kernel: Lengths,
    stride: Lengths,
    padding: Widths,
    dilation: Lengths,
) -> Spec:
    name, end = "pooling backward", axis + len(kernel)
    places = places_of(name, spatial, kernel, stride, padding, dilation)
    if g.shape[axis:end] != places or g.dtype.kind != "f":
        raise ShapeError(
            f"{name}: {g.dtype} of shape {g.shape} is no gradient of windows over {spatial}, which "
            f"have {places} places"
        )
    return Spec((*g.shape[:axis], *spatial, *g.shape[end:]), g.dtype)


def _put_spec(g: Tensor, taps: Tensor, **over: Any) -> Spec:
    _check_taps("put_taps", taps, g.shape)
    return _input_spec(g, **over)


def _comparisons(y: Any, x: Any, kernel: Lengths, **over: Any) -> int:
    """One for each further element of a window; a sum has as many additions."""
    return int(y.size) * (math.prod(kernel) - 1)


def _one_per_window(y: Any, g: Any, *taps: Any, **over: Any) -> int:
    return int(g.size)


def _one_per_tap(y: Any, g: Any, kernel: Lengths, **over: Any) -> int:
    return int(g.size) * math.prod(kernel)


# The shape of x, the first spatial axis, and how the windows go over it.
_CASES = (
    ((2, 3, 7), 2, (2,), (2,), ((0, 0),), (1,)),
    ((2, 9, 3), 1, (3,), (2,), ((1, 2),), (2,)),
    ((2, 2, 6, 4), 2, (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    ((2, 5, 5, 18), 1, (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    ((1, 2, 7, 6), 2, (3, 2), (2, 1), ((1, 0), (1, 1)), (1, 2)),
    ((2, 7, 5, 3), 1, (3, 3), (1, 2), ((1, 1), (1, 2)), (1, 1)),
    ((2, 3, 4), 1, (1,), (3,), ((0, 0),), (1,)),
    ((0, 2, 4, 4), 2, (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    ((2, 3, 4, 10), 2, (4, 5), (4, 5), ((0, 0), (0, 0)), (1, 1)),
    ((1, 8, 4, 3), 1, (4, 4), (4, 4), ((0, 0), (0, 0)), (1, 1)),
    ((0, 2, 4, 8), 2, (4, 4), (4, 4), ((0, 0), (0, 0)), (1, 1)),
    ((1, 3, 4, 3, 2), 1, (2, 2, 2), (1, 2, 1), ((0, 0), (1, 0), (0, 0)), (1, 1, 1)),
)


def _samples(kind: str) -> Samples:
    """The cases as inputs and attributes of the operation `kind`."""

    def samples(random: np.random.Generator) -> list[Sample]:
        found = []
        for x, axis, kernel, stride, padding, dilation in _CASES:
            over: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
            over |= {"axis": axis, "kernel": kernel}
            image = random.standard_normal(x)
            shape = _pooled(kind, image, **over)
            taps = random.integers(math.prod(kernel), size=shape, dtype=TAPS)
            spatial = {"spatial": x[axis : axis + len(kernel)]}
            of_kind: dict[str, tuple[tuple[Array, ...], dict[str, Any]]] = {
                "take_taps": ((image, taps), {}),
                "put_taps": ((random.standard_normal(shape), taps), spatial),
                "sum_pool_input_grad": ((random.standard_normal(shape),), spatial),
            }
            inputs, more = of_kind.get(kind, ((image,), {}))
            found.append(Sample(inputs, {**over, **more}))
        return found

    return samples


def _under(
    x: Array,
    border: float,
    axis: int,
    kernel: Lengths,
    stride: Lengths,
    padding: Widths,
    dilation: Lengths,
) -> Iterator[Array]:
    """For each tap what lies under it at all places; outside of x that is `border`."""
    x = bordered(x, axis, padding, border)
    end = axis + len(kernel)
    none = ((0, 0),) * len(kernel)
    places = places_of("pooling", x.shape[axis:end], kernel, stride, none, dilation)
    for _, window in taps_of(kernel, places, stride, dilation):
        yield x[(slice(None),) * axis + window]


def _inside(
    spatial: Lengths, kernel: Lengths, stride: Lengths, padding: Widths, dilation: Lengths
) -> Iterator[Array]:
    """For each tap at which places it lies in the image."""
    places = places_of("pooling", spatial, kernel, stride, padding, dilation)
    for tap in np.ndindex(*kernel):
        along = [
            (at := s * np.arange(p) + d * t - before, (at >= 0) & (at < n))[1]
            for t, p, s, d, (before, _), n in zip(
                tap, places, stride, dilation, padding, spatial, strict=True
            )
        ]
        yield np.asarray(reduce(np.logical_and.outer, along))


def _are_large_blocks(
    shape: Lengths,
    axis: int,
    kernel: Lengths,
    stride: Lengths,
    padding: Widths,
    dilation: Lengths,
) -> bool:
    """Whether windows of many taps lie side by side, so that all taps are taken at once.

    Of few taps one after another takes no longer.
    """
    return (
        math.prod(kernel) >= _MANY_TAPS
        and kernel == stride
        and not any(map(any, padding))
        and set(dilation) == {1}
        and not any([shape[axis + i] % k for i, k in enumerate(kernel)])
    )


def _blocks(x: Array, axis: int, kernel: Lengths) -> Array:
    """The windows of x that lie side by side, as (*kernel, *shape of the places)."""
    end = axis + len(kernel)
    cut = [part for n, k in zip(x.shape[axis:end], kernel, strict=True) for part in (n // k, k)]
    parts = x.reshape(*x.shape[:axis], *cut, *x.shape[end:])
    return np.moveaxis(parts, range(axis + 1, axis + len(cut), 2), range(len(kernel)))


@operation(_pooled_spec, _samples("max_pool"), flops=_comparisons)
def _max_pool(x: Array, **over: Any) -> Array:
    """The largest element of each window; -inf where a window holds none."""
    y = np.full(_pooled("max_pool", x, **over), -np.inf, x.dtype)
    for elements in _under(x, -np.inf, **over):
        np.maximum(y, elements, out=y)
    return y


@operation(_taps_spec, _samples("max_pool_taps"), flops=_comparisons)
def _max_pool_taps(x: Array, **over: Any) -> Array:
    """Which tap of each window is the largest; 0 where a window holds no element."""
    shape, axis = _pooled("max_pool_taps", x, **over), over["axis"]
    end = axis + len(over["kernel"])
    largest = np.full(shape, -np.inf, x.dtype)
    taps = np.zeros(shape, TAPS)
    inner = (1,) * (x.ndim - end)
    is_empty = np.ones((*shape[axis:end], *inner), bool)  # of windows: no element was seen yet
    of_window = {name: over[name] for name in ("kernel", "stride", "padding", "dilation")}
    inside = _inside(x.shape[axis:end], **of_window)
    for tap, (elements, lies) in enumerate(zip(_under(x, -np.inf, **over), inside, strict=True)):
        is_first = is_empty & lies.reshape(is_empty.shape)
        elements = np.ascontiguousarray(elements)
        is_larger = is_first | (elements > largest) | np.isnan(elements)
        is_empty &= ~is_first
        np.maximum(largest, elements, out=largest)
        np.maximum(taps, is_larger * TAPS.type(tap), out=taps)  # a later tap has a higher number
    return taps


@operation(_taken_spec, _samples("take_taps"), flops=no_flops)
def _take_taps(x: Array, taps: Array, **over: Any) -> Array:
    """The element of each window at the tap that is given for it; 0 outside of x."""
    y = np.zeros(taps.shape, x.dtype)
    for tap, elements in enumerate(_under(x, 0.0, **over)):
        np.copyto(y, elements, where=taps == tap)
    return y


@operation(_put_spec, _samples("put_taps"), flops=_one_per_window)
def _put_taps(g: Array, taps: Array, **over: Any) -> Array:
    """What is given for each window, added to its element at the tap that is given."""
    return _spread(g, taps, **over)


@operation(_pooled_spec, _samples("sum_pool"), flops=_comparisons)
def _sum_pool(x: Array, **over: Any) -> Array:
    """The sum of each window."""
    y = np.zeros(_pooled("sum_pool", x, **over), x.dtype)
    if _are_large_blocks(x.shape, **over):
        kernel = over["kernel"]
        blocks = _blocks(x, over["axis"], kernel).reshape(math.prod(kernel), *y.shape)
        return np.add.reduce(blocks, axis=0, out=y)
    for elements in _under(x, 0.0, **over):
        y += elements
    return y


@operation(_input_spec, _samples("sum_pool_input_grad"), flops=_one_per_tap)
def _sum_pool_input_grad(g: Array, **over: Any) -> Array:
    """What is given for each window, added to each of its elements."""
    return _spread(g, None, **over)


def _spread(
    g: Array,
    taps: Array | None,
    spatial: Lengths,
    axis: int,
    kernel: Lengths,
    stride: Lengths,
    padding: Widths,
    dilation: Lengths,
) -> Array:
    end = axis + len(kernel)
    padded = [n + before + after for n, (before, after) in zip(spatial, padding, strict=True)]
    x = np.zeros((*g.shape[:axis], *padded, *g.shape[end:]), g.dtype)
    if taps is None and _are_large_blocks(x.shape, axis, kernel, stride, padding, dilation):
        blocks = _blocks(x, axis, kernel)
        blocks += g
        return x
    for tap, (_, window) in enumerate(taps_of(kernel, g.shape[axis:end], stride, dilation)):
        at = (slice(None),) * axis + window
        x[at] += g if taps is None else choose(taps == tap, g, np.zeros((), g.dtype))
    return np.ascontiguousarray(x[inside_of(axis, spatial, padding)])


def _spatial(x: Tensor, axis: int, kernel: Lengths, **over: Any) -> Lengths:
    return x.shape[axis : axis + len(kernel)]


def _to_the_largest(g: Tensor, y: Tensor, x: Tensor, **over: Any) -> Tensor:
    return _put_taps.apply(g, _max_pool_taps.apply(x, **over), spatial=_spatial(x, **over), **over)


def _to_the_taken(g: Tensor, y: Tensor, x: Tensor, taps: Tensor, **over: Any) -> Tensor:
    return _put_taps.apply(g, taps, spatial=_spatial(x, **over), **over)


def _from_the_taken(
    G: Tensor, y: Tensor, g: Tensor, taps: Tensor, spatial: Lengths, **over: Any
) -> Tensor:
    return _take_taps.apply(G, taps, **over)


def _to_all(g: Tensor, y: Tensor, x: Tensor, **over: Any) -> Tensor:
    return _sum_pool_input_grad.apply(g, spatial=_spatial(x, **over), **over)


def _from_all(G: Tensor, y: Tensor, g: Tensor, spatial: Lengths, **over: Any) -> Tensor:
    return _sum_pool.apply(G, **over)


_max_pool.differentiable(_to_the_largest)
_take_taps.differentiable(_to_the_taken, None)
_put_taps.differentiable(_from_the_taken, None)
_sum_pool.differentiable(_to_all)
_sum_pool_input_grad.differentiable(_from_all)


def max_pool(
    x: Tensor, axis: int, kernel: Lengths, stride: Lengths, padding: Widths, dilation: Lengths
) -> Tensor:
    """The largest element of each window over the spatial axes of x, from `axis` on."""
    return _max_pool.apply(
        x, axis=axis, kernel=kernel, stride=stride, padding=padding, dilation=dilation
    )


def sum_pool(x: Tensor, axis: int, kernel: Lengths, stride: Lengths, padding: Widths) -> Tensor:
    """The sum of each window over the spatial axes of x, from `axis` on."""
    return _sum_pool.apply(
        x, axis=axis, kernel=kernel, stride=stride, padding=padding, dilation=(1,) * len(kernel)
    )
