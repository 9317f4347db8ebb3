"""Products of vectors, matrices and Tensors, composed of the matrix product."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from chainrule.checks import integer
from chainrule.errors import ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.registered import method
from chainrule.graph.tensor import Tensor, TensorLike
from chainrule.ops.arithmetic import multiply
from chainrule.ops.axis_numbers import as_list, one_axis
from chainrule.ops.declare import align, of_one_dtype
from chainrule.ops.joining import stack
from chainrule.ops.matmul import matmul

__all__ = ["cross", "dot", "inner", "kron", "outer", "tensordot", "vdot", "vecdot"]

Axes = int | tuple[int | Sequence[int], int | Sequence[int]]


@both_names(other="b", tensor="b")
@method
def dot(a: TensorLike, b: TensorLike) -> Tensor:
    """The sum of products over the last axis of `a` and the last but one of `b`, as in NumPy.

    Of 1-d Tensors the inner product, of matrices the matrix product, with a number the product.
    (PyTorch's `dot` takes 1-d Tensors only.)

    Raises:
        ShapeError: if the two axes differ in length.

    Example:
        >>> import chainrule as cr
        >>> cr.dot(cr.tensor([1.0, 2.0]), cr.tensor([3.0, 4.0]))
        tensor(11.)
    """
    a, b = of_one_dtype(a, b)
    if not a.ndim or not b.ndim:
        return multiply(a, b)
    if b.ndim <= 2:
        return matmul(a, b)
    return tensordot(a, b, (-1, -2))


@both_names(other="b")
@method
def vdot(a: TensorLike, b: TensorLike) -> Tensor:
    """The inner product of the flattened Tensors.

    Example:
        >>> import chainrule as cr
        >>> cr.vdot(cr.tensor([[1.0], [2.0]]), cr.tensor([[3.0, 4.0]]))
        tensor(11.)
    """
    a, b = of_one_dtype(a, b)
    return matmul(a.reshape(-1), b.reshape(-1))


@both_names()
def vecdot(a: TensorLike, b: TensorLike, axis: int = -1) -> Tensor:
    """The inner products of the vectors along an axis of two Tensors, which are broadcast.

    Example:
        >>> import chainrule as cr
        >>> cr.vecdot(cr.tensor([[1.0, 2.0], [3.0, 4.0]]), cr.tensor([1.0, 10.0]))
        tensor([21., 43.])
    """
    a, b = align("vecdot", a, b)
    if a.dtype.kind in "iu" and a.dtype.itemsize < 8:  # as in `matmul`
        a, b = a.astype(np.int64), b.astype(np.int64)
    return multiply(a, b).sum(one_axis("vecdot", axis, a.ndim))


@both_names(other="b")
@method
def inner(a: TensorLike, b: TensorLike) -> Tensor:
    """The sum of products over the last axes of both; with a number the product.

    Example:
        >>> import chainrule as cr
        >>> cr.inner(cr.tensor([[1.0, 2.0], [3.0, 4.0]]), cr.tensor([1.0, 10.0]))
        tensor([21., 43.])
    """
    a, b = of_one_dtype(a, b)
    return tensordot(a, b, (-1, -1)) if a.ndim and b.ndim else multiply(a, b)


@both_names(vec2="b")
@method
def outer(a: TensorLike, b: TensorLike) -> Tensor:
    """The products a_i b_j of the elements of two flattened Tensors.

    Returns:
        Shape (elements of a, elements of b).

    Example:
        >>> import chainrule as cr
        >>> cr.outer(cr.tensor([1, 2]), cr.tensor([3, 4]))
        tensor([[3, 4],
                [6, 8]])
    """
    a, b = of_one_dtype(a, b)
    return multiply(a.reshape(-1, 1), b.reshape(1, -1))


@both_names(dims="axes")
@method
def tensordot(a: TensorLike, b: TensorLike, axes: Axes = 2) -> Tensor:
    """The sum of products over axes of two Tensors.

    Args:
        a, b: floating Tensors or integers.
        axes: how many of the last axes of `a` and of the first ones of `b`; or a pair: the axes of
            `a` and those of `b` that go with them.

    Returns:
        The other axes of `a`, then those of `b`.

    Raises:
        ShapeError: if the axes do not fit.

    Example:
        >>> import chainrule as cr
        >>> a, b = cr.placeholder((2, 3, 4)), cr.placeholder((4, 3, 5))
        >>> cr.tensordot(a, b, ((1, 2), (1, 0))).shape
        (2, 5)
    """
    a, b = of_one_dtype(a, b)
    if not isinstance(axes, Iterable) or getattr(axes, "ndim", None) == 0:
        axes = integer("tensordot: axes", axes)
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise ShapeError(f"tensordot: {axes} axes are not there in {a.shape} and {b.shape}")
        pair: tuple[int | Sequence[int], ...] = (range(a.ndim - axes, a.ndim), range(axes))
    else:
        pair = tuple(axes)
        if len(pair) != 2:
            raise ShapeError(f"tensordot: {axes} is not a pair: the axes of a, the axes of b")
    of_a = [one_axis("tensordot", i, a.ndim) for i in as_list("tensordot", pair[0])]
    of_b = [one_axis("tensordot", i, b.ndim) for i in as_list("tensordot", pair[1])]
    if (
        [a.shape[i] for i in of_a] != [b.shape[i] for i in of_b]
        or len({*of_a}) != len(of_a)
        or len({*of_b}) != len(of_b)
    ):
        raise ShapeError(
            f"tensordot: axes {of_a} of shape {a.shape} do not fit axes {of_b} of {b.shape}: each "
            "must be named once, with the length of its partner"
        )
    rest_a = [i for i in range(a.ndim) if i not in of_a]
    rest_b = [i for i in range(b.ndim) if i not in of_b]
    shape = [a.shape[i] for i in rest_a] + [b.shape[i] for i in rest_b]
    rows = math.prod([a.shape[i] for i in rest_a])
    columns = math.prod([b.shape[i] for i in rest_b])
    length = math.prod([a.shape[i] for i in of_a])
    left = a.transpose(rest_a + of_a).reshape(rows, length)
    right = b.transpose(of_b + rest_b).reshape(length, columns)
    return matmul(left, right).reshape(shape)


@both_names(other="b")
@method
def kron(a: TensorLike, b: TensorLike) -> Tensor:
    """The Kronecker product: a block a_ij b for each element of `a`.

    Example:
        >>> import chainrule as cr
        >>> cr.kron(cr.tensor([1, 10]), cr.tensor([2, 3]))
        tensor([ 2,  3, 20, 30])
    """
    a, b = of_one_dtype(a, b)
    ndim = max(a.ndim, b.ndim)
    of_a, of_b = ((1,) * (ndim - x.ndim) + x.shape for x in (a, b))
    left = a.reshape([length for n in of_a for length in (n, 1)])
    right = b.reshape([length for n in of_b for length in (1, n)])
    return multiply(left, right).reshape([n * m for n, m in zip(of_a, of_b, strict=True)])


@both_names(other="b")
@method
def cross(a: TensorLike, b: TensorLike, axis: int = -1) -> Tensor:
    """The vector products a x b of the vectors of three numbers along an axis.

    Raises:
        ShapeError: if the axis of either is not of length 3.

    Example:
        >>> import chainrule as cr
        >>> cr.cross(cr.tensor([1.0, 0.0, 0.0]), cr.tensor([0.0, 1.0, 0.0]))
        tensor([0., 0., 1.])
    """
    a, b = of_one_dtype(a, b)
    if 3 not in (a.shape or (0,)) or 3 not in (b.shape or (0,)):
        raise ShapeError(f"cross takes vectors of 3 numbers, not shapes {a.shape} and {b.shape}")
    a, b = align("cross", a, b)
    axis = one_axis("cross", axis, a.ndim)
    if a.shape[axis] != 3:
        raise ShapeError(f"cross takes vectors of 3 numbers, not axis {axis} of shape {a.shape}")
    x, y = ([t[(slice(None),) * axis + (i,)] for i in range(3)] for t in (a, b))
    return stack(
        [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]], axis
    )
