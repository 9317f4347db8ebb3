"""Adam, AdamW and NAdam: the mean of the gradient over the root of its mean square."""

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
from chainrule.optim.moments import MomentOptimizer
from chainrule.optim.weight_decay import add_decay, decayed, kept_share

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Adam(MomentOptimizer):
    """Adam: steps by the mean of the gradient over the root of its mean square.

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2
    W <- W - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    The update is computed in the order that the paper recommends at the end of its section 2, with
    the bias corrections in the step size: lr sqrt(1 - beta2^t) / (1 - beta1^t).

    In float32 the square of a gradient beyond 1.8e19 is infinite, and so is v from then on: the
    weight stays as it is. This holds for all that divide by the root of squares, and in PyTorch
    from about 6e20. Clip such gradients.

    Args:
        params: Parameters or groups of them; see `Optimizer`.
        lr: the learning rate.
        betas: how much of the mean and of the mean square is kept.
        eps: keeps the denominator from 0.
        weight_decay: adds weight_decay W to g.
        amsgrad: divides by the largest v so far (Reddi et al., "On the Convergence of Adam and
            Beyond", 2018).
        decoupled_weight_decay: must be False: Adam with it is `AdamW`.
        options: see `Options`.

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

    weight_decay = Term()
    amsgrad = Flag()

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        decoupled_weight_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        if decoupled_weight_decay:
            raise ValueError("Adam with decoupled_weight_decay is optim.AdamW")
        super().__init__(
            params, options, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad
        )

    def moments(self, group: ParameterGroup) -> Sequence[str]:
        names = super().moments(group)
        return (*names, "max_exp_avg_sq") if group["amsgrad"] else names

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        super().coefficients(h, t)
        correction = (1.0 - h.beta2**t).sqrt()
        h.step_size = h.lr * correction / (1.0 - h.beta1**t)
        h.eps = h.eps * correction

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        grad = add_decay(grad, W, h)
        W.assign(W - self.adam_step(grad, moments, h))

    def adam_step(self, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace) -> Tensor:
        """Assign the new moments; return the step, to be subtracted from the parameter."""
        m, v = self.assign_moments(grad, moments, h)
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
        options: see `Options`.

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
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        # Past the constructor of Adam, which takes decoupled_weight_decay.
        super(Adam, self).__init__(
            params, options, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad
        )

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        super().coefficients(h, t)
        h.kept = kept_share(h)

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        W.assign(decayed(W, h.kept) - self.adam_step(grad, moments, h))


class NAdam(MomentOptimizer):
    """Adam with Nesterov's momentum: the mean looks ahead by one gradient.

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2
    W <- W - lr (mu_(t+1) m / (1 - M_(t+1)) + (1 - mu_t) g / (1 - M_t)) / d

    with mu_t = beta1 (1 - 0.96^(momentum_decay t) / 2), M_t = mu_1 ... mu_t and
    d = sqrt(v / (1 - beta2^t)) + eps.

    Args:
        params: Parameters or groups of them; see `Optimizer`.
        lr: the learning rate.
        betas: how much of the mean and of the mean square is kept.
        eps: keeps the denominator from 0.
        weight_decay: adds weight_decay W to g.
        momentum_decay: how fast mu_t rises from beta1 / 2 to beta1.
        decoupled_weight_decay: W shrinks by lr weight_decay W instead, as in `AdamW`.
        options: see `Options`.

    Raises:
        TypeError, ValueError: see `Optimizer`.

    Source: Dozat, "Incorporating Nesterov Momentum into Adam" (2016), in PyTorch's form.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> w = cr.Parameter([1.0])
        >>> optimizer = optim.NAdam([w], lr=0.5, betas=(0.0, 0.0))
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.tolist()
        [0.5]
    """

    weight_decay = Term()
    momentum_decay = Number(low=0)
    decoupled_weight_decay = Flag()

    def __init__(
        self,
        params: ParamsT,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
        )

    def step_buffers(self, group: ParameterGroup) -> Mapping[str, float]:
        return {"mu_product": 1.0}

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        assert t is not None
        super().coefficients(h, t)
        mu = h.beta1 * (1.0 - 0.5 * 0.96 ** (t * h.momentum_decay))
        mu_next = h.beta1 * (1.0 - 0.5 * 0.96 ** ((t + 1.0) * h.momentum_decay))
        product = h.mu_product * mu
        h.mu_product.assign(product)
        h.of_grad = h.lr * (1.0 - mu) / (1.0 - product)
        h.of_mean = h.lr * mu_next / (1.0 - product * mu_next)
        h.root_correction = (1.0 - h.beta2**t).sqrt()
        h.kept = kept_share(h) if h.decoupled_weight_decay else None

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        kept = decayed(W, h.kept)
        if not h.decoupled_weight_decay:
            grad = add_decay(grad, W, h)
        m, v = self.assign_moments(grad, moments, h)
        root = v.sqrt() / h.root_correction + h.eps
        W.assign(kept - (h.of_mean * m + h.of_grad * grad) / root)
