"""Callbacks of chainrule and of scikit-learn, and Ctrl-C, in the training of an estimator."""

import signal

import numpy as np
import pytest

pytest.importorskip("sklearn.neural_network")

from estimator_cases import THREE, X, classifier

import chainrule as cr

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_callbacks_of_chainrule_end_a_training():
    stops = cr.EarlyStopping("loss", patience=1, min_delta=10.0)
    estimator = classifier(callbacks=[stops], max_iter=50).fit(X, THREE)
    assert estimator.n_iter_ == 3


@pytest.mark.parametrize("kind", [cr.EarlyStopping, cr.ReduceLROnPlateau])
def test_a_callback_looks_for_the_largest_score(kind):
    callback = kind("validation_score", patience=50)
    estimator = classifier(callbacks=[callback], max_iter=30)
    estimator.fit(X, THREE, X_val=X[:60], y_val=THREE[:60])
    scores = estimator.validation_scores_
    assert callback.best == max(scores) > scores[0]
    if kind is cr.EarlyStopping:
        assert estimator.score(X[:60], THREE[:60]) == max(scores)


@pytest.mark.parametrize(
    "parameters", [{}, {"dropout": 0.2, "early_stopping": True, "max_iter": 30}], ids=str
)
def test_a_callback_changes_no_bit(parameters):
    weights = np.random.default_rng(7).uniform(0.5, 2, len(X))
    plain = classifier(**parameters).fit(X, THREE, weights)
    watched = classifier(callbacks=[cr.Callback()], **parameters).fit(X, THREE, weights)
    assert watched.loss_curve_ == plain.loss_curve_
    assert watched.validation_scores_ == plain.validation_scores_
    np.testing.assert_array_equal(watched.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize("callbacks", [None, [cr.Callback()]], ids=["", "watched"])
def test_ctrl_c_ends_a_training(callbacks):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    estimator = classifier(callbacks=callbacks, early_stopping=True, max_iter=200)

    def scorer(predictor, rows, targets):
        if len(estimator.loss_curve_) == 3:
            signal.raise_signal(signal.SIGINT)
        return 0.5

    try:
        with pytest.warns(UserWarning, match="interrupted by user"):
            estimator.set_params(scoring=scorer).fit(X, THREE)
    finally:
        signal.signal(signal.SIGINT, before)
    assert estimator.n_iter_ == 3
    assert np.isfinite(estimator.predict_proba(X)).all()


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_of_scikit_learn(solver):
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="accuracy")

    class Stop:
        begun = epochs = 0
        kept = None

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            self.begun += context.task_name == "epoch"

        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            if context.task_name == "epoch":
                self.epochs += 1
                self.kept = self.kept or (fitted_estimator, fitted_estimator.predict_proba(X))
            return self.epochs == 4

    stop = Stop()
    estimator = classifier(max_iter=50, solver=solver).set_callbacks(monitor, stop)
    estimator.fit(X, THREE)
    assert estimator.n_iter_ == stop.begun == 4
    logs = monitor.get_logs(select="all")
    scores = [row["accuracy"] for row in logs[0].data if row["task_name"] == "epoch"]
    assert len(scores) == 4 and scores[-1] == estimator.score(X, THREE)
    early, probabilities = stop.kept
    np.testing.assert_array_equal(early.predict_proba(X), probabilities)
    assert not np.array_equal(estimator.predict_proba(X), probabilities)


def test_callbacks_of_scikit_learn_take_rows_with_missing_values():
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    holes = np.where(X > 1.5, np.nan, X)
    assert np.isnan(holes).any()
    estimator = classifier(max_iter=3, allow_nan=True).set_callbacks(monitor).fit(holes, THREE)
    scores = [row["accuracy"] for row in monitor.get_logs(select="all")[0].data]
    assert scores[-1] == estimator.score(holes, THREE)
