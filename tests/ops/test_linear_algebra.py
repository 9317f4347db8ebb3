"""Linear algebra: NumPy's values, gradients of PyTorch and finite differences, singular cases."""

import numpy as np
import pytest
from native_calls import run_native

import chainrule as cr
from chainrule.compiler.elementwise import UnsupportedError
from chainrule.testing import check_gradient

torch = pytest.importorskip("torch")

RANDOM = np.random.default_rng(4)
STACKS = [(3, 3), (1, 1), (2, 3, 3), (2, 1, 2, 2), (0, 0), (0, 2, 2), (3, 0, 0)]


def matrices(shape):
    n = shape[-1]
    return RANDOM.standard_normal(shape) + 2 * np.eye(n)


def positive(shape):
    x = RANDOM.standard_normal(shape)
    return x @ x.swapaxes(-1, -2) + np.eye(shape[-1])


UNARY = {
    "inv": (cr.linalg.inv, np.linalg.inv, torch.linalg.inv, matrices),
    "det": (cr.linalg.det, np.linalg.det, torch.linalg.det, matrices),
    "logabsdet": (
        lambda x: cr.linalg.slogdet(x).logabsdet,
        lambda x: np.linalg.slogdet(x).logabsdet,
        lambda x: torch.linalg.slogdet(x).logabsdet,
        matrices,
    ),
    "cholesky": (cr.linalg.cholesky, np.linalg.cholesky, torch.linalg.cholesky, positive),
    "power 3": (
        lambda x: cr.linalg.matrix_power(x, 3),
        lambda x: np.linalg.matrix_power(x, 3),
        lambda x: torch.linalg.matrix_power(x, 3),
        matrices,
    ),
    "power -2": (
        lambda x: cr.linalg.matrix_power(x, -2),
        lambda x: np.linalg.matrix_power(x, -2),
        lambda x: torch.linalg.matrix_power(x, -2),
        matrices,
    ),
}


@pytest.mark.parametrize("shape", STACKS)
@pytest.mark.parametrize("name", UNARY)
def test_values_and_gradients(name, shape):
    ours, numpys, torchs, draw = UNARY[name]
    x = draw(shape)
    for dtype, rtol in ((np.float64, 1e-9), (np.float32, 1e-3)):
        expected = numpys(x.astype(dtype))
        found = ours(cr.tensor(x.astype(dtype)))
        assert found.dtype == dtype and found.shape == np.shape(expected)
        np.testing.assert_allclose(found.numpy(), expected, rtol=rtol, atol=rtol)
        assert ours(cr.placeholder(shape, dtype)).shape == found.shape
    check_gradient(ours, x, rtol=1e-5, atol=1e-6)
    a, b = torch.tensor(x, requires_grad=True), cr.tensor(x, requires_grad=True)
    y = torchs(a)
    g = RANDOM.standard_normal(y.shape)
    y.backward(torch.tensor(g))
    ours(b).backward(g)
    np.testing.assert_allclose(b.grad.numpy(), a.grad, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 3), (3,)),
        ((3, 3), (3, 2)),
        ((2, 3, 3), (2, 3, 2)),
        ((3, 3), (2, 3, 1)),
        ((2, 3, 3), (3,)),
        ((2, 1, 3, 3), (4, 3, 2)),
        ((0, 0), (0, 2)),
        ((0, 2, 2), (0, 2, 1)),
    ],
)
def test_solve(left, right):
    a, b = matrices(left), RANDOM.standard_normal(right)
    expected = np.linalg.solve(a, b)
    found = cr.linalg.solve(cr.tensor(a), cr.tensor(b))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-12)
    assert cr.linalg.solve(cr.placeholder(left), cr.placeholder(right)).shape == found.shape
    check_gradient(cr.linalg.solve, a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("unitriangular", [False, True])
def test_solve_triangular(upper, left, unitriangular):
    a, b = matrices((2, 3, 3)), RANDOM.standard_normal((2, 3, 2) if left else (2, 2, 3))
    options = {"upper": upper, "left": left, "unitriangular": unitriangular}
    theirs = [torch.tensor(x, requires_grad=True) for x in (a, b)]
    ours = [cr.tensor(x, requires_grad=True) for x in (a, b)]
    expected = torch.linalg.solve_triangular(*theirs, **options)
    found = cr.linalg.solve_triangular(*ours, **options)
    np.testing.assert_allclose(found, expected.detach(), rtol=1e-9)
    g = RANDOM.standard_normal(b.shape)
    expected.backward(torch.tensor(g))
    for one, other in zip(cr.grad(found, ours, g), theirs, strict=True):
        np.testing.assert_allclose(one, other.grad, rtol=1e-8, atol=1e-12)
    with pytest.raises(cr.ShapeError, match="solve_triangular takes right sides"):
        cr.linalg.solve_triangular(a, np.ones(3), upper=upper)


def test_a_name_that_is_not_in_linalg_says_what_is_written():
    for name, ours in {"logdet": "slogdet", "cholesky_solve": "cr.linalg.solve"}.items():
        with pytest.raises(AttributeError, match=f"no attribute '{name}'; here it is .*{ours}"):
            getattr(cr.linalg, name)


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 2), (0, 2), (2, 0, 3)])
def test_pseudo_inverse(shape):
    x = RANDOM.standard_normal(shape)
    found = cr.linalg.pinv(cr.tensor(x))
    np.testing.assert_allclose(found.numpy(), np.linalg.pinv(x), atol=1e-12)
    check_gradient(cr.linalg.pinv, x, rtol=1e-5, atol=1e-6)
    a, b = torch.tensor(x, requires_grad=True), cr.tensor(x, requires_grad=True)
    g = RANDOM.standard_normal(found.shape)
    torch.linalg.pinv(a).backward(torch.tensor(g))
    cr.linalg.pinv(b).backward(g)
    np.testing.assert_allclose(b.grad.numpy(), a.grad, rtol=1e-8, atol=1e-9)


