"""RAdam: Adam that steps by the mean alone until the mean square can be trusted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Tensor
from chainrule.ops import where
from chainrule.optim.arguments import Options
from chainrule.optim.groups import ParamsT
from chainrule.optim.hyperparameters import Flag, Term
from chainrule.optim.moments import MomentOptimizer
from chainrule.optim.weight_decay import add_decay, decayed, kept_share

if TYPE_CHECKING:
    from typing_extensions import Unpack


class RAdam(MomentOptimizer):
    """Adam, rectified: the first steps leave out the mean square, of which little is known yet.

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2
    W <- W - lr m / (1 - beta1^t)  where rho_t <= 5, and later
    W <- W - lr r m / (1 - beta1^t) sqrt(1 - beta2^t) / (sqrt(v) + eps)

    with rho = 2 / (1 - beta2) - 1, rho_t = rho - 2 t beta2^t / (1 - beta2^t) and
    r^2 = (rho_t - 4) (rho_t - 2) rho / ((rho - 4) (rho - 2) rho_t).

    Args:
        params: Parameters or groups of them; see `Optimizer`.
        lr: the learning rate.
        betas: how much of the mean and of the mean square is kept.
        eps: keeps the denominator from 0.
        weight_decay: adds weight_decay W to g.
        decoupled_weight_decay: W shrinks by lr weight_decay W instead, as in `AdamW`.
        options: see `Options`.

    Raises:
        TypeError, ValueError: see `Optimizer`.

    Source: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond" (2020),
    algorithm 2, in PyTorch's form.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> w = cr.Parameter([1.0])
        >>> optimizer = optim.RAdam([w], lr=0.25)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.tolist()
        [0.5]
    """

    weight_decay = Term()
    decoupled_weight_decay = Flag()

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            options,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
        )

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        assert t is not None
        super().coefficients(h, t)
        power = h.beta2**t
        longest = 2.0 / h.rest2 - 1.0
        rho = longest - 2.0 * t * power / (1.0 - power)
        is_known = rho > 5.0
        rho = where(is_known, rho, 6.0)  # any number above 4, for the root
        rest = where(is_known, longest, 6.0)
        square = (rho - 4.0) * (rho - 2.0) * rest / ((rest - 4.0) * (rest - 2.0) * rho)
        step = h.lr / (1.0 - h.beta1**t)
        h.of_mean = where(is_known, 0.0, step)
        h.of_ratio = where(is_known, step * (square * (1.0 - power)).sqrt(), 0.0)
        h.kept = kept_share(h) if h.decoupled_weight_decay else None

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        kept = decayed(W, h.kept)
        if not h.decoupled_weight_decay:
            grad = add_decay(grad, W, h)
        m, v = self.assign_moments(grad, moments, h)
        W.assign(kept - m * (h.of_mean + h.of_ratio / (v.sqrt() + h.eps)))
