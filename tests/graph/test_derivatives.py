"""value_and_grad, vjp, jvp, jacobian and hessian, against closed forms and against PyTorch."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.trees import leaves

RANDOM = np.random.default_rng(9)
A = RANDOM.standard_normal((3, 4))
X = RANDOM.standard_normal(4)


def test_value_and_grad():
    f = cr.value_and_grad(lambda x, w, scale=1.0: (x * w).sum() * scale, argnums=(1, 0))
    value, (dw, dx) = f(cr.tensor([1.0, 2.0]), np.array([3.0, 4.0], "f4"), scale=10.0)
    assert value.item() == 110
    assert (dw.tolist(), dx.tolist()) == ([10, 20], [30, 40])


def test_equal_dicts_have_equal_leaves():
    assert list(leaves({1: "x", "1": "y"})) == list(leaves({"1": "y", 1: "x"})) == ["x", "y"]


def test_value_and_grad_of_a_parameter_and_of_a_number():
    p = cr.Parameter([1.0, 3.0])
    assert cr.value_and_grad(lambda p: (p * p).sum())(p)[1].tolist() == [2, 6]
    assert cr.value_and_grad(lambda x: x * x)(3.0)[1].item() == 6


@pytest.mark.parametrize("compiled", [False, True])
def test_inside_no_grad_derivatives_are_the_same_constants(compiled):
    w = cr.Parameter(RANDOM.standard_normal((4, 4)))

    def f(x):
        return (cr.sin(w @ x) * x * x).sum()

    def derivatives(x):
        y, dx = cr.value_and_grad(f)(x)
        several = cr.value_and_grad(lambda a, b: f(a) * f(b), argnums=[0, 1])(x, 2.0 * x)[1]
        of_vectors = [g(lambda x: w @ x * x, x, X) for g in (cr.vjp, cr.jvp)]
        return [y, dx, several, of_vectors, cr.jacobian(lambda x: w @ x * x, x), cr.hessian(f, x)]

    x = cr.tensor(X)
    expected = list(leaves(derivatives(x)))
    with cr.no_grad():
        found = list(leaves((cr.compile(derivatives) if compiled else derivatives)(x)))
    for ours, outside in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), outside.numpy(), rtol=1e-12)
        assert np.abs(outside.numpy()).max() > 0.01
        assert not ours.requires_grad and outside.requires_grad


@pytest.mark.parametrize("compiled", [False, True])
def test_what_is_computed_inside_no_grad_has_no_gradient_there(compiled):
    w, other = cr.Parameter([1.0, 2.0]), cr.Parameter([3.0])

    def inside():
        with cr.no_grad():
            return cr.grad((w * w).sum(), w)

    def outside():
        z = (w * w).sum()
        with cr.no_grad():
            return cr.grad(z, [w, other])

    with pytest.raises(ValueError, match=r"no gradient, and no graph is kept inside no_grad"):
        (cr.compile(inside) if compiled else inside)()
    found = (cr.compile(outside) if compiled else outside)()
    assert [t.tolist() for t in found] == [[2.0, 4.0], [0.0]]


@pytest.mark.parametrize("of", ["array", "parameter", "compiled"])
def test_an_argument_counts_where_the_function_takes_it_alone(of):
    """d/da and d/db of a^2 b, though b is 2 a, a itself, or a is read from outside."""

    def derivatives(x):
        def f(a, b):
            return (a * a * b).sum()

        def both(a, b):
            return cr.value_and_grad(f, argnums=(0, 1))(a, b)[1]

        outside = cr.value_and_grad(lambda a: (a * a * x).sum())(x)[1]
        products = [g(lambda a: a * a * x, x, cr.ones(2))[1] for g in (cr.vjp, cr.jvp)]
        return [both(x, 2.0 * x), both(x, x), outside, products, cr.jacobian(lambda a: a * x, x)]

    x = np.array([1.0, 3.0], "f4")
    if of == "compiled":
        found = cr.compile(derivatives)(x)
    else:
        found = derivatives(cr.Parameter(x) if of == "parameter" else cr.tensor(x))
    once = [(2.0 * x * x).tolist(), (x * x).tolist()]
    twice, diagonal = [(4.0 * x * x).tolist(), once[1]], np.diag(x).tolist()
    expected = [*twice, *once, once[0], once[0], once[0], diagonal]
    assert [t.tolist() for t in leaves(found)] == expected


def test_the_gradient_by_an_argument_is_part_of_the_graph():
    p = cr.Parameter([1.0, 2.0])

    def second(x):
        return cr.grad(cr.value_and_grad(lambda a: (a * a * a).sum())(x)[1].sum(), x)

    assert second(p).tolist() == cr.compile(second)(np.float32([1, 2])).tolist() == [6.0, 12.0]


@pytest.mark.parametrize("compiled", [False, True])
def test_what_the_function_computes_inside_no_grad_is_a_constant(compiled):
    """In a compiled function, too, whose arguments require no gradient."""

    def f(x):
        with cr.no_grad():
            factor = 2.0 * x
        return (factor * x).sum()

    def derivatives(x):
        of_outer = cr.value_and_grad(lambda a: cr.value_and_grad(f)(a)[1].sum())(x)[1]
        return cr.value_and_grad(f)(x)[1], cr.vjp(f, x, 1.0)[1], cr.hessian(f, x), of_outer

    found = (cr.compile(derivatives) if compiled else derivatives)(cr.tensor([1.0, 3.0]))
    assert [t.tolist() for t in found] == [[2.0, 6.0], [2.0, 6.0], [[0.0] * 2] * 2, [0.0] * 2]


def test_derivatives_by_the_value_of_a_buffer_that_a_graph_reads():
    buffer = cr.Buffer([1.0, 2.0])
    compiled = cr.compile(lambda: cr.value_and_grad(lambda x: (x * x).sum())(buffer)[1])
    assert compiled().tolist() == [2.0, 4.0]


def test_a_function_of_integers_has_no_gradient():
    with pytest.raises(cr.DTypeError, match="only floating"):
        cr.value_and_grad(lambda x: (x * 1.0).sum())(cr.tensor([1, 2]))
    with pytest.raises(cr.DTypeError, match="only floating"):
        cr.compile(cr.value_and_grad(lambda x: (x * 1.0).sum()))(np.array([1, 2]))


def test_jacobian_of_a_linear_map_is_its_matrix():
    np.testing.assert_allclose(cr.jacobian(lambda x: A @ x, X).numpy(), A, rtol=1e-15)


def test_jacobian_shapes():
    assert cr.jacobian(lambda x: x.sum(), np.ones((2, 3))).shape == (2, 3)
    assert cr.jacobian(lambda x: cr.stack([x, x]), np.ones(())).shape == (2,)
    assert cr.jacobian(lambda x: x[:, None] * x, np.ones(3)).shape == (3, 3, 3)
    assert cr.jacobian(lambda x: x[:0], np.ones(3)).shape == (0, 3)
    assert cr.jacobian(lambda x: cr.tensor(np.ones(2)), np.ones(3)).tolist() == [[0] * 3] * 2


def test_hessian_of_a_quadratic_form():
    # x' B x has the Hessian B + B'
    B = RANDOM.standard_normal((4, 4))
    found = cr.hessian(lambda x: x @ (B @ x), X).numpy()
    np.testing.assert_allclose(found, B + B.T, rtol=1e-13)


def test_hessian_of_a_linear_function_is_zero():
    np.testing.assert_array_equal(
        cr.hessian(lambda x: (x * 3.0).sum(), X).numpy(), np.zeros((4, 4))
    )


def test_hessian_of_rosenbrock():
    def rosenbrock(x):
        return (1.0 - x[0]) ** 2 + 100.0 * (x[1] - x[0] ** 2) ** 2

    x, y = -1.2, 1.0
    expected = [[2 - 400 * (y - 3 * x * x), -400 * x], [-400 * x, 200]]
    np.testing.assert_allclose(
        cr.hessian(rosenbrock, np.array([x, y])).numpy(), expected, rtol=1e-13
    )


def test_vjp_and_jvp_are_products_with_the_jacobian():
    def f(x):
        return cr.tanh(A @ x)

    jacobian = (1 - np.tanh(A @ X) ** 2)[:, None] * A
    u, v = RANDOM.standard_normal(3), RANDOM.standard_normal(4)
    y, product = cr.vjp(f, X, u)
    np.testing.assert_allclose(y.numpy(), np.tanh(A @ X), rtol=1e-15)
    np.testing.assert_allclose(product.numpy(), u @ jacobian, rtol=1e-13)
    y, product = cr.jvp(f, X, v)
    np.testing.assert_allclose(y.numpy(), np.tanh(A @ X), rtol=1e-15)
    np.testing.assert_allclose(product.numpy(), jacobian @ v, rtol=1e-13)


def test_jvp_of_a_constant_is_zero():
    _, product = cr.jvp(lambda x: cr.tensor(np.ones(2)), X, X)
    assert product.tolist() == [0, 0]


def test_jvp_refuses_another_shape():
    with pytest.raises(cr.ShapeError, match=r"jvp: v has shape \(3,\), x has \(4,\)"):
        cr.jvp(cr.tanh, X, np.ones(3))
    with pytest.raises(cr.ShapeError, match="grad_output has shape"):
        cr.vjp(cr.tanh, X, np.ones(3))


def test_derivatives_of_tanh_to_the_third():
    x = cr.tensor(2.0, "float64", requires_grad=True)
    t = math.tanh(2.0)
    y = cr.tanh(x)
    for expected in (1 - t**2, -2 * t * (1 - t**2), (6 * t**2 - 2) * (1 - t**2)):
        y = cr.grad(y, x)
        assert y.item() == pytest.approx(expected, rel=1e-12)


def test_they_work_on_placeholders_too():
    def f(x):
        return cr.jacobian(cr.tanh, x), cr.hessian(lambda x: (x * x * x).sum(), x)

    found = cr.capture(f, X)(X)
    np.testing.assert_allclose(found[0], np.diag(1 - np.tanh(X) ** 2), rtol=1e-13)
    np.testing.assert_allclose(found[1], np.diag(6 * X), rtol=1e-13)


def test_against_torch():
    torch = pytest.importorskip("torch")
    from torch.autograd import functional

    def network(lib, a):
        return lambda x: lib.softmax(lib.tanh(a @ x), -1)

    ours, theirs = network(cr, A), network(torch, torch.tensor(A))
    t = torch.tensor(X)
    u, v = RANDOM.standard_normal(3), RANDOM.standard_normal(4)
    pairs = [
        (cr.jacobian(ours, X), functional.jacobian(theirs, t)),
        (
            cr.hessian(lambda x: ours(x)[0], X),
            functional.hessian(lambda x: theirs(x)[0], t),
        ),
        (cr.vjp(ours, X, u)[1], functional.vjp(theirs, t, torch.tensor(u))[1]),
        (cr.jvp(ours, X, v)[1], functional.jvp(theirs, t, torch.tensor(v))[1]),
    ]
    for mine, reference in pairs:
        np.testing.assert_allclose(mine.numpy(), reference.numpy(), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(
    "derive",
    [
        lambda f: cr.jacobian(f, X),
        lambda f: cr.hessian(f, X),
        lambda f: cr.vjp(f, X, X),
        lambda f: cr.jvp(f, X, X),
        lambda f: cr.value_and_grad(f)(X),
    ],
)
def test_a_function_that_returns_no_tensor_is_refused_with_the_remedy(derive):
    for function, remedy in (
        (lambda x: (x.sum(), x), "one Tensor, not tuple: return the one to differentiate"),
        (lambda x: x.sum().item(), r"one Tensor, not float: .* without item\(\)"),
        (lambda x: None, "one Tensor, not NoneType"),
    ):
        with pytest.raises(TypeError, match=remedy):
            derive(function)
    with pytest.raises(TypeError, match="what is differentiated is a function of Tensors -> a T"):
        derive(cr.tensor(X).sum())  # as in cr.grad(y, x)


def test_a_tuple_of_numpys_numbers_is_a_variable():
    for x in ((np.float64(1), np.float64(2)), [np.float64(1), 2.0], (1.0, 2.0)):
        assert cr.hessian(lambda x: (x * x * x).sum(), x).tolist() == [[6, 0], [0, 12]]
        assert cr.jacobian(lambda x: x * x, x).tolist() == [[2, 0], [0, 4]]
        assert cr.vjp(lambda x: x * x, x, x)[1].tolist() == [2, 8]
        assert cr.jvp(lambda x: x * x, x, x)[1].tolist() == [2, 8]
        assert cr.value_and_grad(lambda x: (x * x).sum())(x)[1].tolist() == [2, 4]


def test_a_tuple_of_arrays_is_no_variable():
    """JAX's and PyTorch's way to pass arguments would be taken for a stack of one."""
    for x in ((np.ones(2),), (cr.ones(2), cr.ones(2))):
        for derive in (
            lambda x: cr.jvp(cr.sum, x, x),
            lambda x: cr.vjp(cr.sum, x, 1.0),
            lambda x: cr.jacobian(cr.sum, x),
            lambda x: cr.value_and_grad(cr.sum)(x),
        ):
            with pytest.raises(TypeError, match="one Tensor or array, not a tuple of these"):
                derive(x)
    assert cr.jacobian(cr.sum, (1.0, 2.0)).tolist() == [1.0, 1.0]


def test_argnums_beyond_the_arguments():
    for argnums in (2, -3, (0, 2)):
        with pytest.raises(TypeError, match=r"argnums .* the call has 2 of these"):
            cr.value_and_grad(lambda a, b: (a * b).sum(), argnums)([1.0], [2.0])


def test_a_dict_or_a_model_is_no_variable():
    for given, tensors in (
        ({"w": cr.tensor(1.0)}, "tensors"),
        (cr.nn.Linear(1, 1), r"dict\(model.named_parameters\(\)\)"),
    ):
        for derive in (cr.jacobian, cr.hessian, lambda f, x: cr.value_and_grad(f)(x)):
            with pytest.raises(TypeError, match=rf"not (dict|Linear).* cr.grad\(loss, {tensors}\)"):
                derive(lambda x: x, given)


def test_a_vector_has_no_hessian_and_no_gradient():
    x = cr.tensor([1.0, 2.0])
    with pytest.raises(cr.ShapeError, match=r"hessian .* scalar, not of shape \(2,\): .*jacobian"):
        cr.hessian(lambda x: x**3, x)
    with pytest.raises(cr.ShapeError, match=r"value_and_grad .* scalar.* cr.jacobian"):
        cr.value_and_grad(lambda x: x**3)(x)
    second = cr.jacobian(lambda x: cr.jacobian(lambda x: x**3, x), x)  # as the error says
    assert second.tolist() == [[[6, 0], [0, 0]], [[0, 0], [0, 12]]]
