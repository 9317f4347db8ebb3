"""Tensors inside lists: a stack that gradients pass; in a new leaf, a constant or an error."""

import numpy as np
import pytest

import chainrule as cr


@pytest.fixture
def two():
    return cr.Parameter(2.0), cr.Parameter(3.0)


@pytest.mark.parametrize(
    ("function", "expected"),  # d/da and d/db at a = 2, b = 3
    [
        (lambda a, b: cr.sum([a, b * a]), [4, 2]),
        (lambda a, b: cr.mean([a, (b, a)[0]]), [0.5, 0.5]),
        (lambda a, b: cr.exp([a, b]).sum(), [np.exp(2), np.exp(3)]),
        (lambda a, b: (cr.tensor([5.0, 7.0]) * [a, b]).sum(), [5, 7]),
        (lambda a, b: ([a, b] + cr.tensor([5.0, 7.0]) * (b, a)).sum(), [8, 6]),
        (lambda a, b: cr.tensor([5.0, 7.0]) @ [a, b], [5, 7]),
        (lambda a, b: [a, b] @ cr.tensor([[5.0], [7.0]]).reshape(2), [5, 7]),
        (lambda a, b: cr.maximum([a, b], 2.5).sum(), [0, 1]),
        (lambda a, b: cr.where([True, False], [a, 1], b).sum(), [1, 1]),
        (lambda a, b: cr.stack([[a, 1.0], [b, a]]).sum(), [2, 1]),
        (lambda a, b: cr.concatenate([[a, b], [1.0]]).sum(), [1, 1]),
        (lambda a, b: cr.sum([[[a], [b]], [[1.0], [a * b]]]), [4, 3]),
        (lambda a, b: cr.as_tensor([a, np.float32(1)]).sum() * b, [3, 3]),
        (lambda a, b: cr.reshape([a, b], 2, 1).sum(), [1, 1]),
        (lambda a, b: cr.nn.functional.linear([[a, b]], [[5.0, 7.0]]).sum(), [5, 7]),
    ],
)
def test_gradients_pass_lists(two, function, expected):
    a, b = two
    gradients = cr.grad(function(a, b), [a, b])
    assert [g.item() for g in gradients] == pytest.approx(expected, rel=1e-6)


def test_lists_in_a_captured_graph(two):
    a, b = two
    graph = cr.capture(lambda x: cr.grad(cr.sum([a * x, [b][0]]), a), cr.placeholder(()))
    assert graph(np.float32(7.0)) == 7.0


def test_the_dtype_in_which_parts_meet():
    wide, whole = cr.tensor(1.0, dtype="float64"), cr.tensor(2)
    assert cr.as_tensor([wide, 1.0]).dtype == np.float64
    assert cr.as_tensor([whole, 1]).dtype == np.int64
    assert cr.as_tensor([[whole], [1.5]]).dtype == np.float32
    assert cr.as_tensor([whole, 1], "float64").dtype == np.float64
    assert cr.tensor([wide, whole]).dtype == np.float64
    assert cr.Buffer([wide, 2.0]).tolist() == [1.0, 2.0]
    assert (cr.tensor([1.0, 2.0], dtype="float64") * [0.1, 0.1]).tolist() == [0.1, 0.2]


def test_lists_of_numbers_and_arrays_are_constants():
    assert cr.as_tensor([[1.0, 2.0], (3, 4)]).dtype == np.float32
    assert cr.as_tensor([]).shape == (0,)
    assert cr.as_tensor([np.ones(2), np.zeros(2)]).shape == (2, 2)


@pytest.mark.parametrize("kind", [cr.tensor, cr.Parameter, cr.Buffer])
def test_a_leaf_takes_values_but_loses_no_gradient(kind, two):
    a, b = two
    for data in ([a, b], [[a], [1.0]], [a * b]):
        with pytest.raises(TypeError, match="stack keeps it"):
            kind(data)
    assert kind([a.detach(), [b.detach()][0]]).tolist() == [2.0, 3.0]
    assert kind(a).tolist() == 2.0
    with pytest.raises(cr.SymbolicError):
        kind([cr.placeholder(()), 1.0])


def test_assign_takes_lists(two):
    a, b = two
    w = cr.Parameter([0.0, 0.0])
    w.assign([a, b])
    assert w.tolist() == [2.0, 3.0]
    cr.capture(lambda: w.assign([b, 2 * a]))()
    assert w.tolist() == [3.0, 4.0]
    with pytest.raises(cr.ShapeError):
        w.assign([a, b, a])
    with pytest.raises(cr.ShapeError):
        cr.as_tensor([a, w])


def test_lists_as_indices(two):
    x = cr.Parameter([10.0, 20.0, 30.0])
    first, last = cr.tensor(0), cr.tensor(2)
    y = x[[last, first, last]]
    assert y.tolist() == [30.0, 10.0, 30.0]
    assert cr.grad(y.sum(), x).tolist() == [1.0, 0.0, 2.0]


@pytest.mark.parametrize("given", [None, 3, "ab", np.sum, np.array(1.0)])
@pytest.mark.parametrize(
    "name", ["column_stack", "concatenate", "dstack", "hstack", "multi_dot", "stack", "vstack"]
)
def test_what_is_no_list_is_refused(name, given):
    function = getattr(cr, name, None) or getattr(cr.linalg, name)
    with pytest.raises(TypeError, match=f"^{name}: tensors is a list of .*, got ") as raised:
        function(given)
    assert str(raised.value).endswith(repr(given))


def test_what_holds_no_variables_has_no_gradients():
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    for given in (None, 3, "x"):
        with pytest.raises(TypeError, match=f"^inputs is a list of Tensors, got {given!r}"):
            cr.grad(x.sum(), given)
        if given != 3:
            with pytest.raises(TypeError, match=f"^argnums is a list of positions, got {given!r}"):
                cr.value_and_grad(cr.sum, given)


def test_an_iterator_of_several_dtypes_is_joined():
    parts = [np.float32([1.0]), np.float64([0.1])]
    joined = cr.concatenate(iter(parts))
    np.testing.assert_array_equal(joined.numpy(), np.concatenate(parts), strict=True)


def test_an_array_without_dlpack_is_named():
    with pytest.raises(TypeError, match=r"got \[1.0\]: make it a Tensor by chainrule.tensor"):
        cr.from_dlpack([1.0])
