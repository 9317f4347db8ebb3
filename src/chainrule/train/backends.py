"""Backends run steps: batch by batch in the reference interpreter, or many at a time natively."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from chainrule.caches import LruCache
from chainrule.compiler.capture import CapturedGraph
from chainrule.data.arrays import Data, Form, as_data
from chainrule.data.batches import Batches
from chainrule.errors import DTypeError, ShapeError
from chainrule.execute.native import NativeStep, Run, StateBlock
from chainrule.execute.reference import Interpreter
from chainrule.graph.guards import guard_of
from chainrule.graph.state import HyperParameter
from chainrule.graph.tensor import Array
from chainrule.train.non_finite import is_finite, non_finite_error
from chainrule.train.state import Totals
from chainrule.train.training_step import Kind, StepGraphs
from chainrule.trees import leaves, map_leaves

MOST_STEPS = 32
"""Capacity of the cache of steps: a native one has memory for all that it computes."""

_SECONDS = 0.1
"""How long a native run stays away from Python: progress and Ctrl-C wait no longer."""

LearningRates = Sequence[Mapping[HyperParameter, float]]
"""For each coming step what a schedule sets: the learning rate of every group, above all."""

Runner = TypeVar("Runner", NativeStep, Interpreter)


class TrainRequest(NamedTuple):
    """A number of training steps, one on each batch.

    Attributes:
        batches: the data.
        first: the number of the first batch.
        most: how many steps at most; fewer may be done, but at least one.
        update: whether a batch ends in an update, or only accumulates gradients.
        lrs: the learning rates of each step, where they change from step to step.
    """

    batches: Batches
    first: int
    most: int
    update: bool = True
    lrs: LearningRates | None = None

    @property
    def kind(self) -> Kind:
        """The kind of the steps."""
        return "training" if self.update else "accumulation"


class _CachedStep(Generic[Runner]):
    """A captured graph, and what runs it: as many runners as threads have needed at once.

    Attributes:
        graph: the graph.
        idle: the runners that no thread uses now.
    """

    def __init__(self, graph: CapturedGraph) -> None:
        self.graph = graph
        self.idle: list[Runner] = []


class Backend(ABC, Generic[Runner]):
    """Runs the steps of a model, for several threads at once.

    A step is captured where its signature is new, and then kept in a cache.

    Attributes:
        guard: what a thread holds while it uses the states of the steps. A thread that holds it may
            wait for `_lock`, never the other way round.
    """

    def __init__(self, graphs: StepGraphs) -> None:
        self.graphs = graphs
        self._steps: LruCache[Any, _CachedStep[Runner]] = LruCache(MOST_STEPS)
        self._lock = threading.RLock()  # of captures and plans
        self._states = dict.fromkeys(graphs.states())
        self.guard = guard_of(self._states)

    def __reduce__(self) -> Any:
        """A copy or a pickle captures its steps anew."""
        return type(self), (self.graphs,)

    def _step(self, kind: Kind, form: Form, rows: int) -> _CachedStep[Runner]:
        """The step on batches of this form and number of rows."""
        key = self.graphs.key(kind, form, rows)
        return self._steps.get(key) or self._captured(key, kind, form, rows)

    def _captured(self, key: Any, kind: Kind, form: Form, rows: int) -> _CachedStep[Runner]:
        with self._lock:
            found = self._steps.get(key)  # another thread may have captured it meanwhile
            if found is not None:
                return found
            step: _CachedStep[Runner] = _CachedStep(self.graphs.capture(kind, form, rows))
            known = [*self.graphs.states(), *step.graph.reads, *step.graph.updates]
            self._states.update(dict.fromkeys(known))
            self.guard = guard_of(self._states)
            self._steps.add(key, step)
            return step

    def graph(self, kind: Kind, form: Form, rows: int) -> CapturedGraph:
        """The graph of a step on batches of this form and number of rows."""
        return self._step(kind, form, rows).graph

    def check(self, data: Data, size: int, *, training: bool, prefix: str = "") -> None:
        """Check data against model and loss, by capturing the steps on each size of batch.

        A loss with a method `target_fault` says what is wrong with the values of targets.

        Args:
            data: the data.
            size: rows in a batch.
            training: whether they are trained on, or only evaluated.
            prefix: the beginning of error messages about targets.

        Raises:
            ShapeError, DTypeError: if shapes or dtypes do not fit.
            ValueError: for targets that do not fit, as labels out of range.
        """
        kinds: list[Kind] = ["evaluation"]
        if training:
            kinds = ["accumulation", "training"] if self.graphs.accumulates else ["training"]
        for rows in dict.fromkeys((min(size, data.rows), data.rows % size or size)):
            for kind in kinds:
                try:
                    graph = self.graph(kind, data.form, rows)
                except (ShapeError, DTypeError) as error:
                    if self._fits_swapped(data):
                        said = f"{error} With x and y swapped the data fit: the order is (x, y)."
                        raise type(error)(said) from error
                    raise
        fault = data.label_fault(graph.label_limits)
        if fault is None and hasattr(self.graphs.loss, "target_fault"):
            fault = self.graphs.loss.target_fault(data.parts[1])
        if fault is not None:
            raise ValueError(f"{prefix}{fault}")
        for metric in self.graphs.metrics:
            if fault := metric.target_fault(data.parts[1]):
                raise ValueError(f"{metric.name}: {prefix}targets {fault}")

    def _fits_swapped(self, data: Data) -> bool:
        """Whether the targets fit as inputs, and the inputs as targets."""
        x, y = data.parts[:2]
        try:
            self.graphs.capture("evaluation", as_data(self.graphs.dtype, y, x).form, data.rows)
        except Exception:
            return False
        return True

    @abstractmethod
    def begin(self, *, profile: bool) -> None:
        """Begin a fit, in which `profile` says whether instructions are timed.

        Raises:
            ValueError: if they can't be.
        """

    @abstractmethod
    def describe(self) -> str:
        """The plan of the last training step.

        Raises:
            RuntimeError: if there is none.
        """

    @abstractmethod
    def train(self, request: TrainRequest, totals: Totals) -> tuple[int, float]:
        """Train on one of the batches or more; the losses and metrics are added to `totals`.

        Returns:
            The number of batches done, and the loss of the last.

        Raises:
            NonFiniteError: if the loss, or what the steps made of the state, is not finite; the
                state is as before that step. Its `steps_done` says how many came before.
        """

    @abstractmethod
    def evaluate(self, batches: Batches, totals: Totals) -> None:
        """Add the loss and the metrics of all batches to the totals."""

    @abstractmethod
    def predict(self, batches: Batches, *, sampling: bool = False) -> Iterator[Any]:
        """The outputs of each batch; if `sampling`, with stochastic layers in training mode."""

    @abstractmethod
    def release(self) -> None:
        """Let go of the data."""


class ReferenceBackend(Backend[Interpreter]):
    """One batch a call, by NumPy."""

    def _interpreter(self, kind: Kind, batches: Batches, number: int) -> Interpreter:
        step = self._step(kind, batches.data.form, batches.rows(number))
        if not step.idle:
            step.idle.append(Interpreter(step.graph))
        return step.idle[0]  # for all threads: it keeps nothing from run to run

    def begin(self, *, profile: bool) -> None:
        if profile:
            raise ValueError("profile measures the native plan; this Trainer's backend has none")

    def describe(self) -> str:
        raise RuntimeError("there is a plan after a fit with backend='native'")

    def train(self, request: TrainRequest, totals: Totals) -> tuple[int, float]:
        batches, number = request.batches, request.first
        run = self._interpreter(request.kind, batches, number)
        arguments, rows = batches.take(number), batches.rows(number)
        with run.hold:
            (loss, *sums), updates = run.run(arguments)
            with np.errstate(all="ignore"):
                is_good = math.isfinite(loss) and all(map(is_finite, updates))
            if not is_good:
                raise non_finite_error(run, arguments, float(loss), 0)
            run.commit(updates)
        totals.add(rows, [float(loss) * self.graphs.loss_weight(rows), *sums])
        return 1, float(loss)

    def evaluate(self, batches: Batches, totals: Totals) -> None:
        for number in range(len(batches)):
            run, rows = self._interpreter("evaluation", batches, number), batches.rows(number)
            with run.hold:
                (loss, *sums), updates = run.run(batches.take(number))
                run.commit(updates)
            totals.add(rows, [float(loss) * self.graphs.loss_weight(rows), *sums])

    def predict(self, batches: Batches, *, sampling: bool = False) -> Iterator[Any]:
        for number in range(len(batches)):
            run = self._interpreter("sampling" if sampling else "prediction", batches, number)
            with run.hold:
                outputs, updates = run.run(batches.take(number))
                run.commit(updates)
            yield _structured(outputs, run.graph)

    def release(self) -> None:
        pass


class NativeBackend(Backend[NativeStep]):
    """Many batches a call, by native plans over one block of state."""

    def __init__(self, graphs: StepGraphs) -> None:
        super().__init__(graphs)
        self.last_step: NativeStep | None = None
        """The training step that ran last, over full batches where there are any."""
        self.block: StateBlock | None = None
        """Where the states lie now."""
        self._profile = False
        self._bound: set[NativeStep] = set()  # training steps that hold data

    def begin(self, *, profile: bool) -> None:
        self._profile, self.last_step = profile, None

    def describe(self) -> str:
        step = self.last_step  # which a fit in another thread may replace
        if step is None:
            raise RuntimeError("there is a plan after a fit with backend='native'")
        with self.guard.alone:
            return step.plan.describe(step.times() if self._profile else ())

    def _native(self, kind: Kind, batches: Batches, number: int) -> NativeStep:
        """The plan of a training step on a batch, bound to the data."""
        step = self._step(kind, batches.data.form, batches.rows(number))
        if not step.idle:
            step.idle.append(self._planned(step.graph, kind, batches.rows(number)))
        self._bound.add(step.idle[0])
        step.idle[0].bind(batches.data.arrays)
        return step.idle[0]

    def borrowed(
        self, kind: Kind, batches: Batches, number: int
    ) -> tuple[_CachedStep[NativeStep], NativeStep]:
        """A plan of a step on a batch, bound to the data, for one thread; `give_back` it."""
        step = self._step(kind, batches.data.form, batches.rows(number))
        try:
            runner = step.idle.pop()
        except IndexError:
            with self.guard.alone, self._lock:
                runner = self._planned(step.graph, kind, batches.rows(number))
        runner.bind(batches.data.arrays)
        return step, runner

    def _planned(self, graph: CapturedGraph, kind: Kind, rows: int) -> NativeStep:
        """The plan of a graph.

        Outputs of predictions are fetched, those of other steps are summed up, the loss by rows.
        """
        needed = [*graph.reads, *graph.updates]
        block = self.block
        if block is None or any(state not in block for state in needed):
            before = block.states if block is not None else []
            for state in before:  # out of the old block, into separate arrays
                state.replace(state.numpy().copy())
            block = self.block = StateBlock([*self.graphs.states(), *before, *needed])
            for step in self._steps:
                step.idle.clear()
        if kind in ("prediction", "sampling"):
            return NativeStep(graph, block)
        others = len(list(leaves(graph.outputs))) - 1
        return NativeStep(graph, block, [self.graphs.loss_weight(rows), *[1.0] * others])

    def train(self, request: TrainRequest, totals: Totals) -> tuple[int, float]:
        self._step(request.kind, request.batches.data.form, request.batches.rows(request.first))
        with self.guard.alone:
            return self._train(request, totals)

    def _train(self, request: TrainRequest, totals: Totals) -> tuple[int, float]:
        batches, first = request.batches, request.first
        order, start, count = batches.consecutive(first, request.most)
        step = self._native(request.kind, batches, first)
        if self.last_step is None or (self.last_step is not step and first < batches.full):
            self.last_step = step
            step.profile(self._profile)
        scalars = self._scalars(step, count, request.lrs)
        step.copies.save()
        run = step.run(order, start, count, scalars, _SECONDS, totals.sums())
        if run.status != "ok":
            step.copies.restore()
        _check_indices(run, step.graph, batches, first + run.steps)
        if run.status == "non-finite" or not step.copies.save_if_finite():
            return self._replay(step, request, run.steps, scalars, totals)
        totals.replace(batches.rows(first) * run.steps, run.totals)
        return run.steps, float(run.last[0])

    def _scalars(self, step: NativeStep, count: int, lrs: LearningRates | None) -> Array | None:
        """The scalars in each step: the learning rates may change, the others stay."""
        if lrs is None:
            return None
        scalars = np.tile([float(s.value) for s in step.scalars], (count, 1))  # type: ignore[arg-type]
        for column, scalar in enumerate(step.scalars):
            if scalar in lrs[0]:
                scalars[:, column] = [lr[scalar] for lr in lrs[:count]]
        return scalars

    def _replay(
        self,
        step: NativeStep,
        request: TrainRequest,
        count: int,
        scalars: Array | None,
        totals: Totals,
    ) -> tuple[int, float]:
        """Do the first `count` steps again; where one goes wrong, go back before it and say so.

        Returns:
            As `train`, if none goes wrong now.
        """
        batches, first, copies, loss = request.batches, request.first, step.copies, math.nan
        order, start, _ = batches.consecutive(first, count)
        copies.restore()
        for i in range(count):
            copies.save()
            now = scalars[i : i + 1] if scalars is not None else None
            run = step.run(order, start + i, 1, now, totals=totals.sums())
            if run.status == "ok" and copies.save_if_finite():
                totals.replace(batches.rows(first + i), run.totals)
                loss = float(run.last[0])
                continue
            copies.restore()
            _check_indices(run, step.graph, batches, first + i)
            interpreter, arguments = Interpreter(step.graph), batches.take(first + i)
            for scalar, value in zip(step.scalars, () if now is None else now[0], strict=False):
                scalar.replace(np.array(value))
            try:
                raise non_finite_error(interpreter, arguments, float(run.last[0]), i)
            finally:
                step.block.show_results()
        return count, loss

    def evaluate(self, batches: Batches, totals: Totals) -> None:
        first = 0
        with _Loans(self, "evaluation", batches) as loans:
            while first < len(batches):
                order, start, count = batches.consecutive(first, len(batches))
                step = loans.step(first)
                run = step.run(order, start, count, seconds=_SECONDS, totals=totals.sums())
                _check_indices(run, step.graph, batches, first + run.steps)
                totals.replace(batches.rows(first) * run.steps, run.totals)
                first += run.steps

    def predict(self, batches: Batches, *, sampling: bool = False) -> Iterator[Any]:
        with _Loans(self, "sampling" if sampling else "prediction", batches) as loans:
            for number in range(len(batches)):
                order, start, _ = batches.consecutive(number, 1)
                step = loans.step(number)
                run, outputs = step.fetch(order, start)
                _check_indices(run, step.graph, batches, number)
                yield _structured(outputs, step.graph)

    def release(self) -> None:
        with self.guard.alone:
            for step in self._bound:
                step.release()
            self._bound.clear()


class _Loans:
    """The plans that one thread has borrowed for a pass over batches: at most two."""

    def __init__(self, backend: NativeBackend, kind: Kind, batches: Batches) -> None:
        self._backend = backend
        self._kind = kind
        self._batches = batches
        self._loans: dict[int, tuple[_CachedStep[NativeStep], NativeStep]] = {}

    def step(self, number: int) -> NativeStep:
        """The plan for a batch."""
        rows = self._batches.rows(number)
        if rows not in self._loans:
            self._loans[rows] = self._backend.borrowed(self._kind, self._batches, number)
        return self._loans[rows][1]

    def __enter__(self) -> _Loans:
        return self

    def __exit__(self, *error: object) -> None:
        for cached, step in self._loans.values():
            step.release()
            if step.block is self._backend.block:
                cached.idle.append(step)


_BACKENDS: dict[str, type[NativeBackend] | type[ReferenceBackend]] = {
    "native": NativeBackend,
    "reference": ReferenceBackend,
}
_default = "native"


def make_backend(name: str | None, graphs: StepGraphs) -> Backend[Any]:
    """The backend of that name, or the default one.

    Raises:
        ValueError: if there is none.
    """
    return _BACKENDS[checked_backend(name)](graphs)


def checked_backend(name: str | None) -> str:
    """The name of a backend, by default the one that is set.

    Raises:
        ValueError: if there is none of that name.
    """
    return _checked_name(_default if name is None else name)


def set_default_backend(name: str) -> None:
    """Set the backend of what is made without one: a `Trainer`, `Evaluator`, compiled function.

    Args:
        name: "native" (at first) or "reference".

    Raises:
        ValueError: for another name.

    Example:
        >>> import chainrule as cr
        >>> cr.set_default_backend("reference")
        >>> cr.get_default_backend()
        'reference'
        >>> cr.set_default_backend("native")
    """
    global _default
    _default = _checked_name(name)


def get_default_backend() -> str:
    """The name that `set_default_backend` has set."""
    return _default


def _checked_name(name: str) -> str:
    if name not in [*_BACKENDS]:  # a list: what is no name may not be hashable
        raise ValueError(f"backend is {' or '.join(map(repr, _BACKENDS))}, got {name!r}")
    return name


def _check_indices(run: Run, graph: CapturedGraph, batches: Batches, number: int) -> None:
    """Raise IndexError, with the index and the size, where batch `number` of a run had one wrong.

    The interpreter finds them: the core says only in which instruction it was.
    """
    if run.status != "index out of range":
        return
    reason = "a label or an index is out of range"
    try:
        Interpreter(graph).run(batches.take(number))
    except IndexError as error:
        reason = str(error)
    raise IndexError(f"{reason}, in {run.label}")


def _structured(outputs: Sequence[Array], graph: CapturedGraph) -> Any:
    """The outputs of a graph, in the structure that the model returns."""
    found = iter(outputs)
    return map_leaves(lambda _: next(found), graph.outputs)
