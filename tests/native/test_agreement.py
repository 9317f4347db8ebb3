"""The registry of operations and the native core know the same operations."""

import numpy as np

from chainrule import _core
from chainrule.compiler.elementwise import ELEMENTWISE
from chainrule.compiler.lowering import LOWERINGS
from chainrule.graph.operation import operations

ONLY_NATIVE = {"copy", "multiply_add"}  # what the compiler makes of casts, sums and products
ONLY_COMPILED = {"add_n", "astype"}  # several opcodes, or none
NOT_COMPUTED = {"reshape", "broadcast_to", "stop_gradient"}  # ways of reading


def test_every_opcode_is_an_elementwise_operation_and_the_other_way_round():
    opcodes = {name for name, _ in _core.opcodes()}
    assert opcodes - ONLY_NATIVE == set(ELEMENTWISE) - ONLY_COMPILED


def test_every_operation_has_a_native_form():
    assert set(operations) == set(ELEMENTWISE) | NOT_COMPUTED | (set(LOWERINGS) - {"input"})


def test_opcodes_take_as_many_inputs_as_operations():
    samples = {name: operations[name].samples for name, _ in _core.opcodes() if name in operations}
    for name, inputs in _core.opcodes():
        if name in samples:
            assert len(samples[name](np.random.default_rng(0))[0].inputs) == inputs, name
