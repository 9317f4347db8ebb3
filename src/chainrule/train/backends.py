"""How steps run: by the reference interpreter batch by batch, or by native plans many at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from chainrule.caches import LruCache
from chainrule.compiler.capture import CapturedGraph
from chainrule.data.arrays import take
from chainrule.errors import NonFiniteError
from chainrule.execute.reference import Interpreter
from chainrule.graph.state import HyperParameter
from chainrule.graph.tensor import Array, Tensor
from chainrule.train.step import MOST_GRAPHS, StepGraphs, label_fault
from chainrule.trees import leaves, map_leaves

if TYPE_CHECKING:
    from chainrule.execute.native import NativeStep, Run, StateBlock

_SECONDS = 0.1
"""How long a native run stays away from Python: progress and Ctrl-C wait no longer."""

_MOST_FORMS = 256
"""Of how many forms of batches a backend knows what stands for them."""

LearningRates = Sequence[Mapping[HyperParameter, float]]
"""For each coming step what a schedule sets: the learning rate of every group, above all."""


class Totals:
    """Sums over batches: the loss weighted by rows, rows, and what the metrics add up."""

    def __init__(self) -> None:
        self.loss = 0.0
        self.rows = 0
        self.metrics: list[Array] = []

    def sums(self) -> list[Any]:
        """The sums so far; none before the first batch."""
        return [self.loss, *self.metrics] if self.rows else []

    def grow(self, rows: int, sums: Sequence[Array]) -> None:
        """With so many more rows the sums are these."""
        self.rows += rows
        self.loss, self.metrics = float(sums[0]), list(sums[1:])

    def add(self, rows: int, values: Sequence[Array | float]) -> None:
        """Add the values of a batch of so many rows."""
        before = self.sums() or [0.0] * len(values)
        self.grow(rows, [np.add(a, b) for a, b in zip(before, values, strict=True)])


class Batches:
    """The batches of one pass over data, by row numbers.

    Attributes:
        x, y: arrays, or tuples or dicts of them; y may be None, or `Weighted`.
        order: the rows, in the order in which they come.
        size: rows in a batch; the last may have fewer.
    """

    def __init__(self, x: Any, y: Any, order: Array, size: int) -> None:
        self.x = map_leaves(_readable, x)
        self.y = map_leaves(_readable, y)
        self.order = order
        self.size = size

    def __len__(self) -> int:
        return -(-len(self.order) // self.size)

    @property
    def whole(self) -> int:
        """How many batches have all their rows."""
        return len(self.order) // self.size

    def length(self, number: int) -> int:
        """How many rows a batch has."""
        return min(self.size, len(self.order) - number * self.size)

    def rows(self, number: int) -> Array:
        """The row numbers of a batch."""
        return self.order[number * self.size : (number + 1) * self.size]


def _readable(array: Array) -> Array:
    """The array, or a copy where the core can't take rows from it: if the elements of a row lie
    apart, as in Fortran's order, are not aligned, or are half or extended floats."""
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        return array.astype(np.float32 if array.dtype.itemsize == 2 else np.float64, order="C")
    if not array.flags.aligned or (array.ndim > 1 and not array[:1].flags.c_contiguous):
        return np.array(array, order="C")
    return array


class Steps(NamedTuple):
    """Training steps to do, one on each batch.

    Attributes:
        batches: the data.
        first: the number of the first batch.
        most: how many at most; fewer may be done, but at least one.
        update: whether a batch ends in an update, or only accumulates gradients.
        lrs: the learning rates of each step, where they change from step to step.
        check: whether what is not finite is refused.
    """

    batches: Batches
    first: int
    most: int
    update: bool = True
    lrs: LearningRates | None = None
    check: bool = True


