"""Rows, targets and small estimators for tests of what scikit-learn's networks do not have."""

import numpy as np

from chainrule.sklearn import MLPClassifier, MLPRegressor

X = np.random.default_rng(0).normal(size=(201, 5))  # batches of 100 leave one row
TWO = (X[:, 0] > 0).astype(int)
THREE = np.digitize(X[:, 0] + X[:, 1], [-0.5, 0.5])
SEVERAL = np.stack([X[:, 0] > 0, X[:, 1] > 0, X[:, 2] > 0], axis=1).astype(int)
NUMBER = X[:, 0] * X[:, 1] + X[:, 2]
GIVEN = {"max_iter": 6, "batch_size": 100, "random_state": 0, "learning_rate_init": 0.02}


def classifier(**parameters):
    return MLPClassifier((8, 8)).set_params(**GIVEN | parameters)


def regressor(**parameters):
    return MLPRegressor(hidden_layer_sizes=(8, 8)).set_params(**GIVEN | parameters)
