"""Word vectors: their neighbours, their analogies, and their files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from chainrule import checks
from chainrule.errors import FileError, ShapeError, warn
from chainrule.graph.names import no_attribute
from chainrule.graph.tensor import Array, Tensor
from chainrule.system.atomic_files import write_atomically
from chainrule.system.reading import check_gzip, is_gzipped, reading, reason, unpacking
from chainrule.text.vocabulary import Vocabulary
from chainrule.train import model_file

V = TypeVar("V", bound="WordVectors")

_GENSIMS = {
    "index_to_key": "list(wv.vocabulary)",
    "index2word": "list(wv.vocabulary)",
    "key_to_index": "wv.vocabulary.number(word) for one, for all {w: n for n, w in "
    "enumerate(wv.vocabulary)}",
    "vocab": "wv.vocabulary",
    "vector_size": "wv.vectors.shape[1]",
    "get_vector": "wv[word]",
    "word_vec": "wv[word]",
    "get_index": "wv.vocabulary.number(word)",
    "has_index_for": "word in wv",
    "similar_by_word": "wv.most_similar(word)",
    "similar_by_key": "wv.most_similar(word)",
    "similar_by_vector": "wv.most_similar(vector)",
    "distance": "1 - wv.similarity(a, b)",
    "distances": "1 - wv.similarity(a, b), of each b",
    "n_similarity": "the cosine of wv[words_a].mean(0) and wv[words_b].mean(0)",
    "doesnt_match": "min(words, key=lambda w: sum(wv.similarity(w, other) for other in words))",
    "get_mean_vector": "wv[words].mean(0), of the vectors as they are",
    "fill_norms": "nothing: similarity and most_similar do it themselves",
    "init_sims": "nothing: similarity and most_similar do it themselves",
}
"""What to write for gensim's names."""


