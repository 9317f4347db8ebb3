"""Damaged and hostile files of every format: read as they are, or refused with a FileError.

Seeded mutations: bits, cuts, insertions, sizes, and the JSON of model files.
"""

import gzip
import importlib.util
import io
import json
import random
import struct
import time

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim, serve
from chainrule.cli.saved import saved_of
from chainrule.cli.saved_text import text_of
from chainrule.data import datasets, read_columns, read_npz, read_text
from chainrule.data.frames import read_frame
from chainrule.inspect import Explanation
from chainrule.text import WordVectors, read_tokenizer
from chainrule.train import model_file, tensor_file

SECONDS = 0.2


def model():
    return nn.Sequential(
        nn.Linear(3, 4),
        nn.BatchNorm1d(4),
        nn.PReLU(4),
        nn.Residual(nn.Linear(4, 4)),
        nn.Dropout(0.1),
    )


def trainer():
    made = model()
    optimizer = optim.Adam(made.parameters(), lr=0.01)
    return cr.Trainer(
        made,
        nn.HuberLoss(),
        optimizer,
        metrics=["mae"],
        schedule=optim.StepLR(optimizer, 2),
        ema=optim.EMA(made.parameters(), 0.9),
        callbacks=[cr.EarlyStopping("loss", patience=9), cr.ReduceLROnPlateau("loss")],
        metadata={"names": ["a", "b"]},
    )


X = np.random.default_rng(0).random((12, 3)).astype("float32")
Y = np.random.default_rng(1).random((12, 4)).astype("float32")
LABELS = np.arange(12) % 3


def csv():
    lines = [",".join(f"{value:.4g}" for value in row) for row in X]
    return "\n".join(['"a, b",c,d', *lines]).encode()


def npz(write):
    file = io.BytesIO()
    write(file, x=X, y=LABELS, x_test=np.asfortranarray(X[:4]), y_test=LABELS[:4], other=Y)
    return file.getvalue()


def idx():
    pixels = (X * 255).astype(np.uint8)
    return bytes([0, 0, 8, 2, 0, 0, 0, 12, 0, 0, 0, 3]) + pixels.tobytes()


def words(binary):
    def content(tmp_path):
        path = tmp_path / "words"
        WordVectors(["cat", "dog", "été"], X[:3]).save_word2vec_format(path, binary)
        return path.read_bytes()

    return content


def trace(tmp_path):
    cr.explain(nn.Linear(3, 2), X[0], 1, nn.CrossEntropyLoss()).to_json(tmp_path / "trace")
    return (tmp_path / "trace").read_bytes()


def saved(what):
    def content(tmp_path):
        path = tmp_path / "saved"
        if what == "model":
            cr.save(model(), path, metadata={"unit": "m"})
        elif what == "dict":
            cr.save({"weights": model().state_dict(), "steps": [3, (True, None)]}, path)
        else:
            made = trainer()
            made.fit(X, Y, epochs=2, batch_size=4, progress=False)
            made.save(path)
        return path.read_bytes()

    return content


def load_training(path):
    """A checkpoint that is loaded must be one that training can go on from."""
    made = trainer()
    made.load(path)
    made.fit(X, Y, epochs=1, batch_size=4, progress=False)
    return [array.tobytes() for array in made.model.state_dict().values()]


def arrays_of(found):
    parts = [part for part in found if part is not None]
    return [(p.shape, str(p.dtype), p.tobytes()) if hasattr(p, "dtype") else p for p in parts]


def parts_of(found):
    """What a file with a dict holds, whatever it is, as a list to compare."""
    if isinstance(found, dict):
        found = tuple(found.items())
    if isinstance(found, (list, tuple)):
        return [type(found), *map(parts_of, found)]
    return arrays_of([found])


FORMATS = {
    "csv": (lambda tmp_path: csv(), lambda p: arrays_of(read_columns(p))),
    "csv.gz": (lambda tmp_path: gzip.compress(csv()), lambda p: arrays_of(read_columns(p))),
    "npz": (lambda tmp_path: npz(np.savez), lambda p: arrays_of(read_npz(p))),
    "npz, compressed": (
        lambda tmp_path: npz(np.savez_compressed), lambda p: arrays_of(read_npz(p))
    ),
    "idx": (lambda tmp_path: idx(), lambda p: arrays_of([datasets.read_idx(p)])),
    "idx.gz": (
        lambda tmp_path: gzip.compress(idx()), lambda p: arrays_of([datasets.read_idx(p)])
    ),
    "model": (saved("model"), lambda p: arrays_of(cr.load(p).state_dict().values())),
    "metadata": (saved("model"), cr.read_metadata),
    "dict": (saved("dict"), lambda p: parts_of(cr.load(p))),
    "training": (saved("training"), load_training),
    "text": (lambda tmp_path: csv(), read_text),
    "words": (words(False), WordVectors.load_word2vec_format),
    "words, binary": (words(True), lambda p: WordVectors.load_word2vec_format(p, binary=True)),
    "trace": (trace, lambda p: str(Explanation.from_json(p))),
}  # fmt: skip
if importlib.util.find_spec("pandas") and importlib.util.find_spec("pyarrow"):
    import pandas as pd

    TABLE = pd.DataFrame({"a": X[:, 0], "b": list("abcabcabcabc")})
    FORMATS["csv, frame"] = (lambda tmp_path: csv(), read_frame)
    FORMATS["parquet"] = (lambda tmp_path: TABLE.to_parquet(), read_frame)


