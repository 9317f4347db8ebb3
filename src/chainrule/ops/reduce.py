"""Reductions over axes. Of equal largest (or smallest) elements the first takes the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule.dtypes import as_dtype
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.methods import Axis
from chainrule.graph.operation import Spec, no_flops, operation
from chainrule.graph.registered import method
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor, plain_number
from chainrule.graph.unpacking import note_extremes
from chainrule.ops.accumulate import add_up
from chainrule.ops.axis_numbers import Axes, axis_or_all, normalize_axes
from chainrule.ops.comparison import equal, where
from chainrule.ops.declare import as_summed, astype, same_spec
from chainrule.ops.samples import examples
from chainrule.ops.unary import exp, sqrt

__all__ = ["amax", "amin", "argmax", "logsumexp", "max", "mean", "min", "std", "sum", "var"]

_SAMPLES = examples(
    (((3, 5),), {"axes": (0, 1), "keepdims": False}),
    (((3, 5),), {"axes": (0,), "keepdims": False}),
    (((2, 3, 5),), {"axes": (0, 2), "keepdims": True}),
    (((7, 1),), {"axes": (1,), "keepdims": False}),
    (((4,),), {"axes": (0,), "keepdims": True}),
    (((),), {"axes": (), "keepdims": False}),
    (((2, 3),), {"axes": (), "keepdims": True}),
    (((0, 3),), {"axes": (1,), "keepdims": False}),
)


def reduced_shape(shape: tuple[int, ...], axes: Axes, keepdims: bool) -> tuple[int, ...]:
    """The shape without the reduced axes, or with them as axes of length 1."""
    if keepdims:
        return tuple([1 if a in axes else length for a, length in enumerate(shape)])
    return tuple([length for a, length in enumerate(shape) if a not in axes])


def _reduced(x: Tensor, axes: Axes, keepdims: bool) -> Spec:
    """The shape and dtype of a reduction of any dtype."""
    return Spec(reduced_shape(x.shape, axes, keepdims), x.dtype)


def _not_empty(name: str) -> Callable[..., Spec]:
    """As `_reduced`, for reductions that need an element at least."""

    def infer(x: Tensor, axes: Axes, keepdims: bool) -> Spec:
        if any(x.shape[a] == 0 for a in axes):
            raise ShapeError(f"{name} of no elements: shape {x.shape}, axes {axes}")
        return _reduced(x, axes, keepdims)

    return infer


def _one_per_input(y: Tensor, x: Tensor, axes: Axes, keepdims: bool) -> int:
    """The FLOPs of a reduction: one for each element that it takes in."""
    return x.size


def _spread(t: Tensor, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
    """A reduced Tensor over the reduced axes again: what it is at each element of x."""
    if not keepdims and t.shape:
        t = t.reshape(reduced_shape(x.shape, axes, True))
    return t.broadcast_to(x.shape)


@operation(_reduced, _SAMPLES, flops=_one_per_input)
def _sum(x: Array, axes: Axes, keepdims: bool) -> Array:
    """The sum over axes."""
    return add_up(x, axes, keepdims)


_sum.differentiable(lambda g, y, x, axes, keepdims: _spread(g, x, axes, keepdims))


@both_names()
@method
def sum(
    x: TensorLike, axis: Axis = None, keepdims: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """The sum over one axis, several, or all; of booleans and narrow integers it is int64.

    With `dtype` the elements are cast first.

    Example:
        >>> import chainrule as cr
        >>> cr.sum(cr.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
        tensor([4., 6.])
    """
    x = as_summed(x, dtype)
    return _sum.apply(x, axes=normalize_axes("sum", axis, x.shape), keepdims=keepdims)


@both_names()
@method
def mean(
    x: TensorLike, axis: Axis = None, keepdims: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """The mean over one axis, several, or all; of integers it is float32.

    With `dtype`, which is floating, the elements are cast first.

    Raises:
        DTypeError: if `dtype` is not floating.
        ShapeError: if there are no elements.

    Example:
        >>> import chainrule as cr
        >>> cr.mean(cr.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
        tensor([2., 3.])
    """
    x = _as_floats("mean", x, dtype)
    axes = normalize_axes("mean", axis, x.shape)
    count = _count(x.shape, axes)
    if count == 0:
        raise ShapeError(f"mean of no elements: shape {x.shape}, axes {axes}")
    return _sum.apply(x, axes=axes, keepdims=keepdims) / float(count)


def _as_floats(name: str, x: TensorLike, dtype: DTypeLike | None) -> Tensor:
    """x in a floating dtype: in the one given, or its own, or float32 of integers."""
    if dtype is not None and as_dtype(dtype).kind != "f":
        raise DTypeError(
            f"{name}: the dtype is floating, not {as_dtype(dtype)}; to cut off the fraction of the "
            f"result, x.{name}(...).astype({as_dtype(dtype).name!r})"
        )
    x = as_tensor(x) if dtype is None else astype(x, dtype)
    return x if x.dtype.kind == "f" else x.astype(np.float32)


def _count(shape: tuple[int, ...], axes: Axes) -> int:
    """How many elements are reduced to one."""
    return math.prod(shape[a] for a in axes)


@both_names(ddof="correction", unbiased="correction")
@method
def var(
    x: TensorLike,
    axis: Axis = None,
    keepdims: bool = False,
    correction: int = 0,
    *,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """The variance over axes: sum of (x - mean)^2 / (n - correction), computed in float64.

    Args:
        x: numbers; of integers the result is float32.
        axis: one axis, several, or None for all.
        keepdims: keep the reduced axes with length 1.
        correction: 0 for the biased variance (as in batch normalisation), 1 for the unbiased.
        dtype: a floating one, to which the elements are cast first.

    Raises:
        ShapeError: if there are no more elements than `correction`.
    """
    variance, result = _variance("var", x, axis, keepdims, correction, dtype)
    return variance.astype(result)


def _variance(
    name: str,
    x: TensorLike,
    axis: Axis,
    keepdims: bool,
    correction: int,
    dtype: DTypeLike | None,
) -> tuple[Tensor, np.dtype[Any]]:
    """The variance in float64, and the dtype that the result has.

    In float32 a mean of 1e6 is known to 0.03 alone, and squares overflow beyond 1.8e19.
    """
    x = as_tensor(x)
    if dtype is not None:
        x = _as_floats(name, x, dtype)
    result = x.dtype if x.dtype.kind == "f" else np.dtype(np.float32)
    x = x.astype(np.float64)
    axes = normalize_axes(name, axis, x.shape)
    count = _count(x.shape, axes)
    fewer = plain_number("correction", correction)
    if count <= fewer:
        raise ShapeError(
            f"{name} over {count} elements with correction {fewer:g}: shape {x.shape}, "
            f"axes {axes}; more elements are needed"
        )
    centred = x - mean(x, axes, keepdims=True)
    variance = (centred * centred).sum(axes, keepdims) / (count - fewer)
    return variance, result


@both_names(ddof="correction", unbiased="correction")
@method
def std(
    x: TensorLike,
    axis: Axis = None,
    keepdims: bool = False,
    correction: int = 0,
    *,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """The standard deviation over axes: sqrt(sum of (x - mean)^2 / (n - correction)), computed in
    float64.

    Convention at the kink: where all elements are equal its gradient is 0.

    Args:
        x: numbers; of integers the result is float32.
        axis: one axis, several, or None for all.
        keepdims: keep the reduced axes with length 1.
        correction: 0 as NumPy has it, 1 for the square root of the unbiased variance.
        dtype: a floating one, to which the elements are cast first.

    Raises:
        ShapeError: if there are no more elements than `correction`.

    Example:
        >>> import chainrule as cr
        >>> cr.std(cr.tensor([[1.0, 3.0], [2.0, 2.0]]), axis=1)
        tensor([1., 0.])
    """
    variance, result = _variance("std", x, axis, keepdims, correction, dtype)
    varies = variance > 0.0
    # sqrt'(0) is infinite: it must not meet the 0 of a gradient, which would make NaN.
    return where(varies, sqrt(where(varies, variance, 1.0)), variance).astype(result)


@operation(
    same_spec,
    examples(
        (([[1.0, 3.0, 3.0], [2.0, 0.0, 1.0]], [[3.0], [2.0]]), {"axes": (1,)}),
        (([[1.0, 3.0], [3.0, 0.0]], [[3.0]]), {"axes": (0, 1)}),
        (((0, 3), (0, 1)), {"axes": (1,)}),
    ),
)
def first_equal(x: Array, extreme: Array, axes: Axes) -> Array:
    """1 at the first element along `axes` equal to `extreme`, else 0: the derivative of max.

    A NaN counts as equal: where one is, it is the extreme.
    """
    equal = np.equal(x, extreme)
    if np.isnan(extreme).any():
        equal |= np.isnan(x)
    if not x.size:
        return np.zeros(x.shape, x.dtype)
    moved = np.moveaxis(equal, axes, range(-len(axes), 0))
    flat = moved.reshape(*moved.shape[: x.ndim - len(axes)], -1)
    first = np.zeros(flat.shape, x.dtype)
    np.put_along_axis(first, flat.argmax(-1)[..., None], 1, -1)
    return np.moveaxis(first.reshape(moved.shape), range(-len(axes), 0), axes)


def _extreme_rule(g: Tensor, y: Tensor, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
    """g at the first of the extreme elements, 0 at the others."""
    kept = y if keepdims else y.reshape(reduced_shape(x.shape, axes, True))
    return _spread(g, x, axes, keepdims) * first_equal.apply(x, kept, axes=axes)


@operation(_not_empty("max"), _SAMPLES, flops=_one_per_input)
def _max(x: Array, axes: Axes, keepdims: bool) -> Array:
    """The largest element along axes."""
    return np.maximum.reduce(x, axis=axes, keepdims=keepdims)  # type: ignore[call-overload]


_max.differentiable(_extreme_rule)


@both_names()
@method
def max(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element over one axis, several, or all; NaN where one is.

    Of equal ones, and of several NaN, the first takes the gradient. The indices, which PyTorch
    returns as well, are `argmax`: two names that take the result apart are refused.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([[1.0, 3.0], [4.0, 2.0]])
        >>> cr.max(x, axis=1)
        tensor([3., 4.])
    """
    x = as_tensor(x)
    result = _max.apply(x, axes=normalize_axes("max", axis, x.shape), keepdims=keepdims)
    return note_extremes(result) if isinstance(axis, int) else result


@operation(_not_empty("min"), _SAMPLES, flops=_one_per_input)
def _min(x: Array, axes: Axes, keepdims: bool) -> Array:
    """The smallest element along axes."""
    return np.minimum.reduce(x, axis=axes, keepdims=keepdims)  # type: ignore[call-overload]


_min.differentiable(_extreme_rule)


@both_names()
@method
def min(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element over one axis, several, or all; NaN where one is.

    Of equal ones, and of several NaN, the first takes the gradient. The indices, which PyTorch
    returns as well, are `argmin`: two names that take the result apart are refused.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([[1.0, 3.0], [4.0, 2.0]])
        >>> cr.min(x, axis=1)
        tensor([1., 2.])
    """
    x = as_tensor(x)
    result = _min.apply(x, axes=normalize_axes("min", axis, x.shape), keepdims=keepdims)
    return note_extremes(result) if isinstance(axis, int) else result


amax = max
amin = min


def _argmax_spec(x: Tensor, axis: int, keepdims: bool) -> Spec:
    if x.shape[axis] == 0:
        raise ShapeError(f"argmax of no elements: shape {x.shape}, axis {axis}")
    return Spec(reduced_shape(x.shape, (axis,), keepdims), np.dtype(np.int64))


@operation(
    _argmax_spec,
    examples(
        (((3, 5),), {"axis": 1, "keepdims": False}),
        (((3, 5),), {"axis": 0, "keepdims": True}),
        (([2.0, 7.0, 7.0, 1.0],), {"axis": 0, "keepdims": False}),
        (((0, 2),), {"axis": 1, "keepdims": False}),
    ),
    flops=no_flops,
)
def _argmax(x: Array, axis: int, keepdims: bool) -> Array:
    """The index of the first largest element along an axis."""
    return np.argmax(x, axis=axis, keepdims=keepdims)


@both_names()
@method
def argmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index (int64) of the first largest element along `axis`, or in the flattened Tensor.

    With `keepdims` that axis, or each where `axis` is None, stays with length 1.
    """
    x = as_tensor(x)
    axis = axis_or_all("argmax", axis, x.ndim)
    if axis is None:
        index = _argmax.apply(x.reshape(-1), axis=0, keepdims=False)
        return index.reshape((1,) * x.ndim) if keepdims else index
    return _argmax.apply(x, axis=axis, keepdims=keepdims)


@operation(_reduced, _SAMPLES, flops=lambda y, x, axes, keepdims: 4 * x.size)
def _logsumexp(x: Array, axes: Axes, keepdims: bool) -> Array:
    """log(sum(exp(x))) over axes, without overflow."""
    largest = np.maximum.reduce(x, axis=axes, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(largest), largest, x.dtype.type(0))
    with np.errstate(divide="ignore", over="ignore"):  # log(0) = -inf and exp of large are meant
        total = np.log(add_up(np.exp(x - shift), axes, True)) + shift
    return total.reshape(reduced_shape(x.shape, axes, keepdims))


def _logsumexp_rule(g: Tensor, y: Tensor, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
    """g times softmax(x)."""
    finite = where(equal(y, -np.inf), 0.0, y)  # where all x are -inf: exp(-inf - 0) = 0, not NaN
    return _spread(g, x, axes, keepdims) * exp(x - _spread(finite, x, axes, keepdims))


_logsumexp.differentiable(_logsumexp_rule)


@both_names()
@method
def logsumexp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) over one axis, several, or all, without overflow; of integers float32."""
    x = as_tensor(x)
    axes = normalize_axes("logsumexp", axis, x.shape)
    if x.dtype.kind != "f":
        x = x.astype(np.float32)
    return _logsumexp.apply(x, axes=axes, keepdims=keepdims)
