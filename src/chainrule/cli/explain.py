"""`chainrule explain`: one training step of a saved model, with every number of it."""

from __future__ import annotations

import click

from chainrule.cli.options import (
    LETTERS,
    header_option,
    mnist_option,
    model_argument,
)


@click.command(
    short_help="Explain one training step of a saved model.",
    epilog="""\b
Examples:
  chainrule explain digits.safetensors --row 3 --html step.html
  chainrule explain houses.safetensors sold-houses.csv --letters cornell
  chainrule explain trace.json --html step.html
""",
)
@model_argument
@click.argument("data", metavar="[DATA]", required=False)
@click.option(
    "--row",
    type=click.IntRange(min=0),
    help="The row of DATA to take the step on, counted from 0.  [default: 0]",
)
@click.option("--letters", type=click.Choice(LETTERS), help="Whose letters.  [default: boulder]")
@click.option("--html", "page", metavar="FILE.html", help="Where to write the page that plays it.")
@click.option("--json", "trace", metavar="FILE.json", help="Where to write the trace, all numbers.")
@mnist_option
@click.option(
    "--part",
    type=click.Choice(["train", "test"]),
    help="The rows to use, of data with a training and a test part.  [default: train without DATA, "
    "else test]",
)
@header_option
def explain(
    model: str,
    data: str | None,
    row: int | None,
    letters: str | None,
    page: str | None,
    trace: str | None,
    folder: str | None,
    part: str | None,
    header: bool | None,
) -> None:
    """Explain one training step of MODEL on one row of DATA: forward, backward and update.

    DATA is by default what MODEL was trained on: the training part of data that has one, as mnist,
    else all rows of the table, also those that were kept for validation. MODEL stays as it is. The
    optimiser is that of its training, as at its first step; of a model of tables there is no
    update, and of several networks the first is explained. MODEL may also be a trace that --json
    wrote. Without --html and --json the explanation is printed.
    """
    from chainrule.cli.explaining import Asked, explained, read_trace, sources_of
    from chainrule.cli.files import check_outputs
    from chainrule.cli.output import say, write

    outputs = {"--html": page, "--json": trace}
    check_outputs(outputs, [model, *sources_of(data, folder)])
    if model.lower().endswith(".json"):
        options = {"DATA": data, "--row": row, "--letters": letters, "--data": folder}
        found = read_trace(model, {**options, "--part": part, "--header": header})
    else:
        asked = Asked(data, row or 0, folder, part, header)
        found = explained(model, asked, letters or "boulder", outputs)
    if page is not None:
        found.to_html(page)
        say(f"the page: {page}")
    if trace is not None:
        found.to_json(trace)
        say(f"the trace: {trace}")
    if page is None and trace is None:
        write(f"{found}\n")
