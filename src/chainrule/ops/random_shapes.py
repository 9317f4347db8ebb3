"""Random numbers of a shape that may be given number by number, or of another Tensor's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import DTypeLike

from chainrule.graph.keywords import both_names
from chainrule.graph.placement import check_device
from chainrule.graph.registered import method
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.ops.creation import as_shape
from chainrule.ops.random import normal, uniform

__all__ = ["rand", "rand_like", "randn", "randn_like"]


@both_names(size="shape")
def rand(
    *shape: int | Sequence[int],
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Numbers drawn uniformly from [0, 1) by the current generator; float32 by default.

    Args:
        shape: as `rand(2, 3)` or `rand((2, 3))`.
        dtype: float32 or float64.
        requires_grad: whether `backward` fills `.grad`; the numbers are then a leaf.
        device: "cpu", or None.

    Example:
        >>> import chainrule as cr
        >>> cr.rand(2, 3).shape
        (2, 3)
    """
    check_device(device)
    return uniform(size=as_shape("rand", shape), dtype=dtype, requires_grad=requires_grad)


@both_names(size="shape")
def randn(
    *shape: int | Sequence[int],
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Numbers of mean 0 and variance 1 from the normal distribution; float32 by default.

    Args:
        shape: as `randn(2, 3)` or `randn((2, 3))`.
        dtype: float32 or float64.
        requires_grad: whether `backward` fills `.grad`; the numbers are then a leaf.
        device: "cpu", or None.

    Example:
        >>> import chainrule as cr
        >>> cr.randn(2, 3).shape
        (2, 3)
    """
    size = as_shape("randn", shape)
    return normal(size=size, dtype=dtype, requires_grad=requires_grad, device=device)


@both_names()
@method
def rand_like(
    x: TensorLike,
    dtype: DTypeLike | None = None,
    *,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """As `rand`, of the shape and dtype of `x`, which needs no value.

    Example:
        >>> import chainrule as cr
        >>> cr.rand_like(cr.zeros(2, 3)).shape
        (2, 3)
    """
    check_device(device)
    x = as_tensor(x)
    dtype = x.dtype if dtype is None else dtype
    return uniform(x.shape, dtype, requires_grad=requires_grad)


@both_names()
@method
def randn_like(
    x: TensorLike,
    dtype: DTypeLike | None = None,
    *,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """As `randn`, of the shape and dtype of `x`, which needs no value.

    Example:
        >>> import chainrule as cr
        >>> cr.randn_like(cr.zeros(2, 3)).shape
        (2, 3)
    """
    x = as_tensor(x)
    dtype = x.dtype if dtype is None else dtype
    return normal(x.shape, dtype, requires_grad=requires_grad, device=device)
