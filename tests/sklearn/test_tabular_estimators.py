"""The estimators for tables, beyond what scikit-learn checks."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn.neural_network")
pytest.importorskip("pandas")
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.inspection import partial_dependence
from sklearn.model_selection import GridSearchCV

from chainrule import nn, tabular
from chainrule.sklearn import MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor
from chainrule.tabular.targets import Numbers

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "size": RNG.normal(size=120),
        "colour": RNG.choice(["red", "green", None], 120),
        "when": pd.date_range("2020-01-01", periods=120, freq="D"),
    }
)
LABELS = np.where(FRAME["size"] + (FRAME["colour"] == "red") > 0, "big", "small")
VALUES = 100 + 10 * FRAME["size"].to_numpy()
SMALL = {"epochs": 8, "hidden": [16], "random_state": 0}


def test_a_frame_with_text_dates_and_missing_values():
    model = TabularClassifier(**{**SMALL, "epochs": 60}).fit(FRAME, LABELS)
    assert model.score(FRAME, LABELS) > 0.9
    assert model.classes_.tolist() == ["big", "small"]
    assert [c["kind"] for c in model.columns_.describe()] == ["number", "category", "date"]
    probabilities = model.predict_proba(FRAME)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (model.predict(FRAME) == model.classes_[probabilities.argmax(axis=1)]).all()
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(FRAME), probabilities)
    assert 1 <= model.best_epoch_ <= model.n_iter_ == 60
    with pytest.raises(ValueError, match="same order as they were in fit"):
        model.predict(FRAME[["when", "size", "colour"]])
    # By the names alone the model takes columns in any order.
    swapped = FRAME[["when", "size", "colour"]]
    np.testing.assert_array_equal(model.model_.predict_proba(swapped), probabilities)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("labels", "kept"),
    [
        (np.array([np.str_("a"), np.str_("b")], object), ["a", "b"]),
        (np.array(["a", "a\0"], object), ["a", "a\0"]),
        (np.array([0, 1], np.longdouble), [0.0, 1.0]),
        (np.array(["2020-01-01", "2021-01-01"], "M8[D]"), ["2020-01-01", "2021-01-01"]),
        (np.array(["2020-01-01", "2021-01-01"], "M8[ns]"), ["2020-01-01", "2021-01-01"]),
        (np.array([36, 48], "m8[h]"), [1.5, 2.0]),
    ],
)
def test_labels_of_any_type_are_kept(labels, kept, tmp_path):
    if labels.dtype.kind == "M":
        kept = [f"{date}T00:00:00.000000" for date in kept]
    y = labels[(LABELS == "small").astype(int)]
    model = TabularClassifier(**SMALL).fit(FRAME, y)
    found = model.predict(FRAME)
    assert found.dtype == labels.dtype
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(FRAME), found)
    model.model_.save(tmp_path / "model.safetensors")
    for table_model in (model.model_, tabular.TabularModel.load(tmp_path / "model.safetensors")):
        assert list(table_model.classes) == kept
        numbers = np.searchsorted(labels, found)
        assert table_model.predict(FRAME).tolist() == [kept[number] for number in numbers]
    rows = FRAME[["size"]]
    for fitted, table in ((model, FRAME), (MLPClassifier(max_iter=1).fit(rows, y), rows)):
        fitted.report(tmp_path / "report.html", table, y, train=(table, y))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a", 1] * 20, "can't be sorted: .* Give labels of one kind"),
        ([1, "a"] * 20, "Unknown label type: y holds objects, of type int, str. Give text, whole"),
        ([True, False] * 20, "Unknown label type: y holds objects, of type bool. Give text, whole"),
        ([b"a", b"b"] * 20, "^Support for labels represented as bytes is not supported.* format.$"),
    ],
)
@pytest.mark.parametrize("estimator", [TabularClassifier(**SMALL), MLPClassifier(max_iter=1)])
def test_labels_that_can_not_be_told_apart(estimator, y, message):
    with pytest.raises((TypeError, ValueError), match=message):
        clone(estimator).fit(np.arange(40.0)[:, None], np.array(y, object))


def test_the_same_seed_gives_the_same_model_and_rows_do_not_depend_on_others():
    first, second = (TabularRegressor(**SMALL).fit(FRAME, VALUES) for _ in range(2))
    np.testing.assert_array_equal(first.predict(FRAME), second.predict(FRAME))
    alone = np.concatenate([first.predict(FRAME.iloc[i : i + 1]) for i in range(3)])
    np.testing.assert_array_equal(alone, first.predict(FRAME)[:3])
    other = clone(first).set_params(random_state=1).fit(FRAME, VALUES)
    assert (other.predict(FRAME) != first.predict(FRAME)).any()


@pytest.mark.parametrize("kind", [pd.Index, np.array, pd.Series, frozenset, dict.fromkeys])
def test_names_of_columns_in_any_collection(kind):
    frame = FRAME.assign(floor=RNG.integers(0, 30, 120))
    given = {**SMALL, "epochs": 1, "categorical": kind(["floor"]), "drop": kind(["when"])}
    model = clone(TabularRegressor(**given)).fit(frame, VALUES)
    kinds = [column["kind"] for column in model.columns_.describe()]
    assert kinds == ["number", "category", "unused", "category"]


def test_names_of_columns_that_are_no_collection():
    for given, said in (("floor", r"write drop=\['floor'\]"), (3, "got 3"), (None, "got None")):
        with pytest.raises(TypeError, match=f"drop is a list of names.*{said}"):
            TabularRegressor(drop=given).fit(FRAME, VALUES)


def test_a_budget_that_suffices_ends_nothing():
    model = TabularRegressor(**SMALL, time_budget=600).fit(FRAME, VALUES)
    assert model.n_iter_ == 8
    assert model.model_.report["members"][0]["stop_reason"] is None


@pytest.mark.parametrize(
    ("quantiles", "wanted"),
    [
        ((0.1, 0.5, 0.9), 20.0),
        ((0.25, 0.75), 15.0),
        ((0.1, 0.7), 10 + 10 * 2 / 3),
        ((0.05, 0.25, 0.75, 0.95), 25.0),
        ((0.9,), 10.0),
        ((0.6, 0.9), 10.0),
        ((0.1, 0.4), 20.0),
    ],
)
def test_a_prediction_of_quantiles_is_the_median(quantiles, wanted):
    outputs = 10.0 * np.arange(1, len(quantiles) + 1)[None]
    low, high = (0.0,), (100.0,)
    target = Numbers((0.0,), (1.0,), low, high, True, "quantile", quantiles)
    assert target.decode(outputs) == pytest.approx([wanted], rel=1e-12)


def test_validation_rows_weights_and_classes():
    held = FRAME[:30], LABELS[:30]
    model = TabularClassifier(**SMALL)
    model.fit(FRAME[30:], LABELS[30:], X_val=held[0], y_val=held[1])
    error = model.history_["validation_error"][model.best_epoch_ - 1]
    assert error == min(model.history_["validation_error"])
    assert error == pytest.approx(1 - model.score(*held))
    # Class weights move the balance of the predictions.
    rare = np.where(FRAME["size"] > 1.2, "rare", "usual")
    noisy = FRAME.assign(size=FRAME["size"] + RNG.normal(size=120))
    found = [
        (
            TabularClassifier(epochs=30, hidden=[16], random_state=0, class_weight=weight)
            .fit(noisy, rare)
            .predict(noisy)
            == "rare"
        ).sum()
        for weight in (None, {"rare": 30.0, "usual": 1.0})
    ]
    assert found[1] > found[0]
    with pytest.raises(ValueError, match="classes that y does not have"):
        model.fit(FRAME, LABELS, X_val=FRAME, y_val=["huge"] * 120)


def test_scikit_learns_tools():
    search = GridSearchCV(TabularRegressor(**SMALL), {"preset": ["fast", "default"]}, cv=2)
    search.fit(FRAME, VALUES)
    assert search.best_params_["preset"] in ("fast", "default")
    found = partial_dependence(search.best_estimator_, FRAME, ["size"], grid_resolution=4)
    assert found["average"].shape == (1, 4)


def test_arguments():
    for wrong, said in (
        ({"preset": "quick"}, "'preset' parameter"),
        ({"epochs": 0}, "'epochs' parameter"),
        ({"drop": ["sizes"]}, "no column 'sizes'"),
        ({"members": 3}, "members is for preset='ensemble'"),
    ):
        with pytest.raises(ValueError, match=said):
            TabularRegressor(**{**SMALL, **wrong}).fit(FRAME, VALUES)
    for weight in ("auto", pd.Series({"big": 1.0, "small": 2.0})):
        with pytest.raises(ValueError, match="'class_weight' parameter of TabularClassifier"):
            TabularClassifier(**SMALL, class_weight=weight).fit(FRAME, LABELS)
    with pytest.raises(ValueError, match=r"1 class, .*'a'"):
        TabularClassifier(**SMALL).fit(FRAME, ["a"] * 120)
    with pytest.raises(ValueError, match="two columns named 'size'"):
        TabularRegressor(**SMALL).fit(FRAME[["size", "size"]], VALUES)
    with pytest.raises(ValueError, match="infinity"):
        TabularRegressor(**SMALL).fit(FRAME.assign(size=np.inf), VALUES)
    with pytest.raises(ValueError, match="Unknown label type"):
        TabularClassifier(**SMALL).fit(FRAME, VALUES + 0.5)


@pytest.mark.parametrize("unit", ["datetime64[s]", "timedelta64[h]"])
def test_targets_that_are_dates_or_durations_are_no_numbers(unit):
    times = np.arange(len(VALUES)).astype(unit)
    said = r"y holds d.*a regression predicts numbers: "
    with pytest.raises(TypeError, match=said):
        TabularRegressor(**SMALL).fit(FRAME, times)
    fitted = TabularRegressor(**SMALL)
    with pytest.raises(TypeError, match=said):
        fitted.fit(FRAME, VALUES, X_val=FRAME, y_val=times)
    with pytest.raises(TypeError, match=said):
        fitted.fit(FRAME, VALUES).score(FRAME, times)


@pytest.mark.parametrize("dtype", [bool, object, "boolean"])
def test_booleans_as_targets_of_a_regression_are_0_and_1(dtype, tmp_path):
    """As scikit-learn's regressors take them."""
    truths = pd.Series(VALUES, FRAME.index).gt(np.median(VALUES))
    found = TabularRegressor(**SMALL).fit(FRAME, truths.astype(float)).predict(FRAME)
    mine = TabularRegressor(**SMALL).fit(FRAME, truths.astype(dtype))
    np.testing.assert_array_equal(mine.predict(FRAME), found)
    mine.fit(FRAME, truths.astype(dtype), X_val=FRAME, y_val=truths.astype(dtype))
    mine.report(tmp_path / "r.html", FRAME, truths)
    table = truths.to_frame().assign(other=VALUES)
    assert mine.fit(FRAME, table).predict(FRAME).shape == (len(FRAME), 2)


