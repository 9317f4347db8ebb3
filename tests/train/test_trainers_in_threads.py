"""Several Python threads use one model: all is right, or refused at once and unharmed."""

import copy
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from training_cases import compiled_step

import chainrule as cr
from chainrule import nn, optim

X = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 64)


def network(*extra):
    with cr.use_generator(cr.Generator(5)):
        return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), *extra, nn.Linear(16, 3))


def trainer_of(model, *, averaged=False, **options):
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    if averaged:
        options["ema"] = optim.EMA(model.parameters(), decay=0.9)
    return cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, seed=3, **options)


def together(*functions):
    """Run the functions in threads of their own; the first error of any is raised."""
    errors = []
    start = threading.Barrier(len(functions))

    def run(function):
        start.wait()
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(f,), daemon=True) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "threads wait for one another"
    if errors:
        raise errors[0]


def beside(function, others, count=3):
    """Run a function in this thread, and `others` again and again in `count` threads, meanwhile."""
    ended = threading.Event()
    results = []

    def main():
        try:
            results.append(function())
        finally:
            ended.set()

    def repeat():
        while not ended.is_set():
            others()

    together(main, *[repeat] * count)
    return results[0]


def bits(trainer):
    states = [*trainer.model.state_dict().values(), *trainer.optimizer.states().values()]
    return b"".join(np.asarray(state).tobytes() for state in states)


def fit(trainer, epochs=15):
    trainer.fit(X, Y, epochs=epochs, batch_size=10, progress=False)
    return bits(trainer)


@pytest.fixture(autouse=True)
def frequent_switches():
    """Threads take turns far more often than Python lets them by default."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


backends = pytest.mark.parametrize("backend", ["native", "reference"])


@backends
@pytest.mark.parametrize("averaged", [False, True])
def test_each_thread_gets_the_predictions_that_it_asked_for(backend, averaged):
    trainer = trainer_of(network(nn.Dropout(0.5)), backend=backend, averaged=averaged)
    fit(trainer, epochs=2)
    sizes = [1, 5, 64]
    wanted = {n: [trainer.predict(np.roll(X, i, 0)[:n]) for i in range(8)] for n in sizes}
    mean, before = trainer.evaluate(X, Y), bits(trainer)
    fresh = trainer_of(trainer.model, backend=backend, ema=trainer.ema)  # all is captured anew

    def predict(offset):
        for i in range(60):
            n, k = sizes[(i + offset) % 3], (3 * i + offset) % 8
            found = fresh.predict(np.roll(X, k, 0)[:n])
            np.testing.assert_array_equal(found, wanted[n][k])
            if i % 20 == 0:
                assert fresh.evaluate(X, Y) == mean

    together(*[lambda offset=offset: predict(offset) for offset in range(4)])
    assert bits(trainer) == before


@backends
@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize(
    "what", ["predict", "evaluate", "predict_samples", "own evaluator", "save"]
)
def test_a_fit_has_the_same_bits_beside(backend, averaged, what, tmp_path):
    alone = fit(trainer_of(network(nn.Dropout(0.2)), backend=backend, averaged=averaged))
    trainer = trainer_of(network(nn.Dropout(0.2)), backend=backend, averaged=averaged)
    evaluator = cr.Evaluator(trainer.model, nn.CrossEntropyLoss(), ema=trainer.ema, backend=backend)
    calls = {
        "predict": lambda: trainer.predict(X[:7]),
        "evaluate": lambda: trainer.evaluate(X, Y),
        "predict_samples": lambda: trainer.predict_samples(X[:7], samples=2),
        "own evaluator": lambda: evaluator.predict(X[:7]),
        "save": lambda: trainer.save(tmp_path / f"{threading.get_ident()}.safetensors"),
    }
    assert beside(lambda: fit(trainer), calls[what]) == alone


class Twins(nn.Module):
    """Two equal layers that get the same gradients: whoever sees them differ saw half an update."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(50, 400, bias=False)
        self.b = nn.Linear(50, 400, bias=False)
        self.b.load_state_dict(self.a.state_dict())

    def forward(self, x):
        return cr.stack([self.a(x).mean(axis=1), self.b(x).mean(axis=1)], axis=1)


@backends
@pytest.mark.parametrize("how", ["trainer", "evaluator", "averages"])
def test_nobody_sees_half_an_update(backend, how):
    x = np.random.default_rng(2).normal(size=(64, 50)).astype("float32")
    y = np.ones((64, 2), "float32")
    model = Twins()
    ema = optim.EMA(model.parameters(), decay=0.5) if how == "averages" else None
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    trainer = cr.Trainer(model, nn.MSELoss(), optimizer, ema=ema, backend=backend)
    evaluator = cr.Evaluator(model, nn.MSELoss(), ema=ema, backend=backend)
    seen = set()

    def look():
        found = (evaluator if how == "evaluator" else trainer).predict(x[:5])
        np.testing.assert_array_equal(found[:, 0], found[:, 1])
        seen.add(found.tobytes())

    beside(lambda: trainer.fit(x, y, epochs=40, batch_size=8, progress=False), look)
    assert len(seen) > 3


