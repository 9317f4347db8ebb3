"""Indexing against NumPy, over index expressions of every kind that is taken."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.execute.reference import Interpreter
from chainrule.testing import check_gradient

SHAPE = (4, 3, 5)
X = np.arange(60.0).reshape(SHAPE)


def slices(length):
    bound = st.one_of(st.none(), st.integers(-length - 2, length + 2))
    step = st.one_of(st.none(), st.integers(1, 3), st.integers(-3, -1))
    return st.builds(slice, bound, bound, step)


def integers(length):
    return st.integers(-length, length - 1)


def arrays(length):
    """Index arrays of shapes that broadcast with one another."""
    shape = st.sampled_from([(), (2,), (1,), (3, 2), (3, 1), (0,)])
    return shape.flatmap(
        lambda s: st.lists(
            integers(length), min_size=int(np.prod(s)), max_size=int(np.prod(s))
        ).map(lambda values: np.array(values, np.int64).reshape(s))
    )


@st.composite
def basic_indices(draw):
    count = draw(st.integers(0, 3))
    items = [draw(st.one_of(slices(n), integers(n))) for n in SHAPE[:count]]
    if draw(st.booleans()):
        place = draw(st.integers(0, len(items)))
        rest = SHAPE[len(SHAPE) - (len(items) - place) :]
        items = [*items[:place], ..., *[draw(st.one_of(slices(n), integers(n))) for n in rest]]
    for _ in range(draw(st.integers(0, 2))):
        items.insert(draw(st.integers(0, len(items))), None)
    return tuple(items)


@st.composite
def array_indices(draw):
    items = [draw(st.one_of(slices(n), integers(n), arrays(n))) for n in SHAPE]
    items = items[: draw(st.integers(1, 3))]
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), draw(st.sampled_from([None, ...])))
    return tuple(items)


def check(index):
    expected = X[index]
    found = cr.tensor(X)[index]
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.numpy(), expected)
    graph = cr.capture(lambda x: x[index], X)
    np.testing.assert_array_equal(graph(X), expected)
    # The gradient counts how often each element was taken.
    x = cr.tensor(X, requires_grad=True)
    counts = np.zeros(SHAPE)
    np.add.at(counts, index, 1.0)
    gradient = cr.grad(x[index], x, np.ones(expected.shape))
    np.testing.assert_array_equal(gradient.numpy(), counts)


@given(basic_indices())
@settings(max_examples=200, deadline=None)
def test_slices_integers_none_and_ellipsis(index):
    check(index)


@given(array_indices())
@settings(max_examples=300, deadline=None)
def test_integer_arrays(index):
    try:
        X[index]
    except IndexError:  # out of range, or shapes that do not broadcast
        with pytest.raises((IndexError, cr.ShapeError)):
            cr.tensor(X)[index]
        return
    check(index)


@pytest.mark.parametrize(
    "index",
    [
        2,
        -1,
        (),
        ...,
        None,
        [1, 3],
        [],
        (0, [1, 2]),
        ([0, 1], [1, 2], [2, 3]),
        (slice(None), [0, 2], 1),
        (0, [1, 2], 0),
        np.int64(3),
        (np.int32(1), slice(np.int64(0), np.int64(2))),
        np.array([[0, 1], [2, 3]], np.uint8),
        (..., slice(None, None, -1)),
        (slice(10, 20), 0),
    ],
)
def test_chosen_indices(index):
    check(index)


def test_a_tensor_as_an_index():
    x = cr.tensor(X)
    rows = cr.tensor([3, 0])
    np.testing.assert_array_equal(x[rows].numpy(), X[[3, 0]])
    np.testing.assert_array_equal(x[cr.tensor(2)].numpy(), X[2])
    np.testing.assert_array_equal(x[:, cr.tensor(2), 1].numpy(), X[:, 2, 1])
    run = Interpreter(cr.capture(lambda x, i: x[i, 0], X, np.array([1, 1])))
    np.testing.assert_array_equal(run(X, np.array([2, 3])), X[[2, 3], 0])


@pytest.mark.parametrize(
    "index",
    [
        (0, slice(None), [1, 2]),
        ([0, 1], slice(None), [1, 2]),
        ([0], None, [0]),
        (slice(None), 0, ..., [1, 2]),
        ([[0], [1]], slice(1, None), [1, 2, 2]),
    ],
)
def test_axes_of_arrays_that_are_no_neighbours_move_to_the_front(index):
    check(index)
    check_gradient(lambda x: x[index] ** 2, X / 60)


MASK = np.array([True, False, True, False])
MASKS = [
    X > 3,
    X < 0,
    MASK,
    [True, True, False, False],
    (MASK, 1),
    (slice(None), [True, False, True]),
    (..., np.array([False, True, True, False, True])),
    (MASK, slice(None), [1, 2]),
    (None, X[:, :, 0] > 20),
    (X[:, :, 0] > 20, slice(1, 3)),
    (slice(None), X[0] > 6),
]


@pytest.mark.parametrize("index", MASKS)
def test_masks(index):
    check(index)  # a constant mask is captured as well


@pytest.mark.parametrize("mask", [X > 30, MASK])
def test_gradients_through_masks(mask):
    check_gradient(lambda x: cr.tanh(x)[mask] ** 2, X / 60)
    check_gradient(lambda x: (cr.tanh(x)[x > 0.5] ** 2).sum(), X / 60 + 0.003)


def test_a_mask_of_another_length_is_refused():
    for mask in (np.ones(3, bool), np.ones((4, 2), bool)):
        for x in (cr.tensor(X), cr.placeholder(SHAPE)):
            with pytest.raises(IndexError, match="mask's axis of length"):
                x[mask]


@pytest.mark.parametrize("index", [4, -5, (0, 3), (0, 0, 0, 0), (..., ...)])
def test_an_index_out_of_range_is_refused(index):
    for x in (cr.tensor(X), cr.placeholder(SHAPE)):
        with pytest.raises(IndexError):
            x[index]


def test_an_index_array_out_of_range_is_refused():
    with pytest.raises(IndexError):
        cr.tensor(X)[[0, 4]]


@pytest.mark.parametrize("index", [True, np.bool_(False), (0, True)])
def test_one_boolean_is_refused(index):
    for x in (cr.tensor(X), cr.placeholder(SHAPE)):
        with pytest.raises(cr.DTypeError, match="use where"):
            x[index]


@pytest.mark.parametrize("index", [[0.5], np.array(1.0)])
def test_floats_are_refused(index):
    for x in (cr.tensor(X), cr.placeholder(SHAPE)):
        with pytest.raises(cr.DTypeError, match="an integer array or a mask, not float"):
            x[index]


def test_a_mask_without_a_value_is_refused_with_the_remedy():
    x = cr.placeholder(SHAPE)
    with pytest.raises(cr.DTypeError, match="use where, which keeps the shape"):
        x[x > 3]
    state = cr.Buffer(X)
    with pytest.raises(cr.DTypeError, match="use where"):
        cr.capture(lambda: state[state > 3])


def test_gather_and_its_gradient_with_repeated_indices():
    table = np.arange(6.0).reshape(3, 2)
    check_gradient(lambda x: cr.tanh(x)[[0, 2, 2, 0, 2]] ** 2, table)
    x = cr.tensor(table, requires_grad=True)
    y = x[[0, 2, 2]]
    weights = np.array([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    assert cr.grad(y, x, weights).tolist() == [[1, 2], [0, 0], [110, 220]]


def test_gradients_of_slices_to_second_order():
    check_gradient(lambda x: (x[1:, ::-2] ** 3) * x[0, 0, 1], X[:, :, :3] / 60)


def test_iteration_gives_rows():
    for row, expected in zip(cr.tensor(X), X, strict=True):
        np.testing.assert_array_equal(row.numpy(), expected)
