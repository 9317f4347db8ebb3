"""`chainrule doctor`: the machine, and what makes chainrule slow on it."""

from __future__ import annotations

import os
from typing import Any

import click


@click.command(short_help="Show the machine and its peak speed, and warn of limits.")
def doctor() -> None:
    """Show the machine and its peak speed, and warn of what makes chainrule slow on it.

    The peak is measured by fused multiply-adds in registers: no program can exceed it. The
    measurement takes about half a second.
    """
    from chainrule.cli import output
    from chainrule.system.machine import describe

    found = describe()
    cpus, existing = found["usable_cpus"], os.cpu_count() or 1
    rows = [
        ("chainrule", found["chainrule"]),
        ("Python", found["python"]),
        ("NumPy", found["numpy"]),
        ("BLAS", found["blas"] or "missing"),
        ("CPU", found["cpu"]),
        ("instruction sets", _sets(found)),
        ("usable CPUs", f"{cpus} of {existing}"),
        ("threads", f"{found['threads']} (native), {found['numpy_threads'] or '?'} (NumPy, eager)"),
        ("peak, 1 thread", f"{found['fma_peak_float32_1_thread']:.0f} GFLOP/s (float32)"),
        (f"peak, {cpus} threads", f"{found['fma_peak_float32']:.0f} GFLOP/s (float32)"),
    ]
    output.show_table({"what": "left", "found": "left"}, [(name, str(text)) for name, text in rows])
    faults = find_faults(found, existing)
    for fault in faults:
        click.echo(f"Warning: {fault}")
    if not faults:
        click.echo("Nothing here makes chainrule slow.")


def _sets(found: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} (in use)" if name == found["instruction_set"] else name
        for name in found["instruction_sets"]
    )


def find_faults(found: dict[str, Any], existing_cpus: int) -> list[str]:
    """What makes chainrule slow here, each fault with its remedy.

    Args:
        found: a result of `system.machine.describe`.
        existing_cpus: number of CPUs of the system, whether this process may use them or not.
    """
    faults = []
    cpus = found["usable_cpus"]
    allowed = found["allowed_cpus"]
    if allowed < existing_cpus:
        faults.append(
            f"only {allowed} of {existing_cpus} CPUs may be used: the process's affinity forbids "
            "the others. If you need them, raise it (taskset, docker run --cpuset-cpus, "
            "--cpus-per-task in Slurm)."
        )
    if cpus < allowed:
        faults.append(
            f"only {cpus} of {allowed} CPUs may be kept busy: the quota of its control group holds "
            "the process back. If you need more, raise it (docker run --cpus, resources.limits.cpu "
            "in Kubernetes, CPUQuota in systemd)."
        )
    faults += _thread_faults(found)
    if found["instruction_set"] in ("sse2", "scalar"):
        faults.append(
            "no AVX2: the CPU lacks it, or a virtual machine hides it. In a virtual machine, "
            "choose the host's CPU type."
        )
    if found["blas"] is None:
        faults.append("scipy-openblas32 is missing. Install it: pip install scipy-openblas32.")
    expected = cpus * found["fma_peak_float32_1_thread"]
    if found["fma_peak_float32"] < 0.5 * expected:
        faults.append(
            f"{cpus} threads together reach less than half of {cpus} times one thread: the CPUs "
            "are busy with other work, or are two threads of one core. Look at top."
        )
    return faults


def _thread_faults(found: dict[str, Any]) -> list[str]:
    """The numbers of threads that do not fit the CPUs."""
    faults = []
    cpus, threads, numpy = found["usable_cpus"], found["threads"], found["numpy_threads"]
    if threads > cpus:
        faults.append(
            f"{threads} threads share {cpus} usable CPUs and wait for one another: set "
            f"CHAINRULE_NUM_THREADS or chainrule.set_num_threads to {cpus} at most."
        )
    elif threads < cpus:
        faults.append(
            f"{threads} of {cpus} usable CPUs are used: CHAINRULE_NUM_THREADS or "
            "chainrule.set_num_threads says so."
        )
    if numpy is not None and numpy < threads:
        named = [f"{name}={value}" for name, value in found["thread_variables"].items()]
        reason = f"because of {', '.join(named)}" if named else "as its library was set"
        faults.append(
            f"the eager loop's products have {numpy} of {threads} threads {reason}; native "
            f"runs have all. For more in the eager loop call chainrule.set_num_threads({threads})."
        )
    if numpy is not None and numpy > cpus:
        faults.append(
            f"NumPy's products have {numpy} threads on {cpus} usable CPUs, until chainrule's first "
            "product. Where NumPy is used before it, set OMP_NUM_THREADS."
        )
    return faults
