"""Vocabularies and tokenizers: numbers of words, back to text, and with a model in its file."""

import copy
import pickle
from collections import Counter

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim, text

LINES = ["The cat sat; the cat didn't.", "", "A dog — the dog — sat!"]


def test_numbers_go_by_frequency_then_by_the_alphabet():
    words = ["b", "a", "c", "a", "b", "d"]
    assert list(text.Vocabulary.from_words(words)) == ["a", "b", "c", "d"]
    assert list(text.Vocabulary.from_words(words, min_count=2)) == ["a", "b"]
    assert list(text.Vocabulary.from_words(words, special=["b"])) == ["b", "a", "c", "d"]
    assert list(text.Vocabulary.from_words(words, unknown="a")) == ["a", "b", "c", "d"]
    limited = text.Vocabulary.from_words(
        words, max_size=4, special=["<pad>", "d"], unknown="<unk>", min_count=1
    )
    assert list(limited) == ["<pad>", "d", "<unk>", "a"]
    assert limited.number("b") == 2 and limited.number("d") == 1 and "b" not in limited
    assert repr(limited) == "Vocabulary(4 words: '<pad>', 'd', '<unk>', 'a')"
    assert limited == text.Vocabulary(["<pad>", "d", "<unk>", "a"], "<unk>")
    assert hash(limited) == hash(text.Vocabulary(list(limited), "<unk>"))
    assert limited != text.Vocabulary(list(limited))
    assert limited != ["<pad>", "d", "<unk>", "a"]
    assert list(text.Vocabulary.from_words(Counter(words))) == ["a", "b", "c", "d"]
    counted = Counter({"a": 1, "b": 3, "c": 2})
    assert list(text.Vocabulary.from_words(counted, min_count=2)) == ["b", "c"]
    assert list(text.Vocabulary.from_words(dict(counted), min_count=2)) == ["b", "c"]
    with pytest.raises(TypeError, match="words are strings"):
        text.Vocabulary.from_words(Counter([1, 2]))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: text.Vocabulary("abc"), TypeError, "list of strings"),
        (lambda: text.Vocabulary(["a", 1]), TypeError, "there is 1"),
        (lambda: text.Vocabulary(["a", "b", "a"]), ValueError, "'a' comes twice"),
        (lambda: text.Vocabulary(["a"], "b"), ValueError, "unknown is one"),
        (lambda: text.Vocabulary(["a"]).number("b"), ValueError, "'b' is not among the 1"),
        (lambda: text.Vocabulary(["a"])[1], IndexError, "word 1 of a vocabulary of 1"),
        (lambda: text.Vocabulary(["a"])[-1], IndexError, "word -1"),
        (lambda: text.Vocabulary.from_words(["a"], min_count=0), ValueError, "min_count"),
        (
            lambda: text.Vocabulary.from_words([], max_size=1, special=["a", "b"]),
            ValueError,
            "2 special words",
        ),
        (lambda: text.CharTokenizer(["a"]), TypeError, r"is a Vocabulary.*CharTokenizer\.fit"),
        (lambda: text.CharTokenizer(text.Vocabulary(["a"]), ["b"]), ValueError, "not in the"),
        (lambda: text.CharTokenizer.fit("ab").encode(1), TypeError, "takes a text"),
        (lambda: text.CharTokenizer.fit("ab").encode("abc"), ValueError, "unknown='<unk>'"),
        (lambda: text.CharTokenizer.fit("ab").decode([0.5]), TypeError, "whole numbers"),
        (lambda: text.CharTokenizer.fit("ab").decode([[0]]), ValueError, "1-d"),
        (lambda: text.CharTokenizer.fit("ab").decode([2]), IndexError, "word 2"),
        (lambda: text.WordTokenizer.fit("ab", lowercase=1), TypeError, "lowercase is True or"),
        (lambda: text.Tokenizer.from_dict({"class": "Other"}), ValueError, "Other is none of"),
        (
            lambda: text.Tokenizer.from_dict(
                {"class": "CharTokenizer", "words": 3, "unknown": None}
            ),
            ValueError,
            "no tokenizer",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_every_text_comes_back_character_by_character():
    tokenizer = text.CharTokenizer.fit(LINES, special=["<end>"])
    for line in LINES:
        numbers = tokenizer.encode(line)
        assert numbers.dtype == np.int64 and numbers.shape == (len(line),)
        assert tokenizer.decode(numbers) == line
    end = tokenizer.vocabulary.number("<end>")
    assert tokenizer.decode([end, *tokenizer.encode("cat")]) == "<end>cat"
    assert tokenizer.decode(cr.tensor([end, end]), skip_special=True) == ""
    assert "<" not in tokenizer.vocabulary  # a special token does not come from text


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, ["The", "cat", "sat", ";", "the", "cat", "didn't", "."]),
        ({"lowercase": True}, ["the", "cat", "sat", ";", "the", "cat", "didn't", "."]),
        ({"punctuation": False}, ["The", "cat", "sat", "the", "cat", "didn't"]),
    ],
    ids=str,
)
def test_words(options, wanted):
    tokenizer = text.WordTokenizer.fit(LINES, **options)
    assert tokenizer.split(LINES[0]) == wanted
    assert tokenizer.decode(tokenizer.encode(LINES[0])) == " ".join(wanted)
    assert ("—" in tokenizer.vocabulary) == options.get("punctuation", True)
    assert tokenizer.encode("").shape == (0,)
    again = text.Tokenizer.from_dict(tokenizer.to_dict())
    assert again == tokenizer and hash(again) == hash(tokenizer)
    assert again.encode(LINES[2]).tolist() == tokenizer.encode(LINES[2]).tolist()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("हिन्दी में है।", ["हिन्दी", "में", "है", "।"]),
        ("தமிழ் மொழி", ["தமிழ்", "மொழி"]),
        ("שָׁלוֹם, עולם", ["שָׁלוֹם", ",", "עולם"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        (
            "cafe\u0301's a\u0300-co\u0302te\u0301",
            ["cafe\u0301's", "a\u0300", "-", "co\u0302te\u0301"],
        ),
        ("İSTANBUL'DA", ["i\u0307stanbul'da"]),
        ("a \u2764\ufe0f b \u0301", ["a", "\u2764\ufe0f", "b", "\u0301"]),
        ("\U0001d165\U0001d166x ऄ\U000e0101b", ["\U0001d165\U0001d166", "x", "ऄ\U000e0101b"]),
    ],
)
def test_combining_marks_belong_to_what_they_stand_on(line, wanted):
    tokenizer = text.WordTokenizer.fit(line, lowercase=True)
    assert tokenizer.split(line) == wanted
    words = [word for word in wanted if word[0].isalnum()]
    assert text.WordTokenizer.fit(line, lowercase=True, punctuation=False).split(line) == words
    again = text.Tokenizer.from_dict(tokenizer.to_dict())
    assert again.decode(again.encode(line)) == " ".join(wanted)


