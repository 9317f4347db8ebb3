"""Files: whole or not there, refused with a reason where they do not fit, and nothing changed."""

import errno
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
from training_cases import assert_same_bits, classification, network, trainer_of, weights

import chainrule as cr
from chainrule import nn, optim
from chainrule.train import model_file


def trained(epochs=2, **options):
    x, y = classification(20)
    trainer = trainer_of(network(), **options)
    trainer.fit(x, y, epochs=epochs, batch_size=8, progress=False)
    return trainer


def everything(trainer):
    """All that a file could change in a Trainer."""
    return {
        **{f"model.{k}": v for k, v in weights(trainer.model).items()},
        **{
            f"optimizer.{k}": np.array(v)
            for k, v in trainer.optimizer.state_dict().items()
            if isinstance(v, np.ndarray)
        },
        "lr": np.array([group["lr"] for group in trainer.optimizer.param_groups]),
        "generator": trainer.graphs.generator.state.numpy().copy(),
        "counts": np.array(
            [trainer.epoch, trainer.step, trainer.state.position, len(trainer.history)]
        ),
        "schedule": np.array(trainer.schedule.t if trainer.schedule else -1),
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def test_the_way_there_and_back(path):
    trainer = trained(metadata={"classes": ["a", "b", "c"], "count": np.int64(3)})
    trainer.save(path)
    other = trainer_of(network(seed=9), metadata={})
    other.load(path)
    assert_same_bits(everything(other), everything(trainer))
    assert other.history.epochs == trainer.history.epochs
    x, _ = classification(20)
    np.testing.assert_array_equal(other.predict(x), trainer.predict(x))


def test_the_model_alone_can_be_built_from_the_file(path):
    trainer = trained(metadata={"classes": ["a", "b", "c"]})
    trainer.save(str(path))
    model, metadata = cr.load(path), cr.read_metadata(path)
    assert_same_bits(weights(model), weights(trainer.model))
    assert metadata == {"classes": ["a", "b", "c"]}
    assert not model.training
    assert repr(model) == repr(trainer.model)


def test_other_tools_can_read_the_tensors(path):
    from safetensors.numpy import load_file

    trainer = trained()
    trainer.save(path)
    found = load_file(path)
    for name, array in weights(trainer.model).items():
        np.testing.assert_array_equal(found[f"model.{name}"], array)


def test_a_file_is_replaced_and_nothing_else_is_left(path):
    for epochs in (1, 2):
        trainer = trained(epochs)
        trainer.save(path)
    assert os.listdir(path.parent) == [path.name]
    other = trainer_of(network())
    other.load(path)
    assert other.epoch == 2
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_whole_numbers_of_numpy_are_numbers(path):
    x, y = classification(20)
    trainer = trainer_of(network(), seed=np.int64(3), accumulate=np.int32(2))
    trainer.fit(
        x, y, epochs=np.int64(2), batch_size=np.int64(8), shuffle=np.True_, checkpoint=path,
        checkpoint_steps=np.int8(1), progress=False,
    )  # fmt: skip
    other = trainer_of(network(), seed=3, accumulate=2)
    other.load(path)
    assert other.epoch == 2


# What does not fit


class Other(cr.Callback):
    pass


class Wrong(cr.Callback):
    """Refuses to take up its state, at the very end of a loading."""

    def state_dict(self):
        return {"a": 1}

    def load_state_dict(self, state):
        if "b" not in state:
            raise ValueError("no b")


def other_trainer(kind):
    model = network(
        hidden=6 if kind == "shape" else 5, dtype="float32" if kind == "dtype" else "float64"
    )
    if kind == "layers":
        model = nn.Sequential(nn.Linear(4, 3, dtype="float64"))
    options = {"lr": 0.1, "momentum": 0.9}
    optimizer = optim.SGD(model.parameters(), **options)
    if kind == "optimizer":
        optimizer = optim.Adam(model.parameters())
    if kind == "momentum":
        optimizer = optim.SGD(model.parameters(), lr=0.1)
    if kind == "groups":
        optimizer = optim.SGD([{"params": list(m.parameters())} for m in model[::2]], **options)
    schedule = optim.StepLR(optimizer, 1, 0.9) if kind != "no schedule" else None
    if kind == "schedule":
        schedule = optim.ExponentialLR(optimizer, 0.9)
    callbacks = [cr.EarlyStopping("loss", patience=9)]
    if kind == "callbacks":
        callbacks = [Other()]
    return trainer_of(
        model,
        optimizer=optimizer,
        schedule=schedule,
        callbacks=callbacks,
        seed=1 if kind == "seed" else 0,
        accumulate={"accumulate": 3, "no accumulate": 1}.get(kind, 2),
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("shape", r"size mismatch for 0\.weight.*\(5, 4\).*\(6, 4\)"),
        ("dtype", "dtype mismatch.*float64.*float32"),
        ("layers", "Unexpected key"),
        ("optimizer", "optimizer SGD.*has Adam"),
        ("momentum", "momentum"),
        ("groups", "param_groups|group of the state|groups"),
        ("schedule", "schedule StepLR.*has ExponentialLR"),
        ("no schedule", "schedule StepLR.*has None"),
        ("callbacks", r"callbacks \['EarlyStopping'\].*has \['Other'\]"),
        ("seed", "seed 0.*has 1"),
        ("accumulate", "accumulate 2.*has 3"),
        ("no accumulate", "accumulate 2.*has 1"),
    ],
)
def test_a_file_of_another_training_changes_nothing(path, kind, text):
    x, y = classification(20)
    saved = other_trainer("the same")
    saved.fit(x, y, epochs=2, batch_size=8, progress=False)
    saved.save(path)
    other_trainer("the same").load(path)
    trainer = other_trainer(kind)
    if kind != "groups":
        trainer.fit(x.astype(trainer.graphs.dtype), y, epochs=1, batch_size=4, progress=False)
    before = everything(trainer)
    with pytest.raises(ValueError, match=text) as caught:
        trainer.load(path)
    assert str(path) in str(caught.value)
    assert_same_bits(everything(trainer), before)
    with pytest.raises(ValueError, match=text):
        trainer.fit(x, y, epochs=5, batch_size=8, checkpoint=path, resume=True, progress=False)
    assert_same_bits(everything(trainer), before)


