"""A captured function run twice: by the reference interpreter and as a native plan."""

import numpy as np

import chainrule as cr
from chainrule.execute.native import NativeStep
from chainrule.execute.reference import Interpreter
from chainrule.execute.state_block import StateBlock
from chainrule.trees import leaves


def run_both(function, states, steps=2):
    """The outputs and the states after each step: (reference, native), as lists of arrays.

    The native arena is filled with 0xFF, which are NaN, before the first step.
    """
    start = [np.array(state.value) for state in states]
    graph = cr.capture(function)
    interpreter = Interpreter(graph)

    def found(outputs):
        return [np.array(a) for a in [*outputs, *(state.value for state in states)]]

    with np.errstate(all="ignore"):
        reference = [found(leaves(interpreter())) for _ in range(steps)]
    for state, array in zip(states, start, strict=True):
        state.replace(array)
    step = NativeStep(graph, StateBlock([*states, *graph.reads, *graph.updates]))
    step.fill_arena(0xFF)
    native = []
    for _ in range(steps):
        step.run(None, 0, 1)
        native.append(found(step.outputs()))
    return reference, native


def assert_same(function, states, rtol=1e-12, atol=1e-13):
    """The native plan gives what the reference interpreter gives."""
    reference, native = run_both(function, states)
    for expected, result in zip(reference, native, strict=True):
        for a, b in zip(result, expected, strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