def test_pseudo_inverse_of_a_singular_matrix():
    x = np.outer([1.0, 2.0], [3.0, 1.0, 2.0])
    np.testing.assert_allclose(cr.linalg.pinv(x).numpy(), np.linalg.pinv(x), atol=1e-12)
    small = np.diag([1.0, 0.01]).astype(np.float32)
    np.testing.assert_allclose(cr.linalg.pinv(small, 0.1).numpy(), np.diag([1.0, 0.0]), atol=1e-7)
    np.testing.assert_allclose(
        cr.linalg.pinv(small, rtol=1e-3).numpy(), np.diag([1, 100]), rtol=1e-5
    )
    with pytest.raises(cr.ShapeError, match="pinv takes matrices"):
        cr.linalg.pinv(cr.tensor([1.0]))


@pytest.mark.parametrize("shape", [(3, 3), (1, 1), (2, 3, 3), (0, 2, 2)])
def test_eigenvalues_and_vectors(shape):
    x = positive(shape)
    w, v = cr.linalg.eigh(x)
    np.testing.assert_allclose(w.numpy(), np.linalg.eigvalsh(x), rtol=1e-9)
    np.testing.assert_array_equal(cr.linalg.eigvalsh(x).numpy(), w.numpy())
    np.testing.assert_allclose((v * w[..., None, :] @ v.mT).numpy(), x, atol=1e-9)
    check_gradient(cr.linalg.eigvalsh, x, rtol=1e-4, atol=1e-5)
    check_gradient(lambda x: cr.linalg.eigh(x).eigenvectors ** 2, x, rtol=1e-4, atol=1e-5)
    a, b = torch.tensor(x, requires_grad=True), cr.tensor(x, requires_grad=True)
    g = RANDOM.standard_normal(w.shape)
    torch.linalg.eigvalsh(a).backward(torch.tensor(g))
    cr.linalg.eigvalsh(b).backward(g)
    np.testing.assert_allclose(b.grad.numpy(), a.grad, rtol=1e-8, atol=1e-9)


def test_what_numpy_has_and_we_have_not_is_named():
    for name in ("svd", "qr", "eig", "lstsq"):
        with pytest.raises(AttributeError, match=rf"np\.linalg\.{name}( of |\()x\.numpy\(\)"):
            getattr(cr.linalg, name)
    assert not hasattr(cr.linalg, "frobnicate")
    assert cr.linalg.outer is cr.outer


def test_sign_of_the_determinant():
    x = matrices((5, 3, 3))
    x[1] *= -1
    x[2, 0] = 0
    sign, logabsdet = cr.linalg.slogdet(x)
    np.testing.assert_array_equal(sign.numpy(), np.linalg.slogdet(x).sign)
    np.testing.assert_allclose(logabsdet.numpy(), np.linalg.slogdet(x).logabsdet)
    assert logabsdet.numpy()[2] == -np.inf


