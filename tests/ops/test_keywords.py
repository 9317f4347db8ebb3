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
