"""Inverses, linear equations, determinants and the Cholesky factorisation."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.operation import Spec, operation
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor, plain
from chainrule.ops.declare import of_one_dtype
from chainrule.ops.matmul import matmul
from chainrule.ops.reduce import sum
from chainrule.ops.samples import examples
from chainrule.ops.triangles import eye, tril, triu

__all__ = ["Slogdet", "cholesky", "det", "inv", "pinv", "slogdet", "solve", "solve_triangular"]

ONLY_NUMPY = "the native core has no factorisations of matrices"
_WELL = [[4.0, 1.0, 0.5], [-1.0, 3.0, 0.25], [0.5, -0.5, 2.0]]
_STACK = [[[2.0, 1.0], [0.5, 3.0]], [[-1.0, 0.5], [2.0, 1.0]]]
_MATRICES = examples(
    ((_WELL,), {}), ((_STACK,), {}), ((np.zeros((0, 0)),), {}), ((np.zeros((0, 2, 2)),), {})
)


def floating(*operands: TensorLike) -> list[Tensor]:
    """The operands in the floating dtype in which they meet; float32 of integers."""
    tensors = of_one_dtype(*operands)
    return tensors if tensors[0].dtype.kind == "f" else [x.astype(np.float32) for x in tensors]


def check_square(name: str, x: Tensor) -> None:
    if x.dtype.kind != "f":
        raise DTypeError(f"{name} takes floating Tensors, not {x.dtype}; cast the Tensor first")
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{name} takes square matrices of shape (..., n, n), not {x.shape}")


def matrix_spec(name: str) -> Callable[..., Spec]:
    """The shape and dtype of a matrix made of a matrix."""

    def infer(x: Tensor) -> Spec:
        check_square(name, x)
        return Spec(x.shape, x.dtype)

    return infer


def _number_spec(name: str) -> Callable[..., Spec]:
    """The shape and dtype of a number made of a matrix."""

    def infer(x: Tensor) -> Spec:
        check_square(name, x)
        return Spec(x.shape[:-2], x.dtype)

    return infer


def cubic(factor: float) -> Callable[..., int]:
    """The FLOPs of a factorisation: factor * n^3 for each matrix."""

    def flops(y: Tensor, x: Tensor, *others: Tensor) -> int:
        return int(factor * x.size * x.shape[-1])

    return flops


def _of_each(name: str, fault: str, function: Callable[..., Array], *matrices: Array) -> Array:
    """The function of a stack of matrices; the error says which of them it can't take."""
    try:
        return function(*matrices)
    except np.linalg.LinAlgError:
        for place in np.ndindex(matrices[0].shape[:-2]):
            try:
                function(*(stack[place] for stack in matrices))
            except np.linalg.LinAlgError:
                where = f" {place} of the stack" if place else ""
                raise np.linalg.LinAlgError(f"{name}: matrix{where} {fault}") from None
        raise


@operation(matrix_spec("inv"), _MATRICES, flops=cubic(2), only_numpy=ONLY_NUMPY)
def _inv(x: Array) -> Array:
    """The inverse of each matrix."""
    return _of_each("inv", "is singular", np.linalg.inv, x)


_inv.differentiable(lambda g, y, x: -(y.mT @ g @ y.mT))


@both_names(A="x")
def inv(x: TensorLike) -> Tensor:
    """The inverse of each matrix: x inv(x) = 1. Natively it is refused.

    Its gradient is -y^T g y^T for y = inv(x).

    Args:
        x: shape (..., n, n).

    Raises:
        ShapeError: if the matrices are not square.
        numpy.linalg.LinAlgError: if one is singular; it is named.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.inv(cr.tensor([[2.0, 0.0], [0.0, 4.0]]))
        tensor([[0.5 , 0.  ],
                [0.  , 0.25]])
    """
    (x,) = floating(x)
    check_square("inv", x)
    return _inv.apply(x)


