"""A forked process never waits for a thread that its parent has."""

import copy
import os
import re
import threading
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.caches import LruCache
from chainrule.system import forks

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
X = np.ones((3, 2), np.float32)


class Stop:
    """A point that one thread stays at until it is told to go on."""

    def __init__(self):
        self.reached, self.leave = threading.Event(), threading.Event()

    def wait(self):
        self.reached.set()
        self.leave.wait()

    def hash_of_key(self):
        self.wait()
        return 1


def in_child(work, timeout=60.0):
    """The exit status of a child that does the work; it is killed where it takes too long."""
    child = os.fork()
    if not child:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    killer = threading.Timer(timeout, os.kill, (child, 9))
    killer.start()
    _, status = os.waitpid(child, 0)
    killer.cancel()
    return os.waitstatus_to_exitcode(status)


def while_a_thread_is_in(work, stop, child):
    thread = threading.Thread(target=work)
    thread.start()
    assert stop.reached.wait(60)
    status = in_child(child)
    stop.leave.set()
    thread.join()
    return status


def test_a_cache_in_which_a_thread_adds():
    stop = Stop()

    class Key:
        def __hash__(self):
            return stop.hash_of_key()

    def child():
        other = LruCache(2)
        other.add("a", 1)
        return other.get("a") == 1

    assert while_a_thread_is_in(lambda: LruCache(2).add(Key(), 1), stop, child) == 0


def test_a_compiled_function_that_a_thread_captures():
    stop = Stop()

    @cr.compile
    def double(x):
        stop.wait()
        return x * 2

    def child():
        stop.leave.set()
        other = cr.compile(lambda x: x * 3)
        return (other(X).numpy() == 3).all() and (double(X).numpy() == 2).all()

    assert while_a_thread_is_in(lambda: double(X), stop, child) == 0
    assert (double(X).numpy() == 2).all()


def test_a_trainer_that_a_thread_trains():
    stop = Stop()

    class Wait(cr.Callback):
        def on_step_end(self, trainer, loss):
            stop.wait()

        def __deepcopy__(self, memo):
            return self

    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    trainer = cr.Trainer(model, nn.MSELoss(), optimizer, callbacks=[Wait()])
    y = np.ones((3, 1), np.float32)

    def train():
        trainer.fit(X, y, epochs=1, batch_size=3, progress=False)

    def child():
        stop.leave.set()
        again = copy.deepcopy(trainer)
        for one in (trainer, again):
            one.fit(X, y, epochs=200, batch_size=3, progress=False)
        return np.allclose(trainer.predict(X), y) and np.allclose(again.predict(X), y)

    assert while_a_thread_is_in(train, stop, child) == 0


def test_all_locks_are_made_so():
    package = Path(cr.__file__).parent
    plain = [
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if re.search(r"threading\.R?Lock\(\)", file.read_text(encoding="utf-8"))
    ]
    assert plain == [str(Path("system") / "forks.py")]


def test_a_lock_of_the_thread_that_forks_stays_its_own():
    lock = forks.lock()

    def child():
        lock.__exit__(None, None, None)
        with pytest.raises(RuntimeError):
            lock.__exit__(None, None, None)
        return True

    with lock:
        assert in_child(child) == 0
