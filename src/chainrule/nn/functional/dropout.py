"""Dropout as functions of the graph. The current generator draws the elements to drop."""

from __future__ import annotations

import numpy as np

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn.functional.activations import SELU_ALPHA, SELU_SCALE
from chainrule.ops import maximum, sqrt, where
from chainrule.ops.random import uniform

__all__ = ["alpha_dropout", "dropout", "feature_alpha_dropout"]


@both_names()
def dropout(
    input: TensorLike, p: float | Tensor = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """x with each element 0 with probability p, else divided by 1 - p; x itself if not `training`.

    Args:
        input: floating, any shape.
        p: a number, or a 0-d Tensor such as a `HyperParameter` that changes between steps.
        training: whether elements are dropped.
        inplace: means nothing; a Tensor is never changed.

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
    dropped, p = _dropped(x, x.shape, p)
    return x * where(dropped, 0.0, 1.0 / _at_least_tiny(1.0 - p))


@both_names()
def alpha_dropout(
    input: TensorLike, p: float | Tensor = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout that keeps mean 0 and variance 1, for the outputs of `selu`.

    Formula: a dropped element becomes s = -1.7581, the limit of selu for x -> -infinity; then every
    element x becomes a x + b with a = ((1 - p) (1 + p s^2))^-1/2 and b = -a p s. With p = 1 all
    elements become 0, as in PyTorch.

    Args:
        input: floating, any shape.
        p: as in `dropout`.
        training: whether elements are dropped; the default is False, as in PyTorch.

    Source: Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NIPS 2017.

    Example:
        >>> import chainrule as cr
        >>> alpha_dropout(cr.tensor([1.0, 2.0]))
        tensor([1., 2.])
    """
    x = as_tensor(input)
    if not training:
        return x
    return _alpha_dropped(x, *_dropped(x, x.shape, p))


@both_names()
def feature_alpha_dropout(
    input: TensorLike, p: float | Tensor = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels: all elements x[i, j, ...] of a channel j are dropped, or
    none.

    Args:
        input: floating, shape (N, C, ...).
        p, training, inplace: as in `alpha_dropout`.

    Raises:
        ShapeError: if the input has no axis of channels.

    Example:
        >>> import chainrule as cr
        >>> feature_alpha_dropout(cr.tensor([[1.0, 2.0]]))
        tensor([[1., 2.]])
    """
    x = as_tensor(input)
    if not training:
        return x
    if x.ndim < 2:
        raise ShapeError(f"feature_alpha_dropout: the input has shape (N, C, ...), not {x.shape}")
    dropped, p = _dropped(x, (*x.shape[:2], *(1,) * (x.ndim - 2)), p)
    return _alpha_dropped(x, dropped.broadcast_to(x.shape), p)


def _alpha_dropped(x: Tensor, dropped: Tensor, p: Tensor) -> Tensor:
    s = -SELU_ALPHA * SELU_SCALE
    a = 1.0 / sqrt(_at_least_tiny(1.0 - p) * (1.0 + p * s**2))
    return x * where(dropped, 0.0, a) + where(dropped, a * s * (1.0 - p), -a * s * p)


def _dropped(x: Tensor, shape: tuple[int, ...], p: float | Tensor) -> tuple[Tensor, Tensor]:
    """A random mask of what to drop, and p as a Tensor of the dtype of x."""
    rate = p if isinstance(p, Tensor) else as_tensor(checks.probability("p", p))
    rate = rate.astype(x.dtype)
    return uniform(shape, x.dtype) < rate, rate


def _at_least_tiny(keep: Tensor) -> Tensor:
    """1 - p, clamped to the smallest normal number: with p = 1 the factor 1 / (1 - p) stays finite,
    and 0 times it is 0."""
    return maximum(keep, float(np.finfo(keep.dtype).tiny))
