"""GPT and generation: what is read token by token is what is read at once."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.text import GPT, generate


def model(**changes):
    cr.manual_seed(0)
    given = {"vocab_size": 11, "block_size": 6, "n_layer": 2, "n_head": 2, "n_embd": 8}
    made = GPT(**given | {"dtype": "float64"} | changes)
    for parameter in made.parameters():  # larger than at first, so that tokens differ
        parameter.assign(parameter.numpy() * 10)
    return made


@pytest.mark.parametrize("changes", [{}, {"bias": True, "n_head": 1, "dtype": "float32"}])
def test_each_token_is_the_one_of_the_whole_context(changes):
    gpt, prompt = model(**changes), [3, 1]
    found = generate(gpt, prompt, 9, temperature=0)  # past the context of 6
    tokens = list(prompt)
    for token in found:
        logits = gpt(np.array([tokens[-6:]])).numpy()[0, -1]
        assert token == logits.argmax()
        tokens.append(token)
    assert len(set(found)) > 1


def test_any_model_of_tokens_goes_on():
    gpt = model()

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = gpt

        def forward(self, tokens):
            return self.inner(tokens)

    assert generate(Wrapped(), [1], 4, 0) == generate(gpt, [1], 4, 0)


def test_draws_follow_the_softmax():
    class Fixed(nn.Module):
        def forward(self, tokens):
            return cr.log(cr.tensor([[[0.5, 0.25, 0.25, 0.0001]]]))

    draws = cr.Generator(0)
    found = np.bincount(generate(Fixed(), [0], 2000, generator=draws), minlength=4) / 2000
    np.testing.assert_allclose(found[:3], [0.5, 0.25, 0.25], atol=0.04)
    cold = np.bincount(generate(Fixed(), [0], 2000, 0.5, generator=draws), minlength=4) / 2000
    np.testing.assert_allclose(cold[:3], [2 / 3, 1 / 6, 1 / 6], atol=0.04)
    assert set(generate(Fixed(), [0], 50, top_k=1, generator=draws)) == {0}


def test_the_same_seed_gives_the_same_text():
    gpt = model(dropout=0.5)
    first, second = (generate(gpt, [1], 8, generator=cr.Generator(3)) for _ in range(2))
    assert first == second and gpt.training


def test_refusals():
    gpt = model()
    for arguments, error in (
        (([], 1), ValueError),
        (([1], -1), ValueError),
        (([1], 1, -1.0), ValueError),
        (([1], 1, 1.0, 0), ValueError),
        (([11], 1), IndexError),
    ):
        with pytest.raises(error):
            generate(gpt, *arguments)
    with pytest.raises(cr.ShapeError, match="block_size = 6"):
        gpt(np.zeros((1, 7), int))


def test_a_saved_model_is_loaded_without_its_code(tmp_path):
    gpt = model(dtype="float32")
    cr.save(gpt, tmp_path / "gpt.safetensors")
    again = cr.load(tmp_path / "gpt.safetensors")
    assert again.lm_head.weight is again.transformer["wte"].weight
    tokens = np.array([[1, 2, 3]])
    np.testing.assert_array_equal(again(tokens).numpy(), gpt(tokens).numpy())


def test_it_learns_a_text():
    cr.manual_seed(0)
    gpt = GPT(11, block_size=8, n_layer=1, n_head=2, n_embd=16)
    tokens = np.tile(np.arange(11), 6)
    x = np.stack([tokens[i : i + 8] for i in range(40)])
    y = np.stack([tokens[i + 1 : i + 9] for i in range(40)])
    optimizer = optim.AdamW(gpt.parameters(), lr=0.03)

    @cr.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(gpt(x).reshape(-1, 11), y.reshape(-1))
        loss.backward()
        optimizer.step()
        return loss

    losses = [step(x, y).item() for _ in range(150)]
    assert losses[-1] < 0.05 < losses[0]
    assert generate(gpt, [4], 5, 0) == [5, 6, 7, 8, 9]