def test_rows_to_validate_on_are_weighted_as_those_held_out():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    y = np.where(x[:, 0] + rng.normal(size=400) > 1.8, "rare", "often")
    half = slice(0, 200), slice(200, 400)
    given = dict(preset="fast", epochs=8, random_state=0)
    weighted = TabularClassifier(class_weight="balanced", **given)
    weighted.fit(x[half[0]], y[half[0]], X_val=x[half[1]], y_val=y[half[1]])
    shares = (y[half[0]] == "rare").mean()
    weights = np.where(y == "rare", 0.5 / shares, 0.5 / (1 - shares))
    by_rows = TabularClassifier(**given)
    by_rows.fit(
        x[half[0]], y[half[0]], sample_weight=weights[half[0]],
        X_val=x[half[1]], y_val=y[half[1]], sample_weight_val=weights[half[1]],
    )  # fmt: skip
    assert np.allclose(weighted.predict_proba(x), by_rows.predict_proba(x), atol=1e-4)
    assert weighted.model_.predict(x[:5]).tolist() == weighted.predict(x[:5]).tolist()


@pytest.mark.parametrize("loss", [None, "squared_error", "gaussian", "quantile"])
@pytest.mark.parametrize("preset", ["fast", "default", "ensemble"])
def test_rows_of_weight_0_change_nothing(preset, loss):
    """Neither among those to train on nor among those to validate on, whatever they hold."""
    rows = RNG.normal(size=(240, 3))
    y = (rows[:, 0] + 0.5 * RNG.normal(size=240) > 0).astype(int)
    counts = np.arange(240) % 3 > 0
    rows[~counts] *= [50, 1, 900]
    weights = np.where(counts, RNG.uniform(1, 2, 240), 0.0)
    model = TabularRegressor(preset, loss=loss, **SMALL) if loss else TabularClassifier(
        preset, **SMALL
    )  # fmt: skip
    for table in (rows, pd.DataFrame(rows, columns=list("abc"))):
        parts = []
        for train, held in ((slice(120), slice(120, 240)), (slice(240), None)):
            for keep in (np.full(240, True), counts):
                x, t, w = (a[train][keep[train]] for a in (table, y, weights))
                given = {}
                if held is not None:
                    x_val, y_val, w_val = (a[held][keep[held]] for a in (table, y, weights))
                    given = {"X_val": x_val, "y_val": y_val, "sample_weight_val": w_val}
                parts.append(clone(model).fit(x, t, w, **given))
        for with_them, without in (parts[:2], parts[2:]):
            assert with_them.history_["loss"] == without.history_["loss"]
            assert with_them.history_["validation_error"] == without.history_["validation_error"]
            assert with_them.model_.temperatures == without.model_.temperatures
            np.testing.assert_array_equal(
                with_them.feature_importances_, without.feature_importances_
            )
            found, expected = (
                m.predict_interval(table) if loss else m.predict_proba(table)
                for m in (with_them, without)
            )
            np.testing.assert_array_equal(found, expected)