class Backend(Protocol):
    """Runs the steps of a model."""

    graphs: StepGraphs

    def train(self, steps: Steps, totals: Totals) -> tuple[int, float]:
        """Train on one of the batches or more; the losses and metrics are added to `totals`.

        Returns:
            The number of batches done, and the loss of the last.

        Raises:
            NonFiniteError: if the loss, or what the steps made of the state, is not finite; the
                state is as before that step. Its `steps_done` says how many came before.
        """

    def evaluate(self, batches: Batches, totals: Totals) -> None:
        """Add the loss and the metrics of all batches to the totals."""

    def predict(self, batches: Batches, *, sampling: bool = False) -> Iterator[Any]:
        """The outputs of each batch; if `sampling`, as `StepGraphs.prediction` says."""

    def release(self) -> None:
        """Hold no data any longer."""


def make_backend(name: str, graphs: StepGraphs) -> Backend:
    """The backend of that name.

    Raises:
        ValueError: if there is none.
    """
    backends: dict[str, Callable[[StepGraphs], Backend]] = {
        "native": NativeBackend,
        "reference": ReferenceBackend,
    }
    if name not in backends:
        raise ValueError(f"backend is {' or '.join(map(repr, backends))}, got {name!r}")
    return backends[name](graphs)


class ReferenceBackend:
    """One batch a call, by NumPy."""

    def __init__(self, graphs: StepGraphs) -> None:
        self.graphs = graphs
        self._interpreters: LruCache[CapturedGraph, Interpreter] = LruCache(MOST_GRAPHS)

    def _interpreter(self, graph: CapturedGraph) -> Interpreter:
        run = self._interpreters.get(graph)
        if run is None:
            run = Interpreter(graph)
            self._interpreters.add(graph, run)
        return run

    def train(self, steps: Steps, totals: Totals) -> tuple[int, float]:
        x, y, rows = _batch(self.graphs, steps.batches, steps.first)
        run = self._interpreter(self.graphs.training(x, y, update=steps.update))
        arguments = list(leaves((x, y)))
        (loss, *sums), updates = run.run(arguments)
        with np.errstate(all="ignore"):
            is_finite = math.isfinite(loss) and all(map(_is_finite, updates))
        if steps.check and not is_finite:
            raise _non_finite(run, arguments, float(loss), 0)
        run.commit(updates)
        totals.add(rows, [float(loss) * self.graphs.weight(rows), *sums])
        return 1, float(loss)

    def evaluate(self, batches: Batches, totals: Totals) -> None:
        for number in range(len(batches)):
            x, y, rows = _batch(self.graphs, batches, number)
            run = self._interpreter(self.graphs.evaluation(x, y))
            (loss, *sums), updates = run.run(list(leaves((x, y))))
            run.commit(updates)
            totals.add(rows, [float(loss) * self.graphs.weight(rows), *sums])

    def predict(self, batches: Batches, *, sampling: bool = False) -> Iterator[Any]:
        for number in range(len(batches)):
            x, _, _ = _batch(self.graphs, batches, number)
            run = self._interpreter(self.graphs.prediction(x, sampling=sampling))
            outputs, updates = run.run(list(leaves(x)))
            run.commit(updates)
            yield _structured(outputs, run.graph)

    def release(self) -> None:
        pass


