"""What the scorer of the rows held out is given: the estimator as it is after an epoch."""

import numpy as np
import pytest

pytest.importorskip("sklearn.neural_network")

from chainrule import nn
from chainrule.sklearn import MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.normal(size=(120, 3))
Y = X[:, 0] + X[:, 1] ** 2


def regressor(**parameters):
    given = {"max_iter": 6, "early_stopping": True, "n_iter_no_change": 100, "random_state": 0}
    return MLPRegressor(hidden_layer_sizes=(8,)).set_params(**given | parameters)


@pytest.mark.parametrize(
    "parameters", [{}, {"normalization": "batch"}, {"activation": nn.PReLU}], ids=str
)
def test_what_a_scorer_keeps_is_of_its_own(parameters):
    kept = []

    def score(estimator, rows, y):
        kept.append((estimator, estimator.predict(X), len(estimator.loss_curve_), rows))
        for earlier, expected, epochs, _ in kept:
            np.testing.assert_array_equal(earlier.predict(X), expected)
            assert len(earlier.loss_curve_) == epochs
        return estimator.score(rows, y)

    plain = regressor(**parameters).fit(X, Y)
    estimator = regressor(scoring=score, **parameters).fit(X, Y)
    assert estimator.loss_curve_ == plain.loss_curve_
    expected = plain.predict(X)
    np.testing.assert_array_equal(estimator.predict(X), expected)
    assert not np.array_equal(kept[0][1], kept[-1][1])
    first, *_, held = kept[0]
    first.set_params(early_stopping=False).partial_fit(X, Y)
    np.testing.assert_allclose(first.predict(held), first.predict(held.copy()))
    np.testing.assert_array_equal(estimator.predict(X), expected)
    assert estimator.loss_curve_ == plain.loss_curve_


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_a_scorer_predicts_other_rows(missing, named):
    rows = np.where(rng.random(X.shape) < 0.1, np.nan, X) if missing else X
    if named:
        rows = pytest.importorskip("pandas").DataFrame(rows, columns=list("abc"))

    def score(estimator, rows, y):
        np.testing.assert_allclose(estimator.predict(rows[:5]), estimator.predict(rows)[:5])
        return estimator.score(rows, y)

    estimator = regressor(scoring=score, allow_nan=missing).fit(rows, Y)
    plain = regressor(allow_nan=missing).fit(rows, Y)
    np.testing.assert_allclose(estimator.validation_scores_, plain.validation_scores_)
    assert estimator.allow_nan == missing and estimator.n_features_in_ == 3
