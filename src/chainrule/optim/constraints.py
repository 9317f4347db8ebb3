"""Constraints: what weights must satisfy after every update."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from chainrule.graph.context import no_grad
from chainrule.graph.state import Parameter, Scalar
from chainrule.ops import maximum
from chainrule.optim.groups import checked_parameters


class MaxNorm:
    """No neuron's incoming weights are longer than `max_norm`.

    w <- w min(1, max_norm / |w|) for every row w of a weight of shape (out, in)

    Args:
        parameters: weights; not biases, which have no rows.
        max_norm: the largest Euclidean norm. Srivastava et al. take 3 to 4.
        axis: the axis, or axes, along which a neuron's weights lie: 1 for the weights (out, in) of
            `nn.Linear`, (1, 2, 3) for those of two-dimensional convolutions.

    Raises:
        TypeError: if `parameters` holds anything but Parameters, or a number is none.
        ValueError: if there are none, if one comes twice or lacks the axis, or if `max_norm` is not
            above 0.

    Source: Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting"
    (2014), section 5.1.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> weight = cr.Parameter([[3.0, 4.0], [0.3, 0.4]])
        >>> optim.MaxNorm([weight], max_norm=2.5).apply()
        >>> weight.numpy().round(3).tolist()
        [[1.5, 2.0], [0.30000001192092896, 0.4000000059604645]]
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        max_norm: float,
        axis: int | tuple[int, ...] = 1,
    ) -> None:
        self.parameters = checked_parameters(parameters, "a constraint is on Parameters")
        self._max_norm = Scalar(_positive(max_norm), name="max_norm")
        self.axis = axis
        for parameter in self.parameters:
            for one in axis if isinstance(axis, tuple) else (axis,):
                if isinstance(one, bool) or not isinstance(one, int):
                    raise TypeError(f"axis is a whole number or a tuple of those, not {axis!r}")
                if not -parameter.ndim <= one < parameter.ndim:
                    raise ValueError(
                        f"parameter {parameter.name or 'unnamed'} of shape {parameter.shape} has "
                        f"no axis {one}: pass weights only, as in [p for p in model.parameters() "
                        "if p.ndim > 1]"
                    )

    @property
    def max_norm(self) -> float:
        """The largest norm; it can be set between steps."""
        return self._max_norm.item()

    @max_norm.setter
    def max_norm(self, max_norm: float) -> None:
        self._max_norm.replace(np.array(_positive(max_norm)))

    def apply(self) -> None:
        """Scale down what is too long.

        Inside `chainrule.capture`, after the optimiser's `update`, it becomes a part of the graph.
        """
        with no_grad():
            for W in self.parameters:
                limit = self._max_norm.cast(W.dtype)
                norm = (W * W).sum(self.axis, keepdims=True).sqrt()
                W.assign(W * (limit / maximum(norm, limit)))

    def __repr__(self) -> str:
        return (
            f"MaxNorm({len(self.parameters)} parameters, max_norm={self.max_norm}, "
            f"axis={self.axis})"
        )


def _positive(max_norm: Any) -> float:
    if isinstance(max_norm, (str, bytes, bool)) or not hasattr(max_norm, "__float__"):
        raise TypeError(f"max_norm is a number, not {max_norm!r}")
    if not 0 < float(max_norm) < math.inf:
        raise ValueError(f"max_norm must be a number > 0, got {max_norm!r}")
    return float(max_norm)
