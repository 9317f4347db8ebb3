"""Sums over all axes but one of what is linear in values whose sums are known."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock
from chainrule.nn import functional


@pytest.mark.parametrize("shape", [(40, 3), (5, 17, 6, 7)])
def test_the_gradient_of_batch_norm_is_the_references(shape):
    def run(x, weight, bias, g):
        y = functional.batch_norm(x, None, None, weight, bias, training=True)
        return y, *cr.grad((y * g).sum(), [x, weight, bias])

    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, *shape)) + 2.0
    tensors = [cr.tensor(a, requires_grad=True) for a in (x, *np.ones((2, shape[1])), g)]
    for found, wanted in zip(cr.compile(run)(*tensors), run(*tensors), strict=True):
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-11, atol=1e-11)


def test_a_sum_of_linear_terms_is_made_of_theirs():
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, 300, 20))

    def run(x, g):
        m, s = x.mean(axis=0), g.sum(axis=0)
        return m, s, cr.add_n(-((x - m) * s), g * s, x * s).sum(axis=0)

    *_, found = cr.compile(run)(cr.tensor(x), cr.tensor(g))
    wanted = g.sum(axis=0) * (x.sum(axis=0) + g.sum(axis=0))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-11)

    graph = cr.capture(run, cr.tensor(x), cr.tensor(g))
    plan = NativeStep(graph, StateBlock([*graph.reads, *graph.updates])).plan
    programs = [call.fields for call in plan.calls if call.kind == "program"]
    sizes = [fields["rows"] * fields["columns"] for fields in programs]
    assert max(sizes) == 20  # nothing is computed of all elements but the sums of x and of g


def test_what_is_near_a_sum_is_summed_up_itself():
    """Given means are taken away before the sum, and factors belong to their terms."""

    def run(x, d):
        return x.sum(axis=0), (x - d).sum(axis=0), (x * d).sum(axis=0)

    x = np.random.default_rng(0).standard_normal((4096, 3)).astype("f4") + np.float32(1e4)
    d = np.full(3, 1e4, "f4")
    for found, wanted in zip(cr.compile(run)(x, d), run(cr.tensor(x), cr.tensor(d)), strict=True):
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-6)
    huge, small = np.full((300, 3), 3e36, "f4"), np.full(3, 1e-10, "f4")
    assert np.isfinite(cr.compile(run)(huge, small)[2].numpy()).all()


def test_a_long_chain_of_terms():
    def run(x, b, a):
        y = x + b
        for _ in range(600):
            y = -(a * y)
        return x.sum(axis=0), y.mean(axis=0)

    x, b, a = np.ones((30, 3)), np.ones(3), np.full(3, 1.001)
    _, found = cr.compile(run)(x, b, a)
    np.testing.assert_allclose(found.numpy(), 2 * 1.001**600, rtol=1e-9)


def test_a_difference_of_tensors_is_summed_up_itself():
    def run(x, g):
        return x.sum(axis=0), g.sum(axis=0), (x - g).sum(axis=0)

    x = np.random.default_rng(0).standard_normal((200, 20)) * 1e8
    g = x + 1e-6
    *_, found = cr.compile(run)(cr.tensor(x), cr.tensor(g))
    np.testing.assert_array_equal(found.numpy(), (cr.tensor(x) - cr.tensor(g)).sum(axis=0).numpy())
