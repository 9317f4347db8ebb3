"""linear_pieces against dense sampling and known counts, and its errors."""

from itertools import pairwise

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn


def sampled(model, start, end, count=50_001):
    """The breakpoints by sampling: the positions at which the slope between samples changes."""
    t = np.linspace(0, 1, count)
    x = start + t[:, None] * (end - start)
    y = model(x).numpy()
    bend = np.abs(np.diff(y, n=2, axis=0)).max(axis=1)
    places = np.flatnonzero(bend > 1e-9 * np.abs(np.diff(y, axis=0)).max())
    # A kink between two samples bends at both of them.
    first = np.diff(places, prepend=-9) > 1
    return t[places[first] + 1]


def network(seed, activation=nn.ReLU, hidden=(8, 8, 8)):
    cr.manual_seed(seed)
    layers, width = [], 3
    for neurons in hidden:
        layers += [nn.Linear(width, neurons, dtype="float64"), activation()]
        width = neurons
    return nn.Sequential(*layers, nn.Linear(width, 2, dtype="float64"))


class Leaky(nn.LeakyReLU):
    def __init__(self):
        super().__init__(0.3)


class Absolute(nn.Module):
    def forward(self, x):
        return abs(x)


class Hard(nn.Module):
    """The hard tanh: max(-1, min(1, x))."""

    def forward(self, x):
        return cr.maximum(-0.3, cr.minimum(0.3, x))


@pytest.mark.parametrize("activation", [nn.ReLU, Leaky, Absolute, Hard])
@pytest.mark.parametrize("seed", [0, 3, 4])
def test_as_many_as_dense_sampling_finds(activation, seed):
    model = network(seed, activation)
    rng = np.random.default_rng(seed)
    start, end = rng.normal(0, 3, (2, 3))
    found = cr.inspect.linear_pieces(model, start, end)
    wanted = sampled(model, start, end)
    assert found.count == len(found.breakpoints) + 1 > 3
    assert np.all(np.diff(found.breakpoints, prepend=0, append=1) > 8e-5)  # sampling finds them all
    assert found.count == len(wanted) + 1
    np.testing.assert_allclose(found.breakpoints, wanted, atol=4.1e-5)


def test_the_slope_is_the_same_within_a_piece_and_differs_between_two():
    model = network(9, hidden=(32, 32, 32))
    start, end = np.full(3, -4.0), np.full(3, 5.0)
    found = cr.inspect.linear_pieces(model, start, end)
    assert found.count > 20
    knots = np.concatenate([[0], found.breakpoints, [1]])
    slopes = []
    for low, high in pairwise(knots):
        at = low + (high - low) * np.array([0.1, 0.5, 0.9])
        y = model(start + at[:, None] * (end - start)).numpy()
        first, second = np.diff(y, axis=0) / (0.4 * (high - low))
        np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-8)
        slopes.append(first)
    assert np.abs(np.diff(slopes, axis=0)).max(axis=1).min() > 1e-6


def test_one_hidden_layer_has_a_breakpoint_where_each_unit_has_its_kink():
    cr.manual_seed(0)
    hidden, out = nn.Linear(1, 6, dtype="float64"), nn.Linear(6, 1, dtype="float64")
    found = cr.inspect.linear_pieces(nn.Sequential(hidden, nn.ReLU(), out), [-9.0], [9.0])
    kinks = -hidden.bias.numpy() / hidden.weight.numpy()[:, 0]
    wanted = np.sort((kinks[np.abs(kinks) < 9] + 9) / 18)
    np.testing.assert_allclose(found.breakpoints, wanted, rtol=1e-12)


def test_a_kink_that_no_output_sees_is_none():
    model = network(1, hidden=(5,))
    seen = cr.inspect.linear_pieces(model, np.full(3, -9.0), np.full(3, 9.0)).count
    weight = model[2].weight.numpy().copy()
    weight[:] = 0
    model[2].weight.assign(weight)
    assert seen > 1
    assert cr.inspect.linear_pieces(model, np.full(3, -9.0), np.full(3, 9.0)).count == 1


