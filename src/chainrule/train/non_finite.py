"""What is not finite: found, and told with the place where it began."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from chainrule.errors import NonFiniteError
from chainrule.execute.reference import Interpreter
from chainrule.graph.tensor import Array, Tensor


def is_finite(array: Array) -> bool:
    """Whether no element is NaN or infinite. A finite sum says so at once; it may overflow."""
    if array.dtype.kind != "f":
        return True
    total = np.add.reduce(array, axis=None)
    return math.isfinite(total) or bool(np.isfinite(array).all())


def non_finite_error(
    run: Interpreter, arguments: Sequence[Array], loss: float, steps_done: int
) -> NonFiniteError:
    """The error that names where a step became non-finite."""
    error = NonFiniteError(f"loss {loss}, first in {_place(run, run.first_non_finite(arguments))}")
    error.steps_done = steps_done
    return error


def _place(run: Interpreter, node: Tensor | None) -> str:
    if node is None:
        return "an update"
    if node.operation is None:
        is_batch = any(node is leaf for leaf in run.graph.inputs)
        return "the batch itself" if is_batch else node.name or "a parameter"
    where = node.operation.name
    if node.path:
        where += f" in layer {node.path}"
    return where + " (backward pass)" if node.origin is not None else where
