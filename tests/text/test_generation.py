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


class Louder(GPT):
    def forward(self, idx):
        return super().forward(idx) * -1.0


class Backwards(nn.Linear):
    def forward(self, x):
        return super().forward(x)[:, ::-1]


def changed(gpt, how):
    """A model whose calls do more than the steps of a GPT."""
    block = gpt.transformer["h"][0]
    if how == "forward of a subclass":
        other = Louder(11, 6, 2, 2, 8, dtype="float64")
        other.load_state_dict(gpt.state_dict())
        return other
    if how == "forward of an object":
        gpt.forward = lambda idx: -GPT.forward(gpt, idx)
    elif how == "hook of the model":
        gpt.register_forward_hook(lambda module, given, y: -y)
    elif how == "hook of a block":
        block.register_forward_hook(lambda module, given, y: -y)
    elif how == "hook before attention":
        block.attn.register_forward_pre_hook(lambda module, given: (-given[0],))
    elif how == "other dropout":
        gpt.transformer["drop"] = nn.Tanh()
    elif how == "other layer":
        block.mlp["c_proj"] = Backwards(32, 8, False, dtype="float64")
    return gpt


@pytest.mark.parametrize(
    "how",
    [
        "forward of a subclass",
        "forward of an object",
        "hook of the model",
        "hook of a block",
        "hook before attention",
        "other dropout",
        "other layer",
    ],
)
def test_what_a_call_does_beyond_the_steps_counts(how):
    gpt = changed(model(), how)
    tokens = [3, 1]
    for token in generate(gpt, tokens, 9, temperature=0):
        assert token == gpt(np.array([tokens[-6:]])).numpy()[0, -1].argmax()
        tokens = [*tokens, token]


class Returns(nn.Module):
    """A model that returns one and the same."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, tokens):
        return self.output


@pytest.mark.parametrize("temperature", [0, 1.0])
@pytest.mark.parametrize(
    ("output", "error", "says"),
    [
        (cr.ones((1, 4)), cr.ShapeError, r"\(1, 2, classes\).*shape \(1, 4\)"),
        (cr.ones((2, 4)), cr.ShapeError, r"shape \(2, 4\)"),
        (cr.ones(4), cr.ShapeError, r"shape \(4,\)"),
        (cr.ones((1, 4, 2)), cr.ShapeError, r"shape \(1, 4, 2\)"),
        (cr.ones((2, 2, 4)), cr.ShapeError, r"shape \(2, 2, 4\)"),
        (cr.ones((1, 2, 0)), cr.ShapeError, r"shape \(1, 2, 0\)"),
        ((cr.ones((1, 2, 4)), None), TypeError, "logits alone.*Wrap it"),
        (None, TypeError, "logits alone.*None"),
        (cr.tensor([[[0.0, np.nan, 1.0]]]), cr.NonFiniteError, "nan"),
        (cr.tensor([[[0.0, np.inf, 1.0]]]), cr.NonFiniteError, "inf"),
        (cr.tensor([[[-np.inf, -np.inf]]]), cr.NonFiniteError, "-inf"),
    ],
)
def test_what_is_no_logits_is_refused(output, error, says, temperature):
    with pytest.raises(error, match=says):
        generate(Returns(output), [1, 2], 1, temperature)


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_weights_that_are_no_numbers_give_no_text(temperature):
    gpt = model()
    gpt.lm_head.weight.assign(np.full(gpt.lm_head.weight.shape, np.nan))
    with pytest.raises(cr.NonFiniteError, match="nan"):
        generate(gpt, [1], 1, temperature)


@pytest.mark.parametrize("temperature", [1e-310, 5e-324, 1e-3, 1e300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_temperature_has_its_softmax(temperature, dtype):
    logits = np.array([[[-3e38, 3e38, -np.inf, 0.0]]], dtype)
    found = generate(Returns(cr.tensor(logits)), [1], 20, temperature)
    assert set(found) <= {0, 1, 3} if temperature == 1e300 else set(found) == {1}


@pytest.mark.parametrize(
    ("prompt", "error"),
    [
        ([[1, 2], [3, 4]], cr.ShapeError),
        ([[1], [2]], cr.ShapeError),
        ([[[1, 2]]], cr.ShapeError),
        (3, cr.ShapeError),
        ([1.0, 2.0], cr.DTypeError),
        (cr.tensor([1.7]), cr.DTypeError),
        ([True], cr.DTypeError),
        (np.zeros((1, 0), int), ValueError),
        ("ab", TypeError),
    ],
)
def test_a_prompt_is_one_row_of_integers(prompt, error):
    for any_model in (model(), Returns(cr.ones((1, 1, 4)))):
        with pytest.raises(error):
            generate(any_model, prompt, 1)


def test_a_prompt_of_text_is_refused_with_the_remedy():
    with pytest.raises(TypeError, match=r"as tokenizer.encode\(text\) gives, not text"):
        generate(model(), "to be", 1)


def test_a_prompt_may_be_a_batch_of_one():
    gpt = model()
    for prompt in ([[3, 1]], np.array([3, 1], np.uint8), cr.tensor([3, 1]), (3, 1)):
        assert generate(gpt, prompt, 4, 0) == generate(gpt, [3, 1], 4, 0)


def test_a_batch_may_be_empty():
    gpt = model()
    assert gpt(np.zeros((0, 3), int)).shape == (0, 3, 11)
    assert cr.compile(gpt)(np.zeros((0, 3), int)).shape == (0, 3, 11)


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
