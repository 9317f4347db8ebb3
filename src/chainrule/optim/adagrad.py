"""Adagrad, Adadelta and RMSprop: the gradient over the root of its accumulated squares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Tensor
from chainrule.ops import maximum
from chainrule.optim.arguments import Options
from chainrule.optim.groups import ParameterGroup, ParamsT
from chainrule.optim.hyperparameters import Flag, Number, Term
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.weight_decay import add_decay

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Adagrad(Optimizer):
    """Adagrad: divides the gradient by the root of the sum of all its squares.

    s <- s + g^2;  W <- W - lr_t g / (sqrt(s) + eps),  lr_t = lr / (1 + lr_decay (t - 1))

    Args:
        params: Parameters or groups of them; see `Optimizer`.
        lr: the learning rate.
        lr_decay: how fast the learning rate falls with the number t of the step.
        weight_decay: adds weight_decay W to g.
        initial_accumulator_value: s at first.
        eps: keeps the denominator from 0.
        options: see `Options`.

    Raises:
        TypeError, ValueError: see `Optimizer`.

    Source: Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and
    Stochastic Optimization" (2011), in PyTorch's form.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> w = cr.Parameter([1.0, -2.0])
        >>> optimizer = optim.Adagrad([w], lr=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.tolist()
        [0.5, -1.5]
    """

    lr = Number(low=0)
    lr_decay = Term()
    weight_decay = Term()
    initial_accumulator_value = Number(low=0, fixed=True)
    eps = Number(low=0)

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            options,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )

    def moments(self, group: ParameterGroup) -> Mapping[str, float]:
        return {"sum": float(group["initial_accumulator_value"])}

    def counts_steps(self, group: ParameterGroup) -> bool:
        return bool(group["lr_decay"])

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        h.step_size = h.lr if t is None else h.lr / (1.0 + (t - 1.0) * h.lr_decay)

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        grad = add_decay(grad, W, h)
        s = moments["sum"] + grad * grad
        moments["sum"].assign(s)
        W.assign(W - h.step_size * grad / (s.sqrt() + h.eps))


class Adadelta(Optimizer):
    """Adadelta: the step's length comes from the lengths of the steps before.

    v <- rho v + (1 - rho) g^2;  D = g sqrt(u + eps) / sqrt(v + eps)
    u <- rho u + (1 - rho) D^2;  W <- W - lr D

    Args:
        params: Parameters or groups of them; see `Optimizer`.
        lr: scales the step; 1 is the paper's.
        rho: how much of the mean squares is kept.
        eps: added under the roots.
        weight_decay: adds weight_decay W to g.
        options: see `Options`.

    Raises:
        TypeError, ValueError: see `Optimizer`.

    Source: Zeiler, "ADADELTA: An Adaptive Learning Rate Method" (2012), algorithm 1.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> w = cr.Parameter([1.0])
        >>> optimizer = optim.Adadelta([w], rho=0.0, eps=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> round(w.item(), 4)  # 1 - 2 sqrt(0.5 / 4.5)
        0.3333
    """

    lr = Number(low=0)
    rho = Number(low=0, high=1)
    eps = Number(low=0)
    weight_decay = Term()

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(params, options, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)

    def moments(self, group: ParameterGroup) -> Sequence[str]:
        return ("square_avg", "acc_delta")

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        h.rest = 1.0 - h.rho

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        grad = add_decay(grad, W, h)
        u = moments["acc_delta"]
        v = h.rho * moments["square_avg"] + h.rest * (grad * grad)
        D = grad * ((u + h.eps).sqrt() / (v + h.eps).sqrt())
        moments["square_avg"].assign(v)
        moments["acc_delta"].assign(h.rho * u + h.rest * (D * D))
        W.assign(W - h.lr * D)


class RMSprop(Optimizer):
    """RMSprop: divides the gradient by the root of its mean square.

    v <- alpha v + (1 - alpha) g^2;  W <- W - lr g / (sqrt(v) + eps)

    Args:
        params: Parameters or groups of them; see `Optimizer`.
        lr: the learning rate.
        alpha: how much of the mean square is kept.
        eps: keeps the denominator from 0.
        weight_decay: adds weight_decay W to g.
        momentum: with it, G <- momentum G + g / (sqrt(v) + eps); W <- W - lr G.
        centered: divides by the gradient's standard deviation: v - (mean of g)^2, at least 0, in
            place of v (Graves, "Generating Sequences With Recurrent Neural Networks", 2013).
        options: see `Options`.

    Raises:
        TypeError, ValueError: see `Optimizer`.

    Source: Tieleman and Hinton, "Neural Networks for Machine Learning", lecture 6.5 (2012).

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> w = cr.Parameter([1.0])
        >>> optimizer = optim.RMSprop([w], lr=0.5, alpha=0.75)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.tolist()
        [0.0]
    """

    lr = Number(low=0)
    alpha = Number(low=0, high=1)
    eps = Number(low=0)
    weight_decay = Term()
    momentum = Term()
    centered = Flag()

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            options,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
        )

    def moments(self, group: ParameterGroup) -> Sequence[str]:
        names = ["square_avg"]
        if group["centered"]:
            names.append("grad_avg")
        if group["momentum"]:
            names.append("momentum_buffer")
        return names

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        h.rest = 1.0 - h.alpha

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        grad = add_decay(grad, W, h)
        v = h.alpha * moments["square_avg"] + h.rest * (grad * grad)
        moments["square_avg"].assign(v)
        if h.centered:
            mean = h.alpha * moments["grad_avg"] + h.rest * grad
            moments["grad_avg"].assign(mean)
            # Of gradients that are equal this is 0, and by rounding it may be less.
            v = maximum(v - mean * mean, 0.0)
        G = grad / (v.sqrt() + h.eps)
        if h.momentum is not None:
            G = h.momentum * moments["momentum_buffer"] + G
            moments["momentum_buffer"].assign(G)
        W.assign(W - h.lr * G)
