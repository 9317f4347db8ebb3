"""State: leaves whose array is replaced, never written into."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.execute.reference import Interpreter


def test_assign_never_writes_into_the_array():
    p = cr.Parameter([1.0, 2.0])
    before, array = p.numpy(), p.value
    p.assign(p + 1.0)
    assert before.tolist() == array.tolist() == [1.0, 2.0]
    assert p.tolist() == [2.0, 3.0]


def test_nodes_built_earlier_keep_the_value_they_saw():
    p = cr.Parameter([3.0])
    loss1 = (p * p).sum()
    p.assign([10.0])
    loss2 = (p * p).sum()
    loss1.backward()
    assert p.grad.tolist() == [6.0]
    loss2.backward()
    assert p.grad.tolist() == [26.0]
    assert (loss1.item(), loss2.item()) == (9.0, 100.0)


def test_grad_by_a_parameter_is_the_sum_over_all_values_that_the_graph_saw():
    p = cr.Parameter(3.0)
    a = p * p
    p.assign(10.0)
    assert cr.grad(a + p * p, p).item() == 26.0


def test_a_state_does_not_share_the_memory_of_what_it_is_given():
    data = np.ones(2, "float32")
    p, q = cr.Parameter(data), cr.Parameter([0.0, 0.0])
    q.assign(data)
    data[:] = 7
    assert p.tolist() == q.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("capturing", [False, True])
def test_a_wrong_shape_or_dtype_is_refused(capturing):
    p = cr.Parameter([1.0, 2.0], name="w")

    def wrong():
        with pytest.raises(cr.ShapeError, match=r"Parameter w has shape \(2,\); got \(3,\)"):
            p.assign(np.ones(3, "float32"))
        with pytest.raises(cr.DTypeError, match="Parameter w has dtype float32; got float64"):
            p.assign(np.ones(2))
        with pytest.raises(cr.ShapeError):
            p.assign(p.sum())
        return p.sum()

    if capturing:
        assert cr.capture(wrong).updates == {}
    else:
        wrong()
    assert p.tolist() == [1.0, 2.0]


def test_python_numbers_take_the_dtype_of_the_state():
    rate = cr.HyperParameter(0.1)
    assert rate.dtype == np.float64
    rate.assign(0.01)
    assert rate.item() == 0.01
    p = cr.Parameter([0.0], "float64")
    p.assign([0.1])
    assert p.item() == 0.1


def test_a_state_can_not_hold_a_symbolic_tensor():
    p = cr.Parameter([1.0])
    with pytest.raises(cr.SymbolicError, match="no value yet"):
        p.assign(cr.placeholder((1,)))


def test_parameters_are_floating():
    with pytest.raises(cr.DTypeError, match="a Parameter is floating, not int64; pass dtype"):
        cr.Parameter([1, 2])
    assert cr.Parameter([1, 2], "float32").requires_grad
    assert not cr.Parameter([1.0], requires_grad=False).requires_grad
    assert cr.Buffer([1, 2]).dtype == np.int64


def test_requires_grad_can_be_switched():
    p = cr.Parameter([2.0])
    p.requires_grad = False
    assert not (p * 2.0).requires_grad
    p.requires_grad = True
    assert (p * 2.0).requires_grad


@pytest.mark.parametrize("way", [lambda function: function(), lambda f: cr.compile(f)()])
def test_a_use_while_frozen_is_constant(way):
    """As in PyTorch, by `backward` as by `grad` and `backprop`."""
    p = cr.Parameter([2.0, 3.0])

    def loss():
        y = p * 1.0
        p.requires_grad_(False)
        z = y * p
        p.requires_grad_(True)
        return z.sum()

    assert way(lambda: cr.grad(loss(), p)).tolist() == [2.0, 3.0]
    assert cr.backprop(loss(), [p])[p].tolist() == [2.0, 3.0]
    loss().backward()
    assert p.grad.tolist() == [2.0, 3.0]


def test_a_state_is_read_in_every_position():
    p = cr.Parameter([[1.0, 2.0]])
    for y in (p + 1.0, 1.0 + p, p @ np.ones((2, 1), "f4"), p[0], p.sum(), cr.concatenate([p, p])):
        assert y.requires_grad
        assert all(not i.is_state for i in y.inputs)
        assert cr.grad(y, p, np.ones(y.shape)).shape == p.shape


class TestDuringCapture:
    def test_an_assignment_is_an_update_and_later_reads_see_it(self):
        p = cr.Parameter([1.0], name="p")

        def step(x):
            before = p * 10.0
            p.assign(p + x)
            between = p * 10.0
            p.assign(p + x)
            return before, between, p

        graph = cr.capture(step, cr.placeholder((1,)))
        assert p.tolist() == [1.0]
        assert list(graph.reads) == list(graph.updates) == [p]
        run = Interpreter(graph)
        assert [v.item() for v in run(np.array([2.0], "f4"))] == [10.0, 30.0, 5.0]
        assert p.tolist() == [5.0]
        assert [v.item() for v in run(np.array([1.0], "f4"))] == [50.0, 60.0, 7.0]

    def test_gradients_do_not_pass_through_an_assignment_as_in_the_eager_loop(self):
        def two_steps(p, x):
            losses = []
            for _ in range(2):
                loss = ((p * p) * x).sum()
                losses.append(loss)
                p.assign(p - 0.1 * cr.grad(loss, p))
            return losses

        x = np.array([1.0, 2.0])
        eager, captured = (cr.Parameter([1.0, -1.0], "float64") for _ in range(2))
        expected = two_steps(eager, x)
        found = Interpreter(cr.capture(lambda x: two_steps(captured, x), x))(x)
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_array_equal(a.numpy(), b)
        np.testing.assert_array_equal(eager.numpy(), captured.numpy())
        # p -> p (1 - 0.2 x), twice
        np.testing.assert_allclose(eager.numpy(), [0.64, -0.36], rtol=1e-15)

    @pytest.mark.parametrize("ask", ["numpy", "item", "tolist"])
    def test_it_has_no_value(self, ask):
        p = cr.Parameter([1.0], name="w")
        with pytest.raises(cr.SymbolicError, match="Parameter w has no value while a graph"):
            cr.capture(lambda: getattr(p, ask)())
        with pytest.raises(cr.SymbolicError):
            cr.capture(lambda: p if p > 0 else -p)

    def test_constants_stay_constants(self):
        graph = cr.capture(lambda x: x * (cr.tensor(2.0) + 1.0), cr.placeholder(()))
        assert [n.operation.name for n in graph.nodes if n.operation is not None] == ["multiply"]
        assert Interpreter(graph)(np.float32(2)) == 6


def test_the_second_argument_of_a_parameter_may_be_pytorchs():
    assert not cr.Parameter([1.0], False).requires_grad
    assert cr.Parameter([1.0], True).dtype == np.float32
    assert cr.Parameter([1.0], "float64").dtype == np.float64
