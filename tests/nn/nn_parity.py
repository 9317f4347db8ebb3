"""The same function in chainrule, captured and interpreted, and in PyTorch: all in float64."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.execute.reference import Interpreter

torch = pytest.importorskip("torch")

TOLERANCE = {"rtol": 1e-12, "atol": 1e-13}


def check_module(ours, theirs, *inputs):
    """Value, gradients in the first input and the parameters, second derivatives in the input."""
    rng = np.random.default_rng(7)
    x, rest = inputs[0], inputs[1:]
    projection = rng.standard_normal(np.shape(theirs(*map(torch.as_tensor, inputs)).detach()))
    direction = rng.standard_normal(x.shape)
    parameters = list(ours.parameters())

    def derivatives(x, *rest):
        y = ours(x, *rest)
        loss = (y * y * projection).sum()
        grads = cr.grad(loss, [x, *parameters])
        second = cr.grad((grads[0] * direction).sum(), x)
        return [y, *grads, second]

    eager = derivatives(cr.tensor(x, requires_grad=True), *rest)
    graph = cr.capture(derivatives, x, *rest)
    captured = Interpreter(graph)(x, *rest)
    wanted = torch_derivatives(theirs, x, rest, projection, direction)
    assert len(eager) == len(captured) == len(wanted)
    for found, same, value in zip(eager, captured, wanted, strict=True):
        assert found.dtype == np.float64 and found.shape == value.shape
        np.testing.assert_allclose(found.numpy(), value, **TOLERANCE)
        np.testing.assert_array_equal(found.numpy(), same)


def torch_derivatives(theirs, x, rest, projection, direction):
    x = torch.tensor(x, requires_grad=True)
    y = theirs(x, *map(torch.as_tensor, rest))
    loss = (y * y * torch.as_tensor(projection)).sum()
    parameters = list(theirs.parameters())
    grads = torch.autograd.grad(loss, [x, *parameters], create_graph=True)
    inner = (grads[0] * torch.as_tensor(direction)).sum()
    second = torch.zeros_like(x)
    if inner.requires_grad:
        (second,) = torch.autograd.grad(inner, x, allow_unused=True, materialize_grads=True)
    return [t.detach().numpy() for t in (y, *grads, second)]


def copy_state(ours, theirs):
    """PyTorch's module with the parameters of ours; their names must be the same."""
    state = {name: torch.as_tensor(value) for name, value in ours.state_dict().items()}
    theirs.double().load_state_dict(state)
    return theirs
