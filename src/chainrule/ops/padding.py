"""Borders around Tensors."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.operation import Spec, no_flops, operation
from chainrule.graph.registered import method
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor, plain
from chainrule.ops.samples import examples

__all__ = ["pad"]


def _padded(x: Tensor, widths: tuple[tuple[int, int], ...], value: float) -> Spec:
    if len(widths) != x.ndim or any(before < 0 or after < 0 for before, after in widths):
        raise ShapeError(f"pad: {widths} does not give two widths for each axis of {x.shape}")
    shape = tuple(b + n + a for n, (b, a) in zip(x.shape, widths, strict=True))
    return Spec(shape, x.dtype)


@operation(
    _padded,
    examples(
        (((3, 4),), {"widths": ((1, 0), (2, 3)), "value": 0.0}),
        (((2,),), {"widths": ((0, 1),), "value": 1.5}),
    ),
    flops=no_flops,
)
def _pad(x: Array, widths: tuple[tuple[int, int], ...], value: float) -> Array:
    """x inside a border of one value."""
    return np.pad(x, widths, constant_values=value) if widths else x


def _inside(g: Tensor, y: Tensor, x: Tensor, widths: Any, value: float) -> Tensor:
    """g without the border."""
    return g[tuple(slice(b, b + n) for n, (b, _) in zip(x.shape, widths, strict=True))]


_pad.differentiable(_inside)


Widths = int | Sequence[int] | Sequence[Sequence[int]]


@both_names()
@method
def pad(
    x: TensorLike, pad_width: Widths, mode: str = "constant", constant_values: float = 0
) -> Tensor:
    """`x` inside a border.

    Args:
        x: of any shape.
        pad_width: for each axis the widths (before, after); one such pair, or one number, is meant
            for all axes.
        mode: what the border holds: "constant"; or as NumPy has it "edge", "reflect", "symmetric"
            or "wrap", which repeat elements of `x`.
        constant_values: the number of a constant border.

    Raises:
        ShapeError: if the widths do not fit the shape, or nothing is there to repeat.
        DTypeError: for a number that the dtype of `x` does not hold.

    Example:
        >>> import chainrule as cr
        >>> cr.pad(cr.tensor([1, 2, 3]), (1, 2))
        tensor([0, 1, 2, 3, 0, 0])
        >>> cr.pad(cr.tensor([1, 2, 3]), 2, mode="reflect")
        tensor([3, 2, 1, 2, 3, 2, 1])
    """
    x = as_tensor(x)
    if mode not in _MODES:
        raise ValueError(
            f"pad: the mode is one of {', '.join(_MODES)}, not {mode!r}; the number of a border is "
            "constant_values"
        )
    widths = _pad_widths(x, plain("pad_width", pad_width))
    if np.ndim(plain("constant_values", constant_values)):
        raise ValueError(
            f"pad: constant_values is one number for all borders, got {constant_values!r:.80}; pad "
            "them one after another for several"
        )
    number = float(constant_values)
    if mode == "constant":
        exact = constant_values if isinstance(constant_values, int) else number
        checks.fitting("pad: constant_values", exact, x.dtype)
        return _pad.apply(x, widths=widths, value=number)
    for axis, width in enumerate(widths):
        if width == (0, 0):
            continue
        if not x.shape[axis]:
            raise ShapeError(f"pad: axis {axis} of shape {x.shape} has nothing to repeat")
        places = np.pad(np.arange(x.shape[axis]), width, mode)  # type: ignore[call-overload]
        x = x[(slice(None),) * axis + (places,)]
    return x


_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


def _pad_widths(x: Tensor, pad_width: Any) -> tuple[tuple[int, int], ...]:
    try:
        pairs = np.broadcast_to(pad_width, (x.ndim, 2)).tolist()
        widths = tuple([(index(before), index(after)) for before, after in pairs])
    except (ValueError, TypeError):
        raise ShapeError(
            f"pad: {pad_width} does not give two widths for each axis of {x.shape}"
        ) from None
    _padded(x, widths, 0.0)
    return widths
