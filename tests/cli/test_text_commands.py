"""Text on the command line: `--model gpt`, `generate`, `--model word2vec`, `neighbours`."""

import math
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from quick_training import QUICK

import chainrule as cr
from chainrule import text
from chainrule.cli import main
from chainrule.nn import functional
from chainrule.train import model_file
from chainrule.train.model_file import read

RHYME = "the cat sat on the mat.\na dog sat by the log.\n"
SMALL = ["--model", "gpt", "--layers", 1, "--heads", 2, "--width", 16, "--context", 8]


@pytest.fixture
def rhymes(tmp_path):
    path = tmp_path / "rhymes.txt"
    path.write_text(RHYME * 30)
    return path


def numbers(output, label):
    found = re.search(rf"^{label} +loss ([\d.]+)  perplexity ([\d.]+)", output, re.MULTILINE)
    return float(found[1]), float(found[2])


def test_a_text_is_learnt_and_written(run, rhymes):
    options = ["--lr", 0.01, "--steps", 300, "--out", "m", "--history", "h.csv"]
    found = run("train", rhymes, *SMALL, *options).stdout
    assert "17 different characters, 1,242 to train on, 138 to validate" in found
    assert "GPT of 1 layer, 2 heads, width 16, context 8: 3,520 parameters" in found
    assert re.search(r"^options .*, batch \d+ × 8, 300 steps, seed 0$", found, re.MULTILINE)
    assert "epoch 2/2" in found
    loss, perplexity = numbers(found, "validation")
    assert loss < 0.6 and perplexity == pytest.approx(math.exp(loss), rel=1e-3)
    assert len(Path("h.csv").read_text().splitlines()) == 3
    assert "17 different characters" in run("info", "m").stdout
    written = run("generate", "m", "--prompt", "the ", "--tokens", 60, "--temperature", 0).stdout
    assert written.startswith("the ") and len(written) == 4 + 60 + 1
    assert " sat " in written and "the " in written[4:]
    # The same from Python, and the loss by hand.
    model, tokenizer = cr.load("m"), text.read_tokenizer("m")
    again = text.generate(model, tokenizer.encode("the "), 60, temperature=0)
    assert written == "the " + tokenizer.decode(again) + "\n"
    evaluated, _ = numbers(run("evaluate", "m", rhymes).stdout, "model")
    tokens = tokenizer.encode(rhymes.read_text())
    starts = range(0, len(tokens) - 8, 8)
    x, y = (np.stack([tokens[i + k : i + k + 8] for i in starts]) for k in (0, 1))
    wanted = functional.cross_entropy(model(x).reshape(-1, 17), cr.tensor(y.reshape(-1)))
    assert evaluated == pytest.approx(wanted.item(), abs=2e-4)


def test_what_is_drawn_goes_by_the_seed(run, rhymes):
    for name in "ab":
        run("train", rhymes, *SMALL, "--steps", 3, "--out", name)
    a, b = (read(name)[0] for name in "ab")
    assert all(np.array_equal(a[name], b[name]) for name in a)
    one, same, other = (
        run("generate", "a", "--tokens", 40, "--seed", seed).stdout for seed in (1, 1, 2)
    )
    assert one == same != other
    assert len(one) == 41
    few = run("generate", "a", "--tokens", 40, "--top-k", 1, "--temperature", 5).stdout
    assert few == run("generate", "a", "--tokens", 40, "--temperature", 0).stdout


def test_a_training_on_text_resumes_to_the_same_bits(run, fails, rhymes, monkeypatch):
    from chainrule.cli import text_training

    monkeypatch.setattr(text_training, "_EPOCH", 4)
    command = ["train", rhymes, *SMALL, "--steps", 10]
    run(*command, "--out", "whole")
    assert read("whole")[1]["training"]["step"] == 10
    trained = text_training.Trainer.fit

    def stopped(self, x, **options):
        options["epochs"] = 1
        return trained(self, x, **options)

    command += ["--checkpoint", "c", "--resume"]
    with monkeypatch.context() as patch:
        patch.setattr(text_training.Trainer, "fit", stopped)
        run(*command)
    assert "resuming from c, after 1 epochs" in run(*command, "--out", "m").stdout
    a, b = read("whole")[0], read("m")[0]
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert "--steps 10, this is 11" in fails(*command, "--steps", 11)
    rhymes.write_text(RHYME * 31)
    assert "other data" in fails(*command)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_saves_the_model_of_text(start, run, rhymes):
    process = start("train", rhymes, *SMALL, "--steps", 10**6, "--out", "m")
    for line in process.stdout:
        if line.startswith("epoch "):
            break
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate()
    assert process.returncode == 130
    assert errors == ""
    assert "the model trained so far: m" in output
    assert run("generate", "m", "--tokens", 5).stdout


