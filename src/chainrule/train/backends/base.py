"""Backend: what runs the steps of a model, whatever computes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from chainrule.caches import LruCache
from chainrule.compiler.capture import CapturedGraph
from chainrule.compiler.template import with_states
from chainrule.data.arrays import Data, Form, as_data
from chainrule.data.batches import Batches
from chainrule.errors import DTypeError, ShapeError
from chainrule.execute.native import NativeStep
from chainrule.execute.reference import Interpreter
from chainrule.graph.guards import guard_of
from chainrule.graph.state import HyperParameter, State
from chainrule.optim import EMA
from chainrule.system import forks
from chainrule.train.state import Totals
from chainrule.train.training_step import Kind, StepGraphs

MOST_STEPS = 32
"""Capacity of the cache of steps: a native one has memory for all that it computes."""

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


class CachedStep(Generic[Runner]):
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
        self._steps: LruCache[Any, CachedStep[Runner]] = LruCache(MOST_STEPS)
        self._lock = forks.lock()  # of captures and plans
        self._states = dict.fromkeys(graphs.states())
        self.guard = guard_of(self._states)

    def __reduce__(self) -> Any:
        """A copy or a pickle captures its steps anew."""
        return type(self), (self.graphs,)

    def _step(
        self, kind: Kind, form: Form, rows: int, ema: EMA | None = None
    ) -> CachedStep[Runner]:
        """The step on batches of this form and number of rows, on averages if there are any."""
        key = self.graphs.key(kind, form, rows), ema
        return self._steps.get(key) or self._captured(key, kind, form, rows, ema)

    def _captured(
        self, key: Any, kind: Kind, form: Form, rows: int, ema: EMA | None
    ) -> CachedStep[Runner]:
        with self._lock:
            found = self._steps.get(key)  # another thread may have captured it meanwhile
            if found is not None:
                return found
            if ema is None:
                graph = self.graphs.capture(kind, form, rows)
            else:
                instead: dict[State, State] = dict(zip(ema.parameters, ema.averages, strict=True))
                graph = with_states(self._step(kind, form, rows).graph, instead)
            step: CachedStep[Runner] = CachedStep(graph)
            self._guard_also([*step.graph.reads, *step.graph.updates])
            self._steps.add(key, step)
            return step

    def _guard_also(self, states: Sequence[State]) -> None:
        """Let the guard cover these states, too."""
        with self._lock:
            if not self._states.keys() >= {*states}:
                self._states.update(dict.fromkeys(states))
                self.guard = guard_of(self._states)

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
            IndexError: for indices out of range.
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
        data.check_indices(graph.index_limits, prefix)
        fault_of = getattr(self.graphs.loss, "target_fault", None)
        if fault_of is not None and (fault := fault_of(data.parts[1])):
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
    def evaluate(self, batches: Batches, totals: Totals, ema: EMA | None = None) -> None:
        """Add the loss and the metrics of all batches to the totals.

        Args:
            batches: the data.
            totals: what is added to.
            ema: averages that are read in the places of their parameters.
        """

    @abstractmethod
    def predict(
        self, batches: Batches, ema: EMA | None = None, *, sampling: bool = False
    ) -> Iterator[Any]:
        """The outputs of each batch, as new arrays.

        Args:
            batches: the inputs.
            ema: averages that are read in the places of their parameters.
            sampling: with stochastic layers in training mode.
        """

    @abstractmethod
    def release(self) -> None:
        """Let go of the data."""
