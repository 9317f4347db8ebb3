"""Tokenizers: text as the numbers of its words or characters, and back."""

from __future__ import annotations

import os
import re
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from chainrule import checks
from chainrule.errors import FileError
from chainrule.graph.names import no_attribute
from chainrule.graph.tensor import Array, Tensor
from chainrule.text.vocabulary import Vocabulary
from chainrule.train.model_file import read_metadata

T = TypeVar("T", bound="Tokenizer")


class _UnknownClassError(ValueError):
    """A description of a tokenizer of a user's own class."""


_LONG = 10_000
"""Characters of a text from which on a table of all of them pays."""


@cache
def _pattern(punctuation: bool) -> re.Pattern[str]:
    """What finds the words of a text, and its signs if they count.

    Python's ``\\w`` has no combining marks and no joiners, which Unicode counts to words (UTS 18).
    """
    marks = "".join(
        character
        for character in map(chr, chain(range(0x300, 0x20000), range(0xE0100, 0xE01F0)))
        if unicodedata.category(character)[0] == "M"
    )
    marks += "\u200c\u200d"
    may_be = "\u0300-\U000e01ef"  # looked at first, which is quick
    word = rf"\w+(?:(?=['’{may_be}])(?:['’](?=\w)|[{marks}])\w*)*"
    sign = rf"[^\w\s](?:(?=[{may_be}])[{marks}])*"
    return re.compile(f"{word}|{sign}" if punctuation else word)


_OTHERS = {
    "vocab_size": "len(tokenizer.vocabulary)",
    "get_vocab": "tokenizer.vocabulary",
    "vocab": "tokenizer.vocabulary",
    "tokenize": "tokenizer.split(text)",
    "batch_encode_plus": "[tokenizer.encode(text) for text in texts]",
    "batch_decode": "[tokenizer.decode(numbers) for numbers in rows]",
    "convert_tokens_to_ids": "tokenizer.vocabulary.number(token)",
    "convert_ids_to_tokens": "tokenizer.vocabulary[number]",
    "token_to_id": "tokenizer.vocabulary.number(token)",
    "id_to_token": "tokenizer.vocabulary[number]",
    "save_pretrained": "chainrule.save(model, path, metadata={'tokenizer': tokenizer.to_dict()})",
}
"""What to write for names of other libraries' tokenizers."""


