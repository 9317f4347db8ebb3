"""search: the same trials for any number of CPUs, the best one kept, and every method."""

import math
import signal
import time
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 3)).astype("float32")
Y = X[:, :1] - 2 * X[:, 1:2]
SPACE = {"lr": cr.Range(1e-4, 1.0, log=True), "width": [2, 8]}


def make(lr, width):
    model = nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 1))
    return cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters(), lr=lr), metrics=["r2"])


def watched(lr, width, callback):
    trainer = make(lr, width)
    trainer.callbacks.append(callback)
    return trainer


class Valley:
    """An estimator whose score is highest at a = 3, b = 7."""

    def __init__(self, a, b):
        self.a, self.b = a, b

    def fit(self, x, y):
        pass

    def score(self, x, y):
        return -abs(math.log(self.a / 3)) - 0.1 * abs(self.b - 7)


SHARED, CALLBACK = make(0.1, 2), cr.Callback()


def table(result):
    """All but the times."""
    return {name: column for name, column in result.to_dict().items() if name != "seconds"}


@pytest.mark.parametrize("method", ["random", "halving", "tpe"])
def test_a_search_is_the_same_for_any_number_of_threads(method):
    if method == "tpe":
        pytest.importorskip("optuna")
    found = []
    for threads in (1, 2):
        cr.set_num_threads(threads)
        try:
            found.append(cr.search(make, SPACE, X, Y, method=method, trials=9, epochs=9, seed=4))
        finally:
            cr.set_num_threads(None)
    first, second = found
    assert table(first) == table(second) and len(first) == 9
    scores = [trial.score for trial in first.trials]
    assert scores == sorted(scores) and first.trials[0] is first.best
    best = first.best_model
    assert best.evaluate(*_held_out())["loss"] == pytest.approx(first.best.score, rel=1e-6)
    assert all(trial.model is None for trial in first.trials[1:])
    epochs = sorted(trial.epochs for trial in first.trials)
    assert epochs == ([1] * 6 + [3] * 2 + [9] if method == "halving" else [9] * 9)
    lines = str(first).splitlines()
    assert lines[0].split() == ["trial", "validation_loss", "lr", "width", "epochs", "seconds"]
    assert lines[1].split()[0] == str(first.best.number) and len(lines) == 10
    assert best.callbacks == [] and best.fit(X, Y, epochs=1, progress=False)


def _held_out():
    order = cr.data.batches(X, Y, 150, seed=4)  # the order of epoch 0 of that seed
    x, y = next(iter(order))
    return np.asarray(x)[:30], np.asarray(y)[:30]


def test_tpe_comes_closer_than_chance():
    optuna = pytest.importorskip("optuna")
    verbosity = optuna.logging.get_verbosity()

    space = {"a": cr.Range(1e-3, 1e3, log=True), "b": cr.Range(0, 20)}
    least = {}
    for method in ("random", "tpe"):
        found = [cr.search(Valley, space, X, Y, method=method, trials=60, seed=s) for s in range(2)]
        least[method] = np.mean([one.best.score for one in found])
    assert least["tpe"] > least["random"]
    assert optuna.logging.get_verbosity() == verbosity


def test_ranges_and_metrics():
    shares = (np.arange(1000) + 0.5) / 1000
    whole = [cr.Range(1, 4).at(share) for share in shares]
    assert np.unique(whole, return_counts=True)[1].tolist() == [250] * 4
    logs = np.log10([cr.Range(1e-4, 1.0, log=True).at(share) for share in shares])
    np.testing.assert_allclose(logs, -4 + 4 * shares, atol=1e-9)
    chosen = cr.Range(np.int64(16), np.int64(64)).at(0.4)
    assert type(chosen) is int and chosen == 35
    result = cr.search(make, SPACE, X, Y, trials=4, epochs=3, metric="validation_r2")
    scores = [trial.score for trial in result.trials]
    assert scores == sorted(scores, reverse=True) and result.metric == "validation_r2"


def test_settings_with_the_names_of_other_columns():
    trials = [cr.Trial(n, {"epochs": 5 + n, "seconds": n, "lr": 0.1}, n, 2) for n in range(2)]
    found = cr.SearchResult(trials, "loss", "min")
    assert str(found).splitlines()[0].split("  ") == [
        "trial", "loss", "setting epochs", "setting seconds", " lr", "epochs", "seconds",
    ]  # fmt: skip
    columns = found.to_dict()
    assert columns["setting epochs"] == [5, 6] and columns["epochs"] == [2, 2]
    assert columns["setting seconds"] == [0, 1] and columns["seconds"] == [0, 0]
    estimators = cr.SearchResult([cr.Trial(0, {"epochs": 5}, 1.0)], "score", "max")
    assert estimators.to_dict()["epochs"] == [5]  # which have no column of this name


