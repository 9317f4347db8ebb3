"""Errors of users told in one line, and exit codes."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import click

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it: 128 + SIGINT."""

# What the library raises for a user's mistake. Anything else is a mistake of ours: a traceback.
_TOLD = (OSError, ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError)


@contextmanager
def telling_errors(ctx: click.Context, *, tracebacks: bool) -> Iterator[None]:
    """Turn errors into one line "Error: ..." and exit code 1, Ctrl-C into exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        ctx.exit(INTERRUPTED)
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except _TOLD as error:
        if tracebacks or (isinstance(error, OSError) and error.errno == errno.EPIPE):
            raise
        raise click.ClickException(message(error)) from error


def message(error: BaseException) -> str:
    """What an error says, in one line."""
    if isinstance(error, MemoryError):
        return "not enough memory: take a smaller network, --batch-size or data set"
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f"{error.filename}: "
        return where + error.strerror
    return " ".join(str(error).split()) or type(error).__name__
