"""Estimators that scikit-learn takes for its own.

`MLPClassifier` and `MLPRegressor` have every parameter, attribute and default of scikit-learn's: a
changed import is all that a program needs. With the same `random_state` they draw the same weights
and the same order of rows, so the loss curve is the same but for rounding. What scikit-learn's do
not have comes as further parameters.

It needs scikit-learn, 1.6 or newer: ``pip install 'chainrule[sklearn]'``.
"""

from chainrule.errors import missing as _missing

try:
    import sklearn as _scikit_learn
except ImportError as error:
    raise _missing("chainrule.sklearn", "scikit-learn", "sklearn") from error
try:
    from sklearn.utils.validation import validate_data as _validate_data  # noqa: F401
except ImportError as error:
    needed = f"scikit-learn 1.6 or newer, not {_scikit_learn.__version__}"
    raise _missing("chainrule.sklearn", needed, "sklearn") from error

from chainrule.sklearn.classifier import MLPClassifier
from chainrule.sklearn.regressor import MLPRegressor
from chainrule.sklearn.tabular import TabularClassifier, TabularRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "TabularClassifier", "TabularRegressor"]