@backends
@pytest.mark.parametrize("how", ["model", "optimizer", "averages"])
def test_nobody_sees_half_of_a_state_that_is_loaded(backend, how):
    x = np.eye(50, dtype="float32")
    model = Twins()
    optimizer = optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    ema = optim.EMA(model.parameters(), decay=0.5)
    evaluator = cr.Evaluator(model, nn.MSELoss(), backend=backend)
    ema.update()
    evaluator.predict(x)

    def filled(state, number):
        return {
            name: np.full_like(value, number) if "weight" in name or name[0].isdigit() else value
            for name, value in state.items()
        }

    loaded = {"model": model, "optimizer": optimizer, "averages": ema}[how]
    states = [filled(loaded.state_dict(), number) for number in (1, 2)]

    seen = set()

    def load():
        end = time.monotonic() + 60
        turn = 0
        # A fast machine loads 300 times before the other thread has looked twice.
        while turn < 300 or (len(seen) < 2 and time.monotonic() < end):
            loaded.load_state_dict(states[turn % 2])
            if how == "averages":
                ema.copy_to()
            turn += 1

    def look():
        if how != "optimizer":
            found = evaluator.predict(x[:5])
            np.testing.assert_array_equal(found[:, 0], found[:, 1])
        values = [v for name, v in loaded.state_dict().items() if np.ndim(v) == 2]
        seen.add(values[0].flat[0])
        assert all((value == values[0].flat[0]).all() for value in values)

    loaded.load_state_dict(states[0])
    if how == "averages":
        ema.copy_to()
    beside(load, look)
    assert seen == {1, 2}


def paused(trainer):
    """Run a fit in a thread, which waits after its first step; returns a function to go on."""
    reached, released = threading.Event(), threading.Event()

    class Pause(cr.Callback):
        def on_step_end(self, trainer, loss):
            reached.set()
            assert released.wait(60)

    trainer.callbacks[0] = Pause()
    thread = threading.Thread(target=lambda: fit(trainer, epochs=3))
    thread.start()
    assert reached.wait(60)

    def go_on():
        released.set()
        thread.join()

    return go_on


@backends
def test_a_second_training_is_refused_at_once_and_the_first_goes_on(backend, tmp_path):
    alone = fit(trainer_of(network(), backend=backend), epochs=3)
    trainer = trainer_of(network(), backend=backend, callbacks=[cr.Callback()])
    trainer.save(tmp_path / "before")
    go_on = paused(trainer)
    try:
        for call in (
            lambda: fit(trainer),
            lambda: trainer.find_lr(X, Y, batch_size=10),
            lambda: trainer.load(tmp_path / "before"),
        ):
            with pytest.raises(RuntimeError, match="training in another thread"):
                call()
        with pytest.raises(RuntimeError, match="another thread trains"):
            copy.deepcopy(trainer)
        trainer.predict(X)  # does not wait for the end
        trainer.save(tmp_path / "midway")
    finally:
        go_on()
    assert bits(trainer) == alone
    fit(trainer)  # and is free again


class Slow(cr.Callback):
    """Leaves time for a file to be written."""

    def __init__(self, seconds):
        self.seconds = seconds

    def on_step_end(self, trainer, loss):
        time.sleep(self.seconds)


