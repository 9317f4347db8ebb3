"""What scikit-learn's networks do not have: layers, losses, optimisers, validation."""

import copy
import pickle

import numpy as np
import pytest
from scipy.sparse import csr_matrix

pytest.importorskip("sklearn.neural_network")
joblib = pytest.importorskip("joblib")

from estimator_cases import NUMBER, SEVERAL, THREE, TWO, X, classifier, regressor  # noqa: E402

import chainrule as cr  # noqa: E402
from chainrule import nn, optim  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(1)


def square(x):
    return x * x


def kinds(estimator):
    return [type(module).__name__ for module in estimator.network_.modules()]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"dropout": 0.3}, ["Dropout"] * 2),
        ({"dropout": [0.0, 0.3]}, ["Dropout"]),
        ({"normalization": "batch"}, ["BatchNorm1d"] * 2),
        ({"normalization": "layer"}, ["LayerNorm"] * 2),
        ({"residual": True}, ["Residual"] * 2),
        ({"activation": "gelu"}, ["GELU"] * 2),
        ({"activation": ["leaky_relu", nn.Mish()]}, ["LeakyReLU", "Mish"]),
        ({"activation": nn.PReLU}, ["PReLU"] * 2),
        ({"activation": square}, ["_Function"] * 2),
        ({"activation": "identity"}, []),
    ],
    ids=str,
)
def test_layers(parameters, expected):
    estimator = classifier(**parameters).fit(X, THREE)
    plain = {"Sequential", "Linear", "ReLU"}
    assert [kind for kind in kinds(estimator) if kind not in plain] == expected
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[0]
    assert [a.shape for a in estimator.coefs_] == [(5, 8), (8, 8), (8, 3)]
    again = classifier(**parameters).fit(X, THREE)
    np.testing.assert_array_equal(again.predict_proba(X), estimator.predict_proba(X))
    read = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(read.predict_proba(X), estimator.predict_proba(X))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_copy_of_an_activation_keeps_its_hooks(dtype):
    activation = nn.Sequential(nn.PReLU(dtype=dtype))
    activation.get_submodule("0").register_forward_hook(lambda module, inputs, output: 0 * output)
    estimator = classifier(activation=activation).fit(X, THREE)
    np.testing.assert_array_equal(np.ptp(estimator.predict_proba(X), axis=0), 0)


