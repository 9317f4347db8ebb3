"""Operations of a user's own: what they may do, and what is said of their mistakes."""

import copy
import functools
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.compiler.elementwise import UnsupportedError
from chainrule.testing import check_gradient, check_operation


@cr.custom_operation(infer=lambda x: (x.shape, x.dtype))
def cube_root(x):
    return np.cbrt(x)


cube_root.differentiable(lambda g, y, x: g / (3.0 * y * y))


@cr.custom_operation(infer=lambda x, w, scale=1.0: (x.shape[:1], x.dtype))
def scores(x, w, scale=1.0):
    return ((x @ w) * scale).astype(x.dtype)


scores.differentiable(
    lambda g, y, x, w, scale=1.0: cr.outer(g, w) * scale,
    lambda g, y, x, w, scale=1.0: (x.T @ g) * scale,
)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.activation = cube_root

    def forward(self, x):
        return self.activation(self.linear(x))


def doubling(*rules, infer=None):
    """An operation defined anew, as by a cell that is run again."""

    @cr.custom_operation(infer=infer)
    def doubled(x):
        return x * 2

    if rules:
        doubled.differentiable(*rules)
    return doubled


def test_gradients_to_second_order_are_those_of_finite_differences():
    check_gradient(cube_root, [1.0, -2.0])
    check_gradient(lambda x, w: scores(x, w, scale=3.0), np.ones((3, 2)), [0.5, -1.0])


@pytest.mark.parametrize("given", [8.0, [1.0, 8.0], np.ones((2, 3), np.float32)])
def test_it_takes_numbers_lists_and_arrays(given):
    np.testing.assert_allclose(cube_root(given), np.cbrt(given), rtol=1e-6)
    assert cube_root(given).dtype == np.float32


def test_the_reference_backend_runs_it():
    x = np.array([1.0, 8.0])
    run = cr.compile(lambda x: cr.grad(cube_root(x).sum(), x), backend="reference")
    np.testing.assert_allclose(run(x), 1 / (3 * np.cbrt(x) ** 2), rtol=1e-12)
    x, y = np.ones((4, 2), np.float32), np.ones((4, 2), np.float32)
    cr.manual_seed(0)
    model = Model()
    eager = copy.deepcopy(model)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    trainer = cr.Trainer(model, nn.MSELoss(), optimizer, backend="reference")
    trainer.fit(x, y, epochs=1, batch_size=4, shuffle=False, progress=False)
    optimizer = optim.SGD(eager.parameters(), lr=0.1)
    nn.MSELoss()(eager(cr.tensor(x)), cr.tensor(y)).backward()
    optimizer.step()
    np.testing.assert_allclose(model.linear.weight, eager.linear.weight, rtol=1e-6)


def test_the_native_core_refuses_it():
    with pytest.raises(UnsupportedError, match=r"cube_root .*of your own.*'reference'"):
        cr.compile(cube_root)(np.ones(2))


def test_operations_of_one_name_are_several():
    def times(factor):
        return cr.custom_operation(infer=lambda x, by: x)(lambda x, by: x * factor * by[0])

    with pytest.raises(UnsupportedError, match="of your own"):
        cr.compile(lambda x: times(2.0)(x, by=[1.0, 2.0]))(np.ones(2))
    network = cr.capture(lambda x: times(2.0)(x, by=[1.0]) + times(3.0)(x, by=[1.0]), np.ones(2))
    assert network(np.ones(2)).tolist() == [5.0, 5.0]
    step = cr.compile(
        lambda x: times(2.0)(x, by=[1.0]) + times(3.0)(x, by=[1.0]), backend="reference"
    )
    assert step(np.ones(2)).tolist() == [5.0, 5.0]


def test_a_compiled_function_notices_other_rules():
    factor = [1.0]
    doubled = doubling(lambda g, y, x: factor[0] * g, infer=lambda x: x)
    w = cr.Parameter([1.0, 1.0])
    gradient = cr.compile(lambda: cr.grad(doubled(w).sum(), w), backend="reference")
    assert gradient().tolist() == [1.0, 1.0]
    factor[0] = 5.0
    assert gradient().tolist() == [5.0, 5.0]
    doubled.differentiable(lambda g, y, x: 2.0 * g)
    assert gradient().tolist() == [2.0, 2.0]


def test_a_model_with_it_is_copied_pickled_and_looked_at():
    model = Model()
    assert copy.deepcopy(model).activation is cube_root
    assert pickle.loads(pickle.dumps(model)).activation is cube_root
    assert "cube_root" in repr(cube_root)
    assert "Linear" in str(cr.summary(model, (2,)))
    assert str(cr.explain(model, np.ones((1, 2)), np.ones((1, 2)), nn.MSELoss()))