def mutated(data, rng):
    """One to three changes of the bytes."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        place = rng.randrange(len(data) + 1)
        kind = rng.randrange(8)
        if kind <= 2 and place < len(data):
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 3:
            del data[place:]
        elif kind == 4:
            del data[place : place + rng.randrange(1, 9)]
        elif kind == 5:
            data[place:place] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 6:
            data[place : place + 4] = struct.pack("<I", rng.choice([0, 1, 2**31, 2**32 - 1]))
        else:
            other = rng.randrange(len(data) + 1)
            data[place:place] = data[other : other + 20]
        data = data or bytearray(b"\0")
    return bytes(data)


def attempt(read, path):
    """What was read; None if it was refused."""
    try:
        return read(path)
    except cr.FileError as error:
        assert str(path) in str(error) and str(error).isprintable()
    except ValueError as error:
        assert "does not fit this Trainer" in str(error), repr(error)
    return None


@pytest.mark.parametrize("name", FORMATS)
def test_changed_bytes(tmp_path, name):
    make, read = FORMATS[name]
    data, path, rng = make(tmp_path), tmp_path / "file", random.Random(name)
    path.write_bytes(data)
    assert attempt(read, path) is not None
    end, cases, refused = time.monotonic() + SECONDS, 0, 0
    while time.monotonic() < end or cases < 20:
        path.write_bytes(mutated(data, rng))
        refused += attempt(read, path) is None
        cases += 1
    assert refused > cases / 4 or name.startswith(("csv", "text"))


@pytest.mark.parametrize(
    "name", ["csv.gz", "npz", "npz, compressed", "idx.gz", "model", "dict", "training"]
)
def test_no_changed_bit_is_read_as_something_else(tmp_path, name):
    """These formats have checksums."""
    make, read = FORMATS[name]
    data, path, rng = make(tmp_path), tmp_path / "file", random.Random(1)
    path.write_bytes(data)
    wanted = read(path)
    end = time.monotonic() + SECONDS
    for case, bit in enumerate(rng.sample(range(8 * len(data)), 8 * len(data))):
        if case >= 20 and time.monotonic() > end:
            break
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        assert attempt(read, path) in (None, wanted), bit


ODD = [None, [], {}, "", "x", -1, 0, 1, 2**31, 2**63, 10**30, 1e300, -0.5, True, [[]], {"a": None}]


def odd_places(value, rng):
    """The value with one entry, anywhere in it, replaced, removed or repeated."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = rng.choice(list(keys))
        changed = dict(value) if isinstance(value, dict) else list(value)
        if rng.random() < 0.15:
            del changed[key]
        else:
            changed[key] = odd_places(value[key], rng)
        return changed
    return rng.choice(ODD)


@pytest.mark.parametrize("name", ["model", "metadata", "dict", "training"])
def test_odd_descriptions(tmp_path, name):
    make, read = FORMATS[name]
    path, rng = tmp_path / "file", random.Random(name)
    path.write_bytes(make(tmp_path))
    tensors, texts = tensor_file.read(path)
    description = json.loads(texts["chainrule"])
    end, cases = time.monotonic() + 2 * SECONDS, 0
    while time.monotonic() < end or cases < 20:
        text = json.dumps(odd_places(description, rng))
        path.write_bytes(b"".join(tensor_file.parts(tensors, {"chainrule": text})))
        attempt(read, path)
        cases += 1


@pytest.mark.parametrize("name", ["model", "dict", "training"])
def test_odd_headers(tmp_path, name):
    make, read = FORMATS[name]
    data, path, rng = make(tmp_path), tmp_path / "file", random.Random(name)
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    end, cases = time.monotonic() + SECONDS, 0
    while time.monotonic() < end or cases < 20:
        text = json.dumps(odd_places(header, rng)).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
        attempt(read, path)
        cases += 1


def npz_of_long_names(path):
    np.savez(path, **{letter * 9000: X for letter in "abc"})


def idx_of_many_axes(path):
    path.write_bytes(bytes([0, 0, 8, 255]) + b"\xff" * 2000)


def metadata_of_long_names(path):
    cr.save(model(), path, metadata=dict.fromkeys(letter * 9000 for letter in "abc"))


@pytest.mark.parametrize(
    ("write", "read"),
    [
        (npz_of_long_names, read_npz),
        (idx_of_many_axes, datasets.read_idx),
        (metadata_of_long_names, read_tokenizer),
    ],
)
def test_messages_stay_short(tmp_path, write, read):
    path = tmp_path / "file.npz"
    write(path)
    with pytest.raises(cr.FileError) as raised:
        read(path)
    message = str(raised.value)
    assert str(path) in message and len(message) - len(str(path)) < 700


@pytest.mark.parametrize("metadata", [5, [], "text", None, True])
@pytest.mark.parametrize(
    "read",
    [
        cr.read_metadata,
        lambda path: saved_of(path, *model_file.read(path)),
        lambda path: text_of(path, *model_file.read(path)),
        serve.app,
    ],
)
def test_metadata_that_are_no_dict(tmp_path, metadata, read):
    path = tmp_path / "file"
    text = json.dumps({"format": 3, "model": {"class": "Flatten"}, "metadata": metadata})
    path.write_bytes(b"".join(tensor_file.parts({}, {"chainrule": text})))
    with pytest.raises(cr.FileError, match="its metadata are damaged"):
        read(path)
