"""The server: uvicorn on a socket that is open before it begins."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.responses import PlainTextResponse

_SECONDS_TO_END = 3
"""How long requests under way may take when the server is to end."""
_OTHER_HOST = "Give an address of this machine as --host: 127.0.0.1, or 0.0.0.0 for all it has"


def run(app: Any, host: str, port: int, ready: Callable[[str], object]) -> None:
    """Serve an ASGI application until Ctrl-C or SIGTERM.

    Args:
        app: the application.
        host: a name or address of this machine.
        port: the port; 0 takes a free one.
        ready: is called with the URL once requests can come.

    Raises:
        OSError: if the port is taken, or the host is none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise OSError(f"{host!r:.80} is no address ({error}). {_OTHER_HOST}") from None
    # asyncio sends small parts at once (TCP_NODELAY) only where the socket names its protocol; else
    # the second part of an answer waits 40 ms for the client to acknowledge the first.
    with socket.socket(family, kind, protocol) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind(address)
        except OSError as error:
            is_foreign = error.errno == errno.EADDRNOTAVAIL
            remedy = _OTHER_HOST if is_foreign else "Give another --port"
            raise OSError(f"{host}:{port}: {error.strerror}. {remedy}") from None
        opened.listen(2048)
        name = f"[{host}]" if ":" in host else host
        ready(f"http://{name}:{opened.getsockname()[1]}")

        async def until_the_end(scope: Any, receive: Any, send: Any) -> None:
            try:
                await app(scope, receive, send)
            except asyncio.CancelledError:
                if not server.should_exit:
                    raise
                answer = PlainTextResponse("the server is ending", status_code=503)
                await answer(scope, receive, send)

        config = uvicorn.Config(
            until_the_end, log_level="warning", access_log=False, limit_concurrency=2048,
            timeout_graceful_shutdown=_SECONDS_TO_END,
        )  # fmt: skip
        server = uvicorn.Server(config)
        server.run(sockets=[opened])
