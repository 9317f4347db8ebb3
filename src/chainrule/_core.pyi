from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ref: TypeAlias = tuple[str, int]
"""A place: (space, offset in bytes); spaces are "arena", "state" and "constants"."""

MOST_THREADS: int
"""Threads that a run may use at most."""
CACHE_LINE: int
"""Bytes of a cache line: the alignment of a plan's memory."""

def instruction_sets() -> list[str]:
    """Instruction sets that this machine can run, the best one last."""

def fma_peak(dtype: str, threads: int, seconds: float, instruction_set: str = "") -> float:
    """Measured floating-point peak in GFLOP/s; an empty instruction_set takes the best."""

def shuffle(order: NDArray[np.int64], seed: int, epoch: int) -> None:
    """Fills an int64 array with 0 ... n - 1 in the order of the epoch."""

class ThreadChoice:
    """By how many threads steps are shared; for tests."""

    def __init__(self) -> None: ...
    def next(self, most: int) -> tuple[int, int]:
        """(threads, steps) of the next turn."""

    def note(self, threads: int, steps: int, seconds: float) -> None:
        """What a turn has taken."""

def are_finite(array: NDArray[np.generic]) -> bool:
    """Whether all numbers of a C-contiguous array, as inputs may be, are finite.

    This and `copy` do short work without letting another thread run; NumPy lets one from 500
    elements on, and to change threads takes longer than the work.
    """

def copy(to: NDArray[Any], from_array: NDArray[Any]) -> None:
    """Copies a C-contiguous array into another of the same dtype and size."""

def fill_uniform(out: NDArray[Any], seed: int, position: int) -> None:
    """Fills a C-contiguous array with the uniform numbers of a generator's state."""

def instructions() -> list[str]:
    """What `Plan.add` knows."""

def row_kernels() -> list[str]:
    """The kernels of the instruction rows."""

def opcodes() -> list[tuple[str, int]]:
    """Elementwise operations: (name, number of inputs)."""

def needs_blas(instruction_set: str = "") -> bool:
    """Whether there are products that BLAS computes faster than our own kernels, so that the
    library is worth loading; an empty instruction_set takes the best."""

def set_blas(sgemm: int, dgemm: int) -> None:
    """Addresses of cblas_sgemm and cblas_dgemm with 32-bit sizes, 0 for none; the library must stay
    loaded and use one thread. Plans take what is set when an instruction is added."""

def set_longest_wait_at_end(seconds: float) -> None:
    """How long Python's end waits for threads that are at work in the core; 10 by default."""

class StateLock:
    """A lock of states: many threads read them, or one changes them.

    All wait in one line. The thread that holds it alone may acquire it again.
    """

    def __init__(self) -> None: ...

class Hold:
    """Holds locks inside a `with` block: alone, or together with others that read.

    Where it has to wait, Ctrl-C ends the wait.
    """

    def __init__(self, locks: list[StateLock], alone: bool) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> None: ...

class Instruction:
    """An instruction to be added to several plans, by `Plan.extend`."""

def instruction(kind: str, label: str, **fields: Any) -> Instruction:
    """An instruction, from what `Plan.add` takes.

    Raises:
        TypeError: as of `Plan.add`.
    """

class PlanRunningError(RuntimeError):
    """A plan was used while it runs in another thread."""

