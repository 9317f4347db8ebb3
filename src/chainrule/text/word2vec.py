"""word2vec: vectors of words from the words around them."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, count
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.compiler.capture import CapturedGraph, capture
from chainrule.errors import NonFiniteError
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock
from chainrule.graph.backprop import backprop
from chainrule.graph.keywords import referring
from chainrule.graph.tensor import Array, Tensor, placeholder
from chainrule.nn import Embedding, Module
from chainrule.ops import concatenate, equal, full, less, logical_not, maximum, softplus, where
from chainrule.optim import SGD
from chainrule.system.interrupts import interrupts_to
from chainrule.system.threads import ThreadShare, checked_threads
from chainrule.text.sampling import AliasTable, Examples, examples, kept_shares
from chainrule.text.vectors import WordVectors
from chainrule.text.vocabulary import Vocabulary
from chainrule.train.progress import ProgressReport

_GENSIMS = {
    "train": "fit(sentences) trains, anew",
    "build_vocab": "fit(sentences) finds the words and trains",
    "get_latest_training_loss": "here it is losses[-1]",
    "save_word2vec_format": "here it is wv.save_word2vec_format(path)",
    "predict_output_word": "here it is network, a module that gives the logits",
}
"""What to write for gensim's methods."""

_LARGEST_BATCH = 128  # positions of the text
_LARGEST_EXPONENT = 10  # a count of a billion to this power is far from float64's limits
_LONGEST_STEP = 2.0  # the learning rate times the uses of one vector in a batch


class NegativeSampling(Module):
    """The network of word2vec: a table of words as contexts and one of words as centres.

    The logit of a context i and a word j is W_i^T C_j. It says how much likelier they stand beside
    each other in the text than by chance.

    Args:
        words: V, how many there are; number V in a context is no word.
        size: D, the length of a vector.
        averages: whether the contexts of a position are taken together, as their mean (CBOW), or
            each alone (skip-gram).

    Attributes:
        contexts: W, an `nn.Embedding` of V + 1 rows, of which the last counts nowhere.
        centres: C, an `nn.Embedding` of V rows. Both begin as 0; `Word2Vec` draws W.
    """

    def __init__(self, words: int, size: int, *, averages: bool) -> None:
        super().__init__()
        contexts, centres = np.zeros((words + 1, size), "f"), np.zeros((words, size), "f")
        self.contexts = Embedding(words + 1, size, _weight=contexts)
        self.centres = Embedding(words, size, _weight=centres)
        self.averages = averages
        self.words = words

    def forward(self, contexts: Tensor, words: Tensor) -> Tensor:
        """The logits, shape (positions, contexts, words); for means there is one context."""
        x = self.contexts(contexts)
        if self.averages:
            there = self._are_there(contexts)
            count = maximum(there.sum(1, keepdims=True), 1.0)
            x = (x * there).sum(1, keepdims=True) / count
        logits: Tensor = x @ self.centres(words).transpose(0, 2, 1)
        return logits

    def _are_there(self, contexts: Tensor) -> Tensor:
        """1 where a context is a word, else 0, of shape (positions, contexts, 1)."""
        return less(contexts, self.words).astype(np.float32).reshape(*contexts.shape, 1)

    def loss(self, contexts: Tensor, words: Tensor) -> Tensor:
        """The sum over positions of -log p(the first word) - sum of log(1 - p(the others)).

        Others that happen to be the first word do not count.
        """
        positions, count = words.shape
        signs = np.array([-1.0] + [1.0] * (count - 1), np.float32)
        losses = softplus(self(contexts, words) * signs)
        differ = logical_not(equal(words[:, 1:], words[:, :1]))
        counts = concatenate([full((positions, 1), True, bool), differ], 1).reshape(
            positions, 1, count
        )
        there = self._are_there(contexts)
        if self.averages:
            there = there.max(1, keepdims=True)
        return (where(counts, losses, 0.0) * there).sum()


