"""Layers that are random in training and do nothing in evaluation."""

from __future__ import annotations

from chainrule import checks
from chainrule.graph.state import HyperParameter, RunTimeNumber
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn import functional
from chainrule.nn.layers.base import Layer
from chainrule.ops.random import normal


class _Rate(RunTimeNumber):
    """The probability of dropping. Until one was above 0, steps are captured without a mask."""

    def __set__(self, owner: _Dropping, value: float) -> None:
        super().__set__(owner, value)
        if value > 0:
            owner._drops = True  # if it was False, steps are captured anew


class _Dropping(Layer):
    """The base of the layers that drop an element with probability p."""

    is_stochastic = True
    p = _Rate(checks.probability)
    _p: HyperParameter
    _drops: bool

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self._drops = False
        self.p = p

    @property
    def _rate(self) -> HyperParameter | float:
        """p, as a number where it was never another."""
        return self._p if self._drops else 0.0


class Dropout(_Dropping):
    """Each element is 0 with probability p, else divided by 1 - p; in evaluation nothing changes.

    The expected output is the input, so evaluation needs no other scale. The elements are drawn
    at every call by the current generator; a Trainer's is seeded by its `seed`.

    Args:
        p: the probability of 0. It can be set between steps, as by a schedule. Until it is above
            0 for the first time, no numbers are drawn; what `cr.capture` made till then never does.

    Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way to
    prevent neural networks from overfitting", JMLR 15, 2014; *Deep Learning*, section 7.12.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.Dropout(p=0.5)
        >>> _ = cr.manual_seed(0)
        >>> sorted(set(layer(cr.tensor([1.0] * 100)).tolist()))
        [0.0, 2.0]
        >>> layer.eval()(cr.tensor([1.0, 2.0]))
        tensor([1., 2.])
    """

    def forward(self, input: TensorLike) -> Tensor:
        return functional.dropout(input, self._rate, self.training)


class Dropout1d(_Dropping):
    """`Dropout` of whole channels of sequences; see `functional.dropout1d`.

    Args:
        p: the probability of a channel being dropped. It can be set between steps.

    Shapes:
        Input and output (N, C, L) or (C, L).

    Raises:
        ShapeError: when called on an input of another shape.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Dropout1d(0.2).eval()(cr.ones((1, 2, 3))).shape
        (1, 2, 3)
    """

    def forward(self, input: TensorLike) -> Tensor:
        return functional.dropout1d(input, self._rate, self.training)


class Dropout2d(_Dropping):
    """`Dropout` of whole channels of images; see `functional.dropout2d`.

    Args:
        p: the probability of a channel being dropped. It can be set between steps.

    Shapes:
        Input and output (N, C, H, W); as in PyTorch three axes are (N, C, L).

    Raises:
        ShapeError: when called on an input of another shape.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Dropout2d(0.2).eval()(cr.ones((1, 6, 4, 4))).shape
        (1, 6, 4, 4)
    """

    def forward(self, input: TensorLike) -> Tensor:
        return functional.dropout2d(input, self._rate, self.training)


class AlphaDropout(_Dropping):
    """Dropout for SELU: mean 0 and variance 1 stay as they are. See `functional.alpha_dropout`.

    Args:
        p: the probability of an element being dropped. It can be set between steps.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> _ = cr.manual_seed(0)
        >>> y = nn.AlphaDropout(p=0.1)(cr.normal((1000, 100)))
        >>> abs(y.mean().item()) < 0.02, abs(y.var().item() - 1) < 0.02
        (True, True)
    """

    def forward(self, input: TensorLike) -> Tensor:
        return functional.alpha_dropout(input, self._rate, self.training)


class FeatureAlphaDropout(_Dropping):
    """`AlphaDropout` of whole channels; see `functional.feature_alpha_dropout`.

    Args:
        p: the probability of a channel being dropped. It can be set between steps.

    Shapes:
        Input and output (N, C, ...).
    """

    def forward(self, input: TensorLike) -> Tensor:
        return functional.feature_alpha_dropout(input, self._rate, self.training)


class GaussianNoise(Layer):
    """x + std n, n of the standard normal distribution; in evaluation nothing changes.

    Noise on the inputs of a network acts as a penalty on the derivatives of its outputs.

    Args:
        std: the standard deviation of the noise. It can be set between steps.

    Source: Bishop, "Training with noise is equivalent to Tikhonov regularization", Neural
    Computation 7, 1995; *Deep Learning*, section 7.5.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.GaussianNoise(std=0.1)
        >>> layer.eval()(cr.tensor([1.0, 2.0]))
        tensor([1., 2.])
    """

    is_stochastic = True
    std = RunTimeNumber(checks.not_negative)
    _std: HyperParameter

    def __init__(self, std: float = 0.1) -> None:
        super().__init__()
        self.std = std

    def forward(self, input: TensorLike) -> Tensor:
        x = as_tensor(input)
        if not self.training:
            return x
        return x + normal(x.shape, x.dtype) * self._std.astype(x.dtype)
