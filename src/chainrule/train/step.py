"""The training step as one graph: forward, backward, clipping and update, captured and run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from chainrule import ops
from chainrule.compiler.capture import CapturedGraph, capture
from chainrule.graph.backprop import backprop
from chainrule.graph.context import no_grad
from chainrule.graph.errors import ShapeError
from chainrule.graph.state import Buffer, State
from chainrule.graph.structure import leaves, map_leaves
from chainrule.graph.tensor import Array, Tensor
from chainrule.nn import Module
from chainrule.ops.random import Generator, use_generator
from chainrule.optim import Optimizer
from chainrule.train.metrics import Metric

Loss = Callable[[Any, Any], Tensor]


class StepGraphs:
    """The graphs of a model's training, evaluation and prediction step, one per batch shape.

    Args:
        model: maps a batch of inputs to outputs; a tuple of inputs is passed as positional
            arguments, a dict by name.
        loss: (outputs, targets) -> a scalar Tensor.
        optimizer: holds the parameters that the step updates.
        metrics: summed beside the loss.
        accumulate: batches whose gradients make one update.
        clip_norm: the largest norm of all gradients together.
        clip_value: the largest absolute value of a gradient.
        generator: what random operations of the model draw from.
    """

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer,
        *,
        metrics: Sequence[Metric] = (),
        accumulate: int = 1,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.metrics = metrics
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.generator = generator or Generator()
        floating = [p.dtype for p in model.parameters()]
        self.dtype: np.dtype[Any] = floating[0] if floating else np.dtype(np.float32)
        self.sums_rows = getattr(loss, "reduction", "mean") == "sum"
        # What was accumulated since the last update: gradients weighted by rows, and rows.
        self.accumulate = accumulate
        self.accumulated: list[Buffer] = []
        self._match_accumulated()
        self.accumulated_rows = Buffer(np.float64(0), name="accumulated_rows")
        self._graphs: dict[Any, CapturedGraph] = {}

    def _match_accumulated(self) -> None:
        """A buffer for each parameter, also for those that the optimiser was given since."""
        if self.accumulate > 1:
            self.accumulated += [
                Buffer(np.zeros(p.shape, p.dtype), name=f"{p.name}.accumulated")
                for p in self.optimizer.parameters[len(self.accumulated) :]
            ]

    # Graphs, by what they do and by the shapes of a batch

    def training(self, x: Any, y: Any, *, update: bool = True) -> CapturedGraph:
        """(x, y) -> (loss, sums of metrics), with the update or only accumulating gradients."""

        def step(x: Any, y: Any) -> tuple[Tensor, list[Tensor]]:
            output = self._call(x)
            loss = self._scalar_loss(output, y)
            trained = [p for p in self.optimizer.parameters if p.requires_grad]
            grad_table = backprop(loss, trained)
            grads = [grad_table.get(p.node()) for p in self.optimizer.parameters]
            if all(grad is None for grad in grads):
                raise ValueError(
                    "the loss depends on no parameter of the optimizer that requires a gradient: "
                    "there is nothing to train"
                )
            with no_grad():
                sums = [metric.sums(output, y) for metric in self.metrics]
                if self.accumulate > 1:
                    self._match_accumulated()
                    grads = self._accumulate(grads, _rows(x), last=update)
                if update:
                    # Accumulated gradients are not of this batch's loss alone.
                    of_grads = loss if self.accumulate == 1 else None
                    self.optimizer.update(self._clip(grads), of_grads)
            return loss, sums

        return self._captured(("training", update), True, step, x, y)

    def evaluation(self, x: Any, y: Any) -> CapturedGraph:
        """(x, y) -> (loss, sums of metrics)."""

        def step(x: Any, y: Any) -> tuple[Tensor, list[Tensor]]:
            with no_grad():
                output = self._call(x)
                loss = self._scalar_loss(output, y)
                return loss, [metric.sums(output, y) for metric in self.metrics]

        return self._captured("evaluation", False, step, x, y)

    def prediction(self, x: Any) -> CapturedGraph:
        """x -> outputs."""

        def step(x: Any) -> Any:
            with no_grad():
                return self._call(x)

        return self._captured("prediction", False, step, x)

    def _captured(
        self, kind: Any, training: bool, step: Callable[..., Any], *batch: Any
    ) -> CapturedGraph:
        # What is frozen or added to the optimiser later makes another graph.
        trained = tuple([p.requires_grad for p in self.optimizer.parameters])
        key = (kind, trained, *(_signature(part) for part in batch))
        if key not in self._graphs:
            modes = [(module, module.training) for module in self.model.modules()]
            self.model.train(training)
            try:
                with use_generator(self.generator):
                    graph = capture(step, *batch)
            finally:
                for module, mode in modes:
                    module.training = mode
            self._graphs[key] = graph
        return self._graphs[key]

    def weight(self, rows: int) -> float:
        """What the loss of a batch counts for in the mean over all rows."""
        return 1.0 if self.sums_rows else float(rows)

    def states(self) -> list[State]:
        """What the steps read and update, like beside like: so one program can update them all."""
        moments: dict[str, list[State]] = {}
        for name, buffer in self.optimizer.states().items():
            moments.setdefault(name.split(".", 1)[1], []).append(buffer)
        return [
            *self.optimizer.parameters,
            *(buffer for alike in moments.values() for buffer in alike),
            *self.accumulated,
            *self.model.buffers(),
            self.generator.state,
        ]

    # What a step is made of

    def _call(self, x: Any) -> Any:
        if isinstance(x, tuple):
            return self.model(*x)
        if isinstance(x, dict):
            return self.model(**x)
        return self.model(x)

    def _scalar_loss(self, output: Any, target: Any) -> Tensor:
        loss = self.loss(output, target)
        if not isinstance(loss, Tensor) or loss.shape != ():
            seen = loss.shape if isinstance(loss, Tensor) else type(loss).__name__
            raise ShapeError(
                f"the loss must be a scalar Tensor, got {seen}; take its mean or sum, as "
                "reduction='mean' does"
            )
        return loss

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
            means.append(total if self.sums_rows else total / total_rows.cast(grad.dtype))
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


def _signature(batch: Any) -> Any:
    """The shapes and dtypes of a batch, hashable."""
    if isinstance(batch, dict):
        return tuple((key, _signature(value)) for key, value in batch.items())
    if isinstance(batch, tuple):
        return tuple(_signature(value) for value in batch)
    return (batch.shape, batch.dtype)


def label_fault(graph: CapturedGraph, data: Iterable[Array]) -> str | None:
    """What is wrong with labels in `data`, the arrays of the graph's inputs; None if nothing is.

    Only labels that an operation takes as they are can be checked before a run.
    """
    arrays = dict(zip(graph.inputs, data, strict=True))
    for node in graph.nodes:
        if node.operation is None:
            continue
        for number, limit in node.operation.limits.items():
            array = arrays.get(node.inputs[number])
            if array is None or not array.size:
                continue
            classes = limit(*node.inputs, **node.attributes)
            low, high = int(array.min()), int(array.max())
            if low < 0 or high >= classes:
                return (
                    f"labels must lie in 0 ... {classes - 1} for {classes} classes; they run from "
                    f"{low} to {high}"
                )
    return None
