"""L-BFGS: steps by an approximate Newton direction, for all parameters together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor
from chainrule.ops import concatenate, maximum, split, where, zeros_like
from chainrule.optim.groups import ParameterGroup, ParamsT
from chainrule.optim.hyperparameters import Count, Number, OneOf
from chainrule.optim.optimizer import Optimizer

_LEAST_CURVATURE = 1e-10  # PyTorch's: with less, a pair would make H too large, or not positive
_ARMIJO = 1e-4  # the c1 of Nocedal and Wright, section 3.1


class LBFGS(Optimizer):
    """Limited-memory BFGS: d = -H g, where H is made of the last steps and changes of gradient.

    With x all parameters as one vector, g its gradient, s = x_k - x_(k-1) and y = g_k - g_(k-1) of
    the last `history_size` steps, H g is computed by the two loops of Nocedal's algorithm, without
    ever forming H; then x <- x + t d.

    It is for the full batch: with minibatches y is mostly the noise between two of them. One step
    takes one evaluation of the loss and its gradient, as with all optimisers here: these are the
    steps of PyTorch's LBFGS with max_iter=1. t is lr, in the first step lr min(1, 1 / |g|_1); a
    pair with s y <= 1e-10 is skipped. There are no tolerances: the training decides when to stop.

    With `line_search_fn="armijo"` a step is a trial. If the loss there has not fallen by at least
    1e-4 of what the slope promises, f(x + t d) <= f(x) + 1e-4 t g d (Armijo's condition), the next
    step goes back and tries t / 2; else it is accepted and a new direction is made from there. So
    the parameters may stand at a trial that the next step would refuse, and every step needs the
    loss: `step(loss)`, or `update(grads, loss)`; `Trainer` gives it. A loss that is NaN is refused
    like one that is too high, except in the first step, which has nothing to go back to; a
    `Trainer` stops at any NaN.

    Args:
        params: Parameters of one dtype, as one group. In a step in which some of them have a
            gradient, it is 0 for the others.
        lr: t, except in the first step. 1 is Newton's.
        history_size: how many pairs (s, y) are kept; each takes the memory of two gradients.
        line_search_fn: None or "armijo".

    Raises:
        ValueError: if there are two groups or dtypes, or if a line search gets no loss.
        TypeError, ValueError: see `Optimizer`.

    Source: Nocedal, "Updating Quasi-Newton Matrices with Limited Storage" (1980); Nocedal and
    Wright, "Numerical Optimization" (2006), algorithms 3.1, 7.4 and 7.5.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> w = cr.Parameter([3.0, -1.0], "float64")
        >>> optimizer = optim.LBFGS([w], line_search_fn="armijo")
        >>> for _ in range(20):
        ...     optimizer.zero_grad()
        ...     loss = (w * w * [1.0, 10.0]).sum()
        ...     loss.backward()
        ...     optimizer.step(loss)
        >>> bool(loss.item() < 1e-12)
        True
    """

    lr = Number(low=0)
    history_size = Count()
    line_search_fn = OneOf(None, "armijo")

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        super().__init__(params, lr=lr, history_size=history_size, line_search_fn=line_search_fn)

    def check_group(self, group: ParameterGroup) -> None:
        if self.param_groups:
            raise ValueError("LBFGS takes one group: all its parameters are one vector")
        dtypes = {parameter.dtype: None for parameter in group.params}
        if len(dtypes) > 1:
            raise ValueError(
                f"LBFGS takes parameters of one dtype, got {', '.join(map(str, dtypes))}: they are "
                "one vector"
            )

    def group_buffers(self, group: ParameterGroup) -> Mapping[str, ArrayLike]:
        dtype = group.params[0].dtype
        pairs, size = group["history_size"], sum(W.size for W in group.params)
        vector, number = np.zeros(size, dtype), np.zeros((), dtype)
        # Pairs of zeros add nothing to H.
        state: dict[str, Any] = {
            "S": np.zeros((pairs, size), dtype),
            "Y": np.zeros((pairs, size), dtype),
            "rho": np.zeros(pairs, dtype),
            "H_diag": number + 1,
            "d": vector,
            "t": number,
            "g": vector,
            "step": np.float64(0),
        }
        if group["line_search_fn"] is not None:
            state |= {"x": vector, "f": number, "slope": number}  # where a trial starts from
        return state

    def update(self, grads: Sequence[Tensor | None], loss: Tensor | None = None) -> None:
        if loss is None and self.param_groups[0]["line_search_fn"] is not None:
            raise ValueError(
                "a line search needs the loss: call step(loss) or update(grads, loss); a Trainer "
                "that accumulates gradients has none, so train with accumulate=1"
            )
        super().update(grads, loss)

    def group_rule(
        self,
        group: ParameterGroup,
        pairs: Sequence[tuple[Parameter, Tensor]],
        h: SimpleNamespace,
        loss: Tensor | None,
    ) -> None:
        h.step.assign(h.step + 1.0)
        grads = dict(pairs)
        loss = loss if h.line_search_fn is not None else None
        g = _vector([grads.get(W, zeros_like(W)) for W in group.params])
        x = _vector(group.params)
        s, y = h.t * h.d, g - h.g
        first = h.step == 1.0
        sy = (s * y).sum()
        if loss is not None:
            loss = loss.astype(g.dtype)
            # The first step has no point to go back to: it accepts any loss, NaN too.
            excess = where(first, 0.0, loss - (h.f + _ARMIJO * h.t * h.slope))
            accepted = excess <= 0.0
            sy = where(accepted, sy, 0.0)
        self._update_history(h, s, y, sy)
        d = self._direction(h, g)
        t = h.lr.astype(g.dtype) / where(first, maximum(g.abs().sum(), 1.0), 1.0)
        if loss is not None:
            x, g, d = (where(accepted, a, b) for a, b in ((x, h.x), (g, h.g), (d, h.d)))
            t = where(accepted, t, 0.5 * h.t)
            h.slope.assign((g * d).sum())
            h.f.assign(where(accepted, loss, h.f))
            h.x.assign(x)
        h.g.assign(g)
        h.d.assign(d)
        h.t.assign(t)
        parts = split(x + t * d, [*accumulate(W.size for W in group.params[:-1])])
        for W, part in zip(group.params, parts, strict=True):
            W.assign(part.reshape(W.shape))

    @staticmethod
    def _update_history(h: SimpleNamespace, s: Tensor, y: Tensor, sy: Tensor) -> None:
        """Append a pair to the history and drop the oldest, if its curvature is positive."""
        curves = sy > _LEAST_CURVATURE
        yy = where(curves, (y * y).sum(), 1.0)
        new = {"S": s.reshape(1, -1), "Y": y.reshape(1, -1)}
        new["rho"] = (1.0 / where(curves, sy, 1.0)).reshape(1)
        for name, row in new.items():
            history = getattr(h, name)
            history.assign(where(curves, concatenate([history[1:], row]), history))
        h.H_diag.assign(where(curves, sy / yy, h.H_diag))

    @staticmethod
    def _direction(h: SimpleNamespace, g: Tensor) -> Tensor:
        """-H g, by two loops: from the newest pair to the oldest, and back."""
        history = range(h.history_size)
        pairs = [(h.S[i], h.Y[i], h.rho[i]) for i in history]
        d = -g
        alphas = []
        for s, y, rho in reversed(pairs):
            alphas.append(rho * (s * d).sum())
            d = d - alphas[-1] * y
        d = h.H_diag * d
        for s, y, rho in pairs:
            d = d + (alphas.pop() - rho * (y * d).sum()) * s
        return d


def _vector(tensors: Sequence[Tensor]) -> Tensor:
    """All elements, one tensor's after another's."""
    return concatenate([tensor.reshape(-1) for tensor in tensors])
