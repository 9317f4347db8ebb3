"""Products of several matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.ops.linalg.solving import check_square, floating, inv
from chainrule.ops.matmul import matmul

__all__ = ["matrix_power", "multi_dot"]


@both_names(A="x")
def matrix_power(x: TensorLike, n: int) -> Tensor:
    """Each matrix to the whole power `n`; of its inverse where `n` is negative.

    Args:
        x: shape (..., m, m).
        n: the exponent; 0 gives the identity.

    Raises:
        ShapeError: if the matrices are not square.
        numpy.linalg.LinAlgError: if `n` is negative and a matrix is singular.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.matrix_power(cr.tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
        tensor([[1., 3.],
                [0., 1.]])
    """
    (x,) = floating(x)
    check_square("matrix_power", x)
    n = checks.integer("matrix_power: n", n)
    power = inv(x) if n < 0 else x
    result = None
    for position, bit in enumerate(reversed(f"{abs(n):b}")):
        if position:
            power = power @ power
        if bit == "1":
            result = power if result is None else result @ power
    if result is None:
        return as_tensor(np.eye(x.shape[-1], dtype=x.dtype)).broadcast_to(x.shape)
    return result


@both_names()
def multi_dot(tensors: Sequence[TensorLike]) -> Tensor:
    """The product of several matrices, in the order that takes the fewest multiplications.

    Args:
        tensors: matrices whose shapes fit one another; the first and the last may be 1-d.

    Raises:
        ShapeError: if the shapes do not fit.

    Example:
        >>> import chainrule as cr
        >>> a, b = cr.tensor([[1.0, 2.0]]), cr.tensor([[1.0], [1.0]])
        >>> cr.linalg.multi_dot([a, b, a])
        tensor([[3., 6.]])
    """
    tensors = checks.several("multi_dot: tensors", tensors, "matrices")
    if len(tensors) < 2:
        raise ShapeError(f"multi_dot takes at least two matrices, got {len(tensors)}")
    factors = [as_tensor(t) for t in tensors]
    row, column = factors[0].ndim == 1, factors[-1].ndim == 1
    if row:
        factors[0] = factors[0].reshape(1, -1)
    if column:
        factors[-1] = factors[-1].reshape(-1, 1)
    if any(x.ndim != 2 for x in factors):
        shapes = ", ".join(str(x.shape) for x in factors)
        raise ShapeError(f"multi_dot takes matrices, not shapes {shapes}")
    count = len(factors)
    costs = {(i, i): 0 for i in range(count)}  # of the product of the factors i ... j
    cuts: dict[tuple[int, int], int] = {}  # k: it is the product of i ... k and k + 1 ... j
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            rows, columns = factors[i].shape[0], factors[j].shape[1]
            costs[i, j], cuts[i, j] = min(
                (costs[i, k] + costs[k + 1, j] + rows * factors[k].shape[1] * columns, k)
                for k in range(i, j)
            )

    def product(i: int, j: int) -> Tensor:
        if i == j:
            return factors[i]
        return matmul(product(i, cuts[i, j]), product(cuts[i, j] + 1, j))

    y = product(0, count - 1)
    return y.reshape(y.shape[int(row) : 2 - int(column)])
