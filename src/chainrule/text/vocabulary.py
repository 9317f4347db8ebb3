"""Vocabulary: the words that a model knows, by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from chainrule import checks
from chainrule.graph.tensor import Array


class Vocabulary(Sequence[str]):
    """Words by number: the position of a word is its row in the table of an `nn.Embedding`.

    Args:
        words: each once, in the order of their numbers.
        unknown: the word whose number stands for every word that is not here; None if there is
            none, and such words are an error.

    Attributes:
        unknown: the same.

    Raises:
        TypeError: for what is no iterable of strings.
        ValueError: if a word comes twice, or `unknown` is not among them.

    Example:
        >>> from chainrule import text
        >>> vocabulary = text.Vocabulary(["<unk>", "tree", "leaf"], unknown="<unk>")
        >>> vocabulary.number("leaf"), vocabulary.number("root"), vocabulary[1], len(vocabulary)
        (2, 0, 'tree', 3)
    """

    def __init__(self, words: Iterable[str], unknown: str | None = None) -> None:
        self._words = _strings("words", words)
        self._numbers = {word: number for number, word in enumerate(self._words)}
        if len(self._numbers) < len(self._words):
            twice = next(word for word, count in Counter(self._words).items() if count > 1)
            raise ValueError(f"the word {twice!r:.80} comes twice: each has one number")
        if unknown is not None and unknown not in self._numbers:
            raise ValueError(f"unknown is one of the words, got {unknown!r:.80}")
        self.unknown = unknown

    @classmethod
    def from_words(
        cls,
        words: Iterable[str],
        *,
        min_count: int = 1,
        max_size: int | None = None,
        special: Sequence[str] = (),
        unknown: str | None = None,
    ) -> Vocabulary:
        """The vocabulary of the words that are most frequent.

        The special words come first, then `unknown`, then the others from the most frequent on;
        those that are equally frequent in the order of the alphabet (of Unicode).

        Args:
            words: a text, word by word; or for each word how often it comes, a
                `collections.Counter` or another dict.
            min_count: words that are less frequent are left out.
            max_size: how many words there are at most, special ones included.
            special: words that are there in any case, as "<pad>".
            unknown: see `Vocabulary`; it is added where it is not special.

        Raises:
            TypeError, ValueError: as `Vocabulary`; for a `max_size` that the special words exceed.

        Example:
            >>> from chainrule import text
            >>> list(text.Vocabulary.from_words("a rose is a rose".split(), special=["<pad>"]))
            ['<pad>', 'a', 'rose', 'is']
        """
        checks.count("min_count", min_count)
        first = list(_strings("special", special))
        if unknown is not None and unknown not in first:
            first.append(unknown)
        if max_size is not None and checks.count("max_size", max_size) < len(first):
            raise ValueError(f"max_size is {max_size}, but there are {len(first)} special words")
        found = _strings("words", words)
        counts = Counter(words if isinstance(words, Mapping) else found)
        for word in first:
            counts.pop(word, None)
        frequent = sorted(word for word, count in counts.items() if count >= min_count)
        frequent.sort(key=counts.__getitem__, reverse=True)  # equal ones stay in their order
        return cls([*first, *frequent][:max_size], unknown)

    def number(self, word: str) -> int:
        """The number of a word; that of `unknown` for a word that is not here.

        Raises:
            ValueError: for such a word where there is no `unknown`.
        """
        number = self._numbers.get(word)
        if number is not None:
            return number
        if self.unknown is None:
            raise ValueError(
                f"the word {word!r:.80} is not among the {len(self)} of the vocabulary, which has "
                "no word for unknown ones: make it with unknown='<unk>'"
            )
        return self._numbers[self.unknown]

    def __getitem__(self, number: int) -> str:  # type: ignore[override]
        try:
            if 0 <= number < len(self._words):
                return self._words[number]
        except TypeError:
            raise TypeError(
                f"a vocabulary gives the word of one whole number, got {number!r:.80}; several are "
                "a part of list(vocabulary)"
            ) from None
        raise IndexError(f"word {number} of a vocabulary of {len(self)} words")

    def _words_of(self, numbers: Array) -> list[str]:
        """The words of whole numbers, 1-d; IndexError for one that is not here."""
        outside = (numbers < 0) | (numbers >= len(self._words))
        if outside.any():
            self[int(numbers[outside][0])]
        return list(map(self._words.__getitem__, numbers.tolist()))

    def __contains__(self, word: object) -> bool:
        return word in self._numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self._words == other._words and self.unknown == other.unknown

    def __hash__(self) -> int:
        return hash((self._words, self.unknown))

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self._words[:6])) + (", ..." if len(self) > 6 else "")
        return f"Vocabulary({len(self)} words: {shown})"


def _strings(name: str, given: Iterable[str]) -> tuple[str, ...]:
    """Strings as a tuple; one string is a fault, not its characters."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"{name} are a list of strings, got {given!r:.80}")
    found = tuple(given)
    for word in found:
        if not isinstance(word, str):
            raise TypeError(f"{name} are strings; there is {word!r:.80}")
    return found
