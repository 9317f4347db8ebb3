"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Tensor
from chainrule.ops import where
from chainrule.optim.arguments import Options
from chainrule.optim.groups import ParameterGroup, ParamsT
from chainrule.optim.hyperparameters import Flag, Number, Term
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.weight_decay import add_decay

if TYPE_CHECKING:
    from typing_extensions import Unpack


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum.

    G <- momentum G + dL/dW;  W <- W - lr G

    This is the lectures' G <- beta G + dL/dW; W <- W - alpha G: momentum is beta, and lr is alpha.
    With `nesterov` the step looks ahead by one more momentum:

    G <- momentum G + dL/dW;  W <- W - lr (dL/dW + momentum G)

    Args:
        params: Parameters or groups of them; see `Optimizer`.
        lr: the learning rate.
        momentum: how much of the last step's G is kept; 0 for W <- W - lr dL/dW.
        dampening: G <- momentum G + (1 - dampening) dL/dW, from the second step on.
        weight_decay: adds weight_decay W to dL/dW.
        nesterov: steps by dL/dW + momentum G instead of G. It needs momentum and no dampening.
        options: see `Options`.

    Raises:
        TypeError, ValueError: see `Optimizer`.

    Source: Polyak (1964); Sutskever et al., "On the importance of initialization and momentum in
    deep learning" (2013), in PyTorch's form.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> w = cr.Parameter([1.0, 2.0])
        >>> optimizer = optim.SGD([w], lr=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.tolist()
        [0.0, 0.0]
    """

    lr = Number(low=0)
    momentum = Term()
    dampening = Term()
    weight_decay = Term()
    nesterov = Flag()

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            options,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
        )

    def check_group(self, group: ParameterGroup) -> None:
        if group["nesterov"] and (not group["momentum"] or group["dampening"]):
            raise ValueError("nesterov needs a momentum above 0 and a dampening of 0")

    def moments(self, group: ParameterGroup) -> Sequence[str]:
        return ("momentum_buffer",) if group["momentum"] else ()

    def counts_steps(self, group: ParameterGroup) -> bool:
        return bool(group["momentum"] and group["dampening"])

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        if t is not None:
            h.damping = where(t == 1.0, 1.0, 1.0 - h.dampening)

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        grad = add_decay(grad, W, h)
        if h.momentum is not None:
            buffer = moments["momentum_buffer"]
            G = h.momentum * buffer + (grad if h.dampening is None else h.damping * grad)
            buffer.assign(G)
            grad = grad + h.momentum * G if h.nesterov else G
        W.assign(W - h.lr * grad)
