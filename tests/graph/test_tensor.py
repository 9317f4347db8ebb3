"""Tensor: NumPy's behaviour, and the errors of a symbolic one."""

import operator

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

A = np.array([[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize(
    "op",
    [
        operator.add,
        operator.sub,
        operator.mul,
        operator.truediv,
        operator.pow,
        operator.matmul,
        operator.eq,
        operator.ne,
        operator.lt,
        operator.le,
        operator.gt,
        operator.ge,
    ],
    ids=lambda op: op.__name__,
)
def test_binary_operators(op):
    b = A.T + 0.5
    expected = op(A, b)
    for found in (op(cr.tensor(A), cr.tensor(b)), op(cr.tensor(A), b), op(A, cr.tensor(b))):
        assert isinstance(found, cr.Tensor)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-15)
    if op is not operator.matmul:
        np.testing.assert_allclose(op(cr.tensor(A), 2.0).numpy(), op(A, 2.0), rtol=1e-15)
        np.testing.assert_allclose(op(2.0, cr.tensor(A)).numpy(), op(2.0, A), rtol=1e-15)
        np.testing.assert_allclose(op(np.float64(2), cr.tensor(A)).numpy(), op(2.0, A), rtol=1e-15)


def test_unary_operators():
    x = cr.tensor(-A)
    np.testing.assert_array_equal((-x).numpy(), A)
    np.testing.assert_array_equal(abs(x).numpy(), A)
    assert +x is x


def test_methods_are_the_functions_of_the_same_names():
    x = cr.tensor(A)
    for name in ("exp", "log", "sqrt", "abs", "sin", "cos", "tanh", "sigmoid", "relu"):
        np.testing.assert_array_equal(getattr(x, name)().numpy(), getattr(cr, name)(x).numpy())
    for name in ("sum", "mean", "var", "max", "min", "argmax", "logsumexp", "softmax"):
        np.testing.assert_array_equal(getattr(x, name)(0).numpy(), getattr(cr, name)(x, 0).numpy())
    np.testing.assert_array_equal(x.T.numpy(), A.T)
    np.testing.assert_array_equal(x.reshape(4).numpy(), A.reshape(4))
    np.testing.assert_array_equal(x.transpose(1, 0).numpy(), A.T)
    np.testing.assert_array_equal(x.broadcast_to((2, 2, 2)).numpy(), np.stack([A, A]))
    assert x.astype("float32").dtype == np.float32


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (lambda: cr.tensor(5.0), "tensor(5.)"),
        (lambda: cr.tensor([1.0, 2.5]), "tensor([1. , 2.5])"),
        (lambda: cr.tensor([[1, 2], [3, 4]]), "tensor([[1, 2],\n        [3, 4]])"),
        (lambda: cr.tensor([True]), "tensor([ True])"),
        (lambda: cr.tensor(1.0, "float64"), "tensor(1., dtype=float64)"),
        (lambda: cr.tensor(1.0, name="x"), "tensor(1., name='x')"),
        (lambda: cr.tensor(1.0, requires_grad=True), "tensor(1., requires_grad=True)"),
        (lambda: cr.tensor(1.0, requires_grad=True) * 2.0, "tensor(2., operation=multiply)"),
        (lambda: cr.tensor(np.ones((0, 3), "f4")), "tensor([], shape=(0, 3))"),
        (lambda: cr.Parameter([1.0], name="w"), "Parameter([1.], name='w')"),
        (lambda: cr.HyperParameter(0.5), "HyperParameter(0.5, dtype=float64)"),
        (lambda: cr.placeholder((2, 3)), "tensor(symbolic, shape=(2, 3), dtype=float32)"),
        (
            lambda: cr.placeholder((2,), name="x") + 1.0,
            "tensor(symbolic, shape=(2,), dtype=float32, operation=add)",
        ),
    ],
)
def test_repr(tensor, text):
    assert repr(tensor()) == text


def test_repr_of_a_large_tensor_names_its_shape():
    text = repr(cr.tensor(np.zeros((100, 100), "float32")))
    assert text.endswith("shape=(100, 100))")
    assert len(text) < 600


def test_numpy_is_read_only():
    x = cr.tensor(A)
    for array in (x.numpy(), np.asarray(x)):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 9
    np.array(x)[0, 0] = 9
    assert x.numpy()[0, 0] == 1


def test_tensor_copies_its_data():
    data = A.copy()
    x = cr.tensor(data)
    data[:] = 0
    np.testing.assert_array_equal(x.numpy(), A)


def test_array_protocol():
    x = cr.tensor(A)
    assert np.asarray(x, "float32").dtype == np.float32
    np.testing.assert_array_equal(np.array(x, copy=True), A)
    np.testing.assert_array_equal(np.concatenate([x, x]), np.concatenate([A, A]))


