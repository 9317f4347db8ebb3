"""Dropout as functions of the graph: the elements are drawn by the current generator."""

from __future__ import annotations

import numpy as np

from chainrule import checks
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn.functional.activations import SELU_ALPHA, SELU_SCALE
from chainrule.ops import maximum, sqrt, where
from chainrule.ops.random import uniform

__all__ = ["alpha_dropout", "dropout"]


def dropout(input: TensorLike, p: float | Tensor = 0.5, training: bool = True) -> Tensor:
    """x with each element 0 with probability p, else divided by 1 - p; x itself if not `training`.

    Args:
        input: floating, any shape.
        p: a number, or a Tensor of no axes, as a `HyperParameter` that changes between steps.
        training: whether anything is dropped.

    Raises:
        ValueError: if p is a number outside 0 ... 1.

    Source: Srivastava et al., JMLR 15, 2014.

    Example:
        >>> import chainrule as cr
        >>> dropout(cr.tensor([1.0, 2.0]), training=False)
        tensor([1., 2.])
    """
    x = as_tensor(input)
    if not training:
        return x
    dropped, p = _dropped(x, p)
    return x * where(dropped, 0.0, 1.0 / _not_zero(1.0 - p))


def alpha_dropout(input: TensorLike, p: float | Tensor = 0.5, training: bool = False) -> Tensor:
    """Dropout that keeps mean 0 and variance 1, for the outputs of `selu`.

    With s = -1.7581 (selu far to the left) a dropped element becomes s; then all become a x + b,
    a = ((1 - p) (1 + p s^2))^-1/2, b = -a p s. With p = 1 all become 0, as in PyTorch.

    Args:
        input: floating, any shape.
        p: as in `dropout`.
        training: whether anything is dropped; PyTorch's default here is False.

    Source: Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NIPS 2017.

    Example:
        >>> import chainrule as cr
        >>> alpha_dropout(cr.tensor([1.0, 2.0]))
        tensor([1., 2.])
    """
    x = as_tensor(input)
    if not training:
        return x
    dropped, p = _dropped(x, p)
    s = -SELU_ALPHA * SELU_SCALE
    a = 1.0 / sqrt(_not_zero(1.0 - p) * (1.0 + p * s**2))
    return x * where(dropped, 0.0, a) + where(dropped, a * s * (1.0 - p), -a * s * p)


def _dropped(x: Tensor, p: float | Tensor) -> tuple[Tensor, Tensor]:
    """Which elements are dropped, drawn by the current generator; and p as a Tensor like x."""
    rate = p if isinstance(p, Tensor) else as_tensor(checks.probability("p", p))
    rate = rate.astype(x.dtype)
    return uniform(x.shape, x.dtype) < rate, rate


def _not_zero(keep: Tensor) -> Tensor:
    """What can be divided by: where nothing is kept the quotient must stay finite, for 0 times it
    to be 0."""
    return maximum(keep, float(np.finfo(keep.dtype).tiny))
