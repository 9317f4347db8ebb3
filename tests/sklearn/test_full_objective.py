"""The objective over all rows that L-BFGS minimises, by several threads."""

import threading
import time
import tracemalloc

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.graph.guards import guard_of

pytest.importorskip("sklearn")
lbfgs = pytest.importorskip("chainrule.sklearn.lbfgs")
objectives = pytest.importorskip("chainrule.sklearn.objective")

RNG = np.random.default_rng(0)


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    cr.set_num_threads(request.param)
    yield request.param
    cr.set_num_threads(None)


def full(rows, columns=4, hidden=8):
    x = RNG.normal(size=(rows, columns)).astype(np.float32)
    model = nn.Sequential(nn.Linear(columns, hidden), nn.ReLU(), nn.Linear(hidden, 2))
    objective = objectives.Objective(objectives.LogLoss(), [], 0.0)
    return lbfgs.FullObjective(model, objective, x, (x[:, 0] > 0).astype(np.int64), None), model


def test_no_row_is_left_out_where_another_thread_waits_for_the_parameters(threads):
    """As one that predicts by the network does."""
    objective, model = full(20_000, columns=20, hidden=64)
    vector, ends = objective.vector(), threading.Event()

    def wait_now_and_then():
        while not ends.is_set():
            with guard_of(model.parameters()).alone:
                pass
            time.sleep(0.0003)

    expected, gradient = objective(vector)
    other = threading.Thread(target=wait_now_and_then)
    other.start()
    try:
        for _ in range(20):
            found = objective(vector)
            assert found[0] == expected
            np.testing.assert_array_equal(found[1], gradient)
    finally:
        ends.set()
        other.join()


def test_few_gradients_are_held_at_a_time(threads, monkeypatch):
    monkeypatch.setattr(lbfgs, "_ROWS", 2)
    objective, _ = full(800, hidden=5000)
    vector = objective.vector()
    tracemalloc.start()
    try:
        objective(vector)
        assert tracemalloc.get_traced_memory()[1] < 100 * vector.nbytes  # of 400 runs
    finally:
        tracemalloc.stop()


def test_the_sums_do_not_depend_on_who_is_first():
    numbers = [np.array([x]) for x in RNG.normal(size=50)]
    found = set()
    for order in (range(50), reversed(range(50)), RNG.permutation(50).tolist()):
        sums = lbfgs._Sums(50, ahead=50)
        for number in order:
            assert not sums.is_complete
            sums.add(number, [numbers[number]])
        assert sums.is_complete
        found.add(sums.totals[0].item())
    assert len(found) == 1


def test_an_error_in_one_thread_ends_the_others(threads, monkeypatch):
    objective, _ = full(200 * 512)
    run, done = lbfgs.FullObjective._run, []

    def fails_once(self, steps, begin, end):
        done.append(begin)
        if len(done) == 5:
            raise MemoryError("of a run")
        return run(self, steps, begin, end)

    monkeypatch.setattr(lbfgs.FullObjective, "_run", fails_once)
    with objective.threads(), pytest.raises(MemoryError, match="of a run"):
        objective(objective.vector())
    assert len(done) < 50
