"""scikit-learn: MLPClassifier; an epoch is one call of partial_fit."""

from __future__ import annotations

import numpy as np
from sklearn.neural_network import MLPClassifier

from benchmarks.networks import MOMENTUM, Array, Labels, Network, Parameters


class Classifier:
    """The same loss and optimiser as the others: no L2 penalty, no Nesterov momentum."""

    def __init__(self, network: Network, x: Array, y: Labels, parameters: Parameters) -> None:
        self.x, self.y = x, y
        self.model = MLPClassifier(
            hidden_layer_sizes=network.sizes[1:-1],
            solver=network.optimizer,
            batch_size=network.batch,
            learning_rate_init=network.lr,
            momentum=MOMENTUM,
            nesterovs_momentum=False,
            alpha=0,
            random_state=np.random.RandomState(0),  # the integer 0 would repeat one order of rows
        )
        # The weights exist only after a first fit. Then they are set, and the optimiser is reset.
        first = slice(network.batch)
        self.model.partial_fit(x[first], y[first], classes=np.arange(network.sizes[-1]))
        for i, (weight, bias) in enumerate(parameters):
            self.model.coefs_[i][:] = weight.T
            self.model.intercepts_[i][:] = bias
        del self.model._optimizer

    def train_epoch(self) -> None:
        self.model.partial_fit(self.x, self.y)

    def predict(self, x: Array) -> Array:
        return self.model.predict_proba(x)

    def parameters(self) -> Parameters:
        pairs = zip(self.model.coefs_, self.model.intercepts_, strict=True)
        return [(coefs.T, intercepts) for coefs, intercepts in pairs]
