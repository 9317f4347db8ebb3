"""Back-propagation: each edge once, any depth, pruned, and a graph itself."""

import gc
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule.graph.backprop import ancestors
from chainrule.graph.operation import Operation


def leaf(value=1.0):
    return cr.tensor(value, "float64", requires_grad=True)


@pytest.fixture
def visits(monkeypatch):
    """The edges that back-propagation visits, as (operation's name, input)."""
    visits = []
    bprop = Operation.bprop

    def counted(self, node, index, grad_output):
        visits.append((self.name, index))
        return bprop(self, node, index, grad_output)

    monkeypatch.setattr(Operation, "bprop", counted)
    return visits


def operations_of(z):
    """The names of the operations of the nodes that z is computed from."""
    return [n.operation.name for n in ancestors(z) if n.operation is not None]


def test_each_edge_of_a_diamond_is_visited_once(visits):
    x = y = leaf()
    for _ in range(60):
        y = y + y
    edges = sum(len(consumers) for consumers in cr.graph.prune(y).values())
    gradient = cr.grad(y, x)
    assert int(gradient.item()) == 2**60
    assert len(visits) == edges == 120


def test_a_sum_over_many_consumers_is_one_node():
    x = leaf()
    z = (x * 2.0) + (x * 3.0) + (x * 4.0) + cr.exp(x)
    gradient = cr.grad(z, x)
    assert gradient.operation.name == "add_n"
    assert len(gradient.inputs) == 4
    assert "add_n" not in operations_of(z)


def test_one_consumer_needs_no_sum():
    x = leaf(2.0)
    assert cr.grad(cr.exp(x), x).operation.name == "multiply"


def test_a_chain_of_100_000_nodes():
    x = y = leaf()
    for _ in range(100_000):
        y = -y
    y.backward()
    assert x.grad.item() == 1.0
    assert cr.grad(y, x).item() == 1.0
    dead = weakref.ref(y)
    del y
    gc.collect()
    assert dead() is None


def test_second_order_through_a_chain_of_5_000_nodes():
    x = leaf(1.0)
    y = x * x
    for _ in range(5_000):
        y = cr.sin(y) + y * 0.0
    first = cr.grad(y, x)
    second = cr.grad(first, x)
    assert np.isfinite(second.item())
    # y = sin(sin(... x^2)) by the two recursions of its derivatives
    v, d1, d2 = 1.0, 2.0, 2.0
    for _ in range(5_000):
        v, d1, d2 = np.sin(v), np.cos(v) * d1, np.cos(v) * d2 - np.sin(v) * d1 * d1
    np.testing.assert_allclose([y.item(), first.item(), second.item()], [v, d1, d2], rtol=1e-9)
    del y, first, second
    gc.collect()


def test_pruning_visits_only_paths_from_targets_to_z(visits):
    a, b, c = leaf(2.0), leaf(3.0), leaf(5.0)
    product = a * b
    other = cr.exp(c)
    z = product * other
    table = cr.backprop(z, [a])
    assert set(table) == {z, product, a}
    assert table[a].item() == pytest.approx(3 * np.exp(5))
    assert visits == [("multiply", 0), ("multiply", 0)]
    assert list(cr.graph.prune(z, [a])) == [a, product, z]
    assert list(cr.graph.prune(z, [product])) == [product, z]
    assert set(cr.graph.prune(z)) == {a, b, c, product, other, z}
    assert cr.graph.prune(z, [leaf()]) == {}


def test_nodes_beyond_a_target_are_not_visited(visits):
    x = leaf()
    h = cr.exp(x)
    z = cr.tanh(h)
    cr.grad(z, h)
    assert visits == [("tanh", 0)]


def test_constants_are_never_visited(visits):
    x = leaf()
    (x * 3.0 + 2.0).backward()
    assert visits == [("add", 0), ("multiply", 0)]


def test_grad_table_holds_every_variable_between():
    x, y, z = leaf(-2.0), leaf(5.0), leaf(-4.0)
    q = x + y
    f = q * z
    table = cr.backprop(f)
    assert [table[v].item() for v in (f, q, z, x, y)] == [1, -4, 3, -4, -4]


