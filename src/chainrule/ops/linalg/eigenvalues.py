"""Eigenvalues and eigenvectors of symmetric matrices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chainrule.graph.keywords import both_names
from chainrule.graph.operation import Spec, operation
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.ops.comparison import where
from chainrule.ops.linalg.solving import (
    ONLY_NUMPY,
    check_square,
    check_symmetric,
    cubic,
    floating,
    matrix_spec,
)
from chainrule.ops.samples import examples

__all__ = ["Eigh", "eigh", "eigvalsh"]

_SYMMETRIC = [[4.0, 1.0, 0.5], [1.0, 2.0, -0.25], [0.5, -0.25, -1.0]]
_MATRICES = examples(((_SYMMETRIC,), {}), (([_SYMMETRIC] * 2,), {}), ((np.zeros((0, 2, 2)),), {}))


def _values_spec(x: Tensor) -> Spec:
    check_square("eigvalsh", x)
    return Spec(x.shape[:-1], x.dtype)


def _symmetric(x: Array) -> Array:
    return (x + x.swapaxes(-1, -2)) / 2


@operation(_values_spec, _MATRICES, flops=cubic(9), only_numpy=ONLY_NUMPY)
def eigenvalues(x: Array) -> Array:
    """The eigenvalues of the symmetric part of each matrix, in ascending order."""
    return np.linalg.eigvalsh(_symmetric(x))


@operation(matrix_spec("eigh"), _MATRICES, flops=cubic(9), only_numpy=ONLY_NUMPY)
def eigenvectors(x: Array) -> Array:
    """The eigenvectors of the symmetric part of each matrix, as columns of length 1."""
    return np.linalg.eigh(_symmetric(x)).eigenvectors


def _values_rule(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """V diag(g) V^T."""
    v = eigenvectors.apply(x)
    return (v * g.reshape((*g.shape[:-1], 1, g.shape[-1]))) @ v.mT


def _vectors_rule(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """The symmetric part of V ((V^T g) / D) V^T for D_ij = w_j - w_i, and 0 on its diagonal."""
    w, n = eigenvalues.apply(x), x.shape[-1]
    difference = w.reshape((*w.shape[:-1], 1, n)) - w.reshape((*w.shape, 1))
    is_pair = as_tensor(~np.eye(n, dtype=bool))
    inner = where(is_pair, (y.mT @ g) / where(is_pair, difference, 1.0), 0.0)
    full = y @ inner @ y.mT
    return (full + full.mT) * 0.5


eigenvalues.differentiable(_values_rule)
eigenvectors.differentiable(_vectors_rule)


class Eigh(NamedTuple):
    """What `eigh` returns.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.eigh(cr.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
        tensor([1., 2.])
    """

    eigenvalues: Tensor
    """Shape (..., n), in ascending order."""
    eigenvectors: Tensor
    """Shape (..., n, n); column i belongs to eigenvalue i."""


@both_names(A="x")
def eigh(x: TensorLike, UPLO: str = "L") -> Eigh:
    """The eigenvalues w and eigenvectors V of symmetric matrices: x = V diag(w) V^T.

    The symmetric part of `x` is taken, so its gradients are symmetric. The vectors have gradients
    where no two eigenvalues are equal. A vector's sign is arbitrary, and its gradient has
    the same. Natively it is refused.

    Args:
        x: shape (..., n, n); symmetric but for rounding.
        UPLO: "L" or "U", the triangle that NumPy reads; both have the same numbers here.

    Raises:
        ShapeError: if the matrices are not square.
        numpy.linalg.LinAlgError: if one is not symmetric; it is named.

    Example:
        >>> import chainrule as cr
        >>> w, v = cr.linalg.eigh(cr.tensor([[2.0, 1.0], [1.0, 2.0]]))
        >>> [round(float(number), 4) for number in w]
        [1.0, 3.0]
    """
    (x,) = floating(x)
    _check_triangle("eigh", UPLO)
    check_symmetric("eigh", x)
    return Eigh(eigenvalues.apply(x), eigenvectors.apply(x))


@both_names(A="x")
def eigvalsh(x: TensorLike, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, in ascending order. Natively it is refused.

    The symmetric part of `x` is taken. The gradient is V diag(g) V^T.

    Args:
        x: shape (..., n, n); symmetric but for rounding.
        UPLO: see `eigh`.

    Returns:
        Shape (..., n).

    Raises:
        ShapeError: if the matrices are not square.
        numpy.linalg.LinAlgError: if one is not symmetric; it is named.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.eigvalsh(cr.tensor([[2.0, 0.0], [0.0, 1.0]]))
        tensor([1., 2.])
    """
    (x,) = floating(x)
    _check_triangle("eigvalsh", UPLO)
    check_symmetric("eigvalsh", x)
    return eigenvalues.apply(x)


def _check_triangle(name: str, triangle: str) -> None:
    if triangle not in ("L", "U"):
        raise ValueError(f"{name}: UPLO is 'L' or 'U', got {triangle!r}")
