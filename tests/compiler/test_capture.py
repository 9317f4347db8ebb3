"""Capture: one graph of outputs and updates, and nothing left behind."""

from collections import namedtuple

import numpy as np
import pytest

import chainrule as cr

F4 = np.dtype("float32")


def run(function, *arrays):
    return cr.capture(function, *arrays)(*arrays)


def test_printing():
    w = cr.Parameter([[1.0], [2.0]], name="w")
    counter = cr.Buffer(0, name="counter")

    def step(x):
        counter.assign(counter + 1)
        z = x @ w
        z.path = "net.0"
        return {"loss": (z * 2.0).sum(axis=0)}

    assert str(cr.capture(step, cr.placeholder((3, 2), name="x"))).splitlines() == [
        "%0: float32 3x2 = input x",
        "%1: int64 scalar = constant 1",
        "%2: int64 scalar = state counter",
        "%3: int64 scalar = add(%2, %1)",
        "%4: float32 2x1 = state w",
        "%5: float32 3x1 = matmul(%0, %4)  # net.0",
        "%6: float32 3x1 = constant 2.0",
        "%7: float32 3x1 = multiply(%5, %6)",
        "%8: float32 1 = sum(%7, axes=(0,), keepdims=False)",
        "output %8",
        "update counter <- %3",
    ]


def test_nested_structures():
    Pair = namedtuple("Pair", ["first", "second"])

    def function(pair, options):
        return {"sum": pair.first + pair.second, "rest": [options["scale"], (None, pair.first)]}

    a, b = np.float32([1, 2]), np.float32([10, 20])
    found = run(function, Pair(a, b), {"scale": np.float32(3)})
    assert found["sum"].tolist() == [11, 22]
    assert found["rest"][0] == 3
    assert found["rest"][1][0] is None
    assert found["rest"][1][1].tolist() == [1, 2]


def test_the_order_of_a_dicts_keys_does_not_matter():
    graph = cr.capture(lambda d: d["a"] - d["b"], {"a": np.float32(0), "b": np.float32(0)})
    assert graph({"a": np.float32(5), "b": np.float32(2)}) == 3
    assert graph({"b": np.float32(2), "a": np.float32(5)}) == 3


def test_shapes_come_from_arrays_placeholders_and_tensors_alike():
    for argument in (
        np.zeros((2, 3), "f4"),
        cr.placeholder((2, 3)),
        cr.tensor(np.zeros((2, 3), "f4")),
    ):
        graph = cr.capture(cr.tanh, argument)
        assert [(i.shape, i.dtype) for i in graph.inputs] == [((2, 3), F4)]


def test_a_function_that_ignores_an_input():
    graph = cr.capture(lambda x, y: y * 2.0, cr.placeholder((2,)), cr.placeholder(()))
    assert len(graph.inputs) == 2
    assert graph.inputs[0] not in set(graph.nodes)
    assert graph(np.zeros(2, "f4"), np.float32(4)) == 8


def test_an_output_may_be_a_constant_an_input_a_state_a_number_or_nothing():
    p = cr.Parameter([7.0])
    q = cr.Parameter([1.0])

    def function(x):
        q.assign(q + x)
        return cr.tensor([1.0, 2.0]), x, p, q, 2.5, None, np.arange(3)

    found = run(function, np.float32([4]))
    assert [None if f is None else f.tolist() for f in found] == (
        [[1, 2], [4], [7], [5], 2.5, None, [0, 1, 2]]
    )


def test_the_same_output_twice():
    found = run(lambda x: (y := x + 1.0, y), np.float32(1))
    assert found == (2, 2)


def test_a_state_is_read_once_and_updates_keep_their_order():
    a, b, c = (cr.Buffer([float(i)], name=n) for i, n in enumerate("abc"))

    def step():
        c.assign(a + b)
        a.assign(b + b)
        return a + a

    graph = cr.capture(step)
    assert list(graph.reads) == [a, b]
    assert list(graph.updates) == [c, a]
    assert sum(n.state is not None for n in graph.nodes) == 2
    assert graph().tolist() == [4]
    assert [s.tolist() for s in (a, b, c)] == [[2], [1], [1]]


