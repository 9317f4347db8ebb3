"""The matrix product."""

from __future__ import annotations

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.operation import Spec, operation
from chainrule.graph.registered import method
from chainrule.graph.tensor import Array, Tensor, TensorLike
from chainrule.ops.declare import of_one_dtype
from chainrule.ops.samples import examples
from chainrule.system.threads import hold_numpy

__all__ = ["matmul"]


Shape = tuple[int, ...]
_MOST_TERMS = 4096  # of one sum in BLAS, which may add them one after another


def _matrix(shape: tuple[int, ...], transposed: bool) -> tuple[int, ...]:
    """Rows and columns of the matrices that take part in the product."""
    return (shape[-1], shape[-2]) if transposed else shape[-2:]


def _misfit(a: Shape, b: Shape, transpose_a: bool, transpose_b: bool) -> ShapeError:
    marks = [" (transposed)" if t else "" for t in (transpose_a, transpose_b)]
    vectors = "; a vector is a row on the left and a column on the right"
    return ShapeError(
        f"matmul: shapes {a}{marks[0]} and {b}{marks[1]} do not fit: the columns of the first must "
        f"be as many as the rows of the second{vectors if 1 in (len(a), len(b)) else ''}"
    )


def _product_spec(
    a: Tensor, b: Tensor, transpose_a: bool = False, transpose_b: bool = False
) -> Spec:
    fits = a.ndim >= 2 and a.ndim == b.ndim and a.shape[:-2] == b.shape[:-2]
    if not fits or _matrix(a.shape, transpose_a)[1] != _matrix(b.shape, transpose_b)[0]:
        raise _misfit(a.shape, b.shape, transpose_a, transpose_b)
    if a.dtype.kind not in "fiu" or a.dtype != b.dtype:
        raise DTypeError(f"matmul takes two Tensors of numbers of one dtype: {a.dtype}, {b.dtype}")
    rows, columns = _matrix(a.shape, transpose_a)[0], _matrix(b.shape, transpose_b)[1]
    return Spec((*a.shape[:-2], rows, columns), a.dtype)


def _flops(
    y: Tensor, a: Tensor, b: Tensor, transpose_a: bool = False, transpose_b: bool = False
) -> int:
    """2 m n k: a multiplication and an addition for each element and each column of a."""
    return 2 * y.size * _matrix(a.shape, transpose_a)[1]


@operation(
    _product_spec,
    examples(
        (((3, 4), (4, 5)), {}),
        (((1, 7), (7, 1)), {}),
        (((2, 0), (0, 3)), {}),
        (((2, 3, 4), (2, 4, 5)), {}),
        (((3, 4), (5, 4)), {"transpose_b": True}),
        (((4, 3), (4, 5)), {"transpose_a": True}),
        (((2, 4, 3), (2, 5, 4)), {"transpose_a": True, "transpose_b": True}),
    ),
    flops=_flops,
)
def _matmul(a: Array, b: Array, transpose_a: bool = False, transpose_b: bool = False) -> Array:
    """The product of matrices, or of stacks of them; each operand may be taken transposed."""
    hold_numpy()
    if transpose_a:
        a = a.swapaxes(-1, -2)
    if transpose_b:
        b = b.swapaxes(-1, -2)
    terms = a.shape[-1]
    if terms <= _MOST_TERMS or a.dtype.kind != "f":
        return np.matmul(a, b)
    parts = [slice(start, start + _MOST_TERMS) for start in range(0, terms, _MOST_TERMS)]
    products = (np.matmul(a[..., part], b[..., part, :]) for part in parts)
    return sum(products, np.zeros((), np.float64)).astype(a.dtype)


def _by_first(
    g: Tensor, y: Tensor, a: Tensor, b: Tensor, transpose_a: bool = False, transpose_b: bool = False
) -> Tensor:
    """g B^T; for a transposed operand its transpose B g^T."""
    if transpose_a:
        return _matmul.apply(b, g, transpose_a=transpose_b, transpose_b=True)
    return _matmul.apply(g, b, transpose_b=not transpose_b)


def _by_second(
    g: Tensor, y: Tensor, a: Tensor, b: Tensor, transpose_a: bool = False, transpose_b: bool = False
) -> Tensor:
    """A^T g; for a transposed operand its transpose g^T A."""
    if transpose_b:
        return _matmul.apply(g, a, transpose_a=True, transpose_b=transpose_a)
    return _matmul.apply(a, g, transpose_a=not transpose_a)


_matmul.differentiable(_by_first, _by_second)


@both_names()
@method
def matmul(a: TensorLike, b: TensorLike, *, transpose_b: bool = False) -> Tensor:
    """The matrix product a @ b, as NumPy defines it.

    A 1-d operand is a row on the left and a column on the right; leading axes are stacks of
    matrices and are broadcast.

    Integers are multiplied in int64, or uint64 of such; natively they are refused.

    Args:
        a: shape (..., n, k).
        b: shape (..., k, m); (..., m, k) with `transpose_b`.
        transpose_b: take the matrices of `b` transposed, as a layer z = x W^T does.

    Returns:
        Shape (..., n, m).

    Raises:
        ShapeError: if the shapes do not fit.
        DTypeError: if both are booleans.

    Example:
        >>> import chainrule as cr
        >>> cr.matmul(cr.tensor([[1.0, 2.0], [3.0, 4.0]]), cr.tensor([1.0, 10.0]))
        tensor([21., 43.])
    """
    if (
        isinstance(a, Tensor)
        and isinstance(b, Tensor)
        and len(a.shape) == 2
        and len(b.shape) == 2
        and a.dtype == b.dtype  # a copy of a dtype is another object
        and a.dtype.kind == "f"
    ):
        return _matmul.apply(a, b, transpose_b=True) if transpose_b else _matmul.apply(a, b)
    a, b = of_one_dtype(a, b)
    if a.dtype.kind == "b":
        raise DTypeError("matmul takes numbers, not booleans; cast them first")
    if a.dtype.kind != "f" and a.dtype.itemsize < 8:  # sums of narrow integers would overflow
        a, b = a.astype(np.int64), b.astype(np.int64)
    if not a.ndim or not b.ndim:
        raise ShapeError(f"matmul: shapes {a.shape} and {b.shape}: use * for products of scalars")
    if transpose_b and b.ndim < 2:
        raise ShapeError(f"matmul: transpose_b takes matrices, not shape {b.shape}")
    given = a.shape, b.shape
    if a.shape[-1] != b.shape[-1 if transpose_b or b.ndim == 1 else -2]:
        raise _misfit(*given, False, transpose_b)
    if transpose_b:
        b = b.transpose((*range(b.ndim - 2), b.ndim - 1, b.ndim - 2))
    row, column = a.ndim == 1, b.ndim == 1
    if row:
        a = a.reshape(1, -1)
    if column:
        b = b.reshape(-1, 1)
    if a.ndim > 2 or b.ndim > 2:
        try:
            stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            raise ShapeError(
                f"matmul: the stacks of matrices of shapes {given[0]} and {given[1]} do not "
                "broadcast together"
            ) from None
        a = a.broadcast_to(stack + a.shape[-2:])
        b = b.broadcast_to(stack + b.shape[-2:])
    product = _matmul.apply(a, b)
    if row or column:
        shape = product.shape[:-2] + product.shape[-2:][int(row) : 2 - int(column)]
        product = product.reshape(shape)
    return product
