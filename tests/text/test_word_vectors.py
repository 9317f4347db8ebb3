"""Files of word vectors with any words in them, and vectors in place of words."""

import copy
import gzip
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import text


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029", "\x1c", "\x0b", "\x0c"])
@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_only_a_line_feed_ends_a_line(tmp_path, end, line):
    path = tmp_path / "v.txt"
    path.write_bytes(line.join(["2 2", f"foo{end}bar 1 2", "b 3 4", ""]).encode())
    found = text.WordVectors.load_word2vec_format(path)
    assert list(found.vocabulary) == [f"foo{end}bar", "b"]
    assert found.vectors.tolist() == [[1, 2], [3, 4]]
    path.write_bytes(path.read_bytes().rstrip())  # without an end of the last line
    assert len(text.WordVectors.load_word2vec_format(path)) == 2


def test_of_words_that_come_twice_the_first_counts(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"4 2\na 1 2\nb 3 4\na 5 6\nc 7 8\n")
    with pytest.warns(UserWarning, match="words come again, as 'a'"):
        found = text.WordVectors.load_word2vec_format(path)
    assert list(found.vocabulary) == ["a", "b", "c"]
    assert found.vectors.tolist() == [[1, 2], [3, 4], [7, 8]]


def test_a_file_without_a_head(tmp_path):
    path = tmp_path / "glove.txt"
    for content in (b"the 1 2\nof 3 4\n", b"the 1 2\nof 3 4"):
        path.write_bytes(content)
        found = text.WordVectors.load_word2vec_format(path, no_header=True)
        assert list(found.vocabulary) == ["the", "of"]
        assert found.vectors.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="no_header is for text"):
        text.WordVectors.load_word2vec_format(path, binary=True, no_header=True)
    for content in (b"", b"the\n"):
        path.write_bytes(content)
        with pytest.raises(cr.FileError, match="its first line has no word"):
            text.WordVectors.load_word2vec_format(path, no_header=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"the 0.1 0.2\n", "no_header=True"),
        (b"1 2\na\t1\t2\n", r"has 0 numbers after spaces, not 2\."),
        (b"1 2\na 1 1e39\n", r"the word 'a' has a number beyond float32\."),
        (b"2 2\na 1 2\n", r"1 lines for 2 words\."),
    ],
)
def test_the_other_kind_is_named_only_where_it_may_be(tmp_path, content, said):
    path = tmp_path / "v.txt"
    path.write_bytes(content)
    with pytest.raises(cr.FileError, match=said) as raised:
        text.WordVectors.load_word2vec_format(path)
    assert "other kind" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"a 1 2\nb 3 4\n", b"2\n", b"1 2 3\n", b"\xff 2\n"])
def test_the_first_line_is_named(tmp_path, content):
    path = tmp_path / "v.txt"
    path.write_bytes(content)
    with pytest.raises(cr.FileError, match="its first line has to be two numbers"):
        text.WordVectors.load_word2vec_format(path)


def test_no_words_are_a_file_too(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"0 5\n")
    assert len(text.WordVectors.load_word2vec_format(path)) == 0


def test_a_vector_may_stand_for_a_word():
    vectors = text.WordVectors(["a", "b", "c"], [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    want = vectors.most_similar(vectors["a"])
    assert [word for word, _ in want] == ["a", "b", "c"]
    for given in (vectors["a"].tolist(), tuple(vectors["a"]), cr.tensor(vectors["a"]), [1, 0]):
        assert vectors.most_similar(given) == want
        assert vectors.most_similar([given]) == want
    assert vectors.most_similar(np.array(["a"])) == vectors.most_similar("a")


def test_the_vectors_of_several_words_are_a_matrix():
    vectors = text.WordVectors(["a", "b", "c"], [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    for several in (["c", "a"], ("c", "a"), np.array(["c", "a"])):
        np.testing.assert_array_equal(vectors[several], vectors.vectors[[2, 0]])
    assert vectors[[]].shape == (0, 2)
    with pytest.raises(KeyError, match="no vector of 'd'"):
        vectors[["a", "d"]]
    with pytest.raises(TypeError, match="by a word or several, not by 1"):
        vectors[1]


def test_what_is_no_word_and_no_vector():
    vectors = text.WordVectors(["a", "b", "c"], [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    for wrong in (5, [5], ["a", None], ["a", ("b", 2.0)], [["a", "b"]]):
        with pytest.raises((TypeError, cr.ShapeError), match=r"words and vectors|has shape \(2,\)"):
            vectors.most_similar(wrong)
    assert vectors.most_similar("a", topn=0) == []


def test_gensims_names_are_told():
    vectors = text.WordVectors(["a", "b", "c"], [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    for name, ours in {
        "index_to_key": r"list\(wv\.vocabulary\)",
        "get_vector": r"wv\[word\]",
    }.items():
        with pytest.raises(AttributeError, match=f"no attribute '{name}'; here it is {ours}"):
            getattr(vectors, name)
    with pytest.raises(AttributeError, match=r"no attribute 'other'$"):
        vectors.other  # noqa: B018
    again = pickle.loads(pickle.dumps(copy.deepcopy(vectors)))
    assert again.most_similar("a") == vectors.most_similar("a")


def test_the_model_says_where_its_vectors_are():
    with pytest.raises(AttributeError, match=r"wv\.most_similar"):
        text.Word2Vec().most_similar("a")


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"ns_exponent": 1000.0}, "ns_exponent is from -10 to 10, got 1000"),
        ({"ns_exponent": -11}, "ns_exponent is from"),
        ({"alpha": 0.01, "min_alpha": 1}, "min_alpha is at most alpha, 0.01; got 1"),
    ],
)
def test_numbers_of_word2vec_out_of_range_are_refused(keywords, words):
    with pytest.raises(ValueError, match=words):
        text.Word2Vec(**keywords)


@pytest.mark.parametrize("name", ["wv", "network"])
def test_nothing_is_there_before_training(name):
    model = text.Word2Vec()
    for one in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        with pytest.raises(AttributeError, match=rf"no {name} before training: call fit"):
            getattr(one, name)
        assert not hasattr(one, name)


@pytest.mark.parametrize("binary", [False, True])
def test_gzipped_files_of_vectors(tmp_path, binary):
    path, packed = tmp_path / "v.bin", tmp_path / "v.bin.gz"
    vectors = text.WordVectors(["a", "b"], np.float32([[1, 2], [3, 4]]))
    vectors.save_word2vec_format(path, binary)
    packed.write_bytes(gzip.compress(path.read_bytes()))
    found = text.WordVectors.load_word2vec_format(packed, binary)
    assert list(found.vocabulary) == ["a", "b"]
    np.testing.assert_array_equal(found.vectors, vectors.vectors)
    for content in (packed.read_bytes()[:-9], gzip.compress(bytes(1 << 26))):
        packed.write_bytes(content)
        with pytest.raises(cr.FileError, match=r"v\.bin\.gz"):
            text.WordVectors.load_word2vec_format(packed, binary)


@pytest.mark.parametrize("lost", [4, 6, 8])
def test_a_binary_file_that_ends_within_a_vector(tmp_path, lost):
    path = tmp_path / "v.bin"
    vectors = text.WordVectors(["long-word", "another"], np.float32([[1, 2], [3, 4]]))
    vectors.save_word2vec_format(path, binary=True)
    path.write_bytes(path.read_bytes().rstrip(b"\n")[:-lost])
    with pytest.raises(cr.FileError, match="the vector of 'another' is cut off"):
        text.WordVectors.load_word2vec_format(path, binary=True)
