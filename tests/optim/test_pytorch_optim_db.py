"""PyTorch's database of optimisers: its arguments give its numbers here, its errors are errors."""

import numpy as np
import pytest
from optimizer_cases import assert_close
from pytorch_optim_db import (
    SCHEDULES,
    common_optimizers,
    error_inputs,
    inputs,
    schedule_inputs,
    torch,
)

import chainrule as cr
from chainrule import optim

STEPS = 6
START = np.random.default_rng(3).standard_normal((3, 4))
ROWS = np.random.default_rng(4).standard_normal((5, 3))

BY_BFLOAT16 = {"Muon": "PyTorch iterates in bfloat16, here all is in the parameter's dtype"}
"""Classes whose numbers are compared to their precision only."""


def translated(value, known=None):
    """PyTorch's Tensors as ours, also in lists, tuples and dicts; one that comes twice, as one."""
    known = {} if known is None else known
    if isinstance(value, torch.nn.Parameter):
        return known.setdefault(id(value), cr.Parameter(value.detach().numpy()))
    if isinstance(value, torch.Tensor):
        return cr.tensor(value.detach().numpy())
    if isinstance(value, (list, tuple)):
        return type(value)([translated(element, known) for element in value])
    if isinstance(value, dict):
        return {key: translated(element, known) for key, element in value.items()}
    return value


def identity(case):
    name, kwargs = case
    return "-".join([name, *(f"{key}={value}" for key, value in kwargs.items())])


def closure_of(optimizer, w, rows):
    """A smooth loss with other curvature in every direction, convex."""

    def closure():
        optimizer.zero_grad()
        product = rows @ w
        loss = (product * product).sum() + (w * w * w * w).sum()
        loss.backward()
        return loss

    return closure


def theirs(name, kwargs):
    w = torch.tensor(START, requires_grad=True)
    optimizer = getattr(torch.optim, name)([w], **kwargs)
    rows = torch.tensor(ROWS)
    torch.set_default_dtype(torch.float64)  # of NAdam's product of mu, too
    try:
        for _ in range(STEPS):
            if name == "SparseAdam":
                closure_of(optimizer, w, rows)()
                w.grad = w.grad.to_sparse(1)
                optimizer.step()
            else:
                optimizer.step(closure_of(optimizer, w, rows))
    finally:
        torch.set_default_dtype(torch.float32)
    return w.detach().numpy()


def ours(name, kwargs, run):
    w = cr.Parameter(START)
    optimizer = getattr(optim, name)([w], **translated(kwargs))
    run(optimizer, w)
    return w.numpy()


def by_closure(optimizer, w):
    for _ in range(STEPS):
        optimizer.step(closure_of(optimizer, w, ROWS))


def compiled(optimizer, w):
    """The whole step as one native plan; of LBFGS, which no graph holds, the closure."""

    @cr.compile
    def step(rows):
        return optimizer.step(closure_of(optimizer, w, rows))

    if isinstance(optimizer, optim.LBFGS):
        with pytest.raises(cr.SymbolicError, match="as often as the losses ask for"):
            step(ROWS)
        closure = cr.compile(closure_of(optimizer, w, ROWS))
        for _ in range(STEPS):
            optimizer.step(closure)
    else:
        for _ in range(STEPS):
            step(ROWS)


@pytest.mark.parametrize("run", [by_closure, compiled])
@pytest.mark.parametrize("case", list(inputs()), ids=identity)
def test_inputs_give_pytorchs_numbers(case, run):
    name, kwargs = case
    rtol = 0.1 if name in BY_BFLOAT16 else 1e-9
    assert_close([ours(name, kwargs, run)], [theirs(name, kwargs)], rtol=rtol)


def test_every_class_is_here():
    for name, _ in inputs():
        assert issubclass(getattr(optim, name), optim.Optimizer)


# Schedules


def schedule_identity(case):
    return case if isinstance(case, str) else f"{len(case)}"


def step_of(schedule):
    """Its step, which of ReduceLROnPlateau takes a metric."""
    takes_metric = type(schedule).__name__ == "ReduceLROnPlateau"
    return (lambda: schedule.step(1.0)) if takes_metric else schedule.step


@pytest.mark.parametrize(("name", "makers"), list(schedule_inputs()), ids=schedule_identity)
def test_schedules_give_pytorchs_rates_and_numbers(name, makers, monkeypatch):
    """One to three schedules of one optimiser, for longer than the patience of 10."""
    peer_w, w = torch.tensor(START, requires_grad=True), cr.Parameter(START)
    peer, optimizer = getattr(torch.optim, name)([peer_w]), getattr(optim, name)([w])
    peer_steps = [step_of(make(peer)) for make in makers]
    for schedule in SCHEDULES:
        monkeypatch.setattr(common_optimizers, schedule, getattr(optim, schedule))
    schedules = [make(optimizer) for make in makers]
    assert all(type(schedule).__module__.startswith("chainrule") for schedule in schedules)
    torch.set_default_dtype(torch.float64)
    try:
        for _ in range(14):
            loss = closure_of(peer, peer_w, torch.tensor(ROWS))
            if name == "SparseAdam":
                loss()
                peer_w.grad = peer_w.grad.to_sparse(1)
                peer.step()
            else:
                peer.step(loss)
            optimizer.step(closure_of(optimizer, w, ROWS))
            for step in [*peer_steps, *map(step_of, schedules)]:
                step()
            rate = peer.param_groups[0]["lr"]
            assert float(optimizer.param_groups[0]["lr"]) == pytest.approx(float(rate), rel=1e-12)
    finally:
        torch.set_default_dtype(torch.float32)
    rtol = 0.1 if name in BY_BFLOAT16 else 1e-9
    assert_close([w.numpy()], [peer_w.detach().numpy()], rtol=rtol)


# Errors

NOT_HERE = {
    "complex parameters": "there are no complex Parameters",
    "dense parameter tensors": "there are no sparse Tensors",
}
"""Parts of PyTorch's messages for inputs that can't be made here."""

TAKEN = {
    "as a Tensor is not supported for capturable=False and foreach=True": (
        "a Tensor is read as its number; foreach means nothing, every update is one graph"
    ),
    "must be either both floats or both Tensors": "a Tensor is read as its number",
    "all optimizer param groups should be with/without names": (
        "names are read past, so groups with and without them go together"
    ),
}
"""Parts of PyTorch's messages for inputs that are fine here."""


def error_identity(case):
    return f"{case[0]}-{case[3][:40]}"


def is_in(names, message):
    return any(name in message.replace("\\", "") for name in names)


@pytest.mark.parametrize("case", list(error_inputs()), ids=error_identity)
def test_error_inputs_are_errors(case):
    name, params, kwargs, message = case
    if is_in(NOT_HERE, message):
        return
    make = getattr(optim, name)
    params = [cr.Parameter(START)] if params is None else translated(params)
    kwargs = translated(kwargs)
    if isinstance(params, list) and params and type(params[0]) is cr.Tensor:
        params = [cr.Parameter(value.numpy()) for value in params]
    if name == "LBFGS" and len(params) > 1 and isinstance(params[1], dict):
        with pytest.raises(ValueError, match=r"LBFGS takes one group|was given twice"):
            make(params)
    elif is_in(TAKEN, message):
        make(params, **kwargs)
    else:
        with pytest.raises((TypeError, ValueError)):
            make(params, **kwargs)