def _pinv_spec(x: Tensor, rcond: float) -> Spec:
    if x.dtype.kind != "f" or x.ndim < 2:
        raise ShapeError(f"pinv takes matrices of floats, not shape {x.shape} of {x.dtype}")
    return Spec((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)


@operation(
    _pinv_spec,
    examples(
        ((_WELL,), {"rcond": 1e-15}),
        (((4, 2),), {"rcond": 1e-15}),
        (((2, 2, 3),), {"rcond": 1e-10}),
        ((np.zeros((0, 2)),), {"rcond": 1e-15}),
    ),
    flops=lambda y, x, rcond: 20 * x.size * x.shape[-1],
    only_numpy=ONLY_NUMPY,
)
def _pinv(x: Array, rcond: float) -> Array:
    """The pseudo-inverse of each matrix."""
    return np.linalg.pinv(x, rcond)


def _pinv_rule(g: Tensor, y: Tensor, x: Tensor, rcond: float) -> Tensor:
    """Golub and Pereyra (1973): of matrices whose rank stays the same."""
    rows, columns = x.shape[-2:]
    beside_x = as_tensor(np.eye(rows, dtype=x.dtype)) - x @ y
    beside_y = as_tensor(np.eye(columns, dtype=x.dtype)) - y @ x
    return beside_x @ g.mT @ y @ y.mT + y.mT @ y @ g.mT @ beside_y - y.mT @ g @ y.mT


_pinv.differentiable(_pinv_rule)


@both_names(rtol="rcond")
def pinv(x: TensorLike, rcond: float | None = None) -> Tensor:
    """The pseudo-inverse of each matrix, by Moore and Penrose. Natively it is refused.

    Its gradient holds where small changes leave the rank as it is (Golub and Pereyra, 1973).

    Args:
        x: shape (..., m, n).
        rcond: singular values of at most this times the largest one count as 0; None: the larger
            of m and n times the dtype's precision.

    Returns:
        Shape (..., n, m).

    Raises:
        ShapeError: if `x` holds no matrices.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.pinv(cr.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))
        tensor([[0.5, 0. , 0. ],
                [0. , 0. , 0. ]])
    """
    (x,) = floating(x)
    if rcond is None:
        rcond = builtins.max(x.shape[-2:], default=1) * float(np.finfo(x.dtype).eps)
    _pinv_spec(x, plain("rcond", rcond))
    return _pinv.apply(x, rcond=rcond)


def _solve_spec(a: Tensor, b: Tensor) -> Spec:
    check_square("solve", a)
    if b.ndim != a.ndim or b.shape[:-1] != a.shape[:-1] or b.dtype != a.dtype:
        raise ShapeError(f"solve: right sides of shape {b.shape} do not fit matrices {a.shape}")
    return Spec(b.shape, b.dtype)


@operation(
    _solve_spec,
    examples(((_WELL, (3, 2)), {}), ((_STACK, (2, 2, 3)), {}), ((np.zeros((0, 0)), (0, 2)), {})),
    flops=lambda y, a, b: int(2 / 3 * a.size * a.shape[-1]) + 2 * a.shape[-1] * b.size,
    only_numpy=ONLY_NUMPY,
)
def _solve(a: Array, b: Array) -> Array:
    """The solutions y of a y = b."""
    return _of_each("solve", "is singular", np.linalg.solve, a, b)


_solve.differentiable(
    lambda g, y, a, b: -matmul(_solve.apply(a.mT, g), y.mT),
    lambda g, y, a, b: _solve.apply(a.mT, g),
)


@both_names(A="a", B="b")
def solve(a: TensorLike, b: TensorLike) -> Tensor:
    """The solutions y of the linear equations a y = b. Natively it is refused.

    The gradients are d_b = solve(a^T, g) and d_a = -d_b y^T.

    Args:
        a: shape (..., n, n).
        b: shape (n,), or (..., n, k) for k right sides; stacks are broadcast.

    Returns:
        Of the shape of `b`, broadcast.

    Raises:
        ShapeError: if the shapes do not fit.
        numpy.linalg.LinAlgError: if a matrix is singular; it is named.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.solve(cr.tensor([[2.0, 0.0], [0.0, 4.0]]), cr.tensor([2.0, 2.0]))
        tensor([1. , 0.5])
    """
    a, b = floating(a, b)
    check_square("solve", a)
    is_vector = b.ndim == 1
    if is_vector:
        b = b.reshape(-1, 1)
    if b.ndim < 2 or b.shape[-2] != a.shape[-1]:
        raise ShapeError(f"solve: right sides of shape {b.shape} do not fit matrices {a.shape}")
    try:
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ShapeError(
            f"solve: the stacks of shapes {a.shape} and {b.shape} do not broadcast together"
        ) from None
    y = _solve.apply(
        a.broadcast_to((*stack, *a.shape[-2:])), b.broadcast_to((*stack, *b.shape[-2:]))
    )
    return y.reshape(y.shape[:-1]) if is_vector else y


@both_names(A="a", B="b")
def solve_triangular(
    a: TensorLike, b: TensorLike, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """The solutions y of a y = b for triangular matrices, as `solve`, which it calls.

    Args:
        a: shape (..., n, n); what lies on the other side of the diagonal is not read.
        b: shape (..., n, k); or (..., k, n), if not `left`.
        upper: whether the upper triangle is read, or the lower one.
        left: whether a y = b, or y a = b.
        unitriangular: whether the diagonal is taken to be ones, and not read.

    Raises:
        ShapeError, numpy.linalg.LinAlgError: as `solve`.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.solve_triangular([[2.0, 9.0], [1.0, 4.0]], [[2.0], [5.0]], upper=False)
        tensor([[1.],
                [1.]])
    """
    for name, flag in {"upper": upper, "left": left, "unitriangular": unitriangular}.items():
        plain(name, flag)
    a, b = floating(a, b)
    check_square("solve_triangular", a)
    if b.ndim < 2:
        raise ShapeError(f"solve_triangular takes right sides (..., n, k), not {b.shape}")
    if unitriangular:
        ones = eye(a.shape[-1], dtype=a.dtype)
        a = (triu(a, 1) if upper else tril(a, -1)) + ones
    else:
        a = triu(a) if upper else tril(a)
    return solve(a, b) if left else solve(a.mT, b.mT).mT


@operation(_number_spec("det"), _MATRICES, flops=cubic(2 / 3), only_numpy=ONLY_NUMPY)
def _det(x: Array) -> Array:
    """The determinant of each matrix."""
    return np.asarray(np.linalg.det(x), x.dtype)


@operation(matrix_spec("cofactors"), _MATRICES, flops=cubic(12), only_numpy=ONLY_NUMPY)
def cofactors(x: Array) -> Array:
    """The matrix of cofactors, det(x) x^-T: the gradient of the determinant, of any matrix."""
    u, s, vt = np.linalg.svd(x)
    sign = np.linalg.det(u) * np.linalg.det(vt)
    n = x.shape[-1]
    others = np.broadcast_to(s[..., None, :], (*s.shape, n))
    products = np.prod(np.where(np.eye(n, dtype=bool), 1, others), axis=-1)
    return np.asarray(sign[..., None, None] * (u * products[..., None, :]) @ vt, x.dtype)


def _cofactors_rule(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """<g, x^-T> y - y g^T x^-T, of matrices that are not singular."""
    inverse = inv(x).mT
    return sum(g * inverse, (-2, -1), True) * y - y @ g.mT @ inverse


cofactors.differentiable(_cofactors_rule)
_det.differentiable(lambda g, y, x: _spread(g) * cofactors.apply(x))


def _spread(g: Tensor) -> Tensor:
    """A number for each matrix as a matrix of one element."""
    return g.reshape((*g.shape, 1, 1))


@both_names(A="x")
def det(x: TensorLike) -> Tensor:
    """The determinant of each matrix. Natively it is refused.

    Its gradient is the matrix of cofactors, det(x) x^-T where `x` is not singular; the second
    derivative exists of such matrices only.

    Args:
        x: shape (..., n, n).

    Raises:
        ShapeError: if the matrices are not square.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.det(cr.tensor([[2.0, 0.0], [1.0, 4.0]]))
        tensor(8.)
    """
    (x,) = floating(x)
    check_square("det", x)
    return _det.apply(x)


@operation(_number_spec("slogdet"), _MATRICES, flops=cubic(2 / 3), only_numpy=ONLY_NUMPY)
def sign_of_det(x: Array) -> Array:
    """The sign of the determinant: -1, 0 or 1."""
    return np.asarray(np.linalg.slogdet(x).sign, x.dtype)


@operation(_number_spec("slogdet"), _MATRICES, flops=cubic(2 / 3), only_numpy=ONLY_NUMPY)
def log_abs_det(x: Array) -> Array:
    """log |det(x)|, without overflow."""
    return np.asarray(np.linalg.slogdet(x).logabsdet, x.dtype)


log_abs_det.differentiable(lambda g, y, x: _spread(g) * inv(x).mT)


class Slogdet(NamedTuple):
    """What `slogdet` returns: det(x) = sign * exp(logabsdet).

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.slogdet(cr.tensor([[-1.0]])).sign
        tensor(-1.)
    """

    sign: Tensor
    """-1, 0 or 1."""
    logabsdet: Tensor
    """log |det(x)|; -inf where a matrix is singular."""


@both_names(A="x")
def slogdet(x: TensorLike) -> Slogdet:
    """The sign of the determinant and the logarithm of its size. Natively it is refused.

    The gradient of the logarithm is x^-T, which a singular matrix does not have.

    Args:
        x: shape (..., n, n).

    Raises:
        ShapeError: if the matrices are not square.

    Example:
        >>> import chainrule as cr
        >>> sign, logabsdet = cr.linalg.slogdet(cr.tensor([[0.0, 1.0], [1.0, 0.0]]))
        >>> sign.item(), logabsdet.item()
        (-1.0, 0.0)
    """
    (x,) = floating(x)
    check_square("slogdet", x)
    return Slogdet(sign_of_det.apply(x), log_abs_det.apply(x))


_POSITIVE = [[4.0, 1.0, 0.5], [1.0, 3.0, -0.25], [0.5, -0.25, 2.0]]


@operation(
    matrix_spec("cholesky"),
    examples(((_POSITIVE,), {}), (([_POSITIVE] * 2,), {}), ((np.zeros((0, 0)),), {})),
    flops=cubic(1 / 3),
    only_numpy=ONLY_NUMPY,
)
def _cholesky(x: Array) -> Array:
    """The lower triangle L with L L^T = x, of which the lower triangle is read."""
    return _of_each("cholesky", "is not positive definite", np.linalg.cholesky, x)


def _cholesky_rule(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """The lower triangle of L^-T (P + P^T) L^-1, for P the lower triangle of L^T g, halved on its
    diagonal: what the elements that are read give, each for both of its places."""
    n = y.shape[-1]
    lower = as_tensor((np.tri(n) - np.eye(n) / 2).astype(y.dtype))
    inner = (y.mT @ g) * lower
    inverse = inv(y)
    return (inverse.mT @ (inner + inner.mT) @ inverse) * lower


_cholesky.differentiable(_cholesky_rule)

_ASYMMETRY = 1e-3  # the largest, relative to the largest element, that rounding explains


def check_symmetric(name: str, x: Tensor) -> None:
    """Refuse square matrices that are not symmetric; those without a value pass."""
    check_square(name, x)
    value = x.node().value
    if value is None:
        return
    with np.errstate(invalid="ignore"):  # of infinities
        difference = np.abs(value - value.swapaxes(-1, -2)).max((-2, -1), initial=0)
    size = np.abs(value).max((-2, -1), initial=0)
    for place in np.argwhere(difference > _ASYMMETRY * size)[:1]:
        where = f" {tuple(place.tolist())} of the stack" if place.size else ""
        raise np.linalg.LinAlgError(
            f"{name}: matrix{where} is not symmetric; of a lower triangle L make "
            "L + L.mT - cr.diag(cr.diagonal(L))"
        )


@both_names(A="x")
def cholesky(x: TensorLike, *, upper: bool = False) -> Tensor:
    """The triangle L with L L^T = x of each symmetric, positive definite matrix.

    The symmetric part of `x` is factored, so its gradient is symmetric. Natively it is refused.

    Args:
        x: shape (..., n, n); symmetric but for rounding.
        upper: return L^T, an upper triangle.

    Raises:
        ShapeError: if the matrices are not square.
        numpy.linalg.LinAlgError: if one is not symmetric, or not positive definite; it is named.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.cholesky(cr.tensor([[4.0, 2.0], [2.0, 2.0]]))
        tensor([[2., 0.],
                [1., 1.]])
    """
    (x,) = floating(x)
    check_symmetric("cholesky", x)
    y = _cholesky.apply((x + x.mT) * 0.5)
    return y.mT if upper else y