def test_halving_ends_with_a_trial_that_has_seen_all_rows():
    class Rows:
        """An estimator that is better with fewer rows."""

        def __init__(self, a):
            self.a = a

        def fit(self, x, y):
            self.rows = len(x)

        def score(self, x, y):
            return -abs(self.a - 5) - self.rows

    result = cr.search(Rows, {"a": list(range(9))}, X, Y, method="halving", trials=9, seed=2)
    assert [trial.rounds for trial in result.trials] == [3, 2, 2, *[1] * 6]
    assert result.best_model.rows == 120 and result.best.score < result.trials[-1].score
    nearest = min(abs(trial.settings["a"] - 5) for trial in result.trials)
    assert abs(result.best_settings["a"] - 5) == nearest


@pytest.mark.parametrize("library", ["pandas", "polars", "numpy"])
def test_estimators_and_frames(library):
    linear = pytest.importorskip("sklearn.linear_model")
    x, y = X, Y[:, 0]
    if library != "numpy":
        module = pytest.importorskip(library)
        x = module.DataFrame({f"c{i}": X[:, i] for i in range(3)})
        y = module.Series(y)
    space = {"alpha": [1e-6, 1.0, 1e6]}
    for method in ("random", "halving"):
        result = cr.search(linear.Ridge, space, x, y, method=method, trials=9, seed=1)
        assert result.best_settings == {"alpha": 1e-6} and result.metric == "score"
        assert result.best_model.score(x, y) > 0.999
    trained = cr.search(make, SPACE, x, Y, trials=2, epochs=1).best_model
    assert (trained.model._column_names is not None) == (library != "numpy")


def test_failures_budgets_and_ctrl_c():
    def fails(lr, width):
        if width == 8:
            raise RuntimeError("no memory")
        return make(lr, width)

    with pytest.raises(RuntimeError, match=r"trial \d: no memory \[{'lr': .*'width': 8}\]"):
        cr.search(fails, SPACE, X, Y, trials=8)
    wild = {"lr": [1e30, 0.01], "width": [2]}
    result = cr.search(make, wild, X, Y, trials=6, epochs=2)
    assert math.isnan(result.trials[-1].score) and result.best_settings["lr"] == 0.01
    result = cr.search(make, {**wild, "lr": [1e30]}, X, Y, trials=2)
    with pytest.raises(cr.NonFiniteError, match="no training of the 2 trials"):
        _ = result.best
    begin = time.monotonic()
    result = cr.search(make, SPACE, X, Y, trials=50, epochs=10**6, time_budget=0.2)
    assert 1 <= len(result) < 50 and time.monotonic() - begin < 5
    assert result.best_model.history.stop_reason == "the time is over"

    class Interrupts(cr.Callback):
        def on_epoch_end(self, trainer, record):
            if trainer.epoch == 1:
                signal.raise_signal(signal.SIGINT)

    made = []

    def interrupted(lr, width):
        trainer = make(lr, width)
        if not made:
            trainer.callbacks.append(Interrupts())
        made.append(trainer)
        return trainer

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = cr.search(interrupted, SPACE, X, Y, trials=50, epochs=10**6)
    finally:
        signal.signal(signal.SIGINT, before)
    assert 1 <= len(result) < 50 and np.isfinite(result.best.score)


@pytest.mark.parametrize("method", ["random", "halving"])
def test_models_that_can_not_be_the_best_are_let_go(method):
    made, most = weakref.WeakSet(), []

    def counted(lr, width):
        trainer = make(lr, width)
        made.add(trainer.model)
        most.append(len(made))
        return trainer

    cr.set_num_threads(1)
    try:
        result = cr.search(counted, SPACE, X, Y, method=method, trials=9, epochs=9, seed=2)
    finally:
        cr.set_num_threads(None)
    assert max(most) <= 2 + 2 * (method == "halving") and result.best_model is not None


def test_a_later_round_goes_on_from_the_last_epoch():
    class Worsens(cr.Callback):
        """The first epoch has the best weights."""

        def on_epoch_end(self, trainer, record):
            record["badness"] = float(trainer.epoch)
            weights[trainer.epoch] = next(trainer.model.parameters()).numpy().copy()

    weights = {}
    one = {"lr": [0.01], "width": [2]}
    given = dict(trials=3, epochs=9, metric="badness", seed=1)

    def alone(lr, width):
        return watched(lr, width, Worsens())

    cr.set_num_threads(1)
    try:
        result = cr.search(alone, one, X, Y, method="halving", **given)
    finally:
        cr.set_num_threads(None)
    halved = dict(weights)
    np.testing.assert_array_equal(next(result.best_model.model.parameters()).numpy(), halved[1])
    cr.search(alone, one, X, Y, **{**given, "trials": 1})
    np.testing.assert_array_equal(weights[9], halved[9])


