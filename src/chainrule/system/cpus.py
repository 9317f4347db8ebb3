"""CPUs: how many this process may keep busy."""

import math
import os


def usable_cpus(root: str | os.PathLike[str] = "/") -> int:
    """Number of CPUs that this process may keep busy.

    This is the smaller one of two numbers: the CPUs that its affinity allows, and its control
    group's CPU quota (quota / period, rounded up; Linux only). A container that may use 1.5 of 64
    CPUs has 2.

    Args:
        root: the folder that holds ``proc`` and ``sys``.

    Returns:
        At least 1.

    Example:
        >>> usable_cpus() >= 1
        True
    """
    return math.ceil(min(allowed_cpus(), _cgroup_quota(os.fspath(root))))


def allowed_cpus() -> int:
    """Number of CPUs that this process may run on, by its affinity."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    # os.process_cpu_count came with Python 3.13.
    count: int | None = getattr(os, "process_cpu_count", os.cpu_count)()
    return count or 1


def _cgroup_quota(root: str) -> float:
    """CPUs that the control groups of this process allow, infinity without a limit."""
    quotas = [math.inf]
    mount = os.path.join(root, "sys/fs/cgroup")
    for line in (_read(os.path.join(root, "proc/self/cgroup")) or "").splitlines():
        # hierarchy:controllers:path, where version 2 names no controllers
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers == "":
            for base in (mount, os.path.join(mount, "unified")):
                quotas += map(_quota_v2, _with_parents(base, path))
        elif "cpu" in controllers.split(","):
            for base in (os.path.join(mount, controllers), os.path.join(mount, "cpu")):
                quotas += map(_quota_v1, _with_parents(base, path))
    return min(quotas)


def _with_parents(mount: str, path: str) -> list[str]:
    """Folders from a control group up to its root: a quota of any of them limits the group.

    In a container the path may be the host's, and only the root is visible; a path with ``..``
    lies outside the visible part.
    """
    parts = [part for part in path.split("/") if part]
    if ".." in parts:
        parts = []
    return [os.path.join(mount, *parts[:depth]) for depth in range(len(parts), -1, -1)]


def _quota_v2(folder: str) -> float:
    quota, _, period = (_read(os.path.join(folder, "cpu.max")) or "max").partition(" ")
    return _ratio(quota, period)


def _quota_v1(folder: str) -> float:
    quota = _read(os.path.join(folder, "cpu.cfs_quota_us")) or "-1"
    return _ratio(quota, _read(os.path.join(folder, "cpu.cfs_period_us")) or "")


def _ratio(quota: str, period: str) -> float:
    """quota / period; infinity for no limit ("max" or -1) and for an unreadable one."""
    try:
        limit, length = int(quota), int(period)
    except ValueError:
        return math.inf
    return limit / length if limit > 0 and length > 0 else math.inf


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None