def test_a_linear_model_has_one_piece():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.Identity())
    found = cr.inspect.linear_pieces(model, np.zeros((2, 2)), np.ones((2, 2)))
    assert found.count == 1 and found.breakpoints.shape == (0,)


def test_preprocessing_residuals_and_branches_are_followed():
    x = np.random.default_rng(0).normal(5, 3, (50, 3))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3, dtype="float64")

        def forward(self, x):
            z = self.layer(x)
            joined = cr.concatenate([x, z * (z > 0.0).astype("float64")], axis=1)
            return joined[:, 1:4] + z.sum(axis=1, keepdims=True) / 2.0

    cr.manual_seed(2)
    model = nn.Sequential(nn.Whiten(3, dtype="float64").fit(x), Block(), nn.ReLU(), Block())
    start, end = np.array([-5.0, 9.0, 1.0]), np.array([15.0, 0.0, 9.0])
    found = cr.inspect.linear_pieces(model, start, end)
    wanted = sampled(model, start, end)
    assert found.count == len(wanted) + 1 > 3
    np.testing.assert_allclose(found.breakpoints, wanted, atol=4.1e-5)


def test_a_jump_ends_a_piece_too():
    class Step(nn.Module):
        def forward(self, x):
            return x + (x > 0.25).astype("float32")

    found = cr.inspect.linear_pieces(Step(), [0.0], [1.0])
    assert found.breakpoints.tolist() == [0.25]


def test_it_is_computed_in_float64_and_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1)).train()
    model[0].weight.assign(np.array([[3.0]], "f"))
    model[0].bias.assign(np.array([-1.0], "f"))
    found = cr.inspect.linear_pieces(model, [0.0], [1.0])
    assert found.breakpoints.tolist() == pytest.approx([1 / 3], rel=1e-15)
    assert model.training and model[1].training


def test_constants_are_computed_in_float64_and_the_model_is_called_as_for_prediction():
    class Third(nn.Module):
        def __init__(self):
            super().__init__()
            self.three = nn.Parameter([3.0])

        def forward(self, x):
            return x * x if self.training else cr.maximum(x, 1.0 / self.three)

    found = cr.inspect.linear_pieces(Third(), [0.0], [1.0])
    assert found.breakpoints.tolist() == pytest.approx([1 / 3], rel=1e-15)


class Product(nn.Module):
    def forward(self, x):
        return x * x


class AcrossRows(nn.Module):
    def forward(self, x):
        return x - x.mean(axis=0)


class Turned(nn.Module):
    def forward(self, x):
        return x.T


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.Sigmoid(), "sigmoid in layer 1: it is not piecewise linear"),
        (nn.Softmax(1), "softmax in layer 1: it is not piecewise linear"),
        (nn.GELU(), "normal_cdf in layer 1: it is not piecewise linear"),
        (Product(), "multiply in layer 1: a product of two values that both change"),
        (AcrossRows(), "sum in layer 1: it computes across the rows"),
        (Turned(), "transpose in layer 1: it computes across the rows"),
    ],
)
def test_what_is_not_piecewise_linear_is_refused(layer, words):
    model = nn.Sequential(nn.Linear(3, 3), layer)
    with pytest.raises(ValueError, match=words):
        cr.inspect.linear_pieces(model, np.zeros(3), np.ones(3))


def test_points_that_make_no_segment_are_refused():
    model = nn.Linear(2, 1)
    with pytest.raises(cr.ShapeError, match=r"start has shape \(2,\), end \(3,\)"):
        cr.inspect.linear_pieces(model, [0.0, 0.0], [0.0, 0.0, 1.0])
    with pytest.raises(ValueError, match="equal"):
        cr.inspect.linear_pieces(model, [0.0, 0.0], [0.0, 0.0])
    with pytest.raises(ValueError, match="finite"):
        cr.inspect.linear_pieces(model, [0.0, 0.0], [0.0, np.nan])
    with pytest.raises(cr.ShapeError, match=r"Linear: .*length 2"):
        cr.inspect.linear_pieces(model, [0.0], [1.0])
