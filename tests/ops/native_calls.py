"""A function of arrays, run by a native plan."""

import numpy as np

import chainrule as cr
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock


def each(results):
    return list(results) if isinstance(results, (list, tuple)) else [results]


def run_native(function, *arrays):
    """What a plan of the core gives for the function of these arrays."""
    buffers = [cr.Buffer(x, x.dtype) for x in arrays]
    graph = cr.capture(lambda: each(function(*buffers)))
    step = NativeStep(graph, StateBlock([*graph.reads, *graph.updates]))
    step.fill_arena(0xFF)
    step.run(None, 0, 1)
    return [np.array(result) for result in step.outputs()]


def native(function, *arrays):
    """The one value of a function of these arrays, by a native plan."""
    (value,) = run_native(function, *arrays)
    return value