def test_estimators_are_seeded_and_see_each_class():
    pytest.importorskip("sklearn.tree")
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    seen = []

    class Tree(DecisionTreeClassifier):
        def fit(self, x, y, **given):
            seen.append(np.bincount(y, minlength=3))
            return super().fit(x, y, **given)

    y = np.where(np.arange(150) % 30 == 0, 2, (X[:, 0] > 0).astype(int))
    space = {"max_features": [1, 2], "max_depth": [2, 3, 4]}

    def pipeline(**setting):
        return make_pipeline(StandardScaler(), Tree(**setting))

    given = dict(method="halving", trials=9, seed=3)
    first, second = (cr.search(pipeline, space, X, y, **given) for _ in range(2))
    assert table(first) == table(second)
    assert first.best_model[-1].random_state == 3
    assert np.min(seen) >= 2 and min(map(sum, seen)) == 32 and max(map(sum, seen)) == 120


def test_rows_of_sparse_matrices():
    sparse = pytest.importorskip("scipy.sparse")
    linear = pytest.importorskip("sklearn.linear_model")
    space = {"alpha": [1e-6, 1e6]}
    for kind in (sparse.csr_matrix, sparse.coo_array):
        result = cr.search(linear.Ridge, space, kind(X), Y[:, 0], trials=6)
        assert result.best_settings == {"alpha": 1e-6}


def test_a_search_that_had_no_time_says_so():
    result = cr.search(make, SPACE, X, Y, trials=4, time_budget=1e-9)
    with pytest.raises(RuntimeError, match="no trial has finished an epoch"):
        _ = result.best

    class Stops(cr.Callback):
        def on_step_end(self, trainer, loss):
            trainer.stop("enough")

    def stopped(lr, width):
        return watched(lr, width, Stops())

    result = cr.search(stopped, SPACE, X, Y, trials=2, batch_size=8)
    assert len(result) == 2 and [trial.rounds for trial in result.trials] == [0, 0]
    with pytest.raises(RuntimeError, match="no trial has finished an epoch"):
        _ = result.best_model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": {"lr": 0.1}}, "a Range or a list"),
        ({"space": {"lr": []}}, "a Range or a list"),
        ({"space": None}, "space is a dict: .*; got None"),
        ({"space": {}}, "space is empty: give at least one hyper-parameter"),
        ({"method": "grid"}, "'random', 'halving' or 'tpe'"),
        ({"validation_fraction": 0}, "between 0 and 1"),
        ({"validation_data": X}, "a pair"),
        ({"x": np.ma.masked_less(X, 0.1)}, "x or y has masked values"),
        ({"y": np.ma.masked_less(Y, 0.1)}, "x or y has masked values"),
        ({"x": None}, "x is None, which has no rows"),
        ({"y": None}, "y is None, which has no rows"),
        ({"x": {"a": 1.0}}, "x is 1.0, which has no rows"),
        ({"x": X[:0], "y": Y[:0]}, "x and y have no rows, which cannot be split"),
        ({"x": {}, "y": {}}, "x and y have no rows, which cannot be split"),
        ({"y": Y[:30]}, "different numbers of rows: 150, 30"),
        ({"x": X[:30]}, "different numbers of rows: 30, 150"),
        ({"x": (X, X[:30])}, "different numbers of rows: 150, 30, 150"),
        ({"y": Y[:30], "validation_data": (X, Y), "method": "halving"}, "numbers of rows: 150, 30"),
        ({"make": lambda lr, width: lr}, "returns a Trainer or an estimator"),
        ({"make": make(0.1, 4)}, "make is a function of hyper-parameters"),
        ({"mode": "maximum"}, "mode is 'min' or 'max'"),
        ({"metric": "validation_r3"}, "'validation_r3' is no column of the history: loss, r2, val"),
        ({"make": lambda lr, width: Valley(lr, width), "mode": "min"}, "mode is for Trainers"),
        ({"make": lambda lr, width: SHARED}, "same Trainer twice"),
        ({"make": lambda lr, width: watched(lr, width, CALLBACK)}, "same callback"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    given = {"make": make, "space": SPACE, "x": X, "y": Y, "trials": 2, **change}
    with pytest.raises((TypeError, ValueError), match=message):
        cr.search(**given)
    with pytest.raises(ValueError, match="low < high"):
        cr.Range(0.0, 1.0, log=True)