def test_a_callback_that_refuses_its_state_leaves_all_as_it_was(path):
    trained(callbacks=[Wrong()]).save(path)

    class Later(Wrong):
        pass

    Later.__name__ = "Wrong"
    trainer = trained(1, callbacks=[Later()])
    trainer.callbacks[0].state_dict = lambda: {"b": 2}
    before = everything(trainer)
    with pytest.raises(ValueError, match="no b"):
        trainer.load(path)
    assert_same_bits(everything(trainer), before)


def test_metrics_count_within_an_epoch_only(path):
    x, y = classification(20)
    trained(metrics=["accuracy"]).save(path)
    trainer_of(network()).load(path)  # between epochs other metrics may be wanted

    class Stop(cr.Callback):
        def on_step_end(self, trainer, loss):
            trainer.stop("")

    trainer = trainer_of(network(), metrics=["accuracy"])
    trainer.callbacks.append(Stop())
    trainer.fit(x, y, epochs=1, batch_size=8, progress=False)
    trainer.callbacks.clear()
    trainer.save(path)
    with pytest.raises(ValueError, match=r"metrics \['accuracy'\].*has \[\]"):
        trainer_of(network()).load(path)
    other = trainer_of(network(), metrics=["accuracy"])
    with pytest.raises(ValueError, match=r"middle of an epoch.*'batch_size': 8.*'batch_size': 4"):
        other.fit(x, y, epochs=1, batch_size=4, checkpoint=path, resume=True, progress=False)
    assert other.state.position == other.step == 0


# Files that are none


