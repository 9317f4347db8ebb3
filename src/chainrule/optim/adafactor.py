"""Adafactor: the mean square of a matrix by its rows and columns, in memory for these alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph.state import Buffer, HyperParameter, Parameter
from chainrule.graph.tensor import Array, Tensor
from chainrule.ops import maximum, minimum, where
from chainrule.optim.arguments import Options
from chainrule.optim.groups import ParameterGroup, ParamsT
from chainrule.optim.hyperparameters import Number, Numbers, Term
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.weight_decay import decayed, kept_share

if TYPE_CHECKING:
    from typing_extensions import Unpack


class _Eps(Numbers):
    """(eps1, eps2), where eps1 may be None; a step reads that as a number below 0."""

    def check(self, value: Any) -> tuple[Any, ...]:
        first_is_none = isinstance(value, (tuple, list)) and len(value) == 2 and value[0] is None
        eps1, eps2 = super().check((0.0, value[1]) if first_is_none else value)
        return None if first_is_none else eps1, eps2

    def scalars(self, value: tuple[Any, ...]) -> dict[str, float]:
        return {"eps1": -1.0 if value[0] is None else value[0], "eps2": value[1]}

    def read(self, scalars: Mapping[str, HyperParameter | Array]) -> tuple[Any, ...]:
        eps1, eps2 = super().read(scalars)
        return None if eps1 < 0 else eps1, eps2


class Adafactor(Optimizer):
    """Adafactor: Adam's denominator from the mean squares of rows and columns, and no mean.

    With the share s = t^beta2_decay of the new, the rate r = min(lr, 1 / sqrt(t)) and
    a = r max(eps2, RMS(W)), where RMS is the root of the mean square:

    R <- (1 - s) R + s mean of g^2 over the last axis; C likewise over the one before
    V = R C / mean(R); of a vector V <- (1 - s) V + s g^2
    U = g / sqrt(max(V, eps1^2));  W <- (1 - lr weight_decay) W - a U / max(1, RMS(U) / d)

    Args:
        params: Parameters or groups of them; see `Optimizer`.
        lr: the largest rate.
        beta2_decay: the exponent of t, below 0.
        eps: (eps1, eps2); eps1 is by default the least step from 1 of the dtype.
        d: the RMS of U from which it is scaled down, at least 1.
        weight_decay: the share of W, times lr, that a step takes away.
        options: see `Options`.

    Raises:
        TypeError, ValueError: see `Optimizer`.

    Source: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost"
    (2018), in PyTorch's form.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> w = cr.Parameter([1.0, -1.0])
        >>> optimizer = optim.Adafactor([w], lr=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.tolist()
        [0.5, -0.5]
    """

    lr = Number(low=0)
    beta2_decay = Number(high=0)
    eps = _Eps("eps1", "eps2", low=0)
    d = Number(low=1)
    weight_decay = Term()

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            options,
            lr=lr,
            beta2_decay=beta2_decay,
            eps=eps,
            d=d,
            weight_decay=weight_decay,
        )

    def moments_of(self, group: ParameterGroup, W: Parameter) -> Mapping[str, Any]:
        if W.ndim < 2:
            return {"variance": np.zeros(W.shape, W.dtype)}
        return {
            "row_var": np.zeros((*W.shape[:-1], 1), W.dtype),
            "col_var": np.zeros((*W.shape[:-2], 1, W.shape[-1]), W.dtype),
        }

    def counts_steps(self, group: ParameterGroup) -> bool:
        return True

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        assert t is not None
        h.new = t**h.beta2_decay
        h.rest = 1.0 - h.new
        h.rate = minimum(h.lr, 1.0 / t.sqrt())
        h.kept = kept_share(h)

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        eps1 = where(h.eps1 < 0.0, float(np.finfo(W.dtype).eps), h.eps1)
        alpha = h.rate * maximum(h.eps2, _rms(W))
        square = grad * grad
        if W.ndim < 2:
            V = h.rest * moments["variance"] + h.new * square
            moments["variance"].assign(V)
        else:
            R = h.rest * moments["row_var"] + h.new * square.mean(axis=-1, keepdims=True)
            C = h.rest * moments["col_var"] + h.new * square.mean(axis=-2, keepdims=True)
            moments["row_var"].assign(R)
            moments["col_var"].assign(C)
            V = R * C / maximum(R.mean(axis=-2, keepdims=True), eps1)
        U = grad / maximum(V, eps1 * eps1).sqrt()
        W.assign(decayed(W, h.kept) - alpha / maximum(1.0, _rms(U) / h.d) * U)


def _rms(x: Tensor) -> Tensor:
    return (x * x).mean().sqrt()
