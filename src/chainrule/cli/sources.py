"""Sources of data: known sets, npz archives, tables, images; for training and trained models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.cli import images
from chainrule.data import datasets, read_npz
from chainrule.data.arrays import as_arrays, check_finite
from chainrule.data.files import NpzArrays, find_column
from chainrule.data.npz import names_of, read_archive
from chainrule.data.text_tables import (
    INDEX_LEFT_OUT,
    Layout,
    check_has_features,
    check_names,
    read_text_table,
)
from chainrule.errors import FileError
from chainrule.graph.tensor import Array
from chainrule.markup import shape_text
from chainrule.system.reading import INPUT_IN_WORDS, STANDARD_INPUT

BUILT_IN = ("digits", "mnist", "fashion-mnist", "cifar10")

_KINDS = "a .csv, .parquet or .npz file, a folder of images, or one of " + ", ".join(BUILT_IN)

_MAX_SIZE = 1e37
"""Larger numbers are refused: the models compute in float32, whose maximum is 3.4e38."""

_MIN_SIZE = 1e-37
"""Columns of smaller numbers alone are refused: float32 is precise down to 1.2e-38."""


@dataclass(frozen=True)
class SourceData:
    """Inputs and targets of a source.

    Attributes:
        kind: "npz", "table", "images", or the name of a built-in set.
        name: the name of a built-in set, or a file.
        x, y: the rows to train on; y is None if there are only inputs to predict for.
        x_test, y_test: the test part, or None.
        columns: the names of a table's features.
        target: the name of a table's target.
        target_index: the index of the target among all columns of the table.
        header: whether the table names its columns.
        resized: whether images were brought to a size.
        files: of images, where a model is used.
        notice: what a user should know of how the table was read, or None.
    """

    kind: str
    name: str
    x: Array
    y: Array | None
    x_test: Array | None = None
    y_test: Array | None = None
    columns: tuple[str, ...] | None = None
    target: str | None = None
    target_index: int | None = None
    header: bool = False
    resized: bool = False
    files: tuple[str, ...] | None = None
    notice: str | None = None

    def __post_init__(self) -> None:
        for array in (self.x, self.y, self.x_test, self.y_test):
            if array is not None and array.dtype.kind == "f":
                _check_size(self.name, max(float(array.max()), -float(array.min())))


def _check_size(place: str, largest: float) -> None:
    """Raise ValueError where the size of the largest number is beyond float32."""
    if largest > _MAX_SIZE:
        raise ValueError(
            f"{place} holds a number of size {largest:g}, too large for float32. "
            "Give the column another unit, or drop the row."
        )


def _check_not_tiny(place: str, array: Array, names: Sequence[str] | None = None) -> None:
    """Raise ValueError for an array to train on, or a column of it, that float32 takes for 0.

    Args:
        place: what it is.
        array: the numbers; of shape (rows, columns) each column counts.
        names: of the columns, if they have some.
    """
    if array.dtype.kind != "f":
        return
    axis = 0 if array.ndim == 2 else None
    sizes = np.atleast_1d(np.maximum(array.max(axis), -array.min(axis)))
    tiny = np.flatnonzero((sizes > 0) & (sizes < _MIN_SIZE))
    if not len(tiny):
        return
    first = int(tiny[0])
    if array.ndim == 2:
        place += f", column {names[first]!r:.80}" if names else f", column {first} (counted from 0)"
    raise ValueError(
        f"{place} holds numbers of size {sizes[first]:g} and less, too small for float32. Give the "
        "column another unit."
    )


def kind_of(name: str) -> str:
    """The kind of data that a name stands for.

    Raises:
        FileNotFoundError, ValueError: if it is neither a set nor a file.
    """
    if name in BUILT_IN:
        return name
    if name == STANDARD_INPUT:
        return "table"
    path = Path(name)
    if path.is_dir() and next(path.glob("*.parquet"), None) is not None:
        raise ValueError(
            f"{name} is a folder of Parquet files. pandas.read_parquet(folder).to_parquet(file) "
            "makes one file of them."
        )
    if path.is_dir() or (path.exists() and images.is_image(path)):
        return "images"
    if not path.exists():
        raise FileNotFoundError(f"there is no file {name}. Give {_KINDS}.")
    return "npz" if path.suffix.lower() == ".npz" else "table"


def in_words(name: str) -> str:
    """A file's name as messages have it."""
    return INPUT_IN_WORDS if name == STANDARD_INPUT else name