def rewritten(path, change):
    """The file with its JSON header changed."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"].pop("crc32")  # of what was there before
    change(header["__metadata__"])
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def described(path, change):
    def on_metadata(metadata):
        description = json.loads(metadata["chainrule"])
        change(description)
        metadata["chainrule"] = json.dumps(description)

    rewritten(path, on_metadata)


def foreign(path):
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(3)}, path)


BAD_FILES = {
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[:-7]), "truncated"),
    "cut in the header": (lambda p: p.write_bytes(p.read_bytes()[:50]), "truncated"),
    "empty": (lambda p: p.write_bytes(b""), "truncated"),
    "garbage": (lambda p: p.write_bytes(b"\x93NUMPY\x01\x00garbage" * 40), "another kind"),
    "text": (lambda p: p.write_text("a,b\n1,2\n" * 9), "another kind"),
    "foreign": (foreign, "did not write"),
    "no JSON": (lambda p: rewritten(p, lambda m: m.update(chainrule="{")), "damaged"),
    "a list": (lambda p: rewritten(p, lambda m: m.update(chainrule="[1]")), "damaged"),
    "no version": (lambda p: described(p, lambda d: d.pop("format")), "damaged"),
    "later version": (lambda p: described(p, lambda d: d.update(format=2)), "format 2.*Install"),
    "half a training": (lambda p: described(p, lambda d: d["training"].pop("step")), "damaged"),
    "wrong training": (lambda p: described(p, lambda d: d.update(training=[])), "damaged"),
    "wrong history": (lambda p: described(p, lambda d: d["training"].update(history=3)), "damaged"),
    "half an epoch": (lambda p: described(p, lambda d: d["training"].update(epoch=0.5)), "damaged"),
    "negative": (lambda p: described(p, lambda d: d["training"].update(step=-1)), "damaged.*step"),
    "odd record": (
        lambda p: described(p, lambda d: d["training"]["history"].append({"loss": "x"})),
        "damaged.*history",
    ),
    "odd data": (lambda p: described(p, lambda d: d["training"]["data"].pop("rows")), "damaged"),
    "no rows": (
        lambda p: described(p, lambda d: d["training"]["data"].update(rows=0)),
        "damaged.*rows of the data is at least 1, got 0",
    ),
    "past the end": (
        lambda p: described(p, lambda d: d["training"].update(position=4)),
        r"damaged \(position is 4 of 3 batches\)",
    ),
    "no loss": (lambda p: described(p, lambda d: d["training"].update(loss=None)), "damaged"),
}


def field(callback, name, value):
    """Sets a number of a callback's state."""
    return lambda tensors, callbacks: callbacks[callback]["state"].update({name: value})


def array(name, change):
    """Changes an array of a callback's state; None leaves it out."""

    def on_arrays(tensors, callbacks):
        before = tensors.pop(name)
        if change is not None:
            tensors[name] = change(before)

    return on_arrays


KEPT = "callback.0.weights.2.bias"
BAD_CALLBACKS = {
    "a text": (field(0, "waited", "x"), "waited is a whole number, at least 0; got 'x'"),
    "half": (field(0, "best_epoch", 1.5), "best_epoch is a whole number, at least 0; got 1.5"),
    "true": (field(0, "waited", True), "waited is a whole number, at least 0; got True"),
    "negative": (field(0, "waited", -1), "waited is at least 0, got -1"),
    "no number": (field(0, "best", "0.5"), "best is a number or None; got '0.5'"),
    "nan": (field(0, "best", float("nan")), "best is a number or None; got nan"),
    "a list": (field(0, "best", [0.5]), r"best is a number or None; got \[0.5\]"),
    "missing": (
        lambda tensors, callbacks: callbacks[0]["state"].pop("waited"),
        "waited is missing; there are best, best_epoch",
    ),
    "plateau": (field(1, "cooling", None), "cooling is a whole number, at least 0; got None"),
    "plateau's best": (field(1, "best", {}), r"best is a number or None; got \{\}"),
    "shape": (array(KEPT, lambda a: a[:2]), r"weights.2.bias .* float64 \(3,\); got .*\(2,\)"),
    "dtype": (array(KEPT, lambda a: a.astype("float32")), "weights.2.bias .*; got float32"),
    "no array": (array(KEPT, None), r"weights.2.bias .* is float64 \(3,\); got nothing"),
}