class NativeBackend:
    """Many batches a call, by native plans over one block of state."""

    def __init__(self, graphs: StepGraphs) -> None:
        self.graphs = graphs
        self.profile = False
        self.last: NativeStep | None = None
        """The training step that ran last, over whole batches where there are any."""
        self._block: StateBlock | None = None
        self._steps: LruCache[CapturedGraph, NativeStep] = LruCache(MOST_GRAPHS)
        self._likes: LruCache[Any, tuple[Any, Any]] = LruCache(_MOST_FORMS)
        """What stands for a batch of a form."""

    def _native(self, kind: str, batches: Batches, number: int, update: bool = True) -> NativeStep:
        """The plan for a batch; only where there is none yet is a batch looked at.

        Outputs of "prediction" and "sampling" are to be fetched, those of "training" and
        "evaluation" are summed up, the loss by rows.
        """
        x, y = self._like(batches, number)
        if kind == "training":
            graph = self.graphs.training(x, y, update=update)
        elif kind == "evaluation":
            graph = self.graphs.evaluation(x, y)
        else:
            graph = self.graphs.prediction(x, sampling=kind == "sampling")
        step = self._steps.get(graph)
        if step is None:
            sums = kind in ("training", "evaluation")
            step = self._planned(graph, batches.length(number) if sums else None)
            gone = self._steps.add(graph, step)
            if gone is not None:
                gone.release()
        return step

    def _like(self, batches: Batches, number: int) -> tuple[Any, Any]:
        """(x, y) of the shapes and dtypes of a batch as graphs take it, without its rows."""
        rows = batches.length(number)
        form = (rows, _form(batches.x), _form(batches.y))
        like = self._likes.get(form)
        if like is None:
            x, y, _ = _batch(self.graphs, batches, number)
            like = map_leaves(_without_rows, (x, y))
            self._likes.add(form, like)
        return like

    def _planned(self, graph: CapturedGraph, rows: int | None) -> NativeStep:
        from chainrule.execute.native import NativeStep, StateBlock

        needed = [*graph.reads, *graph.updates]
        block = self._block
        if block is None or any(state not in block for state in needed):
            before = block.states if block is not None else []
            for state in before:  # they leave the old block with arrays of their own
                state.replace(state.numpy().copy())
            block = self._block = StateBlock([*self.graphs.states(), *before, *needed])
            self._steps.clear()
        others = len(list(leaves(graph.outputs))) - 1
        weights = None if rows is None else [self.graphs.weight(rows), *[1.0] * others]
        return NativeStep(graph, block, weights)

    def train(self, steps: Steps, totals: Totals) -> tuple[int, float]:
        batches, first, most, update, lrs, check = steps
        order, start, count = _consecutive(batches, first, most)
        step = self._native("training", batches, first, update)
        arrays = list(leaves((batches.x, batches.y)))
        step.bind(arrays)
        if self.last is None or (self.last is not step and first < batches.whole):
            self.last = step
            step.profile(self.profile)
        scalars = self._scalars(step, count, lrs)
        if check:
            step.copies.save()
        elif fault := label_fault(step.graph, arrays):
            raise IndexError(fault)
        run = step.run(order, start, count, scalars, _SECONDS, totals.sums())
        if check and run.status != "ok":
            step.copies.restore()
        _check_indices(run)
        if check and (run.status == "non-finite" or not step.copies.save_if_finite()):
            return self._replay(step, steps, run.steps, scalars, totals)
        totals.grow(batches.length(first) * run.steps, run.totals)
        return run.steps, float(run.last[0])

    def _scalars(self, step: NativeStep, count: int, lrs: LearningRates | None) -> Array | None:
        """What the scalars are in each step: the learning rates may change, the others stay."""
        if lrs is None:
            return None
        scalars = np.tile([float(s.value) for s in step.scalars], (count, 1))  # type: ignore[arg-type]
        for column, scalar in enumerate(step.scalars):
            if scalar in lrs[0]:
                scalars[:, column] = [lr[scalar] for lr in lrs[:count]]
        return scalars

    def _replay(
        self, step: NativeStep, steps: Steps, count: int, scalars: Array | None, totals: Totals
    ) -> tuple[int, float]:
        """Go through so many steps again; where one goes wrong, go back before it and say so.

        Returns:
            As `train`, if none goes wrong now.
        """
        batches, first, copies, loss = steps.batches, steps.first, step.copies, math.nan
        order, start, _ = _consecutive(batches, first, count)
        copies.restore()
        for i in range(count):
            copies.save()
            now = scalars[i : i + 1] if scalars is not None else None
            run = step.run(order, start + i, 1, now, totals=totals.sums())
            if run.status == "ok" and copies.save_if_finite():
                totals.grow(batches.length(first + i), run.totals)
                loss = float(run.last[0])
                continue
            copies.restore()
            _check_indices(run)
            x, y, _ = _batch(self.graphs, batches, first + i)
            interpreter, arguments = Interpreter(step.graph), list(leaves((x, y)))
            for scalar, value in zip(step.scalars, () if now is None else now[0], strict=False):
                scalar.replace(np.array(value))
            try:
                raise _non_finite(interpreter, arguments, float(run.last[0]), i)
            finally:
                step.block.show_results()
        return count, loss

    def evaluate(self, batches: Batches, totals: Totals) -> None:
        first = 0
        while first < len(batches):
            order, start, steps = _consecutive(batches, first, len(batches))
            rows = batches.length(first)
            step = self._native("evaluation", batches, first)
            step.bind(leaves((batches.x, batches.y)))
            run = step.run(order, start, steps, seconds=_SECONDS, totals=totals.sums())
            _check_indices(run)
            totals.grow(rows * run.steps, run.totals)
            first += run.steps

    def predict(self, batches: Batches, *, sampling: bool = False) -> Iterator[Any]:
        for number in range(len(batches)):
            order, start, _ = _consecutive(batches, number, 1)
            step = self._native("sampling" if sampling else "prediction", batches, number)
            step.bind(leaves(batches.x))
            _check_indices(step.run(order, start, 1))
            yield _structured(step.outputs(), step.graph)

    def release(self) -> None:
        for step in self._steps:
            step.release()


