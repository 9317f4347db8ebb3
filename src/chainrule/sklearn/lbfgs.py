"""Training by scipy's L-BFGS-B, on the objective and its gradient over all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import OptimizeResult, minimize

from chainrule.compiler.capture import CapturedGraph, capture
from chainrule.data.batches import in_order
from chainrule.execute.native import NativeStep, StateBlock
from chainrule.graph.backprop import backprop
from chainrule.graph.tensor import Array, Tensor, placeholder
from chainrule.nn import Module
from chainrule.sklearn.objective import Objective
from chainrule.sklearn.sparse_rows import as_taken_by, form_of_parts

_ROWS = 512
"""Rows of which loss and gradient are computed at a time: what that needs stays in the cache."""


class FullObjective:
    """The objective over all rows, and its gradient, as a function of one float64 vector.

    Args:
        model: the network, without layers that differ from batch to batch.
        objective: what is minimised; its n counts all rows.
        x, y: the rows; x may be a CSR matrix.
        weights: of the rows, or None.

    Raises:
        ValueError: for targets that the loss does not take.
    """

    def __init__(
        self, model: Module, objective: Objective, x: Any, y: Array, weights: Array | None
    ) -> None:
        if fault := objective.target_fault(y):
            raise ValueError(f"training {fault}")
        self._model = model
        self._objective = objective
        self._x = as_taken_by(model, x)
        self._form = form_of_parts(model, x) if sparse.issparse(self._x) else None
        self._others = (y,) if weights is None else (y, weights)
        self._rows = len(y)
        self._total = float(self._rows if weights is None else weights.sum())
        self._parameters = list(model.parameters())
        size = min(_ROWS, self._rows) if objective.adds_up else self._rows
        self._sizes = [size, *([self._rows % size] if self._rows % size else [])]
        graphs = [self._captured(size) for size in self._sizes]
        block = StateBlock([*self._parameters, *(read for graph in graphs for read in graph.reads)])
        ones = [1.0] * (1 + len(self._parameters))
        self._steps = [NativeStep(graph, block, ones) for graph in graphs]

    def __call__(self, vector: Array) -> tuple[float, Array]:
        """The objective and its gradient; infinity where it is not finite."""
        self.assign(vector)
        totals: list[Array] = []
        for arrays, number in self._parts():
            rows, step = len(arrays[-1]), self._steps[number]
            step.bind(arrays)
            run = step.run(in_order(rows), 0, rows // self._sizes[number], totals=totals)
            step.release()
            if run.status != "ok":
                return np.inf, np.full(vector.shape, np.nan)
            totals = run.totals
        gradient = np.concatenate([np.ravel(total) for total in totals[1:]])
        penalty, of_penalty = self._objective.penalty(self._parameters, self._total)
        return float(totals[0]) + penalty, gradient + of_penalty

    def _parts(self) -> Iterator[tuple[list[Any], int]]:
        """Arrays, and the number of the step for them: full batches at first, then the rest."""
        size = self._sizes[0]
        full = self._rows - self._rows % size
        ends = [full] if self._form is None else range(size, full + 1, size)
        start = 0
        for end in [*ends, *([self._rows] if full < self._rows else [])]:
            others = [a[start:end] for a in self._others]
            yield [*self._inputs(start, end), *others], int(start == full)
            start = end

    def _inputs(self, start: int, end: int) -> list[Array]:
        """What the model takes of the rows from one to another."""
        if self._form is None:
            return [a[start:end] for a in (self._x if isinstance(self._x, tuple) else (self._x,))]
        found = self._form(self._x[start:end])
        return list(found) if isinstance(found, tuple) else [found]

    def _captured(self, rows: int) -> CapturedGraph:
        dtype = self._parameters[0].dtype
        inputs = self._inputs(0, 1)
        given = [
            placeholder((rows, *a.shape[1:]), dtype if a.dtype.kind == "f" else a.dtype)
            for a in (*inputs, *self._others)
        ]

        def compute(*tensors: Tensor) -> tuple[Tensor, list[Tensor]]:
            output = self._model(*tensors[: len(inputs)])
            y, *weights = tensors[len(inputs) :]
            named = {"sample_weight": weights[0]} if weights else {}
            loss = self._objective.loss(output, y, **named) * (rows / self._total)
            table = backprop(loss, self._parameters)
            return loss, [table[p.node()] for p in self._parameters]

        return capture(compute, *given)

    def vector(self) -> Array:
        """The parameters as they are."""
        found = np.concatenate([np.ravel(p.value) for p in self._parameters])  # type: ignore[arg-type]
        return found.astype(np.float64)

    def assign(self, vector: Array) -> None:
        """Let the parameters hold the numbers of a vector."""
        start = 0
        for parameter in self._parameters:
            part = vector[start : start + parameter.size].reshape(parameter.shape)
            parameter.assign(part.astype(parameter.dtype))
            start += parameter.size


def minimize_by_lbfgs(
    objective: FullObjective,
    *,
    max_iter: int,
    max_fun: int,
    tol: float,
    callback: Callable[[OptimizeResult], None] | None,
) -> OptimizeResult:
    """Minimise an objective from where it is, and leave its parameters at the best point.

    Args:
        objective: what is minimised.
        max_iter, max_fun: iterations, and evaluations, at most.
        tol: of the largest element of the gradient.
        callback: called after each iteration with what scipy says of it; it may raise
            StopIteration.
    """
    options = {"maxfun": max_fun, "maxiter": max_iter, "gtol": tol}
    begin = objective.vector()
    found: OptimizeResult = minimize(
        objective, begin, method="L-BFGS-B", jac=True, options=options, callback=callback
    )
    objective.assign(found.x)
    return found
