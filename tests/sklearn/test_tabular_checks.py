"""scikit-learn's checks of the estimators for tables."""

import pytest

pytest.importorskip("sklearn.neural_network")
from sklearn.utils.estimator_checks import parametrize_with_checks

from chainrule.sklearn import TabularClassifier, TabularRegressor


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [TabularClassifier(epochs=12, hidden=[32]), TabularRegressor(epochs=12, hidden=[32])]
)
def test_estimator(estimator, check):
    check(estimator)
