"""Slices read where they lie, concatenations written where they lie: the same as by NumPy."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.plan import Plan
from chainrule.execute.native import NativeStep
from chainrule.execute.reference import Interpreter
from chainrule.execute.state_block import StateBlock


def columns(x, w):
    """Gates: slices of a product, whose gradients lie beside one another."""
    a, b, c = cr.split(x @ w, [3, 5], axis=1)
    return [cr.tanh(a)[:, :1] * b[:, 1:] + c[:, ::2] * c[:, 1::2], a * a]


def single_columns(x, w):
    y = x @ w
    return [y[:, 0] * y[:, 2] + x[:, 1], y[:, 3:4] * x[:, :1], cr.exp(y[1] * y[0])]


def of_what_has_no_memory(x, w):
    number = cr.zeros((4, 6))[:, 1:4] + x[:, :3]
    spread = w[:1].broadcast_to((4, 8))[:, 2:5]
    return [number * spread, x.T[1:3] + w[0, 0], cr.reshape(x[1:3], (3, 4))[1:, 2] * 2.0]


def stacks_that_share_their_links(x, w):
    h, outputs = x[:, :4], []
    for t in range(6):
        h = cr.tanh(h @ w[:4, :4] + x[:, t % 3 : t % 3 + 1])
        outputs.append(h)
    before = cr.stack([x[:, 2:], *outputs[:-1]])
    again = cr.concatenate(outputs[::-1])
    twice = cr.concatenate([outputs[0], outputs[0], outputs[1], outputs[2]])
    wide = cr.concatenate([outputs[0], cr.exp(outputs[1]), outputs[2] @ w[:4, :2]], axis=1)
    return [cr.stack(outputs), before * 2.0, again + 1.0, twice, wide, outputs[-1]]


def a_link_that_is_read_with_a_product(x, w):
    """The group that reads the concatenation waits for the product in it."""
    a = cr.tanh(x)
    late = a[:, :4] @ w[:4, :2]
    product = x[:, :4] @ w[2:, :]
    joined = cr.concatenate([late, a], axis=1)
    return [product + joined]


def matrices_with_elements_apart(x, w):
    """A product takes rows whose elements lie side by side."""
    stack = cr.reshape(x @ w, (4, 2, 4))
    spread = stack[:, :, 1]
    one = cr.squeeze(stack[:, :, 2:3], 2)
    kept = cr.reshape(stack[..., ::4], (4, 2))
    vectors = x[:, 5] @ w[:4, 7]
    return [spread @ w[:2], one.T @ spread, kept @ w[2:4], x[:, :4] @ spread, vectors]


def parts_in_another_shape(x, w):
    """Strides say where the elements lie after axes have become one, or several."""
    stack = cr.reshape(x @ w, (2, 2, 8))
    rows = cr.reshape(stack[:, :, 2:5], (4, 3))
    split = cr.reshape((x @ w)[:, 1:7], (4, 3, 2))
    turned = cr.reshape(stack[:, :1, 1:7], (2, 2, 3))
    apart = cr.reshape(stack[:, 1:, ::4], (4,))
    return [cr.tanh(rows) + x[:, :3], rows @ w[:3], cr.exp(split), turned * 2.0, apart - x[:, 0]]


CASES = [
    matrices_with_elements_apart,
    parts_in_another_shape,
    columns,
    single_columns,
    of_what_has_no_memory,
    stacks_that_share_their_links,
    a_link_that_is_read_with_a_product,
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", CASES)
def test_native_is_reference(function, dtype):
    """Values, gradients of the first and the second order."""
    random = np.random.default_rng(3)
    x = cr.Parameter(random.standard_normal((4, 6)).astype(dtype))
    w = cr.Parameter(random.standard_normal((6, 8)).astype(dtype) / 2)
    weights = [random.standard_normal(y.shape).astype(dtype) for y in function(x, w)]

    def derivatives():
        values = function(x, w)
        loss = sum((y * y * p).sum() for y, p in zip(values, weights, strict=True))
        first = cr.grad(loss, [x, w])
        return [*values, *first, *cr.grad((first[0] * x).sum(), [x, w])]

    graph = cr.capture(derivatives)
    step = NativeStep(graph, StateBlock(graph.reads))
    step.run(None, 0, 1)
    close = {"rtol": 2e-4, "atol": 2e-5} if dtype == "float32" else {"rtol": 1e-11, "atol": 1e-12}
    for found, wanted in zip(step.outputs(), Interpreter(graph)(), strict=True):
        np.testing.assert_allclose(found, wanted, **close)


def test_a_part_of_a_state_is_that_of_before_the_update():
    w = cr.Parameter(np.arange(6.0).reshape(2, 3))

    def step():
        part, column = w[1:], w[:, 1]
        w.assign(w * 2.0)
        return part, column, cr.concatenate([w[:1], w[1:] + part])

    graph = cr.capture(step)
    native = NativeStep(graph, StateBlock(graph.reads))
    native.run(None, 0, 1)
    part, column, after = native.outputs()
    assert part.tolist() == [[3, 4, 5]] and column.tolist() == [1, 4]
    assert after.tolist() == [[0, 2, 4], [9, 12, 15]]


def test_a_state_that_becomes_a_concatenation_of_its_parts():
    w = cr.Parameter(np.arange(8.0).reshape(2, 4))

    def step():
        left, right = w[:, :2], w[:, 2:]
        w.assign(cr.concatenate([right * 2.0, cr.exp(left) - right], axis=1))

    wanted = [[4, 6, np.exp(0) - 2, np.exp(1) - 3], [12, 14, np.exp(4) - 6, np.exp(5) - 7]]
    graph = cr.capture(step)
    block = StateBlock(graph.reads)
    NativeStep(graph, block).run(None, 0, 1)
    block.show_results()
    np.testing.assert_allclose(w.numpy(), wanted, rtol=1e-6)


def test_a_weight_of_many_steps_has_its_gradient_by_one_product():
    w, b = cr.Parameter(np.eye(5, dtype="f")), cr.Parameter(np.zeros(5, "f"))

    def step(x):
        for _ in range(6):
            x = cr.tanh(x @ w + b)
        return cr.grad(x.sum(), [w, b])

    graph = cr.capture(step, cr.placeholder((3, 5)))
    kinds = [call.kind for call in Plan(graph, StateBlock(graph.reads)).calls]
    assert kinds.count("gemm") == 6 + 5 + 1 and kinds.count("copy") <= 1


def test_a_part_of_stacked_rows_is_read_where_it_lies():
    def step(x, w):
        return cr.tanh(cr.reshape(cr.reshape(x @ w, (2, 2, 8))[:, :, 2:5], (4, 3)))

    graph = cr.capture(step, cr.placeholder((4, 6)), cr.placeholder((6, 8)))
    assert "copy" not in str(Plan(graph, StateBlock([])).describe())
