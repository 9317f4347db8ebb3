"""The threads of NumPy's products: no more than native runs have, or as many as are asked for."""

import json
import os
import subprocess
import sys

import pytest

import chainrule as cr
from chainrule.system import threads

PROGRAM = """
import json, sys
import numpy as np
import chainrule as cr
from chainrule.system.threads import numpy_threads
loaded = "threadpoolctl" in sys.modules
x = cr.tensor(np.ones((4, 4), "float32"))
first = numpy_threads()
x @ x
after = numpy_threads()
found = []
for n in (1, 3, None):
    cr.set_num_threads(n)
    found.append(numpy_threads())
print(json.dumps([loaded, first, after, found, cr.get_num_threads()]))
"""


def run(program=PROGRAM, **variables):
    names = [n for n in os.environ if not n.endswith("NUM_THREADS")]
    environment = {name: os.environ[name] for name in names} | variables
    text = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout
    return json.loads(text)


def test_numpy_follows_set_num_threads():
    loaded, first, after, found, default = run()
    assert not loaded
    assert found == [1, 3, min(first, default)]
    assert after <= max(default, 1)


def test_the_environment_holds_for_numpy_as_well():
    _, first, after, found, default = run(CHAINRULE_NUM_THREADS="1", OPENBLAS_NUM_THREADS="3")
    assert (first, after, default) == (3, 1, 1) or (first, after, default) == (2, 1, 1)
    assert found == [1, 3, 1]


def test_a_smaller_number_in_the_environment_stays():
    _, first, after, found, _ = run(OMP_NUM_THREADS="1")
    assert (first, after, found) == (1, 1, [1, 3, 1])


@pytest.mark.parametrize("threads", [1.5, "2", True, 0, -1, 10**6])
def test_other_than_a_whole_number_in_range_is_refused(threads):
    with pytest.raises((TypeError, ValueError), match="threads is"):
        cr.set_num_threads(threads)


@pytest.fixture
def four_cpus(monkeypatch):
    """The process may run on four CPUs and keep two of them busy."""
    monkeypatch.setattr(threads, "_usable_cpus", lambda: 2)
    monkeypatch.setattr(threads, "allowed_cpus", lambda: 4)
    monkeypatch.setattr(threads, "_numpy_is_held", False)
    monkeypatch.setattr(threads, "_threads", None)
    monkeypatch.delenv("CHAINRULE_NUM_THREADS", raising=False)
    before = threads.numpy_threads()
    yield
    for library in threads._numpy_libraries():
        library.set_num_threads(before)


@pytest.mark.usefixtures("four_cpus")
def test_the_environment_is_read_each_time(monkeypatch):
    assert cr.get_num_threads() == 2
    for given, expected in (("3", 3), ("5", 5), ("", 2)):
        monkeypatch.setenv("CHAINRULE_NUM_THREADS", given)
        assert cr.get_num_threads() == expected
    monkeypatch.setenv("CHAINRULE_NUM_THREADS", "many")
    with pytest.raises(ValueError, match="CHAINRULE_NUM_THREADS"):
        cr.get_num_threads()


@pytest.mark.usefixtures("four_cpus")
def test_a_quota_holds_for_the_first_product():
    for library in threads._numpy_libraries():
        library.set_num_threads(4)
    threads._first_numbers.clear()
    cr.tensor([[1.0]]) @ cr.tensor([[1.0]])
    assert threads.numpy_threads() == 2
    threads._first_numbers.clear()


def test_the_library_of_the_core_is_loaded_where_products_need_it_and_keeps_one_thread():
    pytest.importorskip("threadpoolctl")
    code = (
        "import threadpoolctl, chainrule as cr\n"
        "from chainrule import _core\n"
        "from chainrule.execute import blas\n"
        "from chainrule.execute.native import NativeStep\n"
        "from chainrule.execute.state_block import StateBlock\n"
        "def own():\n"
        "    found = threadpoolctl.threadpool_info()\n"
        "    return [f['num_threads'] for f in found if 'scipy_openblas32' in f['filepath']]\n"
        "x = cr.Buffer([[1.0]])\n"
        "NativeStep(cr.capture(lambda: x @ x), StateBlock([x])).run(None, 0, 1)\n"
        "assert own() == [1] * _core.needs_blas(), own()\n"
        "blas.load()\n"
        "cr.set_num_threads(2)\n"
        "assert own() == [1], own()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


BLOCKS = """
import json
import numpy as np
import chainrule as cr
from chainrule.system import threads
first = threads.numpy_threads()
one, other = threads.one_blas_thread(), threads.one_blas_thread()
found = []
for step in (one.__enter__, other.__enter__, lambda: one.__exit__(None, None, None)):
    step()
    threads.hold_numpy()
    found.append(threads.numpy_threads())
other.__exit__(None, None, None)
after = threads.numpy_threads()
cr.set_num_threads(2)
cr.set_num_threads(None)
print(json.dumps([first, found, after, threads.numpy_threads()]))
"""


def test_blocks_of_one_thread_that_overlap_leave_the_number_as_it_was():
    first, found, after, again = run(BLOCKS, OPENBLAS_NUM_THREADS="2", CHAINRULE_NUM_THREADS="2")
    assert (found, after, again) == ([1, 1, 1], first, first)


def test_the_number_that_is_held_in_such_a_block_is_that_of_the_process():
    _, found, after, again = run(BLOCKS, OPENBLAS_NUM_THREADS="2", CHAINRULE_NUM_THREADS="1")
    assert (found, after, again) == ([1, 1, 1], 1, 1)
