"""Training, evaluation and prediction on iterables of batches, against the same in arrays."""

import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest
from training_cases import classification, network, regression

import chainrule as cr
from chainrule import data, nn, optim
from chainrule.optim import lr_scheduler


def trainer(x=None, **options):
    model = nn.Sequential(*network(), nn.Dropout(0.1))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    options.setdefault("metrics", ["accuracy"])
    return cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, **options)


class Pairs:
    """An iterable without a length that gives its batches by a generator, in one buffer."""

    def __init__(self, x, y, size=8, batches=None):
        self.source = data.batches(x, y, size)
        self.opened = 0

    def set_epoch(self, epoch):
        self.source.set_epoch(epoch)

    def __iter__(self):
        self.opened += 1
        buffer = None
        for xb, yb in self.source:
            buffer = xb.copy() if buffer is None else buffer
            buffer[: len(xb)] = xb
            yield buffer[: len(xb)], yb


class WrongLength(Pairs):
    def __len__(self):
        return 3


def weights(one):
    return [p.numpy().copy() for p in one.model.parameters()]


def without_time(history):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in history]


def assert_same(one, other):
    assert without_time(one.history) == without_time(other.history)
    for a, b in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (one.epoch, one.step, one.state.position) == (other.epoch, other.step, 0)


@pytest.mark.parametrize("accumulate", [1, 2, "epoch"])
@pytest.mark.parametrize("kind", ["batches", "iterable", "wrong length", "list"])
def test_the_same_batches_give_the_same_bits(backend, kind, accumulate):
    x, y = classification()
    arrays = trainer(accumulate=accumulate)
    arrays.fit(x, y, epochs=3, batch_size=8, validation_data=(x, y), progress=False,
               shuffle=kind != "list")  # fmt: skip
    given = {
        "batches": lambda: data.batches(x, y, 8),
        "iterable": lambda: Pairs(x, y),
        "wrong length": lambda: WrongLength(x, y),
        "list": lambda: list(data.batches(x, y, 8, shuffle=False)),
    }[kind]()
    stream = trainer(accumulate=accumulate)
    stream.fit(given, epochs=3, validation_data=[(x, y)], progress=False)
    assert_same(arrays, stream)


@pytest.mark.parametrize("part", ["ema", "schedule", "penalties", "clip_norm", "early"])
def test_the_parts_of_a_training_work_as_for_arrays(backend, part):
    x, y = classification()
    trained = []
    for is_stream in (False, True):
        model = network()
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        parts = {
            "ema": lambda m, o: {"ema": optim.EMA(m.parameters(), decay=0.9)},
            "schedule": lambda m, o: {"schedule": lr_scheduler.OneCycleLR(o, 0.2, 15)},
            "penalties": lambda m, o: {"penalties": [lambda: 1e-2 * (m[0].weight ** 2).sum()]},
            "clip_norm": lambda m, o: {"clip_norm": 0.1},
            "early": lambda m, o: {"callbacks": [cr.EarlyStopping("loss", min_delta=10.0)]},
        }[part](model, optimizer)
        one = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, **parts)
        if is_stream:
            one.fit(Pairs(x, y), epochs=3, validation_data=Pairs(x, y), progress=False)
        else:
            validation = x, y
            one.fit(x, y, epochs=3, batch_size=8, validation_data=validation, progress=False)
        trained.append(one)
    arrays, stream = trained
    for a, b in zip(weights(arrays), weights(stream), strict=True):
        np.testing.assert_array_equal(a, b)
    assert arrays.history.stop_reason == stream.history.stop_reason
    assert (arrays.epoch, arrays.step) == (stream.epoch, stream.step)
    np.testing.assert_allclose(
        arrays.history["validation_loss"], stream.history["validation_loss"], rtol=1e-12
    )


class Own(data.Dataset):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("part", ["whole", "subset", "own dataset", "drop_last", "memory-mapped"])
def test_a_data_loader_trains_on_what_it_yields(backend, part, workers, tmp_path):
    x, y = classification()

    if part == "memory-mapped":
        np.save(tmp_path / "x.npy", x)
        dataset = data.TensorDataset(np.load(tmp_path / "x.npy", mmap_mode="r"), y)
    else:
        dataset = Own(x, y) if part == "own dataset" else data.TensorDataset(x, y)
    if part == "subset":
        dataset, _ = data.random_split(dataset, [0.6, 0.4], cr.Generator(1))

    def loader():
        return data.DataLoader(dataset, 8, shuffle=True, drop_last=part == "drop_last",
                               num_workers=workers, generator=cr.Generator(7))  # fmt: skip

    one, other = trainer(), trainer()
    one.fit(loader(), epochs=2, progress=False)
    batches = loader()
    for _ in range(2):
        other.fit([(xb, yb) for xb, yb in batches], epochs=1, progress=False)
    assert_same(one, other)