@pytest.mark.parametrize("kind", BAD_CALLBACKS)
def test_a_damaged_state_of_a_callback_is_refused_before_anything_changes(path, kind):
    def made(seed=3):
        callbacks = [cr.EarlyStopping("loss", patience=9), cr.ReduceLROnPlateau("loss")]
        return trainer_of(network(seed=seed), callbacks=callbacks)

    x, y = classification(20)
    saved, trainer = made(), made(seed=5)
    saved.fit(x, y, epochs=2, batch_size=8, progress=False)
    saved.save(path)
    made().load(path)
    tensors, description = model_file.read(path)
    spoil, text = BAD_CALLBACKS[kind]
    spoil(tensors, description["training"]["callbacks"])
    model_file.write(path, tensors, description)

    history = trainer.fit(x, y, epochs=1, batch_size=4, progress=False)
    history.stop_reason = "some reason"
    before = everything(trainer)
    states = [str(callback.state_dict()) for callback in trainer.callbacks]
    number, name = (1, "ReduceLROnPlateau") if "plateau" in kind else (0, "EarlyStopping")
    for call in (
        lambda: trainer.load(path),
        lambda: trainer.fit(x, y, batch_size=8, checkpoint=path, resume=True, progress=False),
    ):
        with pytest.raises(cr.FileError, match=f"callback {number}, {name}: .*{text}") as caught:
            call()
        assert str(path) in str(caught.value)
        assert_same_bits(everything(trainer), before)
        assert [str(callback.state_dict()) for callback in trainer.callbacks] == states
        assert trainer.history is history and history.stop_reason == "some reason"


def test_a_callback_refuses_a_damaged_state_by_itself():
    stopping = cr.EarlyStopping()
    with pytest.raises(TypeError, match="best is a number or None; got 'x'"):
        stopping.load_state_dict({"best": "x", "best_epoch": 3, "waited": 1})
    assert stopping.state_dict() == {"best": None, "best_epoch": 0, "waited": 0}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_refused_with_its_reason(path, kind):
    spoil, text = BAD_FILES[kind]
    trained().save(path)
    spoil(path)
    trainer = trained(1)
    before = everything(trainer)
    with pytest.raises(cr.FileError, match=text) as caught:
        trainer.load(path)
    assert str(path) in str(caught.value)
    assert_same_bits(everything(trainer), before)
    x, y = classification(20)
    with pytest.raises(cr.FileError, match=text):
        trainer.fit(x, y, epochs=5, batch_size=8, checkpoint=path, resume=True, progress=False)
    assert_same_bits(everything(trainer), before)


def test_every_truncation_is_noticed(path):
    trainer = trained()
    trainer.save(path)
    data = path.read_bytes()
    for length in [*range(0, 64), *range(64, len(data), 97), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(cr.FileError):
            trainer.load(path)


def test_every_changed_bit_is_noticed(path):
    """But for one that changes nothing, as a blank at the end of the header."""
    trainer = trained(callbacks=[cr.EarlyStopping("loss")], metrics=["accuracy"])
    trainer.save(path)
    data = path.read_bytes()
    wanted = model_file.read(path)
    rng = random.Random(0)
    refused = 0
    for place in [rng.randrange(len(data)) for _ in range(400)]:
        damaged = bytearray(data)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            tensors, description = model_file.read(path)
        except cr.FileError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            assert description == wanted[1]
            assert_same_bits(tensors, wanted[0])
    assert refused > 380
    weight = data.index(trainer.model[0].weight.numpy().tobytes())
    path.write_bytes(data[: weight + 7] + bytes([data[weight + 7] ^ 1]) + data[weight + 8 :])
    with pytest.raises(cr.FileError, match=r"damaged: its checksum is \w{8}.*\w{8}.*Bits"):
        trainer.load(path)


def test_a_file_without_a_checksum_is_read(path):
    trainer = trained()
    trainer.save(path)
    rewritten(path, lambda metadata: None)
    other = trainer_of(network(seed=9))
    other.load(path)
    assert_same_bits(everything(other), everything(trainer))


def test_missing_files_and_folders(tmp_path):
    trainer = trained(1)
    before = everything(trainer)
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere"):
        trainer.load(tmp_path / "nowhere")
    with pytest.raises(cr.FileError, match="is a folder"):
        trainer.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"the folder .*missing.* is missing"):
        trainer.save(tmp_path / "missing" / "model.safetensors")
    with pytest.raises(OSError, match="can't save"):
        trainer.save(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="can't save"):
        trainer.save(tmp_path / "file" / "model.safetensors")
    assert os.listdir(tmp_path) == ["file"]
    assert_same_bits(everything(trainer), before)


