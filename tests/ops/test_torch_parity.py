"""Values, gradients and second derivatives against PyTorch, in float64."""

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch")

RANDOM = np.random.default_rng(5)
MIXED = RANDOM.standard_normal((3, 4))
POSITIVE = RANDOM.uniform(0.2, 3, (3, 4))
LABELS = np.array([0, 3, 1])

# name -> (function of chainrule, of PyTorch, inputs)
PAIRS = {
    "exp": (cr.exp, torch.exp, [MIXED]),
    "log": (cr.log, torch.log, [POSITIVE]),
    "log1p": (cr.log1p, torch.log1p, [POSITIVE]),
    "expm1": (cr.expm1, torch.expm1, [MIXED]),
    "sqrt": (cr.sqrt, torch.sqrt, [POSITIVE]),
    "asinh": (cr.asinh, torch.asinh, [MIXED]),
    "tanh": (cr.tanh, torch.tanh, [MIXED]),
    "sigmoid": (cr.sigmoid, torch.sigmoid, [MIXED]),
    "relu": (cr.relu, torch.relu, [MIXED]),
    "softplus": (cr.softplus, torch.nn.functional.softplus, [MIXED]),
    "tanh_softplus": (
        cr.tanh_softplus,
        lambda x: torch.tanh(torch.nn.functional.softplus(x)),
        [MIXED],
    ),
    "erf": (cr.erf, torch.erf, [MIXED]),
    "normal_cdf": (cr.normal_cdf, torch.special.ndtr, [MIXED]),
    "normal_pdf": (
        cr.normal_pdf,
        lambda x: torch.distributions.Normal(0.0, 1.0).log_prob(x).exp(),
        [MIXED],
    ),
    "abs": (cr.abs, torch.abs, [MIXED]),
    "power": (cr.power, torch.pow, [POSITIVE, MIXED]),
    "divide": (cr.divide, torch.divide, [MIXED, POSITIVE]),
    "maximum": (cr.maximum, torch.maximum, [MIXED, POSITIVE - 1.0]),
    "sum": (lambda x: x.sum((0, 1)), lambda x: x.sum((0, 1)), [MIXED]),
    "mean": (lambda x: x.mean(1), lambda x: x.mean(1), [MIXED]),
    "var": (lambda x: x.var(0), lambda x: x.var(0, correction=0), [MIXED]),
    "std": (lambda x: x.std(0), lambda x: x.std(0, correction=0), [MIXED]),
    "max": (lambda x: x.max(1), lambda x: x.max(1).values, [MIXED]),
    "logsumexp": (lambda x: cr.logsumexp(x, 1), lambda x: torch.logsumexp(x, 1), [MIXED]),
    "softmax": (lambda x: cr.softmax(x, 0), lambda x: torch.softmax(x, 0), [MIXED]),
    "log_softmax": (lambda x: cr.log_softmax(x), lambda x: torch.log_softmax(x, -1), [MIXED]),
    "softmax_cross_entropy": (
        lambda z: cr.softmax_cross_entropy(z, LABELS),
        lambda z: torch.nn.functional.cross_entropy(z, torch.tensor(LABELS), reduction="none"),
        [MIXED],
    ),
    "matmul": (cr.matmul, torch.matmul, [MIXED, RANDOM.standard_normal((4, 2))]),
    "batched matmul": (
        cr.matmul,
        torch.matmul,
        [RANDOM.standard_normal((2, 1, 3, 4)), RANDOM.standard_normal((5, 4, 2))],
    ),
    "matrix times vector": (cr.matmul, torch.matmul, [MIXED, RANDOM.standard_normal(4)]),
    "concatenate": (
        lambda a, b: cr.concatenate([a, b], 1),
        lambda a, b: torch.cat([a, b], 1),
        [MIXED, POSITIVE],
    ),
    "stack": (
        lambda a, b: cr.stack([a, b], -1),
        lambda a, b: torch.stack([a, b], -1),
        [MIXED, POSITIVE],
    ),
    "gather": (lambda x: x[[2, 0, 2]], lambda x: x[[2, 0, 2]], [MIXED]),
    "slice": (lambda x: x[1:, ::2], lambda x: x[1:, ::2], [MIXED]),
    "pad": (
        lambda x: cr.pad(x, [(1, 0), (0, 2)]),
        lambda x: torch.nn.functional.pad(x, (0, 2, 1, 0)),
        [MIXED],
    ),
    "broadcasting": (
        lambda a, b: a * b + b,
        lambda a, b: a * b + b,
        [MIXED, RANDOM.standard_normal((3, 1))],
    ),
    "where": (
        lambda x: cr.where(x > 0, x * x, -x),
        lambda x: torch.where(x > 0, x * x, -x),
        [MIXED],
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_value_gradient_and_second_derivatives(name):
    ours, theirs, inputs = PAIRS[name]
    xs = [cr.tensor(x, requires_grad=True) for x in inputs]
    ts = [torch.tensor(x, requires_grad=True) for x in inputs]
    y, t = ours(*xs), theirs(*ts)
    same(y, t)
    u = RANDOM.standard_normal(t.shape)
    grads = cr.grad(y, xs, u)
    their_grads = torch.autograd.grad(t, ts, torch.tensor(u), create_graph=True)
    for a, b in zip(grads, their_grads, strict=True):
        same(a, b)
    # <v, gradient> once more: the product of a random v with the second derivatives
    vs = [RANDOM.standard_normal(x.shape) for x in inputs]
    inner = sum((g * v).sum() for g, v in zip(grads, vs, strict=True))
    their_inner = sum((g * torch.tensor(v)).sum() for g, v in zip(their_grads, vs, strict=True))
    if not their_inner.requires_grad:
        return
    their_seconds = torch.autograd.grad(their_inner, ts, allow_unused=True)
    for a, b, x in zip(cr.grad(inner, xs), their_seconds, inputs, strict=True):
        same(a, torch.zeros(x.shape, dtype=torch.float64) if b is None else b)


def same(ours, theirs):
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(
        ours.numpy(), theirs.detach().numpy(force=True), rtol=1e-11, atol=1e-13
    )
