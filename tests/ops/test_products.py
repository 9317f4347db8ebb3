"""Products of vectors, matrices and Tensors, and sums over letters: NumPy and PyTorch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_calls import run_native

import chainrule as cr
from chainrule.compiler.elementwise import UnsupportedError
from chainrule.graph.operation import operations
from chainrule.testing import check_gradient

torch = pytest.importorskip("torch")

RANDOM = np.random.default_rng(3)
S, V, W, M, N, T = (), (3,), (4,), (2, 3), (3, 4), (5, 2, 3)

CASES = [
    (
        "dot",
        [
            (S, S),
            (S, M),
            (M, S),
            (V, V),
            (M, V),
            (V, N),
            (M, N),
            (T, V),
            (T, N),
            (V, (5, 3, 2)),
            (T, (2, 3, 4)),
            ((0, 3), N),
            ((2, 0), (0, 4)),
        ],
    ),
    ("inner", [(S, V), (V, V), (M, V), (V, M), (M, (4, 3)), (T, (2, 2, 3)), ((0,), (0,))]),
    ("outer", [(S, S), (V, W), (M, W), ((0,), W)]),
    ("vdot", [(V, V), (M, (3, 2)), ((0,), (0,))]),
    ("vecdot", [(V, V), (M, V), (T, M), ((2, 0), (2, 0))]),
    ("kron", [(S, V), (V, W), (M, N), (M, V), (V, M), (T, M), ((0,), V)]),
    ("cross", [(V, V), (M, M), (T, V), (M, (5, 1, 3)), ((0, 3), V)]),
    ("matmul", [(V, V), (M, N), (T, N), (V, N), ((0, 3), N)]),
]
PAIRS = [(name, a, b) for name, shapes in CASES for a, b in shapes]


def drawn(shape, dtype=np.float64):
    return np.asarray(RANDOM.integers(-4, 5, shape)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize(("name", "left", "right"), PAIRS)
def test_values_are_numpys(name, left, right, dtype):
    a, b = drawn(left, dtype), drawn(right, dtype)
    expected = getattr(np, name)(a, b)
    function = getattr(cr, name)
    found = function(cr.tensor(a), cr.tensor(b))
    assert found.dtype == np.asarray(expected).dtype
    assert found.shape == np.shape(expected)
    np.testing.assert_array_equal(found.numpy(), expected)  # whole numbers: without rounding
    assert function(cr.placeholder(left, dtype), cr.placeholder(right, dtype)).shape == found.shape
    try:
        (native,) = run_native(function, a, b)
    except UnsupportedError as error:
        assert "matmul of int64 has no native kernel; cast" in str(error)
        assert dtype is np.int64
    else:
        np.testing.assert_array_equal(native, expected)


@pytest.mark.parametrize(("name", "left", "right"), PAIRS)
def test_gradients_are_those_of_finite_differences(name, left, right):
    check_gradient(getattr(cr, name), drawn(left) / 4, drawn(right) / 4)


@pytest.mark.parametrize(
    ("left", "right", "axes"),
    [
        (T, (2, 3, 4), 2),
        (M, N, 1),
        (M, N, 0),
        (T, (3, 5), ((0, 2), (1, 0))),
        (T, (3, 5), ([-1], [0])),
        (T, (3, 5), (2, 0)),
        ((2, 0), (0, 3), 1),
    ],
)
def test_tensordot(left, right, axes):
    a, b = drawn(left), drawn(right)
    expected = np.tensordot(a, b, axes)
    np.testing.assert_array_equal(cr.tensordot(a, b, axes).numpy(), expected)
    (native,) = run_native(lambda a, b: cr.tensordot(a, b, axes), a, b)
    np.testing.assert_array_equal(native, expected)
    check_gradient(lambda a, b: cr.tensordot(a, b, axes), a / 4, b / 4)


def test_methods():
    x = cr.tensor([1.0, 2.0, 3.0])
    for name in ("dot", "inner", "outer", "vdot", "kron", "cross", "matmul"):
        expected = getattr(np, name)(x.numpy(), x.numpy())
        np.testing.assert_array_equal(getattr(x, name)(x).numpy(), expected)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda a, b: cr.dot(a, b[0]), "matmul"),
        (lambda a, b: cr.tensordot(a, b, 3), "3 axes are not there"),
        (lambda a, b: cr.tensordot(a, b, 2), r"axes \[0, 1\] of shape \(2, 3\) do not fit"),
        (lambda a, b: cr.tensordot(a, b, (0, 1, 2)), "not a pair"),
        (lambda a, b: cr.tensordot(a, a, ((0, 0), (0, 0))), "named once"),
        (lambda a, b: cr.cross(a, b), "do not broadcast"),
        (lambda a, b: cr.cross(b[0], b[0]), r"vectors of 3 numbers, not shapes \(4,\)"),
        (lambda a, b: cr.cross(a, a, 0), "vectors of 3 numbers, not axis 0"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(function, words):
    for make in (lambda s: cr.tensor(np.ones(s)), cr.placeholder):
        with pytest.raises(cr.ShapeError, match=words):
            function(make((2, 3)), make((3, 4)))


# Sums over letters

EINSUMS = [
    ("ij,jk->ik", [M, N]),
    ("ij,jk", [M, N]),
    ("ij,kj->ik", [M, (4, 3)]),
    ("ij,jk->ki", [M, N]),
    ("bij,bjk->bik", [T, (5, 3, 4)]),
    ("bij,bjk->b", [T, (5, 3, 4)]),
    ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 5, 4)]),
    ("...ij,...jk->...ik", [T, (3, 4)]),
    ("...ij,...jk", [(2, 1, 2, 3), (5, 3, 4)]),
    ("i...,i...->...", [T, (5, 1, 3)]),
    ("...,...", [M, V]),
    ("...->...", [S]),
    ("i,i", [V, V]),
    ("i,j->ij", [V, W]),
    ("i,j->ji", [V, W]),
    ("i,i->i", [V, V]),
    ("ij,i->ij", [M, (2,)]),
    ("ij->ji", [M]),
    ("ba", [M]),
    ("ij->", [M]),
    ("ij->j", [M]),
    ("ii", [(3, 3)]),
    ("ii->i", [(3, 3)]),
    ("...ii->...i", [(2, 3, 3)]),
    ("iij->ji", [(3, 3, 2)]),
    ("iii->i", [(3, 3, 3)]),
    ("ii,ij->j", [(3, 3), (3, 2)]),
    (",ij->ij", [S, M]),
    ("a,b,c->abc", [V, W, (2,)]),
    ("ij,jk,kl->il", [M, N, (4, 5)]),
    ("ij,jk,kl,lm", [M, N, (4, 2), (2, 3)]),
    ("bi,ijk,bk->bj", [(5, 2), (2, 3, 4), (5, 4)]),
    ("ij,ij->ij", [(1, 3), (2, 3)]),
    ("ij,jk->ik", [(0, 3), N]),
    ("ij,jk->ik", [(2, 0), (0, 4)]),
    ("Ab,bA->A", [M, (3, 2)]),
    (" i j , j k -> i k ", [M, N]),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize(("subscripts", "shapes"), EINSUMS)
def test_einsum_is_numpys(subscripts, shapes, dtype):
    arrays = [drawn(shape, dtype) for shape in shapes]
    expected = np.einsum(subscripts, *arrays)
    found = cr.einsum(subscripts, *map(cr.tensor, arrays))
    assert found.dtype == np.asarray(expected).dtype
    assert found.shape == np.shape(expected)
    np.testing.assert_array_equal(found.numpy(), expected)
    nodes = [cr.placeholder(shape, dtype) for shape in shapes]
    assert cr.einsum(subscripts, *nodes).shape == found.shape
    if dtype is not np.int64:
        (native,) = run_native(lambda *t: cr.einsum(subscripts, *t), *arrays)
        np.testing.assert_array_equal(native, expected)


@pytest.mark.parametrize(("subscripts", "shapes"), EINSUMS)
def test_gradients_of_einsum(subscripts, shapes):
    arrays = [drawn(shape) / 4 for shape in shapes]
    check_gradient(lambda *t: cr.einsum(subscripts, *t), *arrays)
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = torch.einsum(subscripts, *theirs)
    g = RANDOM.standard_normal(y.shape)
    y.backward(torch.tensor(g))
    ours = [cr.tensor(a, requires_grad=True) for a in arrays]
    cr.einsum(subscripts, *ours).backward(g)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-12, atol=1e-14)


@st.composite
def einsums(draw):
    """Up to four operands over four letters, and any result."""
    sizes = {"i": 2, "j": 3, "k": 1, "l": 4}
    terms = draw(st.lists(st.text("ijkl", max_size=3), min_size=1, max_size=4))
    named = sorted({letter for term in terms for letter in term})
    result = draw(st.permutations(named))[: draw(st.integers(0, len(named)))]
    arrow = draw(st.booleans())
    text = ",".join(terms) + ("->" + "".join(result) if arrow else "")
    return text, [tuple(sizes[letter] for letter in term) for term in terms]


@given(einsums())
@settings(max_examples=150, deadline=None)
def test_any_einsum_is_numpys(case):
    subscripts, shapes = case
    arrays = [drawn(shape) for shape in shapes]
    expected = np.einsum(subscripts, *arrays)
    found = cr.einsum(subscripts, *arrays)
    assert found.shape == np.shape(expected)
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize(
    ("subscripts", "shapes", "error", "words"),
    [
        ("ij,jk", [M], cr.ShapeError, "names 2 operands, got 1"),
        ("ij", [V], cr.ShapeError, "'ij' does not name the axes"),
        ("i", [M], cr.ShapeError, "'i' does not name the axes"),
        ("ij,jk", [M, M], cr.ShapeError, "differ in length"),
        ("ii", [M], cr.ShapeError, "differ in length"),
        ("ii", [(1, 3)], cr.ShapeError, "differ in length"),
        ("ij->ik", [M], cr.ShapeError, "only those of operands"),
        ("ij->ii", [M], cr.ShapeError, "names each letter once"),
        ("...i->i", [M], cr.ShapeError, "lacks the axes"),
        ("...i...", [M], cr.ShapeError, "does not name"),
        ("i1", [M], ValueError, "is not letters"),
        ("i->j->k", [M], ValueError, "is not letters"),
        ("ij->i,j", [M], ValueError, "is not letters"),
        ("", [], ValueError, "without operands"),
    ],
)
def test_subscripts_that_do_not_fit_are_refused(subscripts, shapes, error, words):
    for make in (lambda s: cr.tensor(np.ones(s)), cr.placeholder):
        with pytest.raises(error, match=words):
            cr.einsum(subscripts, *map(make, shapes))


@pytest.mark.parametrize("sequence", [list, tuple])
def test_einsum_takes_its_operands_in_a_list(sequence):
    a, b = drawn((2, 3), np.float64), drawn((3, 4), np.float64)
    for pair in ((cr.tensor(a), cr.tensor(b)), (a, cr.tensor(b)), (a, b)):
        found = cr.einsum("ij,jk->ik", sequence(pair))
        np.testing.assert_allclose(found.numpy(), a @ b)
    rows = sequence([cr.tensor(a[0]), cr.tensor(a[1])])
    np.testing.assert_allclose(cr.einsum("ij->j", rows).numpy(), a.sum(0))


def test_einsum_refuses_booleans_and_lists_of_axes():
    with pytest.raises(cr.DTypeError, match="numbers, not booleans"):
        cr.einsum("i", cr.tensor([True]))
    with pytest.raises(TypeError, match="subscripts as one text"):
        cr.einsum(cr.tensor([1.0]), [0])


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_rows_that_zeros_fill_up_meet_no_infinite_weight(bad):
    sparse = pytest.importorskip("scipy.sparse")
    indices = np.array([[1, 0, 0], [2, 2, 0], [0, 1, 2], [0, 0, 0]])
    values = np.array([[2.0, 0, 0], [1, 3, 0], [1, 0, 4], [0, 0, 0]])
    ends = np.array([1, 2, 3, 0])
    entries = np.arange(3) < ends[:, None]
    rows = sparse.csr_array((values[entries], indices[entries], [0, *ends.cumsum()]), (4, 3))
    weight = RANDOM.normal(size=(5, 3))
    weight[1, 0] = weight[2, 2] = bad
    g = RANDOM.normal(size=(4, 5))
    g[0, 3] = g[3, 1] = bad

    def product_and_gradient(values, weight, g):
        y = operations["sparse_matmul"].apply(cr.tensor(indices), values, weight)
        return y, cr.grad(y, weight, grad_output=g)

    arrays = values, weight, g
    tensors = [cr.tensor(x, "float64", requires_grad=x is weight) for x in arrays]
    eager = [t.numpy() for t in product_and_gradient(*tensors)]
    with np.errstate(invalid="ignore"):
        expected = rows @ weight.T, (rows.T @ g).T
    for found in (eager, run_native(product_and_gradient, *arrays)):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
