"""The optimisers: textbook rules, each one a graph that takes gradients and assigns new state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Tensor
from chainrule.ops import maximum, where
from chainrule.optim.groups import ParameterGroup
from chainrule.optim.optimizer import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum.

    G <- momentum G + dL/dW;  W <- W - lr G

    Args:
        params: Parameters or groups of them; see `Optimizer`.
        lr: the learning rate.
        momentum: how much of the last step's G is kept; 0 for W <- W - lr dL/dW.
        dampening: G <- momentum G + (1 - dampening) dL/dW, from the second step on.
        weight_decay: adds weight_decay W to dL/dW.
        nesterov: steps by dL/dW + momentum G instead of G. It needs momentum and no dampening.

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

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[Mapping[str, Any]],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(
            params,
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
        if h.weight_decay is not None:
            grad = grad + h.weight_decay * W
        if h.momentum is not None:
            buffer = moments["momentum_buffer"]
            G = h.momentum * buffer + (grad if h.dampening is None else h.damping * grad)
            buffer.assign(G)
            grad = grad + h.momentum * G if h.nesterov else G
        W.assign(W - h.lr * grad)


class Adam(Optimizer):
    """Adam: steps by the mean of the gradient over the root of its mean square.

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2
    W <- W - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    The update is computed in the order that the paper recommends at the end of its section 2, with
    the bias corrections in the step size: lr sqrt(1 - beta2^t) / (1 - beta1^t).

    Args:
        params: Parameters or groups of them; see `Optimizer`.
        lr: the learning rate.
        betas: how much of the mean and of the mean square is kept.
        eps: keeps the denominator from 0.
        weight_decay: adds weight_decay W to g.
        amsgrad: divides by the largest v so far (Reddi et al., "On the Convergence of Adam and
            Beyond", 2018).

    Raises:
        TypeError, ValueError: see `Optimizer`.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), algorithm 1.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> w = cr.Parameter([1.0, -2.0])
        >>> optimizer = optim.Adam([w], lr=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.tolist()
        [0.5, -1.5]
    """

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[Mapping[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad
        )

    def moments(self, group: ParameterGroup) -> Sequence[str]:
        names = ("exp_avg", "exp_avg_sq")
        return (*names, "max_exp_avg_sq") if group["amsgrad"] else names

    def counts_steps(self, group: ParameterGroup) -> bool:
        return True

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        correction = (1.0 - h.beta2**t).sqrt()
        h.step_size = h.lr * correction / (1.0 - h.beta1**t)
        h.eps = h.eps * correction
        h.rest1 = 1.0 - h.beta1
        h.rest2 = 1.0 - h.beta2

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        if h.weight_decay is not None:
            grad = grad + h.weight_decay * W
        W.assign(W - self.adam_step(grad, moments, h))

    def adam_step(self, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace) -> Tensor:
        """Assign the new moments; what is to be subtracted from the parameter."""
        m = h.beta1 * moments["exp_avg"] + h.rest1 * grad
        v = h.beta2 * moments["exp_avg_sq"] + h.rest2 * (grad * grad)
        moments["exp_avg"].assign(m)
        moments["exp_avg_sq"].assign(v)
        if h.amsgrad:
            v = maximum(moments["max_exp_avg_sq"], v)
            moments["max_exp_avg_sq"].assign(v)
        return h.step_size * m / (v.sqrt() + h.eps)


class AdamW(Adam):
    """Adam with decoupled weight decay: W shrinks by its own term, not through the gradient.

    W <- (1 - lr weight_decay) W - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    Args:
        params, lr, betas, eps, amsgrad: see `Adam`.
        weight_decay: the share of W, times lr, that a step takes away.

    Raises:
        TypeError, ValueError: see `Optimizer`.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019), algorithm 2, in
    PyTorch's form, where the learning rate scales the decay.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> w = cr.Parameter([1.0])
        >>> optimizer = optim.AdamW([w], lr=0.5, weight_decay=0.5)
        >>> (w * 0.0).sum().backward()
        >>> optimizer.step()
        >>> w.tolist()
        [0.75]
    """

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[Mapping[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad)

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        super().coefficients(h, t)
        if h.weight_decay is not None:
            h.kept = 1.0 - h.lr * h.weight_decay

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        kept = W if h.weight_decay is None else h.kept * W
        W.assign(kept - self.adam_step(grad, moments, h))


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
        centered: divides by the gradient's standard deviation: v - (mean of g)^2 in place of v
            (Graves, "Generating Sequences With Recurrent Neural Networks", 2013).

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

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[Mapping[str, Any]],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            params,
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
        if h.weight_decay is not None:
            grad = grad + h.weight_decay * W
        v = h.alpha * moments["square_avg"] + h.rest * (grad * grad)
        moments["square_avg"].assign(v)
        if h.centered:
            mean = h.alpha * moments["grad_avg"] + h.rest * grad
            moments["grad_avg"].assign(mean)
            v = v - mean * mean
        G = grad / (v.sqrt() + h.eps)
        if h.momentum is not None:
            G = h.momentum * moments["momentum_buffer"] + G
            moments["momentum_buffer"].assign(G)
        W.assign(W - h.lr * G)
