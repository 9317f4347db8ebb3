"""The reference interpreter: refuses before it changes, names what goes wrong, frees memory."""

import tracemalloc

import numpy as np
import pytest

import chainrule as cr
from chainrule.execute.reference import Interpreter


def training_step():
    """An interpreter of one step of least squares, and its parameter."""
    w = cr.Parameter([[0.5], [-1.0]], "float64", name="w")

    def step(x, y):
        loss = ((x @ w - y) ** 2).mean()
        w.assign(w - 0.1 * cr.grad(loss, w))
        return loss

    x, y = cr.placeholder((4, 2), "float64", name="x"), cr.placeholder((4, 1), "float64", name="y")
    return Interpreter(cr.capture(step, x, y)), w


X = np.arange(8.0).reshape(4, 2)
Y = np.ones((4, 1))


def test_a_step_is_the_textbooks():
    run, w = training_step()
    old = w.numpy()
    error = X @ old - Y
    assert run(X, Y) == pytest.approx((error**2).mean(), rel=1e-15)
    np.testing.assert_allclose(w.numpy(), old - 0.1 * 2 * X.T @ error / 4, rtol=1e-14)


@pytest.mark.parametrize(
    ("x", "y", "error", "words"),
    [
        (X[:3], Y, cr.ShapeError, r"input x has shape \(3, 2\); captured was \(4, 2\)"),
        (X, Y[:, 0], cr.ShapeError, r"input y has shape \(4,\); captured was \(4, 1\)"),
        (X.astype("f4"), Y, cr.DTypeError, "input x has dtype float32; captured was float64"),
    ],
)
def test_a_wrong_input_is_refused_before_the_state_changes(x, y, error, words):
    run, w = training_step()
    before = w.value
    with pytest.raises(error, match=words):
        run(x, y)
    assert w.value is before


def test_a_wrong_number_of_inputs_is_refused():
    run, _ = training_step()
    with pytest.raises(cr.ShapeError, match="takes 2 inputs, got 1"):
        run(X)


def test_an_error_in_an_operation_leaves_the_state():
    p, q = cr.Parameter([[0.0, 0.0]]), cr.Buffer(0)

    def step(labels):
        q.assign(q + 1)
        loss = cr.softmax_cross_entropy(p, labels).sum()
        p.assign(p - cr.grad(loss, p))
        return loss

    run = Interpreter(cr.capture(step, np.array([0])))
    with pytest.raises(IndexError, match="labels must lie in"):
        run(np.array([2]))
    assert (p.tolist(), q.item()) == ([[0, 0]], 0)
    run(np.array([1]))
    assert (p.tolist(), q.item()) == ([[-0.5, 0.5]], 1)


def test_run_and_commit_are_apart():
    run, w = training_step()
    before = w.value
    _, updates = run.run([X, Y])
    assert w.value is before
    assert run.states == [w]
    run.commit(updates)
    assert w.value is updates[0]


def test_what_it_returns_can_not_be_written_into_nor_is_it_the_callers_memory():
    p = cr.Parameter([1.0, 2.0])

    def step(x):
        p.assign(x.reshape(2))
        return p, x

    run = Interpreter(cr.capture(step, np.zeros((1, 2), "f4")))
    data = np.float32([[5, 6]])
    for found in run(data):
        with pytest.raises(ValueError, match="read-only"):
            found[:] = 0
    data[:] = 0
    assert p.tolist() == [5, 6]


def test_a_captured_graph_runs_on_arrays_tensors_and_numbers():
    w = cr.Parameter([1.0, 2.0])
    graph = cr.capture(lambda x, scale: w.assign(w * x * scale), np.ones(2, "f4"), 2.0)
    graph(np.float32([1, 3]), 2.0)
    assert w.tolist() == [2, 12]
    graph(cr.tensor([1.0, 0.5]), np.float32(1))
    assert w.tolist() == [2, 6]
    with pytest.raises(cr.SymbolicError, match="symbolic"):
        graph(cr.placeholder((2,)), 2.0)
    with pytest.raises(cr.ShapeError, match="takes 2 inputs, got 1"):
        graph(1.0)
    assert w.tolist() == [2, 6]


def test_a_run_reads_the_state_of_its_time():
    p = cr.Parameter([1.0])
    run = Interpreter(cr.capture(lambda x: p * x, np.float32([0])))
    assert run(np.float32([3])).tolist() == [3]
    p.assign([10.0])
    assert run(np.float32([3])).tolist() == [30]


class TestFirstNonFinite:
    def test_it_names_the_operation_that_went_wrong(self):
        def function(x):
            h = x * 2.0
            h = cr.log(h)
            return cr.exp(h - h)

        graph = cr.capture(function, np.zeros(3))
        run = Interpreter(graph)
        assert run.first_non_finite([np.ones(3)]) is None
        assert run.first_non_finite([np.array([1.0, 0.0, 1.0])]).operation.name == "log"

    def test_infinities_that_are_meant_are_not_named(self):
        def masked(x, mask):
            return cr.log(cr.softmax(cr.where(mask, x, -np.inf)).sum())

        run = Interpreter(cr.capture(masked, np.zeros(3), np.ones(3, bool)))
        mask = np.array([True, False, True])
        assert run.first_non_finite([np.zeros(3), mask]) is None

    def test_an_input_or_a_state_is_named_where_no_operation_made_it(self):
        p = cr.Parameter([1.0], "float64", name="p")
        graph = cr.capture(lambda x: x * p, cr.placeholder((1,), "float64", name="x"))
        run = Interpreter(graph)
        assert run.first_non_finite([np.array([np.nan])]) is graph.inputs[0]
        p.assign([np.inf])
        assert run.first_non_finite([np.ones(1)]).state is p

    def test_backward_nodes_carry_the_forward_node(self):
        def slope(x):
            return cr.grad(cr.sqrt(x), x)

        node = Interpreter(cr.capture(slope, np.ones(()))).first_non_finite([np.zeros(())])
        assert node.operation.name == "divide"
        assert node.origin.operation.name == "sqrt"


def test_no_warnings_inside_a_run():
    found = Interpreter(cr.capture(lambda x: cr.log(x) + 1.0 / x, np.zeros(2)))(
        np.array([0.0, -1.0])
    )
    assert np.isnan(found).tolist() == [True, True]


def test_memory_is_freed_as_soon_as_nothing_needs_it():
    size = 1_000_000

    def long_chain(x):
        for _ in range(50):
            x = -x
        return x

    run = Interpreter(cr.capture(long_chain, np.zeros(size)))
    x = np.ones(size)
    tracemalloc.start()
    try:
        run(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3.5 * x.nbytes  # not 50 arrays


def test_it_is_the_eager_result_bit_for_bit():
    random = np.random.default_rng(0)
    x, w, b = (random.standard_normal(s).astype("f4") for s in ((5, 3), (3, 2), (2,)))

    def loss_and_grads(x, w, b):
        z = x @ w + b
        loss = (cr.log_softmax(cr.sigmoid(z) ** 2.5 + z**3) * 0.3).mean() + (w**1.5 / 7.0).sum()
        return loss, *cr.grad(loss, [w, b])

    w = np.abs(w)
    expected = loss_and_grads(cr.tensor(x), *(cr.tensor(a, requires_grad=True) for a in (w, b)))
    found = Interpreter(cr.capture(loss_and_grads, x, w, b))(x, w, b)
    for a, e in zip(found, expected, strict=True):
        assert a.tobytes() == e.numpy().tobytes()
