"""Training on sparse rows of few numbers: the numbers of scikit-learn, without a dense matrix."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest

import chainrule as cr

pytest.importorskip("sklearn", "1.7")  # its networks take no weights of rows before
networks = pytest.importorskip("sklearn.neural_network")
sparse = pytest.importorskip("scipy.sparse")
ours = pytest.importorskip("chainrule.sklearn")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
ROWS, COLUMNS = 150, 1500
DENSE = np.where(rng.random((ROWS, COLUMNS)) < 0.004, rng.standard_normal((ROWS, COLUMNS)), 0)
DENSE[3] = 0  # a row without numbers
X = sparse.csr_matrix(DENSE)
SUMS = X @ rng.standard_normal((COLUMNS, 2))
LABELS = np.digitize(SUMS[:, 0], [-0.5, 0.5])
WEIGHTS = rng.uniform(0.5, 2, ROWS)


@pytest.fixture
def stays_sparse(monkeypatch):
    for form in (sparse.csr_matrix, sparse.csr_array, sparse.csc_matrix):
        dense = form.toarray

        def toarray(x, *given, dense=dense, **named):
            assert x.shape[1] != COLUMNS, "these rows stay sparse"
            return dense(x, *given, **named)

        monkeypatch.setattr(form, "toarray", toarray)


def pair(kind, y, **parameters):
    parameters = {"max_iter": 5, "batch_size": 40, "random_state": 3} | parameters
    return [
        getattr(r, kind)(hidden_layer_sizes=(9, 7), **parameters).fit(X, y)
        for r in (networks, ours)
    ]


def assert_same(theirs, mine, rtol=1e-9):
    np.testing.assert_allclose(mine.loss_, theirs.loss_, rtol=rtol)
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(mine, name), getattr(theirs, name), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize(("kind", "y"), [("MLPClassifier", LABELS), ("MLPRegressor", SUMS)])
def test_the_numbers_are_scikit_learns(kind, y, solver, stays_sparse):
    assert_same(*pair(kind, y, solver=solver))


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_matrix])
def test_weights_of_rows_in_other_forms_and_float32(form, stays_sparse):
    rows = form(X.astype(np.float32))
    found = []
    for room in (networks, ours):
        estimator = room.MLPClassifier((9,), max_iter=5, random_state=0)
        found.append(estimator.fit(rows, LABELS, sample_weight=WEIGHTS))
    assert_same(*found, rtol=1e-4)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_by_batches(solver, stays_sparse, monkeypatch):
    monkeypatch.setattr("chainrule.sklearn.sparse_rows.MOST_BYTES", 0)
    assert_same(*pair("MLPClassifier", LABELS, solver=solver))


def test_memory_is_not_that_of_the_longest_row_times_all():
    rows, longest = 100_000, 256
    counts = np.ones(rows, int)
    counts[5] = longest
    ends = np.concatenate([[0], np.cumsum(counts)])
    columns = np.arange(ends[-1]) % 8000
    x = sparse.csr_matrix((np.ones(ends[-1]), columns, ends), shape=(rows, 8000))
    estimator = ours.MLPRegressor(hidden_layer_sizes=(1,), max_iter=1, batch_size=1000)
    tracemalloc.start()
    try:
        estimator.fit(x, np.zeros(rows))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < rows * longest * x.dtype.itemsize / 2


def test_early_stopping(stays_sparse):
    theirs, mine = pair("MLPClassifier", LABELS, early_stopping=True, max_iter=20)
    np.testing.assert_allclose(mine.validation_scores_, theirs.validation_scores_)
    assert_same(theirs, mine)


def test_rows_to_validate_on(stays_sparse):
    estimator = ours.MLPClassifier((9,), max_iter=5, random_state=0, early_stopping=True)
    estimator.fit(X, LABELS, X_val=X[:50], y_val=LABELS[:50])
    best = max(estimator.validation_scores_)
    np.testing.assert_allclose(estimator.score(X[:50], LABELS[:50]), best)


def test_training_goes_on_with_sparse_and_dense_rows():
    found = []
    for room in (networks, ours):
        estimator = room.MLPClassifier((9,), random_state=0)
        for start in range(0, ROWS, 50):
            part = slice(start, start + 50)
            rows = X[part] if start != 50 else DENSE[part]
            estimator.partial_fit(rows, LABELS[part], classes=[0, 1, 2])
            estimator.predict(rows)
        found.append(estimator)
    assert_same(*found)


def test_a_warm_start_and_copies(stays_sparse):
    found = []
    for room in (networks, ours):
        estimator = room.MLPClassifier((9,), max_iter=3, warm_start=True, random_state=0)
        found.append(pickle.loads(pickle.dumps(estimator.fit(X, LABELS))).fit(X, LABELS))
    assert_same(*found)
    fitted = found[1]
    expected = fitted.predict_proba(X)
    np.testing.assert_array_equal(copy.deepcopy(fitted).predict_proba(X), expected)


def test_a_callback_finds_the_network(stays_sparse):
    found = []

    class Looks(cr.Callback):
        def on_epoch_end(self, trainer, record):
            outputs = trainer.model(DENSE[:3]).numpy()
            np.testing.assert_allclose(trainer.predict(DENSE[:3]), outputs)
            found.append((outputs, trainer.model[0].weight.numpy().T))

    estimator = ours.MLPClassifier((9, 7), max_iter=2, random_state=0, callbacks=[Looks()])
    estimator.fit(X, LABELS)
    outputs, weight = found[-1]
    np.testing.assert_array_equal(weight, estimator.coefs_[0])
    shares = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(estimator.predict_proba(X[:3]), shares)


def puts_in_a_layer(network):
    network[1] = cr.nn.Tanh()


def puts_in_a_hook(network):
    network[0].register_forward_hook(lambda layer, inputs, output: cr.tanh(output))


@pytest.mark.parametrize("change", [puts_in_a_layer, puts_in_a_hook])
def test_what_a_user_puts_in_is_trained(change):
    found = []
    for rows in (DENSE, X):
        estimator = ours.MLPClassifier((9, 7), max_iter=3, random_state=0, warm_start=True)
        change(estimator.fit(rows, LABELS).network_)
        found.append(estimator.fit(rows, LABELS))
    assert_same(*found)


def test_columns_in_any_order_and_more_than_once():
    columns = rng.integers(0, COLUMNS, (ROWS, 6))
    columns[:, 1] = columns[:, 0]
    values = rng.standard_normal((ROWS, 6))
    rows = sparse.csr_matrix((values.ravel(), columns.ravel(), 6 * np.arange(ROWS + 1)))
    rows.resize(ROWS, COLUMNS)
    dense = np.zeros(rows.shape)
    np.add.at(dense, (np.arange(ROWS)[:, None], columns), values)
    found = [
        ours.MLPRegressor(hidden_layer_sizes=(9,), max_iter=5, random_state=0).fit(given, SUMS)
        for given in (dense, rows)
    ]
    assert_same(*found)


@pytest.mark.parametrize("columns", [3, 200])
def test_entries_that_add_up_to_a_missing_number(columns):
    values, places = [1.0, np.nan, 2.0, 3.0, 5.0], [0, 0, 1, 1, 0]
    rows = sparse.csr_matrix((values, places, [0, 2, 4, 5]), shape=(3, columns))
    found = []
    for given in (rows.toarray(), rows):
        estimator = ours.MLPRegressor(
            hidden_layer_sizes=(4,), max_iter=5, random_state=0, allow_nan=True
        )
        found.append(estimator.fit(given, [1.0, 2.0, 3.0]))
    assert_same(*found)
    np.testing.assert_allclose(found[1].predict(rows), found[1].predict(rows.toarray()))
    np.testing.assert_array_equal(rows.data, values)


@pytest.mark.parametrize(
    "parameters",
    [
        {"dropout": 0.3, "normalization": "batch"},
        {"activation": ["gelu", "tanh"], "clip_norm": 1.0},
        {"learning_rate": lambda optimizer: None, "callbacks": []},
    ],
    ids=["dropout", "clipped", "schedule"],
)
def test_what_scikit_learn_lacks(parameters):
    if callable(parameters.get("learning_rate")):
        from chainrule import optim

        parameters = {"learning_rate": lambda optimizer: optim.StepLR(optimizer, 2)}
    given = {"max_iter": 4, "random_state": 0} | parameters
    found = [ours.MLPClassifier((9, 7), **given).fit(rows, LABELS) for rows in (DENSE, X)]
    assert_same(*found)


@pytest.mark.parametrize("bytes", [0, 1 << 28], ids=["by batches", "as a whole"])
def test_one_long_row_and_shortcuts_are_dense(bytes, monkeypatch):
    monkeypatch.setattr("chainrule.sklearn.sparse_rows.MOST_BYTES", bytes)
    rows = X.tolil()
    rows[7] = 1.0
    for given, parameters in ((rows.tocsr(), {}), (X, {"residual": True})):
        found = [
            ours.MLPClassifier((9, 9), max_iter=3, random_state=0, **parameters).fit(x, LABELS)
            for x in (given.toarray(), given)
        ]
        assert_same(*found)
