"""The training step as one graph: forward, backward, clipping and update, captured and run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule import ops
from chainrule.compiler.capture import capture
from chainrule.data.arrays import as_arrays
from chainrule.execute.reference import Interpreter
from chainrule.graph.backprop import backprop
from chainrule.graph.context import no_grad
from chainrule.graph.errors import ShapeError
from chainrule.graph.state import Buffer
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
        self.accumulated: list[Buffer] = []
        if accumulate > 1:
            self.accumulated = [
                Buffer(np.zeros(p.shape, p.dtype), name=f"{p.name}.accumulated")
                for p in optimizer.parameters
            ]
        self.accumulated_rows = Buffer(np.float64(0), name="accumulated_rows")
        self._graphs: dict[Any, Interpreter] = {}

    # Graphs, by what they do and by the shapes of a batch

    def training(self, x: Any, y: Any, *, update: bool = True) -> Interpreter:
        """(x, y) -> (loss, sums of metrics), with the update or only accumulating gradients."""

        def step(x: Any, y: Any) -> tuple[Tensor, list[Tensor]]:
            output = self._call(x)
            loss = self._scalar_loss(output, y)
            grad_table = backprop(loss, self.optimizer.parameters)
            grads = [grad_table.get(p.node()) for p in self.optimizer.parameters]
            with no_grad():
                sums = [metric.sums(output, y) for metric in self.metrics]
                if self.accumulated:
                    grads = self._accumulate(grads, _rows(x), last=update)
                if update:
                    self.optimizer.update(self._clip(grads))
            return loss, sums

        return self._captured(("training", update), True, step, x, y)

    def evaluation(self, x: Any, y: Any) -> Interpreter:
        """(x, y) -> (loss, sums of metrics)."""

        def step(x: Any, y: Any) -> tuple[Tensor, list[Tensor]]:
            with no_grad():
                output = self._call(x)
                loss = self._scalar_loss(output, y)
                return loss, [metric.sums(output, y) for metric in self.metrics]

        return self._captured("evaluation", False, step, x, y)

    def prediction(self, x: Any) -> Interpreter:
        """x -> outputs."""

        def step(x: Any) -> Any:
            with no_grad():
                return self._call(x)

        return self._captured("prediction", False, step, x)

    def _captured(
        self, kind: Any, training: bool, step: Callable[..., Any], *batch: Any
    ) -> Interpreter:
        key = (kind, *(_signature(part) for part in batch))
        if key not in self._graphs:
            modes = [(module, module.training) for module in self.model.modules()]
            self.model.train(training)
            try:
                with use_generator(self.generator):
                    graph = capture(step, *batch)
            finally:
                for module, mode in modes:
                    module.training = mode
            self._graphs[key] = Interpreter(graph)
        return self._graphs[key]

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
        self.accumulated_rows.assign(
            ops.zeros_like(self.accumulated_rows) if last else total_rows
        )
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


class CompiledStep:
    """The training step as a function: one call per batch instead of forward, backward, update.

    Made by `compile_step`.
    """

    def __init__(self, graphs: StepGraphs) -> None:
        self._graphs = graphs

    def __call__(self, x: Any, y: Any) -> Tensor:
        """Train on one batch; returns the loss before the update.

        Raises:
            ShapeError, DTypeError: if the batch does not fit the model.
        """
        x = self._graphs.prepare(as_arrays(x, "x"))
        y = self._graphs.prepare_targets(as_arrays(y, "y"))
        loss, _ = self._graphs.training(x, y)(x, y)
        return Tensor(loss)


def compile_step(
    model: Module,
    loss: Loss,
    optimizer: Optimizer,
    *,
    clip_norm: float | None = None,
    clip_value: float | None = None,
) -> CompiledStep:
    """A function (x, y) -> loss that does one training step as one captured graph.

    It does what this loop body does, without returning to Python in between::

        optimizer.zero_grad(); loss = loss_fn(model(x), y); loss.backward(); optimizer.step()

    Args:
        model, loss, optimizer: as in the loop.
        clip_norm: the largest norm of all gradients together.
        clip_value: the largest absolute value of a gradient.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn, optim
        >>> model = nn.Linear(2, 1)
        >>> step = cr.compile_step(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
        >>> x, y = [[1.0, 2.0], [3.0, 4.0]], [[1.0], [2.0]]
        >>> first, second = step(x, y), step(x, y)
    """
    return CompiledStep(
        StepGraphs(model, loss, optimizer, clip_norm=clip_norm, clip_value=clip_value)
    )
