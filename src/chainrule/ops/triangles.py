"""Making matrices with ones on a diagonal, and matrices with zeros above or below one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.dtypes import as_dtype
from chainrule.errors import ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.registered import method
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor, plain
from chainrule.ops.comparison import where
from chainrule.ops.creation import leaf

__all__ = ["eye", "identity", "tri", "tril", "triu"]


@both_names(M="m", N="n")
def eye(
    n: int,
    m: int | None = None,
    k: int = 0,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Ones on a diagonal, zeros elsewhere, shape (n, m); float32 by default.

    Args:
        n, m: rows and columns; as many columns as rows by default.
        k: the diagonal: 0 the main one, above it 1, 2, ..., below it -1, -2, ...
        dtype: of the numbers.
        requires_grad: whether `backward` fills `.grad`; floating dtypes only.
        device: "cpu", or None.

    Example:
        >>> import chainrule as cr
        >>> cr.eye(2)
        tensor([[1., 0.],
                [0., 1.]])
    """
    plain("eye", (n, m, k))
    rows, k = checks.integer("eye: n", n, 0), checks.integer("eye: k", k)
    columns = rows if m is None else checks.integer("eye: m", m, 0)
    value = np.eye(rows, columns, k, as_dtype(dtype))
    return leaf(value, requires_grad, device)


@both_names()
def identity(n: int, dtype: DTypeLike | None = None) -> Tensor:
    """The identity matrix of n rows, `eye(n)`.

    Example:
        >>> import chainrule as cr
        >>> cr.identity(2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    return eye(n, dtype=dtype)


@both_names(M="m", N="n")
def tri(n: int, m: int | None = None, k: int = 0, dtype: DTypeLike | None = None) -> Tensor:
    """Ones on a diagonal and below it, zeros above, shape (n, m); the arguments are those of `eye`.

    Example:
        >>> import chainrule as cr
        >>> cr.tri(2)
        tensor([[1., 0.],
                [1., 1.]])
    """
    plain("tri", (n, m, k))
    rows, k = checks.integer("tri: n", n, 0), checks.integer("tri: k", k)
    columns = rows if m is None else checks.integer("tri: m", m, 0)
    return Tensor(np.tri(rows, columns, k, as_dtype(dtype)))


@both_names(diagonal="k", m="x")
@method
def tril(x: TensorLike, k: int = 0) -> Tensor:
    """x with zeros above its diagonal k, over the last two axes.

    A vector is each row of a square matrix.

    Raises:
        ShapeError: if x is a number.

    Example:
        >>> import chainrule as cr
        >>> cr.tril(cr.ones(2, 2))
        tensor([[1., 0.],
                [1., 1.]])
    """
    x = as_tensor(x)
    below = _below("tril", x, k)
    return where(below, x, np.zeros((), x.dtype))


@both_names(diagonal="k", m="x")
@method
def triu(x: TensorLike, k: int = 0) -> Tensor:
    """x with zeros below its diagonal k, over the last two axes.

    A vector is each row of a square matrix.

    Raises:
        ShapeError: if x is a number.

    Example:
        >>> import chainrule as cr
        >>> cr.triu(cr.ones(2, 2), 1)
        tensor([[0., 1.],
                [0., 0.]])
    """
    x = as_tensor(x)
    below = _below("triu", x, k, -1)
    return where(below, np.zeros((), x.dtype), x)


def _below(name: str, x: Tensor, k: int, shift: int = 0) -> Array:
    """Whether an element of the last two axes lies on the diagonal k + shift or below it."""
    if not x.ndim:
        raise ShapeError(f"{name} takes a matrix, stacks of these or a vector, not a number")
    rows, columns = x.shape[-2:] if x.ndim > 1 else x.shape * 2
    diagonal = checks.integer(f"{name}: k", plain(name, k))
    return np.tri(rows, columns, diagonal + shift, dtype=bool)
