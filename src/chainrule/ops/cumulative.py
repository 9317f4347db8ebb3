"""Running sums and products along an axis, and differences of neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from chainrule.checks import integer
from chainrule.errors import ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.operation import operation
from chainrule.graph.registered import method
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor, plain_number
from chainrule.ops.axis_numbers import axis_or_all, one_axis
from chainrule.ops.comparison import not_equal
from chainrule.ops.declare import BOOL, as_summed, of_one_dtype, same_spec
from chainrule.ops.joining import concatenate
from chainrule.ops.samples import examples

__all__ = ["cumprod", "cumsum", "diff", "trapezoid"]

_SAMPLES = examples(
    (((3, 5),), {"axis": 1}),
    (((4, 3),), {"axis": 0}),
    (((2, 3, 2),), {"axis": 1}),
    (((7,),), {"axis": 0}),
    (((0, 3),), {"axis": 0}),
    (((2, 0),), {"axis": 1}),
)


def _running_sum(x: Array, axis: int) -> Array:
    """Sums of floats are added up in float64, so that long axes keep their digits."""
    wide = np.float64 if x.dtype.kind == "f" else x.dtype
    return np.cumsum(x, axis=axis, dtype=wide).astype(x.dtype)


@operation(same_spec, _SAMPLES)
def _cumsum(x: Array, axis: int) -> Array:
    """The sums of the elements up to each one along an axis."""
    return _running_sum(x, axis)


@operation(same_spec, _SAMPLES)
def reverse_cumsum(x: Array, axis: int) -> Array:
    """The sums of the elements from each one on along an axis: the adjoint of cumsum."""
    return np.flip(_running_sum(np.flip(x, axis), axis), axis)


_cumsum.differentiable(lambda g, y, x, axis: reverse_cumsum.apply(g, axis=axis))
reverse_cumsum.differentiable(lambda g, y, x, axis: _cumsum.apply(g, axis=axis))


def _along(
    name: str, x: TensorLike, axis: int | None, dtype: DTypeLike | None
) -> tuple[Tensor, int]:
    """x in the dtype of its running sums, flattened where there is no axis, and the axis."""
    x = as_summed(x, dtype)
    axis = axis_or_all(name, axis, x.ndim)
    return (x.reshape(-1), 0) if axis is None else (x, axis)


@both_names()
@method
def cumsum(x: TensorLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """The sums of the elements up to each one along an axis; floats are added up in float64.

    Args:
        x: numbers or booleans.
        axis: along which; None takes the flattened Tensor.
        dtype: of the sums; by default that of x, or int64 of booleans and narrow integers.

    Example:
        >>> import chainrule as cr
        >>> cr.cumsum(cr.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), axis=1)
        tensor([[ 1.,  3.,  6.],
                [ 4.,  9., 15.]])
    """
    x, axis = _along("cumsum", x, axis, dtype)
    return _cumsum.apply(x, axis=axis)


@both_names()
@method
def cumprod(x: TensorLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """The products of the elements up to each one along an axis; floats are multiplied in float64.

    Step k multiplies each element by the one 2^k before it: log2(n) multiplications, whose
    gradients are exact where elements are 0 too.

    Args:
        x: numbers or booleans.
        axis: along which; None takes the flattened Tensor.
        dtype: of the products; by default that of x, or int64 of booleans and narrow integers.

    Example:
        >>> import chainrule as cr
        >>> cr.cumprod(cr.tensor([1.0, 2.0, 3.0, 4.0]))
        tensor([ 1.,  2.,  6., 24.])
    """
    x, axis = _along("cumprod", x, axis, dtype)
    result = x.dtype
    if result.kind == "f":  # products of parts may be too large for float32 where the whole is not
        x = x.astype(np.float64)
    before = (slice(None),) * axis
    length, distance = x.shape[axis], 1
    while distance < length:
        first = x[(*before, slice(distance))]
        products = x[(*before, slice(distance, None))] * x[(*before, slice(length - distance))]
        x = concatenate([first, products], axis)
        distance *= 2
    return x.astype(result)


@both_names()
@method
def diff(
    x: TensorLike,
    n: int = 1,
    axis: int = -1,
    prepend: TensorLike | None = None,
    append: TensorLike | None = None,
) -> Tensor:
    """The differences of neighbours along an axis, taken n times; of booleans whether they differ.

    Args:
        x: of any shape but ().
        n: how often.
        axis: along which.
        prepend, append: what stands before x along the axis, and behind it: a number, or a Tensor
            of the shape of x except along the axis.

    Raises:
        ShapeError: if n is negative.

    Example:
        >>> import chainrule as cr
        >>> cr.diff(cr.tensor([1.0, 4.0, 9.0, 16.0]))
        tensor([3., 5., 7.])
    """
    x = as_tensor(x)
    axis = one_axis("diff", axis, x.ndim)
    n = integer("diff: n", n)
    if n < 0:
        raise ShapeError(f"diff: n is not negative, got {n}")
    parts = [part for part in (prepend, x, append) if part is not None]
    if n and len(parts) > 1:
        edge = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        tensors = of_one_dtype(*parts)
        x = concatenate([t if t.ndim else t.broadcast_to(edge) for t in tensors], axis)
    before = (slice(None),) * axis
    for _ in range(min(n, x.shape[axis])):
        later, earlier = x[(*before, slice(1, None))], x[(*before, slice(x.shape[axis] - 1))]
        x = not_equal(later, earlier) if x.dtype == BOOL else later - earlier
    return x


@both_names()
@method
def trapezoid(
    y: TensorLike, x: TensorLike | None = None, dx: float = 1.0, axis: int = -1
) -> Tensor:
    """The integral of y along an axis by the trapezoidal rule.

    Formula: the sum of (x[i + 1] - x[i]) (y[i] + y[i + 1]) / 2.

    Args:
        y: the values.
        x: where they are, of shape (n,) along the axis or of a shape that broadcasts with that of
            y and has the same axis; None for points that lie `dx` apart.
        dx: the distance of the points where there is no x.
        axis: along which to integrate.

    Raises:
        ShapeError: if x has not as many places as y.

    Example:
        >>> import chainrule as cr
        >>> cr.trapezoid(cr.tensor([1.0, 2.0, 3.0]), x=[0.0, 1.0, 3.0])
        tensor(6.5)
    """
    if x is not None and as_tensor(x).dtype.kind == "f":
        y, x = of_one_dtype(y, x)
    y = as_summed(y, None)
    axis = one_axis("trapezoid", axis, y.ndim)
    before = (slice(None),) * axis
    length = y.shape[axis]
    twice = y[(*before, slice(1, None))] + y[(*before, slice(max(length - 1, 0)))]
    if x is None:
        return (twice * (0.5 * plain_number("dx", dx))).sum(axis)
    x = as_summed(x, None)  # of integers the differences are exact
    axis -= y.ndim  # from the right, as x and y are aligned
    along = -1 if x.ndim == 1 else axis
    if not -x.ndim <= along or x.shape[along] != length:
        raise ShapeError(
            f"trapezoid: x has one place for each of the {length} elements of y, of shape "
            f"{y.shape}, along the axis; got shape {x.shape}"
        )
    width = diff(x, axis=along)
    if x.ndim == 1:
        width = width.reshape(-1, *(1,) * (-1 - axis))
    return (twice * width * 0.5).sum(axis)