def test_conversion_to_python_numbers():
    assert cr.tensor([[2.5]]).item() == 2.5
    assert float(cr.tensor(2.5)) == 2.5
    assert int(cr.tensor(2.5)) == 2
    assert cr.tensor(A).tolist() == A.tolist()
    assert "abc"[cr.tensor(1)] == "b"
    with pytest.raises(ValueError, match=r"size 1|one element"):
        cr.tensor(A).item()
    for bad in (cr.tensor(1.0), cr.tensor([1])):
        with pytest.raises(TypeError, match="only a 0-d integer Tensor"):
            operator.index(bad)


def test_truth_value():
    assert cr.tensor(2.0) > 1
    assert not cr.tensor(0.0)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(cr.tensor(A) > 1)


def test_length_and_iteration():
    x = cr.tensor(A, requires_grad=True)
    assert len(x) == 2
    first, second = x
    assert (first.tolist(), second.tolist()) == ([1, 2], [3, 4])
    assert cr.grad(second.sum(), x).tolist() == [[0, 0], [1, 1]]
    for function in (len, list):
        with pytest.raises(TypeError, match="0-d Tensor has no length"):
            function(cr.tensor(1.0))


def test_shape_facts():
    x = cr.placeholder((2, 3, 4))
    assert (x.ndim, x.size, x.is_symbolic, x.is_leaf) == (3, 24, True, True)
    y = cr.tensor(1.0, requires_grad=True) * 2.0
    assert (y.ndim, y.size, y.is_symbolic, y.is_leaf) == (0, 1, False, False)


def test_a_tensor_is_itself_in_sets_and_dicts():
    a, b = cr.tensor([1.0, 2.0]), cr.tensor([1.0, 2.0])
    assert len({a, b, a}) == 2
    assert {a: 1, b: 2}[b] == 2


@pytest.mark.parametrize(
    "ask",
    [
        bool,
        float,
        int,
        operator.index,
        np.asarray,
        lambda x: x.item(),
        lambda x: x.numpy(),
        lambda x: x.tolist(),
        lambda x: 1 if x > 0 else 2,
    ],
)
def test_a_symbolic_tensor_has_no_value_and_says_what_to_do(ask):
    x = cr.placeholder((), "int64", name="steps")
    with pytest.raises(cr.SymbolicError, match=r"placeholder.*Use cr\.where.*eager loop"):
        ask(x)


def test_placeholder_refuses_negative_lengths():
    with pytest.raises(cr.ShapeError, match="no negative"):
        cr.placeholder((2, -1))


def test_only_floats_require_gradients():
    with pytest.raises(TypeError, match="only floating Tensors have gradients, not int64"):
        cr.tensor([1, 2], requires_grad=True)


def test_detach_passes_no_gradient():
    x = cr.tensor(3.0, requires_grad=True)
    y = (x * 2.0).detach()
    assert y.item() == 6.0
    assert y.is_leaf
    assert not y.requires_grad
    assert cr.grad(x * y, x).item() == 6.0


@pytest.mark.parametrize("other", [None, "a", b"a"])
def test_a_tensor_equals_nothing_that_is_no_number(other):
    for x in (cr.tensor(3), cr.tensor([1.0, 2.0]), cr.placeholder((2,))):
        assert (x == other) is False
        assert (other == x) is False
        assert (x != other) is True
        with pytest.raises(cr.DTypeError):
            x < other  # noqa: B015


def test_the_class_itself_makes_no_tensor_of_data():
    for arguments in (([1, 2],), (2, 3), (2,), (cr.tensor([1.0]),), ("a",)):
        with pytest.raises(TypeError, match=r"chainrule.tensor\(data\), chainrule.zeros\(shape\)"):
            cr.Tensor(*arguments)


def test_item_takes_an_index():
    x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert x.item(2) == x.item(1, 0) == x.item((1, 0)) == 3.0
    with pytest.raises(IndexError):
        x.item(4)


def test_powers_take_no_modulus():
    assert pow(cr.tensor([2, 3]), 3).tolist() == [8, 27]
    with pytest.raises(TypeError, match=r"write x \*\* y % m"):
        pow(cr.tensor([2, 3]), 3, 5)


def test_the_shape_of_a_placeholder():
    assert cr.placeholder(3).shape == cr.placeholder(np.array([3])).shape == (3,)
    for shape in ((None, 2), None, (2.5,), "ab"):
        with pytest.raises(TypeError, match=r"whole numbers, and a graph is of one: .*; got"):
            cr.placeholder(shape)
    with pytest.raises(cr.ShapeError, match="no negative lengths"):
        cr.placeholder((2, -1))


def test_a_number_in_a_tensor():
    x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert 2.0 in x
    assert 7 not in x
    with pytest.raises(cr.SymbolicError):
        1 in cr.placeholder((2,))  # noqa: B015


