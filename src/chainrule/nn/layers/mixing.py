"""Augmentation of images and labels together: pairs of examples are mixed."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.nn.layers.base import Layer
from chainrule.ops import clip, floor, one_hot, rint, roll, sqrt, where
from chainrule.ops.random import uniform


class _Mixing(Layer):
    """The layers that mix each example of a batch with the one before it."""

    is_stochastic = True

    def __init__(self, alpha: float = 1.0, num_classes: int | None = None) -> None:
        super().__init__()
        self.alpha = checks.positive("alpha", alpha)
        self.num_classes = None if num_classes is None else checks.count("num_classes", num_classes)

    def forward(self, input: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor]:
        x, y = as_tensor(input), as_tensor(target)
        if not self.training:
            return x, y
        if not x.ndim or not y.ndim or x.shape[0] != y.shape[0]:
            raise ShapeError(f"a batch has as many targets as inputs, got {x.shape} and {y.shape}")
        if x.dtype.kind != "f":
            x = x.astype(np.float32)
        if y.dtype.kind in "iub":
            if self.num_classes is None or y.ndim != 1:
                raise ValueError(
                    f"labels are whole numbers of shape (N,), here {y.shape}, and are mixed as "
                    "probabilities of the classes: give num_classes, or targets that are floats"
                )
            y = one_hot(y.astype(np.int64), self.num_classes, x.dtype)
        x, share = self.mixed(x, self._share(x.dtype))
        return x, y * share.astype(y.dtype) + roll(y, 1, 0) * (1.0 - share.astype(y.dtype))

    def mixed(self, x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """The inputs, mixed, and the share of each example's own target."""
        raise NotImplementedError

    def _share(self, dtype: np.dtype) -> Tensor:
        """A number of the distribution Beta(alpha, alpha), by its quantiles."""
        table = as_tensor(beta_quantiles(self.alpha))
        at = uniform((), np.float64) * float(len(table) - 1)
        first = floor(at)
        low, high = (table[first.astype(np.int64) + i] for i in (0, 1))
        return (low + (high - low) * (at - first)).astype(dtype)


@cache
def beta_quantiles(alpha: float, parts: int = 4096) -> Array:
    """The quantiles of Beta(alpha, alpha) at 0, 1 / parts, ..., 1.

    Up to 1/2 the distribution function is (x (1 - x))^alpha / (alpha B) times the series, over
    k >= 0, of (2 alpha)_k x^k / (alpha + 1)_k; the other half mirrors it. Above alpha = 10^4, where
    the series is long, it is the normal distribution of its mean, 1/2, and variance,
    1 / (4 (2 alpha + 1)), whose quantiles differ from its own by less than 10^-5.
    """
    if alpha > 1e4:
        z = np.linspace(-8.0, 0.0, 20_000)
        function = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in z.tolist()])
        lower = np.interp(np.arange(parts // 2 + 1) / parts, function, z)
        lower = 0.5 + lower * (0.5 / math.sqrt(2 * alpha + 1))
        return np.concatenate([lower, 1 - lower[-2::-1]])
    least = max(1e-12 ** (1 / min(alpha, 1.0)), 1e-300)
    x = np.concatenate([[0.0], np.geomspace(least, 0.5, 20_000)])
    term, series, k = np.ones_like(x), np.ones_like(x), 0
    while term[-1] > 1e-17 * series[-1]:
        term = term * x * ((2 * alpha + k) / (alpha + 1 + k))
        series += term
        k += 1
    log_factor = math.lgamma(2 * alpha) - math.lgamma(alpha) - math.lgamma(alpha + 1)
    with np.errstate(divide="ignore"):
        function = np.exp(alpha * np.log(x * (1 - x)) + log_factor) * series
    lower = np.interp(np.arange(parts // 2 + 1) / parts, function, x)
    return np.concatenate([lower, 1 - lower[-2::-1]])


class MixUp(_Mixing):
    """Each input and target of a batch mixed with those before it, by one random share.

    Formula: x_i <- l x_i + (1 - l) x_(i-1), and y_i likewise, with l of Beta(alpha, alpha). The
    batch is in random order, so its neighbours are random pairs. Labels become probabilities of the
    classes, as `CrossEntropyLoss` takes them. In evaluation nothing changes.

    Args:
        alpha: of the distribution: small ones change little, 1 makes l uniform.
        num_classes: of labels that are whole numbers.

    Shapes:
        Inputs (N, ...), targets (N,) or (N, ...); the output is both, labels as (N, num_classes).

    Raises:
        ShapeError: when called on other numbers of inputs and targets.
        ValueError: for labels without num_classes.

    Source: Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: beyond empirical risk minimization", ICLR
    2018.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> _ = cr.manual_seed(0)
        >>> x, y = nn.MixUp(num_classes=2)(cr.tensor([[0.0], [1.0]]), cr.tensor([0, 1]))
        >>> (x[:, 0] == y[:, 1]).all().item()  # the share of class 1, as in the inputs
        True
    """

    def mixed(self, x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        return x * share + roll(x, 1, 0) * (1.0 - share), share


class CutMix(_Mixing):
    """A rectangle of each image of a batch taken from the image before it, and of the target its
    share.

    Formula: the rectangle has the sides sqrt(1 - l) H and sqrt(1 - l) W, l of Beta(alpha, alpha),
    around a random pixel, cut off at the border; the target's share is that of the pixels. In
    evaluation nothing changes.

    Args:
        alpha, num_classes: as of `MixUp`.

    Shapes:
        Inputs (N, C, H, W), targets (N,) or (N, ...); the output is both, as of `MixUp`.

    Raises:
        ShapeError, ValueError: as `MixUp`.

    Source: Yun, Han, Oh, Chun, Choe, Yoo, "CutMix: regularization strategy to train strong
    classifiers with localizable features", ICCV 2019.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> x, y = nn.CutMix(num_classes=3)(cr.ones((2, 1, 4, 4)), cr.tensor([0, 2]))
        >>> x.shape, y.shape
        ((2, 1, 4, 4), (2, 3))
    """

    def mixed(self, x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        if x.ndim != 4:
            raise ShapeError(f"the input has shape (N, C, H, W), got {x.shape}")
        side = sqrt(1.0 - share)
        inside, pixels = [], None
        for n in x.shape[2:]:
            half = rint(side * float(n)) * 0.5
            middle = floor(uniform((), x.dtype) * float(n))
            begin, end = (clip(floor(middle + s * half), 0.0, float(n)) for s in (-1.0, 1.0))
            at = as_tensor(np.arange(n).astype(x.dtype))
            inside.append(where(at < begin, 0.0, where(at < end, 1.0, 0.0)))
            pixels = end - begin if pixels is None else pixels * (end - begin)
        assert pixels is not None
        mask = (inside[0].reshape(-1, 1) * inside[1]) > 0.0
        return where(mask, roll(x, 1, 0), x), 1.0 - pixels / float(x.shape[2] * x.shape[3])
