"""Random numbers of a shape that may be given number by number, or of another Tensor's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import DTypeLike

from chainrule.errors import SymbolicError
from chainrule.graph.keywords import both_names
from chainrule.graph.placement import check_device
from chainrule.graph.registered import method
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor, tensor
from chainrule.ops.creation import as_shape
from chainrule.ops.random import normal, uniform

__all__ = ["rand", "rand_like", "randn", "randn_like"]


def _as_leaf(drawn: Tensor, requires_grad: bool) -> Tensor:
    """The numbers as a leaf that may require a gradient."""
    if not requires_grad:
        return drawn
    if drawn.value is None:
        raise SymbolicError(
            "random numbers that require a gradient: in a captured function a draw has no value, "
            "so that it is no leaf; make the leaf before, and pass it"
        )
    return tensor(drawn.numpy(), requires_grad=True)


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
    return _as_leaf(uniform(size=as_shape("rand", shape), dtype=dtype), requires_grad)


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
    check_device(device)
    return _as_leaf(normal(size=as_shape("randn", shape), dtype=dtype), requires_grad)


@method
def rand_like(x: TensorLike, dtype: DTypeLike | None = None, *, device: Any = None) -> Tensor:
    """As `rand`, of the shape and dtype of `x`, which needs no value.

    Example:
        >>> import chainrule as cr
        >>> cr.rand_like(cr.zeros(2, 3)).shape
        (2, 3)
    """
    check_device(device)
    x = as_tensor(x)
    return uniform(x.shape, x.dtype if dtype is None else dtype)


@method
def randn_like(x: TensorLike, dtype: DTypeLike | None = None, *, device: Any = None) -> Tensor:
    """As `randn`, of the shape and dtype of `x`, which needs no value.

    Example:
        >>> import chainrule as cr
        >>> cr.randn_like(cr.zeros(2, 3)).shape
        (2, 3)
    """
    check_device(device)
    x = as_tensor(x)
    return normal(x.shape, x.dtype if dtype is None else dtype)
