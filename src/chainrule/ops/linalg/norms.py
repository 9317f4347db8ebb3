"""Norms of vectors and of matrices."""

from __future__ import annotations

import numpy as np

from chainrule.errors import ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.methods import Axis
from chainrule.graph.tensor import Tensor, TensorLike
from chainrule.ops.axis_numbers import as_list, normalize_axes, one_axis
from chainrule.ops.comparison import abs, equal, not_equal, where
from chainrule.ops.linalg.solving import floating
from chainrule.ops.norms import scale_of
from chainrule.ops.reduce import max, min, reduced_shape, sum

__all__ = ["matrix_norm", "norm", "vector_norm"]

Order = float | str | None


@both_names(p="ord")
def norm(x: TensorLike, ord: Order = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The norm of vectors or of matrices, scaled so that no square overflows.

    Of vectors: (sum of |x|^p)^(1/p) for the order p, by default 2; inf and -inf: the largest and
    the smallest |x|; 0: how many are not 0. Of matrices: "fro" (the default): the root of the sum
    of squares; 1 and -1: the largest and the smallest sum of |x| of a column; inf and -inf: of a
    row. The gradient at 0 is 0.

    Args:
        x: of any shape.
        ord: the order: a number, or "fro" of matrices.
        axis: the axis of the vectors, or the pair of axes of the matrices' rows and columns; None:
            of the flattened Tensor without an order, else of one vector or one matrix.
        keepdims: keep the reduced axes with length 1.

    Raises:
        ShapeError: if an order is given without axes, and `x` is no vector and no matrix.
        ValueError: if there is no such order.
        NotImplementedError: for the orders "nuc", 2 and -2 of matrices, which take singular
            values.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.norm(cr.tensor([3.0, 4.0]))
        tensor(5.)
        >>> cr.linalg.norm(cr.tensor([[1.0, -2.0], [3.0, 4.0]]), ord=1, axis=0)
        tensor([4., 6.])
    """
    (x,) = floating(x)
    if axis is None:
        if ord is not None and x.ndim not in (1, 2):
            raise ShapeError(
                f"norm: order {ord} of shape {x.shape} is not defined; give the axis of vectors, "
                "or the axes of matrices"
            )
        axes = tuple(range(x.ndim))
        is_matrix = ord is not None and x.ndim == 2
    else:
        given = axis if isinstance(axis, tuple) else (axis,)
        if not 1 <= len(given) <= 2:
            raise ShapeError(f"norm takes one axis or two, not {axis}")
        axes = tuple([one_axis("norm", a, x.ndim) for a in given])  # rows, then columns
        normalize_axes("norm", axes, x.shape)
        is_matrix = len(axes) == 2
    if not is_matrix or ord in (None, "fro"):
        return _vector_norm(x, "fro" if is_matrix else ord, axes, keepdims)
    return _matrix_norm(x, ord, axes, keepdims)


@both_names(p="ord")
def vector_norm(x: TensorLike, ord: float = 2, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The norm of vectors, which lie along one axis, several, or all.

    Args:
        x: of any shape.
        ord: the order, as of `norm`.
        axis: the axes of the vectors; None for one vector of all elements.
        keepdims: keep the reduced axes with length 1.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.vector_norm(cr.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor(5.)
    """
    (x,) = floating(x)
    axes = normalize_axes("vector_norm", axis, x.shape)
    return _vector_norm(x, ord, axes, keepdims)


@both_names(p="ord")
def matrix_norm(
    x: TensorLike, ord: Order = "fro", axis: tuple[int, int] = (-2, -1), keepdims: bool = False
) -> Tensor:
    """The norm of each matrix of a stack.

    Args:
        x: shape (..., m, n).
        ord: the order, as of `norm`.
        axis: the axes of the matrices' rows and columns.
        keepdims: keep the axes of the matrices with length 1.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.matrix_norm(cr.tensor([[[3.0, 4.0]], [[6.0, 8.0]]]))
        tensor([ 5., 10.])
    """
    pair = as_list("matrix_norm", axis)
    if len(pair) != 2:
        raise ShapeError(f"matrix_norm takes two axes, not {axis}")
    return norm(x, ord, tuple(pair), keepdims)


def _vector_norm(x: Tensor, ord: Order, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    if ord == np.inf:
        return max(abs(x), axes, keepdims)
    if ord == -np.inf:
        return min(abs(x), axes, keepdims)
    if ord == 0:
        return sum(not_equal(x, 0.0).astype(x.dtype), axes, keepdims)
    if ord == 1:
        return sum(abs(x), axes, keepdims)
    if ord == "fro" or ord is None:
        ord = 2
    if isinstance(ord, str):
        raise ValueError(f"norm: vectors have no order {ord!r}")
    if not x.size:
        return sum(x, axes, keepdims) + (0.0 if ord > 0 else np.inf)
    scale = scale_of(x, axes)
    scaled = x / scale
    if ord == 2:
        total = sum(scaled * scaled, axes, True)
    else:  # 0 has a power, and no gradient
        is_number = not_equal(scaled, 0.0)
        powers = where(is_number, abs(scaled), 1.0) ** float(ord)
        total = sum(where(is_number, powers, 0.0 if ord > 0 else np.inf), axes, True)
    is_zero = equal(total, 0.0)  # a NaN is not, and makes the gradient NaN
    root = where(is_zero, 0.0, where(is_zero, 1.0, total) ** (1.0 / ord))
    return (root * scale).reshape(reduced_shape(x.shape, axes, keepdims))


def _matrix_norm(x: Tensor, ord: Order, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    if ord in ("nuc", 2, -2):
        raise NotImplementedError(
            f"norm: the order {ord!r} of matrices takes singular values, which have no gradient "
            "here; without one it is np.linalg.norm(x.numpy(), ...). Of all elements as one vector "
            "it is cr.linalg.vector_norm(x, ord)"
        )
    if ord not in (1, -1, np.inf, -np.inf):
        raise ValueError(f"norm: matrices have no order {ord!r}")
    rows, columns = axes
    summed, compared = (rows, columns) if ord in (1, -1) else (columns, rows)
    extreme = max if float(ord) > 0 else min
    y = extreme(sum(abs(x), summed, True), compared, True)
    return y.reshape(reduced_shape(x.shape, axes, keepdims))
