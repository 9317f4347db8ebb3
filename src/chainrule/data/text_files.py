"""Plain text from files."""

from __future__ import annotations

import codecs
import os

from chainrule.errors import FileError
from chainrule.system.reading import check_gzip, is_gzipped, reading, unpacking


def read_text(path: str | os.PathLike[str]) -> str:
    """Read a text file in UTF-8, gzipped or not; also in UTF-16, as of Notepad, by its mark.

    Line ends become one newline sign each, whatever system has written them; a mark of byte order
    at the start is left out.

    Args:
        path: the file.

    Returns:
        The whole text.

    Raises:
        FileNotFoundError: no such file.
        FileError: the file is empty, damaged or in another encoding; the message names the place.

    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "play.txt"
    >>> _ = path.write_bytes(b"To be,\\r\\nor not to be")
    >>> read_text(path)
    'To be,\\nor not to be'
    """
    with reading(path, "a text file", "Give a file of plain text in UTF-8.") as file:
        if is_gzipped(file):
            check_gzip(file)
            with unpacking(file) as content:
                held = content.read()
        else:
            held = file.read()
    if held.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding, told = "utf-16", "UTF-16, as the mark at its start says"
        remedy = "Save it in UTF-8."
    else:
        encoding, told = "utf-8", "UTF-8"
        remedy = "Convert it, as iconv -f LATIN1 -t UTF-8 does for text of old Western systems."
    try:
        text = held.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = held.count(b"\n", 0, error.start) + 1
        raise FileError(
            f"{path} is not in {told}: byte {error.start}, in line {line}, is "
            f"0x{held[error.start]:02x}. {remedy}"
        ) from None
    if not text:
        raise FileError(f"{path} is empty. Give a file that holds text.")
    return text.replace("\r\n", "\n").replace("\r", "\n")
