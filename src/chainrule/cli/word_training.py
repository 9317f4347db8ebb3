"""The course of a training of word vectors: word2vec."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any

import click

from chainrule.cli import output
from chainrule.data import read_text
from chainrule.errors import FileError
from chainrule.text import Vocabulary, Word2Vec, WordTokenizer, WordVectors
from chainrule.train.model_file import WORD_VECTORS, read

_SHOWN = 5  # words whose neighbours are printed


def train_on_words(name: str, given: dict[str, Any]) -> bool:
    """Read a text, find vectors of its words, save them, and show neighbours of some.

    A sentence is a line of the text, in small letters and without signs.

    Args:
        name: the file.
        given: the other options.

    Returns:
        Whether Ctrl-C ended the training.
    """
    _check_form(given["out"])
    tokenizer = WordTokenizer(Vocabulary(()), lowercase=True, punctuation=False)
    sentences = [tokenizer.split(line) for line in read_text(name).splitlines()]
    counts = Counter(chain.from_iterable(sentences))
    if sum(count >= given["min_count"] for count in counts.values()) < 2:
        raise ValueError(
            f"{name} has {len(counts):,} different word{'s' * (len(counts) != 1)}, of which fewer "
            f"than two reach --min-count {given['min_count']}. Give a longer text or a smaller "
            "--min-count."
        )
    model = Word2Vec(
        given["vector_size"],
        given["window"],
        given["negative"],
        sg=0 if given["cbow"] else 1,
        min_count=given["min_count"],
        epochs=given["epochs"] or 5,
        alpha=given["lr"] or 0.025,
        seed=given["seed"],
    )
    output.line("data", f"{name}: {counts.total():,} words")
    output.line("options", _describe(model))
    click.echo()
    vectors = model.fit(sentences, progress=True).wv
    output.line("words", f"{len(vectors):,} that reach --min-count {model.min_count}")
    if given["out"] is not None:
        vectors.save(given["out"])
    show_some(vectors)
    return model.interrupted


def _check_form(out: str | None) -> None:
    """Raise ValueError for a file whose name says that it is of word2vec's formats."""
    if out is not None and out.lower().endswith((".txt", ".bin", ".vec", ".gz")):
        raise ValueError(
            f"--out {out}: vectors are saved as safetensors. Name a .safetensors file; "
            "text.WordVectors.load(file).save_word2vec_format(path) makes others of it."
        )


def _describe(model: Word2Vec) -> str:
    method = "skip-gram" if model.sg else "CBOW"
    return (
        f"{method}, vectors of {model.vector_size}, window {model.window}, negative "
        f"{model.negative}, lr {model.alpha:g}, {model.epochs} epochs, seed {model.seed}"
    )


def show_some(vectors: WordVectors) -> None:
    """Print the neighbours of a few words, neither the most frequent ones nor rare ones."""
    first = len(vectors) // 20
    words = [vectors.vocabulary[n] for n in range(first, min(first + _SHOWN, len(vectors)))]
    rows = [
        (word, ", ".join(near for near, _ in vectors.most_similar(word, topn=5))) for word in words
    ]
    output.show_table({"word": "left", "nearest": "left"}, rows)


def read_vectors(path: str) -> WordVectors:
    """Read vectors of words.

    Raises:
        FileNotFoundError, FileError, ValueError: if it can't be read, or holds something else.
    """
    _, description = read(path)
    if WORD_VECTORS not in description:
        raise ValueError(
            f"{path} holds no vectors of words (chainrule train --model word2vec). chainrule info "
            "says what it is."
        )
    found = WordVectors.load(path)
    if not len(found):
        raise FileError(f"{path} holds no word. Train and save it anew.")
    return found