def test_importances_are_computed_when_they_are_asked_for():
    model = TabularRegressor(**SMALL)
    assert not hasattr(model, "feature_importances_")
    model.fit(FRAME, VALUES)
    shares = model.feature_importances_
    assert shares.shape == (3,) and shares.sum() == pytest.approx(1)
    np.testing.assert_array_equal(shares, list(model.model_.importances(FRAME).values()))
    again = pickle.loads(pickle.dumps(clone(model).fit(FRAME, VALUES)))  # without rows
    np.testing.assert_array_equal(again.feature_importances_, shares)
    assert not hasattr(again, "_some_rows")


@pytest.mark.parametrize("classes", [2, 60])
def test_importances_are_of_rows_from_all_of_the_table(classes):
    time = np.linspace(-1, 1, 6000)
    rows = np.stack([time, RNG.normal(size=6000)], axis=1)
    y = np.digitize(time + 0.05 * rows[:, 1], np.linspace(-1, 1, classes + 1)[1:-1])
    model = TabularClassifier("fast", epochs=2, hidden=[16], random_state=0)
    for table in (rows, pd.DataFrame(rows, columns=["time", "other"])):
        shares = model.fit(table, y).feature_importances_
        every = list(model.model_.importances(table).values())
        np.testing.assert_allclose(shares, every, atol=0.03)
    read = pickle.loads(pickle.dumps(model.fit(rows, y)))
    np.testing.assert_array_equal(read.feature_importances_, model.feature_importances_)


