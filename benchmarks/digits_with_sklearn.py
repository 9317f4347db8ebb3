"""`python digits_with_sklearn.py FILE`: scikit-learn's form of `chainrule train digits --out FILE`.

The training rows, the test rows, the network, the batch size, SGD with momentum, where its learning
rate starts and the number of epochs are the same. chainrule also lowers the learning rate as half a
cosine and clips the gradients, which MLPClassifier has not, and starts from other weights.
"""

import sys
import warnings

import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

x, y = load_digits(return_X_y=True)
x = (x / 16).astype(np.float32)
test = np.zeros(len(y), dtype=bool)
for digit in range(10):
    test[np.flatnonzero(y == digit)[4::5]] = True

model = MLPClassifier(
    hidden_layer_sizes=(128, 128),
    solver="sgd",
    learning_rate_init=0.1,
    momentum=0.9,
    nesterovs_momentum=False,
    alpha=0,
    batch_size=32,
    max_iter=30,
    tol=0,
    n_iter_no_change=30,
    random_state=0,
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # it is to stop after 30 epochs
    model.fit(x[~test], y[~test])
joblib.dump(model, sys.argv[1])
print(f"test accuracy {model.score(x[test], y[test]):.2%}")
