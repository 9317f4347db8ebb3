"""Training that goes on: a call like one before builds nothing and takes no memory."""

import ctypes
import gc
import os
import tracemalloc

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.execute import native
from chainrule.train import training_step

ROWS, COLUMNS = 512, 300  # a batch of 600 kB: far more than a call may take

try:
    mallinfo2 = ctypes.CDLL(None).mallinfo2
except (AttributeError, OSError, TypeError):
    mallinfo2 = None
if "san.so" in os.environ.get("LD_PRELOAD", ""):
    mallinfo2 = None  # a sanitizer's malloc is not glibc's
if mallinfo2 is not None:
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    mallinfo2.restype = type(
        "mallinfo2",
        (ctypes.Structure,),
        {"_fields_": [(name, ctypes.c_size_t) for name in names.split()]},
    )


def bytes_in_use():
    """What malloc has given out, outside of Python's own small objects."""
    if mallinfo2 is None:
        return 0
    info = mallinfo2()
    return info.uordblks + info.hblkhd


def assert_takes_no_memory(call, calls=40, most=32_768, growth=4096):
    """`call` needs at most `most` bytes at a time, and keeps none."""
    for _ in range(3):
        call()
    gc.collect()
    before = bytes_in_use()
    for _ in range(calls):
        call()
    kept = bytes_in_use() - before
    tracemalloc.start()
    try:
        call()
        start, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(calls):
            call()
        _, peak = tracemalloc.get_traced_memory()
        gc.collect()
        end, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept <= growth, f"{kept} bytes were never given back"
    assert end - start <= growth, f"Python keeps {end - start} bytes"
    assert peak - start <= most, f"a call takes {peak - start} bytes"


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    x = random.standard_normal((ROWS, COLUMNS), np.float32)
    return x, random.integers(0, 5, ROWS)


def network():
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(COLUMNS, 64), nn.ReLU(), nn.Linear(64, 5))
    return model, nn.CrossEntropyLoss(), optim.Adam(model.parameters())


def compiled_step():
    model, loss_fn, optimizer = network()

    @cr.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


@pytest.fixture
def built(monkeypatch):
    """A list that grows with every plan and every captured graph."""
    found = []

    class CountedPlan(native.Plan):
        def __init__(self, *arguments):
            found.append("plan")
            super().__init__(*arguments)

    def counted_capture(*arguments):
        found.append("capture")
        return cr.capture(*arguments)

    monkeypatch.setattr(native, "Plan", CountedPlan)
    monkeypatch.setattr(training_step, "capture", counted_capture)
    return found


def test_a_second_call_builds_nothing(data, built):
    x, y = data
    trainer = cr.Trainer(*network())

    def everything():
        trainer.fit(x, y, epochs=1, batch_size=100, progress=False)
        trainer.evaluate(x, y)
        trainer.predict(x[:7])

    everything()
    assert built.count("capture") == 4  # training on 100 and on 12 rows
    assert built.count("plan") <= 4  # those of an equal network are shared
    built.clear()
    everything()
    trainer.predict(x[7:14])
    trainer.optimizer.param_groups[0]["lr"] = 0.5
    everything()
    assert built == []


def test_a_compiled_step_builds_and_keeps_nothing(data, built):
    compiled = compiled_step()
    compiled(*data)
    assert built == ["plan"]
    assert_takes_no_memory(lambda: compiled(*data))
    assert built == ["plan"]


def test_prediction_takes_memory_for_its_outputs_alone(data):
    trainer = cr.Trainer(*network())
    x, _ = data
    assert_takes_no_memory(lambda: trainer.predict(x, batch_size=ROWS), most=300_000)
    assert_takes_no_memory(lambda: trainer.predict(x[:1]))


def test_steps_keep_nothing_in_the_core(data):
    x, y = data
    trainer = cr.Trainer(*network())

    def fit():
        trainer.fit(x, y, epochs=1, batch_size=8, progress=False)

    for _ in range(3):
        fit()
    before = bytes_in_use()
    for _ in range(10):
        fit()  # 640 steps
    assert bytes_in_use() - before < 640 * 16


@pytest.mark.parametrize("bytes_kept", [1000, 200_000])
def test_the_check_sees_what_is_kept(data, bytes_kept):
    compiled, kept = compiled_step(), []

    def leaking():
        compiled(*data)
        kept.append(np.empty(bytes_kept, np.uint8))

    with pytest.raises(AssertionError, match=r"given back|keeps"):
        assert_takes_no_memory(leaking)


@pytest.mark.skipif(mallinfo2 is None, reason="needs glibc's malloc and mallinfo2")
def test_the_check_sees_what_the_core_would_keep():
    malloc = ctypes.CDLL(None).malloc
    malloc.argtypes = [ctypes.c_size_t]
    with pytest.raises(AssertionError, match="given back"):
        assert_takes_no_memory(lambda: malloc(500))


def test_the_check_sees_a_copy_of_the_batch(data):
    x, _ = data
    with pytest.raises(AssertionError, match="takes"):
        assert_takes_no_memory(lambda: x[np.arange(ROWS)].sum())


def test_graphs_and_plans_are_not_kept_for_ever(data, built):
    x, _ = data
    trainer = cr.Trainer(*network())
    expected = trainer.predict(x)
    x = np.tile(x, (4, 1))[:200]
    for rows in range(1, 201):
        trainer.predict(x[:rows])
    built.clear()
    for rows in range(191, 201):
        trainer.predict(x[:rows])  # used a moment ago
    for rows in range(151, 161):
        trainer.predict(x[:rows])  # copied from a graph that models share
    assert built == []
    found = trainer.predict(x[:1])
    assert built == ["capture", "plan"]
    np.testing.assert_allclose(found, expected[:1], rtol=1e-5, atol=1e-6)
