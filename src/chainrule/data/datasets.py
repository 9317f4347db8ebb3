"""Data sets: the digits in the package; MNIST, Fashion-MNIST and CIFAR-10 from their files."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.pixels import PixelDtype, check_pixel_dtype, scaled
from chainrule.errors import FileError
from chainrule.graph.names import absent
from chainrule.system.reading import (
    FREE_ARRAY,
    check_expansion,
    is_gzipped,
    read_values,
    reading,
    size_of,
    unpacking,
)


@dataclass(frozen=True, eq=False, repr=False)
class LabelledImages:
    """Images with their labels, split into a training and a test part.

    Attributes:
        name: of the data set.
        x_train, x_test: images, shape (rows, height, width), or of several channels (rows,
            channels, height, width).
        y_train, y_test: labels, int64, shape (rows,), each an index into ``classes``.
        classes: the names of the classes.
        citation: the source to cite, and the licence.

    >>> digits()
    LabelledImages('digits', 1442 train + 355 test rows, x float32 (8, 8), 10 classes)
    """

    name: str
    x_train: NDArray[Any]
    y_train: NDArray[np.int64]
    x_test: NDArray[Any]
    y_test: NDArray[np.int64]
    classes: tuple[str, ...]
    citation: str

    def __repr__(self) -> str:
        return (
            f"LabelledImages({self.name!r}, {len(self.x_train)} train + {len(self.x_test)} test "
            f"rows, x {self.x_train.dtype} {self.x_train.shape[1:]}, {len(self.classes)} classes)"
        )


def digits() -> LabelledImages:
    """Return 1,797 handwritten digits of 8 x 8 pixels, which are part of the package.

    Returns:
        ``LabelledImages``: x float32, shape (rows, 8, 8), scaled from 0..16 to [0, 1]; y int64.
        The test part is the same on every call and stratified: every fifth row of each class.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository, 1998, doi 10.24432/C50P49, CC BY 4.0 (the 1,797 rows of its test file).

    >>> digits().x_train.shape
    (1442, 8, 8)
    """
    # An .npy file of uint8, each row 64 pixels and the label. It loads in 1 ms; importing
    # importlib.resources or zipfile would take 10 ms each.
    table = np.load(Path(__file__).with_name("digits.npy"), allow_pickle=False)
    x = (table[:, :64].astype(np.float32) / np.float32(16)).reshape(-1, 8, 8)
    y = table[:, 64].astype(np.int64)
    test = np.zeros(len(y), dtype=bool)
    for digit in range(10):
        test[np.flatnonzero(y == digit)[4::5]] = True
    return LabelledImages(
        name="digits",
        x_train=x[~test],
        y_train=y[~test],
        x_test=x[test],
        y_test=y[test],
        classes=tuple("0123456789"),
        citation="E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI "
        "Machine Learning Repository, 1998, doi:10.24432/C50P49, CC BY 4.0",
    )


def mnist(folder: str | os.PathLike[str], dtype: PixelDtype = "float32") -> LabelledImages:
    """Read MNIST, or a data set of the same form, from its four IDX files.

    Args:
        folder: the folder of ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the two
            ``t10k-`` files, with or without ``.gz``; ``train-images.idx3-ubyte`` is read, too.
        dtype: "float32" scales the pixels to [0, 1] (188 MB for 60,000 images);
            "uint8" keeps the values 0..255, in a quarter of the memory.

    Returns:
        A ``LabelledImages``: x of the requested dtype, shape (rows, 28, 28); y int64.

    Raises:
        FileNotFoundError: a file is missing.
        FileError: a file is damaged or not MNIST; the message names the file, the expected
            content and the content found.

    Source: Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits.

    >>> mnist("mnist")  # doctest: +SKIP
    LabelledImages('mnist', 60000 train + 10000 test rows, x float32 (28, 28), 10 classes)
    """
    return _of_mnist_form(
        "mnist",
        folder,
        dtype,
        tuple("0123456789"),
        "Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits",
    )


def fashion_mnist(folder: str | os.PathLike[str], dtype: PixelDtype = "float32") -> LabelledImages:
    """Read Fashion-MNIST, articles of clothing in the form of MNIST, from its four IDX files.

    Args:
        folder, dtype: as in ``mnist``; the files have the same names.

    Returns:
        A ``LabelledImages``: x of the requested dtype, shape (rows, 28, 28); y int64.

    Raises:
        FileNotFoundError, FileError: as ``mnist``.

    Source: H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking
    machine learning algorithms, 2017, MIT licence.

    >>> fashion_mnist("fashion")  # doctest: +SKIP
    LabelledImages('fashion_mnist', 60000 train + 10000 test rows, x float32 (28, 28), 10 classes)
    """
    return _of_mnist_form(
        "fashion_mnist",
        folder,
        dtype,
        (
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        "H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747, MIT licence",
    )


def cifar10(folder: str | os.PathLike[str], dtype: PixelDtype = "float32") -> LabelledImages:
    """Read CIFAR-10, 60,000 colour images of animals and vehicles, from its binary version.

    Args:
        folder: ``cifar-10-batches-bin``, which holds ``data_batch_1.bin`` to ``data_batch_5.bin``
            and ``test_batch.bin``, or the folder that it lies in.
        dtype: "float32" scales the pixels to [0, 1] (737 MB); "uint8" keeps the values 0..255, in a
            quarter of the memory.

    Returns:
        A ``LabelledImages``: x of the requested dtype, shape (rows, 3, 32, 32), the channels red,
        green and blue; y int64.

    Raises:
        FileNotFoundError: a file is missing.
        FileError: a file is damaged or not of CIFAR-10.

    Source: A. Krizhevsky, Learning multiple layers of features from tiny images, 2009.

    >>> cifar10("cifar-10-batches-bin")  # doctest: +SKIP
    LabelledImages('cifar10', 50000 train + 10000 test rows, x float32 (3, 32, 32), 10 classes)
    """
    check_pixel_dtype(dtype)
    found = Path(folder)
    if (found / _CIFAR_FOLDER).is_dir():
        found = found / _CIFAR_FOLDER
    names = cifar10_names()
    for name in names:
        if not (found / name).is_file():
            pickled = any((found / n).exists() for n in ("data_batch_1", "cifar-10-batches-py"))
            found_instead = "The version for Python is there: its files run code when they are read"
            raise FileNotFoundError(
                f"no CIFAR-10 file {name} in {found}. {f'{found_instead}. ' * pickled}"
                "Take the binary version, cifar-10-binary.tar.gz from "
                "https://www.cs.toronto.edu/~kriz/cifar.html, unpack it, and give its folder."
            )
    parts = [_read_cifar(found / name) for name in names]
    x_train = np.concatenate([x for x, _ in parts[:-1]])
    y_train = np.concatenate([y for _, y in parts[:-1]])
    x_test, y_test = parts[-1]
    return LabelledImages(
        name="cifar10",
        x_train=scaled(x_train, dtype),
        y_train=y_train,
        x_test=scaled(x_test, dtype),
        y_test=y_test,
        classes=(
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
        citation="A. Krizhevsky, Learning multiple layers of features from tiny images, 2009",
    )


def cifar10_names() -> list[str]:
    """The names of the files of CIFAR-10, the test part last."""
    return [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]


_CIFAR_FOLDER = "cifar-10-batches-bin"
_CIFAR_RECORD = 1 + 3 * 32 * 32  # bytes: the label, then the red, green and blue pixels


def _read_cifar(path: Path) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The images and labels of one file."""
    with reading(path, "a file of CIFAR-10", _REMEDY) as file:
        size = size_of(file)
        if not size or size % _CIFAR_RECORD:
            raise FileError(
                f"{path}: expected a whole number of records of {_CIFAR_RECORD} bytes, found "
                f"{size} bytes. {_REMEDY}"
            )
        records = read_values(file, np.dtype(np.uint8), size).reshape(-1, _CIFAR_RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.max() > 9:
        row = int(np.argmax(labels > 9))
        raise FileError(
            f"{path}: expected labels 0..9, found {labels[row]} at row {row}. {_REMEDY}"
        )
    return records[:, 1:].reshape(-1, 3, 32, 32), labels


def _of_mnist_form(
    name: str,
    folder: str | os.PathLike[str],
    dtype: PixelDtype,
    classes: tuple[str, ...],
    citation: str,
) -> LabelledImages:
    check_pixel_dtype(dtype)
    x_train, y_train = _read_mnist_part(Path(folder), "train", dtype)
    x_test, y_test = _read_mnist_part(Path(folder), "t10k", dtype)
    return LabelledImages(name, x_train, y_train, x_test, y_test, classes, citation)


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read an array from a file in IDX format, gzipped or not.

    Args:
        path: the file. Its layout: two zero bytes, the code of the dtype, the number of
            dimensions, each dimension as a big-endian 32-bit integer, then the values.

    Returns:
        The array, in the machine's byte order: uint8, int8, int16, int32, float32 or float64.

    Raises:
        FileNotFoundError: no such file.
        FileError: the file is not IDX, or is damaged, or longer or shorter than its header says.

    Source: the description of the format on the MNIST page of LeCun, Cortes and Burges.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "three-labels"
    >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    >>> read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    with reading(path, "an IDX file", _REMEDY) as file:
        # Decided by content, not by name: a browser may unpack a file and keep ".gz" in its name.
        if not is_gzipped(file):
            return _read_array(path, file, size_of(file))
        with unpacking(file) as content:
            return _read_array(path, content, None, compressed=size_of(file))


_IDX_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_REMEDY = "Download it again."


def _read_array(
    path: str | os.PathLike[str], file: Any, size: int | None, compressed: int = 0
) -> NDArray[Any]:
    """The array that fills a file of `size` bytes; of an unknown number if it is compressed."""
    begin = file.read(4)
    if len(begin) < 4 or begin[:2] != b"\0\0" or begin[2] not in _IDX_DTYPES:
        raise FileError(
            f"{path} is not an IDX file: expected 00 00, one of the dtype codes "
            f"{', '.join(f'{code:02x}' for code in _IDX_DTYPES)}, and the number of dimensions; "
            f"found {begin.hex(' ') or 'an empty file'}. {_REMEDY}"
        )
    dtype, dimensions = np.dtype(_IDX_DTYPES[begin[2]]), begin[3]
    sizes = file.read(4 * dimensions)
    start = 4 + 4 * dimensions
    if len(sizes) < 4 * dimensions:
        raise FileError(
            f"{path} is truncated: expected a header of {start} bytes for {dimensions} "
            f"dimensions, found {4 + len(sizes)} bytes in all. {_REMEDY}"
        )
    shape = tuple(int(length) for length in np.frombuffer(sizes, ">u4"))
    count = math.prod(shape)
    expected = count * dtype.itemsize
    wanted = f"expected {expected!s:.80} bytes of values for shape {shape!s:.80} {dtype.name}"
    if size is None:
        check_expansion(expected, compressed, free=FREE_ARRAY)
    elif size - start != expected:
        fault = "is truncated" if size - start < expected else "has too many bytes"
        raise FileError(f"{path} {fault}: {wanted}, found {size - start}. {_REMEDY}")
    values = read_values(file, dtype, count).reshape(shape)
    if file.read(1):
        raise FileError(f"{path} has too many bytes: {wanted}, found more. {_REMEDY}")
    return values.astype(dtype.newbyteorder("="), copy=False)


def _read_mnist_part(
    folder: Path, part: str, dtype: PixelDtype
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    images_path = _find_idx(folder, f"{part}-images", "idx3-ubyte")
    labels_path = _find_idx(folder, f"{part}-labels", "idx1-ubyte")
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
        raise FileError(
            f"{images_path}: expected images of shape (rows, 28, 28) uint8, "
            f"found {images.shape} {images.dtype}. Read other IDX files with read_idx."
        )
    if labels.dtype != np.uint8 or labels.ndim != 1:
        raise FileError(
            f"{labels_path}: expected labels of shape (rows,) uint8, "
            f"found {labels.shape} {labels.dtype}. Read other IDX files with read_idx."
        )
    if len(images) != len(labels):
        raise FileError(
            f"{labels_path}: expected {len(images)} labels, one for each image in "
            f"{images_path.name}, found {len(labels)}. Take both files from the same download."
        )
    if len(images) == 0:
        raise FileError(f"{images_path}: expected images, found none. Download it again.")
    if labels.max() > 9:
        row = int(np.argmax(labels > 9))
        raise FileError(
            f"{labels_path}: expected labels 0..9, found {labels[row]} at row {row}. "
            "Read other IDX files with read_idx."
        )
    return scaled(images, dtype), labels.astype(np.int64)


def mnist_names() -> list[str]:
    """The names under which the four files of MNIST are looked for."""
    return [
        name
        for part in ("train", "t10k")
        for kind, ending in (("images", "idx3-ubyte"), ("labels", "idx1-ubyte"))
        for name in _names(f"{part}-{kind}", ending)
    ]


def _names(stem: str, ending: str) -> list[str]:
    return [stem + mark + ending + gz for mark in "-." for gz in ("", ".gz")]


def _find_idx(folder: Path, stem: str, ending: str) -> Path:
    names = _names(stem, ending)
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"no MNIST file {names[0]} in {folder} (also looked for {', '.join(names[1:])}). "
        "Give the folder that holds the four files of MNIST."
    )


if not TYPE_CHECKING:  # a type checker would take every name for one of ours
    __getattr__ = absent(
        "data.datasets",
        dict.fromkeys(("cifar10", "digits", "fashion_mnist", "mnist", "read_idx")),
        {
            "MNIST": "data.datasets.mnist(folder)",
            "FashionMNIST": "data.datasets.fashion_mnist(folder)",
            "CIFAR10": "data.datasets.cifar10(folder)",
            "ImageFolder": "data.ImageFolder(folder)",
        },
    )
