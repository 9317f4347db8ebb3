"""What the numbers of a floating Tensor are: NaN, infinite, near one another."""

from __future__ import annotations

import numpy as np

from chainrule.graph.keywords import both_names
from chainrule.graph.registered import method
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.ops.arithmetic import copysign
from chainrule.ops.comparison import equal, maximum, minimum, not_equal, where
from chainrule.ops.declare import align, align_floats

__all__ = [
    "allclose",
    "array_equal",
    "fabs",
    "fmax",
    "fmin",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "nan_to_num",
    "signbit",
]


@both_names()
@method
def isnan(x: TensorLike) -> Tensor:
    """Whether x is NaN, which no integer is.

    Example:
        >>> import chainrule as cr
        >>> cr.isnan(cr.tensor([1.0, float("nan")]))
        tensor([False,  True])
    """
    x = as_tensor(x)
    return not_equal(x, x)


@both_names()
@method
def isinf(x: TensorLike) -> Tensor:
    """Whether x is infinite, of either sign.

    Example:
        >>> import chainrule as cr
        >>> cr.isinf(cr.tensor([1.0, float("-inf"), float("nan")]))
        tensor([False,  True, False])
    """
    x = as_tensor(x)
    return equal(abs(x), np.inf) if x.dtype.kind == "f" else not_equal(x, x)


@both_names()
@method
def isfinite(x: TensorLike) -> Tensor:
    """Whether x is neither NaN nor infinite.

    Example:
        >>> import chainrule as cr
        >>> cr.isfinite(cr.tensor([1.0, float("inf"), float("nan")]))
        tensor([ True, False, False])
    """
    x = as_tensor(x)
    return abs(x) < np.inf if x.dtype.kind == "f" else equal(x, x)


@both_names()
@method
def fabs(x: TensorLike) -> Tensor:
    """|x| as a floating number; of integers it is float32.

    Example:
        >>> import chainrule as cr
        >>> cr.fabs(cr.tensor([-2, 1]))
        tensor([2., 1.])
    """
    (x,) = align_floats("fabs", x)
    return abs(x)


@both_names()
@method
def signbit(x: TensorLike) -> Tensor:
    """Whether x is negative, which -0.0 is too.

    Example:
        >>> import chainrule as cr
        >>> cr.signbit(cr.tensor([1.0, -0.0, -1.0]))
        tensor([False,  True,  True])
    """
    return copysign(1.0, x) < 0.0


@both_names()
@method
def isclose(
    a: TensorLike,
    b: TensorLike,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> Tensor:
    """Whether |a - b| <= atol + rtol |b|, element by element; infinities must be equal.

    Args:
        a, b: numbers, broadcast; integers are compared as float64.
        rtol, atol: the relative and the absolute tolerance.
        equal_nan: whether NaN is close to NaN.

    Example:
        >>> import chainrule as cr
        >>> cr.isclose(cr.tensor([1.0, 2.0]), cr.tensor([1.000001, 2.1]))
        tensor([ True, False])
    """
    x, y = _comparable(a), _comparable(b)
    x, y = align_floats("isclose", x, y)
    finite = isfinite(x) & isfinite(y)
    near = abs(where(finite, x, 0.0) - where(finite, y, 0.0)) <= (
        atol + rtol * abs(where(finite, y, 0.0))
    )
    close = where(finite, near, equal(x, y))
    return close | (isnan(x) & isnan(y)) if equal_nan else close


def _comparable(x: TensorLike) -> TensorLike:
    """x; integers as float64, in which they are exact up to 2^53."""
    tensor = as_tensor(x)
    return x if tensor.dtype.kind == "f" else tensor.astype(np.float64)


@both_names()
@method
def allclose(
    a: TensorLike,
    b: TensorLike,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> Tensor:
    """Whether `isclose` holds of all elements, as a 0-d Tensor.

    Example:
        >>> import chainrule as cr
        >>> bool(cr.allclose(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 2.000001])))
        True
    """
    return _everywhere(isclose(a, b, rtol, atol, equal_nan))


@both_names()
@method
def array_equal(a: TensorLike, b: TensorLike, equal_nan: bool = False) -> Tensor:
    """Whether a and b have the same shape and the same elements, as a 0-d Tensor.

    Args:
        a, b: numbers or booleans.
        equal_nan: whether NaN equals NaN.

    Example:
        >>> import chainrule as cr
        >>> bool(cr.array_equal(cr.tensor([1, 2]), cr.tensor([[1, 2]])))
        False
    """
    x, y = as_tensor(a), as_tensor(b)
    if x.shape != y.shape:
        return as_tensor(np.array(False))
    same = equal(a, b)
    return _everywhere(same | (isnan(x) & isnan(y)) if equal_nan else same)


def _everywhere(truth: Tensor) -> Tensor:
    """Whether all elements hold."""
    return equal(truth.sum(), truth.size)


@both_names()
@method
def fmax(a: TensorLike, b: TensorLike) -> Tensor:
    """The larger of a and b; the other one where one is NaN. Of equal ones a takes the gradient.

    Example:
        >>> import chainrule as cr
        >>> cr.fmax(cr.tensor([1.0, float("nan")]), cr.tensor([0.0, 2.0]))
        tensor([1., 2.])
    """
    a, b = align("fmax", a, b)
    return where(isnan(a), b, where(isnan(b), a, maximum(a, b)))


@both_names()
@method
def fmin(a: TensorLike, b: TensorLike) -> Tensor:
    """The smaller of a and b; the other one where one is NaN. Of equal ones a takes the gradient.

    Example:
        >>> import chainrule as cr
        >>> cr.fmin(cr.tensor([1.0, float("nan")]), cr.tensor([0.0, 2.0]))
        tensor([0., 2.])
    """
    a, b = align("fmin", a, b)
    return where(isnan(a), b, where(isnan(b), a, minimum(a, b)))


@both_names()
@method
def nan_to_num(
    x: TensorLike,
    nan: TensorLike = 0.0,
    posinf: TensorLike | None = None,
    neginf: TensorLike | None = None,
) -> Tensor:
    """x with other numbers in the place of NaN and the infinities. The gradient there is 0.

    Args:
        x: numbers; integers stay what they are.
        nan: in the place of NaN.
        posinf, neginf: in the place of the infinities; None for the largest and the smallest
            finite number of the dtype.

    Example:
        >>> import chainrule as cr
        >>> cr.nan_to_num(cr.tensor([1.0, float("nan"), float("inf")]), posinf=9.0)
        tensor([1., 0., 9.])
    """
    x = as_tensor(x)
    if x.dtype.kind != "f":
        return x
    value = x.node().value
    are_numbers = all(n is None or isinstance(n, (int, float)) for n in (nan, posinf, neginf))
    if are_numbers and value is not None and np.isfinite(value).all():
        return x * 1.0 if x.requires_grad else as_tensor(value)
    largest = float(np.finfo(x.dtype).max)
    x = where(isnan(x), nan, x)
    x = where(equal(x, np.inf), largest if posinf is None else posinf, x)
    return where(equal(x, -np.inf), -largest if neginf is None else neginf, x)