class Tokenizer(ABC):
    """The base of `CharTokenizer` and `WordTokenizer`: a way to split text, and a vocabulary.

    A class of your own gives `split`, `options`, and the class attribute `joint`, which stands
    between two tokens of a decoded text.

    A tokenizer is saved with its model, as plain data in the file's metadata, and read again by
    `read_tokenizer`::

        cr.save(model, path, metadata={"tokenizer": tokenizer.to_dict()})

    Attributes:
        vocabulary: the tokens by number.
        special: the tokens that stand for no text, as "<pad>".
    """

    joint: ClassVar[str]
    """What stands between two tokens of a decoded text."""

    def __init__(self, vocabulary: Vocabulary, special: Sequence[str] = ()) -> None:
        if not isinstance(vocabulary, Vocabulary):
            raise TypeError(
                f"vocabulary is a Vocabulary, got {checks.described(vocabulary)}; "
                f"{type(self).__name__}.fit(text) makes the tokenizer of a text"
            )
        missing = [token for token in special if token not in vocabulary]
        if missing:
            raise ValueError(f"the special token {missing[0]!r:.80} is not in the vocabulary")
        self.vocabulary = vocabulary
        self.special = tuple(special)

    @abstractmethod
    def split(self, text: str) -> list[str]:
        """The tokens of a text, known or not."""

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """The constructor's other arguments, as plain data."""

    @classmethod
    def fit(
        cls: type[T],
        texts: str | Iterable[str],
        *,
        min_count: int = 1,
        max_size: int | None = None,
        special: Sequence[str] = (),
        unknown: str | None = None,
        **options: Any,
    ) -> T:
        """The tokenizer of the tokens that are most frequent in texts; see `Vocabulary.from_words`.

        Args:
            texts: one text, or several, such as the lines of a file.
            min_count, max_size, special, unknown: see `Vocabulary.from_words`.
            options: see the class.

        Example:
            >>> from chainrule import text
            >>> tokenizer = text.CharTokenizer.fit("hello", special=["<end>"])
            >>> list(tokenizer.vocabulary)
            ['<end>', 'l', 'e', 'h', 'o']
        """
        splitter = cls(Vocabulary(()), **options)
        found = [texts] if isinstance(texts, str) else texts
        if isinstance(found, bytes) or not isinstance(found, Iterable):
            _as_text(found)
        counts: Counter[str] = Counter()
        for text in found:
            counts.update(splitter._counts(_as_text(text)))
        vocabulary = Vocabulary.from_words(
            counts, min_count=min_count, max_size=max_size, special=special, unknown=unknown
        )
        return cls(vocabulary, special, **options)

    def _counts(self, text: str) -> Mapping[str, int]:
        """How often each token is in a text."""
        return Counter(self.split(text))

    def __getattr__(self, name: str) -> Any:
        raise no_attribute(type(self), name, _OTHERS.get(name))

    def encode(self, text: str) -> Array:
        """The numbers of a text's tokens: int64, shape (tokens,).

        Special tokens do not come from text: their numbers are `vocabulary.number("<pad>")`.

        Raises:
            TypeError: for what is no string.
            ValueError: for a token that is not known, where there is none for unknown ones.
        """
        if not isinstance(text, str):
            raise TypeError(f"encode takes a text, got {checks.described(text)}")
        number = self.vocabulary.number
        return np.fromiter((number(token) for token in self.split(text)), np.int64)

    def decode(self, numbers: ArrayLike | Tensor, *, skip_special: bool = False) -> str:
        """The text of numbers.

        Args:
            numbers: whole numbers, 1-d.
            skip_special: whether special tokens are left out.

        Raises:
            TypeError: for other than whole numbers.
            ValueError: for more than one axis.
            IndexError: for a number that the vocabulary does not have.
        """
        given = np.asarray(numbers)
        if given.size and given.dtype.kind not in "iu":
            raise TypeError(f"decode takes whole numbers, not {given.dtype}")
        if given.ndim != 1:
            raise ValueError(f"decode takes the numbers of one text, 1-d; got shape {given.shape}")
        tokens = self.vocabulary._words_of(given)
        if skip_special:
            tokens = [token for token in tokens if token not in self.special]
        return self.joint.join(tokens)

    def to_dict(self) -> dict[str, Any]:
        """All of the tokenizer as plain data that JSON can hold; `from_dict` makes it again.

        A class of your own stands there by its full name, and `from_dict` does not make it: read
        the data by `read_metadata` and call the class.
        """
        kind = type(self)
        is_known = _KINDS.get(kind.__name__) is kind
        return {
            "class": kind.__name__ if is_known else f"{kind.__module__}.{kind.__qualname__}",
            "words": list(self.vocabulary),
            "unknown": self.vocabulary.unknown,
            "special": list(self.special),
            **self.options(),
        }

    @staticmethod
    def from_dict(description: Mapping[str, Any]) -> Tokenizer:
        """The tokenizer of what `to_dict` returned.

        Raises:
            ValueError: for anything else.

        Example:
            >>> from chainrule import text
            >>> tokenizer = text.WordTokenizer.fit("To be or not to be", lowercase=True)
            >>> again = text.Tokenizer.from_dict(tokenizer.to_dict())
            >>> again.decode(again.encode("NOT be"))
            'not be'
        """
        try:
            given = dict(description)
            name = given.pop("class")
            if isinstance(name, str) and name not in _KINDS:
                raise _UnknownClassError(
                    f"{name:.200} is none of the library's tokenizers ({', '.join(_KINDS)}), so "
                    "its code is in no file: read the data, data = chainrule.read_metadata(path)"
                    "['tokenizer'], and call your class on text.Vocabulary(data['words'], "
                    "data['unknown'])"
                )
            kind = _KINDS[name]
            vocabulary = Vocabulary(given.pop("words"), given.pop("unknown"))
            return kind(vocabulary, **given)
        except _UnknownClassError:
            raise
        except KeyError as error:
            raise ValueError(f"this describes no tokenizer: it has no {error}") from None
        except (TypeError, ValueError) as error:
            raise ValueError(f"this describes no tokenizer: {error}") from None

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((type(self), self.vocabulary, self.special))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.vocabulary!r})"


