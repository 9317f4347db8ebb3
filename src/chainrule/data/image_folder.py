"""Images in folders: one folder for each class."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import checks
from chainrule.data.dataset import Dataset
from chainrule.data.pixels import PixelDtype, check_pixel_dtype, scaled
from chainrule.errors import FileError, missing
from chainrule.graph.keywords import referring
from chainrule.graph.names import no_attribute
from chainrule.system.reading import FREE_ARRAY, check_expansion, reading, size_of
from chainrule.system.threads import get_num_threads

READ = (".png", ".jpg", ".jpeg")
NOT_READ = (".bmp", ".gif", ".heic", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
_PNG_BITS = 24  # the place of the byte that says how many bits a colour has
_REMEDY = "Save the image again, or remove the file."


_TRANSFORM = (
    "a layer at the head of the model, as nn.RandomCrop or nn.RandomAffine; or a Dataset of your "
    "own that changes images[i]"
)

_TORCHVISIONS = {
    "imgs": "samples", "transform": _TRANSFORM, "loader": "samples, read by images[i]"
}  # fmt: skip
"""What to write for torchvision's names."""


class ImageFolder(Dataset):
    """PNG and JPEG images by the folders that they lie in, whose names are the classes.

    Sample i is (image, label): the image in the shape (channels, height, width), read from its file
    when it is asked for, and the index of its class. `arrays` reads all images at once, for
    `Trainer.fit`. Pillow reads the files: ``pip install 'chainrule[images]'``.

    Args:
        root: the folder; each folder in it is a class, with images in it and in its subfolders, but
            for hidden ones.
        size: (height, width) to which images are resized, or one number for both; None: all images
            have the size of the first.
        grayscale: whether an image has one channel, its brightness, in place of red, green, blue.
        dtype: "float32" scales the pixels to [0, 1]; "uint8" keeps the values 0..255.

    Attributes:
        classes: the names of the classes, sorted.
        class_to_idx: for each class its index, which is the label.
        samples: (path, label) of each image, sorted by class, then by path.
        targets: the labels alone.
        shape: (channels, height, width) of an image.

    Raises:
        ImportError: if Pillow is missing.
        FileNotFoundError: if there is no such folder, no class in it, or a class without images.
        FileError: for a file that can't be read as an image, or that has another size, when it is
            read. The message names the file.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("cat", "dog"):
        ...     (root / name).mkdir()
        ...     Image.new("RGB", (6, 4), "red").save(root / name / "1.png")
        >>> images = ImageFolder(root)
        >>> images.classes, len(images), images[1][0].shape, images.targets
        (('cat', 'dog'), 2, (3, 4, 6), [0, 1])
        >>> x, y = images.arrays()
        >>> x.shape, y
        ((2, 3, 4, 6), array([0, 1]))
    """

    @referring(
        transform=_TRANSFORM,
        target_transform="the labels y of arrays(), or a Dataset of your own",
        loader="PNG and JPEG, read by Pillow; a Dataset of your own reads others",
        is_valid_file="each PNG and JPEG file whose name does not begin with a dot",
        allow_empty="nothing: each class has an image",
    )
    def __init__(
        self,
        root: str | os.PathLike[str],
        size: int | tuple[int, int] | None = None,
        *,
        grayscale: bool = False,
        dtype: PixelDtype = "float32",
    ) -> None:
        _pillow()
        check_pixel_dtype(dtype)
        self.root = Path(root)
        self.grayscale = checks.flag("grayscale", grayscale)
        self.dtype: PixelDtype = dtype
        self._resizes = size is not None
        found = {name: _images_of(self.root / name) for name in classes_in(self.root)}
        self.classes = tuple(found)
        self.class_to_idx = {name: label for label, name in enumerate(found)}
        self.samples = [(p, label) for label, paths in enumerate(found.values()) for p in paths]
        self.targets = [label for _, label in self.samples]
        if size is None:
            height, width = self._size_of(self.samples[0][0])
        else:
            sizes = size if isinstance(size, (tuple, list)) else (size, size)
            if len(sizes) != 2:
                raise ValueError(f"size is (height, width) or one number, got {size!r}")
            height, width = (checks.count("size", length) for length in sizes)
        self.shape = (1 if grayscale else 3, height, width)

    def __getattr__(self, name: str) -> Any:
        raise no_attribute(type(self), name, _TORCHVISIONS.get(name))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> tuple[NDArray[Any], np.int64]:
        path, label = self.samples[checks.integer("index", index)]
        return scaled(self._pixels(path), self.dtype), np.int64(label)

    def arrays(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Read all images: x of shape (images, channels, height, width), and the labels.

        Raises:
            FileError: for a file that can't be read, or images that do not fit into memory.
        """

        def read(row: int) -> NDArray[Any]:
            return scaled(self._pixels(self.samples[row][0]), self.dtype)

        first = read(0)  # it says how large all are: does it hold that much?
        try:
            x = np.empty((len(self), *self.shape), self.dtype)
        except MemoryError:
            _, height, width = self.shape
            raise FileError(
                f"{self.root}: {len(self)} images of {height} x {width} pixels do not fit into "
                f"memory as {self.dtype}. Give a smaller size, or a DataLoader of the folder: it "
                "reads a batch at a time."
            ) from None

        def fill(row: int) -> None:
            x[row] = read(row)

        x[0] = first
        with ThreadPoolExecutor(get_num_threads()) as threads:
            for _ in threads.map(fill, range(1, len(self))):
                pass
        return x, np.array(self.targets, np.int64)

    def __repr__(self) -> str:
        return (
            f"ImageFolder({str(self.root)!r}, {len(self)} images, x {self.dtype} {self.shape}, "
            f"{len(self.classes)} classes)"
        )

    def _pixels(self, path: Path) -> NDArray[np.uint8]:
        """The pixels of a file, (channels, height, width)."""
        _, height, width = self.shape
        remedy = (
            f"{self.samples[0][0]} {height} and {width}. Give size=(height, width), to which all "
            "are resized."
        )
        return read_pixels(path, self.shape, None if self._resizes else remedy)

    @staticmethod
    def _size_of(path: Path) -> tuple[int, int]:
        """(height, width) of a file, which its first bytes say."""
        with reading(path, "an image", _REMEDY) as file:
            width, height = _opened(path, file).size
        return height, width


def read_pixels(path: Path, shape: tuple[int, int, int], remedy: str | None) -> NDArray[np.uint8]:
    """The pixels of a PNG or JPEG file.

    Args:
        path: the file.
        shape: (channels, height, width), with 1 channel for brightness or 3 for colours.
        remedy: how the message on an image of another size ends; None to resize it.

    Raises:
        FileError: if the file can't be read as an image, or the image has another size.
    """
    channels, height, width = shape
    with reading(path, "an image", _REMEDY) as file:
        image = _opened(path, file)
        if remedy is not None and image.size != (width, height):
            raise FileError(
                f"{path} is {image.size[1]} pixels high and {image.size[0]} wide, {remedy}"
            )
        if image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")  # without which Pillow warns
        image = image.convert("L" if channels == 1 else "RGB")
        if image.size != (width, height):
            image = image.resize((width, height), _pillow().Resampling.BILINEAR)
        pixels = np.asarray(image).reshape(height, width, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _pillow() -> Any:
    """The module that reads images."""
    try:
        from PIL import Image
    except ImportError:
        raise missing("an image", "Pillow", "images") from None
    return Image


def _opened(path: Path, file: Any) -> Any:
    """The image of a file, whose pixels are not read yet."""
    pillow = _pillow()
    head = file.read(25)
    file.seek(0)
    try:
        image = pillow.open(file, formats=("PNG", "JPEG"))
    except pillow.UnidentifiedImageError:
        raise FileError(f"{path} is neither a PNG nor a JPEG image. {_REMEDY}") from None
    expanded = 3 * image.width * image.height
    check_expansion(expanded, size_of(file), free=FREE_ARRAY, remedy="make the image smaller")
    if image.mode[0] in "IF" or (image.format == "PNG" and head[_PNG_BITS] == 16):
        raise FileError(
            f"{path} has pixels of more than 8 bits, which would be cut off. Save it with 8 bits."
        )
    return image


def classes_in(root: Path) -> list[str]:
    """The names of the folders in a folder."""
    found = folders_in(root)
    if not found:
        images = any(name.lower().endswith(READ) for name in os.listdir(root))
        raise FileNotFoundError(
            f"{root} holds {'images, but ' * images}no folders. Put the images of each class into "
            "a folder of its own, named as the class, and give the folder above them."
        )
    return found


def folders_in(root: Path) -> list[str]:
    """The names of the folders in a folder, sorted, but for hidden ones; there may be none."""
    with os.scandir(root) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def _images_of(folder: Path) -> list[Path]:
    """The images of a class."""
    found = images_in(folder)
    if not found:
        raise FileNotFoundError(
            f"{folder} holds no images ({', '.join(READ)}). Each folder in {folder.parent} is a "
            "class: remove it if it is none."
        )
    return found


def images_in(folder: Path) -> list[Path]:
    """The image files in a folder and below, sorted; of each folder once, whatever links to it."""
    found = []
    for path in _files_below(folder):
        if path.name.lower().endswith(NOT_READ):
            raise FileError(f"{path} is no PNG or JPEG image. Convert it, or remove it.")
        if path.name.lower().endswith(READ):
            found.append(path)
    return sorted(found)


def images_below(folder: Path) -> Iterator[Path]:
    """The image files in a folder and below, whatever else lies there."""
    return (path for path in _files_below(folder) if path.name.lower().endswith(READ))


def _files_below(folder: Path) -> Iterator[Path]:
    """The files in a folder and below, but for hidden files and folders; of each folder once."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        true = os.path.realpath(place)
        if true in seen:  # by a link to it: a link may lead to a folder that it lies in
            folders.clear()
            continue
        seen.add(true)
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in names if not name.startswith("."))
