"""Epochs of native steps with as little between them as can be: rows are few, epochs many.

`Trainer.fit` does the same, and more after each batch and epoch: it keeps the last good weights,
and tells callbacks, schedules and files. On a hundred rows that takes longer than the training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.data.batches import Batches
from chainrule.data.mapped import mapped_files
from chainrule.errors import NonFiniteError
from chainrule.sklearn.batches import DenseBatches
from chainrule.system.interrupts import interrupts_to
from chainrule.train import Trainer
from chainrule.train.backends import NativeBackend
from chainrule.train.backends.native import MOST_SECONDS, Loans
from chainrule.train.checked_rows import checked_rows
from chainrule.train.state import Totals


def needs_fit(trainer: Trainer, batches: DenseBatches) -> bool:
    """Whether a training needs `Trainer.fit`: for what comes between epochs, or for its data."""
    return (
        not isinstance(trainer.backend, NativeBackend)
        or bool(trainer.callbacks)
        or trainer.schedule is not None
        or bool(mapped_files(batches.parts))
    )


def train_epochs(
    trainer: Trainer, batches: DenseBatches, epochs: int, after: Callable[[dict[str, float]], None]
) -> bool:
    """Train for a number of epochs, or until `trainer.stop` is called.

    Args:
        trainer: one that does not need `fit`.
        batches: the rows.
        epochs: how many at most.
        after: called after each epoch with its record, {"loss": its loss}.

    Returns:
        Whether all losses were finite; training ends with one that is not.

    Raises:
        ValueError, TypeError, ShapeError, DTypeError: as `Trainer.fit`, for rows that do not fit.
    """
    assert isinstance(trainer.backend, NativeBackend), "another backend needs fit"
    x, y, weights = (*batches.parts, None)[:3]
    data = checked_rows(trainer.graphs, x, y, weights, None)
    trainer.backend.check(data, batches.size, training=True, prefix="training ")
    trainer.state.stop_reason = None
    pass_ = Batches(data, batches.next_order(), batches.size)
    count = len(pass_)
    with (
        Loans(trainer.backend, "training", pass_) as loans,
        interrupts_to(trainer.stop) as interrupts,
        interrupts.let_through(),
    ):
        for epoch in range(epochs):
            if epoch:
                pass_.order = batches.next_order()
            totals, number = Totals(), 0
            while number < count and trainer.state.stop_reason is None:
                order, start, most = pass_.consecutive(number, count)
                step = loans.step(number)
                with interrupts.held():
                    run = step.run(order, start, most, None, MOST_SECONDS, totals.sums())
                if run.status != "ok":
                    return False
                totals.replace(pass_.rows(number) * run.steps, run.totals)
                number += run.steps
            if number < count:
                break
            after({"loss": trainer.graphs.mean_loss(totals, training=True)})
            if trainer.state.stop_reason is not None:
                break
    return True


def fit_epochs(trainer: Trainer, batches: Any, epochs: int) -> bool:
    """Train by `Trainer.fit`; whether all losses were finite."""
    try:
        trainer.fit(batches, epochs=epochs, progress=False)
    except NonFiniteError:
        return False
    return True
