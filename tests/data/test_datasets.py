"""The digits in the package, and IDX files, valid and damaged."""

import gzip
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.data import datasets

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def idx_bytes(array, code=0x08):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, code, array.ndim]) + sizes + array.tobytes()


def test_digits():
    digits = datasets.digits()
    for x, y, rows in [
        (digits.x_train, digits.y_train, 1442),
        (digits.x_test, digits.y_test, 355),
    ]:
        assert (x.shape, x.dtype) == ((rows, 8, 8), np.float32)
        assert (y.shape, y.dtype) == ((rows,), np.int64)
        assert x.min() == 0
        assert x.max() == 1
        assert x.flags.writeable
    total = np.bincount(np.concatenate([digits.y_train, digits.y_test]))
    assert total.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.bincount(digits.y_test).tolist() == (total // 5).tolist()
    assert digits.classes == tuple("0123456789")
    assert "10.24432/C50P49" in digits.citation
    # The first image of the file is a zero: its second row of pixels is 0 0 13 15 10 15 5 0.
    assert (digits.x_train[0, 1] * 16).tolist() == [0, 0, 13, 15, 10, 15, 5, 0]
    assert digits.y_train[0] == 0


def test_digits_are_those_of_the_source():
    source = SHARED / "digits.csv.gz"
    if not source.exists():
        pytest.skip("the source file is not here")
    expected = np.loadtxt(source, delimiter=",", skiprows=1)
    digits = datasets.digits()
    x = np.concatenate([digits.x_train, digits.x_test]).reshape(-1, 64) * 16
    got = np.column_stack([x, np.concatenate([digits.y_train, digits.y_test])])
    assert sorted(got.tolist()) == sorted(expected.tolist())


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("code", "dtype"),
    [(0x08, ">u1"), (0x09, ">i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")],
)
def test_read_idx(tmp_path, pack, code, dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    path = tmp_path / "file"
    path.write_bytes(pack(idx_bytes(array, code)))
    got = datasets.read_idx(path)
    assert got.dtype.isnative
    assert got.dtype == np.dtype(dtype).newbyteorder("=")
    assert got.flags.writeable
    np.testing.assert_array_equal(got, array)


WHOLE = idx_bytes(np.arange(60, dtype=np.uint8).reshape(3, 4, 5))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an IDX file.*found an empty file"),
        (b"\x89PNG\r\n", "not an IDX file.*found 89 50 4e 47"),
        (b"\0\0\x08", "not an IDX file"),
        (bytes([0, 0, 0x07]) + WHOLE[3:], "dtype codes 08, 09.*found 00 00 07 03"),
        (bytes([1]) + WHOLE[1:], "not an IDX file.*found 01 00 08 03"),
        (WHOLE[:9], "truncated: expected a header of 16 bytes for 3 dimensions, found 9 bytes"),
        (WHOLE[:-1], r"truncated: expected 60 bytes of values for shape \(3, 4, 5\) uint8, found"),
        (WHOLE + b"\0", "too many bytes: expected 60 bytes.*found 61"),
        (bytes([0, 0, 8, 2]) + b"\xff" * 8, "truncated: expected 18446744065119617025 bytes"),
        (gzip.compress(WHOLE)[:-20], "truncated or damaged gzip"),
        (gzip.compress(WHOLE)[:12], "truncated or damaged gzip"),
        (gzip.compress(WHOLE)[:-8] + b"\0" * 8, "truncated or damaged gzip"),
        (gzip.compress(WHOLE)[:10] + b"\xff" * 20, "truncated or damaged gzip"),
    ],
)
def test_damaged_idx(tmp_path, content, words):
    path = tmp_path / "damaged-file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"(?s)damaged-file.*{words}"):
        datasets.read_idx(path)


def test_missing_idx(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        datasets.read_idx(tmp_path / "nowhere")


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28)).astype(np.uint8)
LABELS = np.array([3, 1, 4, 1, 9], dtype=np.uint8)
NAMES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"]