def default_model(name: str) -> str:
    """The model that is trained on a source of data unless another one is asked for."""
    return {"images": "cnn", "table": "realmlp"}.get(kind_of(name), "mlp")


def check_is_text(name: str) -> None:
    """Raise ValueError for what is no text: a built-in set, images or an archive."""
    if name == STANDARD_INPUT:
        raise ValueError("standard input (-) is read as a table. Give a file that holds text.")
    if kind_of(name) != "table":
        raise ValueError(f"{name} is no text. Give a .txt file, or any other that holds text.")


def check_is_table(name: str) -> None:
    """Raise ValueError for what is no table."""
    if kind_of(name) != "table":
        raise ValueError(f"{name} is no table. Give a .csv or .parquet file.")


def files_of(name: str, folder: str | None) -> list[Path]:
    """The files that are read for a source of data, or would be if they were there."""
    found = [] if name in (*BUILT_IN, STANDARD_INPUT) else [Path(name)]
    if folder is not None:
        names = datasets.cifar10_names() if name == "cifar10" else datasets.mnist_names()
        found += [Path(folder) / file for file in names]
    return found


def read_built_in(name: str, folder: str | None) -> SourceData:
    """A built-in set."""
    if folder is None and name != "digits":
        raise ValueError(f"{name} needs --data FOLDER, the folder with its files.")
    if name == "digits":
        found = datasets.digits()
    else:
        readers = {
            "mnist": datasets.mnist,
            "fashion-mnist": datasets.fashion_mnist,
            "cifar10": datasets.cifar10,
        }
        found = readers[name](str(folder))
    y, y_test = found.y_train, found.y_test
    if not found.classes[0].isdecimal():
        y, y_test = (np.array(found.classes)[labels] for labels in (y, y_test))
    return SourceData(name, name, found.x_train, y, found.x_test, y_test)


def read_to_train(
    name: str,
    folder: str | None,
    target: str | None,
    header: bool | None,
    size: tuple[int, int] | None,
    grayscale: bool,
) -> SourceData:
    """Data to train on.

    Args:
        name: a built-in set, or a file.
        folder: the folder of a built-in set.
        target: a table's target: the name of a column, or its index; the last one if None.
        header: whether a table's first line is a header; None to tell it from the file.
        size, grayscale: see `images.read_folder`.

    Raises:
        OSError, ValueError, TypeError: if the data can't be read, or are not finite numbers.
    """
    kind = kind_of(name)
    if kind == "images":
        return _read_images_to_train(name, size, grayscale)
    if kind in BUILT_IN:
        return read_built_in(name, folder)
    if kind == "npz":
        found = read_npz(name)
        _check_not_tiny(f"{name}: x", found.x)
        _check_not_tiny(f"{name}: y", found.y)
        return _of_archive(name, found)
    with saying_what_text_is_for(name):
        table = read_text_table(name, header=header, takes_input=True)
    name = in_words(name)
    names, values = table.names, table.values
    check_has_features(name, names)
    check_names(name, names)
    index = column_index(name, names, target)
    _check_not_tiny(name, values, names)
    notice = INDEX_LEFT_OUT if table.has_index else None
    return SourceData(
        kind,
        name,
        np.delete(values, index, axis=1),
        values[:, index],
        columns=names[:index] + names[index + 1 :],
        target=names[index],
        target_index=index,
        header=table.has_header,
        notice=notice,
    )


def check_options(name: str, folder: str | None, given: dict[str, Any]) -> None:
    """Raise ValueError for an option of a training that is of another kind of data than this."""
    kind = kind_of(name)
    if given["target"] is not None and kind != "table":
        raise ValueError(f"--target is the column of a table to predict; {name} is not a table.")
    _check_folder(name, kind, folder)
    _check_header(name, kind, given["header"])
    if kind != "images" and (given["size"] is not None or given["grayscale"]):
        option = "--grayscale" if given["size"] is None else "--size"
        raise ValueError(f"{option} is for a folder of images; {name} is none. Leave it out.")


def read_to_use(
    name: str,
    folder: str | None,
    trained_on: dict[str, Any],
    *,
    part: str | None,
    default: str = "test",
    header: bool | None = None,
    with_target: bool,
) -> SourceData:
    """Data to predict or evaluate with a model, with the columns and shape of its training data.

    Args:
        name, folder, header: as in `read_to_train`.
        trained_on: the description of the training data in the model's file.
        part: of data with a training and a test part the one to return.
        default: the part where none is requested.
        with_target: whether to read a table's target, where it is there.

    Raises:
        OSError, ValueError, TypeError: if the data can't be read, are not finite numbers, or have
            other columns or shapes; if a part is requested and there is but one.
    """
    kind = kind_of(name)
    _check_folder(name, kind, folder)
    _check_header(name, kind, header)
    if kind == "images":
        which = _part_of(name, part, default, has_parts=images.has_parts(name))
        pixels, labels, files = images.read_to_use(name, trained_on, which, with_target=with_target)
        return SourceData(kind, name, pixels, labels, files=files)
    if kind in BUILT_IN:
        data = read_built_in(name, folder)
    elif kind == "npz":
        data = _read_npz_with_or_without_targets(name)
    else:
        data = _read_table_of(name, trained_on, header, with_target)
    shape = tuple(trained_on["shape"])
    for x in (data.x, data.x_test):
        if x is not None and x.shape[1:] != shape:
            raise ValueError(
                f"{name} has rows of shape {_shape(x.shape[1:])}; the model takes "
                f"{_shape(shape)}. Give data of the shape that it was trained on."
            )
    which = _part_of(name, part, default, has_parts=data.x_test is not None)
    if which == "test" and data.x_test is not None:
        data = replace(data, x=data.x_test, y=data.y_test)
    return replace(data, x_test=None, y_test=None)


def _part_of(name: str, part: str | None, default: str, *, has_parts: bool) -> str | None:
    """The part of the data to use, None where there are no parts.

    Raises:
        ValueError: if a part is requested where there are none.
    """
    if has_parts:
        return part or default
    if part is not None:
        raise ValueError(f"{name} has no training and test part. Leave --part out.")
    return None


@contextmanager
def saying_what_text_is_for(name: str) -> Iterator[None]:
    """Where a file of text is no table, the message says what else can be done with it."""
    try:
        yield
    except ValueError as error:
        if not name.lower().endswith((".txt", ".txt.gz")):
            raise
        raise ValueError(
            f"{name} is read as a table, which it is not: {error} To train on text, give --model "
            "gpt or --model word2vec."
        ) from error


def _read_images_to_train(name: str, size: tuple[int, int] | None, grayscale: bool) -> SourceData:
    """The images of a folder."""
    if not Path(name).is_dir():
        raise ValueError(f"{name} is one image. Give the folder above the folders of the classes.")
    (x, y), test = images.read_folder(name, size, grayscale=grayscale)
    x_test, y_test = test or (None, None)
    return SourceData("images", name, x, y, x_test, y_test, resized=size is not None)


def _read_npz_with_or_without_targets(name: str) -> SourceData:
    """An npz file in which y may be missing."""
    names = names_of(name)
    if "y" in names or "x" not in names:
        return _of_archive(name, read_npz(name))
    try:
        x = as_arrays(read_archive(name, ["x"])["x"], f"{name}: x")
        check_finite(x, f"{name}: x")
    except (TypeError, ValueError) as error:
        raise FileError(f"{error}") from error
    assert isinstance(x, np.ndarray)
    return SourceData("npz", name, _rows(x), None)


def _of_archive(name: str, found: NpzArrays) -> SourceData:
    x_test = None if found.x_test is None else _rows(found.x_test)
    return SourceData("npz", name, _rows(found.x), found.y, x_test, found.y_test)


