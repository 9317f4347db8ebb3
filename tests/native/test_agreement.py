"""The registry of operations and the native core know the same operations."""

from functools import partial

import numpy as np
import pytest

import chainrule as cr
from chainrule import _core, nn, optim
from chainrule.compiler.elementwise import ELEMENTWISE
from chainrule.compiler.lowering import LOWERINGS
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock
from chainrule.graph.operation import operations

ONLY_NATIVE = {"copy", "multiply_add"}  # what the compiler makes of casts, sums and products
ONLY_COMPILED = {"add_n", "astype"}  # several opcodes, or none
NOT_COMPUTED = {
    "reshape",
    "broadcast_to",
    "stop_gradient",
    "gradient_hook",
    "divide_gradient",
}  # ways of reading, and what acts on gradients alone


MADE_BY_PASSES = {"row_products", "weighted_rows", "subtract_rows"}


def test_every_opcode_is_an_elementwise_operation_and_the_other_way_round():
    opcodes = {name for name, _ in _core.opcodes()}
    assert opcodes - ONLY_NATIVE == set(ELEMENTWISE) - ONLY_COMPILED


def test_every_operation_has_a_native_form_or_says_why_not():
    native = set(ELEMENTWISE) | NOT_COMPUTED | (set(LOWERINGS) - MADE_BY_PASSES - {"input"})
    only_numpy = {name for name, operation in operations.items() if operation.only_numpy}
    assert set(operations) == native | only_numpy
    assert not native & only_numpy


def test_opcodes_take_as_many_inputs_as_operations():
    samples = {name: operations[name].samples for name, _ in _core.opcodes() if name in operations}
    for name, inputs in _core.opcodes():
        if name in samples:
            assert len(samples[name](np.random.default_rng(0))[0].inputs) == inputs, name


def calls_of(function, *inputs):
    graph = cr.capture(function, *inputs)
    return NativeStep(graph, StateBlock([*graph.reads, *graph.updates])).plan.calls


class Products(nn.Module):
    """Of rows of two tables."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Embedding(400, 50), nn.Embedding(400, 50)

    def forward(self, i, j):
        return (self.a(i) @ self.b(j).swapaxes(1, 2)).sum(1)


def calls_of_tables():
    model = Products()
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    x = np.zeros((8, 3), np.int64), np.zeros((8, 4), np.int64)
    trainer.fit(x, np.zeros((8, 4), "float32"), epochs=1, batch_size=8, progress=False)
    return trainer.backend.last_step.plan.calls


@pytest.fixture(scope="module")
def calls():
    """What the plans of every operation, and of a loss with its gradient, ask of the core."""
    calls = []
    for operation in operations.values():
        if operation.only_numpy:
            continue
        for sample in operation.samples(np.random.default_rng(0)):
            buffers = [cr.Buffer(a, a.dtype) for a in sample.inputs]
            apply = partial(operation.apply, *buffers, **sample.attributes)
            calls += calls_of(apply)
    model, labels = nn.Linear(3, 2), cr.Buffer(np.zeros(4, np.int64))

    def step(x):
        losses = nn.CrossEntropyLoss(reduction="none")(model(x), labels)
        return losses, cr.grad(losses.sum(), [*model.parameters()])

    step_calls = calls_of(step, cr.placeholder((4, 3), "float32"))
    return calls + step_calls + calls_of_tables()


def test_every_instruction_is_one_that_the_compiler_makes(calls):
    assert set(_core.instructions()) == {call.kind for call in calls}


def test_every_row_kernel_is_one_that_the_compiler_asks_for(calls):
    asked = {call.fields["kernel"] for call in calls if call.kind == "rows"}
    assert set(_core.row_kernels()) == asked
