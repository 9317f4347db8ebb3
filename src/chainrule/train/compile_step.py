"""compile_step: the training step of the loop that everyone knows, as one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.data.arrays import as_arrays, as_data, check_same_rows, checked_weights
from chainrule.data.batches import Batches
from chainrule.graph.tensor import Tensor
from chainrule.nn import Module
from chainrule.ops.random import current_generator
from chainrule.optim import Optimizer
from chainrule.train.backends import Backend, TrainRequest, make_backend
from chainrule.train.state import Totals
from chainrule.train.training_step import (
    Average,
    Constraint,
    Loss,
    Penalty,
    StepGraphs,
    StepOptions,
)


class CompiledStep:
    """The training step as a function: one call per batch instead of forward, backward, update.

    Made by `compile_step`.
    """

    def __init__(self, backend: Backend[Any]) -> None:
        self._backend = backend
        self._dtype = backend.graphs.dtype

    def __call__(self, x: Any, y: Any, *, sample_weight: Any = None) -> Tensor:
        """Train on one batch; returns the loss before the update, without penalties.

        Args:
            x, y: the batch, rows first.
            sample_weight: a weight for each row, as in `Trainer.fit`.

        Raises:
            ShapeError, DTypeError: if the batch does not fit the model.
            ValueError, TypeError: for weights that do not fit, or a loss that takes none.
        """
        x, y = as_arrays(x, "x"), as_arrays(y, "y")
        rows = check_same_rows(x=x, y=y)
        if sample_weight is None:
            data = as_data(self._dtype, x, y)
        else:
            weights = checked_weights(sample_weight, rows, self._dtype, "sample_weight")
            data = as_data(self._dtype, x, y, weights)
        batch = Batches(data, np.arange(rows), rows)
        _, loss = self._backend.train(TrainRequest(batch, 0, 1, check=False), Totals())
        return Tensor(np.asarray(loss, self._dtype))


def compile_step(
    model: Module,
    loss: Loss,
    optimizer: Optimizer,
    *,
    penalties: Sequence[Penalty] = (),
    constraints: Sequence[Constraint] = (),
    ema: Average | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    backend: str | None = None,
) -> CompiledStep:
    """A function (x, y) -> loss that does one training step as one captured graph.

    It does what this loop body does, without returning to Python in between::

        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()

    As in that loop a loss that is not finite is returned, not refused.

    Args:
        model, loss, optimizer: as in the loop.
        penalties, constraints, ema, clip_norm, clip_value: as in `Trainer`. The loss that is
            returned is without penalties.
        backend: "native" or "reference"; by default as `set_default_backend` says.

    Raises:
        ValueError, TypeError: for an argument that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn, optim
        >>> model = nn.Linear(2, 1)
        >>> step = cr.compile_step(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
        >>> x, y = [[1.0, 2.0], [3.0, 4.0]], [[1.0], [2.0]]
        >>> first, second = step(x, y), step(x, y)
    """
    options = StepOptions(
        penalties=penalties,
        constraints=constraints,
        ema=ema,
        clip_norm=clip_norm,
        clip_value=clip_value,
    )
    graphs = StepGraphs(model, loss, optimizer, options=options, generator=current_generator())
    return CompiledStep(make_backend(backend, graphs))
