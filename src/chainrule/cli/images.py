"""Images in files: a folder to train on; a folder or a file to use a model on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.cli.tasks import classes_text
from chainrule.data import ImageFolder
from chainrule.data.image_folder import (
    NOT_READ,
    READ,
    classes_in,
    folders_in,
    images_in,
    read_pixels,
)
from chainrule.data.pixels import scaled
from chainrule.graph.tensor import Array
from chainrule.system.threads import get_num_threads

_PARTS = {"train", "test", "val", "valid", "validation"}


def is_image(path: Path) -> bool:
    """Whether a file's name is that of an image that can be read.

    Raises:
        ValueError: if it is that of another image.
    """
    if path.suffix.lower() in NOT_READ:
        raise ValueError(f"{path} is no PNG or JPEG image. Convert it.")
    return path.suffix.lower() in READ


def read_folder(
    name: str, size: tuple[int, int] | None, *, grayscale: bool
) -> tuple[tuple[Array, Array], tuple[Array, Array] | None]:
    """The images (rows, channels, height, width) of a folder, uint8, and their classes' names.

    Args:
        name: a folder of the classes' folders, or of such folders train and test.
        size: (height, width) to which all are resized; None: all have the size of the first.
        grayscale: whether images have one channel.

    Returns:
        (x, y) to train on, and (x, y) to test on or None.

    Raises:
        OSError, ValueError: if there are no classes, or a file can't be read.
    """
    root = Path(name)
    if has_parts(name):
        classes = classes_in(root / "train")
        unknown = [found for found in classes_in(root / "test") if found not in classes]
        if unknown and len(classes) > 1:  # of one class alone, what is wrong with `train` is said
            raise ValueError(
                f"{root / 'test' / unknown[0]} is no class of the training: {root / 'train'} holds "
                f"{classes_text(classes)}. Rename it, or remove it."
            )
        x, y = _read_classes(root / "train", size, grayscale)
        return (x, y), _read_classes(root / "test", size, grayscale, x.shape[1:])
    _check_classes(root)
    return _read_classes(root, size, grayscale), None


def has_parts(name: str) -> bool:
    """Whether a folder has a training and a test part: the folders train and test."""
    root = Path(name)
    return root.is_dir() and set(folders_in(root)) == {"train", "test"}


def _check_classes(root: Path) -> None:
    """Raise ValueError where the names of a folder's folders are no classes."""
    found = classes_in(root)
    if set(found) <= _PARTS:
        raise ValueError(
            f"{root} holds {', '.join(found)}, which seem to be parts of the data, not classes. "
            f"Give one of them, as {root / found[0]}, or name two of them train and test."
        )


def _read_classes(root: Path, size: Any, grayscale: bool, shape: Any = None) -> tuple[Array, Array]:
    """The images of a folder and their classes' names; of a shape, or of the first one's."""
    folder = ImageFolder(root, size, grayscale=grayscale)
    if len(folder.classes) < 2 and shape is None:
        raise ValueError(
            f"{root} holds the one folder {folder.classes[0]}: a folder for each class is needed, "
            "two at least. Give the folder above the classes' folders."
        )
    shape = folder.shape if shape is None else shape
    height, width = shape[1:]
    remedy = (
        f"others {height} and {width}. Give --size {height}x{width}, or a smaller one, to which "
        "all are resized."
    )
    x = _read_all([path for path, _ in folder.samples], shape, None if size else remedy)
    return x, np.array(folder.classes)[folder.targets]


def read_to_use(
    name: str, trained_on: dict[str, Any], part: str | None, *, with_target: bool
) -> tuple[Array, Array | None, tuple[str, ...]]:
    """Images as a model takes them, their classes' names or None, and their files.

    Args:
        name: an image; or a folder of images, whose folders are their classes.
        trained_on: the description of the training data in the model's file.
        part: the folder to read of those in the folder, "train" or "test"; None for all.
        with_target: whether the classes are needed.

    Raises:
        OSError, ValueError: if a file can't be read, or the model takes no images.
    """
    shape = tuple(trained_on["shape"])
    if trained_on["kind"] in ("npz", "table"):
        raise ValueError(
            f"{name} holds images, but the model was trained on {trained_on['kind']} data. Give "
            "such data."
        )
    root, y = Path(name), None
    if part is not None:
        root /= part
    if with_target:
        if not root.is_dir():
            raise ValueError(
                f"{name} is one image, whose class is not known. Give the folder above the folders "
                "of the classes, or see chainrule predict."
            )
        if part is None:
            _check_classes(root)
        folder = ImageFolder(root)
        paths = [path for path, _ in folder.samples]
        y = np.array(folder.classes)[folder.targets]
    else:
        paths = images_in(root) if root.is_dir() else [root]
        if not paths:
            raise FileNotFoundError(f"{root} holds no images ({', '.join(READ)}).")
    whole = shape if len(shape) == 3 else (1, *shape)
    remedy = (
        f"the model takes {whole[1]} and {whole[2]}. Resize it, or train with --size, which "
        "resizes all images."
    )
    x = _read_all(paths, whole, None if trained_on["resized"] else remedy)
    if trained_on["kind"] != "images":
        x = scaled(x, "float32").reshape(len(x), *shape)
    return x, y, tuple(map(str, paths))


def _read_all(paths: list[Path], shape: Any, remedy: str | None) -> Array:
    """The pixels of files, (rows, channels, height, width)."""
    x = np.empty((len(paths), *shape), np.uint8)

    def fill(row: int) -> None:
        x[row] = read_pixels(paths[row], shape, remedy)

    with ThreadPoolExecutor(get_num_threads()) as threads:
        for _ in threads.map(fill, range(len(paths))):
            pass
    return x
