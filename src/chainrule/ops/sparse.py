"""Products with sparse rows: the values that each row holds, and the columns they stand in."""

from __future__ import annotations

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.operation import Limit, Spec, operation
from chainrule.graph.tensor import Array, Tensor
from chainrule.ops.rows import check_indices, check_integers, lookup
from chainrule.ops.samples import examples

__all__: list[str] = []


def _check_rows(name: str, indices: Tensor, values: Tensor, matrix: Tensor) -> None:
    check_integers(name, indices)
    if values.dtype.kind != "f" or values.dtype != matrix.dtype:
        raise DTypeError(f"{name} takes floats of one dtype: {values.dtype}, {matrix.dtype}")
    if indices.ndim != 2 or values.shape != indices.shape:
        raise ShapeError(
            f"{name}: indices and values have one shape (rows, entries), got {indices.shape} and "
            f"{values.shape}"
        )


def _column_fault(lowest: int, highest: int, columns: int) -> str | None:
    """The fault of indices from `lowest` to `highest`, in words; None if there are such columns."""
    if lowest >= 0 and highest < columns:
        return None
    return (
        f"column {highest if highest >= columns else lowest} is out of range: there are {columns} "
        f"columns, 0 ... {columns - 1}"
    )


def _are_entries(values: Array) -> Array:
    """Which values are entries of their rows: all but the zeros at the end of each."""
    return np.logical_or.accumulate(values[:, ::-1] != 0, axis=1)[:, ::-1]


def _matmul_spec(indices: Tensor, values: Tensor, weight: Tensor) -> Spec:
    _check_rows("sparse_matmul", indices, values, weight)
    if weight.ndim != 2:
        raise ShapeError(f"sparse_matmul: the weight is a matrix, got shape {weight.shape}")
    return Spec((indices.shape[0], weight.shape[0]), weight.dtype)


@operation(
    _matmul_spec,
    examples(
        (([[0, 4], [2, 2], [1, 0]], (3, 2), (4, 5)), {}),
        (([[3]], [[0.0]], (2, 5)), {}),
        ((np.zeros((3, 0), np.int64), (3, 0), (2, 5)), {}),
        ((np.zeros((0, 2), np.int64), (0, 2), (2, 5)), {}),
    ),
    limits={0: Limit(lambda indices, values, weight: weight.shape[1], _column_fault, IndexError)},
    flops=lambda y, indices, values, weight: 2 * values.size * weight.shape[0],
)
def sparse_matmul(indices: Array, values: Array, weight: Array) -> Array:
    """x W^T, where row n of x holds values[n, i] in column indices[n, i], and 0 elsewhere.

    Of equal indices in a row the values add up. Zeros at the end of a row are no entries: they fill
    it up, and meet no infinite weight. Shapes: indices and values (rows, entries), W (outputs,
    columns), the product (rows, outputs).
    """
    check_indices(indices, weight.shape[1], _column_fault)
    weights = np.where(_are_entries(values)[..., None], weight.T[indices], weight.dtype.type(0))
    product = np.einsum("ni,nio->no", values, weights, dtype=np.float64)
    return product.astype(weight.dtype)


def _weight_grad_spec(indices: Tensor, values: Tensor, g: Tensor, columns: int) -> Spec:
    _check_rows("sparse_matmul_weight_grad", indices, values, g)
    if g.ndim != 2 or g.shape[0] != indices.shape[0]:
        raise ShapeError(
            f"sparse_matmul_weight_grad: {indices.shape[0]} rows and a gradient of shape {g.shape} "
            "do not fit"
        )
    return Spec((g.shape[1], columns), g.dtype)


@operation(
    _weight_grad_spec,
    examples(
        (([[0, 4], [2, 2], [1, 0]], (3, 2), (3, 4)), {"columns": 5}),
        (([[3]], [[0.0]], (1, 2)), {"columns": 5}),
        ((np.zeros((3, 0), np.int64), (3, 0), (3, 2)), {"columns": 5}),
        ((np.zeros((0, 2), np.int64), (0, 2), (0, 2)), {"columns": 5}),
    ),
    limits={0: Limit(lambda indices, values, g, columns: columns, _column_fault, IndexError)},
    flops=lambda y, indices, values, g, columns: 2 * values.size * g.shape[1],
)
def sparse_matmul_weight_grad(indices: Array, values: Array, g: Array, columns: int) -> Array:
    """g^T x, the gradient of x W^T with respect to W, shape (outputs, columns)."""
    check_indices(indices, columns, _column_fault)
    sums = np.zeros((columns, g.shape[1]))
    rows, places = np.nonzero(_are_entries(values))
    terms = values[rows, places, None] * g[rows].astype(np.float64)
    np.add.at(sums, indices[rows, places], terms)
    return sums.T.astype(g.dtype)


def _by_values(indices: Tensor, weight: Tensor, g: Tensor) -> Tensor:
    """g W in the columns of the entries."""
    rows, outputs = g.shape
    return (lookup.apply(weight.T, indices) * g.reshape(rows, 1, outputs)).sum(axis=-1)


sparse_matmul.differentiable(
    None,
    lambda g, y, indices, values, weight: _by_values(indices, weight, g),
    lambda g, y, indices, values, weight: sparse_matmul_weight_grad.apply(
        indices, values, g, columns=weight.shape[1]
    ),
)
sparse_matmul_weight_grad.differentiable(
    None,
    lambda grad, y, indices, values, g, columns: _by_values(indices, grad, g),
    lambda grad, y, indices, values, g, columns: sparse_matmul.apply(indices, values, grad),
)
