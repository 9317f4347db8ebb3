from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# The plan as data is described in cpp/plan/plan.h. Dtypes bear NumPy's names; offsets count bytes,
# strides elements.
Ref: TypeAlias = tuple[int, int]
"""A place: (space, offset); spaces are 0 (arena), 1 (state), 2 (constants)."""
Load: TypeAlias = tuple[int, int, str, int, int, int]
"""(space, offset, dtype, row_stride, column_stride, register); a stride of 0 repeats."""
Constant: TypeAlias = tuple[float, int]
"""(value, register)"""
Op: TypeAlias = tuple[str, int, int, int, int]
"""(opcode, out, a, b, c); registers that the operation does not take are 0."""
Store: TypeAlias = tuple[int, int, str, int, int]
"""(space, offset, dtype, row_stride, register)"""
Epilogue: TypeAlias = tuple[int, list[Load], list[Constant], list[Op], list[Store]]
"""(registers, loads, constants, ops, stores) over the product's rows and columns."""

def instruction_sets() -> list[str]:
    """Instruction sets that this machine can run, the best one last."""

def fma_peak(dtype: str, threads: int, seconds: float, instruction_set: str = "") -> float:
    """Measured floating-point peak in GFLOP/s; an empty instruction_set takes the best."""

def shuffle(order: NDArray[np.int64], seed: int, epoch: int) -> None:
    """Fills an int64 array with 0 ... n - 1 in the order of the epoch."""

def opcodes() -> list[tuple[str, int]]:
    """Elementwise operations: (name, number of inputs)."""

def set_blas(sgemm: int, dgemm: int) -> None:
    """Addresses of cblas_sgemm and cblas_dgemm with 32-bit sizes, 0 for none; the library must stay
    loaded and use one thread. Plans take what is set when an instruction is added."""

class PlanRunningError(RuntimeError):
    """A plan was used while it runs in another thread."""

class RunResult:
    """What a run did."""

    @property
    def done(self) -> int:
        """Steps that ran to their end."""
    @property
    def totals(self) -> NDArray[np.float64]:
        """The totals given, and weighted sums over those steps, total after total."""
    @property
    def last(self) -> NDArray[np.float64]:
        """The values after the last of those steps, without weights."""
    @property
    def status(self) -> str:
        """'ok', 'non-finite' or 'index out of range'."""
    @property
    def label(self) -> str:
        """The instruction that failed, or wrote what is not finite; else empty."""

