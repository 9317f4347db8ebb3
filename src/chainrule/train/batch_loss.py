"""The loss of a batch, and what of it is added up over batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ShapeError
from chainrule.graph.backprop import backprop, with_ancestors
from chainrule.graph.operation import operation_name
from chainrule.graph.tensor import Array, Tensor
from chainrule.nn import GaussianNLLLoss
from chainrule.nn.means import WeightedMean, collected
from chainrule.trees import leaves


class BatchLoss(NamedTuple):
    """The loss of a batch.

    Attributes:
        value: the loss.
        sums: float64 scalars to add up: none where the loss counts by rows; else what of it counts
            by rows, times the rows, and the total and the weight of each weighted mean in it.
        weight: of the one weighted mean that the loss is; None where it counts by rows.
    """

    value: Tensor
    sums: list[Tensor]
    weight: Tensor | None


def batch_loss(compute: Callable[[], Tensor], rows: int) -> BatchLoss:
    """The loss that `compute` returns, for a batch of `rows` rows; for use within a capture."""
    with collected() as means:
        loss = compute()
    factors = _factors(loss, means)
    if not factors:
        return BatchLoss(loss, [], None)
    rest, sums = loss.astype(np.float64), []
    for mean, factor in factors:
        rest = rest - factor * mean.mean.astype(np.float64)
        sums += [factor * mean.total.astype(np.float64), mean.weight.astype(np.float64)]
    (mean, _), *others = factors
    if not others and _is_multiple(loss.node(), mean.mean):
        return BatchLoss(loss, [Tensor(np.zeros(())), *sums], mean.weight)
    return BatchLoss(loss, [rest * float(rows), *sums], None)


def fitted_targets(loss: Any, output: Any, target: Any) -> Any:
    """The targets in the shape of the outputs, where only an axis of length 1 is missing or more.

    So a vector of targets is a column for a model with one output, and a column of labels a vector
    for a loss of classes. Tensors or arrays.
    """
    if isinstance(output, tuple) and isinstance(loss, GaussianNLLLoss):  # a mean and a variance
        output = output[0]
    if isinstance(output, dict) and isinstance(target, dict):
        return {k: fitted_targets(loss, output.get(k), target[k]) for k in target}
    if not hasattr(output, "shape") or not hasattr(target, "shape") or not output.shape:
        return target
    vector, column = output.shape[:1], (*output.shape[:1], 1)
    if str(getattr(loss, "outputs", None)).startswith("class "):
        is_labels = target.shape == column and target.dtype.kind in "iu"
        return target.reshape(vector) if is_labels and len(output.shape) == 2 else target
    if {output.shape, target.shape} == {vector, column}:
        return target.reshape(output.shape)
    return target


def check_compared(name: str, result: Tensor, output: Any, given: Any, fitted: Any) -> None:
    """Raise where a function compares each output with each target, as it has reshaped one of them.

    It may expect the targets in the shape in which they were given, and not as `fitted_targets`.

    Args:
        name: of the function.
        result: what it returned.
        output, given, fitted: the outputs, the targets, and the targets in the outputs' shape.
    """
    for before, target in zip(leaves(given), leaves(fitted), strict=True):
        if target is before or target.shape[0] < 2:
            continue
        for node in with_ancestors([result]):
            if shapes := _crossed(node, output, target):
                raise ShapeError(
                    f"{name} compares each output with each target: it broadcasts "
                    f"{' and '.join(map(str, sorted(shapes)))} to {node.shape}. Targets given "
                    f"in shape {before.shape} come in that of the outputs, {target.shape}: "
                    "compare both as they come, or reshape both alike"
                )


def _crossed(node: Tensor, output: Any, target: Tensor) -> set[tuple[int, ...]]:
    """The shapes of a column and a vector of which a node takes all pairs; none of other nodes.

    One of them is computed of the outputs, the other of the target.
    """
    rows = target.shape[0]
    if node.shape != (rows, rows):
        return set()
    sources = [i.inputs[0] for i in node.inputs if operation_name(i) == "broadcast_to"]
    shapes = {source.shape for source in sources}
    if (rows, 1) not in shapes or not shapes & {(rows,), (1, rows)}:
        return set()
    above = [with_ancestors([source]) for source in sources]
    of_target = [target in nodes for nodes in above]
    of_output = [any(leaf in nodes for leaf in leaves(output)) for nodes in above]
    return shapes if any(of_output) and any(of_target) and of_output != of_target else set()


def mean_of_sums(sums: Sequence[Array]) -> tuple[float, float]:
    """(the part of the loss that counts by rows, summed; that of the weighted means, divided)."""
    rest, *pairs = map(float, sums)
    totals, weights = np.array(pairs[::2]), np.array(pairs[1::2])
    with np.errstate(invalid="ignore", divide="ignore"):
        return rest, float(np.sum(totals / weights))


def _factors(loss: Tensor, means: Sequence[WeightedMean]) -> list[tuple[WeightedMean, float]]:
    """The means of which the loss is a linear function, each with its constant factor."""
    if not means:
        return []
    grads = backprop(loss, [found.mean for found in means])
    factors = []
    for found in means:
        grad = grads.get(found.mean)
        if grad is not None and grad.value is not None:
            factors.append((found, float(grad.value)))
    return factors


_BY_CONSTANTS = ("multiply", "divide", "negative", "astype")


def _is_multiple(node: Tensor, mean: Tensor) -> bool:
    """Whether a node is the mean times constants."""
    while node is not mean:
        varying = [i for i in node.inputs if i.value is None]
        if len(varying) != 1 or operation_name(node) not in _BY_CONSTANTS:
            return False
        (node,) = varying
    return True
