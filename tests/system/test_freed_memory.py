"""The memory that the C library keeps for the next arrays."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
import chainrule as cr

x = cr.tensor(np.ones(100_000, np.float32), requires_grad=True)
faults = []
for _ in range(20):
    cr.grad((x * x + cr.exp(x) * 2.0).sum(), x)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[9])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that gives memory back")
def test_the_memory_of_a_gradient_serves_the_next_one():
    environment = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    faults = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert int(faults) < 100  # an array has 98 pages, a gradient several arrays
