"""Gradients of images that are added to each other in place: which are, and their numbers."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock
from chainrule.nn import functional
from chainrule.ops.conv import conv

WEIGHTS = {  # (filters, kernel, stride, padding) of convolutions of x; whether one adds to another
    "a block and what goes around it": ([(4, 3, 2, 1), (4, 1, 2, 0)], True),
    "the shorter one first": ([(4, 1, 2, 0), (4, 3, 2, 1)], True),
    "beside one that moves by single elements": ([(16, 3, 1, 1), (5, 1, 2, 0)], True),
    "three": ([(4, 3, 2, 1), (5, 1, 2, 0), (3, 2, 2, 0)], True),
    "one by Winograd's transforms": ([(16, 6, 2, 2), (16, 6, 2, 2)], False),
    "without a stride": ([(4, 3, 1, 1), (4, 1, 1, 0)], False),
}


def step_of(weights, results):
    """The native step of the gradients of sums over convolutions of tanh(x), and NumPy's results.

    Args:
        weights: of WEIGHTS.
        results: of tanh(x) and the sums, what is computed.
    """
    rng = np.random.default_rng(0)
    x = nn.Parameter(rng.standard_normal((2, 16, 13, 12)))
    filters = [nn.Parameter(rng.standard_normal((f, 16, k, k))) for f, k, _, _ in weights]

    def compute():
        y = cr.tanh(x)
        sums = [
            (functional.conv2d(y, w, stride=stride, padding=padding) ** 2).sum()
            for w, (_, _, stride, padding) in zip(filters, weights, strict=True)
        ]
        return results(x, y, sums)

    graph = cr.capture(compute)
    step = NativeStep(graph, StateBlock([x, *filters]))
    step.fill_arena(0xFF)
    step.run(None, 0, 1)
    for found, wanted in zip(step.outputs(), compute(), strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), 1e-10, 1e-10)
    return step


def added(step):
    """Of the convolutions that add to what is there."""
    return [call for call in step.plan.calls if call.fields.get("accumulate", False)]


def total(sums):
    whole = sums[0]
    for one in sums[1:]:
        whole = whole + one
    return whole


@pytest.mark.parametrize("case", WEIGHTS)
def test_a_gradient_is_added_where_the_other_one_lies(case):
    weights, is_added = WEIGHTS[case]
    step = step_of(weights, lambda x, y, sums: cr.grad(total(sums), [x]))
    assert bool(added(step)) == is_added
    if is_added:
        assert len({call.fields["y"] for call in step.plan.calls if "y_frame" in call.fields}) == 1
        assert not any("add_n" in c.label for c in step.plan.calls if c.kind == "program")


def test_what_is_read_elsewhere_is_kept():
    """Of gradients that something else reads, too, none is added to the other."""
    weights, _ = WEIGHTS["a block and what goes around it"]

    def results(x, y, sums):
        of_each = [cr.grad(one, [y])[0] for one in sums]
        return [(of_each[0] * of_each[1]).sum(), *cr.grad(total(sums), [x])]

    assert not added(step_of(weights, results))


def test_other_terms_are_added_as_before():
    weights, _ = WEIGHTS["a block and what goes around it"]
    step = step_of(weights, lambda x, y, sums: cr.grad(total(sums) + (y**3).sum(), [x]))
    assert added(step)
    assert any("add_n" in call.label for call in step.plan.calls if call.kind == "program")


def test_sums_of_sums_keep_all_terms():
    """What adds to one gradient already is not given another one."""
    weights, _ = WEIGHTS["three"]

    def results(x, y, sums):
        first, second, third = [cr.grad(one, [y])[0] for one in sums]
        return [cr.add_n(first, cr.add_n(second, third))]

    assert added(step_of(weights, results))


@pytest.mark.parametrize(
    ("lengths", "kernel", "stride"),
    [((2, 12, 12), (1, 3, 3), (2, 1, 1)), ((1, 12, 12), (1, 5, 5), (1, 2, 2))],
)
def test_winograds_transforms_over_three_axes_add_to_nothing(lengths, kernel, stride):
    rng = np.random.default_rng(0)
    x = nn.Parameter(rng.standard_normal((2, 16, *lengths)))
    filters = [nn.Parameter(rng.standard_normal((16, 16, *kernel))) for _ in range(2)]
    padding = tuple((k // 2, k // 2) for k in kernel)

    def compute():
        y = cr.tanh(x)
        sums = [(conv(y, w, stride, padding, (1, 1, 1), 1) ** 2).sum() for w in filters]
        return cr.grad(total(sums), [x])

    step = NativeStep(cr.capture(compute), StateBlock([x, *filters]))
    step.fill_arena(0xFF)
    step.run(None, 0, 1)
    np.testing.assert_allclose(step.outputs()[0], compute()[0].numpy(), 1e-9, 1e-9)
    assert not added(step)
