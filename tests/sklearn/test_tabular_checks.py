"""scikit-learn's checks of the estimators for tables."""

import pytest

pytest.importorskip("sklearn.neural_network")
from sklearn.utils.estimator_checks import parametrize_with_checks

from chainrule.sklearn import TabularClassifier, TabularRegressor

RANDOM = (
    "rows are held out and drawn into minibatches at random, so a row of weight 2 is not the same "
    "as two rows; nor is it in scikit-learn's MLP with early_stopping=True"
)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [TabularClassifier(epochs=12, hidden=[32]), TabularRegressor(epochs=12, hidden=[32])],
    expected_failed_checks=lambda _: {"check_sample_weight_equivalence_on_dense_data": RANDOM},
)
def test_estimator(estimator, check):
    check(estimator)
