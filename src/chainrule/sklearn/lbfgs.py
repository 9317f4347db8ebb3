"""Training by scipy's L-BFGS-B, on the objective and its gradient over all rows."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import OptimizeResult, minimize

from chainrule.compiler.capture import CapturedGraph, capture
from chainrule.compiler.elementwise import UnsupportedError
from chainrule.data.batches import in_order
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock
from chainrule.graph.backprop import backprop
from chainrule.graph.tensor import Array, Tensor, placeholder
from chainrule.nn import Module
from chainrule.sklearn.objective import Objective
from chainrule.sklearn.sparse_rows import as_taken_by, form_of_parts
from chainrule.system.threads import ThreadShare, get_num_threads, one_blas_thread

_ROWS = 512
"""Rows of which loss and gradient are computed at a time: what that needs stays in the cache."""
_BATCHES = 2
"""Batches of a run, which one thread does after another without a look at the others."""
_RUNS_OF_A_THREAD = 2
"""At least; for fewer a thread takes longer to wake up than the runs would."""
_AHEAD = 4
"""Runs for each thread whose totals may wait for those of an earlier run, which takes longer."""

_REMEDY = (
    "solver='lbfgs' runs natively alone: take one that trains by minibatches, as 'adam', with "
    "chainrule.set_default_backend('reference'), which runs it with NumPy"
)
"""What to do about an operation that has no native kernel."""


class _Sums:
    """The sums of the arrays that several threads find, each for numbers of its own.

    The arrays are added in the order of the numbers, from 0 to `count` - 1, whichever are found
    first: so the sums are the same bits for any number of threads.

    Args:
        count: how many numbers there are.
        ahead: how many numbers the threads may take before the first of them is added.

    Attributes:
        totals: the sums so far.
    """

    def __init__(self, count: int, ahead: int) -> None:
        self.totals: list[Array] = []
        self._count = count
        self._ahead = ahead
        self._next = self._added = 0
        self._waiting: dict[int, list[Array]] = {}
        self._changed = threading.Condition()

    @property
    def is_complete(self) -> bool:
        """Whether the arrays of all numbers are in the sums."""
        return self._added == self._count

    def numbers(self) -> Iterator[int]:
        """Those for a thread, which no other gets, until none is left."""
        while True:
            with self._changed:
                self._changed.wait_for(self._may_go_on)
                number = self._next
                self._next += 1
            if number >= self._count:
                return
            yield number

    def _may_go_on(self) -> bool:
        return self._next >= self._count or self._next < self._added + self._ahead

    def end(self) -> None:
        """Leave no number to any thread."""
        with self._changed:
            self._next = self._count
            self._changed.notify_all()

    def add(self, number: int, arrays: list[Array]) -> None:
        """Add the arrays of a number, once those of all before it are added."""
        with self._changed:
            self._waiting[number] = arrays
            while self._added in self._waiting:
                found = self._waiting.pop(self._added)
                pairs = zip(self.totals, found, strict=True)
                self.totals = [a + b for a, b in pairs] if self._added else found
                self._added += 1
            self._changed.notify_all()


class FullObjective:
    """The objective over all rows, and its gradient, as a function of one float64 vector.

    Args:
        model: the network, without layers that differ from batch to batch.
        objective: what is minimised; its n counts all rows.
        x, y: the rows; x may be a CSR matrix.
        weights: of the rows, or None.

    Raises:
        ValueError: for targets that the loss does not take, and for layers that draw random numbers
            or take statistics of a batch.
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
        decay = {layer.weight for layer in objective.layers}
        self._decays = np.concatenate([np.full(p.size, p in decay) for p in self._parameters])
        self._size = min(_ROWS, self._rows) if objective.adds_up else self._rows
        rest = self._rows % self._size
        starts = [*range(0, self._rows - rest, _BATCHES * self._size), self._rows - rest]
        self._runs = list(itertools.pairwise([*starts, *([self._rows] if rest else [])]))
        # CSR rows are brought into their form by Python, of which one thread runs at a time.
        most = len(self._runs) // _RUNS_OF_A_THREAD if self._form is None else 1
        threads = max(1, min(get_num_threads(), most))
        graphs = [self._captured(rows) for rows in (self._size, rest) if rows]
        self._block = StateBlock([*self._parameters, *(r for graph in graphs for r in graph.reads)])
        ones = [1.0] * (1 + len(self._parameters))
        try:
            steps = [[NativeStep(g, self._block, ones) for g in graphs] for _ in range(threads)]
        except UnsupportedError as error:
            raise UnsupportedError(f"{error}; {_REMEDY}") from None
        self._steps = steps
        self._share = ThreadShare(1) if threads > 1 else ThreadShare()
        self._pool = ThreadPoolExecutor(max(1, threads - 1))

    def __call__(self, vector: Array) -> tuple[float, Array]:
        """The objective and its gradient; infinity where it is not finite."""
        self.assign(vector)
        with self._block.guard.alone:
            self._block.copy_assigned()  # else the first run would, while the others wait
        sums = _Sums(len(self._runs), _AHEAD * len(self._steps))
        others = [self._pool.submit(self._work, steps, sums) for steps in self._steps[1:]]
        self._work(self._steps[0], sums)
        for other in others:
            other.result()
        if not sums.is_complete:
            return np.inf, np.full(vector.shape, np.nan)
        totals = sums.totals
        gradient = np.concatenate([np.ravel(total) for total in totals[1:]])
        decaying = np.where(self._decays, vector, 0.0)
        share = self._objective.alpha / self._total
        penalty = 0.5 * share * float(decaying @ decaying)
        return float(totals[0]) + penalty, gradient + share * decaying

    @contextmanager
    def threads(self) -> Iterator[None]:
        """Calls run in threads of their own inside the block."""
        with self._pool, one_blas_thread() if len(self._steps) > 1 else nullcontext():
            yield

    def _work(self, steps: list[NativeStep], sums: _Sums) -> None:
        """Do runs that no other thread does, up to one whose loss is not finite."""
        with self._share.taken():
            try:
                for number in sums.numbers():
                    found = self._run(steps, *self._runs[number])
                    if found is None:
                        return
                    sums.add(number, found)
            finally:
                sums.end()  # an error or an interrupt, too, ends the work of the others

    def _run(self, steps: list[NativeStep], begin: int, end: int) -> list[Array] | None:
        """The totals of the rows from one to another; None where the loss is not finite."""
        size = min(self._size, end - begin)
        step = steps[0] if size == self._size else steps[1]
        rows = end - begin if self._form is None else size
        totals: list[Array] = []
        for start in range(begin, end, rows):
            others = [a[start : start + rows] for a in self._others]
            step.bind([*self._inputs(start, start + rows), *others])
            order, done = in_order(rows), 0
            while done < rows // size:  # a run ends early where a thread waits for the parameters
                run = step.run(order, done, rows // size - done, totals=totals)
                if run.status != "ok":
                    step.release()
                    return None
                done, totals = done + run.steps, run.totals
            step.release()
        return totals

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
            named = {"sample_weight": weights[0] * (self._rows / self._total)} if weights else {}
            loss = self._objective.mean_loss(output, y, **named) * (rows / self._rows)
            table = backprop(loss, self._parameters)
            return loss, [table[p.node()] for p in self._parameters]

        graph = capture(compute, *given)
        if graph.updates:
            raise ValueError(
                "a layer of the network draws random numbers, or takes statistics of each batch: "
                "it needs a solver that trains by minibatches, as 'adam'; solver='lbfgs' minimises "
                "one function of all rows"
            )
        return graph

    def vector(self) -> Array:
        """The parameters as they are."""
        found = np.concatenate([np.ravel(p.value) for p in self._parameters])  # type: ignore[arg-type]
        return found.astype(np.float64)

    def assign(self, vector: Array) -> None:
        """Let the parameters hold the numbers of a vector."""
        start = 0
        for parameter in self._parameters:
            part = vector[start : start + parameter.size].reshape(parameter.shape)
            parameter.replace(part.astype(parameter.dtype))
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
    with objective.threads():
        found: OptimizeResult = minimize(
            objective, begin, method="L-BFGS-B", jac=True, options=options, callback=callback
        )
    objective.assign(found.x)
    return found
