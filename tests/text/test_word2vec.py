"""word2vec: its draws, its gradient, the vectors that it finds; files of vectors."""

import signal

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, text
from chainrule.execute.native import NativeStep
from chainrule.text.sampling import AliasTable, examples, kept_shares


def generator(seed=0):
    return np.random.Generator(np.random.Philox(key=seed))


# What is drawn


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0, 3.0], [5.0, 1.0, 1.0, 0.5, 2.5], [1.0] * 7])
def test_the_alias_table_has_the_probabilities(weights):
    table = AliasTable(np.array(weights))
    shares = table.own.copy()
    for number, other in enumerate(table.alias):
        shares[other] += 1 - table.own[number]
    np.testing.assert_allclose(shares / len(weights), np.array(weights) / sum(weights), atol=1e-14)
    drawn = table.draw(generator(), (40_000,))
    found = np.bincount(drawn, minlength=len(weights)) / 40_000
    np.testing.assert_allclose(found, np.array(weights) / sum(weights), atol=0.01)


def test_frequent_words_are_kept_more_rarely():
    counts = np.array([900.0, 90.0, 10.0])
    share = 0.05 / (counts / 1000)
    np.testing.assert_allclose(kept_shares(counts, 0.05), np.minimum(np.sqrt(share) + share, 1))
    assert kept_shares(counts, 0).tolist() == [1, 1, 1]


def one_by_one(parts, padding):
    """(place, contexts, words) of each position."""
    return sorted(
        (place, [int(word) for word in contexts if word != padding], words)
        for part in parts
        for place, contexts, words in zip(
            part.places, part.contexts, part.words.tolist(), strict=False
        )
    )


@pytest.mark.parametrize("window", [1, 3, 200])
def test_windows_stay_in_their_sentences(window):
    sentences = np.array([0, 0, 0, 0, 2, 2, 5])
    words = np.arange(7, dtype=np.int32)
    noise = AliasTable(np.ones(7))
    seen = {i: set() for i in range(7)}
    for seed in range(40 if window < 9 else 400):
        parts = [*examples(words, sentences, np.ones(7), noise, window, 2, generator(seed))]
        found = one_by_one(parts, 7)
        assert [place for place, _, _ in found] == list(range(6))  # the last has no contexts
        for position, near, drawn in found:
            assert drawn[0] == position and len(drawn) == 3
            reach = max(abs(word - position) for word in near)
            assert near == [
                word
                for word in range(7)
                if sentences[word] == sentences[position] and 0 < abs(word - position) <= reach
            ]
            seen[position] |= {*near}
    for position in range(7):
        assert seen[position] == {
            word
            for word in range(7)
            if sentences[word] == sentences[position] and 0 < abs(word - position) <= window
        }


def test_words_that_are_left_out_leave_no_gap():
    words = np.tile(np.array([0, 1], np.int32), 500)
    kept = np.array([0.0, 1.0])
    noise = AliasTable(np.ones(2))
    found = one_by_one(examples(words, np.zeros(1000, int), kept, noise, 2, 1, generator()), 2)
    assert [place for place, _, _ in found] == list(range(1, 1000, 2))
    for _, near, _ in found[2:-2]:
        assert near in ([1] * 2, [1] * 4)  # a window of 1 or 2


