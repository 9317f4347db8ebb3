"""ASGD: gradient descent with a falling rate, and the mean of the weights on its way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Tensor
from chainrule.ops import maximum, where
from chainrule.optim.arguments import Options
from chainrule.optim.groups import ParameterGroup, ParamsT
from chainrule.optim.hyperparameters import Number, Term
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.weight_decay import add_decay

if TYPE_CHECKING:
    from typing_extensions import Unpack


class ASGD(Optimizer):
    """Averaged stochastic gradient descent: the mean of the weights is kept as the moment "ax".

    W <- (1 - lambd eta) W - eta g
    ax <- ax + (W - ax) / max(1, t - 1 - t0)

    with eta = lr / (1 + lambd lr (t - 1))^alpha, where lr is that of the step before: a schedule
    acts one step later, as in PyTorch.

    The weights that are trained are not the mean: `state[W]["ax"]` is.

    Args:
        params: Parameters or groups of them; see `Optimizer`.
        lr: the first learning rate.
        lambd: how much of W a step takes away.
        alpha: how fast the rate falls.
        t0: the step after which the mean begins.
        weight_decay: adds weight_decay W to g.
        options: see `Options`.

    Raises:
        TypeError, ValueError: see `Optimizer`.

    Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging" (1992), in
    PyTorch's form.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> w = cr.Parameter([1.0])
        >>> optimizer = optim.ASGD([w], lr=0.25, lambd=0.0)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.tolist()
        [0.5]
    """

    lr = Number(low=0)
    lambd = Number(low=0)
    alpha = Number(low=0)
    t0 = Number(low=0)
    weight_decay = Term()

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params, options, lr=lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay
        )

    def moments(self, group: ParameterGroup) -> Sequence[str]:
        return ("ax",)

    def counts_steps(self, group: ParameterGroup) -> bool:
        return True

    def step_buffers(self, group: ParameterGroup) -> Mapping[str, float]:
        return {"eta": 0.0}

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        assert t is not None
        h.rate = where(t > 1.0, h.eta, h.lr)
        h.eta.assign(h.lr / (1.0 + h.lambd * h.lr * t) ** h.alpha)  # of the next step
        h.mu = 1.0 / maximum(1.0, t - 1.0 - h.t0)
        h.kept = 1.0 - h.lambd * h.rate

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        grad = add_decay(grad, W, h)
        new = h.kept * W - h.rate * grad
        ax = moments["ax"]
        ax.assign(ax + (new - ax) * h.mu)
        W.assign(new)
