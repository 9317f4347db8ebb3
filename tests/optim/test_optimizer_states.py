"""Moments of optimisers, and their states, saved and loaded."""

import json

import numpy as np
import pytest
from optimizer_cases import CASES, Case, gradients, make, run_step, starts, values

import chainrule as cr
from chainrule import optim


def test_arrays_that_nodes_saw_are_never_written():
    optimizer = make(Case("Adam", {"amsgrad": True}))
    before = values(optimizer)
    copies = [value.copy() for value in before]
    grads = gradients(steps=2)
    kept = [[grad.copy() for grad in step] for step in grads]
    run_step(optimizer, grads)
    assert all(np.array_equal(a, b) for a, b in zip(before, copies, strict=True))
    for step, copy in zip(grads, kept, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(step, copy, strict=True))


def test_the_update_is_not_differentiated():
    optimizer = make(Case("SGD", {"momentum": 0.9}))
    graph = cr.capture(optimizer.update, starts())
    assert any(node.requires_grad for node in graph.reads.values())
    assert not any(node.requires_grad for node in graph.nodes if node.operation is not None)


def test_names_of_states():
    params = [cr.Parameter([1.0]), cr.Parameter([2.0])]
    optimizer = optim.Adam([{"params": params[:1]}, {"params": params[1:], "amsgrad": True}])
    assert list(optimizer.states()) == [
        "0.exp_avg",
        "0.exp_avg_sq",
        "0.step",
        "1.exp_avg",
        "1.exp_avg_sq",
        "1.max_exp_avg_sq",
        "1.step",
    ]
    assert all(isinstance(state, cr.Buffer) for state in optimizer.states().values())
    assert list(optim.SGD(params, momentum=0.9).states()) == [
        "0.momentum_buffer",
        "1.momentum_buffer",
    ]
    assert optim.SGD(params).states() == {}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_state_dict_goes_on_with_equal_bits(case):
    straight = make(case)
    run_step(straight, gradients())
    first = make(case)
    run_step(first, gradients()[:7])
    saved, weights = first.state_dict(), values(first)
    run_step(first, gradients()[7:9])  # the saved arrays are copies
    second = make(case, lr=0.5)
    for parameter, weight in zip(second.params, weights, strict=True):
        parameter.assign(weight)
    second.load_state_dict(saved)
    run_step(second, gradients()[7:])
    for a, b in zip(values(second), values(straight), strict=True):
        assert np.array_equal(a, b)
    for name, state in second.states().items():
        assert np.array_equal(state.numpy(), straight.states()[name].numpy())


def test_arrays_of_a_state_dict_are_copies():
    """The native core writes into the arrays of states while it runs."""
    optimizer = make(Case("Adam", {}))
    saved = optimizer.state_dict()
    optimizer.load_state_dict(saved)
    for name, state in optimizer.states().items():
        assert not np.shares_memory(saved[name], state.numpy())
        assert not np.shares_memory(optimizer.state_dict()[name], state.numpy())


def test_numbers_of_a_state_dict_are_json():
    optimizer = make(Case("AdamW", {}), betas=(0.5, 0.6))
    state = optimizer.state_dict()
    state["param_groups"] = json.loads(json.dumps(state["param_groups"]))
    other = make(Case("AdamW", {}))
    other.load_state_dict(state)
    assert other.param_groups[0]["betas"] == (0.5, 0.6)


def changed(state, **entries):
    return {**state, **entries}


STATE = make(Case("SGD", {"momentum": 0.9})).state_dict()
GROUP = STATE["param_groups"][0]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "the state is of None, this optimiser is SGD"),
        (changed(STATE, optimizer="Adam"), "the state is of Adam, this optimiser is SGD"),
        (changed(STATE, param_groups=[]), "param_groups are"),
        (changed(STATE, param_groups=None), "param_groups are None"),
        (changed(STATE, param_groups=[{"lr": 0.1}]), "param_groups are"),
        (changed(STATE, param_groups=[{**GROUP, "params": [0]}]), "has the parameters"),
        (changed(STATE, param_groups=[{**GROUP, "lr": -1}]), "lr must be"),
        (changed(STATE, param_groups=[{**GROUP, "nesterov": True}]), "chooses the operations"),
        (changed(STATE, param_groups=[{**GROUP, "weight_decay": 0.1}]), "was 0 at construction"),
        (
            make(Case("SGD", {})).state_dict(),
            "the state holds optimizer, param_groups; this optimiser has optimizer, param_groups, ",
        ),
        (changed(STATE, more=np.ones(3)), "more; this optimiser has .*0.momentum_buffer"),
        (changed(STATE, **{"3.momentum_buffer": np.ones(3)}), "3.momentum_buffer has shape"),
        (changed(STATE, **{"1.momentum_buffer": np.ones(4, "f")}), "1.momentum_buffer has dtype"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(state, message):
    optimizer = make(Case("SGD", {"momentum": 0.9}))
    run_step(optimizer, gradients(steps=1))
    before = optimizer.state_dict()
    with pytest.raises((TypeError, ValueError), match=message):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    assert all(np.array_equal(after[name], before[name]) for name in optimizer.states())


def test_repr():
    assert repr(optim.SGD([cr.Parameter([1.0])], lr=0.1)) == (
        "SGD(\n0: ParameterGroup(\n    lr: 0.1\n    momentum: 0.0\n    dampening: 0.0\n"
        "    weight_decay: 0.0\n    nesterov: False\n    maximize: False\n)\n)"
    )


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.Adafactor])
def test_repr_while_a_graph_is_captured(kind):
    w = cr.Parameter([1.0])
    optimizer = kind([w], lr=0.1)
    schedule = optim.lr_scheduler.StepLR(optimizer, 2)
    optimizer.param_groups[0]["lr"] = 0.25
    seen = []

    def step(x):
        seen.append([repr(optimizer), repr(optimizer.param_groups), repr(schedule)])
        return x * w

    cr.capture(step, cr.placeholder((1,)))
    assert seen[0] == [repr(optimizer), repr(optimizer.param_groups), repr(schedule)]
    assert "lr: 0.25" in seen[0][0]