@pytest.mark.parametrize("kind", [text.CharTokenizer, text.WordTokenizer])
def test_names_of_other_tokenizers_are_told(kind):
    tokenizer = copy.deepcopy(pickle.loads(pickle.dumps(kind.fit("to be"))))
    with pytest.raises(AttributeError, match=r"'vocab_size'; here it is len\(tokenizer\.vocab"):
        tokenizer.vocab_size  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'other'$"):
        tokenizer.other  # noqa: B018


@pytest.mark.parametrize("kind", [text.CharTokenizer, text.WordTokenizer])
def test_a_tokenizer_is_saved_with_its_model(tmp_path, kind):
    tokenizer = kind.fit(LINES, special=["<pad>"], unknown="<unk>", min_count=2)
    model = nn.Sequential(nn.Embedding(len(tokenizer.vocabulary), 4), nn.Flatten(), nn.Linear(8, 2))
    path = tmp_path / "model.safetensors"
    metadata = {"tokenizer": tokenizer.to_dict()}
    cr.save(model, path, metadata=metadata)
    assert text.read_tokenizer(path) == tokenizer
    trainer = cr.Trainer(
        model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), metadata=metadata
    )
    trainer.fit(tokenizer.encode(LINES[0])[:6].reshape(3, 2), [0, 1, 0], epochs=1)
    trainer.save(path)
    again, loaded = text.read_tokenizer(path), cr.load(path)
    assert again == tokenizer
    x = again.encode(LINES[2])[:2][None]
    np.testing.assert_array_equal(loaded(x).numpy(), model.eval()(x).numpy())
    with pytest.raises(cr.FileError, match="hold no 'words', but tokenizer"):
        text.read_tokenizer(path, "words")
    cr.save(model, path, metadata={"tokenizer": {"class": "CharTokenizer"}})
    with pytest.raises(cr.FileError, match="its tokenizer is damaged"):
        text.read_tokenizer(path)


