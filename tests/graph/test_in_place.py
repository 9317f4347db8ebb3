"""In-place operators and PyTorch's in-place methods: a State takes the result, others refuse."""

import copy
import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

OPERATIONS = {
    "+=": 3.0,
    "-=": 3.0,
    "*=": 3.0,
    "/=": 4.0,
    "**=": 2.0,
}


def apply(operator, target, value):
    names = {"x": target, "value": value}
    exec(f"x {operator} value", names)
    return names["x"]


@pytest.mark.parametrize("operator", OPERATIONS)
@pytest.mark.parametrize("kind", [cr.Parameter, cr.Buffer])
def test_a_state_takes_the_result(operator, kind):
    start = np.array([1.5, 2.0], np.float32)
    w = kind(start)
    with cr.no_grad():
        found = apply(operator, w, OPERATIONS[operator])
    assert found is w
    np.testing.assert_allclose(w, apply(operator, start.copy(), OPERATIONS[operator]))


@pytest.mark.parametrize("operator", [*OPERATIONS, "@="])
def test_a_leaf_that_requires_a_gradient_is_not_lost(operator):
    value = np.eye(2, dtype=np.float32) if operator == "@=" else OPERATIONS[operator]
    parameter = cr.Parameter([1.5, 2.0])
    with pytest.raises(RuntimeError, match="no_grad"):
        apply(operator, parameter, value)
    assert parameter.tolist() == [1.5, 2.0]
    leaf = cr.tensor([1.5, 2.0], requires_grad=True)
    for context in (cr.no_grad(), cr.use_generator(cr.Generator(0))):
        with context, pytest.raises(RuntimeError, match="assign"):
            apply(operator, leaf, value)
    assert leaf.tolist() == [1.5, 2.0]


@pytest.mark.parametrize("operator", ["//=", "%=", "&=", "|=", "^="])
def test_whole_numbers(operator):
    w = cr.Buffer([5, 6])
    try:
        assert apply(operator, w, 3) is w
    except TypeError:  # where there is no such operator
        assert w.tolist() == [5, 6]
    else:
        assert w.tolist() == apply(operator, np.array([5, 6]), 3).tolist()


def test_the_loop_that_everyone_writes_trains():
    w, b = cr.Parameter([0.0, 0.0]), cr.Parameter(0.0)
    x, y = np.array([[1.0, 0.0], [0.0, 2.0]], np.float32), np.array([1.0, -1.0], np.float32)
    for _ in range(300):
        loss = ((x @ w + b - y) ** 2).mean()
        loss.backward()
        with cr.no_grad():
            for p in (w, b):
                p -= 0.2 * p.grad
                p.grad = None
    assert loss.item() < 1e-6


def test_other_tensors_are_bound_anew_and_keep_the_gradient():
    w = cr.Parameter(2.0)
    total = before = cr.tensor(1.0)
    total += w * w
    assert before.item() == 1.0
    assert cr.grad(total, w).item() == 4.0
    x = cr.placeholder((2,))
    x += 1.0
    assert x.is_symbolic


def test_in_a_captured_graph_they_are_updates():
    w = cr.Parameter([1.0, 2.0])

    def step(x):
        loss = (w * x).sum()
        gradient = cr.grad(loss, w)
        with cr.no_grad():
            p = w
            p -= 0.5 * gradient
            p.mul_(2.0)
        return loss

    graph = cr.capture(step, cr.placeholder((2,)))
    assert w.tolist() == [1.0, 2.0]
    graph(np.array([2.0, 4.0], np.float32))
    assert w.tolist() == [0.0, 0.0]


def test_nodes_built_before_keep_their_value():
    w = cr.Parameter(3.0)
    y = w * w
    with cr.no_grad():
        w += 1.0
    assert cr.grad(y, w).item() == 6.0


def test_results_that_do_not_fit_are_refused():
    b, i = cr.Buffer([1.0, 2.0]), cr.Buffer([1, 2])
    with pytest.raises(cr.ShapeError):
        b += np.ones((3, 2), np.float32)
    with pytest.raises(cr.DTypeError):
        i += 0.5
    b += cr.tensor([1.0, 1.0], dtype="float64")
    assert b.dtype == np.float32 and b.tolist() == [2.0, 3.0]
    assert i.tolist() == [1, 2]