def test_importances_of_many_classes_take_fewer_rows():
    y = np.arange(3000) % 60
    model = TabularClassifier("fast", epochs=1, hidden=[4], random_state=0)
    model.fit(RNG.normal(size=(3000, 2)), y)
    assert len(model._some_rows["numbers"]) == 166  # 10,000 rows times outputs


def test_processes_of_joblib_give_what_one_gives():
    # Each process has threads of its own; joblib divides the CPUs among them.
    x = FRAME[["size"]].to_numpy()  # so that they need no pandas
    found = []
    for jobs in (1, 2):
        one = TabularRegressor(epochs=1, hidden=[4], random_state=0)
        search = GridSearchCV(one, {"lr": [0.01, 0.1]}, cv=2, n_jobs=jobs)
        found.append(search.fit(x, VALUES))
    np.testing.assert_array_equal(*[one.cv_results_["mean_test_score"] for one in found])
    np.testing.assert_array_equal(*[one.predict(x) for one in found])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "estimator",
    [
        TabularClassifier(**SMALL), TabularRegressor(**SMALL),
        MLPClassifier(max_iter=5), MLPRegressor(max_iter=5),
    ],
)  # fmt: skip
def test_a_fit_that_fails_changes_nothing(estimator):
    rows = RNG.normal(size=(40, 3))
    estimator = clone(estimator)
    wrong = rows[:, :2], np.arange(40) % 3, [-1.0] * 40
    with pytest.raises(ValueError, match="not negative"):
        estimator.fit(*wrong)
    assert not [name for name in vars(estimator) if name.endswith("_")]
    estimator.fit(rows, np.where(rows[:, 0] > 0, 8, 9))
    before, expected = set(vars(estimator)), estimator.predict(rows)
    with pytest.raises(ValueError, match="not negative"):
        estimator.fit(*wrong)
    assert set(vars(estimator)) == before and estimator.n_features_in_ == 3
    np.testing.assert_array_equal(estimator.predict(rows), expected)


