"""Rows of tables: looked up, told apart, and put back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.operation import Limit, Spec, no_flops, operation
from chainrule.graph.tensor import Array, Tensor
from chainrule.ops.comparison import equal, where
from chainrule.ops.declare import same_spec
from chainrule.ops.index import gather, scatter_add
from chainrule.ops.samples import examples

__all__: list[str] = []


def index_fault(lowest: int, highest: int, rows: int) -> str | None:
    """The fault of indices from `lowest` to `highest`, in words; None if the table has them."""
    if lowest >= 0 and highest < rows:
        return None
    return (
        f"index {highest if highest >= rows else lowest} is out of range for a table of {rows} "
        f"rows: indices are 0 ... {rows - 1}"
    )


def check_indices(
    indices: Array, limit: int, fault_of: Callable[[int, int, int], str | None]
) -> None:
    """Raise IndexError for indices that are not below a limit, in the words of a `Limit`."""
    if indices.size:
        fault = fault_of(int(indices.min()), int(indices.max()), limit)
        if fault is not None:
            raise IndexError(fault)


def check_integers(name: str, indices: Tensor) -> None:
    """Raise DTypeError, with the operation's name, unless indices are integers."""
    if indices.dtype.kind not in "iu":
        raise DTypeError(f"{name}: indices are integers, not {indices.dtype}")


def _looked_up(table: Tensor, indices: Tensor) -> Spec:
    check_integers("lookup", indices)
    return Spec((*indices.shape, *table.shape[1:]), table.dtype)


@operation(
    _looked_up,
    examples(
        (((5, 3), [0, 4, 4]), {}),
        (((4,), [[1, 0], [3, 1]]), {}),
        (((3, 2), 2), {}),
        (((3, 2, 2), np.zeros((0, 2), np.int64)), {}),
    ),
    limits={1: Limit(lambda table, indices: table.shape[0], index_fault, IndexError)},
    flops=no_flops,
)
def lookup(table: Array, indices: Array) -> Array:
    """table[indices]: rows by their numbers, which do not count from the end."""
    check_indices(indices, len(table), index_fault)
    return table[indices]


lookup.differentiable(
    lambda g, y, table, indices: scatter_add.apply(g, indices, shape=table.shape, axis=0), None
)


def _first_uses_spec(indices: Tensor, rows: int) -> Spec:
    check_integers("first_uses", indices)
    if indices.ndim != 1:
        raise ShapeError(f"first_uses takes 1-d indices, not shape {indices.shape}")
    return Spec(indices.shape, np.dtype(np.int64))


@operation(
    _first_uses_spec,
    examples(
        (([3, 0, 3, -1, 2, 0],), {"rows": 4}),
        ((np.zeros(0, np.int64),), {"rows": 4}),
        (([7],), {"rows": 8}),
    ),
    flops=no_flops,
)
def first_uses(indices: Array, rows: int) -> Array:
    """For each index the place of the first one that means the same row; -1 is the last row."""
    if indices.size and not -rows <= indices.min() <= indices.max() < rows:
        wrong = indices[(indices < -rows) | (indices >= rows)][0]
        raise IndexError(f"index {wrong} is out of range for a table of {rows} rows")
    meant = np.where(indices < 0, indices + rows, indices)
    _, first, number = np.unique(meant, return_index=True, return_inverse=True)
    return first[number.reshape(-1)].astype(np.int64)


def _put_spec(x: Tensor, indices: Tensor, values: Tensor) -> Spec:
    check_integers("put_rows", indices)
    if indices.ndim != 1 or values.shape != (*indices.shape, *x.shape[1:]):
        raise ShapeError(
            f"put_rows: {indices.shape} indices and values of shape {values.shape} do not fit "
            f"{x.shape}"
        )
    return Spec(x.shape, x.dtype)


@operation(
    _put_spec,
    examples(
        (((5, 3), [0, 4, 0], (3, 3)), {}),
        (((4,), [-1, 2, 3], (3,)), {}),
        (((3, 2, 2), np.zeros(0, np.int64), (0, 2, 2)), {}),
    ),
    flops=no_flops,
)
def put_rows(x: Array, indices: Array, values: Array) -> Array:
    """x with other rows at the indices; of values for one row the first is taken."""
    out = x.copy()
    out[indices[::-1]] = values[::-1]
    return out


put_rows.differentiable(
    lambda g, y, x, indices, values: put_rows.apply(g, indices, values * 0.0),
    None,
    lambda g, y, x, indices, values: _of_firsts(gather.apply(g, indices, axis=0), x, indices),
)


def _of_firsts(g: Tensor, x: Tensor, indices: Tensor) -> Tensor:
    """g, with 0 in the rows of all uses of an index but the first."""
    first = first_uses.apply(indices, rows=x.shape[0])
    places = np.arange(indices.size)
    is_first = equal(first, places).reshape(-1, *(1,) * (g.ndim - 1))
    return where(is_first, g, 0.0)


@operation(
    same_spec,
    examples((((3, 4), np.ones((3, 4))), {})),
    flops=no_flops,
)
def divide_gradient(x: Array, divisor: Array) -> Array:
    """x itself; its gradient is divided by `divisor` on its way back."""
    return x


divide_gradient.differentiable(lambda g, y, x, divisor: g / divisor, None)
