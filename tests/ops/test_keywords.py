"""Arguments under NumPy's and PyTorch's names: `axis` and `dim`, `keepdims` and `keepdim`."""

import inspect

import numpy as np
import pytest

import chainrule as cr
from chainrule.nn import functional

A = np.random.default_rng(0).uniform(0.5, 1, (2, 4))
OTHER = {"axis": "dim", "keepdims": "keepdim", "dim": "axis", "keepdim": "keepdims"}


def cases(module, names):
    for name in names:
        function = getattr(module, name)
        if callable(function) and not isinstance(function, type):
            try:
                parameters = inspect.signature(function).parameters
            except ValueError:
                continue
            for own in OTHER.keys() & parameters.keys():
                yield pytest.param(function, own, id=f"{module.__name__}.{name}-{own}")


CASES = [*cases(cr, cr.ops.__all__), *cases(functional, functional.__all__)]


@pytest.mark.parametrize(("function", "own"), CASES)
def test_every_function_takes_both_names_but_not_at_once(function, own):
    with pytest.raises(TypeError, match="two names of one argument; give one of them"):
        function(A, **{own: 0, OTHER[own]: 0})
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'dimension'|missing"):
        function(A, dimension=0)


@pytest.mark.parametrize(
    "name", [n for n, f in vars(cr.graph.methods.TensorMethods).items() if callable(f)]
)
def test_every_method_takes_both_names(name):
    method = getattr(cr.Tensor, name)
    for own in OTHER.keys() & inspect.signature(method).parameters.keys():
        with pytest.raises(TypeError, match="two names of one argument"):
            method(cr.tensor(A), **{own: 0, OTHER[own]: 0})


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "std", "var", "logsumexp"])
def test_reductions_take_pytorchs_names(name):
    x = cr.tensor(A)
    expected = getattr(cr, name)(x, 1, True).numpy()
    for call in (
        lambda: getattr(cr, name)(x, dim=1, keepdim=True),
        lambda: getattr(cr, name)(input=x, dim=1, keepdims=True),
        lambda: getattr(cr, name)(a=x, axis=1, keepdim=True),
        lambda: getattr(x, name)(dim=1, keepdim=True),
        lambda: getattr(x, name)(1, keepdim=True),
    ):
        np.testing.assert_array_equal(call().numpy(), expected)


def test_functions_of_nn_take_numpys_names():
    x = cr.tensor(A)
    for function in (functional.softmax, functional.log_softmax, functional.glu):
        expected = function(x, dim=1).numpy()
        np.testing.assert_array_equal(function(x, axis=1).numpy(), expected)
        np.testing.assert_array_equal(function(a=x, axis=1).numpy(), expected)
    assert functional.leaky_relu(x=-2.0).item() == pytest.approx(-0.02)


def test_a_position_and_a_name_for_one_argument_are_refused():
    with pytest.raises(TypeError, match="multiple values for argument 'axis'"):
        cr.sum(A, 0, dim=1)


def test_numpys_ddof_is_the_correction():
    for name in ("std", "var"):
        expected = getattr(np, name)(A, 1, ddof=1)
        np.testing.assert_allclose(getattr(cr, name)(A, axis=1, ddof=1).numpy(), expected)
        np.testing.assert_allclose(getattr(cr.tensor(A), name)(1, ddof=1).numpy(), expected)
        np.testing.assert_allclose(getattr(cr, name)(A, dim=1, unbiased=True).numpy(), expected)
        biased = getattr(cr.tensor(A), name)(1, unbiased=False)
        np.testing.assert_allclose(biased.numpy(), getattr(np, name)(A, 1))


def test_joining_takes_pytorchs_names():
    x = cr.tensor(A)
    assert cr.stack([x, x], dim=1).shape == (2, 2, 4)
    assert cr.concatenate([x, x], dim=1).shape == (2, 8)
    assert [part.shape for part in cr.split(x, 2, dim=1)] == [(2, 2), (2, 2)]


