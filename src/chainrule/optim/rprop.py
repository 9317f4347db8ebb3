"""Rprop: steps by the sign of the gradient, each weight with a length of its own."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Tensor
from chainrule.ops import maximum, minimum, sign, where
from chainrule.optim.arguments import Options
from chainrule.optim.groups import ParameterGroup, ParamsT
from chainrule.optim.hyperparameters import Number, Numbers
from chainrule.optim.optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Rprop(Optimizer):
    """Resilient backpropagation: a step grows while the gradient keeps its sign, and else shrinks.

    d <- clip(d etaplus, low, high)  where g g_before > 0
    d <- clip(d etaminus, low, high);  g <- 0  where g g_before < 0
    W <- W - d sign(g)

    Where g becomes 0, the weight stays for one step.

    It is for gradients of all the data: those of minibatches change their sign by chance.

    Args:
        params: Parameters or groups of them; see `Optimizer`.
        lr: the first length d of each step; later it means nothing.
        etas: etaminus, below 1, and etaplus, above 1.
        step_sizes: the shortest and the longest step.
        options: see `Options`.

    Raises:
        TypeError, ValueError: see `Optimizer`.

    Source: Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning: the
    RPROP algorithm" (1993), in PyTorch's form (iRprop- of Igel and Hüsken, 2000).

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> w = cr.Parameter([1.0, -8.0])
        >>> optimizer = optim.Rprop([w], lr=0.25)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.tolist()
        [0.75, -7.75]
    """

    lr = Number(low=0)
    etas = Numbers("etaminus", "etaplus", low=0)
    step_sizes = Numbers("shortest", "longest", low=0)

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        **options: Unpack[Options],
    ) -> None:
        super().__init__(params, options, lr=lr, etas=etas, step_sizes=step_sizes)

    def check_group(self, group: ParameterGroup) -> None:
        minus, plus = group["etas"]
        if not 0 < minus < 1 < plus:
            raise ValueError(f"etas are one below 1 and one above 1, got {(minus, plus)}")

    def moments(self, group: ParameterGroup) -> Sequence[str]:
        return ("prev", "step_size")

    def counts_steps(self, group: ParameterGroup) -> bool:
        return True

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        h.begins = where(t == 1.0, h.lr, 0.0)

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        agreement = sign(grad) * sign(moments["prev"])  # the product of small gradients may be 0
        turned = agreement < 0.0
        factor = where(agreement > 0.0, h.etaplus, where(turned, h.etaminus, 1.0))
        step = minimum(maximum((moments["step_size"] + h.begins) * factor, h.shortest), h.longest)
        grad = where(turned, 0.0, grad)
        moments["prev"].assign(grad)
        moments["step_size"].assign(step)
        W.assign(W - sign(grad) * step)
