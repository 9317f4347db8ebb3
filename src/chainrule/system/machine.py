"""The machine: how many CPUs it really gives, what they can run, and how fast that is at most."""

import math
import operator
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from chainrule import _core

DTYPES = ("float32", "float64")
PEAK_SECONDS = 0.2


def usable_cpus(root: str | os.PathLike[str] = "/") -> int:
    """Number of CPUs that this process may keep busy.

    The smaller one of the CPUs that its affinity allows and its control group's CPU quota
    (quota / period, rounded up; Linux only). A container that may use 1.5 of 64 CPUs has 2.

    Args:
        root: the folder that holds ``proc`` and ``sys``.

    Returns:
        At least 1.

    Example:
        >>> usable_cpus() >= 1
        True
    """
    return math.ceil(min(_affinity(), _cgroup_quota(Path(root))))


def instruction_sets() -> list[str]:
    """Instruction sets of the native kernels that this machine can run.

    Returns:
        Names such as ``["sse2", "avx2", "avx512"]`` or ``["neon"]``. The last one is the best and
        the one in use.

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
    """Floating-point peak of this machine, measured by fused multiply-adds that stay in registers.

    peak = operations / time, where an FMA counts as two operations. On x86-64 without FMA
    (``sse2``) it is a product and a sum.

    Args:
        dtype: ``"float32"`` or ``"float64"``.
        threads: threads that run at once; `usable_cpus()` by default.
        seconds: about how long to measure, above 0 and at most 60.
        instruction_set: one of `instruction_sets()`; the best one by default.

    Returns:
        GFLOP/s (1e9 operations per second) of all threads together, the best of many repetitions.

    Raises:
        TypeError: `threads` is not an integer.
        ValueError: an argument is none of the above.

    Example:
        >>> fma_peak("float64", threads=1, seconds=0.01) > 0
        True
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    count = usable_cpus() if threads is None else operator.index(threads)
    return _core.fma_peak(dtype, count, seconds, instruction_set or "")


def describe() -> dict[str, object]:
    """What `chainrule doctor` prints about this machine. Measures for about half a second.

    Returns:
        ``cpu`` (model name), ``instruction_sets``, ``instruction_set`` (the one in use),
        ``usable_cpus``, ``fma_peak_float32_1_thread`` and ``fma_peak_float32`` (all usable CPUs) in
        GFLOP/s, and the versions of ``python``, ``numpy``, ``chainrule`` and ``blas`` (with its
        configuration); None for a package that is not installed.

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
        "fma_peak_float32_1_thread": fma_peak("float32", threads=1),
        "fma_peak_float32": fma_peak("float32"),
        "python": platform.python_version(),
        "numpy": _version("numpy"),
        "chainrule": _version("chainrule"),
        "blas": _blas(),
    }


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    # os.process_cpu_count came with Python 3.13.
    count: int | None = getattr(os, "process_cpu_count", os.cpu_count)()
    return count or 1


def _cgroup_quota(root: Path) -> float:
    """CPUs that the control groups of this process allow, infinity without a limit."""
    quotas = [math.inf]
    mount = root / "sys/fs/cgroup"
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        # hierarchy:controllers:path, where version 2 names no controllers
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers == "":
            for base in (mount, mount / "unified"):
                quotas += map(_quota_v2, _with_parents(base, path))
        elif "cpu" in controllers.split(","):
            for base in (mount / controllers, mount / "cpu"):
                quotas += map(_quota_v1, _with_parents(base, path))
    return min(quotas)


def _with_parents(mount: Path, path: str) -> list[Path]:
    """Folders from a control group up to its root: a quota of any of them limits the group.

    In a container the path may be the host's, of which the container sees the root only; a path
    with ``..`` lies outside of what it sees.
    """
    parts = [part for part in path.split("/") if part]
    if ".." in parts:
        parts = []
    return [mount.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]


def _quota_v2(folder: Path) -> float:
    quota, _, period = (_read(folder / "cpu.max") or "max").partition(" ")
    return _ratio(quota, period)


def _quota_v1(folder: Path) -> float:
    quota = _read(folder / "cpu.cfs_quota_us") or "-1"
    return _ratio(quota, _read(folder / "cpu.cfs_period_us") or "")


def _ratio(quota: str, period: str) -> float:
    """quota / period, infinity where there is no limit ("max" or -1) or none that can be read."""
    try:
        limit, length = int(quota), int(period)
    except ValueError:
        return math.inf
    return limit / length if limit > 0 and length > 0 else math.inf


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _cpu_model() -> str:
    name = ""
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        name = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    else:
        for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
                break
    return name or platform.processor() or platform.machine()


def _blas() -> str | None:
    """Version of scipy-openblas32 and the configuration it chose for this CPU."""
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