def test_the_network_gives_what_is_predicted():
    estimator = classifier(dropout=0.2, normalization="layer").fit(X, THREE)
    network = estimator.network_.eval()
    found = cr.softmax(network(cr.tensor(X))).numpy()
    np.testing.assert_allclose(found, estimator.predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize(
    "solver",
    [
        "adamw",
        "lion",
        "rmsprop",
        "nadam",
        optim.AdamW,
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    ],
    ids=str,
)
def test_solvers(solver):
    estimator = classifier(solver=solver).fit(X, THREE)
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[0]


def test_a_schedule_of_learning_rates():
    rates = []

    class Rates(cr.Callback):
        def on_epoch_end(self, trainer, record):
            rates.append(record["lr"])

    estimator = classifier(
        learning_rate=lambda o: optim.lr_scheduler.ExponentialLR(o, 0.5), callbacks=[Rates()]
    )
    estimator.fit(X, THREE)
    np.testing.assert_allclose(rates, 0.02 * 0.5 ** np.arange(6))


def test_clipped_gradients():
    losses = [classifier(solver="sgd", **clip).fit(X, THREE).loss_curve_ for clip in (
        {}, {"clip_norm": 1e-6}, {"clip_value": 1e-6}
    )]  # fmt: skip
    assert losses[0][-1] < losses[0][0] - 0.01
    for clipped in losses[1:]:
        assert clipped[-1] == pytest.approx(clipped[0], abs=1e-3)


def test_class_weight_is_a_weight_of_rows():
    of_class = {0: 1.0, 1: 3.0, 2: 0.5}
    by_rows = classifier().fit(X, THREE, [of_class[label] for label in THREE])
    np.testing.assert_array_equal(
        classifier(class_weight=of_class).fit(X, THREE).coefs_[0], by_rows.coefs_[0]
    )
    balanced = classifier(class_weight="balanced")
    balanced.fit(X, THREE)
    with pytest.raises(ValueError, match="give a dict"):
        balanced.partial_fit(X, THREE)
    of_labels = classifier(class_weight=["balanced", {0: 1.0, 1: 2.0}])
    with pytest.raises(ValueError, match="a list of dicts"):
        of_labels.partial_fit(X, np.stack([THREE == 0, THREE == 1], axis=1), classes=[0, 1])


def test_rows_to_validate_on():
    held = {"X_val": X[150:], "y_val": THREE[150:]}
    seen = classifier().fit(X[:150], THREE[:150], **held)
    plain = classifier().fit(X[:150], THREE[:150])
    np.testing.assert_array_equal(seen.coefs_[0], plain.coefs_[0])
    assert len(seen.validation_scores_) == len(seen.validation_loss_curve_) == 6
    assert seen.validation_scores_[-1] == seen.score(X[150:], THREE[150:])
    probability = seen.predict_proba(X[150:])[np.arange(51), THREE[150:]]
    assert seen.validation_loss_curve_[-1] == pytest.approx(-np.log(probability).mean())
    weights = np.arange(51) + 1.0
    weighted = classifier().fit(X[:150], THREE[:150], sample_weight_val=weights, **held)
    expected = np.average(-np.log(probability), weights=weights)
    assert weighted.validation_loss_curve_[-1] == pytest.approx(expected)


@pytest.mark.parametrize("scoring", [None, "loss", "f1_macro", "neg_log_loss"])
def test_early_stopping_keeps_the_best(scoring):
    estimator = classifier(
        early_stopping=True, scoring=scoring, max_iter=200, n_iter_no_change=3, batch_size=20
    ).fit(X[:150], THREE[:150], X_val=X[150:], y_val=THREE[150:])
    scores = estimator.validation_scores_
    assert estimator.best_validation_score_ == max(scores)
    assert estimator.n_iter_ == len(scores) < 200
    if scoring is None:
        assert estimator.score(X[150:], THREE[150:]) == max(scores)


@pytest.mark.parametrize("make", [classifier, regressor])
def test_a_scorer_is_given_the_estimator_as_it_is(make):
    seen = []

    def score(estimator, rows, y):
        some = estimator.predict(rows[:5])
        np.testing.assert_allclose(some, estimator.predict(rows)[:5], rtol=1e-9)
        if make is classifier:
            sums = np.exp(estimator.predict_log_proba(rows)).sum(axis=1)
            np.testing.assert_allclose(sums, 1)
        seen.append((estimator.coefs_[0], estimator.alpha, type(estimator)))
        return estimator.score(rows, y)

    given = {"X_val": X[150:], "y_val": THREE[150:]}
    estimator = make(scoring=score).fit(X[:150], THREE[:150], **given)
    plain = make().fit(X[:150], THREE[:150], **given)
    np.testing.assert_allclose(estimator.validation_scores_, plain.validation_scores_)
    assert len(seen) == 6 and seen[0][1:] == (estimator.alpha, type(estimator))
    np.testing.assert_array_equal(seen[-1][0], estimator.coefs_[0])
    assert not np.array_equal(seen[0][0], seen[-1][0])


def test_partial_fit_stops_early():
    held = {"X_val": X[150:], "y_val": NUMBER[150:]}
    estimator = regressor(early_stopping=True, n_iter_no_change=3, learning_rate_init=0.1)
    for _ in range(60):
        estimator.partial_fit(X[:150], NUMBER[:150], **held)
    assert len(estimator.validation_scores_) == 60
    assert estimator._no_improvement_count > 3
    best = estimator.best_validation_score_
    assert estimator.score(X[150:], NUMBER[150:]) == pytest.approx(best)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"X_val": X}, "y_val was not provided"),
        ({"y_val": THREE}, "X_val was not provided"),
        ({"sample_weight_val": THREE}, "which are missing"),
        ({"X_val": X, "y_val": THREE + 1}, "labels that y has not"),
        ({"X_val": X[:, 1:], "y_val": THREE}, "^X_val and y_val: .*expecting 5 features"),
        ({"X_val": np.where(X > 1, np.nan, X), "y_val": THREE}, "^X_val and y_val: Input X .*NaN"),
        ({"X_val": X, "y_val": SEVERAL}, r"y_val has shape \(201, 3\), and y \(201,\): give"),
        *(
            ({"X_val": X, "y_val": THREE, "sample_weight_val": weights}, f"sample_weight_val{said}")
            for weights, said in (
                (-TWO, ".* a weight is not negative"),
                (TWO[:3], r": sample_weight\.shape"),
                (np.zeros(len(X)), ""),
                (np.full(len(X), 1e308), " times class_weight"),
            )
        ),
    ],
)
def test_rows_to_validate_on_that_do_not_fit(given, match):
    with pytest.raises(ValueError, match=match):
        classifier().fit(X, THREE, **given)


