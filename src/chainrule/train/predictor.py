"""Predictor: a trained model that any number of threads ask for predictions."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from chainrule import _core, checks, nn
from chainrule.data.arrays import Data
from chainrule.execute.native import NativeStep, StateBlock, fill
from chainrule.graph.tensor import Array
from chainrule.nn import Module
from chainrule.ops.random import Generator
from chainrule.train.checked_rows import checked_rows_of_inputs
from chainrule.train.model_file import load
from chainrule.train.training_step import StepGraphs
from chainrule.trees import leaves, with_leaves

_MOST_ROWS = 512
"""Rows that the largest plan takes: its memory stays in the cache, its call costs little."""


class Predictor:
    """The predictions of a trained model, which never changes: safe from any number of threads.

    It has a copy of the weights of its own. Each thread borrows a native plan with memory of its
    own, for 1, 2, 4, ... 512 rows; these make up any number of rows, and bound the memory.

    Args:
        model: a `nn.Module`, or the path of a file that `chainrule.save` or a Trainer wrote.

    Raises:
        FileNotFoundError, FileError: as `chainrule.load`.
        TypeError: if `model` is anything else.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> predictor = cr.Predictor(nn.Flatten())
        >>> predictor.predict([[1.0, 2.0], [3.0, 4.0]])
        array([[1., 2.],
               [3., 4.]], dtype=float32)
    """

    def __init__(self, model: Module | str | os.PathLike[str]) -> None:
        if isinstance(model, (str, os.PathLike)):
            model = load(model)
        if not isinstance(model, Module):
            raise TypeError(
                f"model is a nn.Module or the path of a file, got {checks.described(model)}"
            )
        self._model = copy.deepcopy(model).eval()
        # Predictions have no loss; steps are made with one.
        self._graphs = StepGraphs(self._model, nn.MSELoss(), generator=Generator(0))
        self._lock = threading.Lock()  # of what follows, while plans are made
        self._block: StateBlock | None = None
        self._plans: dict[Any, _Plan] = {}
        self._known: dict[Any, tuple[list[_Plan], np.dtype[Any]]] = {}
        """Plans by the shape and dtype of an array that they take in their own dtype, and that."""

    def __reduce__(self) -> Any:
        return Predictor, (self._model,)

    def predict(self, x: Any) -> Any:
        """The model's outputs for `x`, in evaluation mode, as NumPy arrays.

        Args:
            x: arrays as in `Trainer.predict`, of any number of rows: one array, a tuple of them or
                a dict. The columns of a frame may be in any order.

        Returns:
            New arrays, with a row for each row of `x`. The last digits of a row may depend on how
            many rows there are: products of other sizes add up in another order.

        Raises:
            TypeError, ValueError: for what a model can't take: text, numbers that are not finite,
                columns that are missing.
            ShapeError: if the rows have another shape than the model takes.
            IndexError: for an index out of range.
        """
        known = self._known.get((x.shape, x.dtype)) if x.__class__ is np.ndarray else None
        if known is not None:
            plans, dtype = known
            rows = np.ascontiguousarray(x) if x.dtype == dtype else _converted(x, dtype)
            if _core.are_finite(rows):
                return _answers(plans, [rows])
        data = checked_rows_of_inputs(self._graphs, x)
        plans = [self._plan(data, rows) for rows in _parts(data.rows)]
        data.check_indices(plans[0].graph.index_limits)
        outputs = _answers(plans, [np.ascontiguousarray(array) for array in data.arrays])
        is_array = x.__class__ is np.ndarray and len(x) < 2 * _MOST_ROWS
        if is_array and x.dtype.kind in "fu" and not plans[0].graph.index_limits:
            self._known[x.shape, x.dtype] = plans, data.form.dtypes[0]
        return outputs

    def _plan(self, data: Data, rows: int) -> _Plan:
        key = data.form, rows
        plan = self._plans.get(key)
        if plan is None:
            with self._lock:
                plan = self._plans.get(key)
                if plan is None:
                    graph = self._graphs.capture("prediction", data.form, rows)
                    if self._block is None:
                        self._block = StateBlock(
                            [*self._model.parameters(), *self._model.buffers(), *graph.reads]
                        )
                        self._block.copy_assigned()
                    plan = self._plans[key] = _Plan(NativeStep(graph, self._block))
        return plan


class _Plan:
    """A plan for a number of rows, once for each thread that has needed it at the same time."""

    def __init__(self, step: NativeStep) -> None:
        self.graph = step.graph
        self.rows: int = step.graph.inputs[0].shape[0]
        self._block = step.block
        self._idle = [step]

    def answer(self, arrays: Sequence[Array]) -> Any:
        """The outputs for the first rows of the arrays."""
        try:
            step = self._idle.pop()
        except IndexError:
            step = NativeStep(self.graph, self._block)
        try:
            return step.answer(arrays)
        finally:
            self._idle.append(step)


def _converted(x: Array, dtype: np.dtype[Any]) -> Array:
    """The array in another dtype; a number that is too large becomes infinite."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(x, dtype)


def _parts(rows: int) -> Iterator[int]:
    """Powers of two that make up a number of rows, the largest first."""
    while rows:
        part = min(_MOST_ROWS, 1 << (rows.bit_length() - 1))
        yield part
        rows -= part


def _answers(plans: Sequence[_Plan], arrays: Sequence[Array]) -> Any:
    """The outputs of plans, each for the rows that follow, joined."""
    if len(plans) == 1:
        return plans[0].answer(arrays)
    total = sum(plan.rows for plan in plans)
    whole: list[Array] = []
    start = 0
    for plan in plans:
        outputs = plan.answer([array[start : start + plan.rows] for array in arrays])
        parts = list(leaves(outputs))
        whole = whole or [np.empty((total, *part.shape[1:]), part.dtype) for part in parts]
        for array, part in zip(whole, parts, strict=True):
            fill(array[start : start + plan.rows], part)
        start += plan.rows
    return with_leaves(outputs, whole)
