"""Data in memory-mapped files: the same bits as from arrays, in little memory."""

import gc
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest
from training_cases import (
    assert_same_bits,
    classification,
    network,
    noisy_network,
    trainer_of,
    weighted_cross_entropy,
    weights,
)

import chainrule as cr
from chainrule.data import mapped

ROWS, BATCH = 53, 4


@pytest.fixture
def small_windows(monkeypatch):
    """Copies and reads of a few rows only, so that an epoch has many windows."""
    monkeypatch.setattr(mapped, "_COPY_BYTES", 15 * 40)
    monkeypatch.setattr(mapped, "_RESIDENT_BYTES", 9 * 40)


def as_files(folder, arrays, mode="r"):
    found = []
    for number, array in enumerate(arrays):
        path = folder / f"{number}.npy"
        np.save(path, array)
        found.append(np.load(path, mmap_mode=mode))
    return found


@pytest.mark.parametrize(
    ("dtype", "accumulate", "shuffle"),
    [
        ("float64", 1, True),
        ("float64", 3, True),
        ("float64", "epoch", False),
        ("float32", 1, False),
        ("float16", "epoch", True),
        ("float16", 1, False),
        ("fortran", 1, True),
        ("fortran", 3, False),
    ],
)
def test_files_give_the_bits_that_arrays_give(
    tmp_path, backend, small_windows, dtype, accumulate, shuffle
):
    x, y = classification(ROWS)
    x = np.asfortranarray(x) if dtype == "fortran" else x.astype(dtype)
    w = np.linspace(0, 2, ROWS)
    found = []
    for data in ((x, y, w), as_files(tmp_path, (x, y, w))):
        trainer = trainer_of(
            noisy_network(), weighted_cross_entropy, accumulate=accumulate, metrics=["accuracy"]
        )
        history = trainer.fit(
            *data[:2], sample_weight=data[2], epochs=2, batch_size=BATCH, shuffle=shuffle,
            validation_data=data, progress=False,
        )  # fmt: skip
        result = trainer.find_lr(*data[:2], steps=40, batch_size=BATCH)
        evaluated = trainer.evaluate(*data[:2], sample_weight=data[2], batch_size=BATCH)
        found.append(
            {
                **weights(trainer.model),
                "outputs": trainer.predict(data[0], batch_size=BATCH),
                "samples": trainer.predict_samples(data[0], samples=2, batch_size=BATCH),
                "losses": np.array(result.losses),
                "accuracy": np.array([evaluated["accuracy"], *history["validation_accuracy"]]),
            }
        )
        np.testing.assert_allclose(  # sums of several windows
            [*history["loss"], *history["validation_loss"], evaluated["loss"]],
            found[0].setdefault("sums", [*history["loss"], *history["validation_loss"],
                                         evaluated["loss"]]),
            rtol=1e-12,
        )  # fmt: skip
    found[0].pop("sums")
    assert_same_bits(*found)


def test_an_epoch_goes_on_in_the_middle_of_a_window(tmp_path, backend, small_windows):
    class Stop(cr.Callback):
        def on_step_end(self, trainer, loss):
            if trainer.state.position % 4 == 1:
                trainer.stop("for now")

    files = as_files(tmp_path, classification(ROWS))
    whole, parts = trainer_of(network()), trainer_of(network())
    whole.fit(*files, epochs=2, batch_size=BATCH, progress=False)
    parts.callbacks.append(Stop())
    while parts.epoch < 2:
        parts.fit(*files, epochs=1, batch_size=BATCH, progress=False)
    assert_same_bits(weights(parts.model), weights(whole.model))


def test_what_was_written_into_a_map_stays(tmp_path, backend):
    x, y = classification(ROWS)
    for mode in ("r+", "c"):
        files = as_files(tmp_path, (x, y), mode)
        files[0][7] = 3.0
        trainer = trainer_of(network())
        trainer.fit(*files, epochs=1, batch_size=BATCH, progress=False)
        trainer.predict(files[0])
        assert (files[0][7] == 3.0).all()


SCRIPT = """
import sys
import numpy as np
import chainrule as cr
from chainrule import nn, optim

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024

x = np.memmap(sys.argv[1], "float32", "r").reshape(-1, 1024)
y = np.memmap(sys.argv[1], "uint8", "r")[: len(x)]
model = nn.Linear(1024, 2)
trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1))
for shuffle in (False, True):
    trainer.fit(x, y, epochs=1, batch_size=256, shuffle=shuffle, progress=False)
trainer.evaluate(x, y)
trainer.predict(x)
trainer.find_lr(x, y, steps=10, batch_size=256)
for xb, yb in cr.data.batches(x, y, 256):
    pass
print(peak())
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux tells the peak there")
def test_a_large_file_takes_little_memory(tmp_path):
    """300 MB, of zeros that the disk does not hold."""
    path = tmp_path / "zeros"
    with open(path, "wb") as file:
        file.truncate(300 << 20)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, path], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 250


@pytest.mark.parametrize("use", ["fit", "failed fit", "evaluate", "predict", "find_lr"])
def test_data_are_let_go_afterwards(backend, use):
    """A Trainer that stays does not keep them in memory."""

    class Failing(cr.Callback):
        def on_epoch_end(self, trainer, record):
            raise KeyError("on purpose")

    x, y = classification(ROWS)
    trainer = trainer_of(network(), callbacks=[Failing()] * (use == "failed fit"))
    if use == "fit":
        trainer.fit(x, y, epochs=2, batch_size=BATCH, validation_data=(x, y), progress=False)
    elif use == "failed fit":
        with pytest.raises(KeyError, match="on purpose"):
            trainer.fit(x, y, epochs=1, batch_size=BATCH, progress=False)
    elif use == "evaluate":
        trainer.evaluate(x, y)
    elif use == "predict":
        trainer.predict(x)
    else:
        trainer.find_lr(x, y, batch_size=BATCH, steps=3)
    gone = [weakref.ref(x), weakref.ref(y)]
    del x, y
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
