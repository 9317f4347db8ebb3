"""Short calls do not let another thread run: to change threads takes longer than the call."""

import sys
import threading
import time

import numpy as np
import pytest
from training_cases import compiled_step

import chainrule as cr
from chainrule import nn, optim
from chainrule._core import Hold, StateLock

X = np.random.default_rng(0).normal(size=(64, 30)).astype("float32")
Y = np.random.default_rng(1).integers(0, 20, 64)


def turns_of_another_thread(call, times=300):
    """How often another thread comes to run while `call` is called again and again."""
    turns, ended = 0, False

    def take_turns():
        nonlocal turns
        while not ended:
            turns += 1
            time.sleep(0)  # and waits for its next turn

    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # nobody has to give way
    thread = threading.Thread(target=take_turns)
    try:
        thread.start()
        while not turns:
            time.sleep(0.001)
        begin = turns
        for _ in range(times):
            call()
        return turns - begin
    finally:
        ended = True
        sys.setswitchinterval(before)
        thread.join()


def network(dtype="float32"):
    return nn.Sequential(nn.Linear(30, 8, dtype=dtype), nn.ReLU(), nn.Linear(8, 20, dtype=dtype))


def trainer(dtype="float32", **options):
    model = network(dtype)
    return cr.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), **options)


def prediction(dtype, order="C", batch_size=None):
    made, x = trainer(dtype), np.asarray(X, dtype, order=order)
    return lambda: made.predict(x, batch_size=batch_size)


def evaluation():
    evaluator = cr.Evaluator(network(), nn.CrossEntropyLoss())
    return lambda: evaluator.evaluate(X, Y)


def training_step():
    model = network()
    step = compiled_step(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1))
    return lambda: step(X, Y)


CALLS = {
    "predict": lambda: prediction("float32"),
    "predict in float64": lambda: prediction("float64"),
    "predict in two batches": lambda: prediction("float32", batch_size=40),
    "evaluate": evaluation,
    "a compiled step": training_step,
}


@pytest.mark.parametrize("name", CALLS)
def test_a_short_call_does_not_change_threads(name):
    call = CALLS[name]()
    for _ in range(30):  # the first ones compile, and measure how long a step takes
        call()
    assert turns_of_another_thread(call) == 0


def test_a_long_call_lets_other_threads_run():
    model = nn.Sequential(nn.Linear(30, 512), nn.ReLU(), nn.Linear(512, 512))
    evaluator = cr.Evaluator(model, nn.MSELoss())
    x = np.repeat(X, 16, axis=0)
    evaluator.predict(x)
    assert turns_of_another_thread(lambda: evaluator.predict(x), times=30) > 0


def test_those_that_read_do_not_wait_behind_one_that_has_waited():
    """It has the lock, but not yet the GIL."""
    lock, has_run, before = StateLock(), False, sys.getswitchinterval()
    shared = Hold([lock], False)

    def read():
        nonlocal has_run
        with shared:
            has_run = True

    thread = threading.Thread(target=read)
    try:
        with Hold([lock], True):
            thread.start()
            time.sleep(0.1)  # until it waits
            sys.setswitchinterval(1000)
        end = time.perf_counter() + 0.2
        while time.perf_counter() < end:  # until it has the lock
            pass
        with shared:
            assert not has_run
    finally:
        sys.setswitchinterval(before)
        thread.join()


def test_no_lock_is_none():
    with pytest.raises(ValueError, match="Hold takes a list of StateLocks, not None"):
        Hold([StateLock(), None], True)