class WordVectors:
    """A vector for each word of a vocabulary.

    The similarity of two words is the cosine of the angle between their vectors.

    Args:
        vocabulary: the words, a Vocabulary or a list.
        vectors: shape (words, D), float32 or float64; a copy is kept.

    Attributes:
        vocabulary: the words by number.
        vectors: the vectors, an array that can't be written to; `nn.Embedding.from_pretrained`
            takes it.

    Raises:
        ShapeError: if there is not one vector for each word.

    Source: Mikolov, Chen, Corrado and Dean, "Efficient Estimation of Word Representations in Vector
    Space", 2013.

    Example:
        >>> from chainrule import text
        >>> words = ["king", "queen", "man", "woman"]
        >>> vectors = text.WordVectors(words, [[3.0, 1.0], [3.0, 2.0], [1.0, 1.0], [1.0, 2.0]])
        >>> vectors.most_similar(positive=["king", "woman"], negative=["man"], topn=1)[0][0]
        'queen'
    """

    def __init__(self, vocabulary: Vocabulary | Iterable[str], vectors: ArrayLike | Tensor) -> None:
        if not isinstance(vocabulary, Vocabulary):
            vocabulary = Vocabulary(vocabulary)
        self.vocabulary = vocabulary
        given = np.array(vectors.numpy() if isinstance(vectors, Tensor) else vectors)
        if given.dtype not in (np.float32, np.float64):
            given = given.astype(np.float32)
        if given.ndim != 2 or len(given) != len(self.vocabulary):
            raise ShapeError(
                f"vectors have shape ({len(self.vocabulary)}, D), one for each word; got "
                f"{given.shape}"
            )
        given.flags.writeable = False
        self.vectors: Array = given
        self._directions: Array | None = None

    def __getitem__(self, word: str | Sequence[str]) -> Array:
        """The vector of a word, shape (D,), or those of several, (words, D)."""
        if isinstance(word, str):
            return self.vectors[self._number(word)]
        if not isinstance(word, (Sequence, np.ndarray)):
            raise TypeError(f"vectors are found by a word or several, not by {word!r:.80}")
        return self.vectors[[self._number(one) for one in word]]

    def __getattr__(self, name: str) -> Any:
        raise no_attribute(type(self), name, _GENSIMS.get(name))

    def __contains__(self, word: object) -> bool:
        return word in self.vocabulary

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __repr__(self) -> str:
        return f"WordVectors({len(self)} words, vectors of {self.vectors.shape[1]} numbers)"

    def similarity(self, a: str, b: str) -> float:
        """The cosine of the angle between the vectors of two words; 0 for a vector of zeros.

        Raises:
            KeyError: for a word that has no vector.
        """
        directions = self._unit_vectors()
        return float(directions[self._number(a)] @ directions[self._number(b)])

    def most_similar(
        self,
        positive: str | Array | Sequence[str | Array] = (),
        negative: str | Array | Sequence[str | Array] = (),
        topn: int = 10,
    ) -> list[tuple[str, float]]:
        """The words nearest to the mean of directions: those of `positive`, less of `negative`.

        An analogy, as "man is to king as woman is to ...", is the word nearest to king - man +
        woman. The given words themselves are left out. Of equally near words the more frequent,
        which has the smaller number, comes first.

        Args:
            positive, negative: words, or vectors of length D; one or several.
            topn: how many.

        Returns:
            Pairs of a word and its similarity, from the nearest on.

        Raises:
            KeyError: for a word that has no vector.
            TypeError, ShapeError: for what is neither a word nor a vector of that length.
            ValueError: if none is given.
        """
        count = checks.integer("topn", topn, 0)
        directions = self._unit_vectors()
        given: set[int] = set()
        target = np.zeros(self.vectors.shape[1], self.vectors.dtype)
        pairs = [(item, 1) for item in _several(positive)]
        pairs += [(item, -1) for item in _several(negative)]
        if not pairs:
            raise ValueError("most_similar takes a word or more: most_similar('king')")
        for item, sign in pairs:
            if isinstance(item, str):
                number = self._number(item)
                given.add(number)
                target += sign * directions[number]
            else:
                target += sign * self._checked(item)
        similarities = directions @ _unit(target[None])[0]
        order = np.argsort(-similarities, kind="stable")
        near = [int(number) for number in order[: count + len(given)] if int(number) not in given]
        return [(self.vocabulary[n], float(similarities[n])) for n in near[:count]]

    def _checked(self, vector: Any) -> Array:
        try:
            given = np.asarray(vector, self.vectors.dtype)
        except (TypeError, ValueError):
            raise TypeError(
                f"most_similar takes words and vectors, not {vector!r:.80}; a word with a weight "
                "is a vector, as 2 * wv[word] / np.linalg.norm(wv[word])"
            ) from None
        if given.shape != self.vectors.shape[1:]:
            raise ShapeError(f"a vector has shape {self.vectors.shape[1:]}, not {given.shape}")
        return given

    def _number(self, word: str) -> int:
        if not isinstance(word, str) or word not in self.vocabulary:
            raise KeyError(f"there is no vector of {word!r:.80} among {len(self)} words")
        return self.vocabulary.number(word)

    def _unit_vectors(self) -> Array:
        if self._directions is None:
            self._directions = _unit(self.vectors)
        return self._directions

    # Files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file: the vectors as they are, the words in its metadata.

        Raises:
            OSError: if the file can't be written; one that stood there before stays.
        """
        words = {"words": list(self.vocabulary), "unknown": self.vocabulary.unknown}
        model_file.write(path, {"vectors": self.vectors}, {model_file.WORD_VECTORS: words})

    @classmethod
    def load(cls: type[V], path: str | os.PathLike[str]) -> V:
        """The vectors of a file of `save`.

        Raises:
            FileNotFoundError: if there is no such file.
            FileError: if it is damaged, or holds something else.
        """
        tensors, description = model_file.read(path)
        try:
            words = description[model_file.WORD_VECTORS]
            return cls(Vocabulary(words["words"], words["unknown"]), tensors["vectors"])
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(f"{path} holds no word vectors ({error})") from None

    def save_word2vec_format(self, path: str | os.PathLike[str], binary: bool = False) -> None:
        """Write a file that word2vec, gensim and others read.

        Its first line has the number of words and of numbers in a vector; then comes each word with
        its vector: in a line of text, or as float32 in the byte order of x86.

        Args:
            path: the file.
            binary: whether it is not text. A text file has all digits of the numbers.

        Raises:
            ValueError: for a word with white space, which ends a word in such a file.
            OSError: as `save`.
        """
        for word in self.vocabulary:
            if not word or any(c.isspace() for c in word):
                raise ValueError(
                    f"the word {word!r:.80} has white space in it, or is empty: a file of this "
                    "format can't hold it; save() can"
                )
        parts = [f"{len(self)} {self.vectors.shape[1]}\n".encode()]
        for word, vector in zip(self.vocabulary, self.vectors, strict=True):
            name = word.encode()
            if binary:
                parts.append(name + b" " + vector.astype("<f4").tobytes() + b"\n")
            else:
                numbers = " ".join(map(str, vector.tolist() if vector.dtype == float else vector))
                parts.append(name + b" " + numbers.encode() + b"\n")
        write_atomically(path, b"".join(parts))

    @classmethod
    def load_word2vec_format(
        cls: type[V],
        path: str | os.PathLike[str],
        binary: bool = False,
        *,
        no_header: bool = False,
    ) -> V:
        """The vectors of a file of word2vec, gensim or `save_word2vec_format`, as float32.

        Of a word that comes twice the first vector counts, with a warning.

        Args:
            path: the file, gzipped or not.
            binary: whether it is not text.
            no_header: whether it is text without a first line of two numbers, as GloVe's files.

        Raises:
            ValueError: for `no_header` of a binary file.
            FileNotFoundError: if there is no such file.
            FileError: if it is damaged, or of another format.
        """
        if binary and no_header:
            raise ValueError("no_header is for text: a binary file has no ends of lines")
        path = checks.path("path", path)
        kind = f"a {'binary' if binary else 'text'} file of word vectors"
        try:
            with reading(path, kind, "Get the file anew.") as file:
                content = _content(file)
        except FileNotFoundError:
            raise FileNotFoundError(f"there is no file {os.fspath(path)}") from None
        try:
            words, vectors = _words_and_vectors(content, binary, no_header)
        except (ValueError, MemoryError) as error:
            message = f"{path} cannot be read as {kind}: {reason(error)}."
            if _is_text(content.partition(b"\n")[2]) == binary:
                message += f" The other kind is read by binary={not binary}."
            raise FileError(message) from error
        first = {word: row for row, word in reversed([*enumerate(words)])}
        if len(first) < len(words):
            twice = next(word for row, word in enumerate(words) if first[word] != row)
            warn(
                f"{path}: words come again, as {twice!r:.80}; the first vector of each is taken",
            )
            rows = sorted(first.values())
            words, vectors = [words[row] for row in rows], vectors[rows]
        return cls(Vocabulary(words), vectors)


def _content(file: BinaryIO) -> bytes:
    """What a file holds, unpacked where it is gzipped."""
    if not is_gzipped(file):
        return file.read()
    check_gzip(file)
    with unpacking(file) as content:
        found: bytes = content.read()
        return found


def _words_and_vectors(content: bytes, binary: bool, no_header: bool) -> tuple[list[str], Array]:
    if no_header:
        count = content.count(b"\n") + (not content.endswith(b"\n"))
        width = len(content.partition(b"\n")[0].split()) - 1
        if width < 1:
            raise ValueError("its first line has no word with numbers after it")
        return _read_text(content, count, width)
    head, _, rest = content.partition(b"\n")
    count, width = _head(head)
    return (_read_binary if binary else _read_text)(rest, count, width)


def _head(line: bytes) -> tuple[int, int]:
    """The numbers of a file's first line."""
    try:
        count, width = map(int, line.split())
    except ValueError:
        raise ValueError(
            "its first line has to be two numbers, of words and of numbers in a vector, not "
            f"{line[:40].decode(errors='replace')!r}; a file of vectors alone, as GloVe's, is "
            "read by no_header=True"
        ) from None
    if count < 0 or width < 1:
        raise ValueError(f"a head of {count} words and {width} numbers")
    return count, width


