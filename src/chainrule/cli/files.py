"""Output files of a command, checked before its work begins."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from chainrule.system.atomic_files import is_stream


def check_outputs(outputs: Mapping[str, str | None], *inputs: str) -> None:
    """Raise if an output file can't be written, or would replace an input or another output.

    Args:
        outputs: the file of each option, or None.
        inputs: names of files that are read.

    Raises:
        OSError, ValueError: the message names the option and the remedy.
    """
    taken = {Path(name).resolve(): name for name in inputs if Path(name).is_file()}
    for option, name in outputs.items():
        if name is None:
            continue
        path = Path(name)
        if path.resolve() in taken:
            other = taken[path.resolve()]
            raise ValueError(f"{option} {name} would overwrite {other}. Name another file.")
        taken[path.resolve()] = name
        _check_output(option, path)


def _check_output(option: str, path: Path) -> None:
    if path.is_dir() or not path.name:
        raise IsADirectoryError(f"{option} {path} is a folder. Name a file in it.")
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"{option} {path}: there is no folder {path.parent}. Make it first, or name another."
        )
    if not is_stream(path):
        _check_folder(option, path)
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{option} {path} can't be overwritten. Name another file.")


def _check_folder(option: str, path: Path) -> None:
    """Raise if the folder takes no new file: a file is written under another name, then renamed."""
    folder = (path.resolve() if path.is_symlink() else path).parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"{option} {path}: can't write to the folder {folder} ({error.strerror}). Name another."
        ) from error
