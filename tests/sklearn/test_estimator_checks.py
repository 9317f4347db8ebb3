"""scikit-learn's checks of estimators: all of them, without an expected failure."""

import pytest

pytest.importorskip("sklearn.neural_network")
from sklearn.utils.estimator_checks import parametrize_with_checks

from chainrule.sklearn import MLPClassifier, MLPRegressor


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [MLPClassifier(max_iter=20), MLPRegressor(max_iter=20)],
)
def test_estimator(estimator, check):
    check(estimator)