def test_what_a_mask_hides_is_refused():
    hidden = np.ma.masked_array([[1.0, 2.0]], [[False, True]])
    w = cr.Parameter([[1.0, 2.0]])
    double = cr.compile(lambda x: x * 2.0)
    for take in (
        cr.tensor,
        cr.as_tensor,
        cr.Parameter,
        w.assign,
        w.__mul__,
        nn.Linear(2, 2),
        double,
    ):
        with pytest.raises(ValueError, match="masked values"):
            take(hidden)
    for take in (cr.from_dlpack, lambda m: cr.tensor([m, m]), lambda m: cr.tensor([1.0, m[0, 1]])):
        with pytest.raises(ValueError, match="masked values"):
            take(hidden)
    for samples in (hidden, [(row, 0) for row in hidden], [(1.0, row[1]) for row in hidden]):
        with pytest.raises(ValueError, match="a sample has masked values"):
            list(cr.data.DataLoader(samples))
    with pytest.raises(ValueError, match="masked values"):
        cr.data.TensorDataset(hidden)
    with pytest.raises(ValueError, match=r"Standardize.fit: x has masked values"):
        nn.Standardize(2).fit(hidden)
    assert cr.tensor(np.ma.masked_array([1.0, 2.0], [False, False])).tolist() == [1.0, 2.0]


def test_other_libraries_take_a_copy():
    x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    array = np.from_dlpack(x)
    np.testing.assert_array_equal(array, x.numpy())
    assert not np.shares_memory(array, x.numpy())
    with pytest.raises(BufferError, match="takes a copy"):
        x.__dlpack__(copy=False)
    torch = pytest.importorskip("torch")
    for convert in (torch.tensor, torch.as_tensor, torch.from_dlpack):
        assert convert(x).tolist() == x.tolist()


def test_the_elements_of_a_loop_are_those_of_an_index():
    value = np.arange(6.0).reshape(3, 2)
    for x in (cr.tensor(value), cr.Buffer(value), cr.tensor([True, False]), cr.zeros(0, 3)):
        rows = list(x)
        assert len(rows) == len(x)
        for i, row in enumerate(rows):
            assert isinstance(row, cr.Tensor)
            np.testing.assert_array_equal(row.numpy(), x.numpy()[i], strict=True)
    w = cr.Parameter(value)
    for i, row in enumerate(w):
        gradient = cr.grad(row.sum(), w).numpy()
        np.testing.assert_array_equal(gradient.sum(1), [2.0 * (i == k) for k in range(3)])
    np.testing.assert_array_equal(cr.compile(lambda x: sum(x))(value).numpy(), value.sum(0))
    with pytest.raises(TypeError, match="0-d"):
        list(cr.tensor(1.0))


def test_a_stack_of_many_is_one_node_more_than_its_parts():
    w = cr.Parameter(np.ones((50, 2)))
    parts = cr.unstack(w)
    joined = cr.stack(parts)
    assert joined.inputs[0].inputs == parts
    np.testing.assert_array_equal(cr.grad((joined * 2.0).sum(), w).numpy(), np.full((50, 2), 2.0))


@pytest.mark.parametrize("make", [cr.tensor, cr.Parameter, cr.Buffer])
def test_a_name_is_text(make):
    with pytest.raises(TypeError, match="a name of a Tensor is text, not 3"):
        make(1.0, name=3)
    with pytest.raises(TypeError, match="a name of a Tensor is text"):
        cr.placeholder((), name=("x",))


@pytest.mark.parametrize("lib", [cr, pytest.importorskip("torch")], ids=["chainrule", "torch"])
def test_no_grad_decorates_a_generator(lib):
    """Its steps keep no graph; what its caller does between them does."""
    w = lib.tensor(2.0, requires_grad=True)
    closed = []

    @lib.no_grad()
    def steps(number):
        try:
            try:
                sent = yield (w * number).requires_grad
            except KeyError:
                sent = "thrown"
            yield sent, (w * number).requires_grad
            return "end"
        finally:
            closed.append((w * w).requires_grad)

    def through():
        returned = yield from steps(3.0)
        yield returned

    for resume, said in (
        (lambda running: running.send("sent"), "sent"),
        (lambda running: running.throw(KeyError()), "thrown"),
    ):
        running = through()
        assert next(running) is False
        assert (w * w).requires_grad
        assert resume(running) == (said, False)
        assert (w * w).requires_grad
        assert next(running) == "end"
    running = steps(3.0)
    next(running)
    running.close()
    assert closed == [False] * 3
    with pytest.raises(RuntimeError, match="raised in a step"):
        next(steps_that_fail(lib))
    assert (w * w).requires_grad


def steps_that_fail(lib):
    @lib.no_grad()
    def steps():
        raise RuntimeError("raised in a step")
        yield

    return steps()
