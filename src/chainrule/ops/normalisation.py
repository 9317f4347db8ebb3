"""Rows brought to mean 0 and variance 1, or to a mean square of 1, and the gradient of both."""

from __future__ import annotations

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.operation import Spec, operation
from chainrule.graph.tensor import Array, Tensor
from chainrule.ops.accumulate import add_up
from chainrule.ops.samples import examples
from chainrule.ops.unary import sqrt

__all__: list[str] = []  # public as functions of nn.functional

_OVER = ({"eps": 1e-5, "centred": True}, {"eps": 0.1, "centred": False})
_SHAPES = ((3, 5), (1, 2), (0, 3), (2, 37))


def _check(name: str, x: Tensor) -> None:
    if x.ndim != 2:
        raise ShapeError(f"{name} takes a matrix, not shape {x.shape}")
    if x.dtype.kind != "f":
        raise DTypeError(f"{name} takes floating Tensors, not {x.dtype}; cast the Tensor first")


def _spec(x: Tensor, eps: float, centred: bool) -> Spec:
    _check("normalize_rows", x)
    return Spec(x.shape, x.dtype)


def _mean(x: Array) -> Array:
    """The mean of each row, as a column."""
    return add_up(x, (1,), True) / x.dtype.type(max(x.shape[1], 1))


def _shifted_and_scale(x: Array, eps: float, centred: bool) -> tuple[Array, Array]:
    """x less the mean of its row, where `centred`; and what the row is multiplied by."""
    if centred:  # the mean of a row of one number is that number, without a rounding
        first = x[:, :1]
        x = x - (first + _mean(x - first))
    return x, 1 / np.sqrt(_mean(x * x) + x.dtype.type(eps))


@operation(
    _spec,
    examples(*[((shape,), over) for over in _OVER for shape in _SHAPES]),
    flops=lambda y, x, eps, centred: (7 if centred else 4) * x.size,
)
def _normalize_rows(x: Array, eps: float, centred: bool) -> Array:
    """(x - m) / sqrt(mean of (x - m)^2 + eps) of each row; m is its mean, or 0 if not `centred`."""
    x, scale = _shifted_and_scale(x, eps, centred)
    return x * scale


def _grad_spec(g: Tensor, x: Tensor, eps: float, centred: bool) -> Spec:
    _check("normalize_rows_grad", x)
    if g.shape != x.shape or g.dtype != x.dtype:
        raise ShapeError(
            f"normalize_rows_grad: g is {g.dtype} {g.shape}, x is {x.dtype} {x.shape}; both must "
            "be alike"
        )
    return Spec(x.shape, x.dtype)


@operation(
    _grad_spec,
    examples(*[((shape, shape), over) for over in _OVER for shape in _SHAPES]),
    flops=lambda y, g, x, eps, centred: (13 if centred else 9) * x.size,
)
def _normalize_rows_grad(g: Array, x: Array, eps: float, centred: bool) -> Array:
    """r (g - mean(g) - y mean(g y)) of each row, where y is normalised and r what x was multiplied
    by; without mean(g) if not `centred`."""
    x, scale = _shifted_and_scale(x, eps, centred)
    y = x * scale
    g_mean = _mean(g) if centred else g.dtype.type(0)
    return (g - g_mean - y * _mean(g * y)) * scale


def _row_means(x: Tensor) -> Tensor:
    return x.mean(axis=1, keepdims=True)


def _grad_by_x(h: Tensor, d: Tensor, g: Tensor, x: Tensor, eps: float, centred: bool) -> Tensor:
    """d = J g with the symmetric matrix J = r (I - 1 1^T / n - y y^T / n) of a row, J = dy/dx and
    dr/dx = -r^2 y / n. So of h^T J g: -(h^T d) r y / n by r, and by y, whose gradient J sends on,
    -r (mean(g y) h + mean(h y) g)."""
    y = _normalize_rows.apply(x, eps=eps, centred=centred)
    shifted = x - _row_means(x) if centred else x
    r = 1.0 / sqrt(_row_means(shifted * shifted) + eps)
    by_y = -r * (_row_means(g * y) * h + _row_means(h * y) * g)
    through_y = _normalize_rows_grad.apply(by_y, x, eps=eps, centred=centred)
    return through_y - _row_means(h * d) * r * y


_normalize_rows.differentiable(
    lambda g, y, x, eps, centred: _normalize_rows_grad.apply(g, x, eps=eps, centred=centred)
)
_normalize_rows_grad.differentiable(
    lambda h, d, g, x, eps, centred: _normalize_rows_grad.apply(h, x, eps=eps, centred=centred),
    _grad_by_x,
)


def normalize_rows(x: Tensor, eps: float, *, centred: bool) -> Tensor:
    """The rows of a matrix with mean 0 and variance 1; with a mean square of 1 if not `centred`."""
    return _normalize_rows.apply(x, eps=eps, centred=centred)