def test_the_books_functions():
    x = leaf(3.0)
    y = x * x
    z = x + y
    assert cr.get_operation(y).name == "multiply"
    assert cr.get_operation(x) is None
    assert [i is x for i in cr.get_inputs(y)] == [True, True]
    assert [c is n for c, n in zip(cr.get_consumers(x, z), (y, z), strict=True)] == [True, True]
    assert cr.get_consumers(z, z) == []
    other = cr.exp(leaf()) * x
    in_pruned = cr.get_consumers(x, cr.graph.prune(z + other, [x]))
    assert [c.operation.name for c in in_pruned] == ["multiply", "add", "multiply"]
    p = cr.Parameter(1.0)
    doubled = p * 2.0
    assert cr.get_consumers(p, doubled) == [doubled]


def test_build_grad_fills_the_table_for_one_variable():
    x = leaf(3.0)
    y = x * x
    z = cr.exp(y)
    pruned = cr.graph.prune(z, [x])
    table = {z: cr.ones_like(z)}
    cr.build_grad(y, pruned, table)
    cr.build_grad(x, pruned, table)
    assert table[y].item() == pytest.approx(np.exp(9))
    assert table[x].item() == pytest.approx(6 * np.exp(9))


def test_build_grad_takes_the_targets_in_any_order():
    x, w = leaf(2.0), cr.Parameter(3.0)
    y = cr.sin(x)
    z = x * y + w * w
    pruned = cr.graph.prune(z, [x, y, w])
    for targets in ([x, y, w], [w, y, x]):  # as algorithm 6.5 has it
        table = {z: cr.ones_like(z)}
        found = [cr.build_grad(v, pruned, table) for v in targets]
        expected = cr.grad(z, targets)
        assert [g.item() for g in found] == pytest.approx([g.item() for g in expected], rel=1e-12)
        assert table[x] is found[targets.index(x)] is cr.build_grad(x, pruned, table)


def test_build_grad_of_a_long_chain_and_each_edge_once(monkeypatch):
    x = leaf(1.0)
    z = x
    for _ in range(10_000):
        z = (z + z) * 0.5
    calls = []
    bprop = cr.Operation.bprop
    monkeypatch.setattr(cr.Operation, "bprop", lambda *edge: calls.append(edge) or bprop(*edge))
    gradient = cr.build_grad(x, cr.graph.prune(z, [x]), {z: cr.ones_like(z)})
    assert gradient.item() == 1.0
    assert len(calls) == 30_000


def test_build_grad_says_what_is_wrong():
    x, other = leaf(2.0), leaf(3.0)
    z = x * x
    pruned = cr.graph.prune(z, [x])
    assert cr.build_grad(z, pruned, {z: cr.ones_like(z)}).item() == 1.0
    for error, said, arguments in [
        (ValueError, "not in G'", (other, pruned, {z: cr.ones_like(z)})),
        (ValueError, "not in G'", (cr.Parameter(1.0), pruned, {z: cr.ones_like(z)})),
        (ValueError, "begins with the gradient of z", (x, pruned, {})),
        (TypeError, "holds Tensors, as cr.tensor", (x, pruned, {z: 1.0})),
    ]:
        with pytest.raises(error, match=said):
            cr.build_grad(*arguments)
    with pytest.raises(TypeError, match="not dict and Tensor"):
        cr.get_consumers(pruned, x)


def test_gradient_nodes_carry_origin_and_path():
    x = leaf([1.0, 2.0])
    h = cr.tanh(x)
    h.path = "net.0"
    z = (h * h).sum()
    table = cr.backprop(z)
    assert table[h].origin is h  # the sum over the consumers of h
    assert table[x].origin is h
    assert table[x].path == table[h].path == "net.0"
    slope = table[x].inputs[1]  # 1 - h^2
    assert slope.operation.name == "subtract"
    assert slope.origin is h
    assert z.origin is None
    assert (x * 2.0).origin is None  # the context is as before
    assert (x * 2.0).path == ""


def test_an_error_in_a_rule_restores_the_context(monkeypatch):
    def fail(*arguments):
        raise RuntimeError("rule")

    x = leaf()
    z = cr.exp(x)
    z.path = "net.0"
    monkeypatch.setattr(Operation, "bprop", fail)
    with pytest.raises(RuntimeError, match="rule"):
        z.backward()
    y = cr.exp(x)
    assert y.origin is None
    assert y.path == ""
    assert y.requires_grad


