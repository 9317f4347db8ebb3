"""The web application: rows in, predictions out, as JSON by HTTP.

Requests that arrive together are answered by one pass through the network. An answer takes less
time than to hand the rows to another thread, so the loop that reads the requests computes, too;
only many rows go to a thread.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from chainrule.serve import pages
from chainrule.serve.questions import Rows, Served

MOST_BYTES = 16 << 20
"""The most bytes of a request's body, by default."""
_FAR_TOO_LONG = 8
"""The multiple of the most bytes from which a body is not read to its end."""
_BYTES_AT_ONCE, _ROWS_AT_ONCE = 1 << 16, 4096
"""More are read, and answered, in a thread of their own."""


class BadRows(HTTPException):
    """Rows that the model can't take: 422, as in other frameworks."""

    def __init__(self, detail: str) -> None:
        super().__init__(422, detail)


def make_app(served: Served, *, title: str = "model", most_bytes: int = MOST_BYTES) -> Starlette:
    """An ASGI application that answers for a model.

    - `POST /predict`: `{"rows": [...]}` to `{"predictions": [...]}`; of a classification with
      `"classes"` and `"probabilities"`, too. Rows that don't fit: 422, `{"detail": "..."}`.
    - `GET /`: a page to try the model by hand; `GET /docs`: how to ask; `GET /openapi.json`;
      `GET /health`.

    Args:
        served: the model.
        title: its name on the pages.
        most_bytes: of a request; a larger one is refused with 413.

    Source: OpenAPI 3.1 for the description of the interface.
    """
    batcher = _Batcher(served)

    async def predict(request: Request) -> Response:
        body = await _body(request, most_bytes)
        if len(body) > _BYTES_AT_ONCE:
            rows = await asyncio.to_thread(served_rows, served, body)
        else:
            rows = served_rows(served, body)
        found = await batcher.outputs(rows)
        try:
            return JSONResponse(served.answer(found))
        except ValueError as error:
            raise BadRows(str(error)) from None

    async def index(request: Request) -> Response:
        return _page(pages.index(served, title))

    async def docs(request: Request) -> Response:
        return _page(pages.docs(served, title, most_bytes, str(request.base_url)))

    async def schema(request: Request) -> Response:
        return JSONResponse(pages.openapi(served, title))

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/", index),
            Route("/docs", docs),
            Route("/openapi.json", schema),
            Route("/health", health),
            Route("/predict", predict, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _error, ClientDisconnect: _gone},
    )


def served_rows(served: Served, body: bytes) -> Rows:
    """The rows of a request's body.

    Raises:
        BadRows: if it is no JSON object with a list of rows, or one of them does not fit.
    """
    try:
        given = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadRows(f"the body is no JSON: {error}") from None
    rows = given.get("rows") if isinstance(given, dict) else None
    if not isinstance(rows, list):
        raise BadRows('the body is an object {"rows": [...]}, with a list of rows')
    if not rows:
        raise BadRows("rows is empty: give at least one row")
    try:
        return served.rows(rows)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadRows(str(error)) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON; a missing value is null")


class _Batcher:
    """Answers requests that arrive together by one prediction."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._waiting: list[tuple[Rows, asyncio.Future[NDArray[Any]]]] = []

    async def outputs(self, rows: Rows) -> NDArray[Any]:
        """The outputs for the rows of one request."""
        if _length(rows) > _ROWS_AT_ONCE:
            try:
                return await asyncio.to_thread(self._served.outputs, rows)
            except _REFUSALS as error:
                raise BadRows(str(error)) from None
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._answer)  # after the requests that are ready now
        answer: asyncio.Future[NDArray[Any]] = loop.create_future()
        self._waiting.append((rows, answer))
        return await answer

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        if len(waiting) > 1:
            names = waiting[0][0]
            try:
                joined = {n: np.concatenate([rows[n] for rows, _ in waiting]) for n in names}
                found = self._served.outputs(joined)
            except Exception:  # of one of them: below each is answered for itself
                found = None
            if found is not None:
                ends = np.cumsum([_length(rows) for rows, _ in waiting])
                for (_, answer), part in zip(waiting, np.split(found, ends[:-1]), strict=True):
                    _settle(answer, part)
                return
        for rows, answer in waiting:
            try:
                _settle(answer, self._served.outputs(rows))
            except _REFUSALS as error:
                _settle(answer, BadRows(str(error)))
            except Exception as error:
                _settle(answer, error)


_REFUSALS = (ValueError, TypeError, IndexError, OverflowError)


def _length(rows: Rows) -> int:
    return len(next(iter(rows.values())))


def _settle(answer: asyncio.Future[Any], found: Any) -> None:
    """Give an answer, or the reason that there is none, to a request that still waits for it."""
    if answer.done():
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)


async def _body(request: Request, most: int) -> bytes:
    """The body of a request.

    One that is too long is refused after it came, unless it is far too long: who still sends can't
    read the refusal.
    """
    length = request.headers.get("content-length", "")
    announced = int(length) if length.isdecimal() else 0
    parts: list[bytes] = []
    size = 0
    if announced <= _FAR_TOO_LONG * most:
        async for part in request.stream():
            size += len(part)
            if size <= most:
                parts.append(part)
            elif size > _FAR_TOO_LONG * most:
                break
    if max(size, announced) > most:
        raise HTTPException(413, f"a request has at most {most:,} bytes: send fewer rows at once")
    return b"".join(parts)


async def _error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = {"connection": "close"} if error.status_code == 413 else {}
    return JSONResponse(
        {"detail": error.detail}, error.status_code, headers={**(error.headers or {}), **headers}
    )


async def _gone(request: Request, error: Exception) -> Response:
    """An answer that nobody reads: the client went away while it sent the request."""
    return Response(status_code=400)


def _page(text: str) -> Response:
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    return HTMLResponse(
        text, headers={"content-security-policy": policy + "connect-src 'self'; base-uri 'none'"}
    )