def test_batches_of_torch(backend):
    torch = pytest.importorskip("torch")
    x, y = classification()
    dataset = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
    one, other = trainer(), trainer()
    one.fit(torch.utils.data.DataLoader(dataset, 8), epochs=2, progress=False)
    other.fit(x, y, epochs=2, batch_size=8, shuffle=False, progress=False)
    assert_same(one, other)


def test_weights_and_several_inputs(backend):
    x, y = regression()
    weight = np.linspace(0, 2, len(x))
    weight[:8] = 0  # a whole batch

    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = network(outputs=1)

        def forward(self, a, b):
            return self.layer(a) + self.layer(b)

    def make():
        model = Sum()
        return cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))

    inputs = {"a": x, "b": 2 * x}
    arrays, named, tuples = make(), make(), make()
    arrays.fit(inputs, y, sample_weight=weight, epochs=2, batch_size=8, shuffle=False,
               progress=False)  # fmt: skip
    parts = [slice(i, i + 8) for i in range(0, len(x), 8)]
    batches = [({"a": x[p], "b": cr.Tensor(2 * x[p])}, y[p], weight[p]) for p in parts]
    named.fit(batches, epochs=2, progress=False)
    tuples.fit([((x[p], 2 * x[p]), y[p], weight[p]) for p in parts], epochs=2, progress=False)
    assert_same(arrays, named)
    assert_same(arrays, tuples)
    expected = arrays.evaluate(inputs, y, sample_weight=weight, batch_size=8)
    assert named.evaluate(batches) == expected
    np.testing.assert_array_equal(
        named.predict(b[0] for b in batches), arrays.predict(inputs, batch_size=8)
    )


def test_evaluation_and_prediction(backend):
    pytest.importorskip("sklearn")
    x, y = classification()
    one = trainer(metrics=["accuracy", "log_loss"])
    one.fit(x, y, epochs=1, progress=False)
    batches = list(data.batches(x, y, 8, shuffle=False))
    loader = data.DataLoader(data.TensorDataset(x, y), 8)
    expected = one.evaluate(x, y, batch_size=8)
    for given in (batches, iter(batches), loader, data.batches(x, y, 8, shuffle=False)):
        assert one.evaluate(given) == expected
    outputs = one.predict(x, batch_size=8)
    inputs = data.DataLoader(data.TensorDataset(x), 8)
    for given in (inputs, (xb for xb, _ in loader), data.batches(x, batch_size=8, shuffle=False)):
        np.testing.assert_array_equal(one.predict(given), outputs)
    with pytest.raises(TypeError, match=r"batches \(x, y\) give x alone"):
        one.predict(loader)


def test_the_range_test(backend):
    x, y = classification()
    one = trainer()
    before = weights(one)
    expected = one.find_lr(x, y, batch_size=8, steps=20).losses
    assert one.find_lr(data.batches(x, y, 8), steps=20).losses == expected
    assert len(one.find_lr(list(data.batches(x, y, 8)), steps=20).losses) == 20
    with pytest.raises(ValueError, match="gives no batches in pass 2"):
        one.find_lr(iter(list(data.batches(x, y, 8))), steps=20)
    for a, b in zip(before, weights(one), strict=True):
        np.testing.assert_array_equal(a, b)