def test_a_model_without_a_training_can_not_be_resumed(path):
    model_file.write(path, {}, {"model": {}})
    with pytest.raises(ValueError, match="no training"):
        trained(1).load(path)


def test_what_json_can_not_hold_is_said_before_anything_is_written(path):
    trained().save(path)
    data = path.read_bytes()
    for metadata in ({"names": {1, 2}}, {"model": nn.ReLU()}, {"x": np.zeros(2)}):
        with pytest.raises(TypeError, match="a file can't keep"):
            trained(1, metadata=metadata).save(path)
    assert path.read_bytes() == data and os.listdir(path.parent) == [path.name]


# Disks that are full, and programs that die


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_failure_while_writing_leaves_the_old_file(path, monkeypatch, call, error):
    trained(1).save(path)
    data = path.read_bytes()

    def fail(*arguments, **options):
        raise error

    trainer = trained(2)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(type(error), match=r"can't save.*No space left|^$") as caught:
            trainer.save(path)
    if isinstance(error, OSError):
        assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == data
    assert os.listdir(path.parent) == [path.name]


def test_a_disk_that_is_full_while_training_leaves_the_last_checkpoint(path):
    """The limit on the size of files stands for the disk; the first checkpoint fits."""
    script = """
import os, resource, sys
import numpy as np
import chainrule as cr
from chainrule import nn, optim

path = sys.argv[1]

class Fill(cr.Callback):
    def on_epoch_end(self, trainer, record):
        if trainer.epoch == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))

model = nn.Linear(50, 20)
trainer = cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()), callbacks=[Fill()])
x = np.ones((8, 50), "float32")
try:
    trainer.fit(x, x[:, :20], epochs=9, batch_size=8, checkpoint=path, progress=False)
except OSError as error:
    print(error)
    print(trainer.epoch, os.listdir(os.path.dirname(path)))
    trainer.predict(x)
"""
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=True
    )
    assert "can't save" in done.stdout and "nothing was changed there" in done.stdout
    assert done.stdout.endswith(f"3 ['{path.name}']\n")
    tensors, description = model_file.read(path)
    assert description["training"]["epoch"] == 2
    assert tensors["model.weight"].shape == (20, 50)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_that_can_not_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match="can't save"):
            trained(1).save(tmp_path / "model.safetensors")
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_that_refuses_new_files(path, monkeypatch):
    import tempfile

    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied", "/secret/.model.x8")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(PermissionError, match=r"can't save .*model\.safetensors: Permission"):
        trained(1).save(path)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_program_that_is_killed_leaves_a_whole_file(path):
    script = """
import sys
import numpy as np
import chainrule as cr
from chainrule import nn, optim

model = nn.Linear(200, 100)
trainer = cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()))
x = np.ones((64, 200), "float32")
print("go", flush=True)
trainer.fit(x, x[:, :100], epochs=10**6, batch_size=8, checkpoint=sys.argv[1],
            checkpoint_steps=1, resume=True, progress=False)
"""
    rng = random.Random(0)
    steps = []
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout.readline() == "go\n"
            last = steps[-1] if steps else 0
            while process.poll() is None:  # until it has saved something more
                if path.exists() and model_file.read(path)[1]["training"]["step"] > last:
                    break
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.1))
            process.kill()
        assert process.returncode == -signal.SIGKILL
        tensors, description = model_file.read(path)
        assert tensors["model.weight"].shape == (100, 200)
        steps.append(description["training"]["step"])
    assert steps == sorted(set(steps))  # each went on where the last was