def test_a_first_partial_fit_that_fails_changes_nothing():
    estimator, rows = MLPClassifier(), RNG.normal(size=(9, 2))
    with pytest.raises(ValueError, match="classes not in"):
        estimator.partial_fit(rows, np.arange(9) % 3, classes=[0, 1])
    estimator.partial_fit(rows, np.arange(9) % 3, classes=[0, 1, 2])
    assert estimator.classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"y_val": [0, 1]}, "y_val is provided, but X_val was not"),
        ({"X_val": [[0.0], [1.0]]}, "X_val is provided, but y_val was not"),
        ({"sample_weight_val": [1.0, 1.0]}, "which are missing"),
        (
            {"X_val": [[0.0], [1.0]], "y_val": [0, 1], "sample_weight_val": [1.0]},
            "sample_weight_val",
        ),
    ],
)
def test_rows_to_validate_on_come_whole(kind, given, said):
    with pytest.raises(ValueError, match=said):
        kind(**SMALL).fit(np.arange(30.0)[:, None], np.arange(30) % 2, **given)


def test_columns_of_any_scale_are_learnt_alike():
    rows = RNG.normal(size=(200, 2))
    expected = None
    for size in (1.0, 1e-100, 1e-38, 1e38):
        model = TabularClassifier("fast", epochs=20, hidden=[16], random_state=0)
        scaled = rows * [2.0 ** round(np.log2(size)), 1]
        found = model.fit(scaled, rows[:, 0] > 0).predict_proba(scaled)
        expected = found if expected is None else expected
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    "estimator",
    [
        TabularClassifier(**SMALL), TabularRegressor(**SMALL),
        MLPClassifier(max_iter=1), MLPRegressor(max_iter=1),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "y",
    [
        pd.Series(["a", pd.NA] * 20, dtype="string"),
        pd.Series([1, pd.NA] * 20, dtype=object),
        [1, None] * 20,
        np.array(["2020-01-01", "NaT"] * 20, "M8[D]"),
        np.array([1, "NaT"] * 20, "m8[D]"),
        pd.Series(pd.to_datetime(["2020-01-01", None] * 20)),
        np.ma.masked_array([1, 0] * 20, [False, True] * 20),
        np.ma.masked_array([1.0, 0.0] * 20, [False, True] * 20),
    ],
    ids=str,
)
def test_missing_targets_are_named(estimator, y):
    rows = np.arange(40.0)[:, None]
    for given in ({"y": y}, {"y": [1, 0] * 20, "X_val": rows, "y_val": y}):
        with pytest.raises(ValueError, match="y contains NaN: it is missing at row 1"):
            clone(estimator).fit(rows, **given)