METHODS = {
    "add_": (lambda x: x.add_(2.0, alpha=3), [7.0, 8.0], {"y": 2.0, "alpha": 3}),
    "sub_": (lambda x: x.sub_([1.0, 1.0], alpha=2), [-1.0, 0.0], {"y": 1.0, "alpha": 2}),
    "mul_": (lambda x: x.mul_(3.0), [3.0, 6.0], {"y": 3.0}),
    "div_": (lambda x: x.div_(2.0), [0.5, 1.0], {"y": 2.0}),
    "copy_": (
        lambda x: x.copy_(5, non_blocking=True),
        [5.0, 5.0],
        {"source": cr.tensor([5.0, 5.0])},
    ),
    "fill_": (lambda x: x.fill_(7), [7.0, 7.0], {"value": 7}),
    "zero_": (lambda x: x.zero_(), [0.0, 0.0], {}),
    "clamp_": (lambda x: x.clamp_(min=1.5, max=1.75), [1.5, 1.75], {"min": 1.5, "max": 1.75}),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_pytorch(name):
    method, expected, operands = METHODS[name]
    w = cr.Parameter([1.0, 2.0])
    with pytest.raises(RuntimeError, match="no_grad"):
        method(w)
    with cr.no_grad():
        assert method(w) is w
    assert w.tolist() == expected
    plain = cr.tensor([1.0, 2.0])
    with pytest.raises(TypeError, match=rf"^{name} .* immutable: write x = ") as refused:
        method(plain)
    formula = re.search(r"write x = (.*?);", str(refused.value))[1]
    assert eval(formula, {"x": plain, "chainrule": cr, **operands}).tolist() == expected


def test_bounds_beyond_all_numbers_of_the_dtype_are_none():
    b = cr.Buffer([1, 2, 3], dtype="uint8")
    b.clamp_(-5, 300)
    assert b.tolist() == np.clip(np.arange(1, 4), -5, 300).tolist()


def test_data_and_grad_as_pytorch_has_them():
    w = cr.Parameter([1.0, 2.0])
    (w * w).sum().backward()
    w.data -= 0.5 * w.grad.data
    assert w.tolist() == [0.0, 0.0] and not w.data.requires_grad
    w.data = [3.0, 4.0]
    assert w.tolist() == [3.0, 4.0]
    w.grad *= 0.5
    assert w.grad.tolist() == [1.0, 2.0]
    with pytest.raises(TypeError, match="zero_grad"):
        w.grad.zero_()
    w.data.copy_(w * 2)
    assert w.tolist() == [6.0, 8.0]
    del w.grad
    assert w.grad is None
    with pytest.raises(TypeError, match=r"^x\.data = v changes values, but a Tensor is immutable"):
        cr.tensor([1.0]).data = [2.0]


ITEMS = {
    "a number": lambda lib, w: w.__setitem__((0, 0), 100),
    "a slice": lambda lib, w: w.__setitem__(slice(None), w - 0.5),
    "a row": lambda lib, w: w.__setitem__(-1, lib.tensor([7.0, 8.0, 9.0])),
    "a mask": lambda lib, w: w.__setitem__(w > 2, 0),
    "columns": lambda lib, w: w.__setitem__((slice(None), [0, 2]), lib.ones((2, 2))),
    "pairs": lambda lib, w: w.__setitem__((lib.tensor([0, 1]), lib.tensor([1, 2])), 5),
}


@pytest.mark.parametrize("name", ITEMS)
def test_items_are_set_as_pytorch_sets_them(name):
    torch = pytest.importorskip("torch")
    start = np.arange(6, dtype="float32").reshape(2, 3)
    expected = torch.tensor(start)
    ITEMS[name](torch, expected)
    w, by_data = cr.Parameter(start), cr.Parameter(start)
    loss = (w * w).sum()
    with pytest.raises(RuntimeError, match="no_grad"):
        ITEMS[name](cr, w)
    with cr.no_grad():
        ITEMS[name](cr, w)
    ITEMS[name](cr, by_data.data)
    assert w.tolist() == by_data.tolist() == expected.tolist()
    assert w.dtype == np.float32 and w.is_leaf and w.requires_grad
    loss.backward()
    assert w.grad.tolist() == (2 * start).tolist()  # of the values that the loss saw


def test_items_that_do_not_fit_are_refused():
    b, narrow = cr.Buffer([1, 2, 3]), cr.Buffer([1, 2, 3], dtype="uint8")
    with pytest.raises(cr.DTypeError, match="int64"):
        b[0] = 2.5
    with pytest.raises(IndexError):
        b[3] = 1
    with pytest.raises(ValueError, match="broadcast"):
        b[:2] = [1, 2, 3]
    with pytest.raises(ValueError, match="masked"):
        b[:] = np.ma.masked_less([5, 6, 7], 6)
    narrow[0] = 255
    assert b.tolist() == [1, 2, 3] and narrow.tolist() == [255, 2, 3]
    with pytest.raises(cr.SymbolicError, match=r"captured.*x.assign\(chainrule.put_along_axis"):
        cr.capture(lambda: b.__setitem__(0, 1))
    for given, error in (([2.5, 1.0, 1.0], cr.DTypeError), ([1, 2], ValueError)):
        with pytest.raises(error):
            cr.compile(lambda v: b.__setitem__(slice(None), v))(cr.tensor(given))
    assert b.tolist() == [1, 2, 3]


@pytest.mark.parametrize("index", [slice(None), Ellipsis])
def test_all_elements_are_set_in_a_compiled_function(index):
    """``velocity[:] = momentum * velocity + grad``, as books write optimisers."""
    eager, compiled = cr.Buffer([1.0, 2.0]), cr.Buffer([1.0, 2.0])

    def step(velocity, g):
        velocity[index] = 0.5 * velocity + g

    run = cr.compile(lambda g: step(compiled, g))
    for g in ([1.0, -1.0], [3.0, 2.0]):
        step(eager, cr.tensor(g))
        run(cr.tensor(g))
    assert compiled.tolist() == eager.tolist() == [3.75, 2.0]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", [cr.Parameter, cr.Buffer])
def test_methods_of_data_change_its_state(name, kind):
    """``layer.bias.data.fill_(0.01)``, which PyTorch's scripts write outside of no_grad."""
    method, expected, _ = METHODS[name]
    w = kind([1.0, 2.0])
    before = w.data
    held = before * w
    assert method(before) is before
    assert w.tolist() == before.tolist() == expected
    assert held.tolist() == [1.0, 4.0]
    if kind is cr.Parameter:
        assert cr.grad(held.sum(), w).tolist() == [1.0, 2.0], "the node keeps the value it saw"


@pytest.mark.parametrize("operator", OPERATIONS)
def test_operators_on_a_name_of_data_change_its_state(operator):
    w = cr.Parameter([1.5, 2.0])
    found = apply(operator, w.data, OPERATIONS[operator])
    expected = apply(operator, np.float32([1.5, 2.0]), OPERATIONS[operator])
    np.testing.assert_allclose(w, expected)
    np.testing.assert_allclose(found, expected)
    with pytest.raises(cr.ShapeError, match="@= gives"):
        apply("@=", w.data, np.ones(2, np.float32))


def test_data_is_a_snapshot_and_a_leaf_of_its_own():
    w = cr.Parameter([1.0, 2.0])
    old = w.data
    w.data += 1.0
    assert (w - old).tolist() == [1.0, 1.0] and repr(old) == "tensor([1., 2.])"
    old.mul_(2.0)  # of what the State holds now
    assert w.tolist() == old.tolist() == [4.0, 6.0]
    leaf = w.data.requires_grad_()
    (leaf * leaf).sum().backward()
    assert leaf.grad.tolist() == [8.0, 12.0] and w.grad is None
    with pytest.raises(RuntimeError, match="leaf that requires a gradient"):
        leaf += 1.0
    assert type(copy.deepcopy(w.data)) is cr.Tensor


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_data_in_a_compiled_function(backend):
    """The soft update of a target network."""
    target, online = cr.Parameter([1.0, 2.0]), cr.Parameter([3.0, 6.0])

    @cr.compile(backend=backend)
    def step(x):
        x += 1.0
        target.data.mul_(0.5).add_(online.data, alpha=0.5)
        online.data.copy_(online.data + target.data)
        return x, target.data

    for wanted, result in (([2.0, 4.0], [5.0, 10.0]), ([3.5, 7.0], [8.5, 17.0])):
        assert [found.tolist() for found in step(np.zeros(2, "f"))] == [[1.0, 1.0], wanted]
        assert (target.tolist(), online.tolist()) == (wanted, result)


def test_a_part_is_no_view_and_says_how_it_is_written():
    bias = nn.LSTM(2, 2).bias_hh_l0
    with pytest.raises(TypeError, match=r"a part of it by p\.data\[i\] = v"):
        bias.data[2:4].fill_(1.0)
    bias.data[2:4] = 1.0
    assert bias.tolist()[2:4] == [1.0, 1.0] and 1.0 not in bias.tolist()[:2]


def test_normal_and_uniform():
    w = cr.Buffer(np.zeros(4000))
    cr.manual_seed(0)
    assert abs(w.normal_(3.0, 0.5).numpy().mean() - 3) < 0.05 and abs(w.numpy().std() - 0.5) < 0.05
    w.data.uniform_(-1.0, 3.0)
    assert -1 <= w.numpy().min() < -0.95 and 2.95 < w.numpy().max() < 3
    with pytest.raises(ValueError, match="std"):
        w.normal_(0.0, -1.0)
    for draw, new in [("uniform_", r"uniform\(low, high, x.shape\)"), ("normal_", "randn_like")]:
        with pytest.raises(TypeError, match=rf"{draw} .* immutable: write x = .*chainrule\.{new}"):
            getattr(cr.zeros(2), draw)()


def test_requires_grad_():
    w, x = cr.Parameter([1.0, 2.0]), cr.ones(2)
    assert w.requires_grad_(False) is w and not w.requires_grad
    assert x.requires_grad_() is x
    (w * x).sum().backward()
    assert x.grad.tolist() == [1.0, 2.0] and w.grad is None
    y = x * 2
    assert y.requires_grad_() is y
    with pytest.raises(RuntimeError, match="detach"):
        y.requires_grad_(False)
    with pytest.raises(cr.DTypeError, match="floating"):
        cr.tensor([1, 2]).requires_grad_()


def test_elements_of_a_computed_tensor_are_not_written():
    w = cr.Parameter([1.0, 2.0])
    for x in (cr.tensor([1.0, 2.0]), w * 1, w.detach()):
        with pytest.raises(TypeError, match=r"where\(mask, v, x\), put and put_along_axis"):
            x[0] = 5.0
        assert x.tolist() == w.tolist() == [1.0, 2.0]
    (w * w).sum().backward()
    with pytest.raises(TypeError, match=r"A gradient is replaced, as by p.grad = 0.5 \* p.grad"):
        w.grad[:] *= 0.5  # as textbooks clip
    w.grad = 0.5 * w.grad
    assert w.grad.tolist() == [1.0, 2.0]


def test_a_product_of_another_shape_is_not_broadcast():
    w = cr.Parameter([1.0, 2.0])
    with cr.no_grad(), pytest.raises(cr.ShapeError, match=r"\(2,\).*@= gives \(\)"):
        w @= np.ones(2, np.float32)
    with cr.no_grad():
        w @= np.float32([[0, 1], [1, 0]])
    assert w.tolist() == [2.0, 1.0]


@pytest.mark.parametrize("make", [cr.Parameter, lambda x: cr.tensor(x, requires_grad=True)])
def test_a_gradient_that_is_set_fits_its_leaf(make):
    w = make([1.0, 2.0])
    w.grad = np.array([0.5, 1.0])
    assert isinstance(w.grad, cr.Tensor) and w.grad.dtype == w.dtype == np.float32
    w.grad = [1.0, 2.0]
    (w * 3.0).sum().backward()
    assert w.grad.tolist() == [4.0, 5.0]
    for wrong in (np.ones(3), 1.0, cr.ones((2, 1))):
        with pytest.raises(cr.ShapeError, match=r"shape \(2,\), and so has its gradient"):
            w.grad = wrong
    with pytest.raises(cr.DTypeError, match="astype"):
        w.grad = cr.ones(2, dtype="float64")
    assert w.grad.tolist() == [4.0, 5.0]


def _set_data(w, value):
    w.data = value


@pytest.mark.parametrize("take", [cr.Parameter.assign, cr.Parameter.copy_, _set_data])
def test_an_array_that_is_written_into_later_is_copied(take):
    w, array = cr.Parameter([1.0, 2.0]), np.array([3.0, 4.0], np.float32)
    with cr.no_grad():
        take(w, array)
    array[...] = 0
    assert w.tolist() == [3.0, 4.0]