def test_determinant_of_a_singular_matrix_has_its_gradient():
    x = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])
    check_gradient(cr.linalg.det, x, order=1)
    b = cr.tensor(x, requires_grad=True)
    cofactors = [[4.0, 4.0, -4.0], [-2.0, -2.0, 2.0], [0.0, 0.0, 0.0]]  # by hand
    np.testing.assert_allclose(cr.grad(cr.linalg.det(b), b).numpy(), cofactors, atol=1e-12)
    with pytest.raises(np.linalg.LinAlgError, match="matrix is singular"):
        cr.grad(cr.grad(cr.linalg.det(b), b).sum(), b)
    zero = cr.tensor(np.zeros((3, 3)), requires_grad=True)
    assert not cr.grad(cr.linalg.det(zero), zero).numpy().any()


def test_a_singular_matrix_is_named():
    x = matrices((2, 3, 2, 2))
    x[1, 2] = 1.0
    for function in (cr.linalg.inv, lambda x: cr.linalg.solve(x, np.ones(2))):
        with pytest.raises(np.linalg.LinAlgError, match=r"matrix \(1, 2\) of the stack is"):
            function(cr.tensor(x))
        with pytest.raises(np.linalg.LinAlgError, match="matrix is singular"):
            function(cr.tensor(np.zeros((2, 2))))
    x = positive((3, 2, 2))
    x[1] *= -1
    with pytest.raises(np.linalg.LinAlgError, match=r"matrix \(1,\) .* not positive definite"):
        cr.linalg.cholesky(x)
    x = positive((3, 2, 2))
    x[2, 0, 1] += 1
    for function in (cr.linalg.cholesky, cr.linalg.eigh, cr.linalg.eigvalsh):
        with pytest.raises(
            np.linalg.LinAlgError, match=r"matrix \(2,\) of the stack is not symmetric"
        ):
            function(x)


@pytest.mark.parametrize("triangle", ["L", "U"])
def test_either_triangle_of_a_symmetric_matrix_has_its_eigenvalues(triangle):
    x = positive((2, 3, 3))
    expected = np.linalg.eigvalsh(x, triangle)
    np.testing.assert_allclose(cr.linalg.eigvalsh(x, UPLO=triangle).numpy(), expected)
    np.testing.assert_allclose(cr.linalg.eigh(x, triangle).eigenvalues.numpy(), expected)
    for function in (cr.linalg.eigh, cr.linalg.eigvalsh):
        with pytest.raises(ValueError, match="UPLO is 'L' or 'U', got 'V'"):
            function(x, "V")


def test_cholesky_upper():
    x = positive((2, 3, 3))
    found = cr.linalg.cholesky(x, upper=True).numpy()
    np.testing.assert_allclose(found, np.linalg.cholesky(x, upper=True), atol=1e-12)


def test_matrix_power():
    x = matrices((2, 2, 2))
    for n in (-3, -1, 0, 1, 2, 5, 8):
        expected = np.linalg.matrix_power(x, n)
        found = cr.linalg.matrix_power(cr.tensor(x), n).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize(
    "shapes",
    [
        [(2, 3), (3, 4)],
        [(10, 2), (2, 10), (10, 3)],
        [(4,), (4, 3), (3, 2)],
        [(2, 3), (3, 4), (4,)],
        [(3,), (3, 2), (2,)],
        [(2, 30), (30, 3), (3, 20), (20, 1)],
    ],
)
def test_multi_dot(shapes):
    factors = [RANDOM.standard_normal(shape) for shape in shapes]
    expected = np.linalg.multi_dot(factors)
    np.testing.assert_allclose(cr.linalg.multi_dot(factors).numpy(), expected, rtol=1e-10)
    (native,) = run_native(lambda *x: cr.linalg.multi_dot(x), *factors)
    np.testing.assert_allclose(native, expected, rtol=1e-10)


def test_multi_dot_takes_the_order_with_the_fewest_multiplications():
    node = cr.linalg.multi_dot([cr.placeholder(s) for s in ((10, 100), (100, 5), (5, 50))])
    assert [x.shape for x in node.inputs] == [(10, 5), (5, 50)]
    node = cr.linalg.multi_dot([cr.placeholder(s) for s in ((50, 5), (5, 100), (100, 10))])
    assert [x.shape for x in node.inputs] == [(50, 5), (5, 10)]


# Norms

