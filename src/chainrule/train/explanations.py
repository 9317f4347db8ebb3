"""Explanations: where in a user's code a graph could not be captured, and what to do instead."""

from __future__ import annotations

import linecache
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule.errors import SymbolicError

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_NUMPY = os.path.dirname(np.__file__) + os.sep


@contextmanager
def explained() -> Iterator[None]:
    """Let a SymbolicError say where in the user's code it arose."""
    try:
        yield
    except SymbolicError as error:
        error.args = (f"{error}{_place(error)}",)
        raise
    except TypeError as error:
        if not any(k in str(error) for k in ("Tensor", "Argument")) or not _is_raised_outside(
            error
        ):
            raise
        raise SymbolicError(
            f"{error}. In a compiled function the arrays that it is given are symbolic Tensors, "
            "which NumPy can't compute with: use the function of chainrule, or do it outside and "
            f"pass the result{_place(error)}"
        ) from error


def _frames(error: BaseException) -> list[Any]:
    """The traceback, from the outermost call to the innermost."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    return frames


def _is_users(trace: Any) -> bool:
    return not trace.tb_frame.f_code.co_filename.startswith((_PACKAGE, _NUMPY))


def _is_raised_outside(error: BaseException) -> bool:
    """Whether it was raised by NumPy or Python, not by this library."""
    return not _frames(error)[-1].tb_frame.f_code.co_filename.startswith(_PACKAGE)


def _place(error: BaseException) -> str:
    users = [trace for trace in _frames(error) if _is_users(trace)]
    if not users:
        return ""
    code, line = users[-1].tb_frame.f_code, users[-1].tb_lineno
    text = linecache.getline(code.co_filename, line).strip()
    return f"\n  {code.co_filename}, line {line}, in {code.co_name}: {text}"