@pytest.mark.parametrize(
    "parameters",
    [
        {"dropout": 0.1},
        {"normalization": "batch"},
        {"clip_norm": 1.0},
        {"callbacks": [cr.Callback()]},
        {"learning_rate": optim.lr_scheduler.ExponentialLR},
        {"activation": "rrelu"},
        {"activation": nn.Sequential(nn.Dropout(0.5), nn.ReLU())},
        {"activation": nn.Sequential(nn.BatchNorm1d(8), nn.ReLU())},
    ],
    ids=str,
)
def test_what_lbfgs_can_not(parameters):
    with pytest.raises(ValueError, match="minibatches"):
        classifier(solver="lbfgs", **parameters).fit(X, THREE)


def test_missing_values_on_request():
    holes = X.copy()
    holes[::4, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        classifier().fit(holes, THREE)
    estimator = classifier(allow_nan=True, max_iter=30).fit(holes, THREE)
    assert estimator.coefs_[0].shape == (6, 8) and estimator.n_features_in_ == 5
    assert estimator.score(holes, THREE) > 0.6
    estimator.partial_fit(X, THREE)
    assert np.isfinite(estimator.predict_proba(holes)).all()
    with pytest.raises(ValueError, match="infinity"):
        estimator.predict(np.full((1, 5), np.inf))


@pytest.mark.parametrize("given", [[5.0, 4], [5, "a"], [[5, 4]], [True], np.array([2.5])])
def test_widths_that_are_no_whole_numbers(given):
    with pytest.raises(TypeError, match="each of hidden_layer_sizes is a whole number; got"):
        classifier(hidden_layer_sizes=given).fit(X, TWO)


@pytest.mark.parametrize("callbacks", [None, [cr.Callback()]], ids=["", "watched"])
def test_a_training_that_diverges(callbacks):
    given = {"solver": "sgd", "learning_rate_init": 1e9, "max_iter": 20, "activation": "identity"}
    estimator = regressor(callbacks=callbacks, **given)
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        estimator.fit(X, NUMBER)
    estimator.set_params(early_stopping=True).fit(X, NUMBER)
    assert estimator.n_iter_ == len(estimator.validation_scores_) == 20
    assert np.isfinite(estimator.predict(X)).all()


def test_copies_are_their_own(tmp_path):
    first = classifier(dropout=0.1).fit(X, THREE)
    before = first.predict_proba(X)
    losses = []
    joblib.dump(first, tmp_path / "network.joblib")
    for other in (copy.deepcopy(first), joblib.load(tmp_path / "network.joblib")):
        np.testing.assert_array_equal(other.predict_proba(X), before)
        for _ in range(2):
            other.partial_fit(X, THREE)
        losses.append(other.loss_)
        assert not np.array_equal(other.predict_proba(X), before)
        np.testing.assert_array_equal(first.predict_proba(X), before)
    assert losses[0] == losses[1] == first.partial_fit(X, THREE).partial_fit(X, THREE).loss_


def test_a_warm_start_takes_other_parameters():
    estimator = classifier(warm_start=True, solver="lbfgs").fit(X, THREE)
    lengths = []
    for changed in ({"solver": "adam"}, {"early_stopping": True}, {"early_stopping": False}):
        estimator.set_params(**changed).fit(X, THREE)
        lengths.append((len(estimator.loss_curve_), len(estimator.validation_scores_ or ())))
    assert lengths == [(6, 0), (12, 6), (18, 6)]
    estimator.fit(X.astype(np.float32), THREE)
    assert estimator.coefs_[0].dtype == np.float64 and estimator.best_loss_ < np.inf
    estimator.set_params(solver="lbfgs").fit(X.astype(np.float32), THREE)
    assert not hasattr(estimator.set_params(warm_start=False).fit(X, THREE), "loss_curve_")


def test_a_batch_whose_rows_have_no_weight():
    weights = np.repeat([0.0, 1.0, 2.0], 67)
    estimator = classifier(shuffle=False, batch_size=67, max_iter=20).fit(X, THREE, weights)
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[0] < np.inf


def test_weights_that_are_set_are_used():
    estimator = regressor(activation="identity").fit(X, NUMBER)
    for number in range(3):
        estimator.coefs_[number][:] = 0
        estimator.intercepts_[number] = np.full_like(estimator.intercepts_[number], number)
    np.testing.assert_array_equal(estimator.predict(X), 2.0)
    estimator.coefs_[0] = np.zeros((4, 8))
    with pytest.raises(ValueError, match=r"coefs_\[0\].T has shape \(8, 4\)"):
        estimator.predict(X)
    unfitted = regressor()
    unfitted.coefs_, unfitted.intercepts_ = estimator.coefs_, estimator.intercepts_
    for of in (unfitted.predict, lambda _: unfitted.network_):
        with pytest.raises(ValueError, match=r"nothing was fitted.*call fit first"):
            of(X)


@pytest.mark.parametrize(
    ("last", "problem"), [(np.zeros((4, 8)), r"coefs_\[2\].T has shape"), ([["a"]] * 8, "convert")]
)
def test_weights_that_do_not_fit_leave_the_network_as_it_was(last, problem):
    estimator = regressor(activation="identity").fit(X, NUMBER)
    network = estimator.network_
    before = [state.numpy() for state in network.parameters()]
    estimator.coefs_[0] = estimator.coefs_[0] + 1.0
    estimator.intercepts_[1] = estimator.intercepts_[1] + 1.0
    estimator.coefs_[2] = last
    with pytest.raises(ValueError, match=problem):
        estimator.predict(X)
    for state, value in zip(network.parameters(), before, strict=True):
        np.testing.assert_array_equal(state.numpy(), value)


def test_draws_for_other_networks_are_left_alone():
    cr.manual_seed(0)
    expected = nn.Linear(2, 2).weight.tolist()
    cr.manual_seed(0)
    classifier(dropout=0.1).fit(X, THREE)
    assert nn.Linear(2, 2).weight.tolist() == expected


@pytest.mark.parametrize("dtype", [">f8", ">f4", ">i2", "f2", "g", "O", "u8"])
@pytest.mark.parametrize("parameters", [{}, {"early_stopping": True}, {"allow_nan": True}])
def test_numbers_of_any_width_and_byte_order(dtype, parameters):
    rows = np.round(X * 8) / 8  # which all of these hold
    rows = rows.astype(int) if dtype == ">i2" else rows
    rows = np.where(rows > 0.5, 2.0**63 * (1 + np.abs(rows) / 8), 0) if dtype == "u8" else rows
    own = rows.astype(np.float32 if dtype == ">f4" else np.float64)
    expected = classifier(**parameters).fit(own, TWO).predict_proba(own)
    estimator = classifier(**parameters).fit(rows.astype(dtype), TWO)
    for predicts in (estimator, cr.Predictor(estimator)):
        found = predicts.predict_proba(rows.astype(dtype))
        np.testing.assert_allclose(found, expected, atol=1e-5)
    sparse = csr_matrix(own)
    sparse.data = sparse.data.astype(sparse.dtype.newbyteorder(">"))
    np.testing.assert_allclose(estimator.predict_proba(sparse), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "y"),
    [(regressor, X[:, :2]), (regressor, X[:, :1]), (classifier, SEVERAL), (classifier, THREE)],
    ids=["columns", "column", "labels", "classes"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_arrays_of_any_layout(make, y):
    def layouts(a):
        strided = np.repeat(a, 2, axis=0)[::2]
        return [np.asfortranarray(a), np.asfortranarray(strided), strided, a[::-1].copy()[::-1]]

    weights = rng.uniform(0.5, 2, len(X))
    for parameters in ({"solver": "lbfgs"}, {}):
        given = {} if parameters else {"X_val": X, "y_val": y, "sample_weight_val": weights}
        wanted = make(**parameters).fit(X, y, weights, **given).predict(X)
        for rows, targets, shares in zip(*map(layouts, (X, y, weights)), strict=True):
            if given:
                given = {"X_val": rows, "y_val": targets, "sample_weight_val": shares}
            found = make(**parameters).fit(rows, targets, shares, **given)
            np.testing.assert_array_equal(found.predict(rows), wanted)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"hidden_layer_sizes": ()}, {"dropout": 0.5, "normalization": "batch"}, {"residual": True},
     {"early_stopping": True, "activation": square}],
    ids=["plain", "linear", "dropout", "residual", "validated"],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_rows_of_few_numbers(parameters, dtype):
    dense = np.where(rng.random((300, 40)) < 0.05, 9 * rng.normal(size=(300, 40)), 0).astype(dtype)
    y = dense[:, 0] + dense[:, 1] + np.arange(300) % 2
    estimator = regressor(batch_size=50, **parameters).fit(csr_matrix(dense), y)
    expected = estimator.predict(dense)
    for rows in (slice(None), slice(7), slice(3, 4)):
        found = estimator.predict(csr_matrix(dense[rows]))
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected[rows], rtol=1e-4, atol=1e-5)


