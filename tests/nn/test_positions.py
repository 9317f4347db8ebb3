"""Positions: the papers' formulas, written out for one element."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.testing import check_gradient


@pytest.mark.parametrize("width", [4, 5])
def test_sines_and_cosines(width):
    layer = nn.PositionalEncoding(width, max_len=9, dtype="float64").eval()
    x = np.random.default_rng(0).standard_normal((6, 2, width))
    added = layer(x).numpy() - x
    for place in range(6):
        for column in range(width):
            angle = place / 10000 ** (column // 2 * 2 / (width + width % 2))
            wanted = math.cos(angle) if column % 2 else math.sin(angle)
            np.testing.assert_allclose(added[place, :, column], wanted, atol=1e-12)
    first = nn.PositionalEncoding(width, max_len=9, batch_first=True, dtype="float64").eval()
    np.testing.assert_array_equal(first(x.swapaxes(0, 1)).numpy(), (added + x).swapaxes(0, 1))
    assert layer.state_dict() == {}
    cr.manual_seed(0)
    assert np.any(layer.train()(np.ones((6, 20, width))).numpy() == 0)


def test_learned_rows():
    layer = nn.LearnedPositionalEncoding(3, max_len=4, dtype="float64")
    y = layer(np.zeros((4, 2, 3)))
    np.testing.assert_array_equal(y.numpy()[:, 1], layer.weight.numpy())
    check_gradient(layer, np.ones((4, 2, 3)), parameters=layer.parameters())
    with pytest.raises(cr.ShapeError, match="5 places, more than max_len = 4"):
        layer(np.zeros((5, 2, 3)))


def test_rotation():
    layer = nn.RotaryPositionalEmbeddings(6, max_seq_len=8, base=100, dtype="float64")
    x = np.random.default_rng(0).standard_normal((2, 5, 3, 6))
    pairs = x[..., 0::2] + 1j * x[..., 1::2]
    angles = np.arange(5)[:, None] / 100 ** (np.arange(3) / 3)
    wanted = pairs * np.exp(1j * angles)[:, None]
    found = layer(x).numpy()
    np.testing.assert_allclose(found[..., 0::2] + 1j * found[..., 1::2], wanted, atol=1e-12)
    later = layer(x, input_pos=np.arange(5)[None] + np.array([[0], [3]])).numpy()
    np.testing.assert_array_equal(later[0], found[0])
    # The products of queries and keys depend on their distance alone.
    scores = np.einsum("qhd,khd->qkh", found[1], found[0])
    layer_at_3 = layer(x, input_pos=np.full((2, 1), 3) + np.arange(5)).numpy()
    moved = np.einsum("qhd,khd->qkh", layer_at_3[1], layer_at_3[0])
    np.testing.assert_allclose(moved, scores, atol=1e-10)
    check_gradient(layer, x[:1, :2])
    with pytest.raises(ValueError, match="even"):
        nn.RotaryPositionalEmbeddings(3)
    with pytest.raises(cr.ShapeError, match="9 places"):
        layer(np.zeros((1, 9, 1, 6)))
