"""The training step as one graph: forward, backward, clipping and update, captured and run."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from chainrule import ops
from chainrule.caches import LruCache
from chainrule.compiler.capture import CapturedGraph, capture
from chainrule.data.mapped import extremes
from chainrule.errors import ShapeError
from chainrule.graph.backprop import backprop
from chainrule.graph.context import no_grad
from chainrule.graph.state import Buffer, State
from chainrule.graph.tensor import Array, Tensor
from chainrule.nn import Module
from chainrule.ops.random import Generator, use_generator
from chainrule.optim import Optimizer
from chainrule.system.interrupts import interrupts_held
from chainrule.train.metrics import Metric
from chainrule.train.parts import Average, Constraint, Penalty, check_parts
from chainrule.trees import leaves, map_leaves

Loss = Callable[..., Tensor]
"""(outputs, targets) -> a scalar Tensor; with the keyword `sample_weight`, if rows are weighted."""

MOST_GRAPHS = 32
"""How many graphs are kept, and how many plans of them, which have memory for all they compute."""

_TRAINING, _EVALUATION, _SAMPLING = "training", "evaluation", "sampling"
"""What modes the layers of a model are in; see `Module.training` and `is_stochastic`."""


class Weighted(NamedTuple):
    """Targets with the weight of each row: what moves the targets moves the weights, too."""

    target: Any
    weight: Any


class StepGraphs:
    """The graphs of a model's training, evaluation and prediction step, one per batch shape.

    Those used last are kept; one that had to go is captured anew when it is asked for again.

    Args:
        model: maps a batch of inputs to outputs; a tuple of inputs is passed as positional
            arguments, a dict by name.
        loss: (outputs, targets) -> a scalar Tensor.
        optimizer: holds the parameters that the step updates.
        metrics: summed beside the loss.
        penalties: added to the loss: their gradients are part of every update.
        constraints: applied to the parameters after every update.
        ema: averages the parameters after that.
        accumulates: whether the gradients of several batches make one update.
        clip_norm: the largest norm of all gradients together.
        clip_value: the largest absolute value of a gradient.
        generator: what random operations of the model draw from.

    Attributes:
        sampling: what layers draw from that are sampled in a prediction.
    """

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer,
        *,
        metrics: Sequence[Metric] = (),
        penalties: Sequence[Penalty] = (),
        constraints: Sequence[Constraint] = (),
        ema: Average | None = None,
        accumulates: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.metrics = metrics
        self.penalties, self.constraints, self.ema = check_parts(penalties, constraints, ema)
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.generator = generator or Generator()
        self.sampling = Generator()
        floating = [p.dtype for p in model.parameters()]
        self.dtype: np.dtype[Any] = floating[0] if floating else np.dtype(np.float32)
        self.sums_rows = getattr(loss, "reduction", "mean") == "sum"
        # What was accumulated since the last update: gradients weighted by rows, and rows.
        self.accumulates = accumulates
        self.accumulated: list[Buffer] = []
        self._match_accumulated()
        self.accumulated_rows = Buffer(np.float64(0), name="accumulated_rows")
        self._graphs: LruCache[Any, CapturedGraph] = LruCache(MOST_GRAPHS)

    def _match_accumulated(self) -> None:
        """A buffer for each parameter, also for those that the optimiser was given since."""
        if self.accumulates:
            self.accumulated += [
                Buffer(np.zeros(p.shape, p.dtype), name=f"{p.name}.accumulated")
                for p in self.optimizer.params[len(self.accumulated) :]
            ]

    # Graphs, by what they do and by the shapes of a batch; y may be Weighted

    def training(self, x: Any, y: Any, *, update: bool = True) -> CapturedGraph:
        """(x, y) -> (loss, sums), with the update or only accumulating gradients.

        The sums are those of the metrics, and of the penalties where there are any.
        """

        def step(x: Any, y: Any) -> tuple[Tensor, list[Tensor]]:
            output = self._call(x)
            loss = self._scalar_loss(output, y)
            penalty = self._penalty()
            grads = self._grads(loss)
            penalty_grads = self._grads(penalty)
            if all(grad is None for grad in (*grads, *penalty_grads)):
                raise ValueError(
                    "the loss depends on no parameter of the optimizer that requires a gradient: "
                    "there is nothing to train"
                )
            with no_grad():
                sums = self._sums(output, y)
                if penalty is not None:
                    sums.append(penalty.astype(np.float64) * float(_rows(x)))
                if self.accumulates:
                    self._match_accumulated()
                    grads = self._accumulate(grads, _rows(x), last=update)
                if update:
                    self._update(
                        list(map(_sum, grads, penalty_grads)),
                        # Accumulated gradients are not of this batch's loss alone.
                        None if self.accumulates else _sum(loss, penalty),
                    )
            return loss, sums

        return self._captured(("training", update), _TRAINING, step, x, y)

    def evaluation(self, x: Any, y: Any) -> CapturedGraph:
        """(x, y) -> (loss, sums of metrics)."""

        def step(x: Any, y: Any) -> tuple[Tensor, list[Tensor]]:
            with no_grad():
                output = self._call(x)
                return self._scalar_loss(output, y), self._sums(output, y)

        return self._captured("evaluation", _EVALUATION, step, x, y)

    def prediction(self, x: Any, *, sampling: bool = False) -> CapturedGraph:
        """x -> outputs; if `sampling`, with the layers that are stochastic in training mode."""

        def step(x: Any) -> Any:
            with no_grad():
                return self._call(x)

        return self._captured("prediction", _SAMPLING if sampling else _EVALUATION, step, x)

    def _captured(
        self, kind: Any, mode: str, step: Callable[..., Any], *batch: Any
    ) -> CapturedGraph:
        # What is frozen or added to the optimiser later makes another graph.
        trained = tuple([p.requires_grad for p in self.optimizer.params])
        key = (kind, mode, trained, *(_signature(part) for part in batch))
        graph = self._graphs.get(key)
        if graph is not None:
            return graph
        generator = self.sampling if mode == _SAMPLING else self.generator
        with (
            interrupts_held() as interrupts,
            self._in_mode(mode),
            use_generator(generator),
            interrupts.let_through(),
        ):
            graph = capture(step, *batch)
        self._graphs.add(key, graph)
        return graph

    @contextmanager
    def _in_mode(self, mode: str) -> Iterator[None]:
        """Within it the model's layers are in this mode, and afterwards in those of before."""
        modes = [(module, module.training) for module in self.model.modules()]
        try:
            self.model.train(mode == _TRAINING)
            if mode == _SAMPLING:
                for module in self.model.modules():
                    module.training = module.is_stochastic
            yield
        finally:
            for module, before in modes:
                module.training = before

    def weight(self, rows: int) -> float:
        """What the loss of a batch counts for in the mean over all rows."""
        return 1.0 if self.sums_rows else float(rows)

    def states(self) -> list[State]:
        """What the steps read and update, like beside like: so one program can update them all."""
        moments: dict[str, list[State]] = {}
        for name, buffer in self.optimizer.states().items():
            moments.setdefault(name.split(".", 1)[1], []).append(buffer)
        return [
            *self.optimizer.params,
            *(buffer for alike in moments.values() for buffer in alike),
            *self.accumulated,
            *(self.ema.states().values() if self.ema is not None else ()),
            *self.model.buffers(),
            self.generator.state,
            self.sampling.state,
        ]

    def others(self) -> dict[str, State]:
        """What training changes outside the model, by number: a loss may have parameters, say."""
        buffers = self.loss.buffers() if isinstance(self.loss, Module) else ()
        of_model = {*self.model.parameters(), *self.model.buffers()}
        found = [s for s in (*self.optimizer.params, *buffers) if s not in of_model]
        return {str(number): state for number, state in enumerate(found)}

    # What a step is made of

    def _call(self, x: Any) -> Any:
        if isinstance(x, tuple):
            return self.model(*x)
        if isinstance(x, dict):
            return self.model(**x)
        return self.model(x)

    def _scalar_loss(self, output: Any, y: Any) -> Tensor:
        if isinstance(y, Weighted):
            check_takes_weights(self.loss)
            loss = self.loss(output, y.target, sample_weight=y.weight)
        else:
            loss = self.loss(output, y)
        return _scalar("the loss", loss, "; take its mean or sum, as reduction='mean' does")

    def _sums(self, output: Any, y: Any) -> list[Tensor]:
        target = y.target if isinstance(y, Weighted) else y
        return [metric.sums(output, target) for metric in self.metrics]

    def _penalty(self) -> Tensor | None:
        """The sum of all penalties; None if there are none."""
        terms = [_scalar(f"penalty {p!r}", p(), "; return a sum") for p in self.penalties]
        return functools.reduce(operator.add, terms) if terms else None

    def _grads(self, z: Tensor | None) -> list[Tensor | None]:
        """The gradient of z for each parameter; None where z does not depend on it."""
        parameters = self.optimizer.params
        if z is None:
            return [None] * len(parameters)
        grad_table = backprop(z, [p for p in parameters if p.requires_grad])
        return [grad_table.get(p.node()) for p in parameters]

    def _update(self, grads: list[Tensor | None], objective: Tensor | None) -> None:
        self.optimizer.update(self._clip(grads), objective)
        for constraint in self.constraints:
            constraint.apply()
        if self.ema is not None:
            self.ema.update()

    def _accumulate(
        self, grads: list[Tensor | None], rows: int, *, last: bool
    ) -> list[Tensor | None]:
        """Add this batch's gradients; where it is the last of an update, their mean over rows."""
        weight = 1.0 if self.sums_rows else float(rows)
        total_rows = self.accumulated_rows.node() + weight
        self.accumulated_rows.assign(ops.zeros_like(self.accumulated_rows) if last else total_rows)
        means: list[Tensor | None] = []
        for buffer, grad in zip(self.accumulated, grads, strict=True):
            if grad is None:
                means.append(None)
                continue
            total = buffer + grad * weight
            buffer.assign(ops.zeros_like(buffer) if last else total)
            means.append(total if self.sums_rows else total / total_rows.astype(grad.dtype))
        return means

    def _clip(self, grads: list[Tensor | None]) -> list[Tensor | None]:
        if self.clip_value is not None:
            limit = self.clip_value
            grads = [g if g is None else ops.minimum(ops.maximum(g, -limit), limit) for g in grads]
        if self.clip_norm is not None:
            squares = [(g * g).sum() for g in grads if g is not None]
            norm = ops.sqrt(ops.add_n(*squares))
            # PyTorch's clip_grad_norm_, its 1e-6 included
            scale = ops.minimum(self.clip_norm / (norm + 1e-6), 1.0)
            grads = [g if g is None else g * scale for g in grads]
        return grads

    # Batches

    def prepare(self, batch: Any) -> Any:
        """A batch in the dtypes that graphs take: floats and uint8 as the model's, labels int64."""
        return map_leaves(self._prepare, batch)

    def _prepare(self, array: Array) -> Array:
        if array.dtype.kind == "f" or array.dtype in (np.uint8, np.bool_):
            return np.asarray(array, self.dtype)
        return np.asarray(array, np.int64)

    def prepare_targets(self, batch: Any) -> Any:
        """As `prepare`, but targets of any whole type are labels."""
        return map_leaves(
            lambda a: np.asarray(a, self.dtype if a.dtype.kind == "f" else np.int64), batch
        )


