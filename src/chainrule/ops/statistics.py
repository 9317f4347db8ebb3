"""Reductions made of others: products, counts, truth values, averages, and those that skip NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule.errors import ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.methods import Axis
from chainrule.graph.registered import method
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.ops import reduce
from chainrule.ops.axis_numbers import axis_or_all, normalize_axes
from chainrule.ops.bitwise import invert, truth
from chainrule.ops.comparison import equal, not_equal, where
from chainrule.ops.declare import align_floats, as_summed, of_one_dtype
from chainrule.ops.floats import isnan

__all__ = [
    "all",
    "any",
    "argmin",
    "average",
    "count_nonzero",
    "nanmax",
    "nanmean",
    "nanmin",
    "nansum",
    "prod",
    "ptp",
]


@both_names()
@method
def prod(
    x: TensorLike, axis: Axis = None, keepdims: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """The product over one axis, several, or all; of booleans and narrow integers it is int64.

    The elements are multiplied in pairs, and the products in pairs again: log2(n) multiplications
    of shrinking parts, whose gradients are exact where elements are 0 too. Floats are multiplied in
    float64, as products of parts may be too large for float32 where the whole is not.

    Args:
        x: numbers or booleans.
        axis: one axis, several, or None for all.
        keepdims: keep the reduced axes with length 1.
        dtype: to which the elements are cast first.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([2.0, 0.0, 5.0], requires_grad=True)
        >>> cr.grad(cr.prod(x), x).tolist()
        [0.0, 10.0, 0.0]
    """
    x = as_summed(x, dtype)
    result = x.dtype
    if result.kind == "f":
        x = x.astype(np.float64)
    axes = normalize_axes("prod", axis, x.shape)
    shape = reduce.reduced_shape(x.shape, axes, keepdims)
    if len(axes) == x.ndim:
        x, axes = x.reshape(-1), (0,)
    factors: Any = x
    value = x.node().value
    if value is not None and not x.requires_grad:  # the same products, without a node for each
        factors = value
    for a in axes:
        factors = _multiplied(factors, a)
    return as_tensor(factors.reshape(shape)).astype(result)


def _multiplied(x: Any, axis: int) -> Any:
    """The product of a Tensor or an array along one axis, which is kept with length 1."""
    length = x.shape[axis]
    if length == 0:
        shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        ones = np.ones(shape, x.dtype)
        return as_tensor(ones) if isinstance(x, Tensor) else ones
    before = (slice(None),) * axis
    left_over = None
    while length > 1:
        half = length // 2
        if length % 2:
            last = x[(*before, slice(length - 1, length))]
            left_over = last if left_over is None else left_over * last
        x = x[(*before, slice(half))] * x[(*before, slice(half, 2 * half))]
        length = half
    return x if left_over is None else x * left_over


@both_names()
@method
def count_nonzero(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """How many elements are not 0 (int64), over one axis, several, or all.

    Example:
        >>> import chainrule as cr
        >>> cr.count_nonzero(cr.tensor([[0.0, 2.0], [3.0, 4.0]]), axis=0)
        tensor([1, 2])
    """
    return _count("count_nonzero", truth(x), axis, keepdims)


def _count(name: str, truths: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    """How many are true, for a function of this name."""
    return reduce.sum(truths, normalize_axes(name, axis, truths.shape), keepdims)


@both_names()
@method
def any(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether an element is not 0, over one axis, several, or all; of no elements it is False.

    Example:
        >>> import chainrule as cr
        >>> cr.any(cr.tensor([[0.0, 2.0], [0.0, 0.0]]), axis=1)
        tensor([ True, False])
    """
    return not_equal(_count("any", truth(x), axis, keepdims), 0)