def test_it_can_be_defined_again():
    x = cr.tensor(3.0, requires_grad=True)
    for factor in (2.0, 5.0):
        assert cr.grad(doubling(lambda g, y, x, f=factor: g * f)(x), x).item() == factor


def test_what_a_rule_may_return():
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    assert cr.grad(doubling(None)(x).sum(), x).tolist() == [0.0, 0.0]
    cast = cr.grad(doubling(lambda g, y, x: g.astype("float64") * 2)(x).sum(), x)
    assert cast.dtype == np.float32 and cast.tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("rules", "error", "message"),
    [
        ((), TypeError, "doubled has no gradient: declare one by doubled.differentiable"),
        ((None, None), TypeError, "doubled has 1 inputs and 2 rules"),
        ((lambda g, y, x: g.sum(),), cr.ShapeError, r"doubled for input 0 .* \(\); .* \(2,\)"),
        ((lambda g, y, x: np.ones(2),), TypeError, "doubled for input 0 returned ndarray"),
        ((lambda g, y, x: g > 0,), cr.DTypeError, "doubled .* of bool"),
    ],
)
def test_a_rule_that_is_missing_or_wrong_is_refused(rules, error, message):
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    y = doubling(*rules)(x).sum()
    with pytest.raises(error, match=message):
        cr.grad(y, x)
    with pytest.raises(error, match=message):
        y.backward()


def test_a_rule_for_each_input_is_asked_for():
    @cr.custom_operation
    def times(x, w):
        return x * w

    times.differentiable(lambda g, y, x, w: g * w)
    x, w = cr.tensor(2.0, requires_grad=True), cr.tensor(3.0, requires_grad=True)
    with pytest.raises(TypeError, match="times has 2 inputs and 1 rules"):
        cr.grad(times(x, w), [x, w])


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_graph_needs_infer(backend):
    with pytest.raises(cr.SymbolicError, match=r"doubled .*pass infer"):
        cr.compile(doubling(), backend=backend)(np.ones(2))


@pytest.mark.parametrize(
    ("infer", "error", "message"),
    [
        (lambda x: (3, x.dtype), cr.ShapeError, r"doubled returned shape \(2,\).*\(3,\)"),
        (lambda x: (x.shape, "float32"), cr.DTypeError, "doubled returned float64.*float32"),
        (lambda x: x.shape, TypeError, r"infer of operation doubled returned \(2,\)"),
        (lambda x: (2, 3), TypeError, r"infer of operation doubled returned \(2, 3\)"),
    ],
)
def test_what_is_not_as_infer_says_is_refused(infer, error, message):
    op = doubling(infer=infer)
    with pytest.raises(error, match=message):
        op(np.ones(2))
    with pytest.raises(error, match=message):
        cr.compile(op, backend="reference")(np.ones(2))


def test_infer_may_return_an_input():
    op = doubling(infer=lambda x: x)
    assert cr.compile(op, backend="reference")(np.ones(2)).tolist() == [2.0, 2.0]


def test_a_function_that_writes_or_returns_no_array_is_refused():
    @cr.custom_operation
    def writes(x):
        x += 1
        return x

    @cr.custom_operation
    def parts(x):
        return x, x

    with pytest.raises(ValueError, match="read-only"):
        writes(np.ones(2))
    with pytest.raises(TypeError, match="parts returned tuple: an operation has one array"):
        parts(np.ones(2))


def test_the_result_has_memory_of_its_own():
    buffer = np.ones(2)
    y = cr.custom_operation(lambda x: buffer)(1.0)
    buffer[:] = 7
    assert y.tolist() == [1.0, 1.0]


def test_names_and_arguments_that_can_not_be():
    def tanh(x):
        return x

    def constant(x):
        return x

    for function in (tanh, constant):
        with pytest.raises(ValueError, match="give the function another name"):
            cr.custom_operation(function)
    with pytest.raises(TypeError, match="a function with a name"):
        cr.custom_operation(functools.partial(np.power, 2.0))
    with pytest.raises(TypeError, match="scale is a Tensor"):
        scores(np.ones((3, 2)), np.ones(2), scale=cr.tensor(2.0))
    with pytest.raises(AssertionError, match=r"no samples .*check_gradient"):
        check_operation(cube_root)


@pytest.mark.parametrize("rules", [(), (3,), (lambda g, y, x: g, "x")])
def test_rules_are_functions(rules):
    """Without one a graph would not be kept, and gradients be 0."""
    with pytest.raises(TypeError, match=r"doubled\.differentiable takes a function for each input"):
        doubling().differentiable(*rules)
