"""The machine: the instruction sets of its CPUs, their peak speed, and installed versions."""

import operator
import os
import platform
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from chainrule import _core
from chainrule.system.cpus import allowed_cpus, usable_cpus
from chainrule.system.threads import get_num_threads, numpy_threads

DTYPES = ("float32", "float64")
PEAK_SECONDS = 0.2
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def instruction_sets() -> list[str]:
    """Instruction sets of the native kernels that this machine can run.

    Returns:
        Names such as ``["sse2", "avx2", "avx512"]`` or ``["neon"]``, the best one last: that one
        is in use.

    Example:
        >>> instruction_sets()[0] in ("sse2", "neon", "scalar")
        True
    """
    return _core.instruction_sets()


def fma_peak(
    dtype: str = "float32",
    threads: int | None = None,
    *,
    seconds: float = PEAK_SECONDS,
    instruction_set: str | None = None,
) -> float:
    """Floating-point peak of this machine, measured by fused multiply-adds (FMA) in registers.

    peak = operations / time, where an FMA counts as two operations. On x86-64 without FMA
    (``sse2``) a product and a sum take its place.

    Args:
        dtype: ``"float32"`` or ``"float64"``.
        threads: number of concurrent threads; `usable_cpus()` by default.
        seconds: approximate duration of the measurement, above 0 and at most 60.
        instruction_set: one of `instruction_sets()`; the best one by default.

    Returns:
        GFLOP/s (1e9 operations per second) of all threads together, the best of many trials.

    Raises:
        TypeError: `threads` is not an integer.
        ValueError: an argument has another value than those above.

    Example:
        >>> fma_peak("float64", threads=1, seconds=0.01) > 0
        True
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    count = usable_cpus() if threads is None else operator.index(threads)
    return _core.fma_peak(dtype, count, seconds, instruction_set or "")


def describe() -> dict[str, object]:
    """The facts about this machine that `chainrule doctor` prints; measures for half a second.

    Returns:
        ``cpu`` (model name), ``instruction_sets``, ``instruction_set`` (the one in use),
        ``usable_cpus``, ``allowed_cpus`` (by affinity alone), ``threads`` (of native runs),
        ``numpy_threads`` (of the eager loop's products), ``thread_variables`` (those of the
        environment that limit NumPy's library), ``fma_peak_float32_1_thread`` and
        ``fma_peak_float32`` (all usable CPUs) in GFLOP/s, and the versions of ``python``,
        ``numpy``, ``chainrule`` and ``blas`` (with its configuration); None for a package that is
        not installed.

    Example:
        >>> describe()["usable_cpus"] == usable_cpus()
        True
    """
    sets = instruction_sets()
    return {
        "cpu": _cpu_model(),
        "instruction_sets": sets,
        "instruction_set": sets[-1],
        "usable_cpus": usable_cpus(),
        "allowed_cpus": allowed_cpus(),
        "threads": get_num_threads(),
        "numpy_threads": numpy_threads(),
        "thread_variables": {n: os.environ[n] for n in _THREAD_VARIABLES if n in os.environ},
        "fma_peak_float32_1_thread": fma_peak("float32", threads=1),
        "fma_peak_float32": fma_peak("float32"),
        "python": platform.python_version(),
        "numpy": _version("numpy"),
        "chainrule": _version("chainrule"),
        "blas": _blas(),
    }


def _cpu_model() -> str:
    name = ""
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        name = subprocess.run(
            command, capture_output=True, encoding="utf-8", check=False
        ).stdout.strip()
    else:
        with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key.strip() == "model name":
                    name = value.strip()
                    break
    return name or platform.processor() or platform.machine()


def _blas() -> str | None:
    """Version of scipy-openblas32 and its configuration for this CPU; None without it."""
    try:
        import scipy_openblas32
    except ImportError:
        return None
    configuration = scipy_openblas32.get_openblas_config()
    return f"scipy-openblas32 {_version('scipy-openblas32')} ({configuration})"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
