"""The matrix product."""

from __future__ import annotations

import numpy as np

from chainrule.graph.errors import DTypeError, ShapeError
from chainrule.graph.operation import Spec, operation
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor, method
from chainrule.ops.elementwise import common_dtype
from chainrule.ops.samples import examples
from chainrule.ops.shape import _transpose


def _product(a: Tensor, b: Tensor) -> Spec:
    if a.ndim < 2 or a.ndim != b.ndim or a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2]:
        raise ShapeError(
            f"matmul: shapes {a.shape} and {b.shape} do not fit: the last axis of the first must be "
            "as long as the last but one of the second"
        )
    if a.dtype.kind != "f" or a.dtype != b.dtype:
        raise DTypeError(f"matmul takes two floating Tensors of one dtype: {a.dtype}, {b.dtype}")
    return Spec((*a.shape[:-1], b.shape[-1]), a.dtype)


@operation(
    _product,
    examples((((3, 4), (4, 5)), {}), (((1, 7), (7, 1)), {}), (((2, 3, 4), (2, 4, 5)), {})),
)
def _matmul(a: Array, b: Array) -> Array:
    """The product of matrices of one dtype, or of stacks of matrices of the same length."""
    return np.matmul(a, b)


def _swap(x: Tensor) -> Tensor:
    """Each matrix transposed."""
    ndim = len(x.shape)
    axes = (1, 0) if ndim == 2 else (*range(ndim - 2), ndim - 1, ndim - 2)
    return _transpose.apply(x, axes=axes)


_matmul.differentiable(
    lambda g, y, a, b: _matmul.apply(g, _swap(b)),
    lambda g, y, a, b: _matmul.apply(_swap(a), g),
)


@method
def matmul(a: TensorLike, b: TensorLike) -> Tensor:
    """The matrix product a @ b, as NumPy defines it.

    A 1-d operand is a row on the left and a column on the right; leading axes are stacks of
    matrices and are broadcast.

    Args:
        a: shape (..., n, k).
        b: shape (..., k, m).

    Returns:
        Shape (..., n, m).

    Raises:
        ShapeError: if the shapes do not fit.
    """
    if (
        isinstance(a, Tensor)
        and isinstance(b, Tensor)
        and len(a.shape) == 2
        and len(b.shape) == 2
        and a.dtype is b.dtype
    ):
        return _matmul.apply(a, b)
    dtype = common_dtype(a, b)
    a, b = (as_tensor(t) for t in (a, b))
    if dtype.kind != "f":
        raise DTypeError(f"matmul takes floating Tensors, not {dtype}; cast them first")
    a, b = a.cast(dtype), b.cast(dtype)
    if not a.ndim or not b.ndim:
        raise ShapeError(f"matmul: shapes {a.shape} and {b.shape}: use * for products of scalars")
    row, column = a.ndim == 1, b.ndim == 1
    if row:
        a = a.reshape(1, -1)
    if column:
        b = b.reshape(-1, 1)
    if a.ndim > 2 or b.ndim > 2:
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a = a.broadcast_to(stack + a.shape[-2:])
        b = b.broadcast_to(stack + b.shape[-2:])
    product = _matmul.apply(a, b)
    if row or column:
        shape = product.shape[:-2] + product.shape[-2:][int(row) : 2 - int(column)]
        product = product.reshape(shape)
    return product
