"""Lion: steps by a sign."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Tensor
from chainrule.ops import sign
from chainrule.optim.arguments import Options
from chainrule.optim.groups import ParameterGroup, ParamsT
from chainrule.optim.hyperparameters import Number, Numbers, Term
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.weight_decay import decayed, kept_share

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Lion(Optimizer):
    """Lion: every weight takes a step of length lr, by the sign of a mean of the gradient.

    c = beta1 m + (1 - beta1) g;  m <- beta2 m + (1 - beta2) g
    W <- W - lr (sign(c) + weight_decay W)

    As the step is longer than Adam's, the paper takes an lr 3 to 10 times smaller than for AdamW,
    and a weight_decay larger by as much.

    Args:
        params: Parameters or groups of them; see `Optimizer`.
        lr: the learning rate: how far every weight goes.
        betas: how much of the mean counts in a step, and how much of it is kept.
        weight_decay: the share of W, times lr, that a step takes away.
        options: see `Options`.

    Raises:
        TypeError, ValueError: see `Optimizer`.

    Source: Chen et al., "Symbolic Discovery of Optimization Algorithms" (2023), algorithm 2.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> w = cr.Parameter([1.0, -2.0])
        >>> optimizer = optim.Lion([w], lr=0.25)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.tolist()
        [0.75, -1.75]
    """

    lr = Number(low=0)
    betas = Numbers("beta1", "beta2", low=0, high=1)
    weight_decay = Term()

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(params, options, lr=lr, betas=betas, weight_decay=weight_decay)

    def moments(self, group: ParameterGroup) -> Sequence[str]:
        return ("exp_avg",)

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        h.rest1 = 1.0 - h.beta1
        h.ratio = (1.0 - h.beta2) / h.rest1
        h.kept = kept_share(h)

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        m = moments["exp_avg"]
        kept = decayed(W, h.kept)
        old, new = h.beta1 * m, h.rest1 * grad
        W.assign(kept - h.lr * sign(old + new))
        # Written with `new`, a value of W's update, so that one fused program computes both.
        m.assign(h.beta2 * m + h.ratio * new)
