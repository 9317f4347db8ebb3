"""The CPUs that affinity and control groups leave to a process."""

import os

import pytest

from chainrule.system import cpus

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
    monkeypatch.setattr(cpus, "allowed_cpus", lambda: 64)


@pytest.mark.usefixtures("many_cpus")
@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
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
        pytest.param(
            "5:memory:/other\n4:cpu,cpuacct:/app\n",
            {"cpu/other/cpu.cfs_quota_us": "300000", "cpu/other/cpu.cfs_period_us": "100000"},
            64,
            id="v1 where only the group of another controller has a limit",
        ),
        pytest.param(V1, {"cpu/app/cpu.cfs_quota_us": "300000"}, 64, id="v1 without a period"),
        pytest.param("garbage\n\n::\n", {}, 64, id="garbage"),
    ],
)
def test_cgroup_quota_limits_the_cpus(tmp_path, groups, limits, expected):
    files = {f"sys/fs/cgroup/{name}": text for name, text in limits.items()}
    if groups is not None:
        files["proc/self/cgroup"] = groups
    assert cpus.usable_cpus(tree(tmp_path, files)) == expected


def test_affinity_limits_the_cpus(tmp_path):
    assert cpus.usable_cpus(tmp_path) == cpus_of_this_process
    assert 1 <= cpus.usable_cpus() <= cpus_of_this_process


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_affinity_is_read_at_each_call(tmp_path):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert cpus.usable_cpus(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, before)