def _is_text(content: bytes) -> bool:
    """Whether vectors are text, not binary numbers."""
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


def _read_text(content: bytes, count: int, width: int) -> tuple[list[str], Array]:
    lines = content.decode().split("\n")  # a word may hold other ends of lines, as U+2028
    if not lines[-1]:
        lines.pop()
    if len(lines) != count:
        raise ValueError(f"{len(lines)} lines for {count} words")
    if 2 * width * count > len(content):  # a space and a digit
        raise ValueError(f"{len(content)} bytes for {count} vectors of {width} numbers")
    words, vectors = [], np.empty((count, width), np.float32)
    for row, line in enumerate(lines):
        word, *numbers = line.rstrip(" \r").split(" ")
        if len(numbers) != width:
            raise ValueError(
                f"the word {word!r:.80} has {len(numbers)} numbers after spaces, not {width}"
            )
        words.append(word)
        try:
            with np.errstate(over="raise"):
                vectors[row] = np.array(numbers, np.float32)
        except FloatingPointError:
            raise ValueError(f"the word {word!r:.80} has a number beyond float32") from None
    return words, vectors


def _read_binary(content: bytes, count: int, width: int) -> tuple[list[str], Array]:
    words, at, size = [], 0, 4 * width
    if count * size > len(content):
        raise ValueError(f"{len(content)} bytes for {count} vectors of {width} numbers")
    vectors = np.empty((count, width), np.float32)
    for row in range(count):
        end = content.index(b" ", at)
        words.append(content[at:end].lstrip(b"\n").decode())
        numbers = content[end + 1 : end + 1 + size]
        if len(numbers) != size:
            raise ValueError(f"the vector of {words[-1]!r:.80} is cut off")
        vectors[row] = np.frombuffer(numbers, "<f4")
        at = end + 1 + size
    if content[at:].strip(b"\n"):
        raise ValueError(f"{len(content) - at} bytes after the last vector")
    return words, vectors


def _several(given: Any) -> list[Any]:
    if isinstance(given, Tensor):
        given = given.numpy()
    is_vector = isinstance(given, np.ndarray) and given.ndim == 1 and given.dtype.kind in "fiu"
    if isinstance(given, (list, tuple)):
        is_vector = bool(given) and all(isinstance(n, (int, float, np.number)) for n in given)
    if isinstance(given, str) or is_vector:
        return [given]
    return list(given) if isinstance(given, Iterable) else [given]


def _unit(vectors: Array) -> Array:
    """Vectors of length 1; zeros stay."""
    lengths = np.sqrt((vectors.astype(np.float64) ** 2).sum(1, keepdims=True))
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(vectors.dtype)
