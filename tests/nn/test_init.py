"""Starting values: their distributions, dtypes, shapes and seeds."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from nn_parity import torch

import chainrule as cr
from chainrule import nn

SHAPE = (200, 150)
FAN_IN, FAN_OUT = 150, 200


def drawn(function, *arguments, shape=SHAPE, dtype="float64", **keywords):
    cr.manual_seed(1)
    parameter = cr.Parameter(np.zeros(shape, dtype))
    assert function(parameter, *arguments, **keywords) is parameter
    assert parameter.dtype == dtype and parameter.shape == shape
    return parameter.numpy()


@pytest.mark.parametrize(
    ("name", "keywords", "low", "high"),
    [
        ("uniform_", {}, 0, 1),
        ("uniform_", {"a": -2.0, "b": 3.0}, -2, 3),
        ("xavier_uniform_", {"gain": 2.0}, *(s * 2 * math.sqrt(6 / 350) for s in (-1, 1))),
        ("kaiming_uniform_", {}, *(s * math.sqrt(6 / FAN_IN) for s in (-1, 1))),
        (
            "kaiming_uniform_",
            {"mode": "fan_out", "nonlinearity": "linear"},
            *(s * math.sqrt(3 / FAN_OUT) for s in (-1, 1)),
        ),
        ("lecun_uniform_", {}, *(s * math.sqrt(3 / FAN_IN) for s in (-1, 1))),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform(name, keywords, low, high, dtype):
    x = drawn(getattr(nn.init, name), dtype=dtype, **keywords)
    width = high - low
    assert low <= x.min() < low + width * 1e-3 and high - width * 1e-3 < x.max() <= high
    assert x.mean() == pytest.approx((low + high) / 2, abs=width * 0.01)
    assert x.std() == pytest.approx(width / math.sqrt(12), rel=0.01)


@pytest.mark.parametrize(
    ("name", "keywords", "mean", "std"),
    [
        ("normal_", {}, 0, 1),
        ("normal_", {"mean": 3.0, "std": 0.5}, 3, 0.5),
        ("xavier_normal_", {}, 0, math.sqrt(2 / 350)),
        ("kaiming_normal_", {"nonlinearity": "relu"}, 0, math.sqrt(2 / FAN_IN)),
        ("kaiming_normal_", {"mode": "fan_out", "a": 1.0}, 0, math.sqrt(1 / FAN_OUT)),
        ("lecun_normal_", {}, 0, math.sqrt(1 / FAN_IN)),
        ("scaled_normal_", {}, 0, math.sqrt(1 / FAN_IN)),
        ("scaled_normal_", {"scale": 0.3}, 0, 0.3),
    ],
)
def test_normal(name, keywords, mean, std):
    x = drawn(getattr(nn.init, name), **keywords)
    assert x.mean() == pytest.approx(mean, abs=std * 0.03)
    assert x.std() == pytest.approx(std, rel=0.02)


def test_fans_of_a_convolution():
    x = drawn(nn.init.kaiming_uniform_, a=1.0, shape=(16, 8, 3, 5))
    bound = math.sqrt(3 / (8 * 15))
    assert bound * 0.99 < np.abs(x).max() <= bound


@pytest.mark.parametrize("shape", [(3, 0), (0, 3), (0, 0)])
@pytest.mark.parametrize("kind", ["kaiming", "lecun", "xavier"])
@pytest.mark.parametrize("form", ["uniform", "normal"])
def test_a_weight_without_elements_stays_as_it_is(kind, form, shape):
    assert drawn(getattr(nn.init, f"{kind}_{form}_"), shape=shape).shape == shape


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (5, 2, 3)])
def test_orthogonal(shape):
    x = drawn(nn.init.orthogonal_, 2.0, shape=shape).reshape(shape[0], -1)
    if x.shape[0] > x.shape[1]:
        x = x.T
    np.testing.assert_allclose(x @ x.T, 4 * np.eye(len(x)), atol=1e-12)
    assert drawn(nn.init.orthogonal_, dtype="float32").dtype == np.float32


def test_orthogonal_has_no_preferred_signs():
    signs = [np.sign(drawn_again(i)[0, 0]) for i in range(20)]
    assert abs(sum(signs)) < 20


def drawn_again(seed):
    with cr.use_generator(cr.Generator(seed)):
        return nn.init.orthogonal_(cr.Parameter(np.zeros((3, 3)))).numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fixed_values(dtype):
    assert not drawn(nn.init.zeros_, dtype=dtype).any()
    assert (drawn(nn.init.ones_, dtype=dtype) == 1).all()
    assert (drawn(nn.init.constant_, -2.5, shape=(7,), dtype=dtype) == -2.5).all()
    np.testing.assert_array_equal(drawn(nn.init.eye_, shape=(3, 5), dtype=dtype), np.eye(3, 5))


@pytest.mark.parametrize(("mean", "std", "a", "b"), [(0, 1, -2, 2), (1, 2, 0, 9), (0, 1, 1, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_truncated_normal(mean, std, a, b, dtype):
    x = drawn(nn.init.trunc_normal_, mean, std, a, b, dtype=dtype)
    assert a <= x.min() < a + 0.01 * std and b - 0.3 * std < x.max() <= b
    # Its moments: those of the normal density cut off at alpha and beta (Johnson and Kotz 1970).
    alpha, beta = (a - mean) / std, (b - mean) / std
    normal = NormalDist()
    mass = normal.cdf(beta) - normal.cdf(alpha)
    shift = (normal.pdf(alpha) - normal.pdf(beta)) / mass
    bend = (alpha * normal.pdf(alpha) - beta * normal.pdf(beta)) / mass
    assert x.mean() == pytest.approx(mean + std * shift, abs=0.02 * std)
    assert x.var() == pytest.approx(std**2 * (1 + bend - shift**2), rel=0.03)


def test_sparse():
    x = drawn(nn.init.sparse_, 0.333, 0.5)
    zeros = x == 0
    assert (zeros.sum(axis=0) == math.ceil(0.333 * 200)).all()
    assert zeros.mean(axis=1).min() > 0.2 and zeros.mean(axis=1).max() < 0.5  # at random places
    assert x[~zeros].std() == pytest.approx(0.5, rel=0.02)
    assert abs(x[~zeros].mean()) < 0.015
    assert not drawn(nn.init.sparse_, 1.0).any()
    assert drawn(nn.init.sparse_, 0.0).all()


@pytest.mark.parametrize(
    ("name", "param"),
    [
        *((n, None) for n in ("linear", "conv2d", "sigmoid", "tanh", "relu", "selu", "leaky_relu")),
        ("leaky_relu", 0.3),
        ("leaky_relu", 0),
    ],
)
def test_gains_are_pytorchs(name, param):
    assert nn.init.calculate_gain(name, param) == torch.nn.init.calculate_gain(name, param)


def test_a_seed_and_a_generator_decide():
    first = drawn(nn.init.normal_)
    assert np.array_equal(first, drawn(nn.init.normal_))
    with cr.use_generator(cr.Generator(1)):
        again = nn.init.normal_(cr.Parameter(np.zeros(SHAPE))).numpy()
    assert np.array_equal(first, again)


def test_refused():
    with pytest.raises(cr.ShapeError, match=r"\(3,\); use uniform_"):
        nn.init.xavier_uniform_(cr.Parameter(np.zeros(3)))
    with pytest.raises(ValueError, match="fan_in"):
        nn.init.kaiming_normal_(cr.Parameter(np.zeros((3, 3))), mode="fan")
    for function in (nn.init.eye_, nn.init.sparse_):
        arguments = (0.5,) if function is nn.init.sparse_ else ()
        with pytest.raises(cr.ShapeError, match=r"matrix, not shape \(2, 2, 2\)"):
            function(cr.Parameter(np.zeros((2, 2, 2))), *arguments)
    with pytest.raises(ValueError, match=r"\[0, 1\], got 1.5"):
        nn.init.sparse_(cr.Parameter(np.zeros((3, 3))), 1.5)
    for a, b in [(5.0, 6.0), (2.0, -2.0), (float("nan"), 1.0)]:
        with pytest.raises(ValueError, match="nearer to the mean"):
            nn.init.trunc_normal_(cr.Parameter(np.zeros(3)), a=a, b=b)
    with pytest.raises(ValueError, match="std is positive, got 0"):
        nn.init.trunc_normal_(cr.Parameter(np.zeros(3)), std=0)
    with pytest.raises(ValueError, match="std is not negative, got -1"):
        nn.init.normal_(cr.Parameter(np.zeros(3)), 0, -1)
    with pytest.raises(ValueError, match="a is at most b, got 1 and 0"):
        nn.init.uniform_(cr.Parameter(np.zeros(3)), 1, 0)
    with pytest.raises(ValueError, match="gelu"):
        nn.init.calculate_gain("gelu")


def test_weights_init_of_pytorchs_tutorial():
    """By `data`, as every tutorial on generative networks writes it."""
    layer = nn.Linear(200, 50)
    nn.init.normal_(layer.weight.data, 3.0, 0.02)
    nn.init.constant_(layer.bias.data, 2)
    assert abs(layer.weight.numpy().mean() - 3) < 0.01
    assert layer.bias.tolist() == [2.0] * 50


@pytest.mark.parametrize(
    "name", [n for n in dir(nn.init) if n.endswith("_") and not n.startswith("_")]
)
def test_a_tensor_that_keeps_its_values_is_refused(name):
    more = [0.5] if name in ("constant_", "sparse_") else []
    shape = (2, 2, 1) if name == "dirac_" else (2, 2)
    with pytest.raises(TypeError, match="a Tensor keeps its own"):
        getattr(nn.init, name)(cr.ones(shape), *more)


@pytest.mark.parametrize("name", ["uniform_", "normal_", "trunc_normal_", "xavier_uniform_",
    "xavier_normal_", "kaiming_uniform_", "kaiming_normal_", "orthogonal_", "sparse_"])  # fmt: skip
def test_numbers_come_from_the_generator_that_is_given(name):
    more = [0.5] if name == "sparse_" else []
    one, two = (
        getattr(nn.init, name)(cr.Parameter(np.zeros((4, 5))), *more, generator=cr.Generator(3))
        for _ in range(2)
    )
    assert np.array_equal(one.numpy(), two.numpy()) and one.numpy().any()


@pytest.mark.parametrize("shape", [(4, 3, 3), (6, 2, 4, 3), (2, 5, 1)])
@pytest.mark.parametrize("groups", [1, 2])
def test_dirac(shape, groups):
    weight = nn.init.dirac_(cr.Parameter(np.ones(shape)), groups)
    theirs = torch.nn.init.dirac_(torch.ones(shape), groups)
    assert np.array_equal(weight.numpy(), theirs.numpy())
    with pytest.raises(ValueError, match="groups"):
        nn.init.dirac_(weight, 5)


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (4, 3, 2, 2)])
def test_layers_of_ones_own_ask_for_the_fans_by_pytorchs_name(shape):
    found = nn.init._calculate_fan_in_and_fan_out(cr.Parameter(np.zeros(shape)))
    assert found == torch.nn.init._calculate_fan_in_and_fan_out(torch.zeros(shape))