@backends
def test_what_is_saved_beside_a_fit_goes_on_to_the_same_bits(backend, tmp_path):
    def made(seconds=0.0):
        model = network(nn.Dropout(0.2))
        return trainer_of(model, backend=backend, averaged=True, callbacks=[Slow(seconds)])

    alone = fit(made(), epochs=6)
    trainer = made(0.01)
    saved = {}

    def save():
        path = tmp_path / str(len(saved))
        trainer.save(path)
        saved[trainer.epoch] = path  # one of each epoch

    beside(lambda: fit(trainer, epochs=6), save, count=1)
    paths = list(saved.values())[:-1]
    assert len(paths) > 1
    for path in paths[:: max(1, len(paths) // 3)]:
        again = made()
        again.load(path)
        if again.epoch < 6:
            again.fit(X, Y, epochs=6 - again.epoch, batch_size=10, progress=False)
        assert bits(again) == alone


def test_a_learning_rate_set_from_another_thread_stays():
    trainer = trainer_of(network())
    group = trainer.optimizer.param_groups[0]
    wanted = iter(np.linspace(1e-3, 2e-3, 10**5).tolist())

    def set_lr():
        lr = next(wanted)
        group["lr"] = lr
        for _ in range(20):
            assert group["lr"] == lr

    beside(lambda: fit(trainer), set_lr, count=1)


@backends
def test_steps_of_several_threads_all_count(backend):
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    step = compiled_step(model, nn.CrossEntropyLoss(), optimizer, backend=backend)
    together(*[lambda: [step(X[:8], Y[:8]) for _ in range(25)] for _ in range(4)])
    assert optimizer.states()["0.step"].item() == 100


def test_eager_steps_of_several_threads_all_count():
    w = cr.Parameter([0.0])
    w.grad = cr.tensor([1.0])
    optimizer = optim.SGD([w], lr=1.0)
    together(*[lambda: [optimizer.step() for _ in range(100)] for _ in range(4)])
    assert w.item() == -400


class Interrupted(cr.Parameter):
    """A Parameter at whose name another thread runs something: while its node is made."""

    @property
    def name(self):
        run, self.meanwhile = vars(self).get("meanwhile"), None
        if run is not None:
            thread = threading.Thread(target=run)
            thread.start()
            thread.join(0.2)  # it may wait for this thread
        return None

    @name.setter
    def name(self, name):
        pass


@pytest.mark.parametrize("is_compiled", [False, True])
def test_a_value_read_while_another_thread_changes_it_is_not_kept(is_compiled):
    w = Interrupted([0.0])
    optimizer = optim.SGD([w], lr=1.0)

    def step():
        optimizer.zero_grad()
        w.sum().backward()
        optimizer.step()

    step = cr.compile(step) if is_compiled else step
    step()
    w.meanwhile = step
    assert (w * 1.0).item() == -1
    deadline = time.monotonic() + 10
    while w.numpy()[0] != -2:
        assert time.monotonic() < deadline
    assert (w * 1.0).item() == -2


def test_runs_of_captured_graphs_in_several_threads_all_count():
    count = cr.Buffer(0.0)

    def step(x):
        count.assign(count + x)
        return count * 2.0

    graphs = [cr.capture(step, cr.placeholder(())) for _ in range(2)]
    found = []

    def work(graph):
        found.extend(graph(np.float32(1)).item() for _ in range(100))

    together(*[lambda graph=graph: work(graph) for graph in (*graphs, *graphs)])
    assert count.item() == 400
    assert sorted(found) == [2.0 * i for i in range(1, 401)]


def test_no_two_threads_draw_the_same_numbers():
    drawn = []
    generator = cr.Generator(1)
    together(*[lambda: drawn.extend(generator.uniform().item() for _ in range(200))] * 4)
    alone = cr.Generator(1)
    assert sorted(drawn) == sorted(alone.uniform().item() for _ in range(800))


def test_no_thread_sees_the_mode_in_which_another_captures():
    model = network(nn.Dropout(0.9), nn.BatchNorm1d(16)).eval()
    wanted = model(cr.tensor(X)).numpy()

    def look():
        assert not any(module.training for module in model.modules())
        np.testing.assert_array_equal(model(cr.tensor(X)).numpy(), wanted)

    def capture():
        for _ in range(20):
            with model.in_mode(True):
                assert all(module.training for module in model.modules())

    beside(capture, look)
    assert not model.training


@backends
def test_two_trainers_of_one_model_take_turns(backend):
    model = network()
    trainers = [trainer_of(model, backend=backend) for _ in range(2)]
    together(*[lambda t=t: t.fit(X, Y, epochs=5, batch_size=8, progress=False) for t in trainers])
    assert [t.step for t in trainers] == [40, 40]
    after = model.state_dict()
    together(*[lambda t=t: t.predict(X) for t in trainers])
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, after[name])
    with cr.no_grad():
        model.eval()
        wanted = model(cr.tensor(X)).numpy()
    np.testing.assert_allclose(trainers[0].predict(X), wanted, rtol=1e-5, atol=1e-6)


def test_trainers_of_models_that_share_a_part_do_not_block_each_other():
    parts = [nn.Linear(6, 6) for _ in range(3)]
    models = [nn.Sequential(parts[i], nn.Linear(6, 3)) for i in range(3)]
    first = [trainer_of(model) for model in models]
    for trainer in first:
        fit(trainer, epochs=1)
    pairs = [
        nn.Sequential(parts[i], parts[j], nn.Linear(6, 3)) for i, j in [(0, 1), (1, 2), (2, 0)]
    ]
    second = [trainer_of(model) for model in pairs]
    together(*[lambda t=t: fit(t, epochs=3) for t in [*first, *second]])


FORK = """
import os, threading
import numpy as np
import chainrule as cr
from chainrule import nn, optim
model = nn.Linear(3, 2)
trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
x = np.ones((4, 3), "float32")
wanted = trainer.predict(x)
held, ended = threading.Event(), threading.Event()
def hold():
    with trainer.backend.guard.alone:
        held.set()
        ended.wait(60)
thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = os.fork()
if child == 0:
    os._exit(7 if np.array_equal(trainer.predict(x), wanted) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
ended.set()
thread.join()
assert np.array_equal(trainer.predict(x), wanted)
print("end")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_does_not_wait_for_a_thread_of_its_parent():
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=120)
    assert done.stdout == "end\n", done.stderr
