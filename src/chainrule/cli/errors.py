"""Reports of users' errors in one line, and exit codes."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import click

from chainrule.errors import printable

INTERRUPTED = 130
"""The exit code after Ctrl-C, as in shells: 128 + SIGINT."""

# The errors that the library raises for a user's mistake, or for a package that is not there. Any
# other is a defect of the library and keeps its traceback.
_USER_ERRORS = (
    OSError, ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError, ImportError,
)  # fmt: skip


@contextmanager
def reporting_errors(*, tracebacks: bool = False) -> Iterator[None]:
    """Turn errors into one line "Error: ..." and exit code 1, Ctrl-C into exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        raise _interrupted() from None
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except _USER_ERRORS as error:
        # Until 3.12 Python makes a RuntimeError of Ctrl-C while a class is made, as in an import.
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise _interrupted() from None
        if tracebacks or (isinstance(error, OSError) and error.errno == errno.EPIPE):
            raise
        raise click.ClickException(message(error)) from error


def _interrupted() -> click.exceptions.Exit:
    """Say so; the exit that Ctrl-C ends with."""
    click.echo("Interrupted.", err=True)
    return click.exceptions.Exit(INTERRUPTED)


def message(error: BaseException) -> str:
    """The message of an error, in one line."""
    if isinstance(error, MemoryError):
        return "not enough memory: take a smaller network, --batch-size or data set"
    if isinstance(error, OSError) and error.strerror:
        prefix = "" if error.filename is None else f"{error.filename}: "
        return printable(prefix + error.strerror)
    return printable(" ".join(str(error).split())) or type(error).__name__