def _rows(x: Array) -> Array:
    """Inputs, of which those of one axis are rows of one number."""
    return x.reshape(-1, 1) if x.ndim == 1 else x


def _check_folder(name: str, kind: str, folder: str | None) -> None:
    if folder is not None and kind not in BUILT_IN[1:]:
        raise ValueError(f"--data is the folder of {', '.join(BUILT_IN[1:])}; {name} needs none.")


def _check_header(name: str, kind: str, header: bool | None) -> None:
    if header is not None and kind != "table":
        option = "--header" if header else "--no-header"
        raise ValueError(f"{option} is of tables; {name} is none. Leave it out.")


def _read_table_of(
    name: str, trained_on: dict[str, Any], header: bool | None, with_target: bool
) -> SourceData:
    """A table's features in the model's order: by name if both have names, else by place.

    No other column is read: it may hold text, or nothing.
    """
    columns = trained_on["columns"]
    if columns is None:
        raise ValueError(
            f"{name} is a table, but the model was trained on {trained_on['kind']}, rows "
            f"of shape {_shape(trained_on['shape'])}. Give data of that shape."
        )
    place = in_words(name)
    target, target_index = trained_on["target"], trained_on["target_index"]
    found: dict[str, Any] = {"notice": None}

    def choose(layout: Layout) -> list[int]:
        names = layout.names
        if trained_on["header"] and layout.header_lines:
            x, y = _places_by_name(place, names, columns, target if with_target else None)
        else:
            x, y = _places(place, layout, columns, target_index)
            y = y if with_target else None
            which = "the model has no names of columns"
            if trained_on["header"]:
                which = "it has no header"
            if trained_on["header"] or layout.header_lines:
                found["notice"] = (
                    f"{which}: columns are taken in their order, as {checks.listed(columns)}"
                )
        found["has_target"] = y is not None
        return x if y is None else [*x, y]

    known = columns if trained_on["header"] else ()
    widths = len(columns), len(columns) + 1
    values = read_text_table(
        name, header=header, known=known, widths=widths, choose=choose, takes_input=True
    ).values
    y = None
    if found["has_target"]:
        values, y = values[:, :-1], values[:, -1]
    return SourceData(
        "table", place, values, y, columns=tuple(columns), target=target, notice=found["notice"]
    )


def _places_by_name(
    path: str, names: tuple[str, ...], columns: list[str], target: str | None
) -> tuple[list[int], int | None]:
    """The places of the features and of the target, None if it is not there."""
    missing = [column for column in columns if column not in names]
    if missing:
        raise FileError(
            f"{path} lacks {checks.listed(missing)}. The model takes {checks.listed(columns)}; "
            f"the file has {checks.listed(names)}."
        )
    check_names(path, names, columns if target is None else [*columns, target])
    y = names.index(target) if target is not None and target in names else None
    return [names.index(column) for column in columns], y


def _places(
    path: str, layout: Layout, columns: list[str], target_index: int
) -> tuple[list[int], int | None]:
    """The places of the features and of the target where there are no names to go by."""
    places = list(range(len(layout.names)))
    if layout.may_have_index and len(places) > len(columns):
        del places[0]
    if len(places) not in (len(columns), len(columns) + 1):
        raise FileError(
            f"{path} has {len(places)} columns; the model takes {len(columns)}: "
            f"{checks.listed(columns)}. The target may be among them, at the index that it had in "
            "training."
        )
    y = places.pop(target_index) if len(places) > len(columns) else None
    return places, y


def column_index(path: str, names: Sequence[str], wanted: str | None) -> int:
    """The index of a column, given by name, or by index if none has that name; by default the last.

    Raises:
        ValueError: as `find_column`.
    """
    is_index = wanted not in names and re.fullmatch("-?[0-9]{1,9}", wanted or "")
    if wanted is not None and is_index and -len(names) <= int(wanted) < len(names):
        return int(wanted) % len(names)
    return find_column(path, names, wanted)


def _shape(shape: Any) -> str:
    return shape_text(shape) or "one number"
