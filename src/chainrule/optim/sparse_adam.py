"""SparseAdam: Adam for tables of rows, of which a step needs few."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Tensor
from chainrule.ops import where
from chainrule.optim.arguments import Options
from chainrule.optim.groups import ParamsT
from chainrule.optim.moments import MomentOptimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


class SparseAdam(MomentOptimizer):
    """Adam, lazy: a row whose gradient is all 0 keeps its values, its mean and its mean square.

    m and v of the other rows follow `Adam`'s rule, and
    W <- W - lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + eps), where Adam adds eps after the
    correction of v. Adam itself would let every row fade and move in every step, those of an
    embedding too that no example of the batch has looked up.

    In a native plan a step so costs what the rows cost that were looked up; see `nn.Embedding`.

    Rows are those along the first axis. Of a Parameter without axes or with one each element is a
    row.

    Args:
        params: Parameters or groups of them; see `Optimizer`.
        lr: the learning rate.
        betas: how much of the mean and of the mean square is kept.
        eps: keeps the denominator from 0.
        options: see `Options`.

    Raises:
        TypeError, ValueError: see `Optimizer`.

    Source: PyTorch's class of this name, for the gradients that it has as sparse tensors.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> table = cr.Parameter([[1.0, 1.0], [2.0, 2.0]])
        >>> optimizer = optim.SparseAdam([table], lr=0.5)
        >>> (table[0] ** 2).sum().backward()
        >>> optimizer.step()
        >>> table.numpy().round(4).tolist()
        [[0.5, 0.5], [2.0, 2.0]]
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(params, options, lr=lr, betas=betas, eps=eps)

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        super().coefficients(h, t)
        correction = (1.0 - h.beta2**t).sqrt()
        h.step_size = h.lr * correction / (1.0 - h.beta1**t)

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        others = tuple(range(1, grad.ndim))
        largest = grad.abs().max(axis=others, keepdims=True) if others else grad.abs()
        touched = largest != 0.0  # of NaN too, which must not pass unseen
        m, v = self.next_moments(grad, moments, h)
        moments["exp_avg"].assign(where(touched, m, moments["exp_avg"]))
        moments["exp_avg_sq"].assign(where(touched, v, moments["exp_avg_sq"]))
        W.assign(where(touched, W - h.step_size * m / (v.sqrt() + h.eps), W))
