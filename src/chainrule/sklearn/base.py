"""What all estimators share: labels as numbers and back, weights of rows, seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Literal, TypeVar, cast

import numpy as np
from numpy.typing import DTypeLike
from scipy import sparse
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import _check_sample_weight

from chainrule.checks import listed
from chainrule.data.arrays import check_some_weight, checked_weights
from chainrule.graph.tensor import Array
from chainrule.tabular.cells import is_missing
from chainrule.tabular.reading import is_dictionary, unmasked

Kind = Literal["binary", "multiclass", "multilabel"]

Method = TypeVar("Method", bound=Callable[..., Any])

ClassWeight = Mapping[Any, float] | Literal["balanced"] | list[Mapping[Any, float]] | None


class Labels:
    """The labels of a classification as the numbers that a network is trained on, and back.

    Args:
        y: labels, shape (rows,); or zeros and ones, shape (rows, labels), dense or sparse.

    Attributes:
        classes: the labels, sorted.
        kind: "multilabel" for zeros and ones in columns; "binary" for one or two classes.
        is_sparse: whether y was sparse.

    Raises:
        ValueError: for what are no labels: real numbers, objects, or several columns of classes.
        TypeError: for labels of several kinds, as None beside text.

    Example:
        >>> labels = Labels(["no", "yes", "no"])
        >>> labels.kind, labels.encode(["yes", "no"]).tolist()
        ('binary', [1, 0])
        >>> labels.decode(np.array([[0.2], [0.7]])).tolist()
        ['no', 'yes']
    """

    def __init__(self, y: Any) -> None:
        found = kind_of_labels(y)
        if "multioutput" in found:
            raise ValueError(
                "Multioutput target data is not supported with label binarization: give one "
                "column of labels, or zeros and ones in columns, or an estimator for each column "
                "(sklearn.multioutput.MultiOutputClassifier)"
            )
        names = found in ("binary", "multiclass")
        self.classes: Array = np.unique(y) if names else unique_labels(y)
        if self.classes.dtype.kind == "O":
            text = self.classes.astype(str)  # which drops zeros at the end
            self.classes = text if text.tolist() == self.classes.tolist() else self.classes
        self.is_sparse = sparse.issparse(y)
        self.kind: Kind = "multiclass"
        if found.startswith("multilabel"):
            self.kind = "multilabel"
        elif len(self.classes) <= 2:
            self.kind = "binary"

    @property
    def outputs(self) -> int:
        """The number of numbers that say what label a row has: one for two classes."""
        return 1 if self.kind == "binary" else len(self.classes)

    def encode(self, y: Any) -> Array:
        """Numbers of the classes, shape (rows,); of several labels the zeros and ones."""
        if self.kind == "multilabel":
            dense: Array = y.toarray() if sparse.issparse(y) else np.asarray(y)
            return dense
        return np.searchsorted(self.classes, np.asarray(y))

    def decode(self, probabilities: Array) -> Array:
        """The labels of the largest probabilities; of each label whether it is more likely.

        Args:
            probabilities: shape (rows, outputs).
        """
        if self.kind == "multilabel":
            return (probabilities > 0.5).astype(np.int64)
        if self.kind == "multiclass" or probabilities.shape[1] > 1:
            return self.classes[probabilities.argmax(axis=1)]
        if len(self.classes) == 1:
            return np.repeat(self.classes, len(probabilities))
        return self.classes[(probabilities[:, 0] > 0.5).astype(np.intp)]


def kind_of_labels(y: Any) -> str:
    """What labels are, as scikit-learn's `type_of_target` says.

    Raises:
        TypeError: for labels that can't be sorted, as None beside text.
        ValueError: for objects that are no text.
    """
    try:
        found = str(type_of_target(y, input_name="y"))
    except TypeError as error:
        if "not supported between" not in str(error):
            raise
        raise TypeError(
            f"y holds labels that can't be sorted: {error}. Give labels of one kind, and drop "
            "the rows that have none"
        ) from error
    values = np.asarray(y) if found == "unknown" else None
    if values is not None and values.dtype.kind == "O" and values.ndim == 1:
        kinds = sorted({type(value).__name__ for value in values.tolist()})
        raise ValueError(
            f"Unknown label type: y holds objects, of type {listed(kinds)}. Give text, whole "
            "numbers or booleans in an array of that dtype, as y.astype(str) does"
        )
    return found


def weights_of_rows(
    X: Any,
    y: Any,
    sample_weight: Any,
    class_weight: ClassWeight = None,
    dtype: DTypeLike | None = None,
    name: str = "sample_weight",
    classes: Array | None = None,
) -> Array | None:
    """The weight of each row: its own times that of its class; None where all count the same.

    Args:
        X, y: the rows.
        sample_weight: their own weights, or None.
        class_weight: of the classes in y.
        dtype: of the weights.
        name: what the user calls `sample_weight`.
        classes: those that y may have, where it may lack some of them, sorted.

    Raises:
        ValueError: for a number of weights that is not that of the rows, or what is no number; for
            a negative weight, none above 0, or weights whose sum is too large.
    """
    weights: Array | None = None
    if sample_weight is not None:
        try:
            weights = _check_sample_weight(sample_weight, X, dtype=dtype, copy=True)
        except ValueError as error:
            if name == "sample_weight":
                raise
            raise ValueError(f"{name}: {error}") from None
        weights = checked_weights(weights, len(weights), weights.dtype, name)
        check_some_weight(weights, name)
    if class_weight is not None:
        of_class = _of_classes(class_weight, y, classes)
        of_class = checked_weights(of_class, len(of_class), of_class.dtype, "class_weight")
        check_some_weight(of_class, "class_weight")
        if weights is None:
            weights = of_class
        else:
            with np.errstate(over="ignore"):
                weights = weights * of_class
            check_some_weight(weights, f"{name} times class_weight")
    if weights is not None:
        largest = float(weights.max())
        if len(weights) * largest > np.finfo(weights.dtype).max:
            raise ValueError(
                f"the weights of rows ({name} times class_weight) go up to {largest:g}: "
                "their sum is not finite. Divide them by the largest"
            )
    return weights


def _of_classes(class_weight: ClassWeight, y: Any, classes: Array | None) -> Array:
    """The weight of the class of each row; `classes` as of `weights_of_rows`."""
    if classes is not None and isinstance(class_weight, Mapping) and y.ndim == 1:
        shares = compute_class_weight(class_weight, classes=classes, y=y)
        return np.asarray(shares[np.searchsorted(classes, y)])
    if classes is not None and isinstance(class_weight, list) and y.ndim > 1:
        class_weight = [{0: 1.0, 1: 1.0, **of} for of in class_weight]
    return np.asarray(compute_sample_weight(class_weight, y))


def check_present(y: Any) -> None:
    """Raise ValueError for targets that are None, pandas.NA, NaT or masked, which have no order.

    Others, NaN among them, are for scikit-learn's checks.
    """
    if y is None or sparse.issparse(y):
        return
    values = unmasked(y)
    kind = values.dtype.kind
    may_hide = isinstance(y, np.ma.MaskedArray) or is_dictionary(y)
    if kind not in "OmM" and not may_hide:
        return
    rows = values.reshape(len(values), -1) if values.ndim else values[None, None]
    is_time = kind in "mM"
    found = np.isnat(rows) if is_time else [[*map(is_missing, row)] for row in rows.tolist()]
    missing = np.flatnonzero(np.any(found, axis=1))
    if len(missing):
        raise ValueError(
            f"Input y contains NaN: it is missing at row {missing[0]} ({len(missing)} in all). "
            "Drop such rows"
        )


def refuse_times(y: Array) -> None:
    """Raise TypeError for dates and durations, whose unit is not known."""
    remedies = {
        "M": "dates, and a regression predicts numbers: take a duration since a day, in a unit",
        "m": "durations, and a regression predicts numbers: divide them by a unit, as "
        "np.timedelta64(1, 's')",
    }
    if y.dtype.kind in remedies:
        raise TypeError(f"y holds {remedies[y.dtype.kind]}")


def has_held_out(X: Any, y: Any, sample_weight: Any) -> bool:
    """Whether a user gives X_val and y_val.

    Raises:
        ValueError: where one of them, or weights alone, are given; for missing targets.
    """
    if X is None and y is None:
        if sample_weight is not None:
            raise ValueError("sample_weight_val is of X_val and y_val, which are missing")
        return False
    if X is None or y is None:
        there, missing = ("y_val", "X_val") if X is None else ("X_val", "y_val")
        raise ValueError(f"{there} is provided, but {missing} was not provided.")
    check_present(y)
    return True


def whole_or_not_at_all(fit: Method) -> Method:
    """A method of an estimator that, where it fails, leaves the attributes as they were.

    An old network would else predict under the names of new classes or columns. Lists that grow
    while it trains, as `loss_curve_`, have their old elements again. What else an attribute holds
    and training changes, as a network's states, is for the method to put back.
    """

    @wraps(fit)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        attributes = vars(self)
        before = dict(attributes)
        lists = [
            (value, list(value))
            for name, value in before.items()
            if name.endswith("_") and isinstance(value, list)
        ]
        try:
            return fit(self, *args, **kwargs)
        except BaseException:
            for changed, elements in lists:
                changed[:] = elements
            attributes.update(before)  # no attribute is missing at any moment: others may predict
            for name in attributes.keys() - before.keys():
                del attributes[name]
            raise

    return cast(Method, wrapper)


def seed_from(random_state: np.random.RandomState) -> int:
    """A seed for a Trainer, drawn from a random state."""
    return int(random_state.randint(np.iinfo(np.int32).max))
