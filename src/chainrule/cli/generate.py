"""`chainrule generate`: a text that a model writes."""

from __future__ import annotations

import click

from chainrule.cli.options import Number, model_argument


@click.command(
    short_help="Write text with a saved model.",
    epilog="""\b
Examples:
  chainrule generate plays.safetensors --prompt "ROMEO:" --tokens 1000
  chainrule generate plays.safetensors --temperature 0.5 --seed 3
""",
)
@model_argument
@click.option("--prompt", metavar="TEXT", help="What the text begins with.  [default: a new line]")
@click.option(
    "--tokens",
    type=click.IntRange(1),
    default=500,
    show_default=True,
    help="How many characters to write.",
)
@click.option(
    "--temperature",
    type=Number(0),
    default=0.8,
    show_default=True,
    help="Below 1 likely characters become more likely, above 1 less; 0 takes the likeliest.",
)
@click.option(
    "--top-k", type=click.IntRange(1), help="Draw among as many of the likeliest characters alone."
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    default=0,
    show_default=True,
    help="Of what is drawn. The same seed gives the same text.",
)
def generate(
    model: str, prompt: str | None, tokens: int, temperature: float, top_k: int | None, seed: int
) -> None:
    """Write text with a model of `chainrule train --model gpt`, a character at a time.

    The model goes on after the prompt, which is printed first. It has seen the characters of its
    training text alone, so the prompt may hold no others.
    """
    from chainrule.cli.output import write
    from chainrule.cli.saved_text import text_of
    from chainrule.ops.random import Generator
    from chainrule.text.generation import continuation
    from chainrule.train.model_file import read

    saved = text_of(model, *read(model))
    begin = saved.encode(saved.default_prompt if prompt is None else prompt, "--prompt")
    if not len(begin):
        raise ValueError("--prompt is empty. Give one character at least, or leave it out.")
    drawn = continuation(saved.model, begin, tokens, temperature, top_k, generator=Generator(seed))
    write(prompt or "")
    for token in drawn:
        write(saved.tokenizer.decode([token]))
    click.echo()
