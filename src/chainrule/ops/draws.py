"""The arguments of draws of random numbers, in our order and in NumPy's."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chainrule.dtypes import as_dtype
from chainrule.errors import ShapeError, SymbolicError
from chainrule.graph.tensor import Tensor, as_tensor, tensor
from chainrule.ops.comparison import maximum, minimum, where
from chainrule.ops.creation import Shape, as_shape
from chainrule.ops.declare import astype, common_dtype

_DTYPES = (type(None), str, type, np.dtype)


class Draw(NamedTuple):
    """What is to be drawn: the shape, the dtype, and the two numbers of the distribution.

    Attributes:
        shape, dtype: of the numbers.
        place, extent: those that NumPy names first and second, in the dtype; None where the
            default holds.
    """

    shape: Shape
    dtype: np.dtype[Any]
    place: Tensor | float | None = None
    extent: Tensor | float | None = None

    def spread(self, drawn: Tensor) -> Tensor:
        """Uniform numbers of [0, 1) as numbers of the interval from `place` to `extent`."""
        if self.place is None and self.extent is None:
            return drawn
        start = 0.0 if self.place is None else self.place
        end = 1.0 if self.extent is None else self.extent
        return between(drawn, start, end)

    def scaled(self, drawn: Tensor) -> Tensor:
        """Normal numbers of mean 0 and variance 1, times `extent`, plus `place`."""
        if self.extent is not None:
            drawn = drawn * self.extent
        return drawn if self.place is None else drawn + self.place


def as_leaf(drawn: Tensor, requires_grad: bool) -> Tensor:
    """The numbers as a leaf that may require a gradient."""
    if not requires_grad:
        return drawn
    if drawn.value is None:
        raise SymbolicError(
            "random numbers that require a gradient: in a captured function a draw has no value, "
            "so that it is no leaf; make the leaf before, and pass it"
        )
    return tensor(drawn.numpy(), requires_grad=True)


def between(drawn: Tensor, start: Tensor | float, end: Tensor | float) -> Tensor:
    """Numbers of [0, 1) as numbers from `start` on that do not reach `end`, by rounding either.

    With Tensors as ends they reach it where it is below `start`, or equal.
    """
    found = drawn * (end - start) + start
    if isinstance(start, Tensor) or isinstance(end, Tensor):
        return where((found < end) == (start < end), found, start)
    first, limit = drawn.dtype.type(start), drawn.dtype.type(end)
    if first == limit:
        return found
    last = float(np.nextafter(limit, first))
    return minimum(found, last) if first < limit else maximum(found, last)


def check_interval(start: float, end: float, dtype: np.dtype[Any]) -> None:
    """Raise ValueError unless both ends and their distance are finite in the dtype."""
    with np.errstate(over="ignore"):
        is_finite = np.isfinite(np.array([start, end, end - start]).astype(dtype)).all()
    if not is_finite:
        raise ValueError(
            f"uniform: an interval is finite, with a length that {dtype} holds; got {start}, {end}"
        )


def as_draw(
    name: str,
    names: tuple[str, str],
    arguments: tuple[Any, ...],
    place: Any,
    extent: Any,
    size: Any,
    dtype: Any,
) -> Draw:
    """The draw that is meant by `name(shape, dtype)` or by NumPy's `name(place, extent, size)`.

    Args:
        name: of the function.
        names: of the distribution's two numbers, as `("loc", "scale")`.
        arguments: those without names: none, a shape, a shape and a dtype, or two numbers and
            perhaps a size; beside a `size` the first is a number.
        place, extent, size, dtype: what is given by name.

    Raises:
        TypeError: if an argument is given twice, or if the first one may be a shape or a number.
        ValueError: if a standard deviation is negative, or an interval is not finite.
    """
    if len(arguments) > 1 and not isinstance(arguments[1], _DTYPES):
        _check(name, names, len(arguments) < 4 and place is None and extent is None)
        place, extent, *rest = arguments
        if rest:
            _check(name, names, size is None)
            (size,) = rest
    elif arguments:
        first, *rest = arguments
        if rest:
            _check(name, names, len(rest) == 1 and dtype is None)
            (dtype,) = rest
        if size is None:
            size = _shape(name, names, first, extent is not None and place is None)
        else:
            _check(name, names, place is None)
            place = first
    if name == "normal" and isinstance(extent, (int, float)) and extent < 0:
        raise ValueError(f"normal: the standard deviation is not negative, got {extent}")
    given = [x for x in (place, extent) if x is not None]
    if dtype is None and given:
        common = common_dtype(*given)
        dtype = common if common.kind == "f" else None
    dtype = as_dtype(dtype)
    own = [as_tensor(x).shape for x in given if not isinstance(x, (int, float))]
    if name == "uniform" and given and all(isinstance(x, (int, float)) for x in given):
        check_interval(0.0 if place is None else place, 1.0 if extent is None else extent, dtype)
    shape = np.broadcast_shapes(*own) if size is None else as_shape(name, (size,))
    if any(not _fits(length, shape) for length in own):
        raise ShapeError(f"{name}: {names[0]} and {names[1]} of {own} do not broadcast to {shape}")
    return Draw(shape, dtype, _number(place, dtype), _number(extent, dtype))


def _fits(own: Shape, shape: Shape) -> bool:
    """Whether a Tensor of shape `own` broadcasts to `shape`."""
    last = shape[len(shape) - len(own) :] if own else ()
    return len(own) <= len(shape) and all(n in (1, m) for n, m in zip(own, last, strict=True))


def _check(name: str, names: tuple[str, str], fits: bool) -> None:
    if not fits:
        raise TypeError(
            f"{name} takes (shape, dtype), or as in NumPy ({', '.join(names)}, size), each once; "
            "the others by name"
        )


def _shape(name: str, names: tuple[str, str], first: Any, is_unclear: bool) -> Shape:
    """The first argument as the shape, which it is without others that say what it is."""
    remedy = f"name the arguments, as in {name}({names[0]}=..., {names[1]}=..., size=...)"
    if is_unclear and not np.ndim(first):
        raise TypeError(f"{name}: {first!r} may be the shape or {names[0]}: {remedy}")
    try:
        return as_shape(name, (first,))
    except TypeError:
        raise TypeError(
            f"{name}: one argument alone is the shape, whole numbers, and not {first!r:.80}: "
            f"{remedy}"
        ) from None


def _number(value: Any, dtype: np.dtype[Any]) -> Any:
    """A number of the distribution; arrays and Tensors in the dtype of the draw."""
    return value if value is None or isinstance(value, (int, float)) else astype(value, dtype)
