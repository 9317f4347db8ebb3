"""L-BFGS: steps by an approximate Newton direction, for all parameters together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import accumulate
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from chainrule import checks
from chainrule.errors import SymbolicError
from chainrule.graph.context import local, with_gradients
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Array, Tensor
from chainrule.ops import concatenate, maximum, split, where, zeros_like
from chainrule.optim.arguments import check_grads, number_of
from chainrule.optim.groups import ParameterGroup, ParamsT
from chainrule.optim.hyperparameters import Count, Number, OneOf
from chainrule.optim.line_search import DECREASE, Trial, armijo, strong_wolfe
from chainrule.optim.optimizer import Optimizer

_LEAST_CURVATURE = 1e-10  # PyTorch's: with less, a pair would make H too large, or not positive


class LBFGS(Optimizer):
    """Limited-memory BFGS: d = -H g, where H is made of the last steps and changes of gradient.

    With x all parameters as one vector, g its gradient, s = x_k - x_(k-1) and y = g_k - g_(k-1) of
    the last `history_size` steps, H g is computed by the two loops of Nocedal's algorithm, without
    ever forming H; then x <- x + t d.

    It is for the full batch: with minibatches y is mostly the noise between two of them. t is lr,
    in the first iteration lr min(1, 1 / |g|_1); a pair with s y <= 1e-10 is skipped.

    `step(closure)` makes up to `max_iter` iterations, as PyTorch's: it calls the closure once at
    first, and once or more in each iteration, and ends early by `max_eval` or a tolerance. If the
    closure raises, the parameters are as before the step.

    `step(loss)`, `step()`, `update` and `Trainer` have one evaluation of the loss and its gradient
    and make one iteration of it; there `max_iter`, `max_eval` and the tolerances mean nothing, and
    the training decides when to stop.

    A line search tries several t in an iteration. "strong_wolfe" brackets a t where the loss has
    fallen by 1e-4 of what the slope promises, and the slope to 0.9 of itself. "armijo" halves t
    until the first of these holds, f(x + t d) <= f(x) + 1e-4 t g d. Without a closure a step with
    "armijo" is one trial: if the loss there has not fallen enough, the next step goes back and
    tries t / 2; else it is accepted and a new direction is made from there. So the parameters may
    stand at a trial that the next step would refuse, and every step needs the loss: `step(loss)`,
    or `update(grads, loss)`; `Trainer` gives it. A loss that is NaN is refused like one that is too
    high, except in the first step, which has nothing to go back to; a `Trainer` stops at any NaN.

    Args:
        params: Parameters of one dtype, as one group. In a step in which some of them have a
            gradient, it is 0 for the others.
        lr: t, or where a line search begins, except in the first iteration. 1 is Newton's.
        max_iter: the most iterations of one step with a closure.
        max_eval: the calls of the closure after which no iteration begins, and "strong_wolfe" takes
            the best that it has; by default 5/4 of `max_iter`.
        tolerance_grad: a step ends where no element of the gradient is larger.
        tolerance_change: a step ends where no parameter, or the loss, has changed by more.
        history_size: how many pairs (s, y) are kept; each takes the memory of two gradients.
        line_search_fn: None, "armijo" or, with a closure, "strong_wolfe".

    Raises:
        ValueError: if there are two groups or dtypes, if a line search gets no loss, or if
            "strong_wolfe" gets no closure.
        SymbolicError: if `step(closure)` is called while a graph is captured, by `cr.compile` too:
            the losses decide what it does. `step(loss)` can be captured.
        TypeError, ValueError: see `Optimizer`.

    Source: Nocedal, "Updating Quasi-Newton Matrices with Limited Storage" (1980); Nocedal and
    Wright, "Numerical Optimization" (2006), algorithms 3.1, 3.5, 3.6, 7.4 and 7.5.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> w = cr.Parameter([3.0, -1.0], "float64")
        >>> optimizer = optim.LBFGS([w], line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (w * w * [1.0, 10.0]).sum()
        ...     loss.backward()
        ...     return loss
        >>> optimizer.step(closure).item()
        19.0
        >>> bool(abs(w.numpy()).max() < 1e-6)
        True
    """

    lr = Number(low=0)
    max_iter = Count()
    max_eval = Count()
    tolerance_grad = Number()
    tolerance_change = Number()
    history_size = Count()
    line_search_fn = OneOf(None, "armijo", "strong_wolfe")

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if max_eval is None:
            max_eval = checks.count("max_iter", max_iter) * 5 // 4
        super().__init__(
            params,
            lr=lr,
            max_iter=max_iter,
            max_eval=max_eval,
            tolerance_grad=tolerance_grad,
            tolerance_change=tolerance_change,
            history_size=history_size,
            line_search_fn=line_search_fn,
        )

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
        if group["line_search_fn"] == "armijo":
            state |= {"x": vector, "f": number, "slope": number}  # where a trial starts from
        return state

    def step(self, closure: Callable[[], Any] | Tensor | None = None) -> Any:
        if closure is None or isinstance(closure, (Tensor, type)) or not callable(closure):
            return super().step(closure)
        if local.context.capture is not None:
            raise SymbolicError(
                "LBFGS calls its closure as often as the losses ask for, which no graph holds: "
                "take step(closure) out of the compiled function, and compile the closure, or call "
                "step(loss) after backward(), which is one iteration"
            )
        group = self.param_groups[0]
        begun = [W.numpy() for W in group.params]
        try:
            return _iterate(group, closure)
        except BaseException:
            for W, value in zip(group.params, begun, strict=True):
                W.assign(value)
            raise

    def update(self, grads: Sequence[Tensor | None], loss: Tensor | None = None) -> None:
        search = self.param_groups[0]["line_search_fn"]
        if search == "strong_wolfe":
            raise ValueError(
                "strong_wolfe evaluates the loss several times a step: call step(closure); in a "
                "Trainer, or to call step(loss), construct LBFGS with line_search_fn='armijo'"
            )
        if loss is None and search is not None:
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
            excess = where(first, 0.0, loss - (h.f + DECREASE * h.t * h.slope))
            accepted = excess <= 0.0
            sy = where(accepted, sy, 0.0)
        self._update_history(h, s, y, sy)
        history = [(h.S[i], h.Y[i], h.rho[i]) for i in range(h.history_size)]
        d = _direction(history, h.H_diag, g)
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


def _direction(pairs: Collection[tuple[Any, Any, Any]], H_diag: Any, g: Any) -> Any:
    """-H g of Tensors or arrays, by two loops: from the newest pair to the oldest, and back."""
    d = -g
    alphas = []
    for s, y, rho in reversed([*pairs]):
        alphas.append(rho * (s * d).sum())
        d = d - alphas[-1] * y
    d = H_diag * d
    for s, y, rho in pairs:
        d = d + (alphas.pop() - rho * (y * d).sum()) * s
    return d


def _vector(tensors: Sequence[Tensor]) -> Tensor:
    """All elements, one tensor's after another's."""
    return concatenate([tensor.reshape(-1) for tensor in tensors])


def _iterate(group: ParameterGroup, closure: Callable[[], Any]) -> Any:
    """Iterations with several evaluations of the loss: one step with a closure."""
    h = SimpleNamespace(**group.numbers(), **{n: b.numpy() for n, b in group.buffers.items()})
    x = np.concatenate([W.numpy().reshape(-1) for W in group.params])
    first, f, g = _evaluate(group, x, closure)
    if not np.abs(g).max(initial=0) > h.tolerance_grad:
        return first
    filled = np.flatnonzero(h.rho)  # pairs of zeros add nothing
    pairs = deque(((h.S[i], h.Y[i], h.rho[i]) for i in filled), h.history_size)
    evaluations = 1

    def attempt(t: float) -> Trial:
        nonlocal evaluations
        evaluations += 1
        _, f, g = _evaluate(group, x + t * h.d, closure)
        return Trial(t, f, g, float(g @ h.d))

    for iteration in range(1, h.max_iter + 1):
        t = _new_direction(h, pairs, g)
        h.g, h.t, h.x, h.f, h.slope = g, t, x, f, float(g @ h.d)
        if h.slope > -h.tolerance_change:
            break
        start = Trial(0.0, f, g, h.slope)
        if h.line_search_fn == "strong_wolfe":
            at = strong_wolfe(attempt, start, t, h.max_eval - evaluations, float(np.abs(h.d).max()))
        elif h.line_search_fn == "armijo":
            at = armijo(attempt, start, t)
        elif iteration < h.max_iter:
            at = attempt(t)
        else:
            at = start._replace(t=t)  # the next step evaluates the loss there
        change = f - at.f
        h.t, f, g = at.t, at.f, at.g
        x = x + at.t * h.d
        if (
            evaluations >= h.max_eval
            or np.abs(g).max() <= h.tolerance_grad
            or np.abs(at.t * h.d).max() <= h.tolerance_change
            or abs(change) < h.tolerance_change
        ):
            break
    _place(group, x)
    _keep(group, h, pairs)
    return first


def _new_direction(h: SimpleNamespace, pairs: deque[Any], g: Array) -> float:
    """Count an iteration and set its direction d; returns the first t to try along it."""
    h.step = int(h.step) + 1
    if h.step == 1:
        h.d = -g
        return float(h.lr) * min(1.0, 1.0 / float(np.abs(g).sum()))
    s, y = h.t * h.d, g - h.g
    if (sy := s @ y) > _LEAST_CURVATURE:
        pairs.append((s, y, 1 / sy))
        h.H_diag = sy / (y @ y)
    h.d = _direction(pairs, h.H_diag, g)
    return float(h.lr)


def _evaluate(
    group: ParameterGroup, x: Array, closure: Callable[[], Any]
) -> tuple[Any, float, Array]:
    """What the closure returns at x; and the function to minimise with its gradient there."""
    _place(group, x)
    loss = with_gradients(closure)
    grads = [W.grad for W in group.params]
    check_grads(group.params, grads)
    parts = [
        np.zeros(W.size, W.dtype) if grad is None else grad.numpy().reshape(-1)
        for W, grad in zip(group.params, grads, strict=True)
    ]
    sign = -1 if group["maximize"] else 1
    return loss, sign * number_of(loss), sign * np.concatenate(parts)


def _place(group: ParameterGroup, x: Array) -> None:
    """Let the parameters be the parts of x."""
    ends = accumulate(W.size for W in group.params[:-1])
    for W, part in zip(group.params, np.split(x, [*ends]), strict=True):
        W.assign(part.reshape(W.shape))


def _keep(group: ParameterGroup, h: SimpleNamespace, pairs: Collection[Any]) -> None:
    """Let the group's buffers hold what the next step goes on from."""
    for name, buffer in group.buffers.items():
        value = np.zeros(buffer.shape, buffer.dtype)
        if name in ("S", "Y", "rho"):
            for row, pair in enumerate(pairs, len(value) - len(pairs)):
                value[row] = pair[("S", "Y", "rho").index(name)]
        else:
            value[...] = getattr(h, name)
        buffer.replace(value)
