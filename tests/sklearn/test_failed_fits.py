"""Fits that are refused, and trainings that fail: the estimator is as it was."""

import copy

import numpy as np
import pytest

pytest.importorskip("sklearn.neural_network")

from estimator_cases import NUMBER, THREE, TWO, X, classifier, regressor

import chainrule as cr
from chainrule import nn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Fails(cr.Callback):
    """Fails in the second of its epochs."""

    epochs = 0

    def on_epoch_end(self, trainer, record):
        self.epochs += 1
        if self.epochs == 2:
            raise RuntimeError("no more")


def attributes_of(estimator):
    return {
        name: copy.deepcopy(value)
        for name, value in vars(estimator).items()
        if name.endswith("_") or name in ("_no_improvement_count", "_best_epoch", "_kept_epoch")
    }


@pytest.mark.parametrize(
    "parameters",
    [{}, {"early_stopping": True}, {"normalization": "batch"}, {"activation": nn.PReLU},
     {"residual": True}],
    ids=str,
)  # fmt: skip
def test_a_training_that_fails_changes_nothing(parameters):
    estimator = classifier(warm_start=True, **parameters).fit(X, THREE)
    before, expected = attributes_of(estimator), estimator.predict_proba(X)
    curve = estimator.loss_curve_
    with pytest.raises(RuntimeError, match="no more"):
        estimator.set_params(callbacks=[Fails()]).fit(9 * X + 5, THREE)
    assert estimator.loss_curve_ is curve
    np.testing.assert_equal(attributes_of(estimator), before)
    np.testing.assert_array_equal(estimator.predict_proba(X), expected)
    estimator.set_params(callbacks=None).fit(X, THREE)
    assert len(estimator.loss_curve_) == 12


@pytest.mark.parametrize("parameters", [{}, {"normalization": "batch"}], ids=str)
def test_a_partial_fit_that_fails_changes_nothing_but_the_moments(parameters):
    one, other = (regressor(**parameters).partial_fit(X, NUMBER) for _ in range(2))
    fails = Fails()
    fails.epochs = 1
    with pytest.raises(ValueError, match="not negative"):
        one.partial_fit(X, NUMBER, -np.ones(len(X)))
    optimizer = one._optimizer
    assert one.partial_fit(X, NUMBER)._optimizer is optimizer  # refused, it has not begun
    other.partial_fit(X, NUMBER)
    before = attributes_of(one)
    with pytest.raises(RuntimeError, match="no more"):
        one.set_params(callbacks=[fails]).partial_fit(9 * X, NUMBER)
    np.testing.assert_equal(attributes_of(one), before)
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    del other._optimizer  # which then is a new one
    for estimator in (one, other):
        estimator.set_params(callbacks=None)
        for _ in range(2):
            estimator.partial_fit(X, NUMBER)
    np.testing.assert_array_equal(one.predict(X), other.predict(X))


def test_a_fit_that_is_refused_takes_no_attribute_away():
    """Another thread may predict meanwhile."""
    estimator = classifier().fit(X, THREE)
    before, taken = set(vars(estimator)), set()

    class Watched(dict):
        def clear(self):
            taken.update(self)
            super().clear()

        def __delitem__(self, name):
            taken.add(name)
            super().__delitem__(name)

    object.__setattr__(estimator, "__dict__", Watched(vars(estimator)))
    with pytest.raises(ValueError, match="not negative"):
        estimator.fit(X, THREE, -np.ones(len(X)))
    assert not taken & before


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_weights_whose_sum_is_not_finite(solver):
    with pytest.raises(ValueError, match=r"up to 1e\+308: their sum is not finite"):
        classifier(solver=solver).fit(X, THREE, sample_weight=np.full(len(X), 1e308))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("make", [classifier, regressor])
def test_weights_below_0(make, solver):
    with pytest.raises(ValueError, match=r"^sample_weight is -1\.0 at row \d: a weight is"):
        make(solver=solver).fit(X, TWO, np.where(TWO, 1.0, -1.0))


@pytest.mark.parametrize(
    ("of_class", "weights", "match"),
    [
        ({0: -1.0, 1: 1.0}, None, r"^class_weight is -1\.0 at row \d: a weight is not negative"),
        ({0: -1.0, 1: 1.0}, -np.ones(201), r"^sample_weight is -1\.0 at row 0"),
        ({0: np.nan, 1: 1.0}, np.ones(201), r"^class_weight .*nan"),
        ({0: 0.0, 1: 0.0}, np.ones(201), "^class_weight is 0 in all"),
        (
            {0: 1e200, 1: 1.0},
            np.full(201, 1e200),
            r"\(sample_weight times class_weight\) go up to inf",
        ),
        ({0: 0.0, 1: 1.0}, 1.0 - TWO, "^sample_weight times class_weight is 0 in all"),
    ],
)
def test_class_weights_that_do_not_fit(of_class, weights, match):
    with pytest.raises(ValueError, match=match):
        classifier(class_weight=of_class).fit(X, TWO, weights)


@pytest.mark.parametrize("make", [classifier, regressor])
def test_rows_held_out_whose_weights_are_all_0(make):
    for solver in ("adam", "sgd"):
        estimator = make(early_stopping=True, solver=solver)
        with pytest.raises(ValueError, match="the weight of the rows held out is 0 in all 21 rows"):
            estimator.fit(X, TWO, np.arange(len(X)) == 7)
