"""Diagonals of matrices, over the last two axes, as the array API standard has them."""

from __future__ import annotations

from numpy.typing import DTypeLike

from chainrule.graph.keywords import both_names
from chainrule.graph.tensor import Tensor, TensorLike
from chainrule.ops import selection


@both_names()
def diagonal(x: TensorLike, offset: int = 0) -> Tensor:
    """The elements on a diagonal of each matrix; `chainrule.diagonal` takes that of any two axes.

    Args:
        x: shape (..., n, m).
        offset: which diagonal: 0 the main one, 1, 2, ... above it, -1, -2, ... below it.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.diagonal(cr.ones(5, 2, 3)).shape
        (5, 2)
    """
    return selection.diagonal(x, offset, -2, -1)


@both_names()
def trace(x: TensorLike, offset: int = 0, *, dtype: DTypeLike | None = None) -> Tensor:
    """The sum of the elements on a diagonal of each matrix.

    Args:
        x: shape (..., n, m).
        offset: as of `diagonal`.
        dtype: to which the elements are cast first.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.trace(cr.ones(5, 2, 3)).tolist()
        [2.0, 2.0, 2.0, 2.0, 2.0]
    """
    return selection.trace(x, offset, -2, -1, dtype)