def test_what_is_refused_of_texts(run, fails, tmp_path, rhymes, flowers):
    (tmp_path / "short.txt").write_text(RHYME)
    text = fails("train", "short.txt", "--model", "gpt")
    assert "has 46 characters, 41 of them to train on: fewer than the 64 of a context" in text
    assert "0 of them to validate" in fails(
        "train", "short.txt", *SMALL, "--validation-fraction", 0.001
    )
    run("train", "short.txt", *SMALL, "--validation-fraction", 0, "--steps", 2)
    (tmp_path / "same.txt").write_text("a" * 500)
    assert "the one character 'a'" in fails("train", "same.txt", *SMALL)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 " * 40)
    assert "is not in UTF-8" in fails("train", "latin.txt", *SMALL)
    assert "digits is no text" in fails("train", "digits", *SMALL)
    assert "standard input (-) is read as a table" in fails("train", "-", *SMALL)
    assert "--heads 3 must divide --width 16" in fails(
        "train", rhymes, *SMALL, "--heads", 3, code=2
    )
    for option in (["--momentum", 0], ["--optimizer", "sgd"], ["--patience", 1]):
        assert f"{option[0]} is an option of --model mlp and cnn; this trains --model gpt" in fails(
            "train", rhymes, *SMALL, *option, code=2
        )
    for option in (["--hidden", 8], ["--target", "x"], ["--task", "regression"], ["--header"],
                   ["--size", 8], ["--grayscale"], ["--data", tmp_path]):  # fmt: skip
        assert f"{option[0]} is an option of --model realmlp, mlp and cnn; this" in fails(
            "train", rhymes, *SMALL, *option, code=2
        )
    assert "--epochs is an option of --model realmlp, mlp, cnn and word2vec; this" in fails(
        "train", rhymes, *SMALL, "--epochs", 3, code=2
    )
    assert "--steps is an option of --model gpt" in fails("train", rhymes, "--steps", 3, code=2)
    run("train", rhymes, *SMALL, "--steps", 2, "--out", "m")
    assert "has not seen: '#', 'é'. It knows" in fails("generate", "m", "--prompt", "é#")
    assert "--prompt is empty" in fails("generate", "m", "--prompt", "")
    assert "is a model of text, which writes: chainrule generate m" in fails("predict", "m", rhymes)
    (tmp_path / "other.txt").write_text("QQQ" * 50)
    assert "other.txt has characters that the model has not seen: 'Q'" in fails(
        "evaluate", "m", "other.txt"
    )
    for option in (["--data", tmp_path], ["--part", "test"], ["--header"]):
        assert f"{option[0]} is for rows" in fails("evaluate", "m", rhymes, *option)
    for data, said in (("digits", "digits is no text"), ("-", "standard input (-) is read as a")):
        assert said in fails("evaluate", "m", data)
    (tmp_path / "few.txt").write_text("a cat")
    assert "few.txt has 5 characters" in fails("evaluate", "m", "few.txt")
    run("train", flowers, *QUICK, "--out", "table")
    assert "table holds no model of text" in fails("generate", "table")


def test_files_that_were_changed(run, fails, rhymes):
    run("train", rhymes, *SMALL, "--steps", 2, "--out", "m")
    tensors, description = read("m")
    description.pop("format")
    good = description["metadata"]
    for wrong in ({"class": "no"}, {**good["tokenizer"], "words": ["a"]}, None, [[]], 7):
        metadata = {**good, "tokenizer": wrong}
        model_file.write("bad", tensors, {**description, "metadata": metadata})
        assert "its tokenizer" in fails("generate", "bad")
    for wrong in ([[]], 7, {"task": "text"}, {**good, "data": []}, {**good, "task": ["text"]}):
        model_file.write("bad", tensors, {**description, "metadata": wrong})
        for command in (["generate", "bad"], ["info", "bad"], ["evaluate", "bad", rhymes]):
            result = CliRunner().invoke(main, [*map(str, command)])
            assert type(result.exception) in (type(None), SystemExit), (wrong, result.exc_info)
            assert result.exit_code in (0, 1)
    for wrong in (
        None,
        {"words": 3},
        {"words": ["a"], "unknown": None},
        {"words": [], "unknown": 0},
    ):
        model_file.write("bad", {"vectors": np.zeros((2, 3), "f")}, {"word_vectors": wrong})
        assert "holds no word vectors" in fails("neighbours", "bad", "a")