def test_states_swap_their_values_at_once():
    a, b = cr.Buffer([1.0]), cr.Buffer([2.0])

    def swap():
        old = a + 0.0
        a.assign(b)
        b.assign(old)

    graph = cr.capture(swap)
    graph()
    assert (a.tolist(), b.tolist()) == ([2], [1])
    graph()
    assert (a.tolist(), b.tolist()) == ([1], [2])


def test_an_assignment_of_a_constant_or_an_input_alone():
    a, b = cr.Buffer([1.0]), cr.Buffer([1.0])

    def step(x):
        a.assign(x)
        b.assign(cr.tensor([9.0]))

    data = np.float32([5])
    assert run(step, data) is None
    data[:] = 0  # the caller's array is not the state's
    assert (a.tolist(), b.tolist()) == ([5], [9])


def test_nothing_is_changed_by_a_capture():
    p = cr.Parameter([1.0])
    before = p.value
    cr.capture(lambda: p.assign(p * 2.0))
    assert p.value is before
    assert p.grad is None
    assert (p * 2.0).tolist() == [2]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_inside_restores_the_surroundings(error):
    p = cr.Parameter([1.0])

    def function(x):
        p.assign(p + x)
        raise error

    with pytest.raises(error):
        cr.capture(function, cr.placeholder((1,)))
    assert (p + 1.0).tolist() == [2]
    assert cr.capture(lambda x: p + x, cr.placeholder((1,))).updates == {}


def test_captures_do_not_nest():
    p = cr.Parameter([1.0])

    def outer(x):
        with pytest.raises(cr.SymbolicError, match="captures do not nest"):
            cr.capture(lambda: p)
        return p + x

    assert run(outer, np.float32([2])).tolist() == [3]


def test_a_tensor_of_another_capture_is_refused():
    kept = []
    cr.capture(kept.append, cr.placeholder((2,), name="elsewhere"))
    with pytest.raises(cr.SymbolicError, match=r"name='elsewhere'.*pass it as an argument"):
        cr.capture(lambda x: x + kept[0], cr.placeholder((2,)))
    p = cr.Parameter([1.0], name="p")
    cr.capture(lambda: kept.append(p * 2.0))
    with pytest.raises(cr.SymbolicError, match=r"name='p'"):
        cr.capture(lambda: kept[1] + 1.0)


def test_only_what_outputs_need_is_in_the_graph():
    def function(x):
        cr.exp(x)
        return cr.tanh(x)

    graph = cr.capture(function, cr.placeholder(()))
    assert [n.operation.name for n in graph.nodes if n.operation] == ["tanh"]


def test_nodes_come_after_their_inputs():
    def function(x):
        loss = (cr.tanh(x) * x).sum()
        return cr.grad(loss, x)

    seen = set()
    for node in cr.capture(function, cr.placeholder((3,))).nodes:
        assert seen.issuperset(node.inputs)
        seen.add(node)


def test_errors_come_with_shapes_at_capture():
    with pytest.raises(cr.ShapeError, match=r"\(2, 3\).*\(2, 3\)"):
        cr.capture(lambda x: x @ x, cr.placeholder((2, 3)))
    with pytest.raises(TypeError, match="what is captured is a function of Tensors, got"):
        cr.capture(cr.placeholder((2, 3)) * 2.0)


def test_eager_nodes_of_before_are_constants():
    p = cr.Parameter([3.0])
    doubled = p * 2.0
    graph = cr.capture(lambda x: x * doubled, cr.placeholder((1,)))
    p.assign([100.0])
    assert graph(np.float32([1])).tolist() == [6]
    assert graph.reads == {}
    assert "constant 6.0" in str(graph) and "constant 6.0" in graph._repr_html_()


def test_a_capture_works_in_another_thread_meanwhile():
    from threading import Thread

    p = cr.Parameter([1.0])
    eager = []

    def function(x):
        thread = Thread(target=lambda: eager.append((p * 2.0).tolist()))
        thread.start()
        thread.join()
        return p * x

    assert run(function, np.float32([5])).tolist() == [5]
    assert eager == [[2]]
