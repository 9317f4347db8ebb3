"""Optimisers with options, and ways to run them: here, captured, and in PyTorch."""

import itertools
from typing import NamedTuple

import numpy as np
import pytest
from optimizer_peers import lion

import chainrule as cr
from chainrule import optim
from chainrule.execute.reference import Interpreter


class Case(NamedTuple):
    name: str
    options: dict

    def __str__(self):
        return "-".join([self.name, *(f"{k}={v}" for k, v in self.options.items())])


def every(name, **choices):
    """The case of each combination of the options' choices."""
    combinations = itertools.product(*choices.values())
    return [Case(name, dict(zip(choices, values, strict=True))) for values in combinations]


CASES = [
    *every("SGD", lr=[0.1], weight_decay=[0, 0.01]),
    *every("SGD", lr=[0.1], momentum=[0.9], dampening=[0, 0.3], weight_decay=[0, 0.01]),
    *every("SGD", lr=[0.1], momentum=[0.9], nesterov=[True], weight_decay=[0, 0.01]),
    *every("SGD", lr=[0.1], dampening=[0.3]),
    *every("Adam", lr=[0.1], weight_decay=[0, 0.01], amsgrad=[False, True]),
    *every("Adam", lr=[0.1], betas=[(0.8, 0.9), (0.0, 0.99)], eps=[1e-3]),
    *every("AdamW", lr=[0.1], weight_decay=[0, 0.1], amsgrad=[False, True]),
    *every("NAdam", lr=[0.1], weight_decay=[0, 0.1], decoupled_weight_decay=[False, True]),
    *every("NAdam", lr=[0.1], betas=[(0.8, 0.9), (0.0, 0.99)], momentum_decay=[0, 0.5]),
    *every("Adagrad", lr=[0.1], lr_decay=[0, 0.1], weight_decay=[0, 0.01]),
    *every("Adagrad", lr=[0.1], initial_accumulator_value=[0.5], eps=[1e-3]),
    *every("Adadelta", lr=[1.0, 0.3], rho=[0.8], weight_decay=[0, 0.01]),
    *every("RAdam", lr=[0.1], weight_decay=[0, 0.1], decoupled_weight_decay=[False, True]),
    *every("RAdam", lr=[0.1], betas=[(0.8, 0.9), (0.0, 0.99)], eps=[1e-3]),
    *every("Adamax", lr=[0.1], weight_decay=[0, 0.1]),
    *every("Adamax", lr=[0.1], betas=[(0.8, 0.9), (0.0, 0.99)], eps=[1e-3]),
    *every("ASGD", lr=[0.1], lambd=[1e-4, 0.1], t0=[1e6, 7.0], weight_decay=[0, 0.1]),
    *every("ASGD", lr=[0.1], alpha=[0.5], lambd=[0.1]),
    *every("Rprop", lr=[0.1], etas=[(0.5, 1.2), (0.3, 2.0)], step_sizes=[(1e-6, 50), (0.05, 0.2)]),
    *every("Adafactor", lr=[0.1, 1.0], weight_decay=[0, 0.1]),
    *every("Adafactor", lr=[0.1], beta2_decay=[-0.5], eps=[(1e-3, 1e-2)], d=[1.5]),
    *every("Lion", lr=[0.01], weight_decay=[0, 0.1]),
    *every("Lion", lr=[0.01], betas=[(0.8, 0.7), (0.0, 0.99)]),
    *every(
        "RMSprop",
        lr=[0.01],
        alpha=[0.9],
        weight_decay=[0, 0.01],
        momentum=[0, 0.9],
        centered=[False, True],
    ),
]
DEFAULTS = [Case(name, {}) for name in dict.fromkeys(case.name for case in CASES)]
OF_OTHER_FORM = {"LBFGS", "Muon", "SparseAdam"}  # tested in files of their own
SHAPES = [(3, 4), (4,), (), (2, 1, 3)]
STEPS = 20


def starts(dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]


def gradients(dtype="float64", steps=STEPS):
    """One list of gradients a step."""
    return [starts(dtype, seed=step + 1) for step in range(steps)]


def make(case, dtype="float64", **options):
    params = [cr.Parameter(value) for value in starts(dtype)]
    return getattr(optim, case.name)(params, **{**case.options, **options})


def run_torch(case, steps, dtype="float64", change=lambda optimizer, step: None):
    torch = pytest.importorskip("torch")
    params = [torch.tensor(value, requires_grad=True) for value in starts(dtype)]
    peer = lion(torch) if case.name == "Lion" else getattr(torch.optim, case.name)
    optimizer = peer(params, **case.options)
    torch.set_default_dtype(getattr(torch, dtype))  # of NAdam's product of mu, too
    try:
        for step, grads in enumerate(steps):
            change(optimizer, step)
            for param, grad in zip(params, grads, strict=True):
                param.grad = None if grad is None else torch.tensor(grad)
            optimizer.step()
    finally:
        torch.set_default_dtype(torch.float32)
    return [param.detach().numpy() for param in params]


def as_tensors(grads):
    return [None if grad is None else cr.as_tensor(grad) for grad in grads]


def run_step(optimizer, steps, change=lambda optimizer, step: None):
    """By `.grad` and `step()`."""
    for step, grads in enumerate(steps):
        change(optimizer, step)
        optimizer.zero_grad()
        for parameter, grad in zip(optimizer.params, as_tensors(grads), strict=True):
            parameter.grad = grad
        optimizer.step()


def run_update(optimizer, steps):
    """By `update` on values, node by node."""
    for grads in steps:
        optimizer.update(as_tensors(grads))


def run_captured(optimizer, steps):
    """By `update` as a part of a captured graph, as `Trainer` does."""
    interpreter = Interpreter(cr.capture(optimizer.update, steps[0]))
    for grads in steps:
        interpreter(grads)


def values(optimizer):
    return [parameter.numpy() for parameter in optimizer.params]


def assert_close(got, expected, rtol):
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
