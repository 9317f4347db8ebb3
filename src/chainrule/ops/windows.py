"""Windows that move over the spatial axes of an array, as convolutions and poolings have them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.errors import ShapeError

__all__: list[str] = []

Lengths = tuple[int, ...]
Widths = tuple[tuple[int, int], ...]


def _places_along(
    length: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int
) -> int:
    """How many places a window takes along an axis: floor((L + before + after - reach) / s) + 1.

    The window's reach is d (k - 1) + 1.
    """
    return (length + sum(padding) - dilation * (kernel - 1) - 1) // stride + 1


def places_of(
    name: str,
    spatial: Lengths,
    kernel: Lengths,
    stride: Lengths,
    padding: Widths,
    dilation: Lengths,
) -> Lengths:
    """The places of the window along each axis; raises where it does not fit in."""
    places = tuple(
        [
            _places_along(*of_axis)
            for of_axis in zip(spatial, kernel, stride, padding, dilation, strict=True)
        ]
    )
    if min(places) < 1:
        reach = tuple([d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)])
        padded = tuple([n + sum(p) for n, p in zip(spatial, padding, strict=True)])
        raise ShapeError(
            f"{name}: the kernel reaches over {reach}, the input with its padding over {padded}; "
            "take a smaller kernel, more padding, or pool less before"
        )
    return places


def taps_of(
    kernel: Lengths, places: Lengths, stride: Lengths, dilation: Lengths
) -> Iterator[tuple[Lengths, tuple[slice, ...]]]:
    """Each tap of the kernel, and the index of what it meets along the spatial axes."""
    for tap in np.ndindex(*kernel):
        window = tuple(
            [
                slice(t * d, t * d + s * (p - 1) + 1 if p else t * d, s)
                for t, p, s, d in zip(tap, places, stride, dilation, strict=True)
            ]
        )
        yield tap, window


def bordered(x: np.ndarray[Any, Any], axis: int, padding: Widths, border: float) -> Any:
    """x with `padding` around its spatial axes, the first of which is `axis`."""
    if not any(map(any, padding)):
        return x
    after = x.ndim - axis - len(padding)
    widths = [(0, 0)] * axis + list(padding) + [(0, 0)] * after
    return np.pad(x, widths, constant_values=border)


def inside_of(axis: int, spatial: Lengths, padding: Widths) -> tuple[slice, ...]:
    """The index of what `bordered` has put a border around."""
    inner = [slice(b, b + n) for n, (b, _) in zip(spatial, padding, strict=True)]
    return (*(slice(None),) * axis, *inner)
