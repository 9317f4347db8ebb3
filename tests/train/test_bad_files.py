"""Damaged and foreign files, and states of callbacks, are refused with the reason."""

import json
import os
import random
import struct

import numpy as np
import pytest
from training_cases import (
    assert_same_bits,
    classification,
    everything,
    network,
    trained,
    trainer_of,
)

import chainrule as cr
from chainrule import nn
from chainrule.train import model_file


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
    "earlier version": (lambda p: described(p, lambda d: d.update(format=2)), "format 2.*Install"),
    "later version": (lambda p: described(p, lambda d: d.update(format=4)), "format 4.*Install"),
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
