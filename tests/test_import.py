"""`import chainrule` brings Tensors; the other rooms come at their first use."""

import pickle
import subprocess
import sys

import chainrule as cr
from chainrule import linalg


def run(code, input=None):
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, input=input
    )


def test_the_import_alone_brings_tensors_and_no_training():
    run(
        "import sys, chainrule as cr\n"
        "rooms = ('nn', 'optim', 'data', 'train', 'inspect', 'compiler', 'execute', 'ops.linalg')\n"
        "early = [room for room in rooms if 'chainrule.' + room in sys.modules]\n"
        "assert not early, early\n"
        "assert set(cr.__all__) <= set(dir(cr))\n"
        "assert float((cr.ones(3) * 2).sum()) == 6\n"
        "cr.nn.Linear, cr.optim.Adam, cr.data.batches, cr.linalg.inv, cr.metrics.Accuracy\n"
        "assert cr.nn is sys.modules['chainrule.nn'] and 'nn' in vars(cr)\n"
    )


def test_every_public_name_is_there():
    missing = [name for name in cr.__all__ if getattr(cr, name, cr) is cr and name != "newaxis"]
    assert missing == [] and cr.newaxis is None


def test_numpys_linear_algebra_finds_ours_before_its_first_use():
    run(
        "import numpy as np, chainrule as cr\n"
        "x = cr.Parameter(np.eye(2))\n"
        "np.linalg.inv(x).sum().backward()\n"
        "assert x.grad is not None\n"
    )


def test_an_operation_is_unpickled_before_its_module_is_used():
    x = cr.Parameter([[2.0, 1.0], [1.0, 2.0]])
    pickled = pickle.dumps(linalg.eigvalsh(x).operation)
    run(
        "import sys, pickle, chainrule\n"
        "assert pickle.load(sys.stdin.buffer).name == 'eigenvalues'\n",
        pickled,
    )