X = np.asarray([[1.0, -2.0], [3.0, 4.0]], "float32")
Y = np.asarray([[5.0, 6.0], [2.0, 0.5]], "float32")
PYTORCHS_CALLS = {
    "where": lambda lib, x, y: lib.where(condition=x > 0, input=x, other=y),
    "pow": lambda lib, x, y: lib.pow(x, exponent=2),
    "x.pow": lambda lib, x, y: x.pow(exponent=2),
    "float_power": lambda lib, x, y: lib.float_power(x, exponent=2),
    "x.float_power": lambda lib, x, y: x.float_power(exponent=2),
    "outer": lambda lib, x, y: lib.outer(x[0], vec2=y[0]),
    "x.outer": lambda lib, x, y: x[0].outer(vec2=y[0]),
    "dot": lambda lib, x, y: lib.dot(x[0], tensor=y[0]),
    "x.dot": lambda lib, x, y: x[0].dot(tensor=y[0]),
    "tile": lambda lib, x, y: lib.tile(x, dims=(2, 1)),
    "x.tile": lambda lib, x, y: x.tile(dims=(2, 1)),
    "hsplit": lambda lib, x, y: lib.hsplit(x, sections=2)[1],
    "vsplit": lambda lib, x, y: lib.vsplit(x, indices=[1])[1],
    "x.diag": lambda lib, x, y: x.diag(diagonal=1),
    "x.nonzero": lambda lib, x, y: x.nonzero(as_tuple=True)[1],
    "nonzero": lambda lib, x, y: lib.nonzero(x, as_tuple=True)[1],
    "x.reshape": lambda lib, x, y: x.reshape(shape=(4, 1)),
    "zeros_like": lambda lib, x, y: 0 * lib.randn_like(input=x) + 0 * lib.rand_like(input=x),
    "alpha": lambda lib, x, y: lib.add(x, y, alpha=1),
}


@pytest.mark.parametrize("call", PYTORCHS_CALLS.values(), ids=PYTORCHS_CALLS)
def test_functions_and_methods_take_pytorchs_names(call):
    torch = pytest.importorskip("torch")
    expected = call(torch, torch.tensor(X), torch.tensor(Y))
    found = call(cr, cr.tensor(X), cr.tensor(Y))
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        (lambda x: x.nonzero(as_tuple=False), r"argwhere\(x\)"),
        (lambda x: cr.add(x, x, alpha=2), r"add\(x, alpha \* y\)"),
        (lambda x: x.subtract(x, alpha=2), r"subtract\(x, alpha \* y\)"),
        (lambda x: x.divide(2, rounding_mode="floor"), "it is x // y"),
        (lambda x: x.transpose(dim0=0, dim1=1), r"x.swapaxes\(dim0, dim1\)"),
        (lambda x: cr.transpose(x, dim0=0, dim1=1), r"x.swapaxes\(dim0, dim1\)"),
        (lambda x: cr.put(x, index=[0], source=[1.0], accumulate=True), "add_along_axis"),
    ],
)
def test_other_arguments_of_pytorch_say_what_stands_for_them(call, remedy):
    with pytest.raises(TypeError, match=remedy):
        call(cr.tensor(X))


def test_what_stands_for_an_argument_is_said_of_its_function_alone():
    for call in (
        lambda x: functional.leaky_relu(x, alpha=1),
        lambda x: cr.trace(x, dim1=0),
        lambda x: cr.std(x, out_int32=False),
    ):
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            call(cr.tensor(X))


def test_the_signature_shows_numpys_names():
    assert list(inspect.signature(cr.sum).parameters)[:3] == ["x", "axis", "keepdims"]


def test_layers_and_constraints_take_both_names():
    x = cr.tensor(A)
    for layer in (cr.nn.Softmax, cr.nn.LogSoftmax, cr.nn.GLU):
        np.testing.assert_array_equal(layer(axis=1)(x).numpy(), layer(dim=1)(x).numpy())
        with pytest.raises(TypeError, match="two names of one argument"):
            layer(axis=1, dim=1)
    parameter = cr.Parameter(A)
    assert cr.optim.MaxNorm([parameter], 1.0, dim=0).axis == 0
