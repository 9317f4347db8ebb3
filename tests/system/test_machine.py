"""The machine as seen by chainrule.system.machine."""

import math
import subprocess
import sys

import pytest

from chainrule.system import machine
from chainrule.system.cpus import usable_cpus


def test_instruction_sets_start_with_the_baseline():
    sets = machine.instruction_sets()
    assert sets in (["sse2"], ["sse2", "avx2"], ["sse2", "avx2", "avx512"], ["neon"], ["scalar"])


@pytest.mark.parametrize("instruction_set", machine.instruction_sets())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_peak_of_every_instruction_set(dtype, instruction_set):
    peak = machine.fma_peak(dtype, 1, seconds=0.02, instruction_set=instruction_set)
    assert math.isfinite(peak)
    # One thread: below 1 GFLOP/s or above 10 TFLOP/s the clock or the count is wrong, not the CPU.
    assert 1 < peak < 1e4


def test_peak_of_the_best_instruction_set_is_the_default():
    default = machine.fma_peak(threads=1, seconds=0.1)
    best = max(
        machine.fma_peak(threads=1, seconds=0.05, instruction_set=name)
        for name in machine.instruction_sets()
    )
    assert default > best / 3


def test_more_threads_than_cpus_add_no_peak():
    # Adding up the threads' own speeds would give eight times the peak. The bounds are wide because
    # the machine may have other work.
    cpus = usable_cpus()
    peak = machine.fma_peak(threads=cpus, seconds=0.1)
    crowded = machine.fma_peak(threads=8 * cpus, seconds=0.1)
    assert 0 < crowded < 4 * peak


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dtype": "float16"}, ValueError, "dtype must be one of float32, float64, got 'float16'"),
        ({"threads": 0}, ValueError, "threads must be from 1 to 1024, got 0"),
        ({"threads": -2}, ValueError, "threads must be from 1 to 1024, got -2"),
        ({"threads": 10**9}, ValueError, "threads must be from 1 to 1024, got 1000000000"),
        ({"threads": 1.5}, TypeError, "float"),
        ({"seconds": 0}, ValueError, "seconds must be above 0 and at most 60, got 0"),
        ({"seconds": math.nan}, ValueError, "seconds must be above 0 and at most 60, got nan"),
        ({"seconds": 61}, ValueError, "seconds must be above 0 and at most 60, got 61"),
        ({"instruction_set": "mmx"}, ValueError, "instruction_set 'mmx' is not available"),
    ],
)
def test_bad_arguments_of_the_peak_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        machine.fma_peak(**arguments)


def test_describe_tells_what_the_doctor_prints():
    described = machine.describe()
    assert described["cpu"]
    assert described["instruction_set"] == described["instruction_sets"][-1]
    assert described["usable_cpus"] == usable_cpus()
    assert described["fma_peak_float32"] > described["fma_peak_float32_1_thread"] / 4
    for package in ("python", "numpy", "chainrule"):
        assert described[package][0].isdigit()
    assert "OpenBLAS" in described["blas"]


def test_describe_without_a_blas(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy_openblas32", None)
    assert machine.describe()["blas"] is None


def test_no_file_is_read_in_the_encoding_of_the_environment():
    """Python's `-X warn_default_encoding` warns of those, and tests may make errors of warnings."""
    script = "from chainrule.system import machine; machine.describe()"
    options = ["-X", "warn_default_encoding", "-W", "error::EncodingWarning"]
    subprocess.run([sys.executable, *options, "-c", script], check=True)
