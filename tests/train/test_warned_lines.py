"""Warnings name the line of the user's code, not one of the library."""

import inspect

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim, text

X = np.ones((8, 3), "f")


class Drawing(nn.Module):
    """Draws NumPy's numbers, and counts its calls."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 1)
        self.calls = 0

    def forward(self, x):
        self.calls = self.calls + 1
        return self.linear(x) * np.random.rand()


class Listing(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(3, 1)]


def trainer_of(model):
    return cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))


def fits(tmp_path):
    trainer_of(Drawing()).fit(X, X[:, :1], epochs=1, progress=False)


def fits_batches_of_all_sizes(tmp_path):
    batches = [(X[:1].repeat(n, 0), X[:1, :1].repeat(n, 0)) for n in range(1, 70)]
    trainer_of(nn.Linear(3, 1)).fit(batches, epochs=1, progress=False)


def compiles(tmp_path):
    function = cr.compile(lambda x: x * np.random.rand())
    function(cr.tensor(X))


def compiles_again_and_again(tmp_path):
    function = cr.compile(lambda x: x * 2)
    for rows in range(1, 200):
        function(cr.ones((rows, 1)))


def saves_a_list_of_layers(tmp_path):
    Listing().state_dict()


def loads_a_model_that_had_hooks(tmp_path):
    model = nn.Sequential(nn.Linear(3, 1))
    model.register_forward_hook(lambda module, given, output: output * 2)
    cr.save(model, tmp_path / "model.safetensors")
    cr.load(tmp_path / "model.safetensors")


def loads_words_that_come_again(tmp_path):
    (tmp_path / "words.txt").write_text("2 1\na 0.5\na 1.5\n")
    text.WordVectors.load_word2vec_format(tmp_path / "words.txt")


@pytest.mark.parametrize(
    "act",
    [fits, fits_batches_of_all_sizes, compiles, compiles_again_and_again, saves_a_list_of_layers,
     loads_a_model_that_had_hooks, loads_words_that_come_again],
)  # fmt: skip
def test_the_line_is_the_users(act, tmp_path):
    lines, first = inspect.getsourcelines(act)
    with pytest.warns(Warning) as caught:
        act(tmp_path)
    for warning in caught:
        assert warning.filename == __file__
        assert first < warning.lineno < first + len(lines)
