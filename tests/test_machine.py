"""The machine as seen by chainrule.system.machine."""

import math
import os
import sys

import pytest

from chainrule.system import machine

cpus_of_this_process = (
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
)


def tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2 = "0::/app/worker\n"
V1 = "5:memory:/app\n4:cpu,cpuacct:/app/worker\n1:name=systemd:/\n"
HYBRID = V1 + V2


@pytest.fixture
def many_cpus(monkeypatch):
    monkeypatch.setattr(machine, "_affinity", lambda: 64)


@pytest.mark.usefixtures("many_cpus")
@pytest.mark.parametrize(
    ("groups", "limits", "cpus"),
    [
        pytest.param(None, {}, 64, id="no cgroups at all"),
        pytest.param(V2, {}, 64, id="no limit files"),
        pytest.param(V2, {"app/worker/cpu.max": "max 100000"}, 64, id="v2 without a limit"),
        pytest.param(V2, {"app/worker/cpu.max": "200000 100000"}, 2, id="v2"),
        pytest.param(V2, {"app/worker/cpu.max": "150000 100000"}, 2, id="v2 rounds up"),
        pytest.param(V2, {"app/worker/cpu.max": "10000 100000"}, 1, id="v2 at least one"),
        pytest.param(V2, {"app/worker/cpu.max": "nonsense"}, 64, id="v2 unreadable"),
        pytest.param(V2, {"app/worker/cpu.max": "9900000 100000"}, 64, id="v2 above affinity"),
        pytest.param(
            V2,
            {"app/worker/cpu.max": "800000 100000", "app/cpu.max": "300000 100000"},
            3,
            id="v2 parent is tighter",
        ),
        pytest.param(
            V2,
            {"app/worker/cpu.max": "200000 100000", "app/cpu.max": "300000 100000"},
            2,
            id="v2 child is tighter",
        ),
        pytest.param(V2, {"cpu.max": "400000 100000"}, 4, id="v2 path of the host"),
        pytest.param(
            "0::/../../other",
            {"cpu.max": "400000 100000", "../../other/cpu.max": "200000 100000"},
            4,
            id="v2 path outside",
        ),
        pytest.param(HYBRID, {"unified/app/cpu.max": "500000 100000"}, 5, id="hybrid"),
        pytest.param(
            V1,
            {
                "cpu,cpuacct/app/worker/cpu.cfs_quota_us": "250000",
                "cpu,cpuacct/app/worker/cpu.cfs_period_us": "50000",
            },
            5,
            id="v1",
        ),
        pytest.param(
            V1,
            {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"},
            3,
            id="v1 at the root, short name",
        ),
        pytest.param(
            V1,
            {"cpu/app/cpu.cfs_quota_us": "-1", "cpu/app/cpu.cfs_period_us": "100000"},
            64,
            id="v1 without a limit",
        ),
        pytest.param(V1, {"cpu/app/cpu.cfs_quota_us": "300000"}, 64, id="v1 without a period"),
        pytest.param("garbage\n\n::\n", {}, 64, id="garbage"),
    ],
)
def test_cgroup_quota_limits_the_cpus(tmp_path, groups, limits, cpus):
    files = {f"sys/fs/cgroup/{name}": text for name, text in limits.items()}
    if groups is not None:
        files["proc/self/cgroup"] = groups
    assert machine.usable_cpus(tree(tmp_path, files)) == cpus


def test_affinity_limits_the_cpus(tmp_path):
    assert machine.usable_cpus(tmp_path) == cpus_of_this_process
    assert 1 <= machine.usable_cpus() <= cpus_of_this_process


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_affinity_is_read_at_each_call(tmp_path):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert machine.usable_cpus(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, before)


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
    cpus = machine.usable_cpus()
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
    assert described["usable_cpus"] == machine.usable_cpus()
    assert described["fma_peak_float32"] > described["fma_peak_float32_1_thread"] / 4
    for package in ("python", "numpy", "chainrule"):
        assert described[package][0].isdigit()
    assert "OpenBLAS" in described["blas"]


def test_describe_without_a_blas(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy_openblas32", None)
    assert machine.describe()["blas"] is None
