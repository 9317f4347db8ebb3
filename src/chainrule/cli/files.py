"""Output files of a command, checked before its work begins."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from chainrule.data.image_folder import images_below
from chainrule.system.atomic_files import check_writable, is_stream


def check_outputs(outputs: Mapping[str, str | None], inputs: Iterable[str | Path]) -> None:
    """Raise if an output file can't be written, or would replace an input or another output.

    Args:
        outputs: the file of each option, or None.
        inputs: files that are read, or would be read if they were there; or folders of images.

    Raises:
        OSError, ValueError: the message names the option and the remedy.
    """
    taken = [Path(name) for name in inputs]
    for option, name in outputs.items():
        if name is None:
            continue
        if name == "-":
            raise ValueError(f"{option} takes the name of a file, not -. Name one.")
        path = Path(name)
        _check_output(option, path)
        for other in taken:
            lost = _overwritten(path, other)
            if lost is not None:
                raise ValueError(f"{option} {name} would overwrite {lost}. Name another file.")
        taken.append(path)


def _overwritten(path: Path, other: Path) -> Path | None:
    """What an output would replace: another file, or an image in a folder; None if nothing."""
    if not other.is_dir():
        return other if _are_same(path, other) else None
    if not path.exists():
        return None
    images = (image for image in images_below(other) if image.exists())
    return next((image for image in images if path.samefile(image)), None)


def _are_same(path: Path, other: Path) -> bool:
    """Whether two paths lead to one file, by links too; also where it is not there yet."""
    if path.exists() and other.exists():
        return not is_stream(path) and path.samefile(other)
    return path.resolve() == other.resolve()


def _check_output(option: str, path: Path) -> None:
    if path.is_dir() or not path.name:
        raise IsADirectoryError(f"{option} {path} is a folder. Name a file in it.")
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"{option} {path}: there is no folder {path.parent}. Make it first, or name another."
        )
    try:
        check_writable(path)
    except OSError as error:
        raise OSError(error.errno, f"{option}: {error.strerror}. Name another file.") from error
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{option} {path} can't be overwritten. Name another file.")
