"""Runs plans in the native core: whole epochs without returning to Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

from chainrule import _core
from chainrule.caches import LruCache
from chainrule.compiler.capture import CapturedGraph
from chainrule.compiler.memory import aligned_zeros
from chainrule.compiler.plan import Output, Plan
from chainrule.compiler.signature import signature
from chainrule.dtypes import name_of
from chainrule.execute.state_block import Copies, StateBlock
from chainrule.graph.state import HyperParameter, State
from chainrule.graph.tensor import Array, Tensor
from chainrule.system.collector import collector_held
from chainrule.system.interrupts import interrupts_held
from chainrule.system.threads import get_num_threads
from chainrule.trees import with_leaves

_has_found_blas = False

_plans: LruCache[Any, Plan] = LruCache(128)
"""Plans by the signatures of their graphs: models that are built alike share them."""

Result = TypeVar("Result")


class Run(NamedTuple):
    """What a run of a number of steps gave.

    Attributes:
        steps: how many ran to their end.
        totals: the totals given, and for each registered output its weighted sum over those steps,
            float64.
        last: for each registered output its value after the last of those steps.
        status: "ok", "non-finite", or "index out of range".
        label: the instruction that failed, or wrote a number that is not finite; else empty.
    """

    steps: int
    totals: list[Array]
    last: list[Array]
    status: str
    label: str


_SHORT = 500
"""From more elements on NumPy lets another thread run while it copies an array."""


def fill(place: Array, array: Array) -> None:
    """Copy an array into a place of the same shape: without a change of threads, if it is short."""
    if array.size > _SHORT and array.dtype == place.dtype and array.flags.c_contiguous:
        _core.copy(place, array)
    else:
        place[...] = array


def joined(arrays: Sequence[Array]) -> Array:
    """New arrays joined along their rows; one alone stays as it is."""
    if len(arrays) == 1:
        return arrays[0]
    first, start = arrays[0], 0
    whole = np.empty((sum(map(len, arrays)), *first.shape[1:]), first.dtype)
    for array in arrays:
        fill(whole[start : start + len(array)], array)
        start += len(array)
    return whole


class NativeStep:
    """A captured step as a native plan.

    Args:
        graph: the captured step.
        block: where its states lie; it must hold all that the graph reads or updates.
        has_scalars: whether `run` is given hyper-parameters step by step; else they are read from
            the block, as other states are.
        weights: the weight of each output in the totals; the first output is the loss, which must
            stay finite. None for outputs that are only fetched.

    Raises:
        UnsupportedError: if an operation has no native kernel.
    """

    def __init__(
        self,
        graph: CapturedGraph,
        block: StateBlock,
        weights: Sequence[float] | None = None,
        *,
        has_scalars: bool = True,
    ) -> None:
        _find_blas()
        self.graph = graph
        self.block = block
        self.plan = _plan_of(graph, block)
        arena, constants = aligned_zeros(self.plan.arena_size), self.plan.constants
        self._memory = {"arena": arena, "state": block.array, "constants": constants}
        self._outputs = [self._output(output) for output in self.plan.outputs]
        self._core = _core.Plan(arena, block.array, constants)
        for instruction in self.plan.instructions:
            self._core.extend(instruction)
        reads = list(graph.reads)
        scalars = [reads[number] for number in self.plan.scalars] if has_scalars else []
        self.scalars = [cast(HyperParameter, scalar) for scalar in scalars]
        for scalar in self.scalars:
            self._core.scalar(("state", block.offset(scalar)))
        self._changed = [*dict.fromkeys([*graph.updates, *self.scalars])]
        self._is_bound = False
        self._gives_outputs = False
        # Cut from one row: an array that begins empty has no strides.
        self._no_rows = [np.empty((1, *i.shape[1:]), i.dtype)[:0] for i in graph.inputs]
        updates = list(graph.updates)
        by_rows = {updates[number] for number in self.plan.by_rows}
        kept = [state for state in updates if state not in by_rows]
        self._kept = kept, [state for state in self.scalars if state not in by_rows]
        self._copies: Copies | None = None
        self._totals: list[tuple[slice, tuple[int, ...]]] = []  # where each lies, and its shape
        end = 0
        if weights is not None:
            for i, (output, weight) in enumerate(zip(self.plan.outputs, weights, strict=True)):
                size = math.prod(output.shape)
                ref = (output.space, output.offset)
                self._core.total(ref, name_of(output.dtype), size, weight, i == 0)
                self._totals.append((slice(end, end + size), output.shape))
                end += size

    def save(self) -> None:
        """Let the states as they are, assignments included, be those that `restore` goes back to.

        Of tables of which the step changes single rows the core keeps the rows that it overwrites,
        of one run; so after each run comes this, `save_if_finite` or `restore`.
        """
        if self._copies is None:
            self._core.keep_rows()
            self._copies = self.block.copies(*self._kept)
        self._copies.save()

    def save_if_finite(self) -> bool:
        """The same after a run, if all numbers that it wrote are finite; whether they are."""
        assert self._copies is not None, "save comes first"
        return self._core.has_finite_rows() and self._copies.save_if_finite()

    def is_finite(self) -> bool:
        """Whether all numbers that a run wrote are finite, where `changes_rows` is False."""
        assert self._copies is not None, "save comes first"
        return self._copies.is_finite()

    @property
    def changes_rows(self) -> bool:
        """Whether there are tables of which a step changes single rows."""
        return bool(self.plan.by_rows)

    def restore(self) -> None:
        """Go back to the states that were saved."""
        assert self._copies is not None, "save comes first"
        self._core.undo_rows()
        self._copies.restore()

    def scalar_values(self) -> list[float]:
        """The values that the scalars have now."""
        return [float(scalar.value) for scalar in self.scalars]  # type: ignore[arg-type]

    def bind(self, arrays: Iterable[Array]) -> None:
        """Take rows from these arrays, one for each input of the graph; a row is contiguous."""
        self._is_bound = True
        for number, array in enumerate(arrays):
            self._core.input(number, array)

    def release(self) -> None:
        """Hold the arrays of `bind` no longer."""
        if self._is_bound:
            self.bind(self._no_rows)
            self._is_bound = False

    def run(
        self,
        order: Array,
        first: int,
        steps: int,
        scalars: Array | None = None,
        seconds: float = 1e9,
        totals: Sequence[ArrayLike] = (),
    ) -> Run:
        """Do steps `first` ... of the rows in `order`; at most `steps`, for at most `seconds`.

        A run ends early, too, where another thread waits for the states.

        Args:
            order: row numbers, int64; step i takes the i-th batch of them.
            first: the number of the first step.
            steps: how many to do.
            scalars: float64 (steps, len(self.scalars)), the scalars in each step; by default their
                values now.
            seconds: return after the step in which this time is over.
            totals: what the totals begin with; by default 0. Steps are added one after another, so
                several runs give the same bits as one.
        """
        return self._in_turn(lambda: self._run(order, first, steps, scalars, seconds, totals))

    def fetch(self, order: Array, number: int) -> tuple[Run, list[Array]]:
        """Do one step, on batch `number` of the rows in `order`; returns its outputs, too."""
        return self._in_turn(lambda: (self._run(order, number, 1), self.outputs()))

    def answer(self, arrays: Sequence[Array]) -> Any:
        """Do one step on the first rows of the arrays, with states that nobody changes.

        Returns:
            Its outputs, in the structure of the graph's.

        Raises:
            IndexError: if an index is out of range.
        """
        if not self._gives_outputs:
            for output, view in zip(self.plan.outputs, self._outputs, strict=True):
                self._core.output((output.space, output.offset), view.nbytes)
            self._gives_outputs = True
        found = [np.empty(view.shape, view.dtype) for view in self._outputs]
        if failed := self._core.answer(arrays, found, get_num_threads()):
            raise IndexError(f"a label or an index is out of range, in {failed}")
        structure = self.graph.outputs
        return found[0] if isinstance(structure, Tensor) else with_leaves(structure, found)

    def _run(
        self,
        order: Array,
        first: int,
        steps: int,
        scalars: Array | None = None,
        seconds: float = 1e9,
        totals: Sequence[ArrayLike] = (),
    ) -> Run:
        begin = np.concatenate([np.ravel(total) for total in totals]) if totals else None
        hold = self.block.guard.alone
        if self._changed:
            self.block.version += 1
        try:
            done, sums, last, status, label = self._core.run(
                order, first, steps, scalars, seconds, get_num_threads(), begin, hold
            )
        finally:
            if self._changed:
                self.block.show_results(self._changed)
        return Run(done, self._split(sums), self._split(last), status, label)

    def _in_turn(self, run: Callable[[], Result]) -> Result:
        """The result of `run`: no thread changes what it reads, or reads what it changes."""
        guard = self.block.guard
        if not self._changed:
            with guard.shared:
                if not self.block.has_assigned():
                    return run()
        with guard.alone:
            self.block.copy_assigned()
            return run()

    def check_labels(self, state: State, limit: int) -> None:
        """Let `call` compare the labels in a state with 0 and the limit before it begins."""
        place = ("state", self.block.offset(state))
        self._core.labels(place, name_of(state.dtype), state.size, limit)

    def call(self) -> str:
        """Do one step, of a graph without inputs and hyper-parameters of their own.

        Returns:
            The instruction that found an index out of range, or "labels"; else an empty string.
        """
        block = self.block
        with block.guard.alone:
            for state, view in block.places:
                if state.value is not view:
                    block.copy_assigned()
                    break
            block.version += 1
            try:
                return self._core.step(get_num_threads())
            finally:
                for state in self._changed:
                    state._shown = None  # it shows its place in the block already

    def _split(self, flat: Array) -> list[Array]:
        return [flat[part].reshape(shape) for part, shape in self._totals]

    def outputs(self) -> list[Array]:
        """Copies of the outputs of the last step."""
        copies = [np.empty(view.shape, view.dtype) for view in self._outputs]
        for copy, view in zip(copies, self._outputs, strict=True):
            fill(copy, view)
        return copies

    def _output(self, output: Output) -> Array:
        """The memory in which an output lies."""
        memory = self._memory[output.space]
        return np.ndarray(output.shape, output.dtype, memory, output.offset)

    def fill_arena(self, byte: int) -> None:
        """Fill the memory of all that a step computes, to find reads before writes in tests."""
        self._memory["arena"][...] = byte

    def profile(self, on: bool) -> None:
        """Measure the time of every instruction from now on, or no longer."""
        self._core.profile(on)

    def fused_chains(self) -> int:
        """How many chains of operations, as optimisers' rules are, have a kernel of their own."""
        return int(self._core.fused_chains())

    def times(self) -> list[tuple[str, int, float]]:
        """(label, calls, seconds) of every instruction, since profiling began."""
        return list(self._core.times())


def _plan_of(graph: CapturedGraph, block: StateBlock) -> Plan:
    """The plan of a graph: that of an equal one, where there was one lately."""
    key = signature(graph, block.offset)
    plan = _plans.get(key) if key is not None else None
    if plan is None:
        with interrupts_held() as interrupts, collector_held(), interrupts.let_through():
            plan = Plan(graph, block)
        if key is not None:
            _plans.add(key, plan)
    return plan


def _find_blas() -> None:
    """Load BLAS where products need it: its threads begin with a wait that keeps a CPU busy."""
    global _has_found_blas
    if not _has_found_blas:
        if _core.needs_blas():
            from chainrule.execute import blas

            _core.set_blas(*blas.load())
        _has_found_blas = True
