"""Predictions by HTTP: `app(path)` is an ASGI application that answers for a model's file.

It needs Starlette and uvicorn: ``pip install 'chainrule[serve]'``.
"""

try:
    from chainrule.serve.app import make_app
except ImportError as error:
    if error.name is None or error.name.split(".")[0] not in ("starlette", "anyio"):
        raise
    raise ImportError(
        "serving needs Starlette and uvicorn: pip install 'chainrule[serve]'"
    ) from error
from chainrule.serve.files import app
from chainrule.serve.questions import Field, Served, ServedArray, ServedTable

__all__ = ["Field", "Served", "ServedArray", "ServedTable", "app", "make_app"]
