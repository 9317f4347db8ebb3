"""The state of a training: how far it has come, and what it has summed up on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule import checks, ops
from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Array, Tensor
from chainrule.train.history import History

_MOST = 2**53
"""Counts beyond this are not exact everywhere; no training gets there."""


class Totals:
    """Sums over batches: the loss weighted by rows, rows, and what loss and metrics add up."""

    def __init__(self) -> None:
        self.loss = 0.0
        self.rows = 0
        self.metrics: list[Array] = []

    def sums(self) -> list[Any]:
        """The sums so far; none before the first batch."""
        return [self.loss, *self.metrics] if self.rows else []

    def replace(self, rows: int, sums: Sequence[Array]) -> None:
        """Replace the running sums, which now cover `rows` more rows."""
        self.rows += rows
        self.loss, self.metrics = float(sums[0]), list(sums[1:])

    def add(self, rows: int, values: Sequence[Array | float]) -> None:
        """Add the values of a batch of `rows` rows."""
        before = self.sums() or [0.0] * len(values)
        self.replace(rows, [np.add(a, b) for a, b in zip(before, values, strict=True)])


class AccumulatedGradients:
    """Gradients summed over the batches since the last update, each weighted by what it counts.

    That is the number of its rows, or the denominator of the loss if that has one of its own.

    Attributes:
        buffers: the sums, one for each parameter; none where every batch ends in an update.
        rows: the sum of the weights.
    """

    def __init__(self) -> None:
        self.buffers: list[Buffer] = []
        self.rows = Buffer(np.float64(0), name="accumulated_rows")

    def match(self, parameters: Sequence[Parameter]) -> None:
        """Make a buffer for each parameter that has none yet."""
        self.buffers += [
            Buffer(np.zeros(p.shape, p.dtype), name=f"{p.name}.accumulated")
            for p in parameters[len(self.buffers) :]
        ]

    def add(
        self, grads: Sequence[Tensor | None], weight: float | Tensor, *, mean: bool, last: bool
    ) -> list[Tensor | None]:
        """Add a batch's gradients, by operations: part of the captured step.

        Args:
            grads: of each parameter; None where the loss does not depend on it.
            weight: what the batch counts for.
            mean: whether the result is divided by the weights.
            last: whether the batch is the last of an update; then the sums begin again at 0.

        Returns:
            The sums, or means, of the gradients so far.
        """
        rows = self.rows.node() + weight
        self.rows.assign(ops.zeros_like(self.rows) if last else rows)
        share = weight
        if isinstance(weight, Tensor):  # where it is 0, the total stands for the mean
            rows = ops.where(rows > 0.0, rows, 1.0)
            share = ops.where(weight > 0.0, weight, 1.0)
        found: list[Tensor | None] = []
        for buffer, grad in zip(self.buffers, grads, strict=True):
            if grad is None:
                if last:  # what it had before it was frozen is of no later update
                    buffer.assign(ops.zeros_like(buffer))
                found.append(None)
                continue
            factor = share.astype(grad.dtype) if isinstance(share, Tensor) else share
            total = buffer + grad * factor
            buffer.assign(ops.zeros_like(buffer) if last else total)
            found.append(total / rows.astype(grad.dtype) if mean else total)
        return found

    def reset(self) -> None:
        """Set all sums to 0."""
        for buffer in (*self.buffers, self.rows):
            buffer.assign(np.zeros(buffer.shape, buffer.dtype))


class TrainingState:
    """How far a training has come; a checkpoint holds it.

    Attributes:
        epoch: epochs done.
        step: updates done.
        position: batches done in the current epoch.
        totals: sums over these batches.
        accumulated: gradients of the batches since the last update.
        history: the records of the epochs done.
        stop_reason: why the training is to end, or None.
        data_key: the number of rows, the batch size, whether rows are shuffled, and a fingerprint
            of the data, in the last fit. They fix which rows come when, so an epoch can be resumed
            only with the same. Of an iterable of batches these are None, and the fingerprint is
            that of the dtypes and of what a batch is made up of.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.step = 0
        self.position = 0
        self.totals = Totals()
        self.accumulated = AccumulatedGradients()
        self.history = History()
        self.stop_reason: str | None = None
        self.data_key: dict[str, Any] | None = None

    def restart_epoch(self) -> None:
        """Begin the current epoch again."""
        self.position = 0
        self.accumulated.reset()

    def end_epoch(self, record: Mapping[str, float]) -> None:
        """Count an epoch, and note its record."""
        self.epoch += 1
        self.position = 0
        self.totals = Totals()
        self.history.append(record)

    def state_dict(self) -> dict[str, Any]:
        """A snapshot: arrays, numbers, and the history as a list of records."""
        return {
            "history": list(self.history),
            "epoch": self.epoch,
            "step": self.step,
            "position": self.position,
            "loss": self.totals.loss,
            "rows": self.totals.rows,
            "data": self.data_key,
            **{f"accumulated.{i}": b.numpy() for i, b in enumerate(self.accumulated.buffers)},
            "accumulated_rows": self.accumulated.rows.numpy(),
            **{f"totals.{i}": np.asarray(m) for i, m in enumerate(self.totals.metrics)},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot, one that `check_state_dict` accepts."""
        for number, buffer in enumerate(self.accumulated.buffers):
            buffer.assign(state[f"accumulated.{number}"])
        self.accumulated.rows.assign(state["accumulated_rows"])
        self.history = History(state["history"])
        self.epoch, self.step = state["epoch"], state["step"]
        self.position, self.data_key = state["position"], state["data"]
        self.totals.loss, self.totals.rows = float(state["loss"]), state["rows"]
        self.totals.metrics = [state[f"totals.{i}"] for i in range(_count_totals(state))]

    @staticmethod
    def check_state_dict(state: Mapping[str, Any], sums: Sequence[str]) -> None:
        """Raise ValueError or TypeError for a snapshot, read from a file, that can't be true.

        Args:
            state: the snapshot.
            sums: the names of what is summed up over an epoch besides the loss, which may have
                sums of its own: a first one and a pair for each weighted mean.
        """
        data, history, loss = state["data"], state["history"], state["loss"]
        for name in ("epoch", "step", "position", "rows"):
            if checks.integer(name, state[name], 0) > _MOST:
                raise ValueError(f"{name} is at most 2^53, got {state[name]}")
        is_stream = data is not None and data["rows"] is None and data["batch_size"] is None
        if data is not None and not is_stream:
            for name in ("rows", "batch_size"):
                checks.count(f"{name} of the data", data[name])
        batches = 0 if data is None or is_stream else -(-data["rows"] // data["batch_size"])
        if not is_stream and state["position"] > batches:
            raise ValueError(f"position is {state['position']} of {batches} batches")
        if not isinstance(loss, (int, float)):
            raise TypeError(f"loss is a number; got {loss!r}")
        if not isinstance(history, list) or not all(map(_is_record, history)):
            raise TypeError(
                f"history is a list of records, names with numbers; got {history!r:.200}"
            )
        of_loss = _count_totals(state) - len(sums)
        if state["rows"] and of_loss and (of_loss < 3 or of_loss % 2 == 0):
            raise ValueError(
                f"there are {_count_totals(state)} sums for {len(sums)} metrics: {list(sums)}"
            )


def _count_totals(state: Mapping[str, Any]) -> int:
    return sum(name.startswith("totals.") for name in state)


def _is_record(record: Any) -> bool:
    return isinstance(record, dict) and all(isinstance(v, (int, float)) for v in record.values())
