"""The outputs of a network for checked rows, by plans of a few sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from chainrule.data.arrays import as_data
from chainrule.data.batches import Batches, in_few_sizes
from chainrule.execute.native import joined
from chainrule.graph.tensor import Array
from chainrule.nn import Module
from chainrule.sklearn.batches import dense_if_small
from chainrule.train.backends import Backend, make_backend
from chainrule.train.training_step import Loss, StepGraphs

_ROWS = 1024
"""The most rows in a batch."""


def predicting_backend(model: Module, loss: Loss) -> Backend[Any]:
    """A backend for a network that is not trained."""
    return make_backend(None, StepGraphs(model, loss))


def outputs_of(backend: Backend[Any], x: Any) -> Array:
    """The outputs for rows of finite numbers, an array or a sparse matrix: (rows, outputs)."""
    found: Array = joined([outputs for part in _parts(x) for outputs in _outputs(backend, part)])
    return found


def _parts(x: Any) -> Iterator[Array]:
    """Arrays of the rows: of a large sparse matrix some at a time."""
    rows = dense_if_small(x)
    if not sparse.issparse(rows):
        yield rows
        return
    for start in range(0, rows.shape[0], _ROWS):
        yield rows[start : start + _ROWS].toarray()


def _outputs(backend: Backend[Any], x: Array) -> Iterator[Array]:
    """The outputs of each batch."""
    rows = len(x)
    data = as_data(backend.graphs.dtype, x)
    for which, size, count in in_few_sizes(rows, _ROWS):
        for outputs in backend.predict(Batches(data, np.arange(rows)[which], size)):
            yield outputs[:count]
