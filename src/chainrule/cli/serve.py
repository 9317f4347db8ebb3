"""`chainrule serve`: a model's predictions by HTTP."""

from __future__ import annotations

import click

from chainrule.cli.options import model_argument


@click.command(
    short_help="Answer by HTTP with a saved model.",
    epilog="""\b
Examples:
  chainrule serve houses.safetensors --port 8000
  curl http://localhost:8000/predict -d '{"rows": [{"rooms": 3, "age": 20}]}'
""",
)
@model_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port to listen at; 0 takes a free one.",
)
@click.option(
    "--max-megabytes",
    type=click.IntRange(1, 4096),
    default=16,
    show_default=True,
    help="The largest request that is read.",
)
def serve(model: str, host: str, port: int, max_megabytes: int) -> None:
    """Answer by HTTP with a saved model: rows in, predictions out, as JSON.

    It listens at this machine alone, unless --host says otherwise; there are no passwords. POST
    /predict takes {"rows": [...]}. The page / has a form to try the model by hand, /docs says what
    a row holds. Ctrl-C ends it.
    """
    from chainrule.cli.output import say
    from chainrule.serve import app
    from chainrule.serve.server import run

    run(
        app(model, most_bytes=max_megabytes << 20),
        host,
        port,
        lambda url: say(f"{model} answers at {url} (Ctrl-C ends it)"),
    )
