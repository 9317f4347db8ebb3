"""search: the same trials for any number of CPUs, the best one kept, and every method."""

import math
import signal
import time

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
    pytest.importorskip("optuna")

    class Valley:
        """An estimator whose score is highest at a = 3, b = 7."""

        def __init__(self, a, b):
            self.a, self.b = a, b

        def fit(self, x, y):
            pass

        def score(self, x, y):
            return -abs(math.log(self.a / 3)) - 0.1 * abs(self.b - 7)

    space = {"a": cr.Range(1e-3, 1e3, log=True), "b": cr.Range(0, 20)}
    least = {}
    for method in ("random", "tpe"):
        found = [cr.search(Valley, space, X, Y, method=method, trials=60, seed=s) for s in range(3)]
        least[method] = np.mean([one.best.score for one in found])
    assert least["tpe"] > least["random"]


def test_ranges_and_metrics():
    shares = (np.arange(1000) + 0.5) / 1000
    whole = [cr.Range(1, 4).at(share) for share in shares]
    assert np.unique(whole, return_counts=True)[1].tolist() == [250] * 4
    logs = np.log10([cr.Range(1e-4, 1.0, log=True).at(share) for share in shares])
    np.testing.assert_allclose(logs, -4 + 4 * shares, atol=1e-9)
    result = cr.search(make, SPACE, X, Y, trials=4, epochs=3, metric="validation_r2")
    scores = [trial.score for trial in result.trials]
    assert scores == sorted(scores, reverse=True) and result.metric == "validation_r2"


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
    result = cr.search(make, SPACE, X, Y, trials=50, epochs=10**6, time_budget=0.3)
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": {"lr": 0.1}}, "a Range or a list"),
        ({"space": {}}, "space is a dict"),
        ({"method": "grid"}, "'random', 'halving' or 'tpe'"),
        ({"validation_fraction": 0}, "between 0 and 1"),
        ({"validation_data": X}, "a pair"),
        ({"make": lambda lr, width: lr}, "returns a Trainer or an estimator"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    given = {"make": make, "space": SPACE, "x": X, "y": Y, "trials": 2, **change}
    with pytest.raises((TypeError, ValueError), match=message):
        cr.search(**given)
    with pytest.raises(ValueError, match="low < high"):
        cr.Range(0.0, 1.0, log=True)
