"""Residual and DenseConnection: parity, deep stacks, refused inputs."""

import numpy as np
import pytest
from nn_parity import check_module, copy_state, torch
from nn_training import FEATURES, assert_states_close, check_training, data, linear, train

import chainrule as cr
from chainrule import nn
from chainrule.testing import check_gradient


class TorchResidual(torch.nn.Module):
    def __init__(self, block, projection=None):
        super().__init__()
        self.block, self.projection = block, projection

    def forward(self, x):
        return self.block(x) + (x if self.projection is None else self.projection(x))


class TorchDense(torch.nn.Module):
    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x):
        return torch.cat([x, self.block(x)], 1)


def values(*shape):
    return np.random.default_rng(0).standard_normal(shape)


@pytest.mark.parametrize("width", [4, 3])
def test_residual_is_pytorchs(width):
    projection = linear(4, width, seed=2) if width != 4 else None
    ours = nn.Residual(nn.Sequential(linear(4, width), nn.Tanh()), projection)
    theirs = TorchResidual(
        torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.Tanh()),
        None if projection is None else torch.nn.Linear(4, width),
    )
    check_module(ours, copy_state(ours, theirs), values(5, 4))
    check_gradient(ours, values(2, 4), parameters=ours.parameters())


def test_dense_connection_is_pytorchs():
    ours = nn.DenseConnection(nn.Sequential(linear(4, 3), nn.Tanh()))
    theirs = TorchDense(torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh()))
    check_module(ours, copy_state(ours, theirs), values(5, 4))
    check_gradient(ours, values(2, 4), parameters=ours.parameters())
    assert nn.DenseConnection(nn.ReLU())(np.ones((2, 3, 4))).shape == (2, 6, 4)


def test_ten_native_steps_are_pytorchs():
    def blocks(library, kinds):
        residual, dense = kinds
        make = linear if library is nn else lambda rows, columns: torch.nn.Linear(rows, columns)
        return library.Sequential(
            residual(library.Sequential(make(FEATURES, 4), library.Tanh())),
            dense(library.Sequential(make(4, 3), library.ReLU())),
            residual(library.Sequential(make(7, 5), library.Tanh()), make(7, 5)),
            make(5, 3),
        )

    ours = blocks(nn, (nn.Residual, nn.DenseConnection))
    check_training(ours, blocks(torch.nn, (TorchResidual, TorchDense)), *data())


@pytest.mark.parametrize("kind", ["residual", "dense"])
def test_a_deep_stack_trains(kind):
    x, _ = data()
    y = (x[:, 0] > 1).astype(int) + (x[:, 1] > 1)
    cr.manual_seed(0)
    if kind == "residual":
        stack = [
            nn.Residual(nn.Sequential(nn.Linear(FEATURES, 8), nn.Tanh(), nn.Linear(8, FEATURES)))
            for _ in range(50)
        ]
        for block in stack:  # each begins as the identity: training is stable, whatever the machine
            nn.init.zeros_(block.block[2].weight)
            nn.init.zeros_(block.block[2].bias)
        width = FEATURES
    else:
        stack = [
            nn.DenseConnection(nn.Sequential(nn.Linear(FEATURES + 2 * i, 2), nn.ReLU()))
            for i in range(10)
        ]
        width = FEATURES + 20
    model = nn.Sequential(*stack, nn.LayerNorm(width), nn.Linear(width, 3))
    first = next(model.parameters())
    before = first.numpy().copy()
    losses = train(model, x.astype("f"), y, epochs=100, lr=0.01).history["loss"]
    assert losses[-1] < 0.2 * losses[0]
    assert (first.numpy() != before).all()