class Dashes(text.Tokenizer):
    joint = "-"

    def split(self, text):
        return text.split("-")

    def options(self):
        return {}


CharTokenizerOfMine = type("CharTokenizer", (text.CharTokenizer,), {"__module__": "mine"})


@pytest.mark.parametrize("kind", [Dashes, CharTokenizerOfMine])
def test_a_tokenizer_of_ones_own_is_named_where_it_can_not_be_made(kind, tmp_path):
    tokenizer = kind.fit("a-b")
    name = f"{kind.__module__}.{kind.__qualname__}"
    words = rf"{name} is none of the library's.*call your class on text.Vocabulary\(data\['words'"
    with pytest.raises(ValueError, match=words):
        text.Tokenizer.from_dict(tokenizer.to_dict())
    path = tmp_path / "model.safetensors"
    cr.save(nn.Linear(1, 1), path, metadata={"tokenizer": tokenizer.to_dict()})
    with pytest.raises(cr.FileError, match=f"can't be made: {name} is none"):
        text.read_tokenizer(path)
    data = cr.read_metadata(path)["tokenizer"]
    assert kind(text.Vocabulary(data["words"], data["unknown"])) == tokenizer


@pytest.mark.parametrize("key", ["class", "words", "unknown"])
def test_a_key_that_is_missing_is_named(key):
    data = text.CharTokenizer.fit("ab").to_dict()
    del data[key]
    with pytest.raises(ValueError, match=f"has no '{key}'"):
        text.Tokenizer.from_dict(data)


@pytest.mark.parametrize("given", [b"abc", [b"abc"], None, [None], [1, 2], 3])
@pytest.mark.parametrize("kind", [text.CharTokenizer, text.WordTokenizer])
def test_texts_are_strings(kind, given):
    with pytest.raises(TypeError, match="a text is a string; got"):
        kind.fit(given)


@pytest.mark.parametrize("index", [slice(0, 1), 1.0, "a", None])
def test_a_vocabulary_is_asked_for_one_number(index):
    with pytest.raises(TypeError, match="word of one whole number, got"):
        text.Vocabulary(["a", "b"])[index]


class Lowered(text.CharTokenizer):
    """Splits in its own way."""

    def split(self, text):
        return list(text.lower())


@pytest.mark.parametrize("kind", [text.CharTokenizer, Lowered])
@pytest.mark.parametrize("unknown", [None, "<unk>"])
def test_long_texts_have_the_numbers_of_their_parts(kind, unknown):
    part = "Ab b\n\0é😀\ud800 "
    tokenizer = kind.fit(part * 5000, special=["<pad>"], unknown=unknown)
    assert tokenizer == kind.fit([part] * 5000, special=["<pad>"], unknown=unknown)
    numbers = tokenizer.encode(part * 5000)
    np.testing.assert_array_equal(numbers, np.tile(tokenizer.encode(part), 5000), strict=True)
    assert tokenizer.decode(numbers) == "".join(tokenizer.split(part)) * 5000
    odd = part * 5000 + "?!" + part
    if unknown is None:
        with pytest.raises(ValueError, match=r"the word '\?' is not among"):
            tokenizer.encode(odd)
    else:
        expected = np.concatenate([tokenizer.encode(x) for x in (part * 5000, "?!", part)])
        np.testing.assert_array_equal(tokenizer.encode(odd), expected)
    assert tokenizer.decode([0, *numbers[:3], 0], skip_special=True) == "".join(
        tokenizer.split("Ab ")
    )


@pytest.mark.parametrize("number", [-1, 3, 2**63])
def test_a_number_that_no_word_has_is_named(number):
    tokenizer = text.CharTokenizer.fit("abc")
    with pytest.raises(IndexError, match=f"word {number} of a vocabulary of 3 words"):
        tokenizer.decode(np.array([0, number, 1], np.uint64 if number > 9 else np.int64))
