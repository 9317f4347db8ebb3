"""Dropout as functions of the graph. The current generator draws the elements to drop."""

from __future__ import annotations

import numpy as np

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn.functional.activations import SELU_ALPHA, SELU_SCALE
from chainrule.ops import maximum, sqrt, where
from chainrule.ops.random import current_generator, uniform

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "feature_alpha_dropout"]


@both_names()
def dropout(
    input: TensorLike, p: float | Tensor = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """x with each element 0 with probability p, else divided by 1 - p; x itself if not `training`.

    Args:
        input: floating, any shape.
        p: a number, or a 0-d Tensor such as a `HyperParameter` that changes between steps. With
            the number 0 nothing is drawn.
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
    if not training or _keeps_all(x, p):
        return x
    dropped, p = _dropped(x, x.shape, p)
    return x * where(dropped, 0.0, 1.0 / _at_least_tiny(1.0 - p))


@both_names()
def dropout1d(
    input: TensorLike, p: float | Tensor = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """`dropout` of whole channels of sequences: all elements of a channel are 0, or none.

    Neighbours are much alike, so that dropping one of them would drop little.

    Args:
        input: floating, shape (N, C, L) or (C, L).
        p, training, inplace: as in `dropout`.

    Raises:
        ShapeError: if the input has another shape.

    Source: Tompson, Goroshin, Jain, LeCun, Bregler, "Efficient object localization using
    convolutional networks", CVPR 2015.

    Example:
        >>> import chainrule as cr
        >>> dropout1d(cr.tensor([[1.0, 2.0]]), training=False)
        tensor([[1., 2.]])
    """
    x = as_tensor(input)
    if x.ndim not in (2, 3):
        raise ShapeError(
            f"dropout1d: the input has shape (N, C, L) or (C, L), not {x.shape}; without the axis "
            "of a sequence it is Dropout, which drops elements"
        )
    return _channels_dropped(x, x.ndim - 1, p) if training else x


@both_names()
def dropout2d(
    input: TensorLike, p: float | Tensor = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """`dropout` of whole channels of images, as `dropout1d`.

    Args:
        input: floating, shape (N, C, H, W); as in PyTorch three axes are (N, C, L).
        p, training, inplace: as in `dropout`.

    Raises:
        ShapeError: if the input has another shape.

    Source: as of `dropout1d`.

    Example:
        >>> import chainrule as cr
        >>> with cr.use_generator(cr.Generator(0)):
        ...     dropout2d(cr.ones((1, 2, 1, 2)))
        tensor([[[[0., 0.]],
        <BLANKLINE>
                 [[2., 2.]]]])
    """
    x = as_tensor(input)
    if x.ndim not in (3, 4):
        raise ShapeError(
            f"dropout2d: the input has shape (N, C, H, W), not {x.shape}; without the axes of an "
            "image it is Dropout, which drops elements"
        )
    return _channels_dropped(x, 2, p) if training else x


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
    if not training or _keeps_all(x, p):
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
    if _keeps_all(x, p):
        return x
    dropped, p = _dropped(x, (*x.shape[:2], *(1,) * (x.ndim - 2)), p)
    return _alpha_dropped(x, dropped.broadcast_to(x.shape), p)


def _keeps_all(x: Tensor, p: float | Tensor) -> bool:
    """Whether p is the number 0, so that no mask is needed.

    The generator moves on as if there were one: what is drawn next does not depend on it.
    """
    if isinstance(p, Tensor) or x.dtype.kind != "f" or checks.probability("p", p) > 0:
        return False
    current_generator().skip()
    return True


def _channels_dropped(x: Tensor, axes: int, p: float | Tensor) -> Tensor:
    """x with all that the same indices of the first axes have 0, or divided by 1 - p."""
    if _keeps_all(x, p):
        return x
    dropped, p = _dropped(x, (*x.shape[:axes], *(1,) * (x.ndim - axes)), p)
    return x * where(dropped, 0.0, 1.0 / _at_least_tiny(1.0 - p))


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