VECTORS = [None, 2, 1, 3, 1.5, 0.5, -1, -2, 0, np.inf, -np.inf]
MATRICES = [None, "fro", 1, -1, np.inf, -np.inf]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("order", VECTORS)
def test_norms_of_vectors(order, keepdims):
    for shape, axis in (((5,), None), ((3, 4), 0), ((3, 4), -1), ((2, 3, 4), (1,)), ((3, 4), None)):
        if shape == (3, 4) and axis is None and order is not None:
            continue
        x = away_from_zero(shape)
        of_numpy = axis[0] if isinstance(axis, tuple) else axis
        expected = np.linalg.norm(x, order, of_numpy, keepdims)
        check_norm(lambda x, a=axis: cr.linalg.norm(x, order, a, keepdims), x, expected, order)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("order", MATRICES)
def test_norms_of_matrices(order, keepdims):
    for shape, axes in (
        ((3, 4), None),
        ((3, 4), (1, 0)),
        ((2, 3, 4), (-1, 0)),
        ((2, 3, 4), (0, 1)),
    ):
        x = away_from_zero(shape)
        expected = np.linalg.norm(x, order, axes, keepdims)
        check_norm(lambda x, a=axes: cr.linalg.norm(x, order, a, keepdims), x, expected, order)


def away_from_zero(shape):
    return RANDOM.uniform(0.5, 2, shape) * RANDOM.choice([-1.0, 1.0], shape)


def check_norm(function, x, expected, order):
    found = function(cr.tensor(x))
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    assert function(cr.placeholder(x.shape, x.dtype)).shape == found.shape
    (native,) = run_native(function, x)
    np.testing.assert_allclose(native, expected, rtol=1e-12)
    if order != 0:
        check_gradient(function, x, rtol=1e-5)


def test_norms_of_the_array_api():
    x = away_from_zero((2, 3, 4))
    for axis in (None, 0, -1, (0, 2), [1]):
        for order in (2, 1, 3, np.inf):
            of_numpy = tuple(axis) if isinstance(axis, list) else axis
            expected = np.linalg.vector_norm(x, axis=of_numpy, keepdims=True, ord=order)
            found = cr.linalg.vector_norm(x, axis=axis, keepdims=True, ord=order)
            np.testing.assert_allclose(found.numpy(), expected)
    for order in ("fro", 1, -1, np.inf):
        expected = np.linalg.matrix_norm(x, ord=order)
        np.testing.assert_allclose(cr.linalg.matrix_norm(x, ord=order).numpy(), expected)
    check_gradient(lambda x: cr.linalg.vector_norm(x, axis=(0, 1)), x, rtol=1e-5)


def test_norms_take_pytorchs_order_of_arguments():
    x = away_from_zero((2, 3, 4))
    a = torch.tensor(x)
    for arguments in [(1,), (3, 1), (np.inf, (0, 2)), (2, -1, True)]:
        expected = torch.linalg.vector_norm(a, *arguments)
        np.testing.assert_allclose(cr.linalg.vector_norm(x, *arguments).numpy(), expected)
    for arguments in [(1,), (np.inf, (0, 2)), ("fro", (2, 0), True)]:
        expected = torch.linalg.matrix_norm(a, *arguments)
        np.testing.assert_allclose(cr.linalg.matrix_norm(x, *arguments).numpy(), expected)


def test_a_matrix_has_no_norm_of_order_2_and_the_remedies_give_both():
    x = away_from_zero((3, 4))
    with pytest.raises(NotImplementedError, match=r"cr\.linalg\.vector_norm\(x, ord\)"):
        cr.linalg.norm(x, 2)
    np.testing.assert_allclose(cr.linalg.vector_norm(x, 2).numpy(), torch.norm(torch.tensor(x), 2))


@pytest.mark.parametrize("order", [2, 1, 3, 1.5])
def test_the_derivatives_of_a_norm_at_0_are_0(order):
    zero = np.zeros(3)
    x = cr.tensor(zero, requires_grad=True)
    a = torch.tensor(zero, requires_grad=True)
    torch.linalg.vector_norm(a, order).backward()
    gradient = cr.grad(cr.linalg.norm(x, order), x)
    np.testing.assert_array_equal(gradient.numpy(), a.grad)
    assert not gradient.numpy().any()
    assert not cr.hessian(lambda v: cr.linalg.norm(v, order), zero).numpy().any()
    rows = cr.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    gradient = cr.grad(cr.linalg.norm(rows, axis=1).sum(), rows)
    np.testing.assert_allclose(gradient.numpy(), [[0, 0], [0.6, 0.8]], rtol=1e-6)


