"""Predictor: trainings, tables' models, estimators and files, predicted with by many threads."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import polars as pl
import pytest

import chainrule as cr
from chainrule import nn, optim, tabular

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4))
Y = X[:, 0] - 2 * X[:, 1]
LABELS = np.where(Y > 0, "up", "down")
FRAME = pd.DataFrame(X, columns=list("abcd"))


@pytest.fixture(scope="module")
def number_model():
    holes = FRAME.mask(RNG.random(FRAME.shape) < 0.1)
    holes["same"] = 1
    return tabular.fit(holes, Y, "regression", preset="fast", epochs=2)


@pytest.fixture(scope="module")
def class_model():
    frame = FRAME.assign(town=np.where(X[:, 2] > 0, "Bern", "Zug"))
    return tabular.fit(frame, LABELS, "classification", epochs=2)


def test_a_training_gives_its_averages(tmp_path):
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    ema = optim.EMA(model.parameters(), decay=0.9)
    trainer = cr.Trainer(model, nn.MSELoss(), optimizer, ema=ema)
    trainer.fit(FRAME.astype("float32"), Y.astype("float32")[:, None], epochs=2, progress=False)
    trainer.save(tmp_path / "training.safetensors")
    expected = trainer.predict(FRAME.astype("float32"))
    own = model(X.astype("float32")).numpy()
    assert not np.allclose(expected, own, atol=1e-3)
    for given in (trainer, tmp_path / "training.safetensors"):
        predictor = cr.Predictor(given)
        found = predictor.predict(FRAME[list("dbca")].astype("float32"))
        assert np.allclose(found, expected, atol=1e-6)
        assert predictor.classes is None
        with pytest.raises(AttributeError, match="use predict"):
            predictor.predict_proba(X)
    assert np.array_equal(model(X.astype("float32")).numpy(), own)


def test_a_model_of_a_table_and_its_file(class_model, tmp_path):
    class_model.save(tmp_path / "towns.safetensors")
    frame = FRAME.assign(town="Zug", more=1)
    for given in (class_model, tmp_path / "towns.safetensors"):
        predictor = cr.Predictor(given)
        assert predictor.classes == ("down", "up")
        assert predictor.predict(frame).tolist() == class_model.predict(frame).tolist()
        for rows in (1, 3, 120):
            found = predictor.predict_proba(frame[:rows])
            assert np.allclose(found, class_model.predict_proba(frame[:rows]), atol=1e-6)
        with pytest.raises(ValueError, match="lacks 'town'"):
            predictor.predict(FRAME)


FORMS = {
    "frame": lambda f: f,
    "other order": lambda f: f[[*list("dcba"), "same"]],
    "polars": pl.from_pandas,
    "dict of lists": lambda f: {n: [None if v != v else v for v in c] for n, c in f.items()},
    "dict of arrays": lambda f: {n: c.to_numpy() for n, c in f.items()},
    "array": lambda f: f.to_numpy(),
    "float32": lambda f: f.to_numpy("float32"),
    "columns first": lambda f: np.asfortranarray(f.to_numpy()),
    "list": lambda f: f.to_numpy().tolist(),
    "objects": lambda f: f.to_numpy().astype(object),
    "nullable": lambda f: f.convert_dtypes(),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_numbers_are_the_same_in_any_form(number_model, form):
    frame = FRAME.mask(RNG.random(FRAME.shape) < 0.1).assign(same=1)
    # Cell by cell: a column of objects.
    expected = number_model.columns.transform(frame.assign(a=frame["a"].astype(object)))
    found = number_model.columns.transform(FORMS[form](frame))
    atol = 1e-6 if form == "float32" else 0
    assert np.allclose(found["numbers"], expected["numbers"], rtol=0, atol=atol)
    predictor = cr.Predictor(number_model)
    rows = FORMS[form](frame[:7])
    assert np.allclose(predictor.predict(rows), number_model.predict(frame[:7]), atol=1e-5)


@pytest.mark.parametrize("form", ["frame", "array", "list", "dict of lists"])
@pytest.mark.parametrize("bad", [np.inf, 10**400], ids=["infinity", "a long integer"])
def test_infinite_numbers_are_named(number_model, form, bad):
    frame = FRAME.assign(same=1)
    if bad != np.inf:
        frame = frame.astype(object)
    frame.loc[5, "c"] = bad
    with pytest.raises(ValueError, match=r"infinity at row 5\. Replace"):
        cr.Predictor(number_model).predict(FORMS[form](frame))


def test_many_rows_go_through_in_parts(number_model):
    frame = pd.concat([FRAME.assign(same=1)] * 150, ignore_index=True)
    expected = np.tile(number_model.predict(frame[:120]), 150)
    assert len(frame) > 16_384
    for form in ("frame", "polars", "array", "dict of lists"):
        assert np.allclose(number_model.predict(FORMS[form](frame)), expected, atol=1e-6)
    frame = frame.astype({"b": object})
    frame.loc[17_000, "b"] = "many"
    with pytest.raises(ValueError, match="'many' at row 17000"):
        number_model.predict(frame)


@pytest.mark.parametrize("kind", ["numbers", "classes"])
def test_threads_and_copies(number_model, class_model, kind):
    predictor = cr.Predictor(number_model if kind == "numbers" else class_model)
    frame = FRAME.assign(**({"same": 1} if kind == "numbers" else {"town": "Zug"}))

    def one(row):
        return predictor.predict(frame[row : row + 1])

    expected = np.concatenate([one(row) for row in range(120)])
    with ThreadPoolExecutor(8) as threads:
        found = np.concatenate(list(threads.map(one, [*range(120)] * 4)))
    assert np.array_equal(found, np.tile(expected, 4))
    for other in (copy.deepcopy(predictor), pickle.loads(pickle.dumps(predictor))):
        assert np.array_equal(other.predict(frame[:1]), expected[:1])


TARGETS = {
    "classes": np.digitize(Y, [-1, 1]),
    "two classes": LABELS,
    "labels": np.stack([Y > 0, X[:, 2] > 0], axis=1).astype(int),
    "numbers": Y,
    "holes": Y,
    "table": LABELS,
}


@pytest.mark.parametrize("of", TARGETS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimators(of):
    sklearn = pytest.importorskip("chainrule.sklearn")
    sparse = pytest.importorskip("scipy.sparse")
    frame = FRAME.mask(X > 2) if of == "holes" else FRAME
    if of == "table":
        model = sklearn.TabularClassifier(epochs=2)
    else:
        kind = sklearn.MLPRegressor if of in ("numbers", "holes") else sklearn.MLPClassifier
        model = kind(hidden_layer_sizes=(8,), max_iter=3, random_state=0, allow_nan=of == "holes")
    model.fit(frame, TARGETS[of])
    predictor = cr.Predictor(model)
    before = predictor.predict(frame)
    if of in ("numbers", "holes"):
        assert np.allclose(before, model.predict(frame), atol=1e-6)
        assert predictor.classes is None
        with pytest.raises(AttributeError, match="use predict"):
            predictor.predict_proba(frame)
    else:
        assert np.array_equal(before, model.predict(frame))
        assert list(predictor.classes) == list(model.classes_)
        found = predictor.predict_proba(frame[list("dcba")])
        assert np.allclose(found, model.predict_proba(frame), atol=1e-6)
    if of not in ("holes", "table"):
        assert np.array_equal(predictor.predict(sparse.csr_matrix(X)), before)
    model.fit(X[:, ::-1], TARGETS[of])
    assert np.array_equal(predictor.predict(frame), before)
    assert np.array_equal(pickle.loads(pickle.dumps(predictor)).predict(frame), before)


@pytest.mark.parametrize(
    "rows", [X[0], X[0].tolist(), 3.0, [X[:2]], [["a", "b", "c", "d"]]], ids=str
)
@pytest.mark.parametrize("holes", [False, True])
def test_rows_of_an_estimator_are_refused_as_by_itself(rows, holes):
    sklearn = pytest.importorskip("chainrule.sklearn")
    kinds = sklearn.MLPRegressor, sklearn.MLPClassifier
    for kind, y in zip(kinds, (Y, LABELS), strict=True):
        estimator = kind(solver="lbfgs", tol=1, allow_nan=holes).fit(X, y)
        with pytest.raises(ValueError) as expected:
            estimator.predict(rows)
        with pytest.raises(ValueError) as found:
            cr.Predictor(estimator).predict(rows)
        assert str(found.value)[:20] == str(expected.value)[:20]
        hidden = np.ma.masked_array(X[:2], [[False] * 4, [True] + [False] * 3])
        if holes:
            hole = np.where(hidden.mask, np.nan, X[:2])
            np.testing.assert_array_equal(
                cr.Predictor(estimator).predict(hidden), estimator.predict(hole)
            )
        else:
            with pytest.raises(ValueError, match="nan at row 1, column 0"):
                cr.Predictor(estimator).predict(hidden)
    several = tuple(map(tuple, X[:2]))
    same = cr.Predictor(estimator).predict(several)
    np.testing.assert_array_equal(same, estimator.predict(several))


def test_what_does_not_predict(tmp_path):
    cr.save({"epoch": 3}, tmp_path / "dict.safetensors")
    with pytest.raises(TypeError, match="holds a dict, not a model"):
        cr.Predictor(tmp_path / "dict.safetensors")
    with pytest.raises(FileNotFoundError):
        cr.Predictor(tmp_path / "missing.safetensors")
    sklearn = pytest.importorskip("chainrule.sklearn")
    for estimator in (sklearn.MLPRegressor(), sklearn.TabularRegressor()):
        with pytest.raises(ValueError, match="not fitted"):
            cr.Predictor(estimator)
