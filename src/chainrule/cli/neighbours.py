"""`chainrule neighbours`: the words nearest to others."""

from __future__ import annotations

import click

from chainrule.cli.options import model_argument


@click.command(
    short_help="Show the words nearest to others, by word vectors.",
    epilog="""\b
Examples:
  chainrule neighbours words.safetensors king
  chainrule neighbours words.safetensors king woman --minus man
""",
)
@model_argument
@click.argument("words", metavar="WORD...", nargs=-1, required=True)
@click.option(
    "--minus", metavar="WORD", multiple=True, help="Go away from this word; may be repeated."
)
@click.option("--count", type=click.IntRange(1), default=10, show_default=True)
def neighbours(model: str, words: tuple[str, ...], minus: tuple[str, ...], count: int) -> None:
    """Show the words nearest to others, by vectors of chainrule train --model word2vec.

    Of several words they are nearest to the mean of their directions. An analogy, as "man is to
    king as woman is to ...", is king woman --minus man. The similarity is the cosine of the angle.
    """
    from chainrule.cli import output
    from chainrule.cli.word_training import read_vectors

    vectors = read_vectors(model)
    for word in (*words, *minus):
        if word not in vectors:
            small = word.lower()
            remedy = "It was too rare, or is not in the text."
            if small in vectors:
                remedy = f"Take {small!r}."
            raise ValueError(f"{model} has no vector of {word!r}. {remedy}")
    found = vectors.most_similar(words, minus, topn=count)
    rows = [(word, f"{similarity:.4f}") for word, similarity in found]
    output.show_table({"word": "left", "similarity": "right"}, rows)