def test_squares_of_a_norm_neither_overflow_nor_vanish():
    for scale in (1e30, 1e-30):
        x = cr.tensor(np.array([3.0, 4.0], np.float32) * np.float32(scale), requires_grad=True)
        y = cr.linalg.norm(x)
        assert y.item() == pytest.approx(5 * scale, rel=1e-6)
        np.testing.assert_allclose(cr.grad(y, x).numpy(), [0.6, 0.8], rtol=1e-6)
    assert cr.linalg.norm(cr.tensor([np.inf, 1.0])).item() == np.inf
    assert np.isnan(cr.linalg.norm(cr.tensor([np.nan, 1.0])).item())
    for order in VECTORS[:6]:
        assert cr.linalg.norm(np.ones((0,)), order).item() == 0


def test_what_norms_refuse():
    x = cr.tensor(np.ones((2, 3, 4)))
    with pytest.raises(NotImplementedError, match="singular values"):
        cr.linalg.norm(x[0], "nuc")
    with pytest.raises(NotImplementedError, match="singular values"):
        cr.linalg.norm(x[0], 2)
    with pytest.raises(cr.ShapeError, match="give the axis"):
        cr.linalg.norm(x, 1)
    with pytest.raises(cr.ShapeError, match="one axis or two"):
        cr.linalg.norm(x, None, (0, 1, 2))
    with pytest.raises(ValueError, match="vectors have no order 'nuc'"):
        cr.linalg.norm(x[0, 0], "nuc")
    with pytest.raises(ValueError, match="matrices have no order 3"):
        cr.linalg.norm(x[0], 3)


@pytest.mark.parametrize("name", ["inv", "det", "slogdet", "cholesky", "eigh", "eigvalsh"])
def test_matrices_must_be_square(name):
    function = getattr(cr.linalg, name)
    for shape in ((2, 3), (3,), ()):
        for x in (cr.tensor(np.ones(shape)), cr.placeholder(shape)):
            with pytest.raises(cr.ShapeError, match=f"{name} takes square matrices"):
                function(x)
    found = function(cr.tensor([[2]]))
    assert (found[0] if isinstance(found, tuple) else found).dtype == np.float32  # of integers


def test_right_sides_must_fit():
    a = cr.tensor(np.ones((2, 3, 3)))
    for shape in ((2,), (2, 2), (4, 3, 1)):
        for b in (cr.tensor(np.ones(shape)), cr.placeholder(shape, "float64")):
            with pytest.raises(cr.ShapeError, match="solve"):
                cr.linalg.solve(a, b)


@pytest.mark.parametrize("name", ["inv", "det", "cholesky", "pinv", "eigvalsh"])
def test_the_native_core_says_why_it_refuses(name):
    with pytest.raises(UnsupportedError, match="has no factorisations of matrices"):
        run_native(getattr(cr.linalg, name), np.eye(2))


def test_a_power_multiplies_no_more_than_it_needs():
    x = cr.tensor([[1e15, 0.0], [0.0, 1e15]])
    assert cr.linalg.matrix_power(x, 1) is x
    with np.errstate(over="raise"):
        found = cr.linalg.matrix_power(x, 2)
    np.testing.assert_allclose(found, [[1e30, 0], [0, 1e30]], rtol=1e-6)


@pytest.mark.parametrize("offset", [-1, 0, 2])
def test_diagonals_of_stacks_are_those_of_the_last_axes(offset):
    x = RANDOM.standard_normal((2, 3, 4))
    expected = np.diagonal(x, offset, -2, -1)
    for function, value in (
        (cr.linalg.diagonal, expected),
        (cr.linalg.trace, expected.sum(-1)),
    ):
        np.testing.assert_allclose(function(x, offset=offset), value)
        (native,) = run_native(lambda t, f=function: f(t, offset), x)
        np.testing.assert_allclose(native, value)
        check_gradient(lambda t, f=function: f(t, offset), x)
    assert cr.linalg.trace(x.astype("float32"), dtype="float64").dtype == np.float64


def test_infinities_of_a_matrix_make_its_eigenvalues_nan_without_a_warning():
    x = np.diag([np.inf, 1.0])
    assert cr.linalg.eigvalsh(cr.tensor(x)).isnan().all()