class TestWithoutGraph:
    def test_nothing_is_kept_without_requires_grad(self):
        y = cr.exp(cr.tensor([1.0]) * 2.0)
        assert (y.operation, y.inputs, y.requires_grad) == (None, (), False)

    def test_nothing_is_kept_inside_no_grad(self):
        x = leaf()
        with cr.no_grad():
            y = x * 2.0
        assert (y.operation, y.inputs, y.requires_grad) == (None, (), False)
        assert (x * 2.0).requires_grad

    def test_no_grad_ends_with_its_block_even_by_an_error(self):
        with pytest.raises(RuntimeError), cr.no_grad():
            raise RuntimeError
        assert (leaf() * 2.0).requires_grad

    def test_one_no_grad_may_be_entered_within_itself(self):
        block = cr.no_grad()
        with block, block:
            assert not (leaf() * 2.0).requires_grad
        assert (leaf() * 2.0).requires_grad

    @pytest.mark.parametrize("decorator", [cr.no_grad, cr.no_grad()], ids=["bare", "called"])
    def test_no_grad_decorates_a_function_that_calls_itself(self, decorator):
        w = cr.tensor(2.0, requires_grad=True)

        @decorator
        def power(n):
            return w if n == 1 else power(n - 1) * w

        assert not power(3).requires_grad
        assert (w * w).requires_grad

    def test_no_grad_decorates_functions_alone(self):
        with pytest.raises(TypeError, match="a function to decorate; got False"):
            cr.no_grad(False)

    def test_no_grad_holds_in_a_captured_graph(self):
        p = cr.Parameter(3.0, "float64")

        def slope(x):
            with cr.no_grad():
                constant = cr.exp(p * x)
            return cr.grad(constant * p, p)

        x = np.float64(0.5)
        eager = slope(cr.tensor(x))
        captured = cr.capture(slope, x)(x)
        assert eager.item() == captured.item() == pytest.approx(np.exp(1.5))

    def test_backward_keeps_no_graph_of_the_gradient(self):
        x = leaf(2.0)
        (x * x * x).backward()
        assert x.grad.item() == 12
        assert not x.grad.requires_grad
        assert x.grad.is_leaf


