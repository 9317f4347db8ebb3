"""NetworkPredictor: a network's outputs, for any number of threads."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from chainrule import _core, nn
from chainrule.compiler.elementwise import UnsupportedError
from chainrule.data.arrays import Form
from chainrule.execute.native import NativeStep, fill
from chainrule.execute.state_block import StateBlock
from chainrule.graph.tensor import Array
from chainrule.nn import Module
from chainrule.ops.random import Generator
from chainrule.system import forks
from chainrule.train.checked_rows import checked_rows_of_inputs
from chainrule.train.training_step import StepGraphs
from chainrule.trees import leaves, with_leaves

_MOST_ROWS = 512
"""Rows that the largest plan takes: its memory stays in the cache, its call costs little."""


class NetworkPredictor:
    """The outputs of a network in evaluation mode, which never change.

    It has a copy of the weights of its own. Each thread borrows a native plan with memory of its
    own, for 1, 2, 4, ... 512 rows; these make up any number of rows, and bound the memory.

    Args:
        model: the network.
    """

    def __init__(self, model: Module) -> None:
        self._model = copy.deepcopy(model).eval()
        # Predictions have no loss; steps are made with one.
        self._graphs = StepGraphs(self._model, nn.MSELoss(), generator=Generator(0))
        self._lock = forks.lock()  # of what follows, while plans are made
        self._block: StateBlock | None = None
        self._plans: dict[Any, _Plan] = {}
        self._known: dict[Any, tuple[list[_Plan], np.dtype[Any]]] = {}
        """Plans by the shape and dtype of an array that they take in their own dtype, and that."""

    def __reduce__(self) -> Any:
        return type(self), (self._model,)

    def predict(self, x: Any) -> Any:
        """The outputs for rows as a user gives them, as NumPy arrays.

        Raises:
            TypeError, ValueError, ShapeError, IndexError: as `chainrule.Predictor.predict`.
        """
        known = self._known.get((x.shape, x.dtype)) if x.__class__ is np.ndarray else None
        if known is not None:
            plans, dtype = known
            rows = _contiguous(x) if x.dtype == dtype else _converted(x, dtype)
            if _core.are_finite(rows):
                return _answers(plans, [rows])
        data = checked_rows_of_inputs(self._graphs, x)
        plans = self._plans_for(data.form, data.rows)
        data.check_indices(plans[0].graph.index_limits)
        outputs = _answers(plans, data.arrays)
        is_array = x.__class__ is np.ndarray and len(x) < 2 * _MOST_ROWS
        if is_array and x.dtype.kind in "fu" and not plans[0].graph.index_limits:
            self._known[x.shape, x.dtype] = plans, data.form.dtypes[0]
        return outputs

    def form(self, x: Any) -> Form:
        """The form of such rows, with which `outputs` takes others like them."""
        return checked_rows_of_inputs(self._graphs, x).form

    def outputs(self, form: Form, arrays: Sequence[Array]) -> Any:
        """The outputs for arrays of this form that are known to be right: nothing is checked."""
        return _answers(self._plans_for(form, len(arrays[0])), arrays)

    def _plans_for(self, form: Form, rows: int) -> list[_Plan]:
        return [self._plan(form, part) for part in _parts(rows)]

    def _plan(self, form: Form, rows: int) -> _Plan:
        key = form, rows
        plan = self._plans.get(key)
        if plan is None:
            with self._lock:
                plan = self._plans.get(key)
                if plan is None:
                    graph = self._graphs.capture("prediction", form, rows)
                    if self._block is None:
                        self._block = StateBlock(
                            [*self._model.parameters(), *self._model.buffers(), *graph.reads]
                        )
                        self._block.copy_assigned()
                    try:
                        plan = self._plans[key] = _Plan(NativeStep(graph, self._block))
                    except UnsupportedError as error:
                        remedy = "or call the model itself, which runs it with NumPy"
                        raise UnsupportedError(f"{error}; {remedy}") from None
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


def _contiguous(array: Array) -> Array:
    """The array, or a copy if its elements do not lie side by side or are not aligned."""
    return np.ascontiguousarray(array) if array.flags.aligned else np.array(array, order="C")


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
        return plans[0].answer([_contiguous(array) for array in arrays])
    total = sum(plan.rows for plan in plans)
    whole: list[Array] = []
    start = 0
    for plan in plans:
        rows = slice(start, start + plan.rows)
        outputs = plan.answer([_contiguous(array[rows]) for array in arrays])
        parts = list(leaves(outputs))
        whole = whole or [np.empty((total, *part.shape[1:]), part.dtype) for part in parts]
        for array, part in zip(whole, parts, strict=True):
            fill(array[rows], part)
        start += plan.rows
    return with_leaves(outputs, whole)