class Plan:
    """Instructions over three blocks of memory, run in the order in which they are added.

    Args:
        arena, state, constants: writable arrays, aligned to CACHE_LINE bytes, which the plan keeps
            alive.
        instruction_set: by default the best one.
        chunks: into how many parts, which threads may take, each instruction is split at most; 0
            leaves it to the core, which looks at shapes alone.
    """

    def __init__(
        self,
        arena: NDArray[np.uint8],
        state: NDArray[np.uint8],
        constants: NDArray[np.uint8],
        instruction_set: str = "",
        chunks: int = 0,
    ) -> None: ...
    def add(self, kind: str, label: str, **fields: Any) -> None:
        """Add an instruction.

        Args:
            kind: one of `instructions()`.
            label: what profiles and errors call it.
            fields: as cpp/plan/plan.h lists them under their names. Dtypes and kernels are given by
                name, places as `Ref`, lists as lists, records such as the loads of a program as
                dicts of their fields. Offsets count bytes, strides elements.

        Raises:
            TypeError: a field is missing, unknown or of the wrong type.
            ValueError: the instruction can't be run safely; outputs, above all, must not overlap
                inputs, except in programs, where a store may lie where a load of the same layout
                lies.
        """
    def extend(self, instruction: Instruction) -> None:
        """Add an instruction that `instruction` has made, as `add` does.

        Raises:
            ValueError: as of `add`.
        """
    def input(self, number: int, array: NDArray[np.generic]) -> None:
        """Binds an array, rows first, each row contiguous; it is kept alive and read in place."""
    def scalar(self, ref: Ref) -> None:
        """A float64 place that run() sets before each step."""
    def total(
        self,
        ref: Ref,
        dtype: str,
        count: int,
        weight: float = 1.0,
        finite: bool = False,
    ) -> None:
        """An output that run() sums over the steps, times the weight. With `finite` the run ends
        after a step in which it is not finite."""
    def labels(self, ref: Ref, dtype: str, count: int, limit: int) -> None:
        """Labels, whole numbers, that `step` compares with 0 and the limit before it begins."""
    def keep_rows(self) -> None:
        """Let every run from now on keep the rows of states that it overwrites."""
    def undo_rows(self) -> None:
        """Take back what the last run has put into rows of states, in the order from the last to
        the first. Other changes stay."""
    def has_finite_rows(self) -> bool:
        """Whether all that the last run has put into rows of states is finite."""
    def step(self, threads: int) -> str:
        """Runs one step of a plan without inputs and scalars. Returns the label of the instruction
        that failed, "labels" for wrong ones, or an empty string."""
    def output(self, ref: Ref, bytes: int) -> None:
        """An output that `answer` copies."""
    def answer(
        self, inputs: Sequence[NDArray[Any]], outputs: Sequence[NDArray[Any]], threads: int
    ) -> str:
        """Runs one step on the first rows of the inputs and copies its outputs into arrays.

        Returns the label of the instruction that failed, or an empty string. Inputs and outputs are
        held no longer than that.
        """
    def run(
        self,
        order: NDArray[np.int64] | None,
        first: int,
        steps: int,
        scalars: NDArray[np.float64] | None,
        seconds: float,
        threads: int,
        totals: NDArray[np.float64] | None = None,
        hold: Hold | None = None,
    ) -> tuple[int, NDArray[np.float64], NDArray[np.float64], str, str]:
        """Runs steps first ... first + steps - 1 of the order, at least one, until `seconds` have
        passed, or until another thread waits for the locks of `hold`.

        Args:
            order: row numbers of the inputs; step s takes order[s * batch : (s + 1) * batch].
            scalars: (steps, registered scalars), one row for each step of this call.
            totals: what the sums begin with, 0 by default: many calls add up to the same bits as
                one.

        Returns:
            (steps, totals, last, status, label), the fields of `chainrule.execute.native.Run`; the
            outputs' numbers follow each other in one array.

        Raises:
            ValueError: the order, the scalars or the totals do not fit; nothing has run.
            PlanRunningError: the plan runs in another thread.
        """
    def profile(self, on: bool) -> None:
        """Times each instruction from now on, or stops."""
    def times(self) -> list[tuple[str, int, float]]:
        """(label, calls, seconds) of each instruction."""
    def fused_chains(self) -> int:
        """How many chains of operations in programs are done by a kernel of their own."""

class StateCopies:
    """Copies of parts of the state, to go back to.

    Args:
        state: the block of memory.
        spans: (offset, bytes, dtype) of each part.
    """

    def __init__(self, state: NDArray[np.uint8], spans: list[tuple[int, int, str]]) -> None: ...
    def keep(self, threads: int, always: bool) -> bool:
        """Copies the state; keeps the copy if all floating numbers are finite, or `always`.

        Returns whether they are.
        """
    def is_finite(self, threads: int) -> bool:
        """Whether all floating numbers of the state are finite, without a copy."""
    def refresh(self, offset: int, bytes: int) -> None:
        """Takes some bytes of the state over into the copy kept last."""
    def restore(self, threads: int) -> None:
        """Brings the state back to the copy kept last."""
