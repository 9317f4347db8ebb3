"""Intervals: what share of targets they hold, and whose errors count."""

import copy

import numpy as np
import pytest

import chainrule as cr
from chainrule import tabular
from chainrule.tabular.intervals import deviation_factor, interval, scores
from chainrule.tabular.targets import Numbers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3))
Y = 100 + 10 * X[:, 0] - 5 * X[:, 1] ** 2
SMALL = {"hidden": [24]}


def test_intervals_quantiles_and_deviations():
    x = np.sort(RNG.uniform(-1, 1, (1200, 1)), axis=0)
    spread = 0.2 + 0.8 * (x[:, 0] > 0)
    y = 5 * x[:, 0] + spread * RNG.normal(size=1200)
    test = np.arange(1200) % 3 == 0
    for loss in tabular.LOSSES:
        model = tabular.fit(x[~test], y[~test], "regression", loss=loss, epochs=40, hidden=[32])
        assert np.corrcoef(model.predict(x[test]), y[test])[0, 1] > 0.9
        for coverage in (0.5, 0.9):
            low, high = model.predict_interval(x[test], coverage)
            inside = ((low <= y[test]) & (y[test] <= high)).mean()
            assert abs(inside - coverage) < 0.12, (loss, coverage, inside)
        again = copy.deepcopy(model)
        np.testing.assert_array_equal(again.predict_interval(x)[0], model.predict_interval(x)[0])
        if loss == "gaussian":
            std = model.predict_std(x)
            assert 2 < std[x[:, 0] > 0.2].mean() / std[x[:, 0] < -0.2].mean() < 8
        if loss == "quantile":
            bounds = model.predict_quantiles(x[test])
            assert (np.diff(bounds, axis=1) >= 0).all()
            shares = (y[test][:, None] <= bounds).mean(axis=0)
            np.testing.assert_allclose(shares, [0.05, 0.5, 0.95], atol=0.12)
    with pytest.raises(AttributeError, match="quantile"):
        tabular.fit(x, y, "regression", epochs=1, validation_fraction=0).predict_quantiles(x)
    with pytest.raises(ValueError, match="no rows were held out"):
        tabular.fit(x, y, "regression", epochs=1, validation_fraction=0).predict_interval(x)
    for wrong in ({"loss": "huber"}, {"quantiles": (0.5, 0.1)}, {"quantiles": (0.0, 1.0)}):
        with pytest.raises(ValueError, match=r"loss is|quantile"):
            tabular.fit(x, y, "regression", **wrong)


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_the_width_of_an_interval_is_the_score_at_its_rank(weight):
    target = tabular.fit(X, np.stack([Y, -Y], axis=1), "regression", epochs=1, **SMALL).target
    held_out = RNG.permuted(np.arange(1.0, 20.0)[:, None] * [1, 10], axis=0)  # 19 rows
    outputs = [np.zeros((1, 2))]
    for coverage, rank in ((0.5, 10), (0.9, 18), (0.91, 19), (0.95, 19)):
        low, high = interval(target, outputs, [1.0], [1.0], held_out, np.full(19, weight), coverage)
        np.testing.assert_allclose((high - low) / 2, [[rank, 10 * rank]])
        more = np.concatenate([held_out, np.full((50, 2), 1e3)])
        weights = np.repeat([weight, 1e-12], [19, 50])
        found = interval(target, outputs, [1.0], [1.0], more, weights, coverage - 1e-6)
        np.testing.assert_allclose(found, (low, high))
    with pytest.warns(UserWarning, match=r"^19 rows held out.*0.96; this one is of 0.95"):
        found = interval(target, outputs, [1.0], [1.0], held_out, None, 0.96)
    np.testing.assert_allclose(found, (low, high))