@pytest.fixture
def animals(tmp_path):
    """Sentences in which cats and dogs have the same neighbours, and kings others."""
    path = tmp_path / "animals.txt"
    lines = ["Two cats sleep, here!", "two dogs sleep here", "old kings rule there"]
    path.write_text("\n".join(lines * 100))
    return path


def test_vectors_of_words(run, animals):
    command = ["train", animals, "--model", "word2vec", "--vector-size", 8, "--lr", 0.1]
    found = run(*command, "--epochs", 9, "--out", "w").stdout
    assert "1,200 words" in found and "skip-gram, vectors of 8, window 5" in found
    assert "the vectors: w" in found
    vectors = text.WordVectors.load("w")
    assert sorted(vectors.vocabulary) == [
        "cats", "dogs", "here", "kings", "old", "rule", "sleep", "there", "two"
    ]  # fmt: skip
    lines = run("neighbours", "w", "cats", "--count", 1).stdout.split()
    ((word, similarity),) = vectors.most_similar("cats", topn=1)
    assert lines[-2:] == [word, f"{similarity:.4f}"]
    shown = run("neighbours", "w", "cats", "kings", "--minus", "dogs", "--count", 3).stdout
    for word, similarity in vectors.most_similar(["cats", "kings"], "dogs", topn=3):
        assert re.search(rf"^{word} +{similarity:.4f}$", shown, re.MULTILINE)
    assert "of 9 words, 8 numbers each" in run("info", "w").stdout
    run(*command, "--epochs", 9, "--out", "again")
    assert np.array_equal(text.WordVectors.load("again").vectors, vectors.vectors)
    found = run(*command, "--cbow", "--epochs", 1, "--min-count", 200).stdout
    assert "CBOW" in found and "the vectors were not saved" in found


def test_what_is_refused_of_words(run, fails, animals):
    command = ["train", animals, "--model", "word2vec"]
    assert "--window is an option of --model word2vec" in fails(
        "train", animals, "--window", 3, code=2
    )
    for option in (["--steps", 3], ["--checkpoint", "c"], ["--batch-size", 2], ["--target", "x"]):
        assert "this trains --model word2vec. Leave it out" in fails(*command, *option, code=2)
    assert "9 different words, of which fewer than two reach --min-count 5000" in fails(
        *command, "--min-count", 5000
    )
    for form in ("w.txt", "w.bin"):
        assert "vectors are saved as safetensors" in fails(*command, "--out", form)
    assert "is read as a table, which it is not" in fails("train", animals)
    assert "give --model gpt or --model word2vec" in fails("train", animals)
    run(*command, "--vector-size", 4, "--epochs", 1, "--out", "w")
    assert "no vector of 'Cats'. Take 'cats'" in fails("neighbours", "w", "Cats")
    assert "no vector of 'wolf'. It was too rare" in fails(
        "neighbours", "w", "cats", "--minus", "wolf"
    )
    assert "chainrule neighbours w WORD" in fails("predict", "w", "digits")
    assert "chainrule neighbours w WORD" in fails("evaluate", "w", "digits")
    assert "holds no model of text" in fails("generate", "w")
    run("train", animals, *SMALL, "--steps", 2, "--out", "m")
    assert "m holds no vectors of words" in fails("neighbours", "m", "cats")


def test_ctrl_c_saves_the_vectors_trained_so_far(run, animals, monkeypatch):
    train = text.Word2Vec._run

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        return train(*arguments)

    monkeypatch.setattr(text.Word2Vec, "_run", interrupted)
    command = ["train", animals, "--model", "word2vec", "--vector-size", 4]
    result = run(*command, "--out", "w", code=130)
    assert "interrupted in epoch 1" in result.stdout
    assert "the vectors trained so far: w" in result.stdout
    assert len(text.WordVectors.load("w")) == 9
