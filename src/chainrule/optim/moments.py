"""Moments: the mean and the mean square of the gradient, from which Adam and its kin step."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

from chainrule.graph.state import Buffer
from chainrule.graph.tensor import Tensor
from chainrule.optim.groups import ParameterGroup
from chainrule.optim.hyperparameters import Number, Numbers
from chainrule.optim.optimizer import Optimizer


class MomentOptimizer(Optimizer):
    """The base of Adam, NAdam, RAdam and SparseAdam: m and v of every Parameter.

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2
    """

    lr = Number(low=0)
    betas = Numbers("beta1", "beta2", low=0, high=1)
    eps = Number(low=0)

    def moments(self, group: ParameterGroup) -> Sequence[str]:
        return ("exp_avg", "exp_avg_sq")

    def counts_steps(self, group: ParameterGroup) -> bool:
        return True

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        h.rest1, h.rest2 = 1.0 - h.beta1, 1.0 - h.beta2

    def next_moments(
        self, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> tuple[Tensor, Tensor]:
        """m and v with the gradient `grad`."""
        m = h.beta1 * moments["exp_avg"] + h.rest1 * grad
        v = h.beta2 * moments["exp_avg_sq"] + h.rest2 * (grad * grad)
        return m, v

    def assign_moments(
        self, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> tuple[Tensor, Tensor]:
        """The new m and v, assigned to their buffers."""
        m, v = self.next_moments(grad, moments, h)
        moments["exp_avg"].assign(m)
        moments["exp_avg_sq"].assign(v)
        return m, v