X, Y = classification()
BATCH = X, Y
REFUSED = {
    "y left out": (lambda t: t.fit(X), TypeError, "y is missing"),
    "y left out, dict": (lambda t: t.evaluate({"a": X}), TypeError, "y is missing"),
    "one tuple of arrays": (lambda t: t.fit((X, Y)), TypeError, "y is missing"),
    "a dataset": (lambda t: t.fit(data.TensorDataset(X, Y)), TypeError, "data.DataLoader"),
    "a subset": (
        lambda t: t.evaluate(data.Subset(data.TensorDataset(X, Y), [0])),
        TypeError,
        "data.DataLoader",
    ),
    "a dataset to validate on": (
        lambda t: t.fit(X, Y, validation_data=data.TensorDataset(X, Y)),
        TypeError,
        "data.DataLoader",
    ),
    "y beside batches": (lambda t: t.fit(data.batches(X, Y), Y), TypeError, "Leave out y"),
    "weights beside targets": (
        lambda t: t.fit(data.batches(X, (Y, np.ones(len(X), "float32")), 8)),
        TypeError,
        r"y is a tuple of 2 arrays.*third of a batch \(x, y, sample_weight\)",
    ),
    "a generator for two epochs": (
        lambda t: t.fit((b for b in [BATCH]), epochs=2),
        ValueError,
        "ends after one pass",
    ),
    "a generator to validate on": (
        lambda t: t.fit([BATCH], epochs=2, validation_data=iter([BATCH])),
        ValueError,
        "validation x is an iterator",
    ),
    "batch_size": (lambda t: t.fit([BATCH], batch_size=8), ValueError, "batch_size is for arrays"),
    "shuffle": (lambda t: t.fit([BATCH], shuffle=True), ValueError, "shuffle is for arrays"),
    "sample_weight": (
        lambda t: t.fit([BATCH], sample_weight=np.ones(37)),
        ValueError,
        "sample_weight is for arrays",
    ),
    "validation_fraction": (
        lambda t: t.fit([BATCH], validation_fraction=0.5),
        ValueError,
        "validation_fraction is for arrays",
    ),
    "batch_size of predict": (
        lambda t: t.predict(iter([X]), batch_size=8),
        ValueError,
        "batch_size is for arrays",
    ),
    "nothing": (lambda t: t.fit([]), ValueError, "gives no batches"),
    "inputs alone": (lambda t: t.fit(iter([X]), epochs=1), TypeError, "a batch is a pair"),
    "no rows": (lambda t: t.fit([(X[:0], Y[:0])]), ValueError, "batch 1 of epoch 1: x has no rows"),
    "samples": (lambda t: t.fit(list(zip(X, Y, strict=True))), ValueError, "batch 1 of epoch 1"),
    "labels": (lambda t: t.fit([(X, Y + 9)]), ValueError, "batch 1 of epoch 1: labels must lie"),
    "shapes": (lambda t: t.fit([(X[:, :2], Y)]), cr.ShapeError, "batch 1 of epoch 1"),
    "nan": (lambda t: t.fit([(X * np.nan, Y)]), ValueError, "batch 1 of epoch 1: x holds nan"),
    "validation": (
        lambda t: t.fit([BATCH], validation_data=[(X, Y + 9)]),
        ValueError,
        "validation batch 1 of epoch 1: labels must lie",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_before_anything_changes(case):
    call, error, reason = REFUSED[case]
    one = trainer()
    before = weights(one)
    with pytest.raises(error, match=reason):
        call(one)
    assert one.step == 0
    assert one.state.data_key is None
    for a, b in zip(before, weights(one), strict=True):
        np.testing.assert_array_equal(a, b)


BROKEN = {
    "labels": ((X, Y + 9), ValueError, "batch 3 of epoch 2: labels must lie"),
    "nan": ((X * np.nan, Y), ValueError, "batch 3 of epoch 2: x holds nan"),
    "shape": ((X[:, :2], Y), cr.ShapeError, "batch 3 of epoch 2"),
    "dtype": ((X.astype(int), Y), ValueError, "batch 3 of epoch 2: it is made up of x .int64"),
    "structure": (((X,), Y), ValueError, "batch 3 of epoch 2: it is made up of"),
    "weights": ((X, Y, np.ones(37)), ValueError, "the first batch was of x .float64., y .int64."),
    "kind": (X, TypeError, "batch 3 of epoch 2: a batch is a pair"),
    "error": (None, OSError, "gone"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_error_in_the_middle_leaves_the_trainer_usable(backend, case):
    bad, error, reason = BROKEN[case]

    class Breaks:
        def __init__(self):
            self.passes = 0

        def __iter__(self):
            self.passes += 1
            for number in range(5):
                if self.passes == 2 and number == 2:
                    if bad is None:
                        raise OSError("the disk is gone")
                    yield bad
                yield BATCH

    one = trainer(accumulate=2, metrics=[])
    with pytest.raises(error, match=reason):
        one.fit(Breaks(), epochs=3, progress=False)
    assert one.epoch == 1
    assert len(one.history) == 1
    assert 1 <= one.state.position <= 2
    one.fit([BATCH] * 2, epochs=1, progress=False)  # the epoch begins anew
    assert (one.epoch, one.state.position) == (2, 0)
    assert one.history["loss"][1] < one.history["loss"][0] * 1.5
    assert np.isfinite(one.predict(X)).all()


def test_a_pass_without_batches_is_an_error():
    class Once:
        def __init__(self):
            self.rest = iter([BATCH] * 2)

        def __iter__(self):
            yield from self.rest

    one = trainer()
    with pytest.raises(ValueError, match="gives no batches in pass 2: it can be passed through"):
        one.fit(Once(), epochs=2, progress=False)
    assert one.epoch == 1
    assert trainer().fit(iter([BATCH]), epochs=1, progress=False)["epoch"] == [1]


def test_a_batch_that_is_not_finite_is_refused(backend):
    x, y = regression(dtype="float32")
    model = nn.Linear(4, 1)
    one = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(cr.NonFiniteError, match="epoch 1, step 3"):
        one.fit([(x, y), (x, y), (x * 1e30, y)], epochs=1, progress=False)
    assert one.step == one.state.position == 2
    assert all(np.isfinite(w).all() for w in weights(one))


def test_batches_of_many_sizes(backend):
    x, y = classification(rows=80)
    batches, begin = [], 0
    for size in (1, 7, 2, 30, 7, 1, 32):
        batches.append((x[begin : begin + size], y[begin : begin + size]))
        begin += size
    one = trainer(accumulate="epoch", metrics=["accuracy"])
    other = trainer(accumulate="epoch", metrics=["accuracy"])
    for each in (one, other):
        each.model[-1].p = 0.0
    one.fit(batches, epochs=2, progress=False)
    other.fit(x, y, epochs=2, batch_size=80, shuffle=False, progress=False)
    for a, b in zip(weights(one), weights(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_more_sizes_than_plans_are_kept_for_warn():
    x, y = classification(rows=40)
    with pytest.warns(UserWarning, match="more than 32 different shapes") as found:
        trainer().fit([(x[:n], y[:n]) for n in range(1, 40)], epochs=2, progress=False)
    assert len(found) == 1


@pytest.mark.parametrize("steps", [None, 3])
def test_resume_gives_the_same_bits(backend, path, steps):
    x, y = classification()

    class Stop(cr.Callback):
        def on_step_end(self, one, loss):
            if one.step == 12:
                one.stop("enough")

    class Nothing(cr.Callback):
        pass

    Nothing.__name__ = "Stop"
    whole = trainer(callbacks=[Nothing()])
    whole.fit(Pairs(x, y), epochs=4, progress=False)
    first = trainer(callbacks=[Stop()])
    first.fit(Pairs(x, y), epochs=4, checkpoint=path, checkpoint_steps=steps, progress=False)
    assert (first.epoch, first.state.position) == (2, 2)
    second = trainer(callbacks=[Nothing()])
    second.fit(Pairs(x, y), epochs=4, checkpoint=path, resume=True, progress=False)
    assert_same(whole, second)


def test_resume_with_other_batches_is_refused(path):
    x, y = classification()
    one = trainer()
    one.fit(Pairs(x, y), epochs=1, checkpoint=path, progress=False)
    for given, reason in [
        ([(x.astype(int), y)], "of another form"),
        ((x, y), "batches of an iterable, these are 37 rows"),
    ]:
        arguments = given if isinstance(given, tuple) else (given,)
        with pytest.raises(ValueError, match=reason):
            trainer().fit(*arguments, epochs=2, checkpoint=path, resume=True, progress=False)
    other = path.with_name("arrays")
    one = trainer()
    one.fit(x, y, epochs=1, checkpoint=other, progress=False)
    with pytest.raises(ValueError, match="37 rows, these are batches of an iterable"):
        trainer().fit([(x, y)], epochs=2, checkpoint=other, resume=True, progress=False)


def test_fewer_batches_than_were_done_are_refused(path):
    x, y = classification()
    batches = list(data.batches(x, y, 4))
    one = trainer()

    class Stop(cr.Callback):
        def on_step_end(self, t, loss):
            t.stop("enough") if t.step == 5 else None

    one = trainer(callbacks=[Stop()])
    one.fit(batches, epochs=1, checkpoint=path, progress=False)
    other = trainer(callbacks=[Stop()])
    with pytest.raises(ValueError, match="gives 3 batches in epoch 1, of which 5 were done"):
        other.fit(batches[:3], epochs=1, checkpoint=path, resume=True, progress=False)


def test_after_a_stop_the_epoch_begins_anew():
    x, y = classification()

    class Stop(cr.Callback):
        is_on = True

        def on_step_end(self, t, loss):
            if self.is_on and t.state.position == 2:
                t.stop("enough")

    stop = Stop()
    one = trainer(callbacks=[stop])
    pairs = Pairs(x, y)
    one.fit(pairs, epochs=1, progress=False)
    stop.is_on = False
    one.fit(pairs, epochs=1, progress=False)
    assert (one.epoch, one.step, pairs.opened) == (1, 2 + 5, 2)


class Slow(data.Dataset):
    def __len__(self):
        return 400

    def __getitem__(self, index):
        time.sleep(0.002)
        return X[index % 37], Y[index % 37]


@pytest.mark.skipif(os.name != "posix", reason="signals of a process group")
def test_ctrl_c_with_workers():
    """Workers, which get the signal, too, when it comes from a terminal, leave it alone."""
    loader = data.DataLoader(Slow(), 8, num_workers=2)

    class Soon(cr.Callback):
        def on_step_end(self, t, loss):
            if t.step == 1:
                timer.start()

    def interrupt():
        for child in multiprocessing.active_children():
            os.kill(child.pid, signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.3, interrupt)
    one = trainer(callbacks=[Soon()])
    history = one.fit(loader, epochs=30, progress=False)
    timer.join()
    assert history.stop_reason == "interrupted"
    assert one.fit(loader, epochs=1, progress=False).stop_reason is None


@pytest.mark.parametrize("ending", ["error of a batch", "stop", "not finite"])
def test_workers_end_with_the_training(ending):
    bad = X.copy()
    if ending == "error of a batch":
        bad[20] = np.nan
    dataset = data.ConcatDataset([data.TensorDataset(bad, Y)])  # whose samples the workers load
    one = trainer(metrics=[])
    if ending == "not finite":
        one.optimizer.param_groups[0]["lr"] = 1e308
    if ending == "stop":
        one.callbacks.append(StopAtOnce())
    loader = data.DataLoader(dataset, 4, num_workers=2)
    before = {child.pid for child in multiprocessing.active_children()}
    reason = None
    try:
        one.fit(loader, epochs=2, progress=False)
    except (ValueError, cr.NonFiniteError) as error:
        reason = error
    assert (reason is None) == (ending == "stop")
    assert {child.pid for child in multiprocessing.active_children()} <= before


class StopAtOnce(cr.Callback):
    def on_step_end(self, trainer, loss):
        trainer.stop("enough")


def test_a_subclass_of_minibatches_gives_its_own_batches(backend):
    x, y = classification()

    class Doubled(data.Minibatches):
        def __iter__(self):
            for xb, yb in super().__iter__():
                yield 2 * xb, yb

    doubled = Doubled(x, y, 8, shuffle=True, seed=0, epoch=None, drop_last=False)
    one, other = trainer(), trainer()
    one.fit(doubled, epochs=2, progress=False)
    other.fit(2 * x, y, epochs=2, batch_size=8, progress=False)
    assert_same(one, other)


def test_resume_of_batches_gives_the_same_bits(path):
    x, y = classification()
    whole, first, second = trainer(), trainer(), trainer()
    whole.fit(data.batches(x, y, 8), epochs=4, progress=False)
    first.fit(data.batches(x, y, 8), epochs=2, checkpoint=path, progress=False)
    second.fit(data.batches(x, y, 8), epochs=4, checkpoint=path, resume=True, progress=False)
    assert_same(whole, second)


def test_other_threads_predict_while_an_iterable_waits():
    x, y = classification()
    one = trainer()
    expected = one.predict(x)
    inside, go_on, found = threading.Event(), threading.Event(), []

    class Waits:
        def __iter__(self):
            yield x, y
            inside.set()
            go_on.wait(20)
            yield x, y

    def other():
        inside.wait(20)
        found.append(one.predict(x))
        with pytest.raises(RuntimeError, match="training in another thread"):
            one.fit([(x, y)], epochs=1, progress=False)
        go_on.set()

    thread = threading.Thread(target=other)
    thread.start()
    one.fit(Waits(), epochs=1, progress=False)
    thread.join()
    # The second batch is asked for before the first is trained on.
    np.testing.assert_array_equal(found[0], expected)


def test_the_bar_without_a_known_length(capsys):
    x, y = classification()
    for given in (Pairs(x, y), WrongLength(x, y)):
        trainer().fit(given, epochs=2)
        assert capsys.readouterr().out.count("\n") == 2