@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor, MLPClassifier, MLPRegressor])
def test_gaps_of_a_dictionary_of_pyarrow_are_named(kind):
    """NumPy sees the last value of the dictionary in their places."""
    pa = pytest.importorskip("pyarrow")
    values = ["a", None, "b", "b"] if "Classifier" in kind.__name__ else [0.5, None, 1.5, 1.5]
    y = pa.chunked_array([pa.array(values * 10).dictionary_encode()])
    with pytest.raises(ValueError, match="y contains NaN: it is missing at row 1"):
        kind().fit(np.arange(40.0)[:, None], y)


@pytest.mark.parametrize("estimator", [TabularRegressor(**SMALL), MLPRegressor(max_iter=1)])
def test_sparse_targets_are_refused(estimator):
    rows = RNG.normal(size=(40, 2))
    held = {"X_val": rows, "y_val": csr_matrix(rows)}
    for y, given in ((csr_matrix(rows), {}), (rows, held)):
        with pytest.raises(TypeError, match=r"y is a sparse matrix, .* give y.toarray\(\)"):
            clone(estimator).fit(rows, y, **given)
    with pytest.raises(TypeError, match="y is a sparse matrix"):
        tabular.fit(rows, csr_matrix(rows), "regression")


def test_targets_of_any_scale_are_learnt_alike():
    rows = RNG.normal(size=(200, 2))
    for size in (2.0**-700, 1.0, 2.0**980):
        model = TabularRegressor("fast", epochs=60, hidden=[16], random_state=0)
        found = model.fit(rows, size * rows[:, 0]).predict(rows) / size
        assert np.corrcoef(found, rows[:, 0])[0, 1] > 0.98


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_figures_of_targets_of_another_length(task):
    rows = RNG.normal(size=(40, 2))
    y = rows[:, 0] > 0 if task == "classification" else rows[:, 0]
    model = tabular.fit(rows, y, task, preset="fast", epochs=1)
    with pytest.raises(ValueError, match="x has 40 rows and y 5: give a target for each row"):
        tabular.figures(model, rows, y[:5])


def test_an_ensemble_of_one_row():
    with pytest.raises(ValueError, match="of 1 rows none is left to train on"):
        TabularRegressor("ensemble", **SMALL).fit([[1.0, 2.0]], [1.0])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_activation_with_parameters_has_the_dtype_of_the_rows(dtype):
    rows = RNG.normal(size=(40, 2)).astype(dtype)
    losses = []
    for made in ("float32", "float64"):
        activation = nn.Sequential(nn.PReLU(init=0.3, dtype=made))
        given = {"activation": activation, "max_iter": 3, "random_state": 0}
        estimator = MLPClassifier(**given).fit(rows, rows[:, 0] > 0)
        losses.append(estimator.loss_)
        assert {p.dtype for p in estimator.network_.parameters()} == {np.dtype(dtype)}
        assert activation[0].weight.item() == pytest.approx(0.3)  # a copy was trained
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
