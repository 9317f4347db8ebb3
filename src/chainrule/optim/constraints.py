"""Constraints on weights, applied after every update."""

from __future__ import annotations

from collections.abc import Iterable

from chainrule import checks
from chainrule.graph.context import no_grad
from chainrule.graph.keywords import both_names
from chainrule.graph.parameter_lists import distinct_parameters
from chainrule.graph.state import HyperParameter, Parameter, RunTimeNumber
from chainrule.ops import maximum
from chainrule.ops.norms import row_norm


class MaxNorm:
    """No neuron's incoming weights are longer than `max_norm`.

    w <- w min(1, max_norm / |w|) for every row w of a weight of shape (out, in)

    Args:
        parameters: weights; not biases, which have no rows.
        max_norm: the largest Euclidean norm; Srivastava et al. take 3 to 4. It can be set between
            steps.
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

    max_norm = RunTimeNumber(checks.positive)
    _max_norm: HyperParameter

    @both_names()
    def __init__(
        self,
        parameters: Iterable[Parameter],
        max_norm: float,
        axis: int | tuple[int, ...] = 1,
    ) -> None:
        self.parameters = distinct_parameters(parameters, "a constraint is on Parameters")
        self.max_norm = max_norm
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

    def apply(self) -> None:
        """Scale down the rows that are too long.

        Inside `chainrule.capture`, after the optimiser's `update`, it becomes a part of the graph.
        """
        with no_grad():
            for W in self.parameters:
                limit = self._max_norm.node()
                norm = row_norm(W.node(), self.axis)
                W.assign(W * (limit / maximum(norm, limit)).astype(W.dtype))

    def __repr__(self) -> str:
        return (
            f"MaxNorm({len(self.parameters)} parameters, max_norm={self.max_norm}, "
            f"axis={self.axis})"
        )
