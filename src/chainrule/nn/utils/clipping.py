"""Clipping of gradients, by their norm and by value: eagerly, and as a part of a captured step.

Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", ICML
2013; *Deep Learning*, section 10.11.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from chainrule import checks
from chainrule.errors import NonFiniteError, SymbolicError
from chainrule.graph.context import no_grad
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn.utils.vectors import several
from chainrule.ops import maximum, minimum, where
from chainrule.ops.norms import total_norm as norm_of

Parameters = Tensor | Iterable[Tensor]

_SMALL = 2.0**-64
"""Below it a factor is applied in two steps."""


def clipped_by_norm(grads: Sequence[Tensor], max_norm: float, norm: TensorLike) -> list[Tensor]:
    """The gradients, scaled down where their norm is above `max_norm`.

    As in PyTorch 1e-6 is added to the norm. Where it is not finite the gradients become NaN:
    scaled by 0 they would look as if there were nothing to learn.
    """
    given = as_tensor(norm).astype(np.float64)
    factor = minimum(max_norm / (given + 1e-6), 1.0)
    factor = where(given < math.inf, factor, math.nan)
    # In two steps: the factor alone may be below the normal numbers of float32, and count as 0.
    first = where(factor < _SMALL, _SMALL, 1.0)
    scaled = [*grads]
    for step in (first, factor / first):
        if step.value is None or step.value != 1:
            by_dtype = {dtype: step.astype(dtype) for dtype in {grad.dtype for grad in grads}}
            scaled = [grad * by_dtype[grad.dtype] for grad in scaled]
    return scaled


def clipped_by_value(grads: Sequence[Tensor], limit: float) -> list[Tensor]:
    """The gradients with each element cut to [-limit, limit]."""
    return [minimum(maximum(grad, -limit), limit) for grad in grads]


def get_total_norm(
    tensors: Parameters,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of the Tensors as one vector: a scalar of their dtype, or of
    float32 where that is narrower.

    It is summed up in float64, so that the squares of large float32 numbers do not overflow.

    Args:
        tensors: a Tensor or several.
        norm_type: p of (sum |x|^p)^(1/p), positive, or infinity.
        error_if_nonfinite: whether to raise where the norm is NaN or infinite.
        foreach: means nothing; PyTorch takes it.

    Raises:
        NonFiniteError: if the norm is not finite, and `error_if_nonfinite`.
        SymbolicError: for `error_if_nonfinite` in a step that is captured.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.utils.get_total_norm([cr.tensor([3.0]), cr.tensor([[4.0]])]).item()
        5.0
    """
    found = several(tensors)
    norm = _in_dtype_of(found, _wide_norm(found, norm_type))
    if error_if_nonfinite:
        _check_finite(norm, norm_type)
    return norm


def _wide_norm(tensors: Sequence[Tensor], norm_type: float) -> Tensor:
    """As `get_total_norm`, in float64."""
    order = float(norm_type)
    if not order > 0:
        raise ValueError(f"norm_type is positive, got {norm_type}")
    with no_grad():
        return norm_of(tensors, order)


def _check_finite(norm: Tensor, norm_type: float) -> None:
    if norm.is_symbolic:
        raise SymbolicError(
            "error_if_nonfinite asks for the value of the norm, which is not known while a step is "
            "captured; leave it out: the gradients then become NaN"
        )
    if not math.isfinite(norm.item()):
        raise NonFiniteError(
            f"the norm of order {float(norm_type):g} of the gradients is {norm.item()}, so it "
            "can't scale them; lower the learning rate, or look for the operation that made it"
        )


def _in_dtype_of(tensors: Sequence[Tensor], norm: Tensor) -> Tensor:
    """A norm in the dtype of the Tensors; infinite where they hold no such number."""
    with no_grad(), np.errstate(over="ignore"):
        return norm.astype(np.result_type(np.float32, *[x.dtype for x in tensors]))


def clip_grad_norm_(
    parameters: Parameters,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of the parameters down to the norm `max_norm`, as one vector.

    Call it between `backward` and the optimiser's `step`. A norm that is not finite makes all
    gradients NaN.

    Args:
        parameters: a Parameter or several; those whose `grad` is None are left out.
        max_norm: the largest norm.
        norm_type, error_if_nonfinite, foreach: as in `get_total_norm`.

    Returns:
        The norm before, in the gradients' dtype.

    Raises:
        NonFiniteError, SymbolicError: as `get_total_norm`; no gradient has changed then.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> w = cr.Parameter([3.0, 4.0])
        >>> (0.5 * w * w).sum().backward()
        >>> nn.utils.clip_grad_norm_([w], max_norm=1.0).item()
        5.0
        >>> w.grad.numpy().round(3).tolist()
        [0.6000000238418579, 0.800000011920929]
    """
    found = _with_gradients(parameters)
    grads: list[Tensor] = [p.grad for p in found]  # type: ignore[misc]
    norm = _wide_norm(grads, norm_type)
    if error_if_nonfinite:
        _check_finite(norm, norm_type)
    clip_grads_with_norm_(found, max_norm, norm)
    return _in_dtype_of(grads, norm)


def clip_grads_with_norm_(
    parameters: Parameters, max_norm: float, total_norm: TensorLike, foreach: bool | None = None
) -> None:
    """Scale the gradients of the parameters by max_norm / (total_norm + 1e-6), where that is
    below 1.

    Args:
        parameters: a Parameter or several; those whose `grad` is None are left out.
        max_norm: the largest norm.
        total_norm: their norm, as of `get_total_norm`.
        foreach: means nothing; PyTorch takes it.
    """
    limit = float(checks.not_negative("max_norm", max_norm))
    found = _with_gradients(parameters)
    with no_grad():
        grads = clipped_by_norm([p.grad for p in found], limit, total_norm)  # type: ignore[misc]
    for parameter, grad in zip(found, grads, strict=True):
        parameter.grad = grad


def clip_grad_value_(
    parameters: Parameters, clip_value: float, foreach: bool | None = None
) -> None:
    """Cut each element of the gradients of the parameters to [-clip_value, clip_value].

    Args:
        parameters: a Parameter or several; those whose `grad` is None are left out.
        clip_value: the bound, not negative.
        foreach: means nothing; PyTorch takes it.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> w = cr.Parameter([3.0, -0.5])
        >>> (0.5 * w * w).sum().backward()
        >>> nn.utils.clip_grad_value_(w, 1.0)
        >>> w.grad.tolist()
        [1.0, -0.5]
    """
    limit = float(checks.not_negative("clip_value", clip_value))
    found = _with_gradients(parameters)
    with no_grad():
        grads = clipped_by_value([p.grad for p in found], limit)  # type: ignore[misc]
    for parameter, grad in zip(found, grads, strict=True):
        parameter.grad = grad


def _with_gradients(parameters: Parameters) -> list[Tensor]:
    return [parameter for parameter in several(parameters) if parameter.grad is not None]
