"""Predictions: `Predictor` in process, and by HTTP `app(path)`, an ASGI application for a file.

HTTP needs Starlette and uvicorn: ``pip install 'chainrule[serve]'``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chainrule.errors import missing
from chainrule.serve.predictor import Predictor
from chainrule.serve.questions import Field, Served, ServedArray, ServedTable

if TYPE_CHECKING:
    from chainrule.serve.application import make_app
    from chainrule.serve.files import app

__all__ = ["Field", "Predictor", "Served", "ServedArray", "ServedTable", "app", "make_app"]

_BY_HTTP = {"app": "files", "make_app": "application"}


def __getattr__(name: str) -> Any:
    """Import what needs Starlette at its first use."""
    if name not in _BY_HTTP:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_BY_HTTP[name]}"), name)
    except ImportError as error:
        if error.name is None or error.name.split(".")[0] not in ("starlette", "anyio"):
            raise
        raise missing("serving", "Starlette and uvicorn", "serve") from error
