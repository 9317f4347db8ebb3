"""Errors. The message of each says what was wrong, the values or shapes seen, and the remedy."""

import contextlib
import os
import sys
import warnings

_LIBRARY = os.path.dirname(__file__) + os.sep, contextlib.__file__
"""How the files of code begin that no user has written."""


class ShapeError(ValueError):
    """Shapes that do not fit one another."""


class DTypeError(TypeError):
    """A dtype that an operation does not take."""


class SymbolicError(RuntimeError):
    """The value of a symbolic Tensor was requested: it is built on a placeholder."""


class NonFiniteError(ArithmeticError):
    """A loss or gradient became NaN or infinite.

    Attributes:
        steps_done: number of steps of the run before it, all with finite values.
    """

    steps_done = 0


class FileError(ValueError):
    """A file that is truncated, damaged, of another kind, or not what it should be.

    Its message names the file, the place and the reason. Signs in it that would steer a terminal
    are written as escapes, since they may come from the file.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, and name the user's line: the innermost one outside the library."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_LIBRARY):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def missing(user: str, package: str, extra: str, otherwise: str = "") -> ImportError:
    """The error where a package that a part of the library needs is not installed.

    Args:
        user: what needs it.
        package: its name.
        extra: that of chainrule which brings it.
        otherwise: what can be done without it.

    Example:
        >>> raise missing("a PNG", "resvg-py", "png", "save the drawing as .svg")
        Traceback (most recent call last):
        ImportError: a PNG needs resvg-py: pip install 'chainrule[png]'; or save the drawing as .svg
    """
    remedy = f"pip install 'chainrule[{extra}]'" + (f"; or {otherwise}" if otherwise else "")
    return ImportError(f"{user} needs {package}: {remedy}")


def printable(text: str) -> str:
    """The text with all signs that are not printable, such as escape codes, written out.

    Example:
        >>> print(printable("red: " + chr(27) + "[31m"))
        red: \\x1b[31m
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )
