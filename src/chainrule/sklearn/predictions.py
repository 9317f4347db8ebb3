"""What a fitted MLPClassifier or MLPRegressor predicts, as a `Predictor` has it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from chainrule.graph.tensor import Array
from chainrule.serve.predictor import Predictions
from chainrule.sklearn.batches import dense_parts
from chainrule.sklearn.outputs import as_native
from chainrule.tables import in_order
from chainrule.tabular.reading import unmasked
from chainrule.train.predictor import NetworkPredictor

_ROWS = 1024
"""The most rows of a sparse matrix that become dense at once."""

_PLAIN = "fdlq"
"""The types of numbers that need no look at before the network takes them."""

_DECODE_BY = "_labels", "classes_", "out_activation_", "_link"
"""The attributes of an estimator by which outputs become predictions."""


class PerceptronPredictions(Predictions):
    """The predictions of a fitted estimator."""

    def __init__(self, estimator: Any) -> None:
        check_is_fitted(estimator, "coefs_")
        self._names = names_of_columns(estimator)
        self._imputer = copy.deepcopy(estimator.imputer_) if estimator.allow_nan else None
        model = copy.deepcopy(estimator.network_)
        model._column_names = self._names if self._imputer is None else None
        self._network = NetworkPredictor(model)
        self._decoder: Any = object.__new__(type(estimator))
        kept = {name: value for name, value in vars(estimator).items() if name in _DECODE_BY}
        vars(self._decoder).update(kept)

    @property
    def classes(self) -> Array | None:
        return getattr(self._decoder, "classes_", None)

    def predict(self, x: Any) -> Array:
        found: Array = self._decoder._predicted(self._outputs(x))
        return found

    def predict_proba(self, x: Any) -> Array:
        if self.classes is None:
            return super().predict_proba(x)
        found: Array = self._decoder._probabilities(self._outputs(x))
        return found

    def _outputs(self, x: Any) -> Array:
        if sparse.issparse(x):
            parts = dense_parts(x.tocsr(), _ROWS) if x.shape[0] else [x.toarray()]
            return np.concatenate([self._outputs(part) for part in parts])
        if isinstance(x, (list, tuple)):
            x = np.asarray(x)
        if isinstance(x, np.ma.MaskedArray):
            x = unmasked(x)
        is_checked = type(x) is np.ndarray and x.ndim == 2 and x.dtype.char in _PLAIN
        if self._imputer is not None or not is_checked:
            finite: Any = True if self._imputer is None else "allow-nan"
            x = as_native(check_array(in_order(x, self._names), ensure_all_finite=finite))
        if self._imputer is not None:
            x = self._imputer.transform(x)
        found: Array = self._network.predict(x)
        return found


def names_of_columns(estimator: Any) -> tuple[str, ...] | None:
    """The names of the columns in `fit`, in their order; None of an array."""
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else tuple(names.tolist())
