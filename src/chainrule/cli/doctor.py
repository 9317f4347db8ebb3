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
    from importlib.metadata import version

    from chainrule.cli import output
    from chainrule.system.machine import describe

    found = describe()
    cpus, existing = found["usable_cpus"], os.cpu_count() or 1
    rows = [
        ("chainrule", found["chainrule"]),
        ("Python", found["python"]),
        ("NumPy", found["numpy"]),
        ("BLAS", found["blas"] or "missing"),
        ("safetensors", version("safetensors")),
        ("CPU", found["cpu"]),
        ("instruction sets", _sets(found)),
        ("usable CPUs", f"{cpus} of {existing}"),
        ("peak, 1 thread", f"{found['fma_peak_float32_1_thread']:.0f} GFLOP/s (float32)"),
        (f"peak, {cpus} threads", f"{found['fma_peak_float32']:.0f} GFLOP/s (float32)"),
    ]
    output.show_table({"what": "left", "found": "left"}, [(name, str(text)) for name, text in rows])
    warnings = find_faults(found, existing)
    for warning in warnings:
        click.echo(f"Warning: {warning}")
    if not warnings:
        click.echo("Nothing here makes chainrule slow.")


def _sets(found: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} (in use)" if name == found["instruction_set"] else name
        for name in found["instruction_sets"]
    )


def find_faults(found: dict[str, Any], existing_cpus: int) -> list[str]:
    """The warnings, each with its remedy.

    Args:
        found: a result of `system.machine.describe`.
        existing_cpus: number of CPUs of the system, whether this process may use them or not.
    """
    faults = []
    cpus = found["usable_cpus"]
    if cpus < existing_cpus:
        faults.append(
            f"only {cpus} of {existing_cpus} CPUs may be used: the process's affinity or its "
            "container's quota forbids the others. If you need them, raise the limit (docker run "
            "--cpus, resources.limits.cpu in Kubernetes, --cpus-per-task in Slurm, taskset)."
        )
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
