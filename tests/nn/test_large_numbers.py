"""Columns that are large beside their differences, such as timestamps, keep all of these."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

rng = np.random.default_rng(0)
SMALL = rng.uniform(-50, 50, (300, 2))
LARGE = 1.6e9 + SMALL
Y = np.sin(SMALL[:, :1] / 25) + SMALL[:, 1:] / 50
EXACT = LARGE - 1.6e9  # what float64 keeps of SMALL

LAYERS = {
    "Center": nn.Center,
    "Standardize": nn.Standardize,
    "MinMaxScale": nn.MinMaxScale,
    "RobustScale": nn.RobustScale,
    "PCA": nn.PCA,
    "Whiten pca": nn.Whiten,
    "Whiten zca": lambda n, **options: nn.Whiten(n, "zca", **options),
}


class Own(nn.Module):
    def __init__(self, first, rest):
        super().__init__()
        self.rest = rest
        self.first = first

    def forward(self, x):
        return self.rest(self.first(x))


def model_of(first, own, last=None):
    cr.manual_seed(0)
    rest = [nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1), *([] if last is None else [last])]
    return Own(first, nn.Sequential(*rest)) if own else nn.Sequential(first, *rest)


def trained(model, x, y, backend="native", loss=None, **options):
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    trainer = cr.Trainer(model, loss or nn.MSELoss(), optimizer, backend=backend, **options)
    trainer.fit(x, y, epochs=3, batch_size=50, progress=False)
    return trainer


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_are_those_of_small_numbers(name):
    found = LAYERS[name](2).fit(LARGE)(LARGE)
    assert found.dtype == np.float32
    wanted = LAYERS[name](2, dtype="float64").fit(EXACT)(EXACT).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_whole_numbers(name):
    layer = LAYERS[name](2).fit(LARGE)
    whole = LARGE.astype(np.int64)
    np.testing.assert_array_equal(layer(whole), layer(whole.astype(np.float64)))


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_training(name, own, backend):
    large = trained(model_of(LAYERS[name](2).fit(LARGE), own), LARGE, Y, backend)
    small = trained(model_of(LAYERS[name](2).fit(EXACT), own), EXACT, Y, backend)
    np.testing.assert_allclose(large.predict(LARGE), small.predict(EXACT), rtol=0.01, atol=0.01)
    np.testing.assert_allclose(large.predict(LARGE), large.model(LARGE), rtol=1e-5, atol=1e-5)
    assert large.evaluate(LARGE, Y)["loss"] == pytest.approx(
        small.evaluate(EXACT, Y)["loss"], rel=0.02
    )


def test_files(tmp_path):
    trainer = trained(model_of(nn.Standardize(2).fit(LARGE), own=False), LARGE, Y)
    trainer.save(tmp_path / "model")
    evaluator = cr.Evaluator(cr.load(tmp_path / "model"), nn.MSELoss())
    np.testing.assert_array_equal(evaluator.predict(LARGE), trainer.predict(LARGE))


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("own", [False, True])
def test_targets(own, backend):
    """float64 outputs of a float32 model, in the units of the targets."""
    targets = 1.6e9 + 5 * Y
    last = nn.Unstandardize(1, dtype="float64").fit(targets)
    model = model_of(nn.Standardize(2).fit(LARGE), own, last)

    def loss(output, target):
        return (((output - target) / last.scale) ** 2).mean()

    trainer = trained(model, LARGE, targets, backend, loss, metrics=["mae"])
    predicted = trainer.predict(LARGE)
    assert predicted.dtype == np.float64
    first = nn.Standardize(2).fit(LARGE)
    small = trained(model_of(first, own), LARGE, (Y - Y.mean()) / Y.std(), backend)
    wanted = small.predict(LARGE) * 5 * Y.std() + 5 * Y.mean()
    np.testing.assert_allclose(predicted - 1.6e9, wanted, rtol=0.01, atol=0.01)
    assert trainer.evaluate(LARGE, targets)["mae"] == pytest.approx(
        np.abs(predicted - targets).mean(), rel=1e-6
    )


def test_inverses_in_float64():
    for layer in (nn.Standardize, nn.MinMaxScale, nn.RobustScale, nn.PCA):
        fitted = layer(2, dtype="float64").fit(LARGE)
        np.testing.assert_allclose(fitted.inverse()(fitted(LARGE)) - 1.6e9, EXACT, atol=1e-5)
    back = nn.Unstandardize(2, dtype="float64").fit(LARGE).inverse()
    np.testing.assert_allclose(back(LARGE), (EXACT - EXACT.mean(0)) / EXACT.std(0), atol=1e-6)


@pytest.mark.parametrize("calibrate", [nn.lsuv_, nn.data_driven_])
def test_starting_values(calibrate):
    found = []
    for x in (LARGE, EXACT):
        model = calibrate(model_of(nn.Standardize(2).fit(x), own=False), x)
        found.append(list(model.parameters()))
    for large, small in zip(*found, strict=True):
        np.testing.assert_allclose(large, small, rtol=1e-3, atol=1e-3)


def test_statistics_of_batches():
    found = []
    for x in (LARGE, EXACT):
        model = nn.Sequential(nn.Standardize(2).fit(x), nn.BatchNorm1d(2))
        nn.recompute_batch_statistics(model, x, batch_size=50)
        found.append(model[1])
    np.testing.assert_allclose(found[0].running_var, found[1].running_var, rtol=1e-4)
    np.testing.assert_allclose(found[0].running_mean, found[1].running_mean, atol=1e-5)