def _check_indices(run: Run) -> None:
    if run.status == "index out of range":
        raise IndexError(f"a label or an index is out of range in {run.label}")


def _batch(graphs: StepGraphs, batches: Batches, number: int) -> tuple[Any, Any, int]:
    """(x, y, rows) of a batch, in the dtypes that graphs take; y is None where there is none."""
    rows = batches.rows(number)
    x = graphs.prepare(take(batches.x, rows))
    y = None if batches.y is None else graphs.prepare_targets(take(batches.y, rows))
    return x, y, len(rows)


def _form(data: Any) -> Any:
    """What a batch of these rows looks like, but for the number of rows; hashable."""
    if isinstance(data, np.ndarray):
        return data.shape[1:], data.dtype
    if isinstance(data, dict):
        return tuple([(key, _form(part)) for key, part in data.items()])
    return None if data is None else (type(data), *[_form(part) for part in data])


def _without_rows(array: Array) -> Array:
    """An array of this shape and dtype that takes no memory."""
    return np.broadcast_to(np.zeros((), array.dtype), array.shape)


def _consecutive(batches: Batches, first: int, steps: int) -> tuple[Array, int, int]:
    """(order, number of the first batch in it, steps): whole batches, or the short last one."""
    if first < batches.whole:
        return batches.order, first, min(steps, batches.whole - first)
    return batches.rows(first), 0, 1


def _structured(outputs: Sequence[Array], graph: CapturedGraph) -> Any:
    found = iter(outputs)
    return map_leaves(lambda _: next(found), graph.outputs)


def _is_finite(array: Array) -> bool:
    """Whether no element is NaN or infinite. A finite sum says so at once; it may overflow."""
    if array.dtype.kind != "f":
        return True
    total = np.add.reduce(array, axis=None)
    return math.isfinite(total) or bool(np.isfinite(array).all())


def _non_finite(
    run: Interpreter, arguments: Sequence[Array], loss: float, steps_done: int
) -> NonFiniteError:
    """The error that names where a step became non-finite."""
    error = NonFiniteError(f"loss {loss}, first in {_place(run.first_non_finite(arguments))}")
    error.steps_done = steps_done
    return error


def _place(node: Tensor | None) -> str:
    if node is None:
        return "an update"
    if node.operation is None:
        return node.name or "a parameter" if node.state is not None else "the batch itself"
    where = node.operation.name
    if node.path:
        where += f" in {node.path}"
    return where + " (backward pass)" if node.origin is not None else where
