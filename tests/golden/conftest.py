"""Every golden number is computed three times from one formulation: eager, captured, native."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.execute.native import NativeStep
from chainrule.execute.reference import Interpreter
from chainrule.execute.state_block import StateBlock
from chainrule.trees import map_leaves


def eager(function, *arrays):
    """`function` of float64 leaves, node by node; its results as arrays."""
    variables = [cr.tensor(a, dtype="float64", requires_grad=True) for a in arrays]
    return map_leaves(lambda t: t.numpy(), function(*variables))


def captured(function, *arrays):
    """The graph of `function`, run by the reference interpreter on the same numbers."""
    arrays = [np.array(a, np.float64) for a in arrays]
    return Interpreter(cr.capture(function, *arrays))(*arrays)


def native(function, *arrays):
    """The same graph as a native plan, whose inputs are state."""
    buffers = [cr.Buffer(np.array(a, np.float64)) for a in arrays]
    graph = cr.capture(lambda: function(*[buffer.node() for buffer in buffers]))
    step = NativeStep(graph, StateBlock([*buffers, *graph.reads, *graph.updates]))
    step.run(None, 0, 1)
    found = iter(step.outputs())
    return map_leaves(lambda _: next(found), graph.outputs)


@pytest.fixture(params=[eager, captured, native], ids=["eager", "captured", "native"])
def run(request):
    """(function, *arrays) -> the arrays that the function's Tensors hold."""
    return request.param


@pytest.fixture
def exact():
    """Compare with a golden number to 1e-12 relative."""

    def check(found, expected):
        expected = np.asarray(expected, np.float64)
        assert found.dtype == np.float64
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=0)

    return check
