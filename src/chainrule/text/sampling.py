"""What word2vec draws: words to leave out, windows, and words that were not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from chainrule.graph.tensor import Array

_CHUNK = 1 << 14  # positions of the text at a time


class AliasTable:
    """Draws whole numbers with given probabilities, each at the same cost.

    Every number has a share 1 / n of the line; a part of it may belong to another, its alias.

    Args:
        weights: proportional to the probabilities, of which some are above 0.

    Source: Walker, "An Efficient Method for Generating Discrete Random Variables with General
    Distributions", 1977; Vose's way to build the table, 1991.
    """

    def __init__(self, weights: Array) -> None:
        count = len(weights)
        shares = np.asarray(weights, np.float64) * (count / np.sum(weights))
        self.own = np.ones(count)
        self.alias = np.arange(count, dtype=np.int64)
        small = [i for i in range(count) if shares[i] < 1]
        large = [i for i in range(count) if shares[i] >= 1]
        while small and large:
            low, high = small.pop(), large[-1]
            self.own[low], self.alias[low] = shares[low], high
            shares[high] -= 1 - shares[low]
            if shares[high] < 1:
                small.append(large.pop())

    def draw(self, random: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Numbers of these probabilities, int64."""
        places = random.random(shape) * len(self.own)
        numbers = places.astype(np.int64)
        return np.where(places - numbers < self.own[numbers], numbers, self.alias[numbers])


def kept_shares(counts: Array, sample: float) -> Array:
    """How often a word is kept: sqrt(t / f) + t / f, at most 1, for its frequency f and t = sample.

    0 keeps all words.
    """
    if not sample:
        return np.ones(len(counts))
    ratio = sample * counts.sum() / np.maximum(counts, 1)
    return np.minimum(np.sqrt(ratio) + ratio, 1.0)


class Examples(NamedTuple):
    """Positions of a text, each with what surrounds it and what does not.

    Attributes:
        contexts: shape (positions, 2 window): the words around; `padding` where there is none.
        words: shape (positions, 1 + negative): the word, then words drawn at random.
        places: where in the whole text each position lies.
    """

    contexts: Array
    words: Array
    places: Array


def examples(
    text: Array,
    sentences: Array,
    kept: Array,
    noise: AliasTable,
    window: int,
    negative: int,
    random: np.random.Generator,
) -> Iterator[Examples]:
    """The examples of one pass over a text, a chunk at a time.

    Args:
        text: the numbers of its words.
        sentences: for each the number of its sentence, which no window leaves.
        kept: for each word of the vocabulary how often it is kept.
        noise: draws words that were not there.
        window: the largest distance; of each position a smaller one is drawn.
        negative: how many words are drawn for a position.
        random: what draws.
    """
    padding = len(kept)
    places = np.flatnonzero(random.random(len(text)) < kept[text])
    words = np.pad(text[places].astype(np.int32), window, constant_values=padding)
    lines = np.pad(sentences[places], window, constant_values=-1)
    for start in range(0, len(places), _CHUNK):
        part = places[start : start + _CHUNK]
        count = len(part)
        reach = random.integers(1, window + 1, count)
        contexts = np.empty((count, 2 * window), np.int32)
        for column, distance in enumerate(d for d in range(-window, window + 1) if d):
            first = start + window + distance
            there = slice(first, first + count)
            is_near = (lines[there] == sentences[part]) & (abs(distance) <= reach)
            contexts[:, column] = np.where(is_near, words[there], padding)
        drawn = np.empty((count, 1 + negative), np.int32)
        drawn[:, 0] = text[part]
        drawn[:, 1:] = noise.draw(random, (count, negative))
        yield Examples(contexts, drawn, part)


def by_width(chunk: Examples, padding: int) -> Iterator[Examples]:
    """Examples in parts of about as many contexts each, so that few places are empty.

    Positions without contexts are left out.
    """
    there = chunk.contexts != padding
    numbers = there.sum(1)
    most, below = chunk.contexts.shape[1], 0
    for width in (w for w in range(1, most + 1) if w <= 4 or w % 2 == 0):
        rows = np.flatnonzero((numbers > below) & (numbers <= width))
        below = width
        if len(rows):
            contexts = np.full((len(rows), width), padding, np.int32)
            is_filled = np.arange(width) < numbers[rows, None]
            contexts[is_filled] = chunk.contexts[rows][there[rows]]
            yield Examples(contexts, chunk.words[rows], chunk.places[rows])
