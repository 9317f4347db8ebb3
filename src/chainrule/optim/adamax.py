"""Adamax: Adam with the largest gradient in place of the mean square."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Tensor
from chainrule.ops import abs, maximum
from chainrule.optim.arguments import Options
from chainrule.optim.groups import ParameterGroup, ParamsT
from chainrule.optim.hyperparameters import Number, Numbers, Term
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.weight_decay import add_decay

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Adamax(Optimizer):
    """Adam with the infinity norm: the denominator is the largest gradient, which fades.

    m <- beta1 m + (1 - beta1) g;  u <- max(beta2 u, |g| + eps)
    W <- W - lr / (1 - beta1^t) m / u

    Args:
        params: Parameters or groups of them; see `Optimizer`.
        lr: the learning rate.
        betas: how much of the mean and of the largest gradient is kept.
        eps: keeps the denominator from 0.
        weight_decay: adds weight_decay W to g.
        options: see `Options`.

    Raises:
        TypeError, ValueError: see `Optimizer`.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), algorithm 2, in
    PyTorch's form.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> w = cr.Parameter([1.0, -2.0])
        >>> optimizer = optim.Adamax([w], lr=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.tolist()
        [0.5, -1.5]
    """

    lr = Number(low=0)
    betas = Numbers("beta1", "beta2", low=0, high=1)
    eps = Number(low=0)
    weight_decay = Term()

    def __init__(
        self,
        params: ParamsT,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(params, options, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def moments(self, group: ParameterGroup) -> Sequence[str]:
        return ("exp_avg", "exp_inf")

    def counts_steps(self, group: ParameterGroup) -> bool:
        return True

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        h.rest1 = 1.0 - h.beta1
        h.step_size = h.lr / (1.0 - h.beta1**t)

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        grad = add_decay(grad, W, h)
        m = h.beta1 * moments["exp_avg"] + h.rest1 * grad
        u = maximum(h.beta2 * moments["exp_inf"], abs(grad) + h.eps)
        moments["exp_avg"].assign(m)
        moments["exp_inf"].assign(u)
        W.assign(W - h.step_size * m / u)
