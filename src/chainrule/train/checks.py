"""What a Trainer refuses: arguments and data that do not fit, before anything changes."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from chainrule.compiler.capture import CapturedGraph
from chainrule.data.arrays import as_arrays, check_finite, check_same_rows
from chainrule.data.mapped import extremes
from chainrule.data.splitting import split
from chainrule.graph.tensor import Array, Tensor
from chainrule.train.step import StepGraphs, Weighted, check_takes_weights, label_fault
from chainrule.trees import leaves, map_leaves


def checked(graphs: StepGraphs, name: str, data: Any) -> Any:
    """Data as arrays of finite numbers that the model's dtype can hold."""
    arrays = as_arrays(map_leaves(_without_tensor, data), name)
    check_finite(arrays, name)
    largest = float(np.finfo(graphs.dtype).max)
    for array in leaves(arrays):
        if array.dtype.kind != "f" or array.dtype.itemsize <= graphs.dtype.itemsize:
            continue
        low, high = extremes(array) if array.size else (0, 0)
        if max(high, -low) > largest:
            raise ValueError(
                f"{name} holds numbers beyond {largest:.2g}, the largest that the model's "
                f"{graphs.dtype} can hold: scale them down, or make the model's layers float64"
            )
    return arrays


def checked_pair(
    graphs: StepGraphs, x: Any, y: Any, sample_weight: Any = None, *, prefix: str = ""
) -> tuple[Any, Any]:
    """(x, y) as arrays of equally many rows; with weights y is `Weighted`."""
    x, y = checked(graphs, f"{prefix}x", x), checked(graphs, f"{prefix}y", y)
    check_same_rows(**{f"{prefix}x": x, f"{prefix}y": y})
    if sample_weight is None:
        return x, y
    check_takes_weights(graphs.loss)
    rows = len(next(leaves(x)))
    return x, Weighted(y, checked_weights(graphs, sample_weight, rows, f"{prefix}sample_weight"))


def checked_validation(graphs: StepGraphs, data: Any) -> tuple[Any, Any]:
    """What `validation_data` holds, as `checked_pair` gives it."""
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise ValueError("validation_data is a pair (x, y) or a triple (x, y, sample_weight)")
    return checked_pair(graphs, *data, prefix="validation ")


def held_out(
    graphs: StepGraphs, x: Any, y: Any, fraction: float, seed: int
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """The rows of a `checked_pair` to train on, and a share to validate on."""
    weighted = isinstance(y, Weighted)
    target, weight = y if weighted else (y, None)
    train, test = split(x, target, fraction, seed=seed, sample_weight=weight)
    if not weighted:
        return (train[0], train[1]), (test[0], test[1])
    # Of the weights, one part may have but zeros.
    return checked_pair(graphs, *train), checked_pair(graphs, *test, prefix="validation ")


def checked_weights(graphs: StepGraphs, sample_weight: Any, rows: int, name: str) -> Array:
    """A weight for each row as a floating array: finite, not negative, not all 0."""
    weights = checked(graphs, name, sample_weight)
    if not isinstance(weights, np.ndarray) or weights.shape != (rows,):
        seen = weights.shape if isinstance(weights, np.ndarray) else type(weights).__name__
        raise ValueError(
            f"{name} is one number a row, of shape ({rows},) for {rows} rows; got {seen}"
        )
    if weights.dtype.kind != "f":
        weights = weights.astype(graphs.dtype)
    negative = np.flatnonzero(weights < 0)
    if negative.size:
        raise ValueError(
            f"{name} is {weights[negative[0]]} at row {negative[0]}: a weight is not negative. "
            "Give 0 to a row that shall not count."
        )
    if not weights.any():
        raise ValueError(f"{name} is 0 in all {rows} rows: there is nothing to learn from")
    return weights


def check_batches(
    graphs: StepGraphs, x: Any, y: Any, batch_size: int, *, training: bool = False
) -> None:
    """Check shapes and dtypes, by capturing the steps of each size of batch, then targets.

    A loss with a method `target_fault` says what is wrong with their values, or None.
    """
    rows = len(next(leaves(x)))
    for size in dict.fromkeys((min(batch_size, rows), rows % batch_size or batch_size)):
        first = operator.itemgetter(slice(size))
        xb = graphs.prepare(map_leaves(first, x))
        yb = graphs.prepare_targets(map_leaves(first, y))
        graph: CapturedGraph
        if training:
            if graphs.accumulates:
                graphs.training(xb, yb, update=False)
            graph = graphs.training(xb, yb)
        else:
            graph = graphs.evaluation(xb, yb)
    fault = label_fault(graph, leaves((x, y)))
    if fault is None and hasattr(graphs.loss, "target_fault"):
        fault = graphs.loss.target_fault(y.target if isinstance(y, Weighted) else y)
    if fault is not None:
        raise ValueError(f"{'training' if training else 'validation'} {fault}")


def _without_tensor(leaf: Any) -> Any:
    return leaf.numpy() if isinstance(leaf, Tensor) else leaf