def write_mnist(folder, changed=(), dotted=False, zipped=False):
    """Write the four files; ``changed`` maps a piece of a file's name to an array or bytes."""
    for name in [*NAMES, *(name.replace("train", "t10k") for name in NAMES)]:
        content = IMAGES if "images" in name else LABELS
        for part, replacement in dict(changed).items():
            content = replacement if part in name else content
        content = content if isinstance(content, bytes) else idx_bytes(content)
        name = name.replace("-idx", ".idx") if dotted else name
        if zipped:
            name, content = name + ".gz", gzip.compress(content)
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_mnist(tmp_path, dotted, zipped):
    write_mnist(tmp_path, {"t10k-images": IMAGES[::-1]}, dotted, zipped)
    mnist = datasets.mnist(str(tmp_path))
    assert mnist.x_train.dtype == np.float32
    np.testing.assert_array_equal(mnist.x_train, IMAGES.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(mnist.y_test, LABELS)
    assert mnist.y_train.dtype == np.int64
    as_stored = datasets.mnist(tmp_path, dtype="uint8")
    assert as_stored.x_test.dtype == np.uint8
    np.testing.assert_array_equal(as_stored.x_test, IMAGES[::-1])


def test_fashion_mnist(tmp_path):
    write_mnist(tmp_path, zipped=True)
    fashion = datasets.fashion_mnist(tmp_path, dtype="uint8")
    np.testing.assert_array_equal(fashion.x_train, IMAGES)
    assert [fashion.classes[label] for label in fashion.y_test[[0, 4]]] == ["Dress", "Ankle boot"]
    assert repr(fashion).startswith("LabelledImages('fashion_mnist', 5 train + 5 test rows")


def write_cifar(folder, rows=3, **changed):
    """Write the six files of `rows` images each; returns (labels, images) of all."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 10, (6, rows)).astype(np.uint8)
    images = rng.integers(0, 256, (6, rows, 3, 32, 32)).astype(np.uint8)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for name, y, x in zip(names, labels, images, strict=True):
        content = np.column_stack([y, x.reshape(rows, -1)]).tobytes()
        (folder / f"{name}.bin").write_bytes(changed.get(name, content))
    return labels, images


def test_cifar10(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    labels, images = write_cifar(folder)
    cifar = datasets.cifar10(folder)
    assert cifar.x_train.dtype == np.float32 and cifar.y_train.dtype == np.int64
    np.testing.assert_array_equal(
        cifar.x_train, images[:5].reshape(-1, 3, 32, 32) / np.float32(255)
    )
    np.testing.assert_array_equal(cifar.y_train, labels[:5].ravel())
    above = datasets.cifar10(tmp_path, dtype="uint8")
    np.testing.assert_array_equal(above.x_test, images[5])
    assert above.classes[9] == "truck" and len(above.classes) == 10


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"data_batch_3": b"12"}, cr.FileError, "data_batch_3.*records of 3073 bytes, found 2"),
        ({"test_batch": b""}, cr.FileError, "test_batch.*found 0 bytes"),
        ({"test_batch": b"\x0b" + bytes(3072)}, cr.FileError, "0..9, found 11 at row 0"),
    ],
)
def test_faulty_cifar10(tmp_path, changed, error, words):
    write_cifar(tmp_path, **changed)
    with pytest.raises(error, match=words):
        datasets.cifar10(tmp_path)


def test_missing_cifar10(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no CIFAR-10 file data_batch_1.bin .*-binary.tar"):
        datasets.cifar10(tmp_path)
    (tmp_path / "data_batch_1").write_bytes(b"pickle")
    with pytest.raises(FileNotFoundError, match=r"files run code when they are read.*binary"):
        datasets.cifar10(tmp_path)


def test_torchvisions_names_name_ours():
    for name in ("MNIST", "FashionMNIST", "CIFAR10", "ImageFolder"):
        with pytest.raises(AttributeError, match=r"it is data\..*\(folder\)"):
            getattr(datasets, name)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"train-labels": LABELS[:4]}, "train-labels.*expected 5 labels.*found 4"),
        ({"t10k-labels": LABELS + 1}, "t10k-labels.*expected labels 0..9, found 10 at row 4"),
        ({"train-labels": IMAGES}, r"train-labels.*shape \(rows,\) uint8, found \(5, 28, 28\)"),
        ({"t10k-images": LABELS}, r"t10k-images.*\(rows, 28, 28\) uint8, found \(5,\)"),
        ({"train-images": IMAGES[:, :8]}, r"train-images.*found \(5, 8, 28\)"),
        ({"train-images": idx_bytes(IMAGES)[:-5]}, "train-images.*truncated"),
        ({"train": b"<html>"}, "train-images.*not an IDX file.*3c 68 74 6d"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "train-images.*found none"),
    ],
)
def test_faulty_mnist(tmp_path, changed, words):
    write_mnist(tmp_path, changed)
    with pytest.raises(ValueError, match=words):
        datasets.mnist(tmp_path)


def test_missing_mnist_file(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"t10k-labels-idx1-ubyte .*idx1-ubyte\.gz"):
        datasets.mnist(tmp_path)


def test_mnist_dtype_is_checked_first(tmp_path):
    with pytest.raises(ValueError, match=r"dtype is 'float64'\. Use 'float32'"):
        datasets.mnist(tmp_path, dtype="float64")


def test_mnist_itself():
    if not (SHARED / "mnist").is_dir():
        pytest.skip("MNIST is not here")
    mnist = datasets.mnist(SHARED / "mnist", dtype="uint8")
    assert repr(mnist) == (
        "LabelledImages('mnist', 60000 train + 10000 test rows, x uint8 (28, 28), 10 classes)"
    )
    assert mnist.y_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(mnist.y_test)[1] == 1135