def test_positions_come_by_width_and_in_whole_batches():
    words = np.tile(np.arange(5, dtype=np.int32), 40)
    sentences = np.repeat(np.arange(80), np.tile([1, 2, 3, 4], 20))
    noise = AliasTable(np.ones(5))
    given = words, sentences, np.ones(5), noise, 3, 2

    alone, parts = ([*examples(*given, generator(), batch)] for batch in (1, 32))
    assert [part.contexts.shape[1] for part in parts] == [1, 2, 3]
    assert all((part.contexts != 5).any(1).all() for part in alone)
    assert one_by_one(parts, 5) == one_by_one(alone, 5)
    assert len(one_by_one(parts, 5)) == 180  # of 200, without sentences of one word
    for part in parts:
        assert len(part.contexts) == len(part.words) == -(-len(part.places) // 32) * 32
        assert (part.contexts[len(part.places) :] == 5).all()


# The network


@pytest.mark.parametrize("averages", [False, True])
def test_the_loss_is_the_formula(averages):
    random = np.random.default_rng(0)
    network = text.NegativeSampling(5, 4, averages=averages)
    W, C = random.standard_normal((6, 4)), random.standard_normal((5, 4))
    network.contexts.weight.assign(W.astype("f"))
    network.centres.weight.assign(C.astype("f"))
    contexts = np.array([[0, 4, 5], [5, 5, 5], [2, 2, 1]])
    words = np.array([[1, 3, 1], [0, 1, 2], [4, 0, 0]])  # the first draws its own word once
    wanted = 0.0
    for context, (word, *others) in zip(contexts, words, strict=True):
        there = [W[i] for i in context if i != 5]
        for x in [np.mean(there, axis=0)] if averages and there else there:
            wanted += np.log1p(np.exp(-x @ C[word]))
            wanted += sum(np.log1p(np.exp(x @ C[other])) for other in others if other != word)
    loss = network.loss(cr.tensor(contexts), cr.tensor(words))
    assert loss.item() == pytest.approx(wanted, rel=1e-5)
    loss.backward()
    assert not network.contexts.weight.grad.numpy()[5].any()


def two_topics(count=400, seed=0):
    """Sentences about the one or the other half of 12 words."""
    random = np.random.default_rng(seed)
    names = [f"word{i}" for i in range(12)]
    return [
        [names[i + 6 * (number % 2)] for i in random.integers(0, 6, 8)] for number in range(count)
    ]


@pytest.mark.parametrize("sg", [0, 1])
def test_words_of_one_topic_are_near_each_other(sg, monkeypatch):
    model = text.Word2Vec(
        vector_size=10, sg=sg, min_count=1, sample=0, epochs=10, alpha=0.05, workers=1
    ).fit(two_topics())
    assert model.losses[-1] < 0.9 * model.losses[0] and len(model.losses) == 10
    for word in model.wv.vocabulary:
        topic = int(word[4:]) // 6
        near = [other for other, _ in model.wv.most_similar(word, topn=5)]
        assert all(int(other[4:]) // 6 == topic for other in near)
    again = text.Word2Vec(
        vector_size=10, sg=sg, min_count=1, sample=0, epochs=10, alpha=0.05, workers=2
    ).fit(iter(two_topics()))
    np.testing.assert_array_equal(again.wv.vectors, model.wv.vectors)
    monkeypatch.setenv("CHAINRULE_NUM_THREADS", "3")
    assert cr.get_num_threads() == 3  # workers are no setting of the process
    other = text.Word2Vec(vector_size=10, sg=sg, min_count=1, epochs=1, seed=2).fit(two_topics())
    assert not np.array_equal(other.wv.vectors, model.wv.vectors)
    layer = nn.Embedding.from_pretrained(model.wv.vectors)
    np.testing.assert_array_equal(layer(np.array([3])).numpy()[0], model.wv.vectors[3])


@pytest.mark.parametrize("sg", [0, 1])
def test_the_loss_before_anything_is_learnt_is_that_of_even_chances(sg):
    """All products are 0: log 2 for a word and for each drawn one that is not that word."""
    model = text.Word2Vec(
        vector_size=4, sg=sg, min_count=1, sample=0, epochs=1, alpha=1e-12, min_alpha=0, negative=5
    ).fit([["a", "b"]])
    terms = 2 * model.losses[0] / np.log(2)  # of two positions
    assert terms == pytest.approx(round(terms), abs=1e-5)
    assert 2 <= round(terms) <= 12


def test_ctrl_c_ends_the_training_and_keeps_its_vectors(monkeypatch, capsys):
    run, runs = NativeStep.run, []

    def interrupted(*arguments, **keywords):
        runs.append(1)
        if len(runs) in at:
            signal.raise_signal(signal.SIGINT)
        return run(*arguments, **keywords)

    monkeypatch.setattr(NativeStep, "run", interrupted)
    at = ()
    whole = text.Word2Vec(vector_size=8, min_count=1, epochs=2).fit(two_topics(), progress=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert not whole.interrupted
    at, count = (len(runs) // 2 + 1,), len(runs)  # in the second epoch
    runs.clear()
    part = text.Word2Vec(vector_size=8, min_count=1, epochs=2).fit(two_topics(), progress=True)
    assert part.interrupted and len(runs) == count // 2 + 1
    assert capsys.readouterr().out.splitlines()[1:] == ["interrupted in epoch 2"]
    assert part.losses[0] == whole.losses[0] and len(part.losses) == 2
    assert not np.array_equal(part.wv.vectors, whole.wv.vectors)
    np.testing.assert_array_equal(part.wv.vectors, part.network.contexts.weight.numpy()[:-1])
    at = (1, 2)
    monkeypatch.setattr(text.Word2Vec, "_stop", lambda self, reason: None)
    runs.clear()
    with pytest.raises(KeyboardInterrupt):
        part.fit(two_topics())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: text.Word2Vec(sg=2), ValueError, "sg is 1"),
        (lambda: text.Word2Vec(window=0), ValueError, "window"),
        (lambda: text.Word2Vec(alpha=0), ValueError, "alpha"),
        (lambda: text.Word2Vec(workers=10**6), ValueError, "workers"),
        (lambda: text.Word2Vec(seed=-1), ValueError, "seed"),
        (lambda: text.Word2Vec(seed=2**64), ValueError, "seed"),
        (lambda: text.Word2Vec().fit("to be"), TypeError, "a sentence is a list of words"),
        (lambda: text.Word2Vec().fit(None), TypeError, "sentences are lists of words, got None"),
        (lambda: text.Word2Vec().fit([["to", "be"]]), ValueError, "0 of 2 words come 5 times"),
        (lambda: text.Word2Vec().fit([["a", "b"], ["c", None]] * 9), TypeError, "there is None"),
        (lambda: text.Word2Vec().fit([["a", "b"], ["c", float("nan")]]), TypeError, "is nan"),
        (lambda: text.Word2Vec().fit([["a", ["b"]]]), TypeError, "words are strings: .*unhashable"),
        (lambda: text.Word2Vec(sentences=[["a"]]), TypeError, r"'sentences'; here it is .*fit\("),
        (lambda: text.Word2Vec(size=3), TypeError, "'size'; here it is vector_size"),
        (lambda: text.Word2Vec().train([["a"]]), AttributeError, "'train'; fit"),
        (
            lambda: text.Word2Vec(min_count=1, alpha=1e30, epochs=30).fit(two_topics(40)),
            cr.NonFiniteError,
            "take an alpha below",
        ),
    ],
)
def test_what_can_not_be_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


# Vectors


WORDS = ["king", "queen", "man", "woman", "zero"]
VECTORS = np.array([[3, 1], [3, 2], [1, 1], [1, 2], [0, 0]], np.float32)


def test_neighbours_and_analogies():
    vectors = text.WordVectors(WORDS, VECTORS)
    assert len(vectors) == 5 and "man" in vectors and "dog" not in vectors
    assert vectors["queen"].tolist() == [3, 2]
    cosine = 5 / np.sqrt(13 * 5) * (7 / 5)
    assert vectors.similarity("queen", "woman") == pytest.approx(cosine, rel=1e-6)
    assert vectors.similarity("zero", "king") == 0
    units = VECTORS / np.maximum(np.linalg.norm(VECTORS, axis=1, keepdims=True), 1e-9)
    found = vectors.most_similar("king", topn=3)
    wanted = sorted(((float(u @ units[0]), w) for u, w in zip(units, WORDS, strict=True)))[::-1]
    assert [w for w, _ in found] == [w for _, w in wanted[1:4]]
    np.testing.assert_allclose([s for _, s in found], [s for s, _ in wanted[1:4]], rtol=1e-6)
    analogy = vectors.most_similar(positive=["king", "woman"], negative=["man"], topn=10)
    assert [w for w, _ in analogy] == ["queen", "zero"]
    assert vectors.most_similar(np.array([1.0, 2.0]), topn=1)[0][0] == "woman"
    for call, error in (
        (lambda: vectors["dog"], KeyError),
        (lambda: vectors.most_similar(), ValueError),
        (lambda: vectors.most_similar(["dog"]), KeyError),
        (lambda: vectors.most_similar(np.ones(3)), cr.ShapeError),
        (lambda: text.WordVectors(WORDS, VECTORS[1:]), cr.ShapeError),
        (lambda: vectors.vectors.fill(0), ValueError),
    ):
        with pytest.raises(error):
            call()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_vectors_come_back_from_files(tmp_path, dtype):
    table = np.random.default_rng(0).standard_normal((5, 3)).astype(dtype)
    words = ["a", "die", "größe", "naïve", "日本"]
    vectors = text.WordVectors(words, table)
    path = tmp_path / "vectors"
    vectors.save(path)
    again = text.WordVectors.load(path)
    assert again.vocabulary == vectors.vocabulary and again.vectors.dtype == dtype
    np.testing.assert_array_equal(again.vectors, table)
    for binary in (False, True):
        vectors.save_word2vec_format(path, binary=binary)
        again = text.WordVectors.load_word2vec_format(path, binary=binary)
        assert list(again.vocabulary) == words
        np.testing.assert_array_equal(again.vectors, table.astype("float32"))
        with pytest.raises(cr.FileError, match=f"read by binary={binary}"):
            text.WordVectors.load_word2vec_format(path, binary=not binary)
    with pytest.raises(ValueError, match="white space"):
        text.WordVectors(["a b"], table[:1]).save_word2vec_format(path)


def test_the_format_is_word2vecs(tmp_path):
    vectors = text.WordVectors(["to", "be"], np.array([[1.0, -0.5], [0.1, 2e-8]], np.float32))
    vectors.save_word2vec_format(tmp_path / "text")
    assert (tmp_path / "text").read_bytes() == b"2 2\nto 1.0 -0.5\nbe 0.1 2e-08\n"
    vectors.save_word2vec_format(tmp_path / "binary", binary=True)
    numbers = vectors.vectors.astype("<f4")
    wanted = b"2 2\nto " + numbers[0].tobytes() + b"\nbe " + numbers[1].tobytes() + b"\n"
    assert (tmp_path / "binary").read_bytes() == wanted
    # The original program ends a line of text with a space.
    (tmp_path / "text").write_bytes(b"2 2\nto 1 -0.5 \nbe 0.1 2e-8 \n")
    again = text.WordVectors.load_word2vec_format(tmp_path / "text")
    np.testing.assert_array_equal(again.vectors, vectors.vectors)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"2\n",
        b"2 2\nto 1 2\n",
        b"1 2\nto 1\n",
        b"1 2\nto 1 x\n",
        b"9999999999 99999\n",
        b"-1 2\n",
        b"1 1\n\xff 1\n",
    ],
)
@pytest.mark.parametrize("binary", [False, True])
def test_damaged_files_are_refused(tmp_path, content, binary):
    path = tmp_path / "vectors"
    path.write_bytes(content)
    with pytest.raises(
        cr.FileError, match=r"cannot be read as a (text|binary) file of word vectors"
    ):
        text.WordVectors.load_word2vec_format(path, binary=binary)
    with pytest.raises(FileNotFoundError):
        text.WordVectors.load_word2vec_format(tmp_path / "none", binary=binary)
    cr.save(nn.ReLU(), path)
    with pytest.raises(cr.FileError, match="holds no word vectors"):
        text.WordVectors.load(path)


def test_a_file_of_vectors_is_no_model(tmp_path):
    path = tmp_path / "vectors.safetensors"
    text.WordVectors(["a", "b"], np.eye(2)).save(path)
    for read in (cr.load, cr.Predictor, lambda path: cr.load(path, nn.Linear(2, 2))):
        with pytest.raises(cr.FileError, match=r"not a model: chainrule.text.WordVectors.load"):
            read(path)


def test_large_seeds_differ():
    vectors = [
        text.Word2Vec(vector_size=4, min_count=1, epochs=1, seed=seed)
        .fit(two_topics(40))
        .wv.vectors
        for seed in (2**63, 2**63 + 1, 2**64 - 1)
    ]
    assert not any(np.array_equal(vectors[i], vectors[i - 1]) for i in range(3))
