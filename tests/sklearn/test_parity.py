"""Step for step the same numbers as scikit-learn's networks, to rounding."""

import copy
import pickle
from decimal import Decimal

import numpy as np
import pytest

import chainrule as cr
from chainrule import Predictor

pytest.importorskip("sklearn", "1.7")  # its networks take no weights of rows before
networks = pytest.importorskip("sklearn.neural_network")
sparse = pytest.importorskip("scipy.sparse")
joblib = pytest.importorskip("joblib")
ours = pytest.importorskip("chainrule.sklearn")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.normal(size=(230, 6))  # two full batches of 100 and a short one
TWO = np.where(X[:, 0] * X[:, 1] > 0, "yes", "no")
THREE = np.digitize(X[:, 0] + X[:, 1] ** 2, [0, 1])
SEVERAL = np.stack([THREE > 0, X[:, 2] > 0, X[:, 3] > X[:, 0]], axis=1).astype(int)
NUMBER = X[:, 0] * X[:, 1] + X[:, 2]
COLUMNS = np.stack([NUMBER, X[:, 3]], axis=1)
COUNTS = rng.poisson(np.exp(X[:, 0] / 2))
WEIGHTS = rng.uniform(0.5, 2, len(X))


def pair(kind, y, rows=X, *, calls=("fit",), sample_weight=None, **parameters):
    """(scikit-learn's, ours), fitted alike."""
    found = []
    parameters = {"max_iter": 8, "batch_size": 100, "random_state": 3, **parameters}
    for room in (networks, ours):
        estimator = getattr(room, kind)(hidden_layer_sizes=(9, 7)).set_params(**parameters)
        for call in calls:
            if isinstance(call, dict):
                estimator.set_params(**call)
                continue
            given = {"classes": np.unique(y)} if call == "partial_fit" and "C" in kind[:4] else {}
            getattr(estimator, call)(rows, y, sample_weight=sample_weight, **given)
        found.append(estimator)
    return found