def _codes(text: str) -> Array:
    """The numbers of Unicode of a text's characters."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _as_text(text: Any) -> str:
    if not isinstance(text, str):
        remedy = ": decode it, text.decode()" if isinstance(text, bytes) else ""
        raise TypeError(f"a text is a string; got {checks.described(text)}{remedy}")
    return text


class CharTokenizer(Tokenizer):
    """Text character by character.

    Args:
        vocabulary: the characters, and special tokens.
        special: the tokens that stand for no text; they are in the vocabulary.

    Raises:
        TypeError, ValueError: if a special token is not in the vocabulary.

    Example:
        >>> from chainrule import text
        >>> tokenizer = text.CharTokenizer.fit("abba")
        >>> tokenizer.encode("baa").tolist(), tokenizer.decode([1, 0, 0])
        ([1, 0, 0], 'baa')
    """

    joint = ""

    def split(self, text: str) -> list[str]:
        return list(text)

    def options(self) -> dict[str, Any]:
        return {}

    def encode(self, text: str) -> Array:
        if not self._takes_characters(text):
            return super().encode(text)
        codes = _codes(text)
        counts = np.bincount(codes)
        found = np.flatnonzero(counts)
        characters = map(chr, found.tolist())
        if self.vocabulary.unknown is None and not all(c in self.vocabulary for c in characters):
            return super().encode(text)  # which names the first that is not known
        numbers = np.zeros(len(counts), np.int64)
        numbers[found] = [self.vocabulary.number(chr(code)) for code in found.tolist()]
        return numbers[codes]

    def _counts(self, text: str) -> Mapping[str, int]:
        if not self._takes_characters(text):
            return super()._counts(text)
        counts = np.bincount(_codes(text))
        return {chr(code): int(counts[code]) for code in np.flatnonzero(counts).tolist()}

    def _takes_characters(self, text: Any) -> bool:
        """Whether a text is long enough for a table of characters, split as here."""
        is_own = type(self).split is not CharTokenizer.split
        return isinstance(text, str) and len(text) >= _LONG and not is_own


class WordTokenizer(Tokenizer):
    """Text word by word.

    A word is a run of letters, digits and underscores, with apostrophes inside; every other sign
    but white space is a word of its own. Combining marks, as accents and the vowel signs of Hindi,
    belong to what they stand on. A decoded text has a space between words.

    Args:
        vocabulary: the words, and special tokens.
        special: the tokens that stand for no text; they are in the vocabulary.
        lowercase: whether text is taken in small letters.
        punctuation: whether signs count; else they are left out.

    Raises:
        TypeError, ValueError: if a special token is not in the vocabulary.

    Example:
        >>> from chainrule import text
        >>> tokenizer = text.WordTokenizer.fit(
        ...     ["The cat sat.", "The cat didn't."], min_count=2, unknown="<unk>", lowercase=True
        ... )
        >>> list(tokenizer.vocabulary)
        ['<unk>', '.', 'cat', 'the']
        >>> tokenizer.decode(tokenizer.encode("The dog."))
        'the <unk> .'
    """

    joint = " "

    def __init__(
        self,
        vocabulary: Vocabulary,
        special: Sequence[str] = (),
        *,
        lowercase: bool = False,
        punctuation: bool = True,
    ) -> None:
        super().__init__(vocabulary, special)
        self.lowercase = checks.flag("lowercase", lowercase)
        self.punctuation = checks.flag("punctuation", punctuation)
        self._pattern = _pattern(self.punctuation)

    def split(self, text: str) -> list[str]:
        return self._pattern.findall(text.lower() if self.lowercase else text)

    def options(self) -> dict[str, Any]:
        return {"lowercase": self.lowercase, "punctuation": self.punctuation}


_KINDS: dict[str, type[Tokenizer]] = {
    "CharTokenizer": CharTokenizer,
    "WordTokenizer": WordTokenizer,
}


def read_tokenizer(path: str | os.PathLike[str], name: str = "tokenizer") -> Tokenizer:
    """Read the tokenizer in the metadata of a file of `chainrule.save` or of a Trainer.

    Args:
        path: the file.
        name: its name in the metadata.

    Raises:
        FileNotFoundError: if there is no such file.
        FileError: if the file is damaged, or has no such tokenizer.

    Example:
        >>> import os, tempfile
        >>> import chainrule as cr
        >>> from chainrule import nn, text
        >>> tokenizer = text.CharTokenizer.fit("to be or not to be")
        >>> model = nn.Embedding(len(tokenizer.vocabulary), 2)
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> cr.save(model, path, metadata={"tokenizer": tokenizer.to_dict()})
        >>> text.read_tokenizer(path).encode("bot").tolist() == tokenizer.encode("bot").tolist()
        True
    """
    metadata = read_metadata(path)
    if name not in metadata:
        known = ", ".join(metadata) or "nothing"
        raise FileError(
            f"{path}: its metadata hold no {name!r}, but {known:.400}. Save a tokenizer by "
            f"metadata={{{name!r}: tokenizer.to_dict()}}."
        )
    try:
        return Tokenizer.from_dict(metadata[name])
    except _UnknownClassError as error:
        raise FileError(f"{path}: its {name} can't be made: {error}") from None
    except ValueError as error:
        raise FileError(f"{path}: its {name} is damaged ({error})") from None