class Word2Vec:
    """Vectors of words that stand in the same surroundings are near each other.

    At each position of a text the words within a window are its contexts. Skip-gram lets the vector
    of each context tell the word in the middle from words drawn at random; CBOW lets their mean.
    The network is `network`, a graph like any other, trained by stochastic gradient descent in the
    native core, on batches of 128 positions, or fewer where the text has few words: the gradients
    of one vector are summed over a batch, and would take it too far. The result has the same bits
    on every run, whatever the number of workers.

    Args:
        vector_size: D, the length of a vector.
        window: the largest distance of a context; of each position one from 1 to that is drawn.
        negative: how many words are drawn at random for a position, with probabilities
            proportional to their counts to the power of `ns_exponent`. All contexts of the position
            share them.
        sg: 1 for skip-gram, 0 for CBOW.
        sample: words more frequent than this share of the text are left out at random; 0 keeps all.
        min_count: words that are less frequent do not count.
        max_size: how many words there are at most, the most frequent ones; None for all.
        epochs: passes over the text.
        alpha, min_alpha: the learning rate at the beginning, and at the end; linear between them.
        ns_exponent: see `negative`.
        workers: how many threads compute; None for `chainrule.get_num_threads()`. They share the
            products of vectors only where `vector_size` is a multiple of 16.
        seed: of all that is drawn.

    Attributes:
        wv: the `WordVectors`, after `fit`.
        network: the trained `NegativeSampling`.
        losses: for each epoch the mean loss of a position that has contexts.
        interrupted: whether Ctrl-C ended the training; the vectors are those trained so far, and
            the last loss is that of a part of an epoch.

    Raises:
        TypeError, ValueError: for numbers that are out of range.

    Source: Mikolov, Sutskever, Chen, Corrado and Dean, "Distributed Representations of Words and
    Phrases and their Compositionality", 2013; Ji, Satish, Li and Dubey, "Parallelizing Word2Vec in
    Shared and Distributed Memory", 2016, for words that are drawn once for a position.

    Example:
        >>> from chainrule import text
        >>> sentences = [["two", "cats", "sleep"], ["two", "dogs", "sleep"]] * 200
        >>> model = text.Word2Vec(vector_size=8, min_count=1, sample=0, alpha=0.1).fit(sentences)
        >>> model.wv.most_similar("cats", topn=1)[0][0]
        'dogs'
    """

    wv: WordVectors
    network: NegativeSampling

    @referring(
        sentences="Word2Vec(...).fit(sentences)",
        corpus_file="Word2Vec(...).fit(sentences), with the words of each line",
        size="vector_size",
        iter="epochs",
        hs="negative, how many words are drawn at random",
        cbow_mean="sg=0, which takes the mean of the contexts",
        max_vocab_size="max_size",
        max_final_vocab="max_size",
        compute_loss="losses, which are always computed",
        callbacks="fit(sentences, progress=True)",
    )
    def __init__(
        self,
        vector_size: int = 100,
        window: int = 5,
        negative: int = 5,
        sg: int = 1,
        sample: float = 1e-3,
        min_count: int = 5,
        max_size: int | None = None,
        epochs: int = 5,
        alpha: float = 0.025,
        min_alpha: float = 1e-4,
        ns_exponent: float = 0.75,
        workers: int | None = None,
        seed: int = 1,
    ) -> None:
        self.vector_size = checks.count("vector_size", vector_size)
        self.window = checks.count("window", window)
        self.negative = checks.count("negative", negative)
        if sg not in (0, 1):
            raise ValueError(f"sg is 1 for skip-gram or 0 for CBOW, got {sg!r:.80}")
        self.sg = int(sg)
        self.sample = checks.not_negative("sample", sample)
        self.min_count = checks.count("min_count", min_count)
        self.max_size = None if max_size is None else checks.count("max_size", max_size)
        self.epochs = checks.count("epochs", epochs)
        self.alpha = checks.positive("alpha", alpha)
        self.min_alpha = checks.not_negative("min_alpha", min_alpha)
        if self.min_alpha > self.alpha:
            raise ValueError(f"min_alpha is at most alpha, {alpha}; got {min_alpha}")
        self.ns_exponent = checks.number("ns_exponent", ns_exponent)
        if abs(self.ns_exponent) > _LARGEST_EXPONENT:
            raise ValueError(
                f"ns_exponent is from -{_LARGEST_EXPONENT} to {_LARGEST_EXPONENT}, got "
                f"{ns_exponent}"
            )
        if workers is not None:
            workers = checked_threads(checks.count("workers", workers), "workers")
        self.workers = workers
        self.seed = checks.seed(seed)
        self.losses: list[float] = []
        self.interrupted = False

    def __getattr__(self, name: str) -> Any:
        if name in ("wv", "network"):
            raise AttributeError(f"there is no {name} before training: call fit(sentences)")
        if name in _GENSIMS:
            raise AttributeError(f"'Word2Vec' object has no attribute {name!r}; {_GENSIMS[name]}")
        if hasattr(WordVectors, name):
            raise AttributeError(f"the vectors have {name}: wv.{name}")
        raise AttributeError(f"'Word2Vec' object has no attribute {name!r}")

    def fit(self, sentences: Iterable[Sequence[str]], *, progress: bool = False) -> Word2Vec:
        """Train on sentences, each a list of words; anew, whatever was trained before.

        Ctrl-C ends the training, as that of a `Trainer`; a second one acts at once.

        Args:
            sentences: the text.
            progress: whether to show a bar on a terminal, or a line per epoch elsewhere.

        Returns:
            The object itself.

        Raises:
            TypeError: for a sentence that is no list of words, as a string.
            ValueError: if fewer than two different words are frequent enough.
            NonFiniteError: if the loss becomes infinite, for a smaller `alpha`.
        """
        lines = _checked_sentences(sentences)
        lengths = np.fromiter(map(len, lines), np.int64, len(lines))
        seen: defaultdict[str, int] = defaultdict(count().__next__)  # words as they come
        flat = map(seen.__getitem__, chain.from_iterable(lines))
        try:
            coded = np.fromiter(flat, np.int32, lengths.sum())
        except TypeError as error:  # for what has no hash
            raise TypeError(f"words are strings: {error}") from None
        wrong = next((word for word in seen if not isinstance(word, str)), "")
        if wrong != "":
            raise TypeError(f"words are strings; there is {wrong!r:.80}. Leave missing ones out")
        counts = Counter(dict(zip(seen, np.bincount(coded).tolist(), strict=True)))
        vocabulary = Vocabulary.from_words(counts, min_count=self.min_count, max_size=self.max_size)
        if len(vocabulary) < 2:
            raise ValueError(
                f"{len(vocabulary)} of {len(counts)} words come {self.min_count} times or more: "
                "give more text, or a smaller min_count"
            )
        numbers = np.full(len(seen), -1, np.int32)
        numbers[[seen[word] for word in vocabulary]] = np.arange(len(vocabulary))
        text = numbers[coded]
        is_known = text >= 0
        places = np.repeat(np.arange(len(lines), dtype=np.int32), lengths)[is_known]
        frequencies = np.array([counts[word] for word in vocabulary], np.float64)
        known = text[is_known]
        self.interrupted = False
        with (
            ThreadShare(self.workers).taken(),
            ProgressReport(self.epochs, len(known), progress) as report,
            interrupts_to(self._stop) as interrupts,
            interrupts.let_through(),
        ):
            self._train(known, places, frequencies, report)
        table = self.network.contexts.weight.numpy()[: len(vocabulary)]
        self.wv = WordVectors(vocabulary, table)
        return self

    def _stop(self, reason: str) -> None:
        self.interrupted = True

    def _train(
        self, text: Array, sentences: Array, frequencies: Array, report: ProgressReport
    ) -> None:
        words = len(frequencies)
        self.network, self.losses = self._new_network(words), []
        optimizer = SGD(self.network.parameters(), lr=self.alpha)
        kept = kept_shares(frequencies, self.sample)
        chances = frequencies**self.ns_exponent
        noise = AliasTable(chances)
        batch = self._batch(frequencies * kept, chances)
        steps: dict[int, NativeStep] = {}  # by the number of contexts
        block: StateBlock | None = None
        for epoch in range(self.epochs):
            random = _random(self.seed, 1 + epoch)
            total, positions, began = 0.0, 0, time.monotonic()
            for chunk in examples(
                text, sentences, kept, noise, self.window, self.negative, random, batch
            ):
                width = chunk.contexts.shape[1]
                if width not in steps:
                    graph = self._step(optimizer, batch, width)
                    block = block or StateBlock([*optimizer.params, *graph.reads])
                    steps[width] = NativeStep(graph, block, [1.0])
                progress = (epoch + chunk.places / len(text)) / self.epochs
                rates = self.alpha + (self.min_alpha - self.alpha) * progress
                loss, done = self._run(steps[width], chunk, rates[::batch], batch)
                total, positions = total + loss, positions + done
                report.step(epoch + 1, int(chunk.places[-1]), total / max(positions, 1))
                if self.interrupted:
                    break
            self.losses.append(total / max(positions, 1))
            if self.interrupted:
                report.say(f"interrupted in epoch {epoch + 1}")
                return
            seconds = time.monotonic() - began
            report.epoch({"epoch": epoch + 1, "loss": self.losses[-1], "seconds": seconds})

    def _batch(self, frequencies: Array, chances: Array) -> int:
        """How many positions a batch has: a power of 2, so many that no vector goes too far.

        Args:
            frequencies: how often each word stands at a position.
            chances: of being drawn at random.
        """
        shares = frequencies / frequencies.sum() + self.negative * chances / chances.sum()
        uses = shares.max() * (self.window + 1 if self.sg else 1)
        most = min(max(_LONGEST_STEP / (self.alpha * uses), 1.0), _LARGEST_BATCH)
        return 1 << (int(most).bit_length() - 1)

    def _new_network(self, words: int) -> NegativeSampling:
        """A network whose contexts begin uniform in +-1 / (2 D)."""
        network = NegativeSampling(words, self.vector_size, averages=not self.sg)
        random = _random(self.seed, 0)
        bound = 0.5 / self.vector_size
        first = random.uniform(-bound, bound, (words + 1, self.vector_size))
        first[words] = 0
        network.contexts.weight.assign(first.astype(np.float32))
        return network

    def _step(self, optimizer: SGD, batch: int, width: int) -> CapturedGraph:
        """A step on a batch of so many positions, of so many contexts each."""

        def train(contexts: Tensor, words: Tensor) -> Tensor:
            loss = self.network.loss(contexts, words)
            grads = backprop(loss, optimizer.params)
            optimizer.update([grads.get(p.node()) for p in optimizer.params])
            return loss

        return capture(
            train,
            placeholder((batch, width), np.int64),
            placeholder((batch, 1 + self.negative), np.int64),
        )

    def _run(
        self, step: NativeStep, chunk: Examples, rates: Array, batch: int
    ) -> tuple[float, int]:
        """Train on the batches of a chunk with these learning rates, until the end or Ctrl-C.

        Returns:
            The sum of the losses, and of how many positions.
        """
        step.bind([chunk.contexts, chunk.words])
        assert len(step.scalars) == 1, "the learning rate"
        order, done, total = np.arange(len(chunk.words)), 0, 0.0
        steps = len(rates)
        while done < steps and not self.interrupted:
            scalars = np.ascontiguousarray(rates[done:, None], np.float64)
            run = step.run(order, done, steps - done, scalars, seconds=0.1)
            if run.status != "ok":
                raise NonFiniteError(
                    f"the loss of word2vec became infinite, in {run.label}: take an alpha below "
                    f"{self.alpha}"
                )
            done += run.steps
            total += float(run.totals[0])
        return total, min(done * batch, len(chunk.places))


def _random(seed: int, number: int) -> np.random.Generator:
    """What draws in one epoch, or before the first."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, number], np.uint64)))


def _checked_sentences(sentences: Iterable[Sequence[str]]) -> list[Sequence[str]]:
    if not isinstance(sentences, Iterable):
        raise TypeError(f"sentences are lists of words, got {checks.described(sentences)}")
    lines = [*sentences]
    for kind in {*map(type, lines)} - {list, tuple}:
        if issubclass(kind, str) or not issubclass(kind, Sequence):
            wrong = next(line for line in lines if type(line) is kind)
            raise TypeError(
                f"a sentence is a list of words, got {wrong!r:.80}: split it, as by "
                "text.WordTokenizer or str.split"
            )
    return lines