class TestBackward:
    def test_it_accumulates(self):
        x = leaf([1.0, 2.0])
        (x * 3.0).sum().backward()
        (x * x).sum().backward()
        assert x.grad.tolist() == [5.0, 7.0]
        x.grad = None
        (x * 3.0).sum().backward()
        assert x.grad.tolist() == [3.0, 3.0]

    def test_only_leaves_that_require_it_are_filled(self):
        x, constant = leaf(), cr.tensor(2.0)
        h = x * constant
        (h * h).backward()
        assert constant.grad is None
        assert h.grad is None

    def test_a_leaf_itself(self):
        x = leaf()
        x.backward()
        assert x.grad.item() == 1

    def test_grad_output(self):
        x = leaf([1.0, 2.0])
        (x * x).backward([10.0, 100.0])
        assert x.grad.tolist() == [20.0, 400.0]
        assert x.grad.dtype == np.float64

    def test_a_sequence_of_outputs_as_in_pytorch(self):
        torch = pytest.importorskip("torch")
        values, weight = np.array([1.0, -2.0, 3.0]), np.array([1.0, 10.0, 100.0])

        def outputs(x):
            return [(x * x).sum(), x * x * x, x.sum()]

        x, t = leaf(values), torch.tensor(values, requires_grad=True)
        given = [None, weight, 2.0]
        theirs = [None, torch.tensor(weight), torch.tensor(2.0, dtype=torch.float64)]
        for kind in (list, tuple):
            found = cr.grad(kind(outputs(x)), [x], kind(given))
            expected = torch.autograd.grad(kind(outputs(t)), [t], kind(theirs))
            np.testing.assert_allclose(found[0].numpy(), expected[0].numpy(), rtol=1e-14)
        assert cr.grad(outputs=[(x * x).sum()], inputs=x).tolist() == [2, -4, 6]
        assert cr.grad([x * x], x, [weight]).tolist() == cr.grad(x * x, x, weight).tolist()
        one, two = x.sum(), (x * x).sum()
        with cr.no_grad():
            assert cr.grad([one, two], x).tolist() == [3, -3, 7]
        assert cr.grad([one, two], one).item() == 1
        y = x * x  # an output that another one is computed from, and one that comes twice
        assert (
            cr.grad([y.sum(), y, y, x], x, [None, weight, weight, weight]).tolist()
            == (2 * values + 4 * values * weight + weight).tolist()
        )
        assert cr.grad([y.sum(), y], y, [None, weight]).tolist() == (1 + weight).tolist()
        second = cr.grad(cr.grad([y.sum(), x * y], x, [None, weight]).sum(), x)
        np.testing.assert_allclose(second.numpy(), 2 + 6 * values * weight, rtol=1e-14)

    def test_a_sequence_of_outputs_computes_nothing_of_them(self):
        """The product with grad_output overflowed, and was lost time."""
        x = cr.placeholder((3,))
        found = cr.grad([x * 2.0, x * 3.0], x, [cr.ones(3), cr.ones(3)])
        nodes = cr.graph.ancestors(found)
        assert all(node is not x for node in nodes)
        assert "sum" not in {node.operation.name for node in nodes if node.operation is not None}
        big = cr.tensor([3e38], requires_grad=True)
        assert cr.grad([big * 1.0, big * 1.0], big, [cr.full(1, 2.0), cr.ones(1)]).tolist() == [3.0]

    def test_outputs_that_do_not_fit(self):
        x = leaf(np.ones(2))
        for outputs, grads, error, message in (
            ([], None, ValueError, "at least one output"),
            ([x.sum(), x.sum()], [1.0], ValueError, "got 2 and 1"),
            ([x.sum(), x.sum()], 1.0, ValueError, "got 2 and 1"),
            ([x, x.sum()], None, cr.ShapeError, "needs grad_output"),
            ([x.sum(), 3.0], None, TypeError, "only Tensors can be differentiated, not float"),
        ):
            with pytest.raises(error, match=message):
                cr.grad(outputs, x, grads)

    def test_the_keywords_of_pytorch(self):
        x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
        y = x**3 * w
        y.backward(gradient=cr.ones(2), retain_graph=True, inputs=[x])
        assert x.grad.tolist() == [9.0, 48.0] and w.grad is None
        y.sum().backward(inputs=w)
        assert x.grad.tolist() == [9.0, 48.0] and w.grad.tolist() == [1.0, 8.0]
        with pytest.raises(TypeError, match="grad_output"):
            y.backward(cr.ones(2), gradient=cr.ones(2))

    def test_a_loss_without_derivative_leaves_a_gradient_its_graph(self):
        x = cr.Parameter([2.0, 3.0])
        (x**3.0).sum().backward(create_graph=True)
        cr.floor(x).sum().backward()
        (second,) = cr.grad(x.grad.sum(), [x])
        assert second.tolist() == [12.0, 18.0]

    def test_create_graph(self):
        x = leaf([1.0, 2.0])
        (x**3).sum().backward(create_graph=True)
        squares = (x.grad**2).sum()
        x.grad = None
        squares.backward()
        assert x.grad.tolist() == [36.0, 288.0]  # d(9 x^4)/dx

    def test_inputs_are_leaves(self):
        x = leaf([1.0, 2.0])
        y = x * 2
        for wrong in (y, [cr.ones(2)]):
            with pytest.raises(ValueError, match=r"cr\.grad\(loss, x\) takes any"):
                (y * y).sum().backward(inputs=wrong)
        with pytest.raises(ValueError, match="there are none"):
            y.sum().backward(inputs=[])
        assert x.grad is None

    def test_nothing_to_fill_is_an_error(self):
        with pytest.raises(ValueError, match=r"requires_grad=True.*no_grad"):
            cr.tensor(1.0).backward()

    def test_it_is_refused_during_capture(self):
        p = cr.Parameter([1.0])
        with pytest.raises(cr.SymbolicError, match=r"use cr\.grad there"):
            cr.capture(lambda: (p * p).sum().backward())


