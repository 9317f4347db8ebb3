"""Hooks of modules, beside PyTorch's; eagerly and in captured steps."""

import copy
import gc
import weakref

import numpy as np
import pytest
from compiled_steps import compiled_step
from nn_parity import torch

import chainrule as cr
from chainrule import nn, optim

X = np.random.default_rng(0).standard_normal((5, 3))


def pair():
    """A small network in both libraries, with equal weights, and its input."""
    ours = nn.Sequential(
        nn.Linear(3, 4, dtype="float64"), nn.Tanh(), nn.Linear(4, 2, dtype="float64")
    )
    theirs = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)
    ).double()
    theirs.load_state_dict({k: torch.as_tensor(v) for k, v in ours.state_dict().items()})
    return [(ours, cr.tensor(X, requires_grad=True)), (theirs, torch.tensor(X, requires_grad=True))]


def double_input(module, inputs):
    return inputs[0] * 2.0


def shift(module, inputs, output):
    return output + inputs[0].sum()


def third(module, grad_input, grad_output):
    return (grad_input[0] / 3.0,)


def five_times(module, grad_output):
    return (grad_output[0] * 5.0,)


@pytest.mark.parametrize(
    "hooks",
    [
        [("register_forward_pre_hook", 1, double_input)],
        [("register_forward_hook", 1, shift)],
        [("register_full_backward_hook", 1, third)],
        [
            ("register_full_backward_hook", 2, third),
            ("register_full_backward_pre_hook", 2, five_times),
        ],
        [("register_full_backward_pre_hook", 0, five_times)],
        [
            ("register_forward_pre_hook", 1, double_input),
            ("register_forward_hook", 1, shift),
            ("register_full_backward_hook", 1, third),
        ],
    ],
)
def test_hooks_are_pytorchs(hooks):
    found = []
    for model, x in pair():
        handles = [getattr(model[place], name)(hook) for name, place, hook in hooks]
        y = model(x)
        (y * y).sum().backward()
        grads = [np.array(p.grad.numpy()) for p in model.parameters()]
        found.append([y.tolist(), x.grad.tolist(), *(g.tolist() for g in grads)])
        for handle in handles:
            handle.remove()
            handle.remove()
        found[-1].append(model(x).tolist())
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
def test_order_and_what_hooks_see():
    seen = {"ours": [], "theirs": []}
    for (model, x), name in zip(pair(), seen, strict=True):
        log = seen[name]
        layer = model[0]
        layer.register_forward_hook(lambda m, x, y, log=log: log.append(("second", len(x))))
        layer.register_forward_hook(lambda m, x, y, log=log: log.append("first"), prepend=True)
        layer.register_forward_pre_hook(
            lambda m, x, k, log=log: log.append(sorted(k)), with_kwargs=True
        )
        layer.register_full_backward_hook(
            lambda m, gx, gy, log=log: log.append(
                [[g is None for g in gx], [g is None for g in gy]]
            )
        )
        model(x.detach()).sum().backward()
        model(x).sum().backward()
    assert seen["ours"] == seen["theirs"] and len(seen["ours"]) == 8


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_hooks_are_a_part_of_captured_steps(backend):
    """Clipping a layer's gradient by a hook: the steps of the eager loop."""
    x, y = X.astype("f"), X.sum(1, keepdims=True).astype("f")
    found = []
    for eager in (True, False):
        with cr.use_generator(cr.Generator(0)):
            model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 1))
        model[1].register_full_backward_hook(lambda m, gx, gy: (cr.minimum(gx[0], 0.01),))
        model[2].register_forward_hook(lambda m, x, y: y * 0.5)
        optimizer = optim.SGD(model.parameters(), 0.1)
        step = compiled_step(model, nn.MSELoss(), optimizer, backend=backend)
        for _ in range(3):
            if eager:
                optimizer.zero_grad()
                nn.MSELoss()(model(cr.tensor(x)), y).backward()
                optimizer.step()
            else:
                step(x, y)
        found.append([array.tolist() for array in model.state_dict().values()])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_a_hook_that_asks_for_values_says_so_in_a_captured_step():
    model = nn.Sequential(nn.Linear(3, 1))
    model[0].register_forward_hook(lambda m, x, y: print(y.numpy()))
    step = compiled_step(model, nn.MSELoss(), optim.SGD(model.parameters(), 0.1))
    with pytest.raises(cr.SymbolicError, match=r"0 \(Linear\)"):
        step(X.astype("f"), np.ones((5, 1), "f"))


def test_what_hooks_cannot_do():
    model = nn.ReLU()
    with pytest.raises(TypeError, match="a hook is a function"):
        model.register_forward_hook(3)

    class Two(nn.Module):
        def forward(self, a, b):
            return a * b

    two = Two()
    two.register_full_backward_hook(lambda m, gx, gy: None)
    a = cr.tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match="2 inputs with a gradient"):
        two(a, a)
    two(a, cr.tensor([2.0])).sum().backward()

    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    several = Pair()
    several.register_full_backward_pre_hook(lambda m, gy: None)
    with pytest.raises(TypeError, match="returns one Tensor"):
        several(a)
    wrong = nn.Tanh()
    wrong.register_full_backward_hook(lambda m, gx, gy: cr.tensor([[1.0, 2.0]]))
    with pytest.raises(cr.ShapeError, match="a hook gave a gradient of shape"):
        wrong(a).sum().backward()


def test_a_copy_has_hooks_of_its_own():
    model = nn.ReLU()
    handle = model.register_forward_hook(lambda m, x, y: y + 1.0)
    copied = copy.deepcopy(model)
    handle.remove()
    x = cr.tensor([1.0])
    assert (model(x).item(), copied(x).item()) == (1.0, 2.0)


def test_steps_with_hooks_leave_nothing_behind():
    """No circle of objects, which would hold the arrays of many steps until it is collected."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    for layer in model:
        layer.register_full_backward_hook(lambda module, grad_input, grad_output: None)
        layer.register_full_backward_pre_hook(lambda module, grad_output: None)

    def step():
        output = model(np.ones((5, 3), "float32"))
        output.sum().backward()
        return weakref.ref(output)

    gc.collect()
    gc.disable()
    try:
        assert [step()() for _ in range(3)] == [None, None, None]
    finally:
        gc.enable()