def test_intervals_count_rows_by_their_weights(tmp_path):
    is_noisy = np.arange(600) % 2 == 0
    x = RNG.normal(size=(600, 1))
    y = x[:, 0] + RNG.normal(size=600) * np.where(is_noisy, 5, 0.1)
    weights = np.where(is_noisy, 1e-9, 1.0)
    for kind in ({"preset": "fast"}, {"preset": "ensemble", "members": 2}):
        given = {"epochs": 40, "hidden": [16], "sample_weight": weights, **kind}
        model = tabular.fit(x, y, "regression", **given)
        low, high = model.predict_interval(x)
        counted = model.scores[model.score_weights > 1]
        half = np.quantile(counted, 0.9)  # of all rows it is 6
        np.testing.assert_allclose(high - low, 2 * half, rtol=0.15)
        model.save(tmp_path / "model.safetensors")
        again = tabular.TabularModel.load(tmp_path / "model.safetensors")
        np.testing.assert_array_equal(again.predict_interval(x)[0], low)
        np.testing.assert_array_equal(cr.Predictor(model)._model.predict_interval(x)[0], low)
    held = x[:40], y[:40], np.where(is_noisy, 0.0, 1.0)[:40]
    model = tabular.fit(x, y, "regression", preset="fast", epochs=40, validation=held)
    assert len(model.scores) == 20


def test_members_whose_deviations_are_wrong_do_not_widen_an_interval():
    """Members know the mean, and their standard deviations are wrong by factors of their own."""
    target = Numbers((3.0,), (2.0,), (-1e9,), (1e9,), True, "gaussian")
    true = RNG.uniform(0.5, 2, 40_000)
    y = RNG.normal(size=40_000) * true

    def outputs(wrong, rows):
        variance = np.square(wrong * true[rows])
        raw = variance + np.log(-np.expm1(-variance))  # softplus of it is the variance
        return np.stack([np.zeros(len(variance)), raw], axis=1)

    wrong = 0.2, 0.5, 1.0, 3.0, 8.0
    factors, held_out = [], []
    for number, by in enumerate(wrong):
        rows = slice(400 * number, 400 * (number + 1))
        found = scores(target, outputs(by, rows), y[rows, None])
        factors.append(deviation_factor(found, None))
        held_out.append(found / factors[-1])
    np.testing.assert_allclose(np.multiply(factors, wrong), 1, rtol=0.2)
    rows = slice(2000, None)
    members = [outputs(by, rows) for by in wrong]
    for coverage in (0.5, 0.8, 0.9):
        low, high = interval(
            target, members, [0.2] * 5, factors, np.concatenate(held_out), None, coverage
        )
        within = (low <= 3 + 2 * y[rows]) & (3 + 2 * y[rows] <= high)
        error = np.sqrt(coverage * (1 - coverage) * (1 / 2000 + 1 / 38_000))
        assert abs(within.mean() - coverage) < 3 * error


def test_factors_of_deviations_stay_within_bounds():
    most = np.r_[np.zeros(95), np.full(5, 1e12)][:, None]
    assert deviation_factor(most, None) == 0.02  # most rows are hit
    assert deviation_factor(np.full((3, 1), 1e12), None) == 50
    unit = np.abs(RNG.normal(size=(2000, 1)))
    weights = np.repeat([1.0, 1e-200], [2000, 500])
    found = deviation_factor(np.concatenate([unit, np.full((500, 1), 9.0)]), weights)
    assert found == pytest.approx(1, abs=0.1)
    assert found == pytest.approx(deviation_factor(unit, None))


def test_an_ensemble_of_gaussians_after_few_epochs():
    """Deviations of some members are several times too wide then."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2300, 3))
    y = 2 * x[:, 0] + np.sin(2 * x[:, 1]) + rng.normal(size=2300)
    given = {"loss": "gaussian", "preset": "ensemble", "epochs": 64, "hidden": [128, 128]}
    model = tabular.fit(x[:300], y[:300], "regression", **given)
    for coverage in (0.5, 0.8, 0.9):
        low, high = model.predict_interval(x[300:], coverage)
        within = ((low <= y[300:]) & (y[300:] <= high)).mean()
        error = np.sqrt(coverage * (1 - coverage) * (1 / 300 + 1 / 2000))
        assert abs(within - coverage) < 3 * error, (coverage, within)
