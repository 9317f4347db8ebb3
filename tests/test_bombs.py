"""Small files that would take much memory are refused with a FileError, under a limit on memory."""

import importlib.util
import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest

HAS_TABLES = importlib.util.find_spec("pandas") and importlib.util.find_spec("pyarrow")


def parquet(columns, **options):
    from pyarrow import parquet, table

    file = io.BytesIO()
    parquet.write_table(table(columns), file, compression="zstd", store_schema=False, **options)
    return file.getvalue()


def equal(count, column):
    return {str(i): column for i in range(count)}


def texts(rows, length):
    """The same text in each row, which is in memory once."""
    import pyarrow

    return pyarrow.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["x" * length])


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


def served(layer, **arguments):
    """A model that takes one image of four pixels."""
    data = {"shape": [1, 2, 2], "columns": None, "target": None}
    described = {"class": layer, "arguments": arguments}
    content = {"format": 3, "model": described, "metadata": {"data": data, "classes": None}}
    return safetensors({"__metadata__": {"chainrule": json.dumps(content)}})


def png(height, width, rows):
    """A black PNG image, of which so many rows are there."""

    def chunk(kind, body):
        body = kind + body
        return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(bytes(1 + 3 * width)) for _ in range(rows)) + packer.flush()
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


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
    "npz of zeros": ("read_npz", lambda: npz_of(NPZ_HEADER % (700 << 17), zeros(700))),
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
    "long vectors": ("words", lambda: b"1 2000000000\na 1\n"),
    "many vectors": ("words", lambda: b"2000000000 1\na 1\n"),
    "vectors with holes": ("words", None),
}  # fmt: skip
if importlib.util.find_spec("starlette"):
    BOMBS["large output"] = ("serve", lambda: served("AdaptiveAvgPool2d", output_size=[2**15] * 2))
if importlib.util.find_spec("PIL"):
    BOMBS["image of one colour"] = ("image", lambda: png(12_000, 12_000, 12_000))
    BOMBS["image that is not there"] = ("image", lambda: png(2**13, 2**14, 1))
if HAS_TABLES:
    BOMBS["columns of zeros"] = ("read_frame", lambda: parquet(equal(40, np.zeros(1 << 22))))
    BOMBS["text again and again"] = ("read_frame", lambda: parquet(equal(1, texts(20_000, 10**5))))
    BOMBS["texts that begin alike"] = (
        "read_frame",
        lambda: parquet(
            equal(80, texts(2000, 10**4).cast("string")),
            use_dictionary=False,
            column_encoding="DELTA_BYTE_ARRAY",
        ),
    )
    BOMBS["lists of text"] = ("read_frame", lambda: parquet({"a": [["x" * 10**5]] * 5000}))

BOMB_SCRIPT = """
import json, os, resource, sys
import gzip, zipfile, zlib
import chainrule as cr
from chainrule import serve
from chainrule.data import ImageFolder, datasets, read_columns, read_npz
from chainrule.data.frames import read_frame
from chainrule.text import WordVectors
for name in ("pandas", "pyarrow.parquet", "PIL.Image"):  # the memory that they take is no bomb's
    try:
        __import__(name)
    except ImportError:
        pass

def read_image(path):
    os.makedirs(path + "-folder/class")
    os.link(path, path + "-folder/class/image.png")
    return ImageFolder(path + "-folder").arrays()

reads = {"load": cr.load, "read_idx": datasets.read_idx, "read_npz": read_npz,
         "read_columns": read_columns, "read_frame": read_frame, "image": read_image,
         "words": WordVectors.load_word2vec_format, "serve": serve.app}

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
