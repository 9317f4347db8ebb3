"""Muon: steps by an orthogonal matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Tensor
from chainrule.ops import maximum
from chainrule.ops.norms import total_norm
from chainrule.optim.arguments import Options
from chainrule.optim.groups import ParameterGroup, ParamsT
from chainrule.optim.hyperparameters import Count, Flag, Number, Numbers, OneOf, Term
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.weight_decay import decayed, kept_share

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Muon(Optimizer):
    """Muon: the momentum of a weight matrix, made orthogonal, is the step.

    B <- momentum B + (1 - momentum) G;  U = B, or momentum B + (1 - momentum) G with `nesterov`
    W <- W - lr weight_decay W - lr r orthogonal(U)

    orthogonal(U) comes near the orthogonal factor of U's polar decomposition, in which all singular
    values are 1, by Newton and Schulz's iteration from X = U / |U|:

    A = X X^T;  X <- a X + (b A + c A^2) X

    The coefficients (a, b, c) bring the singular values to about 0.7 ... 1.2 in few iterations
    rather than to 1 in many. PyTorch iterates in bfloat16; here all is in the parameter's dtype.

    Args:
        params: weight matrices or groups of them; see `Optimizer`. Muon is for the matrices of
            hidden layers: train biases, embeddings and the last layer by another optimiser.
        lr: the learning rate.
        weight_decay: the share of W, times lr, that a step takes away.
        momentum: how much of B is kept.
        nesterov: looks ahead by one more momentum: U = momentum B + (1 - momentum) G, not B.
        ns_coefficients: (a, b, c).
        eps: the smallest |U| to divide by.
        ns_steps: the number of iterations.
        adjust_lr_fn: r for a matrix of n rows and k columns: "original", the default, is
            sqrt(max(1, n / k)); "match_rms_adamw" is 0.2 sqrt(max(n, k)), so that AdamW's lr and
            weight_decay fit.
        options: see `Options`.

    Raises:
        ValueError: if a parameter is no matrix.
        TypeError, ValueError: see `Optimizer`.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024); Liu et
    al., "Muon is Scalable for LLM Training" (2025).

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn, optim
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> matrices = [p for p in model.parameters() if p.ndim == 2]
        >>> others = [p for p in model.parameters() if p.ndim != 2]
        >>> muon, adamw = optim.Muon(matrices, lr=0.02), optim.AdamW(others)
        >>> model(cr.tensor([[1.0, 2.0, 3.0, 4.0]])).sum().backward()
        >>> muon.step()
        >>> adamw.step()
    """

    lr = Number(low=0)
    weight_decay = Term()
    momentum = Term()
    nesterov = Flag()
    ns_coefficients = Numbers("ns_a", "ns_b", "ns_c")
    eps = Number(low=0)
    ns_steps = Count()
    adjust_lr_fn = OneOf(None, "original", "match_rms_adamw")

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            options,
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
            ns_coefficients=ns_coefficients,
            eps=eps,
            ns_steps=ns_steps,
            adjust_lr_fn=adjust_lr_fn,
        )

    def check_group(self, group: ParameterGroup) -> None:
        for parameter in group.params:
            if parameter.ndim != 2:
                raise ValueError(
                    f"Muon trains matrices; parameter {parameter.name or 'unnamed'} has shape "
                    f"{parameter.shape}: give it to another optimiser, such as AdamW"
                )

    def moments(self, group: ParameterGroup) -> Sequence[str]:
        return ("momentum_buffer",) if group["momentum"] else ()

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        if h.momentum is not None:
            h.rest = 1.0 - h.momentum
        h.kept = kept_share(h)

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        U = grad
        if h.momentum is not None:
            B = h.momentum * moments["momentum_buffer"] + h.rest * grad
            moments["momentum_buffer"].assign(B)
            U = h.momentum * B + h.rest * grad if h.nesterov else B
        W.assign(decayed(W, h.kept) - h.lr * self._ratio(W.shape, h) * self._orthogonal(U, h))

    @staticmethod
    def _ratio(shape: tuple[int, ...], h: SimpleNamespace) -> float:
        rows, columns = shape
        if h.adjust_lr_fn == "match_rms_adamw":
            return 0.2 * math.sqrt(max(rows, columns))
        return math.sqrt(max(1, rows / columns))

    @staticmethod
    def _orthogonal(U: Tensor, h: SimpleNamespace) -> Tensor:
        # X^T X and X X^T have the same singular values: the smaller one is less work.
        tall = U.shape[0] > U.shape[1]
        X = U / maximum(total_norm([U]).astype(U.dtype), h.eps)
        for _ in range(h.ns_steps):
            A = X.T @ X if tall else X @ X.T
            P = h.ns_b * A + h.ns_c * (A @ A)
            X = h.ns_a * X + (X @ P if tall else P @ X)
        return X
