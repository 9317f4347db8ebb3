"""Damaged and hostile files of every format: read as they are, or refused with a FileError.

Seeded mutations: bits, cuts, insertions, sizes, and the JSON of model files. Bombs are read under a
limit on memory.
"""

import gzip
import io
import json
import random
import struct
import subprocess
import sys
import time
import zipfile
import zlib

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.data import datasets, read_columns, read_npz
from chainrule.train import tensor_file

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
}  # fmt: skip


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
    assert refused > cases / 4 or name.startswith("csv")


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
        path.write_bytes(tensor_file.to_bytes(tensors, {"chainrule": text}))
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


# Bombs


def safetensors(header, data=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def described(layer, tensors=None):
    text = json.dumps({"format": 3, "model": layer, "metadata": {}})
    return safetensors({"__metadata__": {"chainrule": text}, **(tensors or {})})


def linear(n, m):
    return {"class": "Linear", "arguments": {"in_features": n, "out_features": m}}


def sequential(children):
    return {"class": "Sequential", "children": children}


def nested(depth):
    return '{"children":{"0":' * depth + "{}" + "}}" * depth


def npz_of(header, body, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method, compresslevel=1) as archive:
        for name in ("x.npy", "y.npy"):
            text = header.encode().ljust(117) + b"\n"
            start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(start)
                for block in body:
                    member.write(block)
    return file.getvalue()


def zeros(megabytes):
    return [bytes(1 << 20)] * megabytes


def gz(start, megabytes, block=bytes(1 << 20)):
    """A gzip file of the start and of many equal blocks, each packed by itself."""
    packer = zlib.compressobj(9, wbits=31)
    begin = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return begin + again * megabytes + packer.flush()  # the checksum at its end is wrong


NPZ_HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': (%s,), }"
BOMBS = {
    "wide layer": ("load", lambda: described(linear(2**13, 2**14))),
    "many layers": (
        "load",
        lambda: described(sequential({str(i): linear(2**10, 2**10) for i in range(200)})),
    ),
    "many small layers": (
        "load",
        lambda: described(sequential({str(i): {"class": "ReLU"} for i in range(60_000)})),
    ),
    "long names": (
        "load",
        lambda: described(
            sequential({"n" * 10**5: sequential({f"{i}": {"class": "ReLU"} for i in range(9000)})})
        ),
    ),
    "long shape": (
        "load",
        lambda: described(
            {"class": "LayerNorm", "arguments": {"normalized_shape": [10**4000] * 3000}}
        ),
    ),
    "header that is not there": ("load", lambda: struct.pack("<Q", 2**33) + b"{}"),
    "tensor that is not there": (
        "load",
        lambda: safetensors({"a": {"dtype": "F32", "shape": [2**30], "data_offsets": [0, 2**32]}}),
    ),
    "one place for many": (
        "load",
        lambda: safetensors(
            {
                str(i): {"dtype": "F32", "shape": [2**20], "data_offsets": [0, 2**22]}
                for i in range(900)
            },
            bytes(2**22),
        ),
    ),
    "deep header": ("load", lambda: safetensors({}) [:8].replace(b"\x02", b"\xff") + b"[" * 300),
    "deep description": (
        "load", lambda: safetensors({"__metadata__": {"chainrule": nested(20_000)}})
    ),
    "holes": ("load", None),
    "npz with a few numbers": ("read_npz", lambda: npz_of(NPZ_HEADER % 3, zeros(120))),
    "npz of zeros": ("read_npz", lambda: npz_of(NPZ_HEADER % (120 << 17), zeros(120))),
    "npz by LZMA": (
        "read_npz", lambda: npz_of(NPZ_HEADER % (20 << 17), zeros(20), zipfile.ZIP_LZMA)
    ),
    "npz that is not there": ("read_npz", lambda: npz_of(NPZ_HEADER % 10**10, [b"1"])),
    "three labels": (
        "read_idx", lambda: gz(bytes([0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3]), 1500)
    ),
    "labels of zeros": (
        "read_idx", lambda: gz(bytes([0, 0, 8, 1]) + (1500 << 20).to_bytes(4, "big"), 1500)
    ),
    "images that are not there": (
        "read_idx", lambda: gz(bytes([0, 0, 14, 2]) + b"\x7f" * 8, 0)
    ),
    "blank table": ("read_columns", lambda: gz(b"a,b\n", 1500, b" " * (1 << 20))),
    "blank lines": ("read_columns", lambda: gz(b"a,b\n", 1500, b"\n" * (1 << 20))),
    "table of zeros": ("read_columns", lambda: gz(b"", 1500, b"0\n" * (1 << 19))),
    "one row": ("read_columns", lambda: b"1," * (20 << 20)),
    "many columns": ("read_columns", lambda: b"1," * (2**21 - 8) + b"1\n"),
    "one row, compressed": ("read_columns", lambda: gz(b"", 1500, b"1," * (1 << 19))),
    "one cell": ("read_columns", lambda: gz(b'"', 300, b"1" * (1 << 20))),
}  # fmt: skip

BOMB_SCRIPT = """
import json, os, resource, sys
import gzip, zipfile, zlib
import chainrule as cr
from chainrule.data import datasets, read_columns, read_npz
reads = {"load": cr.load, "read_idx": datasets.read_idx, "read_npz": read_npz,
         "read_columns": read_columns}

def attempt(path, read):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    try:
        reads[read](path)
        told = "read"
    except BaseException as error:
        told = f"{type(error).__name__}: {error}"
    return [told, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)]

for path, read in json.load(sys.stdin):
    sys.stdout.flush()
    if os.fork() == 0:
        print(json.dumps(attempt(path, read)), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def exploded(tmp_path_factory):
    """What came of each bomb: an error or "read", the memory that it took, its length on disk."""
    if sys.platform != "linux":
        pytest.skip("measures memory as Linux does")
    folder = tmp_path_factory.mktemp("bombs")
    todo, lengths = [], []
    for number, (read, make) in enumerate(BOMBS.values()):
        path = folder / str(number)
        path.write_bytes(make() if make is not None else b"")
        lengths.append(path.stat().st_size)
        if make is None:
            size = 1 << 30
            start = safetensors({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}})
            path.write_bytes(start)
            with path.open("r+b") as file:
                file.truncate(len(start) + size)
        todo.append((str(path), read))
    done = subprocess.run(
        [sys.executable, "-c", BOMB_SCRIPT],
        input=json.dumps(todo),
        capture_output=True,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return {kind: (*t, n) for kind, t, n in zip(BOMBS, told, lengths, strict=True)}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_takes_no_more_memory_than_its_content(exploded, kind):
    told, memory, held = exploded[kind]
    assert told.startswith("FileError: ")
    assert memory < 100e6 + 10 * held