class Plan:
    """Instructions over three blocks of memory, run in the order in which they are added.

    Each method that adds an instruction checks all of it and raises ValueError, with the label and
    what is wrong. `chunks` says into how many parts, which threads may take, the instruction is
    split at most; 0 leaves it to the core, which looks at shapes alone. Outputs must not overlap
    inputs, but in programs, where a store may lie where a load of the same layout lies.
    """

    def __init__(
        self,
        arena: NDArray[np.uint8],
        state: NDArray[np.uint8],
        constants: NDArray[np.uint8],
        instruction_set: str = "",
    ) -> None:
        """The arrays are writable, aligned to 64 bytes, and kept alive."""

    def program(
        self,
        label: str,
        dtype: str,
        rows: int,
        columns: int,
        registers: int,
        loads: list[Load],
        constants: list[Constant],
        ops: list[Op],
        stores: list[Store],
        chunks: int = 0,
        sums: list[tuple[int, int, int]] = ...,
    ) -> None:
        """Elementwise operations over rows x columns.

        A load of "uniform" draws the program's numbers from the state (seed, position) that lies
        there; `sums` are (space, offset, register): where the sums over all rows go.
        """
    def gemm(
        self,
        label: str,
        dtype: str,
        transpose_a: bool,
        transpose_b: bool,
        m: int,
        n: int,
        k: int,
        a: Ref,
        lda: int,
        b: Ref,
        ldb: int,
        c: Ref,
        ldc: int,
        batch: int = 1,
        stride_a: int = 0,
        stride_b: int = 0,
        stride_c: int = 0,
        epilogue: Epilogue | None = None,
        chunks: int = 0,
    ) -> None:
        """c (m x n) = op(a) op(b), for each matrix of a batch; then the epilogue over c."""
    def reduce(
        self,
        label: str,
        kind: str,
        dtype: str,
        outer: int,
        length: int,
        inner: int,
        x: Ref,
        out: Ref,
        chunks: int = 0,
    ) -> None:
        """'sum', 'max' or 'min': (outer, length, inner) to (outer, inner)."""
    def rows(
        self,
        label: str,
        kind: str,
        dtype: str,
        rows: int,
        columns: int,
        inputs: list[Ref],
        out: Ref,
        chunks: int = 0,
        second: Ref | None = None,
    ) -> None:
        """A kernel on each row; kinds, their inputs and results are those of RowKind."""
    def copy(
        self,
        label: str,
        itemsize: int,
        shape: list[int],
        x: Ref,
        x_strides: list[int],
        out: Ref,
        out_strides: list[int],
        chunks: int = 0,
    ) -> None:
        """Element by element from one strided array of up to 6 axes to another."""
    def fill(
        self, label: str, dtype: str, count: int, value: float, out: Ref, chunks: int = 0
    ) -> None:
        """The same value everywhere."""
    def gather(
        self,
        label: str,
        itemsize: int,
        outer: int,
        length: int,
        count: int,
        inner: int,
        x: Ref,
        indices: Ref,
        out: Ref,
        chunks: int = 0,
    ) -> None:
        """out (outer, count, inner) = x (outer, length, inner) at int64 indices (count)."""
    def scatter_add(
        self,
        label: str,
        dtype: str,
        outer: int,
        length: int,
        count: int,
        inner: int,
        x: Ref,
        indices: Ref,
        out: Ref,
        chunks: int = 0,
    ) -> None:
        """out (outer, length, inner) = 0, plus x (outer, count, inner) at int64 indices (count)."""
    def random_uniform(
        self, label: str, dtype: str, count: int, state: Ref, out: Ref, chunks: int = 0
    ) -> None:
        """Uniform numbers in [0, 1) of a generator's state: uint64 (seed, position)."""
    def gather_batch(
        self,
        label: str,
        input: int,
        dtype: str,
        rows: int,
        columns: int,
        out: Ref,
        chunks: int = 0,
    ) -> None:
        """This step's rows of an input, converted."""
    def input(self, number: int, array: NDArray[np.generic]) -> None:
        """Binds an array, rows first, each row contiguous; it is kept alive and read in place."""
    def scalar(self, space: int, offset: int) -> None:
        """A float64 place that run() sets before each step."""
    def total(
        self,
        space: int,
        offset: int,
        dtype: str,
        count: int,
        weight: float = 1.0,
        finite: bool = False,
    ) -> None:
        """An output that run() sums over the steps, times the weight. With `finite` the run ends
        after a step in which it is not finite."""
    def run(
        self,
        order: NDArray[np.int64] | None,
        first: int,
        steps: int,
        scalars: NDArray[np.float64] | None,
        seconds: float,
        threads: int,
        totals: NDArray[np.float64] | None = None,
    ) -> RunResult:
        """Runs steps first ... first + steps - 1 of the order, at least one, until `seconds` have
        passed.

        Args:
            order: row numbers of the inputs; step s takes order[s * batch : (s + 1) * batch].
            scalars: (steps, registered scalars), one row for each step of this call.
            totals: what the sums begin with, 0 by default: many calls add up to the same bits as
                one.

        Raises:
            ValueError: the order, the scalars or the totals do not fit; nothing has run.
            PlanRunningError: the plan runs in another thread.
        """
    def profile(self, on: bool) -> None:
        """Times each instruction from now on, or stops."""
    def times(self) -> list[tuple[str, int, float]]:
        """(label, calls, seconds) of each instruction."""
    def chains(self) -> int:
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
    def restore(self, threads: int) -> None:
        """Brings the state back to the copy kept last."""
