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
    """Positions of a text with about as many contexts each, and words that are none.

    Attributes:
        contexts: shape (positions, width): the words around; `padding` where there is none.
        words: shape (positions, 1 + negative): the word, then words drawn at random.
        places: where in the whole text each position lies; of those at the end that only make
            whole batches, and have no contexts, there is none.
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
    batch: int = 1,
) -> Iterator[Examples]:
    """The examples of one pass over a text, a chunk at a time, and of each by width.

    Positions without contexts are left out.

    Args:
        text: the numbers of its words.
        sentences: for each the number of its sentence, which no window leaves.
        kept: for each word of the vocabulary how often it is kept.
        noise: draws words that were not there.
        window: the largest distance; of each position a smaller one is drawn.
        negative: how many words are drawn for a position.
        random: what draws.
        batch: of how many positions there are whole multiples.
    """
    padding = len(kept)
    places = np.flatnonzero(random.random(len(text)) < kept[text])
    words = text[places].astype(np.int32)
    before, after = _neighbours(sentences[places], window)
    for start in range(0, len(places), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        count = len(places[chunk])
        reach = random.integers(1, window + 1, count).astype(np.int32)
        drawn = np.empty((count, 1 + negative), np.int32)
        drawn[:, 0] = words[chunk]
        drawn[:, 1:] = noise.draw(random, (count, negative))
        left = np.minimum(before[chunk], reach)
        numbers = left + np.minimum(after[chunk], reach)
        for width, rows in _by_width(numbers, 2 * window):
            whole = len(rows) + -len(rows) % batch
            contexts = np.full((whole, width), padding, np.int32)
            others = np.zeros((whole, 1 + negative), np.int32)
            contexts[: len(rows)] = _around(
                words, rows + start, left[rows], numbers[rows], width, padding
            )
            others[: len(rows)] = drawn[rows]
            yield Examples(contexts, others, places[chunk][rows])


def _neighbours(sentences: Array, most: int) -> tuple[Array, Array]:
    """For each word how many of its sentence stand before it, and after it; at most `most`."""
    before = np.zeros(len(sentences), np.int32)
    after = np.zeros(len(sentences), np.int32)
    for distance in range(1, most + 1):
        is_same = sentences[distance:] == sentences[:-distance]
        before[distance:] += is_same
        after[:-distance] += is_same
    return before, after


def _by_width(numbers: Array, most: int) -> Iterator[tuple[int, Array]]:
    """Widths, and the rows of about as many contexts, so that few places are empty."""
    below = 0
    for width in (w for w in range(1, most + 1) if w <= 4 or w % 2 == 0):
        rows = np.flatnonzero((numbers > below) & (numbers <= width))
        below = width
        if len(rows):
            yield width, rows


def _around(
    words: Array, rows: Array, left: Array, numbers: Array, width: int, padding: int
) -> Array:
    """The words around those of some rows, `numbers` of them, of which `left` stand before."""
    columns = np.arange(width, dtype=np.int32)
    from_first = columns + (columns >= left[:, None])
    places = (rows - left)[:, None] + from_first
    contexts = words.take(places, mode="clip")
    contexts[columns >= numbers[:, None]] = padding
    return contexts
