"""The outputs of a network for checked rows, by plans of a few sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from scipy import sparse

from chainrule.data.arrays import as_data, check_range
from chainrule.data.batches import Batches, in_few_sizes
from chainrule.execute.native import joined
from chainrule.graph.context import no_grad
from chainrule.graph.tensor import Array, as_tensor
from chainrule.nn import Module
from chainrule.sklearn.batches import as_rows, dense_parts
from chainrule.sklearn.sparse_rows import begins_linearly
from chainrule.train import Trainer
from chainrule.train.backends import Backend, make_backend
from chainrule.train.training_step import Loss, StepGraphs

_ROWS = 1024
"""The most rows in a batch."""

_SPARSE = 25
"""With a number in every 25th cell or fewer a product of a sparse matrix is faster."""

_SPARSE_ROWS = 512
"""Rows of a sparse product at a time, which bound the memory: with fewer each takes longer."""


def predicting_backend(model: Module, loss: Loss) -> Backend[Any]:
    """A backend for a network that is not trained."""
    return make_backend(None, StepGraphs(model, loss))


def trained_backend(trainer: Trainer, model: Module) -> Backend[Any]:
    """A backend for a network that a trainer trains, in this form or another."""
    if trainer.model is model:
        return trainer.backend
    return predicting_backend(model, trainer.graphs.loss)


class Outputs:
    """The outputs of a network for the same rows, as often as its weights change.

    Args:
        backend: of the network.
        x: rows of finite numbers, an array or a sparse matrix.

    Raises:
        ValueError: for numbers that the network's dtype can't hold.
    """

    def __init__(self, backend: Backend[Any], x: Any) -> None:
        self._backend = backend
        numbers = as_native(x.data if sparse.issparse(x) else x)
        check_range(numbers, "X", np.dtype(backend.graphs.dtype), "fit on float64")
        self._few = _is_of_few(x) and begins_linearly(backend.graphs.model)
        rows = x.tocsr() if self._few else as_rows(x)
        is_sparse = sparse.issparse(rows)
        self._sparse = rows if is_sparse else None
        self._batches = [] if is_sparse else _batches(backend, rows)

    def compute(self) -> Array:
        """The outputs as they are now: (rows, outputs)."""
        if self._few:
            return _outputs_of_few(self._backend.graphs.model, self._sparse)
        found: Array = joined(
            [
                outputs[:count]
                for batches, count in self._some_batches()
                for outputs in self._backend.predict(batches)
            ]
        )
        return found

    def _some_batches(self) -> Iterable[tuple[Batches, int]]:
        return self._batches if self._sparse is None else self._batches_of_sparse(self._sparse)

    def _batches_of_sparse(self, rows: Any) -> Iterator[tuple[Batches, int]]:
        for part in dense_parts(rows, _ROWS):
            yield from _batches(self._backend, part)


def _is_of_few(x: Any) -> bool:
    """Whether a matrix is sparse, and has so few numbers that to go through them is fastest."""
    return sparse.issparse(x) and _SPARSE * x.nnz <= x.shape[0] * x.shape[1]


def _outputs_of_few(model: Any, rows: Any) -> Array:
    """The outputs for a CSR matrix: the first layer goes through the numbers that it holds."""
    first, *others = model
    weight = first.weight.value
    if rows.nnz < rows.shape[1]:  # just the weights that they take, one for each number
        weight = weight[:, rows.indices]
        held = rows.data, np.arange(rows.nnz), rows.indptr
        rows = sparse.csr_matrix(held, shape=(rows.shape[0], rows.nnz))
    weight = np.ascontiguousarray(weight.T)
    found = []
    with model.in_mode(False), no_grad(), np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, rows.shape[0], _SPARSE_ROWS):
            sums = rows[start : start + _SPARSE_ROWS].astype(weight.dtype) @ weight
            sums += first.bias.value
            hidden = as_tensor(sums)
            for layer in others:
                hidden = layer(hidden)
            found.append(hidden.numpy())
    return np.concatenate(found)


def as_native(x: Array) -> Array:
    """Numbers in the machine's byte order; floats of other widths, uint64, and objects, such as
    decimals of a frame, as float64, as in `fit`.
    """
    kind, size = x.dtype.kind, x.dtype.itemsize
    if kind == "O" or (kind == "f" and size not in (4, 8)) or (kind == "u" and size == 8):
        return x.astype(np.float64)
    return x.astype(x.dtype.newbyteorder("="), copy=False)


def _batches(backend: Backend[Any], x: Array) -> list[tuple[Batches, int]]:
    """Batches of a few sizes, and how many outputs count of each of their batches."""
    rows = len(x)
    data = as_data(backend.graphs.dtype, as_native(x))
    return [
        (Batches(data, np.arange(rows)[which], size), count)
        for which, size, count in in_few_sizes(rows, _ROWS)
    ]