@both_names()
@method
def all(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether no element is 0, over one axis, several, or all; of no elements it is True.

    Example:
        >>> import chainrule as cr
        >>> cr.all(cr.tensor([[1.0, 2.0], [0.0, 3.0]]), axis=1)
        tensor([ True, False])
    """
    return equal(_count("all", invert(truth(x)), axis, keepdims), 0)


@both_names()
@method
def argmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index (int64) of the first smallest element along `axis`, or in the flattened Tensor.

    With `keepdims` that axis, or each where `axis` is None, stays with length 1. A NaN counts as
    the smallest.

    Example:
        >>> import chainrule as cr
        >>> cr.argmin(cr.tensor([[3.0, 1.0], [0.0, 2.0]]), axis=1)
        tensor([1, 0])
    """
    x = as_tensor(x)
    axis = axis_or_all("argmin", axis, x.ndim)
    if x.dtype.kind in "biu" and x.dtype.itemsize < 8:
        x = x.astype(np.int64)
    # ~x turns the order of all integers round; -x would not that of the least, or of unsigned ones.
    return reduce.argmax(-x if x.dtype.kind == "f" else invert(x), axis, keepdims)


@both_names()
@method
def ptp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element minus the smallest ("peak to peak"), over one axis, several, or all.

    Example:
        >>> import chainrule as cr
        >>> cr.ptp(cr.tensor([3.0, -1.0, 2.0]))
        tensor(4.)
    """
    x = as_tensor(x)
    axes = normalize_axes("ptp", axis, x.shape)
    return reduce.max(x, axes, keepdims) - reduce.min(x, axes, keepdims)


@both_names()
@method
def average(
    x: TensorLike, axis: Axis = None, weights: TensorLike | None = None, keepdims: bool = False
) -> Tensor:
    """The weighted mean over axes: sum of w x / sum of w. Without weights it is `mean`.

    Where the weights add up to 0 it is NaN or infinite.

    Args:
        x: numbers; of integers the average is float32.
        axis: one axis, several, or None for all.
        weights: of the shape of x; or of shape (n,) for the n elements along the one axis.
        keepdims: keep the reduced axes with length 1.

    Raises:
        ShapeError: if the weights have neither shape.

    Example:
        >>> import chainrule as cr
        >>> cr.average(cr.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1, weights=[3, 1])
        tensor([1.25, 3.25])
    """
    if weights is None:
        return reduce.mean(x, axis, keepdims)
    x, w = of_one_dtype(x, weights)
    axes = normalize_axes("average", axis, x.shape)
    if w.shape != x.shape:
        if len(axes) != 1 or w.shape != (x.shape[axes[0]],):
            raise ShapeError(
                f"average: weights of shape {w.shape} for shape {x.shape} and axis {axis}; they "
                "have the shape of x, or one number for each element along one axis"
            )
        w = w.reshape(*(n if a in axes else 1 for a, n in enumerate(x.shape)))
    x, w = align_floats("average", x, w)
    return reduce.sum(x * w, axis, keepdims) / reduce.sum(w, axis, keepdims)


@both_names()
@method
def nansum(
    x: TensorLike, axis: Axis = None, keepdims: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """The sum of the elements that are not NaN, over one axis, several, or all.

    With `dtype` the elements are cast first.

    Example:
        >>> import chainrule as cr
        >>> cr.nansum(cr.tensor([1.0, float("nan"), 2.0]))
        tensor(3.)
    """
    x = _without_nan(x, 0.0)
    return reduce.sum(x, normalize_axes("nansum", axis, x.shape), keepdims, dtype=dtype)


@both_names()
@method
def nanmean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean of the elements that are not NaN, over one axis, several, or all.

    It is NaN where all of them are.

    Example:
        >>> import chainrule as cr
        >>> cr.nanmean(cr.tensor([1.0, float("nan"), 2.0]))
        tensor(1.5)
    """
    x = as_tensor(x)
    axes = normalize_axes("nanmean", axis, x.shape)
    if x.dtype.kind != "f":
        return reduce.mean(x, axes, keepdims)
    count = reduce.sum(invert(isnan(x)), axes, keepdims)
    return nansum(x, axes, keepdims) / count.astype(x.dtype)


@both_names()
@method
def nanmax(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element that is not NaN, over one axis, several, or all.

    It is NaN where all of them are.

    Example:
        >>> import chainrule as cr
        >>> cr.nanmax(cr.tensor([1.0, float("nan"), 2.0]))
        tensor(2.)
    """
    x = as_tensor(x)
    axes = normalize_axes("nanmax", axis, x.shape)
    largest = reduce.max(_without_nan(x, -np.inf), axes, keepdims)
    return _unless_all_nan(x, axes, keepdims, largest)


@both_names()
@method
def nanmin(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element that is not NaN, over one axis, several, or all.

    It is NaN where all of them are.

    Example:
        >>> import chainrule as cr
        >>> cr.nanmin(cr.tensor([1.0, float("nan"), 2.0]))
        tensor(1.)
    """
    x = as_tensor(x)
    axes = normalize_axes("nanmin", axis, x.shape)
    smallest = reduce.min(_without_nan(x, np.inf), axes, keepdims)
    return _unless_all_nan(x, axes, keepdims, smallest)


def _without_nan(x: TensorLike, number: float) -> Tensor:
    """x with a number in the place of NaN."""
    x = as_tensor(x)
    return where(isnan(x), number, x) if x.dtype.kind == "f" else x


def _unless_all_nan(x: Tensor, axis: Axis, keepdims: bool, result: Tensor) -> Tensor:
    """NaN where all elements are, else the result."""
    if x.dtype.kind != "f":
        return result
    return where(all(isnan(x), axis, keepdims), float("nan"), result)
