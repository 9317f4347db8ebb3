"""Graphs of many equal steps: what they cost to plan, to hold and to differentiate."""

import time

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.compiler.plan import Plan
from chainrule.execute.state_block import StateBlock
from chainrule.testing import check_gradient


def planned(steps, kind="LSTM"):
    """(plan, CPU seconds) of a training step over a sequence."""
    model = getattr(nn, kind)(3, 4)
    optimizer = optim.Adam(model.parameters())

    def step(x):
        loss = cr.square(model(x)[0]).mean()
        optimizer.update(cr.grad(loss, list(model.parameters())))
        return loss

    start = time.process_time()
    graph = cr.capture(step, cr.placeholder((steps, 2, 3)))
    plan = Plan(graph, StateBlock(graph.reads))
    return plan, time.process_time() - start


def test_the_time_grows_as_the_steps():
    """Four times the steps: a time that grew with their square would be sixteen times as long."""
    tries = [[planned(steps)[1] for steps in (30, 120)] for _ in range(4)]
    least = [min(seconds) for seconds in zip(*tries, strict=True)]
    assert least[1] < 10 * least[0]


def test_the_arena_grows_as_the_steps():
    """Whether its storages are placed one way or, where they are many, the other."""
    few, more, many = (planned(steps, "RNN")[0] for steps in (50, 100, 300))
    step = (more.arena_size - few.arena_size) / 50
    assert many.arena_size < few.arena_size + 250 * step * 1.2


def test_equal_steps_share_the_operations_of_their_programs():
    """Steps more add programs, but none whose operations are found anew."""

    def programs(steps):
        fields = [call.fields for call in planned(steps)[0].calls if call.kind == "program"]
        return len(fields), len({id(f["ops"]) for f in fields})

    (few, of_few), (many, of_many) = programs(20), programs(40)
    assert many >= few + 20
    assert of_many == of_few < 15


@pytest.mark.parametrize(
    "parts",
    [
        [slice(0, 2), slice(2, 5), slice(5, 7)],
        [slice(5, 7), slice(0, 2)],
        [slice(1, 3), slice(4, 5), slice(3, 4)],
        [slice(0, 4), slice(2, 6)],
        [slice(0, 7, 2), slice(1, 3), slice(3, 3), slice(6, None, -1)],
        [3, slice(4, 7), None, (slice(None), 1), (slice(2, 3), slice(0, 2))],
    ],
)
def test_the_gradient_of_parts_is_that_of_each(parts):
    """By finite differences, to the second order, where parts touch, overlap or leave gaps."""

    def function(x):
        taken = [x[part] for part in parts]
        return sum((cr.sin(t) * (i + 1.5) * t).sum() for i, t in enumerate(taken))

    x = np.random.default_rng(0).standard_normal((7, 3))
    check_gradient(function, x)


def test_a_sequence_taken_apart_is_put_together_once():
    def gradient(x):
        return cr.grad(sum((row * row).sum() for row in cr.unstack(x)), x)

    graph = cr.capture(gradient, cr.placeholder((30, 2)))
    whole = [n.operation.name for n in graph.nodes if n.shape == (30, 2) and n.operation]
    assert whole == ["concatenate"]