def test_rows_of_few_numbers_stay_sparse(monkeypatch):
    dense = np.where(rng.random((200, 40)) < 0.02, 1.0, 0.0)
    estimator = classifier().fit(dense, dense[:, 0])
    expected = estimator.predict_proba(dense)
    monkeypatch.setattr(csr_matrix, "toarray", None)
    np.testing.assert_allclose(estimator.predict_proba(csr_matrix(dense)), expected)


def test_sparse_rows_become_dense_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr("chainrule.sklearn.sparse_rows.MOST_BYTES", 5 * X[0].nbytes)
    estimator = classifier(residual=True).fit(X, TWO)
    sizes, toarray = [], csr_matrix.toarray
    monkeypatch.setattr(csr_matrix, "toarray", lambda x: sizes.append(x.shape[0]) or toarray(x))
    for predict in (estimator.predict_proba, cr.Predictor(estimator).predict_proba):
        np.testing.assert_allclose(predict(csr_matrix(X)), estimator.predict_proba(X), rtol=1e-9)
    assert set(sizes) == {4, 1}


def test_metadata_and_frames():
    pandas = pytest.importorskip("pandas")
    sklearn = pytest.importorskip("sklearn")
    from sklearn.model_selection import GridSearchCV, cross_validate
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame = pandas.DataFrame(X, columns=list("abcde"))
    with sklearn.config_context(enable_metadata_routing=True):
        weighted = classifier().set_fit_request(sample_weight=True)
        weighted.set_score_request(sample_weight=True)
        found = cross_validate(weighted, frame, THREE, cv=3, params={"sample_weight": TWO + 0.5})
    assert found["test_score"].shape == (3,)
    pipeline = make_pipeline(StandardScaler().set_output(transform="pandas"), classifier())
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-4, 1.0]}, n_jobs=1, cv=2)
    search.fit(frame, THREE)
    assert search.best_estimator_[-1].feature_names_in_.tolist() == list("abcde")
    assert "MLPClassifier" in search._repr_html_()


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_layers_that_change_between_calls(call):
    model = regressor(dropout=0.5, normalization="layer", activation="prelu", warm_start=True)
    getattr(model, call)(X, NUMBER)
    before = model.network_.eval()(cr.tensor(X)).numpy()
    getattr(model.set_params(dropout=0.0, learning_rate_init=1e-9), call)(X, NUMBER)
    assert "Dropout" not in kinds(model)
    if call == "fit":  # a later partial_fit keeps its learning rate
        np.testing.assert_allclose(model.predict(X), before[:, 0], atol=1e-4)
    getattr(model.set_params(normalization=None, residual=True), call)(X, NUMBER)
    assert "LayerNorm" not in kinds(model) and kinds(model).count("Residual") == 2
    getattr(model.set_params(loss="poisson"), call)(X, np.abs(NUMBER))
    assert model.out_activation_ == "exp" and (model.predict(X) > 0).all()