def assert_same(theirs, mine, rtol=1e-9):
    assert mine.n_iter_ == theirs.n_iter_
    assert mine.t_ == theirs.t_
    assert mine.n_layers_ == theirs.n_layers_
    assert mine.n_outputs_ == theirs.n_outputs_
    assert mine.out_activation_ == theirs.out_activation_
    np.testing.assert_allclose(mine.loss_, theirs.loss_, rtol=rtol)
    for name in ("loss_curve_", "validation_scores_", "best_loss_", "best_validation_score_"):
        value = getattr(theirs, name, None)
        if value is None:
            assert getattr(mine, name, None) is None
        else:
            np.testing.assert_allclose(getattr(mine, name), value, rtol=rtol, err_msg=name)
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(mine, name), getattr(theirs, name), strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
    if hasattr(theirs, "classes_"):
        np.testing.assert_array_equal(mine.predict(X), theirs.predict(X))
        np.testing.assert_array_equal(mine.classes_, theirs.classes_)
        np.testing.assert_allclose(
            mine.predict_proba(X), theirs.predict_proba(X), rtol=rtol, atol=1e-12
        )
    else:
        np.testing.assert_allclose(mine.predict(X), theirs.predict(X), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize(
    ("kind", "y", "parameters"),
    [
        ("MLPClassifier", TWO, {}),
        ("MLPClassifier", THREE, {}),
        ("MLPClassifier", SEVERAL, {}),
        ("MLPRegressor", NUMBER, {}),
        ("MLPRegressor", COLUMNS, {}),
        ("MLPRegressor", COUNTS, {"loss": "poisson"}),
    ],
    ids=["two", "three", "several", "number", "columns", "counts"],
)
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weighted"])
def test_targets_and_solvers(kind, y, parameters, solver, weights):
    # A line search decides by comparing: its later iterations turn rounding into steps.
    steps = {"max_iter": 4} if solver == "lbfgs" else {}
    assert_same(*pair(kind, y, solver=solver, sample_weight=weights, **parameters, **steps))


@pytest.mark.parametrize(
    "parameters",
    [
        *({"activation": name} for name in ("identity", "logistic", "tanh")),
        {"shuffle": False},
        {"alpha": 0.5},
        {"alpha": 0.0},
        {"batch_size": 1, "max_iter": 1},
        {"batch_size": "auto"},
        {"batch_size": 229},  # one row is left
        {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2},
        {"early_stopping": True, "validation_fraction": 0.3},
        {"early_stopping": True, "n_iter_no_change": 1, "max_iter": 50, "tol": 0.05},
        {"n_iter_no_change": 2, "max_iter": 50, "tol": 0.02},
        {"learning_rate": "adaptive", "n_iter_no_change": 1, "max_iter": 40, "tol": 0.1},  # of sgd
        *(
            {"solver": "sgd", "learning_rate": rate, "learning_rate_init": 0.3, **more}
            for rate in ("invscaling", "adaptive")
            for more in (
                {"power_t": 0.7, "momentum": 0.5},
                {"nesterovs_momentum": False},
                {"momentum": 0.0},
                {"n_iter_no_change": 1, "max_iter": 40, "tol": 0.1},
            )
        ),
    ],
    ids=lambda p: "-".join(map(str, p.values())),
)
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_parameters(kind, parameters):
    assert_same(*pair(kind, THREE if kind == "MLPClassifier" else COLUMNS, **parameters))


@pytest.mark.parametrize(
    ("calls", "parameters"),
    [
        (("fit", "fit"), {}),
        (("fit", "fit"), {"warm_start": True, "solver": "sgd"}),
        (("partial_fit",) * 3, {}),
        (("fit", "partial_fit", "partial_fit"), {"solver": "sgd"}),
        (("partial_fit", "fit"), {}),
        (("partial_fit",) * 6, {"n_iter_no_change": 1, "tol": 1.0}),
    ],
)
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_calls_in_a_row(kind, calls, parameters):
    assert_same(*pair(kind, TWO if kind == "MLPClassifier" else NUMBER, calls=calls, **parameters))


@pytest.mark.parametrize(
    "change",
    [
        {"alpha": 1.0},
        {"alpha": 0.0},
        {"activation": "tanh"},
        {"activation": "identity", "alpha": 0.3},
        {"batch_size": 30, "shuffle": False},
        {"learning_rate_init": 0.1},
        {"learning_rate": "invscaling", "power_t": 0.9},
        {"learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 1.0},
        {"solver": "sgd", "learning_rate": "invscaling"},
        {"solver": "adam"},
    ],
    ids=lambda change: "-".join(change),
)
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_parameters_that_change_between_calls(kind, solver, call, change):
    y = TWO if kind == "MLPClassifier" else NUMBER
    calls = (call, call, change, call, call)
    assert_same(*pair(kind, y, calls=calls, solver=solver, warm_start=True, tol=0.0))


@pytest.mark.parametrize(
    ("before", "change"), [("invscaling", {"power_t": 0.9}), ("adaptive", {"solver": "adam"})]
)
def test_partial_fit_keeps_the_rates_of_its_optimizer(before, change):
    given = {"solver": "sgd", "learning_rate": before, "n_iter_no_change": 1, "tol": 1.0}
    calls = ("partial_fit", "partial_fit", change, *("partial_fit",) * 4)
    assert_same(*pair("MLPRegressor", NUMBER, calls=calls, **given))


def test_a_list_of_activations_is_drawn_for_as_one_name():
    given = {"hidden_layer_sizes": (9, 7), "random_state": 0, "max_iter": 2}
    theirs = networks.MLPClassifier(activation="logistic", **given).fit(X, TWO)
    assert_same(theirs, ours.MLPClassifier(activation=["logistic"] * 2, **given).fit(X, TWO))


def test_training_goes_on_from_weights_that_are_set():
    found = []
    for room in (networks, ours):
        model = room.MLPRegressor(hidden_layer_sizes=(5,), random_state=0)
        model.partial_fit(X, NUMBER)
        model.coefs_[0][:] = 0.1
        model.intercepts_[1][:] = 2.0
        found.append(model.partial_fit(X, NUMBER))
    assert_same(*found)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_probabilities_at_the_bounds_count_as_bounded(solver):
    """Large inputs give probabilities of 0 and 1: the loss is held, the gradient is not."""
    theirs, mine = pair("MLPClassifier", THREE, 1e3 * X, solver=solver, max_iter=3)
    np.testing.assert_allclose(mine.loss_, theirs.loss_, rtol=1e-9)
    theirs, mine = pair("MLPClassifier", TWO, 1e3 * X, solver=solver, max_iter=3)
    np.testing.assert_allclose(mine.loss_, theirs.loss_, rtol=1e-4)  # theirs rounds 1 - p


@pytest.mark.parametrize(("dtype", "rtol"), [("f4", 1e-4), ("f8", 1e-9)])
@pytest.mark.parametrize("y", [TWO, THREE, SEVERAL], ids=["two", "three", "several"])
def test_losses_of_logits_of_any_size(y, dtype, rtol):
    rows = np.c_[X, 1e12 + np.arange(len(X))].astype(dtype)
    theirs, mine = pair("MLPClassifier", y, rows, max_iter=20, learning_rate_init=1e-3)
    assert mine.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=rtol)
    assert min(mine.loss_curve_) > 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of scikit-learn's own overflows
def test_scores_and_rows_of_a_training_that_diverges():
    given = {"loss": "poisson", "activation": "identity", "solver": "sgd", "early_stopping": True}
    theirs, mine = pair("MLPRegressor", COUNTS, 30 * X, **given)
    assert np.isnan(theirs.validation_scores_).all()
    assert_same(theirs, mine)


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_matrix])
@pytest.mark.parametrize("dense_bytes", [1 << 28, 0], ids=["as a whole", "by batches"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_rows(form, dense_bytes, solver, monkeypatch):
    monkeypatch.setattr("chainrule.sklearn.sparse_rows.MOST_BYTES", dense_bytes)
    rows = np.where(X > 0.5, X, 0.0)
    parameters = {"solver": solver, "max_iter": 3, "sample_weight": WEIGHTS}
    theirs, mine = pair("MLPClassifier", THREE, form(rows), **parameters)
    np.testing.assert_allclose(mine.loss_, theirs.loss_, rtol=1e-9)
    np.testing.assert_allclose(
        mine.predict_proba(form(rows)), theirs.predict_proba(rows), rtol=1e-7
    )


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize(("kind", "y"), [("MLPClassifier", THREE), ("MLPRegressor", NUMBER)])
def test_float32(kind, y, solver):
    rows = X.astype(np.float32)
    theirs, mine = pair(kind, y, rows, solver=solver, max_iter=5)
    np.testing.assert_allclose(mine.loss_, theirs.loss_, rtol=1e-4)
    dtypes = [{a.dtype for a in (*e.coefs_, *e.intercepts_)} for e in (theirs, mine)]
    assert dtypes[0] == dtypes[1]
    assert mine.predict(rows).dtype == theirs.predict(rows).dtype


@pytest.mark.parametrize("weights", [None, "weighted"])
def test_many_rows_by_several_threads(weights):
    many = np.random.default_rng(1).normal(size=(5323, 6))
    y = np.digitize(many[:, 0] * many[:, 1] + many[:, 2], [-0.5, 0.5])
    given = np.linspace(0.5, 2, len(y)) if weights else None
    parameters = {"solver": "lbfgs", "max_iter": 4, "sample_weight": given}
    found = []
    try:
        for threads in (1, 2, 3):
            cr.set_num_threads(threads)
            theirs, mine = pair("MLPClassifier", y, many, **parameters)
            assert_same(theirs, mine)
            found.append([mine.loss_, *map(np.ndarray.tobytes, mine.coefs_)])
    finally:
        cr.set_num_threads(None)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_the_best_weights_stay_where_a_warm_start_finds_no_better(kind):
    estimator = getattr(ours, kind)(
        hidden_layer_sizes=(5,), warm_start=True, early_stopping=True, max_iter=5, random_state=0
    )
    y = TWO if kind == "MLPClassifier" else NUMBER
    best = estimator.fit(X, y).coefs_
    estimator.best_validation_score_ = 2.0  # which no epoch reaches
    estimator.set_params(learning_rate_init=1.0).fit(X, y)
    np.testing.assert_array_equal(estimator.coefs_[0], best[0])


def test_a_random_state_goes_on():
    """One RandomState gives two fits in a row other numbers, the same as in scikit-learn."""
    states = np.random.RandomState(5), np.random.RandomState(5)
    for _ in range(2):
        losses = [
            room.MLPRegressor(max_iter=3, random_state=state).fit(X, NUMBER).loss_
            for room, state in zip((networks, ours), states, strict=True)
        ]
        np.testing.assert_allclose(*losses, rtol=1e-9)


def test_what_verbose_prints(capsys):
    printed = []
    for room in (networks, ours):
        room.MLPClassifier(
            (5,), solver="sgd", learning_rate="adaptive", tol=0.2, n_iter_no_change=1, verbose=True,
            random_state=0, max_iter=40, early_stopping=True,
        ).fit(X, THREE)  # fmt: skip
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "Setting learning rate" in printed[1]
    model = ours.MLPClassifier((5,), solver="lbfgs", alpha=1, verbose=True, random_state=0)
    model.fit(X, TWO)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == model.n_iter_ and lines[-1] == f"loss = {model.loss_:.8f}"


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.coo_array])
def test_sparse_labels(container):
    pytest.importorskip("sklearn", minversion="1.8", reason="1.7 does not score sparse labels")
    given = {"early_stopping": True, "max_iter": 20, "sample_weight": WEIGHTS}
    theirs, mine = pair("MLPClassifier", SEVERAL, **given)
    dense = mine.predict(X)
    for room, estimator in zip((networks, ours), (theirs, mine), strict=True):
        estimator.fit(X, container(SEVERAL), WEIGHTS)
        found = estimator.predict(X)
        assert found.format == "csr", room
        np.testing.assert_array_equal(found.toarray(), dense)
        assert estimator.score(X, container(SEVERAL)) == (dense == SEVERAL).all(axis=1).mean()
    np.testing.assert_allclose(mine.validation_scores_, theirs.validation_scores_)
    assert isinstance(mine.fit(X, SEVERAL).predict(X), np.ndarray)


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize("dtype", [object, "U3", bool, "f4", "i1", "M8[D]"])
def test_labels_have_the_dtype_of_scikit_learns(dtype, call):
    y = TWO if dtype in (object, "U3") else (TWO == "yes").astype("i8")
    theirs, mine = pair("MLPClassifier", y.astype(dtype), calls=[call])
    assert mine.classes_.dtype == theirs.classes_.dtype
    found = mine.predict(X)
    assert found.dtype == theirs.predict(X).dtype
    np.testing.assert_array_equal(found, theirs.predict(X))


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_frames_of_decimals(library):
    """scikit-learn fits on them, but does not predict for them."""
    make = pytest.importorskip(library)
    rows = np.round(X * 8) / 8
    columns = {f"c{i}": list(map(Decimal, column)) for i, column in enumerate(rows.T)}
    frame = make.DataFrame(columns) if library == "polars" else make.table(columns)
    theirs, mine = pair("MLPRegressor", NUMBER, rows)
    mine.fit(frame, NUMBER)
    for found in (mine.predict(frame), Predictor(mine).predict(frame)):
        np.testing.assert_allclose(found, theirs.predict(rows), rtol=1e-9)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_what_is_fitted_can_be_hashed(solver):
    """By joblib, as its Memory and a pipeline's `memory` do."""
    firsts, seconds = (pair("MLPClassifier", TWO, solver=solver) for _ in range(2))
    for first, second in zip(firsts, seconds, strict=True):
        found = joblib.hash(first)
        for same in (second, copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
            assert joblib.hash(same) == found
        assert joblib.hash(second.fit(X, THREE)) != found


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, lambda x: x.astype(">f8")])
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_rows_beyond_float32_are_refused_by_what_is_fitted_in_it(kind, form):
    """scikit-learn predicts for them in float64."""
    _, mine = pair(kind, THREE, X.astype(np.float32))
    large = np.zeros((30, 6))
    large[3, 2] = -3.5e38
    with pytest.raises(ValueError, match=r"X holds numbers beyond 3\.4e\+38.*fit on float64"):
        mine.predict(form(large))
    theirs, mine = pair(kind, THREE)
    np.testing.assert_allclose(mine.predict(form(large)), theirs.predict(large), rtol=1e-9)