def test_a_deep_stack_passes_the_gradient_on():
    """With blocks that give 0 the gradient reaches the input of 50 blocks as it left."""
    blocks = [nn.Residual(nn.Sequential(linear(4, 4), nn.ReLU())) for _ in range(50)]
    for block in blocks:
        nn.init.zeros_(block.block[0].weight)
        nn.init.zeros_(block.block[0].bias)
    x = cr.tensor(values(3, 4), requires_grad=True)
    assert np.array_equal(cr.grad(nn.Sequential(*blocks)(x).sum(), x).numpy(), np.ones((3, 4)))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.Residual(np.tanh), TypeError, "block is a Module"),
        (lambda: nn.Residual(nn.ReLU(), "auto"), TypeError, "projection is a Module"),
        (lambda: nn.Residual(nn.ReLU(), 0), TypeError, "projection is a Module"),
        (lambda: nn.DenseConnection(None), TypeError, "block is a Module"),
        (
            lambda: nn.Residual(nn.Linear(4, 3))(np.ones((2, 4), "f")),
            cr.ShapeError,
            r"Residual: .*\(2, 3\).*\(2, 4\).*projection=Linear\(4, 3, bias=False\)",
        ),
        (
            lambda: nn.Residual(nn.Linear(4, 1))(np.ones((2, 4), "f")),
            cr.ShapeError,
            r"projection=Linear\(4, 1",
        ),
        (
            lambda: nn.Residual(nn.Flatten())(np.ones((2, 3, 4), "f")),
            cr.ShapeError,
            "a projection whose output has the shape",
        ),
        (
            lambda: nn.Residual(nn.Linear(4, 3), nn.Linear(4, 2))(np.ones((2, 4), "f")),
            cr.ShapeError,
            r"the projection's output \(2, 2\)",
        ),
        (
            lambda: nn.DenseConnection(nn.Flatten())(np.ones((2, 3, 4), "f")),
            cr.ShapeError,
            r"\(2, 3, 4\).*\(2, 12\)",
        ),
        (lambda: nn.DenseConnection(nn.ReLU())(np.ones(3, "f")), cr.ShapeError, r"\(3,\)"),
    ],
)
def test_what_does_not_fit_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


# ParametricActivation and Scale


def test_parametric_activation_is_its_formula():
    layer = nn.ParametricActivation(nn.Mish(), 3, dtype="float64")
    x = values(5, 3)
    np.testing.assert_allclose(layer(x).numpy(), nn.Mish()(x).numpy(), rtol=1e-14, atol=1e-15)
    layer.weight.assign(np.array([0.0, 0.5, 2.0]))
    wanted = x + np.array([0.0, 0.5, 2.0]) * (nn.Mish()(x).numpy() - x)
    np.testing.assert_allclose(layer(x).numpy(), wanted, rtol=1e-14)
    check_gradient(layer, x[:2], parameters=layer.parameters())


def test_scale_is_its_formula():
    layer = nn.Scale(3, dtype="float64")
    x = values(2, 5, 3)
    assert np.array_equal(layer(x).numpy(), x)
    layer.weight.assign(np.array([0.0, 0.5, 2.0]))
    assert np.array_equal(layer(x).numpy(), x * [0.0, 0.5, 2.0])
    check_gradient(layer, x[0, :2], parameters=layer.parameters())


def test_learnt_activations_train_natively():
    def model():
        return nn.Sequential(
            nn.Scale(FEATURES, dtype="float64"),
            linear(FEATURES, 6),
            nn.ParametricActivation(nn.SELU(), 6, dtype="float64"),
            linear(6, 6, seed=2),
            nn.PReLU(6, dtype="float64"),
            linear(6, 3, seed=3),
        )

    native, reference = model(), model()
    train(native, *data())
    train(reference, *data(), "reference")
    assert_states_close(native.state_dict(), reference.state_dict(), 1e-12)
    assert not np.allclose(native[0].weight.numpy(), 1)
    assert not np.allclose(native[2].weight.numpy(), 1)
    assert not np.allclose(native[4].weight.numpy(), 0.25)
    for layer in (native[0], native[2], native[4]):
        with pytest.raises(cr.DTypeError, match="float64"):
            layer(cr.tensor(np.ones((2, layer.weight.size), "f"), requires_grad=True))
    for layer in (native[0], native[2]):
        with pytest.raises(cr.ShapeError, match="last axis"):
            layer(np.ones((2, 2)))