class TestGrad:
    def test_structures(self):
        a, b = leaf(2.0), leaf(3.0)
        z = a * b
        assert cr.grad(z, a).item() == 3
        assert [g.item() for g in cr.grad(z, (a, b))] == [3, 2]
        found = cr.grad(z, {"b": b, "a": a})
        assert {k: g.item() for k, g in found.items()} == {"b": 2, "a": 3}

    def test_by_itself_and_by_a_node_between(self):
        x = leaf(2.0)
        h = x * x
        z = h * 3.0
        assert cr.grad(z, z).item() == 1
        assert cr.grad(z, h).item() == 3

    def test_the_keywords_of_pytorch(self):
        x = leaf([1.0, 2.0])
        found = cr.grad(
            outputs=x * 2, inputs=[x, leaf()], grad_outputs=cr.ones(2), retain_graph=True,
            create_graph=True, allow_unused=True, only_inputs=True, materialize_grads=True,
        )  # fmt: skip
        assert [gradient.tolist() for gradient in found] == [[2.0, 2.0], 0.0]
        for keyword, remedy in [
            ({"only_inputs": False}, "backward"),
            ({"materialize_grads": False}, "zeros"),
            ({"is_grads_batched": True}, "jacobian"),
        ]:
            with pytest.raises(TypeError, match=remedy):
                cr.grad(x.sum(), x, **keyword)

    def test_zeros_for_what_z_does_not_depend_on(self):
        x, other = leaf(), leaf([1.0, 2.0])
        found = cr.grad(x * 2.0, other)
        assert found.tolist() == [0.0, 0.0]
        assert found.dtype == other.dtype

    def test_what_does_not_require_a_gradient_is_an_error(self):
        x, constant = leaf(), cr.tensor([1.0])
        with pytest.raises(ValueError, match="does not require a gradient"):
            cr.grad(x * constant.sum(), constant)
        with pytest.raises(ValueError, match="does not require a gradient"):
            cr.grad(x * 2.0, cr.Buffer([1.0]))

    def test_shapes_of_grad_output(self):
        x = leaf([1.0, 2.0])
        with pytest.raises(cr.ShapeError, match=r"shape \(2,\) needs grad_output.*Sum the Tensor"):
            cr.grad(x * 2.0, x)
        with pytest.raises(
            cr.ShapeError, match=r"grad_output has shape \(3,\); the Tensor.*\(2,\)"
        ):
            cr.grad(x * 2.0, x, np.ones(3))
        with pytest.raises(cr.ShapeError, match=r"needs grad_output"):
            (x * 2.0).backward()

    @pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
    def test_of_one_element_it_is_1(self, shape):
        x = leaf(np.full(shape, 3.0))
        np.testing.assert_array_equal(cr.grad(x * x, x).numpy(), np.full(shape, 6.0), strict=True)
        (x * x).backward()
        np.testing.assert_array_equal(x.grad.numpy(), np.full(shape, 6.0), strict=True)

    def test_dtypes_of_grad_output(self):
        x = cr.tensor([1.0, 2.0], requires_grad=True)
        for weights in (np.array([1.0, 2.0]), cr.tensor(np.array([1.0, 2.0])), [1, 2]):
            found = cr.grad(x * 2.0, x, weights)
            assert found.dtype == np.float32
            assert found.tolist() == [2.0, 4.0]

    def test_only_floats_have_gradients(self):
        x = leaf(1.5)
        with pytest.raises(cr.DTypeError, match="only floating"):
            cr.grad(x > 1, x)

    def test_no_gradient_flows_through_integers(self):
        x = leaf(1.5)
        y = x.astype("int64").astype("float64") * x
        assert cr.grad(y, x).item() == 1.0

    def test_symbolic(self):
        x = cr.placeholder((3,))
        gradient = cr.grad((x * x).sum(), x)
        assert gradient.is_symbolic
        assert gradient.shape == (3,)
        assert cr.grad(cr.placeholder(()), x).tolist() == [0, 0, 0]

    def test_a_gradient_can_be_differentiated_by_its_grad_output(self):
        x, u = leaf([1.0, 2.0]), leaf([5.0, 7.0])
        gradient = cr.grad(x * x * x, x, u)
        # d(sum of 3 x^2 u)/du = 3 x^2
        assert cr.grad(gradient.sum(), u).tolist() == [3.0, 12.0]


def test_gradients_do_not_depend_on_the_order_of_building():
    x = leaf(0.3)
    left, right = cr.exp(x), cr.sin(x)
    a = cr.grad(left * right, x).item()
    right, left = cr.sin(x), cr.exp(x)
    assert cr.grad(left * right, x).item() == pytest.approx(a, rel=1e-15)
