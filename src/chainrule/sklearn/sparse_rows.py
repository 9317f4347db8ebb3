"""Sparse rows as the numbers that they hold, and a network that takes them so."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from chainrule import nn
from chainrule.graph.tensor import Array, Tensor
from chainrule.ops.sparse import sparse_matmul

_BYTES = 240
"""A dense product goes through so much of a row while a sparse one does with one number."""

_ENTRIES = 16
"""Rows are given a multiple of so many entries, so that data of about one kind share plans."""

MOST_BYTES = 1 << 28
"""Sparse rows that take at most this as a network takes them become so as a whole: faster."""


def has_short_rows(x: Any) -> bool:
    """Whether rows are a CSR matrix, and none holds more numbers than a sparse product is for."""
    return sparse.issparse(x) and _BYTES * _most_entries(x) <= x.shape[1] * x.dtype.itemsize


def _most_entries(x: Any) -> int:
    """How many numbers the longest row of a CSR matrix holds."""
    return int(np.diff(x.indptr).max(initial=0))


def _width(x: Any) -> int:
    """How many entries the rows of a CSR matrix are given."""
    return -(-max(_most_entries(x), 1) // _ENTRIES) * _ENTRIES


def entries(x: Any, width: int) -> tuple[Array, Array]:
    """The columns and values of a CSR matrix, each of shape (rows, width).

    Rows of fewer numbers are filled up with zeros in column 0.
    """
    is_held = np.arange(width) < np.diff(x.indptr)[:, None]
    columns, values = np.zeros(is_held.shape, np.int32), np.zeros(is_held.shape, x.dtype)
    columns[is_held], values[is_held] = x.indices, x.data
    return columns, values


def with_distinct_entries(x: Any) -> Any:
    """A matrix with one number in each place; of a sparse one those given for it are added up."""
    if not sparse.issparse(x) or x.has_canonical_format:
        return x
    x = x.copy()
    x.sum_duplicates()
    return x


def begins_linearly(model: Any) -> bool:
    """Whether the first layer of a Sequential is a Linear, and neither has hooks."""
    return type(model[0]) is nn.Linear and model[0]._hooks is None and model._hooks is None


class OnEntries(nn.Sequential):
    """A Sequential that begins with a Linear, and takes rows by their entries, too."""

    def forward(self, input: Tensor, values: Tensor | None = None) -> Tensor:
        """The outputs for rows; with `values` for `entries`, whose columns the input holds."""
        if values is None:
            return super().forward(input)
        first, *others = self
        hidden = sparse_matmul.apply(input, values, first.weight) + first.bias
        for layer in others:
            hidden = layer(hidden)
        return hidden


def as_taken_by(model: nn.Module, x: Any) -> Any:
    """Rows as a model takes them; a CSR matrix where they are many, for `form_of_parts`."""
    if not isinstance(model, OnEntries):
        return x
    width = _width(x)
    is_large = x.shape[0] * width * (4 + x.dtype.itemsize) > MOST_BYTES
    return x if is_large else entries(x, width)


def form_of_parts(model: nn.Module, x: Any) -> Callable[[Any], Any]:
    """A function that gives some rows of a CSR matrix x as a model takes them, in one width."""
    if isinstance(model, OnEntries):
        return partial(entries, width=_width(x))
    return lambda rows: rows.toarray()
