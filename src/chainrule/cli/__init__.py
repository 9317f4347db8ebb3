"""The command line: `chainrule train | predict | evaluate | serve | ...`.

Each command imports the modules that it needs when it runs, so that `--help` is fast.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import click

from chainrule.cli.bench import bench
from chainrule.cli.doctor import doctor
from chainrule.cli.errors import reporting_errors
from chainrule.cli.evaluate import evaluate
from chainrule.cli.explain import explain
from chainrule.cli.generate import generate
from chainrule.cli.info import info
from chainrule.cli.neighbours import neighbours
from chainrule.cli.predict import predict
from chainrule.cli.serve import serve
from chainrule.cli.train import train

__all__ = ["main"]


class _Commands(click.Group):
    """A group whose commands report every user error in one line, with an exit code."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with reporting_errors():  # of --help and --version, which are shown here
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        _replace_unknown_signs()
        with reporting_errors(tracebacks=ctx.params["debug"]):
            return super().invoke(ctx)


def _replace_unknown_signs() -> None:
    """Show a sign that the terminal's encoding does not have as "?"."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  chainrule train digits --out digits.safetensors
  chainrule train houses.csv --target price --out houses.safetensors
  chainrule predict houses.safetensors new-houses.csv --out prices.csv
""",
)
@click.version_option(package_name="chainrule", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the Python traceback of an error.")
def main(debug: bool) -> None:
    """Train neural networks by backpropagation, and use them."""


for _command in (
    train, predict, evaluate, explain, serve, generate, neighbours, info, doctor, bench,
):  # fmt: skip
    main.add_command(_command)