def _rows(batch: Any) -> int:
    return int(next(leaves(batch)).shape[0])


def _scalar(name: str, value: Any, remedy: str) -> Tensor:
    """`value`, if it is a scalar Tensor."""
    if not isinstance(value, Tensor) or value.shape != ():
        seen = value.shape if isinstance(value, Tensor) else type(value).__name__
        raise ShapeError(f"{name} must be a scalar Tensor, got {seen}{remedy}")
    return value


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """a + b, where what is missing counts as 0."""
    if a is None or b is None:
        return b if a is None else a
    return a + b


def check_takes_weights(loss: Loss) -> None:
    """Raise TypeError unless a loss has the keyword `sample_weight`."""
    function = loss.forward if isinstance(loss, Module) else loss
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # written in C: the call will tell
        return
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if "sample_weight" not in parameters and not takes_any:
        name = getattr(loss, "__name__", type(loss).__name__)
        raise TypeError(
            f"the loss {name} can't weight rows: it has no argument sample_weight. Define it as "
            f"{name}(outputs, targets, *, sample_weight=None), the mean over all rows of each "
            "row's weight times its loss, or leave sample_weight out."
        )


def _signature(batch: Any) -> Any:
    """The structure, shapes and dtypes of a batch, hashable."""
    if isinstance(batch, dict):
        return tuple((key, _signature(value)) for key, value in batch.items())
    if isinstance(batch, tuple):
        return (type(batch), *(_signature(value) for value in batch))
    return (batch.shape, batch.dtype)


def label_fault(graph: CapturedGraph, data: Iterable[Array]) -> str | None:
    """What is wrong with labels in `data`, the arrays of the graph's inputs; None if nothing is."""
    arrays = list(data)
    for number, classes in graph.label_limits:
        if not arrays[number].size:
            continue
        low, high = map(int, extremes(arrays[number]))
        if low < 0 or high >= classes:
            return (
                f"labels must lie in 0 ... {classes - 1} for {classes} classes; they run from "
                f"{low} to {high}"
            )
    return None
